/* Leads, conversations and confidences of policies behind servers, against the server of mock_server.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "mock_server.h"
#include "policy/policy.h"

#define CHAIN "depth=4,seed=3"

static int clear_environment(void **state) {
    UNUSED(state);
    static const char *const names[] = {"http_proxy",          "HTTP_PROXY",           "all_proxy",
                                        "ALL_PROXY",           "BROOD_API_KEY",        "BROOD_API_KEY_FILE",
                                        "BROOD_RETRY_SECONDS", "BROOD_REQUEST_SECONDS"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) unsetenv(names[i]);
    return 0;
}

static struct policy *open_mock(const struct mock *m, const struct policy_options *o) {
    struct err e = {0};
    char spec[80];
    snprintf(spec, sizeof spec, "http://127.0.0.1:%d/v1#toy", m->port);
    struct policy *p = policy_open(spec, o, &e);
    if (!p) fail_msg("%s", e.msg);
    return p;
}

static struct policy_prefix *root_of(struct policy *p, const char *text) {
    struct err e = {0};
    struct policy_prefix *root = policy_root(p, &(struct policy_prompt){.id = text, .text = text}, &e);
    if (!root) fail_msg("%s", e.msg);
    return root;
}

static struct policy_job job_of(struct policy_prefix *from, uint64_t key, enum policy_lead lead) {
    return (struct policy_job){.id = 1,
                               .from = from,
                               .key = key,
                               .until = POLICY_UNTIL_END,
                               .lead = lead,
                               .n_tokens_max = 200,
                               .sampling = {.temperature = 1, .top_p = 1}};
}

static struct policy_result run_job(struct policy *p, const struct policy_job *job) {
    struct err e = {0};
    struct policy_result r;
    policy_submit(p, job);
    while (!policy_next(p, &r))
        if (policy_work(p, 0.05, &e) < 0) fail_msg("%s", e.msg);
    return r;
}

/* The lead's ids as text. */
static void lead_text(const struct policy_result *r, struct buf *out) {
    for (int i = 0; i < r->n_lead_tokens; i++) buf_add_char(out, (char)(r->tokens[i] - MOCK_TOKEN_0));
}

static void expect(const struct policy_result *r, const char *words, const char *ids, const char *ends_with) {
    struct buf lead = {0};
    assert_int_equal(r->finish, POLICY_END);
    assert_true(str_equal((struct str){r->text.ptr, r->n_lead_bytes}, str_from(words)));
    if (!str_ends(r->text, str_from(ends_with))) fail_msg("%.*s", (int)r->text.len, r->text.ptr);
    if (ids) lead_text(r, &lead);
    if (ids) assert_string_equal(buf_cstr(&lead), ids);
    buf_free(&lead);
}

/* Every token that the request carried is charged, and no more than was foretold. */
static void check_cost(const struct policy *p, const struct policy_job *job, const struct policy_result *r) {
    const double least = (double)r->n_lead_tokens + (r->tokens ? 12 : 0); /* "U:a chain\nA:" */
    const double most =
        policy_reads(p, job->from, job->until) + policy_lead_reads(p, job->lead, job->feedback);
    assert_true(r->cost.tokens_read >= least && r->cost.tokens_read <= most);
}

/* Goes on from a result and from its record: the same. */
static void check_record(struct policy *p, struct policy_prefix *from, const struct policy_result *r,
                         enum policy_lead lead) {
    struct err e = {0};
    const struct policy_piece piece = {.lead = lead,
                                       .ended = r->finish == POLICY_END,
                                       .text = r->text,
                                       .n_lead_bytes = r->n_lead_bytes,
                                       .tokens = r->tokens,
                                       .n_lead_tokens = r->n_lead_tokens,
                                       .n_tokens = r->tokens ? r->n_tokens : 0};
    struct policy_prefix *again = policy_extend(p, from, &piece, &e), *made = r->prefix;
    if (!again) fail_msg("%s", e.msg);
    char *texts[2];
    int n_read[2];
    for (int i = 0; i < 2; i++) {
        const struct policy_job job = job_of(i ? again : made, 99, POLICY_LEAD_REVISE);
        const double before = policy_computed(p).tokens_read;
        struct policy_result more = run_job(p, &job);
        n_read[i] = (int)(policy_computed(p).tokens_read - before);
        texts[i] = str_dup(more.text);
        policy_release(p, more.prefix);
    }
    assert_string_equal(texts[0], texts[1]);
    assert_int_equal(n_read[0], n_read[1]);
    free(texts[0]);
    free(texts[1]);
    policy_release(p, again);
}

