#include "answer/extract.h"

#include <string.h>

#define JOIN_BYTES_MAX     60 /* between two boxes of one answer */
#define SENTENCE_BYTES_MAX 4000

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}
static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}
static struct str cut(struct str s, size_t from, size_t to) {
    return (struct str){s.ptr + from, to - from};
}

const char *answer_source_name(enum answer_source how) {
    static const char *const NAMES[] = {"nothing", "boxed", "hashes", "phrase", "math", "number", "choice"};
    return NAMES[how];
}

/* ---- boxes ---- */

#define OPEN_BRACES_MAX 500 /* boxes that lie deeper are not seen */

struct span {
    size_t begin, end;
};

/* Consecutive boxes: the run so far, the last box in it, and the run before. */
struct boxes {
    bool found, joined;
    struct span run, last, before;
    struct str inner; /* of the last box */
};

/* The box command whose name ends at `at`, white space aside: its offset, or -1. */
static ptrdiff_t box_before(struct str s, size_t at) {
    static const struct str NAMES[] = {{"\\boxed", 6}, {"\\fbox", 5}, {"\\framebox", 9}};
    while (at > 0 && is_space(s.ptr[at - 1])) at--;
    for (size_t k = 0; k < ARRAY_LEN(NAMES); k++)
        if (str_ends(cut(s, 0, at), NAMES[k])) return (ptrdiff_t)(at - NAMES[k].len);
    return -1;
}

/* Offset behind the brace that closes the one at `at`, or 0. */
static size_t close_brace(struct str s, size_t at) {
    size_t depth = 0;
    for (size_t i = at; i < s.len; i++) {
        if (s.ptr[i] == '\\')
            i++;
        else if (s.ptr[i] == '{')
            depth++;
        else if (s.ptr[i] == '}' && --depth == 0)
            return i + 1;
    }
    return 0;
}

/* Nothing but separators: commas, "and", "or", spacing commands, dollars, short remarks in \text{...}. */
static bool only_separators(struct str s) {
    if (s.len > JOIN_BYTES_MAX) return false;
    size_t i = 0;
    while (i < s.len) {
        char c = s.ptr[i];
        struct str rest = cut(s, i, s.len);
        if (is_space(c) || strchr(",;$.&", c))
            i++;
        else if (str_starts(rest, STR("and")))
            i += 3;
        else if (str_starts(rest, STR("or")))
            i += 2;
        else if (str_starts(rest, STR("\\text{"))) {
            size_t end = close_brace(s, i + 5);
            if (!end) return false;
            i = end;
        } else if (str_starts(rest, STR("\\quad")))
            i += 5;
        else if (str_starts(rest, STR("\\qquad")))
            i += 6;
        else if (c == '\\' && i + 1 < s.len && !is_letter(s.ptr[i + 1]))
            i += 2;
        else
            return false;
    }
    return true;
}

static void add_box(struct boxes *b, struct str s, struct span box, struct str inner) {
    inner = str_trim(inner);
    if (!inner.len) return;
    if (b->found && box.begin > b->last.begin) { /* a new one, behind */
        b->joined = only_separators(cut(s, b->last.end, box.begin));
        if (!b->joined) b->before = b->run;
        b->run = (struct span){b->joined ? b->run.begin : box.begin, box.end};
    } else { /* the first, or one around those of the run */
        b->joined = b->before.end && only_separators(cut(s, b->before.end, box.begin));
        b->run = (struct span){b->joined ? b->before.begin : box.begin, box.end};
    }
    b->found = true;
    b->last = box;
    b->inner = inner;
}

/* "\boxed 5": up to white space or punctuation. */
static void add_bare_box(struct boxes *b, struct str s, size_t begin, size_t at) {
    size_t from = at;
    while (at < s.len && is_space(s.ptr[at])) at++;
    if (at == from || at == s.len || s.ptr[at] == '{') return;
    from = at;
    while (at < s.len && !is_space(s.ptr[at]) && !strchr("$\\,;)", s.ptr[at])) at++;
    if (at > from && s.ptr[at - 1] == '.') at--;
    add_box(b, s, (struct span){begin, at}, cut(s, from, at));
}

