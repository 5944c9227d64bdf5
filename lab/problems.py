"""The chain story: random word problems whose answer needs one calculation a step.

A person starts with some things; every later sentence changes how many there are, speaks of somebody else
(a distractor), gives an amount by reference ("as many as Leo has", "as many as at first"), or brings a puzzle: so many
things in bags of 7 and jars of 12, how many are in the bags? A puzzle's answer is hard to find and easy to check.
Level l needs 2l-1 or 2l calculations; a puzzle counts as three. Values lie between 2 and 9999.
"""
import hashlib
import math
import random
import re
from dataclasses import dataclass

NAMES = "Amy Ben Eva Gus Ida Jim Leo Max Ned Pia Sam Tom".split()
ITEMS = "bags caps cups eggs figs jars keys maps nuts pens".split()
GAIN = "buys finds gets".split()
LOSE = "drops loses sells".split()
PART = {2: "half", 3: "a third", 4: "a quarter", 5: "a fifth"}
KEPT_IN = "bags cups jars".split()
SIZES = range(6, 20)     # how much a bag, cup or jar holds
COUNTS = range(1, 7)     # how many bags, cups or jars there are
PUZZLES = 0.3            # share of puzzles among the sentences that have room for one
TOP = 9999
LEVELS = 5


@dataclass
class Problem:
    text: str
    steps: list          # (left, op, right, result), in order
    answer: int
    level: int

    def blocks(self):
        """Indices of the calculations that are written as one step: a puzzle's first three, and else one each."""
        guesses, found = puzzles(self), []
        for index in range(len(self.steps)):
            if index - 1 not in guesses and index - 2 not in guesses:
                found.append([index, index + 1, index + 2] if index in guesses else [index])
        return found

    def solution(self, rng=None):
        """The worked solution; with a generator, sums and products are written in either order."""
        return "\n\n".join([block_text(self, b, rng) for b in self.blocks()] + [final_text(self.answer)])


def step_text(step, rng=None):
    left, op, right, result = step
    if rng and op in "+*" and rng.random() < 0.5:
        left, right = right, left
    return f"{left}{op}{right} = {result}."


def block_text(problem, block, rng=None):
    return "\n".join(step_text(problem.steps[index], rng) for index in block)


def forms(problem, block):
    """Every right way to write these calculations as one step."""
    ways = [""]
    for left, op, right, result in (problem.steps[index] for index in block):
        orders = [(left, right), (right, left)] if op in "+*" else [(left, right)]
        ways = [w + "\n" * bool(w) + step_text((a, op, b, result)) for w in ways for a, b in orders]
    return ways


def final_text(answer):
    return f"The answer is \\boxed{{{answer}}}."


STEP = re.compile(r"(\d+)([-+*/])(\d+) = (\d+)\.")


def content(step):
    """What a step says, as a value to compare."""
    return [canonical(line) for line in step.split("\n")]


def canonical(step):
    """The same of one line: sums and products in one order; None when it is no calculation."""
    found = STEP.fullmatch(step)
    if not found:
        return step if step.startswith("The answer") else None
    left, op, right, result = found.groups()
    if op in "+*" and int(left) > int(right):
        left, right = right, left
    return left, op, right, result


def judge(problem, solution):
    """One truth value a step: right means equal in content to the gold step, and all steps before it right."""
    gold, verdicts, good = [content(s) for s in problem.solution().split("\n\n")], [], True
    for i, step in enumerate(solution.split("\n\n")):
        good = good and i < len(gold) and content(step) == gold[i]
        verdicts.append(good)
    return verdicts


def answer_of(solution):
    found = re.search(r"\\boxed\{(\d+)\}", solution)
    return int(found.group(1)) if found else None


def amount(rng, top, low=3):
    """An integer in [low, top], evenly spread on a logarithmic scale."""
    return min(top, int(math.exp(rng.uniform(math.log(low), math.log(top + 1)))))


