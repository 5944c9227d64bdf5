/* test_run_frees.c - what a search gives up or has decided leaves the services at once: pages and places in
 * the batch. Bundled models, counters of the services' doors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "run/coordinator.h"
#include "run/run.h"
#include "run/task.h"

struct services {
    struct policy *policy;
    struct reward *reward;
    struct task *task;
    /* what the last event left */
    double policy_bytes, reward_bytes;
    int n_drops, n_reward_drops, n_nodes;
    bool ended;
};

static bool on_event(void *ctx, const struct run_event *event, struct err *e) {
    struct services *s = ctx;
    UNUSED(e);
    const double policy_bytes = policy_cache_bytes(s->policy), reward_bytes = reward_cache_bytes(s->reward);
    s->n_nodes += event->what == RUN_NODE;
    s->ended |= event->what == RUN_ENDED;
    if (event->what == RUN_DROP) {
        /* No forward pass lies between this event and the one before: what is gone is the dropped node's. */
        s->n_drops++;
        assert_true(policy_bytes < s->policy_bytes);
        assert_true(reward_bytes <= s->reward_bytes); /* a twin may still need them */
        s->n_reward_drops += reward_bytes < s->reward_bytes;
    }
    s->policy_bytes = policy_bytes;
    s->reward_bytes = reward_bytes;
    return true;
}

static struct services open_services(void) {
    struct err e = {0};
    struct services s = {.policy = policy_open("lab:small", NULL, &e),
                         .reward = reward_open("lab:prm", NULL, &e)};
    s.task = task_open("lab:story", 40, &e);
    assert_true(s.policy && s.reward && s.task);
    return s;
}

static void close_services(struct services *s) {
    reward_close(s->reward);
    policy_close(s->policy);
    task_free(s->task);
}

static struct coordinator_problem problem_of(const struct services *s, int i,
                                             const struct search_spec *spec) {
    const struct task_problem *t = &s->task->problems[i];
    return (struct coordinator_problem){.ordinal = i,
                                        .id = t->id,
                                        .text = t->prompt,
                                        .key = rng_child_named(3, t->id),
                                        .spec = spec,
                                        .n_tokens_max = 512};
}

static void search_one(struct services *s, const char *strategy, int i, int n_stop) {
    struct err e = {0};
    struct search_spec spec;
    assert_true(search_spec_parse(&spec, strategy, &e));
    run_fill_spec(&spec, policy_info(s->policy), AGGREGATE_MIN);
    struct coordinator *c = coordinator_new(s->policy, s->reward, NULL, on_event, s);
    const struct coordinator_problem p = problem_of(s, i, &spec);
    int n_active = 1;
    s->ended = false;
    s->n_nodes = 0;
    assert_true(coordinator_add(c, &p, &e));
    while (n_active > 0 && (n_stop == 0 || s->n_nodes < n_stop))
        assert_true(coordinator_step(c, &n_active, &e));
    if (n_active > 0) assert_true(coordinator_stop(c, RUN_STOPPED, &e));
    /* It is over, and nothing of it is left in the services, before the coordinator is freed. */
    assert_true(s->ended);
    assert_int_equal(policy_in_flight(s->policy), 0);
    assert_int_equal(reward_in_flight(s->reward), 0);
    assert_true(policy_cache_bytes(s->policy) == 0 && reward_cache_bytes(s->reward) == 0);
    coordinator_free(c);
}

static void test_what_is_pruned_is_freed_at_once(void **state) {
    UNUSED(state);
    static const char *const strategies[] = {"beam:n=8,width=4,temperature=2",
                                             "dvts:n=8,width=4,temperature=2",
                                             "beam:n=8,allocation=particle,ess=1,temperature=2"};
    struct services s = open_services();
    for (size_t k = 0; k < ARRAY_LEN(strategies); k++)
        for (int i = 0; i < 4; i++) search_one(&s, strategies[k], i, 0);
    if (s.n_drops < 50 || s.n_reward_drops < s.n_drops / 2)
        fail_msg("%d drops, %d of rewards", s.n_drops, s.n_reward_drops);
    close_services(&s);
}

static void test_what_is_decided_leaves_the_batch_at_once(void **state) {
    UNUSED(state);
    static const char *const strategies[] = {"sample:n=24", "beam:n=16,width=4", "mcts:n=16,width=8",
                                             "sample:n=24,stop=beta,window=1"};
    struct services s = open_services();
    for (size_t k = 0; k < ARRAY_LEN(strategies); k++)
        for (int n_stop = 1; n_stop < 20; n_stop += 6) search_one(&s, strategies[k], n_stop, n_stop);
    close_services(&s);
}

/* A search that ends leaves the other's pages alone, and takes its own with it: what the other holds
 * afterwards is what it holds when it runs alone. */
static void test_a_search_that_ended_leaves_the_other_its_pages(void **state) {
    UNUSED(state);
    struct err e = {0};
    struct search_spec spec;
    double bytes[2][400];
    int n_bytes[2] = {0};
    assert_true(search_spec_parse(&spec, "greedy", &e));
    for (int with_other = 0; with_other < 2; with_other++) {
        struct services s = open_services();
        run_fill_spec(&spec, policy_info(s.policy), AGGREGATE_MIN);
        struct coordinator *c = coordinator_new(s.policy, s.reward, NULL, NULL, NULL);
        const struct coordinator_problem a = problem_of(&s, 0, &spec), b = problem_of(&s, 1, &spec);
        int n_active = 1;
        assert_true(coordinator_add(c, &a, &e));
        if (with_other) assert_true(coordinator_add(c, &b, &e));
        do {
            assert_true(coordinator_step(c, &n_active, &e) && n_bytes[with_other] < 400);
            bytes[with_other][n_bytes[with_other]++] = policy_cache_bytes(s.policy);
        } while (n_active > 0);
        assert_true(policy_cache_bytes(s.policy) == 0 && reward_cache_bytes(s.reward) == 0);
        coordinator_free(c);
        close_services(&s);
    }
    /* From the end backwards: the one that lasted longer was alone. */
    int n_alone = 0;
    while (n_alone < n_bytes[0] && n_alone < n_bytes[1] &&
           bytes[0][n_bytes[0] - 1 - n_alone] == bytes[1][n_bytes[1] - 1 - n_alone])
        n_alone++;
    assert_true(n_bytes[1] >= n_bytes[0] && n_alone > 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_pruned_is_freed_at_once),
        cmocka_unit_test(test_what_is_decided_leaves_the_batch_at_once),
        cmocka_unit_test(test_a_search_that_ended_leaves_the_other_its_pages),
    };
    return cmocka_run_group_tests_name("run_frees", tests, NULL, NULL);
}
