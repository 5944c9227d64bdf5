/* Sequential revision, driven by a scripted policy, reward model and verifier. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#include "base/aggregate.h"
#include "search_script.h"

/* ---- the rule, restated: chain by chain, or round by round ---- */

enum { CHAINS_MAX = 64, VERSIONS_MAX = 64 };

struct version {
    struct script_result got;
    uint64_t key;
    double weight;
    bool outvoted;
};

struct reference {
    const struct script *script;
    int n, length;
    bool best, in_step;
    enum aggregate aggregate;
    struct version versions[CHAINS_MAX][VERSIONS_MAX];
    int n_chains, n_versions[CHAINS_MAX];
};

static bool ended(const struct version *v) {
    return v->got.told.finish == SEARCH_END;
}

/* Whether chain i has more versions to write after those it has. */
static bool goes_on(const struct reference *r, int i) {
    const int n = r->n_versions[i], share = r->n / r->n_chains + (i < r->n % r->n_chains);
    if (n == 0) return true;
    const struct version *v = &r->versions[i][n - 1];
    return n < share && v->got.told.finish != SEARCH_FAILED && v->got.told.verdict != 1;
}

static void write_one(struct reference *r, int i) {
    const int n = r->n_versions[i]++;
    struct version *v = &r->versions[i][n];
    const uint64_t parent = n ? r->versions[i][n - 1].key : SCRIPT_PROBLEM_KEY;
    *v = (struct version){.key = rng_child(parent, n ? 0 : (uint64_t)i), .weight = 1};
    v->got = script_result(r->script, parent, n ? 0 : i, true, SCRIPT_TOKENS_MAX);
    if (r->script->no_reward || !ended(v)) v->got.n_rewards = -1;
    if (r->script->no_reward) return;
    v->weight = v->got.n_rewards > 0 ? aggregate_of(r->aggregate, v->got.rewards, v->got.n_rewards) : 0;
}

static bool same_answer(const struct version *a, const struct version *b) {
    return ended(a) && ended(b) && a->got.told.answer_class == b->got.told.answer_class;
}

/* Of the answer with most weight the version with most, the earlier of equals; a verified one is the last. */
static void elect(struct reference *r, int i) {
    struct version *all = r->versions[i];
    const int n = r->n_versions[i];
    int best = all[n - 1].got.told.verdict == 1 ? n - 1 : -1;
    double most = -1, highest = -1;
    for (int k = 0; k < n && all[n - 1].got.told.verdict != 1; k++) {
        double sum = 0;
        for (int m = 0; m < n; m++) sum += same_answer(&all[m], &all[k]) ? all[m].weight : 0;
        bool same = best >= 0 && same_answer(&all[best], &all[k]);
        if (!ended(&all[k]) || all[k].got.told.answer_class < 0) continue;
        if (same ? all[k].weight <= highest : sum <= most) continue;
        most = sum;
        highest = all[k].weight;
        best = k;
    }
    for (int k = 0; k < n && best >= 0; k++)
        all[k].outvoted = k != best && all[k].got.told.finish != SEARCH_FAILED;
}

static void reference_search(struct reference *r) {
    r->n_chains = MAX(1, r->n / r->length);
    bool verified = false;
    if (!r->in_step) {
        for (int i = 0; i < r->n_chains; i++)
            while (goes_on(r, i)) write_one(r, i);
    } else {
        for (bool any = true; any && !verified;) {
            bool more[CHAINS_MAX];
            any = false;
            for (int i = 0; i < r->n_chains; i++) any |= more[i] = goes_on(r, i);
            for (int i = 0; i < r->n_chains; i++) {
                if (!more[i]) continue;
                write_one(r, i);
                verified |= r->versions[i][r->n_versions[i] - 1].got.told.verdict == 1;
            }
        }
    }
    for (int i = 0; i < r->n_chains && r->best; i++) elect(r, i);
}

static void reference_dump(const struct reference *r, struct buf *out) {
    const int states[] = {[SEARCH_STEP] = -1,
                          [SEARCH_END] = TREE_SOLUTION,
                          [SEARCH_LENGTH] = TREE_CUT,
                          [SEARCH_FAILED] = TREE_FAILED};
    buf_printf(out, " state=%d tokens=0 class=-1 children=%d rewards=0:\n", (int)TREE_OPEN, r->n_chains);
    for (int i = 0; i < r->n_chains; i++) {
        for (int k = 0; k < r->n_versions[i]; k++) {
            const struct version *v = &r->versions[i][k];
            buf_printf(out, "%d", i);
            for (int m = 0; m < k; m++) buf_printf(out, ".0");
            buf_printf(out, " state=%d%s%s until-end tokens=%d class=%d children=%d rewards=%d:",
                       states[v->got.told.finish], v->outvoted ? " outvoted" : "",
                       v->got.told.verdict == 1 ? " verified" : "", v->got.told.n_tokens,
                       v->got.told.answer_class, k + 1 < r->n_versions[i], v->got.n_rewards);
            for (int m = 0; m < v->got.n_rewards; m++) buf_printf(out, " %g", (double)v->got.rewards[m]);
            buf_printf(out, "\n");
        }
    }
}

