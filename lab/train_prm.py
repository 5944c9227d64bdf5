"""Trains the process reward model: small policy plus fresh layers, language model and step classifier together.

    train_prm.py --steps N [--real work/steps.json --share .5]     resumes from work/prm.pt when that exists

Every row is a tree (trees.py): the gold solution, and at every place a wrong step (two at a puzzle) after the same
prefix, so that neither the problem nor the place says anything about the label. Wrong steps are invented (errors.py) or
were written by the small policy (collect.py). Drills are short problems with one puzzle and its wrong guesses.
"""
import argparse
import json
import os
import random
import time
from collections import Counter

import torch
from torch.nn import functional as F

import errors
import model
import optimiser
import problems
import train_policy
import trees

DRILLS = 0.4             # share of rows that are a short problem with a puzzle and all its wrong guesses
TAIL = 0.3               # share of wrong branches that go on for a step or two, and the weight of those

OLD_RATE, FRESH_RATE = 0.01, 0.02
PARTS = 6                # micro-batches a step, rows of like length together


def places(problem):
    """Every place that gets a wrong step; a puzzle's twice."""
    blocks = problem.blocks()
    return sorted([*range(len(blocks) + 1), *(i for i, block in enumerate(blocks) if len(block) > 1)])


def invent(rng, problem, place):
    text = errors.wrong_block(rng, problem, place)
    return [text] + errors.continuation(rng, problem, place, text)


def invented(rng):
    problem = problems.draw(rng, "train")
    return problem, [(place, invent(rng, problem, place)) for place in places(problem)]


def drill(rng):
    """A short problem with a puzzle and every wrong guess of it."""
    problem = problems.draw(rng, "train", 3)
    while not problems.puzzles(problem):
        problem = problems.draw(rng, "train", 3)
    puzzle = problems.puzzles(problem)[0]
    total, size, _ = puzzle
    guesses = [n for n in problems.COUNTS if n != problem.steps[0][0] and n * size < total]
    texts = [problems.step_text((n, "*", size, n * size), rng) + "\n" + errors.misfit(rng, n * size, puzzle)
             for n in guesses]
    texts += [errors.wrong_block(rng, problem, 0)]
    return problem, [(0, [text]) for text in texts] + [(1, invent(rng, problem, 1))]


def tree(rng, problem, wrong):
    """The gold steps, all right, and the wrong steps [(place, [step, steps after it...])] as branches.

    Branches of one place weigh 1 together.
    """
    gold = problem.solution(rng).split("\n\n")
    trunk = [(step, problems.forms(problem, b)) for step, b in zip(gold, problem.blocks())] + [(gold[-1], gold[-1:])]
    often, branches = Counter(place for place, _ in wrong), []
    for place, texts in wrong:
        steps = [(texts[0], 1 / often[place])]
        if rng.random() < TAIL:
            steps += [(s, TAIL) for s in texts[1:]]
        branches.append((place, steps))
    return trees.grow(problem.text, trunk, branches)


def recorded(rng, real):
    """A problem with wrong steps that the policy wrote (an invented one where it wrote none)."""
    record = rng.choice(real)
    problem = problems.Problem(**record["problem"])
    wrong = []
    for place in places(problem):
        written = record["wrong"].get(str(place))
        own = written and rng.random() < 0.9
        wrong.append((place, rng.choice(written) if own else invent(rng, problem, place)))
    return problem, wrong


