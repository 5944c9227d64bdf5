#include "answer/parse.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* ---- units ---- */

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

bool parse_is_unit_letter(const struct lex_token *t) {
    return t->kind == LEX_SYM && (t->flags & LEX_IN_TEXT) && t->text.len == 1 &&
           strchr("msghLlNJWVKACFPcdftwu", t->text.ptr[0]);
}

static struct str unit_alias(struct str w) {
    static const char *const ALIASES[][2] = {
        {"centimeter", "cm"}, {"centimetre", "cm"}, {"millimeter", "mm"}, {"meter", "m"},
        {"metre", "m"},       {"kilometer", "km"},  {"kilometre", "km"},  {"inches", "inch"},
        {"in", "inch"},       {"feet", "ft"},       {"foot", "ft"},       {"kilogram", "kg"},
        {"gram", "g"},        {"second", "s"},      {"sec", "s"},         {"minute", "min"},
        {"hour", "h"},        {"hr", "h"},          {"usd", "dollar"},    {"buck", "dollar"},
        {"liter", "l"},       {"litre", "l"},       {"pound", "lb"},      {"mile", "mi"},
        {"yard", "yd"},       {"ounce", "oz"},      {"people", "person"}, {"children", "child"},
        {"men", "man"},       {"radian", "rad"},
    };
    for (size_t i = 0; i < ARRAY_LEN(ALIASES); i++)
        if (str_equal(w, str_from(ALIASES[i][0]))) return str_from(ALIASES[i][1]);
    return w;
}

static void add_unit_word(struct buf *b, struct str word) {
    char w[64];
    size_t n = MIN(word.len, sizeof w - 1);
    for (size_t i = 0; i < n; i++) w[i] = lower(word.ptr[i]);
    struct str s = {w, n};
    if (str_equal(s, STR("unit")) || str_equal(s, STR("units"))) return;
    if (n > 2 && w[n - 1] == 's' && w[n - 2] != 's' && !str_equal(unit_alias(s), STR("inch"))) s.len--;
    if (b->len) buf_add_char(b, ' ');
    buf_add_str(b, unit_alias(s));
}

/* The unit behind a value: "cm", "square meters", "km/h", "cm^2", "dollars per hour". Empty for none and for
 * "units". */
struct str parse_unit(struct parse *p) {
    struct buf b = {0};
    size_t from = p->at;
    while (!p->failed) {
        const struct lex_token *t = &p->t[p->at];
        bool first = p->at == from;
        bool after_per =
            !first && (str_equal(t[-1].text, STR("per")) || (t[-1].kind == LEX_CHAR && t[-1].op == '/'));
        bool word = t->kind == LEX_WORD || parse_is_unit_letter(t) ||
                    (!first && t->kind == LEX_SYM && ((t->flags & LEX_IN_TEXT) || after_per));
        if (word || (first && t->kind == LEX_CURRENCY))
            add_unit_word(&b, t->text);
        else if (first)
            break;
        else if (parse_is_char(p, '^') && t[1].kind == LEX_NUM) {
            buf_printf(&b, "^%.*s", (int)t[1].text.len, t[1].text.ptr);
            p->at++;
        } else if (parse_is_char(p, '^') && t[1].kind == LEX_CHAR && t[1].op == '{' && t[2].kind == LEX_NUM &&
                   t[3].kind == LEX_CHAR && t[3].op == '}') {
            buf_printf(&b, "^%.*s", (int)t[2].text.len, t[2].text.ptr);
            p->at += 3;
        } else if (parse_is_char(p, '/'))
            buf_add_char(&b, '/');
        else if (parse_is_char(p, '(') && t[1].kind == LEX_SYM && t[2].kind == LEX_CHAR && t[2].op == ')' &&
                 (t->flags & LEX_IN_TEXT))
            p->at += 2;
        else if (!(parse_is_char(p, '.') && t[1].kind != LEX_END) && !parse_is_char(p, '\''))
            break;
        p->at++;
    }
    struct str unit = node_str(p->tree, str_trim(buf_str(&b)));
    buf_free(&b);
    return unit;
}

