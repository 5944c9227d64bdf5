#define PCRE2_CODE_UNIT_WIDTH 8
#include "model/split.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "model/split_fast.h"

enum {
    PATTERNS_MAX = 16,
    PATTERN_BYTES_MAX = 16384,
    MATCH_LIMIT = 20 * 1000 * 1000,
    HEAP_KIB_MAX = 256 << 10
};

struct split {
    pcre2_code *codes[PATTERNS_MAX];
    enum split_behaviour behaviours[PATTERNS_MAX];
    bool invert[PATTERNS_MAX];
    const struct split_rules *rules[PATTERNS_MAX]; /* of patterns that are known by hand, too; or NULL */
    int n;
    pcre2_match_context *limits;
    uint64_t hash;
};

/* Unicode White_Space, and the rest: insides of a character class. PCRE2's own \s has U+180E besides. */
#define SPACES                                                                                               \
    "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{" \
    "3000}"
#define NO_SPACES                                                                                            \
    "\\x{0}-\\x{8}\\x{e}-\\x{1f}\\x{21}-\\x{84}\\x{86}-\\x{9f}\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff}"          \
    "\\x{200b}-\\x{2027}\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}\\x{3001}-\\x{10ffff}"

struct split *split_new(void) {
    struct split *s = mem_zalloc(1, sizeof *s);
    s->limits = pcre2_match_context_create(NULL);
    ASSERT(s->limits);
    pcre2_set_match_limit(s->limits, MATCH_LIMIT);
    pcre2_set_heap_limit(s->limits, HEAP_KIB_MAX);
    return s;
}

void split_free(struct split *s) {
    if (!s) return;
    for (int i = 0; i < s->n; i++) pcre2_code_free(s->codes[i]);
    pcre2_match_context_free(s->limits);
    free(s);
}

bool split_is_empty(const struct split *s) {
    return s->n == 0;
}

uint64_t split_hash(const struct split *s) {
    return s->hash;
}

static bool refuse(struct str pattern, const char *what, size_t at, const char *where, struct err *e) {
    return err_set(e, ERR_INPUT,
                   "%s: the split pattern uses %s at byte %zu (\"%.*s\"), which is not supported", where,
                   what, at, (int)MIN(pattern.len - at, 20), pattern.ptr + at);
}

/* The length of an escape that is written as it stands: \p{...} and \x{...} with their braces, else two
 * bytes; 0 if unclosed. */
static size_t escape_length(struct str rest) {
    if (!strchr("pPx", rest.ptr[1]) || rest.len < 3 || rest.ptr[2] != '{') return 2;
    const char *close = memchr(rest.ptr, '}', rest.len);
    return close ? (size_t)(close - rest.ptr) + 1 : 0;
}

static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (unsigned char)c >= 0x80;
}

/* An escape at pattern[at]; *at moves behind it. Escapes of letters are listed: those that both engines read
 * alike. */
static bool rewrite_escape(struct str pattern, size_t *at, bool in_class, struct buf *out, const char *where,
                           struct err *e) {
    const struct str rest = {pattern.ptr + *at, pattern.len - *at};
    if (rest.len < 2 || rest.ptr[1] == '\0') return refuse(pattern, "an unfinished escape", *at, where, e);
    char c = rest.ptr[1];
    size_t n = 2;
    if (c == 's') {
        buf_add_str(out, in_class ? STR(SPACES) : STR("[" SPACES "]"));
    } else if (c == 'S') {
        buf_add_str(out, in_class ? STR(NO_SPACES) : STR("[^" SPACES "]"));
    } else if (!is_word(c) || strchr("pPdDrntfx", c)) {
        n = escape_length(rest);
        if (n == 0) return refuse(pattern, "an unclosed brace", *at, where, e);
        buf_add(out, rest.ptr, n);
    } else {
        return refuse(pattern, "an escape", *at, where, e);
    }
    *at += n;
    return true;
}

