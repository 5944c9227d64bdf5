"""Writes a Hugging Face folder of a Llama-family policy as one GGUF file; needs nothing but Python.

    export_gguf.py FOLDER OUT.gguf [F32|F16|BF16|Q8_0|Q4_0]     models/small -> small.gguf, F16 unless told

Matrices get the type that is named (F16 where rows do not divide into blocks), vectors F32. The tokenizer is written
twice: as GGUF's arrays, which every reader takes, and as the tokenizer.json that it is, which is exact.
"""
import json
import os
import struct
import sys

ALIGNMENT = 32
UINT, INT, FLOAT, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9  # types of metadata
TYPES = {"F32": (0, 1), "F16": (1, 1), "Q4_0": (2, 32), "Q8_0": (8, 32), "BF16": (30, 1)}  # id, elements of a block
FILE_TYPES = {"F32": 0, "F16": 1, "Q4_0": 2, "Q8_0": 7, "BF16": 32}
NAMES = {
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output", "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}


# ---- the container


def text(s):
    s = s.encode() if isinstance(s, str) else s
    return struct.pack("<Q", len(s)) + s


def value(kind, v):
    if kind == STRING:
        return text(v)
    return struct.pack({UINT: "<I", INT: "<i", FLOAT: "<f", BOOL: "<?"}[kind], v)


class Writer:
    """Metadata and tensors are gathered and written at once. A tensor's data are bytes."""

    def __init__(self):
        self.entries, self.tensors = [], []

    def put(self, key, kind, v):
        self.entries.append(text(key) + struct.pack("<I", kind) + value(kind, v))

    def put_list(self, key, kind, items):
        head = text(key) + struct.pack("<IIQ", ARRAY, kind, len(items))
        self.entries.append(head + b"".join(value(kind, v) for v in items))

    def tensor(self, name, type_id, shape, data):
        self.tensors.append((name, type_id, shape, data))

    def write(self, path):
        infos, at = [], 0
        for name, type_id, shape, data in self.tensors:
            infos.append(text(name) + struct.pack("<I", len(shape)) + struct.pack("<%dQ" % len(shape), *reversed(shape))
                         + struct.pack("<IQ", type_id, at))
            at += len(data) + -len(data) % ALIGNMENT
        with open(path, "wb") as out:
            head = struct.pack("<4sIQQ", b"GGUF", 3, len(self.tensors), len(self.entries))
            head += b"".join(self.entries) + b"".join(infos)
            out.write(head + bytes(-len(head) % ALIGNMENT))
            for _, _, _, data in self.tensors:
                out.write(data)
                out.write(bytes(-len(data) % ALIGNMENT))


# ---- weights


def read_safetensors(path):
    """name -> (dtype, shape, bytes)"""
    with open(path, "rb") as file:
        data = file.read()
    start = 8 + struct.unpack("<Q", data[:8])[0]
    tensors = {}
    for name, about in json.loads(data[8:start]).items():
        if name != "__metadata__":
            a, b = about["data_offsets"]
            tensors[name] = about["dtype"], about["shape"], data[start + a : start + b]
    return tensors


