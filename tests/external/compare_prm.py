"""Scores of process reward models against the publishers' scoring code, re-stated in PyTorch.

    compare_prm.py BROOD

Makes a small model of random weights for every family that a profile knows, at its architecture and with a tokenizer of its
kind, scores solutions with `BROOD score`, and compares with what the published code does: each text is written and encoded as
a whole, each step read by a forward pass without a cache, in float32. Two of them are published as pickles: PyTorch writes
these, `BROOD convert` reads them. The largest difference that is allowed is 1e-4. Needs PyTorch; without it, it says so.
"""
import json
import os
import re
import struct
import subprocess
import sys
import tempfile

try:
    import torch
except ImportError:
    print("skipped: compare_prm.py needs PyTorch (Debian: python3-torch, with /usr/bin/python3)")
    sys.exit(0)

LIMIT = 1e-4
WIDTH, LAYERS, HEADS, KV, HEAD_WIDTH, FFN, THETA = 64, 3, 4, 2, 16, 96, 10000.0
PROBLEMS = [
    ("What is 3 plus 4?", [["We add 3 and 4.", "So 3 + 4 = 7.", "The answer is 7."], ["It is 8."]]),
    ("A box has 12 eggs; five boxes?", [["Each box: 12 eggs", "12 * 5 = 60", "so sixty", "done: 60 eggs"], ["60", "sixty!"]]),
    ("Name x with x + x = 9", [["x = 9/2", "x is 4.5, or (9) / (2)"]]),
]
SYSTEM = "Please reason step by step, and put your final answer within \\boxed{}."
CHATML = ("{%% for message in messages %%}{%% if loop.first and messages[0]['role'] != 'system' %%}"
          "{{ '<|im_start|>system\\n%s<|im_end|>\\n' }}{%% endif %%}"
          "{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{%% endfor %%}"
          "{%% if add_generation_prompt %%}{{ '<|im_start|>assistant\\n' }}{%% endif %%}" % SYSTEM.replace("\\", "\\\\"))
LLAMA3 = "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"


# ---- tokenizers, and how each encodes a text that has no special token in it

def spell(b):
    plain = [x for x in range(256) if 33 <= x <= 126 or 161 <= x and x != 173]
    return chr(b) if b in plain else chr(256 + [x for x in range(256) if x not in plain].index(b))