/* A class from its '[' to its ']'. */
static bool rewrite_class(struct str pattern, size_t *at, struct buf *out, const char *where, struct err *e) {
    size_t first = *at, i = *at + 1;
    buf_add_char(out, '[');
    if (i < pattern.len && pattern.ptr[i] == '^') buf_add_char(out, pattern.ptr[i++]);
    if (i < pattern.len && pattern.ptr[i] == ']') return refuse(pattern, "an empty class", first, where, e);
    while (i < pattern.len && pattern.ptr[i] != ']') {
        if (pattern.ptr[i] == '\\') {
            if (!rewrite_escape(pattern, &i, true, out, where, e)) return false;
            continue;
        }
        if (pattern.ptr[i] == '[') return refuse(pattern, "a class in a class", i, where, e);
        if (pattern.ptr[i] == '&' && i + 1 < pattern.len && pattern.ptr[i + 1] == '&')
            return refuse(pattern, "an intersection of classes", i, where, e);
        buf_add_char(out, pattern.ptr[i++]);
    }
    if (i == pattern.len) return refuse(pattern, "an unclosed class", first, where, e);
    buf_add_char(out, ']');
    *at = i + 1;
    return true;
}

/* Groups that both engines read alike: (...), (?:...), (?i:...), and looks around. */
static bool check_group(struct str pattern, size_t at, const char *where, struct err *e) {
    static const char *const known[] = {"(?:", "(?i:", "(?=", "(?!", "(?<=", "(?<!", "(?>"};
    const struct str rest = {pattern.ptr + at, pattern.len - at};
    if (str_starts(rest, STR("(*"))) return refuse(pattern, "a verb", at, where, e);
    if (!str_starts(rest, STR("(?"))) return true;
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (str_starts(rest, str_from(known[i]))) return true;
    }
    return refuse(pattern, "a group", at, where, e);
}

bool split_rewrite(struct str pattern, struct buf *out, const char *where, struct err *e) {
    if (pattern.len > PATTERN_BYTES_MAX)
        return err_set(e, ERR_INPUT, "%s: a split pattern of %zu bytes is over %d", where, pattern.len,
                       PATTERN_BYTES_MAX);
    for (size_t i = 0; i < pattern.len;) {
        char c = pattern.ptr[i];
        if (c == '\\') {
            if (!rewrite_escape(pattern, &i, false, out, where, e)) return false;
            continue;
        }
        if (c == '[') {
            if (!rewrite_class(pattern, &i, out, where, e)) return false;
            continue;
        }
        if (c == '(' && !check_group(pattern, i, where, e)) return false;
        if (c == '\0') return refuse(pattern, "a NUL", i, where, e);
        if (c == '}' && i + 1 < pattern.len && pattern.ptr[i + 1] == '+')
            return refuse(pattern, "a doubled repeat", i, where, e);
        buf_add_char(out, c);
        i++;
    }
    return true;
}

bool split_add(struct split *s, struct str pattern, const char *where, struct err *e) {
    return split_add_as(s, pattern, SPLIT_ISOLATED, false, where, e);
}

bool split_add_as(struct split *s, struct str pattern, enum split_behaviour behaviour, bool invert,
                  const char *where, struct err *e) {
    struct buf text = {0};
    bool done = false;
    int code = 0;
    size_t at = 0;
    if (s->n == PATTERNS_MAX)
        return err_set(e, ERR_INPUT, "%s: more than %d split patterns", where, PATTERNS_MAX);
    if (!split_rewrite(pattern, &text, where, e)) goto done;
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    ASSERT(context);
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    pcre2_set_parens_nest_limit(context, 50);
    pcre2_code *compiled = pcre2_compile((PCRE2_SPTR)buf_cstr(&text), text.len,
                                         PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE, &code, &at, context);
    pcre2_compile_context_free(context);
    if (!compiled) {
        unsigned char why[128] = "";
        pcre2_get_error_message(code, why, sizeof why);
        err_set(e, ERR_INPUT, "%s: split pattern: %s", where, (const char *)why);
        goto done;
    }
    uint32_t is_empty = 0;
    pcre2_pattern_info(compiled, PCRE2_INFO_MATCHEMPTY, &is_empty);
    if (is_empty) {
        pcre2_code_free(compiled);
        err_set(e, ERR_INPUT, "%s: the split pattern can match nothing", where);
        goto done;
    }
    (void)pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE); /* faster where it works, the same where not */
    s->rules[s->n] = split_fast_find(pattern);
    s->behaviours[s->n] = behaviour;
    s->invert[s->n] = invert;
    s->codes[s->n++] = compiled;
    s->hash = rng_hash(s->hash, pattern.ptr, pattern.len);
    if (behaviour != SPLIT_ISOLATED) s->hash = rng_child(s->hash, 2 * (uint64_t)behaviour + invert);
    done = true;
done:
    buf_free(&text);
    return done;
}

