/* likelihood.c - what a model that writes text makes of each step, without having been trained to score it:
 *
 *     likelihood:MODEL   the probability of the step, as a policy (aggregate prod)
 *     perplexity:MODEL   the geometric mean of its tokens' probabilities: 1 / perplexity (mean)
 *     certainty:MODEL    self-certainty c of the tokens' distributions as c / (1 + c) (mean): the mean over
 *                        its tokens of the divergence KL(U || p) of the vocabulary's uniform distribution
 *                        from the model's (Kang et al. 2025, 2502.18581)
 *
 * A likelihood is the probability that the model would have written it itself, behind the problem and the
 * steps before: the product of its tokens' probabilities at temperature 1, never below 1e-30. So the product
 * of the rewards (aggregate prod, the default here) is the likelihood of the whole solution. A model stronger
 * than the policy tells good solutions from bad ones by it, without having been trained to score steps.
 *
 * The model reads the conversation as it would as a policy (its own chat format, no system message) and the
 * steps as its own tokenizer cuts them, each with the separator behind it where the text has one: a
 * solution scored at once gets the same bits as step by step. A prefix is a branch of the engine's KV tree,
 * so each token is read once; equal siblings are the search's business (search.h).
 *
 * Every token needs the whole vocabulary's logits: few jobs at once where that is large.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/share.h"
#include "engine/engine.h"
#include "model/model.h"
#include "reward/kinds.h"

enum { LIKELIHOOD_LOGITS_MAX = 16 << 20 };

struct reward_prefix {
    struct branch *branch;
};

struct job {
    uint64_t id, serial;
    struct branch *branch; /* NULL: it cannot be read */
    size_t first;          /* position of its first token */
    size_t *ends;          /* [n_steps] one behind each step's last token */
    int n_steps;
    char *why;
};

enum measure { MEASURE_LIKELIHOOD, MEASURE_PERPLEXITY, MEASURE_CERTAINTY };

static const struct {
    const char *name, *aggregate;
} measures[] = {{"likelihood", "prod"}, {"perplexity", "mean"}, {"certainty", "mean"}};

struct likelihood {
    struct reward base;
    enum measure measure;
    struct model *model;
    struct engine *engine;
    char *separator;
    int *outputs;      /* [vocabulary] all of them */
    struct job **jobs; /* in flight, in the order of submission */
    size_t n_jobs, cap;
    uint64_t n_serials;
    struct job *told;
    float *rewards; /* of the last result */
    size_t cap_rewards;
};

static double flops_of(const struct likelihood *p, size_t first, size_t n, bool with_head) {
    const double sum_positions = (double)n * (double)first + (double)n * ((double)n - 1) / 2;
    const double head =
        model_flops_per_token(&p->model->config, 1, p->model->config.n_vocab) - p->base.info.flops_per_token;
    return (double)n * (p->base.info.flops_per_token + (with_head ? head : 0)) +
           sum_positions * p->base.info.flops_per_position;
}

/* ---- prefixes ---- */

static struct reward_prefix *prefix_new(struct branch *branch) {
    struct reward_prefix *prefix = mem_alloc(sizeof *prefix);
    prefix->branch = branch;
    return prefix;
}

static struct reward_prefix *likelihood_root(struct reward *r, const char *problem_text, struct err *e) {
    struct likelihood *p = (struct likelihood *)r;
    const struct chat_message message = {CHAT_USER, str_from(problem_text)};
    struct tokens ids = {0};
    struct reward_prefix *root = NULL;
    const bool ok = chat_render(p->model->chat, p->model->tokenizer, &message, 1, true, false, &ids, e);
    if (ok && ids.len > 0 && ids.len < (size_t)p->base.info.n_context) {
        root = prefix_new(engine_root(p->engine));
        branch_append(root->branch, ids.ptr, ids.len);
    } else if (ok) {
        err_set(e, ERR_INPUT, "the problem takes %zu tokens, and the reward model %s reads from 1 to %d",
                ids.len, p->base.name, p->base.info.n_context);
    }
    tokens_free(&ids);
    return root;
}

static struct cost likelihood_root_cost(const struct reward *r, const struct reward_prefix *root) {
    const size_t n = branch_length(root->branch);
    return (struct cost){.tokens_read = (double)n,
                         .flops = flops_of((const struct likelihood *)r, 0, n, false)};
}

