#include "model/tokenizer.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "model/locate.h"
#include "model/nfc.h"
#include "model/sentencepiece.h"
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
    if (c->bos_token) t->bos_token = tokenizer_special(t, c->bos_token);
    if (c->eos_token) t->eos_token = tokenizer_special(t, c->eos_token);
    if (c->unk_token) t->unk_token = tokenizer_special(t, c->unk_token);
    if (c->pad_token) t->pad_token = tokenizer_special(t, c->pad_token);
    if (c->add_bos == 1 && t->bos < 0) {
        if (t->bos_token < 0)
            return err_set(e, ERR_INPUT, "%s/tokenizer_config.json: add_bos_token without a known bos_token",
                           dir);
        t->bos = t->bos_token;
    }
    return true;
}

static struct tokenizer *open_json(const char *path, struct err *e) {
    json_t *root = json_read_file(path, FILE_BYTES_MAX, e);
    struct tokenizer *t = root ? tokenizer_parse(root, path, e) : NULL;
    json_decref(root);
    return t;
}

struct tokenizer *tokenizer_open(const char *dir, struct err *e) {
    struct tokenizer *t = NULL;
    struct tokenizer_config config = {0};
    char *path = file_join(dir, "tokenizer.json"), *sentencepiece = file_join(dir, "tokenizer.model");
    if (!file_exists(path) && !locate_check_link(dir, "tokenizer.json", e)) goto done;
    if (!file_exists(path) && !file_exists(sentencepiece)) {
        err_set(
            e, ERR_INPUT,
            "%s: neither tokenizer.json nor tokenizer.model in this folder; take the one that lies with the "
            "model (an adapted model has that of the model it was made from)",
            dir);
        goto done;
    }
    if (!tokenizer_config_read(dir, &config, e)) goto done;
    t = file_exists(path) ? open_json(path, e) : sentencepiece_open(dir, &config, e);
    if (t && !apply_config(t, &config, dir, e)) {
        tokenizer_close(t);
        t = NULL;
    }
done:
    tokenizer_config_fini(&config);
    free(sentencepiece);
    free(path);
    return t;
}

/* ---- text to ids ---- */

enum whole { WHOLE_UNKNOWN, WHOLE_YES, WHOLE_NO };

struct encoding {
    const struct tokenizer *t;
    struct tokens *out;
    struct bpe_work work;
    struct tokens symbols;
    struct buf normal, spaced;
};

/* Symbols of a piece: its bytes, or its characters and the bytes of those that are no piece. At most one a
 * byte. */
static size_t find_symbols(const struct tokenizer *t, struct str piece, int *symbols) {
    const unsigned char *bytes = (const unsigned char *)piece.ptr;
    size_t n = 0;
    if (!t->pieces) {
        for (; n < piece.len; n++) symbols[n] = t->byte_ids[bytes[n]];
        return n;
    }
    for (size_t at = 0; at < piece.len;) {
        uint32_t scalar;
        size_t n_bytes = (size_t)str_utf8(piece, at, &scalar), end = at + n_bytes;
        int id = n_bytes == 1 ? t->char_ids[bytes[at]] : -1;
        if (id >= 0 || (n_bytes > 1 && tokenizer_find(t, (struct str){piece.ptr + at, n_bytes}, &id)))
            symbols[n++] = id;
        else
            for (size_t i = at; i < end; i++) symbols[n++] = t->byte_ids[bytes[i]];
        at = end;
    }
    return n;
}

/* Whether merging the symbols of token id's own text gives the token; found out once. */
static bool is_whole(struct encoding *en, int id, struct str piece) {
    const struct tokenizer *t = en->t;
    uint8_t known = atomic_load_explicit(&t->whole[id], memory_order_relaxed);
    if (known == WHOLE_UNKNOWN) {
        MEM_GROW(en->symbols.ptr, en->symbols.cap, piece.len);
        size_t n = find_symbols(t, piece, en->symbols.ptr);
        n = bpe_merge(t->bpe, &en->work, en->symbols.ptr, n);
        known = n == 1 && en->symbols.ptr[0] == id ? WHOLE_YES : WHOLE_NO;
        atomic_store_explicit(&t->whole[id], known, memory_order_relaxed);
    }
    return known == WHOLE_YES;
}

