/* tokenizer_build.c - the parts of a tokenizer put together, whatever file they come from. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "model/nfc.h"
#include "model/tokenizer_impl.h"

struct tokenizer *tokenizer_new(void) {
    struct tokenizer *t = mem_zalloc(1, sizeof *t);
    t->bos = t->bos_token = t->eos_token = t->unk_token = t->pad_token = -1;
    t->split = split_new();
    for (int b = 0; b < 256; b++) t->byte_ids[b] = -1;
    return t;
}

void tokenizer_close(struct tokenizer *t) {
    if (!t) return;
    buf_free(&t->arena);
    free(t->entries);
    free(t->whole);
    map_free(t->ordinary);
    map_free(t->added_ids);
    bpe_free(t->bpe);
    split_free(t->split);
    added_fini(&t->raw);
    added_fini(&t->normalised);
    added_fini(&t->in_templates);
    free(t);
}

/* ---- tokens ---- */

void tokenizer_grow(struct tokenizer *t, int id_max) {
    if (id_max < t->n_ids) return;
    t->entries = mem_realloc(t->entries, (size_t)id_max + 1, sizeof *t->entries);
    memset(t->entries + t->n_ids, 0, (size_t)(id_max + 1 - t->n_ids) * sizeof *t->entries);
    t->n_ids = id_max + 1;
}

bool tokenizer_put(struct tokenizer *t, int id, size_t at, bool added, bool special, struct str text,
                   const char *where, struct err *e) {
    struct vocabulary_entry *v = &t->entries[id];
    if (v->present && !added)
        return err_set(e, ERR_INPUT, "%s: token \"%.*s\" has id %d, which another has", where,
                       (int)MIN(text.len, 60u), text.ptr, id);
    *v = (struct vocabulary_entry){.at = at,
                                   .n_bytes = (uint32_t)(t->arena.len - at),
                                   .present = true,
                                   .added = added,
                                   .special = special};
    return true;
}

static void list_added(struct tokenizer *t, struct str text, int id, const struct added_flags *f) {
    const struct added_token token = {.id = id,
                                      .special = f->special,
                                      .lstrip = f->lstrip,
                                      .rstrip = f->rstrip,
                                      .single_word = f->single_word};
    struct buf normal = {0};
    if (f->special || !f->normalised) added_put(&t->in_templates, text, &token);
    if (f->normalised) {
        tokenizer_normalise(t, text, TOKENIZER_START, &normal);
        text = buf_str(&normal);
    }
    added_put(f->normalised ? &t->normalised : &t->raw, text, &token);
    buf_free(&normal);
}

bool tokenizer_put_added(struct tokenizer *t, struct str text, int id, int known_id,
                         const struct added_flags *f, const char *where, struct err *e) {
    if (text.len == 0 || text.len > TOKENIZER_ADDED_BYTES_MAX)
        return err_set(e, ERR_INPUT, "%s: added token %d has %zu bytes", where, id, text.len);
    if (!t->added_ids) t->added_ids = map_new(64);
    tokenizer_grow(t, id);
    if ((known_id >= 0 && known_id != id) || (known_id < 0 && t->entries[id].present) ||
        t->entries[id].added || !map_put(t->added_ids, text, (uint32_t)id))
        return err_set(e, ERR_INPUT, "%s: added token \"%.*s\" (id %d) is at odds with another token", where,
                       (int)MIN(text.len, 60u), text.ptr, id);
    size_t at = t->arena.len;
    if (t->pieces)
        tokenizer_add_piece_text(text, &t->arena);
    else
        buf_add_str(&t->arena, text);
    list_added(t, text, id, f);
    return tokenizer_put(t, id, at, true, f->special, text, where, e);
}

void tokenizer_finish_added(struct tokenizer *t) {
    if (!t->added_ids) t->added_ids = map_new(0);
    added_finish(&t->raw);
    added_finish(&t->normalised);
    added_finish(&t->in_templates);
}

