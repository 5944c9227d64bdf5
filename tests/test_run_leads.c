/* test_run_leads.c - nodes that begin with a lead and tokens that have confidences, carried through services,
 * store, resume and records: on toy chains and on the bundled small model. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "base/share.h"
#include "run_toy.h"
#include "scratch.h"
#include "search/search.h"
#include "store/rows.h"

/* A strategy that uses every lead wherever it may stand: four branches, of which 0 and 1 are written to their
 * end, 2 is one step, 3 is cut off. All that goes on does so by the sum of its child indices. */
enum { TINKER_DEPTH = 4, TINKER_TOP = 2 };

static void tinker_init(struct search *s) {
    for (int i = 0; i < 4; i++) {
        search_want_expand(s, 0, i != 2);
        search_want_confidences(s, TINKER_TOP);
        if (i == 3) search_want_tokens(s, 2);
    }
}

static void tinker_more(struct search *s, int node) {
    const struct tree_node v = *tree_get(&s->tree, node);
    if (v.depth == TINKER_DEPTH) return;
    const bool has_room = v.n_tokens_solution < s->context.n_tokens_answer_max;
    if (v.state == TREE_SOLUTION) {
        search_want_lead(s, node, true, TREE_LEAD_REVISE);
        search_want_confidences(s, TINKER_TOP);
        if (v.index % 2 == 0 && has_room) search_want_lead(s, node, v.depth % 2 == 0, TREE_LEAD_WAIT);
    }
    if (v.state == TREE_CUT) {
        if (has_room) search_want_lead(s, node, true, TREE_LEAD_ANSWER);
        search_want_lead(s, node, false, TREE_LEAD_REVISE);
    }
    if (v.state == TREE_OPEN) {
        search_want_expand(s, node, false);
        search_want_lead(s, node, true, TREE_LEAD_ANSWER);
        search_want_confidences(s, 1);
        search_want_tokens(s, 7);
        search_want_lead(s, node, false, TREE_LEAD_WAIT);
    }
}

static void tinker_told_node(struct search *s, int node) {
    if (s->context.has_reward && tree_get(&s->tree, node)->state != TREE_FAILED)
        search_want_score(s, node);
    else
        tinker_more(s, node);
}

static const struct search_ops tinker_ops = {.size = sizeof(struct search),
                                             .init = tinker_init,
                                             .told_node = tinker_told_node,
                                             .told_score = tinker_more};
static const struct search_param tinker_params[] = {SEARCH_SAMPLING_PARAMS};
static const struct search_strategy tinker = {.name = "tinker",
                                              .revises = true,
                                              .needs_confidences = true,
                                              .params = tinker_params,
                                              .n_params = (int)ARRAY_LEN(tinker_params),
                                              .ops = &tinker_ops};

static struct run_options tinker_options(const char *task, const char *store) {
    struct run_options o = options_for(task, store, "sample:n=1");
    o.spec = (struct search_spec){.strategy = &tinker, .values = {NAN, NAN, NAN, NAN}};
    return o;
}

static void test_order_of_arrival_changes_nothing(void **state) {
    UNUSED(state);
    char *task = write_task(12);
    struct run_progress p;
    struct run_options o = tinker_options(task, ":memory:");
    char *straight = run_whole(&o, &p);
    o.policy = "toy:depth=4,seed=3,shuffle=1";
    char *scrambled = run_whole(&o, &p);
    assert_string_equal(records_of(straight), records_of(scrambled));
    assert_int_equal(p.n_failed, 0);
    free(straight);
    free(scrambled);
    free(task);
}

static void test_killed_runs_arrive_at_the_same_records(void **state) {
    UNUSED(state);
    char *task = write_task(30), *store = scratch_path("killed.brood");
    struct run_progress p;
    struct run_options o = tinker_options(task, ":memory:");
    o.policy = "toy:depth=4,seed=3,revise=0.1,fail=0.02";
    char *whole = run_whole(&o, &p);
    o.store = store;
    int n_kills = 0;
    while (!run_until_killed(&o, 1 + (unsigned)rng_below(1, (uint64_t)n_kills, 4)))
        assert_true(++n_kills < 400);
    assert_in_range(n_kills, 2, 399);
    char *resumed = run_whole(&o, &p);
    assert_string_equal(whole, resumed);
    free(whole);
    free(resumed);
    unlink(store);
    free(task);
    free(store);
}

/* ---- what is recorded ---- */

/* The number of values that a text of the chain names, by the slow way: "step" and "The answer". */
static int count_in(struct str text, const char *word) {
    int n = 0;
    for (ptrdiff_t at; (at = str_find(text, str_from(word))) >= 0; n++)
        text = (struct str){text.ptr + at + 1, text.len - (size_t)at - 1};
    return n;
}

