/* search_options.c - see search_options.h. */
#include "cli/search_options.h"

#include <math.h>
#include <string.h>

#include "base/file.h"
#include "search/plan.h"

enum { PLAN_BYTES_MAX = 1 << 22 };

#define FIELD(name) offsetof(struct search_values, name)

const struct option search_options[SEARCH_OPTIONS] = {
    {"policy", 0, OPTION_TEXT, FIELD(policy), "SPEC", "who writes the solutions (default lab:small)", 0, 0},
    {"reward", 0, OPTION_TEXT, FIELD(reward), "SPEC",
     "who scores their steps, or none (default lab:prm with the default policy, else none): a model; behind "
     "a server http://host:port/v1#model,profile=NAME; likelihood:MODEL, perplexity:MODEL, certainty:MODEL, "
     "heuristic:NAME (docs/models.md)",
     0, 0},
    {"verify", 0, OPTION_TEXT, FIELD(verify), "SPEC",
     "what checks each solution as it ends, as in --verify tests: see verifiers (docs/verifiers.md)", 0, 0},
    {"strategy", 0, OPTION_TEXT, FIELD(strategy), "STRATEGY",
     "how the search goes (default sample, with --plan adaptive): see strategies", 0, 0},
    {"plan", 0, OPTION_TEXT, FIELD(plan), "FILE",
     "what the strategy adaptive goes by, as 'brood plan' writes it (default a built-in one)", 0, 0},
    {"samples", 'n', OPTION_COUNT, FIELD(n), "N", "the strategy's n: how many solutions", 1, 100000},
    {"select", 0, OPTION_TEXT, FIELD(select), "RULE",
     "what chooses the answer: majority, best, weighted, first-verified, confident, confident-low, "
     "confident-high (default first-verified with a verifier, confident with the strategy deepconf, weighted "
     "with a reward model, else majority)",
     0, 0},
    {"confidence", 0, OPTION_TEXT, FIELD(confidence), "HOW",
     "what confident goes by: lowest, tail, bottom or mean of the tokens' confidences; :N for groups of N "
     "tokens (default lowest, groups by the solutions' lengths)",
     0, 0},
    {"aggregate", 0, OPTION_TEXT, FIELD(aggregate), "RULE",
     "one number from step rewards: last, min, prod, mean (default what suits the reward model)", 0, 0},
    {"budget", 0, OPTION_TEXT, FIELD(budget), "LIMITS",
     "the most that one problem may cost: samples=N,tokens=N,flops=X,usd=X,seconds=S, any of them", 0, 0},
    {"prices", 0, OPTION_TEXT, FIELD(prices), "PRICES",
     "dollars a million tokens: policy_input=X,policy_output=X,reward_input=X, or a JSON file "
     "(docs/costs.md)",
     0, 0},
    {"speculate", 0, OPTION_TEXT, FIELD(speculate), "WHEN",
     "write ahead what a search over steps is likely to ask for, while it waits: on, off or auto (default "
     "auto: for policies behind servers, without a budget in tokens, flops or usd); the result is the same",
     0, 0},
    {"temperature", 0, OPTION_REAL, FIELD(temperature), "T",
     "the strategy's temperature (default what suits the policy)", 0, 10},
    {"top-p", 0, OPTION_REAL, FIELD(top_p), "P", "the strategy's top_p", 0, 1},
    {"max-tokens", 0, OPTION_COUNT, FIELD(n_tokens_max), "N",
     "longest solution (default 1024, or what the policy can hold)", 1, 1 << 24},
    {"system", 0, OPTION_TEXT, FIELD(system), "TEXT", "system message for the policy", 0, 0},
    {"chat", 0, OPTION_TEXT, FIELD(chat), "NAME", "chat format, if not the policy's own", 0, 0},
    {"weights", 0, OPTION_TEXT, FIELD(weights), "TYPE",
     "quantise the policy's and the reward model's weights when they are loaded, once (a cache keeps them): "
     "q8_0, q5_1, q5_0, q4_1 or q4_0; bf16: round them and the inputs of products to BF16; file: as they are "
     "(default file)",
     0, 0},
    {"reward-weights", 0, OPTION_TEXT, FIELD(reward_weights), "TYPE", "the reward model's, if others", 0, 0},
    {"kv", 0, OPTION_TEXT, FIELD(kv), "TYPE",
     "how keys and values are kept: f16, f32 or auto (default auto: f16 where weights are quantised or bf16, "
     "else f32)",
     0, 0},
    {"revise-text", 0, OPTION_TEXT, FIELD(lead_revise), "TEXT",
     "what asks for a revised solution (default what suits the policy, as of the next two)", 0, 0},
    {"wait-text", 0, OPTION_TEXT, FIELD(lead_wait), "TEXT", "what makes a thought go on", 0, 0},
    {"answer-text", 0, OPTION_TEXT, FIELD(lead_answer), "TEXT", "what ends a thought and begins the answer",
     0, 0},
    {"seed", 0, OPTION_COUNT, FIELD(seed), "N",
     "of the random numbers: the same seed gives the same result (default 0)", 0, 9007199254740992.0},
    {"threads", 0, OPTION_COUNT, FIELD(n_threads), "N", "cores to use (default all)", 1, 256},
};

