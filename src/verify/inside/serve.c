/* serve.c - see serve.h. Whatever Python code a candidate runs besides its program makes it copy pages: each
 * object that is looked at is counted in itself. So what nearly every program needs is done here, and the
 * rest by functions of runner.py.
 *
 * A call comes as marshal's bytes of (arguments, named ones or None), or as JSON where that lacks a type.
 * What is given back is the JSON that runner.py's `encode` would give.
 */
#include "verify/inside/serve.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>

enum {
    MESSAGE_MAX = 32 << 20,
    ANSWER_MAX = 1 << 16,
    DEPTH_MAX = 40,
    TEXT_MAX = 2000,
    ADD_DOT_0 = 2,
    EQUAL = 2,
    MARSHAL = 4, /* its version: what is one object stays one */
};

/* ---- the line ---- */

static int write_all(const struct serve *s, const char *from, long n) {
    for (long at = 0; at < n;) {
        const long put = s->call(SYS_write, s->fd, from + at, n - at);
        if (put <= 0) return 0;
        at += put;
    }
    return 1;
}

static void put_length(char *to, long n) {
    for (int i = 0; i < 4; i++) to[i] = (char)(n >> 8 * i & 255);
}

/* As os.read: other threads may go on, handlers of signals may run. */
static int take(const struct serve *s, char *to, long n) {
    for (long at = 0; at < n;) {
        void *thread = s->py->release();
        const long got = s->call(SYS_read, s->fd, to + at, n - at);
        const int why = *s->py->errno_at();
        s->py->take_back(thread);
        if (got == 0 || (got < 0 && (why != EINTR || s->py->check_signals() != 0))) return 0;
        if (got > 0) at += got;
    }
    return 1;
}

/* ---- values as JSON ---- */

struct out {
    char *at, *end;
};

static int put(struct out *o, const char *text, long n) {
    volatile char *to = o->at;
    if (o->end - o->at < n) return 0;
    for (long i = 0; i < n; i++) to[i] = text[i];
    o->at += n;
    return 1;
}

static int put_long(struct out *o, long long x) {
    char digits[24];
    int n = sizeof digits;
    unsigned long long rest = x < 0 ? 0 - (unsigned long long)x : (unsigned long long)x;
    do digits[--n] = (char)('0' + rest % 10);
    while (rest /= 10);
    if (x < 0) digits[--n] = '-';
    return put(o, digits + n, (long)sizeof digits - n);
}

static int put_float(const struct python *py, struct out *o, object *x) {
    char *text = py->float_text(py->float_value(x), 'r', 0, ADD_DOT_0, 0);
    long n = 0;
    if (!text) return 0;
    while (text[n]) n++;
    const int finite = text[n - 1] >= '0' && text[n - 1] <= '9';
    const int ok = finite && put(o, text, n);
    py->free(text);
    return ok;
}