/* Symbols are put where the result will stand, and merged in place. */
static void encode_piece(void *ctx, struct str piece) {
    struct encoding *en = ctx;
    const struct tokenizer *t = en->t;
    struct tokens *out = en->out;
    int id;
    if (piece.len <= t->n_bytes_longest && tokenizer_find(t, piece, &id) &&
        (t->ignore_merges || is_whole(en, id, piece))) {
        tokens_add(out, id);
        return;
    }
    MEM_GROW(out->ptr, out->cap, out->len + piece.len);
    int *symbols = out->ptr + out->len;
    out->len += bpe_merge(t->bpe, &en->work, symbols, find_symbols(t, piece, symbols));
}

typedef bool encode_rest(struct encoding *en, struct str text, enum tokenizer_place place, struct err *e);

/* Added tokens of one list become ids, what lies between goes on. */
static bool encode_added(struct encoding *en, const struct added *a, struct str text,
                         enum tokenizer_place place, encode_rest *rest, struct err *e) {
    size_t at = 0, begin, end;
    int id;
    while (added_next(a, text, NULL, at, &begin, &end, &id)) {
        if (begin > at && !rest(en, (struct str){text.ptr + at, begin - at}, place, e)) return false;
        tokens_add(en->out, id);
        at = end;
        place = TOKENIZER_AFTER_SPECIAL;
    }
    return at == text.len || rest(en, (struct str){text.ptr + at, text.len - at}, place, e);
}

/* The text with its spaces written out, cut before spaces. */
static void encode_pieces(struct encoding *en, struct str text) {
    const enum space_cut cut = en->t->cut;
    const char *space = text.ptr, *end = text.ptr + text.len, *first = text.ptr;
    while (cut != CUT_NOWHERE && (space = memmem(space, (size_t)(end - space), TOKENIZER_SPACE, 3))) {
        bool in_run = space - text.ptr >= 3 && memcmp(space - 3, TOKENIZER_SPACE, 3) == 0;
        if (space > first && (cut == CUT_EACH || !in_run)) {
            encode_piece(en, (struct str){first, (size_t)(space - first)});
            first = space;
        }
        space += 3;
    }
    if (end > first) encode_piece(en, (struct str){first, (size_t)(end - first)});
}

static bool encode_plain(struct encoding *en, struct str text, enum tokenizer_place place, struct err *e) {
    const struct tokenizer *t = en->t;
    if (!t->pieces) return split_run(t->split, text, encode_piece, en, e);
    if (!t->spaces_written) return encode_pieces(en, text), true;
    bool begins =
        place == TOKENIZER_START || (place == TOKENIZER_AFTER_SPECIAL && t->space_before == SPACE_MISSING);
    bool has_space = text.ptr[0] == ' ' || str_starts(text, STR(TOKENIZER_SPACE));
    buf_clear(&en->spaced);
    if (begins && t->space_before != SPACE_NONE && !has_space) buf_add_char(&en->spaced, ' ');
    buf_add_str(&en->spaced, text);
    tokenizer_write_spaces(&en->spaced, 0);
    encode_pieces(en, buf_str(&en->spaced));
    return true;
}

static bool encode_normalised(struct encoding *en, struct str text, enum tokenizer_place place,
                              struct err *e) {
    const struct tokenizer *t = en->t;
    if (t->spaces_written_first || t->space_before == SPACE_ALWAYS || (t->nfc && !nfc_is_plain(text))) {
        buf_clear(&en->normal);
        tokenizer_normalise(t, text, place, &en->normal);
        text = buf_str(&en->normal);
    }
    return encode_added(en, &t->normalised, text, place, encode_plain, e);
}

