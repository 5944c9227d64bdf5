/* test_store.c - the run store through its public door. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/mem.h"
#include "scratch.h"
#include "store/rows.h"
#include "store/store.h"

static void put_node(struct store *s, int problem, const char *path, const char *text,
                     enum store_finish finish) {
    struct err e;
    const int tokens[] = {5, 6, 7};
    const struct store_node n = {.problem = problem,
                                 .path = path,
                                 .text = str_from(text),
                                 .tokens = tokens,
                                 .n_tokens_known = 3,
                                 .n_tokens = 3,
                                 .verdict = -1,
                                 .logprob = -1.5,
                                 .finish = finish,
                                 .cost = {.tokens_generated = 3, .flops = 30}};
    assert_true(store_put_node(s, &n, &e));
}

static void put_score(struct store *s, int problem, const char *path, float reward) {
    struct err e;
    const struct store_score c = {problem, path, &reward, 1, {.tokens_read = 3, .flops = 9}};
    assert_true(store_put_score(s, &c, &e));
}

static void fill(struct store *s) {
    struct err e;
    assert_true(store_set_config(s, "{\"seed\":1}", &e));
    for (int i = 0; i < 2; i++) {
        const struct store_problem p = {
            .ordinal = i, .id = i ? "b" : "a", .text = "2+2?", .answer = "4", .level = i + 1};
        assert_true(store_put_problem(s, &p, &e));
    }
    put_node(s, 0, "10", "ten\n\n", STORE_STEP);
    put_node(s, 0, "2", "two\n\n", STORE_STEP);
    put_node(s, 0, "2.0", "The answer is \\boxed{4}.", STORE_END);
    put_score(s, 0, "2", 0.25f);
    put_score(s, 0, "2.0", 0.75f);
    const struct store_solution v = {
        .problem = 0, .path = "2.0", .answer = "4", .complete = true, .right = 1};
    assert_true(store_put_solution(s, &v, &e));
    const struct store_choice c = {.problem = 0,
                                   .rule = "majority",
                                   .aggregate = "last",
                                   .path = "2.0",
                                   .answer = "4",
                                   .n_solutions = 1,
                                   .n_classes = 1,
                                   .n_votes = 1,
                                   .score = 1,
                                   .margin = 1};
    assert_true(store_put_choice(s, &c, &e));
    assert_true(store_put_done(s, 0, &e));
}

static bool collect_path(void *ctx, const struct store_node *n) {
    buf_printf(ctx, "%s ", n->path);
    return true;
}

static void test_rows_come_in_path_order(void **state) {
    UNUSED(state);
    struct err e;
    struct store *s = store_open(":memory:", STORE_WRITE, &e);
    assert_non_null(s);
    fill(s);
    struct buf paths = {0};
    assert_true(store_each_node(s, 0, collect_path, &paths, &e));
    assert_string_equal(buf_cstr(&paths), "2 2.0 10 ");
    buf_free(&paths);
    assert_true(store_close(s, &e));
}

static void test_rows_join_text_and_rewards(void **state) {
    UNUSED(state);
    struct err e;
    struct store *s = store_open(":memory:", STORE_WRITE, &e);
    fill(s);
    struct rows *r = rows_load(s, 0, &e);
    assert_non_null(r);
    struct buf text = {0};
    rows_text(r, "2.0", &text);
    assert_string_equal(buf_cstr(&text), "two\n\nThe answer is \\boxed{4}.");
    float rewards[4];
    assert_int_equal(rows_rewards(r, "2.0", rewards, 4), 2);
    assert_true(rewards[0] == 0.25f && rewards[1] == 0.75f);
    assert_int_equal(rows_rewards(r, "10", rewards, 4), -1); /* not scored */
    assert_null(rows_find(r, "3"));
    assert_int_equal(rows_find(r, "2")->tokens[2], 7);
    assert_int_equal(r->n_solutions, 1);
    assert_int_equal(r->solutions[0].right, 1);
    buf_free(&text);
    rows_free(r);
    assert_true(store_close(s, &e));
}

/* ---- leads, confidences, verdicts ---- */

