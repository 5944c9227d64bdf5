#include "model/pickle.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/zip.h"

enum kind { NOTHING, NUMBER, TEXT, MARK, LIST, DICT, NAME, STORAGE, TENSOR };

/* What a NAME may be. */
enum name { ORDERED_DICT, REBUILD_TENSOR, REBUILD_PARAMETER, STORAGE_F32, STORAGE_F16, STORAGE_BF16, NAMES };

static const struct {
    const char *module, *name;
} names[NAMES] = {
    [ORDERED_DICT] = {"collections", "OrderedDict"},
    [REBUILD_TENSOR] = {"torch._utils", "_rebuild_tensor_v2"},
    [REBUILD_PARAMETER] = {"torch._utils", "_rebuild_parameter"},
    [STORAGE_F32] = {"torch", "FloatStorage"},
    [STORAGE_F16] = {"torch", "HalfStorage"},
    [STORAGE_BF16] = {"torch", "BFloat16Storage"},
};

/* A value of the machine: lists, tuples and dictionaries (keys and values in turn) own a run of `items`. */
struct value {
    enum kind kind;
    int64_t number;   /* NUMBER; NAME: enum name; LIST, DICT: index of their items */
    struct str text;  /* TEXT; STORAGE: its bytes */
    struct tensor *t; /* TENSOR, owned by the machine */
    enum dtype dtype; /* STORAGE */
};

struct items {
    struct value *ptr;
    size_t n, cap;
};

struct machine {
    const unsigned char *at, *end;
    const struct zip *zip;
    struct str folder; /* "archive/" */
    const char *where;
    struct err *e;
    struct items stack;
    struct items memo;
    struct items *lists; /* [n_lists] */
    size_t n_lists, cap_lists;
    struct tensor **tensors; /* [n_tensors] */
    size_t n_tensors, cap_tensors;
    size_t n_steps;
};

enum { VALUES_MAX = 1 << 22, STEPS_MAX = 1 << 22 };

static bool refuse(struct machine *m, const char *what) {
    return err_set(m->e, ERR_INPUT, "%s: %s: the checkpoint is damaged, or holds more than tensors", m->where,
                   what);
}

/* ---- the stack ---- */

static bool push(struct machine *m, struct value v) {
    if (m->stack.n >= VALUES_MAX) return refuse(m, "its stack has no end");
    MEM_GROW(m->stack.ptr, m->stack.cap, m->stack.n + 1);
    m->stack.ptr[m->stack.n++] = v;
    return true;
}

static bool pop(struct machine *m, struct value *out) {
    if (m->stack.n == 0 || m->stack.ptr[m->stack.n - 1].kind == MARK) return refuse(m, "its stack is empty");
    *out = m->stack.ptr[--m->stack.n];
    return true;
}

static bool top(struct machine *m, enum kind kind, struct value **out) {
    if (m->stack.n == 0 || m->stack.ptr[m->stack.n - 1].kind != kind)
        return refuse(m, "its stack does not fit");
    *out = &m->stack.ptr[m->stack.n - 1];
    return true;
}

static struct value new_items(struct machine *m, enum kind kind) {
    MEM_GROW(m->lists, m->cap_lists, m->n_lists + 1);
    m->lists[m->n_lists] = (struct items){0};
    return (struct value){.kind = kind, .number = (int64_t)m->n_lists++};
}

static struct items *items_of(struct machine *m, const struct value *v) {
    return &m->lists[v->number];
}

static void add_item(struct items *items, struct value v) {
    MEM_GROW(items->ptr, items->cap, items->n + 1);
    items->ptr[items->n++] = v;
}

/* Moves the last n values into a list of `kind`, which is pushed. */
static bool gather(struct machine *m, size_t n, enum kind kind) {
    if (m->n_lists >= VALUES_MAX || m->stack.n < n) return refuse(m, "its stack is too short");
    struct value list = new_items(m, kind);
    for (size_t i = m->stack.n - n; i < m->stack.n; i++) {
        if (m->stack.ptr[i].kind == MARK) return refuse(m, "its stack does not fit");
        add_item(items_of(m, &list), m->stack.ptr[i]);
    }
    m->stack.n -= n;
    return push(m, list);
}

static bool count_to_mark(struct machine *m, size_t *n) {
    for (*n = 0; *n < m->stack.n; ++*n)
        if (m->stack.ptr[m->stack.n - 1 - *n].kind == MARK) return true;
    return refuse(m, "a mark is missing");
}

static bool gather_to_mark(struct machine *m, enum kind kind) {
    size_t n;
    if (!count_to_mark(m, &n) || !gather(m, n, kind)) return false;
    m->stack.ptr[m->stack.n - 2] = m->stack.ptr[m->stack.n - 1]; /* over the mark */
    m->stack.n--;
    return true;
}

