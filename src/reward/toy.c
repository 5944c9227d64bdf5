/* toy.c - a reward model that knows: the exact chance of policy/toy.c's chain to end at the right answer.
 *
 * The state is read from the step's text; what stands before the chain's words (a lead: "Wait,") is skipped,
 * and the answer may come early, or again. With noise=x the reward is off by a number in [-x, x] that the
 * steps so far decide, as an imperfect reward model's would be: equal paths get equal rewards.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "model/toy_chain.h"
#include "reward/kinds.h"

struct reward_prefix {
    struct toy_chain chain;
    int level, value;
    uint64_t path; /* hash of the values so far */
};

struct toy_job {
    uint64_t id;
    struct reward_prefix at;
    char *text;
    size_t n_bytes;
};

struct toy {
    struct reward base;
    struct toy_params params;
    char *separator;
    struct toy_job *jobs; /* first in, first out; the first n_ready may be answered */
    size_t n_jobs, n_ready, cap;
    struct cost computed;
    float rewards[TOY_DEPTH_MAX]; /* of the last result */
};

static const struct cost one_token_read = {.tokens_read = 1, .flops = 1};

enum { TAG_NOISE = 0x746f79 };

static void toy_close(struct reward *r) {
    struct toy *t = (struct toy *)r;
    for (size_t i = 0; i < t->n_jobs; i++) free(t->jobs[i].text);
    free(t->jobs);
    free(t->separator);
    free(t);
}

static struct reward_prefix *toy_root(struct reward *r, const char *problem_text, struct err *e) {
    struct toy *t = (struct toy *)r;
    UNUSED(e);
    struct reward_prefix *root = mem_zalloc(1, sizeof *root);
    toy_chain_init(&root->chain, &t->params, problem_text);
    cost_add(&t->computed, &one_token_read);
    return root;
}

static struct cost toy_root_cost(const struct reward *r, const struct reward_prefix *root) {
    UNUSED(r);
    UNUSED(root);
    return one_token_read;
}

struct walk {
    struct reward_prefix *at;
    float *rewards;
    int n_rewards;
    bool failed;
};

static struct str without_lead(struct str step) {
    static const char *const words[] = {"step ", "The answer is "};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        const ptrdiff_t at = str_find(step, str_from(words[i]));
        if (at > 0) return (struct str){step.ptr + at, step.len - (size_t)at};
    }
    return step;
}

static void walk_step(void *ctx, struct str step) {
    struct walk *w = ctx;
    struct reward_prefix *at = w->at;
    const int depth = at->chain.params.depth;
    step = without_lead(step);
    w->failed = w->failed || w->n_rewards == TOY_DEPTH_MAX;
    if (!w->failed && toy_chain_read(&at->chain, at->level + 1, step, &at->value))
        at->level++;
    else if (!w->failed && toy_chain_read(&at->chain, depth, step, &at->value))
        at->level = depth;
    else
        w->failed = true;
    if (w->failed) return;
    at->path = rng_hash(at->path, &at->value, sizeof at->value);
    double noise = at->chain.params.noise * (2 * rng_unit(rng_child(at->chain.key, TAG_NOISE), at->path) - 1);
    double reward = toy_chain_value(&at->chain, at->level, at->value) + noise;
    w->rewards[w->n_rewards++] = (float)(reward < 0 ? 0 : reward > 1 ? 1 : reward);
}

/* Follows the steps of a text from *at, which moves; false if they are none of the chain's. */
static bool toy_walk(const struct toy *t, struct reward_prefix *at, struct str text, float *rewards,
                     int *n_rewards) {
    struct walk w = {.at = at, .rewards = rewards};
    reward_split_steps(text, str_from(t->separator), walk_step, &w);
    *n_rewards = w.n_rewards;
    return !w.failed;
}

