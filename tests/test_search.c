/* Strategies as text, trees, and the strategies that do not look at steps. Beams are in test_search_beam.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "search_script.h"

/* cmocka compares in single precision. */
#define assert_near(a, b, tolerance) assert_true(fabs((a) - (b)) <= (tolerance))

/* ---- specs ---- */

static void assert_spec(const char *text, const char *printed) {
    struct search_spec spec, again;
    struct err e;
    struct buf b = {0}, c = {0};
    assert_true(search_spec_parse(&spec, text, &e));
    search_spec_print(&spec, &b);
    assert_string_equal(buf_cstr(&b), printed);
    assert_true(search_spec_parse(&again, buf_cstr(&b), &e));
    search_spec_print(&again, &c);
    assert_string_equal(buf_cstr(&b), buf_cstr(&c));
    buf_free(&b);
    buf_free(&c);
}

static void specs_are_read_and_written(void **state) {
    UNUSED(state);
    assert_spec("greedy", "greedy");
    assert_spec("greedy:", "greedy");
    assert_spec("sample", "sample:n=16");
    assert_spec(" sample : n = 64 , temperature = .7,", "sample:n=64,temperature=0.7");
    assert_spec("sample:n=1e3,top_p=0.95,min_p=0.1,top_k=40", "sample:n=1000,top_p=0.95,min_p=0.1,top_k=40");
    assert_spec("sample:temperature=0.1234567890123", "sample:n=16,temperature=0.1234567890123");
    assert_spec("sample:stop=beta,threshold=0.95", "sample:n=16,stop=beta"); /* optional, unchanged: unsaid */
    assert_spec("sample:vote=min,window=4,stop=none", "sample:n=16,vote=min");
    assert_spec("beam:n=8,aggregate=min", "beam:n=8,width=4,depth=40,aggregate=min,distinct=1");
    assert_spec("dvts:aggregate=mean", "dvts:n=16,width=4,depth=40,aggregate=mean,distinct=1");
}

static void add_names(struct buf *out) {
    for (int i = 0; search_strategies[i]; i++)
        buf_printf(out, "%s%s", i ? ", " : "", search_strategies[i]->name);
    for (int i = 0; search_presets[i].name; i++) buf_printf(out, ", %s", search_presets[i].name);
}

