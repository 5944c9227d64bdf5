/* SentencePiece-style tokenizers: from tokenizer.json, tokenizer.model and arrays, against a slow merging of
 * strings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "model/sentencepiece.h"
#include "model/tokenizer.h"
#include "model/vocab.h"
#include "model_files.h"

#define SPACE "\xe2\x96\x81"

enum { FIRST_PIECE = 3 + 256, PIECES_MAX = 400 };

/* A small vocabulary: <unk>, <s>, </s>, the bytes, then pieces with falling scores; some tie. */
static const struct piece {
    const char *text;
    float score;
} pieces[] = {
    {SPACE SPACE, -1},
    {SPACE "t", -2},
    {"he", -3},
    {SPACE "the", -4},
    {"in", -5},
    {"ing", -6},
    {SPACE "a", -7},
    {"aa", -8},
    {"aaa", -8},
    {"ab", -8},
    {"ba", -8},
    {SPACE "the"
           "n",
     -9},
    {"\xc3\xa9", -20},
    {SPACE, -21},
    {"t", -22},
    {"h", -23},
    {"e", -24},
    {"i", -25},
    {"n", -26},
    {"g", -27},
    {"a", -28},
    {"b", -29},
    {".", -30},
    {SPACE SPACE SPACE SPACE, -1.5f},
    {SPACE SPACE SPACE, -31},
};
enum { N_PIECES = sizeof pieces / sizeof pieces[0], N_IDS = FIRST_PIECE + N_PIECES };

static char byte_texts[256][8];

struct source {
    struct vocab_source v;
    struct str tokens[PIECES_MAX];
    uint8_t types[PIECES_MAX];
    float scores[PIECES_MAX];
};

static void add(struct source *s, struct str text, enum vocab_type type, float score) {
    s->tokens[s->v.n_tokens] = text;
    s->types[s->v.n_tokens] = (uint8_t)type;
    s->scores[s->v.n_tokens++] = score;
}

/* Nothing in it is owned. */
static void make_source(struct source *s) {
    *s = (struct source){.v = {.kind = VOCAB_SENTENCEPIECE,
                               .bos = 1,
                               .eos = 2,
                               .add_bos = -1,
                               .add_eos = -1,
                               .add_space_prefix = -1}};
    s->v.tokens = s->tokens;
    s->v.types = s->types;
    s->v.scores = s->scores;
    add(s, STR("<unk>"), VOCAB_UNKNOWN, 0);
    add(s, STR("<s>"), VOCAB_CONTROL, 0);
    add(s, STR("</s>"), VOCAB_CONTROL, 0);
    for (int b = 0; b < 256; b++) {
        snprintf(byte_texts[b], sizeof byte_texts[b], "<0x%02X>", (unsigned)b);
        add(s, str_from(byte_texts[b]), VOCAB_BYTE, 0);
    }
    for (size_t i = 0; i < N_PIECES; i++) add(s, str_from(pieces[i].text), VOCAB_NORMAL, pieces[i].score);
}

static struct tokenizer *open_source(const struct source *s) {
    struct err e = {0};
    struct tokenizer *t = vocab_tokenizer(&s->v, "test", &e);
    if (!t) print_error("%s\n", e.msg);
    assert_non_null(t);
    return t;
}

static int id_of(const char *text) {
    for (int i = 0; i < N_PIECES; i++) {
        if (strcmp(pieces[i].text, text) == 0) return FIRST_PIECE + i;
    }
    fail_msg("no piece %s", text);
    return -1;
}

static int byte_id(int byte) {
    return 3 + byte;
}

static void assert_ids(const struct tokenizer *t, struct str text, enum tokenizer_place place, const int *ids,
                       size_t n) {
    struct tokens got = {0};
    struct err e = {0};
    assert_true(tokenizer_encode_part(t, text, place, &got, &e));
    if (got.len != n || memcmp(got.ptr, ids, n * sizeof *ids) != 0) {
        for (size_t i = 0; i < got.len; i++) print_error("%d ", got.ptr[i]);
        print_error("for %.*s\n", (int)text.len, text.ptr);
        fail();
    }
    tokens_free(&got);
}
#define ASSERT_IDS(t, text, place, ...)                                                                      \
    assert_ids(t, STR(text), place, (const int[]){__VA_ARGS__},                                              \
               sizeof((const int[]){__VA_ARGS__}) / sizeof(int))