/* Adds the last n values to the list or dictionary below them (and below a mark). */
static bool append(struct machine *m, size_t n, bool marked, enum kind kind) {
    struct value *into;
    const size_t first = m->stack.n - n;
    if (m->stack.n < n + marked + 1) return refuse(m, "its stack is too short");
    into = &m->stack.ptr[first - marked - 1];
    if (into->kind != kind || (kind == DICT && n % 2)) return refuse(m, "its stack does not fit");
    for (size_t i = first; i < m->stack.n; i++) {
        if (m->stack.ptr[i].kind == MARK) return refuse(m, "its stack does not fit");
        add_item(items_of(m, into), m->stack.ptr[i]);
    }
    m->stack.n = first - marked;
    return true;
}

static bool append_to_mark(struct machine *m, enum kind kind) {
    size_t n;
    return count_to_mark(m, &n) && append(m, n, true, kind);
}

/* ---- reading ---- */

static bool take(struct machine *m, size_t n, const unsigned char **out) {
    if ((size_t)(m->end - m->at) < n) return refuse(m, "its program breaks off");
    *out = m->at;
    m->at += n;
    return true;
}

static bool take_number(struct machine *m, int n_bytes, uint64_t *out) {
    const unsigned char *at = NULL;
    if (!take(m, (size_t)n_bytes, &at)) return false;
    *out = 0;
    for (int i = n_bytes - 1; i >= 0; i--) *out = *out << 8 | at[i];
    return true;
}

static bool push_number(struct machine *m, int n_bytes) {
    uint64_t x = 0;
    if (!take_number(m, n_bytes, &x)) return false;
    return push(m,
                (struct value){.kind = NUMBER, .number = n_bytes == 4 ? (int32_t)(uint32_t)x : (int64_t)x});
}

/* LONG1: a count of bytes, then a signed number. */
static bool push_long(struct machine *m) {
    uint64_t n = 0, x = 0;
    if (!take_number(m, 1, &n)) return false;
    if (n > 8) return refuse(m, "a number is too large");
    if (!take_number(m, (int)n, &x)) return false;
    if (n > 0 && n < 8 && x >> (8 * n - 1)) x |= ~(uint64_t)0 << (8 * n);
    return push(m, (struct value){.kind = NUMBER, .number = (int64_t)x});
}

static bool push_text(struct machine *m, int n_bytes) {
    uint64_t n = 0;
    const unsigned char *at = NULL;
    return take_number(m, n_bytes, &n) && take(m, (size_t)n, &at) &&
           push(m, (struct value){.kind = TEXT, .text = {(const char *)at, (size_t)n}});
}

static bool take_line(struct machine *m, struct str *out) {
    const unsigned char *end = memchr(m->at, '\n', (size_t)(m->end - m->at));
    if (!end) return refuse(m, "its program breaks off");
    *out = (struct str){(const char *)m->at, (size_t)(end - m->at)};
    m->at = end + 1;
    return true;
}

static bool push_name(struct machine *m, struct str module, struct str name) {
    for (int i = 0; i < NAMES; i++)
        if (str_equal(module, str_from(names[i].module)) && str_equal(name, str_from(names[i].name)))
            return push(m, (struct value){.kind = NAME, .number = i});
    return err_set(m->e, ERR_INPUT,
                   "%s: the checkpoint wants to call %.*s.%.*s, which tensors do not need: it is refused",
                   m->where, (int)MIN(module.len, 60u), module.ptr, (int)MIN(name.len, 60u), name.ptr);
}

/* ---- what the names do ---- */

static const struct value *item(const struct machine *m, const struct value *list, size_t i, enum kind kind) {
    const struct items *items = &m->lists[list->number];
    return i < items->n && items->ptr[i].kind == kind ? &items->ptr[i] : NULL;
}

/* ("storage", storage type, key, device, number of elements) */
static bool load_storage(struct machine *m) {
    static const enum dtype types[] = {DTYPE_F32, DTYPE_F16, DTYPE_BF16};
    struct value tuple;
    if (!pop(m, &tuple)) return false;
    if (tuple.kind != LIST) return refuse(m, "a storage is not described");
    const struct value *type = item(m, &tuple, 1, NAME), *key = item(m, &tuple, 2, TEXT);
    if (!type || !key || type->number < STORAGE_F32) return refuse(m, "a storage is not described");
    struct buf path = {0};
    buf_add(&path, m->folder.ptr, m->folder.len);
    buf_add_str(&path, STR("data/"));
    buf_add(&path, key->text.ptr, key->text.len);
    const struct zip_entry *entry = zip_find(m->zip, buf_str(&path));
    buf_free(&path);
    if (!entry) return refuse(m, "a storage is not in the archive");
    return push(
        m, (struct value){.kind = STORAGE, .text = entry->data, .dtype = types[type->number - STORAGE_F32]});
}

