/* Monte-Carlo tree search, driven by a scripted policy and reward model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#include "base/aggregate.h"
#include "search_script.h"

/* ---- the rule, restated: descents as recursions over nested nodes, a list of rounds, no asks ---- */

struct node {
    struct node *parent, *children[400];
    int n_children, depth, n_tokens_path;
    uint64_t key;
    bool until_end, is_scored;
    struct script_result got;
    double reward, ends[400]; /* ends[n_ends]: what came of descents through here, in their order */
    int n_ends, n_here;       /* n_here: descents that are on their way through here */
};

struct reference {
    const struct script *script;
    enum aggregate aggregate;
    double c, widen;
    int depth, n_nodes;
};

static bool is_open(const struct node *v) {
    return !v->parent || (v->got.told.finish == SEARCH_STEP && v->n_tokens_path < SCRIPT_TOKENS_MAX);
}

static double path_reward(const struct reference *r, const struct node *v) {
    float rewards[200];
    int n = 0;
    const struct node *up[60];
    int n_up = 0;
    for (const struct node *x = v; x->parent; x = x->parent) up[n_up++] = x;
    while (n_up-- > 0)
        for (int k = 0; k < up[n_up]->got.n_rewards; k++) rewards[n++] = up[n_up]->got.rewards[k];
    return v->got.n_rewards < 0 || n == 0 ? 0 : aggregate_of(r->aggregate, rewards, n);
}

static struct node *write_child(struct reference *r, struct node *p) {
    struct node *v = mem_zalloc(1, sizeof *v);
    r->n_nodes++;
    v->parent = p;
    v->depth = p->depth + 1;
    v->until_end = v->depth == r->depth;
    v->key = rng_child(p->key, (uint64_t)p->n_children);
    v->got =
        script_result(r->script, p->key, p->n_children, v->until_end, SCRIPT_TOKENS_MAX - p->n_tokens_path);
    v->n_tokens_path = p->n_tokens_path + v->got.told.n_tokens;
    p->children[p->n_children++] = v;
    return v;
}

/* A node written in this round is not known yet and cannot be entered. */
static bool known(const struct node *v) {
    return v->is_scored;
}

static double puct(const struct reference *r, const struct node *p, const struct node *v) {
    double sum = v->reward, all = 0, n = v->n_ends + v->n_here;
    for (int i = 0; i < v->n_ends; i++) sum += v->ends[i];
    for (int i = 0; i < p->n_children; i++) {
        const struct node *x = p->children[i];
        if (known(x) && is_open(x)) all += exp(x->got.told.logprob / MAX(x->got.told.n_tokens, 1));
    }
    double prior = exp(v->got.told.logprob / MAX(v->got.told.n_tokens, 1)) / all;
    return sum / (1 + n) + r->c * prior * sqrt(p->n_ends + p->n_here) / (1 + n);
}

static struct node *descend(struct reference *r, struct node *v) {
    for (;;) {
        struct node *best = NULL;
        for (int i = 0; i < v->n_children; i++) {
            struct node *x = v->children[i];
            if (known(x) && is_open(x) && (!best || puct(r, v, x) > puct(r, v, best))) best = x;
        }
        if (v->n_children < r->widen * sqrt(v->n_ends + v->n_here)) best = NULL;
        bool is_new = !best;
        if (is_new) best = write_child(r, v);
        best->n_here++;
        v = best;
        if (is_new) return v;
    }
}

static void reference_search(struct reference *r, struct node *root, int n, int width) {
    struct node *at[64] = {NULL};
    for (int n_started = 0;;) {
        bool any = false;
        for (int i = 0; i < width; i++) { /* ends */
            if (!at[i] || is_open(at[i])) continue;
            for (struct node *v = at[i]; v; v = v->parent) {
                v->n_here--;
                if (at[i]->got.told.finish == SEARCH_FAILED) continue;
                v->ends[v->n_ends++] = at[i]->got.told.finish == SEARCH_END ? at[i]->reward : 0;
            }
            at[i] = NULL;
        }
        for (int i = 0; i < width; i++) {
            if (!at[i] && n_started == n) continue;
            if (!at[i]) {
                n_started++;
                at[i] = root;
                root->n_here++;
            }
            at[i] = descend(r, at[i]);
            any = true;
        }
        if (!any) return;
        for (int i = 0; i < width; i++) {
            if (!at[i]) continue;
            at[i]->is_scored = true;
            at[i]->reward = path_reward(r, at[i]);
        }
    }
}

/* In path order, as script_dump writes it; frees. */
static void dump(struct node *v, const char *path, struct buf *out) {
    const int states[] = {[SEARCH_STEP] = is_open(v) ? TREE_OPEN : TREE_CUT,
                          [SEARCH_END] = TREE_SOLUTION,
                          [SEARCH_LENGTH] = TREE_CUT,
                          [SEARCH_FAILED] = TREE_FAILED};
    bool scored = is_open(v) || v->got.told.finish == SEARCH_END;
    int n_rewards = !v->parent ? 0 : scored ? v->got.n_rewards : -1;
    buf_printf(out, "%s state=%d%s tokens=%d class=%d children=%d rewards=%d:", path,
               v->parent ? states[v->got.told.finish] : (int)TREE_OPEN, v->until_end ? " until-end" : "",
               v->got.told.n_tokens, v->parent ? v->got.told.answer_class : -1, v->n_children, n_rewards);
    for (int k = 0; k < n_rewards; k++) buf_printf(out, " %g", (double)v->got.rewards[k]);
    buf_add_char(out, '\n');
    for (int i = 0; i < v->n_children; i++) {
        char child[200];
        snprintf(child, sizeof child, *path ? "%.150s.%d" : "%.150s%d", path, i);
        dump(v->children[i], child, out);
    }
    free(v);
}