static bool find_boxed(struct str s, struct str *out) {
    size_t open[OPEN_BRACES_MAX], depth = 0;
    struct boxes b = {0};
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (c == '\\') {
            size_t end = i + 1;
            while (end < s.len && is_letter(s.ptr[end])) end++;
            if (box_before(s, end) == (ptrdiff_t)i) add_bare_box(&b, s, i, end);
            i = MAX(end - 1, i + 1);
        } else if (c == '{') {
            if (depth < OPEN_BRACES_MAX) open[depth] = i;
            depth++;
        } else if (c == '}' && depth > 0) {
            ptrdiff_t begin = --depth < OPEN_BRACES_MAX ? box_before(s, open[depth]) : -1;
            if (begin >= 0) add_box(&b, s, (struct span){(size_t)begin, i + 1}, cut(s, open[depth] + 1, i));
        }
    }
    if (b.found) *out = b.joined ? cut(s, b.run.begin, b.run.end) : b.inner;
    return b.found;
}

/* ---- hashes and phrases ---- */

static size_t line_end(struct str s, size_t at) {
    while (at < s.len && s.ptr[at] != '\n') at++;
    return at;
}

static bool find_hashes(struct str s, struct str *out) {
    ptrdiff_t at = str_find_last(s, STR("####"));
    if (at < 0) return false;
    *out = str_trim(cut(s, (size_t)at + 4, line_end(s, (size_t)at)));
    return out->len > 0;
}

static bool starts_nocase(struct str s, const char *word) {
    size_t n = strlen(word);
    if (s.len < n) return false;
    for (size_t i = 0; i < n; i++)
        if (lower(s.ptr[i]) != word[i]) return false;
    return true;
}

/* Trims what surrounds an answer in prose: ": ", "$...$" wholly around it, "**", a final full stop. */
static struct str trim_answer(struct str s) {
    for (bool again = true; again;) {
        again = false;
        s = str_trim(s);
        while (s.len && strchr(":*=", s.ptr[0])) s = cut(s, 1, s.len), again = true;
        while (s.len && strchr(".,;:*!", s.ptr[s.len - 1])) {
            if (s.len >= 2 && s.ptr[s.len - 2] == '\\') break;
            s.len--;
            again = true;
        }
        if (s.len >= 2 && s.ptr[0] == '$' && s.ptr[s.len - 1] == '$' && s.ptr[s.len - 2] != '\\') {
            struct str inner = cut(s, 1, s.len - 1);
            if (str_find(inner, STR("$")) < 0 || (inner.len && inner.ptr[0] == '$')) s = inner, again = true;
        }
        if (s.len >= 4 && ((str_starts(s, STR("\\(")) && str_ends(s, STR("\\)"))) ||
                           (str_starts(s, STR("\\[")) && str_ends(s, STR("\\]")))))
            s = cut(s, 2, s.len - 2), again = true;
    }
    return s;
}

/* The end of the sentence that starts at `at`: a full stop before white space, or the line's end, outside
 * $...$. */
static size_t sentence_end(struct str s, size_t at) {
    s.len = MIN(s.len, at + SENTENCE_BYTES_MAX);
    size_t i = at;
    while (i < s.len && is_space(s.ptr[i])) i++;
    bool math = false,
         spans_lines = i < s.len && (s.ptr[i] == '$' || str_starts(cut(s, i, s.len), STR("\\[")));
    for (; i < s.len; i++) {
        char c = s.ptr[i];
        if (c == '\\' && i + 1 < s.len) {
            char d = s.ptr[++i];
            if (d == '(' || d == '[') math = true;
            if (d == ')' || d == ']') math = false;
            continue;
        }
        if (c == '$') {
            math = !math;
            if (i + 1 < s.len && s.ptr[i + 1] == '$') i++;
        }
        if (c == '\n' && !(math && spans_lines)) return i;
        if (!math && c == '.' && (i + 1 >= s.len || is_space(s.ptr[i + 1]) || s.ptr[i + 1] == '<')) return i;
    }
    return s.len;
}

