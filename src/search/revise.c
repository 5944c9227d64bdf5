/* revise.c - sequential revision: n solutions in n/length chains side by side, each solution but the first of
 * a chain a revision of the one before.
 *
 *     root ── 0 ── 0.0 ── 0.0.0 ── 0.0.0.0      length=4: versions of a chain, each told what is wrong with
 *         ├── 1 ── 1.0 ── ...                    the one above it, if anything is known
 *         └── 2 ── ...                           length=1 is repeated sampling, length=n one chain
 *
 * Snell et al. 2024, "Scaling LLM test-time compute optimally" (2408.03314), section 6: easy problems want
 * long chains, hard ones several. A revision is written below a version that ended or was cut off, with
 * TREE_LEAD_REVISE; what the words of the request are is the policy's business, and what a verifier found
 * wrong comes with it. A version is verified and scored before it is revised. A chain ends after its
 * versions, when one was verified, or when the policy failed.
 *
 * All versions are candidates for the answer: a policy turns right answers into wrong ones too (38 % of them
 * in the paper). With versions=best a chain has one vote, that of the paper's hierarchical selection: the
 * class of equal answers with the largest sum of rewards among its versions, and of that class the version
 * with the highest; without a reward model each counts 1. The first of equals wins, a verified version
 * always. What is chosen across chains is the selection's business, as ever.
 *
 * With stop=verified the chains go in step, and none goes on once a version was verified: what is written
 * does not depend on which was faster.
 *
 * Where we differ: a version is scored by itself (their reward model for revisions reads those before it
 * too); the policy sees all versions before (theirs the last four); a verified version ends its chain (theirs
 * have no verifier, and run on).
 */
#include <math.h>
#include <stdlib.h>

#include "base/aggregate.h"
#include "base/mem.h"
#include "search/strategies.h"

enum { VERSIONS_ALL, VERSIONS_BEST };

static const char *const versions[] = {"all", "best", NULL};

struct version {
    int node, answer_class; /* -1: has none, or did not end */
    double weight;
};

struct tally { /* of a class of equal answers within a chain */
    int answer_class;
    double sum;
};

struct chain {
    int last;   /* version; 0: none yet */
    int n_left; /* versions to write */
    bool is_over;
    struct version *versions; /* [n_versions] told, with versions=best */
    struct tally *tallies;    /* [n_tallies] in the order in which the classes appeared */
    size_t n_versions, cap_versions, n_tallies, cap_tallies;
};

struct revise {
    struct search search;
    struct chain *chains; /* [n_chains]; a node's tag is its chain */
    int n_chains, n_waiting;
    bool in_step;
};

static int param(const struct revise *x, const char *key) {
    return (int)search_spec_get(&x->search.spec, key);
}

static void write_version(struct revise *x, int i_chain) {
    struct chain *c = &x->chains[i_chain];
    c->n_left--;
    if (c->last) {
        c->last = search_want_lead(&x->search, c->last, true, TREE_LEAD_REVISE);
        search_want_feedback(&x->search);
    } else {
        c->last = search_want_expand(&x->search, 0, true);
    }
    tree_get(&x->search.tree, c->last)->tag = i_chain;
    x->n_waiting++;
}

/* ---- the best version of a chain ---- */
static double weight_of(const struct revise *x, int node) {
    double weight = 1;
    if (x->search.context.has_reward)
        weight = search_path_reward(&x->search, node, (enum aggregate)param(x, "aggregate"));
    return isnan(weight) ? 0 : weight;
}

static struct tally *tally_of(struct chain *c, int answer_class) {
    for (size_t i = 0; i < c->n_tallies; i++)
        if (c->tallies[i].answer_class == answer_class) return &c->tallies[i];
    MEM_GROW(c->tallies, c->cap_tallies, c->n_tallies + 1);
    c->tallies[c->n_tallies] = (struct tally){.answer_class = answer_class};
    return &c->tallies[c->n_tallies++];
}

static void count_version(struct revise *x, struct chain *c, int node) {
    const struct tree_node *v = tree_get(&x->search.tree, node);
    struct version version = {.node = node, .answer_class = -1};
    if (v->state == TREE_SOLUTION && v->answer_class >= 0) {
        version.answer_class = v->answer_class;
        version.weight = weight_of(x, node);
        tally_of(c, v->answer_class)->sum += version.weight;
    }
    MEM_GROW(c->versions, c->cap_versions, c->n_versions + 1);
    c->versions[c->n_versions++] = version;
}

