/* What may come back from servers, read with and without a tree of JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "policy/wire.h"

/* ---- what comes over the wire ---- */
static void answers_that_make_no_sense(void **state) {
    UNUSED(state);
    static const struct {
        enum wire_form form;
        const char *text;
    } cases[] = {
        {WIRE_IDS, "[]"},
        {WIRE_IDS, "{\"choices\":[]}"},
        {WIRE_IDS, "{\"choices\":[{\"text\":\"a\",\"finish_reason\":\"stop\"}]}"},
        {WIRE_IDS, "{\"choices\":[{\"text\":\"a\",\"finish_reason\":\"abort\",\"token_ids\":[1]}]}"},
        {WIRE_IDS, "{\"choices\":[{\"text\":\"a\",\"finish_reason\":null,\"token_ids\":[1]}]}"},
        {WIRE_IDS, "{\"choices\":[{\"text\":3,\"finish_reason\":\"stop\",\"token_ids\":[1]}]}"},
        {WIRE_IDS, "{\"choices\":[{\"text\":\"a\",\"finish_reason\":\"stop\",\"token_ids\":[-1]}]}"},
        {WIRE_IDS, "{\"choices\":[{\"text\":\"a\",\"finish_reason\":\"stop\",\"token_ids\":[1,2,3,4,5]}]}"},
        {WIRE_LLAMA, "{\"content\":\"a\",\"tokens\":[1],\"stop_type\":\"none\"}"},
        {WIRE_LLAMA, "{\"content\":\"a\",\"tokens\":[1],\"stop_type\":\"word\",\"stopping_word\":\"x\"}"},
        {WIRE_LLAMA, "{\"content\":\"a\",\"tokens\":\"b\",\"stop_type\":\"eos\"}"},
        {WIRE_CHAT, "{\"choices\":[{\"message\":{},\"finish_reason\":\"stop\"}]}"},
        {WIRE_CHAT,
         "{\"error\":{},\"choices\":[{\"message\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = {0};
        struct wire_answer a;
        json_t *answer = json_parse(str_from(cases[i].text), "case", &e);
        assert_non_null(answer);
        if (wire_take_job(cases[i].form, answer, "\n\n", 3, 0, &a, &e)) fail_msg("%s", cases[i].text);
        assert_non_null(strstr(e.msg, "makes no sense"));
        wire_answer_free(&a);
        json_decref(answer);
    }
}

/* What is skimmed is what is read; what is skimmed is most of what servers say. */
static void skimmed_answers_are_those_that_are_read(void **state) {
    UNUSED(state);
    static const struct {
        const char *body;
        bool skimmed;
    } answers[] = {
        {"{\"choices\":[{\"index\":0,\"text\":\"a\\n\\n\",\"finish_reason\":\"stop\",\"stop_reason\":"
         "\"\\n\\n\","
         "\"token_ids\":[5,6],\"logprobs\":{\"token_logprobs\":[-0.25,-1e-3],\"top_logprobs\":[{\"a\":-1}],"
         "\"tokens\":"
         "[\"a\"]}}],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2,\"prompt_tokens_details\":{"
         "\"cached_tokens\":4}}}",
         true},
        {" {\"usage\":null , \"choices\":[ "
         "{\"finish_reason\":\"stop\",\"stop_reason\":null,\"token_ids\":[1],\"text\":"
         "\"\xc3\x97 \\\"x\\\\\"} ] } ",
         true},
        {"{\"choices\":[{\"text\":\"ab\",\"finish_reason\":\"length\",\"token_ids\":[1,2,3],\"logprobs\":"
         "null}],\"x\":"
         "[{},[],true,false,null,1.5e3]}",
         true},
        {"{\"choices\":[{\"text\":\"\\u00d7\",\"finish_reason\":\"stop\",\"token_ids\":[1]}]}", false},
        {"{\"choices\":[{\"text\":\"a\",\"finish_reason\":\"stop\",\"token_ids\":[1.0]}]}", false},
        {"{\"choices\":[{\"text\":\"a\",\"finish_reason\":\"stop\",\"token_ids\":[-1]}]}", false},
        {"{\"choices\":[{\"text\":\"a\",\"finish_reason\":\"stop\",\"token_ids\":[1,2,3,4,5]}]}", false},
        {"{\"choices\":[{\"text\":\"a\",\"finish_reason\":\"abort\",\"token_ids\":[1]}]}", false},
        {"{\"choices\":[{\"text\":\"a\",\"finish_reason\":\"stop\",\"token_ids\":[1]}],\"error\":{}}", false},
        {"{\"choices\":[{\"text\":\"a\",\"finish_reason\":\"stop\"}]}", false},
        {"{\"choices\":[{\"text\":\"a\",\"finish_reason\":\"stop\",\"token_ids\":[1]}]", false},
        {"{\"choices\":[{\"text\":\"a\",\"finish_reason\":\"stop\",\"token_ids\":[01]}]}", false},
        {"{\"choices\":[{\"text\":\"a\xff\",\"finish_reason\":\"stop\",\"token_ids\":[1]}]}", false},
        {"{\"choices\":[]}", false},
        {"", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        for (int k = 0; k < 2; k++) {
            struct wire_answer fast, slow = {0};
            struct err e = {0};
            const char *separator = k ? "\n\n" : NULL;
            const struct str body = str_from(answers[i].body);
            const bool skimmed = wire_skim_job(body, separator, 4, &fast);
            if (skimmed != answers[i].skimmed) fail_msg("%s: skimmed %d", body.ptr, skimmed);
            json_t *answer = json_parse(body, "answer", &e);
            const bool read = answer && wire_take_job(WIRE_IDS, answer, separator, 4, 0, &slow, &e);
            if (skimmed) {
                assert_true(read);
                assert_string_equal(buf_cstr(&fast.text), buf_cstr(&slow.text));
                assert_int_equal(fast.finish, slow.finish);
                assert_int_equal(fast.n_tokens, slow.n_tokens);
                assert_int_equal(fast.ids.len, slow.ids.len);
                assert_memory_equal(fast.ids.ptr, slow.ids.ptr, slow.ids.len * sizeof *slow.ids.ptr);
                assert_true(fast.logprob == slow.logprob || (isnan(fast.logprob) && isnan(slow.logprob)));
                assert_true(fast.n_read == slow.n_read && fast.n_prompt == slow.n_prompt);
            }
            json_decref(answer);
            wire_answer_free(&fast);
            wire_answer_free(&slow);
        }
    }
}

/* ik_llama.cpp does not say what stopped an answer: its last token does. */
static void the_last_token_tells_what_ended(void **state) {
    UNUSED(state);
    static const struct {
        const char *last;
        enum policy_finish finish;
    } tokens[] = {{"\n\n", POLICY_STEP},
                  {".\n\n", POLICY_STEP},
                  {"\n", POLICY_STEP},
                  {"<|end|>", POLICY_END},
                  {"", POLICY_END}};
    for (size_t i = 0; i < ARRAY_LEN(tokens); i++) {
        struct wire_answer a = {.finish = POLICY_END, .is_unsure = true};
        wire_decide(&a, tokens[i].last, "\n\n");
        assert_int_equal(a.finish, tokens[i].finish);
        assert_false(a.is_unsure);
        wire_answer_free(&a);
        a = (struct wire_answer){.finish = POLICY_END, .is_unsure = true};
        wire_decide(&a, tokens[i].last, NULL);
        assert_int_equal(a.finish, POLICY_END);
        wire_answer_free(&a);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_that_make_no_sense),
        cmocka_unit_test(skimmed_answers_are_those_that_are_read),
        cmocka_unit_test(the_last_token_tells_what_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
