/* test_serve_declared.c - what requests name of that which the operator declared: plans, verifiers, prices;
 * and what a server says of itself when its models' server is gone. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "brood.h"
#include "mock_server.h"
#include "scratch.h"
#include "serve_client.h"

#define QUESTION "\"messages\":[{\"role\":\"user\",\"content\":\"Which way?\"}]"
#define WRONG    "toy:depth=4,branch=4,seed=99" /* of other problems than the policy's: it passes others */

static const char *const verifiers[] = {"right=" TOY, "other=" WRONG};

static struct serve_options with_verifiers(void) {
    struct serve_options o = serve_defaults();
    o.verifiers = verifiers;
    o.n_verifiers = (int)ARRAY_LEN(verifiers);
    return o;
}

static struct brood_answer *solve(const struct brood_options *bo, const struct brood_request *q) {
    struct brood_error error;
    struct brood *b = brood_open(bo, &error);
    assert_non_null(b);
    struct brood_answer *x = brood_solve(b, q, &error);
    if (!x) print_error("%s\n", error.message);
    assert_non_null(x);
    brood_close(b);
    return x;
}

/* ---- refused ---- */

static void refused(const struct server *s, const char *body, const char *param, const char *says) {
    struct answer a = chat(s, body);
    json_t *r = json_of(&a);
    if (a.status != 400 || !strstr(string_at(r, "error.message"), says))
        print_error("%s\n%s\n", body, a.body);
    assert_int_equal(a.status, 400);
    assert_string_equal(string_at(r, "error.param"), param);
    assert_non_null(strstr(string_at(r, "error.message"), says));
    json_decref(r);
    answer_free(&a);
}

#define BROOD_BODY(inside) "{\"brood\":{" inside "}," QUESTION "}"

static void test_only_what_was_declared(void **state) {
    const struct serve_options o = with_verifiers();
    struct server s;
    UNUSED(state);
    server_start(&s, &o);
    refused(&s, BROOD_BODY("\"verify\":\"no\""), "brood.verify", "it has: right, other");
    refused(&s, BROOD_BODY("\"verify\":\"" TOY "\""), "brood.verify", "this server has no");
    refused(&s, BROOD_BODY("\"verify\":\"command:id\""), "brood.verify", "this server has no");
    refused(&s, BROOD_BODY("\"verify\":\"right=toy:\""), "brood.verify", "this server has no");
    refused(&s, BROOD_BODY("\"verify\":{\"command\":\"id\"}"), "brood.verify", "give a string");
    refused(&s, BROOD_BODY("\"plan\":\"/etc/passwd\""), "brood.plan", "it has: none");
    refused(&s, BROOD_BODY("\"plan\":{}"), "brood.plan", "give a string");
    refused(&s, BROOD_BODY("\"problem\":{}"), "brood.problem", "name one in brood.verify");
    refused(&s, BROOD_BODY("\"verify\":\"right\",\"problem\":[]"), "brood.problem", "give an object");
    refused(&s, BROOD_BODY("\"budget\":{\"usd\":1}"), "brood.budget.usd", "--prices");
    refused(&s, BROOD_BODY("\"select\":\"first-verified\""), "brood", "needs a verifier");
    refused(&s, BROOD_BODY("\"strategy\":\"sample:stop=verified\""), "brood.strategy", "verifier");
    refused(&s, BROOD_BODY("\"prices\":{\"policy_input\":0}"), "brood", "has no key prices");
    server_stop(&s);
}

