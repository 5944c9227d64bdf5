/* test_serve.c - the server through its door: HTTP in, HTTP out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "brood.h"
#include "serve_client.h"

#define QUESTION "\"messages\":[{\"role\":\"user\",\"content\":\"Which way?\"}]"

/* ---- what is asked is answered ---- */

static void test_small_routes(void **state) {
    static const struct {
        const char *method, *path;
        int status;
        const char *says;
    } cases[] = {{"GET", "/health", 200, "{\"status\":\"ok\"}"},
                 {"GET", "/v1/models", 200, "\"brood/beam\""},
                 {"GET", "/v1/models/brood/beam:n=8", 200, "\"id\":\"brood/beam:n=8\""},
                 {"GET", "/v1/models/brood/magic", 404, "model_not_found"},
                 {"GET", "/metrics", 200, "# TYPE brood_search_seconds histogram"},
                 {"GET", "/api/options", 200, "\"strategies\":[{\"name\":\"greedy\""},
                 {"GET", "/api/runs", 200, "{\"runs\":[]}"},
                 {"GET", "/api/runs/..%2f..%2fetc%2fpasswd", 404, "run_not_found"},
                 {"GET", "/", 200, "<title>Brood"},
                 {"GET", "/assets/none.js", 404, "not_found"},
                 {"GET", "/v1/embeddings", 404, "not_found"},
                 {"GET", "/v1/chat/completions", 405, "method_not_allowed"},
                 {"DELETE", "/", 405, "method_not_allowed"},
                 {"HEAD", "/health", 200, ""}};
    const struct serve_options o = serve_defaults();
    struct server s;
    UNUSED(state);
    server_start(&s, &o);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct answer a = ask(&s, cases[i].method, cases[i].path, NULL, NULL);
        if (a.status != cases[i].status || !strstr(a.body, cases[i].says))
            print_error("%s %s: %s\n", cases[i].method, cases[i].path, buf_cstr(&a.all));
        assert_int_equal(a.status, cases[i].status);
        assert_non_null(strstr(a.body, cases[i].says));
        assert_non_null(
            strstr(buf_cstr(&a.all), "Content-Security-Policy: default-src 'none'; script-src 'self'"));
        answer_free(&a);
    }
    server_stop(&s);
}

/* The same as the library gives. */
static void test_reply_is_what_solve_answers(void **state) {
    const struct serve_options o = serve_defaults();
    const struct brood_options bo = {.policy = o.policy, .reward = o.reward};
    struct brood_error error;
    struct server s;
    UNUSED(state);
    server_start(&s, &o);
    struct brood *b = brood_open(&bo, &error);
    assert_non_null(b);
    for (int seed = 0; seed < 8; seed++) {
        char body[256];
        const struct brood_request q = {
            .problem = "Which way?", .strategy = "beam:n=8,width=2", .seed = (uint64_t)seed};
        struct brood_answer *x = brood_solve(b, &q, &error);
        snprintf(body, sizeof body, "{\"model\":\"brood/beam:n=8,width=2\",\"seed\":%d," QUESTION "}", seed);
        struct answer a = chat(&s, body);
        assert_int_equal(a.status, 200);
        json_t *r = json_of(&a);
        assert_string_equal(string_at(r, "choices.0.message.content"), x->solution);
        assert_string_equal(string_at(r, "brood.answer"), x->answer);
        assert_int_equal(json_integer_value(at_path(r, "brood.votes")), x->n_votes);
        assert_int_equal(json_integer_value(at_path(r, "usage.total_tokens")),
                         (long long)(x->tokens_read + x->tokens_generated));
        assert_int_equal(json_integer_value(at_path(r, "usage.completion_tokens_details.reasoning_tokens")),
                         (long long)x->tokens_generated - x->solutions[x->chosen].n_tokens);
        json_decref(r);
        answer_free(&a);
        brood_answer_free(x);
    }
    brood_close(b);
    server_stop(&s);
}