/* The tokens of a text's steps, one after the other; ends: one behind each step's last. */
static bool encode(const struct likelihood *p, struct str text, struct tokens *ids, size_t **ends,
                   int *n_steps, struct err *e) {
    const struct str separator = str_from(p->separator);
    size_t cap = 0;
    *ends = NULL;
    *n_steps = 0;
    for (bool last = false; !last;) {
        const ptrdiff_t found = str_find(text, separator);
        last = found < 0;
        const struct str step = str_trim((struct str){text.ptr, last ? text.len : (size_t)found});
        const size_t n_used = last ? text.len : (size_t)found + separator.len;
        text = (struct str){text.ptr + n_used, text.len - n_used};
        if (step.len == 0) continue;
        struct buf piece = {0};
        buf_add_str(&piece, step);
        if (!last) buf_add_str(&piece, separator);
        const bool ok = tokenizer_encode(p->model->tokenizer, buf_str(&piece), ids, e);
        buf_free(&piece);
        if (!ok) return false;
        MEM_GROW(*ends, cap, (size_t)*n_steps + 1);
        (*ends)[(*n_steps)++] = ids->len;
    }
    return true;
}

/* A branch behind the text; NULL if that cannot be read. ends: positions. */
static struct branch *branch_after(struct likelihood *p, struct branch *from, struct str text, size_t **ends,
                                   int *n_steps, struct err *e) {
    struct tokens ids = {0};
    struct branch *b = NULL;
    const size_t first = branch_length(from);
    bool ok = encode(p, text, &ids, ends, n_steps, e);
    if (ok && first + ids.len > (size_t)p->base.info.n_context)
        ok = err_set(e, ERR_INPUT, "the solution is longer than what the reward model %s reads (%d tokens)",
                     p->base.name, p->base.info.n_context);
    if (ok) {
        b = branch_fork(from);
        branch_append(b, ids.ptr, ids.len);
        for (int i = 0; i < *n_steps; i++) (*ends)[i] += first;
    }
    tokens_free(&ids);
    return b;
}

static struct reward_prefix *likelihood_extend(struct reward *r, struct reward_prefix *from, struct str text,
                                               struct err *e) {
    size_t *ends;
    int n_steps;
    struct branch *b = branch_after((struct likelihood *)r, from->branch, text, &ends, &n_steps, e);
    free(ends);
    return b ? prefix_new(b) : NULL;
}

static void likelihood_release(struct reward *r, struct reward_prefix *prefix) {
    UNUSED(r);
    branch_release(prefix->branch);
    free(prefix);
}

/* ---- jobs ---- */

static void job_free(struct job *job) {
    if (!job) return;
    if (job->branch) branch_release(job->branch);
    free(job->ends);
    free(job->why);
    free(job);
}

static struct job *remove_at(struct likelihood *p, size_t i) {
    struct job *job = p->jobs[i];
    p->n_jobs--;
    memmove(p->jobs + i, p->jobs + i + 1, (p->n_jobs - i) * sizeof *p->jobs);
    return job;
}

/* Marks stand before each token: there the model says what it would have written. */
static bool read_steps(struct likelihood *p, struct job *job, struct err *e) {
    const size_t n = job->ends[job->n_steps - 1] - job->first;
    size_t *marks = mem_alloc(n * sizeof *marks);
    for (size_t i = 0; i < n; i++) marks[i] = job->first + i - 1;
    const struct engine_read read = {.id = job->serial,
                                     .branch = job->branch,
                                     .marks = marks,
                                     .n_marks = n,
                                     .outputs = p->outputs,
                                     .n_outputs = p->model->config.n_vocab};
    const bool ok = engine_read(p->engine, &read, e);
    free(marks);
    return ok;
}

static void likelihood_submit(struct reward *r, const struct reward_job *asked) {
    struct likelihood *p = (struct likelihood *)r;
    struct err e;
    struct job *job = mem_zalloc(1, sizeof *job);
    job->id = asked->id;
    job->serial = p->n_serials++;
    job->first = branch_length(asked->from->branch);
    job->branch = branch_after(p, asked->from->branch, asked->text, &job->ends, &job->n_steps, &e);
    if (job->branch && job->n_steps > 0 && !read_steps(p, job, &e)) {
        branch_release(job->branch);
        job->branch = NULL;
    }
    if (!job->branch) job->why = mem_strdup(e.msg);
    MEM_GROW(p->jobs, p->cap, p->n_jobs + 1);
    p->jobs[p->n_jobs++] = job;
}

