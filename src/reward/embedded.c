/* embedded.c - a model of ours that scores steps as a reward model: prefixes are branches of the engine's KV
 * tree.
 *
 *     root: the profile's opening | step 1, closing | step 2, closing | ...
 *
 * A job forks its prefix and reads its own steps alone, so every token of a search tree is read once; only
 * the head outputs that the model's profile lists are computed, and only where closings end. Steps are
 * encoded one by one, so scoring a solution at once gives the same bits as scoring it step by step. A profile
 * that reads its closings aside costs their tokens once a step.
 *
 * The spec is a model's path, or PATH,profile=NAME with a profile by its name or file (model/prm_profile.h).
 *
 * Costs are a function of positions alone, as in policy/embedded.c: tokens read, plus the listed outputs.
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
    int n_steps; /* read so far */
};

struct side {
    struct branch *branch;
    size_t begin; /* the position from which on it is its own */
};

struct job {
    uint64_t id, serial;   /* the caller's; the engine's, of the first read */
    struct branch *branch; /* the fork that reads; NULL if it could not be made */
    size_t n_before;       /* tokens of the prefix */
    int n_steps_before;
    size_t *marks; /* [n_marks] positions where scores are read */
    size_t n_marks, cap;
    struct side *sides; /* [n_marks] with closings aside: a read each, its mark the last token */
    size_t cap_sides, n_told;
    float *outputs; /* [n_marks][n_outputs] as they arrive, with sides */
    bool at_once;   /* nothing to compute: no steps, or refused */
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
static struct reward_prefix *prefix_new(struct branch *branch, int n_steps) {
    struct reward_prefix *prefix = mem_alloc(sizeof *prefix);
    *prefix = (struct reward_prefix){branch, n_steps};
    return prefix;
}

static struct reward_prefix *embedded_root(struct reward *r, const char *problem_text, struct err *e) {
    struct embedded *p = (struct embedded *)r;
    struct reward_prefix *root = NULL;
    struct tokens ids = {0};
    if (!prm_profile_open(p->model, &p->model->prm, str_from(problem_text), &ids, e)) goto done;
    if (ids.len >= (size_t)p->base.info.n_context) {
        err_set(e, ERR_INPUT, "the problem takes %zu tokens, and the reward model %s reads %d in all",
                ids.len, p->base.name, p->base.info.n_context);
        goto done;
    }
    root = prefix_new(engine_root(p->engine), 0);
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

struct reading { /* a text on its way into a branch */
    struct embedded *p;
    struct branch *branch;
    struct job *job; /* gets the marks; may be NULL */
    int n_steps;
    struct err *e;
    bool failed;
};

/* Where the step's score is read: at the branch's end, or on the side after the closing. */
static void mark_step(struct reading *r, const struct tokens *closing) {
    struct job *job = r->job;
    MEM_GROW(job->marks, job->cap, job->n_marks + 1);
    struct branch *at = r->branch;
    if (r->p->model->prm.aside) {
        MEM_GROW(job->sides, job->cap_sides, job->n_marks + 1);
        at = branch_fork(r->branch);
        job->sides[job->n_marks] = (struct side){at, branch_length(r->branch)};
        branch_append(at, closing->ptr, closing->len);
    }
    job->marks[job->n_marks++] = branch_length(at) - 1;
}

static void read_one_step(void *ctx, struct str step) {
    struct reading *r = ctx;
    const struct model *m = r->p->model;
    struct tokens ids = {0}, closing = {0};
    r->failed = r->failed || !prm_profile_step(m, &m->prm, step, r->n_steps == 0, &ids, &closing, r->e);
    if (!r->failed && branch_length(r->branch) + ids.len + closing.len > (size_t)r->p->base.info.n_context) {
        r->failed = true;
        err_set(r->e, ERR_INPUT, "the solution is longer than what the reward model %s reads (%d tokens)",
                r->p->base.name, r->p->base.info.n_context);
    }
    if (!r->failed) {
        branch_append(r->branch, ids.ptr, ids.len);
        r->n_steps++;
        if (r->job) mark_step(r, &closing);
    }
    tokens_free(&ids);
    tokens_free(&closing);
}

/* The branch after the steps of a text, not computed yet; NULL if they do not fit. */
static struct branch *branch_after(struct embedded *p, const struct reward_prefix *from, struct str text,
                                   struct job *job, int *n_steps, struct err *e) {
    struct reading r = {
        .p = p, .branch = branch_fork(from->branch), .job = job, .n_steps = from->n_steps, .e = e};
    reward_split_steps(text, str_from(p->separator), read_one_step, &r);
    *n_steps = r.n_steps;
    if (!r.failed) return r.branch;
    branch_release(r.branch);
    return NULL;
}

static struct reward_prefix *embedded_extend(struct reward *r, struct reward_prefix *from, struct str text,
                                             struct err *e) {
    int n_steps;
    struct branch *branch = branch_after((struct embedded *)r, from, text, NULL, &n_steps, e);
    return branch ? prefix_new(branch, n_steps) : NULL;
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
    for (size_t i = 0; job->sides && i < job->n_marks; i++) branch_release(job->sides[i].branch);
    free(job->sides);
    free(job->outputs);
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

/* How many reads of the engine a job is. */
static size_t n_reads(const struct job *job) {
    return job->sides ? job->n_marks : 1;
}

static bool job_read(struct embedded *p, struct job *job, struct err *e) {
    const struct prm_profile *profile = &p->model->prm;
    struct engine_read read = {.id = job->serial,
                               .branch = job->branch,
                               .marks = job->marks,
                               .n_marks = job->n_marks,
                               .outputs = profile->outputs,
                               .n_outputs = profile->n_outputs};
    if (!job->sides) return engine_read(p->engine, &read, e);
    job->outputs = mem_zalloc(job->n_marks * (size_t)profile->n_outputs, sizeof *job->outputs);
    for (size_t i = 0; i < job->n_marks; i++) {
        read.id = job->serial + i;
        read.branch = job->sides[i].branch;
        read.marks = &job->marks[i];
        read.n_marks = 1;
        if (engine_read(p->engine, &read, e)) continue;
        for (size_t j = 0; j < i; j++) engine_cancel(p->engine, job->serial + j);
        return false;
    }
    return true;
}

static struct job *job_start(struct embedded *p, const struct reward_job *asked) {
    struct err e;
    int n_steps;
    struct job *job = mem_zalloc(1, sizeof *job);
    job->id = asked->id;
    job->n_before = branch_length(asked->from->branch);
    job->n_steps_before = asked->from->n_steps;
    job->branch = branch_after(p, asked->from, asked->text, job, &n_steps, &e);
    job->serial = p->n_serials;
    p->n_serials += MAX(n_reads(job), (size_t)1);
    job->at_once = !job->branch || job->n_marks == 0;
    if (!job->at_once && !job_read(p, job, &e)) {
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
        for (size_t i = job->n_told; i < n_reads(job); i++) engine_cancel(p->engine, job->serial + i);
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

static size_t find_serial(const struct embedded *p, uint64_t serial) {
    for (size_t i = 0; i < p->n_jobs; i++)
        if (serial >= p->jobs[i]->serial && serial - p->jobs[i]->serial < n_reads(p->jobs[i])) return i;
    ASSERT(!"an event of the engine belongs to a job in flight");
    return 0;
}

/* Takes events until a job has all its outputs; NULL: none has yet. */
static struct job *take_read(struct embedded *p, const float **outputs) {
    const size_t n = (size_t)p->model->prm.n_outputs;
    struct engine_event event = {0};
    while (engine_next(p->engine, &event)) {
        const size_t i = find_serial(p, event.id);
        struct job *job = p->jobs[i];
        *outputs = event.outputs;
        if (!job->sides) return remove_at(p, i);
        memcpy(job->outputs + (event.id - job->serial) * n, event.outputs, n * sizeof *job->outputs);
        *outputs = job->outputs;
        if (++job->n_told == job->n_marks) return remove_at(p, i);
    }
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
    for (size_t i = 0; job->sides && i < job->n_marks; i++) {
        const size_t begin = job->sides[i].begin, n_aside = branch_length(job->sides[i].branch) - begin;
        out->cost.tokens_read += (double)n_aside;
        out->cost.flops += flops_of(p, begin, n_aside);
    }
    out->prefix = prefix_new(job->branch, job->n_steps_before + (int)job->n_marks);
    job->branch = NULL;
}

static bool embedded_next(struct reward *r, struct reward_result *out) {
    struct embedded *p = (struct embedded *)r;
    const float *outputs = NULL;
    struct job *job = take_at_once(p);
    if (!job && !(job = take_read(p, &outputs))) return false;
    out->id = job->id;
    out->failed = job->why != NULL;
    out->why = job->why;
    if (!out->failed) tell(p, job, outputs, out);
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

/* Tokens of a profile's own that come with a step. */
static int count_step_tokens(const struct model *m) {
    struct err e;
    struct tokens ids = {0}, closing = {0};
    size_t most = 1;
    for (int first = 0; first < 2; first++, ids.len = closing.len = 0)
        if (prm_profile_step(m, &m->prm, STR("."), first, &ids, &closing, &e))
            most = MAX(most, ids.len + closing.len);
    tokens_free(&ids);
    tokens_free(&closing);
    return (int)MAX(most, (size_t)2) - 1;
}

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
        .n_tokens_step = count_step_tokens(m),
    };
    memcpy(p->base.info.aggregate, m->prm.aggregate, sizeof p->base.info.aggregate);
    const char *parts[] = {m->prm.name,    m->prm.opening,     m->prm.first, m->prm.next,
                           m->prm.closing, chat_name(m->chat), p->separator};
    const int numbers[] = {m->prm.aside,     m->prm.one_line,   (int)m->prm.readout,
                           m->prm.n_outputs, m->prm.outputs[0], m->prm.outputs[1]};
    uint64_t hash = rng_hash(m->content_hash, numbers, sizeof numbers);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) hash = rng_hash(hash, parts[i], strlen(parts[i]) + 1);
    reward_set_identity(&p->base, hash);
}

/* The model's own profile, or the one that the spec names. */
static bool choose_profile(struct embedded *p, const char *name, struct err *e) {
    if (name) return prm_profile_named(p->model, name, &p->model->prm, e);
    if (p->model->prm.kind != PRM_NONE) return true;
    if (p->model->prm.why[0])
        return err_set(e, ERR_INPUT, "%s; or say how it is read: PATH,profile=NAME (%s, or a file)",
                       p->model->prm.why, prm_profile_names());
    return err_set(e, ERR_INPUT,
                   "%s: nothing here says that this model scores steps; "
                   "give one that does (lab:prm), or say how it is "
                   "read: PATH,profile=NAME (%s, or a file)",
                   p->model->path, prm_profile_names());
}

struct reward *reward_open_embedded(const char *spec, const struct reward_options *o, struct err *e) {
    struct embedded *p = mem_zalloc(1, sizeof *p);
    const size_t n_path = reward_path_length(spec);
    char *path = str_dup((struct str){spec, n_path});
    p->base.ops = &embedded_ops;
    p->separator = str_dup(reward_separator(o));
    p->model = model_open(path, e);
    free(path);
    if (!p->model || !choose_profile(p, spec[n_path] ? spec + n_path + strlen(REWARD_PROFILE) : NULL, e))
        goto failed;
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
