/* When samples are enough: the rules by themselves, and `sample` under them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#include "base/aggregate.h"
#include "search/stop.h"
#include "search_script.h"

/* ---- the rules ---- */

/* P(p > 1/2 | Beta(a+1, b+1)) by Simpson's rule. */
static double beta_by_integral(int a, int b) {
    double above = 0, all = 0;
    const int n = 20000;
    for (int i = 0; i <= n; i++) {
        double p = (double)i / n, weight = i == 0 || i == n ? 1 : i % 2 ? 4 : 2;
        double density = pow(p, a) * pow(1 - p, b);
        all += weight * density;
        if (2 * i >= n) above += (2 * i == n ? 1 : weight) * density;
    }
    return above / all;
}

static void the_beta_rule_is_the_integral(void **state) {
    UNUSED(state);
    const struct { /* the fewest votes for the leader that reach 0.95, and what they reach */
        int a, b;
        double p;
    } table[] = {{4, 0, .9688},  {6, 1, .9648},  {8, 2, .9673},  {9, 3, .9539}, {11, 4, .9616},
                 {12, 5, .9519}, {14, 6, .9608}, {15, 7, .9534}, {17, 8, .9622}};
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        assert_true(fabs(stop_beta(table[i].a, table[i].b) - table[i].p) < 5e-5);
        assert_true(stop_beta(table[i].a - 1, table[i].b) < 0.95);
    }
    for (int b = 0; b < 12; b++)
        for (int a = b; a < 20; a++) assert_true(fabs(stop_beta(a, b) - beta_by_integral(a, b)) < 1e-6);
    assert_true(stop_beta(0, 0) == 0.5 && fabs(stop_beta(7, 7) - 0.5) < 1e-15);
    double far = stop_beta(50100, 49900); /* no overflow: near the normal distribution */
    assert_true(fabs(far - 0.5 * erfc(-200 / sqrt(2.0 * 100000))) < 1e-4);
}

/* As selection does: the most votes, ties to the class that came first. */
static int winner(const int *classes, int n) {
    int best = -1, most = 0;
    for (int i = 0; i < n; i++) {
        int votes = 0;
        for (int k = 0; k < n; k++) votes += classes[i] >= 0 && classes[k] == classes[i];
        if (votes > most) {
            most = votes;
            best = classes[i];
        }
    }
    return best;
}

/* Whether some way to go on from classes[0..at-1] to classes[0..n-1] has another winner. */
static bool can_change(int *classes, int at, int n, int was) {
    if (at == n) return winner(classes, n) != was;
    for (int c = -1; c < 4; c++) {
        classes[at] = c;
        if (can_change(classes, at + 1, n, was)) return true;
    }
    return false;
}

static void certain_is_exactly_that_nothing_can_change_it(void **state) {
    UNUSED(state);
    int n_certain = 0;
    for (uint64_t i = 0; i < 3000; i++) {
        int classes[9], n = 1 + (int)rng_below(i, 0, 6), n_left = (int)rng_below(i, 1, 4);
        for (int k = 0; k < n; k++)
            classes[k] = (int)rng_below(i, 2 + (uint64_t)k, 4) - 1; /* class 3 is new */
        if (rng_below(i, 20, 2))
            for (int k = 0; k < n; k++) classes[k] = k % 3 ? 1 : classes[k];
        bool certain = stop_certain(classes, NULL, n, n_left);
        int was = winner(classes, n);
        assert_int_equal(certain, was >= 0 && !can_change(classes, n, n + n_left, was));
        n_certain += certain;
    }
    assert_in_range(n_certain, 300, 2700);
}

static void certain_of_weights_allows_one_for_each_that_is_to_come(void **state) {
    UNUSED(state);
    const int classes[] = {0, 1, 0, -1, 0};
    const double worths[] = {0.9, 0.75, 1, 1, 0.9};
    assert_true(stop_certain(classes, worths, 5, 2));  /* 2.8 against 0.75 + 2 */
    assert_false(stop_certain(classes, worths, 5, 3)); /* against 3.75 */
    assert_false(stop_certain(classes, (const double[]){0, 0, 0, 0, 0}, 5, 0));
    assert_false(stop_certain((const int[]){-1, -1}, NULL, 2, 1));
    assert_false(stop_certain(NULL, NULL, 0, 1));
}

