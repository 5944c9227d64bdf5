"""Writes tasks/code.jsonl (test) and tasks/code-calibration.jsonl in HumanEval's layout, 60 problems a level.

The author's program of a problem is drawn by the weights of the readings; 4 to 8 tests are chosen that reject every
other combination of readings, every program with one operation left out, and every one with a number off by one or an
operator exchanged, unless it does the same on all 40 inputs that were looked at. A problem whose operations do not all
matter is drawn anew.

    programs_task.py            writes both files
    programs_task.py mutants FILE   prints wrong programs as samples, one a line: {"task_id", "completion"}
"""
import json
import os
import random
import re
import sys

import programs

PER_LEVEL, POOL, TESTS, FEWEST = 60, 40, 8, 4
TEXTS = ("apple Tree sun moon a I the over Under egg Owl 7 42 b2 blue sky rain Ice to be or not banana level noon "
         "x1 radar the apple old Oak at").split()
SWAPS = {"<=": "<", "<": "<=", ">=": ">", ">": ">=", "==": "!=", "+": "-", "-": "+", "*": "+", "//": "*", "%": "//"}
BIG = "too big"


def list_input(rng):
    wide = rng.choice((6, 12, 40))
    return [rng.randint(-wide // 2, wide) for _ in range(rng.choice((0, 1, 3, 4, 5, 6, 7, 8, 9)))]


def text_input(rng):
    words = [rng.choice(TEXTS) for _ in range(rng.randint(0, 5))]
    text = "".join(w + rng.choice((" ", " ", " ", "  ", ", ")) for w in words)
    return text if rng.random() < 0.2 else text.rstrip(" ,")


def number_input(rng):
    return rng.choice((rng.randint(0, 12), rng.randint(3, 40), rng.randint(20, 400)))


INPUTS = {"list": list_input, "text": text_input, "number": number_input}


def same(a, b):
    """Whether a, a wrong program's, is no evidence that it is wrong beside b."""
    if a is BIG:
        return True
    return type(a) is type(b) and a == b if str in (type(a), type(b)) else a == b


def small(value):
    if isinstance(value, (list, str)):
        return len(value) <= 80 and all(small(v) for v in value if v is not value and not isinstance(v, str))
    return value is None or abs(value) <= 5000


class Program:
    """A program of one expression a line, run line by line so that nothing grows out of hand."""

    def __init__(self, text):
        self.lines = []
        for line in text.strip("\n").split("\n"):
            name, expression = re.fullmatch(r"    (?:return|(\w+) =) (.*)", line).groups()
            self.lines.append((name, compile(expression, "program", "eval")))

    def run(self, name, value):
        """The value, or the name of an exception."""
        scope = {name: value}
        for name, code in self.lines:
            try:
                value = eval(code, scope)
            except Exception as e:                      # what a wrong program does is its own affair
                return type(e)
            if not small(value):
                return BIG
            scope[name] = value
        return value


def altered(text):
    """Programs with one number off by one, one operator exchanged, or one line left out."""
    for m in re.finditer(r"(?<![\w'])\d+", text):
        for step in (1, -1):
            yield text[: m.start()] + str(int(m[0]) + step) + text[m.end() :]
    for m in re.finditer(r"(?<= )(?:<=|>=|==|//|[<>+\-*%])(?= )", text):
        yield text[: m.start()] + SWAPS[m[0]] + text[m.end() :]
    lines = text.strip("\n").split("\n")
    for i in range(len(lines) - 1):
        yield "\n".join(lines[:i] + lines[i + 1 :]) + "\n"


def outputs(text, name, pool):
    program = Program(text)
    return [program.run(name, list(x) if isinstance(x, list) else x) for x in pool]


def skipped(parts, chosen, i):
    """The program without operation i, or None where what follows could not do without it."""
    if parts[i].row[0] != parts[i].row[1] or len(parts) == 1:
        return None
    return programs.body(parts[:i] + parts[i + 1 :], chosen[:i] + chosen[i + 1 :])


def choose(rng, gold, wrong, usable):
    """Tests that reject all of `wrong` [outputs on the pool], fewest first; None if TESTS do not do."""
    kills = {i: {w for w, out in enumerate(wrong) if not same(out[i], gold[i])} for i in usable}
    left, taken = set().union(*kills.values()), []
    while left and len(taken) < TESTS:
        best = max(usable, key=lambda i: (len(kills[i] & left), -i))
        taken.append(best)
        left -= kills[best]
    if left:
        return None
    spare = [i for i in usable if i not in taken]
    while len(taken) < FEWEST + 2 and spare:
        taken.append(spare.pop(rng.randrange(len(spare))))
    return sorted(taken)


def problem(rng, split, level, n):
    """A row with n operations and how likely the weights alone solve it, or None if this draw makes no problem."""
    parts = programs.draw_parts(rng, n)
    head = programs.prompt(parts)
    if programs.split_of(head) != split:
        return None
    kind = parts[0].row[0]
    name, chosen = programs.NAMES[kind], programs.draw_readings(rng, parts)
    pool = [INPUTS[kind](rng) for _ in range(POOL)]
    pool = [x for i, x in enumerate(pool) if x not in pool[:i]]
    text = programs.body(parts, chosen)
    gold = outputs(text, name, pool)
    usable = [i for i, v in enumerate(gold) if not isinstance(v, type) and v is not BIG]
    if len(usable) < 12 or len({repr(gold[i]) for i in usable}) < 5:
        return None
    for i in range(n):
        without = skipped(parts, chosen, i)
        if without and all(same(v, gold[at]) for at, v in enumerate(outputs(without, name, pool)) if at in usable):
            return None
    others = [list(c) for c in programs.all_readings(parts)]
    read = [outputs(programs.body(parts, c), name, pool) for c in others]
    wrong = read + [outputs(t, name, pool) for t in altered(text)]
    tests = choose(rng, gold, wrong, usable)
    if tests is None or len(tests) < FEWEST:
        return None
    likely = sum(programs.chance(parts, c) for c, out in zip(others, read) if all(same(out[i], gold[i]) for i in tests))
    asserts = "".join(f"    assert candidate({pool[i]!r}) == {gold[i]!r}\n" for i in tests)
    return {"prompt": head, "entry_point": "f", "canonical_solution": text, "test": "def check(candidate):\n" + asserts,
            "level": level}, likely


def rows(split, seed):
    rng, seen = random.Random(seed), set()
    for row in range(PER_LEVEL):
        for level in range(1, programs.LEVELS + 1):
            while True:
                made = problem(rng, split, level, level + (row % 4 > 0))
                if made and made[0]["prompt"] not in seen:
                    break
            seen.add(made[0]["prompt"])
            yield made


def write(path, split, seed):
    likely = {level: [] for level in range(1, programs.LEVELS + 1)}
    with open(path, "w") as out:
        for i, (row, chance) in enumerate(rows(split, seed), 1):
            out.write(json.dumps({"task_id": f"code-{split}/{i:03d}", **row}) + "\n")
            likely[row["level"]].append(chance)
    for k in (1, 4, 16, 64, 256):
        means = [sum(1 - (1 - p) ** k for p in v) / len(v) for v in likely.values()]
        print(f"{split}: the weights' own pass@{k}", *(f"{m:.3f}" for m in means), f"all {sum(means) / len(means):.3f}")


def mutants(path):
    """Wrong programs of each problem: those of `altered` that do something else on its tests' arguments."""
    for line in open(path):
        row = json.loads(line)
        name = re.match(r"def f\((\w+):", row["prompt"])[1]
        pool = [eval(a) for a in re.findall(r"candidate\((.*)\) ==", row["test"])]
        gold = outputs(row["canonical_solution"], name, pool)
        for text in altered(row["canonical_solution"]):
            if not all(map(same, outputs(text, name, pool), gold)):
                print(json.dumps({"task_id": row["task_id"], "completion": text}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["mutants"]:
        mutants(sys.argv[2])
    else:
        os.makedirs("tasks", exist_ok=True)
        write("tasks/code.jsonl", "test", 2026)
        write("tasks/code-calibration.jsonl", "calibration", 2027)
