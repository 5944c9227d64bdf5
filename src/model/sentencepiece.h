/* sentencepiece.h - tokenizer.model, the file that SentencePiece writes: for folders without tokenizer.json.
 *
 * A protocol buffer of pieces with scores and types, and of how text is normalised. BPE with byte fallback
 * and without rewriting of characters is read (Llama-2, Mistral); anything else is refused by name. Tokens
 * that were added later stand in added_tokens.json or in tokenizer_config.json.
 */
#ifndef BROOD_SENTENCEPIECE_H
#define BROOD_SENTENCEPIECE_H

#include "model/tokenizer_config.h"
#include "model/vocab.h"

/* What the file's bytes say; its strings are borrowed from them. Filled until vocab_source_fini, even on
 * failure. */
MUST bool sentencepiece_parse(struct str bytes, const char *where, struct vocab_source *out, struct err *e);

/* The tokenizer of tokenizer.model in a folder. */
MUST struct tokenizer *sentencepiece_open(const char *dir, const struct tokenizer_config *c, struct err *e);

#endif
