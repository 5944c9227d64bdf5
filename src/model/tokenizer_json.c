/* tokenizer_json.c - tokenizer.json into a struct tokenizer: vocabulary, added tokens and merges. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/rng.h"
#include "model/tokenizer_impl.h"

enum { STAND_INS = 0x144, ADDED_MAX = 1 << 17 };

/* The bytes that printable characters stand for (GPT-2): the others count up from U+0100. -1: none. */
static void make_stand_ins(int16_t byte_of[STAND_INS]) {
    int spare = 0x100;
    memset(byte_of, 0xff, STAND_INS * sizeof *byte_of);
    for (int b = 0; b < 256; b++) {
        bool printable = (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
        byte_of[printable ? b : spare++] = (int16_t)b;
    }
}

/* Appends what a vocabulary string stands for; a string with other characters stands for itself. */
static bool add_bytes(const int16_t byte_of[STAND_INS], struct str text, struct buf *out) {
    size_t first = out->len;
    for (size_t at = 0; at < text.len;) {
        uint32_t scalar;
        int n = str_utf8(text, at, &scalar);
        if (n == 0 || scalar >= STAND_INS || byte_of[scalar] < 0) {
            out->len = first;
            buf_add_str(out, text);
            return false;
        }
        buf_add_char(out, (char)byte_of[scalar]);
        at += (size_t)n;
    }
    return true;
}

static bool refuse_keys(const json_t *object, const char *const *known, size_t n_known, const char *what,
                        const char *where, struct err *e) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value) {
        bool found = false;
        for (size_t i = 0; i < n_known; i++) found |= strcmp(key, known[i]) == 0;
        if (!found) return err_set(e, ERR_INPUT, "%s: unknown part \"%.60s\" of %s", where, key, what);
    }
    return true;
}

/* ---- vocabulary ---- */

static bool read_id(const json_t *value, const char *text, int *id, const char *where, struct err *e) {
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        json_integer_value(value) >= TOKENIZER_IDS_MAX)
        return err_set(e, ERR_INPUT, "%s: the id of token \"%.60s\" is not from 0 to %d", where, text,
                       TOKENIZER_IDS_MAX - 1);
    *id = (int)json_integer_value(value);
    return true;
}

/* Appends to the arena what a string of the vocabulary stands for. */
static void put_stand_ins(struct tokenizer *t, const int16_t byte_of[STAND_INS], struct str text, int id) {
    size_t at = t->arena.len;
    if (add_bytes(byte_of, text, &t->arena))
        map_put(t->ordinary, (struct str){t->arena.ptr + at, t->arena.len - at}, (uint32_t)id);
}

static void put_piece(struct tokenizer *t, struct str text, int id) {
    int byte = tokenizer_piece_byte(text);
    if (byte < 0) {
        tokenizer_add_piece_text(text, &t->arena);
        map_put(t->ordinary, text, (uint32_t)id);
    } else {
        buf_add_char(&t->arena, (char)byte);
        t->byte_ids[byte] = id;
    }
}

/* strings: the vocabulary's strings as they are written, for merges and added tokens. */
static bool parse_vocabulary(struct tokenizer *t, const json_t *vocab, struct map *strings, const char *where,
                             struct err *e) {
    int16_t byte_of[STAND_INS];
    const char *text;
    size_t n_text;
    json_t *value;
    int id, id_max = -1;
    make_stand_ins(byte_of);
    json_object_keylen_foreach((json_t *)vocab, text, n_text, value) {
        if (!read_id(value, text, &id, where, e)) return false;
        if (n_text == 0 || n_text > TOKENIZER_TOKEN_BYTES_MAX)
            return err_set(e, ERR_INPUT, "%s: the token of id %d has %zu bytes", where, id, n_text);
        id_max = MAX(id_max, id);
    }
    tokenizer_grow(t, id_max);
    t->ordinary = map_new(json_object_size(vocab));
    json_object_keylen_foreach((json_t *)vocab, text, n_text, value) {
        const struct str string = {text, n_text};
        size_t at = t->arena.len;
        id = (int)json_integer_value(value);
        if (t->pieces)
            put_piece(t, string, id);
        else
            put_stand_ins(t, byte_of, string, id);
        if (!tokenizer_put(t, id, at, false, false, string, where, e)) return false;
        map_put(strings, string, (uint32_t)id);
    }
    return true;
}

