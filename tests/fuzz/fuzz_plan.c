/* Plans as text: a plan is read or refused; one that is read predicts and looks up without falling over. */
#include <stdlib.h>

#include "base/mem.h"
#include "search/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct err e;
    char *text = str_dup((struct str){(const char *)data, size});
    struct plan *p = plan_parse(text, "fuzz", &e);
    for (int i = 0; p && i < p->n_pilots; i++) {
        const struct plan_sample samples[2] = {{0, true, true, 0.5, -1, 3}, {-1, false, false, 0, -2, 4}};
        double features[PLAN_FEATURES];
        plan_features(samples, 2, features);
        int bin = plan_bin(&p->pilots[i], plan_rate(&p->pilots[i], plan_score(&p->pilots[i], features)));
        ASSERT(bin >= 0 && bin < p->pilots[i].n_bins);
    }
    for (double n = 1; p && n < 1e6; n *= 8) ASSERT(plan_level_for(p, plan_spend(p, n))->n_cells > 0);
    struct search_spec spec;
    if (p && search_spec_parse(&spec, "adaptive:aggregate=last,temperature=1,top_p=1,min_p=0,top_k=0", &e)) {
        const struct search_context c = {.has_reward = true, .plan = text, .n_tokens_answer_max = 10};
        search_free(search_new(&spec, &c, &e));
    }
    plan_free(p);
    free(text);
    return 0;
}
