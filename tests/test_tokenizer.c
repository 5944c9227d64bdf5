/* Byte-level BPE against a slow obvious reference: merging by scanning a list of rules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/pool.h"
#include "model/nfc.h"
#include "model/tokenizer.h"
#include "model_files.h"

#define WHOLE_PATTERN "[\\s\\S]+" /* one piece, whatever the text */

static const char *const no_merges[] = {NULL};

/* Takes root. */
static struct tokenizer *open_json(json_t *root, struct err *e) {
    char *dir = files_new_dir();
    files_put_json(dir, "tokenizer.json", root);
    struct tokenizer *t = tokenizer_open(dir, e);
    files_free_dir(dir);
    json_decref(root);
    return t;
}

static struct tokenizer *open_ok(json_t *root) {
    struct err e = {0};
    struct tokenizer *t = open_json(root, &e);
    if (!t) print_error("%s\n", e.msg);
    assert_non_null(t);
    return t;
}

static struct tokens encode(const struct tokenizer *t, struct str text) {
    struct tokens out = {0};
    struct err e = {0};
    assert_true(tokenizer_encode(t, text, &out, &e));
    return out;
}

static void assert_ids(const struct tokenizer *t, struct str text, const int *ids, size_t n) {
    struct tokens got = encode(t, text);
    if (got.len != n || (n > 0 && memcmp(got.ptr, ids, n * sizeof *ids) != 0)) {
        for (size_t i = 0; i < got.len; i++) print_error("%d ", got.ptr[i]);
        print_error("for %.*s\n", (int)text.len, text.ptr);
        fail();
    }
    tokens_free(&got);
}
#define ASSERT_IDS(t, text, ...)                                                                             \
    assert_ids(t, STR(text), (const int[]){__VA_ARGS__}, sizeof((const int[]){__VA_ARGS__}) / sizeof(int))

static void assert_round_trip(const struct tokenizer *t, struct str text) {
    struct tokens ids = encode(t, text);
    struct buf back = {0};
    tokenizer_decode(t, ids.ptr, ids.len, false, &back);
    assert_int_equal(back.len, text.len);
    if (text.len) assert_memory_equal(back.ptr, text.ptr, text.len);
    buf_free(&back);
    tokens_free(&ids);
}

/* ---- merging ---- */

enum { N_RULES = 60, WORD_MAX = 12 };

struct rules { /* random merges over a few letters; strings of them, in pairs */
    char text[2 * N_RULES][WORD_MAX + 1];
    const char *list[2 * N_RULES + 1];
};

static void make_rules(struct rules *r, uint64_t key) {
    char known[4 + N_RULES][WORD_MAX + 1] = {"a", "b", "c", "d"};
    uint64_t n_known = 4, n_drawn = 0;
    for (int i = 0; i < N_RULES; i++) {
        struct buf joined = {0};
        for (bool done = false; !done; done = joined.len <= WORD_MAX) {
            r->list[2 * i] = known[rng_below(key, n_drawn++, n_known)];
            r->list[2 * i + 1] = known[rng_below(key, n_drawn++, n_known)];
            buf_clear(&joined);
            buf_printf(&joined, "%s%s", r->list[2 * i], r->list[2 * i + 1]);
        }
        for (int side = 0; side < 2; side++) {
            memcpy(r->text[2 * i + side], r->list[2 * i + side], WORD_MAX + 1);
            r->list[2 * i + side] = r->text[2 * i + side];
        }
        memcpy(known[n_known++], buf_cstr(&joined), joined.len + 1);
        buf_free(&joined);
    }
    r->list[2 * N_RULES] = NULL;
}

