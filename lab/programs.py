"""Small Python functions: a one-line description that leaves things open, and programs for its readings.

A description names one to six operations in the order in which they happen. What a person would write is often not
exact: "every 3rd" (from which on?), "over 5" (5 too?), "sort them" (which way?), "the average" (rounded?). An operation
has one to four such readings, some usual and some rare; the author of a problem meant one of each, and only the tests
know which.
"""
import hashlib
import itertools
import random
from dataclasses import dataclass

LEVELS = 5          # level l takes l or l+1 operations
HEADS = {"list": "def f(xs: list):", "text": "def f(s: str):", "number": "def f(n: int):"}
NAMES = {"list": "xs", "text": "s", "number": "n", "words": "ws"}

# from, to, phrases, readings: (weight, ways to write it). K is a number
# from 2 to 4, P the one before it; M one from 2 to 9, J a larger one.
OPERATIONS = [
    ("list", "list", ["keep the even ones", "drop the odd ones"],
     [(1, "[x for x in xs if x % 2 == 0]")]),
    ("list", "list", ["keep the odd ones", "drop the even ones"],
     [(1, "[x for x in xs if x % 2 == 1]", "[x for x in xs if x % 2]")]),
    ("list", "list", ["keep those over M", "keep the ones above M"],
     [(7, "[x for x in xs if x > M]"), (3, "[x for x in xs if x >= M]")]),
    ("list", "list", ["keep those under M", "drop those from M up"],
     [(7, "[x for x in xs if x < M]"), (3, "[x for x in xs if x <= M]")]),
    ("list", "list", ["keep those between M and J", "keep the ones from M to J"],
     [(5, "[x for x in xs if M <= x <= J]"), (3, "[x for x in xs if M < x < J]"),
      (2, "[x for x in xs if M <= x < J]")]),
    ("list", "list", ["keep the multiples of M", "drop what M does not divide"],
     [(1, "[x for x in xs if x % M == 0]")]),
    ("list", "list", ["drop the multiples of M"],
     [(1, "[x for x in xs if x % M != 0]", "[x for x in xs if x % M]")]),
    ("list", "list", ["drop the first K", "skip K of them"],
     [(8, "xs[K:]"), (2, "xs[:-K]")]),
    ("list", "list", ["take every Kth one", "pick one in K"],
     [(5, "xs[::K]"), (4, "xs[P::K]"), (1, "xs[1::K]")]),
    ("list", "list", ["sort them", "put them in order"],
     [(6, "sorted(xs)"), (3, "sorted(xs, reverse=True)", "sorted(xs)[::-1]"), (1, "sorted(xs, key=abs)")]),
    ("list", "list", ["remove repeats", "drop the duplicates"],
     [(5, "list(dict.fromkeys(xs))"), (3, "sorted(set(xs))"), (2, "[x for x in xs if xs.count(x) == 1]")]),
    ("list", "list", ["square them"], [(1, "[x * x for x in xs]", "[x ** 2 for x in xs]")]),
    ("list", "list", ["double them"], [(1, "[2 * x for x in xs]", "[x * 2 for x in xs]")]),
    ("list", "list", ["add M to each", "raise each by M"], [(1, "[x + M for x in xs]", "[M + x for x in xs]")]),
    ("list", "list", ["multiply each by M"], [(1, "[x * M for x in xs]", "[M * x for x in xs]")]),
    ("list", "list", ["halve them"], [(6, "[x // 2 for x in xs]"), (4, "[int(x / 2) for x in xs]")]),
    ("list", "list", ["divide each by K"],
     [(6, "[x // K for x in xs]"), (3, "[int(x / K) for x in xs]"), (1, "[round(x / K) for x in xs]")]),
    ("list", "list", ["take the differences of neighbours", "take the steps from one to the next"],
     [(5, "[b - a for a, b in zip(xs, xs[1:])]"), (2, "[a - b for a, b in zip(xs, xs[1:])]"),
      (3, "[abs(a - b) for a, b in zip(xs, xs[1:])]", "[abs(b - a) for a, b in zip(xs, xs[1:])]")]),
    ("list", "list", ["add up neighbours", "add them in pairs"],
     [(5, "[a + b for a, b in zip(xs, xs[1:])]"), (5, "[a + b for a, b in zip(xs[::2], xs[1::2])]")]),
    ("list", "list", ["take running sums", "sum up as you go"],
     [(6, "[sum(xs[:i + 1]) for i in range(len(xs))]"), (4, "[sum(xs[:i]) for i in range(len(xs))]")]),
    ("list", "list", ["take running maxima"],
     [(7, "[max(xs[:i + 1]) for i in range(len(xs))]"), (3, "[max(xs[i:]) for i in range(len(xs))]")]),
    ("list", "list", ["rotate by K", "turn them round by K"],
     [(5, "xs[K:] + xs[:K]"), (5, "xs[-K:] + xs[:-K]")]),
    ("list", "list", ["reverse them", "turn the order round"], [(1, "xs[::-1]", "list(reversed(xs))")]),
    ("list", "list", ["take the last digits"],
     [(5, "[x % 10 for x in xs]"), (5, "[abs(x) % 10 for x in xs]")]),
    ("list", "list", ["multiply each by its place", "weigh each by its position"],
     [(5, "[i * x for i, x in enumerate(xs)]"), (5, "[i * x for i, x in enumerate(xs, 1)]")]),
    ("list", "list", ["take the K largest", "keep the top K"],
     [(6, "sorted(xs, reverse=True)[:K]", "sorted(xs)[::-1][:K]"), (4, "sorted(xs)[-K:]")]),
    ("list", "list", ["take the K smallest"], [(7, "sorted(xs)[:K]"), (3, "sorted(xs, reverse=True)[-K:]")]),
    ("list", "list", ["drop both ends"], [(1, "xs[1:-1]")]),
    ("list", "list", ["drop the extremes"],
     [(6, "[x for x in xs if min(xs) < x < max(xs)]"), (4, "sorted(xs)[1:-1]")]),
    ("list", "list", ["cap them at M", "make M the most"], [(1, "[min(x, M) for x in xs]", "[min(M, x) for x in xs]")]),
    ("list", "list", ["keep the ones at even places"], [(6, "xs[::2]"), (4, "xs[1::2]")]),
    ("list", "list", ["keep those over the average", "keep those above the mean"],
     [(6, "[x for x in xs if x > sum(xs) / len(xs)]"), (2, "[x for x in xs if x >= sum(xs) / len(xs)]"),
      (2, "[x for x in xs if x > sum(xs) // len(xs)]")]),
    ("list", "list", ["keep those larger than the one before", "keep the rises"],
     [(6, "[b for a, b in zip(xs, xs[1:]) if b > a]"), (2, "[b for a, b in zip(xs, xs[1:]) if b >= a]"),
      (2, "xs[:1] + [b for a, b in zip(xs, xs[1:]) if b > a]")]),
    ("list", "number", ["add them up", "give the sum"], [(1, "sum(xs)")]),
    ("list", "number", ["count them", "say how many there are"], [(1, "len(xs)")]),
    ("list", "number", ["give the largest", "find the maximum"],
     [(6, "max(xs, default=0)"), (2, "max(xs, default=-1)"), (2, "max(xs, default=None)")]),
    ("list", "number", ["give the smallest", "find the minimum"],
     [(6, "min(xs, default=0)"), (2, "min(xs, default=-1)"), (2, "min(xs, default=None)")]),
    ("list", "number", ["give the average", "find the mean"],
     [(4, "sum(xs) / len(xs)"), (3, "sum(xs) // len(xs)"), (3, "round(sum(xs) / len(xs))")]),
    ("list", "number", ["give the range", "say how far apart they are"], [(1, "max(xs) - min(xs)")]),
    ("list", "number", ["give the second largest"],
     [(5, "sorted(xs)[-2]"), (5, "sorted(set(xs))[-2]")]),
    ("list", "number", ["give the median", "find the middle one"],
     [(4, "sorted(xs)[len(xs) // 2]"), (3, "sorted(xs)[(len(xs) - 1) // 2]"), (3, "xs[len(xs) // 2]")]),
    ("list", "number", ["give the most common", "find the one seen most often"],
     [(5, "max(xs, key=xs.count)"), (3, "max(sorted(xs), key=xs.count)"), (2, "max(xs[::-1], key=xs.count)")]),
    ("list", "number", ["say where the largest is", "give the place of the maximum"],
     [(5, "xs.index(max(xs))"), (3, "xs.index(max(xs)) + 1"), (2, "len(xs) - 1 - xs[::-1].index(max(xs))")]),
    ("list", "number", ["count the different ones"], [(7, "len(set(xs))"), (3, "len(set(map(abs, xs)))")]),
    ("list", "number", ["give the alternating sum"],
     [(7, "sum(xs[::2]) - sum(xs[1::2])"), (3, "sum(xs[1::2]) - sum(xs[::2])")]),
    ("list", "number", ["give the gap between first and last"],
     [(4, "xs[-1] - xs[0]"), (3, "abs(xs[-1] - xs[0])", "abs(xs[0] - xs[-1])"), (3, "xs[0] - xs[-1]")]),
    ("list", "words", ["write them out", "make texts of them"],
     [(7, "[str(x) for x in xs]", "list(map(str, xs))"), (3, "[str(abs(x)) for x in xs]")]),

    ("text", "text", ["reverse it", "turn it round"], [(1, "s[::-1]")]),
    ("text", "text", ["make it upper case", "make it loud"], [(1, "s.upper()")]),
    ("text", "text", ["make it lower case"], [(1, "s.lower()")]),
    ("text", "text", ["swap the case"], [(1, "s.swapcase()")]),
    ("text", "text", ["drop the vowels"],
     [(5, "''.join(c for c in s if c not in 'aeiou')"), (4, "''.join(c for c in s if c not in 'aeiouAEIOU')"),
      (1, "''.join(c for c in s if c not in 'aeiouy')")]),
    ("text", "text", ["keep the letters", "drop what is no letter"],
     [(7, "''.join(c for c in s if c.isalpha())"), (3, "''.join(c for c in s if c.isalpha() or c == ' ')")]),
    ("text", "text", ["drop the spaces", "remove the white space"],
     [(6, "s.replace(' ', '')"), (4, "s.strip()")]),
    ("text", "text", ["take every Kth letter"], [(5, "s[::K]"), (5, "s[P::K]")]),
    ("text", "text", ["drop K letters", "cut K letters off"], [(6, "s[K:]"), (4, "s[:-K]")]),
    ("text", "text", ["take K letters"], [(7, "s[:K]"), (3, "s[-K:]")]),
    ("text", "text", ["remove repeated letters", "keep one of each letter"],
     [(6, "''.join(dict.fromkeys(s))"), (4, "''.join(sorted(set(s)))")]),
    ("text", "text", ["sort the letters", "put the letters in order"],
     [(6, "''.join(sorted(s))"), (2, "''.join(sorted(s, key=str.lower))"), (2, "''.join(sorted(s, reverse=True))")]),
    ("text", "text", ["double each letter"], [(8, "''.join(c + c for c in s)", "''.join(c * 2 for c in s)"), (2, "s + s", "s * 2")]),
    ("text", "text", ["capitalise it"], [(5, "s.capitalize()"), (5, "s.title()")]),
    ("text", "text", ["mirror it", "make it a palindrome"], [(5, "s + s[::-1]"), (5, "s + s[-2::-1]")]),
    ("text", "words", ["split it", "cut it into words"], [(7, "s.split()"), (3, "s.split(' ')")]),
    ("text", "words", ["cut it into pieces of K"], [(1, "[s[i:i + K] for i in range(0, len(s), K)]")]),
    ("text", "list", ["take the digits in it", "find its digits"], [(1, "[int(c) for c in s if c.isdigit()]")]),
    ("text", "list", ["number its letters by the alphabet"],
     [(4, "[ord(c) - 97 for c in s.lower() if c.isalpha()]"), (6, "[ord(c) - 96 for c in s.lower() if c.isalpha()]")]),
    ("text", "number", ["count the vowels"],
     [(5, "sum(c in 'aeiou' for c in s)"), (4, "sum(c in 'aeiouAEIOU' for c in s)"), (1, "sum(c in 'aeiouy' for c in s)")]),
    ("text", "number", ["give its length", "say how long it is"],
     [(7, "len(s)"), (3, "len(s.replace(' ', ''))")]),
    ("text", "number", ["count the digits"], [(1, "sum(c.isdigit() for c in s)")]),
    ("text", "number", ["count the capitals"], [(1, "sum(c.isupper() for c in s)")]),
    ("text", "number", ["count the different letters"],
     [(4, "len(set(s))"), (3, "len(set(s.lower()))"), (3, "len(set(c for c in s if c.isalpha()))")]),
    ("words", "words", ["sort the words", "put the words in order"],
     [(5, "sorted(ws)"), (2, "sorted(ws, key=len)"), (3, "sorted(ws, key=str.lower)")]),
    ("words", "words", ["keep those longer than K"],
     [(8, "[w for w in ws if len(w) > K]"), (2, "[w for w in ws if len(w) >= K]")]),
    ("words", "words", ["keep the short words"],
     [(4, "[w for w in ws if len(w) < 4]"), (3, "[w for w in ws if len(w) < 3]"), (3, "[w for w in ws if len(w) < 5]")]),
    ("words", "words", ["drop repeated words"],
     [(7, "list(dict.fromkeys(ws))"), (3, "sorted(set(ws))")]),
    ("words", "words", ["reverse each word"], [(1, "[w[::-1] for w in ws]")]),
    ("words", "words", ["reverse their order"], [(1, "ws[::-1]", "list(reversed(ws))")]),
    ("words", "words", ["capitalise the words"],
     [(6, "[w.capitalize() for w in ws]"), (4, "[w.upper() for w in ws]")]),
    ("words", "words", ["keep those that begin with a vowel"],
     [(5, "[w for w in ws if w[:1] in ('a', 'e', 'i', 'o', 'u')]"), (5, "[w for w in ws if w[:1].lower() in ('a', 'e', 'i', 'o', 'u')]")]),
    ("words", "words", ["drop the first K words"], [(1, "ws[K:]")]),
    ("words", "words", ["take every Kth word"], [(5, "ws[::K]"), (5, "ws[P::K]")]),
    ("words", "text", ["join them", "put them together"],
     [(4, "' '.join(ws)"), (3, "''.join(ws)"), (2, "', '.join(ws)"), (1, "'-'.join(ws)")]),
    ("words", "text", ["give the longest word"],
     [(6, "max(ws, key=len, default='')"), (4, "max(ws[::-1], key=len, default='')")]),
    ("words", "text", ["give the first word in the alphabet"],
     [(6, "min(ws, default='')"), (4, "min(ws, key=str.lower, default='')")]),
    ("words", "text", ["take the initials"],
     [(5, "''.join(w[:1] for w in ws)"), (5, "''.join(w[:1].upper() for w in ws)")]),
    ("words", "text", ["take the last letters"], [(1, "''.join(w[-1:] for w in ws)")]),
    ("words", "list", ["take their lengths", "measure each word"], [(1, "[len(w) for w in ws]", "list(map(len, ws))")]),
    ("words", "number", ["count the words"], [(7, "len(ws)"), (3, "len(set(ws))")]),
    ("words", "number", ["give the length of the longest word"], [(1, "max(map(len, ws), default=0)")]),

    ("number", "list", ["count up to it", "take the numbers up to it"],
     [(5, "list(range(1, n + 1))"), (2, "list(range(1, n))"), (2, "list(range(n))"), (1, "list(range(n + 1))")]),
    ("number", "list", ["count down from it"],
     [(5, "list(range(n, 0, -1))"), (3, "list(range(n, -1, -1))"), (2, "list(range(n - 1, -1, -1))")]),
    ("number", "list", ["take its digits"], [(7, "[int(c) for c in str(n)]"), (3, "[int(c) for c in str(n)[::-1]]")]),
    ("number", "list", ["take its divisors", "find what divides it"],
     [(6, "[i for i in range(1, n + 1) if n % i == 0]"), (2, "[i for i in range(1, n) if n % i == 0]"),
      (2, "[i for i in range(2, n) if n % i == 0]")]),
    ("number", "list", ["take the primes up to it"],
     [(6, "[i for i in range(2, n + 1) if all(i % j for j in range(2, i))]"),
      (4, "[i for i in range(2, n) if all(i % j for j in range(2, i))]")]),
    ("number", "list", ["take the multiples of K up to it", "count up to it by K"],
     [(4, "list(range(K, n + 1, K))"), (3, "list(range(0, n + 1, K))"), (3, "list(range(K, n, K))")]),
    ("number", "list", ["take the squares up to it"],
     [(5, "[i * i for i in range(1, n + 1)]"), (5, "[i * i for i in range(1, n + 1) if i * i <= n]")]),
    ("number", "number", ["reverse its digits"], [(1, "int(str(n)[::-1])")]),
    ("number", "number", ["add M to it"], [(1, "n + M", "M + n")]),
    ("number", "number", ["multiply it by M"], [(1, "n * M", "M * n")]),
    ("number", "number", ["halve it"], [(5, "n // 2"), (3, "n / 2"), (2, "round(n / 2)")]),
    ("number", "number", ["square it"], [(1, "n * n", "n ** 2")]),
    ("number", "number", ["take the remainder by M"], [(1, "n % M")]),
    ("number", "text", ["write it in binary"], [(6, "bin(n)[2:]"), (4, "bin(n)")]),
    ("number", "text", ["write it out K times"], [(7, "str(n) * K"), (3, "' '.join([str(n)] * K)")]),
]


