/* answer_json.c - see answer_json.h. */
#include "run/answer_json.h"

#include <math.h>

json_t *answer_json_text(const char *s) {
    return s ? json_text(str_from(s)) : json_null();
}

json_t *answer_json_real(double x) {
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *solution_json(const struct brood_solution *x) {
    json_t *steps = json_array(), *rewards = x->rewards ? json_array() : json_null();
    for (int i = 0; i < x->n_steps; i++) json_array_append_new(steps, answer_json_text(x->steps[i]));
    for (int i = 0; i < x->n_rewards; i++)
        json_array_append_new(rewards, answer_json_real((double)x->rewards[i]));
    return json_pack("{s:s,s:o,s:o,s:o,s:o,s:o,s:b,s:i,s:o,s:o,s:o}", "path", x->path, "text",
                     answer_json_text(x->text), "answer", answer_json_text(x->answer), "steps", steps,
                     "rewards", rewards, "score", x->rewards ? answer_json_real(x->score) : json_null(),
                     "complete", x->complete, "tokens", x->n_tokens, "logprob", answer_json_real(x->logprob),
                     "confidence", answer_json_real(x->confidence), "verified",
                     x->verified < 0 ? json_null() : json_boolean(x->verified));
}

static json_t *work_json(const struct brood_work *w) {
    return json_pack("{s:f,s:f,s:f}", "tokens_generated", w->tokens_generated, "tokens_read", w->tokens_read,
                     "flops", w->flops);
}

static json_t *verifier_json(const struct brood_answer *a) {
    return json_pack("{s:f,s:f,s:f,s:f}", "verdicts", a->n_verdicts, "equal", a->n_equal, "executions",
                     a->n_executions, "seconds", a->seconds_verifier);
}

static json_t *cost_json(const struct brood_answer *a) {
    return json_pack("{s:f,s:f,s:f,s:f,s:f,s:f,s:i,s:{s:o,s:o,s:o},s:{s:f,s:f},s:{s:f,s:f},s:o}",
                     "tokens_generated", a->tokens_generated, "tokens_read", a->tokens_read, "flops_policy",
                     a->flops_policy, "flops_reward", a->flops_reward, "usd", a->usd, "seconds", a->seconds,
                     "failed", a->n_failed, "wasted", "pruned", work_json(&a->pruned), "cancelled",
                     work_json(&a->cancelled), "recomputed", work_json(&a->recomputed), "retried", "requests",
                     a->n_retried, "tokens", a->tokens_retried, "speculated", "steps", a->n_guessed, "used",
                     a->n_guesses_used, "verifier", verifier_json(a));
}

json_t *answer_json_classes(const struct brood_answer *a) {
    json_t *classes = json_array();
    for (int i = 0; i < a->n_classes; i++) {
        const struct brood_class *c = &a->classes[i];
        json_array_append_new(classes, json_pack("{s:o,s:i,s:f}", "answer", answer_json_text(c->answer),
                                                 "votes", c->n_votes, "score", c->score));
    }
    return classes;
}

json_t *answer_json(const struct brood_answer *a, const char *problem, const char *strategy,
                    bool with_solutions) {
    json_t *o =
        json_pack("{s:o,s:o,s:s,s:s,s:s,s:s,s:o,s:i,s:i,s:f,s:f,s:o,s:i}", "problem",
                  answer_json_text(problem), "answer", answer_json_text(a->answer), "strategy", strategy,
                  "select", a->select, "aggregate", a->aggregate, "ended", a->ended, "ran_out",
                  answer_json_text(a->ran_out), "votes", a->n_votes, "voters", a->n_solutions, "score",
                  a->score, "margin", a->margin, "classes", answer_json_classes(a), "chosen", a->chosen);
    if (with_solutions) {
        json_t *solutions = json_array();
        for (int i = 0; i < a->n_found; i++)
            json_array_append_new(solutions, solution_json(&a->solutions[i]));
        json_object_set_new(o, "solutions", solutions);
    }
    json_object_set_new(o, "cost", cost_json(a));
    if (a->failure) json_object_set_new(o, "failure", json_text(str_from(a->failure)));
    return o;
}
