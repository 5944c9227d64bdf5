/* plan_play.c - strategies played with recorded solutions for plan.c. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "eval/plan_parts.h"
#include "search/stop.h"

static const double beta_threshold = 0.95; /* the default of sample:stop=beta */

void plan_shuffle(const struct plan_data *d, int i_problem, int draw, int *order) {
    const uint64_t key = rng_child(rng_child_named(0, "plan"), rng_child_named(0, d->problems[i_problem].id));
    const int n = d->n_samples, from = (int)((int64_t)n * draw / PLAN_DRAWS);
    int *shuffled = mem_zalloc((size_t)n, sizeof *shuffled);
    for (int i = 0; i < n; i++) {
        const int j = (int)rng_below(key, (uint64_t)i, (uint64_t)i + 1);
        shuffled[i] = shuffled[j];
        shuffled[j] = i;
    }
    for (int i = 0; i < n; i++) order[i] = shuffled[(from + i) % n];
    free(shuffled);
}

/* How many samples are drawn before the rule ends it. */
static int n_drawn(const struct plan_candidate *c, const struct plan_attempt *a, const int *order) {
    if (c->stop_window == 0) return c->n;
    int *classes = mem_zalloc((size_t)c->n, sizeof *classes), n = 0, n_first, n_second;
    do {
        const int more = MIN(c->stop_window, c->n - n);
        for (int i = n; i < n + more; i++) {
            const struct select_solution *v = &a->solutions[order[i]].view;
            classes[i] = v->complete ? v->answer_class : -1;
        }
        n += more;
        stop_two_largest(classes, n, &n_first, &n_second);
    } while (n < c->n && !(n_first > 0 && stop_beta(n_first, n_second) >= beta_threshold));
    free(classes);
    return n;
}

struct hand { /* the solutions that vote */
    struct select_solution *views;
    bool *right;
    int n;
    struct plan_spent spent;
    bool scored;
    bool *faces; /* read by the reward model */
};

static void take_sample(struct hand *h, const struct plan_attempt *a, int i, bool scored) {
    const struct plan_solution *x = &a->solutions[i];
    h->views[h->n] = x->view;
    h->right[h->n] = x->right;
    if (!scored) h->views[h->n].rewards = NULL, h->views[h->n].n_rewards = 0;
    h->spent.tokens += x->spent.tokens;
    h->spent.flops_policy += x->spent.flops_policy;
    scored = scored && x->view.rewards;
    if (scored && !h->faces[x->face]) h->spent.flops_reward += a->solutions[x->face].spent.flops_reward;
    if (scored) h->faces[x->face] = h->scored = true;
    h->n++;
}

static void take_run(struct hand *h, const struct plan_attempt *a) {
    for (int i = 0; i < a->n; i++) {
        h->views[h->n] = a->solutions[i].view;
        h->right[h->n++] = a->solutions[i].right;
    }
    h->spent.tokens += a->spent.tokens;
    h->spent.flops_policy += a->spent.flops_policy;
    h->spent.flops_reward += a->spent.flops_reward;
    h->scored = h->scored || a->spent.flops_reward > 0;
}

struct plan_outcome plan_play(const struct plan_data *d, const struct plan_candidate *c, int i_problem,
                              const int *order, int n_pilot, bool pilot_scored) {
    const struct plan_problem *p = &d->problems[i_problem];
    const struct plan_attempt *base = &p->attempts[d->base], *run = &p->attempts[c->run];
    int n_more = c->run == d->base ? n_drawn(c, base, order) : 0;
    const int n = MAX(n_more, n_pilot);
    if (c->run == d->base && c->stop_window == 0) n_more = n; /* fewer than the pilot are as many */
    const size_t room = (size_t)(n + (c->run == d->base ? 0 : run->n) + 1);
    struct hand h = {.views = mem_zalloc(room, sizeof *h.views),
                     .right = mem_zalloc(room, sizeof *h.right),
                     .faces = mem_zalloc((size_t)base->n, sizeof *h.faces)};
    for (int i = 0; i < n; i++)
        take_sample(&h, base, order[i], (i < n_pilot && pilot_scored) || (i < n_more && c->scored));
    if (c->run != d->base) take_run(&h, run);
    const struct select_choice choice =
        select_choose(c->select, d->runs[d->base].aggregate, h.views, NULL, h.n);
    const double flops = base->prompt.flops_policy + h.spent.flops_policy + h.spent.flops_reward +
                         (h.scored ? MAX(base->prompt.flops_reward, run->prompt.flops_reward) : 0);
    const struct plan_outcome out = {.right = choice.solution >= 0 && h.right[choice.solution],
                                     .tokens = (float)h.spent.tokens,
                                     .flops = (float)flops};
    free(h.views);
    free(h.right);
    free(h.faces);
    return out;
}

void plan_pilot_features(const struct plan_data *d, int i_problem, const int *order, int n_pilot, bool scored,
                         enum aggregate aggregate, double out[PLAN_FEATURES]) {
    const struct plan_attempt *a = &d->problems[i_problem].attempts[d->base];
    struct plan_sample samples[PLAN_SAMPLES_MAX];
    for (int i = 0; i < n_pilot; i++) {
        const struct plan_solution *x = &a->solutions[order[i]];
        const bool has_reward = scored && x->view.rewards && x->view.complete;
        samples[i] = (struct plan_sample){
            .answer_class = x->view.complete ? x->view.answer_class : -1,
            .ended = x->view.complete,
            .scored = has_reward,
            .reward = has_reward ? aggregate_of(aggregate, x->view.rewards, x->view.n_rewards) : 0,
            .logprob = x->logprob,
            .n_tokens = x->n_tokens};
    }
    plan_features(samples, n_pilot, out);
}

double plan_rate_beside(const struct plan_data *d, int i_problem, const int *order, int n_pilot) {
    const struct plan_problem *p = &d->problems[i_problem];
    int n_right = p->n_right;
    for (int i = 0; i < n_pilot; i++) n_right -= p->attempts[d->base].solutions[order[i]].right;
    return (double)n_right / (d->n_samples - n_pilot);
}
