/* answering.c - see answering.h. */
#include "run/answering.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "run/run.h"
#include "search/plan.h"

/* ---- the answer ---- */

struct ranked_class {
    struct brood_class public;
    double worth; /* what the rule compares */
    int number;   /* of the solutions' classes */
};

/* Best first; ties as the selection breaks them: who came first. */
static int compare_classes(const void *a, const void *b) {
    const struct ranked_class *x = a, *y = b;
    const bool x_is_empty = x->public.n_votes == 0, y_is_empty = y->public.n_votes == 0;
    if (x_is_empty != y_is_empty) return x_is_empty ? 1 : -1;
    if (x->worth < y->worth || x->worth > y->worth) return x->worth > y->worth ? -1 : 1;
    return (x->number > y->number) - (x->number < y->number);
}

static void count_solution(struct ranked_class *c, const struct answering *v, const struct solution *x,
                           const struct select_solution *seen) {
    double score = x->rewards ? aggregate_of(v->aggregate, x->rewards, x->n_rewards) : 0;
    const bool by_confidence = select_needs_confidences(v->select);
    if (by_confidence) score = seen->has_confidence ? seen->confidence : 0;
    if (!c->public.answer) c->public.answer = mem_strdup(x->answer);
    c->public.score += score;
    if (v->select == SELECT_BEST)
        c->worth = c->public.n_votes == 0 ? score : fmax(c->worth, score);
    else
        c->worth += v->select == SELECT_WEIGHTED || by_confidence ? score : 1;
    c->public.n_votes++;
}

/* The classes of the solutions that took part. */
static void list_classes(struct brood_answer *a, const struct answering *v, const struct solutions *s) {
    const int n = select_classes_count(s->classes);
    struct ranked_class *ranked = mem_zalloc((size_t)n, sizeof *ranked);
    bool *counts = mem_zalloc(s->n, sizeof *counts);
    for (int i = 0; i < n; i++) ranked[i].number = i;
    select_participants(v->select, s->view, (int)s->n, counts);
    for (size_t i = 0; i < s->n && a->chosen >= 0; i++) {
        const int number = s->view[i].answer_class;
        if (number >= 0 && counts[i]) count_solution(&ranked[number], v, &s->items[i], &s->view[i]);
    }
    free(counts);
    qsort(ranked, (size_t)n, sizeof *ranked, compare_classes);
    a->classes = mem_zalloc((size_t)n, sizeof *a->classes);
    for (int i = 0; i < n && ranked[i].public.n_votes > 0; i++) {
        a->classes[a->n_classes++] = ranked[i].public;
        for (size_t j = 0; j < s->n; j++) {
            if (s->view[j].answer_class == ranked[i].number) a->solutions[j].n_class = i;
        }
    }
    free(ranked);
}

struct step_list {
    char **items;
    size_t n, cap;
};

static void add_step(void *ctx, struct str step) {
    struct step_list *l = ctx;
    MEM_GROW(l->items, l->cap, l->n + 1);
    l->items[l->n++] = str_dup(step);
}

static void list_solutions(struct brood_answer *a, const struct answering *v, const struct solutions *s) {
    a->solutions = mem_zalloc(s->n, sizeof *a->solutions);
    a->n_found = (int)s->n;
    for (size_t i = 0; i < s->n; i++) {
        const struct solution *x = &s->items[i];
        struct step_list steps = {0};
        reward_split_steps(str_from(x->text), STR("\n\n"), add_step, &steps);
        a->solutions[i] = (struct brood_solution){
            .path = mem_strdup(x->path),
            .text = mem_strdup(x->text),
            .answer = x->answer ? mem_strdup(x->answer) : NULL,
            .steps = (const char *const *)steps.items,
            .rewards = x->rewards ? mem_dup(x->rewards, (size_t)x->n_rewards * sizeof *x->rewards) : NULL,
            .n_steps = (int)steps.n,
            .n_rewards = x->n_rewards,
            .n_tokens = x->n_tokens,
            .complete = x->complete,
            .n_class = -1,
            .score = x->rewards ? aggregate_of(v->aggregate, x->rewards, x->n_rewards) : 0,
            .logprob = x->logprob,
            .confidence = s->view[i].has_confidence ? s->view[i].confidence : (double)NAN,
            .verified = s->view[i].verified == SELECT_UNKNOWN ? -1 : s->view[i].verified == SELECT_VERIFIED,
        };
    }
}

