/* Strategies on a chain whose every probability is known, with its exact value as reward: how often each of
 * them finds the right answer is computed by hand, and the implementation must do so over many seeds; how
 * many nodes it writes is a formula (search_toy.h). ETS, revisions and adaptive branching are in
 * test_search_exact_more.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "search_toy.h"

/* How many children right nodes get together, of n, if r of the n candidates at `level` are right. */
typedef int share_rule(int n, int r, int level, double x);

/* Any strategy that writes n nodes a level and decides by counts alone: chances of r right ones, level by
 * level. */
static double found_by_counts(int n, share_rule *share, double x) {
    double chance[128] = {0}, next[128];
    for (int r = 0; r <= n; r++) chance[r] = n_right(n, 0, r); /* the root is right */
    for (int level = 1; level < chain.params.depth; level++) {
        memset(next, 0, sizeof next);
        for (int r = 0; r <= n; r++) {
            int a = share(n, r, level, x);
            for (int k = 0; k <= n; k++) next[k] += chance[r] * n_right(a, n - a, k);
        }
        memcpy(chance, next, sizeof chance);
    }
    return 1 - chance[0];
}

/* n/width survive, right ones first; x: width */
static int share_topk(int n, int r, int level, double x) {
    UNUSED(level);
    return MIN(r, n / (int)x) * (int)x;
}

/* REBASE: from the best down, a share of what is left, rounded up; x: temperature */
static int share_rebase(int n, int r, int level, double x) {
    double good = exp(value(level, true) / x), bad = exp(value(level, false) / x);
    int left = n, a = 0;
    for (int i = 0; i < r; i++) {
        int got = (int)ceil(left * good / ((r - i) * good + (n - r) * bad) - 1e-9);
        a += MIN(got, left);
        left -= MIN(got, left);
    }
    return a;
}

/* ---- the tests ---- */

static void values_are_exact(void **state) {
    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(chains); i++) {
        set_chain(chains[i].depth, chains[i].branch, chains[i].p, chains[i].q);
        for (int level = 0; level <= chains[i].depth; level++)
            for (int v = 0; v < (level ? chains[i].branch : 1); v++)
                assert_true(fabs(toy_chain_value(&chain, level, v) - value(level, v == chain.right[level])) <
                            1e-12);
    }
}

static void greedy_takes_the_likeliest_path(void **state) {
    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(chains); i++) {
        set_chain(chains[i].depth, chains[i].branch, chains[i].p, chains[i].q);
        int at = 0;
        for (int level = 0; level < chain.params.depth; level++) {
            double probs[TOY_BRANCH_MAX];
            int best = 0;
            toy_chain_step(&chain, level, at, probs);
            for (int v = 1; v < chain.params.branch; v++)
                if (probs[v] > probs[best]) best = v;
            at = best;
        }
        struct search_spec spec = spec_of("greedy");
        struct outcome o = play(&spec, 0);
        assert_int_equal(o.found, at == chain.right[chain.params.depth]);
        assert_int_equal(o.n_nodes, 1);
    }
}

/* Chances of the answers of one sample. */
static void add_answer(void *ctx, const int *values, double probability) {
    ((double *)ctx)[values[chain.params.depth - 1]] += probability;
}

static void samples_cover_and_vote_as_computed(void **state) {
    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(chains); i++) {
        set_chain(chains[i].depth, chains[i].branch, chains[i].p, chains[i].q);
        for (int n = 1; n <= 7; n += 2) {
            char text[40];
            int votes[TOY_BRANCH_MAX] = {0}, first[TOY_BRANCH_MAX] = {0};
            double answers[TOY_BRANCH_MAX] = {0};
            snprintf(text, sizeof text, "sample:n=%d", n);
            toy_chain_enumerate(&chain, add_answer, answers);
            struct frequency f = play_many(text, 4000);
            assert_probability(text, "coverage", f.found, 1 - pow(1 - value(0, true), n), f.n);
            assert_probability(text, "majority", f.majority, majority_is_right(answers, n, votes, first, 0),
                               f.n);
            assert_true(f.n_nodes == n);
        }
    }
}

