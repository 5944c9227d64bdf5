/* test_run_peek.c - what is shown of a solution while it is written is the beginning of what it becomes, stop
 * texts included. Bundled models. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "run/coordinator.h"

static bool on_event(void *ctx, const struct run_event *event, struct err *e) {
    UNUSED(e);
    if (event->what == RUN_ENDED && event->solutions->n == 1)
        buf_add_str(ctx, str_from(event->solutions->items[0].text));
    return true;
}

/* The text in the end; *n_looks: how often a longer one was seen before. */
static char *write_one(struct policy *policy, const char *stop, int *n_looks) {
    struct search_spec spec;
    struct err e;
    struct buf whole = {0}, seen = {0}, now = {0};
    const char *stops[] = {stop};
    assert_true(search_spec_parse(&spec, "greedy", &e));
    const struct coordinator_problem problem = {
        .id = "one",
        .text = "Tom has 12 jars. Tom sells 5 of them. How many jars does Tom have now?",
        .spec = &spec,
        .n_tokens_max = 64,
        .stops = stops,
        .n_stops = stop ? 1 : 0,
    };
    struct coordinator *c = coordinator_new(policy, NULL, NULL, on_event, &whole);
    assert_true(coordinator_add(c, &problem, &e));
    *n_looks = 0;
    for (int n_active = 1; n_active > 0;) {
        assert_true(coordinator_step(c, &n_active, &e));
        buf_clear(&now);
        if (!coordinator_peek(c, 0, &now)) continue;
        assert_true(now.len >= seen.len && memcmp(buf_cstr(&now), buf_cstr(&seen), seen.len) == 0);
        *n_looks += now.len > seen.len;
        buf_clear(&seen);
        buf_add(&seen, buf_cstr(&now), now.len);
    }
    assert_true(str_starts(buf_str(&whole), (struct str){buf_cstr(&seen), seen.len}));
    assert_false(coordinator_peek(c, 0, &now));
    coordinator_free(c);
    buf_free(&seen);
    buf_free(&now);
    return buf_take(&whole);
}

static void test_peeks_are_beginnings(void **state) {
    struct err e;
    int n_looks;
    UNUSED(state);
    struct policy *policy = policy_open("lab:small", &(struct policy_options){.n_threads = 1}, &e);
    assert_non_null(policy);
    char *whole = write_one(policy, NULL, &n_looks);
    assert_true(n_looks > 10 && strlen(whole) > 20);
    /* Every text of three bytes in it as a stop text. */
    for (size_t at = 1; at + 3 < strlen(whole); at += 5) {
        char stop[4] = {whole[at], whole[at + 1], whole[at + 2], '\0'};
        char *cut = write_one(policy, stop, &n_looks);
        assert_int_equal(strlen(cut), strstr(whole, stop) - whole);
        assert_memory_equal(cut, whole, strlen(cut));
        free(cut);
    }
    free(whole);
    policy_close(policy);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_peeks_are_beginnings)};
    return cmocka_run_group_tests_name("run_peek", tests, NULL, NULL);
}