bool tokenizer_find(const struct tokenizer *t, struct str key, int *id) {
    uint32_t found;
    if (!map_get(t->ordinary, key, &found)) return false;
    const struct vocabulary_entry *v = &t->entries[found];
    if (v->special) return false;
    *id = (int)found;
    return !v->added || str_equal((struct str){t->arena.ptr + v->at, v->n_bytes}, key);
}

/* ---- the whole ---- */

static uint64_t hash_entry(uint64_t h, const struct tokenizer *t, int id) {
    const struct vocabulary_entry *v = &t->entries[id];
    const uint32_t head[] = {(uint32_t)id, v->n_bytes, v->added, v->special};
    h = rng_hash(h, head, sizeof head);
    return rng_hash(h, t->arena.ptr + v->at, v->n_bytes);
}

/* Of byte-level vocabularies by what has always been hashed: recorded runs name models by it. */
static void hash_vocabulary(struct tokenizer *t) {
    const uint8_t flags[] = {t->ignore_merges, t->nfc};
    const uint8_t more[] = {t->spaces_written_first, t->spaces_written, (uint8_t)t->space_before,
                            (uint8_t)t->cut};
    uint64_t h = rng_hash(split_hash(t->split), flags, sizeof flags);
    if (t->pieces) h = rng_hash(h, more, sizeof more);
    for (int id = 0; id < t->n_ids; id++) {
        if (t->entries[id].present) h = hash_entry(h, t, id);
    }
    t->hash = rng_hash(h, &t->hash, sizeof t->hash);
}

/* Whether no token has a space behind something else: then merging never crosses to a space. */
static bool spaces_only_begin(const struct tokenizer *t) {
    for (int id = 0; id < t->n_ids; id++) {
        const struct vocabulary_entry *v = &t->entries[id];
        const char *text = t->arena.ptr + v->at;
        for (uint32_t i = 1; v->present && !v->special && i < v->n_bytes; i++) {
            if (text[i] == ' ' && text[i - 1] != ' ') return false;
        }
    }
    return true;
}

static void find_chars(struct tokenizer *t) {
    for (int c = 0; c < 128; c++) {
        const char text = (char)c;
        if (!tokenizer_find(t, (struct str){&text, 1}, &t->char_ids[c])) t->char_ids[c] = -1;
    }
}

void tokenizer_finish(struct tokenizer *t) {
    t->whole = mem_zalloc((size_t)t->n_ids, sizeof *t->whole);
    for (int id = 0; id < t->n_ids; id++)
        t->n_bytes_longest = MAX(t->n_bytes_longest, (size_t)t->entries[id].n_bytes);
    if (t->pieces) {
        t->n_bytes_longest *= 3; /* a space is written in three */
        find_chars(t);
        if (t->cut == CUT_NOWHERE && !t->ignore_merges && spaces_only_begin(t)) t->cut = CUT_RUNS;
    }
    hash_vocabulary(t);
}

void tokenizer_normalise(const struct tokenizer *t, struct str text, enum tokenizer_place place,
                         struct buf *out) {
    size_t first = out->len;
    if (t->space_before == SPACE_ALWAYS && place != TOKENIZER_INSIDE && text.len)
        buf_add_str(out, STR(TOKENIZER_SPACE));
    if (t->nfc && !nfc_is_plain(text))
        nfc_add(out, text);
    else
        buf_add_str(out, text);
    if (t->spaces_written_first) tokenizer_write_spaces(out, first);
}

void tokenizer_write_spaces(struct buf *b, size_t from) {
    size_t n_spaces = 0;
    for (size_t i = from; i < b->len; i++) n_spaces += b->ptr[i] == ' ';
    if (n_spaces == 0) return;
    size_t at = b->len, to = at + 2 * n_spaces;
    for (size_t i = 0; i < n_spaces; i++) buf_add(b, "  ", 2);
    while (at > from) {
        char c = b->ptr[--at];
        to -= c == ' ' ? 3 : 1;
        if (c == ' ')
            memcpy(b->ptr + to, TOKENIZER_SPACE, 3);
        else
            b->ptr[to] = c;
    }
}
