"""Writes tasks/story.jsonl (test) and tasks/story-calibration.jsonl: 120 problems a level, levels interleaved."""
import json
import os
import random
import re

import problems

PER_LEVEL = 120


def rows(split, seed):
    rng, seen = random.Random(seed), set()
    for n in range(PER_LEVEL):
        for level in rng.sample(range(1, problems.LEVELS + 1), problems.LEVELS):
            while True:
                problem = problems.draw(rng, split, 2 * level - 1 + (n % 2))
                if problem.text not in seen:
                    break
            seen.add(problem.text)
            yield problem


def write(path, split, seed):
    with open(path, "w") as out:
        for i, p in enumerate(rows(split, seed), 1):
            row = {"id": f"story-{split}-{i:04d}", "problem": p.text, "answer": str(p.answer), "level": p.level,
                   "solution": p.solution()}
            out.write(json.dumps(row) + "\n")


def read(path):
    """Problems with their ids."""
    for line in open(path):
        row = json.loads(line)
        steps = [s for s in map(problems.STEP.fullmatch, re.split("\n+", row["solution"])) if s]
        steps = [(int(s[1]), s[2], int(s[3]), int(s[4])) for s in steps]
        yield row["id"], problems.Problem(row["problem"], steps, int(row["answer"]), row["level"])


if __name__ == "__main__":
    os.makedirs("tasks", exist_ok=True)
    write("tasks/story.jsonl", "test", 2024)
    write("tasks/story-calibration.jsonl", "calibration", 2025)