/* ---- words ---- */

static bool ends_text(const struct lex_token *t) {
    return t->kind == LEX_END || t->kind == LEX_AND || t->kind == LEX_OR || t->kind == LEX_REL ||
           (t->kind == LEX_CHAR && strchr(",;~N&)]}", t->op)) || (t->kind == LEX_BRACE && t->op == '}');
}

static void add_lower(struct buf *b, struct str s) {
    for (size_t i = 0; i < s.len; i++) buf_add_char(b, lower(s.ptr[i]));
}

/* Words as they are read aloud: letters, numbers and a little punctuation. */
static struct node *parse_text(struct parse *p) {
    struct buf b = {0};
    bool loose = false;
    for (; !ends_text(&p->t[p->at]); p->at++) {
        const struct lex_token *t = &p->t[p->at];
        if (t->kind == LEX_CHAR && strchr(".'!", t->op)) continue;
        if (b.len) buf_add_char(&b, ' ');
        if (!(t->flags & LEX_IN_TEXT)) loose = true;
        if (t->text.len && t->kind != LEX_CURRENCY && t->kind != LEX_BEGIN)
            add_lower(&b, t->text);
        else if (t->kind == LEX_CHAR && strchr("-/(", t->op))
            buf_add_char(&b, (char)t->op);
        else {
            parse_fail(p);
            break;
        }
    }
    while (!p->failed && parse_is_char(p, ')') && memchr(buf_cstr(&b), '(', b.len)) p->at++;
    struct node *n = node_new(p->tree, NODE_TEXT, 0);
    n->name = node_str(p->tree, buf_str(&b));
    buf_free(&b);
    if (loose) n->flags |= NODE_LOOSE;
    if (!n->name.len) return parse_fail(p);
    return n;
}

/* ---- labels and relations ---- */

static bool is_upper_name(const struct node *n) { /* AB, \angle ABC, m\angle A: products of capitals */
    if (n->kind == NODE_MUL) return is_upper_name(n->kids[0]) && is_upper_name(n->kids[1]);
    return n->kind == NODE_SYM && ((n->name.ptr[0] >= 'A' && n->name.ptr[0] <= 'Z') ||
                                   str_equal(n->name, STR("angle")) || str_equal(n->name, STR("triangle")));
}

static bool is_name_tuple(const struct node *n) {
    if (n->kind != NODE_TUPLE) return false;
    for (uint32_t i = 0; i < n->n_kids; i++)
        if (n->kids[i]->kind != NODE_SYM) return false;
    return true;
}

/* Can the left side of "=" be a name for the quantity, rather than half of an equation? */
static bool is_label(const struct node *n, bool *functional) {
    *functional = false;
    if (n->kind == NODE_SYM || n->kind == NODE_TEXT || is_name_tuple(n)) return true;
    if (n->kind == NODE_APPLY) return *functional = true;
    if (n->kind == NODE_POW && n->kids[0]->kind == NODE_SYM && n->kids[1]->kind == NODE_NEG) return false;
    if (n->kind == NODE_MUL && n->kids[0]->kind == NODE_SYM && n->kids[1]->kind == NODE_SYM &&
        !is_upper_name(n)) {
        return *functional =
                   n->kids[0]->name.ptr[0] >= 'A' && n->kids[0]->name.ptr[0] <= 'Z'; /* P(x), W(n) */
    }
    if (n->kind == NODE_MUL && is_upper_name(n)) return true;
    if (n->kind == NODE_DIV)
        return is_upper_name(n->kids[0]) && is_upper_name(n->kids[1]) && n->kids[0]->kind == NODE_MUL;
    if (n->kind == NODE_FUNC && n->op == FUNC_ABS) return is_upper_name(n->kids[0]);
    return n->kind == NODE_MUL && n->kids[0]->kind == NODE_SYM && is_upper_name(n->kids[1]) &&
           n->kids[1]->kind == NODE_MUL; /* m\angle A */
}

