"""Ways of computing the same thing agree: a tree and its branches alone, float32 and (about) bfloat16."""
import random

import torch

import model
import problems
import train_prm
import trees


def example():
    rng = random.Random(5)
    problem, wrong = train_prm.invented(rng)
    return train_prm.tree(rng, problem, wrong)


def close(a, b, bound=1e-4):
    assert (a - b).abs().max() < bound, float((a - b).abs().max())


@torch.no_grad()
def test_tree(net, tree):
    """Every branch is read as if it stood alone after its prefix."""
    ids, where = trees.pack([tree, tree])
    states = net.hidden(ids, tree=where)[: len(tree.ids)]
    for start in sorted(set(tree.start) - {0}):
        branch = [i for i, s in enumerate(tree.start) if s == start]
        prefix = tree.limit[start]
        alone = net.hidden(torch.tensor([tree.ids[:prefix] + [tree.ids[i] for i in branch]]))
        close(alone[prefix:], states[branch])
    fast = net.hidden(ids, tree=where, fast=True)[: len(tree.ids)]
    assert (fast - states).norm() / states.norm() < 0.03


def test_judge():
    problem = problems.make(random.Random(8), 4)
    steps = problem.solution(random.Random(2)).split("\n\n")
    assert all(problems.judge(problem, "\n\n".join(steps))) and len(steps) == 5
    left, op, right, result = problem.steps[1]
    steps[1] = problems.step_text((left, op, right, result + 1))
    assert problems.judge(problem, "\n\n".join(steps)) == [True] + [False] * 4
    assert problems.answer_of("\n\n".join(steps)) == problem.answer


def main():
    torch.manual_seed(1)
    net = model.Llama(model.SHAPES["prm"])
    test_tree(net, example())
    test_judge()
    print("model: all equal")


if __name__ == "__main__":
    main()
