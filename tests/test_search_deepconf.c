/* test_search_deepconf.c - deepconf against its rule restated plainly, in any order of telling; and what it
 * comes to on an exact chain, by enumeration. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "model/toy_chain.h"
#include "search/search.h"

enum { TRACES_MAX = 64, STEPS_MAX = 8, TOKENS_MAX = 128, CLASSES = 3 };

/* ---- traces as they would be written ---- */
struct trace {
    int n_steps, n_tokens[STEPS_MAX]; /* of each step */
    float confidences[TOKENS_MAX];
    enum search_finish finish; /* of the last step */
    int answer_class;
};

static struct trace random_trace(uint64_t seed, int i) {
    const uint64_t key = rng_child(seed, (uint64_t)i);
    const double level = 2 + 3 * rng_unit(key, 900); /* some are surer than others */
    struct trace t = {.n_steps = 1 + (int)rng_below(key, 901, STEPS_MAX), .finish = SEARCH_END};
    int n = 0;
    for (int k = 0; k < t.n_steps; k++) {
        t.n_tokens[k] = 1 + (int)rng_below(key, 910 + (uint64_t)k, 12);
        for (int j = 0; j < t.n_tokens[k]; j++, n++)
            t.confidences[n] = (float)(level + 4 * rng_unit(key, (uint64_t)n));
    }
    const int kind = (int)rng_below(key, 902, 20);
    if (kind == 0) t.finish = SEARCH_FAILED;
    if (kind == 1) t.finish = SEARCH_LENGTH;
    t.answer_class = kind == 2 ? -1 : (int)rng_below(key, 903, CLASSES);
    return t;
}

/* ---- the search, driven in a random order ---- */
struct played {
    int n_begun, n_steps[TRACES_MAX];
    bool dropped[TRACES_MAX];
    double weights[CLASSES];
};

static int trace_of(const struct tree *t, int node) {
    while (t->nodes[node].parent > 0) node = t->nodes[node].parent;
    return t->nodes[node].index;
}

static void tell(struct search *s, int node, const struct trace *t) {
    const struct tree_node *v = &search_tree(s)->nodes[node];
    struct search_told told = {.verdict = -1, .answer_class = -1};
    int first = 0, k = v->depth - 1;
    for (int i = 0; i < k; i++) first += t->n_tokens[i];
    int last = v->until_end ? t->n_steps - 1 : k;
    for (int i = k; i <= last; i++) told.n_tokens += t->n_tokens[i];
    told.finish = last == t->n_steps - 1 ? t->finish : SEARCH_STEP;
    if (told.finish == SEARCH_END) told.answer_class = t->answer_class;
    if (told.finish == SEARCH_FAILED) told.n_tokens = 0;
    told.confidences = t->confidences + first;
    told.n_confidences = told.n_tokens;
    search_tell_node(s, node, &told);
}

static bool is_below(const struct tree *t, int node, int top) {
    while (node > top) node = t->nodes[node].parent;
    return node == top;
}

static void play(const struct search_spec *spec, const struct trace *traces, uint64_t order,
                 struct played *out) {
    const struct search_context context = {.problem_key = 5, .n_tokens_answer_max = 1000};
    struct err e;
    struct search *s = search_new(spec, &context, &e);
    const struct tree *t = search_tree(s);
    struct search_ask ask;
    int open[TRACES_MAX], n_open = 0;
    for (uint64_t turn = 0; !search_done(s); turn++) {
        while (rng_below(order, 2 * turn, 5) > 0 && search_ask(s, &ask)) {
            if (ask.op == SEARCH_DROP) {
                for (int i = n_open - 1; i >= 0; i--)
                    if (is_below(t, open[i], ask.node)) open[i] = open[--n_open];
                continue;
            }
            assert_int_equal(ask.op, SEARCH_EXPAND);
            assert_int_equal(ask.n_top, (int)search_spec_get(spec, "top"));
            open[n_open++] = ask.node;
        }
        if (n_open == 0) continue;
        const int i = (int)rng_below(order, 2 * turn + 1, (uint64_t)n_open), node = open[i];
        open[i] = open[--n_open];
        tell(s, node, &traces[trace_of(t, node)]);
        tree_check(t);
    }
    *out = (struct played){.n_begun = t->nodes[0].n_children};
    for (size_t i = 1; i < t->n_nodes; i++) {
        const int trace = trace_of(t, (int)i);
        if (t->nodes[i].state != TREE_ASKED) out->n_steps[trace]++;
        if (t->nodes[i].parent == 0) out->dropped[trace] = t->nodes[i].dropped;
    }
    search_free(s);
}

/* ---- the rule, restated ---- */
static double lowest_group(const float *c, int n, int window, bool full_only) {
    double least = INFINITY;
    if (n < window && full_only) return INFINITY;
    if (n < window) window = n;
    for (int end = window; end <= n && n > 0; end++) {
        double sum = 0;
        for (int i = end - window; i < end; i++) sum += (double)c[i];
        least = fmin(least, sum / window);
    }
    return n > 0 ? least : NAN;
}