static bool mentions(const struct node *n, struct str name) {
    if (n->kind == NODE_SYM && str_equal(n->name, name)) return true;
    if (n->kind == NODE_NUM) return false;
    for (uint32_t i = 0; i < n->n_kids; i++)
        if (mentions(n->kids[i], name)) return true;
    return false;
}

static struct node *make_label(struct parse *p, struct str name, struct node *value, bool functional) {
    struct buf b = {0};
    for (size_t i = 0; i < name.len; i++)
        if (!strchr(" $\t\n{}", name.ptr[i])) buf_add_char(&b, name.ptr[i]);
    struct node *n = node_1(p->tree, NODE_LABEL, value);
    n->name = node_str(p->tree, buf_str(&b));
    if (functional) n->flags |= NODE_FUNCTIONAL;
    buf_free(&b);
    return n;
}

static bool is_constant(const struct node *n) {
    if (n->kind == NODE_UNIT) n = n->kids[0];
    return node_is_scalar(n) && !node_has_symbol(n);
}

static struct node *make_equation(struct parse *p, struct node_vec *v, struct str lhs_text) {
    struct node *lhs = v->items[0], *value = v->items[v->n - 1], *n;
    bool functional, named = is_label(lhs, &functional);
    if (named && !(lhs->kind == NODE_SYM && mentions(value, lhs->name)))
        n = make_label(p, lhs_text, value, functional);
    else if (v->n > 2 || (is_constant(lhs) && is_constant(value)))
        n = value;
    else if (value->kind == NODE_SYM && node_is_scalar(lhs) && !mentions(lhs, value->name))
        n = make_label(p, value->name, lhs, false);
    else {
        n = node_2(p->tree, NODE_REL, lhs, value);
        n->op = REL_EQ;
    }
    free(v->items);
    return n;
}

static struct node *make_relation(struct parse *p, struct node_vec *v, const char *ops, struct str lhs_text) {
    size_t n_ops = v->n - 1, n_eq = 0;
    for (size_t i = 0; i < n_ops; i++) n_eq += ops[i] == REL_EQ;
    if (n_ops == 0) {
        struct node *n = v->items[0];
        free(v->items);
        return n;
    }
    if (n_eq == n_ops) return make_equation(p, v, lhs_text);
    for (size_t i = 0; i < v->n; i++)
        if (v->items[i]->kind == NODE_TEXT) parse_fail(p); /* "so that x < 5" */
    if (n_ops == 1) {
        struct node *n = node_from_vec(p->tree, NODE_REL, v);
        n->op = (uint8_t)ops[0];
        return n;
    }
    struct node *n = node_from_vec(p->tree, NODE_CHAIN, v);
    n->name = node_str(p->tree, (struct str){ops, n_ops});
    return n;
}

static bool starts_text(const struct parse *p) {
    const struct lex_token *t = &p->t[p->at];
    return t->kind == LEX_WORD || (t->kind == LEX_SYM && (t->flags & LEX_IN_TEXT) && t[1].kind == LEX_WORD);
}

struct node *parse_item(struct parse *p) {
    if (p->failed || !parse_enter(p)) return parse_fail(p);
    struct node_vec v = {0};
    char ops[16];
    size_t from = p->at, to = from;
    node_vec_add(&v, starts_text(p) ? parse_text(p) : parse_set(p));
    struct node *n = NULL;
    while (!p->failed && !n && parse_is(p, LEX_REL, -1)) {
        char op = (char)p->t[p->at].op;
        if (v.n == 1) to = p->at;
        p->at++;
        if (op == '~') { /* "= 1/3 \approx 0.33": the exact value stands before */
            struct node *dropped = parse_set(p);
            if (v.n == 1 && is_label(v.items[0], &(bool){false})) node_vec_add(&v, dropped), ops[0] = REL_EQ;
        } else if (op == 'E') {
            struct node *set = parse_set(p);
            if (v.n != 1 || v.items[0]->kind != NODE_SYM) parse_fail(p);
            n = make_label(p, v.items[0]->name, set, false);
        } else if (op == 'X' || v.n >= sizeof ops)
            parse_fail(p);
        else {
            ops[v.n - 1] = op;
            node_vec_add(&v, starts_text(p) ? parse_text(p) : parse_set(p));
        }
    }
    p->depth--;
    if (p->failed || n) {
        free(v.items);
        return n ? n : parse_fail(p);
    }
    struct str lhs = {p->lex->src.ptr + p->t[from].at, p->t[to].at - p->t[from].at};
    if (to > from && p->t[from].at > p->t[to].at) lhs.len = 0;
    return make_relation(p, &v, ops, lhs);
}

