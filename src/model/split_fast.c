#include "model/split_fast.h"

#include "model/split_patterns.h"

/* One bit a class. White space and the rest of ASCII as Unicode has them. */
enum {
    LOWER = 1,
    UPPER = 2,
    DIGIT = 4,
    SPACE = 8,
    NEWLINE = 16,
    OTHER = 32,
    LETTER = LOWER | UPPER,
    WHITE = SPACE | NEWLINE
};
enum { UNDECIDED = -1 };

static int class_of(char ch) {
    const unsigned char c = (unsigned char)ch;
    if (c >= 0x80) return 0;
    if (c >= 'a' && c <= 'z') return LOWER;
    if (c >= 'A' && c <= 'Z') return UPPER;
    if (c >= '0' && c <= '9') return DIGIT;
    if (c == '\n' || c == '\r') return NEWLINE;
    return c == ' ' || c == '\t' || c == '\v' || c == '\f' ? SPACE : OTHER;
}

struct split_rules {
    bool gpt2;         /* GPT-2's own alternatives; the rest is for the others */
    bool contractions; /* 's, 't, ... are pieces */
    bool cased;        /* a word is upper case, then lower case */
    bool tails;        /* ... and takes a contraction behind it */
    bool slashes;      /* behind punctuation, slashes count as line breaks */
    size_t n_digits;   /* of a number */
};

/* ---- reading on ---- */

/* Where a run of classes ends; UNDECIDED before a byte that might belong to it. */
static ptrdiff_t run(struct str s, size_t at, int classes) {
    while (at < s.len && (class_of(s.ptr[at]) & classes)) at++;
    return at < s.len && class_of(s.ptr[at]) == 0 ? UNDECIDED : (ptrdiff_t)at;
}

static bool is_letter(char c, char letter, bool fold) {
    return c == letter || (fold && c == letter - 'a' + 'A');
}

/* Bytes of 's, 't, 're, 've, 'm, 'll or 'd at s[at..]; 0: none. With case folded, a long s might be one. */
static ptrdiff_t contraction(struct str s, size_t at, bool fold) {
    if (at + 1 >= s.len || s.ptr[at] != '\'') return 0;
    const char c = s.ptr[at + 1], next = at + 2 < s.len ? s.ptr[at + 2] : 0;
    if (class_of(c) == 0) return fold ? UNDECIDED : 0;
    if (is_letter(c, 's', fold) || is_letter(c, 't', fold) || is_letter(c, 'm', fold) ||
        is_letter(c, 'd', fold))
        return 2;
    if ((is_letter(c, 'r', fold) || is_letter(c, 'v', fold)) && is_letter(next, 'e', fold)) return 3;
    return is_letter(c, 'l', fold) && is_letter(next, 'l', fold) ? 3 : 0;
}

/* White space up to `end`, behind which none comes: all of it where the text ends, else all but the last. */
static size_t leave_last(struct str s, ptrdiff_t end) {
    return (size_t)end == s.len || end == 1 ? (size_t)end : (size_t)end - 1;
}

/* ---- GPT-2 ---- */

/* ASCII, or 0 */
static size_t gpt2_piece(struct str s) {
    ptrdiff_t n = contraction(s, 0, false);
    if (n > 0) return (size_t)n;
    const size_t first = s.ptr[0] == ' ' && s.len > 1;
    const int class = class_of(s.ptr[first]);
    if (class == 0) return 0;
    if (class & WHITE) {
        n = run(s, 0, WHITE);
        return n == UNDECIDED ? 0 : leave_last(s, n);
    }
    n = run(s, first, class & LETTER ? LETTER : class);
    return n == UNDECIDED ? 0 : (size_t)n;
}

/* ---- the others ---- */

/* A word from s[first..] on, which is a letter. */
static size_t word(const struct split_rules *r, struct str s, size_t first) {
    ptrdiff_t end = run(s, first, r->cased ? UPPER : LETTER);
    if (end != UNDECIDED && r->cased) end = run(s, (size_t)end, LOWER);
    if (end == UNDECIDED || !r->tails) return end == UNDECIDED ? 0 : (size_t)end;
    ptrdiff_t tail = contraction(s, (size_t)end, true);
    return tail == UNDECIDED ? 0 : (size_t)(end + tail);
}

static size_t number(const struct split_rules *r, struct str s) {
    size_t n = 0;
    while (n < s.len && n < r->n_digits && class_of(s.ptr[n]) == DIGIT) n++;
    return n < r->n_digits && n < s.len && class_of(s.ptr[n]) == 0 ? 0 : n;
}

static size_t punctuation(const struct split_rules *r, struct str s, size_t first) {
    ptrdiff_t end = run(s, first, OTHER);
    if (end == UNDECIDED) return 0;
    size_t n = (size_t)end;
    while (n < s.len && (class_of(s.ptr[n]) == NEWLINE || (r->slashes && s.ptr[n] == '/'))) n++;
    return n;
}

static size_t white(struct str s) {
    ptrdiff_t end = run(s, 0, WHITE);
    if (end == UNDECIDED) return 0;
    for (size_t n = (size_t)end; n > 0; n--) {
        if (class_of(s.ptr[n - 1]) == NEWLINE) return n;
    }
    return leave_last(s, end);
}

size_t split_fast_piece(const struct split_rules *r, struct str s) {
    const int class = class_of(s.ptr[0]);
    if (class == 0) return 0;
    if (r->gpt2) return gpt2_piece(s);
    ptrdiff_t n = r->contractions ? contraction(s, 0, true) : 0;
    if (n != 0) return n == UNDECIDED ? 0 : (size_t)n;
    if (class & LETTER) return word(r, s, 0);
    if (class == DIGIT) return number(r, s);
    const int next = s.len > 1 ? class_of(s.ptr[1]) : OTHER;
    if (class != NEWLINE && next == 0) return 0;
    if (class != NEWLINE && s.len > 1 && (next & LETTER)) return word(r, s, 1);
    if (class == OTHER) return punctuation(r, s, 0);
    if (s.ptr[0] == ' ' && s.len > 1 && next == OTHER) return punctuation(r, s, 1);
    return white(s);
}

/* ---- which patterns ---- */

const char *const split_fast_patterns[] = {SPLIT_GPT2,   SPLIT_LLAMA3, SPLIT_QWEN2,
                                           SPLIT_TEKKEN, SPLIT_GPT4O,  NULL};

static const struct split_rules rules[] = {
    {.gpt2 = true},
    {.contractions = true, .n_digits = 3},
    {.contractions = true, .n_digits = 1},
    {.cased = true, .slashes = true, .n_digits = 1},
    {.cased = true, .tails = true, .slashes = true, .n_digits = 3},
};

const struct split_rules *split_fast_find(struct str pattern) {
    for (size_t i = 0; split_fast_patterns[i]; i++) {
        if (str_equal(pattern, str_from(split_fast_patterns[i]))) return &rules[i];
    }
    return NULL;
}