@dataclass(frozen=True)
class Part:
    """One operation of a problem: its place in the table, its phrase, its numbers."""
    operation: int
    phrase: int
    k: int
    m: int
    j: int

    @property
    def row(self):
        return OPERATIONS[self.operation]

    def fill(self, text):
        values = {"Kth": {2: "2nd", 3: "3rd"}.get(self.k, f"{self.k}th"), "K": self.k, "P": self.k - 1, "M": self.m,
                  "J": self.j}
        for name, value in values.items():
            text = text.replace(name, str(value))
        return text

    def words(self):
        return self.fill(self.row[2][self.phrase])

    def readings(self):
        return self.row[3]


def body(parts, chosen, rng=None):
    """The program of these readings; rng picks among ways to write the same."""
    lines = []
    for i, (part, reading) in enumerate(zip(parts, chosen)):
        ways = part.readings()[reading][1:]
        way = part.fill(rng.choice(ways) if rng else ways[0])
        lines.append(f"    return {way}" if i + 1 == len(parts) else f"    {NAMES[part.row[1]]} = {way}")
    return "\n".join(lines) + "\n"


def description(parts):
    words = [p.words() for p in parts]
    text = words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]
    return text[0].upper() + text[1:] + "."


def prompt(parts):
    return f'{HEADS[parts[0].row[0]]}\n    """{description(parts)}"""\n'


