#include "answer/lex.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define LEX_DEPTH_MAX 6

struct scan {
    struct lex *l;
    size_t at, end, start; /* start: of the token being read */
    int depth;             /* of \text{...} inside each other */
    int n_brackets;        /* open ( [ \{ : a bare comma between digits is a separator there */
    int n_envs;            /* open \begin */
    bool in_text, spaced;
};

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}
static char peek(const struct scan *s, size_t ahead) {
    return s->at + ahead < s->end ? s->l->src.ptr[s->at + ahead] : '\0';
}
static struct str slice(const struct scan *s, size_t from, size_t to) {
    return (struct str){s->l->src.ptr + from, to - from};
}

static struct lex_token *emit(struct scan *s, int kind, int op, struct str text) {
    struct lex *l = s->l;
    if (l->n_tokens >= LEX_TOKENS_MAX) {
        l->failed = true;
        s->at = s->end;
    }
    if (l->n_tokens + 1 > l->cap) MEM_GROW(l->tokens, l->cap, l->n_tokens + 1);
    struct lex_token *t = &l->tokens[l->failed ? 0 : l->n_tokens++];
    *t = (struct lex_token){.kind = (uint8_t)kind, .op = (uint8_t)op, .at = (uint32_t)s->start, .text = text};
    t->flags = (uint16_t)((s->in_text ? LEX_IN_TEXT : 0) | (s->spaced ? LEX_SPACE : 0));
    s->spaced = false;
    return t;
}

static void emit_char(struct scan *s, char c) {
    emit(s, LEX_CHAR, c, (struct str){0});
}

static void emit_word(struct scan *s, const struct word *w) {
    if (w->kind == LEX_END) return;
    emit(s, w->kind, w->op, str_from(w->text));
}

static const struct lex_token *last(const struct scan *s) {
    return s->l->n_tokens ? &s->l->tokens[s->l->n_tokens - 1] : NULL;
}

static bool after_number(const struct scan *s) {
    const struct lex_token *t = last(s);
    return t && t->kind == LEX_NUM;
}

/* ---- numbers ---- */

static size_t count_digits(const struct scan *s, size_t at) {
    size_t n = 0;
    while (at + n < s->end && is_digit(s->l->src.ptr[at + n])) n++;
    return n;
}

/* The length of a thousands separator at `at`, or 0: "," "{,}" ",\!" "\," "\ " "~" " " before exactly three
 * digits. A bare comma inside brackets separates elements. */
static size_t group_separator(const struct scan *s, size_t at) {
    static const char *const WIDE[] = {"{,}", "{, }", ",\\!", "\\!,\\!", "\\,", "\\ ", "\\;", "~"};
    size_t n = 0, end = at;
    while (end < s->end && s->l->src.ptr[end] == ' ') end++;
    struct str rest = slice(s, end, s->end);
    for (size_t i = 0; i < ARRAY_LEN(WIDE) && !n; i++)
        if (str_starts(rest, str_from(WIDE[i]))) n = str_from(WIDE[i]).len;
    if (!n && end == at && peek(s, 0) == ',')
        return s->n_brackets == 0 && count_digits(s, at + 1) == 3 ? 1 : 0;
    if (!n && end == at) return 0;
    end += n;
    while (end < s->end && is_space(s->l->src.ptr[end])) end++;
    return count_digits(s, end) == 3 ? end - at : 0;
}

/* "\overline{23}" or "\bar 3" after a decimal: adds "(23)". */
static void scan_repeating(struct scan *s, struct buf *b) {
    static const char *const NAMES[] = {"\\overline", "\\bar", "\\dot"};
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        struct str name = str_from(NAMES[i]);
        if (!str_starts(slice(s, s->at, s->end), name)) continue;
        size_t at = s->at + name.len, braces = at < s->end && s->l->src.ptr[at] == '{';
        size_t n = count_digits(s, at + braces);
        if (!n || (!braces && n != 1)) return;
        size_t end = at + braces + n;
        if (braces && (end >= s->end || s->l->src.ptr[end] != '}')) return;
        buf_add_char(b, '(');
        buf_add_str(b, slice(s, at + braces, end));
        buf_add_char(b, ')');
        s->at = end + braces;
        return;
    }
}

