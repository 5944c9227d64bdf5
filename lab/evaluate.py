"""Tables from recorded runs of Brood: accuracy by level, and how well the reward model tells steps apart.

    brood bench tasks/story.jsonl --policy models/small --reward none --strategy greedy --run work/greedy-small.db
    brood bench tasks/story.jsonl --policy models/large --reward none --strategy greedy --run work/greedy-large.db
    brood bench tasks/story.jsonl --policy models/small --reward models/prm --strategy sample:n=64 --run work/test.db
    for r in greedy-small greedy-large test; do brood report --jsonl work/$r.db > work/$r.jsonl; done
    evaluate.py
"""
import json
from collections import Counter, defaultdict
from math import comb, prod, sqrt
from statistics import mean, stdev

import problems
import task

AGGREGATES = {"last": lambda r: r[-1], "min": min, "prod": prod, "mean": mean}
SIZES = (1, 4, 16, 64)


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


def table(columns, levels):
    """columns: {measure: [rate a problem]}"""
    lines = ["| measure | " + " | ".join(map(str, range(1, 6))) + " | all |", "|---" * 7 + "|"]
    for name, values in columns.items():
        cells = [f"{mean(v for v, at in zip(values, levels) if at == level):.3f}" for level in range(1, 6)]
        p, half = interval(values)
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {p:.3f}+-{half:.3f} |")
    return "\n".join(lines)


def pairs(problem, solutions, rewards):
    """(wins, pairs): right against wrong steps that the policy wrote after the same prefix, word for word."""
    written = defaultdict(dict)
    for solution, marks in zip(solutions, rewards):
        steps = solution.split("\n\n")
        for i, (step, right) in enumerate(zip(steps, problems.judge(problem, solution))):
            written[tuple(steps[:i])][step] = right, marks[i]
            if not right:
                break
    wins = total = 0
    for steps in written.values():
        good = [m for right, m in steps.values() if right]
        bad = [m for right, m in steps.values() if not right]
        total += len(good) * len(bad)
        wins += sum((g > b) + 0.5 * (g == b) for g in good for b in bad)
    return wins, total


def apart(tasks, written, rewards):
    sums = defaultdict(lambda: [0, 0])
    for (_, problem), solutions, marks in zip(tasks, written, rewards):
        found = pairs(problem, solutions, marks)
        for key in (problem.level, "all"):
            sums[key] = [a + b for a, b in zip(sums[key], found)]
    return {key: (wins / total, total) for key, (wins, total) in sorted(sums.items(), key=lambda p: str(p[0]))}


def read_run(name):
    """{problem id: its recorded solutions}"""
    lines = map(json.loads, open(f"work/{name}.jsonl"))
    return {line["problem"]: line["solutions"] for line in lines if "problem" in line}


def main():
    tasks, run, columns = list(task.read("tasks/story.jsonl")), read_run("test"), {}
    for name in ("small", "large"):
        greedy = read_run(f"greedy-{name}")
        columns[f"greedy {name}"] = [problems.answer_of(greedy[i][0]["text"]) == p.answer for i, p in tasks]
    written = [[s["text"] for s in run[i]] for i, _ in tasks]
    rewards = [[s["rewards"] for s in run[i]] for i, _ in tasks]
    found = [rates(p, s, r) for (_, p), s, r in zip(tasks, written, rewards)]
    for measure in found[0]:
        columns[measure] = [f[measure] for f in found]
    print(f"{len(tasks)} problems, {len(written[0])} samples\n")
    print(table(columns, [p.level for _, p in tasks]))
    for better, worse in (("majority@64", "greedy small"), ("weighted@64 min", "majority@64"),
                          ("weighted@64 min", "greedy large")):
        gap, half = difference(columns[better], columns[worse])
        print(f"{better} - {worse}: {gap:+.3f}+-{half:.3f}")
    print("\nSame prefix, right against wrong step (AUC, pairs):")
    for level, (auc, count) in apart(tasks, written, rewards).items():
        print(f"level {level}: {auc:.3f} ({count})")


if __name__ == "__main__":
    main()
