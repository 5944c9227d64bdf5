"""The tokenizers of the code policies, and the texts that `code` learns from (those of `repair`: repairs.py).

A prompt is a function's head with its description, as HumanEval writes it; the policy goes on with the body.
"""
import programs
import tokenizer

SIZE = 1280
REPAIR_SIZE, REPAIR_CONTEXT = 1328, 768
FEEDBACK = ["The", " tests", " failed", " AssertionError", "Test", " assert", " candidate", "Call", " f", "Got", "Expected",
            "Line", "Try", " again", " None"]


def words():
    """Pieces of the operations table that are worth a token, in an order whose merges give back each whole."""
    count = {}
    for source, target, phrases, readings in programs.OPERATIONS:
        ways = [f" {programs.NAMES[target]} = {w}\n   " for r in readings for w in r[1:]]
        for text in [" " + p for p in phrases] + [phrases[0].split()[0].capitalize()] + ways + [f"{w}\n" for r in readings for w in r[1:]]:
            for piece in tokenizer._PIECES.findall(text):
                count[piece] = count.get(piece, 0) + 1
    for text in list(programs.HEADS.values()) + ['\n    """', ' and', ' return', '."""\n', '   ']:
        for piece in tokenizer._PIECES.findall(text):
            count[piece] = 1000
    found = [p for p in count if len(p) > 1 and (count[p] > 1 or len(p) < 4 or p[0] == " " or p.istitle())]
    found.sort(key=lambda p: (-len(p) * count[p], p))
    return found


def build(size, more=(), context=512):
    """The most useful words that fit, and more. Bare words come last, and what other merges undo is put first, or left out."""
    chosen, moved = [], set()
    for word in words():
        if len(tokenizer.build(chosen + [word])[0]) <= SIZE - 16:
            chosen.append(word)
    chosen.sort(key=str.isalpha)
    chosen += [word for word in more if word not in chosen]
    while True:
        made = tokenizer.Tokenizer(chosen, size, context=context)
        broken = next((w for w in chosen if len(made.bpe(tokenizer.spell(w))) > 1), None)
        if broken is None:
            return made
        chosen.remove(broken)
        if broken not in moved:
            chosen.insert(0, broken)
            moved.add(broken)


CODE = build(SIZE)
REPAIR = build(REPAIR_SIZE, FEEDBACK, REPAIR_CONTEXT)


def example(rng):
    """(ids, index of the first token that is learnt)"""
    while True:
        parts = programs.draw_parts(rng, rng.randint(1, programs.LEVELS + 1))
        head = programs.prompt(parts)
        if programs.split_of(head) == "train":
            break
    start = CODE.encode(head)
    return start + CODE.encode(programs.body(parts, programs.draw_readings(rng, parts), rng)) + [CODE.end_id], len(start)


if __name__ == "__main__":
    import random
    rng = random.Random(1)
    texts = [example(rng) for _ in range(2000)]
    print(CODE.end_id, sum(len(i) for i, _ in texts) / 2000, sum(len(i) - n for i, n in texts) / 2000, max(len(i) for i, _ in texts))
    print([CODE.decode([i]) for i in texts[0][0]], [CODE.decode([i]) for i in texts[3][0]])