static struct reward_prefix *toy_extend(struct reward *r, struct reward_prefix *from, struct str text,
                                        struct err *e) {
    int n_rewards;
    float rewards[TOY_DEPTH_MAX];
    struct reward_prefix *prefix = mem_dup(from, sizeof *from);
    if (toy_walk((struct toy *)r, prefix, text, rewards, &n_rewards)) return prefix;
    err_set(e, ERR_INPUT, "toy: the recorded text is no path of this chain");
    free(prefix);
    return NULL;
}

static void toy_release(struct reward *r, struct reward_prefix *prefix) {
    UNUSED(r);
    free(prefix);
}

static void toy_submit(struct reward *r, const struct reward_job *job) {
    struct toy *t = (struct toy *)r;
    MEM_GROW(t->jobs, t->cap, t->n_jobs + 1);
    t->jobs[t->n_jobs++] = (struct toy_job){
        .id = job->id, .at = *job->from, .text = str_dup(job->text), .n_bytes = job->text.len};
}

static void remove_job(struct toy *t, size_t i) {
    free(t->jobs[i].text);
    memmove(t->jobs + i, t->jobs + i + 1, (t->n_jobs - i - 1) * sizeof *t->jobs);
    t->n_jobs--;
    if (i < t->n_ready) t->n_ready--;
}

static void toy_cancel(struct reward *r, uint64_t id) {
    struct toy *t = (struct toy *)r;
    for (size_t i = 0; i < t->n_jobs; i++) {
        if (t->jobs[i].id != id) continue;
        remove_job(t, i);
        return;
    }
}

static int toy_work(struct reward *r, double seconds_max, struct err *e) {
    UNUSED(seconds_max);
    UNUSED(e);
    struct toy *t = (struct toy *)r;
    t->n_ready = t->n_jobs;
    return (int)t->n_ready;
}

static bool toy_next(struct reward *r, struct reward_result *out) {
    struct toy *t = (struct toy *)r;
    if (t->n_ready == 0) return false;
    struct toy_job *job = &t->jobs[0];
    struct reward_prefix at = job->at;
    out->id = job->id;
    out->failed = !toy_walk(t, &at, (struct str){job->text, job->n_bytes}, t->rewards, &out->n_rewards);
    remove_job(t, 0);
    if (out->failed) {
        out->n_rewards = 0;
        out->why = "toy: the text is no step of this chain";
        return true;
    }
    out->rewards = t->rewards;
    out->prefix = mem_dup(&at, sizeof at);
    out->cost = (struct cost){.tokens_read = out->n_rewards, .flops = out->n_rewards};
    cost_add(&t->computed, &out->cost);
    return true;
}

static int toy_in_flight(const struct reward *r) {
    return (int)((const struct toy *)r)->n_jobs;
}

static struct cost toy_computed(const struct reward *r) {
    return ((const struct toy *)r)->computed;
}

static const struct reward_ops toy_ops = {
    .close = toy_close,
    .root = toy_root,
    .root_cost = toy_root_cost,
    .extend = toy_extend,
    .release = toy_release,
    .submit = toy_submit,
    .cancel = toy_cancel,
    .work = toy_work,
    .next = toy_next,
    .in_flight = toy_in_flight,
    .computed = toy_computed,
};

struct reward *reward_open_toy(const char *rest, const struct reward_options *o, struct err *e) {
    struct toy_params params;
    if (!toy_params_parse(&params, rest, e)) return NULL;
    struct toy *t = mem_zalloc(1, sizeof *t);
    t->params = params;
    t->separator = str_dup(reward_separator(o));
    t->base.ops = &toy_ops;
    t->base.info = (struct reward_info){
        .kind = "toy", .flops_per_token = 1, .n_tokens_step = 1, .n_wanted = 64, .aggregate = "last"};
    struct str separator = str_from(t->separator);
    reward_set_identity(&t->base, rng_hash(toy_params_hash(&params), separator.ptr, separator.len));
    return &t->base;
}
