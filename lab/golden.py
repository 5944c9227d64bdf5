"""Writes golden/golden.json: what PyTorch computes with the exported weights (F16 weights, float32 arithmetic).

For eight test problems: the tokens of the prompt, the greedy tokens of both policies with the logits of the first one,
and the reward of every step of the gold solution and of a corrupted one.
"""
import json
import os
import random

import torch

import errors
import export
import task
import tokenizer

PROBLEMS = 8


def greedy(net, prompt):
    """(ids written, logits of the first position), one token at a time without a cache: the plainest way."""
    ids, first = list(prompt), None
    while len(ids) < len(prompt) + 240 and (len(ids) == len(prompt) or ids[-1] != tokenizer.END_ID):
        logits = net.logits(net.hidden(torch.tensor([ids]))[-1:])[0]
        first = logits if first is None else first
        ids.append(int(logits.argmax()))
    return ids[len(prompt) :], [float(f"{x:.6g}") for x in first]


def corrupted(rng, problem):
    """The gold solution with one wrong step in it, and a consistent end."""
    steps, place = problem.solution().split("\n\n"), rng.randrange(len(problem.blocks()))
    wrong = errors.wrong_block(rng, problem, place)
    return "\n\n".join(steps[:place] + [wrong] + errors.continuation(rng, problem, place, wrong))


@torch.no_grad()
def main():
    nets = {name: export.load(name) for name in ("small", "large", "prm")}
    rng, rows = random.Random(7), []
    for name, problem in list(task.read("tasks/story.jsonl"))[:PROBLEMS]:
        prompt = tokenizer.encode(tokenizer.prompt(problem.text))
        row = {"id": name, "prompt": tokenizer.prompt(problem.text), "prompt_ids": prompt}
        for policy in ("small", "large"):
            ids, logits = greedy(nets[policy], prompt)
            row[policy] = {"greedy_ids": ids, "greedy_text": tokenizer.decode(ids), "first_logits": logits}
        row["prm"] = []
        for solution in (problem.solution(), corrupted(rng, problem)):
            # the model reads prompt, solution and one closing step separator
            ids = prompt + tokenizer.encode(solution + "\n\n")
            reads = [i for i, t in enumerate(ids) if t == tokenizer.BREAK_ID]
            rewards = net_rewards(nets["prm"], ids, reads)
            row["prm"].append({"solution": solution, "ids": ids, "reads": reads, "rewards": rewards})
        rows.append(row)
    os.makedirs("golden", exist_ok=True)
    with open("golden/golden.json", "w") as out:
        json.dump({"end_id": tokenizer.END_ID, "break_id": tokenizer.BREAK_ID, "problems": rows}, out, indent=None,
                  separators=(",", ":"))
        out.write("\n")


def net_rewards(net, ids, reads):
    states = net.hidden(torch.tensor([ids]))
    return [float(f"{x:.6g}") for x in net.score(states[reads]).softmax(-1)[:, 1]]


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