static void check_leads(struct policy *p) {
    struct policy_prefix *root = root_of(p, "a chain");
    const struct policy_job first = job_of(root, 5, POLICY_LEAD_NONE);
    struct policy_result r = run_job(p, &first);
    assert_int_equal(r.finish, POLICY_END);
    check_record(p, root, &r, POLICY_LEAD_NONE);
    struct policy_prefix *ended = r.prefix;

    struct policy_job job = job_of(ended, 6, POLICY_LEAD_WAIT);
    r = run_job(p, &job);
    check_cost(p, &job, &r);
    expect(&r, "\n\nWait,", "\n\nWait,", "}.");
    assert_int_equal(r.text.len, strlen("\n\nWait,The answer is \\boxed{0}."));
    check_record(p, ended, &r, POLICY_LEAD_WAIT);
    policy_release(p, r.prefix);

    job.lead = POLICY_LEAD_REVISE;
    job.feedback = STR("Step 2 is wrong.");
    r = run_job(p, &job);
    check_cost(p, &job, &r);
    expect(&r, "Step 2 is wrong.\nAgain, please.", "<e>U:Step 2 is wrong.\nAgain, please.\nA:", "}.");
    assert_non_null(strstr(r.text.ptr, "please.step 1: "));
    check_record(p, ended, &r, POLICY_LEAD_REVISE);
    policy_release(p, r.prefix);

    struct policy_job step = job_of(root, 7, POLICY_LEAD_NONE);
    step.until = POLICY_UNTIL_STEP;
    r = run_job(p, &step);
    assert_int_equal(r.finish, POLICY_STEP);
    struct policy_prefix *open = r.prefix;
    job = job_of(open, 8, POLICY_LEAD_ANSWER);
    r = run_job(p, &job); /* the step ends with a blank line already */
    check_cost(p, &job, &r);
    expect(&r, "The answer is \\boxed{", "The answer is \\boxed{", "}.");
    assert_int_equal(r.text.len, strlen("The answer is \\boxed{0}."));
    check_record(p, open, &r, POLICY_LEAD_ANSWER);
    policy_release(p, r.prefix);
    policy_release(p, open);
    policy_release(p, ended);
    policy_release(p, root);
}

static void leads_are_cut_by_the_server(void **state) {
    UNUSED(state);
    static const struct mock_options kinds[] = {
        {.dialect = MOCK_VLLM, .chain = CHAIN},
        {.dialect = MOCK_LLAMA, .chain = CHAIN},
        {.dialect = MOCK_VLLM, .chain = CHAIN, .keep_end = true},
        {.dialect = MOCK_LLAMA, .chain = CHAIN, .keep_end = true},
        {.dialect = MOCK_LLAMA, .chain = CHAIN, .keep_end = true, .no_detokenize = true},
        {.dialect = MOCK_VLLM, .chain = CHAIN, .share = 0.3, .faults = (1u << MOCK_STALL) - 1, .n_good = 4},
    };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct mock *m = mock_start(&kinds[i]);
        struct policy *p = open_mock(m, &(struct policy_options){.lead_revise = "Again, please."});
        assert_true(policy_info(p)->has_leads && policy_info(p)->leads[POLICY_LEAD_REVISE].replaced);
        check_leads(p);
        policy_close(p);
        assert_int_equal(m->n_ends, 0);
        mock_stop(m);
    }
}

static void chat_services_get_leads_as_turns(void **state) {
    UNUSED(state);
    struct mock *m = mock_start(&(struct mock_options){.dialect = MOCK_CHAT, .chain = CHAIN});
    struct policy *p = open_mock(m, NULL);
    struct policy_prefix *root = root_of(p, "a chain");
    struct policy_job job = job_of(root, 5, POLICY_LEAD_NONE);
    struct policy_result r = run_job(p, &job);
    struct policy_prefix *at = r.prefix;
    for (int lead = POLICY_LEAD_REVISE; lead < POLICY_LEADS; lead++) {
        const char *words = policy_info(p)->leads[lead].text;
        char begins[300];
        snprintf(begins, sizeof begins, "%sturn %d: ", words, lead + 1);
        job = job_of(at, 6 + (uint64_t)lead, (enum policy_lead)lead);
        r = run_job(p, &job);
        check_cost(p, &job, &r);
        expect(&r, words, NULL, "}.");
        assert_true(str_starts(r.text, str_from(begins)));
        assert_null(r.tokens);
        check_record(p, at, &r, (enum policy_lead)lead);
        policy_release(p, at);
        at = r.prefix;
    }
    job = job_of(at, 1, POLICY_LEAD_NONE);
    r = run_job(p, &job);
    assert_int_equal(r.finish, POLICY_FAILED);
    policy_release(p, at);
    policy_release(p, root);
    policy_close(p);
    mock_stop(m);
}