/* 1.5e-7, 2E10, 1e-05; but 3e-2 is 3e - 2 and 2e^3 is a power of e. */
static void scan_exponent(struct scan *s, struct buf *b, bool has_point) {
    char e = peek(s, 0);
    if (e != 'e' && e != 'E') return;
    size_t sign = peek(s, 1) == '-' || peek(s, 1) == '+';
    size_t n = count_digits(s, s->at + 1 + sign);
    if (!n || n > 6 || (e == 'e' && sign && !has_point && n < 2)) return;
    buf_add_char(b, 'e');
    buf_add_str(b, slice(s, s->at + 1, s->at + 1 + sign + n));
    s->at += 1 + sign + n;
}

static void scan_number(struct scan *s) {
    struct buf b = {0};
    size_t n = count_digits(s, s->at), sep;
    bool grouped = false, has_point = false, comma = s->l->comma_decimal;
    buf_add_str(&b, slice(s, s->at, s->at + n));
    const struct lex_token *before = last(s);
    bool script = before && before->kind == LEX_CHAR && (before->op == '^' || before->op == '_');
    bool may_group = n >= 1 && n <= 3 && peek(s, 0) != '0' && !script; /* \log_2 256 */
    s->at += n;
    while (may_group && (sep = group_separator(s, s->at)) > 0) {
        buf_add_str(&b, slice(s, s->at + sep, s->at + sep + 3));
        s->at += sep + 3;
        grouped = true;
    }
    struct str rest = slice(s, MIN(s->at + 1, s->end), s->end);
    bool point =
        peek(s, 0) == '.' && (count_digits(s, s->at + 1) > 0 || str_starts(rest, STR("\\overline")) ||
                              str_starts(rest, STR("\\bar")) || str_starts(rest, STR("\\dot{")));
    if (point || (comma && peek(s, 0) == ',' && count_digits(s, s->at + 1) > 0)) {
        has_point = true;
        buf_add_char(&b, '.');
        n = count_digits(s, s->at + 1);
        buf_add_str(&b, slice(s, s->at + 1, s->at + 1 + n));
        s->at += 1 + n;
        scan_repeating(s, &b);
    }
    scan_exponent(s, &b, has_point);
    struct lex_token *t = emit(s, LEX_NUM, 0, node_str(s->l->tree, buf_str(&b)));
    if (grouped) t->flags |= LEX_TIGHT;
    buf_free(&b);
}

/* ---- letters ---- */

static bool in_list(struct str s,
                    const char *list) { /* list: words between single spaces, with one at both ends */
    char padded[20];
    if (s.len > 16) return false;
    padded[0] = ' ';
    memcpy(padded + 1, s.ptr, s.len);
    padded[s.len + 1] = ' ';
    padded[s.len + 2] = '\0';
    return strstr(list, padded) != NULL;
}

static bool is_short_unit(struct str s) {
    return in_list(s, " cm mm km kg mg ml mL ft lb lbs oz mi yd hr hrs min mins sec secs mph kph rpm Hz kHz "
                      "am pm AM PM in sq cu km/h "
                      "day days men cup cups box pts gal bit kW kJ mol ");
}

static bool is_short_word(struct str s) { /* not "at" or "is", which may be products */
    return in_list(s, " yes no Yes No YES odd Odd one two six ten red Red the The not Not are "
                      "Tom Bob Sam Ann Joe Jim Kim Tim Dan Ben Max Amy Eve Mon Tue Wed Thu Fri Sat Sun ");
}

static void emit_letter(struct scan *s, size_t at) {
    struct str name = slice(s, at, at + 1);
    if (name.ptr[0] == 'e')
        emit(s, LEX_CONST, NODE_E, name);
    else if (name.ptr[0] == 'i')
        emit(s, LEX_CONST, NODE_I, name);
    else
        emit(s, LEX_SYM, 0, name);
}

