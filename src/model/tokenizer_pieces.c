/* tokenizer_pieces.c - a SentencePiece-style tokenizer from pieces with scores.
 *
 * The pair whose joint piece has the highest score is merged first, the leftmost among equals: as
 * SentencePiece does and llama.cpp after it. Every way to cut a piece into two others is a merge; its rank is
 * the place of the piece's score.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "model/tokenizer_impl.h"

enum { PIECE_BYTES_MAX = 1024 };

static int hex_digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int tokenizer_piece_byte(struct str piece) {
    if (piece.len != 6 || !str_starts(piece, STR("<0x")) || piece.ptr[5] != '>') return -1;
    int high = hex_digit(piece.ptr[3]), low = hex_digit(piece.ptr[4]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

void tokenizer_add_piece_text(struct str piece, struct buf *out) {
    for (ptrdiff_t at; (at = str_find(piece, STR(TOKENIZER_SPACE))) >= 0;) {
        buf_add(out, piece.ptr, (size_t)at);
        buf_add_char(out, ' ');
        piece.ptr += at + 3;
        piece.len -= (size_t)at + 3;
    }
    buf_add_str(out, piece);
}

/* ---- pieces ---- */

static bool refuse(size_t id, struct str text, const char *why, const char *where, struct err *e) {
    return err_set(e, ERR_INPUT, "%s: token %zu \"%.*s\" %s", where, id, (int)MIN(text.len, 60u), text.ptr,
                   why);
}

static bool is_utf8(struct str text) {
    uint32_t scalar;
    for (size_t at = 0; at < text.len;) {
        int n = str_utf8(text, at, &scalar);
        if (n == 0) return false;
        at += (size_t)n;
    }
    return true;
}

static bool put_byte(struct tokenizer *t, int id, struct str text, const char *where, struct err *e) {
    int byte = tokenizer_piece_byte(text);
    if (byte < 0 || t->byte_ids[byte] >= 0)
        return refuse((size_t)id, text, byte < 0 ? "is no byte" : "is there twice", where, e);
    size_t at = t->arena.len;
    buf_add_char(&t->arena, (char)byte);
    t->byte_ids[byte] = id;
    return tokenizer_put(t, id, at, false, false, text, where, e);
}

static bool put_piece(struct tokenizer *t, const struct vocab_source *v, int id, const char *where,
                      struct err *e) {
    const struct str text = v->tokens[id];
    const enum vocab_type type = v->types[id];
    size_t at = t->arena.len;
    if (type == VOCAB_UNUSED) return true;
    if (text.len == 0 || text.len > PIECE_BYTES_MAX || !is_utf8(text))
        return refuse((size_t)id, text, "is empty, too long, or no text in UTF-8", where, e);
    if (type == VOCAB_BYTE) return put_byte(t, id, text, where, e);
    if (type != VOCAB_NORMAL) {
        const struct added_flags f = {.special = type != VOCAB_USER};
        return tokenizer_put_added(t, text, id, -1, &f, where, e);
    }
    if (!map_put(t->ordinary, text, (uint32_t)id))
        return refuse((size_t)id, text, "is there twice", where, e);
    tokenizer_add_piece_text(text, &t->arena);
    return tokenizer_put(t, id, at, false, false, text, where, e);
}

static bool put_pieces(struct tokenizer *t, const struct vocab_source *v, const char *where, struct err *e) {
    tokenizer_grow(t, (int)v->n_tokens - 1);
    t->ordinary = map_new(v->n_tokens);
    for (size_t i = 0; i < v->n_tokens; i++) {
        if (!put_piece(t, v, (int)i, where, e)) return false;
    }
    tokenizer_finish_added(t);
    return true;
}

/* ---- merges ---- */

struct scored {
    float score;
    int id;
};

static int compare(const void *x, const void *y) {
    const struct scored *a = x, *b = y;
    if (a->score != b->score) return a->score > b->score ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

/* Every cut of a piece into two that are pieces; put as merges unless b is NULL. Returns how many. */
static size_t put_cuts(struct tokenizer *t, struct str piece, uint32_t rank, int id, struct bpe *b) {
    size_t n = 0;
    for (size_t at = 1; at < piece.len; at++) {
        int left, right;
        if (((unsigned char)piece.ptr[at] & 0xc0) == 0x80) continue;
        if (!tokenizer_find(t, (struct str){piece.ptr, at}, &left) ||
            !tokenizer_find(t, (struct str){piece.ptr + at, piece.len - at}, &right))
            continue;
        n++;
        if (!b) continue;
        const uint32_t merge[] = {(uint32_t)left, (uint32_t)right, rank};
        bpe_put(b, left, right, rank, id);
        t->hash = rng_hash(t->hash, merge, sizeof merge);
    }
    return n;
}

static bool put_merges(struct tokenizer *t, const struct vocab_source *v, const char *where, struct err *e) {
    struct scored *order = mem_alloc(v->n_tokens * sizeof *order);
    size_t n = 0, n_merges = 0;
    for (size_t i = 0; i < v->n_tokens; i++) {
        if (v->types[i] == VOCAB_NORMAL) order[n++] = (struct scored){v->scores[i], (int)i};
    }
    if (n) qsort(order, n, sizeof *order, compare);
    for (size_t i = 0; i < n; i++) n_merges += put_cuts(t, v->tokens[order[i].id], 0, 0, NULL);
    bool done = n_merges <= BPE_MERGES_MAX ||
                err_set(e, ERR_INPUT, "%s: the vocabulary makes %zu merges, which are over %d", where,
                        n_merges, BPE_MERGES_MAX);
    if (done) t->bpe = bpe_new(n_merges);
    for (size_t i = 0, rank = 0; done && i < n; i++) {
        if (i > 0 && order[i].score < order[i - 1].score) rank = i;
        put_cuts(t, v->tokens[order[i].id], (uint32_t)rank, order[i].id, t->bpe);
    }
    free(order);
    return done;
}

static bool fill(struct tokenizer *t, const struct vocab_source *v, const char *where, struct err *e) {
    if (v->n_tokens == 0 || v->n_tokens > TOKENIZER_IDS_MAX || !v->scores)
        return err_set(e, ERR_INPUT, "%s: a SentencePiece-style vocabulary needs 1 to %d tokens with scores",
                       where, TOKENIZER_IDS_MAX);
    if (v->remove_extra_whitespace)
        return err_set(e, ERR_INPUT, "%s: a tokenizer that removes white space is not supported", where);
    if (!put_pieces(t, v, where, e)) return false;
    for (int b = 0; b < 256; b++) {
        if (t->byte_ids[b] < 0)
            return err_set(
                e, ERR_INPUT,
                "%s: the vocabulary has no token for byte 0x%02x: not SentencePiece-style BPE with "
                "byte fallback",
                where, b);
    }
    return put_merges(t, v, where, e);
}

struct tokenizer *tokenizer_from_pieces(const struct vocab_source *v, bool legacy, const char *where,
                                        struct err *e) {
    struct tokenizer *t = tokenizer_new();
    t->pieces = true;
    t->spaces_written_first = legacy;
    t->spaces_written = !legacy;
    if (v->add_space_prefix != 0) t->space_before = legacy ? SPACE_ALWAYS : SPACE_FIRST;
    if (fill(t, v, where, e)) {
        tokenizer_finish(t);
        return t;
    }
    tokenizer_close(t);
    return NULL;
}
