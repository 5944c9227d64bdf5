/* template_value.c - values and their memory: making, comparing, going through, writing out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/mem.h"
#include "model/template_impl.h"

enum { BLOCK_BYTES = 1 << 16, NEST_MAX = 64 };

/* ---- memory ---- */

struct arena_block {
    struct arena_block *next;
    size_t n_bytes, n_used;
    _Alignas(16) char bytes[];
};

void *arena_alloc(struct arena *a, size_t n_bytes) {
    ASSERT(n_bytes < SIZE_MAX / 2);
    n_bytes = (n_bytes + 15) & ~(size_t)15;
    if (!a->blocks || a->blocks->n_bytes - a->blocks->n_used < n_bytes) {
        size_t n = MAX(n_bytes, (size_t)BLOCK_BYTES);
        struct arena_block *b = mem_zalloc(1, sizeof *b + n);
        b->n_bytes = n;
        b->next = a->blocks;
        a->blocks = b;
    }
    void *p = a->blocks->bytes + a->blocks->n_used;
    a->blocks->n_used += n_bytes;
    a->n_bytes += n_bytes;
    return p;
}

void arena_fini(struct arena *a) {
    while (a->blocks) {
        struct arena_block *b = a->blocks;
        a->blocks = b->next;
        free(b);
    }
    *a = (struct arena){0};
}

void *run_alloc(struct run *r, size_t n_items, size_t item_bytes) {
    if (r->failed) return NULL;
    if (n_items > (TEMPLATE_ARENA_MAX - r->arena.n_bytes) / item_bytes) {
        run_fail(r, "the template needs over %zu MB", TEMPLATE_ARENA_MAX >> 20);
        return NULL;
    }
    return run_charge(r, n_items * item_bytes) ? arena_alloc(&r->arena, n_items * item_bytes) : NULL;
}

/* ---- making ---- */

static const struct value nothing = {.kind = VALUE_NONE};

const struct value *value_none(void) {
    return &nothing;
}

const struct value *value_bool(bool b) {
    static const struct value values[] = {{.kind = VALUE_BOOL},
                                          {.kind = VALUE_BOOL, .flag = true, .integer = 1}};
    return &values[b];
}

static const struct value *make(struct run *r, struct value v) {
    struct value *made = run_alloc(r, 1, sizeof *made);
    if (!made) return &nothing;
    *made = v;
    return made;
}

const struct value *value_undefined(struct run *r, struct str name) {
    return make(r, (struct value){.kind = VALUE_UNDEFINED, .text = {name.ptr, TEXT_OWN, name.len}});
}

const struct value *value_int(struct run *r, int64_t n) {
    return make(r, (struct value){.kind = VALUE_INT, .integer = n});
}

const struct value *value_text(struct run *r, struct text t) {
    return make(r, (struct value){.kind = VALUE_TEXT, .text = t});
}

const struct value *value_safe(struct run *r, struct text t) {
    return make(r, (struct value){.kind = VALUE_TEXT, .text = t, .flag = true});
}

const struct value *value_named(struct run *r, enum value_kind kind, struct str name,
                                const struct value *self) {
    return make(r, (struct value){.kind = kind, .text = {name.ptr, TEXT_OWN, name.len}, .self = self});
}

struct value *value_list(struct run *r, enum list_kind kind, size_t n) {
    static struct value empty = {.kind = VALUE_LIST};
    struct value *v = run_alloc(r, 1, sizeof *v);
    const struct value **items = run_alloc(r, n + 1, sizeof *items);
    if (!v || !items) return &empty;
    for (size_t i = 0; i < n; i++) items[i] = &nothing;
    *v = (struct value){.kind = VALUE_LIST, .list = kind, .items = items, .n = n};
    return v;
}

struct value *value_dict(struct run *r, size_t cap) {
    static struct value empty = {.kind = VALUE_DICT};
    struct value *v = run_alloc(r, 1, sizeof *v);
    struct pair *pairs = run_alloc(r, cap + 1, sizeof *pairs);
    if (!v || !pairs) return &empty;
    *v = (struct value){.kind = VALUE_DICT, .pairs = pairs, .cap = cap + 1};
    return v;
}