/* A window of w agrees with probability sum of P(answer)^w: so many windows are written until one does. */
static void the_window_rule_saves_as_computed(void **state) {
    UNUSED(state);
    set_chain(4, 3, 0.6, 0.15);
    double answers[TOY_BRANCH_MAX] = {0};
    toy_chain_enumerate(&chain, add_answer, answers);
    for (int w = 1; w <= 4; w++) {
        char text[60];
        int n_windows = 6;
        double agrees = 0, mean = 0, squares = 0;
        for (int c = 0; c < 3; c++) agrees += pow(answers[c], w);
        for (int k = 1; k <= n_windows; k++) {
            double here = pow(1 - agrees, k - 1) * (k < n_windows ? agrees : 1);
            mean += here * k * w;
            squares += here * k * w * k * w;
        }
        snprintf(text, sizeof text, "sample:n=%d,stop=window,window=%d", n_windows * w, w);
        struct frequency f = play_many(text, 4000);
        double error = sqrt((squares - mean * mean) / f.n);
        assert_true(fabs(f.n_nodes - mean) <= 4 * error + 1e-9);
    }
}

static void beams_find_as_computed(void **state) {
    UNUSED(state);
    const struct { int n, width; } shapes[] = {{4, 2}, {6, 3}, {8, 4}, {3, 3}, {8, 1}};
    for (size_t i = 0; i < ARRAY_LEN(chains); i++) {
        set_chain(chains[i].depth, chains[i].branch, chains[i].p, chains[i].q);
        for (size_t k = 0; k < ARRAY_LEN(shapes); k++) {
            char text[120];
            int n = shapes[k].n, width = shapes[k].width, n_trees = n / width;
            double exact = found_by_counts(n, share_topk, width);
            const char *const beams[] = {"beam:n=%d,width=%d,aggregate=last", "sal-beam:n=%d,width=%d"};
            for (int b = 0; b < 2; b++) {
                snprintf(text, sizeof text, beams[b], n, width);
                struct frequency f = play_many(text, 2500);
                assert_probability(text, "found", f.found, exact, f.n);
                assert_true(f.n_nodes == n * chain.params.depth);
            }
            snprintf(text, sizeof text, "dvts:n=%d,width=%d,aggregate=last", n, width);
            struct frequency f = play_many(text, 4000);
            exact = 1 - pow(1 - found_by_counts(width, share_topk, width), n_trees);
            assert_probability(text, "found", f.found, exact, f.n);
            assert_true(f.n_nodes == n * chain.params.depth);
        }
    }
}

static void rebase_finds_as_computed(void **state) {
    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(chains); i++) {
        set_chain(chains[i].depth, chains[i].branch, chains[i].p, chains[i].q);
        for (int k = 0; k < 6; k++) {
            const double temperatures[] = {0.1, 0.5, 10};
            int n = k % 2 ? 5 : 12;
            char text[120];
            snprintf(text, sizeof text, "beam:n=%d,allocation=rebase,softmax=%g,aggregate=last", n,
                     temperatures[k / 2]);
            struct frequency f = play_many(text, 4000);
            assert_probability(text, "found", f.found, found_by_counts(n, share_rebase, temperatures[k / 2]),
                               f.n);
            assert_true(f.n_nodes == n * chain.params.depth);
        }
    }
}

static double odds(double v) {
    double p = fmin(fmax(v, 1e-7), 1 - 1e-7);
    return p / (1 - p);
}

/* ---- particles: which of them are right, as bits in path order ---- */

/* The children's parents, after systematic draws with u: bit k is set where child k's parent is right. */
static int resampled(int n, int right, int level, double ess, double u) {
    double weights[8], sum = 0, squares = 0;
    int parents = 0;
    for (int i = 0; i < n; i++) {
        weights[i] = odds(value(level, right >> i & 1));
        sum += weights[i];
        squares += weights[i] * weights[i];
    }
    if (sum * sum / squares >= ess * n) return right;
    for (int k = 0; k < n; k++) {
        double upto = 0;
        int i = -1;
        do upto += weights[++i];
        while (i < n - 1 && upto / sum <= (k + u) / n);
        parents |= (right >> i & 1) << k;
    }
    return parents;
}

