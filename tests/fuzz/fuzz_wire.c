/* What servers answer: any JSON is taken within its bounds or refused. */
#include <math.h>

#include "policy/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TOKENS_MAX = 40 };

/* What is skimmed is also read, to the same. (Keys that come twice are refused by the parser alone.) */
static void skim(struct str body) {
    struct wire_answer fast, slow = {0};
    struct err e;
    const bool done = wire_skim_job(body, "\n\n", TOKENS_MAX, &fast);
    json_t *answer = done ? json_parse(body, "fuzz", &e) : NULL;
    if (answer) {
        ASSERT(wire_take_job(WIRE_IDS, answer, "\n\n", TOKENS_MAX, 0, &slow, &e));
        ASSERT(str_equal(buf_str(&fast.text), buf_str(&slow.text)) && fast.ids.len == slow.ids.len);
        ASSERT(fast.finish == slow.finish && fast.n_tokens == slow.n_tokens);
    }
    json_decref(answer);
    wire_answer_free(&fast);
    wire_answer_free(&slow);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct err e;
    skim((struct str){(const char *)data, size});
    json_t *answer = json_parse((struct str){(const char *)data, size}, "fuzz", &e);
    if (!answer) return 0;
    for (int form = WIRE_IDS; form <= WIRE_IK; form++) {
        for (int until_end = 0; until_end < 2; until_end++) {
            struct wire_answer a;
            const int n_top = until_end ? 5 : 0;
            if (wire_take_job((enum wire_form)form, answer, until_end ? NULL : "\n\n", TOKENS_MAX, n_top, &a,
                              &e)) {
                ASSERT(a.n_confidences <= (size_t)(n_top ? TOKENS_MAX : 0));
                ASSERT(a.n_tokens >= 0 && a.n_tokens <= TOKENS_MAX && a.ids.len <= TOKENS_MAX);
                ASSERT(a.n_read >= 0 && a.finish != POLICY_FAILED);
                ASSERT(a.finish != POLICY_STEP || (!until_end && str_ends(buf_str(&a.text), STR("\n\n"))));
                for (size_t i = 0; i < a.ids.len; i++) ASSERT(a.ids.ptr[i] >= 0);
            }
            wire_answer_free(&a);
        }
    }
    struct wire_ids ids = {0};
    if (wire_take_ids(answer, &ids, &e)) ASSERT(ids.len > 0);
    wire_ids_free(&ids);
    const char *text = wire_token_text(answer);
    ASSERT(!text || json_is_object(answer));
    json_decref(answer);
    return 0;
}