/* ---- lists ---- */

static char take_separator(struct parse *p) {
    char found = 0;
    for (;;) {
        const struct lex_token *t = &p->t[p->at];
        char c = t->kind == LEX_AND                             ? 'a'
                 : t->kind == LEX_OR                            ? 'o'
                 : t->kind == LEX_CHAR && strchr(",;~N", t->op) ? (char)t->op
                                                                : 0;
        if (!c) return found;
        if (c == 'o' || c == ';' || !found) found = c;
        p->at++;
    }
}

static bool ends_list(const struct parse *p) {
    const struct lex_token *t = &p->t[p->at];
    return t->kind == LEX_END || (t->kind == LEX_CHAR && strchr(")]}.", t->op)) ||
           (t->kind == LEX_BRACE && t->op == '}');
}

/* "1,2; 3,4" is a list of the tuples (1,2) and (3,4). */
static struct node *split_list(struct parse *p, struct node_vec *v, const char *seps) {
    struct node_vec outer = {0}, run = {0};
    for (size_t i = 0; i < v->n; i++) {
        node_vec_add(&run, v->items[i]);
        if (i + 1 < v->n && seps[i] != ';') continue;
        if (run.n == 1)
            node_vec_add(&outer, run.items[0]), run.n = 0;
        else
            node_vec_add(&outer, node_from_vec(p->tree, NODE_TUPLE, &run));
    }
    free(run.items);
    free(v->items);
    return node_from_vec(p->tree, NODE_LIST, &outer);
}

/* "n = 2, 3": the label is meant for all. "x = 1 or x = 2": a label that all share says nothing. */
static struct node *settle_labels(struct node *list) {
    struct node *first = list->kids[0];
    if (first->kind != NODE_LABEL) return list;
    bool rest_bare = true, all_same = true;
    for (uint32_t i = 1; i < list->n_kids; i++) {
        const struct node *k = list->kids[i];
        if (k->kind != NODE_LABEL)
            all_same = false;
        else {
            rest_bare = false;
            all_same = all_same && str_equal(k->name, first->name);
        }
        if (k->kind == NODE_REL || k->kind == NODE_CHAIN || k->kind == NODE_TEXT) rest_bare = false;
    }
    if (rest_bare || all_same)
        for (uint32_t i = 0; i < list->n_kids; i++)
            if (list->kids[i]->kind == NODE_LABEL) list->kids[i] = list->kids[i]->kids[0];
    return list;
}

struct node *parse_list(struct parse *p, bool split_at_semicolons) {
    if (p->failed || !parse_enter(p)) return parse_fail(p);
    struct node_vec v = {0};
    struct buf seps = {0};
    bool comma = false, semicolon = false, any_or = false, all_and = true;
    take_separator(p);
    while (!p->failed) {
        struct node *item = parse_item(p);
        if (parse_is(p, LEX_OVER, -1)) {
            bool choose = p->t[p->at++].op == 'C';
            struct node *below = parse_item(p);
            item = choose ? node_func_2(p->tree, FUNC_BINOMIAL, item, below)
                          : node_2(p->tree, NODE_DIV, item, below);
        }
        node_vec_add(&v, item);
        char sep = p->failed ? 0 : take_separator(p);
        if (!sep || ends_list(p)) break;
        buf_add_char(&seps, sep);
        comma |= sep == ',';
        semicolon |= sep == ';';
        any_or |= sep == 'o';
        all_and = all_and && sep == 'a';
    }
    p->depth--;
    size_t v_n = v.n;
    struct node *n;
    if (p->failed) {
        free(v.items);
        n = parse_fail(p);
    } else if (v.n == 1) {
        n = v.items[0];
        free(v.items);
    } else if (split_at_semicolons && comma && semicolon)
        n = split_list(p, &v, seps.ptr);
    else
        n = settle_labels(node_from_vec(p->tree, NODE_LIST, &v));
    if (n->kind == NODE_LIST && v_n > 1) n->op = any_or ? 'o' : all_and ? 'a' : 0;
    buf_free(&seps);
    return n;
}

