/* vocab.h - a vocabulary as a model file brings it, before a tokenizer is made of it.
 *
 * A reader (gguf_vocab.c) fills the struct from its metadata; vocab_tokenizer makes the tokenizer. Two kinds:
 *
 *     VOCAB_BYTE_LEVEL     tokens written with GPT-2's printable stand-ins for bytes (control and
 * user-defined ones as they are), merges in order of rank, a split pattern by name ("llama-bpe")
 *     VOCAB_SENTENCEPIECE  tokens with U+2581 for a space, scores instead of merges, byte tokens "<0x0A>"
 *
 * Ownership: arrays and the template are owned (vocab_source_fini); the strings in them are borrowed from the
 * file, which must outlive the struct, but not the tokenizer made of it.
 */
#ifndef BROOD_VOCAB_H
#define BROOD_VOCAB_H

#include "base/err.h"
#include "model/tokenizer.h"

enum vocab_kind { VOCAB_BYTE_LEVEL, VOCAB_SENTENCEPIECE };

enum vocab_type { /* the numbers of tokenizer.ggml.token_type, and of SentencePiece's own files */
                  VOCAB_NORMAL = 1,
                  VOCAB_UNKNOWN = 2,
                  VOCAB_CONTROL = 3, /* a special token: never found in text */
                  VOCAB_USER = 4,    /* an added token: found in text as it is */
                  VOCAB_UNUSED = 5,  /* padding up to the model's number of ids: neither found nor written */
                  VOCAB_BYTE = 6,
};

enum { VOCAB_ENDS_MAX = 32 };

struct vocab_source {
    enum vocab_kind kind;
    struct str pattern; /* byte level: name of the split pattern, as the file writes it; empty: not given */
    struct str *tokens; /* [n_tokens] */
    uint8_t *types;     /* [n_tokens] enum vocab_type */
    float *scores;      /* [n_tokens], or NULL; finite */
    struct str *merges; /* [n_merges] "left right" */
    size_t n_tokens, n_merges;
    int bos, eos, unknown; /* ids, or -1 */
    int ends[VOCAB_ENDS_MAX];
    int n_ends; /* ids that end an answer: eos, eot, eom, and control tokens with such a name */
    int add_bos, add_eos, add_space_prefix; /* 1, 0, or -1: not given, the kind decides */
    bool remove_extra_whitespace;
    struct str chat_template;  /* empty: none */
    struct str tokenizer_json; /* Hugging Face's tokenizer.json, if the file carries it; else empty */
};

void vocab_source_fini(struct vocab_source *v);

/* `where` names the file in messages. */
MUST struct tokenizer *vocab_tokenizer(const struct vocab_source *v, const char *where, struct err *e);

#endif
