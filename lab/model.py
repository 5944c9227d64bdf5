"""A plain Llama in PyTorch whose parameter names are those of a Hugging Face checkpoint.

Training multiplies matrices in bfloat16 and keeps everything else in float32; evaluation is all float32.
"""
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

import attention
import programs_text
import tokenizer


@dataclass
class Shape:
    width: int
    layers: int
    heads: int
    kv_heads: int
    head: int
    inner: int
    labels: int = 0           # > 0: a classifier of tokens beside the language model
    vocabulary: int = tokenizer.SIZE
    context: int = 512
    theta: float = 10000.0
    epsilon: float = 1e-5


SHAPES = {
    "small": Shape(width=64, layers=4, heads=4, kv_heads=4, head=16, inner=176),
    "large": Shape(width=192, layers=6, heads=6, kv_heads=2, head=32, inner=512),
    "code": Shape(width=96, layers=4, heads=6, kv_heads=6, head=16, inner=256, vocabulary=programs_text.SIZE),
    "repair": Shape(width=96, layers=4, heads=6, kv_heads=6, head=16, inner=256, vocabulary=programs_text.REPAIR_SIZE,
                    context=programs_text.REPAIR_CONTEXT),
    "prm": Shape(width=64, layers=6, heads=4, kv_heads=4, head=16, inner=176, labels=2),
}


class _Bf16Product(torch.autograd.Function):
    """x @ w.T with bfloat16 operands and float32 results."""

    @staticmethod
    def forward(ctx, x, w):
        x16, w16 = x.bfloat16(), w.bfloat16()
        ctx.save_for_backward(x16, w16)
        return (x16 @ w16.t()).float()

    @staticmethod
    def backward(ctx, grad):
        x16, w16 = ctx.saved_tensors
        g16 = grad.bfloat16()
        return (g16 @ w16).float(), (g16.t() @ x16).float()


def product(x, w, fast):
    """x [N, in] times w [out, in]."""
    return _Bf16Product.apply(x, w) if fast else x @ w.t()


class Norm(nn.Module):
    def __init__(self, width, epsilon):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.epsilon) * self.weight


def weights(out, width, scale=None):
    module = nn.Linear(width, out, bias=False)
    nn.init.normal_(module.weight, std=scale or width ** -0.5)
    return module


def rotate(x, cos, sin):
    """Rotary positions, halves layout; x [..., T, head], cos and sin [T, head]."""
    a, b = x.chunk(2, -1)
    return x * cos + torch.cat((-b, a), -1) * sin


class Attention(nn.Module):
    def __init__(self, s):
        super().__init__()
        self.s = s
        self.q_proj = weights(s.heads * s.head, s.width)
        self.k_proj = weights(s.kv_heads * s.head, s.width)
        self.v_proj = weights(s.kv_heads * s.head, s.width)
        self.o_proj = weights(s.width, s.heads * s.head, 0.5 * s.width ** -0.5)

    def forward(self, x, batch, rope, mask, fast):
        """x [B*T, width]"""
        s = self.s
        joint = product(x, torch.cat((self.q_proj.weight, self.k_proj.weight, self.v_proj.weight)), fast)
        joint = joint.view(batch, -1, s.heads + 2 * s.kv_heads, s.head).transpose(1, 2)
        turned = rotate(joint[:, : s.heads + s.kv_heads], *rope)
        q, k, v = turned[:, : s.heads], turned[:, s.heads :], joint[:, s.heads + s.kv_heads :]
        group, length = s.heads // s.kv_heads, q.shape[2]
        if fast:
            q = (q * s.head ** -0.5).reshape(batch * s.kv_heads, group, length, s.head)
            k, v = (t.reshape(batch * s.kv_heads, length, s.head) for t in (k, v))
            hidden = mask.repeat_interleave(s.kv_heads, 0) if len(mask) > 1 else mask
            mixed = attention.Causal.apply(q, k, v, hidden)
            return self.join(mixed, batch, length, fast)
        q = q.reshape(batch * s.kv_heads, group * length, s.head) * s.head ** -0.5
        k, v = (t.reshape(batch * s.kv_heads, -1, s.head) for t in (k, v))
        scores = torch.bmm(q, k.transpose(1, 2)).view(batch, s.kv_heads * group, length, -1)
        scores = scores + mask
        mixed = torch.bmm(scores.softmax(-1).view(batch * s.kv_heads, group * length, -1), v)
        return self.join(mixed, batch, length, fast)

    def join(self, mixed, batch, length, fast):
        s = self.s
        mixed = mixed.view(batch, s.heads, length, s.head).transpose(1, 2).reshape(-1, s.heads * s.head)
        return product(mixed, self.o_proj.weight, fast)