/* ---- conversations ---- */

/* The answer to a prompt, owned; how many tokens the prompt has. */
static char *answer_to(struct policy *p, const struct policy_prompt *prompt, double *n_tokens) {
    struct err e = {0};
    struct policy_prefix *root = policy_root(p, prompt, &e);
    if (!root) fail_msg("%s", e.msg);
    const struct policy_job job = job_of(root, 5, POLICY_LEAD_NONE);
    struct policy_result r = run_job(p, &job);
    assert_int_equal(r.finish, POLICY_END);
    assert_int_equal(policy_reading(p, root, &e), POLICY_READ);
    *n_tokens = policy_reads(p, root, POLICY_UNTIL_END);
    char *text = str_dup(r.text);
    check_record(p, root, &r, POLICY_LEAD_NONE);
    policy_release(p, r.prefix);
    policy_release(p, root);
    return text;
}

static void conversations_are_rendered_by_the_server(void **state) {
    UNUSED(state);
    static const struct mock_options kinds[] = {
        {.dialect = MOCK_VLLM, .chain = CHAIN},
        {.dialect = MOCK_LLAMA, .chain = CHAIN},
        {.dialect = MOCK_IK, .chain = CHAIN},
        {.dialect = MOCK_CHAT, .chain = CHAIN},
        {.dialect = MOCK_LLAMA, .chain = CHAIN, .share = 0.3, .faults = (1u << MOCK_STALL) - 1, .n_good = 8},
    };
    static const char *const turns[] = {"a chain", "an answer"};
    const struct policy_prompt plain = {.id = "x", .text = "a chain"};
    const struct policy_prompt raw = {.id = "x", .text = "U:a chain\nA:", .talk.raw = true};
    const struct policy_prompt talk = {
        .id = "x", .text = "Again.", .talk = {.system = "Be brief.", .turns = turns, .n_turns = 2}};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        const bool is_chat = kinds[i].dialect == MOCK_CHAT;
        struct mock *m = mock_start(&kinds[i]);
        struct policy *p = open_mock(m, &(struct policy_options){.system = is_chat ? NULL : "Be kind."});
        double n;
        char *expected = answer_to(p, &plain, &n);
        if (!is_chat) assert_true(n == 1 + strlen("S:Be kind.\nU:a chain\nA:"));
        char *got = answer_to(p, &talk, &n);
        if (!is_chat) assert_true(n == 1 + strlen("S:Be brief.\nU:a chain\nA:an answer<e>U:Again.\nA:"));
        if (is_chat) assert_true(str_starts(str_from(got), STR("turn 2: ")));
        assert_string_equal(got + (is_chat ? strlen("turn 2: ") : 0), expected);
        free(got);
        if (is_chat) {
            struct err e = {0};
            assert_null(policy_root(p, &raw, &e));
            assert_int_equal(e.code, ERR_INPUT);
        } else {
            got = answer_to(p, &raw, &n);
            assert_int_equal(n, 1 + strlen(raw.text));
            assert_string_equal(got, expected);
            free(got);
        }
        free(expected);
        policy_close(p);
        mock_stop(m);
    }
}

/* ---- models that think between marks ---- */

