/* serve.h - the candidate: a program is loaded and its function called, by the C API of the Python that
 * forked it. And the compiler: a process that makes code of programs' texts, one after another. */
#ifndef BROOD_INSIDE_SERVE_H
#define BROOD_INSIDE_SERVE_H

typedef long syscall_fn(long number, ...);

/* What of Python is used: addresses, in the order of PYTHON in runner.py. */
typedef struct object { /* the beginning of each: a count, then */
    long count;
    struct object *type;
} object;
struct python {
    object *(*decode_utf8)(const char *text, long n, const char *errors);
    object *(*read_marshal)(const char *bytes, long n);
    object *(*write_marshal)(object *o, int version);
    const char *(*bytes)(object *bytes);
    long (*bytes_size)(object *bytes);
    object *(*call_with)(object *function, ...); /* NULL-terminated */
    object *(*call)(object *function, object *args, object *named);
    object *(*eval)(object *code, object *globals, object *locals);
    object *(*dict_get)(object *dict, const char *key);                     /* borrowed */
    int (*dict_next)(object *dict, long *at, object **key, object **value); /* borrowed */
    long (*list_size)(object *list);
    object *(*list_get)(object *list, long i); /* borrowed */
    long (*tuple_size)(object *tuple);
    object *(*tuple_get)(object *tuple, long i); /* borrowed */
    long long (*long_value)(object *number, int *overflow);
    double (*float_value)(object *number);
    char *(*float_text)(double x, char format, int precision, int flags, int *type);
    const char *(*utf8)(object *text, long *n);
    void (*free)(void *memory);
    void (*drop)(object *o); /* NULL is legal */
    void (*hold)(object *o);
    void (*error_fetch)(object **type, object **value, object **trace);
    void (*error_normalise)(object **type, object **value, object **trace);
    int (*error_set_trace)(object *value, object *trace);
    void (*error_clear)(void);
    object *(*get)(object *o, const char *name);
    object *(*to_text)(object *o);
    int (*is_error)(object *e, object *type);
    int (*compare)(object *a, object *b, int how);
    int (*check_signals)(void);
    void *(*release)(void); /* the interpreter to other threads */
    void (*take_back)(void *thread);
    int *(*errno_at)(void); /* the C library's */
    /* objects */
    object *none, *true_, *false_, *str, *int_, *float_, *list, *tuple, *dict; /* str to dict: the types */
    object *compile, *file_name, *mode, *type, *code, *frozenset, *syntax_error;
    object *answer, *describe, *lack, *answer_text; /* functions of runner.py */
};

struct serve {
    syscall_fn *call;
    const struct python *py;
    object *names; /* those of the program */
    char *room;    /* entry point, NUL, program; then messages in both directions */
    long n, n_room;
    int fd;
    const char *code; /* what the compiler made of the program */
    long n_code;      /* 0: it is compiled here */
    int silent;       /* it has been loaded, which is said with its first answer */
};

/* Returns when the line has ended, or nothing more is to be said. */
void serve(struct serve *s);

/* The compiler is sent each program in one piece, and answers in one: its code, as marshal has it;
 * COMPILE_ERROR and so on, the JSON that a candidate would say of the error in it; or COMPILE_NOT, which
 * leaves it to the candidate. Returns when this process is not to compile any more. */
enum { COMPILE_TEXT_MAX = 32 << 10, COMPILE_ANSWER_MAX = 64 << 10, COMPILE_ERROR = '{', COMPILE_NOT = '?' };
void serve_compiler(const struct serve *s);

#endif