static void test_declarations_that_are_refused(void **state) {
    char *plan = scratch_write("bad.json", "{\"brood_plan\":2}");
    struct buf named = {0};
    UNUSED(state);
    buf_printf(&named, "p=%s", plan);
    const struct {
        const char *plan, *verifier, *prices, *says;
    } cases[] = {{"file.json", NULL, NULL, "give NAME=FILE"},
                 {"a/b=file.json", NULL, NULL, "give NAME=FILE"},
                 {"p=", NULL, NULL, "give NAME=FILE"},
                 {"p=/no/such/file", NULL, NULL, "--plan: "},
                 {buf_cstr(&named), NULL, NULL, "brood_plan"},
                 {NULL, "tests", NULL, "give NAME=SPEC"},
                 {NULL, "=tests", NULL, "give NAME=SPEC"},
                 {NULL, "v=magic", NULL, "of no known kind"},
                 {NULL, "v=command,sandbox=off:true", NULL, "leave sandbox=off out"},
                 {NULL, "v=worker,workers=1,sandbox=off,seconds=3:true", NULL, "leave sandbox=off out"},
                 {NULL, NULL, "policy_input=-1", "--prices"},
                 {NULL, NULL, "nothing=1", "--prices"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct serve_options o = serve_defaults();
        struct err e = {0};
        o.plans = &cases[i].plan;
        o.n_plans = cases[i].plan != NULL;
        o.verifiers = &cases[i].verifier;
        o.n_verifiers = cases[i].verifier != NULL;
        o.prices = cases[i].prices;
        assert_null(serve_open(&o, &e));
        if (!strstr(e.msg, cases[i].says)) print_error("%s\n", e.msg);
        assert_non_null(strstr(e.msg, cases[i].says));
        assert_int_equal(e.code, ERR_INPUT);
    }
    static const char *const twice[] = {"v=" TOY, "v=" TOY};
    struct serve_options o = serve_defaults();
    struct err e = {0};
    o.verifiers = twice;
    o.n_verifiers = 2;
    assert_null(serve_open(&o, &e));
    assert_non_null(strstr(e.msg, "two of the name v"));
    buf_free(&named);
    free(plan);
}

/* ---- verifiers ---- */

/* A command's text has the words of a refused setting without being one. */
static void test_sandbox_off_behind_the_colon_is_a_word(void **state) {
    static const char *const words[] = {"v=command,accept=exit:echo ,sandbox=off,"};
    struct serve_options o = serve_defaults();
    struct server s;
    UNUSED(state);
    o.verifiers = words;
    o.n_verifiers = 1;
    server_start(&s, &o);
    server_stop(&s);
}

/* Each request has the verdicts of the verifier that it names, as the library does, whoever else asks. */
static void test_verdicts_are_of_the_one_named(void **state) {
    static const char *const specs[] = {TOY, WRONG, NULL}, *const names[] = {"right", "other", NULL};
    enum { SEEDS = 4, KINDS = 3 };
    const struct serve_options o = with_verifiers();
    int fds[SEEDS][KINDS];
    bool differ = false;
    struct server s;
    UNUSED(state);
    server_start(&s, &o);
    for (int seed = 0; seed < SEEDS; seed++)
        for (int k = 0; k < KINDS; k++) {
            char body[256];
            snprintf(body, sizeof body,
                     names[k] ? "{\"model\":\"brood/sample:n=6\",\"seed\":%d,\"brood\":{\"solutions\":true,"
                                "\"verify\":\"%s\"}," QUESTION "}"
                              : "{\"model\":\"brood/sample:n=6\",\"seed\":%d," QUESTION "}",
                     seed, names[k]);
            fds[seed][k] = begin_chat(&s, body);
        }
    for (int seed = 0; seed < SEEDS; seed++)
        for (int k = 0; k < KINDS; k++) {
            const struct brood_options bo = {.policy = o.policy, .reward = o.reward, .verify = specs[k]};
            const struct brood_request q = {
                .problem = "Which way?", .strategy = "sample:n=6", .seed = (uint64_t)seed};
            struct brood_answer *x = solve(&bo, &q);
            struct answer a = {0};
            receive_until(fds[seed][k], NULL, &a.all);
            close(fds[seed][k]);
            take_answer(&a);
            assert_int_equal(a.status, 200);
            json_t *r = json_of(&a);
            assert_string_equal(string_at(r, "brood.select"), x->select);
            assert_string_equal(string_at(r, "brood.answer"), x->answer ? x->answer : "");
            assert_int_equal(json_integer_value(at_path(r, "brood.chosen")), x->chosen);
            assert_true(json_real_value(at_path(r, "brood.cost.verifier.verdicts")) == x->n_verdicts);
            assert_int_equal(x->n_verdicts, names[k] ? 6 : 0);
            for (int i = 0; names[k] && i < x->n_found; i++) {
                char path[48];
                snprintf(path, sizeof path, "brood.solutions.%d.verified", i);
                assert_int_equal(json_is_true(at_path(r, path)), x->solutions[i].verified == 1);
                differ = differ || x->solutions[i].verified != x->solutions[0].verified;
            }
            json_decref(r);
            answer_free(&a);
            brood_answer_free(x);
        }
    assert_true(differ); /* both verdicts came up */
    server_stop(&s);
}

static void test_streams_tell_verdicts(void **state) {
    const struct serve_options o = with_verifiers();
    struct server s;
    int n = 0;
    UNUSED(state);
    server_start(&s, &o);
    struct answer a =
        chat(&s, "{\"model\":\"brood/sample:n=6\",\"stream\":true,\"brood\":{\"events\":\"tree\","
                 "\"verify\":\"right\"}," QUESTION "}");
    for (const char *at = a.body; (at = strstr(at, "\"type\":\"verdict\"")); at++) n++;
    assert_int_equal(n, 6);
    assert_non_null(strstr(a.body, "\"passed\":"));
    assert_non_null(strstr(a.body, "\"verified\":"));
    assert_non_null(strstr(a.body, "data: [DONE]"));
    answer_free(&a);
    server_stop(&s);
}

/* The fields of the problem reach a verifier, those of an answer key do not. */
static void test_verifiers_see_the_problem(void **state) {
    static const char *const commands[] = {"seen=command,accept=exit:sh -c 'grep -q XYZZY {problem}'"};
    static const struct {
        const char *field;
        double n_passed;
    } cases[] = {{"\"word\":\"XYZZY\"", 1},
                 {"\"word\":\"none\"", 0},
                 {"\"answer\":\"XYZZY\"", 0},
                 {"\"canonical_solution\":\"XYZZY\"", 0}};
    struct serve_options o = serve_defaults();
    struct server s;
    UNUSED(state);
    o.verifiers = commands;
    o.n_verifiers = 1;
    server_start(&s, &o);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char body[256];
        snprintf(body, sizeof body,
                 "{\"model\":\"brood/greedy\",\"brood\":{\"solutions\":true,\"verify\":\"seen\","
                 "\"problem\":{%s}}," QUESTION "}",
                 cases[i].field);
        struct answer a = chat(&s, body);
        json_t *r = json_of(&a);
        if (a.status != 200) print_error("%s\n", a.body);
        assert_int_equal(a.status, 200);
        assert_int_equal(json_is_true(at_path(r, "brood.solutions.0.verified")), cases[i].n_passed > 0);
        assert_int_equal(json_is_boolean(at_path(r, "brood.solutions.0.verified")), 1);
        json_decref(r);
        answer_free(&a);
    }
    server_stop(&s);
}

