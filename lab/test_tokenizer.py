"""The fast encoder against tokenizer.json read afresh, with and without `ignore_merges`; and the pieces we count on."""
import json
import random

import problems
import tokenizer


def by_file(content, text, ignore_merges):
    """A second encoder, from the file alone."""
    vocab, merges = content["model"]["vocab"], [tuple(m.split(" ")) for m in content["model"]["merges"]]
    ids = []
    for piece in tokenizer._PIECES.findall(text):
        parts = list(tokenizer.spell(piece))
        if ignore_merges and "".join(parts) in vocab:
            parts = ["".join(parts)]
        for left, right in merges:            # each merge in rank order, everywhere it applies
            i = 0
            while i + 1 < len(parts):
                if (parts[i], parts[i + 1]) == (left, right):
                    parts[i : i + 2] = [left + right]
                else:
                    i += 1
        ids += [vocab[p] for p in parts]
    return ids


def main():
    content = json.loads(json.dumps(tokenizer.files()["tokenizer.json"]))
    assert len(content["model"]["vocab"]) + len(content["added_tokens"]) == tokenizer.SIZE
    assert all(left + right in content["model"]["vocab"] for left, right in
               (m.split(" ") for m in content["model"]["merges"]))
    rng = random.Random(3)
    for _ in range(200):
        problem = problems.draw(rng, "train")
        text = tokenizer.prompt(problem.text) + problem.solution(rng) + "\n\n"
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == text
        assert ids == by_file(content, text, True) == by_file(content, text, False)
        assert ids.count(tokenizer.BREAK_ID) == len(problem.blocks()) + 1
        parts = tokenizer.encode(tokenizer.prompt(problem.text))
        for step in problem.solution(rng).split("\n\n"):
            parts += tokenizer.encode(step) + [tokenizer.BREAK_ID]
        assert len(parts) == len(ids)
    for text in ("unseen Words, and $9.50!\n\n", "Then 12 more\n", "nowhere anyhow", "x = 3\n\n\n\n", "\\boxed{1/2}"):
        assert by_file(content, text, True) == by_file(content, text, False) == tokenizer.encode(text), text
    print("tokenizer: all equal")


if __name__ == "__main__":
    main()
