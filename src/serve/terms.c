/* terms.c - see terms.h. */
#include "serve/terms.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

static const char prefix[] = "brood/";

/* The strategy's text: of the object brood, of the model's name, or the server's. */
static const char *strategy_of(const struct request *r, const struct serve_options *o, const char *policy,
                               struct refusal *why) {
    const char *model = r->model, *named = NULL;
    if (model && strncmp(model, prefix, strlen(prefix)) == 0)
        named = model + strlen(prefix);
    else if (model && strcmp(model, "brood") != 0 && strcmp(model, policy) != 0) {
        refuse(why, 404, "model", "model_not_found",
               "there is no model %.100s: ask for %.100s, or brood/STRATEGY", model, policy);
        return NULL;
    }
    if (r->strategy) return r->strategy;
    return named ? named : r->plan ? "adaptive" : o->strategy ? o->strategy : "sample";
}

static bool set(struct search_spec *spec, const char *param, const char *key, double value,
                struct refusal *why) {
    struct err e;
    if (isnan(value) || search_spec_set(spec, key, value, &e)) return true;
    return refuse(why, 400, param, "invalid_value", "%s", e.msg);
}

static bool settle_strategy(struct call *c, const struct serve_options *o, const char *policy,
                            struct refusal *why) {
    const struct request *r = &c->request;
    struct search_spec spec;
    struct err e;
    const char *text = strategy_of(r, o, policy, why);
    const bool by_model = !r->strategy && r->model && strncmp(r->model, prefix, strlen(prefix)) == 0;
    const char *param = by_model ? "model" : "brood.strategy";
    if (!text) return false;
    if (!search_spec_parse(&spec, text, &e))
        return refuse(why, by_model ? 404 : 400, param, by_model ? "model_not_found" : "invalid_value", "%s",
                      e.msg);
    if (!set(&spec, "brood.samples", "n", r->samples > 0 ? r->samples : (double)NAN, why) ||
        !set(&spec, "temperature", "temperature", r->temperature, why) ||
        !set(&spec, "top_p", "top_p", r->top_p, why))
        return false;
    if (search_spec_has(&spec, "n") && search_spec_get(&spec, "n") > o->n_samples_max)
        return refuse(why, 400, r->samples > 0 ? "brood.samples" : param, "invalid_value",
                      "n=%g is more than the %d that this server allows", search_spec_get(&spec, "n"),
                      o->n_samples_max);
    if (spec.strategy->revises && r->n_stops > 0)
        return refuse(why, 400, "stop", "invalid_value",
                      "stop: strategy %s goes on behind its solutions' ends, and cannot stop at a text",
                      spec.strategy->name);
    search_spec_print(&spec, &c->strategy);
    return true;
}

static bool settle_limits(const struct request *r, const struct serve_options *o, struct refusal *why) {
    if (r->n_tokens_max > o->n_tokens_max)
        return refuse(why, 400, "max_tokens", "invalid_value",
                      "max_tokens: %d is more than the %d that this server allows", r->n_tokens_max,
                      o->n_tokens_max);
    if (r->budget.seconds > o->seconds_max || r->deadline > o->seconds_max)
        return refuse(why, 400, r->deadline > o->seconds_max ? "brood.deadline" : "brood.budget.seconds",
                      "invalid_value", "%g seconds are the most that this server allows", o->seconds_max);
    return true;
}

bool terms_settle(struct call *c, const struct serve_options *o, const char *policy, struct refusal *why) {
    const struct request *r = &c->request;
    if (!settle_strategy(c, o, policy, why) || !settle_limits(r, o, why)) return false;
    c->model = mem_strdup(r->model ? r->model : policy);
    if (r->deadline > 0) c->deadline = c->arrived + r->deadline;
    c->asked = (struct brood_request){
        .problem = r->text,
        .strategy = buf_cstr(&c->strategy),
        .select = r->select,
        .aggregate = r->aggregate,
        .confidence = r->confidence,
        .seed = r->seed,
        .n_tokens_max = r->n_tokens_max > 0 ? r->n_tokens_max : MIN(1024, o->n_tokens_max),
        .budget_samples = r->budget.samples,
        .budget_tokens = r->budget.tokens,
        .budget_flops = r->budget.flops,
        .budget_usd = r->budget.usd,
        .budget_seconds = r->budget.seconds > 0 ? r->budget.seconds : o->seconds_max,
    };
    return true;
}

bool terms_possible(const struct search_strategy *s, const struct policy_info *policy, bool has_reward) {
    if ((s->needs_reward || s->needs_scores) && !has_reward) return false;
    if (s->revises && !policy->has_leads) return false;
    return !s->needs_confidences || policy->has_confidences;
}