static void likelihood_cancel(struct reward *r, uint64_t id) {
    struct likelihood *p = (struct likelihood *)r;
    for (size_t i = 0; i < p->n_jobs; i++) {
        if (p->jobs[i]->id != id) continue;
        engine_cancel(p->engine, p->jobs[i]->serial); /* one that is not there is ignored */
        job_free(remove_at(p, i));
        return;
    }
}

static int likelihood_work(struct reward *r, double seconds_max, struct err *e) {
    struct likelihood *p = (struct likelihood *)r;
    UNUSED(seconds_max); /* one forward pass */
    if (p->n_jobs == 0) return 0;
    return engine_step(p->engine, e) < 0 ? -1 : 1;
}

/* The token's log-probability, or the divergence of its place. */
static double measure_token(enum measure how, const float *logits, int n, int token) {
    double most = (double)logits[0], sum = 0, mean = 0;
    for (int i = 1; i < n; i++) most = MAX(most, (double)logits[i]);
    for (int i = 0; i < n; i++) sum += exp((double)logits[i] - most);
    if (how != MEASURE_CERTAINTY) return (double)logits[token] - most - log(sum);
    for (int i = 0; i < n; i++) mean += (double)logits[i] / n;
    return fmax(most + log(sum) - mean - log(n), 0);
}

static double reward_of(enum measure how, double sum, size_t n_tokens) {
    if (how == MEASURE_LIKELIHOOD) return fmax(exp(sum), 1e-30);
    const double mean = sum / (double)MAX(n_tokens, (size_t)1);
    return how == MEASURE_PERPLEXITY ? exp(mean) : mean / (1 + mean);
}

static void tell(struct likelihood *p, const struct job *job, const float *logits,
                 struct reward_result *out) {
    const int n_vocab = p->model->config.n_vocab;
    size_t at = job->first;
    MEM_GROW(p->rewards, p->cap_rewards, (size_t)job->n_steps + 1);
    for (int i = 0; i < job->n_steps; i++) {
        const size_t first = at;
        double sum = 0;
        for (; at < job->ends[i]; at++) {
            int token;
            branch_tokens(job->branch, at, 1, &token);
            sum += measure_token(p->measure, logits + (at - job->first) * (size_t)n_vocab, n_vocab, token);
        }
        out->failed = out->failed || isnan(sum);
        p->rewards[i] = (float)reward_of(p->measure, sum, at - first);
    }
    if (out->failed) {
        out->why = "the reward model's outputs are not numbers";
        return;
    }
    out->rewards = p->rewards;
    out->n_rewards = job->n_steps;
    out->cost = (struct cost){.tokens_read = (double)(at - job->first),
                              .flops = flops_of(p, job->first, at - job->first, true)};
}

static bool likelihood_next(struct reward *r, struct reward_result *out) {
    struct likelihood *p = (struct likelihood *)r;
    struct engine_event event = {0};
    struct job *job = NULL;
    for (size_t i = 0; i < p->n_jobs && !job; i++)
        if (!p->jobs[i]->branch || p->jobs[i]->n_steps == 0) job = remove_at(p, i);
    if (!job) {
        if (!engine_next(p->engine, &event)) return false;
        size_t i = 0;
        while (i < p->n_jobs && p->jobs[i]->serial != event.id) i++;
        ASSERT(i < p->n_jobs);
        job = remove_at(p, i);
    }
    out->id = job->id;
    out->failed = job->why != NULL;
    out->why = job->why;
    if (!out->failed) tell(p, job, event.outputs, out);
    if (!out->failed) {
        out->prefix = prefix_new(job->branch);
        job->branch = NULL;
    }
    job_free(p->told);
    p->told = job;
    return true;
}

static int likelihood_in_flight(const struct reward *r) {
    return (int)((const struct likelihood *)r)->n_jobs;
}

static struct cost likelihood_computed(const struct reward *r) {
    return engine_computed(((const struct likelihood *)r)->engine);
}

static struct waste likelihood_waste(const struct reward *r) {
    const struct likelihood *p = (const struct likelihood *)r;
    return (struct waste){.recomputed = engine_recomputed(p->engine)};
}

static double likelihood_cache_bytes(const struct reward *r) {
    return engine_cache_bytes(((const struct likelihood *)r)->engine);
}

