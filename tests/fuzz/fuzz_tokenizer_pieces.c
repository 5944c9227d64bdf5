/* SentencePiece-style tokenizers: any text comes back; cutting at spaces gives what merging the whole does;
 * and tokenizer.model of any bytes is read or refused.
 *
 * An even first byte: the rest is text. An odd one: the rest is a file, which stands before a good one's
 * parts, so that what it breaks, replaces or adds is seen.
 */
#include "../model_files.h"
#include "model/sentencepiece.h"
#include "model/tokenizer_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static const char *const pieces[] = {TOKENIZER_SPACE,
                                     "a",
                                     "b",
                                     "t",
                                     "h",
                                     "e",
                                     "\xc3\xa9",
                                     TOKENIZER_SPACE "t",
                                     "he",
                                     TOKENIZER_SPACE "the",
                                     "aa",
                                     "aaaa",
                                     "ab",
                                     "ba",
                                     TOKENIZER_SPACE TOKENIZER_SPACE,
                                     ("e" TOKENIZER_SPACE)};
enum { N_PIECES = sizeof pieces / sizeof pieces[0], N_TOKENS = 3 + 256 + N_PIECES };

struct source {
    struct vocab_source v;
    struct str tokens[N_TOKENS];
    uint8_t types[N_TOKENS];
    float scores[N_TOKENS];
    char bytes[256][8];
};

/* n_pieces: without the last one no piece has a space behind something else. */
static void make_source(struct source *s, size_t n_pieces) {
    static const char *const specials[] = {"<unk>", "<s>", "</s>"};
    size_t n = 0;
    for (int i = 0; i < 3; i++) s->tokens[n] = str_from(specials[i]), s->types[n++] = VOCAB_CONTROL;
    for (int b = 0; b < 256; b++) {
        snprintf(s->bytes[b], sizeof s->bytes[b], "<0x%02X>", (unsigned)b);
        s->tokens[n] = str_from(s->bytes[b]);
        s->types[n++] = VOCAB_BYTE;
    }
    for (size_t i = 0; i < n_pieces; i++) {
        s->tokens[n] = str_from(pieces[i]);
        s->types[n] = VOCAB_NORMAL;
        s->scores[n++] = -(float)(i % 5);
    }
    s->v = (struct vocab_source){.kind = VOCAB_SENTENCEPIECE,
                                 .tokens = s->tokens,
                                 .types = s->types,
                                 .scores = s->scores,
                                 .n_tokens = n,
                                 .bos = 1,
                                 .eos = 2,
                                 .add_space_prefix = -1};
}

static struct tokenizer *open_one(bool legacy, size_t n_pieces) {
    static struct source s;
    struct err e;
    make_source(&s, n_pieces);
    struct tokenizer *t = tokenizer_from_pieces(&s.v, legacy, "fuzz", &e);
    ASSERT(t);
    return t;
}

static void encode(const struct tokenizer *t, struct str text, enum tokenizer_place place,
                   struct tokens *ids) {
    struct err e;
    ASSERT(tokenizer_encode_part(t, text, place, ids, &e));
    for (size_t i = 0; i < ids->len; i++) ASSERT(!tokenizer_is_special(t, ids->ptr[i]));
}

/* The text comes back behind at most one space, where U+2581 in it is a space as well. */
static void check_back(const struct tokenizer *t, struct str text, enum tokenizer_place place) {
    struct tokens ids = {0};
    struct buf back = {0}, wanted = {0};
    encode(t, text, place, &ids);
    tokenizer_decode(t, ids.ptr, ids.len, false, &back);
    tokenizer_add_piece_text(text, &wanted);
    size_t n_more = back.len - wanted.len;
    ASSERT(n_more <= 1 && (n_more == 0 || back.ptr[0] == ' '));
    ASSERT(wanted.len == 0 || str_equal((struct str){back.ptr + n_more, wanted.len}, buf_str(&wanted)));
    tokens_free(&ids);
    buf_free(&back);
    buf_free(&wanted);
}

/* A tokenizer that cuts at spaces against the same that does not. */
static void check_cut(struct tokenizer *t, struct str text) {
    struct tokens cut = {0}, whole = {0};
    ASSERT(t->cut == CUT_RUNS);
    encode(t, text, TOKENIZER_START, &cut);
    t->cut = CUT_NOWHERE;
    encode(t, text, TOKENIZER_START, &whole);
    t->cut = CUT_RUNS;
    ASSERT(cut.len == whole.len &&
           (cut.len == 0 || memcmp(cut.ptr, whole.ptr, cut.len * sizeof *cut.ptr) == 0));
    tokens_free(&cut);
    tokens_free(&whole);
}

static void check_text(struct str text) {
    static struct tokenizer *tokenizers[4];
    for (size_t i = 0; i < ARRAY_LEN(tokenizers); i++) {
        if (!tokenizers[i]) tokenizers[i] = open_one(i % 2, N_PIECES - i / 2);
        for (int place = TOKENIZER_START; place <= TOKENIZER_INSIDE; place++)
            check_back(tokenizers[i], text, (enum tokenizer_place)place);
        if (i / 2) check_cut(tokenizers[i], text);
    }
}

static void add_field(struct buf *out, int number, struct str bytes) {
    buf_add_char(out, (char)(number << 3 | 2));
    ASSERT(bytes.len < 128);
    buf_add_char(out, (char)bytes.len);
    buf_add_str(out, bytes);
}

/* Each stretch of text between such tokens has a space of its own. */
static bool has_added(const struct vocab_source *v) {
    for (size_t i = 0; i < v->n_tokens; i++)
        if (v->types[i] == VOCAB_USER) return true;
    return false;
}

static void check_file(struct str file) {
    static struct source s;
    struct vocab_source v;
    struct buf bytes = {0};
    struct err e = {0};
    make_source(&s, N_PIECES);
    buf_add_str(&bytes, file);
    for (size_t i = 3; i < s.v.n_tokens; i++) {
        struct buf part = {0};
        add_field(&part, 1, s.tokens[i]);
        buf_add(&part, (const char[]){3 << 3, (char)s.types[i]}, 2);
        add_field(&bytes, 1, buf_str(&part));
        buf_free(&part);
    }
    add_field(&bytes, 2, STR("\x18\x02"));
    add_field(&bytes, 3, STR("\x20\x00"));
    bool done = sentencepiece_parse(buf_str(&bytes), "fuzz", &v, &e);
    struct tokenizer *t = done ? tokenizer_from_pieces(&v, true, "fuzz", &e) : NULL;
    if (t && has_added(&v)) {
        struct tokens ids = {0};
        encode(t, STR("the  then"), TOKENIZER_START, &ids);
        tokens_free(&ids);
    } else if (t) {
        check_back(t, STR("the  then \xc3\xa9\xe4\xb8\xad\xff"), TOKENIZER_START);
    } else {
        ASSERT(e.code == ERR_INPUT && e.msg[0]);
    }
    tokenizer_close(t);
    vocab_source_fini(&v);
    buf_free(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    if (n == 0) return 0;
    const struct str rest = {(const char *)bytes + 1, n - 1};
    if (bytes[0] % 2)
        check_file(rest);
    else
        check_text(rest);
    return 0;
}
