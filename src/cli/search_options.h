/* search_options.h - the options that solve and bench share. */
#ifndef BROOD_CLI_SEARCH_OPTIONS_H
#define BROOD_CLI_SEARCH_OPTIONS_H

#include "cli/options.h"
#include "run/budget.h"
#include "run/coordinator.h"
#include "search/search.h"

struct search_values {
    const char *policy, *reward, *strategy, *plan, *select, *aggregate, *budget, *prices, *speculate, *system,
        *chat, *weights, *reward_weights, *kv;
    const char *verify, *confidence, *lead_revise, *lead_wait, *lead_answer;
    uint64_t n, seed, n_threads, n_tokens_max;
    double temperature, top_p; /* NAN: not given */
};

#define SEARCH_DEFAULTS                                                                                      \
    { .temperature = NAN, .top_p = NAN }

/* The shared rows of a command whose values begin with a struct search_values. */
enum { SEARCH_OPTIONS = 25 };
extern const struct option search_options[SEARCH_OPTIONS];

/* The text of the plan that was asked for, owned; *out NULL where none was. */
MUST bool search_options_plan(const struct search_values *v, char **out, struct err *e);
/* The strategy with its -n, --temperature and --top-p. */
MUST bool search_options_spec(const struct search_values *v, struct search_spec *spec, struct err *e);
MUST bool search_options_budget(const struct search_values *v, struct budget *b, struct prices *p,
                                struct err *e);
MUST bool search_options_speculate(const struct search_values *v, enum coordinator_speculation *out,
                                   struct err *e);
/* Which types their weights are asked to become; NULL: as they are. */
void search_options_weights(const struct search_values *v, const char **policy, const char **reward);
/* The policy and the reward model asked for; *reward NULL: none. */
void search_options_models(const struct search_values *v, const char **policy, const char **reward);

#endif