void value_dict_put(struct run *r, struct value *dict, const struct value *key, const struct value *value) {
    if (r->failed) return;
    for (size_t i = 0; i < dict->n; i++) {
        if (!value_equal(dict->pairs[i].key, key)) continue;
        dict->pairs[i].value = value;
        return;
    }
    if (dict->n == dict->cap) {
        struct pair *grown = run_alloc(r, 2 * dict->cap, sizeof *grown);
        if (!grown) return;
        memcpy(grown, dict->pairs, dict->n * sizeof *grown);
        dict->pairs = grown;
        dict->cap *= 2;
    }
    dict->pairs[dict->n++] = (struct pair){key, value};
    run_charge(r, dict->n * sizeof *dict->pairs);
}

const struct value *value_dict_get(const struct value *dict, struct str key) {
    for (size_t i = 0; i < dict->n; i++) {
        const struct value *k = dict->pairs[i].key;
        if (k->kind == VALUE_TEXT && str_equal(text_str(k->text), key)) return dict->pairs[i].value;
    }
    return NULL;
}

/* ---- asking ---- */

bool value_is_number(const struct value *v) {
    return v->kind == VALUE_INT || v->kind == VALUE_BOOL;
}

bool value_true(const struct value *v) {
    switch (v->kind) {
    case VALUE_UNDEFINED:
    case VALUE_NONE:
        return false;
    case VALUE_BOOL:
    case VALUE_INT:
        return v->integer != 0;
    case VALUE_TEXT:
        return v->text.len > 0;
    case VALUE_LIST:
        return v->n > 0 || v->list == LIST_LAZY;
    case VALUE_DICT:
        return v->n > 0;
    default:
        return true;
    }
}

static bool dicts_equal(const struct value *a, const struct value *b) {
    for (size_t i = 0; i < a->n; i++) {
        size_t k = 0;
        while (k < b->n && !value_equal(a->pairs[i].key, b->pairs[k].key)) k++;
        if (k == b->n || !value_equal(a->pairs[i].value, b->pairs[k].value)) return false;
    }
    return a->n == b->n;
}

bool value_equal(const struct value *a, const struct value *b) {
    if (a == b) return true;
    if (value_is_number(a) && value_is_number(b)) return a->integer == b->integer;
    if (a->kind != b->kind) return false;
    switch (a->kind) {
    case VALUE_UNDEFINED:
    case VALUE_NONE:
        return true;
    case VALUE_TEXT:
        return str_equal(text_str(a->text), text_str(b->text));
    case VALUE_LIST:
        if (a->list != b->list || a->n != b->n || a->list >= LIST_VIEW) return false;
        for (size_t i = 0; i < a->n; i++) {
            if (!value_equal(a->items[i], b->items[i])) return false;
        }
        return true;
    case VALUE_DICT:
        return dicts_equal(a, b);
    default:
        return false;
    }
}

const char *value_type(const struct value *v) {
    static const char *const names[] = {[VALUE_UNDEFINED] = "undefined", [VALUE_NONE] = "none",
                                        [VALUE_BOOL] = "a boolean",      [VALUE_INT] = "a number",
                                        [VALUE_TEXT] = "a text",         [VALUE_LIST] = "a list",
                                        [VALUE_DICT] = "an object",      [VALUE_NAMESPACE] = "a namespace",
                                        [VALUE_LOOP] = "a loop",         [VALUE_MACRO] = "a macro",
                                        [VALUE_FUNCTION] = "a function", [VALUE_METHOD] = "a method"};
    return v->kind == VALUE_TEXT && v->flag ? "a text marked as safe" : names[v->kind];
}

static const struct value *chars_of(struct run *r, struct text t) {
    struct value *v = value_list(r, LIST_LIST, text_length(t));
    for (size_t at = 0, i = 0; i < v->n && !r->failed; i++) {
        size_t n = text_char(t, at);
        v->items[i] = value_text(r, text_slice(t, at, at + n));
        at += n;
    }
    return v;
}