/* "sinx", "lnx", "sqrtx": a function and one letter. */
static bool emit_glued_function(struct scan *s, struct str run, size_t from) {
    struct str head = {run.ptr, run.len - 1};
    const struct word *w = head.len >= 2 ? word_plain(head) : NULL;
    if (!w || w->kind != LEX_FUNC) return false;
    emit_word(s, w);
    emit_letter(s, from + head.len);
    return true;
}

static void scan_letters(struct scan *s) {
    size_t from = s->at, n = 0;
    while (from + n < s->end && is_letter(s->l->src.ptr[from + n])) n++;
    struct str run = slice(s, from, from + n);
    s->at += n;
    if (n == 1 && strchr("apAP", run.ptr[0]) && str_starts(slice(s, s->at, s->end), STR(".m"))) { /* p.m. */
        s->at += peek(s, 2) == '.' ? 3 : 2;
        emit(s, LEX_WORD, 0, run.ptr[0] == 'a' || run.ptr[0] == 'A' ? STR("am") : STR("pm"));
        return;
    }
    if (after_number(s) && !s->spaced && n > 2 && str_starts(run, STR("or"))) { /* 1orx=2 */
        s->at = from + 2;
        emit(s, LEX_OR, 0, run);
        return;
    }
    if (n == 1) {
        emit_letter(s, from);
        return;
    }
    const struct lex_token *before = last(s);
    bool after = after_number(s);
    if (after && !s->spaced && in_list(run, " st nd rd th ")) return;
    if (after && is_short_unit(run)) {
        emit(s, LEX_WORD, 0, run);
        return;
    }
    const struct word *w = word_plain(run);
    bool phrase = s->in_text && before &&
                  before->kind == LEX_WORD; /* inside a sentence only connectors keep their meaning */
    if (w && !(s->in_text && w->kind == LEX_REL) &&
        !(phrase && w->kind != LEX_AND && w->kind != LEX_OR && w->kind != LEX_PERCENT)) {
        emit_word(s, w);
        return;
    }
    if (s->in_text || n >= 4 || is_short_word(run) || (before && before->kind == LEX_WORD && s->spaced)) {
        if (!s->in_text && emit_glued_function(s, run, from)) return;
        emit(s, LEX_WORD, 0, run);
        return;
    }
    if (emit_glued_function(s, run, from)) return;
    for (size_t i = 0; i < n; i++) emit_letter(s, from + i);
}

/* ---- commands ---- */

/* Offset just behind the brace that closes the one at `at`, or 0. */
static size_t matching_brace(const struct scan *s, size_t at) {
    size_t n_open = 0;
    for (size_t i = at; i < s->end; i++) {
        char c = s->l->src.ptr[i];
        if (c == '\\')
            i++;
        else if (c == '{')
            n_open++;
        else if (c == '}' && --n_open == 0)
            return i + 1;
    }
    return 0;
}

static void skip_space(struct scan *s) {
    while (s->at < s->end && is_space(s->l->src.ptr[s->at])) s->at++;
}

static void skip_group(struct scan *s) {
    skip_space(s);
    size_t end = peek(s, 0) == '{' ? matching_brace(s, s->at) : 0;
    if (end) s->at = end;
}

/* The content of {...} at the scan position, which moves behind it; empty when there is none. */
static struct str take_group(struct scan *s) {
    skip_space(s);
    size_t end = peek(s, 0) == '{' ? matching_brace(s, s->at) : 0;
    if (!end) return (struct str){0};
    struct str inner = slice(s, s->at + 1, end - 1);
    s->at = end;
    return str_trim(inner);
}

static void scan_all(struct scan *s);

static void scan_text_group(struct scan *s) {
    skip_space(s);
    size_t end = peek(s, 0) == '{' ? matching_brace(s, s->at) : 0;
    if (!end || s->depth >= LEX_DEPTH_MAX) return;
    struct scan inner = *s;
    inner.at = s->at + 1;
    inner.end = end - 1;
    inner.in_text = true;
    inner.depth++;
    inner.spaced = inner.spaced || is_space(peek(&inner, 0));
    scan_all(&inner);
    s->at = end;
    s->spaced = inner.spaced;
    if (inner.l->failed) s->at = s->end;
}

