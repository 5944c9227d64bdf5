/* tokenizer_config.h - tokenizer_config.json and chat_template.jinja: which tokens begin and end a text, and
 * how a chat is written. */
#ifndef BROOD_TOKENIZER_CONFIG_H
#define BROOD_TOKENIZER_CONFIG_H

#include <jansson.h>

#include "base/err.h"

struct tokenizer_config { /* owned strings; NULL: not given */
    char *bos_token, *eos_token, *unk_token, *pad_token, *chat_template;
    int add_bos; /* 1, 0, or -1: not given */
    bool legacy; /* tokenizer.model: a space before each stretch of text; true unless said otherwise */
    json_t *added_tokens; /* the object "added_tokens_decoder", or NULL */
    json_t *more_special; /* the list "additional_special_tokens", or NULL */
};

/* A folder without these files gives an empty configuration. chat_template.jinja goes before the key; of
 * several named templates the one called "default" is taken. */
MUST bool tokenizer_config_read(const char *dir, struct tokenizer_config *out, struct err *e);
MUST bool tokenizer_config_parse(const json_t *root, const char *where, struct tokenizer_config *out,
                                 struct err *e);
/* Whether the configuration names a text as a special token. */
bool tokenizer_config_is_special(const struct tokenizer_config *c, const char *text);
void tokenizer_config_fini(struct tokenizer_config *c);

#endif