static void test_choices_differ(void **state) {
    const struct serve_options o = serve_defaults();
    struct server s;
    UNUSED(state);
    server_start(&s, &o);
    struct answer a =
        chat(&s, "{\"model\":\"brood/sample:n=64\",\"n\":3,\"brood\":{\"solutions\":true}," QUESTION "}");
    json_t *r = json_of(&a);
    assert_int_equal(json_array_size(at_path(r, "choices")), 3);
    assert_string_equal(string_at(r, "choices.0.brood.answer"), string_at(r, "brood.answer"));
    assert_string_not_equal(string_at(r, "choices.0.brood.answer"), string_at(r, "choices.1.brood.answer"));
    assert_string_not_equal(string_at(r, "choices.1.brood.answer"), string_at(r, "choices.2.brood.answer"));
    assert_string_not_equal(string_at(r, "choices.0.brood.answer"), string_at(r, "choices.2.brood.answer"));
    assert_int_equal(json_array_size(at_path(r, "brood.solutions")), 64);
    json_decref(r);
    answer_free(&a);
    server_stop(&s);
}

/* ---- streams ---- */

struct stream {
    struct buf text, types; /* content; the events' types, each with a blank behind it */
    char *finish;
    bool is_done, has_orphan;
    json_t *nodes; /* those told so far, by path */
    json_t *usage, *result;
};

static void take_event(struct stream *x, const json_t *event) {
    const char *type = string_at(event, "type"), *id = string_at(event, "id");
    buf_printf(&x->types, "%s ", type);
    if (strcmp(type, "node") == 0) {
        const char *parent = string_at(event, "parent");
        if (*parent && !json_object_get(x->nodes, parent)) x->has_orphan = true;
        json_object_set_new(x->nodes, id, json_true());
    } else if ((strcmp(type, "reward") == 0 || strcmp(type, "solution") == 0) &&
               !json_object_get(x->nodes, id)) {
        x->has_orphan = true;
    }
}

static void take_chunk(struct stream *x, const json_t *chunk) {
    const json_t *delta = at_path(chunk, "choices.0.delta.content");
    if (delta) buf_add_str(&x->text, str_from(json_string_value(delta)));
    const char *finish = json_string_value(at_path(chunk, "choices.0.finish_reason"));
    if (finish && !x->finish) x->finish = mem_strdup(finish);
    if (json_is_object(at_path(chunk, "usage")))
        x->usage = json_incref((json_t *)(uintptr_t)at_path(chunk, "usage"));
    const json_t *result = at_path(chunk, "brood.result"), *events = at_path(chunk, "brood.events");
    if (result) x->result = json_incref((json_t *)(uintptr_t)result);
    for (size_t i = 0; i < json_array_size(events); i++) take_event(x, json_array_get(events, i));
}

static struct stream read_stream(const struct answer *a) {
    struct stream x = {.nodes = json_object()};
    for (const char *at = a->body; *at;) {
        const char *end = strstr(at, "\n\n");
        assert_non_null(end);
        assert_false(x.is_done);
        if (strncmp(at, "data: [DONE]", 12) == 0) {
            x.is_done = true;
        } else if (strncmp(at, "data: ", 6) == 0) {
            struct err e;
            json_t *chunk = json_parse((struct str){at + 6, (size_t)(end - at - 6)}, "chunk", &e);
            assert_non_null(chunk);
            take_chunk(&x, chunk);
            json_decref(chunk);
        } else {
            assert_int_equal(*at, ':');
        }
        at = end + 2;
    }
    return x;
}

static void stream_free(struct stream *x) {
    buf_free(&x->text);
    buf_free(&x->types);
    free(x->finish);
    json_decref(x->nodes);
    json_decref(x->usage);
    json_decref(x->result);
}

