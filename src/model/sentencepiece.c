#include "model/sentencepiece.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "model/tokenizer_impl.h"

#define MODEL_BYTES_MAX ((size_t)64 << 20)
#define ADDED_BYTES_MAX ((size_t)16 << 20)

/* ---- protocol buffers ---- */

struct field {
    int number, wire;
    uint64_t value;   /* of a varint or fixed-width field */
    struct str bytes; /* of a length-delimited one */
};

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

static bool take_varint(struct str *rest, uint64_t *out) {
    *out = 0;
    for (int shift = 0; shift < 64 && rest->len; shift += 7) {
        uint64_t byte = (unsigned char)rest->ptr[0];
        rest->ptr++;
        rest->len--;
        *out |= (byte & 0x7f) << shift;
        if (byte < 0x80) return true;
    }
    return false;
}

static bool take_bytes(struct str *rest, uint64_t n, struct str *out) {
    if (n > rest->len) return false;
    *out = (struct str){rest->ptr, (size_t)n};
    rest->ptr += n;
    rest->len -= (size_t)n;
    return true;
}

/* The next field of a message; false if the message is broken. */
static bool take_field(struct str *rest, struct field *f) {
    uint64_t key, n;
    *f = (struct field){0};
    if (!take_varint(rest, &key) || key >> 3 > INT32_MAX) return false;
    f->number = (int)(key >> 3);
    f->wire = (int)(key & 7);
    switch (f->wire) {
    case WIRE_VARINT:
        return take_varint(rest, &f->value);
    case WIRE_BYTES:
        return take_varint(rest, &n) && take_bytes(rest, n, &f->bytes);
    case WIRE_32:
    case WIRE_64:
        if (!take_bytes(rest, f->wire == WIRE_32 ? 4 : 8, &f->bytes)) return false;
        for (size_t i = f->bytes.len; i-- > 0;) f->value = f->value << 8 | (unsigned char)f->bytes.ptr[i];
        return true;
    default:
        return false;
    }
}

/* ---- the file ---- */

struct reading {
    struct vocab_source *v;
    size_t cap_tokens, cap_types, cap_scores;
    const char *where;
    struct err *e;
};

static bool broken(const struct reading *r, const char *what) {
    return err_set(r->e, ERR_INPUT, "%s: %s is broken: not a SentencePiece model", r->where, what);
}

static bool refuse(const struct reading *r, const char *what) {
    return err_set(
        r->e, ERR_INPUT,
        "%s: %s, which is not supported; give tokenizer.json, which Hugging Face's converter writes",
        r->where, what);
}

static void add_token(struct reading *r, struct str text, float score, enum vocab_type type) {
    struct vocab_source *v = r->v;
    MEM_GROW(v->tokens, r->cap_tokens, v->n_tokens + 1);
    MEM_GROW(v->types, r->cap_types, v->n_tokens + 1);
    MEM_GROW(v->scores, r->cap_scores, v->n_tokens + 1);
    v->tokens[v->n_tokens] = text;
    v->types[v->n_tokens] = (uint8_t)type;
    v->scores[v->n_tokens++] = score;
}

static bool read_piece(struct reading *r, struct str message) {
    struct field f;
    struct str text = {"", 0};
    float score = 0;
    uint64_t type = VOCAB_NORMAL;
    while (message.len) {
        if (!take_field(&message, &f)) return broken(r, "a piece");
        if (f.number == 1 && f.wire == WIRE_BYTES) text = f.bytes;
        if (f.number == 2 && f.wire == WIRE_32) memcpy(&score, f.bytes.ptr, 4);
        if (f.number == 3 && f.wire == WIRE_VARINT) type = f.value;
    }
    if (type < VOCAB_NORMAL || type > VOCAB_BYTE || !isfinite(score)) return broken(r, "a piece");
    if (r->v->n_tokens == TOKENIZER_IDS_MAX) return broken(r, "the number of pieces");
    add_token(r, text, score, (enum vocab_type)type);
    return true;
}

static int id_of(uint64_t value) {
    return value < TOKENIZER_IDS_MAX ? (int)value : -1; /* a negative id is one of ten bytes: none */
}

static bool read_trainer(struct reading *r, struct str message) {
    struct field f;
    uint64_t kind = 1;
    while (message.len) {
        if (!take_field(&message, &f)) return broken(r, "the training part");
        if (f.wire != WIRE_VARINT) continue;
        if (f.number == 3) kind = f.value;
        if (f.number == 24 && f.value) return refuse(r, "spaces belong to the end of words");
        if (f.number == 40) r->v->unknown = id_of(f.value);
        if (f.number == 41) r->v->bos = id_of(f.value);
        if (f.number == 42) r->v->eos = id_of(f.value);
    }
    return kind == 2 || refuse(r, kind == 1 ? "a unigram model" : "neither a BPE nor a unigram model");
}

static bool read_normaliser(struct reading *r, struct str message) {
    struct field f;
    bool escape = true;
    while (message.len) {
        if (!take_field(&message, &f)) return broken(r, "the normaliser");
        if (f.number == 2 && f.wire == WIRE_BYTES && f.bytes.len)
            return refuse(r, "characters are rewritten");
        if (f.wire != WIRE_VARINT) continue;
        if (f.number == 3) r->v->add_space_prefix = f.value != 0;
        if (f.number == 4) r->v->remove_extra_whitespace = f.value != 0;
        if (f.number == 5) escape = f.value != 0;
    }
    return escape || refuse(r, "spaces are not escaped");
}