/* ---- merging ---- */

struct symbol {
    const char *ptr;
    size_t n;
    int id;
};

static int find_piece(const char *ptr, size_t n) {
    for (int i = 0; i < N_PIECES; i++) {
        if (strlen(pieces[i].text) == n && memcmp(pieces[i].text, ptr, n) == 0) return i;
    }
    return -1;
}

/* By the definition: join the two neighbours whose joint piece has the highest score, the leftmost among
 * equals. */
static size_t merge_slowly(const char *text, int *ids) {
    struct symbol s[512];
    size_t n = 0;
    for (const char *p = text; *p;) {
        size_t n_bytes = (unsigned char)*p < 0x80 ? 1 : (unsigned char)*p < 0xe0 ? 2 : 3;
        int i = find_piece(p, n_bytes);
        for (size_t k = 0; i < 0 && k < n_bytes; k++)
            s[n++] = (struct symbol){p + k, 1, byte_id((unsigned char)p[k])};
        if (i >= 0) s[n++] = (struct symbol){p, n_bytes, FIRST_PIECE + i};
        p += n_bytes;
    }
    for (;;) {
        size_t best = n;
        int best_piece = -1;
        for (size_t i = 0; i + 1 < n; i++) {
            int piece = s[i].id < FIRST_PIECE || s[i + 1].id < FIRST_PIECE
                            ? -1
                            : find_piece(s[i].ptr, s[i].n + s[i + 1].n);
            if (piece >= 0 && (best == n || pieces[piece].score > pieces[best_piece].score))
                best = i, best_piece = piece;
        }
        if (best == n) break;
        s[best].n += s[best + 1].n;
        s[best].id = FIRST_PIECE + best_piece;
        memmove(s + best + 1, s + best + 2, (n - best - 2) * sizeof *s);
        n--;
    }
    for (size_t i = 0; i < n; i++) ids[i] = s[i].id;
    return n;
}

static void merging_equals_its_definition(void **state) {
    static const char *const letters[] = {"t", "h", "e", "i", "n",        "g", "a",           "a",
                                          "b", " ", " ", ".", "\xc3\xa9", "z", "\xe4\xb8\xad"};
    struct source s;
    UNUSED(state);
    make_source(&s);
    struct tokenizer *t = open_source(&s);
    for (uint64_t i = 0; i < 20000; i++) {
        struct buf plain = {0}, spaced = {0};
        struct tokens got = {0};
        struct err e;
        int ids[512];
        uint64_t n_letters = 1 + rng_below(1, i, i % 8 ? 12 : 80);
        for (uint64_t k = 0; k < n_letters; k++)
            buf_add_str(&plain, str_from(letters[rng_below(rng_child(2, i), k, ARRAY_LEN(letters))]));
        buf_add_str(&spaced, STR(SPACE));
        for (size_t k = 0; k < plain.len; k++) {
            if (plain.ptr[k] == ' ')
                buf_add_str(&spaced, STR(SPACE));
            else
                buf_add_char(&spaced, plain.ptr[k]);
        }
        size_t n = merge_slowly(buf_cstr(&spaced), ids);
        assert_true(tokenizer_encode(t, buf_str(&plain), &got, &e));
        assert_int_equal(got.len, n);
        assert_memory_equal(got.ptr, ids, n * sizeof *ids);
        struct buf back = {0};
        tokenizer_decode(t, got.ptr, got.len, false, &back);
        assert_int_equal(back.len, plain.len + 1); /* with the space that was put before it */
        assert_memory_equal(back.ptr + 1, plain.ptr, plain.len);
        buf_free(&back);
        buf_free(&plain);
        buf_free(&spaced);
        tokens_free(&got);
    }
    tokenizer_close(t);
}

/* Quadratic merging would not end in the time that a test is given. */
static void a_long_text_is_merged(void **state) {
    enum { N = 1 << 20 };
    struct source s;
    UNUSED(state);
    make_source(&s);
    struct tokenizer *t = open_source(&s);
    char *text = mem_alloc(N);
    memset(text, 'a', N);
    struct tokens got = {0};
    struct err e;
    assert_true(tokenizer_encode(t, (struct str){text, N}, &got, &e));
    assert_int_equal(got.ptr[0], id_of(SPACE "a"));
    assert_true(got.len > N / 4 && got.len < N / 2 + 2);
    tokens_free(&got);
    free(text);
    tokenizer_close(t);
}

