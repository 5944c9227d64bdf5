/* tokenizer_config.h - tokenizer_config.json and chat_template.jinja: which tokens begin and end a text, and
 * how a chat is written. */
#ifndef BROOD_TOKENIZER_CONFIG_H
#define BROOD_TOKENIZER_CONFIG_H

#include <jansson.h>

#include "base/err.h"

struct tokenizer_config { /* owned strings; NULL: not given */
    char *bos_token, *eos_token, *chat_template;
    bool add_bos;
};

/* A folder without these files gives an empty configuration. chat_template.jinja goes before the key; of
 * several named templates the one called "default" is taken. */
MUST bool tokenizer_config_read(const char *dir, struct tokenizer_config *out, struct err *e);
MUST bool tokenizer_config_parse(const json_t *root, const char *where, struct tokenizer_config *out,
                                 struct err *e);
void tokenizer_config_fini(struct tokenizer_config *c);

#endif