static void the_tree_is_the_restated_rule_s_in_any_order(void **state) {
    UNUSED(state);
    static struct reference r;
    const int ns[] = {1, 4, 16, 7, 40, 30}, lengths[] = {1, 4, 3, 16, 40};
    int n_outvoted = 0, n_early = 0;
    for (int i = 0; i < 360; i++) {
        const struct script script = {.seed = (uint64_t)i,
                                      .no_reward = i % 4 == 3,
                                      .cut_percent = i % 3 ? 10 : 0,
                                      .fail_percent = i % 3 ? 5 : 0,
                                      .unscored_percent = i % 7 ? 0 : 10,
                                      .verified_percent = i % 2 ? 8 : 0,
                                      .n_values = 4,
                                      .n_texts = i % 5 ? 0 : 3,
                                      .n_tokens = SCRIPT_TOKENS_MAX};
        r = (struct reference){.script = &script,
                               .n = ns[i % 6],
                               .length = lengths[i / 6 % 5],
                               .best = i / 30 % 2,
                               .in_step = i % 2 && i / 60 % 2,
                               .aggregate = (enum aggregate)(i / 2 % AGGREGATES)};
        reference_search(&r);
        struct buf expected = {0};
        reference_dump(&r, &expected);
        char text[140];
        int n = 0;
        snprintf(text, sizeof text, "revise:n=%d,length=%d,versions=%s,aggregate=%s,stop=%s", r.n, r.length,
                 r.best ? "best" : "all", aggregate_names[r.aggregate], r.in_step ? "verified" : "none");
        for (int k = 0; k < r.n_chains; k++) n += r.n_versions[k];
        for (uint64_t order = 0; order < 4; order++) {
            struct script_run run = {0};
            script_run(text, &script, 1000 * order + (uint64_t)i, &run);
            assert_string_equal(buf_cstr(&run.dump), buf_cstr(&expected));
            assert_int_equal(run.n_expands, n);
            assert_int_equal(run.n_drops, 0);
            buf_free(&run.dump);
        }
        n_outvoted += strstr(buf_cstr(&expected), "outvoted") != NULL;
        n_early += r.in_step && n < r.n;
        buf_free(&expected);
    }
    assert_true(n_outvoted > 50 && n_early > 20);
}

/* ---- what follows from the rule ---- */

/* n solutions in n/length chains, as even as they can be. */
static void counts_follow_the_formulas(void **state) {
    UNUSED(state);
    const struct script script = {.seed = 2, .n_values = 9, .n_tokens = 1};
    for (int n = 1; n <= 20; n++) {
        for (int length = 1; length <= 20; length++) {
            char text[60];
            struct script_run run = {0};
            int n_chains = MAX(1, n / length), n_roots = 0, longest = 0;
            snprintf(text, sizeof text, "revise:n=%d,length=%d", n, length);
            script_run(text, &script, 5, &run);
            assert_true(run.n_expands == n && run.n_solutions == n && run.n_scores == n);
            for (const char *line = strchr(buf_cstr(&run.dump), '\n') + 1; *line;
                 line = strchr(line, '\n') + 1) {
                int depth = 1;
                for (const char *c = line; *c != ' '; c++) depth += *c == '.';
                n_roots += depth == 1;
                longest = MAX(longest, depth);
            }
            assert_int_equal(n_roots, n_chains);
            assert_int_equal(longest, (n + n_chains - 1) / n_chains);
            buf_free(&run.dump);
        }
    }
}

/* Chains of one are samples. */
static void short_chains_are_samples(void **state) {
    UNUSED(state);
    const struct script script = {.seed = 4, .cut_percent = 5, .n_values = 9, .n_texts = 5, .n_tokens = 9};
    struct script_run sample = {0}, revise = {0};
    script_run("sample:n=30", &script, 1, &sample);
    script_run("revise:n=30,length=1", &script, 2, &revise);
    assert_string_equal(buf_cstr(&sample.dump), buf_cstr(&revise.dump));
    buf_free(&sample.dump);
    buf_free(&revise.dump);
}

static void it_can_be_stopped_at_any_time(void **state) {
    UNUSED(state);
    const struct script script = {
        .seed = 9, .fail_percent = 5, .verified_percent = 5, .n_values = 9, .n_tokens = 9};
    const char *const texts[] = {"revise:n=12,length=4", "revise:n=12,length=4,versions=best",
                                 "revise:n=12,length=4,stop=verified"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        for (int n = 1;; n++) {
            struct script_run run = {.n_told_max = n};
            script_run(texts[i], &script, (uint64_t)n, &run);
            buf_free(&run.dump);
            if (run.n_told < n) break;
        }
    }
}

/* ---- stop=verified, of samples and in general ---- */

