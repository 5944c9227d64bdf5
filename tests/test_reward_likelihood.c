/* test_reward_likelihood.c - the likelihood of a step, beside what the same model as a policy says of it. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "policy/policy.h"
#include "reward/reward.h"

static const char problem[] =
    "Tom has 12 jars. Tom sells 5 of them. Then Tom gets 3 more. How many jars does Tom have now?";

enum { STEPS_MAX = 12, VOCABULARY = 448 };

struct written { /* a solution of the policy's, step by step */
    char *steps[STEPS_MAX];
    double logprobs[STEPS_MAX];
    double divergences[STEPS_MAX]; /* sums over the tokens of KL(U || p) */
    int n_tokens[STEPS_MAX];
    int n;
};

static void write_solution(struct written *w, uint64_t key) {
    struct err e = {0};
    struct policy *p = policy_open("lab:small", NULL, &e);
    if (!p) fail_msg("%s", e.msg);
    const struct policy_prompt prompt = {.id = "p", .text = problem};
    struct policy_prefix *at = policy_root(p, &prompt, &e);
    for (bool ended = false; !ended && w->n < STEPS_MAX; w->n++) {
        const struct policy_job job = {.id = 1,
                                       .from = at,
                                       .key = key + (uint64_t)w->n,
                                       .until = POLICY_UNTIL_STEP,
                                       .n_tokens_max = 100,
                                       .n_top = VOCABULARY,
                                       .sampling = {.temperature = 1, .top_p = 1}};
        struct policy_result r;
        policy_submit(p, &job);
        while (!policy_next(p, &r)) assert_true(policy_work(p, 1, &e) >= 0);
        assert_true(r.finish == POLICY_STEP || r.finish == POLICY_END);
        ended = r.finish == POLICY_END;
        w->steps[w->n] = str_dup(r.text);
        w->logprobs[w->n] = r.logprob;
        w->n_tokens[w->n] = r.n_tokens;
        /* A confidence over the whole vocabulary is minus the mean log-probability there. */
        assert_int_equal(r.n_confidences, r.n_tokens);
        for (int i = 0; i < r.n_confidences; i++)
            w->divergences[w->n] += (double)r.confidences[i] - log(VOCABULARY);
        policy_release(p, at);
        at = r.prefix;
    }
    policy_release(p, at);
    policy_close(p);
}

static void score(struct reward *r, struct reward_prefix *from, const char *text, struct reward_result *out) {
    struct err e;
    reward_submit(r, &(struct reward_job){.id = 9, .from = from, .text = str_from(text)});
    while (!reward_next(r, out)) assert_true(reward_work(r, 1, &e) >= 0);
    assert_false(out->failed);
}

static void test_a_reward_is_the_steps_probability(void **state) {
    UNUSED(state);
    struct err e = {0};
    struct reward *r = reward_open("likelihood:lab:small", NULL, &e);
    if (!r) fail_msg("%s", e.msg);
    assert_string_equal(reward_info(r)->aggregate, "prod");
    for (uint64_t key = 1; key < 4; key++) {
        struct written w = {0};
        struct buf whole = {0};
        float rewards[STEPS_MAX];
        struct cost sum = {0};
        write_solution(&w, 100 * key);
        struct reward_prefix *root = reward_root(r, problem, &e), *at = root;
        struct reward_result got;
        for (int i = 0; i < w.n; i++) {
            buf_add_str(&whole, str_from(w.steps[i]));
            score(r, at, w.steps[i], &got);
            assert_int_equal(got.n_rewards, 1);
            rewards[i] = got.rewards[0];
            cost_add(&sum, &got.cost);
            /* The policy's last step has its end token too. */
            if (i + 1 < w.n)
                assert_true(fabs(log((double)rewards[i]) - w.logprobs[i]) < 1e-3);
            else
                assert_true(log((double)rewards[i]) > w.logprobs[i] - 1e-3);
            if (at != root) reward_release(r, at);
            at = got.prefix;
        }
        reward_release(r, at);
        score(r, root, buf_cstr(&whole), &got); /* at once: the same bits, the same cost */
        assert_int_equal(got.n_rewards, w.n);
        assert_memory_equal(got.rewards, rewards, (size_t)w.n * sizeof *rewards);
        assert_true(got.cost.tokens_read == sum.tokens_read);
        assert_true(fabs(got.cost.flops - sum.flops) < 1e-9 * sum.flops);
        reward_release(r, got.prefix);
        reward_release(r, root);
        for (int i = 0; i < w.n; i++) free(w.steps[i]);
        buf_free(&whole);
    }
    reward_close(r);
}