/* Sizes and strides of a tensor that lies in one piece. */
static bool read_shape(struct machine *m, const struct value *sizes, const struct value *strides,
                       struct tensor *t) {
    const size_t n = items_of(m, sizes)->n;
    if (n > ARRAY_LEN(t->shape) || items_of(m, strides)->n != n)
        return refuse(m, "a tensor has too many dimensions");
    t->n_dims = (int)n;
    int64_t step = 1;
    for (size_t i = n; i-- > 0;) {
        const struct value *size = item(m, sizes, i, NUMBER), *stride = item(m, strides, i, NUMBER);
        if (!size || !stride || size->number < 0) return refuse(m, "a tensor has no shape");
        if (size->number > 1 && stride->number != step)
            return refuse(m, "a tensor does not lie in one piece");
        if (__builtin_mul_overflow(step, MAX(size->number, (int64_t)1), &step))
            return refuse(m, "a tensor is too large");
        t->shape[i] = size->number;
    }
    return true;
}

/* (storage, offset, sizes, strides, ...) */
static bool rebuild_tensor(struct machine *m, const struct value *arguments) {
    const struct value *storage = item(m, arguments, 0, STORAGE), *offset = item(m, arguments, 1, NUMBER),
                       *sizes = item(m, arguments, 2, LIST), *strides = item(m, arguments, 3, LIST);
    if (!storage || !offset || !sizes || !strides) return refuse(m, "a tensor is not described");
    struct tensor t = {.dtype = storage->dtype};
    if (!read_shape(m, sizes, strides, &t)) return false;
    if (!weights_count(t.shape, t.n_dims, t.dtype, &t.n_bytes)) return refuse(m, "a tensor is too large");
    size_t first;
    if (offset->number < 0 || __builtin_mul_overflow((size_t)offset->number, dtype_bytes(t.dtype), &first) ||
        first > storage->text.len || storage->text.len - first < t.n_bytes)
        return refuse(m, "a tensor lies outside of its storage");
    t.data = storage->text.ptr + first;
    MEM_GROW(m->tensors, m->cap_tensors, m->n_tensors + 1);
    struct tensor *kept = m->tensors[m->n_tensors++] = mem_dup(&t, sizeof t);
    return push(m, (struct value){.kind = TENSOR, .t = kept});
}

static bool reduce(struct machine *m) {
    struct value arguments, name;
    if (!pop(m, &arguments) || !pop(m, &name)) return false;
    if (name.kind != NAME || arguments.kind != LIST) return refuse(m, "a call is none");
    switch (name.number) {
    case ORDERED_DICT:
        if (items_of(m, &arguments)->n > 0) return refuse(m, "a dictionary comes with entries");
        return push(m, new_items(m, DICT));
    case REBUILD_TENSOR:
        return rebuild_tensor(m, &arguments);
    case REBUILD_PARAMETER: {
        const struct value *t = item(m, &arguments, 0, TENSOR);
        return t ? push(m, *t) : refuse(m, "a parameter is no tensor");
    }
    }
    return refuse(m, "a storage is called");
}

/* ---- the memo ---- */

static bool remember(struct machine *m, uint64_t i) {
    if (m->stack.n == 0 || i >= VALUES_MAX) return refuse(m, "its memo does not fit");
    while (m->memo.n <= i) add_item(&m->memo, (struct value){0});
    m->memo.ptr[i] = m->stack.ptr[m->stack.n - 1];
    return true;
}

static bool recall(struct machine *m, uint64_t i) {
    return i < m->memo.n && m->memo.ptr[i].kind != MARK ? push(m, m->memo.ptr[i])
                                                        : refuse(m, "its memo does not fit");
}

/* ---- the machine ---- */

static bool name_from_stack(struct machine *m) {
    struct value name, module;
    if (!pop(m, &name) || !pop(m, &module)) return false;
    if (name.kind != TEXT || module.kind != TEXT) return refuse(m, "a name is none");
    return push_name(m, module.text, name.text);
}

static bool name_from_lines(struct machine *m) {
    struct str module, name;
    return take_line(m, &module) && take_line(m, &name) && push_name(m, module, name);
}

/* What BUILD sets (a dictionary's _metadata) says nothing about tensors. */
static bool forget_state(struct machine *m) {
    struct value state, *object = NULL;
    return pop(m, &state) && top(m, DICT, &object);
}

static bool with_index(struct machine *m, int n_bytes, bool (*act)(struct machine *m, uint64_t i)) {
    uint64_t i;
    return take_number(m, n_bytes, &i) && act(m, i);
}

