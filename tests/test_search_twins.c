/* Equal siblings are scored once: the same decisions as without, fewer texts read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "search_script.h"

static const char *const strategies[] = {
    "sample:n=40",
    "sample:n=40,stop=certain,window=4",
    "beam:n=16,width=4,distinct=0",
    "beam:n=16,allocation=rebase,distinct=0",
    "beam:n=16,allocation=particle,distinct=0,ess=1",
    "beam:n=8,width=2,distinct=0,lookahead=2",
    "dvts:n=16,width=4,distinct=0",
    "mcts:n=24,width=5",
    "sal-beam:n=16",
    "its-pf:n=16",
};

/* script_run checks that every text below a parent was scored once and no more. */
static void decisions_are_those_of_scoring_each(void **state) {
    UNUSED(state);
    int n_scores = 0, n_twins = 0;
    for (int i = 0; i < 10 * (int)ARRAY_LEN(strategies); i++) {
        const char *text = strategies[i % (int)ARRAY_LEN(strategies)];
        struct script script = {.drops_solutions = true,
                                .seed = (uint64_t)i,
                                .end_percent = 15,
                                .unscored_percent = 10,
                                .n_values = 7,
                                .n_texts = 2 + i % 6,
                                .n_tokens = 5};
        if (i % 3) script.cut_percent = script.fail_percent = 5;
        struct script_run each = {0};
        script.hides_texts = true;
        script_run(text, &script, (uint64_t)i, &each);
        assert_int_equal(each.n_twins, 0);
        script.hides_texts = false;
        for (uint64_t order = 0; order < 4; order++) {
            struct script_run once = {0};
            script_run(text, &script, order, &once);
            assert_string_equal(buf_cstr(&once.dump), buf_cstr(&each.dump));
            assert_int_equal(once.n_expands, each.n_expands);
            assert_int_equal(once.n_scores + once.n_twins, each.n_scores);
            n_scores += once.n_scores;
            n_twins += once.n_twins;
            buf_free(&once.dump);
        }
        buf_free(&each.dump);
    }
    assert_true(n_twins > 1000 && n_scores > 1000);
}

/* ---- twins that are given up: a strategy of this test wants n steps and the score of each ---- */

static void plain_init(struct search *s) {
    for (int i = 0; i < 4; i++) search_want_expand(s, 0, false);
}

static void plain_told(struct search *s, int node) {
    search_want_score(s, node);
}

static void plain_scored(struct search *s, int node) {
    tree_get(&s->tree, node)->tag = 1;
}

static struct search *plain_search(void) {
    static const struct search_ops ops = {.size = sizeof(struct search),
                                          .init = plain_init,
                                          .told_node = plain_told,
                                          .told_score = plain_scored};
    static const struct search_strategy strategy = {.name = "plain", .ops = &ops};
    const struct search_spec spec = {.strategy = &strategy};
    const struct search_context context = {.problem_key = 1, .has_reward = true, .n_tokens_answer_max = 10};
    struct search_ask ask;
    struct err e;
    struct search *s = search_new(&spec, &context, &e);
    for (int i = 1; i <= 4; i++) assert_true(search_ask(s, &ask) && ask.node == i);
    return s;
}

static void tell(struct search *s, int node, uint64_t text_hash) {
    const struct search_told told = {
        .finish = SEARCH_STEP, .n_tokens = 1, .answer_class = -1, .text_hash = text_hash};
    search_tell_node(s, node, &told);
}

static void assert_asks(struct search *s, enum search_op op, int node, int twin) {
    struct search_ask ask;
    assert_true(search_ask(s, &ask));
    assert_int_equal(ask.op, op);
    assert_int_equal(ask.node, node);
    assert_int_equal(ask.twin, twin);
    tree_check(search_tree(s));
}

static void assert_asks_nothing(struct search *s, bool done) {
    struct search_ask ask;
    assert_false(search_ask(s, &ask));
    assert_int_equal(search_done(s), done);
}

static void twins_wait_for_the_first_that_was_asked_for(void **state) {
    UNUSED(state);
    const float reward = 0.5f;
    struct search *s = plain_search();
    tell(s, 3, 7);
    assert_asks(s, SEARCH_SCORE, 3, -1);
    tell(s, 1, 7);
    tell(s, 4, 0); /* not known: scored for itself */
    assert_asks(s, SEARCH_SCORE, 4, -1);
    assert_asks_nothing(s, false);
    search_tell_score(s, 4, &reward, 1);
    search_tell_score(s, 3, &reward, 1);
    tell(s, 2, 7);
    assert_asks(s, SEARCH_SCORE, 1, 3);
    assert_asks(s, SEARCH_SCORE, 2, 3);
    assert_asks_nothing(s, false);
    search_tell_score(s, 1, &reward, 1);
    search_tell_score(s, 2, &reward, 1);
    assert_asks_nothing(s, true);
    for (int i = 1; i <= 4; i++) assert_true(s->tree.nodes[i].tag == 1 && s->tree.nodes[i].n_rewards == 1);
    search_free(s);
}

static void one_that_waits_steps_in_for_one_that_is_given_up(void **state) {
    UNUSED(state);
    const float reward = 0.25f;
    struct search *s = plain_search();
    for (int i = 1; i <= 4; i++) tell(s, i, 9);
    assert_asks(s, SEARCH_SCORE, 1, -1);
    search_want_drop(s, 2); /* waits: is not asked for any more */
    search_want_drop(s, 1);
    assert_asks(s, SEARCH_DROP, 2, -1);
    assert_asks(s, SEARCH_DROP, 1, -1);
    assert_asks(s, SEARCH_SCORE, 3, -1);
    assert_asks_nothing(s, false);
    search_tell_score(s, 3, &reward, 1);
    search_want_drop(s, 3); /* its rewards are known all the same */
    assert_asks(s, SEARCH_SCORE, 4, 3);
    assert_asks(s, SEARCH_DROP, 3, -1);
    search_tell_score(s, 4, &reward, 1);
    assert_asks_nothing(s, true);
    search_free(s);
}

static void the_last_of_the_twins_may_go_too(void **state) {
    UNUSED(state);
    struct search *s = plain_search();
    tell(s, 1, 9);
    assert_asks(s, SEARCH_SCORE, 1, -1);
    search_want_drop(s, 1);
    search_tell_score(s, 1, NULL, -1); /* before its DROP is handed out: known, and of no use to anybody */
    tell(s, 2, 9);
    assert_asks(s, SEARCH_DROP, 1, -1);
    assert_asks(s, SEARCH_SCORE, 2, -1);
    tell(s, 3, 9);
    search_tell_score(s, 2, NULL, -1); /* could not be scored: nor can its twin */
    assert_asks(s, SEARCH_SCORE, 3, 2);
    search_tell_score(s, 3, NULL, -1);
    tell(s, 4, 8);
    assert_asks(s, SEARCH_SCORE, 4, -1);
    search_stop(s);
    assert_asks_nothing(s, true);
    search_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decisions_are_those_of_scoring_each),
        cmocka_unit_test(twins_wait_for_the_first_that_was_asked_for),
        cmocka_unit_test(one_that_waits_steps_in_for_one_that_is_given_up),
        cmocka_unit_test(the_last_of_the_twins_may_go_too),
    };
    return cmocka_run_group_tests_name("search_twins", tests, NULL, NULL);
}
