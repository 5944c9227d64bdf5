r"""What the small policy writes on training problems. Wrong steps after right prefixes, and the two steps after them,
are food for the reward model; whole attempts are food for revisions. Brood itself does the writing.

    collect.py draw --problems 4000          work/train.jsonl
    brood bench work/train.jsonl --policy models/small --reward none --strategy sample:n=12,temperature=1 \
        --run work/train.db
    brood report --jsonl work/train.db > work/train-run.jsonl
    collect.py harvest                       work/steps.json, work/attempts.json
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
    """{place: distinct wrong steps written after a right prefix, each with up to two steps after it}"""
    wrong = {}
    for solution in solutions:
        steps = solution.split("\n\n")
        for place, right in enumerate(problems.judge(problem, solution)):
            if not right:
                if place <= len(problem.blocks()):
                    wrong.setdefault(place, {})[steps[place]] = steps[place : place + 3]
                break
    return {place: list(texts.values()) for place, texts in wrong.items()}


def whole(solutions):
    """Distinct solutions with an answer at their end."""
    return sorted({s for s in solutions if problems.answer_of(s.split("\n\n")[-1]) is not None})


def harvest():
    rows = {row["id"]: row for row in map(json.loads, open("work/train.jsonl"))}
    records, attempts = [], []
    for line in open("work/train-run.jsonl"):
        run = json.loads(line)
        if "problem" not in run:
            continue
        row = rows[run["problem"]]
        problem = problems.Problem(row["problem"], [tuple(s) for s in row["steps"]], int(row["answer"]), row["level"])
        texts = [s["text"] for s in run["solutions"]]
        records.append({"problem": vars(problem), "wrong": wrong_steps(problem, texts)})
        attempts.append({"problem": vars(problem), "attempts": whole(texts)})
    for name, content in (("steps", records), ("attempts", attempts)):
        with open(f"work/{name}.json", "w") as out:
            json.dump(content, out)
    print(len(records), "problems", sum(len(t) for r in records for t in r["wrong"].values()), "wrong steps")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("what", choices=("draw", "harvest"))
    options.add_argument("--problems", type=int, default=4000)
    o = options.parse_args()
    draw(o.problems) if o.what == "draw" else harvest()


if __name__ == "__main__":
    main()
