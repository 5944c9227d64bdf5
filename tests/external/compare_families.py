"""Logits of every model family against the architecture re-stated in PyTorch.

    compare_families.py BENCH_LOGITS

Makes a small model of random weights for each family, for each kind of rotary scaling and for what differs within a family
(tied heads, biases, norms of q and k, heads wider than their share, fused weights, heads rotated in part), as Hugging Face folders, and
compares the logits at each position with a forward pass in float32 that is written after the family's published modelling code.
The largest difference that is allowed is 1e-5 of the logits' range. Needs PyTorch; without it, it says so.
"""
import json
import math
import os
import subprocess
import sys
import tempfile

try:
    import torch
except ImportError:
    print("skipped: compare_families.py needs PyTorch (Debian: python3-torch, with /usr/bin/python3)")
    sys.exit(0)

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import compare_prm as small  # noqa: E402

LIMIT, LENGTH = 1e-5, 300
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128}
LINEAR = {"type": "linear", "factor": 4.0}
SHORT = [1.0, 1.02, 1.1, 1.5, 2.0, 3.0, 4.5, 9.0]
LONG = {"type": "longrope", "short_factor": SHORT, "long_factor": [64.0] * 8}
PARTIAL = {"type": "longrope", "short_factor": SHORT[:6], "long_factor": [64.0] * 6}
OPTIONS = {"num_key_value_heads": 2, "num_attention_heads": 4, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3,
           "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
           "tie_word_embeddings": False, "torch_dtype": "float32"}
CASES = [  # what it is, architecture, what config.json says besides
    ("llama-2", "LlamaForCausalLM", {"num_key_value_heads": 4}),
    ("llama-3", "LlamaForCausalLM", {"rope_scaling": LLAMA3, "rope_theta": 500000.0, "tie_word_embeddings": True}),
    ("llama, linear", "LlamaForCausalLM", {"rope_scaling": LINEAR}),
    ("mistral", "MistralForCausalLM", {"sliding_window": None}),
    ("mistral, wide heads", "MistralForCausalLM", {"sliding_window": None, "head_dim": 32}),
    ("qwen2", "Qwen2ForCausalLM", {"tie_word_embeddings": True}),
    ("qwen2, yarn", "Qwen2ForCausalLM", {"rope_scaling": YARN}),
    ("qwen3", "Qwen3ForCausalLM", {"head_dim": 32}),
    ("qwen3, newer config", "Qwen3ForCausalLM", {"head_dim": 16, "rope_theta": None, "torch_dtype": None, "dtype": "float32",
                                                 "rope_parameters": {"rope_type": "default", "rope_theta": 1e6}}),
    ("phi3", "Phi3ForCausalLM", {"sliding_window": None}),
    ("phi3, longrope", "Phi3ForCausalLM", {"rope_scaling": LONG, "max_position_embeddings": 8192, "original_max_position_embeddings": 512}),
    ("phi3, partly rotated", "Phi3ForCausalLM", {"rope_scaling": PARTIAL, "max_position_embeddings": 8192,
                                                 "original_max_position_embeddings": 512, "partial_rotary_factor": 0.75,
                                                 "tie_word_embeddings": True}),
]


def fused(c):
    return c["architectures"][0].startswith("Phi3")


def make_weights(c, size, generator):
    d, f, heads, kv, w = sizes(c)

    def matrix(rows, columns, scale=1.5):
        return torch.randn(rows, columns, generator=generator) * (scale / columns**0.5)

    def vector(n, center):
        return center + 0.2 * torch.randn(n, generator=generator)

    t = {"model.embed_tokens.weight": matrix(size, d, 8.0), "model.norm.weight": vector(d, 1.0)}
    if not c["tie_word_embeddings"]:
        t["lm_head.weight"] = matrix(size, d)
    for i in range(c["num_hidden_layers"]):
        p = "model.layers.%d." % i
        t[p + "input_layernorm.weight"], t[p + "post_attention_layernorm.weight"] = vector(d, 1.0), vector(d, 1.0)
        t[p + "self_attn.o_proj.weight"], t[p + "mlp.down_proj.weight"] = matrix(d, heads * w), matrix(d, f)
        if fused(c):
            t[p + "self_attn.qkv_proj.weight"], t[p + "mlp.gate_up_proj.weight"] = matrix((heads + 2 * kv) * w, d), matrix(2 * f, d)
            continue
        t[p + "mlp.gate_proj.weight"], t[p + "mlp.up_proj.weight"] = matrix(f, d), matrix(f, d)
        for name, rows in (("q", heads * w), ("k", kv * w), ("v", kv * w)):
            t[p + "self_attn.%s_proj.weight" % name] = matrix(rows, d)
            if c["architectures"][0].startswith("Qwen2"):
                t[p + "self_attn.%s_proj.bias" % name] = vector(rows, 0.0)
            if c["architectures"][0].startswith("Qwen3") and name != "v":
                t[p + "self_attn.%s_norm.weight" % name] = vector(w, 1.0)
    return t


