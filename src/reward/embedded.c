/* embedded.c - a model of ours with a scoring head as a reward model: prefixes are branches of the engine's
 * KV tree.
 *
 *     root: the problem by the model's chat format | step 1, marker | step 2, marker | ...
 *
 * A job forks its prefix and reads its own steps alone, so every token of a search tree is read once; only
 * the head outputs that the model's profile lists are computed, and only at the markers. Steps are encoded
 * one by one, stripped, so scoring a solution at once gives the same bits as scoring it step by step.
 *
 * Costs are a function of positions alone, as in policy/embedded.c: tokens read, plus the listed outputs at
 * markers.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/share.h"
#include "engine/engine.h"
#include "model/model.h"
#include "reward/kinds.h"

struct reward_prefix {
    struct branch *branch;
};

struct job {
    uint64_t id, serial;   /* the caller's; the engine's */
    struct branch *branch; /* the fork that reads; NULL if it could not be made */
    size_t n_before;       /* tokens of the prefix */
    size_t *marks;         /* [n_marks] positions of markers */
    size_t n_marks, cap;
    bool at_once; /* nothing to compute: no steps, or refused */
    char *why;
};

struct embedded {
    struct reward base;
    struct model *model;
    struct engine *engine;
    char *separator;
    struct job **jobs; /* in flight, in the order of submission */
    size_t n_jobs, cap;
    uint64_t n_serials;
    struct job *told; /* of the last result: its `why` is still being read */
    float *rewards;   /* of the last result */
    size_t cap_rewards;
    struct cost cancelled;
};

/* ---- prefixes ---- */
static struct reward_prefix *prefix_new(struct branch *branch) {
    struct reward_prefix *prefix = mem_alloc(sizeof *prefix);
    prefix->branch = branch;
    return prefix;
}

static struct reward_prefix *embedded_root(struct reward *r, const char *problem_text, struct err *e) {
    struct embedded *p = (struct embedded *)r;
    struct reward_prefix *root = NULL;
    struct tokens ids = {0};
    const struct chat_message message = {CHAT_USER, str_from(problem_text)};
    if (!chat_render(p->model->chat, p->model->tokenizer, &message, 1, true, false, &ids, e)) goto done;
    if (ids.len >= (size_t)p->base.info.n_context) {
        err_set(e, ERR_INPUT, "the problem takes %zu tokens, and the reward model %s reads %d in all",
                ids.len, p->base.name, p->base.info.n_context);
        goto done;
    }
    root = prefix_new(engine_root(p->engine));
    branch_append(root->branch, ids.ptr, ids.len);
done:
    tokens_free(&ids);
    return root;
}

/* Floating-point operations of reading n tokens from position `first` on, without head outputs. */
static double flops_of(const struct embedded *p, size_t first, size_t n) {
    double sum_positions = (double)n * (double)first + (double)n * ((double)n - 1) / 2;
    return (double)n * p->base.info.flops_per_token + sum_positions * p->base.info.flops_per_position;
}

static struct cost embedded_root_cost(const struct reward *r, const struct reward_prefix *root) {
    size_t n = branch_length(root->branch);
    return (struct cost){.tokens_read = (double)n, .flops = flops_of((const struct embedded *)r, 0, n)};
}

struct reading { /* a text on its way to ids */
    const struct embedded *p;
    struct tokens ids;
    struct job *job; /* gets the marks; may be NULL */
    size_t n_before;
    struct err *e;
    bool failed;
};

static void read_one_step(void *ctx, struct str step) {
    struct reading *r = ctx;
    r->failed =
        r->failed || !tokenizer_encode_part(r->p->model->tokenizer, step, TOKENIZER_INSIDE, &r->ids, r->e);
    if (r->failed) return;
    tokens_add(&r->ids, r->p->model->prm.marker);
    if (!r->job) return;
    MEM_GROW(r->job->marks, r->job->cap, r->job->n_marks + 1);
    r->job->marks[r->job->n_marks++] = r->n_before + r->ids.len - 1;
}

/* The branch after the steps of a text, not computed yet; NULL if they do not fit. */
static struct branch *branch_after(struct embedded *p, struct branch *from, struct str text, struct job *job,
                                   struct err *e) {
    struct reading r = {.p = p, .job = job, .n_before = branch_length(from), .e = e};
    struct branch *branch = NULL;
    reward_split_steps(text, str_from(p->separator), read_one_step, &r);
    bool fits = r.n_before + r.ids.len <= (size_t)p->base.info.n_context;
    if (!r.failed && !fits)
        err_set(e, ERR_INPUT, "the solution is longer than what the reward model %s reads (%d tokens)",
                p->base.name, p->base.info.n_context);
    if (!r.failed && fits) {
        branch = branch_fork(from);
        branch_append(branch, r.ids.ptr, r.ids.len);
    }
    tokens_free(&r.ids);
    return branch;
}