static void where_a_part_lies_decides_about_its_space(void **state) {
    struct source s;
    UNUSED(state);
    make_source(&s);
    struct tokenizer *t = open_source(&s);
    ASSERT_IDS(t, "the", TOKENIZER_START, id_of(SPACE "the"));
    ASSERT_IDS(t, "the", TOKENIZER_AFTER_SPECIAL, id_of(SPACE "the"));
    ASSERT_IDS(t, "the", TOKENIZER_INSIDE, id_of("t"), id_of("he"));
    ASSERT_IDS(t, " the", TOKENIZER_INSIDE, id_of(SPACE "the"));
    ASSERT_IDS(t, " the", TOKENIZER_START, id_of(SPACE SPACE), id_of("t"), id_of("he"));
    ASSERT_IDS(t,
               "z\xff"
               "a",
               TOKENIZER_START, id_of(SPACE), byte_id('z'), byte_id(0xff), id_of("a"));
    ASSERT_IDS(t, "<0x41>", TOKENIZER_INSIDE, byte_id('<'), byte_id('0'), byte_id('x'), byte_id('4'),
               byte_id('1'), byte_id('>'));
    ASSERT_IDS(t, "<s>", TOKENIZER_INSIDE, byte_id('<'), byte_id('s'), byte_id('>'));
    assert_int_equal(tokenizer_special(t, "<s>"), 1);
    assert_int_equal(tokenizer_bos(t), 1);
    assert_string_equal(tokenizer_kind(t), "SentencePiece BPE");
    assert_true(str_equal(tokenizer_bytes(t, byte_id('\n')), STR("\n")));
    assert_true(str_equal(tokenizer_bytes(t, id_of(SPACE "the")), STR(" the")));
    tokenizer_close(t);
    s.v.add_space_prefix = 0;
    t = open_source(&s);
    ASSERT_IDS(t, "the", TOKENIZER_START, id_of("t"), id_of("he"));
    tokenizer_close(t);
}

static void added_and_unused_pieces(void **state) {
    struct source s;
    UNUSED(state);
    make_source(&s);
    add(&s, STR("[PAD]"), VOCAB_UNUSED, 0);
    add(&s, STR("<think>"), VOCAB_USER, 0);
    add(&s, STR("[INST]"), VOCAB_CONTROL, 0);
    struct tokenizer *t = open_source(&s);
    ASSERT_IDS(t, "a<think>a", TOKENIZER_START, id_of(SPACE "a"), N_IDS + 1, id_of(SPACE "a"));
    ASSERT_IDS(t, "[PAD]", TOKENIZER_INSIDE, byte_id('['), byte_id('P'), byte_id('A'), byte_id('D'),
               byte_id(']'));
    const char marks[] = {1, 1, 1, 1, 1, 1, 0};
    struct tokens got = {0};
    struct err e;
    assert_true(tokenizer_encode_marked(t, STR("[INST]a"), marks, TOKENIZER_START, &got, &e));
    assert_int_equal(got.len, 2);
    assert_int_equal(got.ptr[0], N_IDS + 2);
    assert_int_equal(got.ptr[1], id_of(SPACE "a"));
    tokens_free(&got);
    tokenizer_close(t);
}

/* ---- tokenizer.json ---- */

/* Merges in the order of scores, as the converter writes them. */
static json_t *make_model(const struct source *s) {
    json_t *vocab = json_object(), *merges = json_array();
    for (size_t i = 0; i < s->v.n_tokens; i++)
        json_object_set_new(vocab, s->tokens[i].ptr, json_integer((json_int_t)i));
    for (float score = 0; score > -32; score -= 0.5f) {
        for (size_t i = FIRST_PIECE; i < s->v.n_tokens; i++) {
            for (size_t at = 1; s->scores[i] == score && at < s->tokens[i].len; at++) {
                const struct str left = {s->tokens[i].ptr, at},
                                 right = {s->tokens[i].ptr + at, s->tokens[i].len - at};
                if (find_piece(left.ptr, left.len) >= 0 && find_piece(right.ptr, right.len) >= 0)
                    json_array_append_new(merges,
                                          json_pack("[s%,s%]", left.ptr, left.len, right.ptr, right.len));
            }
        }
    }
    return json_pack("{s:s,s:b,s:b,s:o,s:o}", "type", "BPE", "byte_fallback", 1, "fuse_unk", 1, "vocab",
                     vocab, "merges", merges);
}

