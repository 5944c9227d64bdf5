#include "model/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "model/nfc.h"
#include "model/tokenizer_config.h"
#include "model/tokenizer_impl.h"

#define FILE_BYTES_MAX ((size_t)256 << 20)

void tokens_add(struct tokens *t, int id) {
    MEM_GROW(t->ptr, t->cap, t->len + 1);
    t->ptr[t->len++] = id;
}

void tokens_add_all(struct tokens *t, const int *ids, size_t n) {
    MEM_GROW(t->ptr, t->cap, t->len + n);
    if (n) memcpy(t->ptr + t->len, ids, n * sizeof *ids);
    t->len += n;
}

void tokens_free(struct tokens *t) {
    free(t->ptr);
    *t = (struct tokens){0};
}

static bool apply_config(struct tokenizer *t, const struct tokenizer_config *c, const char *dir,
                         struct err *e) {
    t->bos_token = c->bos_token ? tokenizer_special(t, c->bos_token) : -1;
    t->eos_token = c->eos_token ? tokenizer_special(t, c->eos_token) : -1;
    if (c->add_bos && t->bos < 0) {
        if (t->bos_token < 0)
            return err_set(e, ERR_INPUT, "%s/tokenizer_config.json: add_bos_token without a known bos_token",
                           dir);
        t->bos = t->bos_token;
    }
    return true;
}

struct tokenizer *tokenizer_open(const char *dir, struct err *e) {
    struct tokenizer *t = NULL;
    struct tokenizer_config config = {0};
    json_t *root = NULL;
    char *path = file_join(dir, "tokenizer.json"), *sentencepiece = file_join(dir, "tokenizer.model");
    if (!file_exists(path)) {
        err_set(e, ERR_INPUT, "%s: no tokenizer.json%s", dir,
                file_exists(sentencepiece) ? "; tokenizer.model (SentencePiece) is not supported"
                                           : " in this folder");
        goto done;
    }
    if (!tokenizer_config_read(dir, &config, e)) goto done;
    root = json_read_file(path, FILE_BYTES_MAX, e);
    if (root) t = tokenizer_parse(root, path, e);
    if (t && !apply_config(t, &config, dir, e)) {
        tokenizer_close(t);
        t = NULL;
    }
done:
    json_decref(root);
    tokenizer_config_fini(&config);
    free(sentencepiece);
    free(path);
    return t;
}

void tokenizer_close(struct tokenizer *t) {
    if (!t) return;
    buf_free(&t->arena);
    free(t->entries);
    map_free(t->by_bytes);
    map_free(t->added_ids);
    bpe_free(t->bpe);
    split_free(t->split);
    added_fini(&t->raw);
    added_fini(&t->normalised);
    free(t);
}

/* ---- text to ids ---- */

struct encoding {
    const struct tokenizer *t;
    struct tokens *out;
    struct bpe_work work;
    struct buf normal;
};

/* Symbols are put where the result will stand, and merged in place. */
static void encode_piece(void *ctx, struct str piece) {
    struct encoding *en = ctx;
    const struct tokenizer *t = en->t;
    struct tokens *out = en->out;
    uint32_t whole;
    if (t->ignore_merges && map_get(t->by_bytes, piece, &whole)) {
        tokens_add(out, (int)whole);
        return;
    }
    MEM_GROW(out->ptr, out->cap, out->len + piece.len);
    int *symbols = out->ptr + out->len;
    for (size_t i = 0; i < piece.len; i++) symbols[i] = t->byte_ids[(unsigned char)piece.ptr[i]];
    out->len += bpe_merge(t->bpe, &en->work, symbols, piece.len);
}

typedef bool encode_rest(struct encoding *en, struct str text, struct err *e);