static void the_tree_is_the_restated_rule_s_in_any_order(void **state) {
    UNUSED(state);
    const int ns[] = {1, 4, 16, 30, 64}, widths[] = {1, 4, 3, 16, 7, 40}, depths[] = {1, 3, 5, 12, 40};
    const double cs[] = {0, 0.3, 1.25, 5}, widens[] = {0.5, 1, 2, 7};
    for (int i = 0; i < 300; i++) {
        struct script script = {
            .seed = (uint64_t)i, .end_percent = 15, .n_values = 100, .n_texts = 9, .n_tokens = 12};
        if (i % 3) script.cut_percent = script.fail_percent = script.unscored_percent = 5;
        if (i % 5 == 0) script.n_values = 3;
        if (i % 11 == 0) script.fail_percent = 60;
        struct reference r = {.script = &script,
                              .aggregate = (enum aggregate)(i % 4),
                              .c = cs[i / 4 % 4],
                              .widen = widens[i / 16 % 4],
                              .depth = depths[i % 5]};
        struct node *root = mem_zalloc(1, sizeof *root);
        root->key = SCRIPT_PROBLEM_KEY;
        int n = ns[i / 5 % 5], width = widths[i % 6];
        reference_search(&r, root, n, width);
        struct buf expected = {0};
        dump(root, "", &expected);
        char text[140];
        snprintf(text, sizeof text, "mcts:n=%d,width=%d,c=%g,widen=%g,depth=%d,aggregate=%s", n, width, r.c,
                 r.widen, r.depth, aggregate_names[i % 4]);
        for (uint64_t order = 0; order < 4; order++) {
            struct script_run run = {0};
            script_run(text, &script, 1000 * order + (uint64_t)i, &run);
            assert_string_equal(buf_cstr(&run.dump), buf_cstr(&expected));
            assert_int_equal(run.n_expands, r.n_nodes);
            assert_int_equal(run.n_drops, 0);
            buf_free(&run.dump);
        }
        buf_free(&expected);
    }
}

/* ---- what follows from the rule ---- */

/* Without failures and cuts every descent ends in a solution of its own. */
static void every_descent_brings_a_solution(void **state) {
    UNUSED(state);
    for (uint64_t seed = 0; seed < 60; seed++) {
        const struct script script = {.seed = seed, .end_percent = 20, .n_values = 50, .n_tokens = 1};
        struct script_run run = {0};
        script_run(seed % 2 ? "mcts:n=24,width=1" : "mcts:n=24,width=8", &script, seed, &run);
        assert_int_equal(run.n_solutions, 24);
        assert_true(run.n_scores == run.n_expands);
        buf_free(&run.dump);
    }
}

/* At most n paths of `depth` steps; with one child for each visit, exactly. */
static void counts_follow_the_formulas(void **state) {
    UNUSED(state);
    const struct script endless = {.seed = 3, .n_values = 100, .n_tokens = 1};
    for (int depth = 1; depth <= 6; depth++) {
        for (int n = 1; n <= 16; n *= 2) {
            char text[100];
            struct script_run wide = {0}, narrow = {0}, lone = {0};
            snprintf(text, sizeof text, "mcts:n=%d,width=3,depth=%d,widen=1000", n, depth);
            script_run(text, &endless, 5, &wide);
            assert_int_equal(wide.n_expands, n * depth);
            /* root's children as long as they are fewer than sqrt(visits): a new one at visits 1, 2, 5, 10,
             * 17 */
            snprintf(text, sizeof text, "mcts:n=%d,width=1,depth=%d,widen=1,c=1000", n, depth);
            script_run(text, &endless, 5, &narrow);
            assert_true(narrow.n_expands <= n * depth && narrow.n_expands >= n + depth - 1);
            /* one child a node: a single path with n last steps */
            snprintf(text, sizeof text, "mcts:n=%d,width=1,depth=%d,widen=0.01", n, depth);
            script_run(text, &endless, 5, &lone);
            assert_int_equal(lone.n_expands, depth - 1 + n);
            buf_free(&wide.dump);
            buf_free(&narrow.dump);
            buf_free(&lone.dump);
        }
    }
}

static void it_can_be_stopped_at_any_time(void **state) {
    UNUSED(state);
    const struct script script = {
        .seed = 9, .end_percent = 15, .fail_percent = 5, .n_values = 9, .n_tokens = 9};
    for (int n = 1;; n++) {
        struct script_run run = {.n_told_max = n};
        script_run("mcts:n=8,width=3", &script, (uint64_t)n, &run);
        buf_free(&run.dump);
        if (run.n_told < n) break;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_tree_is_the_restated_rule_s_in_any_order),
        cmocka_unit_test(every_descent_brings_a_solution),
        cmocka_unit_test(counts_follow_the_formulas),
        cmocka_unit_test(it_can_be_stopped_at_any_time),
    };
    return cmocka_run_group_tests_name("search_mcts", tests, NULL, NULL);
}
