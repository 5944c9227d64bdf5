/* Recorded solutions: the three layouts, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "select/recorded.h"

static void add(struct recorded *r, const char *line) {
    struct err e = {0};
    bool ok = recorded_add_line(r, str_from(line), "here:1", &e);
    if (!ok) print_error("%s\n", e.msg);
    assert_true(ok);
}

static void a_problem_with_its_solutions(void **state) {
    UNUSED(state);
    struct recorded r;
    recorded_init(&r);
    add(&r, "{\"configuration\": {\"strategy\": \"sample:n=2\"}}");
    add(&r,
        "{\"problem\":\"p1\",\"level\":2,\"prompt\":\"?\",\"answer\":\"7\",\"solutions\":["
        "{\"path\":\"0\",\"text\":\"x "
        "\\\\boxed{7}\",\"answer\":\"7\",\"rewards\":[0.5,0.25],\"complete\":true,"
        "\"verified\":true,\"right\":true},"
        "{\"path\":\"1.0\",\"text\":\"cut\",\"answer\":null,\"rewards\":null,\"complete\":false,\"verified\":"
        "null,"
        "\"right\":null},"
        "{\"text\":\"so \\\\boxed{14/2}\",\"rewards\":[],\"verified\":false,\"right\":false}],\"nodes\":[]}");
    add(&r, "{\"problem\":\"p2\",\"level\":null,\"answer\":null,\"solutions\":[]}");
    assert_int_equal(r.n_problems, 2);
    const struct recorded_problem *p = &r.problems[0];
    assert_string_equal(p->id, "p1");
    assert_string_equal(p->gold, "7");
    assert_int_equal(p->level, 2);
    assert_int_equal(p->n_solutions, 3);
    const struct recorded_solution *s = p->solutions;
    assert_string_equal(s[1].path, "1.0");
    assert_string_equal(s[2].path, "2");
    assert_string_equal(s[0].answer, "7");
    assert_null(s[1].answer);
    assert_true(s[0].n_rewards == 2 && s[0].rewards[1] == 0.25f && !s[1].rewards && !s[2].rewards);
    assert_true(s[0].complete && !s[1].complete && s[2].complete);
    assert_true(s[0].verified == SELECT_VERIFIED && s[1].verified == SELECT_UNKNOWN &&
                s[2].verified == SELECT_REJECTED);
    assert_true(s[0].right == RECORDED_RIGHT && s[1].right == RECORDED_UNGRADED &&
                s[2].right == RECORDED_WRONG);

    struct select_classes *c = select_classes_new();
    struct select_solution *view = recorded_view(p, c);
    assert_true(view[0].answer_class == 0 && view[1].answer_class == -1 && view[2].answer_class == 0);
    assert_true(view[0].rewards == s[0].rewards && view[0].n_rewards == 2 && !view[1].complete);
    assert_int_equal(view[2].verified, SELECT_REJECTED);
    free(view);
    select_classes_free(c);
    assert_true(!r.problems[1].gold && r.problems[1].level == 0 && r.problems[1].n_solutions == 0);
    recorded_fini(&r);
}

static void a_problem_with_columns(void **state) {
    UNUSED(state);
    struct recorded r;
    recorded_init(&r);
    add(&r, "{\"id\":\"m/0\",\"question\":\"?\",\"level\":\"Level "
            "5\",\"ground_truth\":\"3\",\"answers\":[\"3\",\"4\"],"
            "\"correct\":[true,false],\"reward\":[3.5,-2],\"responses\":[\"a\",\"b\"]}");
    add(&r, "{\"idx\":900,\"input\":\"4 5 6 10\",\"samples\":[\"A: 1\",\"A: 2\",\"A: "
            "3\"],\"correct\":[0,1,null]}");
    add(&r, "{\"id\":\"q\",\"answer\":\"8\",\"answers\":[\"8\"],\"scores\":[[0.1,0.2,0.3]]}");
    const struct recorded_problem *p = r.problems;
    assert_int_equal(r.n_problems, 3);
    assert_true(p[0].level == 5 && p[0].n_solutions == 2 && strcmp(p[0].gold, "3") == 0);
    assert_true(p[0].solutions[1].rewards[0] == -2 && p[0].solutions[1].right == RECORDED_WRONG);
    assert_string_equal(p[0].solutions[1].text, "b");
    assert_string_equal(p[1].id, "900");
    assert_true(p[1].solutions[1].right == RECORDED_RIGHT && p[1].solutions[2].right == RECORDED_UNGRADED);
    assert_true(!p[1].solutions[0].rewards && p[1].level == 0);
    assert_true(p[2].solutions[0].n_rewards == 3 && strcmp(p[2].gold, "8") == 0 && !p[2].solutions[0].text);
    recorded_fini(&r);
}

static void one_solution_a_line(void **state) {
    UNUSED(state);
    char path[] = "/tmp/test_recorded_XXXXXX";
    int fd = mkstemp(path);
    const char *text =
        "{\"problem\":\"a\",\"text\":\"The answer is 4.\",\"reward\":0.5,\"correct\":true,\"gold\":\"4\"}\n"
        "\n"
        "{\"problem\":\"b\",\"answer\":\"1\"}\r\n"
        "{\"problem\":\"a\",\"completion\":\"The answer is 5.\",\"scores\":[0.25,1],\"passed\":false}";
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    struct recorded r;
    struct err e;
    recorded_init(&r);
    assert_true(recorded_read(&r, path, &e));
    assert_int_equal(r.n_problems, 2);
    const struct recorded_problem *a = &r.problems[0];
    assert_true(a->n_solutions == 2 && strcmp(a->gold, "4") == 0 && !r.problems[1].gold);
    assert_string_equal(a->solutions[1].path, "1");
    assert_true(a->solutions[1].n_rewards == 2 && a->solutions[1].verified == SELECT_REJECTED);
    struct select_classes *c = select_classes_new();
    struct select_solution *view = recorded_view(a, c);
    struct select_choice choice = select_choose(SELECT_BEST, AGGREGATE_LAST, view, NULL, 2);
    assert_int_equal(choice.solution, 1);
    assert_true(str_equal(select_classes_answer(c, choice.answer_class), STR("5")));
    free(view);
    select_classes_free(c);

    FILE *f = fopen(path, "a");
    fputs("\n{\"problem\":\"a\"}\n", f);
    fclose(f);
    assert_false(recorded_read(&r, path, &e));
    assert_non_null(strstr(e.msg, ":5: a solution has neither \"text\" nor \"answer\""));
    recorded_fini(&r);
    unlink(path);
    recorded_init(&r);
    assert_false(recorded_read(&r, path, &e));
    recorded_fini(&r);
}

static void bad_lines_are_refused_helpfully(void **state) {
    UNUSED(state);
    const struct {
        const char *line, *message;
    } cases[] = {
        {"[]", "f:1: expected an object: a problem with its solutions, or one solution"},
        {"{}", "f:1: no problem is named: expected \"problem\" or \"id\""},
        {"{\"id\":1.5}", "f:1: \"id\" must be a string"},
        {"{\"id\":1,\"level\":[],\"text\":\"\"}",
         "f:1: \"level\" must be a whole number, or text like \"Level 3\""},
        {"{\"id\":1,\"level\":\"99999999999999999999\",\"text\":\"\"}",
         "f:1: \"level\" must be from 0 to 1000000"},
        {"{\"id\":1,\"solutions\":[{}]}", "f:1, solution 0: a solution has neither \"text\" nor \"answer\""},
        {"{\"id\":1,\"solutions\":[{\"text\":\"\"},7]}", "f:1, solution 1: expected an object"},
        {"{\"id\":1,\"answers\":[\"1\",\"2\"],\"reward\":[1]}",
         "f:1: \"reward\" has 1 entries where others have 2"},
        {"{\"id\":1,\"answers\":[\"1\"],\"correct\":true}",
         "f:1: \"correct\" must be a list, as the solutions are"},
        {"{\"id\":1,\"answers\":[true]}", "f:1, solution 0: \"answers\" must be a string"},
        {"{\"id\":1,\"text\":\"\",\"rewards\":[1,null]}",
         "f:1: \"rewards\" must be a number or a list of numbers"},
        {"{\"id\":1,\"text\":\"\",\"rewards\":1e300}", "f:1: \"rewards\" holds a number that is too large"},
        {"{\"id\":1,\"text\":\"\",\"right\":2}", "f:1: \"right\" must be true, false or null"},
        {"{\"id\":1,\"text\":\"\",\"complete\":\"yes\"}", "f:1: \"complete\" must be true, false or null"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct recorded r;
        struct err e = {0};
        recorded_init(&r);
        assert_false(recorded_add_line(&r, str_from(cases[i].line), "f:1", &e));
        assert_string_equal(e.msg, cases[i].message);
        assert_int_equal(e.code, ERR_INPUT);
        recorded_fini(&r);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_problem_with_its_solutions),
        cmocka_unit_test(a_problem_with_columns),
        cmocka_unit_test(one_solution_a_line),
        cmocka_unit_test(bad_lines_are_refused_helpfully),
    };
    return cmocka_run_group_tests_name("select_recorded", tests, NULL, NULL);
}