static int put_text(const struct python *py, struct out *o, object *x) {
    static const char hex[] = "0123456789abcdef";
    long n;
    const char *text = py->utf8(x, &n);
    int ok = text && put(o, "\"", 1);
    for (long from = 0, i = 0; ok && i <= n; i++) {
        const unsigned char c = i < n ? (unsigned char)text[i] : '"';
        if (c >= ' ' && c != '"' && c != '\\') continue;
        const char escape[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
        ok = put(o, text + from, i - from) && (i == n || put(o, escape, 6));
        from = i + 1;
    }
    return ok && put(o, "\"", 1);
}

static int put_value(const struct python *py, struct out *o, object *x, int depth);

static int put_items(const struct python *py, struct out *o, object *x, int depth) {
    const int is_list = x->type == py->list;
    const long n = is_list ? py->list_size(x) : py->tuple_size(x);
    int ok = put(o, is_list ? "[\"l\"" : "[\"t\"", 4);
    for (long i = 0; ok && i < n; i++)
        ok = put(o, ",", 1) && put_value(py, o, is_list ? py->list_get(x, i) : py->tuple_get(x, i), depth);
    return ok && put(o, "]", 1);
}

static int put_dict(const struct python *py, struct out *o, object *x, int depth) {
    object *key, *value;
    long at = 0;
    int ok = put(o, "[\"d\"", 4);
    while (ok && py->dict_next(x, &at, &key, &value))
        ok = put(o, ",", 1) && put_value(py, o, key, depth) && put(o, ",", 1) &&
             put_value(py, o, value, depth);
    return ok && put(o, "]", 1);
}

/* 0: there is no room, or runner.py has to see to it. No code of the program's runs here: of each type but
 * the exact ones it could have some. */
static int put_value(const struct python *py, struct out *o, object *x, int depth) {
    if (depth > DEPTH_MAX) return 0;
    if (x == py->none) return put(o, "null", 4);
    if (x == py->true_) return put(o, "true", 4);
    if (x == py->false_) return put(o, "false", 5);
    if (x->type == py->int_) {
        int overflow;
        const long long value = py->long_value(x, &overflow);
        return !overflow && put_long(o, value);
    }
    if (x->type == py->str) return put_text(py, o, x);
    if (x->type == py->float_) return put_float(py, o, x);
    if (x->type == py->list || x->type == py->tuple) return put_items(py, o, x, depth + 1);
    return x->type == py->dict && put_dict(py, o, x, depth + 1);
}

/* ---- exceptions, as runner.py's `describe` has them ---- */

#define PUT(out, text) put(out, text, (long)sizeof text - 1)

static int put_names(const struct python *py, struct out *o, object *e) {
    object *types = e->type->type == py->type ? py->get(e->type, "__mro__") : 0;
    int ok = types && types->type == py->tuple && PUT(o, "{\"raised\": [");
    for (long i = 0; ok && i < py->tuple_size(types); i++) {
        object *name = py->get(py->tuple_get(types, i), "__name__");
        ok = name && name->type == py->str && (i == 0 || PUT(o, ",")) && put_text(py, o, name);
        py->drop(name);
    }
    py->drop(types);
    return ok;
}

static int put_args(const struct python *py, struct out *o, object *e) {
    object *args = py->get(e, "args");
    int ok = args && args->type == py->tuple && PUT(o, "], \"args\": [\"l\"");
    for (long i = 0; ok && i < py->tuple_size(args); i++)
        ok = PUT(o, ",") && put_value(py, o, py->tuple_get(args, i), 1);
    py->drop(args);
    return ok;
}

static int put_message(const struct python *py, struct out *o, object *e) {
    object *text = py->to_text(e);
    const char *at = o->at;
    const int ok = text && text->type == py->str && PUT(o, "], \"text\": ") && put_text(py, o, text);
    py->drop(text);
    return ok && o->at - at < TEXT_MAX; /* longer ones have to be cut */
}

/* e.name where that is a whole number. 0: it is none, or there is none. */
static int get_number(const struct python *py, object *e, const char *name, long long *number) {
    int overflow = 0;
    object *value = py->get(e, name);
    const int ok = value && value->type == py->int_;
    if (ok) *number = py->long_value(value, &overflow);
    py->drop(value);
    return ok && !overflow;
}

/* Whether what `o` has by that name is the program's file name; -1: it has none. */
static int is_of_program(const struct python *py, object *o, const char *name) {
    object *file = py->get(o, name);
    const int same = file ? py->compare(file, py->file_name, EQUAL) : -1;
    py->drop(file);
    return same;
}

static int put_line(const struct python *py, struct out *o, object *e, object *trace) {
    long long line = 0;
    int ok = 1;
    if (py->is_error(e, py->syntax_error)) {
        const int same = is_of_program(py, e, "filename");
        ok = same >= 0 && (!same || get_number(py, e, "lineno", &line));
    }
    object *t = trace;
    for (object *next; ok && t && t != py->none; t = next) {
        object *frame = py->get(t, "tb_frame"), *code = frame ? py->get(frame, "f_code") : 0;
        const int same = code ? is_of_program(py, code, "co_filename") : -1;
        ok = same >= 0 && (!same || get_number(py, t, "tb_lineno", &line));
        py->drop(frame);
        py->drop(code);
        next = py->get(t, "tb_next");
        ok = ok && next;
        if (t != trace) py->drop(t);
    }
    if (t != trace) py->drop(t);
    return ok && PUT(o, ", \"line\": ") && put_long(o, line) && PUT(o, "}");
}

/* ---- the program ---- */

/* That the program has been loaded. A write of its own would wake the judge for it; so it goes with the first
 * answer, or alone where runner.py gives that, or none was asked for. */
static const char loaded[] = "\2\0\0\0{}";
enum { N_LOADED = sizeof loaded - 1 };

static int say_loaded(struct serve *s) {
    const int silent = s->silent;
    s->silent = 0;
    return !silent || write_all(s, loaded, N_LOADED);
}

/* By a function of runner.py that says something to the judge; false if it could not. `o` is given up. */
static int say(struct serve *s, object *how, object *o) {
    object *said = say_loaded(s) ? s->py->call_with(how, o, (object *)0) : 0;
    s->py->drop(o);
    s->py->drop(said);
    return said != 0;
}

static char *answer_at(const struct serve *s) {
    return s->room + (s->silent ? N_LOADED : 0);
}

static struct out room_of(const struct serve *s) {
    return (struct out){answer_at(s) + 4,
                        s->room + 4 + (s->n_room < ANSWER_MAX ? s->n_room - 4 : ANSWER_MAX)};
}

static int send_room(struct serve *s, const struct out *o) {
    volatile char *room = s->room; /* no C library to copy it by */
    put_length(answer_at(s), o->at - answer_at(s) - 4);
    for (int i = 0; s->silent && i < N_LOADED; i++) room[i] = loaded[i];
    s->silent = 0;
    return write_all(s, s->room, o->at - s->room);
}

/* The exception that there is, held, and what it says; NULL: there is none. *ok: runner.py need not see to
 * it. */
static object *put_raised(const struct python *py, struct out *o, int *ok) {
    object *type, *e, *trace;
    py->error_fetch(&type, &e, &trace);
    py->error_normalise(&type, &e, &trace);
    if (!e) return 0;
    if (trace) py->error_set_trace(e, trace);
    *ok = put_names(py, o, e) && put_args(py, o, e) && put_message(py, o, e) && put_line(py, o, e, trace);
    py->drop(type);
    py->drop(trace);
    return e;
}

static int say_raised(struct serve *s) {
    const struct python *py = s->py;
    struct out o = room_of(s);
    int ok;
    object *e = put_raised(py, &o, &ok);
    if (!e) return 0;
    if (!ok) {
        py->error_clear();
        return say(s, py->describe, e);
    }
    py->drop(e);
    return send_room(s, &o);
}

/* 0: it is no text. *code may be NULL: it does not compile. */
static int compile(const struct python *py, const char *program, long n, object **code) {
    object *text = py->decode_utf8(program, n, "surrogatepass");
    if (!text) return 0;
    *code = py->call_with(py->compile, text, py->file_name, py->mode, (object *)0);
    py->drop(text);
    return 1;
}

/* NULL: there is none, or what came is none. */
static object *read_code(const struct serve *s) {
    if (s->n_code == 0) return 0;
    object *code = s->py->read_marshal(s->code, s->n_code);
    if (code && code->type == s->py->code) return code;
    s->py->drop(code);
    s->py->error_clear();
    return 0;
}

/* Its function, held; NULL: it has none, and the judge has been told. */
static object *load(struct serve *s) {
    const struct python *py = s->py;
    long n_name = 0;
    while (n_name < s->n && s->room[n_name]) n_name++;
    if (n_name == s->n) return 0;
    object *code = read_code(s);
    if (!code && !compile(py, s->room + n_name + 1, s->n - n_name - 1, &code)) return 0;
    object *ran = code ? py->eval(code, s->names, s->names) : 0;
    py->drop(code);
    if (!ran) {
        say_raised(s);
        return 0;
    }
    py->drop(ran);
    object *function = py->dict_get(s->names, s->room);
    if (function && function != py->none) {
        py->hold(function);
        return function;
    }
    object *name = py->decode_utf8(s->room, n_name, "surrogatepass");
    if (name) say(s, py->lack, name);
    return 0;
}

/* The value is given up. */
static int answer(struct serve *s, object *value) {
    const struct python *py = s->py;
    struct out o = room_of(s);
    if (!PUT(&o, "{\"value\": ") || !put_value(py, &o, value, 0) || !PUT(&o, "}")) {
        py->error_clear();
        return say(s, py->answer, value);
    }
    py->drop(value);
    return send_room(s, &o);
}

/* One call in `message`; false if there can be no further one. */
static int run_call(struct serve *s, object *function, const char *message, long n) {
    const struct python *py = s->py;
    if (message[0] != '(') {
        object *text = py->decode_utf8(message, n, "surrogatepass");
        object *said =
            text && say_loaded(s) ? py->call_with(py->answer_text, function, text, (object *)0) : 0;
        py->drop(text);
        py->drop(said);
        return said != 0;
    }
    object *both = py->read_marshal(message, n);
    if (!both) return 0;
    object *named = py->tuple_get(both, 1);
    object *value = py->call(function, py->tuple_get(both, 0), named == py->none ? 0 : named);
    const int ok = value ? answer(s, value) : say_raised(s);
    py->drop(both);
    return ok;
}

static int serve_call(struct serve *s, object *function) {
    unsigned char head[4];
    if (!take(s, (char *)head, 4)) return 0;
    const long n = (long)head[0] | (long)head[1] << 8 | (long)head[2] << 16 | (long)head[3] << 24;
    if (n < 1 || n > MESSAGE_MAX) return 0;
    if (n <= s->n_room) return take(s, s->room, n) && run_call(s, function, s->room, n);
    const long at =
        s->call(SYS_mmap, 0, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0L);
    if (at == -1) return 0;
    const int ok = take(s, (char *)at, n) && run_call(s, function, (char *)at, n);
    s->call(SYS_munmap, at, n);
    return ok;
}

void serve(struct serve *s) {
    object *function = load(s);
    if (!function) return;
    s->silent = 1;
    while (serve_call(s, function)) {
    }
    say_loaded(s);
}

/* ---- the compiler ---- */

/* marshal sorts what lies in a frozenset, which may then come in another order: `for x in {8, 0}`. */
static int has_frozenset(const struct python *py, object *code) {
    object *constants = py->get(code, "co_consts");
    int has = !constants || constants->type != py->tuple;
    for (long i = 0; !has && i < py->tuple_size(constants); i++) {
        object *x = py->tuple_get(constants, i);
        has = x->type == py->frozenset || (x->type == py->code && has_frozenset(py, x));
    }
    py->drop(constants);
    return has;
}

static int put_code(const struct python *py, struct out *o, object *code) {
    object *bytes = has_frozenset(py, code) ? 0 : py->write_marshal(code, MARSHAL);
    const int ok = bytes && put(o, py->bytes(bytes), py->bytes_size(bytes));
    py->drop(bytes);
    return ok;
}

/* How much there is to say in s->room; 0: this process is to end, as behind any error but of the text. */
static long compile_one(const struct serve *s, long n) {
    const struct python *py = s->py;
    struct out o = {s->room, s->room + COMPILE_ANSWER_MAX};
    object *code, *e = 0;
    int ok = 0, goes_on = 1;
    if (!compile(py, s->room, n, &code)) return 0;
    if (code) {
        ok = put_code(py, &o, code);
    } else if ((e = put_raised(py, &o, &ok))) {
        goes_on = py->is_error(e, py->syntax_error);
    }
    py->drop(code);
    py->drop(e);
    py->error_clear();
    if (!goes_on) return 0;
    if (ok) return o.at - s->room;
    s->room[0] = COMPILE_NOT;
    return 1;
}

void serve_compiler(const struct serve *s) {
    for (long n, n_out; (n = s->call(SYS_read, s->fd, s->room, COMPILE_TEXT_MAX)) > 0;) {
        n_out = compile_one(s, n);
        if (n_out < 1 || s->call(SYS_write, s->fd, s->room, n_out) != n_out) return;
    }
}
