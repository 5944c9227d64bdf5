/* The policy service: how it is opened, recorded samples, and the toy chain. The engine's kind has a test of
 * its own, test_policy_embedded.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "model/toy_chain.h"
#include "policy/policy.h"
#include "scratch.h"

/* What a job without a lead had written. */
static struct policy_prefix *extend(struct policy *p, struct policy_prefix *from, int index, struct str text,
                                    const int *tokens, int n_tokens, struct err *e) {
    const struct policy_piece piece = {.index = index, .text = text, .tokens = tokens, .n_tokens = n_tokens};
    return policy_extend(p, from, &piece, e);
}

static struct policy *open_or_fail(const char *spec, const struct policy_options *o) {
    struct err e = {0};
    struct policy *p = policy_open(spec, o, &e);
    if (!p) fail_msg("%s: %s", spec, e.msg);
    assert_string_equal(policy_info(p)->name, spec);
    return p;
}

static struct policy_prefix *root_of(struct policy *p, const char *id, const char *text) {
    struct err e = {0};
    struct policy_prefix *root = policy_root(p, &(struct policy_prompt){.id = id, .text = text}, &e);
    if (!root) fail_msg("%s", e.msg);
    return root;
}

/* One job alone; its texts stay valid until the next call of the policy. */
static struct policy_result run_one(struct policy *p, struct policy_prefix *from, uint64_t key, int index,
                                    enum policy_until until, float temperature) {
    struct err e = {0};
    struct policy_result result;
    policy_submit(p, &(struct policy_job){.id = 7,
                                          .from = from,
                                          .key = key,
                                          .index = index,
                                          .until = until,
                                          .n_tokens_max = 100,
                                          .sampling = {.temperature = temperature, .top_p = 1}});
    assert_int_equal(policy_in_flight(p), 1);
    assert_true(policy_work(p, 0, &e) > 0);
    assert_true(policy_next(p, &result));
    assert_int_equal(result.id, 7);
    assert_int_equal(policy_in_flight(p), 0);
    struct policy_result none;
    assert_false(policy_next(p, &none));
    return result;
}

#define assert_text(text, expected)                                                                          \
    do {                                                                                                     \
        struct str text_ = (text);                                                                           \
        char *copy_ = str_dup(text_);                                                                        \
        assert_string_equal(copy_, expected);                                                                \
        free(copy_);                                                                                         \
    } while (0)

