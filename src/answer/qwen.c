#include "answer/qwen.h"

#include "answer/decide.h"
#include "answer/eval.h"
#include "answer/parse.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 8
#define PARTS_MAX 100
#define TOLERANCE 1e-4 /* relative */

static bool equal_at(struct str ref, struct str pred, int depth);

static struct str cut(struct str s, size_t from, size_t to) {
    return (struct str){s.ptr + from, to - from};
}

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* Equal but for case, and but for the bytes in `skip`. */
static bool same_letters(struct str a, struct str b, const char *skip) {
    size_t i = 0, j = 0;
    for (;;) {
        while (i < a.len && a.ptr[i] && strchr(skip, a.ptr[i])) i++;
        while (j < b.len && b.ptr[j] && strchr(skip, b.ptr[j])) j++;
        if (i == a.len || j == b.len) return i == a.len && j == b.len;
        if (lower(a.ptr[i++]) != lower(b.ptr[j++])) return false;
    }
}

/* ---- numbers ---- */

static bool is_close(double a, double b) {
    return fabs(a - b) <= TOLERANCE * fmax(fabs(a), fabs(b));
}

/* A decimal number with commas taken out; "12%" is 0.12. */
static bool to_number(struct str s, double *out) {
    char text[64], *end;
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == ',') continue;
        if (n == sizeof text - 1 || !strchr("+-.0123456789eE%\\", s.ptr[i])) return false;
        text[n++] = s.ptr[i];
    }
    bool percent = n > 0 && text[n - 1] == '%';
    if (percent) n--;
    if (percent && n > 0 && text[n - 1] == '\\') n--;
    text[n] = '\0';
    *out = strtod(text, &end);
    if (percent) *out /= 100;
    return n > 0 && *end == '\0' && isfinite(*out);
}

static bool numbers_agree(struct str ref, struct str pred) {
    double r, p;
    if (!to_number(ref, &r) || !to_number(pred, &p)) return false;
    return is_close(p, r / 100) || is_close(p, r) || is_close(p, r * 100);
}

/* ---- choices ---- */

static bool is_alnum(char c) {
    return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') || c == '_';
}

static bool choice_agrees(struct str ref, struct str pred) {
    if (ref.len != 1 || ref.ptr[0] < 'A' || ref.ptr[0] > 'E') return false;
    for (size_t i = pred.len; i-- > 0;) {
        char c = (char)(lower(pred.ptr[i]) - 32);
        bool lone =
            (i == 0 || !is_alnum(pred.ptr[i - 1])) && (i + 1 == pred.len || !is_alnum(pred.ptr[i + 1]));
        if (c >= 'A' && c <= 'E' && lone) return c == ref.ptr[0];
    }
    return false;
}

/* ---- structures ---- */

static bool is_list(struct str s) {
    if (s.len < 3 || (s.ptr[0] != '(' && s.ptr[0] != '[')) return false;
    ptrdiff_t round = str_find_last(s, STR(")")), square = str_find_last(s, STR("]"));
    return MAX(round, square) >= 2;
}

/* Both split at `separator`, part by part. */
static bool parts_agree(struct str ref, struct str pred, struct str separator, int depth) {
    for (int n = 0; n < PARTS_MAX; n++) {
        ptrdiff_t r = str_find(ref, separator), p = str_find(pred, separator);
        if ((r < 0) != (p < 0)) return false;
        struct str x = r < 0 ? ref : cut(ref, 0, (size_t)r), y = p < 0 ? pred : cut(pred, 0, (size_t)p);
        if (!equal_at(str_trim(x), str_trim(y), depth + 1)) return false;
        if (r < 0) return true;
        ref = cut(ref, (size_t)r + separator.len, ref.len);
        pred = cut(pred, (size_t)p + separator.len, pred.len);
    }
    return false;
}

static bool matrix_body(struct str s, struct str *body) {
    static const struct str BEGIN = {"\\begin{pmatrix}", 15}, END = {"\\end{pmatrix}", 13};
    if (!str_starts(s, BEGIN) || !str_ends(s, END) || s.len < BEGIN.len + END.len) return false;
    *body = str_trim(cut(s, BEGIN.len, s.len - END.len));
    while (str_ends(*body, STR("\\\\"))) *body = str_trim(cut(*body, 0, body->len - 2));
    return true;
}

static bool rows_agree(struct str ref, struct str pred, int depth) {
    static const struct str ROW = {"\\\\", 2};
    for (int n = 0; n < PARTS_MAX; n++) {
        ptrdiff_t r = str_find(ref, ROW), p = str_find(pred, ROW);
        if ((r < 0) != (p < 0)) return false;
        struct str x = r < 0 ? ref : cut(ref, 0, (size_t)r), y = p < 0 ? pred : cut(pred, 0, (size_t)p);
        if (!parts_agree(x, y, STR("&"), depth)) return false;
        if (r < 0) return true;
        ref = cut(ref, (size_t)r + 2, ref.len);
        pred = cut(pred, (size_t)p + 2, pred.len);
    }
    return false;
}

/* ---- symbols: our strict decision in the place of sympy's ---- */

struct reading {
    struct tree tree;
    struct node *root;
};

static void read_text(struct reading *r, struct str s) {
    struct lex lex;
    node_tree_init(&r->tree);
    r->root = NULL;
    if (s.len > ANSWER_BYTES_MAX || str_find(s, STR("{,}")) >= 0) return; /* not read upstream either */
    lex_run(&lex, s, &r->tree, false);
    r->root = parse_run(&lex, &r->tree);
    lex_fini(&lex);
}