static void test_perplexity_and_certainty_are_means_over_tokens(void **state) {
    UNUSED(state);
    struct err e = {0};
    struct reward *perplexity = reward_open("perplexity:lab:small", NULL, &e);
    struct reward *certainty = reward_open("certainty:lab:small", NULL, &e);
    if (!perplexity || !certainty) fail_msg("%s", e.msg);
    assert_string_equal(reward_info(perplexity)->aggregate, "mean");
    assert_string_not_equal(reward_info(perplexity)->identity, reward_info(certainty)->identity);
    for (uint64_t key = 1; key < 4; key++) {
        struct written w = {0};
        struct buf whole = {0};
        struct reward_result got;
        write_solution(&w, 100 * key);
        for (int i = 0; i < w.n; i++) buf_add_str(&whole, str_from(w.steps[i]));
        struct reward_prefix *root = reward_root(perplexity, problem, &e);
        score(perplexity, root, buf_cstr(&whole), &got);
        for (int i = 0; i + 1 < w.n; i++) /* the policy's last step has its end token too */
            assert_true(fabs(log((double)got.rewards[i]) - w.logprobs[i] / w.n_tokens[i]) < 1e-3);
        reward_release(perplexity, got.prefix);
        reward_release(perplexity, root);
        root = reward_root(certainty, problem, &e);
        score(certainty, root, buf_cstr(&whole), &got);
        for (int i = 0; i + 1 < w.n; i++) {
            const double c = w.divergences[i] / w.n_tokens[i];
            assert_true(c > 0 && fabs((double)got.rewards[i] - c / (1 + c)) < 1e-3);
        }
        reward_release(certainty, got.prefix);
        reward_release(certainty, root);
        for (int i = 0; i < w.n; i++) free(w.steps[i]);
        buf_free(&whole);
    }
    reward_close(perplexity);
    reward_close(certainty);
}

static void test_what_cannot_be_read(void **state) {
    UNUSED(state);
    struct err e = {0};
    assert_null(reward_open("likelihood:lab:prm", NULL, &e));
    assert_non_null(strstr(e.msg, "writes no text"));
    assert_null(reward_open("likelihood:/nowhere", NULL, &e));
    assert_non_null(strstr(e.msg, "/nowhere"));
    struct reward *r = reward_open("likelihood:lab:small", NULL, &e);
    struct reward_prefix *root = reward_root(r, problem, &e);
    struct buf text = {0};
    struct reward_result got;
    for (int i = 0; i < 3000; i++) buf_printf(&text, "%d + ", i);
    reward_submit(r, &(struct reward_job){.id = 1, .from = root, .text = buf_str(&text)});
    while (!reward_next(r, &got)) assert_true(reward_work(r, 1, &e) >= 0);
    assert_true(got.failed);
    assert_non_null(strstr(got.why, "longer than"));
    reward_submit(r, &(struct reward_job){.id = 2, .from = root, .text = STR("1+1 = 2.\n\n")});
    reward_cancel(r, 2);
    assert_int_equal(reward_in_flight(r), 0);
    buf_free(&text);
    reward_release(r, root);
    reward_close(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_reward_is_the_steps_probability),
        cmocka_unit_test(test_perplexity_and_certainty_are_means_over_tokens),
        cmocka_unit_test(test_what_cannot_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
