/* tokenizer_impl.h - what a tokenizer is made of: filled by tokenizer_json.c and tokenizer_pieces.c, used by
 * tokenizer.c.
 *
 *     text -> ill-formed bytes apart -> added tokens on raw text -> NFC, U+2581 for spaces and before the
 *          text -> added tokens on normalised text -> split patterns, or U+2581 for spaces -> one symbol
 *          a byte, or a character -> merges
 *
 * A vocabulary of bytes is kept as raw bytes: the printable stand-ins of the file are undone once. One of
 * pieces (SentencePiece) is kept as it is written; what a token stands for is in the entries of both.
 */
#ifndef BROOD_TOKENIZER_IMPL_H
#define BROOD_TOKENIZER_IMPL_H

#include <jansson.h>

#include "base/map.h"
#include "model/added.h"
#include "model/bpe.h"
#include "model/split.h"
#include "model/tokenizer.h"
#include "model/vocab.h"

enum { TOKENIZER_IDS_MAX = 1 << 22, TOKENIZER_TOKEN_BYTES_MAX = 1 << 16, TOKENIZER_ADDED_BYTES_MAX = 4096 };

#define TOKENIZER_SPACE "\xe2\x96\x81" /* U+2581, which stands for a space */

struct vocabulary_entry {
    size_t at; /* of its bytes in the arena */
    uint32_t n_bytes;
    bool present, added, special;
};

enum space_before { /* what is put before a text, and before what follows an added token */
                    SPACE_NONE,
                    SPACE_ALWAYS,  /* by the normaliser: even where there is one */
                    SPACE_MISSING, /* where there is none */
                    SPACE_FIRST,   /* where there is none, and at the start of a text only */
};

enum space_cut { /* where pieces begin within a text, besides its start */
                 CUT_NOWHERE,
                 CUT_RUNS, /* at each run of spaces: the same as nowhere, since no token has a space behind
                              something else */
                 CUT_EACH, /* at each space: the file says so */
};

struct tokenizer {
    struct buf arena;
    struct vocabulary_entry *entries; /* [n_ids] */
    int n_ids;
    struct map *ordinary;  /* by bytes or piece: a special token is never found by what it looks like */
    struct map *added_ids; /* added tokens by text */
    int byte_ids[256];
    struct bpe *bpe;
    bool pieces; /* SentencePiece style */
    bool ignore_merges, nfc;
    bool spaces_written_first;      /* spaces become U+2581 before normalised added tokens are looked for */
    bool spaces_written;            /* or behind that */
    enum space_before space_before; /* SPACE_ALWAYS: with the former, the others: with the latter */
    enum space_cut cut;
    int char_ids[128];      /* of pieces of one ASCII character, or -1 */
    size_t n_bytes_longest; /* of what stands in `ordinary` */
    _Atomic uint8_t *whole; /* [n_ids] enum whole of tokenizer.c: whether merging a token's text gives it */
    struct split *split;
    struct added raw, normalised;
    struct added in_templates; /* all that are special, among the others that raw text is searched for */
    int bos;                   /* put first by the post-processor, or -1 */
    int bos_token, eos_token, unk_token, pad_token; /* named by tokenizer_config.json, or -1 */
    uint64_t hash;
};

/* ---- making one (tokenizer_build.c) ---- */

struct tokenizer *tokenizer_new(void);
void tokenizer_grow(struct tokenizer *t, int id_max);

/* What begins at `at` in the arena becomes what `id` stands for. */
MUST bool tokenizer_put(struct tokenizer *t, int id, size_t at, bool added, bool special, struct str text,
                        const char *where, struct err *e);

struct added_flags {
    bool special, normalised, single_word, lstrip, rstrip;
};
/* An added token: `known_id` is the id that the vocabulary has for its text, or -1. */
MUST bool tokenizer_put_added(struct tokenizer *t, struct str text, int id, int known_id,
                              const struct added_flags *f, const char *where, struct err *e);

/* Once all added tokens are put. */
void tokenizer_finish_added(struct tokenizer *t);

/* An ordinary token by its bytes or piece. */
bool tokenizer_find(const struct tokenizer *t, struct str key, int *id);

/* Once all merges are put: hash, and what is derived. */
void tokenizer_finish(struct tokenizer *t);

/* Appends the normalised form of a text. */
void tokenizer_normalise(const struct tokenizer *t, struct str text, enum tokenizer_place place,
                         struct buf *out);

/* Spaces from b[from] on become U+2581. */
void tokenizer_write_spaces(struct buf *b, size_t from);

/* ---- SentencePiece style (tokenizer_pieces.c) ---- */

/* The byte that a piece such as "<0x0A>" stands for, or -1. */
int tokenizer_piece_byte(struct str piece);
/* Appends what a piece stands for. */
void tokenizer_add_piece_text(struct str piece, struct buf *out);

/* A tokenizer from pieces with scores. Where `legacy`, a space is put before each stretch of text between
 * special tokens, else before the first only; unless the source wants none. */
MUST struct tokenizer *tokenizer_from_pieces(const struct vocab_source *v, bool legacy, const char *where,
                                             struct err *e);

/* ---- tokenizer.json ---- */

/* A tokenizer without settings from tokenizer_config.json. */
MUST struct tokenizer *tokenizer_parse(const json_t *root, const char *where, struct err *e);

/* tokenizer_json_parts.c: normaliser, splitter, post-processor and decoder, each refused by name where not
 * understood. The splitter decides between bytes and pieces. */
MUST bool tokenizer_parse_normaliser(struct tokenizer *t, const json_t *part, const char *where,
                                     struct err *e);
MUST bool tokenizer_parse_splitter(struct tokenizer *t, const json_t *part, bool byte_fallback,
                                   const char *where, struct err *e);
MUST bool tokenizer_parse_post_processor(struct tokenizer *t, const json_t *part, const char *where,
                                         struct err *e);
MUST bool tokenizer_parse_decoder(const struct tokenizer *t, const json_t *part, const char *where,
                                  struct err *e);

#endif
