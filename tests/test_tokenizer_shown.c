/* Text that is shown while its tokens come: never half a character, and the same as shown at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"
#include "model/tokenizer.h"
#include "model_files.h"

static void half_a_character_waits(void **state) {
    UNUSED(state);
    assert_int_equal(tokenizer_complete_utf8(STR("")), 0);
    assert_int_equal(tokenizer_complete_utf8(STR("ab")), 2);
    assert_int_equal(tokenizer_complete_utf8(STR("a\xe2\x82")), 1);
    assert_int_equal(tokenizer_complete_utf8(STR("a\xe2\x82\xac")), 4);
    assert_int_equal(tokenizer_complete_utf8(STR("\xf0\x9f\x98")), 0);
    assert_int_equal(tokenizer_complete_utf8(STR("\xf0\x9f\x98\x80")), 4);
    assert_int_equal(tokenizer_complete_utf8(STR("a\xff")), 2); /* never a character: nothing to wait for */
    assert_int_equal(tokenizer_complete_utf8(STR("\x80\x80\x80\x80")), 4);
    assert_int_equal(tokenizer_complete_utf8(STR("\xc3")), 0);
}

/* By the definition: whether some character begins with these bytes and goes on. */
static bool begins_a_character(const unsigned char *bytes, size_t n) {
    static bool known[3][1 << 24], filled;
    for (uint32_t c = 0x80; !filled && c < 0x110000; c++) {
        struct buf one = {0};
        if (c >= 0xd800 && c < 0xe000) continue;
        buf_add_utf8(&one, c);
        uint32_t key = 0;
        for (size_t k = 0; k + 1 < one.len; k++) {
            key = key << 8 | (unsigned char)one.ptr[k];
            known[k][key] = true;
        }
        buf_free(&one);
    }
    filled = true;
    uint32_t key = 0;
    for (size_t k = 0; k < n; k++) key = key << 8 | bytes[k];
    return known[n - 1][key];
}

static size_t complete_by_definition(struct str s) {
    for (size_t n = MIN(s.len, 3u); n > 0; n--)
        if (begins_a_character((const unsigned char *)s.ptr + s.len - n, n)) return s.len - n;
    return s.len;
}

static void what_waits_is_what_may_become_a_character(void **state) {
    UNUSED(state);
    for (uint32_t x = 0; x < 1u << 24; x++) { /* all that three bytes can be */
        const char bytes[3] = {(char)(x >> 16 & 0xff), (char)(x >> 8 & 0xff), (char)(x & 0xff)};
        const struct str s = {bytes, 3};
        if (tokenizer_complete_utf8(s) != complete_by_definition(s))
            fail_msg("%06x: %zu, not %zu", x, tokenizer_complete_utf8(s), complete_by_definition(s));
    }
}

/* Shown piece by piece as tokens come, and at once. */
static void assert_shown_alike(const struct tokenizer *t, const int *ids, size_t n) {
    struct buf whole = {0}, pending = {0}, shown = {0};
    size_t n_shown = 0;
    for (size_t i = 0; i <= n; i++) {
        if (i < n) tokenizer_decode(t, ids + i, 1, true, &pending);
        size_t n_complete = i < n ? tokenizer_complete_utf8(buf_str(&pending)) : pending.len;
        assert_true(n_complete >= n_shown);
        json_t *piece = json_text((struct str){pending.ptr + n_shown, n_complete - n_shown});
        buf_add_str(&shown, (struct str){json_string_value(piece), json_string_length(piece)});
        json_decref(piece);
        n_shown = n_complete;
    }
    tokenizer_decode(t, ids, n, true, &whole);
    json_t *once = json_text(buf_str(&whole));
    assert_int_equal(shown.len, json_string_length(once));
    if (shown.len) assert_memory_equal(shown.ptr, json_string_value(once), shown.len);
    json_decref(once);
    buf_free(&whole);
    buf_free(&pending);
    buf_free(&shown);
}

