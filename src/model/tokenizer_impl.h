/* tokenizer_impl.h - what a tokenizer is made of: filled by tokenizer_json.c, used by tokenizer.c.
 *
 *     text -> ill-formed bytes apart -> added tokens on raw text -> NFC -> added tokens on normalised text
 *          -> split patterns -> one symbol a byte -> merges
 *
 * A vocabulary is kept as raw bytes: the printable stand-ins of the file are undone once.
 */
#ifndef BROOD_TOKENIZER_IMPL_H
#define BROOD_TOKENIZER_IMPL_H

#include <jansson.h>

#include "base/map.h"
#include "model/added.h"
#include "model/bpe.h"
#include "model/split.h"
#include "model/tokenizer.h"

enum { TOKENIZER_IDS_MAX = 1 << 22, TOKENIZER_TOKEN_BYTES_MAX = 1 << 16 };

struct vocabulary_entry {
    size_t at; /* of its bytes in the arena */
    uint32_t n_bytes;
    bool present, added, special;
};

struct tokenizer {
    struct buf arena;
    struct vocabulary_entry *entries; /* [n_ids] */
    int n_ids;
    struct map *by_bytes;  /* ordinary tokens only: a special token is never found by what it looks like */
    struct map *added_ids; /* added tokens by text */
    int byte_ids[256];
    struct bpe *bpe;
    bool ignore_merges, nfc;
    struct split *split;
    struct added raw, normalised;
    int bos;                  /* put first by the post-processor, or -1 */
    int bos_token, eos_token; /* named by tokenizer_config.json, or -1 */
    uint64_t hash;
};

/* A tokenizer without settings from tokenizer_config.json. */
MUST struct tokenizer *tokenizer_parse(const json_t *root, const char *where, struct err *e);

/* tokenizer_json_parts.c: normaliser, splitter, post-processor and decoder, each refused by name where not
 * understood. */
MUST bool tokenizer_parse_normaliser(struct tokenizer *t, const json_t *part, const char *where,
                                     struct err *e);
MUST bool tokenizer_parse_splitter(struct tokenizer *t, const json_t *part, const char *where, struct err *e);
MUST bool tokenizer_parse_post_processor(struct tokenizer *t, const json_t *part, const char *where,
                                         struct err *e);
MUST bool tokenizer_parse_decoder(const json_t *part, const char *where, struct err *e);

#endif
