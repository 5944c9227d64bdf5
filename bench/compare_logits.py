"""Logits and greedy tokens beside another engine's on the same GGUF files.

    compare_logits.py --peer DIR [--peer-build DIR] [--ours build/release/bench_logits] [--greedy 200] [--prompts 1] MODELS...

DIR is the source of an engine with llama.cpp's C interface, --peer-build where it was built (default DIR/build):
include/llama.h, and libllama and libggml as shared libraries. Each of MODELS is a folder that make_model.py wrote.
Needs numpy and a C compiler. Differences are the largest of any logit, over the range of the F32 logits:

    ours-peer   between the engines, on this file
    ours-F32    between this file and the F32 file, here: what the type costs
    peer-F32    the same there
    greedy      how many of the greedy tokens are equal from the first on, here and there (types without blocks)

With --prompts N, types in blocks are measured on N prompts: the two distances are means, and behind them stand the ratios
ours-F32 / peer-F32 of the largest differences and of the root mean squares, each a geometric mean with its interval of 95 %.
"""
import argparse
import glob
import json
import math
import os
import subprocess
import sys
import tempfile

import numpy as np

MARKS, PROMPT = 8, 48
TEXTS = ["Hello world, it's 12345 apples!", "  def f(x):\n\treturn x**2  # don't\n\n\n", "Ça coûte 3,50 € — naïve façade…",
         "数学の問題を解く。 x²+y²=z²", "tabs\t\tand   spaces \n \n end", "I'LL we'Ve 'S 's 007 1000000"]


def compile_peer(peer, build, out):
    libraries = [p for name in ("libllama.so", "libggml*.so") for p in glob.glob(os.path.join(build, "**", name), recursive=True)]
    if not libraries:
        sys.exit("compare_logits.py: no libllama.so under %s" % build)
    header = " ".join(open(os.path.join(peer, "include", "llama.h"), encoding="utf-8").read().split())
    define = ["-DPEER_TOKENIZE=llama_vocab_tokenize"] if "llama_vocab_tokenize(" in header else []
    define += ["-DPEER_FLASH_TYPE"] if "llama_flash_attn_type flash_attn_type;" in header else []
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "peer_logits.c")
    folders = sorted({os.path.dirname(p) for p in libraries})
    subprocess.run(["cc", "-O1", source, "-o", out, "-I" + os.path.join(peer, "include"),
                    "-I" + os.path.join(peer, "ggml", "include"), *define, *libraries, "-Wl,-rpath," + ":".join(folders)], check=True)


def run(program, model, ids, greedy, folder, marks=MARKS, more=None, weights="file"):
    """more: for the peer, how many ids can be drawn, 0: all; here, how keys and values are kept. weights: here, as --weights."""
    path = os.path.join(folder, "out")
    last = [] if more is None else [str(more)]
    subprocess.run([program, model, str(marks), str(greedy), path, *last], input="\n".join(map(str, ids)).encode(), check=True,
                   env={**os.environ, "BENCH_WEIGHTS": weights})
    with open(path, "rb") as file:
        n_marks, n_vocab, n_greedy = np.frombuffer(file.read(12), np.int32)
        logits = np.frombuffer(file.read(4 * n_marks * n_vocab), np.float32).reshape(n_marks, n_vocab)
        return logits, np.frombuffer(file.read(4 * n_greedy), np.int32)


def ids_of(program, model, text):
    return subprocess.run([program, model, "-"], input=text.encode(), check=True, capture_output=True).stdout.split()


def equal_from_first(a, b):
    different = np.flatnonzero(a != b)
    return int(different[0]) if len(different) else len(a)


def distance(a, b, spread):
    return float(np.abs(a.astype(np.float64) - b).max() / spread)


def count_ids(folder):
    with open(os.path.join(folder, "hf", "tokenizer.json"), encoding="utf-8") as file:
        tokenizer = json.load(file)
    return len(tokenizer["model"]["vocab"]) + len(tokenizer["added_tokens"])


def quantile_t(n):
    """Student's 97.5 % point of n - 1 degrees of freedom (Cornish and Fisher's expansion; n of 6 or more)."""
    z, v = 1.959964, n - 1
    return z + (z**3 + z) / (4 * v) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2) + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)


