"""Tables from recorded runs of Brood: accuracy by level, what it costs, how well the reward model tells steps apart.

    T=tasks/story.jsonl; S="--policy models/small --reward models/prm"
    brood bench $T --policy models/small --reward none --strategy greedy --run work/greedy-small.db
    brood bench $T --policy models/large --reward none --strategy greedy --run work/greedy-large.db
    brood bench $T $S --strategy sample:n=64 --run work/test.db
    for n in 4 8 16; do brood bench $T $S --strategy beam:n=$n,width=4 --run work/beam-$n.db; done
    for n in 4 8 16; do brood bench $T $S --strategy sample:n=$n --run work/sample-$n.db; done      # for their costs
    for r in work/*.db; do brood report --jsonl $r > ${r%.db}.jsonl; done
    evaluate.py [--task tasks/story.jsonl] test greedy-small greedy-large [beam-4 ...]
"""
import argparse
import json
import math
import os
from collections import Counter, defaultdict
from math import comb, prod, sqrt
from statistics import mean, stdev

import problems
import task

AGGREGATES = {"last": lambda r: r[-1], "min": min, "prod": prod, "mean": mean}
SIZES = (1, 2, 4, 8, 16, 64)
AGGREGATE = "min"        # of the selections that are compared


def interval(successes):
    """Share and 95 % half width (Wilson's interval is close to it at these counts; shares may be fractions)."""
    n, p = len(successes), mean(successes)
    return p, 1.96 * sqrt(max(p * (1 - p), 1e-9) / n)


def difference(a, b):
    """Mean difference of two measures on the same problems and its 95 % half width."""
    gaps = [float(x) - float(y) for x, y in zip(a, b)]
    return mean(gaps), 1.96 * stdev(gaps) / sqrt(len(gaps))


def passed(right, k):
    """Unbiased pass@k (Chen et al. 2021)."""
    n, c = len(right), sum(right)
    return 1 - comb(n - c, k) / comb(n, k)


def groups(count, size):
    return [range(i, i + size) for i in range(0, count, size)]


def chosen(answers, weights):
    """The answer with the greatest summed weight; no answer never wins against one; ties go to the smaller number."""
    votes = defaultdict(float)
    for a, w in zip(answers, weights):
        votes[a] += w
    return max(votes, key=lambda a: (a is not None, votes[a], -(a or 0)))


def best(answers, weights):
    return max(zip(answers, weights), key=lambda p: (p[0] is not None, p[1]))[0]


def rates(problem, solutions, rewards):
    """{measure: rate on this problem}; selections at size N are averaged over the disjoint groups of N samples."""
    answers = [problems.answer_of(s) for s in solutions]
    strict = [all(problems.judge(problem, s)) for s in solutions]
    right = [a == problem.answer for a in answers]
    found = {}
    for k in SIZES:
        if len(answers) < k:
            continue
        found[f"pass@{k}"], found[f"strict pass@{k}"] = passed(right, k), passed(strict, k)
        parts = groups(len(answers), k)

        def rate(rule, weights):
            return mean(rule([answers[i] for i in g], [weights[i] for i in g]) == problem.answer for g in parts)

        if k == 1:
            continue
        found[f"majority@{k}"] = rate(chosen, [1] * len(answers))
        for name, aggregate in AGGREGATES.items():
            weights = [aggregate(r) for r in rewards]
            found[f"best@{k} {name}"] = rate(best, weights)
            found[f"weighted@{k} {name}"] = rate(chosen, weights)
    return found


def row(name, values, levels, flop):
    cells = [f"{mean(v for v, at in zip(values, levels) if at == level):.3f}" for level in range(1, 6)]
    p, half = interval(values)
    return f"| {name} | " + " | ".join(cells) + f" | {p:.3f}+-{half:.3f} | {flop / 1e9:.2f} |"


def spent(line):
    """FLOP of a problem, policy and reward model."""
    prompts = sum((line.get(k) or {"flops": 0})["flops"] for k in ("prompt_cost", "reward_prompt_cost"))
    return prompts + sum((n.get(k) or {"flops": 0})["flops"] for n in line["nodes"] for k in ("cost", "reward_cost"))


def unread(line, samples):
    """FLOP of so many independent samples without a reward model."""
    return line["prompt_cost"]["flops"] + mean(n["cost"]["flops"] for n in line["nodes"]) * samples