static double found_by_particles(int n, double ess) {
    double chance[256] = {0}, next[256];
    chance[(1 << n) - 1] = 1; /* parents of the first level: the root, n times */
    for (int level = 1;; level++) {
        memset(next, 0, sizeof next);
        for (int parents = 0; parents < 1 << n; parents++) {
            for (int right = 0; right < 1 << n; right++) {
                double p = chance[parents];
                for (int k = 0; k < n; k++) {
                    double step = parents >> k & 1 ? chain.p : chain.q;
                    p *= right >> k & 1 ? step : 1 - step;
                }
                next[right] += p;
            }
        }
        if (level == chain.params.depth) return 1 - next[0];
        memset(chance, 0, sizeof chance);
        enum { GRID = 4000 }; /* over u: off by at most n / GRID of each chance */
        for (int right = 0; right < 1 << n; right++)
            for (int g = 0; g < GRID; g++)
                chance[resampled(n, right, level, ess, (g + 0.5) / GRID)] += next[right] / GRID;
    }
}

static void particles_find_as_computed(void **state) {
    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(chains); i++) {
        set_chain(chains[i].depth, chains[i].branch, chains[i].p, chains[i].q);
        for (int k = 0; k < 3; k++) {
            const double shares[] = {0.5, 0.9, 1};
            char text[120];
            snprintf(text, sizeof text, "beam:n=4,allocation=particle,ess=%g,aggregate=last", shares[k]);
            struct frequency f = play_many(text, 4000);
            assert_probability(text, "found", f.found, found_by_particles(4, shares[k]), f.n);
            assert_true(f.n_nodes == 4 * chain.params.depth);
        }
    }
}

/* its_hub's: independent draws, so that counts are enough; what the last draw loses is lost. */
static double found_by_draws(int n) {
    double chance[64] = {0}, next[64];
    chance[n] = 1;
    for (int level = 1; level <= chain.params.depth; level++) {
        memset(next, 0, sizeof next);
        for (int a = 0; a <= n; a++) {
            for (int r = 0; r <= n; r++) {
                double good = r * odds(value(level, true)), bad = (n - r) * odds(value(level, false));
                for (int k = 0; k <= n; k++)
                    next[k] += chance[a] * n_right(a, n - a, r) * binomial(n, k, good / (good + bad));
            }
        }
        memcpy(chance, next, sizeof chance);
    }
    return 1 - chance[0];
}

static void drawn_particles_find_as_computed(void **state) {
    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(chains); i++) {
        set_chain(chains[i].depth, chains[i].branch, chains[i].p, chains[i].q);
        for (int n = 2; n <= 8; n *= 2) {
            char text[60];
            snprintf(text, sizeof text, "its-pf:n=%d,aggregate=last", n);
            struct frequency f = play_many(text, 3000);
            assert_probability(text, "found", f.found, found_by_draws(n), f.n);
            assert_true(f.n_nodes == n * chain.params.depth);
        }
    }
}

/* The extremes of widening: every descent its own path; one path, its last step written n times. */
static void descents_find_as_computed(void **state) {
    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(chains); i++) {
        set_chain(chains[i].depth, chains[i].branch, chains[i].p, chains[i].q);
        int depth = chain.params.depth, n = 5;
        struct frequency wide = play_many("mcts:n=5,width=2,widen=1000,aggregate=last", 4000);
        assert_probability("mcts", "apart", wide.found, 1 - pow(1 - value(0, true), n), wide.n);
        assert_true(wide.n_nodes == n * depth);
        struct frequency lone = play_many("mcts:n=5,width=1,widen=0.01,aggregate=last", 4000);
        double right = 1; /* that the path is, before its last step */
        for (int level = 1; level < depth; level++) right = right * chain.p + (1 - right) * chain.q;
        double exact = right * (1 - pow(1 - chain.p, n)) + (1 - right) * (1 - pow(1 - chain.q, n));
        assert_probability("mcts", "together", lone.found, exact, lone.n);
        assert_true(lone.n_nodes == depth - 1 + n);
    }
}

#define PLAN_OF(pilot, bins)                                                                                 \
    "{\"brood_plan\":1,\"unit\":\"samples\",\"prices\":[[1,1],[2,2]],\"pilots\":[{\"bias\":0," pilot         \
    ",\"calibration\":[[0,0],[1,1]]}],\"levels\":[{\"budget\":1,\"pilot\":0,\"bins\":[" bins "]}]}"

