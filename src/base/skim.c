/* skim.c - see skim.h. */
#include "base/skim.h"

#include <stdlib.h>
#include <string.h>

enum { NUMBER_BYTES_MAX = 40, DEPTH_MAX = 64 };

static void skip_white(struct skim *s) {
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\r' || *s->at == '\t')) s->at++;
}

static bool take(struct skim *s, char c) {
    skip_white(s);
    if (s->at == s->end || *s->at != c) return false;
    s->at++;
    return true;
}

bool skim_open(struct skim *s, char bracket) {
    return take(s, bracket);
}

bool skim_end(struct skim *s) {
    skip_white(s);
    return s->at == s->end;
}

/* The inside of a string as it stands. */
static bool take_raw(struct skim *s, struct str *out) {
    if (!take(s, '"')) return false;
    const char *from = s->at;
    while (s->at < s->end && *s->at != '"') {
        const unsigned char c = (unsigned char)*s->at;
        if (c < 0x20) return false;
        if (c >= 0x80) { /* well-formed UTF-8 */
            uint32_t scalar;
            const int n = str_utf8((struct str){s->at, (size_t)(s->end - s->at)}, 0, &scalar);
            if (n == 0) return false;
            s->at += n;
            continue;
        }
        if (c == '\\') {
            if (++s->at == s->end || !*s->at || !strchr("\"\\/bfnrt", *s->at)) return false;
        }
        s->at++;
    }
    if (s->at == s->end) return false;
    *out = (struct str){from, (size_t)(s->at - from)};
    s->at++;
    return true;
}

static bool next(struct skim *s, bool *first, char closing, int *got) {
    *got = 0;
    if (take(s, closing)) return false;
    *got = *first || take(s, ',') ? 1 : -1;
    *first = false;
    return *got > 0;
}

int skim_key(struct skim *s, bool *first, struct str *key) {
    int got;
    if (!next(s, first, '}', &got)) return got;
    return take_raw(s, key) && take(s, ':') ? 1 : -1;
}

int skim_item(struct skim *s, bool *first) {
    int got;
    (void)next(s, first, ']', &got);
    return got;
}

static bool take_word(struct skim *s, const char *word) {
    const size_t n = strlen(word);
    skip_white(s);
    if ((size_t)(s->end - s->at) < n || memcmp(s->at, word, n) != 0) return false;
    s->at += n;
    return true;
}

bool skim_null(struct skim *s) {
    return take_word(s, "null");
}

static size_t digits(const char *at, const char *end) {
    size_t n = 0;
    while (at + n < end && at[n] >= '0' && at[n] <= '9') n++;
    return n;
}

/* As the grammar has it: no leading zeros, no plus, digits on both sides of a point. */
static bool take_number(struct skim *s, struct str *out) {
    skip_white(s);
    const char *p = s->at;
    if (p < s->end && *p == '-') p++;
    const size_t n = digits(p, s->end);
    if (n == 0 || (n > 1 && *p == '0')) return false;
    p += n;
    if (p < s->end && *p == '.') {
        const size_t n_behind = digits(p + 1, s->end);
        if (n_behind == 0) return false;
        p += 1 + n_behind;
    }
    if (p < s->end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < s->end && (*p == '-' || *p == '+')) p++;
        const size_t n_power = digits(p, s->end);
        if (n_power == 0) return false;
        p += n_power;
    }
    *out = (struct str){s->at, (size_t)(p - s->at)};
    s->at = p;
    return true;
}

bool skim_number(struct skim *s, double *out) {
    struct str text;
    char copy[NUMBER_BYTES_MAX];
    if (!take_number(s, &text) || text.len >= sizeof copy) return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    *out = strtod(copy, NULL);
    return true;
}

bool skim_count(struct skim *s, int *out) {
    struct str text;
    int64_t n = 0;
    if (!take_number(s, &text) || text.len > 10) return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') return false;
        n = 10 * n + (text.ptr[i] - '0');
    }
    *out = (int)n;
    return n <= INT32_MAX;
}

bool skim_text(struct skim *s, struct buf *out) {
    static const char names[] = "bfnrt", bytes[] = "\b\f\n\r\t";
    struct str raw;
    if (!take_raw(s, &raw)) return false;
    for (size_t i = 0; i < raw.len;) {
        const char *slash = memchr(raw.ptr + i, '\\', raw.len - i);
        const size_t n = slash ? (size_t)(slash - raw.ptr) - i : raw.len - i;
        buf_add(out, raw.ptr + i, n);
        i += n;
        if (!slash) break;
        const char *name = strchr(names, raw.ptr[i + 1]);
        buf_add_char(out, name ? bytes[name - names] : raw.ptr[i + 1]);
        i += 2;
    }
    return true;
}

static bool skip(struct skim *s, int depth) {
    struct str key;
    bool first = true;
    int got;
    skip_white(s);
    if (depth > DEPTH_MAX || s->at == s->end) return false;
    switch (*s->at) {
    case '{':
        s->at++;
        while ((got = skim_key(s, &first, &key)) > 0)
            if (!skip(s, depth + 1)) return false;
        return got == 0;
    case '[':
        s->at++;
        while ((got = skim_item(s, &first)) > 0)
            if (!skip(s, depth + 1)) return false;
        return got == 0;
    case '"':
        return take_raw(s, &key);
    case 't':
        return take_word(s, "true");
    case 'f':
        return take_word(s, "false");
    case 'n':
        return take_word(s, "null");
    default:
        return take_number(s, &key);
    }
}

bool skim_skip(struct skim *s) {
    return skip(s, 0);
}
