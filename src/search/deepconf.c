/* deepconf.c - traces whose tokens the policy itself is unsure of are ended early (Fu et al. 2025, "Deep
 * think with confidence", DeepConf online, 2508.15260).
 *
 *     warm-up   `warmup` traces are written to their end; each is worth its lowest group (base/confidence.h).
 *               The bar is where the `keep` best of them begin: keep=0.1 is the paper's DeepConf-low, 0.9 its
 *               DeepConf-high. Those below the bar are given up.
 *     then      `width` traces at a time, step by step; one whose lowest group falls below the bar is given
 * up at once, and its pages are free for others. When all of them are over, the answers are voted on, each
 * weighing its lowest group; if the first has `consensus` of the weight, no more begin.
 *
 * Where we differ. The paper begins a trace whenever one ends; here the vote is looked at when all of a width
 * are over, so that what is written does not depend on which ended first (width=1 is the paper's rule). Its
 * published code begins all at once and has no consensus (width=n does that, consensus=0 too). A trace is
 * looked at after each step instead of after each token: it may be up to a step longer. The window is 2048
 * tokens there, so that traces shorter than it are never ended; window=0 takes a quarter of the median
 * warm-up trace, 2048 at most. The code's seeds come from the clock; ours replay.
 *
 * A trace shorter than the window is judged as one group, when it has ended. With a verifier nothing begins
 * behind a solution that it passed.
 */
#include <math.h>
#include <stdlib.h>

#include "base/confidence.h"
#include "base/mem.h"
#include "search/strategies.h"

struct trace {
    int top, tip; /* its first node, and its last */
    struct confidence_run run;
};

struct deepconf {
    struct search search;
    struct trace *traces; /* [n_traces] begun; tree_node.tag says which a node is of */
    size_t n_traces, cap;
    int n_running;
    bool warm; /* the bar is known */
    double bar;
    int window;
};

static double param(const struct deepconf *x, const char *key) {
    return search_spec_get(&x->search.spec, key);
}

static void write_on(struct deepconf *x, int node, int trace, bool until_end) {
    int child = search_want_expand(&x->search, node, until_end);
    search_want_confidences(&x->search, (int)param(x, "top"));
    tree_get(&x->search.tree, child)->tag = trace;
    if (node == 0) x->traces[trace].top = child;
    x->traces[trace].tip = child;
}

static void begin(struct deepconf *x, int n) {
    for (int i = 0; i < n; i++) {
        MEM_GROW(x->traces, x->cap, x->n_traces + 1);
        x->traces[x->n_traces] = (struct trace){0};
        if (x->warm) confidence_run_init(&x->traces[x->n_traces].run, x->window);
        write_on(x, 0, (int)x->n_traces++, !x->warm);
    }
    x->n_running += n;
}

static void init(struct search *s) {
    struct deepconf *x = (struct deepconf *)s;
    begin(x, MIN((int)param(x, "warmup"), (int)param(x, "n")));
}

static void fini(struct search *s) {
    struct deepconf *x = (struct deepconf *)s;
    for (size_t i = 0; i < x->n_traces; i++) confidence_run_free(&x->traces[i].run);
    free(x->traces);
}

/* ---- what an ended trace comes to ---- */

static void judge(struct deepconf *x, int node) {
    const struct tree_node *v = tree_get(&x->search.tree, node);
    struct trace *t = &x->traces[v->tag];
    if (v->state == TREE_FAILED) return;
    if (confidence_run_lowest(&t->run) < x->bar) /* not if it has no tokens */
        search_want_drop(&x->search, t->top);
    else if (v->state == TREE_SOLUTION && x->search.context.has_reward)
        search_want_score_path(&x->search, node);
}

/* Warm-up traces are one node each. */
static void end_warmup(struct deepconf *x) {
    const int n = (int)x->n_traces;
    int *lengths = mem_zalloc((size_t)n, sizeof *lengths), n_known = 0;
    double *lowest = mem_zalloc((size_t)n, sizeof *lowest);
    for (int i = 0; i < n; i++) lengths[i] = tree_get(&x->search.tree, x->traces[i].top)->n_tokens;
    x->window = param(x, "window") > 0 ? (int)param(x, "window") : confidence_window(lengths, n);
    for (int i = 0; i < n; i++) {
        const struct tree_node *v = tree_get(&x->search.tree, x->traces[i].top);
        confidence_run_init(&x->traces[i].run, x->window);
        confidence_run_add(&x->traces[i].run, v->confidences, v->n_confidences);
        if (v->n_confidences > 0) lowest[n_known++] = confidence_run_lowest(&x->traces[i].run);
    }
    x->bar = n_known > 0 ? confidence_quantile(lowest, n_known, 1 - param(x, "keep")) : -INFINITY;
    x->warm = true;
    free(lengths);
    free(lowest);
    for (int i = 0; i < n; i++) judge(x, x->traces[i].top);
}