static void follow(struct answering *v, const struct search_advice *advice) {
    enum select_rule rule = v->select_is_free ? SELECT_RULES : v->select;
    enum aggregate aggregate = v->aggregate_is_free ? AGGREGATES : v->aggregate;
    solutions_follow(advice, &rule, &aggregate);
    if (rule != SELECT_RULES) v->select = rule;
    if (aggregate != AGGREGATES) v->aggregate = aggregate;
}

static const char *const why_names[] = {
    [RUN_FINISHED] = "finished", [RUN_BUDGET] = "budget",     [RUN_DEADLINE] = "deadline",
    [RUN_STOPPED] = "stopped",   [RUN_UNUSABLE] = "unusable", [RUN_UNVERIFIED] = "unverified"};

struct brood_work answering_work(const struct cost *a, const struct cost *b) {
    return (struct brood_work){a->tokens_generated + b->tokens_generated, a->tokens_read + b->tokens_read,
                               a->flops + b->flops};
}

static struct brood_answer *make_answer(struct answering *v, const struct run_event *event) {
    const struct solutions *s = event->solutions;
    const struct run_cost *cost = event->cost;
    follow(v, &event->advice);
    const struct select_choice c = solutions_choose(s, v->select, v->aggregate);
    struct brood_answer *a = mem_zalloc(1, sizeof *a);
    *a = (struct brood_answer){
        .select = select_rule_name(v->select),
        .aggregate = aggregate_names[v->aggregate],
        .ended = why_names[event->why],
        .ran_out = event->why == RUN_BUDGET ? budget_unit_name(event->ran_out) : NULL,
        .chosen = c.solution,
        .n_solutions = c.n_solutions,
        .n_votes = c.n_votes,
        .score = c.score,
        .margin = c.margin,
        .tokens_generated = cost->policy.tokens_generated,
        .tokens_read = cost->policy_root.tokens_read + cost->policy.tokens_read +
                       cost->reward_root.tokens_read + cost->reward.tokens_read,
        .flops_policy = cost->policy_root.flops + cost->policy.flops,
        .flops_reward = cost->reward_root.flops + cost->reward.flops,
        .seconds = event->seconds,
        .pruned = answering_work(&cost->policy_pruned, &cost->reward_pruned),
        .n_failed = event->n_failed,
        .failure = event->failure ? mem_strdup(event->failure) : NULL,
        .n_verdicts = event->verification->n_verdicts,
        .n_equal = event->verification->n_equal,
        .n_executions = event->verification->n_executions,
        .seconds_verifier = event->verification->seconds,
    };
    a->usd = prices_dollars(prices_of(&v->prices, &cost->policy_root, &cost->reward_root) +
                            prices_of(&v->prices, &cost->policy, &cost->reward));
    if (c.solution >= 0) {
        const struct solution *x = &s->items[c.solution];
        a->answer = x->answer ? mem_strdup(x->answer) : NULL;
        a->solution = mem_strdup(x->text);
    }
    list_solutions(a, v, s);
    list_classes(a, v, s);
    return a;
}

static void free_borrowed(const void *p) {
    free((void *)(uintptr_t)p);
}

void answering_free_answer(struct brood_answer *a) {
    if (!a) return;
    free_borrowed(a->failure);
    for (int i = 0; i < a->n_classes; i++) free_borrowed(a->classes[i].answer);
    for (int i = 0; i < a->n_found; i++) {
        const struct brood_solution *x = &a->solutions[i];
        for (int j = 0; j < x->n_steps; j++) free_borrowed(x->steps[j]);
        free_borrowed(x->steps);
        free_borrowed(x->path);
        free_borrowed(x->text);
        free_borrowed(x->answer);
        free_borrowed(x->rewards);
    }
    free(a->classes);
    free(a->solutions);
    free(a->answer);
    free(a->solution);
    free(a);
}

/* ---- the problem ---- */