static void test_stream_tells_the_tree_and_the_plain_reply(void **state) {
    static const char plain[] = "{\"model\":\"brood/beam:n=8,width=2\"," QUESTION "}";
    static const char streamed[] = "{\"model\":\"brood/beam:n=8,width=2\",\"stream\":true,\"stream_options\":"
                                   "{\"include_usage\":true},\"brood\":{\"events\":\"tree\"}," QUESTION "}";
    const struct serve_options o = serve_defaults();
    struct server s;
    UNUSED(state);
    server_start(&s, &o);
    struct answer a = chat(&s, plain), b = chat(&s, streamed);
    json_t *r = json_of(&a);
    struct stream x = read_stream(&b);
    assert_true(x.is_done);
    assert_false(x.has_orphan);
    assert_string_equal(buf_cstr(&x.text), string_at(r, "choices.0.message.content"));
    assert_string_equal(x.finish, "stop");
    assert_true(json_equal(x.usage, at_path(r, "usage")));
    assert_string_equal(string_at(x.result, "answer"), string_at(r, "brood.answer"));
    assert_int_equal(strncmp(buf_cstr(&x.types), "begin node ", 11), 0);
    assert_non_null(strstr(buf_cstr(&x.types), " reward "));
    assert_non_null(strstr(buf_cstr(&x.types), " drop "));
    assert_non_null(strstr(buf_cstr(&x.types), " solution classes chosen "));
    assert_int_equal(strlen(strstr(buf_cstr(&x.types), "classes")), strlen("classes chosen "));
    stream_free(&x);
    json_decref(r);
    answer_free(&a);
    answer_free(&b);
    server_stop(&s);
}

static void test_events_are_what_was_asked_for(void **state) {
    static const struct {
        const char *events, *types;
    } cases[] = {{"none", ""}, {"progress", "begin chosen "}};
    const struct serve_options o = serve_defaults();
    struct server s;
    UNUSED(state);
    server_start(&s, &o);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char body[256];
        snprintf(body, sizeof body,
                 "{\"model\":\"brood/beam\",\"stream\":true,\"brood\":{\"events\":\"%s\"}," QUESTION "}",
                 cases[i].events);
        struct answer a = chat(&s, body);
        struct stream x = read_stream(&a);
        assert_true(x.is_done);
        assert_null(x.usage);
        assert_true(x.text.len > 0);
        assert_string_equal(buf_cstr(&x.types), cases[i].types);
        stream_free(&x);
        answer_free(&a);
    }
    server_stop(&s);
}

/* ---- stop texts ---- */

static void test_stop_cuts_before_the_first(void **state) {
    static const char *const strategies[] = {"sample:n=4", "beam:n=4"};
    /* Within a step, over the end of one, and one that never comes. */
    static const char *const stops[] = {"p 2", "\\n\\nstep 3", "no such text"};
    const struct serve_options o = serve_defaults();
    struct server s;
    UNUSED(state);
    server_start(&s, &o);
    for (size_t i = 0; i < ARRAY_LEN(strategies) * ARRAY_LEN(stops); i++) {
        const char *stop = stops[i / 2];
        char body[300];
        snprintf(body, sizeof body,
                 "{\"model\":\"brood/%s\",\"stop\":[\"%s\"],\"brood\":{\"select\":\"best\"}," QUESTION "}",
                 strategies[i % 2], stop);
        struct answer a = chat(&s, body);
        assert_int_equal(a.status, 200);
        json_t *r = json_of(&a);
        const char *text = string_at(r, "choices.0.message.content");
        const char *ends = i / 2 == 0 ? "ste" : i / 2 == 1 ? "" : "}.";
        assert_string_equal(string_at(r, "choices.0.finish_reason"), "stop");
        assert_non_null(strstr(text, "step 1"));
        assert_null(strstr(text, "step 3") && i / 2 < 2 ? text : NULL);
        assert_true(str_ends(str_from(text), str_from(ends)));
        if (i / 2 == 1) assert_false(str_ends(str_from(text), STR("\n")));
        json_decref(r);
        answer_free(&a);
    }
    server_stop(&s);
}

/* ---- what is refused ---- */