static void unknown_names_and_bad_values_are_refused_helpfully(void **state) {
    UNUSED(state);
    const struct {
        const char *text, *message;
    } cases[] = {
        {"", "unknown strategy ''; known: "},
        {"best-of-n", "unknown strategy 'best-of-n'; known: "},
        {"greedy:n=2", "strategy 'greedy' has no parameter 'n'; known: none"},
        {"sample:m=2", "strategy 'sample' has no parameter 'm'; known: n, stop, threshold, window, "
                       "vote, top, score, temperature, top_p, min_p, top_k"},
        {"sample:n=0", "strategy 'sample': n=0 must be from 1 to 100000"},
        {"sample:n=2.5", "strategy 'sample': n=2.5 must be a whole number"},
        {"sample:n=", "strategy 'sample': n='' is not a number"},
        {"sample:n", "strategy 'sample': n='' is not a number"},
        {"sample:n=4x", "strategy 'sample': n='4x' is not a number"},
        {"sample:n=nan", "strategy 'sample': n='nan' is not a number"},
        {"sample:n=0x10", "strategy 'sample': n='0x10' is not a number"},
        {"sample:top_p=1e999", "strategy 'sample': top_p='1e999' is not a number"},
        {"sample:n=1,n=2", "strategy 'sample:n=1,n=2': n is given twice"},
        {"sample:n=1,,top_k=2",
         "strategy 'sample:n=1,,top_k=2': expected key=value after ':' and between commas"},
        {"beam:aggregate=max", "strategy 'beam': aggregate cannot be 'max'; known: last, min, prod, mean"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct search_spec spec;
        struct err e = {0};
        assert_false(search_spec_parse(&spec, cases[i].text, &e));
        struct buf message = {0};
        buf_add_str(&message, str_from(cases[i].message));
        if (str_ends(str_from(cases[i].message), STR("known: "))) add_names(&message);
        assert_string_equal(e.msg, buf_cstr(&message));
        buf_free(&message);
        assert_int_equal(e.code, ERR_INPUT);
    }
}

static void what_nobody_set_is_recommended_or_missed(void **state) {
    UNUSED(state);
    struct search_spec spec;
    struct search_context context = {.problem_key = 1, .has_reward = false, .n_tokens_answer_max = 10};
    struct err e;
    assert_true(search_spec_parse(&spec, "sample:top_p=0.5", &e));
    assert_null(search_new(&spec, &context, &e));
    assert_string_equal(
        e.msg,
        "strategy 'sample': temperature is not set and nothing recommends a value; give temperature=...");
    search_spec_recommend(&spec, "temperature", 1e9);
    search_spec_recommend(&spec, "top_p", 0.9);
    search_spec_recommend(&spec, "min_p", 0);
    search_spec_recommend(&spec, "top_k", NAN);
    search_spec_recommend(&spec, "width", 3);
    assert_true(isnan(search_spec_get(&spec, "top_k")));
    search_spec_recommend(&spec, "top_k", 20);
    assert_near(search_spec_get(&spec, "temperature"), 10, 0);
    assert_near(search_spec_get(&spec, "top_p"), 0.5, 0);
    assert_near(search_spec_get(&spec, "top_k"), 20, 0);
    assert_false(search_spec_has(&spec, "width"));

    assert_true(search_spec_set(&spec, "n", 3, &e));
    assert_false(search_spec_set(&spec, "n", NAN, &e));
    assert_false(search_spec_set(&spec, "width", 3, &e));
    assert_true(search_spec_set_text(&spec, "n", "7", &e));
    assert_near(search_spec_get(&spec, "n"), 7, 0);
    struct search *s = search_new(&spec, &context, &e);
    assert_non_null(s);
    search_free(s);

    assert_true(search_spec_parse(&spec, "beam", &e));
    assert_null(search_new(&spec, &context, &e));
    assert_string_equal(e.msg, "strategy 'beam' needs a reward model: give one with --reward");
}

static void every_strategy_says_what_it_is(void **state) {
    UNUSED(state);
    struct search_spec spec;
    struct err e;
    for (int i = 0; search_strategies[i]; i++) {
        const struct search_strategy *x = search_strategies[i];
        assert_true(x->name && x->summary && x->source && x->example && x->n_params <= SEARCH_PARAMS_MAX);
        assert_true(search_spec_parse(&spec, x->example, &e));
        assert_ptr_equal(spec.strategy, x);
        for (int k = 0; k < x->n_params; k++) {
            const struct search_param *p = &x->params[k];
            assert_true(p->name && p->help && p->min <= p->max);
            assert_true(isnan(p->def) || (p->def >= p->min && p->def <= p->max));
            assert_int_equal(p->type == SEARCH_PARAM_CHOICE, p->choices != NULL);
        }
    }
}

/* ---- trees ---- */

static int add_open(struct tree *t, int parent, float reward) {
    int node = tree_add(t, parent);
    struct tree_node *v = tree_get(t, node);
    v->state = TREE_OPEN;
    v->score_asked = true;
    v->n_rewards = 1;
    v->rewards = mem_dup(&reward, sizeof reward);
    return node;
}

static void nodes_are_known_by_their_paths(void **state) {
    UNUSED(state);
    struct tree t;
    tree_init(&t, 42);
    int a = add_open(&t, 0, 0.5f), b = add_open(&t, 0, 0.25f);
    for (int i = 0; i < 12; i++) add_open(&t, b, 0.125f);
    int c = (int)t.n_nodes - 1, d = add_open(&t, c, 1), x = add_open(&t, a, 0);
    tree_check(&t);
    assert_int_equal(tree_get(&t, d)->key, rng_child(rng_child(rng_child(42, 1), 11), 0));

    char path[16];
    assert_int_equal(tree_path(&t, 0, path, sizeof path), 0);
    assert_string_equal(path, "");
    assert_int_equal(tree_path(&t, d, path, sizeof path), 6);
    assert_string_equal(path, "1.11.0");
    assert_int_equal(tree_path(&t, d, path, 4), 6);
    assert_string_equal(path, "1.1");
    assert_int_equal(tree_path(&t, d, NULL, 0), 6);

    float rewards[3] = {-1, -1, -1};
    assert_int_equal(tree_path_rewards(&t, d, rewards, 3), 3);
    assert_true(rewards[0] == 0.25f && rewards[1] == 0.125f && rewards[2] == 1);
    rewards[1] = -1;
    assert_int_equal(tree_path_rewards(&t, d, rewards, 1), 3);
    assert_true(rewards[0] == 0.25f && rewards[1] == -1);
    assert_int_equal(tree_path_rewards(&t, 0, NULL, 0), 0);

    const int in_order[] = {0, a, x, b, b + 1, b + 2, c, d}; /* "", 0, 0.0, 1, 1.0, 1.1, 1.11, 1.11.0 */
    for (int i = 0; i < (int)ARRAY_LEN(in_order); i++)
        for (int k = 0; k < (int)ARRAY_LEN(in_order); k++)
            assert_int_equal(tree_compare(&t, in_order[i], in_order[k]), (i > k) - (i < k));

    tree_drop(&t, d);
    assert_int_equal(tree_get(&t, c)->n_live, 0);
    tree_drop(&t, b);
    tree_check(&t);
    for (int i = 0; i < (int)t.n_nodes; i++)
        assert_int_equal(tree_get(&t, i)->dropped, i != 0 && i != a && i != x);
    tree_fini(&t);
}

/* ---- strategies ---- */

static const struct script mixed = {
    .seed = 1, .cut_percent = 15, .fail_percent = 10, .unscored_percent = 10, .n_values = 4, .n_tokens = 30};

static void greedy_asks_for_one_solution(void **state) {
    UNUSED(state);
    struct search *s = script_search("greedy");
    struct search_ask ask;
    assert_false(search_done(s));
    assert_true(search_ask(s, &ask));
    assert_true(ask.op == SEARCH_EXPAND && ask.parent == 0 && ask.until_end && ask.temperature == 0 &&
                ask.top_p == 1);
    assert_int_equal(ask.n_tokens_max, SCRIPT_TOKENS_MAX);
    assert_false(search_ask(s, &ask));
    assert_false(search_done(s));
    search_tell_node(s, ask.node,
                     &(struct search_told){.finish = SEARCH_END, .n_tokens = 7, .answer_class = 0});
    assert_false(search_ask(s, &ask));
    assert_true(search_done(s));
    assert_int_equal(search_tree(s)->nodes[1].state, TREE_SOLUTION);
    search_free(s);
}

static void samples_are_written_once_and_scored_if_they_ended(void **state) {
    UNUSED(state);
    struct script_run run = {0};
    script_run("sample:n=200", &mixed, 7, &run);
    assert_int_equal(run.n_expands, 200);
    assert_int_equal(run.n_scores, run.n_solutions);
    assert_int_equal(run.n_drops, 0);
    assert_in_range(run.n_solutions, 120, 180);
    buf_free(&run.dump);

    struct search_spec spec = script_spec("sample:n=3,temperature=0.5,top_p=0.9,min_p=0.125,top_k=7");
    struct search_context context = {
        .problem_key = SCRIPT_PROBLEM_KEY, .has_reward = false, .n_tokens_answer_max = 9};
    struct err e;
    struct search *s = search_new(&spec, &context, &e);
    struct search_ask ask;
    for (int i = 0; i < 3; i++) {
        assert_true(search_ask(s, &ask));
        assert_true(ask.until_end && ask.temperature == 0.5f && ask.top_p == 0.9f && ask.min_p == 0.125f &&
                    ask.top_k == 7);
        assert_int_equal(search_tree(s)->nodes[ask.node].key, rng_child(SCRIPT_PROBLEM_KEY, (uint64_t)i));
        search_tell_node(s, ask.node, &(struct search_told){.finish = SEARCH_END, .answer_class = -1});
    }
    assert_false(search_ask(s, &ask)); /* no reward model: nothing to score */
    assert_true(search_done(s));
    search_free(s);
}

static void samples_do_not_depend_on_the_order_of_telling(void **state) {
    UNUSED(state);
    struct script_run first = {0};
    script_run("sample:n=20", &mixed, 0, &first);
    for (uint64_t order = 1; order < 100; order++) {
        struct script_run run = {0};
        script_run("sample:n=20", &mixed, order, &run);
        assert_string_equal(buf_cstr(&run.dump), buf_cstr(&first.dump));
        buf_free(&run.dump);
    }
    buf_free(&first.dump);
}

/* A strategy of this test: n samples, of which the first to be told ends all others. */
static void hasty_init(struct search *s) {
    for (int i = 0; i < 8; i++) search_want_expand(s, 0, true);
}

static void hasty_told(struct search *s, int node) {
    for (int i = 1; i < (int)s->tree.n_nodes; i++)
        if (i != node && !tree_get(&s->tree, i)->dropped) search_want_drop(s, i);
}

static void dropped_asks_are_closed_or_withdrawn(void **state) {
    UNUSED(state);
    const struct search_ops ops = {
        .size = sizeof(struct search), .init = hasty_init, .told_node = hasty_told, .told_score = hasty_told};
    const struct search_strategy strategy = {.name = "hasty", .ops = &ops};
    struct search_spec spec = {.strategy = &strategy};
    struct search_context context = {.problem_key = 1, .has_reward = false, .n_tokens_answer_max = 10};
    struct search_told told = {.finish = SEARCH_END, .n_tokens = 1, .answer_class = 0};
    struct search_ask ask;
    struct err e;
    struct search *s = search_new(&spec, &context, &e);
    for (int i = 1; i <= 4; i++) assert_true(search_ask(s, &ask) && ask.node == i);
    search_tell_node(s, 2, &told);
    assert_int_equal(s->n_open, 3);
    search_tell_node(s, 3, &told); /* given up, but its DROP was not handed out yet */
    assert_int_equal(search_tree(s)->nodes[3].state, TREE_SOLUTION);
    const int dropped[] = {1, 3, 4};
    for (int i = 0; i < 3; i++) {
        assert_false(search_done(s));
        assert_true(search_ask(s, &ask) && ask.op == SEARCH_DROP && ask.node == dropped[i]);
    }
    assert_false(search_ask(s, &ask)); /* 5 to 8 were never asked for */
    assert_true(search_done(s));
    tree_check(search_tree(s));
    search_free(s);
}

/* A strategy of this test: two steps side by side; node 1 has two children, of which the first has one. */
static void branchy_init(struct search *s) {
    search_want_expand(s, 0, false);
    search_want_expand(s, 0, false);
}

static void branchy_told(struct search *s, int node) {
    if (node == 1) {
        search_want_expand(s, 1, false);
        search_want_expand(s, 1, false);
    } else if (node == 3) {
        search_want_score(s, 3);
        search_want_expand(s, 3, true);
    } else if (node == 2) {
        search_want_drop(s, 4);
        search_want_drop(s, 1);
    }
}

static void a_dropped_branch_closes_all_that_is_open_below_it(void **state) {
    UNUSED(state);
    const struct search_ops ops = {.size = sizeof(struct search),
                                   .init = branchy_init,
                                   .told_node = branchy_told,
                                   .told_score = branchy_told};
    const struct search_strategy strategy = {.name = "branchy", .ops = &ops};
    struct search_spec spec = {.strategy = &strategy};
    struct search_context context = {.problem_key = 1, .has_reward = true, .n_tokens_answer_max = 10};
    struct search_told step = {.finish = SEARCH_STEP, .n_tokens = 1, .answer_class = -1};
    struct search_ask ask;
    struct err e;
    struct search *s = search_new(&spec, &context, &e);
    tree_get(&s->tree, 0)->score_asked = true;
    for (int i = 1; i <= 2; i++) assert_true(search_ask(s, &ask) && ask.node == i);
    search_tell_node(s, 1, &step);
    tree_get(&s->tree, 1)->score_asked = true;
    for (int i = 3; i <= 4; i++) assert_true(search_ask(s, &ask) && ask.node == i && ask.parent == 1);
    search_tell_node(s, 3, &step);
    assert_true(search_ask(s, &ask) && ask.op == SEARCH_SCORE && ask.node == 3);
    assert_true(search_ask(s, &ask) && ask.op == SEARCH_EXPAND && ask.node == 5 && ask.until_end);
    assert_int_equal(s->n_open, 4); /* 2, 4, the score of 3, and 5 */
    search_tell_node(s, 2, &step);
    assert_true(search_ask(s, &ask) && ask.op == SEARCH_DROP && ask.node == 4);
    assert_int_equal(s->n_open, 2);
    assert_true(search_ask(s, &ask) && ask.op == SEARCH_DROP && ask.node == 1);
    assert_int_equal(s->n_open, 0);
    assert_true(!search_ask(s, &ask) && search_done(s));
    tree_check(search_tree(s));
    search_free(s);
}

static void a_step_that_uses_up_the_tokens_cannot_go_on(void **state) {
    UNUSED(state);
    struct search *s = script_search("beam:n=2,width=1");
    struct search_ask ask;
    struct search_told told = {.finish = SEARCH_STEP, .n_tokens = SCRIPT_TOKENS_MAX, .answer_class = -1};
    assert_true(search_ask(s, &ask) && !ask.until_end);
    search_tell_node(s, ask.node, &told);
    assert_int_equal(search_tree(s)->nodes[ask.node].state, TREE_CUT);
    assert_true(search_ask(s, &ask));
    search_tell_node(s, ask.node, &told);
    assert_false(search_ask(s, &ask));
    assert_true(search_done(s));
    search_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(specs_are_read_and_written),
        cmocka_unit_test(unknown_names_and_bad_values_are_refused_helpfully),
        cmocka_unit_test(what_nobody_set_is_recommended_or_missed),
        cmocka_unit_test(every_strategy_says_what_it_is),
        cmocka_unit_test(nodes_are_known_by_their_paths),
        cmocka_unit_test(greedy_asks_for_one_solution),
        cmocka_unit_test(samples_are_written_once_and_scored_if_they_ended),
        cmocka_unit_test(samples_do_not_depend_on_the_order_of_telling),
        cmocka_unit_test(dropped_asks_are_closed_or_withdrawn),
        cmocka_unit_test(a_dropped_branch_closes_all_that_is_open_below_it),
        cmocka_unit_test(a_step_that_uses_up_the_tokens_cannot_go_on),
    };
    return cmocka_run_group_tests_name("search", tests, NULL, NULL);
}