class Gated(nn.Module):
    def __init__(self, s):
        super().__init__()
        self.gate_proj = weights(s.inner, s.width)
        self.up_proj = weights(s.inner, s.width)
        self.down_proj = weights(s.width, s.inner, 0.5 * s.inner ** -0.5)

    def forward(self, x, fast):
        gate, up = product(x, self.gate_proj.weight, fast), product(x, self.up_proj.weight, fast)
        return product(F.silu(gate) * up, self.down_proj.weight, fast)


class Layer(nn.Module):
    def __init__(self, s):
        super().__init__()
        self.self_attn, self.mlp = Attention(s), Gated(s)
        self.input_layernorm = Norm(s.width, s.epsilon)
        self.post_attention_layernorm = Norm(s.width, s.epsilon)

    def forward(self, x, batch, rope, mask, fast):
        x = x + self.self_attn(self.input_layernorm(x), batch, rope, mask, fast)
        return x + self.mlp(self.post_attention_layernorm(x), fast)


class Base(nn.Module):
    def __init__(self, s):
        super().__init__()
        self.embed_tokens = nn.Embedding(s.vocabulary, s.width)
        nn.init.normal_(self.embed_tokens.weight, std=s.width ** -0.5)
        self.layers = nn.ModuleList(Layer(s) for _ in range(s.layers))
        self.norm = Norm(s.width, s.epsilon)


class Llama(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        self.model = Base(shape)
        if shape.labels:
            self.score = nn.Linear(shape.width, shape.labels)
            nn.init.zeros_(self.score.bias)
        self._rope = None

    def rope(self, places):
        """Cosines and sines, [1 or B, 1, T, head], of positions [1 or B, T]."""
        if self._rope is None:
            half = torch.arange(0, self.shape.head, 2).float() / self.shape.head
            angles = torch.outer(torch.arange(1024).float(), self.shape.theta ** -half)
            angles = torch.cat((angles, angles), -1)
            self._rope = angles.cos(), angles.sin()
        return tuple(t[places].unsqueeze(1) for t in self._rope)

    def hidden(self, ids, fast=False, tree=None):
        """Final normed states [B*T, width] of ids [B, T].

        Rows are padded at the right; tree = (places [B, T], mask [B, T, T]) says where every token stands and what it
        may not see, when a row is not one plain text.
        """
        batch, length = ids.shape
        if tree is not None:
            places, mask = tree
        else:
            places = torch.arange(length)[None]
            mask = torch.full((1, length, length), float("-inf")).triu(1)
        rope = self.rope(places)
        mask = mask if fast else mask.unsqueeze(1)
        x = self.model.embed_tokens(ids).view(batch * length, -1)
        for layer in self.model.layers:
            x = layer(x, batch, rope, mask, fast)
        return self.model.norm(x)

    def logits(self, states, fast=False):
        return product(states, self.model.embed_tokens.weight, fast)


def count(model):
    """(parameters, parameters without the embeddings)"""
    total = sum(p.numel() for p in model.parameters())
    return total, total - model.model.embed_tokens.weight.numel()