/* Parts of a text as their lengths; a later rule of the same pair replaces an earlier one, as in the file. */
static size_t merge_slowly(const struct rules *r, const char *text, size_t *parts, size_t n) {
    for (;;) {
        int best = N_RULES;
        size_t best_i = 0, at = 0;
        for (size_t i = 0; i + 1 < n; at += parts[i++]) {
            for (int rule = N_RULES - 1; rule >= 0; rule--) {
                const char *left = r->list[2 * rule], *right = r->list[2 * rule + 1];
                if (strlen(left) != parts[i] || strlen(right) != parts[i + 1] ||
                    memcmp(text + at, left, parts[i]) != 0 ||
                    memcmp(text + at + parts[i], right, parts[i + 1]) != 0)
                    continue;
                if (rule < best) best = rule, best_i = i;
                break;
            }
        }
        if (best == N_RULES) return n;
        parts[best_i] += parts[best_i + 1];
        memmove(parts + best_i + 1, parts + best_i + 2, (n - best_i - 2) * sizeof *parts);
        n--;
    }
}

static void merging_equals_scanning_the_rules(void **state) {
    UNUSED(state);
    for (uint64_t i_rules = 0; i_rules < 20; i_rules++) {
        struct rules r;
        make_rules(&r, rng_child(1, i_rules));
        struct tokenizer *t = open_ok(files_tokenizer(WHOLE_PATTERN, r.list));
        for (uint64_t i = 0; i < 60; i++) {
            char text[160];
            size_t parts[160], n = 1 + rng_below(i_rules, i, i % 2 ? sizeof text : 30), at = 0;
            for (size_t k = 0; k < n; k++) {
                text[k] = "abcd"[rng_below(rng_child(i_rules, i), k, i % 3 ? 4 : 2)];
                parts[k] = 1;
            }
            struct tokens ids = encode(t, (struct str){text, n});
            size_t n_parts = merge_slowly(&r, text, parts, n);
            assert_int_equal(ids.len, n_parts);
            for (size_t k = 0; k < n_parts; at += parts[k++]) {
                struct str bytes = tokenizer_bytes(t, ids.ptr[k]);
                assert_true(str_equal(bytes, (struct str){text + at, parts[k]}));
            }
            tokens_free(&ids);
        }
        tokenizer_close(t);
    }
}

/* Quadratic merging would not end in the time that a test is given. */
static void a_long_piece_is_merged(void **state) {
    static const char *const merges[] = {"a", "a", "aa", "aa", "aaaa", "aaaa", "b", "a", NULL};
    enum { N = 1 << 20 };
    UNUSED(state);
    struct tokenizer *t = open_ok(files_tokenizer(WHOLE_PATTERN, merges));
    char *text = mem_alloc(N);
    memset(text, 'a', N);
    struct tokens ids = encode(t, (struct str){text, N});
    assert_int_equal(ids.len, N / 8);
    for (size_t i = 0; i < ids.len; i++) assert_int_equal(ids.ptr[i], 258);
    tokens_free(&ids);
    for (size_t i = 0; i < N; i += 2) text[i] = 'b';
    assert_round_trip(t, (struct str){text, N});
    free(text);
    tokenizer_close(t);
}

static void both_dialects_of_merges_are_one(void **state) {
    static const char *const merges[] = {"h", "e", " ", "he", "\n", "\n", NULL};
    UNUSED(state);
    json_t *pairs = files_tokenizer(FILES_QWEN2_PATTERN, merges);
    json_object_set_new(pairs, "model", files_bpe(merges, true));
    struct tokenizer *a = open_ok(pairs), *b = open_ok(files_tokenizer(FILES_QWEN2_PATTERN, merges));
    ASSERT_IDS(a, "he he\n\n", 256, 257, 258);
    ASSERT_IDS(b, "he he\n\n", 256, 257, 258);
    assert_true(tokenizer_hash(a) == tokenizer_hash(b));
    tokenizer_close(a);
    tokenizer_close(b);
}

static void hashes_tell_tokenizers_apart(void **state) {
    static const char *const merges[][5] = {
        {"a", "b", "b", "c", NULL}, {"b", "c", "a", "b", NULL}, {"a", "b", NULL}};
    UNUSED(state);
    uint64_t seen[4];
    size_t n = 0;
    for (size_t i = 0; i < 4; i++) {
        struct tokenizer *t =
            open_ok(files_tokenizer(i == 3 ? WHOLE_PATTERN : FILES_QWEN2_PATTERN, merges[i % 3]));
        for (size_t k = 0; k < n; k++) assert_true(seen[k] != tokenizer_hash(t));
        seen[n++] = tokenizer_hash(t);
        tokenizer_close(t);
    }
}

