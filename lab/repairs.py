"""Texts that the policy `repair` learns from: programs of one problem, each but the last followed by what a failed test
showed, as `brood bench --strategy revise --verify tests` puts them before the policy, to the letter: the head, a program,
the verifier's feedback (its own words: ../src/verify/tell.py), and what asks for another.

A text is a game. The author of a problem draws readings by their weights. The first program, a wrong one, draws them by the
same weights and is read, not learnt (that those are wrong that are repaired is no rule for first programs). Each later one
draws among those that give what every failed test so far expects, which is what a reader of the failures who knows the
weights would do: it is learnt. Between them stand slips, which are read and not learnt: programs drawn without regard for
the failures, altered ones, repeated ones, and ones that the policy wrote itself. In a share of the texts no failure is told (`feedback=none`): there a later program is one that has not been tried.

    repairs.py problems N      prints N training problems as a task, to sample the policy on
    repairs.py own FILE        reads `brood report --jsonl` of such a run, prints the programs as JSON: work/own.json
    repairs.py check RUN TASK  compares the requests of a run of `revise` (its `report --jsonl`) with those that are made here
    repairs.py                 prints a few texts
"""
import functools
import importlib.util
import json
import os
import random
import re
import sys
import warnings
from dataclasses import dataclass

import programs
import programs_task
from programs_text import CODE, REPAIR as WORDS, REPAIR_CONTEXT

TRIES = 60              # draws of a later program before it is the author's
TESTS = 6
OWN_LENGTHS = (1, 1, 2, 2, 2, 3, 3, 4, 4, 5, 6)     # operations of the problems that the policy is sampled on
LONGEST = REPAIR_CONTEXT    # tokens
AGAIN = "Try again.\n"
warnings.simplefilter("ignore", SyntaxWarning)      # of what policies write


@dataclass(frozen=True)
class Phase:
    """What the texts of a phase of the training are like. Shares: `plain` of the texts are a first program alone, which is
    learnt there; of the others `untold` tell no failure, and `slip` of the later programs, `first_slip` of the first ones are
    slips."""
    lengths: tuple          # operations
    plain: float
    versions: tuple = (3,)  # programs at most
    untold: float = 0
    slip: float = 0
    first_slip: float = 0
    short: bool = False     # the shortest tests first


PHASES = {
    "one": Phase((1,), 0.03, short=True),
    "few": Phase((1, 1, 2, 2, 3), 0.03, short=True),
    "more": Phase((1, 2, 2, 3, 3, 4), 0.06),
    "all": Phase((1, 2, 2, 3, 3, 4, 4, 5, 6), 0.3, (2, 3, 4, 5), untold=0.1, slip=0.25, first_slip=0.3),
}

_spec = importlib.util.spec_from_file_location("tell", os.path.join(os.path.dirname(__file__), "../src/verify/tell.py"))
tell = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tell)


@functools.lru_cache(maxsize=1 << 16)
def compiled(line):
    """(the name that the line gives a value, None for return; its expression), or None where it is no such line."""
    found = re.fullmatch(r"    (?:return|(\w+) =) (.*)", line)
    try:
        return found and (found[1], compile(found[2], "program", "eval"))
    except SyntaxError:
        return None


def runs(text):
    """Whether every line is an expression given a name, and the last one is returned."""
    lines = text.strip("\n").split("\n")
    made = [compiled(line) for line in lines]
    return all(made) and [m[0] is None for m in made] == [False] * (len(lines) - 1) + [True]


def run(text, name, value):
    """(value, None, None), or (None, exception, its line); None where it grows out of hand or asks for what has no name."""
    scope = {name: list(value) if isinstance(value, list) else value}
    for line in text.strip("\n").split("\n"):
        name, code = compiled(line)
        try:
            value = eval(code, scope)
        except NameError:           # in a function Python has other words for it
            return None
        except Exception as e:      # what a wrong program does is its own affair
            return None, e, line.strip()
        if not programs_task.small(value):
            return None
        scope[name] = value
    return value, None, None


def first_failure(text, name, tests):
    """(index of the first test that fails, what came); None where none does or it cannot be said."""
    for i, (value, right) in enumerate(tests):
        came = run(text, name, value)
        if came is None:
            return None
        if came[1] is not None or came[0] != right:
            return i, came
    return None