const struct value *value_items(struct run *r, const struct value *v) {
    if (v->kind == VALUE_UNDEFINED) return value_list(r, LIST_LIST, 0);
    if (v->kind == VALUE_TEXT) return chars_of(r, v->text);
    if (v->kind == VALUE_DICT) {
        struct value *keys = value_list(r, LIST_LIST, v->n);
        for (size_t i = 0; i < keys->n; i++) keys->items[i] = v->pairs[i].key;
        return keys;
    }
    if (v->kind != VALUE_LIST) {
        run_fail(r, "%s cannot be gone through", value_type(v));
        return value_list(r, LIST_LIST, 0);
    }
    if (v->list != LIST_LAZY) return v;
    struct value *once = value_list(r, LIST_LIST, v->n);
    for (size_t i = 0; i < once->n; i++) once->items[i] = v->items[i];
    ((struct value *)v)->n = 0; /* what is made on the way is gone once it has been gone through */
    return once;
}

bool value_want_text(struct run *r, const struct value *v, const char *what, struct text *out) {
    *out = TEXT_LITERAL("");
    if (v->kind != VALUE_TEXT) return run_fail(r, "%s needs a text, not %s", what, value_type(v)), false;
    if (v->flag) return run_fail(r, "%s on a text marked as safe is not supported", what), false;
    *out = v->text;
    return true;
}

bool value_want_int(struct run *r, const struct value *v, const char *what, int64_t *out) {
    *out = v->integer;
    if (!value_is_number(v)) run_fail(r, "%s needs a number, not %s", what, value_type(v));
    return value_is_number(v);
}

bool value_want_key(struct run *r, const struct value *v) {
    bool hashable = v->kind <= VALUE_TEXT && v->kind != VALUE_UNDEFINED;
    if (v->kind == VALUE_LIST && v->list == LIST_TUPLE) {
        hashable = true;
        for (size_t i = 0; i < v->n; i++) hashable = hashable && value_want_key(r, v->items[i]);
    }
    if (!hashable) run_fail(r, "%s cannot be a key", value_type(v));
    return hashable;
}

/* ---- writing out ---- */

struct writing {
    struct run *r;
    struct template_output out;
    int depth;
    struct text between, colon; /* of JSON */
    int64_t indent;             /* of JSON; -1: on one line */
    bool ascii, sorted;
};

static void put(struct writing *w, const char *text) {
    if (run_charge(w->r, strlen(text))) output_add(&w->out, (struct text){text, TEXT_OWN, strlen(text)});
}

static void put_int(struct writing *w, int64_t n) {
    char digits[24];
    snprintf(digits, sizeof digits, "%lld", (long long)n);
    put(w, digits);
}

static struct text take(struct writing *w) {
    struct text t = {w->out.text.ptr, w->out.marks.ptr, w->out.text.len};
    t = text_join(w->r, (const struct text[]){t, TEXT_LITERAL("")}, 2, TEXT_LITERAL(""));
    template_output_fini(&w->out);
    return t;
}

static bool enter(struct writing *w) {
    if (++w->depth > NEST_MAX) run_fail(w->r, "a value nested over %d deep", NEST_MAX);
    return !w->r->failed && run_charge(w->r, 1);
}

