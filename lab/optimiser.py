"""Muon (Jordan 2024: momentum, then orthogonalisation) for the block matrices, AdamW for everything else."""
import torch


def orthogonal(g, rounds=5):
    """The nearest semi-orthogonal matrix, about, by a quintic Newton-Schulz iteration."""
    flip = g.shape[0] > g.shape[1]
    x = g.t() if flip else g
    x = x / (x.norm() + 1e-7)
    for _ in range(rounds):
        a = x @ x.t()
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x.t() if flip else x


class Muon(torch.optim.Optimizer):
    def __init__(self, parameters, lr, momentum=0.95, decay=0.05):
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["momentum"] = torch.zeros_like(p)
                buffer = state["momentum"].mul_(group["momentum"]).add_(p.grad)
                update = orthogonal(p.grad + group["momentum"] * buffer)
                p.mul_(1 - group["lr"] * group["decay"])
                p.add_(update, alpha=-group["lr"] * max(1, p.shape[0] / p.shape[1]) ** 0.5)


def optimisers(model, muon_lr=0.02, adam_lr=3e-3):
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and ".layers." in n]
    chosen = {id(p) for p in matrices}
    rest = [p for p in model.parameters() if id(p) not in chosen]
    return [Muon(matrices, muon_lr), torch.optim.AdamW(rest, adam_lr, betas=(0.9, 0.95), weight_decay=0.0)]


def set_rate(optimiser_list, factor):
    for o in optimiser_list:
        for g in o.param_groups:
            g.setdefault("peak", g["lr"])
            g["lr"] = g["peak"] * factor