def sizes(c):
    heads = c["num_attention_heads"]
    return c["hidden_size"], c["intermediate_size"], heads, c["num_key_value_heads"], c.get("head_dim", c["hidden_size"] // heads)


# ---- positions, after transformers' modeling_rope_utils

def frequencies(c, width):
    """Of each pair, and what cosine and sine are multiplied with."""
    scaling = c.get("rope_scaling") or c.get("rope_parameters") or {}
    theta = scaling.get("rope_theta") or c["rope_theta"]
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    pairs = torch.arange(0, width, 2, dtype=torch.float32)
    inverse = 1.0 / (theta ** (pairs / width))
    if kind == "linear":
        return inverse / scaling["factor"], 1.0
    if kind == "llama3":
        old, low, high = (scaling[k] for k in ("original_max_position_embeddings", "low_freq_factor", "high_freq_factor"))
        wave = 2 * math.pi / inverse
        smooth = (old / wave - low) / (high - low)
        mixed = (1 - smooth) * inverse / scaling["factor"] + smooth * inverse
        slowed = torch.where(wave > old / low, inverse / scaling["factor"], inverse)
        return torch.where((wave >= old / high) & (wave <= old / low), mixed, slowed), 1.0
    if kind == "yarn":
        old = scaling["original_max_position_embeddings"]
        low, high = (width * math.log(old / (turns * 2 * math.pi)) / (2 * math.log(theta)) for turns in (32, 1))
        low, high = max(math.floor(low), 0), min(math.ceil(high), width - 1)
        ramp = ((torch.arange(width // 2).float() - low) / max(high - low, 0.001)).clamp(0, 1)
        return inverse / scaling["factor"] * ramp + inverse * (1 - ramp), 0.1 * math.log(scaling["factor"]) + 1
    if kind == "longrope":
        old = c["original_max_position_embeddings"]
        factor = math.sqrt(1 + math.log(c["max_position_embeddings"] / old) / math.log(old))
        return inverse / torch.tensor(scaling["short_factor"]), factor
    return inverse, 1.0


def turn(x, c):
    """x: [heads, T, head width]"""
    width = int(x.shape[-1] * c.get("partial_rotary_factor", 1.0))
    inverse, factor = frequencies(c, width)
    angles = torch.arange(x.shape[1]).float()[:, None] * inverse
    angles = torch.cat((angles, angles), -1)
    part, rest = x[..., :width], x[..., width:]
    rotated = torch.cat((-part[..., width // 2:], part[..., : width // 2]), -1)
    return torch.cat((part * (angles.cos() * factor) + rotated * (angles.sin() * factor), rest), -1)


# ---- the layers, after transformers' modeling files

def logits_of(c, w, ids):
    d, f, heads, kv, width = sizes(c)
    n, x = len(ids), w["model.embed_tokens.weight"][torch.tensor(ids)]
    mask = torch.full((n, n), float("-inf")).triu(1)

    def norm(x, name):
        return small.norm(x, w[name + ".weight"])

    def linear(x, name):
        return torch.nn.functional.linear(x, w[name + ".weight"], w.get(name + ".bias"))

    for i in range(c["num_hidden_layers"]):
        p = "model.layers.%d." % i
        h = norm(x, p + "input_layernorm")
        if fused(c):
            q, k, v = linear(h, p + "self_attn.qkv_proj").split((heads * width, kv * width, kv * width), -1)
        else:
            q, k, v = (linear(h, p + "self_attn.%s_proj" % name) for name in "qkv")
        q, k, v = (t.view(n, -1, width).transpose(0, 1) for t in (q, k, v))
        if p + "self_attn.q_norm.weight" in w:
            q, k = norm(q, p + "self_attn.q_norm"), norm(k, p + "self_attn.k_norm")
        q, k = turn(q, c), turn(k, c).repeat_interleave(heads // kv, 0)
        a = torch.softmax(q @ k.transpose(1, 2) / width**0.5 + mask, -1) @ v.repeat_interleave(heads // kv, 0)
        x = x + linear(a.transpose(0, 1).reshape(n, -1), p + "self_attn.o_proj")
        h = norm(x, p + "post_attention_layernorm")
        if fused(c):
            gate, up = linear(h, p + "mlp.gate_up_proj").chunk(2, -1)
        else:
            gate, up = linear(h, p + "mlp.gate_proj"), linear(h, p + "mlp.up_proj")
        x = x + linear(torch.nn.functional.silu(gate) * up, p + "mlp.down_proj")
    head = w["model.embed_tokens.weight"] if c["tie_word_embeddings"] else w["lm_head.weight"]
    return norm(x, "model.norm") @ head.T


def compare(program, work, name, arch, more, seed):
    tokenizer = small.Bytes(["<|end|>"])
    c = {**OPTIONS, "architectures": [arch], "model_type": arch[:5].lower(), "vocab_size": tokenizer.size, **more}
    c = {key: value for key, value in c.items() if value is not None or key == "sliding_window"}
    generator = torch.Generator().manual_seed(seed)
    w = make_weights(c, tokenizer.size, generator)
    folder, out = os.path.join(work, str(seed)), os.path.join(work, "out")
    os.makedirs(folder)
    for file, value in (("config.json", c), ("tokenizer.json", tokenizer.files())):
        with open(os.path.join(folder, file), "w", encoding="utf-8") as f:
            json.dump(value, f)
    small.write_safetensors(os.path.join(folder, "model.safetensors"), w)
    ids = torch.randint(0, 256, (LENGTH,), generator=generator).tolist()
    done = subprocess.run([program, folder, str(LENGTH), "0", out], input="\n".join(map(str, ids)), text=True, capture_output=True)
    if done.returncode != 0:
        print("%-22s FAILED: %s" % (name, done.stderr.strip()))
        return False
    with open(out, "rb") as f:
        f.read(12)
        ours = torch.frombuffer(bytearray(f.read()), dtype=torch.float32).view(LENGTH, tokenizer.size)
    wanted = logits_of(c, w, ids)
    distance = float((ours - wanted).abs().max() / (wanted.max() - wanted.min()))
    print("%-22s %-20s %d positions, largest difference over the range %.1e%s" %
          (name, arch, LENGTH, distance, "" if distance < LIMIT else "  TOO FAR"))
    return distance < LIMIT


def main():
    program = os.path.abspath(sys.argv[1])
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as work:
        good = [compare(program, work, *case, seed) for seed, case in enumerate(CASES)]
    print("%d of %d models within %.0e" % (sum(good), len(good), LIMIT))
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
