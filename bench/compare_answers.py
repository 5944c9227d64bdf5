"""Greedy answers to a task's problems beside another engine's, on the same GGUF file, token by token.

    compare_answers.py --peer DIR [--peer-build DIR] [--ours build/release/bench_logits] [--problems 500] MODEL.gguf TASK.jsonl

MODEL is a bundled policy that lab/export_gguf.py wrote; prompts are written as the chat format lab has them. Where two answers
part, it is told how far apart the two likeliest tokens were there, in each engine, beside the distance between the engines.
Needs numpy and a C compiler; what the peer is, compare_logits.py says.
"""
import argparse
import json
import os
import subprocess
import tempfile

import numpy as np

import compare_logits

END, LONGEST = 426, 200


def answers(program, model, prompts):
    lines = "".join("%d %s\n" % (len(ids), " ".join(ids)) for ids in prompts)
    done = subprocess.run([program, model, "answers", str(LONGEST), str(END)], input=lines.encode(), check=True, stdout=subprocess.PIPE)
    return [line.split() for line in done.stdout.decode().splitlines()]


def explain(model, ours, peer, prompt, a, b, work):
    """What stands at the first token that differs."""
    a, b = a + [str(END)], b + [str(END)]
    n = next(i for i, (x, y) in enumerate(zip(a, b)) if x != y)
    ids = [int(i) for i in prompt + a[:n]]
    x = compare_logits.run(ours, model, ids, 0, work, marks=1)[0][0]
    y = compare_logits.run(peer, model, ids, 0, work, marks=1, more=0)[0][0]
    s, t = int(a[n]), int(b[n])
    print("    token %d: %d here and %d there; their logits differ by %.2e here and %.2e there; the engines by %.2e of a range of %.1f" % (
        n, s, t, x[s] - x[t], y[t] - y[s], np.abs(x - y).max(), x.max() - x.min()))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model")
    p.add_argument("task")
    p.add_argument("--peer", required=True)
    p.add_argument("--peer-build")
    p.add_argument("--ours", default="build/release/bench_logits")
    p.add_argument("--problems", type=int, default=500)
    a = p.parse_args()
    with tempfile.TemporaryDirectory() as work, open(a.task, encoding="utf-8") as task:
        peer = os.path.join(work, "peer_logits")
        compare_logits.compile_peer(a.peer, a.peer_build or os.path.join(a.peer, "build"), peer)
        problems = [json.loads(line)["problem"] for line in list(task)[: a.problems]]
        prompts = [[i.decode() for i in compare_logits.ids_of(a.ours, a.model, "Q: %s\nA:\n" % x)] for x in problems]
        here, there = answers(a.ours, a.model, prompts), answers(peer, a.model, prompts)
        assert len(here) == len(there) == len(prompts)
        equal = [x == y for x, y in zip(here, there)]
        print("%s: %d of %d greedy answers are equal, token by token; %d tokens in all" % (
            a.model, sum(equal), len(equal), sum(map(len, here))), flush=True)
        for i, same in enumerate(equal):
            if not same:
                print("  problem %d" % i)
                explain(a.model, a.ours, peer, prompts[i], here[i], there[i], work)


if __name__ == "__main__":
    main()