def interval(ratios):
    logs, n = np.log(ratios), len(ratios)
    middle, half = logs.mean(), quantile_t(n) * logs.std(ddof=1) / math.sqrt(n)
    return "%.3f [%.3f, %.3f]" % (math.exp(middle), math.exp(middle - half), math.exp(middle + half))


def root_mean_square(a, b):
    return float(np.sqrt(np.square(a.astype(np.float64) - b).mean()))


def measure_prompts(path, first, prompts, ours, peer, work, n_ids, whole):
    """A line on one type in blocks over several prompts; `whole` keeps the F32 results of each."""
    far, mean = [], []
    for i, ids in enumerate(prompts):
        if i not in whole:
            whole[i] = run(ours, first, ids, 0, work)[0], run(peer, first, ids, 0, work, more=n_ids)[0]
        a, b = whole[i]
        x, y = run(ours, path, ids, 0, work)[0], run(peer, path, ids, 0, work, more=n_ids)[0]
        spread = float(a.max() - a.min())
        far.append((distance(x, y, spread), distance(x, a, spread), distance(y, b, spread)))
        mean.append(root_mean_square(x, a) / root_mean_square(y, b))
    far = np.array(far)
    print("%-6s %10.1e %10.1e %10.1e   largest %s   root mean square %s" % (
        os.path.basename(path)[:-5], *far.mean(axis=0), interval(far[:, 1] / far[:, 2]), interval(mean)), flush=True)


def compare(folder, ours, peer, greedy, work, n_prompts):
    first = os.path.join(folder, "F32.gguf")
    print("\n%s" % folder)
    equal = sum(ids_of(ours, first, t) == ids_of(peer, first, t) for t in TEXTS)
    print("texts encoded the same by both: %d of %d" % (equal, len(TEXTS)))
    n_ids = count_ids(folder)
    prompts = [np.random.default_rng(7 + i).integers(min(256, n_ids // 2), min(30000, n_ids), PROMPT) for i in range(n_prompts)]
    ids, whole = prompts[0], {}
    a, greedy_a = run(ours, first, ids, greedy, work)
    b, greedy_b = run(peer, first, ids, greedy, work, more=n_ids)
    hf, greedy_hf = run(ours, os.path.join(folder, "hf"), ids, greedy, work)
    spread = float(a.max() - a.min())
    print("folder and F32.gguf: %s, greedy tokens equal: %d of %d" % (
        "the same bits" if np.array_equal(a, hf) else "%.1e" % distance(a, hf, spread), equal_from_first(greedy_a, greedy_hf), greedy))
    print("%-6s %10s %10s %10s %8s" % ("type", "ours-peer", "ours-F32", "peer-F32", "greedy"))
    print("%-6s %10.1e %10s %10s %4d/%d" % ("F32", distance(a, b, spread), "", "", equal_from_first(greedy_a, greedy_b), greedy))
    for path in sorted(glob.glob(os.path.join(folder, "*.gguf"))):
        if path == first:
            continue
        kind = os.path.basename(path)[:-5]
        if n_prompts > 1 and kind not in ("F16", "BF16"):
            measure_prompts(path, first, prompts, ours, peer, work, n_ids, whole)
            continue
        n = greedy if kind in ("F16", "BF16") else 0
        x, greedy_x = run(ours, path, ids, n, work)
        y, greedy_y = run(peer, path, ids, n, work, more=n_ids)
        print("%-6s %10.1e %10.1e %10.1e %s" % (
            kind, distance(x, y, spread), distance(x, a, spread), distance(y, b, spread),
            "%4d/%d" % (equal_from_first(greedy_x, greedy_y), n) if n else ""), flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("models", nargs="+")
    p.add_argument("--peer", required=True)
    p.add_argument("--peer-build")
    p.add_argument("--ours", default="build/release/bench_logits")
    p.add_argument("--greedy", type=int, default=200)
    p.add_argument("--prompts", type=int, default=1)
    a = p.parse_args()
    if a.prompts != 1 and a.prompts < 6:
        sys.exit("compare_logits.py: --prompts takes 1, or 6 and more")
    with tempfile.TemporaryDirectory() as work:
        peer = os.path.join(work, "peer_logits")
        compile_peer(a.peer, a.peer_build or os.path.join(a.peer, "build"), peer)
        for folder in a.models:
            compare(folder, a.ours, peer, a.greedy, work, a.prompts)


if __name__ == "__main__":
    main()
