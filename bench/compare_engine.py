"""Speed and memory of the engine beside other engines' on the same GGUF files; a table as it goes, and resumable.

    compare_engine.py --peer DIR... [--shapes llama-1b/Q8_0 ...] [--cases single read sample tree] [--samples 1 4 16 64 256]
                      [--tokens 128] [--repeat 3] [--threads 2] [--rounds N] [--models DIR] [--out DIR] [--limit SECONDS]

Each peer is SOURCE, SOURCE=BUILD or either with :unified: the source of an engine with llama.cpp's C interface, built as shared
libraries under BUILD (default SOURCE/build); :unified keeps all sequences in one cache. Cases:

    single   one sequence of --tokens after one token, as llama-bench's tg
    read     a prompt of 512 tokens, with the logits of its end, as llama-bench's pp
    sample   N continuations of --tokens after a shared prompt of 256, as llama-batched-bench -pps (peers do not sample, here does)
    tree     the tree of a real beam search on the bundled models: its steps written and scored again, token for token. A peer
             is driven with whole prefixes (every text is read again in every round) and, in a line of its own, with kept ones

Every process is run --repeat times, all engines in turn, and beside each round stand the machine's limits (bench_limits): the
share is the time that the weights' bytes or multiply-adds take at the limit, whichever is longer, over the time taken; attention
is not counted. Results go to OUT/results.jsonl as they come; the same command again measures only what is missing, and what
another build of a program measured is not used. A run longer than --limit is given up, and said to be.

A shape that ends in @TYPE is the same file, here with --weights TYPE; a peer takes it as it does by itself.
"""
import argparse
import glob
import hashlib
import json
import os
import sqlite3
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SHAPES = {"llama-1b": ("llama3", 16), "qwen-0.5b": ("qwen2-0.5b", 24), "qwen3-0.6b": ("qwen3", 28)}
DEFAULT_SHAPES = ["llama-1b/Q8_0", "llama-1b/Q4_0", "llama-1b/F16", "qwen-0.5b/Q8_0"]
CASES = ["single", "read", "sample", "tree"]
PROMPT, READ = 256, 512


def say(text):
    print(text, flush=True)


def progress(text):
    """On a terminal, a line that the next one takes the place of."""
    if sys.stdout.isatty():
        print("\r%-60s\r%s" % ("", text), end="", flush=True)


def digest(*paths):
    h = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            while chunk := file.read(1 << 20):
                h.update(chunk)
    return h.hexdigest()[:16]


# ---- engines


class Brood:
    name = "brood"

    def __init__(self, program):
        self.program, self.identity = program, digest(program)

    def command(self, model, threads, case, weights):
        return [self.program, model, str(threads), *case], {"BENCH_WEIGHTS": weights or "file"}


class Peer:
    def __init__(self, spec, out):
        spec, self.unified = (spec[:-8], True) if spec.endswith(":unified") else (spec, False)
        source, _, build = spec.partition("=")
        build = build or os.path.join(source, "build")
        self.name = os.path.basename(os.path.normpath(source)) + ("-unified" if self.unified else "")
        libraries = sorted({p for name in ("libllama.so", "libggml*.so")
                            for p in glob.glob(os.path.join(build, "**", name), recursive=True)})
        if not any(p.endswith("libllama.so") for p in libraries):
            sys.exit("compare_engine.py: no libllama.so under %s; build %s there, or name its build: SOURCE=BUILD" % (build, source))
        with open(os.path.join(source, "include", "llama.h"), encoding="utf-8") as file:
            header = " ".join(file.read().split())
        defines = ["-D" + name for name, sign in (
            ("PEER_MEMORY", "llama_memory_clear("), ("PEER_FLASH_TYPE", "llama_flash_attn_type flash_attn_type;"),
            ("PEER_REPACK", "bool repack_tensors;"), ("PEER_STREAMS", "bool kv_unified;")) if sign in header]
        self.program = os.path.join(out, "peer_" + self.name)
        subprocess.run(["cc", "-O1", os.path.join(HERE, "peer_engine.c"), "-o", self.program,
                        "-I" + os.path.join(source, "include"), "-I" + os.path.join(source, "ggml", "include"), *defines, *libraries,
                        "-Wl,-rpath," + ":".join(sorted({os.path.dirname(p) for p in libraries}))], check=True)
        self.identity = digest(self.program, *libraries)

    def command(self, model, threads, case, _):
        kv = "unified" if self.unified or case[-1] == "kept" else "streams"
        return [self.program, model, str(threads), *case], {"PEER_KV": kv}


# ---- what is measured