def pairs(problem, solutions, rewards):
    """{kind of step: (wins, pairs)}: right against wrong steps that the policy wrote after the same prefix."""
    written, blocks, found = defaultdict(dict), problem.blocks(), {}
    for solution, marks in zip(solutions, rewards):
        steps = solution.split("\n\n")
        for i, (step, right) in enumerate(zip(steps, problems.judge(problem, solution))):
            written[tuple(steps[:i])][step] = right, marks[i]
            if not right:
                break
    for prefix, steps in written.items():
        good = [m for right, m in steps.values() if right]
        bad = [m for right, m in steps.values() if not right]
        wins = sum((g > b) + 0.5 * (g == b) for g in good for b in bad)
        place = len(prefix)
        kind = "puzzles" if place < len(blocks) and len(blocks[place]) > 1 else "other steps"
        old = found.get(kind, (0, 0))
        found[kind] = old[0] + wins, old[1] + len(good) * len(bad)
    return found


def apart(tasks, written, rewards):
    sums = defaultdict(lambda: [0, 0])
    for (_, problem), solutions, marks in zip(tasks, written, rewards):
        for kind, found in pairs(problem, solutions, marks).items():
            for key in (f"level {problem.level}", kind, "all"):
                sums[key] = [a + b for a, b in zip(sums[key], found)]
    return {key: (wins / max(total, 1), total) for key, (wins, total) in sorted(sums.items())}


def read_run(name):
    """{problem id: its record}"""
    lines = map(json.loads, open(f"work/{name}.jsonl"))
    return {line["problem"]: line for line in lines if "problem" in line}


def first_errors(name, tasks):
    """(greedy answers that are wrong, those whose first wrong step is a puzzle)"""
    run, wrong, puzzles = read_run(name), 0, 0
    for i, problem in tasks:
        solution, blocks = run[i]["solutions"][0]["text"], problem.blocks()
        if problems.answer_of(solution) != problem.answer:
            place = problems.judge(problem, solution).index(False)
            wrong, puzzles = wrong + 1, puzzles + (place < len(blocks) and len(blocks[place]) > 1)
    return wrong, puzzles


def whole_run(name, tasks):
    """(was the choice right, FLOP a problem) of a run that is taken as it ended."""
    run = read_run(name)
    right = [run[i]["choices"][-1]["answer"] == str(p.answer) for i, p in tasks]
    return right, mean(spent(run[i]) for i, _ in tasks)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--task", default="tasks/story.jsonl")
    options.add_argument("samples")
    options.add_argument("runs", nargs="*")
    o = options.parse_args()
    run = read_run(o.samples)
    tasks = [(i, p) for i, p in task.read(o.task) if i in run]
    columns = {name: whole_run(name, tasks) for name in o.runs}
    written = [[s["text"] for s in run[i]["solutions"]] for i, _ in tasks]
    rewards = [[s["rewards"] for s in run[i]["solutions"]] for i, _ in tasks]
    found = [rates(p, s, r) for (_, p), s, r in zip(tasks, written, rewards)]
    read = {len(written[0]): o.samples, **{n: f"sample-{n}" for n in SIZES if os.path.exists(f"work/sample-{n}.jsonl")}}
    read = {n: mean(map(spent, read_run(name).values())) for n, name in read.items()}
    for measure in found[0]:
        size = int(measure.split("@")[1].split()[0])
        if measure.startswith(("best", "weighted")):
            flop = read.get(size, math.nan)
        else:
            flop = mean(unread(run[i], size) for i, _ in tasks)
        columns[measure] = [f[measure] for f in found], flop
    print(f"{len(tasks)} problems, {len(written[0])} samples\n")
    print("| measure | 1 | 2 | 3 | 4 | 5 | all | GFLOP a problem |\n" + "|---" * 8 + "|")
    for name, (values, flop) in columns.items():
        print(row(name, values, [p.level for _, p in tasks], flop))
    print("\nDifferences on the same problems:")
    for better in columns:
        selected = better.startswith(("best@", "weighted@")) and better.endswith(AGGREGATE)
        if selected or better.startswith("majority@") or better in o.runs and not better.startswith("greedy"):
            size = better.split("-")[1] if better.startswith("beam-") else ""
            for worse in ("greedy-small", "greedy-large", "majority@64", f"weighted@{size} {AGGREGATE}"):
                if worse in columns:
                    gap, half = difference(columns[better][0], columns[worse][0])
                    print(f"{better} - {worse}: {gap:+.3f}+-{half:.3f}")
    for name in o.runs:
        if name.startswith("greedy"):
            print("%s: %d wrong answers, the first wrong step a puzzle in %d" % (name, *first_errors(name, tasks)))
    print("\nRight against wrong step after the same prefix (AUC, pairs):")
    for key, (auc, count) in apart(tasks, written, rewards).items():
        print(f"{key}: {auc:.3f} ({count})")


if __name__ == "__main__":
    main()