static bool find_bytes(struct tokenizer *t, const char *where, struct err *e) {
    for (int b = 0; b < 256; b++) {
        const char c = (char)b;
        if (t->pieces && (t->byte_ids[b] < 0 || t->entries[t->byte_ids[b]].special))
            return err_set(e, ERR_INPUT,
                           "%s: the vocabulary has no token <0x%02X>: not SentencePiece-style BPE with byte "
                           "fallback",
                           where, b);
        if (!t->pieces && !tokenizer_find(t, (struct str){&c, 1}, &t->byte_ids[b]))
            return err_set(e, ERR_INPUT,
                           "%s: the vocabulary has no token for byte 0x%02x: not byte-level BPE", where, b);
    }
    return true;
}

/* ---- added tokens ---- */

static bool read_flags(const json_t *item, struct added_flags *f, const char *where, struct err *e) {
    return json_get_bool(item, "special", false, &f->special, where, e) &&
           json_get_bool(item, "normalized", true, &f->normalised, where, e) &&
           json_get_bool(item, "single_word", false, &f->single_word, where, e) &&
           json_get_bool(item, "lstrip", false, &f->lstrip, where, e) &&
           json_get_bool(item, "rstrip", false, &f->rstrip, where, e);
}

static bool parse_added_token(struct tokenizer *t, const json_t *item, const struct map *strings,
                              const char *where, struct err *e) {
    const char *text;
    struct added_flags f;
    int id;
    uint32_t its;
    if (!json_want_string(item, "content", &text, where, e) || !read_flags(item, &f, where, e) ||
        !read_id(json_object_get(item, "id"), text, &id, where, e))
        return false;
    int known_id = map_get(strings, str_from(text), &its) ? (int)its : -1;
    return tokenizer_put_added(t, str_from(text), id, known_id, &f, where, e);
}

static bool parse_added(struct tokenizer *t, const json_t *list, const struct map *strings, const char *where,
                        struct err *e) {
    size_t n = json_array_size(list);
    if (list && !json_is_null(list) && !json_is_array(list))
        return err_set(e, ERR_INPUT, "%s: added_tokens is not a list", where);
    if (n > ADDED_MAX) return err_set(e, ERR_INPUT, "%s: %zu added tokens are over %d", where, n, ADDED_MAX);
    for (size_t i = 0; i < n; i++) {
        if (!parse_added_token(t, json_array_get(list, i), strings, where, e)) return false;
    }
    tokenizer_finish_added(t);
    return true;
}

/* ---- merges ---- */

/* "a b" or ["a", "b"] */
static bool read_pair(const json_t *item, struct str *a, struct str *b) {
    if (json_is_array(item)) {
        const json_t *x = json_array_get(item, 0), *y = json_array_get(item, 1);
        if (json_array_size(item) != 2 || !json_is_string(x) || !json_is_string(y)) return false;
        *a = (struct str){json_string_value(x), json_string_length(x)};
        *b = (struct str){json_string_value(y), json_string_length(y)};
        return true;
    }
    const char *text = json_string_value(item), *space = text ? strchr(text, ' ') : NULL;
    if (!space) return false;
    *a = (struct str){text, (size_t)(space - text)};
    *b = str_from(space + 1);
    return a->len > 0 && b->len > 0 && !strchr(b->ptr, ' ');
}

static bool parse_merges(struct tokenizer *t, const json_t *list, const struct map *strings,
                         const char *where, struct err *e) {
    struct buf joined = {0};
    bool done = false;
    size_t n = json_array_size(list);
    if (!json_is_array(list) || n > BPE_MERGES_MAX)
        return err_set(e, ERR_INPUT, "%s: model.merges is not a list of at most %d pairs", where,
                       BPE_MERGES_MAX);
    t->bpe = bpe_new(n);
    for (size_t i = 0; i < n; i++) {
        struct str a, b;
        uint32_t left, right, result;
        if (!read_pair(json_array_get(list, i), &a, &b)) {
            err_set(e, ERR_INPUT, "%s: merge %zu is not a pair of tokens", where, i);
            goto done;
        }
        buf_clear(&joined);
        buf_add_str(&joined, a);
        buf_add_str(&joined, b);
        if (!map_get(strings, a, &left) || !map_get(strings, b, &right) ||
            !map_get(strings, buf_str(&joined), &result)) {
            err_set(e, ERR_INPUT, "%s: merge %zu names or makes a token that is not in the vocabulary", where,
                    i);
            goto done;
        }
        if (t->pieces && (t->entries[result].special || tokenizer_piece_byte(buf_str(&joined)) >= 0))
            continue;
        if (t->entries[result].special) {
            err_set(e, ERR_INPUT, "%s: merge %zu makes a special token out of plain text", where, i);
            goto done;
        }
        bpe_put(t->bpe, (int)left, (int)right, (uint32_t)i, (int)result);
        const uint32_t triple[] = {left, right, result};
        t->hash = rng_hash(t->hash, triple, sizeof triple);
    }
    done = true;
done:
    buf_free(&joined);
    return done;
}