/* A verifier that cannot be started fails the requests that name it, and no others. */
static void test_a_verifier_that_fails_fails_alone(void **state) {
    static const char *const broken[] = {"broken=worker,workers=1:false", "right=" TOY};
    struct serve_options o = serve_defaults();
    struct server s;
    UNUSED(state);
    o.verifiers = broken;
    o.n_verifiers = 2;
    server_start(&s, &o);
    const int good =
        begin_chat(&s, "{\"model\":\"brood/sample:n=8\",\"brood\":{\"verify\":\"right\"}," QUESTION "}");
    for (int i = 0; i < 2; i++) {
        struct answer a =
            chat(&s, "{\"model\":\"brood/sample:n=8\",\"brood\":{\"verify\":\"broken\"}," QUESTION "}");
        json_t *r = json_of(&a);
        assert_int_equal(a.status, 500);
        assert_non_null(strstr(string_at(r, "error.message"), "the verifier failed"));
        json_decref(r);
        answer_free(&a);
    }
    struct answer a = {0};
    receive_until(good, NULL, &a.all);
    close(good);
    take_answer(&a);
    assert_int_equal(a.status, 200);
    answer_free(&a);
    a = chat(&s, "{\"model\":\"brood/sample:n=8\"," QUESTION "}");
    assert_int_equal(a.status, 200);
    answer_free(&a);
    assert_true(metric(&s, "models_well") == 1);
    while (metric(&s, "verifiers_failed") != 1) continue;
    server_stop(&s);
}

