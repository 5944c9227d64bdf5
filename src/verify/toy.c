/* toy.c - a verifier that knows: passes what ends at the right answer of model/toy_chain.h's chain.
 *
 * Its feedback names the first step that is not the right one, for a policy toy:...,repair= to go by. What
 * stands in the solution before the chain's words (a lead: "Wait,") is skipped. With noise=x it errs on the
 * share x of the solutions, by their text, as an imperfect verifier does: it passes wrong ones and rejects
 * right ones.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "model/toy_chain.h"
#include "verify/kinds.h"

struct toy_job {
    uint64_t id;
    enum verifier_verdict verdict;
    double score;
    char *feedback;
};

struct toy {
    struct verifier base;
    struct toy_params params;
    struct toy_job *jobs; /* [n_jobs] judged, and told by the next work */
    size_t n_jobs, cap;
    struct verdict_queue answers;
};

enum { TAG_ERROR = 0x76746f79 };

static void toy_close(struct verifier *v) {
    struct toy *t = (struct toy *)v;
    for (size_t i = 0; i < t->n_jobs; i++) free(t->jobs[i].feedback);
    free(t->jobs);
    verdict_queue_free(&t->answers);
    free(t);
}

/* The first level whose step says another value than the right one; depth + 1 if there is none. */
static int first_wrong(const struct toy_chain *c, struct str text) {
    const int depth = c->params.depth;
    for (int level = 1; level <= depth; level++) {
        struct buf right = {0};
        toy_chain_write(c, level, c->right[level], &right);
        const bool there = str_find(text, buf_str(&right)) >= 0;
        buf_free(&right);
        if (!there) return level;
    }
    return depth + 1;
}

/* Whether the answer that is given last is the right one. */
static bool is_right(const struct toy_chain *c, struct str text) {
    struct buf right = {0};
    toy_chain_write(c, c->params.depth, c->right[c->params.depth], &right);
    const bool ends = str_ends(str_trim(text), buf_str(&right));
    buf_free(&right);
    return ends;
}

static void toy_submit(struct verifier *v, const struct verifier_job *job) {
    struct toy *t = (struct toy *)v;
    struct toy_chain c;
    struct buf feedback = {0};
    toy_chain_init(&c, &t->params, job->problem.prompt);
    const uint64_t key = rng_hash(c.key, job->solution.ptr, job->solution.len);
    const bool errs = rng_unit(rng_child(key, TAG_ERROR), 0) < t->params.noise;
    const bool passes = is_right(&c, job->solution) != errs;
    const int wrong = first_wrong(&c, job->solution);
    if (!passes && wrong <= c.params.depth) buf_printf(&feedback, "Step %d is wrong.", wrong);
    MEM_GROW(t->jobs, t->cap, t->n_jobs + 1);
    t->jobs[t->n_jobs++] = (struct toy_job){.id = job->id,
                                            .verdict = passes ? VERIFIER_PASSED : VERIFIER_REJECTED,
                                            .score = (wrong - 1) / (double)c.params.depth,
                                            .feedback = buf_take(&feedback)};
}

static void toy_cancel(struct verifier *v, uint64_t id) {
    struct toy *t = (struct toy *)v;
    if (verdict_queue_cancel(&t->answers, id)) return;
    for (size_t i = 0; i < t->n_jobs; i++) {
        if (t->jobs[i].id != id) continue;
        free(t->jobs[i].feedback);
        t->n_jobs--;
        memmove(t->jobs + i, t->jobs + i + 1, (t->n_jobs - i) * sizeof *t->jobs);
        return;
    }
}

/* shuffle=1 tells the last first; slow=N one in every N turns, else all. */
static int toy_work(struct verifier *v, double seconds_max, struct err *e) {
    struct toy *t = (struct toy *)v;
    UNUSED(seconds_max);
    UNUSED(e);
    const size_t n = t->n_jobs,
                 n_now = t->params.slow > 1 ? (n + (size_t)t->params.slow - 1) / (size_t)t->params.slow : n;
    for (size_t k = 0; k < n_now; k++) {
        const size_t i = t->params.shuffle ? t->n_jobs - 1 : k;
        const struct toy_job *job = &t->jobs[i];
        const struct verifier_result r = {
            .id = job->id, .verdict = job->verdict, .score = job->score, .n_executions = 1};
        verdict_queue_add(&t->answers, &r, str_from(job->feedback));
        free(job->feedback);
        if (t->params.shuffle) t->n_jobs--;
    }
    if (!t->params.shuffle) {
        memmove(t->jobs, t->jobs + n_now, (n - n_now) * sizeof *t->jobs);
        t->n_jobs = n - n_now;
    }
    return (int)(t->n_jobs + verdict_queue_length(&t->answers));
}

static bool toy_next(struct verifier *v, struct verifier_result *out) {
    return verdict_queue_next(&((struct toy *)v)->answers, out);
}

static int toy_in_flight(const struct verifier *v) {
    const struct toy *t = (const struct toy *)v;
    return (int)(t->n_jobs + verdict_queue_length(&t->answers));
}

static const struct verifier_ops toy_ops = {
    .close = toy_close,
    .submit = toy_submit,
    .cancel = toy_cancel,
    .work = toy_work,
    .next = toy_next,
    .in_flight = toy_in_flight,
};

struct verifier *verifier_open_toy(const struct settings *s, const struct verifier_options *o,
                                   struct err *e) {
    struct toy_params params;
    UNUSED(o);
    if (!toy_params_parse(&params, s->rest ? s->rest : "", e)) return NULL;
    struct toy *t = mem_zalloc(1, sizeof *t);
    t->params = params;
    t->base.ops = &toy_ops;
    t->base.info.n_wanted = 64;
    verifier_set_identity(&t->base, toy_params_hash(&params));
    return &t->base;
}