/* The number of the version that is best; -1 where none has an answer. */
static int best_version(const struct revise *x, const struct chain *c) {
    const struct tally *most = NULL;
    int best = -1, last = (int)c->n_versions - 1;
    if (x->search.tree.nodes[c->versions[last].node].verdict == 1) return last;
    for (size_t i = 0; i < c->n_tallies; i++)
        if (!most || c->tallies[i].sum > most->sum) most = &c->tallies[i];
    for (int i = 0; i <= last && most; i++) {
        if (c->versions[i].answer_class != most->answer_class) continue;
        if (best < 0 || c->versions[i].weight > c->versions[best].weight) best = i;
    }
    return best;
}

static void choose_version(struct revise *x, struct chain *c) {
    int best = best_version(x, c);
    for (int i = 0; i < (int)c->n_versions && best >= 0; i++) {
        struct tree_node *v = tree_get(&x->search.tree, c->versions[i].node);
        v->outvoted = i != best && v->state != TREE_FAILED;
    }
}

/* ---- going on ---- */
static void next_in_step(struct revise *x) {
    if (search_may_stop(&x->search)) return;
    for (int i = 0; i < x->n_chains; i++)
        if (!x->chains[i].is_over) write_version(x, i);
}

static void version_done(struct revise *x, int node) {
    const struct tree_node *v = tree_get(&x->search.tree, node);
    struct chain *c = &x->chains[v->tag];
    c->is_over = c->n_left == 0 || v->state == TREE_FAILED || v->verdict == 1;
    if (param(x, "versions") == VERSIONS_BEST) {
        count_version(x, c, node);
        choose_version(x, c);
    }
    x->n_waiting--;
    if (!x->in_step && !c->is_over) write_version(x, v->tag);
    if (x->in_step && x->n_waiting == 0) next_in_step(x);
}

static void told_node(struct search *s, int node) {
    if (s->context.has_reward && tree_get(&s->tree, node)->state == TREE_SOLUTION)
        search_want_score(s, node);
    else
        version_done((struct revise *)s, node);
}

static void told_score(struct search *s, int node) {
    version_done((struct revise *)s, node);
}

static void init(struct search *s) {
    struct revise *x = (struct revise *)s;
    int n = param(x, "n");
    x->in_step = param(x, "stop") == SEARCH_STOP_VERIFIED;
    x->n_chains = MAX(1, n / param(x, "length"));
    x->chains = mem_zalloc((size_t)x->n_chains, sizeof *x->chains);
    for (int i = 0; i < x->n_chains; i++) {
        x->chains[i].n_left = n / x->n_chains + (i < n % x->n_chains);
        write_version(x, i);
    }
}

static void fini(struct search *s) {
    struct revise *x = (struct revise *)s;
    for (int i = 0; i < x->n_chains; i++) {
        free(x->chains[i].versions);
        free(x->chains[i].tallies);
    }
    free(x->chains);
}

static const struct search_ops ops = {.size = sizeof(struct revise),
                                      .init = init,
                                      .fini = fini,
                                      .told_node = told_node,
                                      .told_score = told_score};

static const struct search_param params[] = {
    {"n", SEARCH_PARAM_INT, 16, 1, 4096, NULL, "solutions, revisions among them", false},
    {"length", SEARCH_PARAM_INT, 4, 1, 256, NULL,
     "versions one after the other: n/length chains side by side", false},
    {"versions", SEARCH_PARAM_CHOICE, VERSIONS_ALL, 0, VERSIONS_BEST, versions,
     "which vote: all, or of each chain the best of its most rewarded answer", true},
    {"aggregate", SEARCH_PARAM_CHOICE, NAN, 0, AGGREGATES - 1, aggregate_names,
     "versions=best: of a version's rewards", false},
    SEARCH_PARAM_STOP,
    SEARCH_PARAM_FEEDBACK,
    SEARCH_SAMPLING_PARAMS,
};

const struct search_strategy search_revise = {
    .name = "revise",
    .summary = "n solutions in n/length chains, each but the first of a chain a revision of the one before",
    .source = "Snell et al. 2024 (2408.03314), section 6",
    .example = "revise:n=16,length=4",
    .revises = true,
    .params = params,
    .n_params = (int)ARRAY_LEN(params),
    .ops = &ops,
};
