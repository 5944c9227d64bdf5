/* declared.c - see declared.h. */
#include "serve/declared.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "search/plan.h"

enum { PLAN_BYTES_MAX = 1 << 22 };

static const struct declared_thing *find(const struct declared_thing *things, int n, const char *name) {
    for (int i = 0; i < n; i++)
        if (strcmp(things[i].name, name) == 0) return &things[i];
    return NULL;
}

const char *declared_plan(const struct declared *d, const char *name) {
    const struct declared_thing *x = find(d->plans, d->n_plans, name);
    return x ? x->plan : NULL;
}

struct verifier *declared_verifier(const struct declared *d, const char *name) {
    const struct declared_thing *x = find(d->verifiers, d->n_verifiers, name);
    return x ? x->verifier : NULL;
}

void declared_list(const struct declared_thing *things, int n, struct buf *out) {
    for (int i = 0; i < n; i++) buf_printf(out, "%s%s", i ? ", " : "", things[i].name);
    if (n == 0) buf_printf(out, "none");
}

/* NAME=REST: a new thing of this name, and *rest; NULL with *e set. */
static struct declared_thing *add(struct declared_thing *things, int *n, const char *option, const char *text,
                                  const char **rest, struct err *e) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    const size_t length = strspn(text, letters);
    if (length == 0 || length > DECLARED_NAME_BYTES_MAX || text[length] != '=' || !text[length + 1]) {
        err_set(e, ERR_INPUT,
                "--%s %.60s: give NAME=%s, where NAME is up to %d letters, digits, dots, dashes and "
                "underscores",
                option, text, strcmp(option, "plan") == 0 ? "FILE" : "SPEC", DECLARED_NAME_BYTES_MAX);
        return NULL;
    }
    char *name = str_dup((struct str){text, length});
    if (*n == DECLARED_MAX || find(things, *n, name)) {
        if (*n == DECLARED_MAX)
            err_set(e, ERR_INPUT, "--%s: %d of them are the most", option, DECLARED_MAX);
        else
            err_set(e, ERR_INPUT, "--%s: there are two of the name %s", option, name);
        free(name);
        return NULL;
    }
    *rest = text + length + 1;
    things[*n] = (struct declared_thing){.name = name};
    return &things[(*n)++];
}

static bool add_plan(struct declared *d, const char *text, struct err *e) {
    const char *file;
    struct declared_thing *x = add(d->plans, &d->n_plans, "plan", text, &file, e);
    struct buf bytes = {0};
    struct plan *p = NULL;
    if (!x) return false;
    if (file_read(file, PLAN_BYTES_MAX, &bytes, e)) p = plan_parse(buf_cstr(&bytes), file, e);
    if (p) x->plan = buf_take(&bytes);
    plan_free(p);
    buf_free(&bytes);
    return x->plan || err_wrap(e, "--plan");
}

/* Whether the settings of KIND[,key=value...][:REST] have it. */
static bool has_setting(const char *spec, const char *setting) {
    const size_t n = strlen(setting);
    const char *end = spec + strcspn(spec, ":");
    for (const char *at = spec; (at = strchr(at, ',')) && at < end;) {
        at++;
        if (strncmp(at, setting, n) == 0 && (at[n] == ',' || at + n == end)) return true;
    }
    return false;
}

static bool add_verifier(struct declared *d, const char *text, int n_threads, struct err *e) {
    const char *spec;
    struct declared_thing *x = add(d->verifiers, &d->n_verifiers, "verify", text, &spec, e);
    if (!x) return false;
    if (has_setting(spec, "sandbox=off"))
        return err_set(e, ERR_INPUT,
                       "--verify %s: a server's verifiers run in the sandbox, for clients have a say in what "
                       "they are given: leave sandbox=off out",
                       x->name);
    x->verifier = verifier_open(spec, &(struct verifier_options){.n_workers = n_threads}, e);
    return x->verifier || err_wrap(e, "--verify %s", x->name);
}

bool declared_open(struct declared *d, const struct serve_options *o, struct err *e) {
    for (int i = 0; i < o->n_plans; i++)
        if (!add_plan(d, o->plans[i], e)) return false;
    for (int i = 0; i < o->n_verifiers; i++)
        if (!add_verifier(d, o->verifiers[i], o->n_threads, e)) return false;
    return true;
}

void declared_fini(struct declared *d) {
    for (int i = 0; i < d->n_plans; i++) {
        free(d->plans[i].name);
        free(d->plans[i].plan);
    }
    for (int i = 0; i < d->n_verifiers; i++) {
        free(d->verifiers[i].name);
        verifier_close(d->verifiers[i].verifier);
    }
    *d = (struct declared){0};
}