/* The operations that push one value; *known: it was one of them. */
static bool step_value(struct machine *m, unsigned char op, bool *known) {
    *known = true;
    switch (op) {
    case 'N':
        return push(m, (struct value){.kind = NOTHING});
    case 0x88:
        return push(m, (struct value){.kind = NUMBER, .number = 1});
    case 0x89:
        return push(m, (struct value){.kind = NUMBER});
    case 'K':
        return push_number(m, 1);
    case 'M':
        return push_number(m, 2);
    case 'J':
        return push_number(m, 4);
    case 0x8a:
        return push_long(m);
    case 'X':
        return push_text(m, 4);
    case 0x8c:
        return push_text(m, 1);
    case 'c':
        return name_from_lines(m);
    case 0x93:
        return name_from_stack(m);
    }
    *known = false;
    return true;
}

static bool step(struct machine *m, unsigned char op) {
    const unsigned char *skipped = NULL;
    bool known;
    if (!step_value(m, op, &known)) return false;
    if (known) return true;
    switch (op) {
    case 0x80:
        return take(m, 1, &skipped); /* PROTO */
    case 0x95:
        return take(m, 8, &skipped); /* FRAME */
    case '}':
        return push(m, new_items(m, DICT));
    case ']':
    case ')':
        return push(m, new_items(m, LIST));
    case '(':
        return push(m, (struct value){.kind = MARK});
    case 't':
        return gather_to_mark(m, LIST);
    case 0x85:
        return gather(m, 1, LIST);
    case 0x86:
        return gather(m, 2, LIST);
    case 0x87:
        return gather(m, 3, LIST);
    case 'q':
        return with_index(m, 1, remember);
    case 'r':
        return with_index(m, 4, remember);
    case 0x94:
        return remember(m, m->memo.n);
    case 'h':
        return with_index(m, 1, recall);
    case 'j':
        return with_index(m, 4, recall);
    case 'a':
        return append(m, 1, false, LIST);
    case 'e':
        return append_to_mark(m, LIST);
    case 's':
        return append(m, 2, false, DICT);
    case 'u':
        return append_to_mark(m, DICT);
    case 'Q':
        return load_storage(m);
    case 'R':
        return reduce(m);
    case 'b':
        return forget_state(m);
    }
    return err_set(m->e, ERR_INPUT,
                   "%s: the checkpoint has the operation 0x%02x, which tensors do not need: it is refused",
                   m->where, op);
}

static bool run(struct machine *m) {
    const unsigned char *op = NULL;
    for (;;) {
        if (m->n_steps++ > STEPS_MAX || m->n_lists > VALUES_MAX) return refuse(m, "its program has no end");
        if (!take(m, 1, &op)) return false;
        if (*op == '.') return true;
        if (!step(m, *op)) return false;
    }
}

/* The dictionary that is left: texts to tensors; one level down under "state_dict" and the like is not looked
 * for. */
static bool keep_tensors(struct machine *m, struct weights *w) {
    struct value *dict = NULL;
    if (!top(m, DICT, &dict)) return false;
    const struct items *items = items_of(m, dict);
    size_t n = 0;
    for (size_t i = 0; i + 1 < items->n; i += 2) {
        const struct value *key = &items->ptr[i], *value = &items->ptr[i + 1];
        if (key->kind != TEXT || value->kind != TENSOR) continue;
        if (key->text.len == 0 || key->text.len > 1000 || memchr(key->text.ptr, 0, key->text.len))
            return refuse(m, "a tensor's name is none");
        char *name = str_dup(key->text);
        struct tensor t = *value->t;
        t.name = name;
        weights_add(w, &t);
        free(name);
        n++;
    }
    return n > 0 || refuse(m, "it holds no tensors by name");
}

static void machine_fini(struct machine *m) {
    for (size_t i = 0; i < m->n_lists; i++) free(m->lists[i].ptr);
    for (size_t i = 0; i < m->n_tensors; i++) free(m->tensors[i]);
    free(m->lists);
    free(m->tensors);
    free(m->stack.ptr);
    free(m->memo.ptr);
}

/* The program is the one entry called FOLDER/data.pkl. */
static bool find_program(struct machine *m, const struct zip *z) {
    static const char program[] = "data.pkl";
    for (size_t i = 0; i < z->n_entries; i++) {
        const struct zip_entry *entry = &z->entries[i];
        if (!str_ends(entry->name, str_from(program))) continue;
        m->folder = (struct str){entry->name.ptr, entry->name.len - strlen(program)};
        m->at = (const unsigned char *)entry->data.ptr;
        m->end = m->at + entry->data.len;
        return true;
    }
    return refuse(m, "there is no data.pkl in it");
}

bool pickle_parse(const unsigned char *bytes, size_t n, const char *where, struct weights *w, struct err *e) {
    struct zip z;
    if (!zip_open(bytes, n, where, &z, e)) return false;
    struct machine m = {.zip = &z, .where = where, .e = e};
    const bool done = find_program(&m, &z) && run(&m) && keep_tensors(&m, w);
    machine_fini(&m);
    zip_close(&z);
    return done;
}