class Bytes:
    """Byte-level BPE."""
    PATTERN = r" ?[A-Za-z]+|[0-9]| ?[^\sA-Za-z0-9]+[\r\n]*|\s*[\r\n]+|\s+"
    MERGES = [(b"\n", b"\n"), (b".", b"\n\n"), (b"t", b"h"), (b"th", b"e"), (b" ", b"s"), (b" s", b"o"), (b" ", b"+"), (b"a", b"n"),
              (b"Y", b"e"), (b"Ye", b"s"), (b"N", b"o"), (b"e", b"s"), (b" ", b"-"), (b"i", b"s")]

    def __init__(self, specials, bos=None):
        self.ids = {bytes([b]): b for b in range(256)}
        self.merges = self.MERGES
        for a, b in self.merges:
            self.ids[a + b] = len(self.ids)
        self.rank = {m: i for i, m in enumerate(self.merges)}
        self.special = {s: len(self.ids) + i for i, s in enumerate(specials)}
        self.size, self.bos = len(self.ids) + len(specials), bos

    def encode(self, text):
        out = []
        for piece in re.findall(self.PATTERN, text):
            parts = [bytes([b]) for b in piece.encode()]
            while True:
                ranked = [(self.rank[p], i) for i, p in enumerate(zip(parts, parts[1:])) if p in self.rank]
                if not ranked:
                    break
                i = min(ranked)[1]
                parts[i: i + 2] = [parts[i] + parts[i + 1]]
            out += [self.ids[p] for p in parts]
        return out

    def files(self):
        def written(b):
            return "".join(spell(x) for x in b)
        added = [{"id": i, "content": s, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
                 for s, i in self.special.items()]
        tail = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
        split = {"type": "Split", "pattern": {"Regex": self.PATTERN}, "behavior": "Isolated", "invert": False}
        return {"version": "1.0", "added_tokens": added, "normalizer": None, "post_processor": None, "decoder": tail,
                "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, tail]},
                "model": {"type": "BPE", "vocab": {written(t): i for t, i in self.ids.items()},
                          "merges": ["%s %s" % (written(a), written(b)) for a, b in self.merges]}}


class Pieces:
    """SentencePiece-style BPE with byte fallback, as Mistral has it."""
    MERGES = [("\u043a", "\u0438"), ("\u2581", "\u043a\u0438"), ("\u2581", "+"), ("\u2581", "-"), ("t", "h"), ("th", "e"), ("a", "n"),
              ("\u2581", "s"), ("\u2581s", "o"), ("e", "s"), ("i", "s")]

    def __init__(self):
        singles = [chr(c) for c in range(33, 127)] + ["\u2581", "\u043a", "\u0438"]
        self.ids = {"<unk>": 0, "<s>": 1, "</s>": 2}
        for b in range(256):
            self.ids["<0x%02X>" % b] = 3 + b
        for token in singles + [a + b for a, b in self.MERGES]:
            self.ids[token] = len(self.ids)
        self.rank = {m: i for i, m in enumerate(self.MERGES)}
        self.size, self.bos = len(self.ids), "<s>"

    def encode(self, text):
        parts = []
        for c in "\u2581" + text.replace(" ", "\u2581"):
            parts += [c] if c in self.ids else ["<0x%02X>" % b for b in c.encode()]
        while True:
            ranked = [(self.rank[p], i) for i, p in enumerate(zip(parts, parts[1:])) if p in self.rank]
            if not ranked:
                return [self.ids[p] for p in parts]
            i = min(ranked)[1]
            parts[i: i + 2] = [parts[i] + parts[i + 1]]

    def files(self):
        added = [{"id": i, "content": s, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
                 for i, s in enumerate(["<unk>", "<s>", "</s>"])]
        normal = [{"type": "Prepend", "prepend": "\u2581"}, {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]
        decode = [{"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
                  {"type": "Strip", "content": " ", "start": 1, "stop": 0}]
        return {"version": "1.0", "added_tokens": added, "normalizer": {"type": "Sequence", "normalizers": normal},
                "pre_tokenizer": None, "post_processor": None, "decoder": {"type": "Sequence", "decoders": decode},
                "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True, "vocab": self.ids,
                          "merges": ["%s %s" % m for m in self.MERGES]}}


# ---- models

def make_weights(size, biases, head, generator, dtype):
    def matrix(rows, columns, scale=1.5):
        return torch.randn(rows, columns, generator=generator) * (scale / columns**0.5)

    def vector(n, center):
        return center + 0.2 * torch.randn(n, generator=generator)

    w = {"model.embed_tokens.weight": matrix(size, WIDTH, 8.0), "model.norm.weight": vector(WIDTH, 1.0)}
    for i in range(LAYERS):
        p = "model.layers.%d." % i
        w[p + "input_layernorm.weight"] = vector(WIDTH, 1.0)
        w[p + "post_attention_layernorm.weight"] = vector(WIDTH, 1.0)
        for name, rows, columns in (("q", HEADS * HEAD_WIDTH, WIDTH), ("k", KV * HEAD_WIDTH, WIDTH), ("v", KV * HEAD_WIDTH, WIDTH),
                                    ("o", WIDTH, HEADS * HEAD_WIDTH)):
            w[p + "self_attn.%s_proj.weight" % name] = matrix(rows, columns)
            if biases and name != "o":
                w[p + "self_attn.%s_proj.bias" % name] = vector(rows, 0.0)
        w[p + "mlp.gate_proj.weight"] = matrix(FFN, WIDTH)
        w[p + "mlp.up_proj.weight"] = matrix(FFN, WIDTH)
        w[p + "mlp.down_proj.weight"] = matrix(WIDTH, FFN)
    shapes = {"lm": [("lm_head.weight", size, WIDTH)], "value": [("v_head.summary.weight", 1, WIDTH), ("v_head.summary.bias", 1, 0)],
              "class": [("score.weight", 2, WIDTH), ("score.bias", 2, 0)], "sequence": [("score.weight", 1, WIDTH)],
              "mlp2": [("score.0.weight", WIDTH, WIDTH), ("score.0.bias", WIDTH, 0), ("score.2.weight", 2, WIDTH), ("score.2.bias", 2, 0)],
              "mlp1": [("score.0.weight", WIDTH, WIDTH), ("score.0.bias", WIDTH, 0), ("score.2.weight", 1, WIDTH), ("score.2.bias", 1, 0)]}
    for name, rows, columns in shapes[head]:
        w[name] = matrix(rows, columns) if columns else vector(rows, 0.0)
    return {name: t.to(dtype) for name, t in w.items()}


def norm(x, weight):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * weight


def turn(x):
    half = x.shape[-1] // 2
    angles = torch.arange(x.shape[1]).float()[:, None] * THETA ** (-torch.arange(half).float() / half)
    angles = torch.cat((angles, angles), -1)
    rotated = torch.cat((-x[..., half:], x[..., :half]), -1)
    return x * angles.cos() + rotated * angles.sin()


def states(w, ids):
    """What the last norm gives at every position: [T, WIDTH]."""
    def linear(x, name):
        return torch.nn.functional.linear(x, w[name + ".weight"], w.get(name + ".bias"))

    n = len(ids)
    x = w["model.embed_tokens.weight"][torch.tensor(ids)]
    mask = torch.full((n, n), float("-inf")).triu(1)
    for i in range(LAYERS):
        p = "model.layers.%d." % i
        h = norm(x, w[p + "input_layernorm.weight"])
        q = turn(linear(h, p + "self_attn.q_proj").view(n, HEADS, HEAD_WIDTH).transpose(0, 1))
        k = turn(linear(h, p + "self_attn.k_proj").view(n, KV, HEAD_WIDTH).transpose(0, 1)).repeat_interleave(HEADS // KV, 0)
        v = linear(h, p + "self_attn.v_proj").view(n, KV, HEAD_WIDTH).transpose(0, 1).repeat_interleave(HEADS // KV, 0)
        a = torch.softmax(q @ k.transpose(1, 2) / HEAD_WIDTH**0.5 + mask, -1) @ v
        x = x + linear(a.transpose(0, 1).reshape(n, -1), p + "self_attn.o_proj")
        h = norm(x, w[p + "post_attention_layernorm.weight"])
        gate = torch.nn.functional.silu(linear(h, p + "mlp.gate_proj"))
        x = x + linear(gate * linear(h, p + "mlp.up_proj"), p + "mlp.down_proj")
    return norm(x, w["model.norm.weight"])


def logits_of(w, ids):
    return states(w, ids) @ w["lm_head.weight"].T


def two_layers(w, h):
    inner = torch.relu(h @ w["score.0.weight"].T + w["score.0.bias"])
    return inner @ w["score.2.weight"].T + w["score.2.bias"]


# ---- the published scoring codes: the scores of a solution's steps

def chatml(t, turns, open_answer=False):
    out = []
    for role, text in turns:
        out += [t.special["<|im_start|>"]] + t.encode(role + "\n" + text) + [t.special["<|im_end|>"]] + t.encode("\n")
    return out + ([t.special["<|im_start|>"]] + t.encode("assistant\n") if open_answer else [])


def math_shepherd(w, t, problem, steps):
    good, bad = t.encode("+")[-1], t.encode("-")[-1]
    tag = t.encode("\u043a\u0438")[-1]
    text = problem + " " + "\n".join("%s \u043a\u0438" % s for s in steps)
    ids = [1] + t.encode(text)
    scores = logits_of(w, ids)[:, [good, bad]].softmax(-1)[:, 0]
    return scores[torch.tensor(ids) == tag]


def rlhflow(w, t, problem, steps):
    good, bad = t.encode("+")[-1], t.encode("-")[-1]
    start, end, eot = (t.special["<|%s|>" % s] for s in ("start_header_id", "end_header_id", "eot_id"))

    def turn_of(role, text):
        return [start] + t.encode(role) + [end] + t.encode("\n\n" + text) + [eot]
    scores, ids = [], [t.special["<|begin_of_text|>"]] + turn_of("system", LLAMA3)
    for k, step in enumerate(steps):
        ids = ids + turn_of("user", problem + " " + step if k == 0 else step) + turn_of("assistant", "+")
        scores.append(logits_of(w, ids)[-3, [good, bad]].softmax(-1)[0])
    return torch.stack(scores)


def skywork(w, t, problem, steps):
    ids, marks = [t.special[t.bos]] + t.encode(problem + "\n"), []
    for step in steps:
        ids = ids + t.encode(step) + t.encode("\n")
        marks.append(len(ids) - 1)
    values = states(w, ids) @ w["v_head.summary.weight"].T + w["v_head.summary.bias"]
    return torch.sigmoid(values[marks, 0])


def qwen_prm(w, t, problem, steps):
    mark = t.special["<extra_0>"]
    ids = chatml(t, [("system", SYSTEM), ("user", problem)]) + [t.special["<|im_start|>"]] + t.encode("assistant\n" + steps[0]) + [mark]
    for step in steps[1:]:
        ids += t.encode(step) + [mark]
    ids += [t.special["<|im_end|>"]] + t.encode("\n")
    scores = two_layers(w, states(w, ids)).softmax(-1)
    return scores[torch.tensor(ids) == mark][:, 1]


def qwen_rm(w, t, problem, steps):
    return torch.stack([torch.sigmoid(two_layers(w, states(w, chatml(t, [
        ("system", SYSTEM), ("user", problem), ("assistant", "\n\n".join(steps[:n]))])))[-1, 0]) for n in range(1, len(steps) + 1)])


def trl(w, t, problem, steps):
    """The separator's tokens behind the problem and behind each step, as the model cards join them; each part on its own, as the
    trainer encodes them."""
    separator, marks = t.encode("\n\n"), []
    ids = t.encode(problem) + separator
    for step in steps:
        ids = ids + t.encode(step) + separator
        marks.append(len(ids) - 1)
    y = states(w, ids) @ w["score.weight"].T + w["score.bias"]
    return y[marks].softmax(-1)[:, 1]


def sequence(w, t, problem, steps):
    return torch.stack([torch.sigmoid((states(w, chatml(t, [
        ("system", SYSTEM), ("user", problem), ("assistant", "\n\n".join(steps[:n]))])) @ w["score.weight"].T)[-1, 0])
        for n in range(1, len(steps) + 1)])


JUDGE = "Problem: %s\nSteps:\n%s\nIs the last step right?"


def judge(w, t, problem, steps):
    good, bad = t.encode("Yes"), t.encode("No")
    assert len(good) == len(bad) == 1
    return torch.stack([logits_of(w, chatml(t, [("system", SYSTEM), ("user", JUDGE % (problem, "\n\n".join(steps[:n])))], True))[
        -1, [good[0], bad[0]]].softmax(-1)[0] for n in range(1, len(steps) + 1)])


# ---- folders

def write_safetensors(path, w):
    names = {torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16"}
    header, data = {}, b""
    for name, tensor in w.items():
        raw = (tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor).numpy().tobytes()
        header[name] = {"dtype": names[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def write_model(folder, arch, head, t, w, chat, pickled, brood):
    os.makedirs(folder)
    config = {"architectures": [arch], "model_type": arch.split("For")[0].lower(), "vocab_size": t.size, "hidden_size": WIDTH,
              "intermediate_size": FFN, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "num_key_value_heads": KV,
              "head_dim": HEAD_WIDTH, "hidden_act": "silu", "max_position_embeddings": 1024, "rms_norm_eps": 1e-5, "rope_theta": THETA,
              "tie_word_embeddings": False, "eos_token_id": 2}
    if head in ("class", "sequence"):
        config["num_labels"] = 2 if head == "class" else 1
    settings = {"add_bos_token": isinstance(t, Pieces), "eos_token": "</s>" if isinstance(t, Pieces) else list(t.special)[0]}
    settings.update({"bos_token": t.bos} if t.bos else {})
    settings.update({"chat_template": chat} if chat else {})
    for name, content in (("config.json", config), ("tokenizer.json", t.files()), ("tokenizer_config.json", settings)):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            json.dump(content, file)
    if pickled:
        torch.save(w, os.path.join(folder, "pytorch_model.bin"))
        subprocess.run([brood, "convert", folder], check=True, stdout=subprocess.DEVNULL)
    else:
        write_safetensors(os.path.join(folder, "model.safetensors"), w)


QWEN = ["<|im_end|>", "<|im_start|>", "<|endoftext|>", "<extra_0>"]
HEADERS = ["<|eot_id|>", "<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>"]
FAMILIES = [  # profile, folder, architecture, head, tokenizer, chat template, published code, type, pickled, --reward's profile
    ("math-shepherd", "math-shepherd-mistral-7b-prm", "MistralForCausalLM", "lm", Pieces, None, math_shepherd, torch.bfloat16, True, ""),
    ("rlhflow", "Llama3.1-8B-PRM-Deepseek-Data", "LlamaForCausalLM", "lm", lambda: Bytes(HEADERS, "<|begin_of_text|>"), None, rlhflow,
     torch.bfloat16, False, ""),
    ("rlhflow", "Llama3.1-8B-PRM-Mistral-Data", "LlamaForCausalLM", "lm", lambda: Bytes(HEADERS, "<|begin_of_text|>"), None, rlhflow,
     torch.float32, False, ""),
    ("skywork-o1-open-prm", "Skywork-o1-Open-PRM", "Qwen2ForPrmModel", "value", lambda: Bytes(QWEN, "<|endoftext|>"), CHATML, skywork,
     torch.float16, True, ""),
    ("qwen2.5-math-prm", "Qwen2.5-Math-PRM", "Qwen2ForProcessRewardModel", "mlp2", lambda: Bytes(QWEN), CHATML, qwen_prm, torch.bfloat16,
     False, ""),
    ("qwen2.5-math-rm", "Qwen2.5-Math-RM", "Qwen2ForRewardModel", "mlp1", lambda: Bytes(QWEN), CHATML, qwen_rm, torch.float32, False, ""),
    ("token-classification", "Qwen2.5-Math-PRM-0.2", "Qwen2ForTokenClassification", "class", lambda: Bytes(QWEN), CHATML, trl,
     torch.float32, False, ""),
    ("sequence-classification", "Reward-Llama", "LlamaForSequenceClassification", "sequence", lambda: Bytes(QWEN), CHATML, sequence,
     torch.float32, False, ""),
    ("generative-judge", "Qwen2.5-Instruct", "Qwen2ForCausalLM", "lm", lambda: Bytes(QWEN), CHATML, judge, torch.float32, False,
     ",profile=%s/judge.json"),
]


def compare(brood, work, row, seed):
    name, place, arch, head, tokenizer, chat, published, dtype, pickled, suffix = row
    t, folder = tokenizer(), os.path.join(work, place)
    w = make_weights(t.size, arch.startswith("Qwen2"), head, torch.Generator().manual_seed(seed), dtype)
    write_model(folder, arch, head, t, w, chat, pickled, brood)
    if suffix:
        with open(os.path.join(folder, "judge.json"), "w", encoding="utf-8") as file:
            json.dump({"prompt": JUDGE % ("{problem}", "{steps}"), "good": "Yes", "bad": "No"}, file)
    else:
        told = json.loads(subprocess.run([brood, "model", "--json", folder], check=True, stdout=subprocess.PIPE).stdout)["step_reward"]
        if not told or told["profile"] != name:
            sys.exit("%s: the profile is %s" % (place, told and told["profile"]))
    lines = "".join(json.dumps({"problem": p, "solutions": [{"text": "\n\n".join(s) + "\n\n"} for s in ss]}) + "\n" for p, ss in PROBLEMS)
    done = subprocess.run([brood, "score", "-", "--reward", folder + (suffix % folder if suffix else ""), "--threads", "1"], check=True,
                          input=lines.encode(), stdout=subprocess.PIPE)
    w = {k: x.float() for k, x in w.items()}
    largest, n, spread = 0.0, 0, []
    for line, (problem, solutions) in zip(done.stdout.decode().splitlines(), PROBLEMS):
        for got, steps in zip(json.loads(line)["solutions"], solutions):
            want = published(w, t, problem, steps).tolist()
            if len(got["rewards"]) != len(want) or len(want) != len(steps):
                sys.exit("%s: %d scores here and %d there, of %d steps" % (place, len(got["rewards"]), len(want), len(steps)))
            largest = max([largest] + [abs(a - b) for a, b in zip(got["rewards"], want)])
            n, spread = n + len(want), spread + want
    print("%-24s %-30s %3d steps, scores %.3f to %.3f, largest difference %.1e" % (name, place, n, min(spread), max(spread), largest))
    return largest < LIMIT and max(spread) - min(spread) > 0.05


def main():
    brood = os.path.abspath(sys.argv[1])
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as work, torch.no_grad():
        good = [compare(brood, work, row, 11 + i) for i, row in enumerate(FAMILIES)]
    if not all(good):
        sys.exit("compare_prm.py: %d of %d families differ by more than %g" % (good.count(False), len(good), LIMIT))


if __name__ == "__main__":
    main()
