"""Trains a policy on freshly drawn problems: next-token loss on the solutions and on bare calculation drills.

    train_policy.py NAME --steps N [--seed S]     resumes from work/NAME.pt when that exists

With --attempts work/attempts.json (collect.py) some texts are revisions: one to three earlier attempts that the small
policy wrote itself, mostly wrong ones, stand before the solution.

The policy `repair` begins with the weights of `code` and learns the texts of a phase of repairs.py, with work/own.json
(repairs.py) where it is there.
"""
import argparse
import json
import os
import random
import time

import torch
from torch.nn import functional as F

import export
import model
import optimiser
import problems
import programs_text
import repairs
import tokenizer

DRILLS = 0.15           # share of texts that are calculations without a story
REVISIONS = 0.12        # share of texts with earlier attempts, where there are any
AGAIN = "\n\nTry again.\n"
LONGEST = 500           # tokens of such a text
PARTS = 3               # micro-batches a step, one for short, one for middling, one for long texts
REPAIR_PARTS = 8        # of repairs, whose lengths differ more


def drill(rng):
    """Ten unrelated calculations."""
    lines = []
    for _ in range(10):
        value = problems.amount(rng, problems.TOP, 4)
        op, right = problems.choose_operation(rng, value)
        if right:
            result = {"+": value + right, "-": value - right, "*": value * right, "/": value // right}[op]
            lines.append(problems.step_text((value, op, right, result), rng))
    return "\n\n".join(lines)


def revision(rng, records):
    """(ids, index of the first token that is learnt) of a solution after earlier attempts."""
    while True:
        record = rng.choice(records)
        problem = problems.Problem(**record["problem"])
        past = [a for a in record["attempts"] if problems.answer_of(a) != problem.answer or rng.random() < 0.2]
        past = rng.sample(past, min(len(past), rng.choice((1, 1, 2, 3))))
        start = tokenizer.encode(tokenizer.prompt(problem.text) + "".join(a + AGAIN for a in past))
        ids = start + tokenizer.encode(problem.solution(rng)) + [tokenizer.END_ID]
        if past and len(ids) <= LONGEST:
            return ids, len(start)


def text(name, rng, records):
    """(ids, index of the first token that is learnt); of a phase of repairs (ids, [(place, what is to be foretold there)])"""
    if isinstance(name, repairs.Phase):
        return repairs.example(rng, name, records)
    if name == "code":
        return programs_text.example(rng)
    if records and rng.random() < REVISIONS:
        return revision(rng, records)
    if rng.random() < DRILLS:
        ids = tokenizer.encode(drill(rng))
        return ids, 1
    problem = problems.draw(rng, "train")
    start = tokenizer.encode(tokenizer.prompt(problem.text))
    return start + tokenizer.encode(problem.solution(rng)) + [tokenizer.END_ID], len(start)


def batch(name, rng, tokens, records):
    """PARTS micro-batches of (ids [B, T], flat positions that predict, targets), sorted by length."""
    texts, size = [], 0
    while size < tokens:
        texts.append(text(name, rng, records))
        size += len(texts[-1][0])
    texts.sort(key=lambda t: len(t[0]))
    n_parts = REPAIR_PARTS if isinstance(name, repairs.Phase) else PARTS
    parts, part, filled = [], [], 0
    for t in texts:
        part.append(t)
        filled += len(t[0])
        if filled >= size * (len(parts) + 1) / n_parts:
            parts.append(pack(part))
            part = []
    return parts


def pack(texts):
    length = max(len(ids) for ids, _ in texts) - 1
    rows, places, targets = [], [], []
    for r, (ids, learnt) in enumerate(texts):
        rows.append(ids[:-1] + [tokenizer.END_ID] * (length - len(ids) + 1))
        if isinstance(learnt, int):
            learnt = [(i - 1, ids[i]) for i in range(learnt, len(ids))]
        places += [r * length + place for place, _ in learnt]
        targets += [target for _, target in learnt]
    return torch.tensor(rows), torch.tensor(places), torch.tensor(targets)


def learn(net, parts):
    """One gradient; returns the loss a token."""
    total = sum(len(targets) for _, _, targets in parts)
    loss_sum = 0.0
    for ids, places, targets in parts:
        states = net.hidden(ids, fast=True)[places]
        loss = F.cross_entropy(net.logits(states, fast=True), targets, reduction="sum") / total
        loss.backward()
        loss_sum += loss.item()
    return loss_sum


def save(path, **content):
    torch.save(content, path + ".new")
    os.replace(path + ".new", path)


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("name")
    options.add_argument("--steps", type=int, required=True)
    options.add_argument("--span", type=int, help="so many last steps for the rate to fall in (default all)")
    options.add_argument("--tokens", type=int, default=8192)
    options.add_argument("--muon", type=float, default=0.02)
    options.add_argument("--adam", type=float, default=3e-3)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--attempts")
    options.add_argument("--phase", choices=repairs.PHASES, default="all", help="of repair")
    o = options.parse_args()
    records = json.load(open(o.attempts)) if o.attempts else None
    if o.name == "repair" and os.path.exists("work/own.json"):
        records = json.load(open("work/own.json"))
    texts = repairs.PHASES[o.phase] if o.name == "repair" else o.name
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.manual_seed(o.seed)
    rng = random.Random(o.seed)
    net = export.repair_from_code() if o.name == "repair" else model.Llama(model.SHAPES[o.name])
    optimisers = optimiser.optimisers(net, o.muon, o.adam)
    done, seconds, path = 0, 0.0, f"work/{o.name}.pt"
    if os.path.exists(path):
        saved = torch.load(path)
        net.load_state_dict(saved["net"])
        for opt, state in zip(optimisers, saved["optimisers"]):
            opt.load_state_dict(state)
        done, seconds = saved["done"], saved["seconds"]
        rng.setstate(saved["random"])
    print(o.name, model.count(net), "from step", done, flush=True)
    began, recent, read = time.time() - seconds, [], 0
    for step in range(done, o.steps):
        optimiser.set_rate(optimisers, min((step + 1) / 100, (o.steps - step) / (o.span or o.steps), 1))
        net.zero_grad(set_to_none=True)
        parts = batch(texts, rng, o.tokens, records)
        recent.append(learn(net, parts))
        for opt in optimisers:
            opt.step()
        read += sum(ids.numel() for ids, _, _ in parts)
        if (step + 1) % 25 == 0:
            passed = time.time() - began
            print(f"step {step + 1} loss {sum(recent) / len(recent):.4f} {passed:.0f} s "
                  f"{read / (passed - seconds):.0f} tokens/s", flush=True)
            recent = []
        if (step + 1) % 100 == 0 or step + 1 == o.steps:
            save(path, net=net.state_dict(), optimisers=[opt.state_dict() for opt in optimisers], done=step + 1,
                 seconds=time.time() - began, random=rng.getstate())


if __name__ == "__main__":
    main()
