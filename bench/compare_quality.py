"""How far quantised weights take the bundled models from F32, here and in other engines, on the same GGUF files.

    compare_quality.py [--peer DIR ...] [--models small large] [--types F16 BF16 Q8_0 Q5_1 Q5_0 Q4_1 Q4_0] [--problems 12]

Each peer is SOURCE or SOURCE=BUILD as for compare_engine.py. Texts are problems of the bundled task with solutions that the large
model writes (seed 0). For each type:

    KL             mean divergence, in thousandths of a nat a token, of this engine on the quantised file from F32 weights and
                   activations (computed here, where the F32 path is checked against other engines by bench-logits)
    activations    the same from F32 activations with the quantised weights: what rounding the inputs of products costs alone
    perplexity     over that of F32, of the solutions' tokens
    first          tokens whose likeliest successor is the same as with F32
    more than here the difference of "activations" from this engine's on the same tokens, with a 95 % interval (bootstrap over texts):
                   above 0, the peer rounds worse

Types are also F16 and BF16: the models as such files, BF16 here with --weights bf16, so that inputs are rounded, too.

A line of each model says the same of F32 weights with keys and values in F16 (--kv); elsewhere they are F32, in every engine.

Files are quantised here (--weights); the bytes are those of llama.cpp's quantiser. Needs numpy and a C compiler.
"""
import argparse
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
LAB = os.path.join(HERE, "..", "lab")
sys.path[:0] = [HERE, LAB]
import compare_logits as logits  # noqa: E402
import export_gguf as gguf  # noqa: E402

SIZES = {0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34)}
ELEMENTS = {"F16": "file", "BF16": "bf16"}  # as --weights
FORMATS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}


# ---- GGUF files


def read_gguf(path):
    """The bytes, and name -> (type, offset, bytes) of the tensors; the header's parts that hold the metadata."""
    with open(path, "rb") as file:
        data = file.read()
    at = 24

    def take(form):
        nonlocal at
        (x,) = struct.unpack_from("<" + form, data, at)
        at += struct.calcsize("<" + form)
        return x

    def text():
        nonlocal at
        n = take("Q")
        at += n
        return data[at - n : at].decode("utf-8", "replace")

    def value(kind):
        if kind == 8:
            text()
        elif kind == 9:
            kind, n = take("I"), take("Q")
            for _ in range(n):
                value(kind)
        else:
            take(FORMATS[kind])

    n_tensors, n_entries = struct.unpack_from("<QQ", data, 8)
    for _ in range(n_entries):
        text()
        value(take("I"))
    entries_end, infos = at, []
    for _ in range(n_tensors):
        name = text()
        shape = [take("Q") for _ in range(take("I"))]
        infos.append((name, shape, take("I"), take("Q")))
    start = at + -at % 32
    tensors = {}
    for name, shape, kind, offset in infos:
        block, size = SIZES[kind]
        tensors[name] = (kind, shape, start + offset, int(np.prod(shape)) // block * size)
    return data, data[24:entries_end], n_entries, tensors


def write_with(path, source, replaced):
    """The file `source` with other tensors: name -> (type, bytes)."""
    data, entries, n_entries, tensors = source
    infos, parts, at = [], [], 0
    for name, (kind, shape, offset, n) in tensors.items():
        kind, part = replaced.get(name, (kind, data[offset : offset + n]))
        infos.append(gguf.text(name) + struct.pack("<I%dQIQ" % len(shape), len(shape), *shape, kind, at))
        parts.append(part + bytes(-len(part) % 32))
        at += len(parts[-1])
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), n_entries) + entries + b"".join(infos)
    with open(path, "wb") as out:
        out.write(head + bytes(-len(head) % 32) + b"".join(parts))


def fields(data, kind, *sizes):
    rows = np.frombuffer(data, np.uint8).reshape(-1, SIZES[kind][1])
    out, at = [], 0
    for n in sizes:
        out.append(np.ascontiguousarray(rows[:, at : at + n]))
        at += n
    return out


