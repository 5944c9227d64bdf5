/* toy.c - a policy whose every probability is known: the chain of model/toy_chain.h, one token a step.
 *
 * The token at level k of a path is drawn with number k of the job's key; a temperature applies, the filters
 * (top_p, min_p, top_k) do not. A token is the value written and costs one FLOP, so that budgets of every
 * unit can be tested.
 */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"
#include "model/toy_chain.h"
#include "policy/kinds.h"

struct policy_prefix {
    struct toy_chain chain;
    int level, value;
};

struct toy {
    struct policy base;
    struct toy_params params;
    struct policy_queue queue;
    char *separator;
    struct cost computed;
    struct buf text;           /* of the last result */
    int tokens[TOY_DEPTH_MAX]; /* likewise */
};

static const struct cost one_token_read = {.tokens_read = 1, .flops = 1};

enum { TAG_FAIL = 0x746f79 };

static void toy_close(struct policy *p) {
    struct toy *t = (struct toy *)p;
    policy_queue_free(&t->queue);
    buf_free(&t->text);
    free(t->separator);
    free(t);
}

static struct policy_prefix *toy_root(struct policy *p, const struct policy_prompt *prompt, struct err *e) {
    struct toy *t = (struct toy *)p;
    UNUSED(e);
    struct policy_prefix *root = mem_zalloc(1, sizeof *root);
    toy_chain_init(&root->chain, &t->params, prompt->text);
    cost_add(&t->computed, &one_token_read);
    return root;
}

static struct cost toy_root_cost(const struct policy *p, const struct policy_prefix *root) {
    UNUSED(p);
    UNUSED(root);
    return one_token_read;
}

static struct policy_prefix *toy_extend(struct policy *p, struct policy_prefix *from, int index,
                                        struct str text, const int *tokens, int n_tokens, struct err *e) {
    UNUSED(p);
    UNUSED(index);
    UNUSED(text);
    struct policy_prefix *prefix = mem_dup(from, sizeof *from);
    for (int i = 0; i < n_tokens; i++) {
        if (!tokens || prefix->level == from->chain.params.depth || tokens[i] < 0 ||
            tokens[i] >= from->chain.params.branch) {
            err_set(e, ERR_INPUT, "toy: the recorded tokens are no path of this chain");
            free(prefix);
            return NULL;
        }
        prefix->level++;
        prefix->value = tokens[i];
    }
    return prefix;
}

static void toy_release(struct policy *p, struct policy_prefix *prefix) {
    UNUSED(p);
    free(prefix);
}

static void toy_submit(struct policy *p, const struct policy_job *job) {
    policy_queue_add(&((struct toy *)p)->queue, job);
}

static void toy_cancel(struct policy *p, uint64_t id) {
    policy_queue_cancel(&((struct toy *)p)->queue, id);
}

static int toy_work(struct policy *p, double seconds_max, struct err *e) {
    UNUSED(seconds_max);
    UNUSED(e);
    return policy_queue_work(&((struct toy *)p)->queue);
}

/* Draws steps until the job ends; advances *at. */
static enum policy_finish toy_write(struct toy *t, const struct policy_job *job, struct policy_prefix *at,
                                    struct policy_result *out) {
    int depth = t->params.depth;
    while (out->n_tokens < job->n_tokens_max) {
        double logprob, unit = rng_unit(job->key, (uint64_t)at->level);
        at->value = toy_chain_draw(&at->chain, at->level, at->value, (double)job->sampling.temperature, unit,
                                   &logprob);
        at->level++;
        out->logprob += logprob;
        t->tokens[out->n_tokens++] = at->value;
        toy_chain_write(&at->chain, at->level, at->value, &t->text);
        if (at->level == depth) return POLICY_END;
        buf_add_str(&t->text, str_from(t->separator));
        if (job->until == POLICY_UNTIL_STEP) return POLICY_STEP;
    }
    return POLICY_LENGTH;
}

static bool toy_next(struct policy *p, struct policy_result *out) {
    struct toy *t = (struct toy *)p;
    struct policy_job job;
    if (!policy_queue_take(&t->queue, t->params.shuffle, &job)) return false;
    out->id = job.id;
    out->finish = POLICY_FAILED;
    if (job.from->level == t->params.depth)
        out->why = "toy: the answer has ended";
    else if (rng_unit(rng_child(job.key, TAG_FAIL), 0) < t->params.fail)
        out->why = "toy: failed on purpose (fail=)";
    if (out->why) return true;
    struct policy_prefix *at = mem_dup(job.from, sizeof *job.from);
    buf_clear(&t->text);
    out->finish = toy_write(t, &job, at, out);
    out->prefix = at;
    out->text = buf_str(&t->text);
    out->tokens = t->tokens;
    out->cost = (struct cost){.tokens_generated = out->n_tokens, .flops = out->n_tokens};
    cost_add(&t->computed, &out->cost);
    return true;
}

static int toy_in_flight(const struct policy *p) {
    return (int)((const struct toy *)p)->queue.n_jobs;
}

static struct cost toy_computed(const struct policy *p) {
    return ((const struct toy *)p)->computed;
}

static const struct policy_ops toy_ops = {
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

struct policy *policy_open_toy(const char *rest, const struct policy_options *o, struct err *e) {
    struct toy_params params;
    if (!toy_params_parse(&params, rest, e)) return NULL;
    struct toy *t = mem_zalloc(1, sizeof *t);
    t->params = params;
    t->separator = str_dup(policy_separator(o));
    t->base.ops = &toy_ops;
    t->base.info = (struct policy_info){
        .kind = "toy",
        .flops_per_token = 1,
        .n_wanted = 64,
        .sampling = {.temperature = 1, .top_p = 1},
    };
    policy_set_identity(&t->base,
                        rng_hash(toy_params_hash(&params), t->separator, str_from(t->separator).len));
    return &t->base;
}
