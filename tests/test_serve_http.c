/* The server before a policy that is behind a server itself (mock_server.h): conversations and raw prompts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "mock_server.h"
#include "serve_client.h"

#define FIRST "{\"role\":\"user\",\"content\":\"a chain\"}"
#define TALK                                                                                                 \
    "{\"role\":\"system\",\"content\":\"Be brief.\"}," FIRST                                                 \
    ",{\"role\":\"assistant\",\"content\":\"an answer\"},{\"role\":\"user\",\"content\":\"Again.\"}"

static int clear_environment(void **state) {
    UNUSED(state);
    static const char *const names[] = {"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY",
                                        "BROOD_API_KEY"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) unsetenv(names[i]);
    return 0;
}

/* What is answered to these messages; owned. *n_prompt: tokens of the prompt, as charged. */
static char *content_of(const struct server *s, const char *messages, double *n_prompt) {
    char body[400];
    snprintf(body, sizeof body, "{\"model\":\"brood/sample:n=2\",\"seed\":3,\"messages\":[%s]}", messages);
    struct answer a = chat(s, body);
    if (a.status != 200) fail_msg("%s", a.body);
    json_t *r = json_of(&a);
    char *text = mem_strdup(string_at(r, "choices.0.message.content"));
    *n_prompt = json_number_value(at_path(r, "usage.prompt_tokens"));
    json_decref(r);
    answer_free(&a);
    return text;
}

static void conversations_reach_the_model(void **state) {
    UNUSED(state);
    for (int d = MOCK_VLLM; d <= MOCK_CHAT; d++) {
        struct mock *m = mock_start(&(struct mock_options){.dialect = (enum mock_dialect)d});
        char policy[80];
        double n_first, n_talk;
        snprintf(policy, sizeof policy, "http://127.0.0.1:%d/v1#toy", m->port);
        struct serve_options o = serve_defaults();
        o.policy = policy;
        o.reward = NULL;
        struct server s;
        server_start(&s, &o);
        char *first = content_of(&s, FIRST, &n_first), *talk = content_of(&s, TALK, &n_talk);
        assert_int_equal(str_starts(str_from(talk), STR("turn 2: ")), d == MOCK_CHAT);
        assert_true(d == MOCK_CHAT || n_talk > n_first);
        free(first);
        free(talk);
        struct answer a = ask(&s, "POST", "/v1/completions", NULL,
                              "{\"model\":\"brood/sample:n=2\",\"prompt\":\"U:a chain\\nA:\"}");
        assert_int_equal(a.status, d == MOCK_CHAT ? 400 : 200);
        answer_free(&a);
        server_stop(&s);
        mock_stop(m);
    }
}

/* One that the model cannot take is refused alone. */
static void too_long_ones_are_refused(void **state) {
    UNUSED(state);
    struct mock *m = mock_start(&(struct mock_options){.dialect = MOCK_VLLM});
    char policy[80];
    double n;
    snprintf(policy, sizeof policy, "http://127.0.0.1:%d/v1#toy", m->port);
    struct serve_options o = serve_defaults();
    o.policy = policy;
    o.reward = NULL;
    struct server s;
    server_start(&s, &o);
    struct buf body = {0};
    buf_add_str(&body,
                STR("{\"model\":\"brood/sample:n=2\",\"messages\":[{\"role\":\"user\",\"content\":\""));
    for (int i = 0; i < MOCK_CONTEXT; i++) buf_add_char(&body, 'x');
    buf_add_str(&body, STR("\"}]}"));
    struct answer a = chat(&s, buf_cstr(&body));
    assert_int_equal(a.status, 400);
    assert_non_null(strstr(a.body, "shorten it"));
    answer_free(&a);
    buf_free(&body);
    free(content_of(&s, FIRST, &n));
    server_stop(&s);
    mock_stop(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conversations_reach_the_model),
        cmocka_unit_test(too_long_ones_are_refused),
    };
    return cmocka_run_group_tests_name("serve_http", tests, clear_environment, NULL);
}