static void test_bodies_that_are_refused(void **state) {
    static const struct {
        const char *body;
        int status;
        const char *param, *code;
    } cases[] = {
        {"", 400, "", "invalid_json"},
        {"{", 400, "", "invalid_json"},
        {"[]", 400, "", "invalid_json"},
        {"{\"model\":\"x\\u0000\"}", 400, "", "invalid_json"},
        {"{\"n\":1,\"n\":2}", 400, "", "invalid_json"},
        {"{}", 400, "messages", "invalid_value"},
        {"{\"messages\":[]}", 400, "messages", "invalid_value"},
        {"{\"messages\":[1]}", 400, "messages.role", "invalid_value"},
        {"{\"messages\":[{\"role\":\"king\",\"content\":\"x\"}]}", 400, "messages.role", "invalid_value"},
        {"{\"messages\":[{\"role\":\"user\"}]}", 400, "messages.content", "invalid_value"},
        {"{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]}]}", 400,
         "messages.content", "invalid_value"},
        {"{\"messages\":[{\"role\":\"user\",\"content\":\"  \"}]}", 400, "messages", "invalid_value"},
        {"{\"messages\":[{\"role\":\"assistant\",\"content\":\"x\"}]}", 400, "messages", "invalid_value"},
        {"{\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\"x\"}]}",
         400, "messages", "invalid_value"},
        {"{\"model\":\"gpt-4\"," QUESTION "}", 404, "model", "model_not_found"},
        {"{\"model\":\"brood/beam:wdith=4\"," QUESTION "}", 404, "model", "model_not_found"},
        {"{\"brood\":{\"strategy\":\"best\"}," QUESTION "}", 400, "brood.strategy", "invalid_value"},
        {"{\"brood\":{\"stratgey\":\"beam\"}," QUESTION "}", 400, "brood", "unknown_parameter"},
        {"{\"brood\":{\"budget\":{\"token\":5}}," QUESTION "}", 400, "brood.budget", "unknown_parameter"},
        {"{\"brood\":[]," QUESTION "}", 400, "brood", "invalid_value"},
        {"{\"brood\":{\"select\":\"oracle\"}," QUESTION "}", 400, "brood", "invalid_value"},
        {"{\"brood\":{\"events\":true}," QUESTION "}", 400, "brood.events", "invalid_value"},
        {"{\"brood\":{\"samples\":1000000}," QUESTION "}", 400, "brood.samples", "invalid_value"},
        {"{\"brood\":{\"deadline\":601}," QUESTION "}", 400, "brood.deadline", "invalid_value"},
        {"{\"max_tokens\":100000," QUESTION "}", 400, "max_tokens", "invalid_value"},
        {"{\"max_tokens\":1.5," QUESTION "}", 400, "max_tokens", "invalid_value"},
        {"{\"n\":0," QUESTION "}", 400, "n", "invalid_value"},
        {"{\"n\":65," QUESTION "}", 400, "n", "invalid_value"},
        {"{\"seed\":-1," QUESTION "}", 400, "seed", "invalid_value"},
        {"{\"temperature\":\"hot\"," QUESTION "}", 400, "temperature", "invalid_value"},
        {"{\"model\":\"brood/greedy\",\"temperature\":1," QUESTION "}", 400, "temperature", "invalid_value"},
        {"{\"stop\":[\"\"]," QUESTION "}", 400, "stop", "invalid_value"},
        {"{\"stop\":[1]," QUESTION "}", 400, "stop", "invalid_value"},
        {"{\"model\":\"brood/revise\",\"stop\":\"x\"," QUESTION "}", 400, "stop", "invalid_value"},
        {"{\"stream\":1," QUESTION "}", 400, "stream", "invalid_value"},
        {"{\"tools\":[{}]," QUESTION "}", 400, "tools", "unsupported_parameter"},
        {"{\"logprobs\":true," QUESTION "}", 400, "logprobs", "unsupported_parameter"},
        {"{\"response_format\":{\"type\":\"json_object\"}," QUESTION "}", 400, "response_format",
         "unsupported_parameter"},
    };
    const struct serve_options o = serve_defaults();
    struct server s;
    UNUSED(state);
    server_start(&s, &o);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct answer a = chat(&s, cases[i].body);
        json_t *r = json_of(&a);
        if (a.status != cases[i].status || strcmp(string_at(r, "error.param"), cases[i].param) != 0)
            print_error("%s: %s\n", cases[i].body, buf_cstr(&a.all));
        assert_int_equal(a.status, cases[i].status);
        assert_string_equal(string_at(r, "error.param"), cases[i].param);
        assert_string_equal(string_at(r, "error.code"), cases[i].code);
        assert_string_equal(string_at(r, "error.type"), "invalid_request_error");
        assert_true(strlen(string_at(r, "error.message")) > 10);
        json_decref(r);
        answer_free(&a);
    }
    server_stop(&s);
}

