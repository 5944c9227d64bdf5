/* config.h - config.json and generation_config.json into numbers.
 *
 * Both dialects are read: rope_theta, rope_scaling and torch_dtype; or rope_parameters and dtype. What would
 * change the computation and is not computed here (sliding windows, unknown RoPE scalings, quantised weights,
 * other activations) is refused by name.
 */
#ifndef BROOD_CONFIG_H
#define BROOD_CONFIG_H

#include <jansson.h>

#include "base/err.h"
#include "model/model.h"

enum { CONFIG_ENDS_MAX = 32 };
#define CONFIG_BYTES_MAX ((size_t)16 << 20)

struct config_ends { /* ids that end an answer */
    int ids[CONFIG_ENDS_MAX];
    int n;
};

MUST bool config_parse(const json_t *root, const char *where, struct model_config *out, struct err *e);

/* eos_token_id: a number, a list of numbers, or absent (n = 0). */
MUST bool config_parse_ends(const json_t *root, const char *where, int n_vocab, struct config_ends *out,
                            struct err *e);

/* generation_config.json's recommendation; what is absent is neutral (temperature 1, nothing cut). */
MUST bool config_parse_sampling(const json_t *root, const char *where, struct model_sampling *out,
                                struct err *e);

#endif
