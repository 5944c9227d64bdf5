/* template_impl.h - inside of the template interpreter: tokens (template_lex.c), nodes (template_parse.c),
 * values (template_value.c), what runs them (template_eval.c) and its tables.
 *
 * Failing is sticky: the first error is kept, functions then return something harmless, and every loop looks
 * at `failed`.
 */
#ifndef BROOD_TEMPLATE_IMPL_H
#define BROOD_TEMPLATE_IMPL_H

#include "base/err.h"
#include "base/str.h"
#include "model/template.h"

enum {
    TEMPLATE_DEPTH_MAX = 100,     /* of a template's nodes */
    TEMPLATE_RUN_DEPTH_MAX = 400, /* of what runs: nodes within macros within macros */
    TEMPLATE_STEPS_MAX = 4 * 1000 * 1000,
    TEMPLATE_ARGS_MAX = 16,
};
#define TEMPLATE_BYTES_MAX ((size_t)1 << 20)   /* of a template */
#define TEMPLATE_ARENA_MAX ((size_t)256 << 20) /* of all values while one conversation is rendered */

/* ---- memory that is freed at once ---- */

struct arena_block;
struct arena {
    struct arena_block *blocks;
    size_t n_bytes; /* given out */
};
void *arena_alloc(struct arena *a, size_t n_bytes); /* zeroed; n_bytes is bounded by the caller */
void arena_fini(struct arena *a);

/* ---- tokens ---- */

enum token_kind {
    TOKEN_DATA,
    TOKEN_PRINT_BEGIN,
    TOKEN_PRINT_END,
    TOKEN_TAG_BEGIN,
    TOKEN_TAG_END,
    TOKEN_NAME,
    TOKEN_STRING,
    TOKEN_NUMBER,
    TOKEN_OPERATOR,
    TOKEN_END,
};

struct token {
    enum token_kind kind;
    int line;
    struct str text; /* data and strings as they count, the others as written */
};

struct token_list {
    struct token *ptr;
    size_t n, cap;
};

/* The tokens, ended by TOKEN_END; text that had to be changed lies in the arena. *out is freed by the caller.
 */
MUST bool template_lex(struct str source, struct arena *a, struct token_list *out, struct err *e);

/* ---- nodes ---- */

enum node_kind {
    /* expressions */
    NODE_TEXT,    /* text */
    NODE_INT,     /* integer */
    NODE_CONST,   /* integer: enum value_kind VALUE_NONE, or VALUE_BOOL with flag */
    NODE_NAME,    /* text */
    NODE_LIST,    /* kids */
    NODE_TUPLE,   /* kids */
    NODE_DICT,    /* kids: key, value, key, value, ... */
    NODE_NOT,     /* kid */
    NODE_MINUS,   /* kid */
    NODE_PLUS,    /* kid */
    NODE_AND,     /* two kids */
    NODE_OR,      /* two kids */
    NODE_BINARY,  /* text: + - * / // % ** ~; two kids */
    NODE_COMPARE, /* text: == != < <= > >= in, "not in"; two kids; flag: the first is the former of a chain */
    NODE_CHOICE,  /* kids: condition, then, else (may be missing) */
    NODE_ATTR,    /* kid, text */
    NODE_ITEM,    /* two kids */
    NODE_SLICE,   /* kids: value, from, to, step; NULL: not given */
    NODE_CALL,    /* kids: callee, arguments; names: of arguments, empty: by place */
    NODE_FILTER,  /* kids: value (NULL: the body's text), arguments; text */
    NODE_TEST,    /* kids: value, arguments; text; flag: negated */
    /* statements */
    NODE_DATA,     /* text */
    NODE_PRINT,    /* kid */
    NODE_SET,      /* kids: target, value */
    NODE_SET_BODY, /* kids: target, filter (may be NULL), body */
    NODE_IF,       /* kids: condition, body, condition, body, ..., and the else's body */
    NODE_FOR,      /* kids: target, list, condition (may be NULL), body, else's body (may be NULL) */
    NODE_MACRO,    /* text; kids: body, defaults (NULL: none); names: of parameters */
    NODE_WITH,     /* kids: body, then target, value, ... */
    NODE_FILTERED, /* kids: filter, body */
    NODE_SCOPE,    /* kid: body */
    NODE_BREAK,
    NODE_CONTINUE,
    NODE_BODY, /* kids: statements */
};

struct node {
    enum node_kind kind;
    int line;
    bool flag;
    int64_t integer;
    struct str text;
    struct node **kids;
    struct str *names; /* [n], where there are any */
    size_t n;
};

/* The body of the whole, in the arena; NULL on failure. */
MUST struct node *template_parse(const struct token_list *tokens, struct arena *a, struct err *e);

/* ---- values ---- */

struct text {
    const char *ptr;
    const char *marks; /* [len], or TEXT_OWN, TEXT_FOREIGN */
    size_t len;
};
#define TEXT_OWN ((const char *)NULL)
extern const char template_foreign[1];
#define TEXT_FOREIGN    (template_foreign)
#define TEXT_LITERAL(s) ((struct text){(s), TEXT_OWN, sizeof(s) - 1})

enum value_kind {
    VALUE_UNDEFINED, /* text: the name that is not defined */
    VALUE_NONE,
    VALUE_BOOL,
    VALUE_INT,
    VALUE_TEXT,
    VALUE_LIST,
    VALUE_DICT,
    VALUE_NAMESPACE,
    VALUE_LOOP,
    VALUE_MACRO,
    VALUE_FUNCTION, /* text: its name */
    VALUE_METHOD,   /* text: its name; self */
};