static void a_whole_piece_goes_before_merges(void **state) {
    static const char *const merges[] = {"b", "c", "a", "b", "ab", "c", NULL};
    UNUSED(state);
    for (int ignore = 0; ignore < 2; ignore++) {
        json_t *root = files_tokenizer(FILES_QWEN2_PATTERN, merges);
        json_object_set_new(json_object_get(root, "model"), "ignore_merges", json_boolean(ignore));
        struct tokenizer *t = open_ok(root);
        if (ignore)
            ASSERT_IDS(t, "abc", 258); /* "abc" is a token, though no merges lead to it */
        else
            ASSERT_IDS(t, "abc", 'a', 256);
        ASSERT_IDS(t, "abcb", 'a', 256, 'b');
        tokenizer_close(t);
    }
}

/* ---- normalising ---- */

static void assert_nfc(const char *text, const char *normal) {
    struct buf out = {0};
    nfc_add(&out, str_from(text));
    assert_string_equal(buf_cstr(&out), normal);
    if (nfc_is_plain(str_from(text))) assert_string_equal(text, normal);
    buf_free(&out);
}

static void texts_are_composed(void **state) {
    UNUSED(state);
    assert_nfc("abc \xc3\xa9", "abc \xc3\xa9");
    assert_nfc("e\xcc\x81", "\xc3\xa9");
    assert_nfc("q\xcc\x87\xcc\xa3", "q\xcc\xa3\xcc\x87");               /* marks change places */
    assert_nfc("\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab", "\xed\x95\x9c"); /* Hangul */
    assert_nfc("\xe2\x84\xa6", "\xce\xa9");                             /* the ohm sign */
    assert_nfc("\xe0\xa5\x98", "\xe0\xa4\x95\xe0\xa4\xbc");             /* excluded from composition */
    assert_nfc("a\xcc\x96\xcc\x80", "\xc3\xa0\xcc\x96");
}

/* 200,000 marks in the wrong order: a sort by exchanging neighbours would not end. */
static void a_long_run_of_marks_is_put_in_order(void **state) {
    enum { N = 100000 };
    struct buf text = {0}, out = {0}, wanted = {0};
    UNUSED(state);
    buf_add_char(&text, 'q');
    buf_add_char(&wanted, 'q');
    for (int i = 0; i < N; i++) buf_add_utf8(&text, 0x308);
    for (int i = 0; i < N; i++) buf_add_utf8(&text, 0x323);
    for (int i = 0; i < N; i++) buf_add_utf8(&wanted, 0x323);
    for (int i = 0; i < N; i++) buf_add_utf8(&wanted, 0x308);
    nfc_add(&out, buf_str(&text));
    assert_true(str_equal(buf_str(&out), buf_str(&wanted)));
    buf_free(&text);
    buf_free(&out);
    buf_free(&wanted);
}

static void text_is_normalised_before_it_is_cut(void **state) {
    UNUSED(state);
    json_t *root = files_tokenizer(FILES_QWEN2_PATTERN, no_merges);
    json_object_set_new(root, "normalizer", json_pack("{s:s}", "type", "NFC"));
    struct tokenizer *t = open_ok(root);
    ASSERT_IDS(t, "e\xcc\x81", 0xc3, 0xa9);
    ASSERT_IDS(t,
               "\xff"
               "e\xcc\x81\xcc",
               0xff, 0xc3, 0xa9, 0xcc);
    tokenizer_close(t);
    t = open_ok(files_tokenizer(FILES_QWEN2_PATTERN, no_merges));
    ASSERT_IDS(t, "e\xcc\x81", 'e', 0xcc, 0x81);
    tokenizer_close(t);
}

/* ---- added tokens ---- */

static json_t *with_added(void) {
    json_t *root = files_tokenizer(FILES_QWEN2_PATTERN, no_merges),
           *added = json_object_get(root, "added_tokens");
    json_array_append_new(added, files_added(300, "<|end|>", true, false));
    json_array_append_new(added, files_added(301, "<think>", false, false));
    json_array_append_new(added, files_added(302, "<think>!", false, false));
    json_array_append_new(added, files_added(303, "caf\xc3\xa9", false, true));
    json_array_append_new(added, files_added(310, "<|end|>?", false, false));
    json_object_set_new(root, "normalizer", json_pack("{s:s}", "type", "NFC"));
    return root;
}