static bool values_close(const struct node *a, const struct node *b) {
    if (!node_is_scalar(a) || !node_is_scalar(b) || node_has_symbol(a) || node_has_symbol(b)) return false;
    acb_t x, y;
    acb_init(x);
    acb_init(y);
    bool close = eval_ball(a, x, 64, 0) && eval_ball(b, y, 64, 0) && acb_is_real(x) && acb_is_real(y) &&
                 is_close(arf_get_d(arb_midref(acb_realref(x)), ARF_RND_NEAR),
                          arf_get_d(arb_midref(acb_realref(y)), ARF_RND_NEAR));
    acb_clear(x);
    acb_clear(y);
    return close;
}

static enum answer_verdict strict(struct str ref, struct str pred, bool *close) {
    struct reading a, b;
    read_text(&a, ref);
    read_text(&b, pred);
    enum answer_verdict v = ANSWER_CANNOT_TELL;
    struct decide d = {.n_steps_left = DECIDE_STEPS};
    bool known = a.root && b.root && !a.tree.full && !b.tree.full;
    known = known && a.root->kind != NODE_LIST && b.root->kind != NODE_LIST; /* sympy reads no bare lists */
    if (known) v = decide(&d, a.root, b.root);
    *close = known && values_close(a.root, b.root);
    node_tree_fini(&a.tree);
    node_tree_fini(&b.tree);
    return v;
}

static size_t count(struct str s, char c) {
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) n += s.ptr[i] == c;
    return n;
}

/* "l = r" on both sides: the differences are equal, or each other's negative. */
static bool equations_agree(struct str ref, struct str pred) {
    struct str side[4];
    struct str both[2] = {ref, pred};
    for (int i = 0; i < 2; i++) {
        ptrdiff_t at = str_find(both[i], STR("="));
        side[2 * i] = str_trim(cut(both[i], 0, (size_t)at));
        side[2 * i + 1] = str_trim(cut(both[i], (size_t)at + 1, both[i].len));
    }
    for (int negated = 0; negated < 2; negated++) {
        struct buf x = {0}, y = {0};
        buf_printf(&x, "%.*s-(%.*s)", (int)side[0].len, side[0].ptr, (int)side[1].len, side[1].ptr);
        buf_printf(&y, negated ? "-(%.*s-(%.*s))" : "%.*s-(%.*s)", (int)side[2].len, side[2].ptr,
                   (int)side[3].len, side[3].ptr);
        bool close, same = strict(buf_str(&x), buf_str(&y), &close) == ANSWER_EQUAL;
        buf_free(&x);
        buf_free(&y);
        if (same) return true;
    }
    return false;
}

static bool is_simple_equation(struct str s) {
    return count(s, '=') == 1 && str_trim(cut(s, 0, (size_t)str_find(s, STR("=")))).len <= 2;
}

static struct str right_side(struct str s) {
    return str_trim(cut(s, (size_t)str_find(s, STR("=")) + 1, s.len));
}

static bool strip_outer(struct str ref, struct str pred) {
    bool square = str_starts(pred, STR("[")) && str_ends(pred, STR("]")) &&
                  !(str_starts(ref, STR("(")) && str_ends(ref, STR(")")));
    bool round = str_starts(pred, STR("(")) && str_ends(pred, STR(")")) &&
                 !(str_starts(ref, STR("[")) && str_ends(ref, STR("]")));
    return square || round;
}

static struct str strip_brackets(struct str s) {
    while (s.len && strchr("[]()", s.ptr[0])) s = cut(s, 1, s.len);
    while (s.len && strchr("[]()", s.ptr[s.len - 1])) s.len--;
    return s;
}

static bool equal_at(struct str ref, struct str pred, int depth) {
    if (depth > DEPTH_MAX) return false;
    if (same_letters(ref, pred, "")) return true;
    if (choice_agrees(ref, pred) || numbers_agree(ref, pred)) return true;
    if (!pred.len) return false;
    bool outer = strip_outer(ref, pred);
    if (same_letters(outer ? strip_brackets(ref) : ref, outer ? strip_brackets(pred) : pred, "{}()"))
        return true;
    if (is_list(ref) && is_list(pred))
        return parts_agree(cut(ref, 1, ref.len - 1), cut(pred, 1, pred.len - 1), STR(","), depth);
    struct str x, y;
    if (matrix_body(ref, &x) && matrix_body(pred, &y)) return rows_agree(x, y, depth);
    size_t n_ref = count(ref, '='), n_pred = count(pred, '=');
    if (n_ref == 1 && n_pred == 1) return equations_agree(ref, pred);
    if (n_ref == 0 && is_simple_equation(pred)) return equal_at(ref, right_side(pred), depth + 1);
    if (n_pred == 0 && is_simple_equation(ref)) return equal_at(right_side(ref), pred, depth + 1);
    bool close;
    return strict(ref, pred, &close) == ANSWER_EQUAL || close;
}

enum answer_verdict qwen_equal(struct str reference, struct str prediction) {
    if (equal_at(str_trim(reference), str_trim(prediction), 0)) return ANSWER_EQUAL;
    bool close;
    return strict(reference, prediction, &close) == ANSWER_DIFFERENT ? ANSWER_DIFFERENT : ANSWER_CANNOT_TELL;
}