bool sentencepiece_parse(struct str bytes, const char *where, struct vocab_source *out, struct err *e) {
    struct reading r = {.v = out, .where = where, .e = e};
    struct field f;
    bool has_trainer = false, done = true;
    *out = (struct vocab_source){.kind = VOCAB_SENTENCEPIECE,
                                 .unknown = 0,
                                 .bos = 1,
                                 .eos = 2,
                                 .add_bos = -1,
                                 .add_eos = -1,
                                 .add_space_prefix = 1,
                                 .remove_extra_whitespace = true};
    while (done && bytes.len) {
        if (!take_field(&bytes, &f)) return broken(&r, "the file");
        if (f.wire != WIRE_BYTES) continue;
        if (f.number == 1) done = read_piece(&r, f.bytes);
        if (f.number == 2) done = has_trainer = read_trainer(&r, f.bytes);
        if (f.number == 3) done = read_normaliser(&r, f.bytes);
    }
    return done && (has_trainer || broken(&r, "the training part"));
}

/* ---- tokens that were added later ---- */

/* One token; those that SentencePiece has are left as they are. */
static bool put_added(struct reading *r, const char *text, json_int_t id, bool special) {
    struct vocab_source *v = r->v;
    size_t n = strlen(text);
    if (id < 0 || id >= TOKENIZER_IDS_MAX || n == 0)
        return err_set(r->e, ERR_INPUT, "%s: added token \"%.60s\" has the id %lld", r->where, text,
                       (long long)id);
    if ((size_t)id < v->n_tokens && v->types[id] != VOCAB_UNUSED)
        return str_equal(v->tokens[id], (struct str){text, n}) ||
               err_set(r->e, ERR_INPUT, "%s: added token \"%.60s\" (id %lld) is at odds with another token",
                       r->where, text, (long long)id);
    while (v->n_tokens <= (size_t)id) add_token(r, STR(""), 0, VOCAB_UNUSED);
    v->tokens[id] = (struct str){text, n};
    v->types[id] = special ? VOCAB_CONTROL : VOCAB_USER;
    return true;
}

/* tokenizer_config.json: {"added_tokens_decoder": {"ID": {"content": TEXT, "special": true, ...}}} */
static bool read_decoder(struct reading *r, const json_t *decoder) {
    const char *key, *text;
    json_t *item;
    json_object_foreach((json_t *)decoder, key, item) {
        bool special, takes[3];
        char *end;
        long id = strtol(key, &end, 10);
        if (!json_want_string(item, "content", &text, r->where, r->e) ||
            !json_get_bool(item, "special", false, &special, r->where, r->e) ||
            !json_get_bool(item, "lstrip", false, &takes[0], r->where, r->e) ||
            !json_get_bool(item, "rstrip", false, &takes[1], r->where, r->e) ||
            !json_get_bool(item, "single_word", false, &takes[2], r->where, r->e))
            return false;
        if (takes[0] || takes[1] || takes[2])
            return refuse(r, "an added token has lstrip, rstrip or single_word");
        if (!put_added(r, text, *end || end == key ? -1 : id, special)) return false;
    }
    return true;
}

/* added_tokens.json: {TEXT: ID}. Special are those that the configuration names. */
static bool read_list(struct reading *r, const json_t *list, const struct tokenizer_config *c) {
    const char *text;
    json_t *id;
    json_object_foreach((json_t *)list, text, id) {
        bool special = tokenizer_config_is_special(c, text);
        if (!put_added(r, text, json_is_integer(id) ? json_integer_value(id) : -1, special)) return false;
    }
    return true;
}

static bool read_added(struct reading *r, const char *dir, const struct tokenizer_config *c, json_t **list) {
    char *path = file_join(dir, "added_tokens.json");
    bool done = !c->added_tokens || read_decoder(r, c->added_tokens);
    if (done && !c->added_tokens && file_exists(path)) {
        *list = json_read_file(path, ADDED_BYTES_MAX, r->e);
        done = *list && read_list(r, *list, c);
    }
    free(path);
    return done;
}

struct tokenizer *sentencepiece_open(const char *dir, const struct tokenizer_config *c, struct err *e) {
    char *path = file_join(dir, "tokenizer.model");
    struct vocab_source v = {0};
    struct buf bytes = {0};
    json_t *list = NULL;
    struct tokenizer *t = NULL;
    if (!file_read(path, MODEL_BYTES_MAX, &bytes, e) || !sentencepiece_parse(buf_str(&bytes), path, &v, e))
        goto done;
    struct reading r = {v.n_tokens ? &v : NULL, v.n_tokens, v.n_tokens, v.n_tokens, path, e};
    if (!r.v) {
        err_set(e, ERR_INPUT, "%s: no pieces in it", path);
        goto done;
    }
    if (!read_added(&r, dir, c, &list)) goto done;
    t = tokenizer_from_pieces(&v, c->legacy, path, e);
    if (!t) goto done;
    t->bos_token = tokenizer_is_special(t, v.bos) ? v.bos : -1;
    t->eos_token = tokenizer_is_special(t, v.eos) ? v.eos : -1;
    if (c->add_bos != 0) t->bos = t->bos_token;
done:
    json_decref(list);
    vocab_source_fini(&v);
    buf_free(&bytes);
    free(path);
    return t;
}
