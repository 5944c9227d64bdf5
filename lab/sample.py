"""Batched sampling with a key-value cache.  Prompts of a batch are padded at the left; rotary positions are relative,
so the padding changes nothing once its keys are masked."""
import torch

import model
import tokenizer

LIMIT = 240              # tokens a solution; the longest right one has about 190


def left_padded(prompts):
    longest = max(map(len, prompts))
    ids = torch.tensor([[tokenizer.END_ID] * (longest - len(p)) + p for p in prompts])
    hidden = torch.tensor([[True] * (longest - len(p)) + [False] * len(p) for p in prompts])
    return ids, hidden


class Generation:
    def __init__(self, net, prompts, copies):
        self.net = net
        ids, hidden = left_padded(prompts)
        self.cache = model.Cache(ids.shape[1] + LIMIT, hidden)
        states = net.hidden(ids, self.cache).view(*ids.shape, -1)[:, -1]
        self.cache.keep(torch.arange(len(prompts)).repeat_interleave(copies))
        self.states = states.repeat_interleave(copies, 0)
        self.alive = list(range(len(prompts) * copies))
        self.texts = [[] for _ in self.alive]

    def run(self, pick):
        for step in range(LIMIT):
            chosen = pick(self.net.logits(self.states)).tolist()
            for row, token in zip(self.alive, chosen):
                if not self.texts[row] or self.texts[row][-1] != tokenizer.END_ID:
                    self.texts[row].append(token)
            if step % 8 == 7:
                chosen = self.shrink(chosen)
            if not self.alive:
                break
            self.states = self.net.hidden(torch.tensor(chosen)[:, None], self.cache)
        return self.texts

    def shrink(self, chosen):
        """Drops the rows that have ended."""
        going = [i for i, row in enumerate(self.alive) if self.texts[row][-1] != tokenizer.END_ID]
        self.alive = [self.alive[i] for i in going]
        self.cache.keep(torch.tensor(going, dtype=torch.long))
        return [chosen[i] for i in going]


@torch.no_grad()
def generate(net, problem_texts, copies=1, temperature=0.0, seed=0, rows=1024):
    """For every problem a list of `copies` solutions (text); temperature 0 is greedy."""
    prompts = [tokenizer.encode(tokenizer.prompt(t)) for t in problem_texts]
    generator = torch.Generator().manual_seed(seed)

    def pick(logits):
        if temperature == 0:
            return logits.argmax(-1)
        noise = torch.empty_like(logits).exponential_(generator=generator)
        return (logits / temperature - noise.log()).argmax(-1)

    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    size, solutions = max(1, rows // copies), [None] * len(prompts)
    for at in range(0, len(order), size):
        some = order[at : at + size]
        texts = Generation(net, [prompts[i] for i in some], copies).run(pick)
        for k, i in enumerate(some):
            solutions[i] = [tokenizer.decode(t) for t in texts[k * copies : (k + 1) * copies]]
    return solutions