static void special_tokens_stay_text_and_others_do_not(void **state) {
    UNUSED(state);
    struct tokenizer *t = open_ok(with_added());
    ASSERT_IDS(t, "<|end|>", '<', '|', 'e', 'n', 'd', '|', '>');
    ASSERT_IDS(t, "a<think>b", 'a', 301, 'b');
    ASSERT_IDS(t, "<think>!<think>", 302, 301);
    ASSERT_IDS(t, "<think<think>", '<', 't', 'h', 'i', 'n', 'k', 301);
    ASSERT_IDS(t, "<|end|>?", 310);
    ASSERT_IDS(t, "cafe\xcc\x81", 303); /* found after normalising */
    assert_int_equal(tokenizer_special(t, "<|end|>"), 300);
    assert_int_equal(tokenizer_special(t, "<think>"), 301);
    assert_int_equal(tokenizer_special(t, "end"), -1);
    assert_true(tokenizer_is_special(t, 300));
    assert_false(tokenizer_is_special(t, 301));
    assert_false(tokenizer_is_special(t, -1));
    assert_false(tokenizer_is_special(t, 100000));
    assert_int_equal(tokenizer_count(t), 311);
    assert_true(str_equal(tokenizer_bytes(t, 300), STR("<|end|>")));
    assert_int_equal(tokenizer_bytes(t, 305).len, 0); /* a gap */
    assert_int_equal(tokenizer_bytes(t, -1).len, 0);
    const int ids[] = {'a', 300, 'b', 305, 301};
    struct buf text = {0};
    tokenizer_decode(t, ids, ARRAY_LEN(ids), true, &text);
    assert_string_equal(buf_cstr(&text), "ab<think>");
    buf_clear(&text);
    tokenizer_decode(t, ids, ARRAY_LEN(ids), false, &text);
    assert_string_equal(buf_cstr(&text), "a<|end|>b<think>");
    buf_free(&text);
    tokenizer_close(t);
}

static json_t *put_flags(json_t *token, bool lstrip, bool rstrip, bool single_word) {
    json_object_set_new(token, "lstrip", json_boolean(lstrip));
    json_object_set_new(token, "rstrip", json_boolean(rstrip));
    json_object_set_new(token, "single_word", json_boolean(single_word));
    return token;
}

static void added_tokens_take_white_space(void **state) {
    UNUSED(state);
    json_t *root = files_tokenizer(FILES_QWEN2_PATTERN, no_merges),
           *added = json_object_get(root, "added_tokens");
    json_array_append_new(added, put_flags(files_added(300, "<l>", false, false), true, false, false));
    json_array_append_new(added, put_flags(files_added(301, "<r>", false, false), false, true, false));
    json_array_append_new(added, put_flags(files_added(302, "word", false, false), false, false, true));
    json_array_append_new(added, put_flags(files_added(303, "<s>", true, false), true, true, false));
    struct tokenizer *t = open_ok(root);
    ASSERT_IDS(t, "a \n<l> b", 'a', 300, ' ', 'b');
    ASSERT_IDS(t, "a <r>\xe3\x80\x80 \n b", 'a', ' ', 301, 'b');
    ASSERT_IDS(t, "<r> <l>", 301, 300); /* the former takes what both would */
    ASSERT_IDS(t, " <l>", 300);
    ASSERT_IDS(t, "<r> ", 301);
    ASSERT_IDS(t, "word", 302);
    ASSERT_IDS(t, "a word.word", 'a', ' ', 302, '.', 302);
    ASSERT_IDS(t, "words", 'w', 'o', 'r', 'd', 's');
    ASSERT_IDS(t, "_word", '_', 'w', 'o', 'r', 'd');
    ASSERT_IDS(t, "\xc3\xa9word", 0xc3, 0xa9, 'w', 'o', 'r', 'd');
    ASSERT_IDS(t, " <s> ", ' ', '<', 's', '>', ' '); /* special: stays text */
    tokenizer_close(t);
}