/* Added tokens of one list become ids, what lies between goes on. */
static bool encode_added(struct encoding *en, const struct added *a, struct str text, encode_rest *rest,
                         struct err *e) {
    size_t at = 0, begin, end;
    int id;
    while (added_next(a, text, at, &begin, &end, &id)) {
        if (begin > at && !rest(en, (struct str){text.ptr + at, begin - at}, e)) return false;
        tokens_add(en->out, id);
        at = end;
    }
    return at == text.len || rest(en, (struct str){text.ptr + at, text.len - at}, e);
}

static bool encode_plain(struct encoding *en, struct str text, struct err *e) {
    return split_run(en->t->split, text, encode_piece, en, e);
}

static bool encode_normalised(struct encoding *en, struct str text, struct err *e) {
    if (en->t->nfc && !nfc_is_plain(text)) {
        buf_clear(&en->normal);
        nfc_add(&en->normal, text);
        text = buf_str(&en->normal);
    }
    return encode_added(en, &en->t->normalised, text, encode_plain, e);
}

/* Bytes of text[at..] up to the first that is no part of a UTF-8 character. */
static size_t well_formed(struct str text, size_t at) {
    size_t first = at;
    uint32_t scalar;
    for (int n; at < text.len && (n = str_utf8(text, at, &scalar)) > 0;) at += (size_t)n;
    return at - first;
}

bool tokenizer_encode(const struct tokenizer *t, struct str text, struct tokens *out, struct err *e) {
    struct encoding en = {.t = t, .out = out};
    size_t n_before = out->len;
    bool done = true;
    if (text.len > TOKENIZER_TEXT_MAX)
        return err_set(e, ERR_INPUT, "a text of %zu bytes is over the %zu that are encoded at once", text.len,
                       TOKENIZER_TEXT_MAX);
    for (size_t at = 0; done && at < text.len;) {
        size_t n = well_formed(text, at);
        if (n) done = encode_added(&en, &t->raw, (struct str){text.ptr + at, n}, encode_normalised, e);
        at += n;
        if (at < text.len) tokens_add(out, t->byte_ids[(unsigned char)text.ptr[at++]]);
    }
    if (!done) out->len = n_before;
    bpe_work_fini(&en.work);
    buf_free(&en.normal);
    return done;
}

/* ---- ids to text ---- */

struct str tokenizer_bytes(const struct tokenizer *t, int id) {
    if (id < 0 || id >= t->n_ids || !t->entries[id].present) return STR("");
    return (struct str){t->arena.ptr + t->entries[id].at, t->entries[id].n_bytes};
}

void tokenizer_decode(const struct tokenizer *t, const int *ids, size_t n, bool skip_special,
                      struct buf *out) {
    for (size_t i = 0; i < n; i++) {
        if (!skip_special || !tokenizer_is_special(t, ids[i])) buf_add_str(out, tokenizer_bytes(t, ids[i]));
    }
}

size_t tokenizer_complete_utf8(struct str pending) {
    for (size_t back = 1; back <= MIN(pending.len, 3u); back++) {
        unsigned char c = (unsigned char)pending.ptr[pending.len - back];
        if ((c & 0xc0) == 0x80) continue;
        size_t n = c >= 0xf0 && c <= 0xf4 ? 4 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xc2 && c < 0xe0 ? 2 : 1;
        return back < n ? pending.len - back : pending.len;
    }
    return pending.len;
}

/* ---- about a tokenizer ---- */

int tokenizer_special(const struct tokenizer *t, const char *text) {
    uint32_t id;
    return map_get(t->added_ids, str_from(text), &id) ? (int)id : -1;
}

bool tokenizer_is_special(const struct tokenizer *t, int id) {
    return id >= 0 && id < t->n_ids && t->entries[id].special;
}

int tokenizer_count(const struct tokenizer *t) {
    return t->n_ids;
}

int tokenizer_bos(const struct tokenizer *t) {
    return t->bos;
}

int tokenizer_bos_token(const struct tokenizer *t) {
    return t->bos_token;
}

int tokenizer_eos_token(const struct tokenizer *t) {
    return t->eos_token;
}

uint64_t tokenizer_hash(const struct tokenizer *t) {
    return t->hash;
}
