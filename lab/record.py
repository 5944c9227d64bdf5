"""Runs the exported models over the test problems and keeps everything that they wrote.

    record.py samples [--copies 64 --temperature .8]    work/samples.json: greedy answers of both policies, small's samples
    record.py scores                                    work/scores.json: the reward of every step of every sample
"""
import argparse
import json
import time

import torch

import export
import model
import sample
import task
import tokenizer
import trees


@torch.no_grad()
def step_rewards(net, problem_text, solutions):
    """One list of probabilities a solution, one a step; the problem is read once for all of them."""
    prompt = torch.tensor([tokenizer.encode(tokenizer.prompt(problem_text))])
    texts = [[trees.step_ids(step) for step in s.split("\n\n")] for s in solutions]
    longest = max(sum(map(len, steps)) for steps in texts)
    cache = model.Cache(prompt.shape[1] + longest)
    net.hidden(prompt, cache)
    cache.keep(torch.zeros(len(texts), dtype=torch.long))
    rows = [sum(steps, []) for steps in texts]
    ids = torch.tensor([row + [tokenizer.END_ID] * (longest - len(row)) for row in rows])
    states = net.hidden(ids, cache).view(len(rows), longest, -1)
    right = net.score(states).softmax(-1)[..., 1]
    ends = [[sum(map(len, steps[: i + 1])) - 1 for i in range(len(steps))] for steps in texts]
    return [[round(float(right[r, e]), 5) for e in places] for r, places in enumerate(ends)]


def samples(o):
    small, large = export.load("small"), export.load("large")
    tasks = list(task.read("tasks/story.jsonl"))
    texts = [p.text for _, p in tasks]
    began = time.time()
    content = {"temperature": o.temperature, "small": sample.generate(small, texts),
               "large": sample.generate(large, texts),
               "samples": sample.generate(small, texts, o.copies, o.temperature, 99)}
    json.dump(content, open("work/samples.json", "w"))
    print(f"{time.time() - began:.0f} s")


def scores(o):
    net, written, began = export.load("prm"), json.load(open("work/samples.json")), time.time()
    rewards = []
    for (_, problem), solutions in zip(task.read("tasks/story.jsonl"), written["samples"]):
        distinct = sorted(set(solutions), key=len)
        found = dict(zip(distinct, step_rewards(net, problem.text, distinct)))
        rewards.append([found[s] for s in solutions])
    json.dump(rewards, open("work/scores.json", "w"))
    print(f"{time.time() - began:.0f} s")


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("what", choices=("samples", "scores"))
    options.add_argument("--copies", type=int, default=64)
    options.add_argument("--temperature", type=float, default=export.TEMPERATURE)
    o = options.parse_args()
    torch.set_num_threads(1)
    {"samples": samples, "scores": scores}[o.what](o)


if __name__ == "__main__":
    main()
