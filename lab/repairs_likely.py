"""What a policy in training has learnt of repair: how likely it writes, after one wrong program and its failure, the program that
the author meant, and the wrong one again; by operations, with the failure told and untold. 80 training problems each, drawn anew.
Beside it the same for readers who know the weights of the readings: one that minds what the failed test expects, and one that
only does not repeat the program.

    repairs_likely.py [CHECKPOINT]      default work/repair.pt
"""
import math
import random
import sys

import torch
from torch.nn import functional as F

import model
import programs
import repairs
from programs_text import REPAIR as WORDS

PHASE, PROBLEMS = repairs.PHASES["more"], 80


def likely(net, start, text):
    ids = WORDS.encode(text) + [WORDS.end_id]
    states = net.hidden(torch.tensor([start + ids[:-1]]))[len(start) - 1 :]
    return math.exp(-F.cross_entropy(net.logits(states), torch.tensor(ids), reduction="sum").item())


def failed_game(rng, n):
    """A game whose first program failed, that program, and what was said of it."""
    while True:
        game = repairs.Game(rng, programs.draw_parts(rng, n), None, PHASE)
        wrong = game.draw()
        found = game.tests and repairs.first_failure(wrong, game.name, game.tests)
        if found:
            return game, wrong, repairs.failure(game.tests[found[0]], found[1])


def best(game, wrong):
    """How likely the meant program is among those that give what the failed test expects, and among all but the wrong one."""
    minded, others = 0.0, 0.0
    failed, _ = repairs.first_failure(wrong, game.name, game.tests)
    for readings in programs.all_readings(game.parts):
        chance, text = programs.chance(game.parts, readings), game.write(readings)
        others += chance * (text != wrong)
        minded += chance * game.gives(text, [failed])
    meant = programs.chance(game.parts, game.meant)
    return meant / minded, meant / others


def main():
    torch.set_num_threads(1)
    net = model.Llama(model.SHAPES["repair"])
    net.load_state_dict(torch.load(sys.argv[1] if len(sys.argv) > 1 else "work/repair.pt")["net"])
    for n in (1, 2, 3, 5):
        row = []
        for told in (True, False):
            rng, sums, knows = random.Random(n), [0.0, 0.0], 0.0
            for _ in range(PROBLEMS):
                game, wrong, failed = failed_game(rng, n)
                lead = "\n" + (failed if told else "") + repairs.AGAIN
                start = WORDS.encode(game.head) + WORDS.encode(wrong) + WORDS.encode(lead)
                game.habits.learn(game.parts, wrong)
                sums = [s + likely(net, start, text) for s, text in zip(sums, (game.write(game.meant), wrong))]
                knows += best(game, wrong)[not told]
            row.append("%s: right %.3f, again %.3f (a reader: %.3f)"
                       % ("told" if told else "untold", *(s / PROBLEMS for s in sums), knows / PROBLEMS))
        print(n, "operations:", "; ".join(row))


if __name__ == "__main__":
    with torch.no_grad():
        main()