static void scan_begin_end(struct scan *s, int kind) {
    struct str env = take_group(s);
    s->n_envs += kind == LEX_BEGIN ? 1 : s->n_envs > 0 ? -1 : 0;
    if (kind == LEX_BEGIN && str_equal(env, STR("array"))) skip_group(s);
    emit(s, kind, 0, env);
}

static bool scan_special_command(struct scan *s, struct str name) {
    if (in_list(name, " text textbf textit textrm textnormal mbox textsf texttt textup hbox mathrm "
                      "operatorname mathsf emph textsc rm ")) {
        scan_text_group(s);
        return true;
    }
    if (in_list(name, " mathbf mathit mathcal boxed fbox framebox underline bm mathscr ensuremath boldmath "
                      "variable tfrac* "))
        return true;
    if (in_list(name, " color tag label hspace vspace phantom hphantom vphantom rule ")) {
        skip_group(s);
        return true;
    }
    if (str_equal(name, STR("textcolor"))) {
        skip_group(s);
        return true;
    }
    if (str_equal(name, STR("mathbb"))) {
        struct str set = take_group(s);
        bool known = set.len == 1 && strchr("NZQRC", set.ptr[0]);
        emit(s, known ? LEX_NUMBERS : LEX_SYM, 0, set);
        return true;
    }
    if (str_equal(name, STR("begin")))
        scan_begin_end(s, LEX_BEGIN);
    else if (str_equal(name, STR("end")))
        scan_begin_end(s, LEX_FINISH);
    else
        return false;
    return true;
}

/* A command name that runs into a letter: \quadx, \cdotx. */
static bool scan_glued_command(struct scan *s, size_t from, size_t n) {
    for (size_t len = n - 1; len >= 2; len--) {
        const struct word *w = word_command(slice(s, from, from + len));
        if (!w) continue;
        s->at = from + len;
        emit_word(s, w);
        return true;
    }
    return false;
}

static void scan_command(struct scan *s) {
    char c = peek(s, 1);
    if (c == '\\') {
        if (s->n_envs == 0 && is_letter(peek(s, 2)))
            s->at++; /* "\\frac": escaped twice */
        else {
            emit_char(s, 'N');
            s->at += 2;
        }
        return;
    }
    if (!is_letter(c)) {
        s->at += 2;
        if (c == '{' || c == '}') {
            s->n_brackets += c == '{' ? 1 : -1;
            emit(s, LEX_BRACE, c, (struct str){0});
        } else if (c == '%')
            emit(s, LEX_PERCENT, 0, (struct str){0});
        else if (c == '$')
            emit(s, LEX_CURRENCY, 0, STR("dollar"));
        else if (c == '|')
            emit_char(s, '|');
        else
            s->spaced = true; /* \, \! \; \: \  \( \) \[ \] */
        return;
    }
    size_t from = s->at + 1, n = 0;
    while (from + n < s->end && is_letter(s->l->src.ptr[from + n])) n++;
    struct str name = slice(s, from, from + n);
    s->at = from + n;
    if (scan_special_command(s, name)) return;
    const struct word *w = word_command(name);
    if (w) {
        if (w->kind == LEX_END && peek(s, 0) == '.') s->at++; /* \left. */
        if (w->kind == LEX_END && peek(s, 0) == '{' && (str_equal(name, STR("left")))) {
            s->at++;
            emit(s, LEX_BRACE, '{', (struct str){0});
        } else if (w->kind == LEX_END && peek(s, 0) == '}' && str_equal(name, STR("right"))) {
            s->at++;
            emit(s, LEX_BRACE, '}', (struct str){0});
        } else
            emit_word(s, w);
    } else if (n < 3 || !scan_glued_command(s, from, n))
        emit(s, LEX_SYM, 0, name);
}

/* ---- everything ---- */