struct seen {
    int n_nodes[4], n_replaced, n_solutions;
};

static void check_node(const struct rows *r, const struct rows_node *n, struct seen *seen) {
    static const char *const words[] = {"", "Try again.\n", "Wait,", "The answer is \\boxed{"};
    const struct str lead = {n->text, n->n_lead_bytes};
    seen->n_nodes[n->lead]++;
    assert_true((n->lead == STORE_LEAD_NONE) == (n->n_lead_bytes == 0));
    assert_int_equal(n->n_lead_tokens, n->lead != STORE_LEAD_NONE);
    assert_int_equal(n->n_tokens_known, n->n_lead_tokens + n->n_tokens);
    assert_true(str_ends(lead, str_from(words[n->lead])));
    assert_true(n->cost.tokens_read == n->n_lead_tokens && n->cost.tokens_generated == n->n_tokens);
    assert_true(n->n_confidences == 0 || n->n_confidences == n->n_tokens);
    assert_int_equal(n->verdict, -1);
    const struct str written = {n->text + n->n_lead_bytes, n->text_len - n->n_lead_bytes};
    const int n_words = count_in(written, "step ") + count_in(written, "The answer is ");
    assert_int_equal(n->n_tokens, n_words + (n->lead == STORE_LEAD_ANSWER));
    UNUSED(r);
}

/* The text of a solution, the slow way: the nodes from the last REVISE on. */
static void slow_text(const struct rows *r, const char *path, struct buf *out) {
    char part[64];
    buf_clear(out);
    for (size_t i = 1; i <= strlen(path); i++) {
        if (path[i] != '.' && path[i] != '\0') continue;
        snprintf(part, sizeof part, "%.*s", (int)i, path);
        const struct rows_node *n = rows_find(r, part);
        assert_non_null(n);
        if (n->lead == STORE_LEAD_REVISE) buf_clear(out);
        const size_t n_skipped = n->lead == STORE_LEAD_REVISE ? n->n_lead_bytes : 0;
        buf_add(out, n->text + n_skipped, n->text_len - n_skipped);
    }
}

static bool is_listed(const struct rows *r, const char *path) {
    bool listed = false;
    for (size_t i = 0; i < r->n_solutions; i++) listed |= strcmp(r->solutions[i].path, path) == 0;
    return listed;
}

static void check_solution(const struct rows *r, const struct rows_solution *v, struct seen *seen) {
    struct buf text = {0}, slow = {0};
    rows_text(r, v->path, &text);
    slow_text(r, v->path, &slow);
    assert_string_equal(buf_cstr(&text), buf_cstr(&slow));
    assert_null(strstr(buf_cstr(&text), "Try again"));
    seen->n_solutions++;
    assert_true(!v->complete || v->answer);
    float rewards[64];
    const int n_rewards = rows_rewards(r, v->path, rewards, 64);
    int n_steps = 0;
    for (const char *p = buf_cstr(&slow); (p = strstr(p, "step ")); p++) n_steps++;
    assert_int_equal(n_rewards, n_steps + count_in(buf_str(&slow), "The answer is "));
    buf_free(&text);
    buf_free(&slow);
}

static void test_records_begin_a_solution_at_its_revision(void **state) {
    UNUSED(state);
    char *task = write_task(8), *store = scratch_path("records.brood");
    struct run_progress p;
    struct run_options o = tinker_options(task, store);
    free(run_whole(&o, &p));
    struct err e;
    struct store *s = store_open(store, STORE_READ, &e);
    assert_non_null(s);
    struct seen seen = {0};
    for (int i = 0; i < 8; i++) {
        struct rows *r = rows_load(s, i, &e);
        for (size_t k = 0; k < r->n_nodes; k++) {
            check_node(r, &r->nodes[k], &seen);
            const bool ended = r->nodes[k].finish == STORE_END || r->nodes[k].finish == STORE_LENGTH;
            seen.n_replaced += ended && !is_listed(r, r->nodes[k].path);
        }
        for (size_t k = 0; k < r->n_solutions; k++) check_solution(r, &r->solutions[k], &seen);
        rows_free(r);
    }
    for (int i = 0; i < 4; i++) assert_in_range(seen.n_nodes[i], 20, 100000);
    assert_in_range(seen.n_replaced, 20, 100000);
    assert_in_range(seen.n_solutions, 20, 100000);
    assert_true(store_close(s, &e));
    unlink(store);
    free(task);
    free(store);
}

