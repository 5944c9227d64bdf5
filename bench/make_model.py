"""Writes models of random weights at the shapes of real ones, with fewer layers: a Hugging Face folder and GGUF files.

    make_model.py SHAPE OUT [--layers N] [--types F32,Q4_K,...] [--ranks FILE] [--rope linear|yarn|longrope] [--seed N] [--speed]
                  [--vocabulary N]

SHAPE is llama3 (Llama-3.2-1B), llama2 (half of Llama-2-7B's width), qwen2 (Qwen2.5-1.5B), qwen2-0.5b, qwen3 (Qwen3-0.6B) or phi4
(Phi-4's heads and vocabulary, a fifth of its width, tied); the vocabulary has the real size. With --ranks its tokens are those of a
file of ranks (a token in base64 and its rank a line, as tiktoken has them); without, bytes, "th" and made-up words. Longrope is phi4's
alone, with three quarters of each head rotated, as Phi-4-mini has it. Weights have the
variance that keeps activations of size one.
Needs numpy. OUT gets hf/ (F32, two files and their index) and TYPE.gguf for each type. With --speed there is no hf/ and all
layers have the numbers of the first one: whole models in a minute, good for measuring time and nothing else.
"""
import argparse
import base64
import json
import math
import os
import struct
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lab"))
import export_gguf as gguf  # noqa: E402

LLAMA3 = {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 8192}
HEAD = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
TAIL = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SHAPES = {  # width, feed-forward, heads, key-value heads, head width, vocabulary, theta, epsilon, tied
    "llama3": ("LlamaForCausalLM", 2048, 8192, 32, 8, 64, 128256, 500000.0, 1e-5, True, "llama-bpe", "{1,3}", 128000),
    "llama2": ("LlamaForCausalLM", 2048, 5632, 16, 16, 128, 32000, 10000.0, 1e-5, False, "llama-bpe", "{1,3}", 31000),
    "qwen2": ("Qwen2ForCausalLM", 1536, 8960, 12, 2, 128, 151936, 1000000.0, 1e-6, True, "qwen2", "", 151643),
    "qwen2-0.5b": ("Qwen2ForCausalLM", 896, 4864, 14, 2, 64, 151936, 1000000.0, 1e-6, True, "qwen2", "", 151643),
    "qwen3": ("Qwen3ForCausalLM", 1024, 3072, 16, 8, 128, 151936, 1000000.0, 1e-6, True, "qwen2", "", 151643),
    "phi4": ("Phi3ForCausalLM", 1024, 2816, 8, 4, 128, 100352, 250000.0, 1e-5, True, "dbrx", "{1,3}", 100256),
}
ARCHITECTURES = {"phi4": "phi3", "llama3": "llama", "llama2": "llama", "qwen2-0.5b": "qwen2"}
SPECIALS = ["<|begin|>", "<|end|>", "<|im_start|>", "<|im_end|>"]


def make_config(shape, layers, rope):
    arch, d, f, heads, kv, w, vocab, theta, eps, tied = SHAPES[shape][:10]
    scaling = {"linear": {"rope_type": "linear", "factor": 4.0},
               "yarn": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}}.get(rope)
    more = {}
    if rope == "longrope":
        n = w * 3 // 8
        scaling = {"type": "longrope", "short_factor": [1 + i / n for i in range(n)], "long_factor": [1 + i * 1.5 for i in range(n)]}
        more = {"partial_rotary_factor": 0.75, "original_max_position_embeddings": 4096, "max_position_embeddings": 131072}
    return {
        "architectures": [arch], "model_type": ARCHITECTURES.get(shape, shape), "hidden_size": d, "intermediate_size": f, "num_hidden_layers": layers,
        "num_attention_heads": heads, "num_key_value_heads": kv, "head_dim": w, "vocab_size": vocab, "rope_theta": theta,
        "rms_norm_eps": eps, "tie_word_embeddings": tied, "max_position_embeddings": 32768, "torch_dtype": "float32",
        "rope_scaling": scaling or (LLAMA3 if shape == "llama3" else None), "eos_token_id": SHAPES[shape][12] + 1, **more,
    }