/* ---- plans ---- */

/* Three samples, whatever the problem looks like. */
static const char plan_text[] = "{\"brood_plan\":1,\"unit\":\"samples\",\"prices\":[[1,1],[2,2]],"
                                "\"levels\":[{\"budget\":1,\"bins\":[{\"strategy\":\"sample:n=3\"}]}]}";

static void test_plans(void **state) {
    UNUSED(state);
    struct buf named = {0};
    char *path = scratch_write("plan.json", plan_text);
    buf_printf(&named, "mine=%s", path);
    const char *const plans[] = {buf_cstr(&named)};
    struct serve_options o = serve_defaults();
    struct server s;
    o.plans = plans;
    o.n_plans = 1;
    o.n_samples_max = 16;
    server_start(&s, &o);
    for (int seed = 0; seed < 4; seed++) {
        const struct brood_options bo = {.policy = o.policy, .reward = o.reward};
        const struct brood_request q = {
            .problem = "Which way?", .strategy = "adaptive", .plan = plan_text, .seed = (uint64_t)seed};
        const struct brood_request built_in = {
            .problem = "Which way?", .strategy = "adaptive", .seed = (uint64_t)seed};
        struct brood_answer *x = solve(&bo, &q), *other = solve(&bo, &built_in);
        char body[200];
        snprintf(body, sizeof body, "{\"seed\":%d,\"brood\":{\"plan\":\"mine\"}," QUESTION "}", seed);
        struct answer a = chat(&s, body);
        json_t *r = json_of(&a);
        assert_int_equal(a.status, 200);
        assert_true(json_real_value(at_path(r, "brood.cost.tokens_generated")) == x->tokens_generated);
        assert_int_equal(json_integer_value(at_path(r, "brood.voters")), x->n_solutions);
        assert_string_equal(string_at(r, "brood.answer"), x->answer);
        assert_true(x->n_solutions != other->n_solutions); /* the plan is what was gone by */
        json_decref(r);
        answer_free(&a);
        brood_answer_free(x);
        brood_answer_free(other);
    }
    refused(&s, BROOD_BODY("\"plan\":\"mine\",\"strategy\":\"beam\""), "brood", "for the strategy adaptive");
    refused(&s, BROOD_BODY("\"plan\":\"mine\",\"samples\":17"), "brood.samples", "more than the 16");
    server_stop(&s);
    buf_free(&named);
    free(path);
}

/* ---- prices ---- */