/* ---- configuration and refusals ---- */

static void test_words_of_leads_are_part_of_the_run(void **state) {
    UNUSED(state);
    char *task = write_task(2), *store = scratch_path("words.brood");
    struct run_progress p;
    struct err e = {0};
    struct run_options o = tinker_options(task, store);
    o.lead_wait = "\n\nHold on:";
    o.lead_answer = "\n\nThe answer is \\boxed{"; /* what it is anyway */
    char *text = run_whole(&o, &p);
    assert_non_null(strstr(text, "\"leads\":{\"wait\":\"\\n\\nHold on:\"}"));
    assert_non_null(strstr(records_of(text), "Hold on:"));
    free(text);
    o.lead_answer = NULL;
    free(run_whole(&o, &p));
    o.lead_wait = NULL;
    assert_null(run_open(&o, &e));
    assert_int_equal(e.code, ERR_INPUT);
    assert_non_null(strstr(e.msg, "another leads"));
    unlink(store);

    o.lead_answer = NULL;
    text = run_whole(&o, &p);
    assert_null(strstr(text, "\"leads\""));
    free(text);
    o.lead_revise = "\n\nOnce more.\n";
    assert_null(run_open(&o, &e));
    assert_non_null(strstr(e.msg, "another leads"));
    unlink(store);
    free(task);
    free(store);
}

static void test_policies_that_cannot_are_refused(void **state) {
    UNUSED(state);
    char *task = write_task(1), *store = scratch_path("refused.brood"), *spec = mem_alloc(200);
    char *samples =
        scratch_write("samples.jsonl", "{\"id\":\"p0\",\"samples\":[\"The answer is \\\\boxed{1}.\"]}\n");
    struct run_options o = tinker_options(task, store);
    struct err e = {0};
    snprintf(spec, 200, "replay:%s", samples);
    o.policy = spec;
    o.reward = NULL;
    o.select = SELECT_MAJORITY;
    assert_null(run_open(&o, &e));
    assert_int_equal(e.code, ERR_INPUT);
    assert_non_null(strstr(e.msg, "cannot go on"));
    assert_int_equal(access(store, F_OK), -1);

    struct search_strategy quiet = tinker; /* does not say what it needs: refused when it asks */
    quiet.revises = quiet.needs_confidences = false;
    o.spec.strategy = &quiet;
    struct run *r = run_open(&o, &e);
    assert_non_null(r);
    struct run_progress p;
    bool ok = true;
    do ok = run_step(r, &p, &e);
    while (ok && !p.finished);
    assert_false(ok);
    assert_int_equal(e.code, ERR_INPUT);
    assert_non_null(strstr(e.msg, "confidence"));
    assert_true(run_close(r, &e));
    free(samples);
    free(spec);
    free(task);
    free(store);
}

/* ---- the bundled small model ---- */

static void test_a_model_goes_on_from_leads_after_kills(void **state) {
    UNUSED(state);
    struct err e;
    char *model = share_path("models/small", &e);
    if (!model) skip();
    free(model);
    char *task =
        scratch_write("story.jsonl", "{\"problem\":\"Tom has 3 apples and buys 4 more. How many apples "
                                     "does Tom have?\",\"answer\":7}\n"
                                     "{\"problem\":\"What is 6 times 7?\",\"answer\":42}\n");
    char *store = scratch_path("model.brood");
    struct run_progress p;
    struct run_options o = tinker_options(task, ":memory:");
    o.policy = "lab:small";
    o.reward = "lab:prm";
    o.n_tokens_max = 48;
    o.n_threads = 1;
    char *whole = run_whole(&o, &p);
    assert_int_equal(p.n_failed, 0);
    o.store = store;
    int n_kills = 0;
    while (!run_until_killed(&o, 5 + (unsigned)rng_below(2, (uint64_t)n_kills, 120)))
        assert_true(++n_kills < 400);
    assert_true(n_kills > 1);
    char *resumed = run_whole(&o, &p);
    assert_string_equal(whole, resumed);
    free(whole);
    free(resumed);
    unlink(store);
    free(task);
    free(store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_of_arrival_changes_nothing),
        cmocka_unit_test(test_killed_runs_arrive_at_the_same_records),
        cmocka_unit_test(test_records_begin_a_solution_at_its_revision),
        cmocka_unit_test(test_words_of_leads_are_part_of_the_run),
        cmocka_unit_test(test_policies_that_cannot_are_refused),
        cmocka_unit_test(test_a_model_goes_on_from_leads_after_kills),
    };
    return cmocka_run_group_tests_name("run_leads", tests, scratch_make, scratch_remove);
}