def make_weights(c, rng, alike=False):
    d, f, w = c["hidden_size"], c["intermediate_size"], c["head_dim"]
    q, k = c["num_attention_heads"] * w, c["num_key_value_heads"] * w
    family = c["architectures"][0]

    def matrix(rows, columns, scale=1.0):
        x = rng.standard_normal((rows, columns), dtype=np.float32)
        x *= np.float32(scale / columns**0.5)
        return x

    def vector(n, center):
        return (center + 0.1 * rng.standard_normal(n)).astype(np.float32)

    t = {"model.embed_tokens.weight": matrix(c["vocab_size"], d), "model.norm.weight": vector(d, 1.0)}
    if not c["tie_word_embeddings"]:
        t["lm_head.weight"] = matrix(c["vocab_size"], d)
    for i in range(c["num_hidden_layers"]):
        p = "model.layers.%d." % i
        if alike and i > 0:
            t.update({p + name[len("model.layers.0."):]: x for name, x in list(t.items()) if name.startswith("model.layers.0.")})
            continue
        t[p + "input_layernorm.weight"] = vector(d, 1.0)
        if family == "Phi3ForCausalLM":
            t[p + "post_attention_layernorm.weight"] = vector(d, 1.0)
            t[p + "self_attn.qkv_proj.weight"], t[p + "self_attn.o_proj.weight"] = matrix(q + 2 * k, d), matrix(d, q)
            t[p + "mlp.gate_up_proj.weight"], t[p + "mlp.down_proj.weight"] = matrix(2 * f, d), matrix(d, f)
            continue
        t[p + "post_attention_layernorm.weight"] = vector(d, 1.0)
        for name, rows, columns in (("q", q, d), ("k", k, d), ("v", k, d), ("o", d, q)):
            t[p + "self_attn.%s_proj.weight" % name] = matrix(rows, columns)
            if family == "Qwen2ForCausalLM" and name != "o":
                t[p + "self_attn.%s_proj.bias" % name] = vector(rows, 0.0)
        if family == "Qwen3ForCausalLM":
            t[p + "self_attn.q_norm.weight"] = vector(w, 1.0)
            t[p + "self_attn.k_norm.weight"] = vector(w, 1.0)
        t[p + "mlp.gate_proj.weight"] = matrix(f, d)
        t[p + "mlp.up_proj.weight"] = matrix(f, d)
        t[p + "mlp.down_proj.weight"] = matrix(d, f)
    return t


# ---- vocabularies


def stand_ins():
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    spare = iter(range(0x100, 0x200))
    return [chr(b) if b in plain else chr(next(spare)) for b in range(256)]


def pair_of(token, rank_of, rank):
    """The two tokens that a token is merged from: its bytes merged by what has a lower rank."""
    parts = [token[i : i + 1] for i in range(len(token))]
    while len(parts) > 2:
        ranks = [rank_of.get(a + b, rank) for a, b in zip(parts, parts[1:])]
        best = min(ranks)
        if best >= rank:
            return None
        i = ranks.index(best)
        parts[i : i + 2] = [parts[i] + parts[i + 1]]
    return parts


def make_vocabulary(shape, ranks):
    """Tokens as they are written, pairs, special tokens."""
    n, shown = SHAPES[shape][12], stand_ins()
    if not ranks:
        return [*shown, "th", *("word%d" % i for i in range(257, n))], ["t h"]
    rank_of = {}
    with open(ranks, "rb") as file:
        for line in file:
            token, rank = line.split()
            rank_of[base64.b64decode(token)] = int(rank)
    tokens, merges = [None] * len(rank_of), []
    for token, rank in sorted(rank_of.items(), key=lambda item: item[1]):
        tokens[rank] = "".join(shown[b] for b in token)
        pair = pair_of(token, rank_of, rank) if len(token) > 1 else None
        if pair:
            merges.append(" ".join("".join(shown[b] for b in part) for part in pair))
    return tokens, merges


def make_tokenizer(shape, tokens, merges):
    pattern, digits = SHAPES[shape][10:12]
    added = [{"id": len(tokens) + i, "content": s, "special": True, "normalized": False} for i, s in enumerate(SPECIALS)]
    splitter = {"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": HEAD + digits + TAIL}, "behavior": "Isolated", "invert": False},
        {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}]}
    return {"added_tokens": added, "normalizer": {"type": "NFC"} if pattern == "qwen2" else None,
            "pre_tokenizer": splitter, "decoder": {"type": "ByteLevel"},
            "model": {"type": "BPE", "vocab": {t: i for i, t in enumerate(tokens)}, "merges": merges,
                      "ignore_merges": pattern != "qwen2"}}