def make_model(shape, kind, folder):
    """The file of a shape and a type, made if it is not there."""
    path = os.path.join(folder, shape, kind + ".gguf")
    if not os.path.exists(path):
        say("making %s ..." % path)
        maker, layers = SHAPES[shape]
        subprocess.run([sys.executable, os.path.join(HERE, "make_model.py"), maker, os.path.join(folder, shape), "--layers",
                        str(layers), "--types", kind, "--speed"], check=True)
    return path


def make_trace(brood, out, rounds):
    """The tree of a problem that a beam search solved: round, parent and tokens of each node, in the order of rounds."""
    run, path = os.path.join(out, "trace.brood"), os.path.join(out, "trace.txt")
    if os.path.exists(run):
        os.remove(run)
    subprocess.run([brood, "bench", "lab:story", "--limit", "12", "--strategy", "beam:n=16", "--run", run], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "BROOD_SHARE": os.path.join(HERE, "..", "lab")})
    with sqlite3.connect(run) as db:
        trees = {}
        for problem, node, n in db.execute("select problem, path, n_tokens from node"):
            trees.setdefault(problem, {})[node] = n
        problem = max(trees, key=lambda p: (len(trees[p]), -p))
        (n_prompt,) = db.execute("select policy_read from problem where ordinal = ?", (problem,)).fetchone()
    nodes = sorted(((node.count("."), [int(x) for x in node.split(".")], node) for node in trees[problem]))
    number, lines = {}, ["prompt %d" % n_prompt]
    for depth, _, node in nodes:
        if rounds and depth >= rounds:
            break
        parent = number[node.rpartition(".")[0]] if depth else -1
        number[node] = len(number)
        lines.append("%d %d %d" % (depth, parent, max(trees[problem][node], 1)))
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    return path, digest(path)


def list_cases(a, trace):
    """Name, arguments of a program, arguments of a peer (several ways)."""
    for case in a.cases:
        if case == "single":
            yield "single", ["sample", "1", str(a.tokens), "1"], {"": ["sample", "1", str(a.tokens), "1"]}
        elif case == "read":
            yield "read %d" % READ, ["read", str(READ)], {"": ["read", str(READ)]}
        elif case == "sample":
            for n in a.samples:
                args = ["sample", str(PROMPT), str(a.tokens), str(n)]
                yield "sample %d x %d" % (n, a.tokens), args, {"": args}
        else:
            yield "tree", ["tree", trace], {" whole": ["tree", trace, "whole"], " kept": ["tree", trace, "kept"]}


# ---- running


LIMITS = {"read", "f32", "bf16", "int8"}


class Results:
    def __init__(self, path):
        self.path, self.all = path, {}
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                for line in file:
                    if line.endswith("\n"):
                        r = json.loads(line)
                        if "failed" in r or LIMITS <= r["limits"].keys(): # else of an earlier version: measured anew
                            self.all[tuple(r["key"])] = r

    def put(self, key, result):
        result["key"] = list(key)
        self.all[tuple(key)] = result
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(result) + "\n")


def measure(command, more, limit):
    env = {**os.environ, **more}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit or None, env=env)
    except subprocess.TimeoutExpired:
        return {"failed": "over %d s" % limit}
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        return {"failed": lines[-1] if lines else "status %d" % done.returncode}
    return json.loads(done.stdout)


def limits_of(a):
    return json.loads(subprocess.run([os.path.join(a.build, "bench_limits"), str(a.threads)], check=True, capture_output=True,
                                     text=True).stdout)


def floor_seconds(case, about, limits, result, unit):
    """The least time that the machine could take, and what sets it: memory or multiply-adds."""
    bytes_, body, head = about["bytes"], about["body"], about["head"]
    speed = limits.get(unit) or limits["f32"]
    if case.startswith("read"):
        steps, rows, heads = 1, READ, 1
    elif case == "tree":
        return None
    else:
        n = int(case.split()[1]) if case.startswith("sample") else 1
        steps, rows, heads = result["tokens"] / n, result["tokens"], result["tokens"]
    memory = steps * bytes_ / limits["read"] * 1e-9
    work = 2 * (rows * body + heads * head) / speed * 1e-9
    return max((memory, "memory"), (work, unit))


def median(results, what):
    values = [what(r) for r in results if "failed" not in r]
    return statistics.median(values) if values else None


def share_of(case, about, results, unit):
    shares = []
    for r in results:
        least = None if "failed" in r else floor_seconds(case, about, r["limits"], r, unit)
        if least:
            shares.append((least[0] / r["seconds"], least[1]))
    return "%3.0f %% %s" % (100 * statistics.median(s for s, _ in shares), shares[0][1]) if shares else ""


