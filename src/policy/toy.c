/* toy.c - a policy whose every probability is known: the chain of model/toy_chain.h, one token a step.
 *
 * The token at level k of a path is drawn with number k of the job's key; a temperature applies, the filters
 * (top_p, min_p, top_k) do not. A token is the value written and costs one FLOP, so that budgets of every
 * unit can be tested.
 *
 * A lead is one token read, and moves the path on the chain; then steps are drawn as always:
 *
 *     REVISE   to the prompt, with the p and q of one more revision
 *     WAIT     of a path that ended: to before its last step, which is drawn anew; else nowhere
 *     ANSWER   to the last level but one, right if the path was and wrong if not (one that ended: as WAIT)
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "model/toy_chain.h"
#include "policy/kinds.h"

struct policy_prefix {
    struct toy_chain chain;
    int level, value;
    int before;  /* the value at the level before, where the path ended */
    bool broken; /* the text ends with the separator */
};

struct toy {
    struct policy base;
    struct toy_params params;
    struct policy_queue queue;
    char *separator;
    struct cost computed;
    struct buf text;                  /* of the last result */
    int tokens[1 + TOY_DEPTH_MAX];    /* likewise */
    float confidences[TOY_DEPTH_MAX]; /* likewise */
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

static bool is_right(const struct policy_prefix *at) {
    return at->value == at->chain.right[at->level];
}

static void take_lead(struct policy_prefix *at, enum policy_lead lead, bool told) {
    const int depth = at->chain.params.depth, n = at->chain.params.branch;
    if (lead == POLICY_LEAD_NONE) return;
    at->broken = false;
    if (lead == POLICY_LEAD_REVISE) {
        toy_chain_revise(&at->chain, told);
        at->level = at->value = 0;
    } else if (at->level == depth) {
        at->level--;
        at->value = at->before;
    } else if (lead == POLICY_LEAD_ANSWER) {
        const int right = at->chain.right[depth - 1];
        at->value = is_right(at) ? right : (right + 1) % n;
        at->level = depth - 1;
    }
}

static void take_step(struct policy_prefix *at, int value) {
    at->before = at->value;
    at->value = value;
    at->level++;
    at->broken = at->level < at->chain.params.depth;
}

static struct policy_prefix *toy_extend(struct policy *p, struct policy_prefix *from,
                                        const struct policy_piece *piece, struct err *e) {
    UNUSED(p);
    struct policy_prefix *prefix = mem_dup(from, sizeof *from);
    const int *tokens = piece->tokens ? piece->tokens + piece->n_lead_tokens : NULL;
    const bool told = str_find((struct str){piece->text.ptr, piece->n_lead_bytes}, STR(" is wrong.")) >= 0;
    take_lead(prefix, piece->lead, told);
    for (int i = 0; i < piece->n_tokens; i++) {
        if (!tokens || prefix->level == from->chain.params.depth || tokens[i] < 0 ||
            tokens[i] >= from->chain.params.branch) {
            err_set(e, ERR_INPUT, "toy: the recorded tokens are no path of this chain");
            free(prefix);
            return NULL;
        }
        take_step(prefix, tokens[i]);
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

/* Over the n_top likeliest values; impossible ones are left out. */
static double confidence(const struct policy_prefix *at, int n_top) {
    double probs[TOY_BRANCH_MAX], sum = 0;
    int n = at->chain.params.branch, n_taken = 0;
    toy_chain_step(&at->chain, at->level, at->value, probs);
    for (; n_taken < MIN(n_top, n); n_taken++) {
        int best = 0;
        for (int v = 1; v < n; v++)
            if (probs[v] > probs[best]) best = v;
        if (!(probs[best] > 0)) break;
        sum -= log(probs[best]);
        probs[best] = 0;
    }
    return sum / n_taken;
}

/* An answer that was begun by the lead is only brought to its end. */
static void write_step(const struct policy_prefix *at, struct buf *out) {
    static const char begun[] = "The answer is \\boxed{";
    const size_t n = out->len;
    toy_chain_write(&at->chain, at->level, at->value, out);
    if (at->level < at->chain.params.depth || !str_ends((struct str){out->ptr, n}, STR(begun))) return;
    memmove(out->ptr + n, out->ptr + n + strlen(begun), out->len - n - strlen(begun));
    out->len -= strlen(begun);
}

/* Draws steps until the job ends; advances *at. */
static enum policy_finish toy_write(struct toy *t, const struct policy_job *job, struct policy_prefix *at,
                                    struct policy_result *out) {
    int depth = t->params.depth;
    while (out->n_tokens < job->n_tokens_max) {
        double logprob, unit = rng_unit(job->key, (uint64_t)at->level);
        int value = toy_chain_draw(&at->chain, at->level, at->value, (double)job->sampling.temperature, unit,
                                   &logprob);
        if (job->n_top > 0) t->confidences[out->n_confidences++] = (float)confidence(at, job->n_top);
        take_step(at, value);
        out->logprob += logprob;
        t->tokens[out->n_lead_tokens + out->n_tokens++] = value;
        write_step(at, &t->text);
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
    if (job.from->level == t->params.depth && job.lead == POLICY_LEAD_NONE)
        out->why = "toy: the answer has ended";
    else if (rng_unit(rng_child(job.key, TAG_FAIL), 0) < t->params.fail)
        out->why = "toy: failed on purpose (fail=)";
    if (out->why) return true;
    struct policy_prefix *at = mem_dup(job.from, sizeof *job.from);
    buf_clear(&t->text);
    if (job.lead != POLICY_LEAD_NONE) {
        const int n_breaks = at->broken ? policy_line_breaks(str_from(t->separator)) : 0;
        policy_write_lead(p, job.lead, job.feedback, n_breaks, &t->text);
        t->tokens[out->n_lead_tokens++] = TOY_BRANCH_MAX + (int)job.lead;
        out->n_lead_bytes = t->text.len;
    }
    take_lead(at, job.lead, job.feedback.len > 0);
    out->finish = toy_write(t, &job, at, out);
    out->prefix = at;
    out->text = buf_str(&t->text);
    out->tokens = t->tokens;
    out->confidences = out->n_confidences > 0 ? t->confidences : NULL;
    out->cost = (struct cost){.tokens_generated = out->n_tokens,
                              .tokens_read = out->n_lead_tokens,
                              .flops = out->n_lead_tokens + out->n_tokens};
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
    t->queue.n_turns_max = params.slow;
    t->separator = str_dup(policy_separator(o));
    t->base.ops = &toy_ops;
    t->base.info = (struct policy_info){
        .kind = "toy",
        .flops_per_token = 1,
        .n_wanted = 64,
        .sampling = {.temperature = 1, .top_p = 1},
        .has_confidences = true,
    };
    policy_set_leads(&t->base, POLICY_LEADS_TEXT, o);
    policy_set_identity(&t->base,
                        rng_hash(toy_params_hash(&params), t->separator, str_from(t->separator).len));
    return &t->base;
}