static void a_window_agrees_or_not(void **state) {
    UNUSED(state);
    assert_true(stop_window((const int[]){3, 3, 3}, 3));
    assert_false(stop_window((const int[]){3, 3, 1}, 3));
    assert_false(stop_window((const int[]){-1, -1}, 2));
    assert_false(stop_window(NULL, 0));
}

/* ---- sample under them ---- */

static const struct script mixed = {
    .seed = 1, .cut_percent = 10, .fail_percent = 5, .unscored_percent = 5, .n_values = 4, .n_tokens = 30};

/* What child i of the root says: its class and, by aggregate, what it weighs. */
struct vote {
    int answer_class;
    double worth[AGGREGATES];
};

static struct vote vote_of(const struct script *script, int i) {
    struct script_result r = script_result(script, SCRIPT_PROBLEM_KEY, i, true, SCRIPT_TOKENS_MAX);
    struct vote v = {.answer_class = r.told.finish == SEARCH_END ? r.told.answer_class : -1};
    for (int a = 0; a < AGGREGATES; a++) {
        double w = aggregate_of((enum aggregate)a, r.rewards, r.n_rewards);
        v.worth[a] = isnan(w) ? 0 : w;
    }
    return v;
}

/* Sum over class c, or votes where aggregate is -1. */
static double sum_of(const struct vote *votes, int n, int c, int aggregate) {
    double sum = 0;
    for (int i = 0; i < n; i++)
        if (votes[i].answer_class == c) sum += aggregate < 0 ? 1 : votes[i].worth[aggregate];
    return sum;
}

/* The rules in the words of their papers, over three classes. */
static bool enough(const char *stop, const struct vote *votes, int n, int n_left, int window) {
    double sums[3];
    if (strcmp(stop, "window") == 0) {
        for (int i = n - window; i < n; i++)
            if (votes[i].answer_class < 0 || votes[i].answer_class != votes[n - 1].answer_class) return false;
        return true;
    }
    if (strcmp(stop, "beta") == 0) {
        for (int c = 0; c < 3; c++) sums[c] = sum_of(votes, n, c, -1);
        double a = fmax(fmax(sums[0], sums[1]), sums[2]), least = fmin(fmin(sums[0], sums[1]), sums[2]);
        double b = sums[0] + sums[1] + sums[2] - a - least;
        return a > 0 && beta_by_integral((int)a, (int)b) >= 0.95;
    }
    for (int rule = -1; rule < AGGREGATES; rule++) { /* certain: the majority and every weighted vote */
        double most = -1, second = -1;
        for (int c = 0; c < 3; c++) {
            double sum = sum_of(votes, n, c, rule);
            second = fmax(second, fmin(sum, most));
            most = fmax(most, sum);
        }
        if (most - second <= n_left) return false; /* ties are left out here: see below */
    }
    return true;
}

static void samples_stop_where_the_rule_says(void **state) {
    UNUSED(state);
    const char *stops[] = {"certain", "beta", "window"};
    int n_early = 0;
    for (uint64_t seed = 0; seed < 240; seed++) {
        struct script script = mixed;
        script.seed = seed;
        const char *stop = stops[seed % 3];
        int window = 1 + (int)(seed / 3 % 5), n = 0, n_max = 12 + (int)(seed % 29);
        struct vote votes[64];
        for (int i = 0; i < n_max; i++) {
            votes[i] = vote_of(&script, i);
        }
        do n = MIN(n + window, n_max);
        while (n < n_max && !enough(stop, votes, n, n_max - n, window));
        char text[100];
        snprintf(text, sizeof text, "sample:n=%d,stop=%s,window=%d", n_max, stop, window);
        struct buf first = {0};
        for (uint64_t order = 0; order < 5; order++) {
            struct script_run run = {0};
            script_run(text, &script, order, &run);
            /* certain's ties: the first of equals wins, so it may stop a window earlier than `enough` knows
             */
            if (strcmp(stop, "certain") != 0) assert_int_equal(run.n_expands, n);
            assert_true(run.n_expands <= n && run.n_drops == 0);
            if (order == 0) buf_add_str(&first, buf_str(&run.dump));
            assert_string_equal(buf_cstr(&run.dump), buf_cstr(&first));
            n_early += run.n_expands < n_max;
            buf_free(&run.dump);
        }
        buf_free(&first);
    }
    assert_true(n_early > 100);
}