static void put_revision(struct store *s) {
    static const int tokens[] = {8, 9, 5, 6};
    static const float confidences[] = {1.25f, INFINITY};
    struct err e;
    const struct store_node n = {.problem = 0,
                                 .path = "2.0.0",
                                 .lead = STORE_LEAD_REVISE,
                                 .n_lead_bytes = 6,
                                 .n_lead_tokens = 2,
                                 .text = STR("Again.so \\boxed{5}"),
                                 .tokens = tokens,
                                 .n_tokens_known = 4,
                                 .n_tokens = 2,
                                 .confidences = confidences,
                                 .n_confidences = 2,
                                 .verdict = 0,
                                 .logprob = -1,
                                 .finish = STORE_END};
    assert_true(store_put_node(s, &n, &e));
    put_score(s, 0, "2.0.0", 0.125f);
    const struct store_solution v = {
        .problem = 0, .path = "2.0.0", .answer = "5", .complete = true, .right = 0};
    assert_true(store_put_solution(s, &v, &e));
}

static void check_revision(struct store *s) {
    struct err e;
    struct rows *r = rows_load(s, 0, &e);
    const struct rows_node *n = rows_find(r, "2.0.0"), *plain = rows_find(r, "2.0");
    assert_int_equal(n->lead, STORE_LEAD_REVISE);
    assert_int_equal(n->n_lead_bytes, 6);
    assert_int_equal(n->n_lead_tokens, 2);
    assert_int_equal(n->n_tokens_known, 4);
    assert_int_equal(n->n_tokens, 2);
    assert_int_equal(n->n_confidences, 2);
    assert_true(n->confidences[0] == 1.25f && isinf(n->confidences[1]));
    assert_int_equal(n->verdict, 0);
    assert_int_equal(plain->lead, STORE_LEAD_NONE);
    assert_true(!plain->confidences && plain->n_confidences == 0 && plain->verdict == -1);
    struct buf text = {0};
    float rewards[4];
    int n_confidences;
    rows_text(r, "2.0.0", &text);
    assert_string_equal(buf_cstr(&text), "so \\boxed{5}"); /* begins at the revision, without its lead */
    assert_int_equal(rows_rewards(r, "2.0.0", rewards, 4), 1);
    assert_true(rewards[0] == 0.125f);
    float *confidences = rows_confidences(r, "2.0.0", &n_confidences);
    assert_int_equal(n_confidences, 2);
    assert_true(confidences[0] == 1.25f);
    assert_null(rows_confidences(r, "2.0", &n_confidences));
    free(confidences);
    buf_free(&text);
    rows_free(r);
}

static char *export_text(struct store *s);

static void test_leads_confidences_and_verdicts_come_back(void **state) {
    UNUSED(state);
    struct err e;
    struct store *s = store_open(":memory:", STORE_WRITE, &e);
    fill(s);
    char *without = export_text(s);
    assert_null(strstr(without, "lead"));
    assert_null(strstr(without, "confidences"));
    assert_null(strstr(without, "verified"));
    put_revision(s);
    check_revision(s);
    char *with = export_text(s);
    assert_non_null(strstr(with, "\"lead\":\"revise\",\"lead_bytes\":6,\"lead_tokens\":2,"
                                 "\"confidences\":[1.25,null],\"verified\":false"));
    assert_non_null(strstr(with, "\"rewards\":[0.125],\"confidences\":[1.25,null],\"complete\":true"));
    free(with);
    free(without);
    assert_true(store_close(s, &e));
}

/* A file as it was before there were leads. */
static void make_format_1(const char *path) {
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db,
                                  "ALTER TABLE node DROP COLUMN lead; ALTER TABLE node DROP COLUMN "
                                  "n_lead_bytes; ALTER TABLE node DROP COLUMN n_lead_tokens;"
                                  "ALTER TABLE node DROP COLUMN confidences; ALTER TABLE node DROP COLUMN "
                                  "verdict; PRAGMA user_version=1;",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(db);
}

static void test_files_of_format_1_are_read_and_gone_on_with(void **state) {
    UNUSED(state);
    struct err e = {0};
    char *path = scratch_path("old.brood");
    struct store *s = store_open(path, STORE_WRITE, &e);
    assert_non_null(s);
    fill(s);
    char *before = export_text(s);
    assert_true(store_close(s, &e));
    make_format_1(path);
    s = store_open(path, STORE_READ, &e);
    if (!s) fail_msg("%s", e.msg);
    char *read = export_text(s);
    assert_string_equal(before, read);
    assert_true(store_close(s, &e));
    for (int i = 0; i < 2; i++) { /* brought up to date, then as it is */
        s = store_open(path, STORE_WRITE, &e);
        if (!s) fail_msg("%s", e.msg);
        if (i == 0) put_revision(s);
        check_revision(s);
        assert_true(store_close(s, &e));
    }
    free(read);
    free(before);
    unlink(path);
    free(path);
}

static char *export_text(struct store *s) {
    struct err e;
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    assert_true(store_export(s, f, &e));
    fclose(f);
    return text;
}