static void scan_unicode(struct scan *s) {
    uint32_t u;
    int n = str_utf8(slice(s, 0, s->end), s->at, &u);
    if (n <= 0) {
        s->at++;
        emit(s, LEX_BAD, 0, (struct str){0});
        return;
    }
    struct str text = slice(s, s->at, s->at + (size_t)n);
    s->at += (size_t)n;
    static const struct {
        uint32_t u;
        const char *num, *den;
    } SMALL[] = {{0xbd, "1", "2"},   {0xbc, "1", "4"},  {0xbe, "3", "4"},  {0x2153, "1", "3"},
                 {0x2154, "2", "3"}, {0xb2, "2", NULL}, {0xb3, "3", NULL}, {0x2074, "4", NULL}};
    for (size_t i = 0; i < ARRAY_LEN(SMALL); i++) {
        if (SMALL[i].u != u) continue;
        if (SMALL[i].den) {
            emit(s, LEX_FRAC, 0, (struct str){0});
            emit(s, LEX_NUM, 0, str_from(SMALL[i].num));
            emit(s, LEX_NUM, 0, str_from(SMALL[i].den));
        } else {
            emit_char(s, '^');
            emit(s, LEX_NUM, 0, str_from(SMALL[i].num));
        }
        return;
    }
    if (u == 0xa0 || u == 0x2009 || u == 0x202f || u == 0x3000 || u == 0xfeff || u == 0x200b) {
        s->spaced = true;
        return;
    }
    const struct word *w = word_unicode(u);
    if (w)
        emit_word(s, w);
    else
        emit(s, LEX_WORD, 0, text);
}

static void scan_punctuation(struct scan *s, char c) {
    char next = peek(s, 1);
    size_t n = 1;
    if (c == '*' && next == '*') {
        n = 2;
        if (s->at > 0 && s->at + 2 < s->end && s->l->n_tokens) emit_char(s, '^'); /* else Markdown's bold */
    } else if (c == '<' || c == '>') {
        n = next == '=' ? 2 : 1;
        emit(s, LEX_REL, c == '<' ? (n == 2 ? REL_LE : REL_LT) : (n == 2 ? REL_GE : REL_GT), (struct str){0});
    } else if (c == '!' && next == '=') {
        n = 2;
        emit(s, LEX_REL, REL_NE, (struct str){0});
    } else if (c == '=') {
        n = next == '=' ? 2 : 1;
        emit(s, LEX_REL, REL_EQ, (struct str){0});
    } else if (c == '%')
        emit(s, LEX_PERCENT, 0, (struct str){0});
    else if (c == '$' || c == '#')
        s->spaced = true;
    else if (c == '+' && next == '-') {
        n = 2;
        emit(s, LEX_PM, '+', (struct str){0});
    } else if (c == '~')
        s->spaced = true;
    else if (c == '.' && next == '.')
        emit(s, LEX_BAD, 0, (struct str){0});
    else if (strchr("+-*/^_()[]{}|,;:!'&.", c)) {
        if (c == '(' || c == '[') s->n_brackets++;
        if ((c == ')' || c == ']') && s->n_brackets > 0) s->n_brackets--;
        emit_char(s, c);
    } else
        emit(s, LEX_BAD, 0, (struct str){0});
    s->at += n;
}

static void scan_all(struct scan *s) {
    while (s->at < s->end && !s->l->failed) {
        char c = peek(s, 0);
        s->start = s->at;
        if (is_space(c)) {
            s->spaced = true;
            s->at++;
        } else if (is_digit(c) || (c == '.' && is_digit(peek(s, 1))))
            scan_number(s);
        else if (is_letter(c))
            scan_letters(s);
        else if (c == '\\')
            scan_command(s);
        else if ((unsigned char)c >= 0x80)
            scan_unicode(s);
        else
            scan_punctuation(s, c);
    }
}

void lex_run(struct lex *l, struct str src, struct tree *tree, bool comma_decimal) {
    *l = (struct lex){.src = src, .tree = tree, .comma_decimal = comma_decimal};
    struct scan s = {.l = l, .end = src.len};
    scan_all(&s);
    s.at = s.start = src.len;
    s.in_text = false;
    bool failed = l->failed;
    l->failed = false;
    if (failed) l->n_tokens = 0;
    emit(&s, LEX_END, 0, (struct str){0});
    l->failed = failed;
}

void lex_fini(struct lex *l) {
    free(l->tokens);
    *l = (struct lex){0};
}