def failure(test, came):
    """What the verifier says of a failed test."""
    value, right = test
    got, e, line = came
    call = tell.call_text("f", (value,), {})
    told = tell.plain(f"assert candidate({value!r}) == {right!r}", 300)
    if e is None:
        return (f"The tests failed: AssertionError\nTest: {told}\nCall: {call}\n"
                f"Got: {tell.value_text(got)}\nExpected: {tell.value_text(right)}\n")
    return f"The tests failed: {type(e).__name__}: {tell.plain(str(e))}\nTest: {told}\nCall: {call}\nLine: {line}\n"


def tests_of(rng, text, kind):
    """Tests of a right program; None where it is not fit for them."""
    tests, name = [], programs.NAMES[kind]
    for _ in range(2 * TESTS):
        value = programs_task.INPUTS[kind](rng)
        came = run(text, name, value)
        if came and came[1] is None and value not in [t[0] for t in tests]:
            tests.append((value, came[0]))
    return tests[:TESTS] if len(tests) >= 4 else None


class Habits:
    """Of several ways to write the same reading, the one that was taken last."""

    def __init__(self, rng):
        self.rng, self.taken = rng, {}

    def choice(self, ways):
        return self.taken.setdefault(ways, self.rng.choice(ways))

    def learn(self, parts, text):
        for part, line in zip(parts, text.strip("\n").split("\n")):
            for ways in (reading[1:] for reading in part.readings()):
                for way in ways:
                    if line.endswith((f" = {part.fill(way)}", f"return {part.fill(way)}")):
                        self.taken[ways] = way


class Game:
    def __init__(self, rng, parts, own, phase):
        self.rng, self.parts, self.own, self.phase = rng, parts, own, phase
        kind = parts[0].row[0]
        self.name, self.head, self.habits = programs.NAMES[kind], programs.prompt(parts), Habits(rng)
        self.meant = programs.draw_readings(rng, parts)
        self.right = self.write(self.meant)
        self.tests = tests_of(rng, self.right, kind)
        if self.tests and phase.short:
            self.tests.sort(key=lambda test: len(repr(test)))
        self.failed, self.tried = [], []        # indices of tests; programs

    def write(self, readings):
        return programs.body(self.parts, readings, self.habits)

    def draw(self):
        return self.write(programs.draw_readings(self.rng, self.parts))

    def gives(self, text, indices):
        for i in indices:
            came = run(text, self.name, self.tests[i][0])
            if not came or came[1] is not None or came[0] != self.tests[i][1]:
                return False
        return True

    def slip(self):
        pick = self.rng.random()
        if self.own and pick < 0.6:
            return self.rng.choice(self.own)
        if self.tried and pick > 0.92:
            return self.tried[-1]
        if pick > 0.87:
            return self.rng.choice(list(programs_task.altered(self.tried[-1] if self.tried else self.right)) or [self.right])
        return self.draw()

    def repaired(self, told):
        """A program that minds what was told."""
        for _ in range(TRIES):
            text = self.draw()
            if self.gives(text, self.failed) if told else text not in self.tried:
                return text
        return self.write(self.meant)

    def play(self, n, told):
        """[(program, whether it is learnt, what was said of it or None)], the last one learnt; [] if it came to nothing."""
        said = []
        while len(said) < n:
            slips = self.rng.random() < (self.phase.slip if said else self.phase.first_slip)
            text = self.slip() if slips else self.repaired(told) if said else self.draw()
            if not runs(text):
                break
            found = first_failure(text, self.name, self.tests)
            if found is None:       # it is right, or grows out of hand
                if said and not slips and self.gives(text, range(len(self.tests))):
                    said.append((text, True, None))
                break
            i, came = found
            self.failed.append(i)
            self.tried.append(text)
            self.habits.learn(self.parts, text)
            said.append((text, not slips and len(said) > 0, failure(self.tests[i], came) if told else ""))
        while said and not said[-1][1]:
            said.pop()
        return said


def written(head, said):
    """(ids, [(place, what is to be foretold there)])"""
    ids, learnt = WORDS.encode(head), []
    for text, is_learnt, failed in said:
        new = WORDS.encode(text)
        if is_learnt:
            learnt += [(len(ids) - 1 + i, token) for i, token in enumerate(new + [WORDS.end_id])]
        ids += new + ([] if failed is None else WORDS.encode("\n" + failed + AGAIN))
    return ids[: learnt[-1][0] + 1] + [WORDS.end_id], learnt