/* Where a template wrote them, special tokens count; what others wrote never makes one, nor hides one. */
static void marked_text_has_special_tokens(void **state) {
    static const struct {
        const char *text, *marks;
        int ids[8];
    } cases[] = {
        {"<s>a", "1110", {303, 'a'}},
        {"<s>a", "0000", {'<', 's', '>', 'a'}},
        {"<s>a", "1100", {'<', 's', '>', 'a'}},
        {"<s> a <s>", "111000111", {303, 'a', 303}}, /* white space of others is taken, too */
        {"x<s><t>", "0111111", {'x', 303, 304}},
        {"x<s><t>", "0000111", {'x', '<', 's', '>', 304}},
        {"A<s>", "0111", {'A', 303}}, /* A<s> is a token, but half of it is another's */
        {"A<s>", "1111", {305}},
    };
    UNUSED(state);
    json_t *root = files_tokenizer(FILES_QWEN2_PATTERN, no_merges),
           *added = json_object_get(root, "added_tokens");
    json_array_append_new(added, put_flags(files_added(303, "<s>", true, false), true, true, false));
    json_array_append_new(added, files_added(304, "<t>", true, true));
    json_array_append_new(added, files_added(305, "A<s>", true, false));
    struct tokenizer *t = open_ok(root);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tokens out = {0};
        struct err e = {0};
        char marks[16];
        size_t n = 0;
        for (size_t k = 0; k < strlen(cases[i].marks); k++) marks[k] = cases[i].marks[k] == '1';
        assert_true(tokenizer_encode_marked(t, str_from(cases[i].text), marks, TOKENIZER_START, &out, &e));
        while (n < 8 && cases[i].ids[n]) n++;
        assert_int_equal(out.len, n);
        assert_memory_equal(out.ptr, cases[i].ids, n * sizeof(int));
        tokens_free(&out);
    }
    tokenizer_close(t);
}

/* A special token that is in the vocabulary, too, is not found as a whole piece either. */
static void a_special_piece_is_not_found_whole(void **state) {
    UNUSED(state);
    json_t *root = files_tokenizer(WHOLE_PATTERN, no_merges), *model = json_object_get(root, "model");
    json_object_set_new(json_object_get(model, "vocab"), "<s>", json_integer(256));
    json_object_set_new(model, "ignore_merges", json_true());
    json_array_append_new(json_object_get(root, "added_tokens"), files_added(256, "<s>", true, false));
    struct tokenizer *t = open_ok(root);
    ASSERT_IDS(t, "<s>", '<', 's', '>');
    tokenizer_close(t);
}

static json_t *template_processing(const char *token, int id) {
    return json_pack("{s:s,s:[{s:{s:s,s:i}},{s:{s:s,s:i}}],s:[],s:{s:{s:s,s:[i],s:[s]}}}", "type",
                     "TemplateProcessing", "single", "SpecialToken", "id", token, "type_id", 0, "Sequence",
                     "id", "A", "type_id", 0, "pair", "special_tokens", token, "id", token, "ids", id,
                     "tokens", token);
}

static void a_text_may_begin_with_a_token(void **state) {
    UNUSED(state);
    struct tokenizer *t = open_ok(with_added());
    assert_int_equal(tokenizer_bos(t), -1);
    tokenizer_close(t);
    json_t *root = with_added(), *byte_level = json_pack("{s:s}", "type", "ByteLevel");
    json_object_set_new(root, "post_processor",
                        json_pack("{s:s,s:[o,o]}", "type", "Sequence", "processors", byte_level,
                                  template_processing("<|end|>", 300)));
    t = open_ok(root);
    assert_int_equal(tokenizer_bos(t), 300);
    ASSERT_IDS(t, "a", 'a');
    tokenizer_close(t);
}