static void samples_stop_at_the_window_of_the_first_that_is_verified(void **state) {
    UNUSED(state);
    int n_early = 0;
    for (uint64_t seed = 0; seed < 100; seed++) {
        const struct script script = {
            .seed = seed, .cut_percent = 10, .verified_percent = 6, .n_values = 4, .n_tokens = 9};
        int window = 1 + (int)(seed % 7), first = 0, n = 40;
        while (first < n &&
               script_result(&script, SCRIPT_PROBLEM_KEY, first, true, SCRIPT_TOKENS_MAX).told.verdict != 1)
            first++;
        int expected = MIN(n, (first / window + 1) * window);
        char text[60];
        snprintf(text, sizeof text, "sample:n=%d,stop=verified,window=%d", n, window);
        for (uint64_t order = 0; order < 4; order++) {
            struct script_run run = {0};
            script_run(text, &script, order, &run);
            assert_int_equal(run.n_expands, expected);
            assert_int_equal(run.n_drops, 0);
            buf_free(&run.dump);
        }
        n_early += expected < n;
    }
    assert_in_range(n_early, 50, 100);
}

/* The least depth of a verified node, and the greatest of all; 0 where there is none. */
static void measure(const char *dump, int *verified, int *deepest) {
    *verified = *deepest = 0;
    for (const char *line = strchr(dump, '\n') + 1; *line && *line != 'd'; line = strchr(line, '\n') + 1) {
        int depth = 1;
        for (const char *c = line; *c != ' '; c++) depth += *c == '.';
        *deepest = MAX(*deepest, depth);
        const char *found = strstr(line, " verified");
        if (found && found < strchr(line, '\n')) *verified = *verified ? MIN(*verified, depth) : depth;
    }
}

/* No level is begun below the first that has a verified solution; no round after it. */
static void searches_stop_where_one_is_verified(void **state) {
    UNUSED(state);
    const char *const texts[] = {"beam:n=12,width=3",
                                 "beam:n=12,allocation=rebase",
                                 "beam:n=12,allocation=ets",
                                 "beam:n=12,allocation=particle",
                                 "beam:n=6,width=2,lookahead=2",
                                 "mcts:n=24,width=4",
                                 "ab-mcts:n=24,width=4"};
    int n_early = 0;
    for (int i = 0; i < 20 * (int)ARRAY_LEN(texts); i++) {
        const struct script script = {.drops_solutions = true,
                                      .seed = (uint64_t)i,
                                      .end_percent = 25,
                                      .verified_percent = 12,
                                      .n_values = 20,
                                      .n_tokens = 4};
        const char *text = texts[i % (int)ARRAY_LEN(texts)];
        char stopping[80];
        struct script_run whole = {0}, first = {0};
        int verified, deepest, verified_whole, deepest_whole;
        script_run(text, &script, 0, &whole);
        snprintf(stopping, sizeof stopping, "%s,stop=verified", text);
        script_run(stopping, &script, 1, &first);
        for (uint64_t order = 2; order < 5; order++) {
            struct script_run run = {0};
            script_run(stopping, &script, order, &run);
            assert_string_equal(buf_cstr(&run.dump), buf_cstr(&first.dump));
            buf_free(&run.dump);
        }
        measure(buf_cstr(&first.dump), &verified, &deepest);
        measure(buf_cstr(&whole.dump), &verified_whole, &deepest_whole);
        assert_int_equal(verified > 0, verified_whole > 0);
        if (!verified) assert_string_equal(buf_cstr(&first.dump), buf_cstr(&whole.dump));
        if (verified && *text == 'b' && !strstr(text, "lookahead")) assert_int_equal(deepest, verified);
        assert_true(first.n_expands <= whole.n_expands);
        n_early += first.n_expands < whole.n_expands;
        buf_free(&whole.dump);
        buf_free(&first.dump);
    }
    assert_true(n_early > 50);
}

static void without_a_verifier_that_is_refused(void **state) {
    UNUSED(state);
    const char *const names[] = {"sample", "revise", "beam", "mcts", "ab-mcts"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char text[60], message[200];
        struct err e = {0};
        snprintf(text, sizeof text, "%s:stop=verified", names[i]);
        snprintf(message, sizeof message,
                 "strategy '%s': stop=verified needs a verifier, and there is none; leave it out", names[i]);
        const struct search_spec spec = script_spec(text);
        const struct search_context context = {
            .problem_key = 1, .has_reward = true, .n_tokens_answer_max = 9};
        assert_null(search_new(&spec, &context, &e));
        assert_string_equal(e.msg, message);
        assert_int_equal(e.code, ERR_INPUT);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_tree_is_the_restated_rule_s_in_any_order),
        cmocka_unit_test(counts_follow_the_formulas),
        cmocka_unit_test(short_chains_are_samples),
        cmocka_unit_test(it_can_be_stopped_at_any_time),
        cmocka_unit_test(samples_stop_at_the_window_of_the_first_that_is_verified),
        cmocka_unit_test(searches_stop_where_one_is_verified),
        cmocka_unit_test(without_a_verifier_that_is_refused),
    };
    return cmocka_run_group_tests_name("search_revise", tests, NULL, NULL);
}
