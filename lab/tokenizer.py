"""The tokenizer of the lab: byte-level BPE in Hugging Face's file format, and a fast encoder for training.

Words are built left to right by ordinary merges, so engines that obey `ignore_merges` (a whole piece that is in the
vocabulary is one token) and engines that only know merges give the same ids. test_tokenizer.py checks that.
"""
import json
import re

import problems

END = "<|end|>"
SIZE = 448          # a multiple of 16; the rest is filled with reserved special tokens
PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
           r"|\s*[\r\n]+|\s+(?!\S)|\s+")
CHAT = ("{% for message in messages %}{% if message['role'] == 'user' %}Q: {{ message['content'] }}\nA:\n"
        "{% elif message['role'] == 'assistant' %}{{ message['content'] }}<|end|>{% endif %}{% endfor %}")


def byte_symbols():
    """GPT-2's printable stand-in for every byte value."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    symbols, spare = {b: chr(b) for b in plain}, 256
    for b in range(256):
        if b not in symbols:
            symbols[b], spare = chr(spare), spare + 1
    return symbols


SYMBOL = byte_symbols()


def spell(text):
    return "".join(SYMBOL[b] for b in text.encode())


def words():
    """Every piece that must be one token; those that start with a space first (their merges must rank first)."""
    spaced = set(problems.NAMES + problems.ITEMS + problems.GAIN + problems.LOSE)
    spaced |= set("has more of them Now times as many keeps half a third quarter fifth at first "
                  "How does have now answer is = \\".split())
    return sorted(" " + w for w in spaced) + ["The", "boxed", "\n\n"]


def build(word_list):
    """(vocabulary, merges) with chains of merges for every word."""
    vocabulary, merges = [SYMBOL[b] for b in range(256)], []
    known = set(vocabulary)
    for word in map(spell, word_list):
        for n in range(2, len(word) + 1):
            if word[:n] not in known:
                known.add(word[:n])
                vocabulary.append(word[:n])
                merges.append((word[: n - 1], word[n - 1]))
    return vocabulary, merges


_PIECES = re.compile(PATTERN.replace(r"\p{L}", "A-Za-z").replace("^\\r\\nA-Za-z\\p{N}", "^\\r\\nA-Za-z0-9")
                     .replace("^\\sA-Za-z\\p{N}", "^\\sA-Za-z0-9").replace("A-Za-z+", "[A-Za-z]+")
                     .replace(r"\p{N}", "[0-9]"))
_BYTE = {s: b for b, s in SYMBOL.items()}


class Tokenizer:
    def __init__(self, word_list, size, chat=None, context=512):
        """chat is None where a prompt is continued as it is."""
        self.size, self.chat, self.context = size, chat, context
        self.vocabulary, self.merges = build(word_list)
        self.ids = {piece: i for i, piece in enumerate(self.vocabulary)}
        self.end_id = len(self.vocabulary)
        self._rank = {pair: i for i, pair in enumerate(self.merges)}
        self._cache = {}
        self._text = [bytes(_BYTE[c] for c in piece).decode("latin-1") for piece in self.vocabulary]

    def bpe(self, piece):
        """Plain byte-pair merging, lowest rank first."""
        parts = list(piece)
        while len(parts) > 1:
            rank, i = min((self._rank.get(pair, 1 << 30), i) for i, pair in enumerate(zip(parts, parts[1:])))
            if rank == 1 << 30:
                break
            parts[i : i + 2] = [parts[i] + parts[i + 1]]
        return parts

    def encode(self, text):
        ids = []
        for piece in _PIECES.findall(text):
            found = self._cache.get(piece)
            if found is None:
                found = self._cache[piece] = [self.ids[p] for p in self.bpe(spell(piece))]
            ids += found
        return ids

    def decode(self, ids):
        """Text of ids, special tokens left out (the lab writes ASCII only)."""
        return "".join(self._text[i] for i in ids if i < self.end_id)

    def files(self):
        """The two files of a Hugging Face folder."""
        reserved = [f"<|reserved_{i}|>" for i in range(self.size - self.end_id - 1)]
        special = [{"id": self.end_id + i, "content": t, "single_word": False, "lstrip": False, "rstrip": False,
                    "normalized": False, "special": True} for i, t in enumerate([END] + reserved)]
        splitter = {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": PATTERN}, "behavior": "Isolated", "invert": False},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}]}
        byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
        model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                 "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": True,
                 "vocab": self.ids, "merges": [" ".join(m) for m in self.merges]}
        tokenizer = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": special,
                     "normalizer": None, "pre_tokenizer": splitter, "post_processor": None, "decoder": byte_level,
                     "model": model}
        settings = {"tokenizer_class": "PreTrainedTokenizerFast", "add_bos_token": False, "add_eos_token": False,
                    "bos_token": None, "eos_token": END, "pad_token": END, "unk_token": None,
                    "clean_up_tokenization_spaces": False, "model_max_length": self.context}
        if self.chat is not None:
            settings["chat_template"] = self.chat
        return {"tokenizer.json": tokenizer, "tokenizer_config.json": settings}

    def write(self, folder):
        for name, content in self.files().items():
            with open(f"{folder}/{name}", "w") as out:
                json.dump(content, out, indent=1)
                out.write("\n")


STORY = Tokenizer(words(), SIZE, CHAT)
END_ID, IDS, BREAK_ID = STORY.end_id, STORY.ids, STORY.ids[spell("\n\n")]
encode, decode, files = STORY.encode, STORY.decode, STORY.files


def prompt(problem_text):
    return f"Q: {problem_text}\nA:\n"


if __name__ == "__main__":
    print(STORY.end_id, len(STORY.merges), _PIECES.pattern)