static void the_configuration_names_tokens(void **state) {
    UNUSED(state);
    char *dir = files_new_dir();
    struct err e = {0};
    json_t *root = with_added();
    files_put_json(dir, "tokenizer.json", root);
    files_put(dir, "tokenizer_config.json",
              STR("{\"add_bos_token\": true, \"bos_token\": {\"content\": \"<|end|>\"}, \"eos_token\": "
                  "\"<think>\"}"));
    struct tokenizer *t = tokenizer_open(dir, &e);
    assert_non_null(t);
    assert_int_equal(tokenizer_bos(t), 300);
    assert_int_equal(tokenizer_bos_token(t), 300);
    assert_int_equal(tokenizer_eos_token(t), 301);
    tokenizer_close(t);
    files_put(dir, "tokenizer_config.json", STR("{\"add_bos_token\": true, \"bos_token\": \"<none>\"}"));
    assert_null(tokenizer_open(dir, &e));
    assert_non_null(strstr(e.msg, "bos_token"));
    files_remove(dir, "tokenizer.json");
    files_put(dir, "tokenizer_config.json", STR("{}"));
    assert_null(tokenizer_open(dir, &e));
    assert_non_null(strstr(e.msg, "tokenizer.json"));
    files_free_dir(dir);
    json_decref(root);
}

/* ---- any bytes ---- */

static void any_bytes_come_back(void **state) {
    static const char *const merges[] = {"\xc3", "\xa9", "a", "\xff", " ", "\xc3\xa9", NULL};
    UNUSED(state);
    struct tokenizer *t = open_ok(files_tokenizer(FILES_QWEN2_PATTERN, merges));
    for (uint64_t i = 0; i < 3000; i++) {
        char text[64];
        size_t n = rng_below(4, i, sizeof text + 1);
        for (size_t k = 0; k < n; k++) {
            uint64_t x = rng_below(rng_child(5, i), k, 512);
            text[k] = (char)(x < 256 ? x : (uint64_t) " a\xc3\xa9\xff\xe2\x82\xac"[x % 8]);
        }
        assert_round_trip(t, (struct str){text, n});
    }
    ASSERT_IDS(t, "\xc3\xa9\xc3", 256, 0xc3);
    ASSERT_IDS(t, "a\xff", 'a', 0xff); /* ill-formed bytes are not merged */
    ASSERT_IDS(t, "\xed\xa0\x80", 0xed, 0xa0, 0x80);
    assert_ids(t, STR(""), NULL, 0);
    tokenizer_close(t);
}

static void too_long_a_text_is_refused(void **state) {
    UNUSED(state);
    struct tokenizer *t = open_ok(files_tokenizer(FILES_QWEN2_PATTERN, no_merges));
    struct tokens out = {0};
    struct err e = {0};
    tokens_add(&out, 7);
    assert_false(tokenizer_encode(t, (struct str){"", TOKENIZER_TEXT_MAX + 1}, &out, &e));
    assert_int_equal(out.len, 1);
    tokens_free(&out);
    tokenizer_close(t);
}

struct crowd {
    const struct tokenizer *t;
    struct tokens ids[8];
};

static void encode_in_crowd(void *ctx, int i_worker, int n_workers) {
    struct crowd *c = ctx;
    UNUSED(n_workers);
    for (int i = 0; i < 200; i++) {
        tokens_free(&c->ids[i_worker]);
        c->ids[i_worker] = encode(c->t, STR("hello there, he said 12 times\n\n\xe3\x80\x80 caf\xc3\xa9"));
    }
}

static void threads_share_a_tokenizer(void **state) {
    UNUSED(state);
    json_t *root = files_chat_tokenizer();
    struct crowd c = {.t = open_ok(root)};
    struct pool *pool = pool_new(4);
    pool_run(pool, encode_in_crowd, &c);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(c.ids[i].len, c.ids[0].len);
        assert_memory_equal(c.ids[i].ptr, c.ids[0].ptr, c.ids[0].len * sizeof(int));
    }
    for (int i = 0; i < 4; i++) tokens_free(&c.ids[i]);
    pool_free(pool);
    tokenizer_close((struct tokenizer *)c.t);
}

/* ---- refusals ---- */

