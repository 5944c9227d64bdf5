/* verifier.c - see verifier.h: the table of kinds, specs, and what all kinds share. */
#include "verify/verifier.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "verify/kinds.h"

#define ALLOW(key) (1u << SETTING_##key)

struct kind {
    verifier_open_kind *open;
    unsigned allowed; /* settings */
    double seconds;   /* default */
};

const struct verifier_kind verifier_kinds[] = {
    {"tests", "tests[,language=LANGUAGE][:FILE]",
     "programs in a sandbox against the unit tests of the task's problems, or those in FILE"},
    {"command", "command:COMMAND",
     "a program that is run for each solution and says its verdict as JSON, or by its exit status"},
    {"worker", "worker:COMMAND", "a program that stays and answers a line of JSON for each solution"},
    {"coq", "coq", "Coq proofs of the task's theorems: what was asked, no axioms"},
    {"smt", "smt", "models and claims of unsatisfiability for the task's SMT-LIB problems, by z3"},
    {"lean", "lean:COMMAND", "Lean 4 proofs of the task's theorems, by the REPL that the command starts"},
    {"patch", "patch,clones=FOLDER[:COMMAND]",
     "patches to a repository, against the tests that each of the task's problems names (SWE-bench)"},
    {"toy", "toy:KEYS", "knows the right answer of a toy chain (for tests)"},
    {NULL, NULL, NULL},
};

#define OF_PROCESSES (ALLOW(SECONDS) | ALLOW(MEMORY) | ALLOW(WORKERS) | ALLOW(SANDBOX) | ALLOW(READ))

static const struct kind kinds[] = {
    {verifier_open_tests,
     ALLOW(SECONDS) | ALLOW(CPU) | ALLOW(MEMORY) | ALLOW(WORKERS) | ALLOW(ISOLATION) | ALLOW(ENTRY) |
         ALLOW(LANGUAGE) | ALLOW(SHOW),
     15},
    {verifier_open_command, OF_PROCESSES | ALLOW(ACCEPT) | ALLOW(SUFFIX), 10},
    {verifier_open_worker, OF_PROCESSES | ALLOW(BATCH) | ALLOW(RUNS), 10},
    {verifier_open_coq, OF_PROCESSES, 60},
    {verifier_open_smt, OF_PROCESSES, 20},
    {verifier_open_lean, OF_PROCESSES | ALLOW(RUNS), 60},
    {verifier_open_patch,
     ALLOW(SECONDS) | ALLOW(CPU) | ALLOW(MEMORY) | ALLOW(WORKERS) | ALLOW(SANDBOX) | ALLOW(CLONES) |
         ALLOW(SHOW),
     300},
    {verifier_open_toy, 0, 1},
};

static const char *const setting_names[SETTINGS] = {
    [SETTING_SECONDS] = "seconds",   [SETTING_CPU] = "cpu",         [SETTING_MEMORY] = "memory",
    [SETTING_WORKERS] = "workers",   [SETTING_SANDBOX] = "sandbox", [SETTING_ISOLATION] = "isolation",
    [SETTING_ACCEPT] = "accept",     [SETTING_SUFFIX] = "suffix",   [SETTING_ENTRY] = "entry",
    [SETTING_BATCH] = "batch",       [SETTING_RUNS] = "runs",       [SETTING_READ] = "read",
    [SETTING_LANGUAGE] = "language", [SETTING_CLONES] = "clones",   [SETTING_SHOW] = "show",
};

/* ---- specs ---- */

static const char *dup_or_null(const char *s) {
    return s ? mem_strdup(s) : NULL;
}

void settings_copy(struct settings *to, const struct settings *from) {
    *to = *from;
    to->isolation = dup_or_null(from->isolation);
    to->accept = dup_or_null(from->accept);
    to->suffix = dup_or_null(from->suffix);
    to->entry = dup_or_null(from->entry);
    to->show = dup_or_null(from->show);
    to->language = dup_or_null(from->language);
    to->clones = dup_or_null(from->clones);
    to->rest = dup_or_null(from->rest);
    for (int i = 0; i < from->n_read; i++) to->read[i] = mem_strdup(from->read[i]);
}

void settings_fini(struct settings *s) {
    const char *const owned[] = {s->isolation, s->accept, s->suffix, s->entry,
                                 s->language,  s->clones, s->show,   s->rest};
    for (size_t i = 0; i < ARRAY_LEN(owned); i++) free((char *)(uintptr_t)owned[i]);
    for (int i = 0; i < s->n_read; i++) free((char *)(uintptr_t)s->read[i]);
}