enum list_kind { LIST_LIST, LIST_TUPLE, LIST_RANGE, LIST_VIEW, LIST_LAZY /* can be gone through once */ };

struct value;
struct pair {
    const struct value *key, *value;
};

struct value {
    enum value_kind kind;
    bool flag; /* VALUE_BOOL; VALUE_TEXT: marked as safe */
    int64_t integer;
    struct text text;
    enum list_kind list;
    const struct value **items; /* [n] */
    struct pair *pairs;         /* [n] */
    size_t n, cap;
    const struct value *self;
    const struct node *macro;
    struct scope *scope;
    struct loop *loop;
};

struct loop { /* what `loop` is inside of a for */
    const struct value *list;
    size_t i;
    const struct value *changed; /* what changed() was given last, or NULL */
};

struct args {
    const struct value *items[TEMPLATE_ARGS_MAX];
    struct str names[TEMPLATE_ARGS_MAX]; /* empty: by place */
    size_t n;
};

struct run { /* one rendering */
    struct arena arena;
    struct template_output *out; /* where output goes just now */
    int depth, line;             /* of what is being run */
    size_t n_steps;
    bool failed;
    struct err *e;
};

/* Sets the error, if it is the first: "line N: ...". */
void run_fail(struct run *r, const char *format, ...) PRINTF_LIKE(2, 3);
/* Whether work may go on that takes time like reading n_bytes. */
bool run_charge(struct run *r, size_t n_bytes);
void *run_alloc(struct run *r, size_t n_items, size_t item_bytes); /* zeroed; NULL once failed */

const struct value *value_undefined(struct run *r, struct str name);
const struct value *value_none(void);
const struct value *value_bool(bool b);
const struct value *value_int(struct run *r, int64_t n);
const struct value *value_text(struct run *r, struct text t);
const struct value *value_safe(struct run *r, struct text t);
const struct value *value_named(struct run *r, enum value_kind kind, struct str name,
                                const struct value *self);
struct value *value_list(struct run *r, enum list_kind kind, size_t n); /* items to be filled in */
struct value *value_dict(struct run *r, size_t cap);
void value_dict_put(struct run *r, struct value *dict, const struct value *key, const struct value *value);
const struct value *value_dict_get(const struct value *dict, struct str key); /* NULL: not there */

bool value_true(const struct value *v);
bool value_equal(const struct value *a, const struct value *b);
const char *value_type(const struct value *v); /* as Python names it */
bool value_is_number(const struct value *v);   /* a boolean is one */

/* The items of what can be gone through; NULL (an error, unless quiet) of what cannot. */
const struct value *value_items(struct run *r, const struct value *v);
/* What str() makes of it. */
struct text value_str(struct run *r, const struct value *v);
/* The text of a text, or an error that says what needs it. */
bool value_want_text(struct run *r, const struct value *v, const char *what, struct text *out);
bool value_want_int(struct run *r, const struct value *v, const char *what, int64_t *out);
bool value_want_key(struct run *r, const struct value *v); /* what an object can have as a key */
struct text value_json(struct run *r, const struct value *v, const struct args *args);

/* ---- texts (template_text.c) ---- */

struct text text_slice(struct text t, size_t from, size_t to);
struct str text_str(struct text t);
struct text text_join(struct run *r, const struct text *parts, size_t n, struct text between);
size_t text_char(struct text t, size_t at); /* bytes of the character there */
size_t text_length(struct text t);          /* in characters */
size_t text_offset(struct text t, size_t i_char);
struct text text_strip(struct text t, const struct text *chars, bool left, bool right);
struct text text_replace(struct run *r, struct text t, struct text from, struct text to, int64_t count);
const struct value *text_split(struct run *r, struct text t, const struct text *by, int64_t count,
                               bool from_end);
const struct value *text_lines(struct run *r, struct text t, bool keep_ends);
enum text_case { CASE_UPPER, CASE_LOWER, CASE_TITLE, CASE_TITLE_FILTER, CASE_CAPITAL };
struct text text_change_case(struct run *r, struct text t, enum text_case how);
struct text text_reverse(struct run *r, struct text t);
void output_add(struct template_output *o, struct text t);

/* ---- running ---- */

/* v.name, and v[key] */
const struct value *eval_attr(struct run *r, const struct value *v, struct str name);
const struct value *eval_item(struct run *r, const struct value *v, const struct value *key);
const struct value *eval_slice(struct run *r, const struct value *v, const struct value *const bounds[3]);
const struct value *eval_call(struct run *r, const struct value *callee, const struct args *args);
const struct value *eval_binary(struct run *r, struct str op, const struct value *a, const struct value *b);
bool eval_compare(struct run *r, struct str op, const struct value *a, const struct value *b);

/* Argument i, or the one with this name; NULL if there is none. */
const struct value *args_get(const struct args *a, size_t i, const char *name);
/* An error where there are more than n by place, or names that are not among those (ended by NULL). */
bool args_check(struct run *r, const struct args *a, size_t n, const char *const *names, const char *what);

const struct value *filter_run(struct run *r, struct str name, const struct value *v,
                               const struct args *args);
bool test_run(struct run *r, struct str name, const struct value *v, const struct args *args);
/* Whether values of this kind have a method of this name. */
bool method_exists(const struct value *v, struct str name);
const struct value *method_run(struct run *r, const struct value *self, struct str name,
                               const struct args *args);
const struct value *function_run(struct run *r, struct str name, const struct args *args);

#endif