/* The length of the phrase at `at` that announces an answer, or 0. */
static size_t phrase_at(struct str s, size_t at) {
    static const char *const PHRASES[] = {
        "answer is", "answer is:", "answer:", "answer =", "answers are", "answer:**"};
    struct str rest = cut(s, at, MIN(s.len, at + 12));
    size_t n = 0;
    if (lower(s.ptr[at]) != 'a' || (at > 0 && is_letter(s.ptr[at - 1]))) return 0;
    for (size_t k = 0; k < ARRAY_LEN(PHRASES); k++)
        if (starts_nocase(rest, PHRASES[k])) n = MAX(n, strlen(PHRASES[k]));
    bool line_start = at == 0 || s.ptr[at - 1] == '\n';
    return !n && line_start && str_starts(rest, STR("A:")) ? 2 : n;
}

static bool find_phrase(struct str s, struct str *out) {
    for (size_t i = s.len; i-- > 0;) {
        size_t n = phrase_at(s, i);
        if (!n) continue;
        *out = trim_answer(cut(s, i + n, sentence_end(s, i + n)));
        if (out->len) return true;
    }
    return false;
}

/* ---- last resorts ---- */

static bool find_math(struct str s, struct str *out) {
    bool found = false, closes[2] = {true, true}; /* is there a \\) or \\] ahead? */
    for (size_t i = 0; i < s.len; i++) {
        size_t end = 0, from = 0;
        if (s.ptr[i] == '\\' && i + 1 < s.len) {
            char open = s.ptr[i + 1];
            if (open == '(' || open == '[') {
                bool square = open == '[';
                ptrdiff_t n =
                    closes[square] ? str_find(cut(s, i + 2, s.len), square ? STR("\\]") : STR("\\)")) : -1;
                closes[square] = n >= 0;
                if (n >= 0) {
                    from = i + 2;
                    end = from + (size_t)n;
                }
            } else
                i++;
        } else if (s.ptr[i] == '$') {
            size_t wide = i + 1 < s.len && s.ptr[i + 1] == '$' ? 2 : 1;
            size_t j = i + wide;
            while (j < s.len && !(s.ptr[j] == '$' && s.ptr[j - 1] != '\\')) j++;
            if (j < s.len) {
                from = i + wide;
                end = j;
            }
        }
        if (!end) continue;
        struct str inner = trim_answer(cut(s, from, end));
        if (inner.len) {
            *out = inner;
            found = true;
        }
        i = end + 1 < s.len && s.ptr[end] != '$' ? end + 1 : end + (end + 1 < s.len && s.ptr[end + 1] == '$');
    }
    return found;
}

static bool is_minus(struct str s, size_t end, size_t *n_bytes) {
    if (end >= 1 && s.ptr[end - 1] == '-') return *n_bytes = 1, true;
    if (end >= 3 && memcmp(s.ptr + end - 3, "\xe2\x88\x92", 3) == 0) return *n_bytes = 3, true;
    return false;
}

/* The last number that is not part of a word: sign, digits with separators, a percent sign behind. */
static bool find_number(struct str s, struct str *out) {
    bool found = false;
    for (size_t i = 0; i < s.len;) {
        bool point = s.ptr[i] == '.' && i + 1 < s.len && is_digit(s.ptr[i + 1]);
        if (!is_digit(s.ptr[i]) && !point) {
            i++;
            continue;
        }
        size_t from = i, n;
        while (i < s.len && (is_digit(s.ptr[i]) || ((s.ptr[i] == '.' || s.ptr[i] == ',') && i + 1 < s.len &&
                                                    is_digit(s.ptr[i + 1]))))
            i++;
        bool word = from > 0 && (is_letter(s.ptr[from - 1]) || s.ptr[from - 1] == '_');
        word = word || (i < s.len && (is_letter(s.ptr[i]) || s.ptr[i] == '_') && from > 0 &&
                        is_letter(s.ptr[from - 1]));
        if (word) continue;
        if (i + 1 < s.len && s.ptr[i] == '/' && is_digit(s.ptr[i + 1])) {
            i++;
            while (i < s.len && is_digit(s.ptr[i])) i++;
        }
        if (is_minus(s, from, &n) && (from == n || !is_digit(s.ptr[from - n - 1]))) from -= n;
        size_t end = i;
        if (end < s.len && s.ptr[end] == '%') end++;
        *out = cut(s, from, end);
        found = true;
    }
    return found;
}