/* What says that it is off changes nothing, and what nobody knows is left alone. */
static void test_fields_that_say_off(void **state) {
    const struct serve_options o = serve_defaults();
    struct server s;
    UNUSED(state);
    server_start(&s, &o);
    struct answer a =
        chat(&s, "{\"model\":\"brood\",\"tools\":[],\"logprobs\":false,\"presence_penalty\":0,\"best_of\":1,"
                 "\"response_format\":{\"type\":\"text\"},\"store\":false,\"metadata\":{\"a\":\"b\"},"
                 "\"stop\":null,\"brood\":null,\"n\":null," QUESTION "}");
    assert_int_equal(a.status, 200);
    answer_free(&a);
    server_stop(&s);
}

static void test_bytes_that_are_no_request(void **state) {
    static const char *const bytes[] = {
        "\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello over TLS\r\n\r\n", "GET\r\n\r\n",
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: "
        "-5\r\nContent-Type: application/json\r\n\r\n{}",
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: "
        "chunked\r\nContent-Type: application/json\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"};
    const struct serve_options o = serve_defaults();
    struct server s;
    struct buf huge = {0};
    UNUSED(state);
    server_start(&s, &o);
    for (size_t i = 0; i < ARRAY_LEN(bytes); i++) {
        const int fd = dial(&s);
        struct answer a = {0};
        send_all(fd, str_from(bytes[i]));
        shutdown(fd, SHUT_WR);
        receive_until(fd, NULL, &a.all);
        close(fd);
        take_answer(&a);
        assert_true(a.status == 0 || (a.status >= 400 && a.status < 500));
        answer_free(&a);
    }
    buf_printf(&huge, "GET /health HTTP/1.1\r\nHost: localhost\r\nX-Long: ");
    for (int i = 0; i < 100000; i++) buf_add_char(&huge, 'x');
    buf_printf(&huge, "\r\n\r\n");
    struct answer a = send_bytes(&s, buf_str(&huge));
    assert_true(a.status == 0 || (a.status >= 400 && a.status < 500));
    answer_free(&a);
    buf_free(&huge);
    a = ask(&s, "GET", "/health", NULL, NULL);
    assert_int_equal(a.status, 200);
    answer_free(&a);
    server_stop(&s);
}

static void test_bodies_that_are_too_large(void **state) {
    struct serve_options o = serve_defaults();
    struct server s;
    struct buf body = {0}, chunks = {0};
    UNUSED(state);
    o.body_bytes_max = 2000;
    server_start(&s, &o);
    buf_printf(&body, "{\"model\":\"");
    for (int i = 0; i < 3000; i++) buf_add_char(&body, 'x');
    buf_printf(&body, "\"}");
    struct answer a = chat(&s, buf_cstr(&body));
    assert_int_equal(a.status, 413);
    answer_free(&a);
    /* Without a length that says so. */
    buf_printf(&chunks,
               "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: "
               "application/json\r\nTransfer-Encoding: chunked\r\n\r\n%zx\r\n%s\r\n0\r\n\r\n",
               body.len, buf_cstr(&body));
    a = send_bytes(&s, buf_str(&chunks));
    assert_int_equal(a.status, 0);
    answer_free(&a);
    a = ask(&s, "POST", "/v1/chat/completions", "Content-Type: text/plain\r\nContent-Length: 2\r\n", NULL);
    assert_int_equal(a.status, 415);
    answer_free(&a);
    buf_free(&body);
    buf_free(&chunks);
    server_stop(&s);
}

/* ---- who may ask ---- */