static int ascending(const void *a, const void *b) {
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static int tokens_of(const struct trace *t) {
    int n = 0;
    for (int i = 0; i < t->n_steps; i++) n += t->n_tokens[i];
    return t->finish == SEARCH_FAILED ? n - t->n_tokens[t->n_steps - 1] : n;
}

/* Whether one answer has the share of the weight of those that ended and were not dropped. */
static bool agreed(const struct trace *traces, struct played *out, int window, double consensus) {
    double total = 0;
    memset(out->weights, 0, sizeof out->weights);
    for (int i = 0; i < out->n_begun; i++) {
        const struct trace *t = &traces[i];
        if (out->dropped[i] || t->finish != SEARCH_END || t->answer_class < 0) continue;
        const double w = lowest_group(t->confidences, tokens_of(t), window, false);
        out->weights[t->answer_class] += w;
        total += w;
    }
    for (int c = 0; c < CLASSES; c++)
        if (total > 0 && consensus > 0 && out->weights[c] >= consensus * total) return true;
    return false;
}

static void restate(const struct search_spec *spec, const struct trace *traces, struct played *out) {
    const int n = (int)search_spec_get(spec, "n"), width = (int)search_spec_get(spec, "width");
    const int warmup = MIN(n, (int)search_spec_get(spec, "warmup"));
    const double keep = search_spec_get(spec, "keep"), consensus = search_spec_get(spec, "consensus");
    double lowest[TRACES_MAX], lengths[TRACES_MAX], bar = -INFINITY;
    int window = (int)search_spec_get(spec, "window"), n_known = 0;
    *out = (struct played){.n_begun = warmup};
    for (int i = 0; i < warmup; i++) /* a warm-up trace that fails has written nothing */
        lengths[i] = traces[i].finish == SEARCH_FAILED ? 0 : tokens_of(&traces[i]);
    qsort(lengths, (size_t)warmup, sizeof *lengths, ascending);
    if (window == 0) window = MIN(MAX((int)lengths[warmup / 2] / 4, 1), 2048);
    for (int i = 0; i < warmup; i++) {
        out->n_steps[i] = 1;
        if (traces[i].finish == SEARCH_FAILED) continue;
        lowest[n_known++] = lowest_group(traces[i].confidences, tokens_of(&traces[i]), window, false);
    }
    if (n_known > 0) {
        qsort(lowest, (size_t)n_known, sizeof *lowest, ascending);
        const double at = (1 - keep) * (n_known - 1);
        const int below = (int)floor(at);
        bar = lowest[below] + (below + 1 < n_known ? (at - below) * (lowest[below + 1] - lowest[below]) : 0);
    }
    for (int i = 0; i < warmup; i++)
        out->dropped[i] = traces[i].finish != SEARCH_FAILED &&
                          lowest_group(traces[i].confidences, tokens_of(&traces[i]), window, false) < bar;
    while (out->n_begun < n && !agreed(traces, out, window, consensus)) {
        const int end = MIN(n, out->n_begun + width);
        for (int i = out->n_begun; i < end; i++) {
            const struct trace *t = &traces[i];
            for (int k = 0, n_so_far = 0; k < t->n_steps && !out->dropped[i]; k++) {
                const bool last = k == t->n_steps - 1;
                out->n_steps[i]++;
                if (last && t->finish == SEARCH_FAILED) break;
                n_so_far += t->n_tokens[k];
                out->dropped[i] = lowest_group(t->confidences, n_so_far, window, !last) < bar;
            }
        }
        out->n_begun = end;
    }
    agreed(traces, out, window, 0);
}

static struct search_spec spec_of(const char *text) {
    struct search_spec spec;
    struct err e;
    if (!search_spec_parse(&spec, text, &e)) fail_msg("%s", e.msg);
    search_spec_recommend(&spec, "temperature", 1);
    search_spec_recommend(&spec, "top_p", 1);
    search_spec_recommend(&spec, "min_p", 0);
    search_spec_recommend(&spec, "top_k", 0);
    return spec;
}

static void the_rule_decides_in_any_order(void **state) {
    UNUSED(state);
    static const char *const texts[] = {
        "deepconf:n=40,warmup=8,keep=0.5,window=6,width=7",
        "deepconf:n=40,warmup=8,keep=0.1,width=4,window=0",
        "deepconf:n=40,warmup=16,keep=0.9,width=40",
        "deepconf:n=30,warmup=4,consensus=0.6,width=3",
        "deepconf:n=20,warmup=5,consensus=0,keep=0.3",
        "deepconf:n=3,warmup=9,keep=0.4",
        "deepconf:n=12,warmup=1,width=1,consensus=0.5",
        "deepconf-online:n=60",
        "deepconf-online:n=60,window=20",
    };
    int n_dropped = 0, n_short = 0, n_cut_off = 0;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        const struct search_spec spec = spec_of(texts[i]);
        for (uint64_t seed = 0; seed < 60; seed++) {
            struct trace traces[TRACES_MAX];
            struct played want, got;
            for (int k = 0; k < TRACES_MAX; k++) traces[k] = random_trace(rng_child(seed, i), k);
            restate(&spec, traces, &want);
            for (uint64_t order = 0; order < 3; order++) {
                play(&spec, traces, rng_child(order, seed), &got);
                assert_int_equal(got.n_begun, want.n_begun);
                assert_memory_equal(got.n_steps, want.n_steps, sizeof got.n_steps);
                assert_memory_equal(got.dropped, want.dropped, sizeof got.dropped);
            }
            n_short += want.n_begun < (int)search_spec_get(&spec, "n");
            for (int k = 0; k < want.n_begun; k++) {
                n_dropped += want.dropped[k];
                n_cut_off += want.n_steps[k] > 0 && want.n_steps[k] < traces[k].n_steps &&
                             k >= (int)search_spec_get(&spec, "warmup");
            }
        }
    }
    assert_true(n_dropped > 500 && n_short > 50 && n_cut_off > 500);
}

