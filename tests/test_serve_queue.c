/* test_serve_queue.c - who is next: fair between clients, bounded; and as clients see it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/rng.h"
#include "serve/queue.h"
#include "serve_client.h"

static void test_clients_take_turns(void **state) {
    struct queue *q = queue_new(100);
    struct queue_place many[5] = {{0}}, one = {0}, other = {0};
    UNUSED(state);
    for (int i = 0; i < 5; i++) assert_int_equal(queue_add(q, "many", &many[i]), i);
    assert_int_equal(queue_add(q, "one", &one), 5);
    assert_ptr_equal(queue_next(q), &many[0]);
    assert_ptr_equal(queue_next(q), &one); /* it has fewer running */
    assert_int_equal(queue_add(q, "other", &other), 4);
    assert_ptr_equal(queue_next(q), &other);
    assert_ptr_equal(queue_next(q), &many[1]);
    assert_int_equal(queue_running(q), 4);
    for (int i = 2; i < 5; i++) assert_ptr_equal(queue_next(q), &many[i]);
    assert_null(queue_next(q));
    for (int i = 0; i < 5; i++) queue_leave(q, &many[i]);
    queue_leave(q, &one);
    queue_leave(q, &other);
    queue_leave(q, &other); /* twice does no harm */
    assert_int_equal(queue_running(q), 0);
    queue_free(q);
}

static void test_queue_is_bounded(void **state) {
    struct queue *q = queue_new(2);
    struct queue_place p[3] = {{0}};
    UNUSED(state);
    assert_int_equal(queue_add(q, "a", &p[0]), 0);
    assert_int_equal(queue_add(q, "b", &p[1]), 1);
    assert_int_equal(queue_add(q, "c", &p[2]), -1);
    queue_leave(q, &p[0]);
    assert_int_equal(queue_add(q, "c", &p[2]), 1);
    assert_ptr_equal(queue_next(q), &p[1]);
    queue_leave(q, &p[1]);
    queue_leave(q, &p[2]);
    queue_free(q);
}

/* Whatever comes and goes: with everybody waiting, nobody has two more running than another. */
static void test_no_client_is_ahead(void **state) {
    enum { CLIENTS = 7, EACH = 40 };
    static const char *const names[CLIENTS] = {"a", "b", "c", "d", "e", "f", "g"};
    static struct queue_place places[CLIENTS][EACH];
    struct queue *q = queue_new(CLIENTS * EACH);
    int running[CLIENTS] = {0}, n_numbers[CLIENTS];
    UNUSED(state);
    for (int c = 0; c < CLIENTS; c++) {
        for (int i = 0; i < EACH; i++) queue_add(q, names[c], &places[c][i]);
        n_numbers[places[c][0].client] = c;
    }
    for (int i = 0; i < CLIENTS * 20; i++) {
        struct queue_place *p = queue_next(q);
        running[n_numbers[p->client]]++;
        if (rng_child(5, (uint64_t)i) % 3 == 0) {
            running[n_numbers[p->client]]--;
            queue_leave(q, p);
        }
        int least = EACH, most = 0;
        for (int c = 0; c < CLIENTS; c++) {
            least = MIN(least, running[c]);
            most = MAX(most, running[c]);
        }
        assert_true(most - least <= 1);
    }
    for (int c = 0; c < CLIENTS; c++)
        for (int i = 0; i < EACH; i++) queue_leave(q, &places[c][i]);
    assert_int_equal(queue_waiting(q) + queue_running(q), 0);
    queue_free(q);
}

/* One client asks for six long searches; another, who comes last, for a small one. It waits for what runs and
 * for one more of the other's, whose turn it was when it came, and not for the four behind. */
static void test_modest_clients_pass_greedy_ones(void **state) {
    enum { GREEDY = 6 };
    static const char endless[] =
        "{\"model\":\"" ENDLESS_STRATEGY
        "\",\"user\":\"greedy\",\"messages\":[{\"role\":\"user\",\"content\":\"Go.\"}]}";
    static const char small[] = "{\"model\":\"brood/sample:n=2\",\"user\":\"modest\",\"messages\":[{\"role\":"
                                "\"user\",\"content\":\"Go.\"}]}";
    struct serve_options o = serve_defaults();
    struct server s;
    struct answer a = {0};
    int greedy[GREEDY];
    UNUSED(state);
    o.policy = ENDLESS;
    o.reward = NULL;
    o.n_active_max = 1;
    server_start(&s, &o);
    for (int i = 0; i < GREEDY; i++) {
        greedy[i] = begin_chat(&s, endless);
        while (metric(&s, "requests_running") + metric(&s, "requests_waiting") != i + 1) continue;
    }
    const int modest = begin_chat(&s, small);
    while (metric(&s, "requests_waiting") != GREEDY) continue;
    for (int i = 0; i < 2; i++) {
        close(greedy[i]); /* a place is free */
        while (metric(&s, "requests_waiting") > GREEDY - 1 - i) continue;
    }
    receive_until(modest, NULL, &a.all);
    take_answer(&a);
    assert_int_equal(a.status, 200);
    char byte;
    assert_int_equal(recv(greedy[GREEDY - 1], &byte, 1, MSG_DONTWAIT),
                     -1); /* nobody behind it has an answer */
    answer_free(&a);
    close(modest);
    for (int i = 2; i < GREEDY; i++) close(greedy[i]);
    server_stop(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clients_take_turns),
        cmocka_unit_test(test_queue_is_bounded),
        cmocka_unit_test(test_no_client_is_ahead),
        cmocka_unit_test(test_modest_clients_pass_greedy_ones),
    };
    return cmocka_run_group_tests_name("serve_queue", tests, NULL, NULL);
}
