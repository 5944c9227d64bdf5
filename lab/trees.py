"""Many steps of one problem read in a single pass: the gold solution is the trunk, other steps branch off it.

A branch sees the trunk up to where it leaves, and itself; its positions go on from there. So every branch is read just
as if it had been written after that prefix, at a fraction of the cost.
"""
from dataclasses import dataclass, field

import torch

import tokenizer


@dataclass
class Tree:
    """One row: tokens, their positions, and what they see (keys >= start or < limit, never later ones)."""
    ids: list = field(default_factory=list)
    places: list = field(default_factory=list)
    start: list = field(default_factory=list)
    limit: list = field(default_factory=list)
    reads: list = field(default_factory=list)        # (index of a step's last token, label, weight)
    digits: list = field(default_factory=list)       # (index of a token in a step, 1 while that can still be right)
    learnt: list = field(default_factory=list)       # indices whose next token the language model learns

    def append(self, ids, place, start, limit):
        self.ids += ids
        self.places += range(place, place + len(ids))
        self.start += [start] * len(ids)
        self.limit += [limit] * len(ids)


def step_ids(text):
    return tokenizer.encode(text) + [tokenizer.BREAK_ID]


def still_right(ids, forms):
    """One label a token: does the step up to here begin like one of its right forms?"""
    return [int(any(form[: n + 1] == ids[: n + 1] for form in forms)) for n in range(len(ids))]


def grow(problem_text, trunk, branches):
    """trunk: [(right step, its forms)]; branches: [(trunk steps before it, [(wrong step, weight)])]."""
    tree = Tree()
    tree.append(tokenizer.encode(tokenizer.prompt(problem_text)), 0, 0, 0)
    leaves, forms = [len(tree.ids)], []
    for step, others in trunk:
        ids = step_ids(step)
        forms.append([step_ids(f) for f in others])
        tree.learnt += range(len(tree.ids) - 1, len(tree.ids) + len(ids) - 2)
        tree.digits += [(len(tree.ids) + n, 1) for n in range(len(ids) - 1)]
        tree.append(ids, len(tree.ids), 0, 0)
        tree.reads.append((len(tree.ids) - 1, 1, 1.0))
        leaves.append(len(tree.ids))
    for before, steps in branches:
        start, place = len(tree.ids), leaves[before]
        for n, (step, weight) in enumerate(steps):
            ids = step_ids(step)
            labels = still_right(ids[:-1], forms[before]) if n == 0 else [0] * (len(ids) - 1)
            tree.digits += [(len(tree.ids) + n, label) for n, label in enumerate(labels)]
            tree.append(ids, place, start, leaves[before])
            place += len(ids)
            tree.reads.append((len(tree.ids) - 1, 0, weight))
    return tree


def pack(trees):
    """A batch: ids [B, T] and (places, mask) for model.hidden."""
    length = max(len(t.ids) for t in trees)

    def padded(name, value):
        return torch.tensor([getattr(t, name) + [value] * (length - len(t.ids)) for t in trees])

    start, limit = padded("start", 0)[:, :, None], padded("limit", 0)[:, :, None]
    key, query = torch.arange(length)[None, None, :], torch.arange(length)[None, :, None]
    seen = (key <= query) & ((key >= start) | (key < limit))
    mask = torch.zeros(seen.shape).masked_fill_(~seen, float("-inf"))
    return padded("ids", tokenizer.END_ID), (padded("places", 0), mask)
