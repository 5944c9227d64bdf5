/* tokenizer_encode on any bytes: the text comes back, pieces by the pattern are independent of the path
 * through the heap or the scan, and normalising twice is normalising once.
 */
#include "../model_files.h"
#include "model/nfc.h"
#include "model/tokenizer_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static struct tokenizer *open_one(const char *pattern, bool nfc) {
    static const char *const merges[] = {"\n",   "\n",   "h", "e", "he", "r",  " ", "a",
                                         "\xc3", "\xa9", "a", "a", "aa", "aa", NULL};
    struct err e;
    json_t *root = files_tokenizer(pattern, merges);
    json_array_append_new(json_object_get(root, "added_tokens"), files_added(300, "<|end|>", true, false));
    json_array_append_new(json_object_get(root, "added_tokens"), files_added(301, "<t>", false, true));
    if (nfc) json_object_set_new(root, "normalizer", json_pack("{s:s}", "type", "NFC"));
    struct tokenizer *t = tokenizer_parse(root, "fuzz", &e);
    ASSERT(t);
    json_decref(root);
    return t;
}

static void check(const struct tokenizer *t, struct str text) {
    struct tokens ids = {0}, again = {0};
    struct buf back = {0};
    struct err e;
    ASSERT(tokenizer_encode(t, text, &ids, &e));
    tokenizer_decode(t, ids.ptr, ids.len, false, &back);
    if (t->nfc) {
        struct buf twice = {0};
        ASSERT(tokenizer_encode(t, buf_str(&back), &again, &e));
        tokenizer_decode(t, again.ptr, again.len, false, &twice);
        ASSERT(str_equal(buf_str(&back), buf_str(&twice)));
        buf_free(&twice);
    } else {
        ASSERT(str_equal(buf_str(&back), text));
    }
    ASSERT(tokenizer_complete_utf8(text) <= text.len && text.len - tokenizer_complete_utf8(text) < 4);
    tokens_free(&ids);
    tokens_free(&again);
    buf_free(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    static struct tokenizer *tokenizers[4];
    static const char *const patterns[] = {FILES_QWEN2_PATTERN, "[\\s\\S]+"};
    for (size_t i = 0; i < ARRAY_LEN(tokenizers); i++) {
        if (!tokenizers[i]) tokenizers[i] = open_one(patterns[i / 2], i % 2);
        check(tokenizers[i], (struct str){(const char *)bytes, n});
    }
    return 0;
}