def row(name, results, ours, case, about, unit):
    rate, peak = median(results, lambda r: r["tokens"] / r["seconds"]), median(results, lambda r: r["peak"])
    if rate is None:
        return say("    %-24s %s" % (name, results[0]["failed"]))
    busy = median(results, lambda r: r["cpu"] / r["seconds"])
    text = "    %-24s %9.1f %-14s %8.0f MB %5.2f" % (name, rate, share_of(case, about, results, unit), peak / 1e6, busy)
    growth = median(results, lambda r: r["last"] / r["first"] if r["first"] else 0)
    text += "  %5.2f" % growth if growth else "       "
    if ours is not None and ours is not results:
        mine = median(ours, lambda r: r["tokens"] / r["seconds"])
        mine_peak = median(ours, lambda r: r["peak"])
        if mine:
            text += "  %5.2f x, memory %.2f x" % (mine / rate, mine_peak / peak)
    say(text)


def unit_of(kind):
    """What products are counted in: BF16 only where it was asked for, elsewhere elements are multiplied in F32."""
    held, _, weights = kind.partition("@")
    if weights.lower() == "bf16":
        return "bf16"
    return "f32" if (weights or held).upper() in ("F32", "F16", "BF16") else "int8"


def run_case(a, store, engines, shape, kind, model, case, ours_args, peer_args):
    weights = kind.partition("@")[2]
    lines = [(e, how, args) for e in engines
             for how, args in ([("", ours_args)] if e.name == "brood" else peer_args.items())]
    about = json.loads(subprocess.run([engines[0].program, model, str(a.threads), "about"], check=True, capture_output=True,
                                      text=True, env={**os.environ, "BENCH_WEIGHTS": weights or "file"}).stdout)
    isa = os.environ.get("BROOD_ISA", "")
    key_of = lambda e, how, i: (shape, kind, case, e.name + how, e.identity, a.threads, isa, str(a.trace_id if case == "tree" else ""), i)
    for i in range(a.repeat):
        for e, how, args in lines:
            key = key_of(e, how, i)
            if key in store.all:
                continue
            progress("    %s, round %d of %d" % (e.name + how, i + 1, a.repeat))
            limits = limits_of(a)
            command, more = e.command(model, a.threads, args, weights)
            result = measure(command, more, a.limit)
            result["limits"] = limits
            store.put(key, result)
    progress("")
    all_results = {(e.name, how): [store.all[key_of(e, how, i)] for i in range(a.repeat)] for e, how, _ in lines}
    first = next(iter(all_results.values()))[0]["limits"]
    middle = {k: statistics.median(r["limits"][k] for rs in all_results.values() for r in rs) for k in LIMITS}
    say("%s %s, %s   limits: %.1f GB/s, %.0f GFLOP/s F32, %.0f BF16, %.0f GOP/s int8 (%s)" % (
        shape, kind, case, middle["read"], middle["f32"], middle["bf16"], middle["int8"], first["isa"]))
    for (name, how), results in all_results.items():
        row(name + how, results, all_results[("brood", "")], case, about, unit_of(kind))


def parse():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--peer", nargs="*", default=[])
    p.add_argument("--build", default="build/release")
    p.add_argument("--brood", default="build/brood")
    p.add_argument("--shapes", nargs="*", default=DEFAULT_SHAPES)
    p.add_argument("--cases", nargs="*", default=CASES, choices=CASES)
    p.add_argument("--samples", nargs="*", type=int, default=[1, 4, 16, 64, 256])
    p.add_argument("--tokens", type=int, default=128)
    p.add_argument("--repeat", type=int, default=3)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--rounds", type=int, default=0, help="of the tree, the first ones")
    p.add_argument("--limit", type=int, default=0)
    p.add_argument("--models", default=os.path.join("build", "bench-models"))
    p.add_argument("--out", default=os.path.join("build", "bench-engine"))
    a = p.parse_args()
    for shape in a.shapes:
        name, _, kind = shape.partition("/")
        if name not in SHAPES or not kind:
            sys.exit("compare_engine.py: %s: a shape is one of %s, a slash and a type like Q8_0" % (shape, ", ".join(SHAPES)))
    return a


def main():
    a = parse()
    os.makedirs(a.out, exist_ok=True)
    engines = [Brood(os.path.join(a.build, "bench_engine")), *(Peer(spec, a.out) for spec in a.peer)]
    store = Results(os.path.join(a.out, "results.jsonl"))
    trace, a.trace_id = make_trace(a.brood, a.out, a.rounds) if "tree" in a.cases else (None, None)
    say("    %-24s %9s %-14s %11s %5s  %5s  %s" % (
        "engine", "tokens/s", "of the limit", "peak", "cores", "grow", "brood / engine"))
    for shape in a.shapes:
        name, _, kind = shape.partition("/")
        model = make_model(name, kind.partition("@")[0], a.models)
        for case, ours, peers in list_cases(a, trace):
            run_case(a, store, engines, name, kind, model, case, ours, peers)
    say("cores: CPU time over time taken. grow: time of the last eighth of the steps over that of the first. Medians of %d." % a.repeat)


if __name__ == "__main__":
    main()