static json_t *replace(const char *from, const char *to) {
    return json_pack("{s:s,s:{s:s},s:s}", "type", "Replace", "pattern", "String", from, "content", to);
}

static json_t *make_json(const struct source *s, json_t *normaliser, json_t *splitter) {
    json_t *added = json_array();
    static const char *const specials[] = {"<unk>", "<s>", "</s>"};
    for (int i = 0; i < 3; i++) json_array_append_new(added, files_added(i, specials[i], true, false));
    json_t *decoder = json_pack("{s:s,s:[o,{s:s},{s:s},{s:s,s:s,s:i,s:i}]}", "type", "Sequence", "decoders",
                                replace(SPACE, " "), "type", "ByteFallback", "type", "Fuse", "type", "Strip",
                                "content", " ", "start", 1, "stop", 0);
    return json_pack("{s:o,s:o,s:o,s:o,s:o}", "added_tokens", added, "normalizer", normaliser,
                     "pre_tokenizer", splitter, "decoder", decoder, "model", make_model(s));
}

static json_t *legacy_normaliser(void) {
    return json_pack("{s:s,s:[{s:s,s:s},o]}", "type", "Sequence", "normalizers", "type", "Prepend", "prepend",
                     SPACE, replace(" ", SPACE));
}

static json_t *metaspace(const char *scheme, bool cut) {
    return json_pack("{s:s,s:s,s:s,s:b}", "type", "Metaspace", "replacement", SPACE, "prepend_scheme", scheme,
                     "split", cut);
}

/* Takes root. */
static struct tokenizer *open_json(json_t *root, struct err *e) {
    char *dir = files_new_dir();
    files_put_json(dir, "tokenizer.json", root);
    struct tokenizer *t = tokenizer_open(dir, e);
    files_free_dir(dir);
    json_decref(root);
    return t;
}

static struct tokenizer *open_json_ok(json_t *root) {
    struct err e = {0};
    struct tokenizer *t = open_json(root, &e);
    if (!t) print_error("%s\n", e.msg);
    assert_non_null(t);
    return t;
}

static void both_files_make_one_tokenizer(void **state) {
    static const char *const texts[] = {"the then",
                                        "a  b    aab",
                                        "t\xc3\xa9"
                                        "a",
                                        "",
                                        " ",
                                        "ing.",
                                        "\n"};
    struct source s;
    UNUSED(state);
    make_source(&s);
    struct tokenizer *a = open_source(&s), *b = open_json_ok(make_json(&s, legacy_normaliser(), json_null()));
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct tokens x = {0}, y = {0};
        struct err e;
        assert_true(tokenizer_encode(a, str_from(texts[i]), &x, &e));
        assert_true(tokenizer_encode(b, str_from(texts[i]), &y, &e));
        assert_int_equal(x.len, y.len);
        if (x.len) assert_memory_equal(x.ptr, y.ptr, x.len * sizeof(int));
        tokens_free(&x);
        tokens_free(&y);
    }
    tokenizer_close(a);
    tokenizer_close(b);
}