def batch(rng, tokens, real, share):
    rows, size = [], 0
    while size < tokens:
        if rng.random() < DRILLS:
            source = drill(rng)
        else:
            source = recorded(rng, real) if real and rng.random() < share else invented(rng)
        rows.append(tree(rng, *source))
        size += len(rows[-1].ids)
    rows.sort(key=lambda t: len(t.ids))
    share_of_rows = -(-len(rows) // PARTS)
    return [rows[i : i + share_of_rows] for i in range(0, len(rows), share_of_rows)]


def losses(net, rows):
    """Summed losses of (language model, classifier of steps, of tokens), and how many steps were told right."""
    ids, where = trees.pack(rows)
    length = ids.shape[1]
    states = net.hidden(ids, fast=True, tree=where)
    flat = ids.reshape(-1)
    learnt = torch.tensor([r * length + i for r, t in enumerate(rows) for i in t.learnt])
    text = F.cross_entropy(net.logits(states[learnt], fast=True), flat[learnt + 1], reduction="sum")
    reads = [(r * length + i, label, weight) for r, t in enumerate(rows) for i, label, weight in t.reads]
    places, labels, weights = (torch.tensor(c) for c in zip(*reads))
    scores = net.score(states[places])
    judged = (F.cross_entropy(scores, labels, reduction="none") * weights).sum()
    inside = [(r * length + i, label) for r, t in enumerate(rows) for i, label in t.digits]
    places, marks = (torch.tensor(c) for c in zip(*inside))
    traced = F.cross_entropy(net.score(states[places]), marks, reduction="sum")
    return text, judged, traced, ((scores.argmax(-1) == labels) * weights).sum().item()


def learn(net, parts):
    """One gradient.  The tokens inside a step are judged too: that teaches the comparison far faster."""
    tokens = sum(len(t.learnt) for rows in parts for t in rows)
    reads = sum(weight for rows in parts for t in rows for _, _, weight in t.reads)
    inside = sum(len(t.digits) for rows in parts for t in rows)
    sums = [0.0] * 4
    for rows in parts:
        text, judged, traced, right = losses(net, rows)
        text, judged, traced = text / tokens, judged / reads, traced / inside
        (text + judged + 2 * traced).backward()
        for k, value in enumerate((text.item(), judged.item(), traced.item(), right / reads)):
            sums[k] += value
    return sums


def deepened(net, path):
    """Takes over the small policy's layers; the layers beyond start as the identity."""
    found, unexpected = net.load_state_dict(torch.load(path)["net"], strict=False)
    assert not unexpected
    for layer in net.model.layers[model.SHAPES["small"].layers :]:
        torch.nn.init.zeros_(layer.self_attn.o_proj.weight)
        torch.nn.init.zeros_(layer.mlp.down_proj.weight)


def make_optimisers(net):
    """The layers taken over move slowly, so that they keep what they know; the fresh ones fast."""
    fresh = {id(p) for layer in net.model.layers[model.SHAPES["small"].layers :] for p in layer.parameters()}
    muon, adam = optimiser.optimisers(net, OLD_RATE, 1e-3)
    matrices = muon.param_groups[0]["params"]
    slow, fast = [p for p in matrices if id(p) not in fresh], [p for p in matrices if id(p) in fresh]
    return [optimiser.Muon(slow, OLD_RATE), optimiser.Muon(fast, FRESH_RATE), adam]


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--steps", type=int, required=True)
    options.add_argument("--tokens", type=int, default=8192)
    options.add_argument("--span", type=int, help="so many last steps for the rate to fall in (default all)")
    options.add_argument("--real")
    options.add_argument("--share", type=float, default=0.5)
    o = options.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.manual_seed(1)
    net, path, done, seconds = model.Llama(model.SHAPES["prm"]), "work/prm.pt", 0, 0.0
    optimisers = make_optimisers(net)
    if os.path.exists(path):
        saved = torch.load(path)
        net.load_state_dict(saved["net"])
        for opt, state in zip(optimisers, saved["optimisers"]):
            opt.load_state_dict(state)
        done, seconds = saved["done"], saved["seconds"]
    else:
        deepened(net, "work/small.pt")
    real = json.load(open(o.real)) if o.real else None
    print(model.count(net), "from step", done, flush=True)
    rng, began, recent = random.Random(1000 + done), time.time() - seconds, []
    for step in range(done, o.steps):
        optimiser.set_rate(optimisers, min((step + 1) / 50, (o.steps - step) / (o.span or o.steps), 1))
        net.zero_grad(set_to_none=True)
        recent.append(learn(net, batch(rng, o.tokens, real, o.share)))
        for opt in optimisers:
            opt.step()
        if (step + 1) % 10 == 0:
            text, judged, traced, right = (sum(c) / len(c) for c in zip(*recent))
            print(f"step {step + 1} text {text:.4f} judged {judged:.4f} traced {traced:.4f} right {right:.4f} "
                  f"{time.time() - began:.0f} s", flush=True)
            recent = []
        if (step + 1) % 25 == 0 or step + 1 == o.steps:
            train_policy.save(path, net=net.state_dict(), optimisers=[opt.state_dict() for opt in optimisers],
                              done=step + 1, seconds=time.time() - began)


if __name__ == "__main__":
    main()
