"""Steps that the small policy writes after right prefixes of training problems: food for the reward model.

    collect.py --problems 3000 --copies 16 [--seed S]     work/steps.json
"""
import argparse
import json
import random

import torch

import export
import problems
import sample


def harvest(problem, solutions):
    """{place: distinct wrong steps written after a right prefix}"""
    wrong = {}
    for solution in solutions:
        for place, (step, right) in enumerate(zip(solution.split("\n\n"), problems.judge(problem, solution))):
            if not right:
                if place <= len(problem.steps):
                    wrong.setdefault(place, set()).add(step)
                break
    return {place: sorted(texts) for place, texts in wrong.items()}


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--problems", type=int, default=3000)
    options.add_argument("--copies", type=int, default=16)
    options.add_argument("--seed", type=int, default=77)
    options.add_argument("--temperature", type=float, default=1.0)
    o = options.parse_args()
    torch.set_num_threads(1)
    rng, net, records = random.Random(o.seed), export.load("small"), []
    drawn = [problems.draw(rng, "train") for _ in range(o.problems)]
    written = sample.generate(net, [p.text for p in drawn], o.copies, o.temperature, o.seed)
    for problem, solutions in zip(drawn, written):
        records.append({"problem": vars(problem), "wrong": harvest(problem, solutions)})
    with open("work/steps.json", "w") as out:
        json.dump(records, out)
    print(len(records), "problems", sum(len(t) for r in records for t in r["wrong"].values()), "wrong steps")


if __name__ == "__main__":
    main()