static void test_keys(void **state) {
    static const struct {
        const char *header;
        int status;
    } cases[] = {{NULL, 401},
                 {"Authorization: Bearer \r\n", 401},
                 {"Authorization: Bearer secret-on\r\n", 401},
                 {"Authorization: Bearer secret-onee\r\n", 401},
                 {"Authorization: Bearer secret-onesecret-one\r\n", 401},
                 {"Authorization: Basic secret-one\r\n", 401},
                 {"Authorization: Bearer secret-one\r\n", 200},
                 {"authorization: bearer secret-one\r\n", 200}};
    struct serve_options o = serve_defaults();
    struct server s;
    UNUSED(state);
    o.key = "secret-one";
    server_start(&s, &o);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct answer a = ask(&s, "GET", "/v1/models", cases[i].header, NULL);
        assert_int_equal(a.status, cases[i].status);
        assert_null(strstr(a.body, "secret"));
        answer_free(&a);
        a = ask(&s, "POST", "/v1/chat/completions", cases[i].header,
                "{\"model\":\"brood/greedy\"," QUESTION "}");
        assert_int_equal(a.status, cases[i].status);
        answer_free(&a);
    }
    struct answer a = ask(&s, "GET", "/health", NULL, NULL);
    assert_int_equal(a.status, 200);
    answer_free(&a);
    server_stop(&s);
}

static void test_pages_from_elsewhere(void **state) {
    const struct serve_options o = serve_defaults();
    struct server s;
    UNUSED(state);
    server_start(&s, &o);
    struct answer a = ask(&s, "GET", "/v1/models", "Origin: http://evil.example\r\n", NULL);
    assert_int_equal(a.status, 403);
    answer_free(&a);
    a = ask(&s, "GET", "/v1/models", "Origin: http://localhost\r\n", NULL);
    assert_int_equal(a.status, 200);
    answer_free(&a);
    a = send_bytes(&s, STR("GET /v1/models HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"));
    assert_int_equal(a.status, 403);
    answer_free(&a);
    server_stop(&s);
}

static void test_servers_that_are_not_opened(void **state) {
    struct err e = {0};
    struct serve_options o = serve_defaults();
    UNUSED(state);
    o.host = "0.0.0.0";
    assert_null(serve_open(&o, &e));
    assert_non_null(strstr(e.msg, "--key-file"));
    o = serve_defaults();
    o.key = "short";
    assert_null(serve_open(&o, &e));
    assert_null(strstr(e.msg, "short"));
    assert_int_equal(e.code, ERR_INPUT);
    o = serve_defaults();
    o.host = "no.such.name.invalid";
    assert_null(serve_open(&o, &e));
    o = serve_defaults();
    o.policy = "toy:no=1";
    assert_null(serve_open(&o, &e));
}

/* ---- many at once ---- */

static struct serve_options endless(void) {
    struct serve_options o = serve_defaults();
    o.policy = ENDLESS;
    o.reward = NULL;
    return o;
}

#define ENDLESS_BODY(more) "{\"model\":\"" ENDLESS_STRATEGY "\"," more QUESTION "}"

static void wait_for(const struct server *s, const char *name, double value) {
    while (metric(s, name) != value) continue;
}

static void test_full_queue(void **state) {
    struct serve_options o = endless();
    struct server s;
    struct buf heard = {0};
    UNUSED(state);
    o.n_active_max = 1;
    o.n_queue_max = 1;
    server_start(&s, &o);
    const int first = begin_chat(&s, ENDLESS_BODY(""));
    wait_for(&s, "requests_running", 1);
    const int second = begin_chat(&s, ENDLESS_BODY("\"stream\":true,"));
    wait_for(&s, "requests_waiting", 1);
    receive_until(second, "\"type\":\"queued\"", &heard);
    struct answer a = chat(&s, ENDLESS_BODY(""));
    assert_int_equal(a.status, 429);
    assert_non_null(strstr(buf_cstr(&a.all), "Retry-After: "));
    json_t *r = json_of(&a);
    assert_string_equal(string_at(r, "error.code"), "queue_full");
    assert_string_equal(string_at(r, "error.type"), "rate_limit_error");
    json_decref(r);
    answer_free(&a);
    close(first); /* then it is the second's turn */
    receive_until(second, "\"type\":\"begin\"", &heard);
    assert_non_null(strstr(buf_cstr(&heard), "\"type\":\"begin\""));
    close(second);
    wait_for(&s, "requests_running", 0);
    wait_for(&s, "clients_gone_total", 2);
    buf_free(&heard);
    server_stop(&s);
}

