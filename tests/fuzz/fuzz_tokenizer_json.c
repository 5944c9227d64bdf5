/* tokenizer.json: the input's keys replace those of a small valid tokenizer, one level deep in "model";
 * "text" is then encoded. With "pieces" the tokenizer is SentencePiece-style, else byte-level.
 *
 * Whatever tokenizer is accepted, no special token comes out of text, and the text comes back unless
 * something in the file changes it: a normaliser, a space put before it, white space that added tokens take.
 */
#include "../model_files.h"
#include "model/tokenizer_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static json_t *base(void) {
    static const char *const merges[] = {"\n", "\n", "h", "e", "he", "r", " ", "a", "\xc3", "\xa9", NULL};
    json_t *root = files_tokenizer(FILES_QWEN2_PATTERN, merges);
    json_array_append_new(json_object_get(root, "added_tokens"), files_added(300, "<|end|>", true, false));
    return root;
}

/* Bytes, then pieces, then <|end|>, as in base(). */
static json_t *base_of_pieces(void) {
    static const char *const pieces[] = {TOKENIZER_SPACE, "h", "e", "he", TOKENIZER_SPACE "he", " ", "\n"};
    json_t *root = base(), *vocab = json_object();
    for (int b = 0; b < 256; b++) {
        char text[8];
        snprintf(text, sizeof text, "<0x%02X>", (unsigned)b);
        json_object_set_new(vocab, text, json_integer(b));
    }
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++)
        json_object_set_new(vocab, pieces[i], json_integer(256 + (int)i));
    json_t *model = json_pack("{s:s, s:b, s:o, s:[[s,s],[s,s]]}", "type", "BPE", "byte_fallback", 1, "vocab",
                              vocab, "merges", "h", "e", TOKENIZER_SPACE, "he");
    json_object_set_new(root, "model", model);
    json_object_set_new(root, "pre_tokenizer",
                        json_pack("{s:s, s:s}", "type", "Metaspace", "replacement", TOKENIZER_SPACE));
    json_object_del(root, "decoder");
    return root;
}

static json_t *new_base(bool of_pieces) {
    static json_t *made[2];
    if (!made[0]) made[0] = base(), made[1] = base_of_pieces();
    return json_deep_copy(made[of_pieces]);
}

static bool takes_space(const struct added *a) {
    for (size_t i = 0; i < a->n; i++) {
        if (a->items[i].lstrip || a->items[i].rstrip) return true;
    }
    return false;
}

static void check_text(const struct tokenizer *t, struct str text) {
    struct tokens ids = {0};
    struct buf back = {0};
    struct err e = {0};
    if (tokenizer_encode(t, text, &ids, &e)) {
        for (size_t i = 0; i < ids.len; i++) ASSERT(ids.ptr[i] >= 0 && !tokenizer_is_special(t, ids.ptr[i]));
        tokenizer_decode(t, ids.ptr, ids.len, true, &back);
        bool changes = t->nfc || t->pieces || takes_space(&t->raw) || takes_space(&t->normalised);
        ASSERT(changes || str_equal(buf_str(&back), text));
    } else {
        ASSERT(e.code == ERR_INPUT && ids.len == 0);
    }
    tokens_free(&ids);
    buf_free(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    struct err e = {0};
    json_t *input = json_parse((struct str){(const char *)bytes, n}, "fuzz", &e);
    json_t *root = new_base(json_object_get(input, "pieces") != NULL);
    json_object_del(input, "pieces");
    json_t *changes = json_object_get(input, "model");
    if (json_is_object(changes)) {
        json_object_update(json_object_get(root, "model"), changes);
        json_object_del(input, "model");
    }
    const json_t *text = json_object_get(input, "text");
    struct buf kept = {0};
    if (json_is_string(text)) buf_add(&kept, json_string_value(text), json_string_length(text));
    json_object_del(input, "text");
    if (json_is_object(input)) json_object_update(root, input);
    struct tokenizer *t = tokenizer_parse(root, "fuzz", &e);
    if (t) {
        check_text(t, buf_str(&kept));
        check_text(t, STR("he said: <|end|> \xe3\x80\x80 12 caf\xc3\xa9 e\xcc\x81\n\n\xff"));
        tokenizer_close(t);
    } else {
        ASSERT(e.code == ERR_INPUT && e.msg[0]);
    }
    buf_free(&kept);
    json_decref(input);
    json_decref(root);
    return 0;
}