static bool set(struct search_spec *spec, const char *option, const char *key, double value, struct err *e) {
    return search_spec_set(spec, key, value, e) || err_wrap(e, "%s", option);
}

bool search_options_spec(const struct search_values *v, struct search_spec *spec, struct err *e) {
    const char *strategy = v->strategy ? v->strategy : v->plan ? "adaptive" : "sample";
    if (!search_spec_parse(spec, strategy, e)) return err_wrap(e, "--strategy");
    return (v->n == 0 || set(spec, "-n", "n", (double)v->n, e)) &&
           (isnan(v->temperature) || set(spec, "--temperature", "temperature", v->temperature, e)) &&
           (isnan(v->top_p) || set(spec, "--top-p", "top_p", v->top_p, e));
}

bool search_options_plan(const struct search_values *v, char **out, struct err *e) {
    struct buf text = {0};
    *out = NULL;
    if (!v->plan) return true;
    struct plan *p = NULL;
    if (file_read(v->plan, PLAN_BYTES_MAX, &text, e)) p = plan_parse(buf_cstr(&text), v->plan, e);
    if (p) *out = buf_take(&text);
    plan_free(p);
    buf_free(&text);
    return *out != NULL || err_wrap(e, "--plan");
}

bool search_options_budget(const struct search_values *v, struct budget *b, struct prices *p, struct err *e) {
    *b = (struct budget){0};
    *p = (struct prices){0};
    if (v->prices && !prices_parse(p, v->prices, e)) return err_wrap(e, "--prices");
    if (v->budget && !budget_parse(b, v->budget, e)) return err_wrap(e, "--budget");
    return b->usd <= 0 || v->prices ||
           err_set(e, ERR_INPUT, "--budget usd=%g: say with --prices what tokens cost", b->usd);
}

bool search_options_speculate(const struct search_values *v, enum coordinator_speculation *out,
                              struct err *e) {
    static const char *const names[] = {[COORDINATOR_SPECULATE_AUTO] = "auto",
                                        [COORDINATOR_SPECULATE_ON] = "on",
                                        [COORDINATOR_SPECULATE_OFF] = "off"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        *out = (enum coordinator_speculation)i;
        if (strcmp(v->speculate ? v->speculate : "auto", names[i]) == 0) return true;
    }
    return err_set(e, ERR_INPUT, "--speculate %s: give on, off or auto", v->speculate);
}

static const char *type_or_null(const char *type) {
    return type && strcmp(type, "file") == 0 ? NULL : type;
}

void search_options_weights(const struct search_values *v, const char **policy, const char **reward) {
    *policy = type_or_null(v->weights);
    *reward = type_or_null(v->reward_weights ? v->reward_weights : v->weights);
}

void search_options_models(const struct search_values *v, const char **policy, const char **reward) {
    *policy = v->policy ? v->policy : "lab:small";
    *reward = v->reward ? v->reward : v->policy ? NULL : "lab:prm";
    if (*reward && strcmp(*reward, "none") == 0) *reward = NULL;
}