static bool read_number(const char *value, double min, double max, bool whole, double *out) {
    char *end;
    *out = strtod(value, &end);
    return end != value && !*end && *out >= min && *out <= max && (!whole || *out == floor(*out));
}

static bool is_one_of(const char *value, const char *a, const char *b) {
    return strcmp(value, a) == 0 || strcmp(value, b) == 0;
}

static void keep(const char **slot, const char *value) {
    free((char *)(uintptr_t)*slot);
    *slot = mem_strdup(value);
}

/* What it should have been; NULL if it was that. */
static const char *set(struct settings *s, enum settings_key key, const char *value) {
    double x;
    switch (key) {
    case SETTING_SECONDS:
    case SETTING_CPU:
        if (!read_number(value, 0.001, 86400, false, &x)) return "seconds above 0";
        *(key == SETTING_CPU ? &s->cpu : &s->seconds) = x;
        return NULL;
    case SETTING_MEMORY:
    case SETTING_WORKERS:
    case SETTING_BATCH:
    case SETTING_RUNS:
        if (!read_number(value, 1, key == SETTING_WORKERS ? 64 : 1 << 20, true, &x)) return "a whole number";
        *(key == SETTING_MEMORY    ? &s->memory_mib
          : key == SETTING_WORKERS ? &s->n_workers
          : key == SETTING_BATCH   ? &s->batch
                                   : &s->runs) = (int)x;
        return NULL;
    case SETTING_SANDBOX:
        if (!is_one_of(value, "on", "off")) return "on or off";
        s->sandbox = strcmp(value, "on") == 0;
        return NULL;
    case SETTING_ISOLATION:
        if (!is_one_of(value, "namespaces", "filtered")) return "namespaces or filtered";
        keep(&s->isolation, value);
        return NULL;
    case SETTING_ACCEPT:
        if (!is_one_of(value, "json", "exit")) return "json or exit";
        keep(&s->accept, value);
        return NULL;
    case SETTING_SUFFIX:
        if (!value[0] || strchr(value, '/') || strlen(value) > 16) return "a suffix such as .txt";
        keep(&s->suffix, value);
        return NULL;
    case SETTING_ENTRY:
        if (!value[0]) return "the name of a function";
        keep(&s->entry, value);
        return NULL;
    case SETTING_SHOW:
        if (!is_one_of(value, "given", "none")) return "given or none";
        keep(&s->show, value);
        return NULL;
    case SETTING_LANGUAGE:
        if (!value[0]) return "python, c, c++, perl, or a file name and commands";
        keep(&s->language, value);
        return NULL;
    case SETTING_CLONES:
        if (!value[0]) return "a folder";
        keep(&s->clones, value);
        return NULL;
    case SETTING_READ:
        if (value[0] != '/' || s->n_read == SETTINGS_READ_MAX) return "an absolute path, eight at most";
        s->read[s->n_read++] = mem_strdup(value);
        return NULL;
    case SETTINGS:
        break;
    }
    ASSERT(!"a setting of no known kind");
    return NULL;
}

static bool refuse_setting(const char *spec, struct str key, unsigned allowed, struct err *e) {
    struct buf known = {0};
    for (int i = 0; i < SETTINGS; i++)
        if (allowed & 1u << i) buf_printf(&known, "%s%s", known.len ? ", " : "", setting_names[i]);
    err_set(e, ERR_INPUT, "verifier '%.60s': it has no '%.*s'; it has: %s", spec, (int)MIN(key.len, 40),
            key.ptr, known.len ? buf_cstr(&known) : "nothing to set");
    buf_free(&known);
    return false;
}

static bool read_setting(struct settings *s, const char *spec, struct str pair, unsigned allowed,
                         struct err *e) {
    const ptrdiff_t equals = str_find(pair, STR("="));
    const struct str key = {pair.ptr, equals < 0 ? pair.len : (size_t)equals};
    for (int i = 0; i < SETTINGS; i++) {
        if (!(allowed & 1u << i) || !str_equal(key, str_from(setting_names[i]))) continue;
        char *value = equals < 0 ? mem_strdup("")
                                 : str_dup((struct str){key.ptr + key.len + 1, pair.len - key.len - 1});
        const char *wanted = set(s, (enum settings_key)i, value);
        if (wanted)
            err_set(e, ERR_INPUT, "verifier '%.60s': %s '%.60s': expected %s", spec, setting_names[i], value,
                    wanted);
        free(value);
        return !wanted;
    }
    return refuse_setting(spec, key, allowed, e);
}

