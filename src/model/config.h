/* config.h - config.json and generation_config.json into numbers.
 *
 * Both dialects are read: rope_theta, rope_scaling and torch_dtype; or rope_parameters and dtype. What would
 * change the computation and is not computed here (unknown RoPE scalings, quantised weights, other
 * activations) is refused by name; where attention has a sliding window, the context ends with it.
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

/* ---- for the other readers of configurations ---- */

MUST bool config_check(const struct model_config *c, const char *where,
                       struct err *e); /* sizes and epsilon */
MUST bool config_check_theta(const struct model_config *c, const char *where, struct err *e);
MUST bool config_make_sampling(double temperature, double top_p, double min_p, int64_t top_k,
                               const char *where, struct model_sampling *out, struct err *e);
double config_yarn_attention(double factor); /* yarn's usual sharpening: 0.1 ln(factor) + 1 */
/* Checks yarn's numbers and lengthens the context to what they make of it. */
MUST bool config_finish_yarn(struct model_config *c, const char *where, struct err *e);
/* Checks longrope's numbers and ends the context with the original one. */
MUST bool config_finish_longrope(struct model_config *c, const char *where, struct err *e);
void config_limit_window(struct model_config *c,
                         int64_t window); /* the context ends with a window; 0: none */

#endif