/* ---- the whole ---- */

static bool check_model(const json_t *model, bool *byte_fallback, const char *where, struct err *e) {
    static const char *const keys[] = {"type",
                                       "dropout",
                                       "unk_token",
                                       "continuing_subword_prefix",
                                       "end_of_word_suffix",
                                       "fuse_unk",
                                       "byte_fallback",
                                       "ignore_merges",
                                       "vocab",
                                       "merges"};
    const char *type, *prefix, *suffix;
    double dropout;
    if (!json_is_object(model)) return err_set(e, ERR_INPUT, "%s: no model in it", where);
    if (!json_get_string(model, "type", "BPE", &type, where, e)) return false;
    if (strcmp(type, "BPE") != 0)
        return err_set(e, ERR_INPUT, "%s: tokenizer model %.40s is not supported; BPE is", where, type);
    if (!refuse_keys(model, keys, ARRAY_LEN(keys), "the tokenizer's model", where, e) ||
        !json_get_string(model, "continuing_subword_prefix", "", &prefix, where, e) ||
        !json_get_string(model, "end_of_word_suffix", "", &suffix, where, e) ||
        !json_get_bool(model, "byte_fallback", false, byte_fallback, where, e) ||
        !json_get_real(model, "dropout", 0, &dropout, where, e))
        return false;
    const char *bad = prefix[0]      ? "continuing_subword_prefix"
                      : suffix[0]    ? "end_of_word_suffix"
                      : dropout != 0 ? "dropout"
                                     : NULL;
    if (bad) return err_set(e, ERR_INPUT, "%s: %s is not supported", where, bad);
    return json_is_object(json_object_get(model, "vocab")) ||
           err_set(e, ERR_INPUT, "%s: model.vocab is not there", where);
}

static bool parse_all(struct tokenizer *t, const json_t *root, struct map *strings, const char *where,
                      struct err *e) {
    static const char *const keys[] = {"version",        "truncation", "padding",
                                       "added_tokens",   "normalizer", "pre_tokenizer",
                                       "post_processor", "decoder",    "model"};
    if (!json_is_object(root)) return err_set(e, ERR_INPUT, "%s: not an object", where);
    const json_t *model = json_object_get(root, "model");
    bool byte_fallback;
    if (!refuse_keys(root, keys, ARRAY_LEN(keys), "the tokenizer", where, e) ||
        !check_model(model, &byte_fallback, where, e) ||
        !json_get_bool(model, "ignore_merges", false, &t->ignore_merges, where, e) ||
        !tokenizer_parse_normaliser(t, json_object_get(root, "normalizer"), where, e) ||
        !tokenizer_parse_splitter(t, json_object_get(root, "pre_tokenizer"), byte_fallback, where, e) ||
        !tokenizer_parse_decoder(t, json_object_get(root, "decoder"), where, e) ||
        !parse_vocabulary(t, json_object_get(model, "vocab"), strings, where, e) ||
        !parse_added(t, json_object_get(root, "added_tokens"), strings, where, e) ||
        !find_bytes(t, where, e) || !parse_merges(t, json_object_get(model, "merges"), strings, where, e) ||
        !tokenizer_parse_post_processor(t, json_object_get(root, "post_processor"), where, e))
        return false;
    tokenizer_finish(t);
    return true;
}

struct tokenizer *tokenizer_parse(const json_t *root, const char *where, struct err *e) {
    struct tokenizer *t = tokenizer_new();
    struct map *strings = map_new(json_object_size(json_object_get(json_object_get(root, "model"), "vocab")));
    bool done = parse_all(t, root, strings, where, e);
    map_free(strings);
    if (done) return t;
    tokenizer_close(t);
    return NULL;
}