static void thoughts_go_on_and_are_closed(void **state) {
    UNUSED(state);
    for (int d = MOCK_VLLM; d <= MOCK_LLAMA; d++) {
        struct mock *m = mock_start(
            &(struct mock_options){.dialect = (enum mock_dialect)d, .chain = CHAIN, .thinks = true});
        struct policy *p = open_mock(m, NULL);
        struct policy_prefix *root = root_of(p, "a chain");
        struct policy_job job = job_of(root, 5, POLICY_LEAD_NONE);
        struct policy_result r = run_job(p, &job);
        assert_non_null(strstr(r.text.ptr, "\n\n</think>The answer is \\boxed{"));
        const int n_thought = (int)(strstr(r.text.ptr, "</think>") - r.text.ptr);
        struct policy_prefix *ended = r.prefix;

        job = job_of(ended, 6, POLICY_LEAD_WAIT); /* the mark and the answer are taken back */
        r = run_job(p, &job);
        expect(&r, "\n\nWait,", "\n\nWait,", "}.");
        assert_non_null(strstr(r.text.ptr, "Wait,</think>The answer is"));
        assert_int_equal(r.cost.tokens_read, 13 + n_thought + r.n_lead_tokens); /* the prompt has 13 */
        check_record(p, ended, &r, POLICY_LEAD_WAIT);
        policy_release(p, r.prefix);
        job.lead = POLICY_LEAD_ANSWER; /* the thought is closed already */
        r = run_job(p, &job);
        expect(&r, "\n\nThe answer is \\boxed{", "\n\nThe answer is \\boxed{", "}.");
        policy_release(p, r.prefix);

        struct policy_job step = job_of(root, 7, POLICY_LEAD_NONE);
        step.until = POLICY_UNTIL_STEP;
        r = run_job(p, &step);
        struct policy_prefix *open = r.prefix;
        job = job_of(open, 8, POLICY_LEAD_ANSWER); /* inside of a thought */
        r = run_job(p, &job);
        const char words[] = "</think>\n\nThe answer is \\boxed{";
        assert_true(str_starts(r.text, STR(words)) && r.n_lead_bytes == strlen(words));
        assert_int_equal(r.tokens[0], MOCK_CLOSE);
        check_record(p, open, &r, POLICY_LEAD_ANSWER);
        policy_release(p, r.prefix);
        policy_release(p, open);
        policy_release(p, ended);
        policy_release(p, root);
        policy_close(p);
        assert_int_equal(m->n_ends, 0);
        mock_stop(m);
    }
}

/* ---- confidences ---- */

static void confidences_are_of_the_likeliest_told(void **state) {
    UNUSED(state);
    for (int d = MOCK_VLLM; d <= MOCK_CHAT; d++) {
        struct mock *m = mock_start(&(struct mock_options){.dialect = (enum mock_dialect)d, .chain = CHAIN});
        struct policy *p = open_mock(m, NULL);
        struct policy_prefix *root = root_of(p, "a chain");
        struct policy_job job = job_of(root, 5, POLICY_LEAD_NONE);
        struct policy_result r = run_job(p, &job);
        char *text = str_dup(r.text);
        assert_null(r.confidences);
        policy_release(p, r.prefix);
        job.n_top = 3;
        r = run_job(p, &job);
        assert_true(str_equal(r.text, str_from(text)));
        assert_int_equal(r.n_confidences,
                         r.n_tokens - (d == MOCK_CHAT)); /* the end token's is not told there */
        for (int i = 0; i < r.n_confidences; i++)
            assert_true(fabsf(r.confidences[i] - (float)(i + 2)) < 1e-5f);
        policy_release(p, r.prefix);
        policy_release(p, root);
        free(text);
        policy_close(p);
        mock_stop(m);
    }
}

static void a_server_that_tells_none_ends_the_run(void **state) {
    UNUSED(state);
    for (int d = MOCK_VLLM; d <= MOCK_CHAT; d++) {
        struct err e = {0};
        struct mock *m = mock_start(
            &(struct mock_options){.dialect = (enum mock_dialect)d, .chain = CHAIN, .no_top = true});
        struct policy *p = open_mock(m, NULL);
        struct policy_prefix *root = root_of(p, "a chain");
        struct policy_job job = job_of(root, 5, POLICY_LEAD_NONE);
        job.n_top = 3;
        policy_submit(p, &job);
        int did = 1;
        while (did > 0) did = policy_work(p, 0.05, &e);
        assert_int_equal(did, -1);
        assert_int_equal(e.code, ERR_INPUT);
        assert_non_null(strstr(e.msg, "top_logprobs"));
        policy_cancel(p, 1);
        policy_release(p, root);
        policy_close(p);
        mock_stop(m);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leads_are_cut_by_the_server),
        cmocka_unit_test(chat_services_get_leads_as_turns),
        cmocka_unit_test(conversations_are_rendered_by_the_server),
        cmocka_unit_test(thoughts_go_on_and_are_closed),
        cmocka_unit_test(confidences_are_of_the_likeliest_told),
        cmocka_unit_test(a_server_that_tells_none_ends_the_run),
    };
    return cmocka_run_group_tests_name("policy_http_leads", tests, clear_environment, NULL);
}