static struct reward_prefix *embedded_extend(struct reward *r, struct reward_prefix *from, struct str text,
                                             struct err *e) {
    struct branch *branch = branch_after((struct embedded *)r, from->branch, text, NULL, e);
    return branch ? prefix_new(branch) : NULL;
}

static void embedded_release(struct reward *r, struct reward_prefix *prefix) {
    UNUSED(r);
    branch_release(prefix->branch);
    free(prefix);
}

/* ---- jobs ---- */
static void job_free(struct job *job) {
    if (!job) return;
    if (job->branch) branch_release(job->branch);
    free(job->marks);
    free(job->why);
    free(job);
}

static struct job *remove_at(struct embedded *p, size_t i) {
    struct job *job = p->jobs[i];
    p->n_jobs--;
    memmove(p->jobs + i, p->jobs + i + 1, (p->n_jobs - i) * sizeof *p->jobs);
    return job;
}

static struct job *job_start(struct embedded *p, const struct reward_job *asked) {
    struct err e;
    struct job *job = mem_zalloc(1, sizeof *job);
    job->id = asked->id;
    job->serial = p->n_serials++;
    job->n_before = branch_length(asked->from->branch);
    job->branch = branch_after(p, asked->from->branch, asked->text, job, &e);
    job->at_once = !job->branch || job->n_marks == 0;
    const struct prm_profile *profile = &p->model->prm;
    const struct engine_read read = {.id = job->serial,
                                     .branch = job->branch,
                                     .marks = job->marks,
                                     .n_marks = job->n_marks,
                                     .outputs = profile->outputs,
                                     .n_outputs = profile->n_outputs};
    if (!job->at_once && !engine_read(p->engine, &read, &e)) {
        branch_release(job->branch);
        job->branch = NULL;
        job->at_once = true;
    }
    if (!job->branch) job->why = mem_strdup(e.msg);
    return job;
}

static void embedded_submit(struct reward *r, const struct reward_job *asked) {
    struct embedded *p = (struct embedded *)r;
    MEM_GROW(p->jobs, p->cap, p->n_jobs + 1);
    p->jobs[p->n_jobs++] = job_start(p, asked);
}

static void job_cancel(struct embedded *p, struct job *job) {
    if (!job->at_once) {
        engine_cancel(p->engine, job->serial);
        const size_t n_read = branch_computed(job->branch);
        if (n_read > job->n_before) {
            p->cancelled.tokens_read += (double)(n_read - job->n_before);
            p->cancelled.flops += flops_of(p, job->n_before, n_read - job->n_before);
        }
    }
    job_free(job);
}

static void embedded_cancel(struct reward *r, uint64_t id) {
    struct embedded *p = (struct embedded *)r;
    for (size_t i = 0; i < p->n_jobs; i++) {
        if (p->jobs[i]->id != id) continue;
        job_cancel(p, remove_at(p, i));
        return;
    }
}

static int embedded_work(struct reward *r, double seconds_max, struct err *e) {
    struct embedded *p = (struct embedded *)r;
    UNUSED(seconds_max); /* one forward pass */
    if (p->n_jobs == 0) return 0;
    return engine_step(p->engine, e) < 0 ? -1 : 1;
}

/* The first job with nothing to compute, or NULL. */
static struct job *take_at_once(struct embedded *p) {
    for (size_t i = 0; i < p->n_jobs; i++)
        if (p->jobs[i]->at_once) return remove_at(p, i);
    return NULL;
}

static struct job *take_serial(struct embedded *p, uint64_t serial) {
    for (size_t i = 0; i < p->n_jobs; i++)
        if (p->jobs[i]->serial == serial) return remove_at(p, i);
    ASSERT(!"an event of the engine belongs to a job in flight");
    return NULL;
}

static void tell(struct embedded *p, struct job *job, const float *outputs, struct reward_result *out) {
    const struct prm_profile *profile = &p->model->prm;
    MEM_GROW(p->rewards, p->cap_rewards, job->n_marks);
    for (size_t i = 0; i < job->n_marks; i++) {
        p->rewards[i] = (float)prm_profile_score(profile, outputs + i * (size_t)profile->n_outputs);
        if (isnan(p->rewards[i])) {
            out->failed = true;
            out->why = "the reward model's outputs are not numbers";
            return;
        }
    }
    out->rewards = p->rewards;
    out->n_rewards = (int)job->n_marks;
    size_t n = branch_length(job->branch) - job->n_before;
    double one_mark =
        model_flops_per_token(&p->model->config, 1, profile->n_outputs) - p->base.info.flops_per_token;
    out->cost.tokens_read = (double)n;
    out->cost.flops = flops_of(p, job->n_before, n) + (double)job->n_marks * one_mark;
    out->prefix = prefix_new(job->branch);
    job->branch = NULL;
}