/* ---- opening and closing ---- */

static void likelihood_close(struct reward *r) {
    struct likelihood *p = (struct likelihood *)r;
    for (size_t i = 0; i < p->n_jobs; i++) {
        engine_cancel(p->engine, p->jobs[i]->serial);
        job_free(p->jobs[i]);
    }
    job_free(p->told);
    free(p->jobs);
    free(p->rewards);
    free(p->outputs);
    if (p->engine) engine_close(p->engine);
    if (p->model) model_close(p->model);
    free(p->separator);
    free(p);
}

static const struct reward_ops likelihood_ops = {
    .close = likelihood_close,
    .root = likelihood_root,
    .root_cost = likelihood_root_cost,
    .extend = likelihood_extend,
    .release = likelihood_release,
    .submit = likelihood_submit,
    .cancel = likelihood_cancel,
    .work = likelihood_work,
    .next = likelihood_next,
    .in_flight = likelihood_in_flight,
    .computed = likelihood_computed,
    .waste = likelihood_waste,
    .cache_bytes = likelihood_cache_bytes,
};

static void fill_info(struct likelihood *p) {
    const struct model *m = p->model;
    const double at_start = model_flops_per_token(&m->config, 1, 0);
    const int n_vocab = m->config.n_vocab;
    p->base.info = (struct reward_info){
        .kind = measures[p->measure].name,
        .kv = engine_kv_name(p->engine),
        .n_parameters = (double)model_parameters(m),
        .flops_per_token = at_start,
        .flops_per_position = model_flops_per_token(&m->config, 2, 0) - at_start,
        .n_context = m->config.n_context,
        .n_wanted = MIN(engine_wanted(p->engine), MAX(2, LIKELIHOOD_LOGITS_MAX / (64 * n_vocab))),
        .n_tokens_step = 1,
    };
    snprintf(p->base.info.aggregate, sizeof p->base.info.aggregate, "%s", measures[p->measure].aggregate);
    const char *parts[] = {measures[p->measure].name, chat_name(m->chat), p->separator};
    uint64_t hash = engine_identity(p->engine);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) hash = rng_hash(hash, parts[i], strlen(parts[i]) + 1);
    reward_set_identity(&p->base, hash);
    p->outputs = mem_alloc((size_t)n_vocab * sizeof *p->outputs);
    for (int i = 0; i < n_vocab; i++) p->outputs[i] = i;
}

/* lab:NAME or a path. Owned. */
static char *find_model(const char *spec, struct err *e) {
    if (strncmp(spec, "lab:", 4) != 0) return mem_strdup(spec);
    struct buf place = {0};
    buf_printf(&place, "models/%s", spec + 4);
    char *path = share_path(buf_cstr(&place), e);
    buf_free(&place);
    return path;
}

static struct reward *open_measure(enum measure how, const char *spec, const struct reward_options *o,
                                   struct err *e) {
    struct likelihood *p = mem_zalloc(1, sizeof *p);
    p->measure = how;
    enum engine_kv kv;
    p->base.ops = &likelihood_ops;
    p->separator = str_dup(reward_separator(o));
    char *path = find_model(spec, e);
    if (path) p->model = model_open(path, e);
    free(path);
    if (p->model && p->model->config.head != MODEL_HEAD_LM)
        err_set(e, ERR_INPUT, "%s:%s: this model writes no text: give one that does", measures[how].name,
                spec);
    else if (p->model && engine_kv_parse(o->kv, &kv, e))
        p->engine = engine_open(p->model, &(struct engine_options){.n_threads = o->n_threads, .kv = kv}, e);
    if (!p->engine) {
        likelihood_close(&p->base);
        return NULL;
    }
    model_drop_tensors(p->model);
    fill_info(p);
    return &p->base;
}

struct reward *reward_open_likelihood(const char *spec, const struct reward_options *o, struct err *e) {
    return open_measure(MEASURE_LIKELIHOOD, spec, o, e);
}

struct reward *reward_open_perplexity(const char *spec, const struct reward_options *o, struct err *e) {
    return open_measure(MEASURE_PERPLEXITY, spec, o, e);
}

struct reward *reward_open_certainty(const char *spec, const struct reward_options *o, struct err *e) {
    return open_measure(MEASURE_CERTAINTY, spec, o, e);
}