/* Sets root.a.b... = value, the path's parts being separated by '/'. */
static void set_path(json_t *root, const char *path, const char *value) {
    char key[64];
    struct err e;
    for (const char *slash; (slash = strchr(path, '/')); path = slash + 1) {
        snprintf(key, sizeof key, "%.*s", (int)(slash - path), path);
        root = json_object_get(root, key);
    }
    json_t *v = json_parse(str_from(value), "test", &e);
    ASSERT(v);
    json_object_set_new(root, path, v);
}

static void what_is_not_understood_is_named(void **state) {
    static const char *const cases[][3] = {
        {"model/type", "\"Unigram\"", "Unigram"},
        {"model/byte_fallback", "true", "byte_fallback"},
        {"model/dropout", "0.5", "dropout"},
        {"model/end_of_word_suffix", "\"</w>\"", "end_of_word_suffix"},
        {"model/continuing_subword_prefix", "\"##\"", "continuing_subword_prefix"},
        {"model/novelty", "1", "novelty"},
        {"novelty", "1", "novelty"},
        {"normalizer", "{\"type\":\"Lowercase\"}", "Lowercase"},
        {"normalizer", "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFKC\"}]}", "NFKC"},
        {"normalizer", "{\"type\":\"Sequence\"}", "Sequence"},
        {"pre_tokenizer", "null", "ByteLevel"},
        {"pre_tokenizer", "{\"type\":\"Metaspace\",\"replacement\":\"\u2581\"}", "Metaspace"},
        {"normalizer", "{\"type\":\"Prepend\",\"prepend\":\"\u2581\"}", "Prepend"},
        {"pre_tokenizer", "{\"type\":\"ByteLevel\",\"add_prefix_space\":true}", "add_prefix_space"},
        {"pre_tokenizer", "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a\"},\"behavior\":\"Merged\"}",
         "Merged"},
        {"pre_tokenizer",
         "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a\"},\"behavior\":\"Removed\",\"invert\":1}",
         "invert"},
        {"pre_tokenizer", "{\"type\":\"Split\",\"pattern\":{},\"behavior\":\"Isolated\"}", "Regex"},
        {"pre_tokenizer", "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(\"},\"behavior\":\"Isolated\"}",
         "split pattern"},
        {"post_processor", "{\"type\":\"RobertaProcessing\"}", "RobertaProcessing"},
        {"post_processor", "{\"type\":\"TemplateProcessing\",\"single\":[]}", "TemplateProcessing"},
        {"decoder", "{\"type\":\"WordPiece\"}", "WordPiece"},
        {"model/vocab", "{\"a\":0}", "byte-level"},
        {"model/vocab", "{\"a\":-1}", "id"},
        {"model/vocab", "{\"a\":99999999}", "id"},
        {"model/vocab", "{\"a\":1,\"b\":1}", "another"},
        {"model/vocab", "{\"\":1}", "0 bytes"},
        {"model/vocab", "[]", "vocab"},
        {"model/merges", "{}", "merges"},
        {"model/merges", "[\"a b c\"]", "merge 0"},
        {"model/merges", "[\"ab\"]", "merge 0"},
        {"model/merges", "[[\"a\"]]", "merge 0"},
        {"model/merges", "[7]", "merge 0"},
        {"model/merges", "[\"a zz\"]", "vocabulary"},
        {"model/merges", "[\"a c\"]", "vocabulary"},
        {"model", "null", "model"},
        {"added_tokens", "{}", "added_tokens"},
        {"added_tokens", "[{\"id\":1}]", "content"},
        {"added_tokens", "[{\"id\":1,\"content\":\"<x>\"}]", "at odds"},
        {"added_tokens", "[{\"id\":300,\"content\":\"a\"}]", "at odds"},
        {"added_tokens", "[{\"id\":300,\"content\":\"<x>\"},{\"id\":301,\"content\":\"<x>\"}]", "at odds"},
        {"added_tokens", "[{\"id\":300,\"content\":\"<x>\"},{\"id\":300,\"content\":\"<y>\"}]", "at odds"},
        {"added_tokens", "[{\"id\":300,\"content\":\"<x>\",\"lstrip\":7}]", "lstrip"},
        {"added_tokens", "[{\"id\":300,\"content\":\"\"}]", "0 bytes"},
        {"added_tokens", "[{\"id\":97,\"content\":\"a\",\"special\":true}]", "byte 0x61"},
        {"added_tokens", "[{\"id\":256,\"content\":\"ab\",\"special\":true}]",
         "special token out of plain text"},
    };
    static const char *const merges[] = {"a", "b", NULL};
    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = {0};
        json_t *root = files_tokenizer(FILES_QWEN2_PATTERN, merges);
        set_path(root, cases[i][0], cases[i][1]);
        struct tokenizer *t = open_json(root, &e);
        if (t || !strstr(e.msg, cases[i][2]))
            print_error("%s = %s: %s\n", cases[i][0], cases[i][1], t ? "accepted" : e.msg);
        assert_null(t);
        assert_non_null(strstr(e.msg, cases[i][2]));
        assert_int_equal(e.code, ERR_INPUT);
    }
}