static bool is_printable(uint32_t c) {
    if (c == ' ') return true;
    switch (utf8proc_category((utf8proc_int32_t)c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
        return false;
    default:
        return true;
    }
}

/* A text as Python's repr() writes it. */
static void put_repr(struct writing *w, struct text t) {
    bool has_single = t.len && memchr(t.ptr, '\'', t.len), has_double = t.len && memchr(t.ptr, '"', t.len);
    const char quote = has_single && !has_double ? '"' : '\'';
    const char quotes[] = {quote, 0};
    uint32_t c;
    put(w, quotes);
    for (size_t at = 0, n; at < t.len && run_charge(w->r, 1); at += n) {
        char escape[16] = "";
        n = text_char(t, at);
        if (str_utf8(text_str(t), at, &c) == 0) c = 0xfffd;
        if (c == '\\' || c == (uint32_t)quote)
            snprintf(escape, sizeof escape, "\\%c", (char)c);
        else if (c == '\n' || c == '\r' || c == '\t')
            snprintf(escape, sizeof escape, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
        else if (!is_printable(c))
            snprintf(escape, sizeof escape, c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
        if (escape[0])
            put(w, escape);
        else
            output_add(&w->out, text_slice(t, at, at + n));
    }
    put(w, quotes);
}

static void put_str(struct writing *w, const struct value *v, bool inside);

static void put_items(struct writing *w, const struct value *v) {
    put(w, v->list == LIST_TUPLE ? "(" : "[");
    for (size_t i = 0; i < v->n && !w->r->failed; i++) {
        if (i) put(w, ", ");
        put_str(w, v->items[i], true);
    }
    put(w, v->list != LIST_TUPLE ? "]" : v->n == 1 ? ",)" : ")");
}

static void put_pairs(struct writing *w, const struct value *v) {
    put(w, "{");
    for (size_t i = 0; i < v->n && !w->r->failed; i++) {
        if (i) put(w, ", ");
        put_str(w, v->pairs[i].key, true);
        put(w, ": ");
        put_str(w, v->pairs[i].value, true);
    }
    put(w, "}");
}

static void put_str(struct writing *w, const struct value *v, bool inside) {
    if (!enter(w)) return;
    switch (v->kind) {
    case VALUE_UNDEFINED:
        put(w, inside ? "Undefined" : "");
        break;
    case VALUE_NONE:
        put(w, "None");
        break;
    case VALUE_BOOL:
        put(w, v->flag ? "True" : "False");
        break;
    case VALUE_INT:
        put_int(w, v->integer);
        break;
    case VALUE_TEXT:
        if (inside)
            put_repr(w, v->text);
        else if (run_charge(w->r, v->text.len))
            output_add(&w->out, v->text);
        break;
    case VALUE_LIST:
        if (v->list < LIST_RANGE)
            put_items(w, v);
        else
            run_fail(w->r,
                     "a range, or what goes through a list, cannot be written; make a list of it (|list)");
        break;
    case VALUE_DICT:
        put_pairs(w, v);
        break;
    default:
        run_fail(w->r, "%s cannot be written", value_type(v));
    }
    w->depth--;
}

struct text value_str(struct run *r, const struct value *v) {
    struct writing w = {.r = r};
    if (v->kind == VALUE_TEXT) return v->text;
    put_str(&w, v, false);
    return take(&w);
}

/* ---- JSON, as Python's json.dumps() writes it ---- */

static void put_json_text(struct writing *w, struct text t) {
    static const char escaped[] = "\"\\\n\r\t\b\f", letters[] = "\"\\nrtbf";
    uint32_t c;
    put(w, "\"");
    for (size_t at = 0, n; at < t.len && run_charge(w->r, 1); at += n) {
        char escape[16] = "";
        n = text_char(t, at);
        if (str_utf8(text_str(t), at, &c) == 0) c = 0xfffd;
        const char *found = c && c < 0x80 ? strchr(escaped, (int)c) : NULL;
        if (found)
            snprintf(escape, sizeof escape, "\\%c", letters[found - escaped]);
        else if (c < 0x20 || (w->ascii && c >= 0x7f && c < 0x10000))
            snprintf(escape, sizeof escape, "\\u%04x", c);
        else if (w->ascii && c >= 0x10000)
            snprintf(escape, sizeof escape, "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10),
                     0xdc00 + ((c - 0x10000) & 0x3ff));
        if (escape[0])
            put(w, escape);
        else
            output_add(&w->out, text_slice(t, at, at + n));
    }
    put(w, "\"");
}

static void put_json(struct writing *w, const struct value *v);

static void put_line(struct writing *w) {
    if (w->indent < 0) return;
    put(w, "\n");
    for (int64_t i = 0; i < w->indent * (w->depth - 1) && !w->r->failed; i++) put(w, " ");
}

static void put_between(struct writing *w, size_t i) {
    if (i && run_charge(w->r, w->between.len)) output_add(&w->out, w->between);
    put_line(w);
}

static void put_json_key(struct writing *w, const struct value *k) {
    if (k->kind == VALUE_TEXT) {
        put_json_text(w, k->text);
    } else {
        put(w, "\"");
        put_json(w, k); /* numbers, true, false and none, as texts */
        put(w, "\"");
    }
    if (run_charge(w->r, w->colon.len)) output_add(&w->out, w->colon);
}

static int compare_keys(const void *a, const void *b) {
    const struct text x = ((const struct pair *)a)->key->text, y = ((const struct pair *)b)->key->text;
    int order = x.len && y.len ? memcmp(x.ptr, y.ptr, MIN(x.len, y.len)) : 0;
    return order ? order : x.len < y.len ? -1 : x.len > y.len;
}

static const struct pair *sorted_pairs(struct writing *w, const struct value *v) {
    struct pair *pairs = w->sorted ? run_alloc(w->r, v->n + 1, sizeof *pairs) : NULL;
    if (!pairs) return v->pairs;
    memcpy(pairs, v->pairs, v->n * sizeof *pairs);
    for (size_t i = 0; i < v->n; i++) {
        if (pairs[i].key->kind != VALUE_TEXT) run_fail(w->r, "only texts can be sorted as keys");
    }
    if (!w->r->failed && v->n) qsort(pairs, v->n, sizeof *pairs, compare_keys);
    return pairs;
}

static void put_json_parts(struct writing *w, const struct value *v) {
    const struct pair *pairs = v->kind == VALUE_DICT ? sorted_pairs(w, v) : NULL;
    put(w, pairs ? "{" : "[");
    for (size_t i = 0; i < v->n && !w->r->failed; i++) {
        w->depth++;
        put_between(w, i);
        w->depth--;
        if (pairs) put_json_key(w, pairs[i].key);
        put_json(w, pairs ? pairs[i].value : v->items[i]);
    }
    if (v->n) put_line(w);
    put(w, pairs ? "}" : "]");
}

static void put_json(struct writing *w, const struct value *v) {
    if (!enter(w)) return;
    switch (v->kind) {
    case VALUE_NONE:
        put(w, "null");
        break;
    case VALUE_BOOL:
        put(w, v->flag ? "true" : "false");
        break;
    case VALUE_INT:
        put_int(w, v->integer);
        break;
    case VALUE_TEXT:
        put_json_text(w, v->text);
        break;
    case VALUE_LIST:
    case VALUE_DICT:
        if (v->kind == VALUE_LIST && v->list >= LIST_RANGE)
            run_fail(w->r, "a range, or what goes through a list, is no JSON; make a list of it (|list)");
        else
            put_json_parts(w, v);
        break;
    default:
        run_fail(w->r, "%s cannot be written as JSON", value_type(v));
    }
    w->depth--;
}

static void read_separators(struct writing *w, const struct value *v) {
    if (v->kind == VALUE_NONE) return;
    if (v->kind != VALUE_LIST || v->list >= LIST_VIEW || v->n != 2) {
        run_fail(w->r, "separators of tojson are two texts");
        return;
    }
    if (value_want_text(w->r, v->items[0], "tojson", &w->between))
        (void)value_want_text(w->r, v->items[1], "tojson", &w->colon);
}

struct text value_json(struct run *r, const struct value *v, const struct args *args) {
    static const char *const names[] = {"ensure_ascii", "indent", "separators", "sort_keys", NULL};
    struct writing w = {.r = r, .indent = -1, .colon = TEXT_LITERAL(": ")};
    if (!args_check(r, args, 4, names, "tojson")) return TEXT_LITERAL("");
    const struct value *ascii = args_get(args, 0, "ensure_ascii"), *indent = args_get(args, 1, "indent"),
                       *separators = args_get(args, 2, "separators"),
                       *sorted = args_get(args, 3, "sort_keys");
    if (indent && indent->kind != VALUE_NONE) (void)value_want_int(r, indent, "indent of tojson", &w.indent);
    if (w.indent > 64) run_fail(r, "tojson indents by 64 at most");
    w.between = w.indent < 0 ? TEXT_LITERAL(", ") : TEXT_LITERAL(",");
    w.ascii = ascii && value_true(ascii);
    w.sorted = sorted && value_true(sorted);
    if (separators) read_separators(&w, separators);
    put_json(&w, v);
    return take(&w);
}