static void the_dialects_differ_in_the_space_before(void **state) {
    struct source s;
    UNUSED(state);
    make_source(&s);
    struct tokenizer *first = open_json_ok(make_json(&s, json_null(), metaspace("first", false)));
    struct tokenizer *always = open_json_ok(make_json(&s, json_null(), metaspace("always", true)));
    struct tokenizer *never = open_json_ok(make_json(&s, json_null(), metaspace("never", false)));
    ASSERT_IDS(first, "the", TOKENIZER_START, id_of(SPACE "the"));
    ASSERT_IDS(first, " the", TOKENIZER_START, id_of(SPACE "the")); /* it has one */
    ASSERT_IDS(first, "the", TOKENIZER_AFTER_SPECIAL, id_of("t"), id_of("he"));
    ASSERT_IDS(first, "a  b", TOKENIZER_INSIDE, id_of("a"), id_of(SPACE SPACE), id_of("b"));
    ASSERT_IDS(always, "the", TOKENIZER_AFTER_SPECIAL, id_of(SPACE "the"));
    ASSERT_IDS(always, "the", TOKENIZER_INSIDE, id_of("t"), id_of("he"));
    ASSERT_IDS(always, "a  b", TOKENIZER_INSIDE, id_of("a"), id_of(SPACE), id_of(SPACE), id_of("b"));
    ASSERT_IDS(never, "the", TOKENIZER_START, id_of("t"), id_of("he"));
    tokenizer_close(first);
    tokenizer_close(always);
    tokenizer_close(never);
}