static void test_client_that_goes_frees_its_work(void **state) {
    const struct serve_options o = endless();
    struct server s;
    UNUSED(state);
    server_start(&s, &o);
    for (int i = 0; i < 6; i++) {
        const int fd = begin_chat(&s, i % 2 ? ENDLESS_BODY("\"stream\":true,\"brood\":{\"events\":\"tree\"},")
                                            : ENDLESS_BODY(""));
        wait_for(&s, "requests_running", 1);
        close(fd);
        wait_for(&s, "requests_running", 0);
    }
    wait_for(&s, "clients_gone_total", 6);
    struct answer a = chat(&s, "{\"model\":\"brood/greedy\"," QUESTION "}");
    assert_int_equal(a.status, 200);
    answer_free(&a);
    server_stop(&s);
}

static void test_deadlines_and_budgets(void **state) {
    struct serve_options o = endless();
    struct server s;
    UNUSED(state);
    o.n_active_max = 1;
    server_start(&s, &o);
    struct answer a = chat(&s, ENDLESS_BODY("\"brood\":{\"budget\":{\"samples\":3}},"));
    json_t *r = json_of(&a);
    assert_int_equal(a.status, 200);
    assert_int_equal(json_integer_value(at_path(r, "brood.voters")), 3);
    json_decref(r);
    answer_free(&a);
    a = chat(&s, ENDLESS_BODY("\"brood\":{\"deadline\":0.2},"));
    r = json_of(&a);
    assert_int_equal(a.status, 200);
    assert_string_equal(string_at(r, "brood.ended"), "deadline");
    json_decref(r);
    answer_free(&a);
    /* In the queue. */
    const int first = begin_chat(&s, ENDLESS_BODY(""));
    wait_for(&s, "requests_running", 1);
    a = chat(&s, ENDLESS_BODY("\"brood\":{\"deadline\":0.01},"));
    r = json_of(&a);
    assert_int_equal(a.status, 503);
    assert_string_equal(string_at(r, "error.code"), "deadline");
    json_decref(r);
    answer_free(&a);
    close(first);
    server_stop(&s);
}

/* A large search does not keep a small one of another client waiting. */
static void test_large_searches_let_small_ones_through(void **state) {
    const struct serve_options o = endless();
    struct server s;
    UNUSED(state);
    server_start(&s, &o);
    const int large = begin_chat(&s, ENDLESS_BODY("\"user\":\"large\","));
    wait_for(&s, "requests_running", 1);
    struct answer a = chat(&s, "{\"model\":\"brood/sample:n=4\",\"user\":\"small\"," QUESTION "}");
    assert_int_equal(a.status, 200);
    assert_true(metric(&s, "requests_running") == 1);
    answer_free(&a);
    close(large);
    server_stop(&s);
}

struct asker {
    const struct server *server;
    int seed;
    char *text;
};

static void *ask_one(void *ctx) {
    struct asker *x = ctx;
    char body[200];
    snprintf(body, sizeof body, "{\"model\":\"brood/beam:n=4\",\"seed\":%d," QUESTION "}", x->seed);
    struct answer a = chat(x->server, body);
    json_t *r = json_of(&a);
    x->text = mem_strdup(string_at(r, "choices.0.message.content"));
    json_decref(r);
    answer_free(&a);
    return NULL;
}

/* One failing request among others touches none of them, and company changes no reply. */
static void test_company_changes_nothing(void **state) {
    enum { N = 24 };
    const struct serve_options o = serve_defaults();
    struct server s;
    struct asker together[N], alone;
    pthread_t threads[N];
    UNUSED(state);
    server_start(&s, &o);
    for (int i = 0; i < N; i++) {
        together[i] = (struct asker){.server = &s, .seed = i % 8};
        assert_int_equal(pthread_create(&threads[i], NULL, ask_one, &together[i]), 0);
        struct answer a = chat(&s, i % 2 ? "{\"brood\":{\"x\":1}," QUESTION "}" : "{");
        assert_int_equal(a.status, 400);
        answer_free(&a);
    }
    for (int i = 0; i < N; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < N; i++) {
        alone = (struct asker){.server = &s, .seed = i % 8};
        ask_one(&alone);
        assert_true(strlen(alone.text) > 0);
        assert_string_equal(alone.text, together[i].text);
        free(alone.text);
        free(together[i].text);
    }
    server_stop(&s);
}

