"""Causal attention for training: bfloat16 products, float32 softmax, blocks that stay in the cache.

Only the keys that a block of queries may see are touched. Gradients are written by hand; `python3 attention.py`
compares them with PyTorch's own.
"""
import torch

QUERIES = 64             # queries a block
BLOCK = 400_000          # scores a block, about


def blocks(rows, group, length):
    """(rows, queries) slices whose scores number about BLOCK."""
    for start in range(0, length, QUERIES):
        stop = min(start + QUERIES, length)
        step = max(1, BLOCK // (group * (stop - start) * stop))
        for row in range(0, rows, step):
            yield slice(row, min(row + step, rows)), slice(start, stop)


class Causal(torch.autograd.Function):
    """q [N, G, T, h] (scaled), k and v [N, T, h]: G query heads share each of N key heads. Returns [N, G, T, h].

    hidden [N or 1, T, T] is added to the scores: minus infinity where a query must not see a key.
    """

    @staticmethod
    def forward(ctx, q, k, v, hidden):
        rows, group, length, head = q.shape
        q16, k16, v16 = q.bfloat16(), k.bfloat16(), v.bfloat16()
        out, kept = torch.empty(q.shape), []
        for n, t in blocks(rows, group, length):
            some = q16[n, :, t].reshape(-1, group * (t.stop - t.start), head)
            scores = torch.bmm(some, k16[n, : t.stop].transpose(1, 2)).float()
            unseen = hidden[n if len(hidden) > 1 else slice(1), None, t, : t.stop]
            scores = scores.view(-1, group, t.stop - t.start, t.stop).add_(unseen)
            share = scores.softmax(-1).bfloat16().view(-1, group * (t.stop - t.start), t.stop)
            kept.append(share)
            out[n, :, t] = torch.bmm(share, v16[n, : t.stop]).view(-1, group, t.stop - t.start, head).float()
        ctx.save_for_backward(q16, k16, v16, out)
        ctx.kept = kept
        return out

    @staticmethod
    def backward(ctx, grad):
        q16, k16, v16, out = ctx.saved_tensors
        rows, group, length, head = q16.shape
        inner = (grad * out).sum(-1)
        grad16 = grad.bfloat16()
        dq, dk, dv = torch.empty(q16.shape), torch.zeros(k16.shape), torch.zeros(v16.shape)
        for (n, t), share in zip(blocks(rows, group, length), ctx.kept):
            shape = -1, group * (t.stop - t.start), head
            g, some = grad16[n, :, t].reshape(shape), q16[n, :, t].reshape(shape)
            dv[n, : t.stop] += torch.bmm(share.transpose(1, 2), g)
            slope = torch.bmm(g, v16[n, : t.stop].transpose(1, 2)).float()
            slope = slope.sub_(inner[n, :, t].reshape(shape[:2] + (1,))).mul_(share).bfloat16()
            dq[n, :, t] = torch.bmm(slope, k16[n, : t.stop]).view(-1, group, t.stop - t.start, head).float()
            dk[n, : t.stop] += torch.bmm(slope.transpose(1, 2), some)
        ctx.kept = None
        return dq, dk, dv, None


def check():
    torch.manual_seed(1)
    q, k, v = torch.randn(5, 3, 130, 32) / 5, torch.randn(5, 130, 32), torch.randn(5, 130, 32)
    leaves = [t.requires_grad_() for t in (q, k, v)]
    weight = torch.randn(5, 3, 130, 32)
    hidden = torch.full((1, 130, 130), float("-inf")).triu(1)
    scores = torch.einsum("ngqh,nkh->ngqk", q, k) + hidden
    exact = torch.einsum("ngqk,nkh->ngqh", scores.softmax(-1), v)
    expected = torch.autograd.grad((exact * weight).sum(), leaves)
    found = torch.autograd.grad((Causal.apply(q, k, v, hidden) * weight).sum(), leaves)
    for a, b in zip(expected, found):
        print("relative error", float((a - b).norm() / a.norm()))


if __name__ == "__main__":
    check()