def split_of(text):
    """test, calibration or train: by the hash of the prompt."""
    return {0: "test", 1: "calibration"}.get(hashlib.sha1(text.encode()).digest()[0] % 16, "train")


_BY_SOURCE = {kind: [i for i, o in enumerate(OPERATIONS) if o[0] == kind] for kind in NAMES}


def draw_parts(rng, n):
    """n operations that fit one another; none twice."""
    kind, parts, used = rng.choice(("list", "list", "list", "text", "text", "number")), [], set()
    while len(parts) < n:
        last = len(parts) + 1 == n
        rows = [i for i in _BY_SOURCE[kind] if i not in used]
        if not last and rng.random() < 0.8:     # numbers lead nowhere much
            rows = [i for i in rows if OPERATIONS[i][1] != "number"] or rows
        i = rng.choice(rows)
        m = rng.randint(2, 9)
        parts.append(Part(i, rng.randrange(len(OPERATIONS[i][2])), rng.randint(2, 4), m, m + rng.randint(3, 12)))
        used.add(i)
        kind = OPERATIONS[i][1]
    return parts


def draw_readings(rng, parts):
    return [rng.choices(range(len(p.readings())), [r[0] for r in p.readings()])[0] for p in parts]


def chance(parts, chosen):
    """How likely the author's weights make these readings."""
    result = 1.0
    for p, c in zip(parts, chosen):
        result *= p.readings()[c][0] / sum(r[0] for r in p.readings())
    return result


def all_readings(parts):
    return itertools.product(*(range(len(p.readings())) for p in parts))