def half(x):
    return x.view("<f2").astype(np.float32)


def codes(low, fifth=None):
    q = np.hstack([low & 15, low >> 4]).astype(np.float32)
    return q if fifth is None else q + 16 * np.unpackbits(fifth, axis=1, bitorder="little").astype(np.float32)


def decode(kind, data):
    if kind == 8:
        d, q = fields(data, kind, 2, 32)
        return half(d) * q.view(np.int8)
    if kind == 2:
        d, q = fields(data, kind, 2, 16)
        return half(d) * (codes(q) - 8)
    if kind == 3:
        d, m, q = fields(data, kind, 2, 2, 16)
        return half(d) * codes(q) + half(m)
    if kind == 6:
        d, f, q = fields(data, kind, 2, 4, 16)
        return half(d) * (codes(q, f) - 16)
    d, m, f, q = fields(data, kind, 2, 2, 4, 16)
    return half(d) * codes(q, f) + half(m)


def make_files(brood, model, kind, folder):
    """F32.gguf, KIND.gguf and KIND-wide.gguf, whose weights are those of KIND, multiplied in F32."""
    whole = os.path.join(folder, "F32.gguf")
    for name in ("F32", kind) if kind in ELEMENTS else ("F32",):
        path = os.path.join(folder, name + ".gguf")
        if not os.path.exists(path):
            subprocess.run([sys.executable, os.path.join(LAB, "export_gguf.py"), model, path, name], check=True)
    if kind in ELEMENTS:
        os.link(os.path.join(folder, kind + ".gguf"), os.path.join(folder, kind + "-wide.gguf"))
        return
    cache = os.path.join(folder, "cache-" + kind)
    subprocess.run([brood, "model", whole, "--weights", kind], check=True, stdout=subprocess.DEVNULL,
                   env={**os.environ, "XDG_CACHE_HOME": cache})
    place = os.path.join(cache, "brood", "weights")
    data, _, _, tensors = read_gguf(os.path.join(place, os.listdir(place)[0]))
    narrow = {gguf.gguf_name(name): (k, data[at : at + n]) for name, (k, _, at, n) in tensors.items()}
    source = read_gguf(whole)
    write_with(os.path.join(folder, kind + ".gguf"), source, narrow)
    write_with(os.path.join(folder, kind + "-wide.gguf"), source,
               {name: (0, decode(k, part).astype("<f4").tobytes()) for name, (k, part) in narrow.items()})


# ---- texts and distances


def make_texts(brood, n, work):
    """Problems with a solution each."""
    run = os.path.join(work, "texts.brood")
    env = {**os.environ, "BROOD_SHARE": LAB}
    subprocess.run([brood, "bench", "lab:story", "--limit", str(n), "--policy", "lab:large", "--reward", "none", "--strategy",
                    "sample:n=1", "--run", run], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)
    lines = subprocess.run([brood, "report", "--jsonl", run], check=True, capture_output=True, text=True, env=env).stdout.splitlines()
    return [p["prompt"] + "\n\n" + p["solutions"][0]["text"] for p in map(json.loads, lines) if p.get("solutions")]


def log_softmax(x):
    x = x.astype(np.float64)
    x -= x.max(axis=1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=1, keepdims=True))


def of_texts(program, path, texts, work, more=None, weights="file"):
    """Log-probabilities at every position of every text, and the tokens that followed."""
    rows, nexts = [], []
    for ids in texts:
        x, _ = logits.run(program, path, ids, 0, work, len(ids), more, weights)
        rows.append(log_softmax(x)[:-1])
        nexts += [int(i) for i in ids[1:]]
    return np.vstack(rows), np.array(nexts)


def divergences(a, b):
    """Of b from a, at each position."""
    return (np.exp(a) * (a - b)).sum(axis=1)


