/* test_search_force.c - budget forcing against its rule restated for one sample; candidates of a tree; and
 * the chance of success on an exact chain. */
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

enum { TOTAL = 100, NODES_MAX = 400 };

/* What a node comes to is decided by its key: how many tokens it would write before it ends, or that it
 * fails. */
static int wants(uint64_t key) {
    return 1 + (int)rng_below(key, 1, 60);
}

static bool fails(uint64_t key) {
    return rng_below(key, 2, 10) == 0;
}

/* ---- the rule for one sample, restated: what is asked, in words ---- */
struct rule {
    int waits, min, max, answer;
};

static void restate(const struct rule *r, uint64_t key, struct buf *out) {
    const int answer = MIN(r->answer, TOTAL - 1);
    const int max = r->max > 0 ? MIN(r->max, TOTAL - answer) : TOTAL - answer;
    int n_thought = 0, n_waits = 0;
    const char *lead = "none";
    for (;;) {
        buf_printf(out, "%s %d, ", lead, max - n_thought);
        if (fails(key)) break;
        const bool ended = wants(key) <= max - n_thought;
        n_thought += MIN(wants(key), max - n_thought);
        key = rng_child(key, 0);
        if (!ended) {
            if (answer > 0) buf_printf(out, "answer %d, ", answer);
            break;
        }
        if (n_waits == r->waits || (r->min > 0 && n_thought >= r->min) || n_thought == max) break;
        n_waits++;
        lead = "wait";
    }
}

/* ---- the search ---- */
static const char *const lead_names[] = {"none", "revise", "wait", "answer"};

static void tell(struct search *s, const struct search_ask *ask) {
    const uint64_t key = search_tree(s)->nodes[ask->node].key;
    const int n = MIN(wants(key), ask->n_tokens_max);
    struct search_told told = {.finish = n == wants(key) ? SEARCH_END : SEARCH_LENGTH,
                               .n_tokens = n,
                               .answer_class = -1,
                               .verdict = -1};
    if (told.finish == SEARCH_END) told.answer_class = 0;
    if (fails(key)) told = (struct search_told){.finish = SEARCH_FAILED, .answer_class = -1, .verdict = -1};
    search_tell_node(s, ask->node, &told);
}

static struct search *search_of(const char *text, uint64_t key, bool has_reward) {
    const struct search_context context = {
        .problem_key = key, .has_reward = has_reward, .n_tokens_answer_max = TOTAL};
    struct search_spec spec;
    struct err e;
    if (!search_spec_parse(&spec, text, &e)) fail_msg("%s", e.msg);
    search_spec_recommend(&spec, "temperature", 1);
    search_spec_recommend(&spec, "top_p", 1);
    search_spec_recommend(&spec, "min_p", 0);
    search_spec_recommend(&spec, "top_k", 0);
    struct search *s = search_new(&spec, &context, &e);
    assert_non_null(s);
    return s;
}

static int sample_of(const struct tree *t, int node) {
    while (t->nodes[node].parent > 0) node = t->nodes[node].parent;
    return t->nodes[node].index;
}

static void samples_follow_the_rule(void **state) {
    UNUSED(state);
    static const struct rule rules[] = {{1, 0, 0, 64},  {3, 0, 70, 10}, {4, 50, 0, 5},  {0, 0, 20, 8},
                                        {2, 0, 100, 0}, {9, 99, 0, 20}, {5, 0, 90, 200}};
    enum { N = 3 };
    int n_waits = 0, n_answers = 0;
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        const struct rule *r = &rules[i];
        char text[120];
        snprintf(text, sizeof text, "budget-forcing:n=%d,waits=%d,min=%d,max=%d,answer=%d", N, r->waits,
                 r->min, r->max, r->answer);
        for (uint64_t seed = 0; seed < 100; seed++) {
            struct search *s = search_of(text, rng_child(seed, 7), false);
            struct buf got[N] = {0}, want[N] = {0};
            struct search_ask open[N + 1];
            int n_open = 0;
            for (uint64_t turn = 0; !search_done(s); turn++) {
                while (search_ask(s, &open[n_open])) {
                    const struct search_ask *ask = &open[n_open++];
                    assert_true(ask->until_end && ask->n_top == 0);
                    buf_printf(&got[sample_of(search_tree(s), ask->node)], "%s %d, ", lead_names[ask->lead],
                               ask->n_tokens_max);
                }
                const int at = (int)rng_below(seed, turn, (uint64_t)n_open);
                const struct search_ask ask = open[at];
                open[at] = open[--n_open];
                tell(s, &ask);
                tree_check(search_tree(s));
            }
            for (int k = 0; k < N; k++) {
                restate(r, rng_child(rng_child(seed, 7), (uint64_t)k), &want[k]);
                assert_string_equal(buf_cstr(&got[k]), buf_cstr(&want[k]));
                n_waits += strstr(buf_cstr(&got[k]), "wait") != NULL;
                n_answers += strstr(buf_cstr(&got[k]), "answer") != NULL;
                buf_free(&got[k]);
                buf_free(&want[k]);
            }
            search_free(s);
        }
    }
    assert_true(n_waits > 300 && n_answers > 300);
}