/* A vocabulary with the bytes as pieces, and a few others. */
static json_t *pieces_json(void) {
    static const char *const pieces[] = {"\xe2\x96\x81",    "a", "b", "\xc3\xa9", "\xe4\xb8\xad",
                                         "\xf0\x9f\x98\x80"};
    json_t *vocab = json_pack("{s:i}", "<unk>", 0);
    for (int i = 0; i < 256; i++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", (unsigned)i);
        json_object_set_new(vocab, name, json_integer(1 + i));
    }
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++)
        json_object_set_new(vocab, pieces[i], json_integer((json_int_t)(257 + i)));
    return json_pack(
        "{s:s,s:[],s:{s:s,s:[{s:s,s:s},{s:s,s:{s:s},s:s}]},s:n,s:n,s:n,s:{s:s,s:b,s:s,s:b,s:o,s:[]}}",
        "version", "1.0", "added_tokens", "normalizer", "type", "Sequence", "normalizers", "type", "Prepend",
        "prepend", "\xe2\x96\x81", "type", "Replace", "pattern", "String", " ", "content", "\xe2\x96\x81",
        "pre_tokenizer", "post_processor", "decoder", "model", "type", "BPE", "byte_fallback", 1, "unk_token",
        "<unk>", "fuse_unk", 1, "vocab", vocab, "merges");
}

static struct tokenizer *open_made(json_t *root) {
    char *dir = files_new_dir();
    struct err e = {0};
    files_put_json(dir, "tokenizer.json", root);
    struct tokenizer *t = tokenizer_open(dir, &e);
    if (!t) print_error("%s\n", e.msg);
    assert_non_null(t);
    files_free_dir(dir);
    json_decref(root);
    return t;
}

/* Tokens at random are bytes at random, in pieces of any length; texts that were encoded, with what is no
 * UTF-8 among them; bytes and byte pieces; added tokens between. */
static void texts_are_shown_as_they_come_as_at_once(void **state) {
    static const char *const merges[] = {"\xe2", "\x82", "\xe2\x82", "\xac", "\n",   "\xe2", "\xf0\x9f",
                                         "\x98", "\xf0", "\x9f",     "\x80", "\x80", NULL};
    UNUSED(state);
    for (int kind = 0; kind < 2; kind++) {
        json_t *root = kind ? pieces_json() : files_tokenizer("[\\s\\S]+", merges);
        const json_t *vocab = json_object_get(json_object_get(root, "model"), "vocab");
        json_array_append_new(json_object_get(root, "added_tokens"),
                              files_added((int)json_object_size(vocab), "<|s|>", true, false));
        struct tokenizer *t = open_made(root);
        for (uint64_t i = 0; i < 3000; i++) {
            const uint64_t key = rng_child(31, i);
            const size_t n = rng_below(key, 0, 24);
            struct tokens ids = {0};
            struct buf text = {0};
            struct err e;
            for (size_t k = 0; k < n; k++) {
                const uint64_t x = rng_below(key, 2 * k + 1, 8);
                if (i % 2) {
                    tokens_add(&ids, (int)rng_below(key, 2 * k + 2, (uint64_t)tokenizer_count(t)));
                } else if (x < 6) {
                    static const uint32_t some[] = {'a', ' ', 0xe9, 0x20ac, 0x1f600, 0x4e2d};
                    buf_add_utf8(&text, some[x]);
                } else {
                    buf_add_char(&text, "\xe2\x82\xf0\x9f\x80\xff\xed\xc0"[rng_below(key, 2 * k + 2, 8)]);
                }
            }
            assert_true(tokenizer_encode(t, buf_str(&text), &ids, &e));
            assert_shown_alike(t, ids.ptr, ids.len);
            tokens_free(&ids);
            buf_free(&text);
        }
        tokenizer_close(t);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(half_a_character_waits),
        cmocka_unit_test(what_waits_is_what_may_become_a_character),
        cmocka_unit_test(texts_are_shown_as_they_come_as_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