/* As vocabularies brought over from tiktoken have it: what the pattern describes is kept, the rest removed.
 */
static void a_splitter_may_say_what_is_kept(void **state) {
    static const char *const merges[] = {" ", "a", "a", "1", NULL};
    static const char kept[] =
        "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":"
        "\"%s\"},\"behavior\":\"Removed\",\"invert\":true},{\"type\":\"ByteLevel\","
        "\"add_prefix_space\":false,\"use_regex\":false}]}";
    static const char *const patterns[] = {" ?[a-z]+|[0-9]|\\\\s+", "[a-z]+|[0-9]"};
    struct tokenizer *t[2];
    UNUSED(state);
    for (int i = 0; i < 2; i++) {
        json_t *root = files_tokenizer(FILES_QWEN2_PATTERN, merges);
        struct buf text = {0};
        buf_printf(&text, kept, patterns[i]);
        set_path(root, "pre_tokenizer", buf_cstr(&text));
        t[i] = open_ok(root);
        buf_free(&text);
    }
    ASSERT_IDS(t[0], "a1 a1", 'a', '1', 256, '1'); /* a covering pattern: nothing is lost */
    ASSERT_IDS(t[1], "a1 a1", 'a', '1', 'a', '1'); /* the space is no piece */
    assert_true(tokenizer_hash(t[0]) != tokenizer_hash(t[1]));
    for (int i = 0; i < 2; i++) tokenizer_close(t[i]);
}

static void gpt2_style_needs_no_pattern(void **state) {
    static const char *const merges[] = {" ", "a", "'", "s", NULL};
    UNUSED(state);
    json_t *root = files_tokenizer(FILES_QWEN2_PATTERN, merges);
    set_path(root, "pre_tokenizer", "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":true}");
    struct tokenizer *t = open_ok(root);
    ASSERT_IDS(t, "a's a  12a", 'a', 257, 256, ' ', ' ', '1', '2', 'a');
    tokenizer_close(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merging_equals_scanning_the_rules),
        cmocka_unit_test(a_long_piece_is_merged),
        cmocka_unit_test(both_dialects_of_merges_are_one),
        cmocka_unit_test(hashes_tell_tokenizers_apart),
        cmocka_unit_test(a_whole_piece_goes_before_merges),
        cmocka_unit_test(texts_are_composed),
        cmocka_unit_test(a_long_run_of_marks_is_put_in_order),
        cmocka_unit_test(text_is_normalised_before_it_is_cut),
        cmocka_unit_test(special_tokens_stay_text_and_others_do_not),
        cmocka_unit_test(added_tokens_take_white_space),
        cmocka_unit_test(marked_text_has_special_tokens),
        cmocka_unit_test(a_special_piece_is_not_found_whole),
        cmocka_unit_test(a_text_may_begin_with_a_token),
        cmocka_unit_test(the_configuration_names_tokens),
        cmocka_unit_test(any_bytes_come_back),
        cmocka_unit_test(too_long_a_text_is_refused),
        cmocka_unit_test(threads_share_a_tokenizer),
        cmocka_unit_test(what_is_not_understood_is_named),
        cmocka_unit_test(a_splitter_may_say_what_is_kept),
        cmocka_unit_test(gpt2_style_needs_no_pattern),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