/* What stands is scored, part by part, and nothing else is. */
static void what_stands_is_scored(void **state) {
    UNUSED(state);
    int n_scored = 0;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct search *s = search_of("budget-forcing:n=4,waits=2,max=80,answer=20", seed, true);
        const struct tree *t = search_tree(s);
        struct search_ask ask;
        static const float one = 0.5f;
        while (search_ask(s, &ask)) {
            if (ask.op == SEARCH_EXPAND)
                tell(s, &ask);
            else
                search_tell_score(s, ask.node, &one, 1);
        }
        assert_true(search_done(s));
        int *candidates = mem_zalloc(t->n_nodes, sizeof *candidates);
        bool *wanted = mem_zalloc(t->n_nodes, sizeof *wanted);
        const int n = tree_candidates(t, candidates);
        assert_in_range(n, 0, 4); /* a sample has one at most */
        for (int i = 0; i < n; i++)
            for (int k = candidates[i]; k > 0 && t->nodes[candidates[i]].state == TREE_SOLUTION;
                 k = t->nodes[k].parent)
                wanted[k] = true;
        for (size_t i = 1; i < t->n_nodes; i++) {
            assert_int_equal(t->nodes[i].n_rewards == 1, wanted[i]);
            n_scored += wanted[i];
        }
        free(candidates);
        free(wanted);
        search_free(s);
    }
    assert_true(n_scored > 200);
}

/* ---- candidates: every pair of nodes looked at ---- */
static bool same_solution(const struct tree *t, int above, int below) {
    for (int i = below; i > above; i = t->nodes[i].parent)
        if (t->nodes[i].lead == TREE_LEAD_REVISE) return false;
    int i = below;
    while (i > above) i = t->nodes[i].parent;
    return i == above && below != above;
}

static bool slow_is_candidate(const struct tree *t, int node) {
    const struct tree_node *v = &t->nodes[node];
    bool stands = !v->dropped && (v->state == TREE_SOLUTION || v->state == TREE_CUT);
    for (int i = node + 1; i < (int)t->n_nodes; i++) {
        const struct tree_node *w = &t->nodes[i];
        if (w->dropped || !same_solution(t, node, i)) continue;
        if (w->state == TREE_SOLUTION || (w->state == TREE_CUT && v->state == TREE_CUT)) stands = false;
    }
    for (int i = 1; i < node; i++)
        if (v->state == TREE_CUT && t->nodes[i].state == TREE_SOLUTION && same_solution(t, i, node))
            stands = false;
    return stands;
}

static void candidates_are_those_that_nothing_replaces(void **state) {
    UNUSED(state);
    int n_replaced = 0, n_all = 0;
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct tree t;
        tree_init(&t, seed);
        for (uint64_t i = 0; i < 60; i++) {
            const int parent = (int)rng_below(seed, 10 * i, t.n_nodes);
            const enum tree_state state_of_parent = t.nodes[parent].state;
            enum tree_lead lead = (enum tree_lead)rng_below(seed, 10 * i + 1, 4);
            if (t.nodes[parent].dropped || state_of_parent == TREE_FAILED) continue;
            if (state_of_parent == TREE_SOLUTION && lead == TREE_LEAD_NONE) lead = TREE_LEAD_WAIT;
            if (state_of_parent == TREE_CUT && lead != TREE_LEAD_REVISE) lead = TREE_LEAD_ANSWER;
            if (state_of_parent == TREE_OPEN && lead == TREE_LEAD_REVISE) lead = TREE_LEAD_NONE;
            struct tree_node *v = tree_get(&t, tree_add_lead(&t, parent, lead));
            static const enum tree_state states[] = {TREE_OPEN, TREE_OPEN, TREE_SOLUTION, TREE_CUT,
                                                     TREE_FAILED};
            v->state = states[rng_below(seed, 10 * i + 2, 5)];
            if (rng_below(seed, 10 * i + 3, 15) == 0) tree_drop(&t, (int)(v - t.nodes));
        }
        tree_check(&t);
        int *found = mem_zalloc(t.n_nodes, sizeof *found), n = tree_candidates(&t, found), n_wanted = 0;
        for (int i = 0; i + 1 < n; i++) assert_true(tree_compare(&t, found[i], found[i + 1]) < 0);
        for (int i = 1; i < (int)t.n_nodes; i++) {
            bool is_found = false;
            for (int k = 0; k < n; k++) is_found |= found[k] == i;
            assert_int_equal(is_found, slow_is_candidate(&t, i));
            n_wanted += is_found;
            const bool ended = t.nodes[i].state == TREE_SOLUTION || t.nodes[i].state == TREE_CUT;
            n_replaced += ended && !t.nodes[i].dropped && !is_found;
        }
        n_all += n_wanted;
        free(found);
        tree_fini(&t);
    }
    assert_true(n_all > 1000 && n_replaced > 300);
}