static bool choose_rules(struct answering *v, struct search_spec *spec, struct err *e) {
    const struct brood_request *q = v->request;
    const struct reward_info *info = v->reward ? reward_info(v->reward) : NULL;
    if (!search_spec_parse(spec, q->strategy ? q->strategy : "sample", e)) return false;
    const char *rule =
        q->select ? q->select : select_rule_name(coordinator_select(spec, info != NULL, v->has_verifier));
    const char *aggregate = q->aggregate                 ? q->aggregate
                            : info && info->aggregate[0] ? info->aggregate
                                                         : "last";
    v->select_is_free = !q->select;
    v->aggregate_is_free = !q->aggregate;
    if (!select_rule_parse(rule, &v->select, e) || !aggregate_parse(aggregate, &v->aggregate, e))
        return false;
    if (select_needs_rewards(v->select) && !info) {
        return err_set(e, ERR_INPUT, "selection %s needs a reward model: give one, or choose majority", rule);
    }
    if (q->confidence && !select_confidence_parse(q->confidence, &v->confidence, e)) return false;
    if (select_needs_confidences(v->select) && !coordinator_tells_confidences(spec)) {
        return err_set(
            e, ERR_INPUT,
            "selection %s needs the confidences of tokens: use strategy deepconf, or sample:top=20", rule);
    }
    if (v->select == SELECT_FIRST_VERIFIED && !v->has_verifier)
        return err_set(e, ERR_INPUT,
                       "selection first-verified needs a verifier: give one (--verify), or choose among "
                       "recorded solutions with 'brood vote'");
    return true;
}

static bool prepare(struct answering *v, struct search_spec *spec, struct coordinator_problem *p,
                    struct err *e) {
    const struct brood_request *q = v->request;
    const struct policy_info *info = policy_info(v->policy);
    if ((unsigned)q->speculate > BROOD_SPECULATE_OFF)
        return err_set(e, ERR_INPUT, "speculate is none of auto, on and off");
    if (!q->problem || str_trim(str_from(q->problem)).len == 0)
        return err_set(e, ERR_INPUT, "the problem is empty: give its text");
    if (spec->strategy->needs_reward && !v->reward) {
        return err_set(e, ERR_INPUT, "strategy %s needs a reward model", spec->strategy->name);
    }
    if (q->plan && strcmp(spec->strategy->name, "adaptive") != 0)
        return err_set(e, ERR_INPUT, "a plan is for the strategy adaptive, not for %s", spec->strategy->name);
    if (q->plan && !plan_recommend(q->plan, "plan", spec, e)) return false;
    run_fill_spec(spec, info, v->aggregate);
    if (q->budget_samples > 0 && search_spec_has(spec, "n") &&
        search_spec_get(spec, "n") > q->budget_samples &&
        !search_spec_set(spec, "n", fmax(1, floor(q->budget_samples)), e)) {
        return false;
    }
    v->prices = (struct prices){q->usd_policy_input, q->usd_policy_output, q->usd_reward_input};
    if (q->budget_usd > 0 && !prices_are_given(&v->prices))
        return err_set(e, ERR_INPUT, "a budget in dollars needs prices: give what tokens cost");
    int n_tokens_max = q->n_tokens_max > 0 ? q->n_tokens_max : RUN_TOKENS_DEFAULT;
    if (info->n_context > 0) n_tokens_max = MIN(n_tokens_max, info->n_context);
    *p = (struct coordinator_problem){
        .id = q->problem_id ? q->problem_id : "problem",
        .text = q->problem,
        .spec = spec,
        .plan = q->plan,
        .budget = {.samples = q->budget_samples,
                   .tokens = q->budget_tokens,
                   .flops = q->budget_flops,
                   .usd = q->budget_usd,
                   .seconds = q->budget_seconds},
        .prices = v->prices,
        .n_tokens_max = n_tokens_max,
        .confidence = v->confidence,
    };
    p->key = rng_child_named(q->seed, p->id);
    return true;
}

bool answering_begin(struct answering *v, struct policy *policy, struct reward *reward, bool has_verifier,
                     const struct brood_request *request, struct err *e) {
    *v = (struct answering){
        .policy = policy, .reward = reward, .has_verifier = has_verifier, .request = request};
    return choose_rules(v, &v->spec, e) && prepare(v, &v->spec, &v->problem, e);
}

bool answering_end(struct answering *v, const struct run_event *event, struct err *e) {
    ASSERT(event->what == RUN_ENDED);
    if (event->why == RUN_UNUSABLE) return err_set(e, ERR_INPUT, "%s", event->failure);
    if (event->why == RUN_UNVERIFIED)
        return err_set(e, ERR_SERVICE, "the verifier failed: %s", event->failure);
    if (event->solutions->n == 0 && event->failure)
        return err_set(e, ERR_SERVICE, "no solution could be written: %s", event->failure);
    v->answer = make_answer(v, event);
    if (v->answer->n_solutions > 0 || event->why != RUN_STOPPED) return true;
    answering_free_answer(v->answer);
    v->answer = NULL;
    return err_set(e, ERR_CANCELLED, "stopped before there was a solution");
}
