/* tokenizer.h - text to token ids and back, as tokenizer.json says.
 *
 * Byte-level BPE (Llama-3, Qwen, GPT-2 style): normaliser (none, NFC) -> added tokens -> split pattern
 * (PCRE2) -> byte symbols -> merges by rank (ignore_merges: a whole piece that is in the vocabulary is taken
 * as it is).
 *
 * SentencePiece-style BPE with byte fallback (Llama-2, Mistral): a space is written U+2581, and one is put
 * before the text; symbols are characters, and the bytes of characters that the vocabulary lacks. Read from
 * tokenizer.json, from tokenizer.model, or from the arrays of a GGUF file (vocab.h).
 *
 * Anything else in a file is refused by name.
 *
 * Special tokens are never parsed in a user's or a model's text: tokenizer_encode reads plain text only;
 * templates put special tokens by id (tokenizer_special).
 *
 * Threads: a tokenizer is read-only after loading; encode and decode may run on any thread.
 */
#ifndef BROOD_TOKENIZER_H
#define BROOD_TOKENIZER_H

#include "base/err.h"
#include "base/str.h"

struct tokenizer;

struct tokens { /* a growable list of ids */
    int *ptr;
    size_t len, cap;
};
void tokens_add(struct tokens *t, int id);
void tokens_add_all(struct tokens *t, const int *ids, size_t n);
void tokens_free(struct tokens *t);

/* Reads tokenizer.json, or else tokenizer.model, of a Hugging Face folder (and tokenizer_config.json beside
 * it). */
MUST struct tokenizer *tokenizer_open(const char *dir, struct err *e);
void tokenizer_close(struct tokenizer *t);

/* Appends the ids of plain text to *out, a whole text that begins here. Ill-formed UTF-8 is encoded as its
 * bytes. Text over TOKENIZER_TEXT_MAX bytes is an error. */
MUST bool tokenizer_encode(const struct tokenizer *t, struct str text, struct tokens *out, struct err *e);

/* The same for a part of a text. Where a part lies decides whether a SentencePiece-style tokenizer puts a
 * space before it; for byte-level BPE it makes no difference. */
enum tokenizer_place {
    TOKENIZER_START,         /* the text begins here */
    TOKENIZER_AFTER_SPECIAL, /* behind a special token, such as a template puts */
    TOKENIZER_INSIDE,        /* it goes on with text that is there already: a step, a continued answer */
};
MUST bool tokenizer_encode_part(const struct tokenizer *t, struct str text, enum tokenizer_place place,
                                struct tokens *out, struct err *e);

/* The same for what a chat template wrote: special tokens count where each of their bytes is marked
 * (marks[text.len], 1: the template's own text), and take white space beside them where the file says so. */
MUST bool tokenizer_encode_marked(const struct tokenizer *t, struct str text, const char *marks,
                                  enum tokenizer_place place, struct tokens *out, struct err *e);

/* The bytes that a token stands for (special tokens: their text). Borrowed for the tokenizer's life; not
 * NUL-terminated. A token may be part of a UTF-8 character. The space that a SentencePiece-style tokenizer
 * put before a text is among them. */
struct str tokenizer_bytes(const struct tokenizer *t, int id);

/* Appends the text of ids; special tokens are skipped if `skip_special`. */
void tokenizer_decode(const struct tokenizer *t, const int *ids, size_t n, bool skip_special,
                      struct buf *out);

/* Incremental decoding that never shows half a character: of the bytes in `pending`, the longest prefix that
 * does not end inside a UTF-8 character. Pieces that are cut so are shown as the whole is: what is ill-formed
 * in one is ill-formed in the other. */
size_t tokenizer_complete_utf8(struct str pending);

int tokenizer_special(const struct tokenizer *t,
                      const char *text); /* id of an added token by its exact text, or -1 */
bool tokenizer_is_special(const struct tokenizer *t, int id);
const char *tokenizer_kind(const struct tokenizer *t); /* "byte-level BPE", "SentencePiece BPE" */
int tokenizer_count(const struct tokenizer *t);        /* ids are 0 .. count-1; may have gaps */
int tokenizer_bos(const struct tokenizer
                      *t); /* id to put before plain text (from the post-processor or add_bos_token), or -1 */
int tokenizer_bos_token(
    const struct tokenizer *t); /* bos_token of tokenizer_config.json, which chat templates may name, or -1 */
int tokenizer_eos_token(const struct tokenizer *t); /* its eos_token, or -1 */
int tokenizer_unk_token(const struct tokenizer *t); /* its unk_token, or -1 */
int tokenizer_pad_token(const struct tokenizer *t); /* its pad_token, or -1 */
uint64_t tokenizer_hash(const struct tokenizer *t); /* equal for equal vocabularies, patterns and merges */

#define TOKENIZER_TEXT_MAX ((size_t)16 << 20)

#endif