/* ---- an exact chain: cut off after m steps, the answer is forced ---- */

/* The chance to be right at a level, by going over all paths. */
struct levels {
    const struct toy_chain *chain;
    double right[TOY_DEPTH_MAX + 1];
};

static void add_path(void *ctx, const int *values, double probability) {
    struct levels *l = ctx;
    l->right[0] += probability;
    for (int k = 1; k <= l->chain->params.depth; k++)
        if (values[k - 1] == l->chain->right[k]) l->right[k] += probability;
}

struct place {
    int level, value, before;
};

/* One sample of the search on the chain, as policy/toy.c moves: true if its candidate is right. */
static bool play(const char *text, const struct toy_chain *c, uint64_t seed) {
    struct search *s = search_of(text, seed, false);
    const struct tree *t = search_tree(s);
    struct place places[NODES_MAX] = {{0}};
    struct search_ask ask;
    const int depth = c->params.depth;
    while (search_ask(s, &ask)) {
        struct place at = places[ask.parent];
        if (ask.lead != TREE_LEAD_NONE && at.level == depth) {
            at.level--;
            at.value = at.before;
        } else if (ask.lead == TREE_LEAD_ANSWER) {
            const int right = c->right[depth - 1];
            at.value = at.value == c->right[at.level] ? right : (right + 1) % c->params.branch;
            at.level = depth - 1;
        }
        struct search_told told = {.finish = SEARCH_LENGTH, .answer_class = -1, .verdict = -1};
        while (told.n_tokens < ask.n_tokens_max && at.level < depth) {
            double logprob;
            at.before = at.value;
            at.value = toy_chain_draw(c, at.level, at.value, 1,
                                      rng_unit(t->nodes[ask.node].key, (uint64_t)at.level), &logprob);
            at.level++;
            told.n_tokens++;
        }
        if (at.level == depth) told.finish = SEARCH_END, told.answer_class = at.value;
        places[ask.node] = at;
        search_tell_node(s, ask.node, &told);
    }
    int found[NODES_MAX];
    const int n = tree_candidates(t, found);
    assert_int_equal(n, 1);
    const bool right = t->nodes[found[0]].answer_class == c->right[depth];
    search_free(s);
    return right;
}

static void forced_answers_are_as_good_as_the_chain_says(void **state) {
    UNUSED(state);
    struct toy_params params;
    struct toy_chain chain;
    struct err e;
    enum { SEEDS = 20000 };
    assert_true(toy_params_parse(&params, "depth=5,branch=3,p=0.8,q=0.1,seed=4", &e));
    toy_chain_init(&chain, &params, "a chain");
    struct levels l = {.chain = &chain};
    toy_chain_enumerate(&chain, add_path, &l);
    const struct {
        const char *text;
        double chance;
    } cases[] = {
        {"budget-forcing:waits=0", l.right[5]},
        {"budget-forcing:waits=3", l.right[5]}, /* each redraws the last step: no better, no worse */
        {"budget-forcing:waits=0,max=1", l.right[1] * 0.8 + (1 - l.right[1]) * 0.1},
        {"budget-forcing:waits=2,max=3", l.right[3] * 0.8 + (1 - l.right[3]) * 0.1},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int n_right = 0;
        for (uint64_t seed = 0; seed < SEEDS; seed++)
            n_right += play(cases[i].text, &chain, rng_child(seed, i));
        const double p = cases[i].chance, error = sqrt(p * (1 - p) / SEEDS);
        assert_true(fabs((double)n_right / SEEDS - p) < 4 * error);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_follow_the_rule),
        cmocka_unit_test(what_stands_is_scored),
        cmocka_unit_test(candidates_are_those_that_nothing_replaces),
        cmocka_unit_test(forced_answers_are_as_good_as_the_chain_says),
    };
    return cmocka_run_group_tests_name("search_force", tests, NULL, NULL);
}