def example(rng, phase, own=None):
    """(ids, [(place, what is to be foretold there)]); own: programs that the policy wrote (main)."""
    while True:
        plain = rng.random() < phase.plain
        mine = rng.choice(own) if own and not plain and phase.slip and rng.random() < 0.3 else None
        n = rng.randint(1, programs.LEVELS + 1) if plain else rng.choice(phase.lengths)
        parts = [programs.Part(*p) for p in mine["parts"]] if mine else programs.draw_parts(rng, n)
        if programs.split_of(programs.prompt(parts)) != "train":
            continue
        game = Game(rng, parts, mine and mine["programs"], phase)
        if plain:
            return written(game.head, [(game.right, True, None)])
        said = game.play(rng.choice(phase.versions), rng.random() >= phase.untold) if game.tests else None
        if not said:
            continue
        ids, learnt = written(game.head, said)
        if len(ids) <= LONGEST:
            return ids, learnt


def training_problems(n, rng):
    for i in range(n):
        while True:
            parts = programs.draw_parts(rng, rng.choice(OWN_LENGTHS))
            if programs.split_of(programs.prompt(parts)) == "train":
                break
        yield {"task_id": json.dumps([[p.operation, p.phrase, p.k, p.m, p.j] for p in parts]) + f" {i}",
               "prompt": programs.prompt(parts)}


def check(run_path, task_path):
    """Every request of a recorded run of `revise`, byte for byte and token for token."""
    tests = {}
    for row in map(json.loads, open(task_path)):
        name = re.match(r"def f\((\w+):", row["prompt"])[1]
        tests[row["task_id"]] = name, [(eval(a), eval(b)) for a, b in re.findall(r"candidate\((.*)\) == (.*)", row["test"])]
    n_equal, n_left, n_other, told, words = 0, 0, 0, True, WORDS
    for row in map(json.loads, open(run_path)):
        if "problem" not in row:
            told = "feedback=none" not in row["configuration"]["strategy"]
            words = CODE if row["configuration"]["policy"]["name"] == "lab:code" else WORDS
            continue
        nodes = {node["path"]: node for node in row["nodes"]}
        name, asserts = tests[row["problem"]]
        for path, node in nodes.items():
            before = nodes.get(path.rpartition(".")[0])
            if not before or node["finish"] not in ("end", "limit"):
                continue
            text = before["text"].encode()[before.get("lead_bytes", 0):].decode()
            found = runs(text) and first_failure(text, name, asserts)
            if not found:
                n_left += 1     # no program of the kind that the texts have, or one that grows out of hand
                continue
            lead = "\n" + (failure(asserts[found[0]], found[1]) if told else "") + AGAIN
            letters, tokens = node["text"].encode()[:node["lead_bytes"]], node["tokens"][:node["lead_tokens"]]
            same = letters == lead.encode() and tokens == words.encode(lead)
            n_equal += same
            n_other += not same
            if not same:
                print(row["problem"], path, repr(lead), repr(node["text"]), sep="\n")
    print(f"{n_equal} requests equal, {n_other} differ, {n_left} of programs that the texts do not have")
    return n_other == 0 and n_equal > 0


def main():
    if sys.argv[1:2] == ["check"]:
        sys.exit(0 if check(*sys.argv[2:4]) else 1)
    if sys.argv[1:2] == ["problems"]:
        for row in training_problems(int(sys.argv[2]), random.Random(2029)):
            print(json.dumps(row))
        return
    if sys.argv[1:2] == ["own"]:
        rows = []
        for row in map(json.loads, open(sys.argv[2])):
            if "problem" in row:
                texts = [s["text"] for s in row["solutions"] if runs(s["text"])]
                rows.append({"parts": json.loads(row["problem"].rsplit(" ", 1)[0]), "programs": sorted(set(texts))})
        print(json.dumps([r for r in rows if r["programs"]]))
        return
    rng = random.Random(1)
    for _ in range(4):
        ids, learnt = example(rng, PHASES["all"])
        known = dict(learnt)
        print("".join(("[%s]" if i - 1 in known else "%s") % WORDS.decode([t]) for i, t in enumerate(ids)))


if __name__ == "__main__":
    main()