def choose_operation(rng, value):
    """An operation that keeps the value within bounds: (op, right operand)."""
    parts = [k for k in PART if value % k == 0 and value >= 10 * k]
    options, weights = ["+", "-"], [3, 3 if value > 8 else 0]
    if value * 2 <= TOP:
        options.append("*"), weights.append(3)
    if parts:
        options.append("/"), weights.append(3)
    op = rng.choices(options, weights)[0]
    if op == "+":
        return op, amount(rng, min(999, TOP - value)) if value < TOP - 3 else 0
    if op == "-":
        return op, amount(rng, min(999, value - 2))
    if op == "*":
        return op, rng.randint(2, min(9, TOP // value))
    return op, rng.choice(parts)


def partings(total, size, other):
    """Every way to make the total of some of this size and some of the other: the part in this size."""
    return [part for part in range(size, total, size) if (total - part) % other == 0]


def draw_puzzle(rng):
    """(count, size, rest, other size): count * size + rest, the only parts that fit."""
    while True:
        size, other = rng.sample(SIZES, 2)
        count, rest = rng.choice(COUNTS), other * rng.choice(COUNTS)
        if len(partings(count * size + rest, size, other)) == 1:
            return count, size, rest, other


PUZZLE = re.compile(r" (\d+) \w+ in \w+ of (\d+) and \w+ of (\d+) and keeps")


def puzzles(problem):
    """{index of a puzzle's guess: (total, size, other size)}; what is left, what that is made of, and use follow."""
    told, places = [tuple(map(int, found)) for found in PUZZLE.findall(problem.text)], {}
    for place, (guess, check) in enumerate(zip(problem.steps, problem.steps[1:])):
        if told and guess[1:3] == ("*", told[0][1]) and check[:3] == (told[0][0], "-", guess[3]):
            places[place] = told.pop(0)
    return places


class Story:
    """Writes one problem sentence by sentence."""

    def __init__(self, rng, operations):
        self.rng = rng
        names = rng.sample(NAMES, 5)
        self.hero, self.others = names[0], names[1:]
        self.item = rng.choice(ITEMS)
        self.facts = []                  # people whose count is told once and never changes: (name, count)
        self.start = self.value = amount(rng, 999, 12)
        self.puzzles, self.sentences, self.steps = 0, [f"{self.hero} has {self.value} {self.item}."], []
        while len(self.steps) - self.puzzles < operations:
            if rng.random() < 0.22:
                self.distract()
            if operations - len(self.steps) + self.puzzles >= 3 and rng.random() < PUZZLES and self.value < TOP // 2:
                self.puzzle()
            else:
                self.operate()
        self.sentences.append(f"How many {self.item} does {self.hero} have now?")

    def distract(self):
        rng = self.rng
        if self.others and rng.random() < 0.6:
            count = amount(rng, 999, 10)
            name = self.others.pop()
            self.sentences.append(f"{name} has {count} {rng.choice(ITEMS)}.")
            self.facts.append((name, count))
        elif self.others:
            name = self.others[0] if len(self.others) == 1 else self.others.pop()
            self.sentences.append(f"{name} {rng.choice(GAIN + LOSE)} {amount(rng, 999)} {rng.choice(ITEMS)}.")
            self.others = [n for n in self.others if n != name]

    def puzzle(self):
        rng = self.rng
        count, size, rest, other = draw_puzzle(rng)
        part, (kept, left) = count * size, rng.sample([k for k in KEPT_IN if k != self.item], 2)
        self.sentences.append(f"{self.hero} {rng.choice(GAIN)} {part + rest} {self.item} in {kept} of {size} and "
                              f"{left} of {other} and keeps the {kept}.")
        self.steps += [(count, "*", size, part), (part + rest, "-", part, rest), (rest // other, "*", other, rest),
                       (self.value, "+", part, self.value + part)]
        self.value += part
        self.puzzles += 1

    def operate(self):
        rng, value = self.rng, self.value
        op, right = choose_operation(rng, value)
        right, many = self.refer(op, right)
        if op == "+":
            sentence, result = f"{self.hero} {rng.choice(GAIN)} {many}.", value + right
        elif op == "-":
            sentence, result = f"{self.hero} {rng.choice(LOSE)} {many}.", value - right
        elif op == "*":
            sentence, result = f"Now {self.hero} has {right} times as many.", value * right
        else:
            sentence, result = f"{self.hero} keeps {PART[right]} of them.", value // right
        self.sentences.append(sentence)
        self.steps.append((value, op, right, result))
        self.value = result

    def refer(self, op, right):
        """The operand and its wording: the number itself, or somebody's count, or the hero's count at first."""
        if op in "+-" and self.rng.random() < 0.3:
            sources = [(count, f"as many as {name} has") for name, count in self.facts]
            if self.steps:
                sources.append((self.start, "as many as at first"))
            fits = [s for s in sources if (self.value + s[0] <= TOP if op == "+" else self.value - s[0] >= 2)]
            if fits:
                return self.rng.choice(fits)
        return right, f"{right} more" if op == "+" else f"{right} of them"


def make(rng, operations):
    while True:
        story = Story(rng, operations)
        if all(step[2] > 0 for step in story.steps):
            return Problem(" ".join(story.sentences), story.steps, story.value, (operations + 1) // 2)


def split_of(text):
    """train, calibration or test: decided by the text of the problem alone, so the sets cannot overlap."""
    bucket = hashlib.sha1(text.encode()).digest()[0] % 16
    return {0: "test", 1: "calibration"}.get(bucket, "train")


def draw(rng, split, operations=None):
    """A random problem of that split; the number of calculations is even over 1..10 unless given."""
    while True:
        problem = make(rng, operations or rng.randint(1, 2 * LEVELS))
        if split_of(problem.text) == split:
            return problem


if __name__ == "__main__":
    generator = random.Random(1)
    for n in (2, 5, 10):
        p = draw(generator, "train", n)
        print(p.text, p.solution(generator), sep="\n", end="\n\n---\n")