/* ---- opening ---- */
static void refusals_say_what_would_work(void **state) {
    UNUSED(state);
    static const struct {
        const char *spec, *says;
    } cases[] = {
        {"", "no such folder; use lab:NAME"},
        {"no/such/folder", "replay:FILE"},
        {"http://", "give http://host:port/v1#model"},
        {"https://host/v1 #model", "give http://host:port/v1#model"},
        {"/dev/null", "such a file is no model"},
        {"replay:", "No such file"},
        {"replay:/no/such.jsonl", "/no/such.jsonl"},
        {"replay:/dev/null", "holds no recorded samples"},
        {"lab:no-such-model", "no-such-model"},
        {"toy:depth=0", "depth must be a whole number from 1 to 32"},
        {"toy:p=2", "p must be a number from 0 to 1"},
        {"toy:p", "p must be"},
        {"toy:p=", "p must be"},
        {"toy:p=nan", "p must be"},
        {"toy:branch=2.5", "whole number"},
        {"toy:colour=3", "unknown key 'colour'; known: depth"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = {0};
        assert_null(policy_open(cases[i].spec, NULL, &e));
        assert_int_equal(e.code, ERR_INPUT);
        if (!strstr(e.msg, cases[i].says)) fail_msg("'%s' says: %s", cases[i].spec, e.msg);
    }
    struct err e = {0};
    assert_null(policy_open("toy:", &(struct policy_options){.separator = ""}, &e));
    assert_non_null(strstr(e.msg, "separator"));
    policy_close(NULL);
}

/* ---- recorded samples ---- */
static char *write_samples(const char *text) {
    struct err e = {0};
    char *path = file_join(scratch, "samples.jsonl");
    if (!file_write_atomic(path, str_from(text), &e)) fail_msg("%s", e.msg);
    struct buf spec = {0};
    buf_printf(&spec, "replay:%s", path);
    free(path);
    return buf_take(&spec);
}

static struct policy *open_samples(const char *text) {
    char *spec = write_samples(text);
    struct policy *p = open_or_fail(spec, NULL);
    free(spec);
    return p;
}

static void every_layout_is_read(void **state) {
    UNUSED(state);
    struct policy *p = open_samples(
        "{\"id\": \"a\", \"question\": \"What?\", \"samples\": [\"one\", {\"text\": \"two\", \"n_tokens\": "
        "5, "
        "\"logprob\": -2.5}, {\"completion\": \"cut\", \"finish_reason\": \"length\"}]}\n"
        "\n"
        "{\"task_id\": \"HumanEval/0\", \"completion\": \"    return 1\\n\"}\r\n"
        "{\"task_id\": \"HumanEval/0\", \"completion\": \"    return 2\\n\", \"finish\": \"length\"}\n"
        "{\"unique_id\": \"u\", \"solution\": \"reference\", \"solutions\": [\"sampled\"]}\n"
        "{\"idx\": 900, \"input\": \" 4 5 6 10 \", \"responses\": [\"r\"]}\n"
        "{\"code\": [\"c\"]}\n"
        "{\"code\": \"d\"}");
    static const struct {
        const char *id, *prompt;
        int index;
        const char *text;
        enum policy_finish finish;
        int n_tokens;
    } cases[] = {
        {"a", "", 0, "one", POLICY_END, 0},
        {"a", "", 1, "two", POLICY_END, 5},
        {"a", "", 2, "cut", POLICY_LENGTH, 0},
        {NULL, "What?", 0, "one", POLICY_END, 0},
        {"problem 1", "4 5 6 10", 0, "r", POLICY_END, 0},
        {"HumanEval/0", "", 0, "    return 1\n", POLICY_END, 0},
        {"HumanEval/0", "", 1, "    return 2\n", POLICY_LENGTH, 0},
        {"u", "", 0, "sampled", POLICY_END, 0},
        {"900", "", 0, "r", POLICY_END, 0},
        {"7", "", 0, "c", POLICY_END, 0},
        {"8", "", 0, "d", POLICY_END, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct policy_prefix *root = root_of(p, cases[i].id, cases[i].prompt);
        struct policy_result r = run_one(p, root, 1, cases[i].index, POLICY_UNTIL_END, 1);
        assert_int_equal(r.finish, cases[i].finish);
        assert_text(r.text, cases[i].text);
        assert_int_equal(r.n_tokens, cases[i].n_tokens);
        assert_null(r.tokens);
        assert_true(r.cost.tokens_generated == cases[i].n_tokens && r.cost.flops == 0);
        assert_true(i == 1 ? r.logprob == -2.5 : isnan(r.logprob));
        policy_release(p, r.prefix);
        policy_release(p, root);
    }
    policy_close(p);
}

static void lines_that_are_no_samples_are_named(void **state) {
    UNUSED(state);
    static const char *const bad[] = {
        "[1]",
        "{\"id\": \"a\"}",
        "{\"id\": \"a\", \"samples\": [3]}",
        "{\"id\": \"a\", \"samples\": [{}]}",
        "{\"id\": \"a\", \"samples\": [\"unfinished]}",
        "{\"text\": \"a\", \"n_tokens\": -1}",
        "{\"text\": \"a\", \"finish\": 3}",
        "nonsense",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct buf text = {0};
        buf_printf(&text, "{\"text\": \"fine\"}\n%s\n", bad[i]);
        char *spec = write_samples(buf_cstr(&text));
        struct err e = {0};
        assert_null(policy_open(spec, NULL, &e));
        if (!strstr(e.msg, "samples.jsonl:2: ")) fail_msg("'%s' says: %s", bad[i], e.msg);
        buf_free(&text);
        free(spec);
    }
}

/* Every step of sample `index`, joined by "|". */
static char *steps_of(struct policy *p, struct policy_prefix *root, int index) {
    struct buf all = {0};
    struct policy_prefix *at = root;
    enum policy_finish finish = POLICY_STEP;
    for (int depth = 0; finish == POLICY_STEP; depth++) {
        struct policy_result r = run_one(p, at, 1, depth == 0 ? index : 0, POLICY_UNTIL_STEP, 1);
        if (depth > 0) buf_add_char(&all, '|');
        buf_add_str(&all, r.text);
        finish = r.finish;
        assert_true(finish == POLICY_STEP || finish == POLICY_END);
        if (at != root) policy_release(p, at);
        at = r.prefix;
    }
    policy_release(p, at);
    return buf_take(&all);
}

static void recorded_steps_follow_their_sample(void **state) {
    UNUSED(state);
    struct policy *p = open_samples("{\"id\": \"a\", \"samples\": [\"A\\n\\nB\\n\\nC\", \"A\\n\\nX\\n\\n\", "
                                    "\"\\n\\n\\n\\nA\\n\\n\\nB\\n\\n \\n\", \"\", \"\\n\\n\", \"A\\nB\"]}\n");
    struct policy_prefix *root = root_of(p, "a", "");
    static const char *const steps[] = {"A\n\n|B\n\n|C", "A\n\n|X\n\n", "\n\n\n\nA\n\n|\nB\n\n \n", "",
                                        "\n\n",          "A\nB"};
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        char *found = steps_of(p, root, (int)i);
        assert_string_equal(found, steps[i]);
        free(found);
    }
    struct policy_result first = run_one(p, root, 1, 0, POLICY_UNTIL_STEP, 1);
    struct policy_result rest = run_one(p, first.prefix, 1, 0, POLICY_UNTIL_END, 1);
    assert_text(rest.text, "B\n\nC");
    policy_release(p, rest.prefix);
    policy_release(p, first.prefix);
    policy_release(p, root);
    policy_close(p);
}

static void what_was_not_recorded_fails_and_says_so(void **state) {
    UNUSED(state);
    struct err e = {0};
    struct policy *p = open_samples("{\"id\": \"a\", \"samples\": [\"A\\n\\nB\", \"C\"]}\n");
    assert_null(policy_root(p, &(struct policy_prompt){.id = "b", .text = "?"}, &e));
    assert_non_null(strstr(e.msg, "no recorded samples of problem 'b'"));

    struct policy_prefix *root = root_of(p, "a", "");
    struct policy_result r = run_one(p, root, 1, 2, POLICY_UNTIL_END, 1);
    assert_int_equal(r.finish, POLICY_FAILED);
    assert_null(r.prefix);
    assert_non_null(strstr(r.why, "has 2 recorded samples"));

    struct policy_result step = run_one(p, root, 1, 0, POLICY_UNTIL_STEP, 1);
    r = run_one(p, step.prefix, 1, 1, POLICY_UNTIL_STEP, 1);
    assert_int_equal(r.finish, POLICY_FAILED);
    assert_non_null(strstr(r.why, "one continuation"));

    struct policy_result end = run_one(p, step.prefix, 1, 0, POLICY_UNTIL_STEP, 1);
    r = run_one(p, end.prefix, 1, 0, POLICY_UNTIL_STEP, 1);
    assert_int_equal(r.finish, POLICY_FAILED);
    assert_non_null(strstr(r.why, "ended"));
    policy_release(p, end.prefix);
    policy_release(p, step.prefix);
    policy_release(p, root);
    policy_close(p);
}

static void recorded_prefixes_are_resumed(void **state) {
    UNUSED(state);
    struct err e = {0};
    struct policy *p = open_samples("{\"id\": \"a\", \"samples\": [\"A\\n\\nB\", \"A\\n\\nC\"]}\n");
    struct policy_prefix *root = root_of(p, "a", "");
    for (int i = 0; i < 2; i++) {
        struct policy_prefix *prefix = extend(p, root, i, STR("A\n\n"), NULL, 0, &e);
        assert_non_null(prefix);
        struct policy_result r = run_one(p, prefix, 1, 0, POLICY_UNTIL_STEP, 1);
        assert_text(r.text, i ? "C" : "B");
        policy_release(p, r.prefix);
        policy_release(p, prefix);
    }
    assert_null(extend(p, root, 0, STR("B"), NULL, 0, &e));
    assert_non_null(strstr(e.msg, "the file has changed"));
    assert_null(extend(p, root, 2, STR("A"), NULL, 0, &e));
    policy_release(p, root);
    policy_close(p);
}

static void the_identity_follows_the_content(void **state) {
    UNUSED(state);
    struct policy *p = open_samples("{\"id\": \"a\", \"samples\": [\"A\"]}\n");
    struct policy *same = open_samples("{\"id\": \"a\", \"samples\": [\"A\"]}\n");
    struct policy *other = open_samples("{\"id\": \"a\", \"samples\": [\"B\"]}\n");
    assert_string_equal(policy_info(p)->identity, policy_info(same)->identity);
    assert_string_not_equal(policy_info(p)->identity, policy_info(other)->identity);
    assert_string_equal(policy_info(p)->kind, "replay");
    policy_close(p);
    policy_close(same);
    policy_close(other);
}

/* ---- the toy chain ---- */
static struct toy_chain chain_of(const char *text, const char *problem) {
    struct err e = {0};
    struct toy_params params;
    struct toy_chain c;
    if (!toy_params_parse(&params, text, &e)) fail_msg("%s", e.msg);
    toy_chain_init(&c, &params, problem);
    return c;
}

struct sums {
    const struct toy_chain *c;
    double all, right;
};

static void add_path(void *ctx, const int *values, double probability) {
    struct sums *s = ctx;
    s->all += probability;
    if (values[s->c->params.depth - 1] == s->c->right[s->c->params.depth]) s->right += probability;
}

static void values_equal_the_enumeration(void **state) {
    UNUSED(state);
    static const char *const specs[] = {"",
                                        "depth=1,branch=2",
                                        "depth=6,branch=4,p=0.9,q=0.3,seed=5",
                                        "depth=5,p=1,q=0",
                                        "depth=3,branch=16,p=0,q=1",
                                        "spread=0.3,seed=9"};
    for (size_t i = 0; i < ARRAY_LEN(specs); i++) {
        struct toy_chain c = chain_of(specs[i], "problem");
        struct sums s = {.c = &c};
        toy_chain_enumerate(&c, add_path, &s);
        assert_true(fabs(s.all - 1) < 1e-9);
        assert_true(fabs(s.right - toy_chain_value(&c, 0, 0)) < 1e-9);
    }
    struct toy_chain certain = chain_of("depth=5,p=1,q=0", "problem");
    assert_true(toy_chain_value(&certain, 0, 0) == 1);
    struct toy_chain two = chain_of("depth=2,p=0.6,q=0.15", "problem"); /* 0.6 * 0.6 + 0.4 * 0.15 */
    assert_true(fabs(toy_chain_value(&two, 0, 0) - 0.42) < 1e-12);
}

static void problems_differ_and_specs_decide(void **state) {
    UNUSED(state);
    struct toy_chain a = chain_of("depth=32", "a"), b = chain_of("depth=32", "b"),
                     a2 = chain_of("depth=32,seed=2", "a");
    assert_memory_not_equal(a.right, b.right, sizeof a.right);
    assert_memory_not_equal(a.right, a2.right, sizeof a.right);
    assert_true(chain_of("spread=0.2", "a").p != chain_of("spread=0.2", "b").p);
}

static void toy_frequencies_are_the_probabilities(void **state) {
    UNUSED(state);
    enum { N = 20000 };
    struct policy *p = open_or_fail("toy:depth=3,branch=4,p=0.5", NULL);
    struct toy_chain c = chain_of("depth=3,branch=4,p=0.5", "frequencies");
    struct policy_prefix *root = root_of(p, "x", "frequencies");
    double n_first[4] = {0}, probs[4], n_right = 0;
    for (uint64_t i = 0; i < N; i++) {
        struct policy_result r = run_one(p, root, rng_child(3, i), (int)i, POLICY_UNTIL_END, 1);
        assert_int_equal(r.n_tokens, 3);
        n_first[r.tokens[0]]++;
        n_right += r.tokens[2] == c.right[3];
        policy_release(p, r.prefix);
    }
    toy_chain_step(&c, 0, 0, probs);
    for (int v = 0; v < 4; v++) assert_true(fabs(n_first[v] / N - probs[v]) < 5 * sqrt(0.25 / N));
    assert_true(fabs(n_right / N - toy_chain_value(&c, 0, 0)) < 5 * sqrt(0.25 / N));
    policy_release(p, root);
    policy_close(p);
}

static void toy_steps_with_one_key_are_the_whole(void **state) {
    UNUSED(state);
    struct policy *p = open_or_fail("toy:depth=5", &(struct policy_options){.separator = "##"});
    struct policy_prefix *root = root_of(p, "x", "text");
    for (uint64_t key = 0; key < 50; key++) {
        float temperature = key % 3 == 0 ? 0.0f : 0.8f;
        struct policy_result whole = run_one(p, root, key, 0, POLICY_UNTIL_END, temperature);
        assert_int_equal(whole.finish, POLICY_END);
        struct policy_prefix *ends[6] = {root}, *resumed = root;
        char *text = str_dup(whole.text);
        double logprob = whole.logprob, sum = 0;
        policy_release(p, whole.prefix);
        struct buf steps = {0};
        for (int i = 0; i < 5; i++) {
            struct policy_result r = run_one(p, resumed, key, 0, POLICY_UNTIL_STEP, temperature);
            assert_int_equal(r.finish, i < 4 ? POLICY_STEP : POLICY_END);
            buf_add_str(&steps, r.text);
            sum += r.logprob;
            struct err e = {0};
            int token = r.tokens[0];
            resumed = extend(p, ends[i], 0, r.text, &token, 1, &e); /* what r.prefix is, from records */
            ends[i + 1] = resumed;
            policy_release(p, r.prefix);
        }
        assert_string_equal(buf_cstr(&steps), text);
        assert_true(fabs(sum - logprob) < 1e-12);
        for (int i = 1; i < 6; i++) policy_release(p, ends[i]);
        buf_free(&steps);
        free(text);
    }
    policy_release(p, root);
    policy_close(p);
}

static void toy_greedy_takes_the_most_probable(void **state) {
    UNUSED(state);
    struct policy *p = open_or_fail("toy:p=0.9,q=0.9", NULL);
    struct toy_chain c = chain_of("p=0.9,q=0.9", "text");
    struct policy_prefix *root = root_of(p, "x", "text");
    struct policy_result r = run_one(p, root, 1, 0, POLICY_UNTIL_END, 0);
    assert_memory_equal(r.tokens, c.right + 1, 4 * sizeof(int));
    policy_release(p, r.prefix);
    policy_release(p, root);
    policy_close(p);
}

static void toy_limits_failures_and_order(void **state) {
    UNUSED(state);
    struct err e = {0};
    struct policy *p = open_or_fail("toy:fail=0.5,shuffle=1", NULL);
    struct policy_prefix *root = root_of(p, "x", "text");
    int n_failed = 0, n_out_of_order = 0;
    for (uint64_t i = 0; i < 200; i++)
        policy_submit(
            p,
            &(struct policy_job){
                .id = i, .from = root, .key = rng_child(1, i), .n_tokens_max = 2, .until = POLICY_UNTIL_END});
    policy_cancel(p, 50);
    policy_cancel(p, 1000);
    struct policy_result r;
    assert_false(policy_next(p, &r)); /* not before policy_work */
    assert_int_equal(policy_work(p, 0, &e), 199);
    policy_cancel(p, 51);
    for (uint64_t i = 0; policy_next(p, &r); i++) {
        assert_true(r.id != 50 && r.id != 51);
        n_failed += r.finish == POLICY_FAILED;
        n_out_of_order += r.id != i;
        if (r.finish != POLICY_FAILED) assert_int_equal(r.finish, POLICY_LENGTH);
        policy_release(p, r.prefix);
    }
    assert_in_range(n_failed, 70, 130);
    assert_true(n_out_of_order > 150);
    assert_int_equal(policy_in_flight(p), 0);
    assert_int_equal(policy_work(p, 0, &e), 0);
    assert_true(policy_computed(p).tokens_read == 1 &&
                policy_computed(p).tokens_generated == 2 * (198 - n_failed));

    static const int beyond[] = {0, 0, 0, 0, 0}, outside[] = {3};
    assert_null(extend(p, root, 0, STR(""), beyond, 5, &e));
    assert_null(extend(p, root, 0, STR(""), outside, 1, &e));
    policy_submit(p, &(struct policy_job){.id = 1, .from = root, .n_tokens_max = 1}); /* open at the end */
    policy_release(p, root);
    policy_close(p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusals_say_what_would_work),
        cmocka_unit_test(every_layout_is_read),
        cmocka_unit_test(lines_that_are_no_samples_are_named),
        cmocka_unit_test(recorded_steps_follow_their_sample),
        cmocka_unit_test(what_was_not_recorded_fails_and_says_so),
        cmocka_unit_test(recorded_prefixes_are_resumed),
        cmocka_unit_test(the_identity_follows_the_content),
        cmocka_unit_test(values_equal_the_enumeration),
        cmocka_unit_test(problems_differ_and_specs_decide),
        cmocka_unit_test(toy_frequencies_are_the_probabilities),
        cmocka_unit_test(toy_steps_with_one_key_are_the_whole),
        cmocka_unit_test(toy_greedy_takes_the_most_probable),
        cmocka_unit_test(toy_limits_failures_and_order),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