/* Sample i answers classes[i] with reward rewards[i]; returns how many were asked for. */
static int play(const char *text, const int *classes, const float *rewards) {
    struct search *s = script_search(text);
    struct search_ask ask;
    while (search_ask(s, &ask)) {
        int i = search_tree(s)->nodes[ask.node].index;
        struct search_told told = {.finish = SEARCH_END, .n_tokens = 1, .answer_class = classes[i]};
        if (ask.op == SEARCH_EXPAND)
            search_tell_node(s, ask.node, &told);
        else
            search_tell_score(s, ask.node, &rewards[i], 1);
    }
    assert_true(search_done(s));
    int n = (int)search_tree(s)->n_nodes - 1;
    search_free(s);
    return n;
}

static void agreement_stops_early(void **state) {
    UNUSED(state);
    const int same[20] = {0}, split[20] = {0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    float ones[20], halves[20];
    for (int i = 0; i < 20; i++) {
        ones[i] = 1;
        halves[i] = 0.5f;
    }
    assert_int_equal(play("sample:n=20", same, ones), 20);
    assert_int_equal(play("sample:n=20,stop=beta,window=1", same, ones), 4);
    assert_int_equal(play("sample:n=20,stop=beta,window=1", split, ones), 7);
    assert_int_equal(play("sample:n=20,stop=beta,window=1,threshold=0.9", same, ones), 3);
    assert_int_equal(play("sample:n=20,stop=beta,window=3", same, ones), 6);
    assert_int_equal(play("sample:n=20,stop=window,window=3", same, ones), 3);
    assert_int_equal(play("sample:n=20,stop=window,window=3", split, ones), 6);
    assert_int_equal(play("sample:n=20,stop=certain,window=1", same, ones), 11); /* weights: 11 > 9 */
    assert_int_equal(play("sample:n=20,stop=certain,window=1,vote=majority", same, ones), 10);
    assert_int_equal(play("sample:n=20,stop=certain,window=1,vote=majority", split, ones), 11);
    assert_int_equal(play("sample:n=20,stop=certain,window=1,vote=last", same, halves), 14); /* 7 > 6 */
    assert_int_equal(play("sample:n=20,stop=certain,window=1,vote=majority", same, halves), 10);
}

/* The answer after a certain stop is that of all samples. */
static void a_certain_stop_changes_no_answer(void **state) {
    UNUSED(state);
    for (uint64_t seed = 0; seed < 2000; seed++) {
        int classes[15];
        float rewards[15];
        double sums[2][4] = {{0}};
        for (int i = 0; i < 15; i++) {
            classes[i] = rng_below(seed, (uint64_t)i, 3) ? 0 : (int)rng_below(seed, 50 + (uint64_t)i, 5) - 1;
            rewards[i] = (float)rng_unit(seed, 100 + (uint64_t)i);
        }
        int n[2] = {play("sample:n=15,stop=certain,window=2", classes, rewards), 15}, best[2][2];
        for (int k = 0; k < 2; k++) {
            best[k][0] = winner(classes, n[k]);
            memset(sums, 0, sizeof sums);
            for (int i = 0; i < n[k]; i++)
                if (classes[i] >= 0) sums[0][classes[i]] += (double)rewards[i];
            best[k][1] = 0;
            for (int c = 1; c < 4; c++)
                if (sums[0][c] > sums[0][best[k][1]]) best[k][1] = c;
        }
        assert_int_equal(best[0][0], best[1][0]);
        assert_int_equal(best[0][1], best[1][1]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_beta_rule_is_the_integral),
        cmocka_unit_test(certain_is_exactly_that_nothing_can_change_it),
        cmocka_unit_test(certain_of_weights_allows_one_for_each_that_is_to_come),
        cmocka_unit_test(a_window_agrees_or_not),
        cmocka_unit_test(samples_stop_where_the_rule_says),
        cmocka_unit_test(agreement_stops_early),
        cmocka_unit_test(a_certain_stop_changes_no_answer),
    };
    return cmocka_run_group_tests_name("search_stop", tests, NULL, NULL);
}
