"""What repair could gain on the code task, for policies that know the weights of the readings by heart: solved within
k programs, each checked before the next is written, on freshly drawn problems of the split `calibration`.

    independent   draws anew each time
    distinct      never writes the same program again: it reads nothing of a failure but that there was one
    last failure  draws among the programs that give what the test that failed last expects
    all failures  draws among those that give what every test that failed so far expects

    programs_repair.py [PROBLEMS a level]
"""
import random
import re
import sys

import programs
import programs_task

KS, PLAYS = (1, 2, 4, 8, 16), 40
READERS = "independent", "distinct", "last failure", "all failures"


def drawn(rng, level, n):
    """A problem and its parts."""
    while True:
        state = rng.getstate()
        made = programs_task.problem(rng, "calibration", level, n)
        if made:
            again = random.Random()
            again.setstate(state)
            return made[0], programs.draw_parts(again, n)


def judged(row, parts):
    """Of every program that the readings allow: how likely it is, and which tests it passes."""
    name = re.match(r"def f\((\w+):", row["prompt"])[1]
    tests = [(eval(a), eval(b)) for a, b in re.findall(r"candidate\((.*)\) == (.*)", row["test"])]
    for chosen in programs.all_readings(parts):
        outs = programs_task.outputs(programs.body(parts, chosen), name, [t[0] for t in tests])
        good = [o is not programs_task.BIG and not isinstance(o, type) and o == t[1] for o, t in zip(outs, tests)]
        yield programs.chance(parts, chosen), good


def play(rng, reader, weights, good):
    """How many programs until one passes all tests; more than KS[-1] if none does."""
    now = list(weights)
    for k in range(1, KS[-1] + 1):
        if sum(now) <= 0:
            now = list(weights)
        i = rng.choices(range(len(now)), now)[0]
        if all(good[i]):
            return k
        failed = good[i].index(False)
        if reader == "distinct":
            now[i] = 0
        if reader == "last failure":
            now = list(weights)
        if "failure" in reader:
            now = [w if g[failed] else 0 for w, g in zip(now, good)]
    return KS[-1] + 1


def main():
    n, rng = int(sys.argv[1]) if len(sys.argv) > 1 else 60, random.Random(2028)
    sizes = [(level, level + (i % 4 > 0)) for i in range(n) for level in range(1, programs.LEVELS + 1)]
    problems = [list(judged(*drawn(rng, *size))) for size in sizes]
    for reader in READERS:
        ends = [play(rng, reader, *zip(*p)) for p in problems for _ in range(PLAYS)]
        print(f"{reader:13}", *(f"@{k} {sum(e <= k for e in ends) / len(ends):.3f}" for k in KS))


if __name__ == "__main__":
    main()