def numbers(dtype, data):
    if dtype == "BF16":
        return [struct.unpack("<f", struct.pack("<I", h << 16))[0] for h in struct.unpack("<%dH" % (len(data) // 2), data)]
    size, code = {"F32": (4, "f"), "F16": (2, "e")}[dtype]
    return list(struct.unpack("<%d%s" % (len(data) // size, code), data))



def coded_q8_0(block):
    d = max(abs(x) for x in block) / 127
    q = [max(-127, min(127, round(x / d))) if d else 0 for x in block]
    return struct.pack("<e32b", d, *q)


def coded_q4_0(block):
    d = max(block, key=abs) / -8
    q = [max(0, min(15, int(x / d + 8.5))) if d else 8 for x in block]
    return struct.pack("<e", d) + bytes(q[i] | q[i + 16] << 4 for i in range(16))


def bfloat(x):
    bits = struct.unpack("<I", struct.pack("<f", x))[0]
    return struct.pack("<H", (bits + 0x7FFF + (bits >> 16 & 1)) >> 16)


def coded(kind, values):
    if kind in ("F32", "F16"):
        return struct.pack("<%d%s" % (len(values), "f" if kind == "F32" else "e"), *values)
    if kind == "BF16":
        return b"".join(bfloat(x) for x in values)
    block = {"Q8_0": coded_q8_0, "Q4_0": coded_q4_0}[kind]
    return b"".join(block(values[i : i + 32]) for i in range(0, len(values), 32))


def paired(data, shape, n_heads):
    """Rows of each head as readers of the architecture llama rotate them: i and i + W/2 side by side."""
    row, w = len(data) // shape[0], shape[0] // n_heads
    order = [h * w + j * (w // 2) + i for h in range(n_heads) for i in range(w // 2) for j in range(2)]
    return b"".join(data[r * row : r * row + row] for r in order)


def gguf_name(name):
    layer = ""
    if name.startswith("model.layers."):
        number, name = name[len("model.layers.") :].split(".", 1)
        layer = "blk.%s." % number
    part, suffix = name.rsplit(".", 1)
    if part not in NAMES:
        sys.exit("export_gguf.py: tensor %s is no policy's" % name)
    return "%s%s.%s" % (layer, NAMES[part], suffix)


def put_weights(out, folder, config, arch, kind):
    heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}
    for name, (dtype, shape, data) in read_safetensors(os.path.join(folder, "model.safetensors")).items():
        if arch == "llama" and name.split(".")[-2] in heads:
            data = paired(data, shape, heads[name.split(".")[-2]])
        to = "F32" if len(shape) == 1 else kind
        if shape[-1] % TYPES[to][1]:
            to = "F16"
        out.tensor(gguf_name(name), TYPES[to][0], shape, data if to == dtype else coded(to, numbers(dtype, data)))


# ---- metadata


def put_config(out, config, arch, name, kind):
    head = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    out.put("general.architecture", STRING, arch)
    out.put("general.name", STRING, name)
    out.put("general.file_type", UINT, FILE_TYPES[kind])
    sizes = {
        "block_count": config["num_hidden_layers"], "context_length": config["max_position_embeddings"],
        "embedding_length": config["hidden_size"], "feed_forward_length": config["intermediate_size"],
        "attention.head_count": config["num_attention_heads"],
        "attention.head_count_kv": config["num_key_value_heads"], "attention.key_length": head,
        "attention.value_length": head, "rope.dimension_count": head, "vocab_size": config["vocab_size"],
    }
    for key, n in sizes.items():
        out.put("%s.%s" % (arch, key), UINT, n)
    out.put("%s.attention.layer_norm_rms_epsilon" % arch, FLOAT, config["rms_norm_eps"])
    out.put("%s.rope.freq_base" % arch, FLOAT, config["rope_theta"])


def put_tokenizer(out, folder, config, pattern):
    with open(os.path.join(folder, "tokenizer.json"), encoding="utf-8") as file:
        exact = file.read()
    whole = json.loads(exact)
    tokens, types = ["[PAD%d]" % i for i in range(config["vocab_size"])], [5] * config["vocab_size"]
    for token, i in whole["model"]["vocab"].items():
        tokens[i], types[i] = token, 1
    for token in whole["added_tokens"]:
        tokens[token["id"]], types[token["id"]] = token["content"], 3 if token["special"] else 4
    merges = [m if isinstance(m, str) else " ".join(m) for m in whole["model"]["merges"]]
    out.put("tokenizer.ggml.model", STRING, "gpt2")
    out.put("tokenizer.ggml.pre", STRING, pattern)
    out.put_list("tokenizer.ggml.tokens", STRING, tokens)
    out.put_list("tokenizer.ggml.token_type", INT, types)
    out.put_list("tokenizer.ggml.merges", STRING, merges)
    out.put("tokenizer.huggingface.json", STRING, exact)
    out.put("tokenizer.ggml.add_bos_token", BOOL, False)
    for key in "bos", "eos":
        ids = config.get(key + "_token_id")
        if ids is not None:
            out.put("tokenizer.ggml.%s_token_id" % key, UINT, ids[0] if isinstance(ids, list) else ids)
    with open(os.path.join(folder, "tokenizer_config.json"), encoding="utf-8") as file:
        template = json.load(file).get("chat_template")
    if template:
        out.put("tokenizer.chat_template", STRING, template)


def put_sampling(out, folder):
    path = os.path.join(folder, "generation_config.json")
    if not os.path.exists(path):
        return
    with open(path, encoding="utf-8") as file:
        said = json.load(file)
    for key, name, kind in ("temperature", "temp", FLOAT), ("top_p", "top_p", FLOAT), ("top_k", "top_k", INT):
        if key in said:
            out.put("general.sampling." + name, kind, said[key])


def export(folder, path, kind):
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    architectures = {"LlamaForCausalLM": "llama", "MistralForCausalLM": "llama", "Qwen2ForCausalLM": "qwen2",
                     "Qwen3ForCausalLM": "qwen3"}
    arch = architectures.get(config["architectures"][0])
    if not arch:
        sys.exit("export_gguf.py: %s is no policy that GGUF has" % config["architectures"][0])
    out = Writer()
    put_config(out, config, arch, os.path.basename(os.path.normpath(folder)), kind)
    put_tokenizer(out, folder, config, "qwen2")
    put_sampling(out, folder)
    put_weights(out, folder, config, arch, kind)
    out.write(path)


if __name__ == "__main__":
    if not 3 <= len(sys.argv) <= 4 or (len(sys.argv) == 4 and sys.argv[3] not in TYPES):
        sys.exit(__doc__)
    export(sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) == 4 else "F16")