static void test_prices(void **state) {
    struct serve_options o = serve_defaults();
    struct server s;
    UNUSED(state);
    o.prices = "policy_input=2,policy_output=8,reward_input=0.5";
    server_start(&s, &o);
    struct answer a = chat(&s, "{\"model\":\"brood/beam:n=4\"," QUESTION "}");
    json_t *r = json_of(&a);
    assert_int_equal(a.status, 200);
    const double policy_read = json_number_value(at_path(r, "usage.prompt_tokens_details.policy_tokens"));
    const double reward_read = json_number_value(at_path(r, "usage.prompt_tokens_details.reward_tokens"));
    const double written = json_number_value(at_path(r, "usage.completion_tokens"));
    const double policy = (2 * policy_read + 8 * written) / 1e6, reward = 0.5 * reward_read / 1e6;
    assert_true(written > 0 && reward_read > 0);
    assert_true(fabs(json_number_value(at_path(r, "usage.cost_details.policy_usd")) - policy) < 1e-12);
    assert_true(fabs(json_number_value(at_path(r, "usage.cost_details.reward_usd")) - reward) < 1e-12);
    assert_true(fabs(json_number_value(at_path(r, "usage.cost_details.usd")) - policy - reward) < 1e-12);
    assert_true(fabs(json_number_value(at_path(r, "brood.cost.usd")) - policy - reward) < 1e-12);
    json_decref(r);
    answer_free(&a);
    /* A budget in money holds. */
    a = chat(&s, "{\"model\":\"brood/sample:n=1000\",\"brood\":{\"budget\":{\"usd\":0.002}}," QUESTION "}");
    r = json_of(&a);
    assert_int_equal(a.status, 200);
    const double spent = json_number_value(at_path(r, "usage.cost_details.usd"));
    assert_true(spent > 0 && spent <= 0.002);
    assert_string_equal(string_at(r, "brood.ran_out"), "usd");
    json_decref(r);
    answer_free(&a);
    a = chat(&s,
             "{\"model\":\"brood/sample:n=4\",\"stream\":true,\"stream_options\":{\"include_usage\":true},"
             "\"brood\":{\"events\":\"tree\"}," QUESTION "}");
    assert_non_null(strstr(a.body, "\"usd\":"));
    assert_non_null(strstr(a.body, "\"cost_details\":{"));
    answer_free(&a);
    server_stop(&s);
    o = serve_defaults(); /* without prices nothing is said of money */
    server_start(&s, &o);
    a = chat(&s, "{\"model\":\"brood/greedy\"," QUESTION "}");
    assert_null(strstr(a.body, "cost_details"));
    answer_free(&a);
    server_stop(&s);
}

/* ---- health ---- */

static int health(const struct server *s) {
    struct answer a = ask(s, "GET", "/health", NULL, NULL);
    const int status = a.status;
    answer_free(&a);
    return status;
}

/* The policy's server goes and comes back. */
static void test_health_while_the_models_server_is_gone(void **state) {
    static const char question[] = "{\"model\":\"brood/sample:n=2\"," QUESTION "}";
    const struct mock_options mo = {.dialect = MOCK_VLLM, .chain = "depth=3"};
    struct mock *m = mock_start(&mo);
    const int port = m->port;
    struct buf url = {0};
    struct serve_options o = serve_defaults();
    struct server s;
    UNUSED(state);
    buf_printf(&url, "http://127.0.0.1:%d/v1", port);
    setenv("BROOD_RETRY_SECONDS", "0.2", 1);
    for (int again = 0; again < 2; again++) {
        o.policy = buf_cstr(&url);
        o.reward = NULL;
        o.retry_seconds = again ? 0 : 1e9;
        server_start(&s, &o);
        struct answer a = chat(&s, question);
        assert_int_equal(a.status, 200);
        answer_free(&a);
        assert_int_equal(health(&s), 200);
        mock_stop(m);
        a = chat(&s, question);
        json_t *r = json_of(&a);
        assert_int_equal(a.status, 503);
        assert_string_equal(string_at(r, "error.code"), "models_failed");
        json_decref(r);
        answer_free(&a);
        if (again)
            while (health(&s) != 200) continue; /* may be tried again, though nobody asked */
        else
            while (health(&s) != 503) continue;
        m = mock_start_at(&mo, port);
        a = chat(&s, question);
        if (a.status != 200) print_error("%s\n", a.body);
        assert_int_equal(a.status, 200);
        answer_free(&a);
        while (health(&s) != 200) continue;
        server_stop(&s);
    }
    unsetenv("BROOD_RETRY_SECONDS");
    mock_stop(m);
    buf_free(&url);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_what_was_declared),
        cmocka_unit_test(test_declarations_that_are_refused),
        cmocka_unit_test(test_sandbox_off_behind_the_colon_is_a_word),
        cmocka_unit_test(test_verdicts_are_of_the_one_named),
        cmocka_unit_test(test_streams_tell_verdicts),
        cmocka_unit_test(test_verifiers_see_the_problem),
        cmocka_unit_test(test_a_verifier_that_fails_fails_alone),
        cmocka_unit_test(test_plans),
        cmocka_unit_test(test_prices),
        cmocka_unit_test(test_health_while_the_models_server_is_gone),
    };
    return cmocka_run_group_tests_name("serve_declared", tests, scratch_make, scratch_remove);
}