/* Words, not counting those inside $...$ and \text{...}. */
static size_t count_words(struct str s) {
    size_t n = 0;
    bool math = false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '$') math = !math;
        if (s.ptr[i] == '\\') {
            while (i + 1 < s.len && is_letter(s.ptr[i + 1])) i++;
            continue;
        }
        if (math || !is_letter(s.ptr[i])) continue;
        size_t from = i;
        while (i + 1 < s.len && is_letter(s.ptr[i + 1])) i++;
        n += i > from;
    }
    return n;
}

/* "The volume of $ABC$ is 120", "Jane started growing it 3 hours ago": the value inside a sentence. */
static struct str inside_sentence(struct str s, unsigned flags) {
    if (count_words(s) < 3) return s;
    struct str part = s, found;
    ptrdiff_t is = str_find_last(s, STR(" is ")), are = str_find_last(s, STR(" are "));
    if (is >= 0 || are >= 0)
        part = trim_answer(is > are ? cut(s, (size_t)is + 4, s.len) : cut(s, (size_t)are + 5, s.len));
    if (part.len && count_words(part) < 3) return part;
    if ((flags & ANSWER_TRY_MATH) && find_math(part, &found)) return found;
    if ((flags & ANSWER_TRY_NUMBER) && find_number(part, &found)) return found;
    return s;
}

/* The letter of a choice: "B. Because ..." at the start, else the last "(B)" or lone B to E. */
static bool find_choice(struct str s, struct str *out) {
    struct str t = str_trim(s);
    if (t.len >= 2 && t.ptr[0] >= 'A' && t.ptr[0] <= 'E' && strchr(".):", t.ptr[1]))
        return *out = cut(t, 0, 1), true;
    for (size_t i = s.len; i-- > 0;) {
        char c = s.ptr[i];
        bool lone = c >= 'A' && c <= 'E' && (i == 0 || !is_letter(s.ptr[i - 1])) &&
                    (i + 1 == s.len || !is_letter(s.ptr[i + 1]));
        bool fenced = lone && i > 0 && i + 1 < s.len && s.ptr[i - 1] == '(' && s.ptr[i + 1] == ')';
        if (!lone || (c == 'A' && !fenced)) continue; /* a lone A is mostly an article */
        *out = cut(s, i, i + 1);
        return true;
    }
    return false;
}

bool answer_extract(struct str text, unsigned flags, struct str *out, enum answer_source *how) {
    enum answer_source source = ANSWER_FROM_NOTHING;
    if (find_boxed(text, out))
        source = ANSWER_FROM_BOXED;
    else if (find_hashes(text, out))
        source = ANSWER_FROM_HASHES;
    else if (find_phrase(text, out)) {
        source = ANSWER_FROM_PHRASE;
        *out = inside_sentence(*out, flags);
    } else {
        struct str math, number;
        if ((flags & ANSWER_TRY_MATH) && find_math(text, &math)) source = ANSWER_FROM_MATH, *out = math;
        if ((flags & ANSWER_TRY_NUMBER) && find_number(text, &number))
            if (source == ANSWER_FROM_NOTHING || number.ptr > math.ptr + math.len)
                source = ANSWER_FROM_NUMBER, *out = number;
        if (source == ANSWER_FROM_NOTHING && (flags & ANSWER_TRY_CHOICE) && find_choice(text, out))
            source = ANSWER_FROM_CHOICE;
    }
    if (how) *how = source;
    return source != ANSWER_FROM_NOTHING;
}
