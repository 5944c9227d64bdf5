/* Expansions in turns: the same tree as without, and handed out in the same order whatever was told first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "search_script.h"

static const char *const strategies[] = {
    "greedy",
    "sample:n=20",
    "sample:n=20,stop=window,window=3",
    "beam:n=12,width=3",
    "beam:n=12,width=3,lookahead=2",
    "beam:n=12,allocation=ets",
    "dvts:n=12,width=3",
    "dvts:n=12,width=3,lookahead=3",
    "mcts:n=16,width=4",
    "revise:n=14,length=4",
    "ab-mcts:n=14,width=4",
    "sal-beam:n=8,width=2",
    "its-pf:n=8",
};

static void turns_change_no_tree_and_keep_one_order(void **state) {
    UNUSED(state);
    for (int i = 0; i < 8 * (int)ARRAY_LEN(strategies); i++) {
        const char *text = strategies[i % (int)ARRAY_LEN(strategies)];
        struct script script = {.drops_solutions = true,
                                .seed = (uint64_t)i,
                                .end_percent = 12,
                                .cut_percent = i % 2 ? 4 : 0,
                                .fail_percent = i % 2 ? 4 : 0,
                                .n_values = 9,
                                .n_texts = i % 3 ? 0 : 4,
                                .n_tokens = 8};
        struct script_run free_run = {0}, first = {0};
        script_run(text, &script, 1, &free_run);
        script.in_turns = true;
        script_run(text, &script, 2, &first);
        assert_string_equal(buf_cstr(&first.dump), buf_cstr(&free_run.dump));
        for (uint64_t order = 3; order < 9; order++) {
            struct script_run run = {0};
            script_run(text, &script, order, &run);
            assert_string_equal(buf_cstr(&run.dump), buf_cstr(&first.dump));
            assert_string_equal(buf_cstr(&run.expands), buf_cstr(&first.expands));
            buf_free(&run.dump);
            buf_free(&run.expands);
        }
        buf_free(&free_run.dump);
        buf_free(&first.dump);
        buf_free(&first.expands);
    }
}

/* A turn is sorted by path, and the next begins when nothing is open. */
static void a_turn_begins_when_all_is_told(void **state) {
    UNUSED(state);
    const struct script script = {.in_turns = true};
    const float reward = 0.5f;
    struct search *s = script_search_for("dvts:n=4,width=2", &script);
    struct search_ask ask;
    const struct search_told step = {.finish = SEARCH_STEP, .n_tokens = 1, .answer_class = -1};
    for (int i = 1; i <= 4; i++) assert_true(search_ask(s, &ask) && ask.op == SEARCH_EXPAND && ask.node == i);
    assert_false(search_ask(s, &ask));
    for (int i = 4; i >= 3; i--) { /* the second tree is through with its level */
        search_tell_node(s, i, &step);
        assert_true(search_ask(s, &ask) && ask.op == SEARCH_SCORE && ask.node == i);
        search_tell_score(s, i, &reward, 1);
    }
    assert_true(search_ask(s, &ask) && ask.op == SEARCH_DROP);
    assert_false(search_ask(s, &ask));
    assert_false(search_done(s));
    for (int i = 1; i <= 2; i++) {
        search_tell_node(s, i, &step);
        assert_true(search_ask(s, &ask) && ask.op == SEARCH_SCORE && ask.node == i);
        search_tell_score(s, i, &reward, 1);
    }
    assert_true(search_ask(s, &ask) && ask.op == SEARCH_DROP);
    const int parents[] = {1, 1, 3, 3}; /* the first tree's first, though it was asked for last */
    for (int i = 0; i < 4; i++)
        assert_true(search_ask(s, &ask) && ask.op == SEARCH_EXPAND && ask.parent == parents[i]);
    assert_false(search_ask(s, &ask));
    search_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(turns_change_no_tree_and_keep_one_order),
        cmocka_unit_test(a_turn_begins_when_all_is_told),
    };
    return cmocka_run_group_tests_name("search_turns", tests, NULL, NULL);
}
