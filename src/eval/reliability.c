/* reliability.c - see reliability.h. */
#include "eval/reliability.h"

#include <stdlib.h>

#include "base/mem.h"

/* The plan's pilots that the run has enough samples for; free() their array. */
static struct plan pilots_for(const struct plan *p, const struct report_run *run) {
    struct plan some = {.unit = p->unit,
                        .pilots = mem_zalloc((size_t)MAX(p->n_pilots, 1), sizeof *some.pilots)};
    if (!run->independent || run->n_graded == 0) return some;
    for (int i = 0; i < p->n_pilots; i++) {
        const struct plan_pilot *pilot = &p->pilots[i];
        if (pilot->n < run->n_max && (!pilot->scored || run->has_rewards))
            some.pilots[some.n_pilots++] = *pilot;
    }
    return some;
}

static bool try_run(struct reliabilities *out, const struct plan *p, const struct report *r, int i_run,
                    struct err *e) {
    const struct plan some = pilots_for(p, &r->runs[i_run]);
    struct plan_reliability *figures = mem_zalloc((size_t)MAX(some.n_pilots, 1), sizeof *figures);
    const bool ok = some.n_pilots == 0 || plan_check(&some, r->runs[i_run].path, figures, e);
    for (int i = 0; ok && i < some.n_pilots; i++) {
        MEM_GROW(out->items, out->cap, out->n + 1);
        out->items[out->n++] =
            (struct reliability){i_run, some.pilots[i].n, some.pilots[i].scored, figures[i]};
    }
    free(figures);
    free(some.pilots);
    return ok;
}

static const char *recorded_plan(const struct report *r) {
    for (size_t i = 0; i < r->n; i++)
        if (r->runs[i].plan) return r->runs[i].plan;
    return NULL;
}

bool reliabilities_make(struct reliabilities *out, const struct report *r, const char *plan,
                        const char *where, struct err *e) {
    const char *text = plan ? plan : recorded_plan(r);
    bool ok = true;
    *out = (struct reliabilities){0};
    if (!text) return true;
    struct plan *p = plan_parse(text, where, e);
    if (!p) return false;
    for (size_t i = 0; ok && i < r->n; i++) ok = try_run(out, p, r, (int)i, e);
    if (ok && plan && out->n == 0)
        ok = err_set(
            e, ERR_INPUT,
            "%s: no run here can be tried with it: it takes independent samples, more than its pilot looks "
            "at, and rewards if that does",
            where);
    plan_free(p);
    return ok;
}

void reliabilities_fini(struct reliabilities *l) {
    free(l->items);
    *l = (struct reliabilities){0};
}

json_t *reliabilities_json(const struct reliabilities *l, const struct report *r) {
    json_t *list = json_array();
    for (size_t i = 0; i < l->n; i++) {
        const struct reliability *x = &l->items[i];
        json_t *o = json_pack("{s:o,s:i,s:b}", "run", json_text(str_from(r->runs[x->run].path)), "samples",
                              x->n_pilot, "scored", x->scored);
        json_t *figures = plan_reliability_json(&x->figures);
        json_object_update(o, figures);
        json_decref(figures);
        json_array_append_new(list, o);
    }
    return list;
}