static void test_what_was_flushed_survives_and_exports_alike(void **state) {
    UNUSED(state);
    struct err e;
    char *path = scratch_path("run.brood");
    struct store *s = store_open(path, STORE_WRITE, &e);
    assert_non_null(s);
    fill(s);
    char *before = export_text(s);
    assert_non_null(strstr(before, "{\"configuration\":{\"seed\":1}}"));
    assert_non_null(strstr(before, "\"right\":true"));
    assert_true(store_close(s, &e));
    s = store_open(path, STORE_READ, &e);
    assert_non_null(s);
    char *after = export_text(s);
    assert_string_equal(before, after);
    assert_string_equal(store_config(s), "{\"seed\":1}");
    int n_problems, n_done;
    assert_true(store_count_done(s, &n_problems, &n_done, &e));
    assert_int_equal(n_problems, 2);
    assert_int_equal(n_done, 1);
    free(before);
    free(after);
    assert_true(store_close(s, &e));
    free(path);
}

static void test_sessions_add_up_and_are_not_exported(void **state) {
    UNUSED(state);
    struct err e;
    char *path = scratch_path("sessions.brood");
    for (int i = 0; i < 2; i++) {
        struct store *s = store_open(path, STORE_WRITE, &e);
        if (i == 0) fill(s);
        struct store_session t = {.seconds = 1.5, .tokens_generated = 10};
        if (i == 1) t.waste = (struct waste){.cancelled.tokens_generated = 7, .n_retried = 2};
        assert_true(store_put_session(s, &t, &e) && store_put_session(s, &t, &e));
        struct store_session sum;
        int n;
        assert_true(store_sessions(s, &sum, &n, &e));
        assert_int_equal(n, i + 1);
        assert_true(sum.seconds == 3.0 * (i + 1) && sum.tokens_generated == 20.0 * (i + 1));
        assert_true(sum.waste.cancelled.tokens_generated == 14 * i && sum.waste.n_retried == 4 * i);
        assert_true(sum.waste.recomputed.flops == 0 && sum.waste.tokens_retried == 0);
        char *text = export_text(s);
        assert_null(strstr(text, "seconds"));
        free(text);
        assert_true(store_close(s, &e));
    }
    free(path);
}

static void test_a_second_writer_is_refused_a_reader_is_not(void **state) {
    UNUSED(state);
    struct err e;
    char *path = scratch_path("locked.brood");
    struct store *s = store_open(path, STORE_WRITE, &e);
    fill(s);
    assert_true(store_flush(s, &e));
    assert_null(store_open(path, STORE_WRITE, &e));
    assert_int_equal(e.code, ERR_INPUT);
    assert_non_null(strstr(e.msg, "another process"));
    struct store *reader = store_open(path, STORE_READ, &e);
    assert_non_null(reader);
    char *text = export_text(reader);
    assert_non_null(strstr(text, "\"path\":\"2.0\""));
    free(text);
    assert_true(store_close(reader, &e));
    assert_true(store_close(s, &e));
    free(path);
}

static void expect_refused(const char *path, enum store_mode mode, const char *part) {
    struct err e = {0};
    assert_null(store_open(path, mode, &e));
    assert_int_equal(e.code, ERR_INPUT);
    if (!strstr(e.msg, part)) fail_msg("\"%s\" does not say \"%s\"", e.msg, part);
}

static void test_foreign_files_are_refused_by_name(void **state) {
    UNUSED(state);
    char *path = scratch_path("text.brood");
    expect_refused(path, STORE_READ, "no such run");
    FILE *f = fopen(path, "w");
    for (int i = 0; i < 200; i++) fputs("this is not a database, however long it may be\n", f);
    fclose(f);
    expect_refused(path, STORE_READ, "not a run");
    expect_refused(path, STORE_WRITE, "not a run");
    expect_refused("/tmp", STORE_WRITE, "/tmp");
    free(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_leads_confidences_and_verdicts_come_back),
        cmocka_unit_test(test_files_of_format_1_are_read_and_gone_on_with),
        cmocka_unit_test(test_rows_come_in_path_order),
        cmocka_unit_test(test_rows_join_text_and_rewards),
        cmocka_unit_test(test_what_was_flushed_survives_and_exports_alike),
        cmocka_unit_test(test_sessions_add_up_and_are_not_exported),
        cmocka_unit_test(test_a_second_writer_is_refused_a_reader_is_not),
        cmocka_unit_test(test_foreign_files_are_refused_by_name),
    };
    return cmocka_run_group_tests_name("store", tests, scratch_make, scratch_remove);
}