struct run {
    const struct split *split;
    pcre2_match_data *matches[PATTERNS_MAX];
    split_piece *piece;
    void *ctx;
};

/* The next match at or after `from`: 1 with its bounds, 0 if there is none, negative on failure. */
static int match_next(const struct run *r, int i_pattern, struct str text, size_t from, size_t *begin,
                      size_t *end) {
    const struct split *s = r->split;
    pcre2_match_data *m = r->matches[i_pattern];
    size_t n = s->rules[i_pattern]
                   ? split_fast_piece(s->rules[i_pattern], (struct str){text.ptr + from, text.len - from})
                   : 0;
    if (n > 0) {
        *begin = from;
        *end = from + n;
        return 1;
    }
    PCRE2_SPTR subject = (PCRE2_SPTR)text.ptr;
    int got = pcre2_match(s->codes[i_pattern], subject, text.len, from, PCRE2_NO_UTF_CHECK, m, s->limits);
    if (got == PCRE2_ERROR_JIT_STACKLIMIT)
        got = pcre2_match(s->codes[i_pattern], subject, text.len, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, m,
                          s->limits);
    if (got == PCRE2_ERROR_NOMATCH) return 0;
    if (got < 0) return got;
    const PCRE2_SIZE *bounds = pcre2_get_ovector_pointer(m);
    *begin = bounds[0];
    *end = bounds[1];
    return 1;
}

/* Stretches that wait for what follows them. */
struct stretch {
    struct str text;
    bool is_delimiter; /* the last of them */
};

static bool joins(enum split_behaviour behaviour, bool before, bool now) {
    switch (behaviour) {
    case SPLIT_TO_PREVIOUS:
        return now && !before;
    case SPLIT_TO_NEXT:
        return before && !now;
    case SPLIT_CONTIGUOUS:
        return before == now;
    case SPLIT_ISOLATED:
    case SPLIT_REMOVED:
        break;
    }
    return false;
}

static bool cut(const struct run *r, int i_pattern, struct str text, struct err *e);

static bool take_stretch(const struct run *r, int i_pattern, struct stretch *held, struct str text,
                         bool is_match, struct err *e) {
    const enum split_behaviour behaviour = r->split->behaviours[i_pattern];
    bool is_delimiter = is_match != r->split->invert[i_pattern];
    if (text.len == 0) return true;
    if (behaviour == SPLIT_ISOLATED) return cut(r, i_pattern + 1, text, e);
    if (behaviour == SPLIT_REMOVED) return is_delimiter || cut(r, i_pattern + 1, text, e);
    struct str before = held->text;
    if (before.len && joins(behaviour, held->is_delimiter, is_delimiter)) {
        text = (struct str){before.ptr, before.len + text.len};
        before.len = 0;
    }
    *held = (struct stretch){text, is_delimiter};
    return cut(r, i_pattern + 1, before, e);
}

static bool cut(const struct run *r, int i_pattern, struct str text, struct err *e) {
    struct stretch held = {0};
    if (text.len == 0) return true;
    if (i_pattern == r->split->n) {
        r->piece(r->ctx, text);
        return true;
    }
    for (size_t at = 0; at < text.len;) {
        size_t begin = text.len, end = text.len;
        int got = match_next(r, i_pattern, text, at, &begin, &end);
        if (got < 0)
            return err_set(e, ERR_INPUT,
                           "this text takes the tokenizer's split pattern too long (PCRE2 error %d)", got);
        if (got > 0 && end <= at)
            end = begin = text.len; /* a match of nothing, which looking around might give */
        const struct str between = {text.ptr + at, begin - at}, match = {text.ptr + begin, end - begin};
        if (!take_stretch(r, i_pattern, &held, between, false, e) ||
            !take_stretch(r, i_pattern, &held, match, true, e))
            return false;
        at = end;
    }
    return cut(r, i_pattern + 1, held.text, e);
}

bool split_run(const struct split *s, struct str text, split_piece *piece, void *ctx, struct err *e) {
    struct run r = {.split = s, .piece = piece, .ctx = ctx};
    for (int i = 0; i < s->n; i++) {
        r.matches[i] = pcre2_match_data_create(1, NULL);
        ASSERT(r.matches[i]);
    }
    bool done = cut(&r, 0, text, e);
    for (int i = 0; i < s->n; i++) pcre2_match_data_free(r.matches[i]);
    return done;
}