def distance(a, b, nexts):
    """Of b from a: divergence, perplexity over a's, share of equal likeliest tokens."""
    at = np.arange(len(nexts))
    return divergences(a, b).mean(), np.exp((a[at, nexts] - b[at, nexts]).mean()), (a.argmax(axis=1) == b.argmax(axis=1)).mean()


def interval(differences, texts):
    """Of the mean over positions, when the texts that they come from are drawn anew."""
    ends = np.cumsum([len(ids) - 1 for ids in texts])
    sums = np.array([part.sum() for part in np.split(differences, ends[:-1])])
    sizes = np.diff(ends, prepend=0)
    draws = np.random.default_rng(0).integers(0, len(texts), (2000, len(texts)))
    return np.percentile(sums[draws].sum(axis=1) / sizes[draws].sum(axis=1), [2.5, 97.5])


def parse():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--peer", nargs="*", default=[])
    p.add_argument("--ours", default="build/release/bench_logits")
    p.add_argument("--brood", default="build/brood")
    p.add_argument("--models", nargs="*", default=["small", "large"])
    p.add_argument("--types", nargs="*", default=["F16", "BF16", "Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0"])
    p.add_argument("--problems", type=int, default=12)
    return p.parse_args()


def compile_peers(specs, work):
    engines = []
    for i, spec in enumerate(specs):
        source, _, build = spec.partition("=")
        program = os.path.join(work, "peer_%d" % i)
        logits.compile_peer(source, build or os.path.join(source, "build"), program)
        engines.append((os.path.basename(os.path.normpath(source)), program, 0))
    return engines


def main():
    a = parse()
    with tempfile.TemporaryDirectory() as work:
        engines = [("brood", a.ours, None), *compile_peers(a.peer, work)]
        texts = make_texts(a.brood, a.problems, work)
        print("%-6s %-5s %-16s %10s %12s %11s %8s   %s" % (
            "model", "type", "engine", "KL e-3", "activations", "perplexity", "first", "more than here"))
        for name in a.models:
            folder = os.path.join(work, name)
            os.makedirs(folder)
            for kind in a.types:
                make_files(a.brood, os.path.join(LAB, "models", name), kind, folder)
            ids = [[int(i) for i in logits.ids_of(a.ours, os.path.join(folder, "F32.gguf"), t)] for t in texts]
            whole, nexts = of_texts(a.ours, os.path.join(folder, "F32.gguf"), ids, work)
            half_kv, _ = of_texts(a.ours, os.path.join(folder, "F32.gguf"), ids, work, "f16")
            kl, perplexity, first = distance(whole, half_kv, nexts)
            print("%-6s %-5s %-16s %10.5f %12s %11.5f %6.2f %%" % (name, "F32", "brood, F16 KV", 1e3 * kl, "", perplexity, 100 * first))
            for kind in a.types:
                wide, _ = of_texts(a.ours, os.path.join(folder, kind + "-wide.gguf"), ids, work)
                ours = None
                for engine, program, n_ids in engines:
                    x, _ = of_texts(program, os.path.join(folder, kind + ".gguf"), ids, work, n_ids, ELEMENTS.get(kind, "file"))
                    kl, perplexity, first = distance(whole, x, nexts)
                    rounding = 1e3 * divergences(wide, x)
                    more = ""
                    if ours is not None:
                        more = "  %+.4f [%.4f, %.4f]" % ((rounding - ours).mean(), *interval(rounding - ours, ids))
                    ours = rounding if ours is None else ours
                    print("%-6s %-5s %-16s %10.4f %12.4f %11.5f %6.2f %%%s" % (
                        name, kind, engine, 1e3 * kl, rounding.mean(), perplexity, 100 * first, more), flush=True)
            shutil.rmtree(folder)
        print("%d texts, %d tokens" % (len(texts), len(nexts)))


if __name__ == "__main__":
    main()