/* ---- enough? ---- */
static bool agree(const struct deepconf *x) {
    const struct tree *t = &x->search.tree;
    int n_classes = 0;
    double total = 0, most = 0;
    for (size_t i = 1; i < t->n_nodes; i++) n_classes = MAX(n_classes, t->nodes[i].answer_class + 1);
    double *weights = mem_zalloc((size_t)MAX(n_classes, 1), sizeof *weights);
    for (size_t i = 0; i < x->n_traces; i++) { /* in the order of the traces: the sums have one order */
        const struct tree_node *v = &t->nodes[x->traces[i].tip];
        if (v->state != TREE_SOLUTION || v->dropped || v->answer_class < 0) continue;
        const double weight = confidence_run_lowest(&x->traces[i].run);
        if (isnan(weight)) continue;
        weights[v->answer_class] += weight;
        most = fmax(most, weights[v->answer_class]);
        total += weight;
    }
    free(weights);
    return total > 0 && most >= param(x, "consensus") * total;
}

static void one_over(struct deepconf *x) {
    if (--x->n_running > 0) return;
    if (!x->warm) end_warmup(x);
    const int n_left = (int)param(x, "n") - (int)x->n_traces;
    if (n_left == 0 || search_is_verified(&x->search) || (param(x, "consensus") > 0 && agree(x))) return;
    begin(x, MIN(n_left, (int)param(x, "width")));
}

static void told_node(struct search *s, int node) {
    struct deepconf *x = (struct deepconf *)s;
    const struct tree_node *v = tree_get(&s->tree, node);
    struct trace *t = &x->traces[v->tag];
    if (!x->warm) {
        one_over(x);
        return;
    }
    confidence_run_add(&t->run, v->confidences, v->n_confidences);
    if (v->state == TREE_OPEN && t->run.lowest >= x->bar) {
        write_on(x, node, v->tag, false);
        return;
    }
    if (v->state == TREE_OPEN)
        search_want_drop(s, t->top);
    else
        judge(x, node);
    one_over(x);
}

static void told_score(struct search *s, int node) {
    UNUSED(s);
    UNUSED(node);
}

static const struct search_ops ops = {.size = sizeof(struct deepconf),
                                      .init = init,
                                      .fini = fini,
                                      .told_node = told_node,
                                      .told_score = told_score};

static const struct search_param params[] = {
    {"n", SEARCH_PARAM_INT, 64, 1, 100000, NULL, "traces, at most", false},
    {"warmup", SEARCH_PARAM_INT, 16, 1, 4096, NULL, "of these, written to their end to set the bar", false},
    {"keep", SEARCH_PARAM_REAL, 0.9, 0, 1, NULL, "share of traces to keep: 0.1 (low) saves most, 0.9 (high)",
     false},
    {"window", SEARCH_PARAM_INT, 0, 0, 1 << 20, NULL,
     "tokens of a group; 0: a quarter of the median warm-up trace, 2048 at most", false},
    {"consensus", SEARCH_PARAM_REAL, 0.95, 0, 1, NULL, "enough for one answer, of the weight; 0: never",
     false},
    {"width", SEARCH_PARAM_INT, 16, 1, 4096, NULL, "traces written side by side, after the warm-up", false},
    {"top", SEARCH_PARAM_INT, 20, 1, 1000, NULL, "likeliest tokens that a confidence is taken over", false},
    SEARCH_SAMPLING_PARAMS,
};

const struct search_strategy search_deepconf = {
    .name = "deepconf",
    .summary = "samples, of which those that the policy is unsure of are ended early",
    .source = "Fu et al. 2025 (2508.15260)",
    .example = "deepconf:n=128,keep=0.1",
    .needs_confidences = true,
    .params = params,
    .n_params = (int)ARRAY_LEN(params),
    .ops = &ops,
};