# ---- a Hugging Face folder


def write_folder(path, config, weights, tokenizer):
    os.makedirs(path, exist_ok=True)
    names = sorted(weights)
    parts, index = [names[: len(names) // 2], names[len(names) // 2 :]], {}
    for i, part in enumerate(parts):
        file = "model-%05d-of-00002.safetensors" % (i + 1)
        header, at = {}, 0
        for name in part:
            index[name] = file
            header[name] = {"dtype": "F32", "shape": list(weights[name].shape),
                            "data_offsets": [at, at + weights[name].nbytes]}
            at += weights[name].nbytes
        text = json.dumps(header).encode()
        with open(os.path.join(path, file), "wb") as out:
            out.write(struct.pack("<Q", len(text)) + text)
            for name in part:
                out.write(memoryview(weights[name]).cast("B"))
    for name, value in (("config.json", config), ("tokenizer.json", tokenizer),
                        ("model.safetensors.index.json", {"metadata": {}, "weight_map": index})):
        with open(os.path.join(path, name), "w", encoding="utf-8") as out:
            json.dump(value, out)


# ---- weights in blocks: plain roundings to the grids of the types, no search for better scales


def halves(x):
    return x.astype("<f2")


def nibbles(q):
    """[n][32] of 4 bits -> [n][16]: element i low, i + 16 high."""
    q = q.astype(np.uint8)
    return q[:, :16] | q[:, 16:] << 4


def fifths(q):
    return np.packbits((q.astype(np.uint8) >> 4).astype(bool), axis=1, bitorder="little")


def safe(x):
    return np.where(x == 0, np.float32(1), x)


def columns(*parts):
    return np.hstack([np.ascontiguousarray(p).view(np.uint8).reshape(len(p), -1) for p in parts])


def q8_0(x):
    d = halves(np.abs(x).max(axis=1, keepdims=True) / 127)
    return columns(d, np.rint(x / safe(d.astype(np.float32))).clip(-127, 127).astype(np.int8))


def symmetric(x, bits):
    top = 1 << (bits - 1)
    at = np.abs(x).argmax(axis=1)[:, None]
    d = halves(np.take_along_axis(x, at, axis=1) / -top)
    return d, np.rint(x / safe(d.astype(np.float32)) + top).clip(0, 2 * top - 1)


def offset(x, bits):
    m = halves(x.min(axis=1, keepdims=True))
    d = halves((x.max(axis=1, keepdims=True) - m.astype(np.float32)) / ((1 << bits) - 1))
    return d, m, np.rint((x - m.astype(np.float32)) / safe(d.astype(np.float32))).clip(0, (1 << bits) - 1)


def q4_0(x):
    d, q = symmetric(x, 4)
    return columns(d, nibbles(q))


def q5_0(x):
    d, q = symmetric(x, 5)
    return columns(d, fifths(q), nibbles(q.astype(np.uint8) & 15))


def q4_1(x):
    d, m, q = offset(x, 4)
    return columns(d, m, nibbles(q))


def q5_1(x):
    d, m, q = offset(x, 5)
    return columns(d, m, fifths(q), nibbles(q.astype(np.uint8) & 15))


def six_bits(scale, least):
    """Eight scales and eight offsets of 6 bits in 12 bytes."""
    s, o = scale.astype(np.uint8), least.astype(np.uint8)
    return np.hstack([s[:, :4] | (s[:, 4:] >> 4) << 6, o[:, :4] | (o[:, 4:] >> 4) << 6, (s[:, 4:] & 15) | (o[:, 4:] & 15) << 4])


def q45_k(x, bits):
    top = (1 << bits) - 1
    sub = x.reshape(-1, 8, 32)
    least = np.minimum(sub.min(axis=2), 0)
    scale = (sub.max(axis=2) - least) / top
    d, dmin = halves(scale.max(axis=1, keepdims=True) / 63), halves(-least.min(axis=1, keepdims=True) / 63)
    wide, wide_min = d.astype(np.float32), dmin.astype(np.float32)
    s = np.rint(scale / safe(wide)).clip(0, 63)
    o = np.rint(-least / safe(wide_min)).clip(0, 63)
    each, lift = (wide * s)[:, :, None], (wide_min * o)[:, :, None]
    q = np.rint((sub + lift) / safe(each)).clip(0, top).astype(np.uint8)
    low = (q[:, 0::2] & 15) | (q[:, 1::2] & 15) << 4
    if bits == 4:
        return columns(d, dmin, six_bits(s, o), low)
    fifth = np.zeros((len(x), 32), np.uint8)
    for i in range(8):
        fifth |= (q[:, i] >> 4) << i
    return columns(d, dmin, six_bits(s, o), fifth, low)


def q6_k(x):
    sub = x.reshape(-1, 16, 16)
    scale = np.abs(sub).max(axis=2) / 31
    d = halves(scale.max(axis=1, keepdims=True) / 127)
    s = np.rint(scale / safe(d.astype(np.float32))).clip(0, 127)
    each = (d.astype(np.float32) * s)[:, :, None]
    q = (np.rint(sub / safe(each)).clip(-32, 31) + 32).astype(np.uint8).reshape(-1, 2, 4, 32)
    low = (q[:, :, :2] & 15) | (q[:, :, 2:] & 15) << 4
    top = q[:, :, 0] >> 4 | (q[:, :, 1] >> 4) << 2 | (q[:, :, 2] >> 4) << 4 | (q[:, :, 3] >> 4) << 6
    return columns(low, top, s.astype(np.int8), d)


CODERS = {"Q8_0": (8, 32, q8_0), "Q4_0": (2, 32, q4_0), "Q4_1": (3, 32, q4_1), "Q5_0": (6, 32, q5_0), "Q5_1": (7, 32, q5_1),
          "Q4_K": (12, 256, lambda x: q45_k(x, 4)), "Q5_K": (13, 256, lambda x: q45_k(x, 5)), "Q6_K": (14, 256, q6_k)}


# What files have in place of a type whose blocks do not divide a row.
SHORTER = {"Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}


def coded(x, kind):
    """GGUF's type and the bytes of an array."""
    if kind == "F32" or x.ndim == 1:
        return 0, memoryview(np.ascontiguousarray(x)).cast("B")
    if kind == "F16":
        return 1, x.astype("<f2").tobytes()
    if kind == "BF16":
        bits = x.view(np.uint32)
        return 30, ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("<u2").tobytes()
    if x.shape[-1] % CODERS[kind][1]:
        kind = SHORTER[kind]
    number, block, code = CODERS[kind]
    flat, out = x.reshape(-1, block), []
    for at in range(0, len(flat), 1 << 16):
        out.append(code(flat[at : at + (1 << 16)]).tobytes())
    return number, b"".join(out)


# ---- GGUF


def paired(x, heads):
    return np.ascontiguousarray(x.reshape(heads, 2, -1, *x.shape[1:]).swapaxes(1, 2).reshape(x.shape))


def factors(c):
    s, w = c["rope_scaling"], c["head_dim"]
    out = []
    for i in range(w // 2):
        wave = 2 * np.pi * c["rope_theta"] ** (2 * i / w)
        share = (s["original_max_position_embeddings"] / wave - s["low_freq_factor"]) / (
            s["high_freq_factor"] - s["low_freq_factor"])
        share = min(max(share, 0), 1)
        out.append(1 / ((1 - share) / s["factor"] + share))
    return np.array(out, np.float32)


def put_metadata(out, shape, c, tokens, merges):
    arch = ARCHITECTURES.get(shape, shape)
    gguf.put_config(out, c, arch, "random weights of the shape " + shape, "F32")
    scaling = c["rope_scaling"] or {}
    if scaling.get("rope_type") in ("linear", "yarn"):
        out.put(arch + ".rope.scaling.type", gguf.STRING, scaling["rope_type"])
        out.put(arch + ".rope.scaling.factor", gguf.FLOAT, scaling["factor"])
        if scaling["rope_type"] == "yarn":
            out.put(arch + ".rope.scaling.original_context_length", gguf.UINT, scaling["original_max_position_embeddings"])
    if scaling.get("type") == "longrope":
        original, key = c["original_max_position_embeddings"], arch + ".rope.dimension_count"
        out.entries = [e for e in out.entries if not e.startswith(gguf.text(key))]
        out.put(key, gguf.UINT, int(c["head_dim"] * c["partial_rotary_factor"]))
        out.put(arch + ".rope.scaling.original_context_length", gguf.UINT, original)
        longer = math.log(c["max_position_embeddings"] / original) / math.log(original)
        out.put(arch + ".rope.scaling.attn_factor", gguf.FLOAT, math.sqrt(1 + longer))
    whole = [*tokens, *SPECIALS]
    padding = ["[PAD%d]" % i for i in range(len(whole), c["vocab_size"])]
    out.put("tokenizer.ggml.model", gguf.STRING, "gpt2")
    out.put("tokenizer.ggml.pre", gguf.STRING, SHAPES[shape][10])
    out.put_list("tokenizer.ggml.tokens", gguf.STRING, whole + padding)
    out.put_list("tokenizer.ggml.token_type", gguf.INT, [1] * len(tokens) + [3] * len(SPECIALS) + [5] * len(padding))
    out.put_list("tokenizer.ggml.merges", gguf.STRING, merges)
    out.put("tokenizer.ggml.bos_token_id", gguf.UINT, len(tokens))
    out.put("tokenizer.ggml.eos_token_id", gguf.UINT, len(tokens) + 1)
    out.put("tokenizer.ggml.add_bos_token", gguf.BOOL, False)


def gguf_name(name):
    for fused, ours in (("self_attn.qkv_proj", "attn_qkv"), ("mlp.gate_up_proj", "ffn_up")):
        if fused in name:
            return "blk.%s.%s.weight" % (name.split(".")[2], ours)
    return gguf.gguf_name(name)


def write_gguf(path, shape, c, weights, kind, tokens, merges):
    out = gguf.Writer()
    put_metadata(out, shape, c, tokens, merges)
    if (c["rope_scaling"] or {}).get("rope_type") == "llama3":
        out.tensor("rope_freqs.weight", 0, [c["head_dim"] // 2], factors(c).tobytes())
    for which in ("short", "long"):
        listed = (c["rope_scaling"] or {}).get(which + "_factor")
        if listed:
            out.tensor("rope_factors_%s.weight" % which, 0, [len(listed)], np.array(listed, np.float32).tobytes())
    heads = {"q_proj": c["num_attention_heads"], "k_proj": c["num_key_value_heads"]}
    done = {}  # layers that are alike share their arrays
    for name, x in weights.items():
        part = name.split(".")[-2]
        if id(x) not in done:
            y = paired(x, heads[part]) if shape.startswith("llama") and part in heads else x
            done[id(x)] = coded(y, kind)
        number, data = done[id(x)]
        out.tensor(gguf_name(name), number, list(x.shape), data)
    out.write(path)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("shape", choices=SHAPES)
    p.add_argument("out")
    p.add_argument("--layers", type=int, default=2)
    p.add_argument("--types", default="F32")
    p.add_argument("--ranks")
    p.add_argument("--rope", choices=["linear", "yarn", "longrope"])
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--vocabulary", type=int, help="in place of the real size, 512 and more")
    p.add_argument("--speed", action="store_true")
    a = p.parse_args()
    if a.vocabulary:
        shape = SHAPES[a.shape]
        SHAPES[a.shape] = (*shape[:6], a.vocabulary, *shape[7:12], a.vocabulary - 192)
    if a.rope == "longrope" and a.shape != "phi4":
        sys.exit("make_model.py: longrope is of the shape phi4")
    config = make_config(a.shape, a.layers, a.rope)
    weights = make_weights(config, np.random.default_rng(a.seed), a.speed)
    tokens, merges = make_vocabulary(a.shape, a.ranks)
    if len(tokens) + len(SPECIALS) > config["vocab_size"]:
        sys.exit("make_model.py: %d tokens are over this shape's vocabulary" % len(tokens))
    os.makedirs(a.out, exist_ok=True)
    if not a.speed:
        write_folder(os.path.join(a.out, "hf"), config, weights, make_tokenizer(a.shape, tokens, merges))
    for kind in a.types.split(","):
        write_gguf(os.path.join(a.out, kind + ".gguf"), a.shape, config, weights, kind, tokens, merges)


if __name__ == "__main__":
    main()