static void the_published_parameters_are_the_presets(void **state) {
    UNUSED(state);
    const struct search_spec spec = spec_of("deepconf-online");
    struct buf text = {0};
    search_spec_print(&spec, &text);
    assert_string_equal(buf_cstr(&text),
                        "deepconf:n=256,warmup=16,keep=0.1,window=2048,consensus=0,width=240,"
                        "top=20,temperature=0.6,top_p=0.95,min_p=0,top_k=0");
    buf_free(&text);
}

/* ---- an exact chain ---- */

/* Of one token a step: minus the mean log-probability of all values. */
static double chain_confidence(const double *probs, int n) {
    double sum = 0;
    for (int v = 0; v < n; v++) sum -= log(probs[v]) / n;
    return sum;
}

static struct trace chain_trace(const struct toy_chain *c, int path, double *probability) {
    const int n = c->params.branch, depth = c->params.depth;
    struct trace t = {.n_steps = depth, .finish = SEARCH_END};
    *probability = 1;
    for (int level = 0, value = 0; level < depth; level++, path /= n) {
        double probs[TOY_BRANCH_MAX];
        toy_chain_step(c, level, value, probs);
        value = path % n;
        t.n_tokens[level] = 1;
        t.confidences[level] = (float)chain_confidence(probs, n);
        *probability *= probs[value];
        t.answer_class = value;
    }
    return t;
}

/* The first of the classes with most weight is the right one. */
static double chance(const struct played *p, int right) {
    int best = 0;
    for (int c = 1; c < CLASSES; c++)
        if (p->weights[c] > p->weights[best]) best = c;
    return p->weights[best] > 0 && best == right;
}

static void success_on_a_chain_is_what_enumeration_says(void **state) {
    UNUSED(state);
    struct toy_params params;
    struct toy_chain chain;
    struct err e;
    enum { N = 4 };
    assert_true(toy_params_parse(&params, "depth=2,branch=3,p=0.7,q=0.1,seed=2", &e));
    toy_chain_init(&chain, &params, "a chain");
    const int right = chain.right[2], n_paths = 9;
    const struct search_spec spec =
        spec_of("deepconf:n=4,warmup=2,keep=0.5,window=1,consensus=0,width=2,top=3");
    double deepconf = 0, majority = 0, total = 0, n_steps = 0;
    for (int i = 0; i < n_paths * n_paths * n_paths * n_paths; i++) {
        struct trace traces[TRACES_MAX];
        struct played played, want;
        double p = 1;
        int votes[CLASSES] = {0};
        for (int k = 0, paths = i; k < N; k++, paths /= n_paths) {
            double one;
            traces[k] = chain_trace(&chain, paths % n_paths, &one);
            votes[traces[k].answer_class]++;
            p *= one;
        }
        restate(&spec, traces, &want);
        play(&spec, traces, 1, &played);
        assert_memory_equal(played.dropped, want.dropped, sizeof want.dropped);
        assert_memory_equal(played.n_steps, want.n_steps, sizeof want.n_steps);
        for (int k = 0; k < N; k++) n_steps += p * (k < 2 ? 2 : played.n_steps[k]);
        int best = 0;
        for (int c = 1; c < CLASSES; c++)
            if (votes[c] > votes[best]) best = c;
        deepconf += p * chance(&want, right);
        majority += p * (best == right);
        total += p;
    }
    assert_true(fabs(total - 1) < 1e-12);
    /* Behind a right first step the chain is surer of the second: those that went wrong are given up. */
    assert_true(deepconf > majority);
    assert_true(n_steps <= 8);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rule_decides_in_any_order),
        cmocka_unit_test(the_published_parameters_are_the_presets),
        cmocka_unit_test(success_on_a_chain_is_what_enumeration_says),
    };
    return cmocka_run_group_tests_name("search_deepconf", tests, NULL, NULL);
}