/* Two samples that agree are enough; else four more. Of two answers the wrong ones agree, too. */
static void agreement_decides_as_computed(void **state) {
    UNUSED(state);
    set_chain(6, 2, 0.7, 0.1);
    double right = value(0, true), wrong = 1 - right, majority = right * right;
    script_plan = PLAN_OF("\"samples\":2,\"weights\":{\"agreement\":1},\"edges\":[0.75]",
                          "{\"strategy\":\"sample:n=6\"},{\"strategy\":\"sample:n=2\"}");
    struct frequency f = play_many("adaptive", 6000);
    script_plan = NULL;
    for (int k = 0; k <= 4;
         k++) { /* one each; k of the other four are right; at 3 to 3 the first sample wins */
        double split = 2 * right * wrong * binomial(4, k, right);
        majority += k > 2 ? split : k == 2 ? split / 2 : 0;
    }
    assert_probability("adaptive", "coverage", f.found, 1 - wrong * wrong, f.n);
    assert_probability("adaptive", "majority", f.majority, majority, f.n);
    double more = 4 * 2 * right * wrong, error = sqrt(4 * more - more * more) / sqrt(f.n);
    assert_true(fabs(f.n_nodes - 2 - more) <= 4 * error);
}

/* Where no sample of the pilot is right, which exact rewards show, a beam goes on; else the pilot is enough.
 */
static void rewards_send_hard_problems_to_a_beam_as_computed(void **state) {
    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(chains); i++) {
        set_chain(chains[i].depth, chains[i].branch, chains[i].p, chains[i].q);
        double none = pow(1 - value(0, true), 3), beam = found_by_counts(8, share_topk, 2);
        script_plan =
            PLAN_OF("\"samples\":3,\"scored\":true,\"aggregate\":\"last\","
                    "\"weights\":{\"reward_best\":1},\"edges\":[0.5]",
                    "{\"strategy\":\"beam:n=8,width=2,aggregate=last\"},{\"strategy\":\"sample:n=1\"}");
        struct frequency f = play_many("adaptive:aggregate=last", 5000);
        script_plan = NULL;
        assert_probability("adaptive", "found", f.found, 1 - none * (1 - beam), f.n);
        double nodes = 8 * chain.params.depth, error = nodes * sqrt(none * (1 - none) / f.n);
        assert_true(fabs(f.n_nodes - 3 - none * nodes) <= 4 * error);
    }
}

/* Looking ahead writes min(k, levels left) more below every step. */
static void lookahead_writes_as_computed(void **state) {
    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(chains); i++) {
        set_chain(chains[i].depth, chains[i].branch, chains[i].p, chains[i].q);
        for (int k = 0; k <= 8; k += 2) {
            char text[80];
            int exact = 0, n = 8;
            for (int level = 1; level <= chain.params.depth; level++)
                exact += n * (1 + MIN(k, chain.params.depth - level));
            snprintf(text, sizeof text, "beam:n=%d,width=2,lookahead=%d,aggregate=last", n, k);
            struct frequency f = play_many(text, 50);
            assert_true(f.n_nodes == exact);
        }
    }
}

/* With exact values search beats sampling at equal steps: as computed, so not by luck. */
static void exact_values_make_search_better(void **state) {
    UNUSED(state);
    set_chain(6, 2, 0.7, 0.1);
    double beam = found_by_counts(16, share_topk, 4), sample = 1 - pow(1 - value(0, true), 16);
    assert_true(beam > 0.999 && sample > 0.9 && beam > sample);
    set_chain(4, 3, 0.6, 0.15);
    assert_true(found_by_counts(4, share_topk, 4) > 1 - pow(1 - value(0, true), 4));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_exact),
        cmocka_unit_test(greedy_takes_the_likeliest_path),
        cmocka_unit_test(samples_cover_and_vote_as_computed),
        cmocka_unit_test(the_window_rule_saves_as_computed),
        cmocka_unit_test(beams_find_as_computed),
        cmocka_unit_test(rebase_finds_as_computed),
        cmocka_unit_test(particles_find_as_computed),
        cmocka_unit_test(drawn_particles_find_as_computed),
        cmocka_unit_test(descents_find_as_computed),
        cmocka_unit_test(agreement_decides_as_computed),
        cmocka_unit_test(rewards_send_hard_problems_to_a_beam_as_computed),
        cmocka_unit_test(lookahead_writes_as_computed),
        cmocka_unit_test(exact_values_make_search_better),
    };
    return cmocka_run_group_tests_name("search_exact", tests, NULL, NULL);
}
