#include "model/prm_profile.h"

#include <math.h>
#include <stdio.h>

#include "model/model.h"

enum finding { NOT_THIS, THIS, REFUSED };

/* A kind of process reward model: its detect function says whether a model is one, and fills the profile. */
struct row {
    const char *name;
    const char *aggregate;
    enum finding (*detect)(const struct model *m, struct prm_profile *p, struct err *e);
};

/* The token that ends a step: "\n\n" where it is one token, else "\n". */
static int find_separator(const struct tokenizer *t) {
    static const char *const separators[] = {"\n\n", "\n"};
    int found = -1;
    for (size_t i = 0; i < ARRAY_LEN(separators) && found < 0; i++) {
        struct tokens ids = {0};
        struct err e;
        if (tokenizer_encode(t, str_from(separators[i]), &ids, &e) && ids.len == 1) found = ids.ptr[0];
        tokens_free(&ids);
    }
    return found;
}

/* LlamaForTokenClassification and the like, as TRL trains them: one output (logistic) or two (wrong, right).
 */
static enum finding detect_token_classification(const struct model *m, struct prm_profile *p, struct err *e) {
    if (m->config.head != MODEL_HEAD_CLASS) return NOT_THIS;
    int n = m->config.n_head_outputs;
    if (n > 2) {
        err_set(e, ERR_INPUT, "%s: a head of %d classes; a step reward has 1 (logistic) or 2 (wrong, right)",
                m->path, n);
        return REFUSED;
    }
    p->kind = PRM_MARKER;
    p->readout = n == 2 ? PRM_SOFTMAX_GOOD : PRM_SIGMOID;
    p->n_outputs = n;
    p->outputs[0] = n - 1;
    p->outputs[1] = 0;
    p->marker = find_separator(m->tokenizer);
    if (p->marker >= 0) return THIS;
    err_set(e, ERR_INPUT,
            "%s: the tokenizer has no single token for the end of a step (a blank line or a newline)",
            m->path);
    return REFUSED;
}

static const struct row rows[] = {
    {"token-classification", "min", detect_token_classification},
};

bool prm_profile_detect(const struct model *m, struct prm_profile *p, struct err *e) {
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        *p = (struct prm_profile){.kind = PRM_NONE, .marker = -1};
        enum finding found = rows[i].detect(m, p, e);
        if (found == REFUSED) return false;
        if (found == NOT_THIS) continue;
        snprintf(p->name, sizeof p->name, "%s", rows[i].name);
        snprintf(p->aggregate, sizeof p->aggregate, "%s", rows[i].aggregate);
        return true;
    }
    return true;
}

double prm_profile_score(const struct prm_profile *p, const float *outputs) {
    double good = outputs[0], max = good, sum = 0;
    if (p->readout == PRM_SIGMOID) return 1 / (1 + exp(-good));
    ASSERT(p->readout == PRM_SOFTMAX_GOOD);
    for (int i = 1; i < p->n_outputs; i++) max = fmax(max, outputs[i]);
    for (int i = 0; i < p->n_outputs; i++) sum += exp((double)outputs[i] - max);
    return exp(good - max) / sum;
}