/* ---- plus-minus ---- */

static void count_plusminus(const struct node *n, size_t *n_pm, bool *has_mp) {
    if (n->kind == NODE_NUM) return;
    if (n->kind == NODE_PM) {
        ++*n_pm;
        if (n->op == '-') *has_mp = true;
    }
    for (uint32_t i = 0; i < n->n_kids; i++) count_plusminus(n->kids[i], n_pm, has_mp);
}

/* A copy with the signs that the bits of `choice` say; *bit walks over them (all use bit 0 when tied). */
static struct node *choose_signs(struct tree *t, const struct node *n, unsigned choice, unsigned *bit,
                                 bool tied) {
    if (n->kind == NODE_NUM || t->full) return (struct node *)(uintptr_t)n;
    struct node *copy = node_new(t, n->kind, n->n_kids);
    copy->op = n->op;
    copy->flags = n->flags;
    copy->name = n->name;
    for (uint32_t i = 0; i < n->n_kids; i++) copy->kids[i] = choose_signs(t, n->kids[i], choice, bit, tied);
    if (n->kind != NODE_PM) return copy;
    bool minus = ((choice >> *bit) & 1) ^ (n->op == '-');
    if (!tied) ++*bit;
    struct node *last = copy->kids[copy->n_kids - 1];
    if (minus) last = node_1(t, NODE_NEG, last);
    return n->n_kids == 1 ? last : node_2(t, NODE_ADD, copy->kids[0], last);
}

static void expand_into(struct parse *p, struct node *n, struct node_vec *out) {
    size_t n_pm = 0;
    bool has_mp = false;
    count_plusminus(n, &n_pm, &has_mp);
    if (n_pm == 0) {
        node_vec_add(out, n);
        return;
    }
    if (n_pm > 5) {
        parse_fail(p);
        return;
    }
    unsigned n_choices = has_mp ? 2 : 1u << n_pm;
    for (unsigned c = 0; c < n_choices; c++) {
        unsigned bit = 0;
        node_vec_add(out, choose_signs(p->tree, n, c, &bit, has_mp));
    }
}

/* "1 \pm 2" is the list 3, -1. Several \pm are independent, unless a \mp ties them together. */
struct node *parse_expand_plusminus(struct parse *p, struct node *n) {
    struct node_vec v = {0};
    size_t n_pm = 0;
    bool has_mp = false;
    count_plusminus(n, &n_pm, &has_mp);
    if (n_pm == 0) return n;
    if (n->kind == NODE_LIST) {
        for (uint32_t i = 0; i < n->n_kids; i++) expand_into(p, n->kids[i], &v);
    } else
        expand_into(p, n, &v);
    struct node *list = node_from_vec(p->tree, NODE_LIST, &v);
    if (list->n_kids == 0) return parse_fail(p);
    list->op = n->kind == NODE_LIST ? n->op : 0;
    list->flags |= NODE_PLUSMINUS;
    return settle_labels(list);
}

struct node *parse_run(struct lex *l, struct tree *tree) {
    if (l->failed || l->n_tokens <= 1) return NULL;
    struct parse p = {.t = l->tokens, .lex = l, .tree = tree};
    struct node *n = parse_list(&p, true);
    if (!p.failed) n = parse_expand_plusminus(&p, n);
    while (!p.failed && (parse_is_char(&p, '.') || parse_is_char(&p, '!'))) p.at++;
    if (p.failed || tree->full || !parse_is(&p, LEX_END, -1)) return NULL;
    return n;
}
