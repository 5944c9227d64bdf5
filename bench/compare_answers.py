"""Greedy answers to a task's problems beside another engine's, on the same GGUF file, token by token.

    compare_answers.py --peer DIR [--peer-build DIR] [--ours build/release/bench_logits] [--problems 500] MODEL.gguf TASK.jsonl

MODEL is a bundled policy that lab/export_gguf.py wrote; prompts are written as the chat format lab has them. Needs numpy and
a C compiler; what the peer is, compare_logits.py says.
"""
import argparse
import json
import os
import tempfile

import compare_logits

END, LONGEST = 426, 200


def answer(program, model, ids, work, n_ids=None):
    tokens = list(compare_logits.run(program, model, ids, LONGEST, work, marks=1, n_ids=n_ids)[1])
    return tokens[: tokens.index(END)] if END in tokens else tokens


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model")
    p.add_argument("task")
    p.add_argument("--peer", required=True)
    p.add_argument("--peer-build")
    p.add_argument("--ours", default="build/release/bench_logits")
    p.add_argument("--problems", type=int, default=500)
    a = p.parse_args()
    equal = n = 0
    with tempfile.TemporaryDirectory() as work, open(a.task, encoding="utf-8") as task:
        peer = os.path.join(work, "peer_logits")
        compare_logits.compile_peer(a.peer, a.peer_build or os.path.join(a.peer, "build"), peer)
        for line in list(task)[: a.problems]:
            ids = compare_logits.ids_of(a.ours, a.model, "Q: %s\nA:\n" % json.loads(line)["problem"])
            ids = [int(i) for i in ids]
            same = answer(a.ours, a.model, ids, work) == answer(peer, a.model, ids, work, 0)
            equal, n = equal + same, n + 1
    print("%s: %d of %d greedy answers are equal, token by token" % (a.model, equal, n))


if __name__ == "__main__":
    main()