/* Of "KIND[,key=value...][:REST]": the settings. A setting has no colon and no comma in it. */
static bool read_settings(struct settings *s, const char *spec, size_t kind_len, unsigned allowed,
                          struct err *e) {
    const char *at = spec + kind_len;
    while (*at == ',') {
        const size_t n = strcspn(++at, ",:");
        if (!read_setting(s, spec, (struct str){at, n}, allowed, e)) return false;
        at += n;
    }
    s->rest = *at == ':' ? mem_strdup(at + 1) : NULL;
    return true;
}

static bool refuse_kind(const char *spec, struct err *e) {
    struct buf known = {0};
    for (int i = 0; verifier_kinds[i].name; i++)
        buf_printf(&known, "%s%s", i ? ", " : "", verifier_kinds[i].syntax);
    err_set(e, ERR_INPUT, "verifier '%.60s' is of no known kind: use one of %s (docs/verifiers.md)", spec,
            buf_cstr(&known));
    buf_free(&known);
    return false;
}

struct verifier *verifier_open(const char *spec, const struct verifier_options *o, struct err *e) {
    static const struct verifier_options none = {0};
    const size_t n = strcspn(spec, ",:");
    size_t i = 0;
    while (verifier_kinds[i].name && !str_equal((struct str){spec, n}, str_from(verifier_kinds[i].name))) i++;
    if (!verifier_kinds[i].name) {
        refuse_kind(spec, e);
        return NULL;
    }
    struct settings s = {.seconds = kinds[i].seconds, .sandbox = true};
    struct verifier *v = NULL;
    if (read_settings(&s, spec, n, kinds[i].allowed, e)) v = kinds[i].open(&s, o ? o : &none, e);
    settings_fini(&s);
    if (!v) return NULL;
    v->name = mem_strdup(spec);
    v->info.name = v->name;
    v->info.kind = verifier_kinds[i].name;
    return v;
}

/* ---- the service ---- */

void verifier_close(struct verifier *v) {
    if (!v) return;
    char *name = v->name;
    v->ops->close(v);
    free(name);
}

const struct verifier_info *verifier_info(const struct verifier *v) {
    return &v->info;
}

void verifier_submit(struct verifier *v, const struct verifier_job *job) {
    v->ops->submit(v, job);
}

void verifier_cancel(struct verifier *v, uint64_t id) {
    v->ops->cancel(v, id);
}

int verifier_work(struct verifier *v, double seconds_max, struct err *e) {
    return v->ops->work(v, seconds_max, e);
}

bool verifier_next(struct verifier *v, struct verifier_result *out) {
    return v->ops->next(v, out);
}

int verifier_in_flight(const struct verifier *v) {
    return v->ops->in_flight(v);
}

void verifier_set_identity(struct verifier *v, uint64_t hash) {
    snprintf(v->info.identity, sizeof v->info.identity, "%016" PRIx64, hash);
}

/* ---- answers that wait ---- */

static char *as_feedback(struct str text) {
    struct buf out = {0};
    uint32_t scalar;
    for (size_t at = 0; at < text.len && out.len < VERIFIER_FEEDBACK_MAX;) {
        const int n = str_utf8(text, at, &scalar);
        at += (size_t)MAX(n, 1);
        buf_add_utf8(&out, n > 0 && scalar != 0 ? scalar : 0xfffd);
    }
    const struct str trimmed = str_trim(buf_str(&out));
    char *feedback = str_dup(trimmed);
    buf_free(&out);
    return feedback;
}

void verdict_queue_add(struct verdict_queue *q, const struct verifier_result *r, struct str feedback) {
    if (q->i_next == q->n) q->i_next = q->n = 0;
    MEM_GROW(q->items, q->cap, q->n + 1);
    q->items[q->n++] = (struct verdict_answer){.result = *r, .feedback = as_feedback(feedback)};
}

bool verdict_queue_next(struct verdict_queue *q, struct verifier_result *out) {
    free(q->taken);
    q->taken = NULL;
    if (q->i_next == q->n) return false;
    struct verdict_answer *a = &q->items[q->i_next++];
    *out = a->result;
    out->feedback = q->taken = a->feedback;
    return true;
}

bool verdict_queue_cancel(struct verdict_queue *q, uint64_t id) {
    for (size_t i = q->i_next; i < q->n; i++) {
        if (q->items[i].result.id != id) continue;
        free(q->items[i].feedback);
        q->n--;
        memmove(q->items + i, q->items + i + 1, (q->n - i) * sizeof *q->items);
        return true;
    }
    return false;
}

size_t verdict_queue_length(const struct verdict_queue *q) {
    return q->n - q->i_next;
}

void verdict_queue_free(struct verdict_queue *q) {
    for (size_t i = q->i_next; i < q->n; i++) free(q->items[i].feedback);
    free(q->items);
    free(q->taken);
    *q = (struct verdict_queue){0};
}