/* Bytes of text[at..] up to the first that is no part of a UTF-8 character. */
static size_t well_formed(struct str text, size_t at) {
    size_t first = at;
    uint32_t scalar;
    for (int n; at < text.len && (n = str_utf8(text, at, &scalar)) > 0;) at += (size_t)n;
    return at - first;
}

static bool check_length(struct str text, struct err *e) {
    return text.len <= TOKENIZER_TEXT_MAX ||
           err_set(e, ERR_INPUT, "a text of %zu bytes is over the %zu that are encoded at once", text.len,
                   TOKENIZER_TEXT_MAX);
}

static bool encode_any(struct encoding *en, struct str text, enum tokenizer_place place, struct err *e) {
    const struct tokenizer *t = en->t;
    for (size_t at = 0; at < text.len; place = TOKENIZER_INSIDE) {
        size_t n = well_formed(text, at);
        if (n && !encode_added(en, &t->raw, (struct str){text.ptr + at, n}, place, encode_normalised, e))
            return false;
        at += n;
        if (at < text.len) tokens_add(en->out, t->byte_ids[(unsigned char)text.ptr[at++]]);
    }
    return true;
}

static bool finish_encoding(struct encoding *en, bool done, size_t n_before) {
    if (!done) en->out->len = n_before;
    bpe_work_fini(&en->work);
    tokens_free(&en->symbols);
    buf_free(&en->normal);
    buf_free(&en->spaced);
    return done;
}

bool tokenizer_encode_part(const struct tokenizer *t, struct str text, enum tokenizer_place place,
                           struct tokens *out, struct err *e) {
    struct encoding en = {.t = t, .out = out};
    size_t n_before = out->len;
    if (!check_length(text, e)) return false;
    return finish_encoding(&en, encode_any(&en, text, place, e), n_before);
}

bool tokenizer_encode(const struct tokenizer *t, struct str text, struct tokens *out, struct err *e) {
    return tokenizer_encode_part(t, text, TOKENIZER_START, out, e);
}

bool tokenizer_encode_marked(const struct tokenizer *t, struct str text, const char *marks,
                             enum tokenizer_place place, struct tokens *out, struct err *e) {
    struct encoding en = {.t = t, .out = out};
    size_t n_before = out->len, at = 0, begin, end;
    bool done = true;
    int id;
    if (!check_length(text, e)) return false;
    while (done && added_next(&t->in_templates, text, marks, at, &begin, &end, &id)) {
        done = encode_any(&en, (struct str){text.ptr + at, begin - at}, place, e);
        tokens_add(out, id);
        at = end;
        place = TOKENIZER_AFTER_SPECIAL;
    }
    done = done && encode_any(&en, (struct str){text.ptr + at, text.len - at}, place, e);
    return finish_encoding(&en, done, n_before);
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

/* Whether bytes that follow a first byte c may stand there: what the second may be depends on c. */
static bool may_follow(unsigned char c, unsigned char second) {
    switch (c) {
    case 0xe0:
        return second >= 0xa0;
    case 0xed:
        return second < 0xa0;
    case 0xf0:
        return second >= 0x90;
    case 0xf4:
        return second < 0x90;
    default:
        return true;
    }
}

size_t tokenizer_complete_utf8(struct str pending) {
    for (size_t back = 1; back <= MIN(pending.len, 3u); back++) {
        const unsigned char *at = (const unsigned char *)pending.ptr + pending.len - back, c = at[0];
        if ((c & 0xc0) == 0x80) continue;
        size_t n = c >= 0xf0 && c <= 0xf4 ? 4 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xc2 && c < 0xe0 ? 2 : 1;
        return back < n && (back == 1 || may_follow(c, at[1])) ? pending.len - back : pending.len;
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

const char *tokenizer_kind(const struct tokenizer *t) {
    return t->pieces ? "SentencePiece BPE" : "byte-level BPE";
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

int tokenizer_unk_token(const struct tokenizer *t) {
    return t->unk_token;
}

int tokenizer_pad_token(const struct tokenizer *t) {
    return t->pad_token;
}

uint64_t tokenizer_hash(const struct tokenizer *t) {
    return t->hash;
}
