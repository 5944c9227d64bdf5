/* Answers from foreign text: the input's first half and second half are parsed and compared; each with itself
 * too. */
#include "answer/answer.h"
#include "answer/extract.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct str all = {(const char *)data, size}, out;
    if (size == 0) return 0;
    if (answer_extract(all, ANSWER_TRY_MATH | ANSWER_TRY_NUMBER | ANSWER_TRY_CHOICE, &out, NULL)) {
        ASSERT(out.len > 0 && out.ptr >= all.ptr && out.ptr + out.len <= all.ptr + all.len);
    }
    size_t half = size / 2;
    for (size_t i = 0; i < size; i++)
        if (data[i] == '\n') half = i; /* seeds say where the pair is divided */
    struct str x = {all.ptr, half}, y = {all.ptr + half, size - half};
    static const enum answer_rules RULES[] = {ANSWER_STRICT, ANSWER_STRICT, ANSWER_GENEROUS, ANSWER_QWEN};
    struct answer_options o = {.rules = RULES[size & 3], .n_decimals = size % 7 == 0 ? 3 : 0};
    struct answer *a = answer_parse(x, &o), *b = answer_parse(y, &o), *again = answer_parse(x, &o);
    enum answer_verdict v = answer_equal(a, b);
    if (o.rules != ANSWER_QWEN) ASSERT(v == answer_equal(b, a));
    ASSERT(answer_equal(a, again) == ANSWER_EQUAL && answer_key(a) == answer_key(again));
    (void)answer_key(b);
    answer_free(a);
    answer_free(b);
    answer_free(again);
    return 0;
}