static void other_pipelines_are_named(void **state) {
    struct source s;
    UNUSED(state);
    make_source(&s);
    const struct {
        json_t *normaliser, *splitter;
        const char *named;
    } cases[] = {
        {replace(" ", "_"), json_null(), "Replace"},
        {json_pack("{s:s,s:s}", "type", "Prepend", "prepend", " "), json_null(), "Prepend"},
        {legacy_normaliser(), metaspace("first", false), "Metaspace"},
        {json_null(), metaspace("second", false), "second"},
        {json_null(), json_pack("{s:s,s:s}", "type", "Metaspace", "replacement", "_"), "Metaspace"},
        {legacy_normaliser(), json_pack("{s:s,s:b}", "type", "Digits", "individual_digits", 1), "Digits"},
        {legacy_normaliser(), json_pack("{s:s,s:b}", "type", "ByteLevel", "add_prefix_space", 0),
         "ByteLevel"},
        {json_null(), json_pack("{s:s}", "type", "Whitespace"), "Whitespace"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = {0};
        struct tokenizer *t = open_json(make_json(&s, cases[i].normaliser, cases[i].splitter), &e);
        assert_null(t);
        if (!strstr(e.msg, cases[i].named)) print_error("%s\n", e.msg);
        assert_non_null(strstr(e.msg, cases[i].named));
        assert_int_equal(e.code, ERR_INPUT);
    }
    json_t *root = make_json(&s, legacy_normaliser(), json_null());
    struct err e = {0};
    json_object_del(json_object_get(json_object_get(root, "model"), "vocab"), "<0x41>");
    assert_null(open_json(root, &e));
    assert_non_null(strstr(e.msg, "<0x41>"));
}

/* ---- tokenizer.model ---- */

static void add_varint(struct buf *b, uint64_t n) {
    for (; n > 0x7f; n >>= 7) buf_add_char(b, (char)(n | 0x80));
    buf_add_char(b, (char)n);
}

static void add_bytes(struct buf *b, int field, struct str bytes) {
    add_varint(b, (uint64_t)field << 3 | 2);
    add_varint(b, bytes.len);
    buf_add_str(b, bytes);
}

static void add_number(struct buf *b, int field, uint64_t n) {
    add_varint(b, (uint64_t)field << 3);
    add_varint(b, n);
}

/* As SentencePiece writes it. */
static struct buf make_file(const struct source *s, uint64_t kind, bool removes_spaces) {
    struct buf out = {0}, part = {0};
    for (size_t i = 0; i < s->v.n_tokens; i++) {
        buf_clear(&part);
        add_bytes(&part, 1, s->tokens[i]);
        add_varint(&part, 2 << 3 | 5);
        buf_add(&part, &s->scores[i], 4);
        if (s->types[i] != VOCAB_NORMAL) add_number(&part, 3, s->types[i]);
        add_bytes(&out, 1, buf_str(&part));
    }
    buf_clear(&part);
    add_number(&part, 3, kind);
    add_number(&part, 43, UINT64_MAX); /* no padding token: -1 */
    add_bytes(&out, 2, buf_str(&part));
    buf_clear(&part);
    add_bytes(&part, 1, STR("identity"));
    add_number(&part, 4, removes_spaces);
    add_bytes(&out, 3, buf_str(&part));
    buf_free(&part);
    return out;
}

static struct tokenizer *open_model(const char *dir, const struct source *s, uint64_t kind,
                                    bool removes_spaces, struct err *e) {
    struct buf file = make_file(s, kind, removes_spaces);
    files_put(dir, "tokenizer.model", buf_str(&file));
    buf_free(&file);
    return tokenizer_open(dir, e);
}

static void a_model_file_is_read(void **state) {
    char *dir = files_new_dir();
    struct source s;
    struct err e = {0};
    UNUSED(state);
    make_source(&s);
    files_put(dir, "added_tokens.json", STR("{\"[PAD]\": 285, \"<think>\": 286}"));
    files_put(dir, "tokenizer_config.json", STR("{\"bos_token\": \"<s>\", \"pad_token\": \"[PAD]\"}"));
    struct tokenizer *t = open_model(dir, &s, 2, false, &e);
    if (!t) print_error("%s\n", e.msg);
    assert_non_null(t);
    ASSERT_IDS(t, "the<think>the", TOKENIZER_START, id_of(SPACE "the"), 286, id_of(SPACE "the"));
    ASSERT_IDS(t, "[PAD]", TOKENIZER_INSIDE, byte_id('['), byte_id('P'), byte_id('A'), byte_id('D'),
               byte_id(']'));
    assert_true(tokenizer_is_special(t, 285));
    assert_int_equal(tokenizer_bos(t), 1);
    assert_int_equal(tokenizer_eos_token(t), 2);
    tokenizer_close(t);
    files_put(dir, "tokenizer_config.json",
              STR("{\"legacy\": false, \"add_bos_token\": false, \"added_tokens_decoder\": {\"284\": "
                  "{\"content\": \"<x>\"}, \"1\": {\"content\": \"<s>\", \"special\": true}}}"));
    t = open_model(dir, &s, 2, false, &e);
    assert_non_null(t);
    ASSERT_IDS(t, "the<x>the", TOKENIZER_START, id_of(SPACE "the"), 284, id_of("t"), id_of("he"));
    assert_int_equal(tokenizer_bos(t), -1);
    tokenizer_close(t);
    files_free_dir(dir);
}

static void model_files_that_are_not_understood(void **state) {
    char *dir = files_new_dir();
    struct source s;
    struct err e = {0};
    UNUSED(state);
    make_source(&s);
    assert_null(open_model(dir, &s, 1, false, &e));
    assert_non_null(strstr(e.msg, "unigram"));
    assert_null(open_model(dir, &s, 2, true, &e));
    assert_non_null(strstr(e.msg, "white space"));
    s.types[7] = VOCAB_NORMAL;
    assert_null(open_model(dir, &s, 2, false, &e));
    assert_non_null(strstr(e.msg, "byte 0x04"));
    make_source(&s);
    s.tokens[FIRST_PIECE] = s.tokens[FIRST_PIECE + 1];
    assert_null(open_model(dir, &s, 2, false, &e));
    assert_non_null(strstr(e.msg, "twice"));
    make_source(&s);
    static const char *const lists[] = {"{\"x\": -1}", "{\"x\": 5}", "{\"x\": \"y\"}", "{\"\": 300}", "["};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        files_put(dir, "added_tokens.json", str_from(lists[i]));
        assert_null(open_model(dir, &s, 2, false, &e));
        assert_int_equal(e.code, ERR_INPUT);
    }
    files_remove(dir, "added_tokens.json");
    struct buf file = make_file(&s, 2, false);
    for (size_t n = 0; n < file.len; n += 1 + n / 40) {
        files_put(dir, "tokenizer.model", (struct str){file.ptr, n});
        assert_null(tokenizer_open(dir, &e)); /* the training part comes last but one */
    }
    buf_free(&file);
    files_free_dir(dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merging_equals_its_definition),
        cmocka_unit_test(a_long_text_is_merged),
        cmocka_unit_test(where_a_part_lies_decides_about_its_space),
        cmocka_unit_test(added_and_unused_pieces),
        cmocka_unit_test(both_files_make_one_tokenizer),
        cmocka_unit_test(the_dialects_differ_in_the_space_before),
        cmocka_unit_test(other_pipelines_are_named),
        cmocka_unit_test(a_model_file_is_read),
        cmocka_unit_test(model_files_that_are_not_understood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