static void test_searches_that_come_to_nothing(void **state) {
    struct serve_options o = serve_defaults();
    struct server s;
    UNUSED(state);
    o.policy = "toy:fail=1";
    o.reward = NULL;
    server_start(&s, &o);
    struct answer a = chat(&s, "{\"model\":\"brood/sample:n=2\"," QUESTION "}");
    json_t *r = json_of(&a);
    assert_int_equal(a.status, 500);
    assert_string_equal(string_at(r, "error.type"), "server_error");
    assert_non_null(strstr(string_at(r, "error.message"), "no solution could be written"));
    json_decref(r);
    answer_free(&a);
    a = ask(&s, "GET", "/health", NULL, NULL);
    assert_int_equal(a.status, 200);
    answer_free(&a);
    server_stop(&s);
}

/* ---- the end ---- */

static void test_end_answers_what_runs(void **state) {
    struct serve_options o = endless();
    struct server s;
    struct answer a = {0}, b = {0};
    UNUSED(state);
    o.n_active_max = 1;
    server_start(&s, &o);
    const int first = begin_chat(&s, ENDLESS_BODY(""));
    wait_for(&s, "requests_running", 1);
    const int second = begin_chat(&s, ENDLESS_BODY(""));
    wait_for(&s, "requests_waiting", 1);
    server_stop(&s); /* drain_seconds is 0 */
    receive_until(first, NULL, &a.all);
    receive_until(second, NULL, &b.all);
    take_answer(&a);
    take_answer(&b);
    assert_true(a.status == 200 || a.status == 503); /* whether there was a solution yet */
    assert_int_equal(b.status, 503);
    close(first);
    close(second);
    answer_free(&a);
    answer_free(&b);
}

static void test_end_waits_for_what_runs(void **state) {
    struct serve_options o = serve_defaults();
    struct server s;
    struct answer a = {0};
    UNUSED(state);
    o.policy = "toy:slow=1000";
    o.reward = NULL;
    o.drain_seconds = 1e6;
    server_start(&s, &o);
    const int fd = begin_chat(&s, "{\"model\":\"brood/sample:n=16\"," QUESTION "}");
    while (metric(&s, "requests_running") != 1 && metric(&s, "search_seconds_count") != 1) continue;
    server_stop(&s);
    receive_until(fd, NULL, &a.all);
    take_answer(&a);
    assert_int_equal(a.status, 200);
    json_t *r = json_of(&a);
    assert_string_equal(string_at(r, "brood.ended"), "finished");
    json_decref(r);
    close(fd);
    answer_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_routes),
        cmocka_unit_test(test_reply_is_what_solve_answers),
        cmocka_unit_test(test_choices_differ),
        cmocka_unit_test(test_stream_tells_the_tree_and_the_plain_reply),
        cmocka_unit_test(test_events_are_what_was_asked_for),
        cmocka_unit_test(test_stop_cuts_before_the_first),
        cmocka_unit_test(test_bodies_that_are_refused),
        cmocka_unit_test(test_fields_that_say_off),
        cmocka_unit_test(test_bytes_that_are_no_request),
        cmocka_unit_test(test_bodies_that_are_too_large),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_pages_from_elsewhere),
        cmocka_unit_test(test_servers_that_are_not_opened),
        cmocka_unit_test(test_full_queue),
        cmocka_unit_test(test_client_that_goes_frees_its_work),
        cmocka_unit_test(test_deadlines_and_budgets),
        cmocka_unit_test(test_large_searches_let_small_ones_through),
        cmocka_unit_test(test_company_changes_nothing),
        cmocka_unit_test(test_searches_that_come_to_nothing),
        cmocka_unit_test(test_end_answers_what_runs),
        cmocka_unit_test(test_end_waits_for_what_runs),
    };
    return cmocka_run_group_tests_name("serve", tests, NULL, NULL);
}
