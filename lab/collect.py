r"""Steps that the small policy writes after right prefixes of training problems: food for the reward model.
Brood itself does the writing.

    collect.py draw --problems 4000          work/train.jsonl
    brood bench work/train.jsonl --policy models/small --reward none --strategy sample:n=12,temperature=1 \
        --run work/train.db
    brood report --jsonl work/train.db > work/train-run.jsonl
    collect.py harvest                       work/steps.json
"""
import argparse
import json
import random

import problems


def draw(count):
    rng = random.Random(78)
    with open("work/train.jsonl", "w") as out:
        for i in range(count):
            p = problems.draw(rng, "train")
            row = {"id": f"train-{i}", "problem": p.text, "answer": str(p.answer), "level": p.level, "steps": p.steps}
            out.write(json.dumps(row) + "\n")


def wrong_steps(problem, solutions):
    """{place: distinct wrong steps written after a right prefix}"""
    wrong = {}
    for solution in solutions:
        for place, (step, right) in enumerate(zip(solution.split("\n\n"), problems.judge(problem, solution))):
            if not right:
                if place <= len(problem.steps):
                    wrong.setdefault(place, set()).add(step)
                break
    return {place: sorted(texts) for place, texts in wrong.items()}


def harvest():
    rows = {row["id"]: row for row in map(json.loads, open("work/train.jsonl"))}
    records = []
    for line in open("work/train-run.jsonl"):
        run = json.loads(line)
        if "problem" not in run:
            continue
        row = rows[run["problem"]]
        problem = problems.Problem(row["problem"], [tuple(s) for s in row["steps"]], int(row["answer"]), row["level"])
        wrong = wrong_steps(problem, [s["text"] for s in run["solutions"]])
        records.append({"problem": vars(problem), "wrong": wrong})
    with open("work/steps.json", "w") as out:
        json.dump(records, out)
    print(len(records), "problems", sum(len(t) for r in records for t in r["wrong"].values()), "wrong steps")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("what", choices=("draw", "harvest"))
    options.add_argument("--problems", type=int, default=4000)
    o = options.parse_args()
    draw(o.problems) if o.what == "draw" else harvest()


if __name__ == "__main__":
    main()