static bool embedded_next(struct reward *r, struct reward_result *out) {
    struct embedded *p = (struct embedded *)r;
    struct engine_event event = {0};
    struct job *job = take_at_once(p);
    if (!job) {
        if (!engine_next(p->engine, &event)) return false;
        job = take_serial(p, event.id);
    }
    out->id = job->id;
    out->failed = job->why != NULL;
    out->why = job->why;
    if (!out->failed) tell(p, job, event.outputs, out);
    job_free(p->told);
    p->told = job;
    return true;
}

static int embedded_in_flight(const struct reward *r) {
    return (int)((const struct embedded *)r)->n_jobs;
}

static struct cost embedded_computed(const struct reward *r) {
    struct engine_counters c = engine_counters(((const struct embedded *)r)->engine);
    return (struct cost){.tokens_read = (double)(c.n_prefilled + c.n_recomputed),
                         .tokens_generated = (double)c.n_sampled,
                         .flops = c.flops};
}

static struct waste embedded_waste(const struct reward *r) {
    const struct embedded *p = (const struct embedded *)r;
    const struct engine_counters c = engine_counters(p->engine);
    return (struct waste){.cancelled = p->cancelled,
                          .recomputed = {.tokens_read = (double)c.n_recomputed, .flops = c.flops_recomputed}};
}

/* ---- opening and closing ---- */
static void embedded_close(struct reward *r) {
    struct embedded *p = (struct embedded *)r;
    for (size_t i = 0; i < p->n_jobs; i++) job_cancel(p, p->jobs[i]);
    job_free(p->told);
    free(p->jobs);
    free(p->rewards);
    if (p->engine) engine_close(p->engine);
    if (p->model) model_close(p->model);
    free(p->separator);
    free(p);
}

static const struct reward_ops embedded_ops = {
    .close = embedded_close,
    .root = embedded_root,
    .root_cost = embedded_root_cost,
    .extend = embedded_extend,
    .release = embedded_release,
    .submit = embedded_submit,
    .cancel = embedded_cancel,
    .work = embedded_work,
    .next = embedded_next,
    .in_flight = embedded_in_flight,
    .computed = embedded_computed,
    .waste = embedded_waste,
};

static void fill_info(struct embedded *p) {
    const struct model *m = p->model;
    double at_start = model_flops_per_token(&m->config, 1, 0);
    p->base.info = (struct reward_info){
        .kind = "embedded",
        .n_parameters = (double)model_parameters(m),
        .flops_per_token = at_start,
        .flops_per_position = model_flops_per_token(&m->config, 2, 0) - at_start,
        .n_context = m->config.n_context,
        .n_wanted = engine_wanted(p->engine),
    };
    memcpy(p->base.info.aggregate, m->prm.aggregate, sizeof p->base.info.aggregate);
    const char *parts[] = {m->prm.name, chat_name(m->chat), p->separator};
    uint64_t hash = m->content_hash;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) hash = rng_hash(hash, parts[i], strlen(parts[i]) + 1);
    reward_set_identity(&p->base, hash);
}

struct reward *reward_open_embedded(const char *path, const struct reward_options *o, struct err *e) {
    struct embedded *p = mem_zalloc(1, sizeof *p);
    p->base.ops = &embedded_ops;
    p->separator = str_dup(reward_separator(o));
    p->model = model_open(path, e);
    if (!p->model) goto failed;
    if (p->model->prm.kind == PRM_NONE) {
        err_set(e, ERR_INPUT,
                "%s: no head that scores steps, so this model cannot be a reward model; give one that has "
                "(lab:prm), "
                "or use this one as --policy",
                path);
        goto failed;
    }
    p->engine = engine_open(p->model, &(struct engine_options){.n_threads = o->n_threads}, e);
    if (!p->engine) goto failed;
    model_drop_tensors(p->model);
    fill_info(p);
    return &p->base;
failed:
    embedded_close(&p->base);
    return NULL;
}

struct reward *reward_open_lab(const char *name, const struct reward_options *o, struct err *e) {
    struct buf place = {0};
    buf_printf(&place, "models/%s", name);
    char *path = share_path(buf_cstr(&place), e);
    struct reward *r = path ? reward_open_embedded(path, o, e) : NULL;
    buf_free(&place);
    free(path);
    return r;
}
