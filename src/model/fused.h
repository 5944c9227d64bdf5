/* fused.h - tensors that hold the rows of several, one below the other.
 *
 *     self_attn.qkv_proj -> q_proj, k_proj, v_proj        mlp.gate_up_proj -> gate_proj, up_proj
 *
 * Families with fused weights (Phi-3) are read as if the parts lay in the file by themselves: nothing is
 * copied.
 */
#ifndef BROOD_FUSED_H
#define BROOD_FUSED_H

#include "model/weights.h"

/* Adds the parts of t to w as PREFIX + part + SUFFIX ("model.layers.3.", ".weight"); fused is the left name
 * above. False, and nothing is added, where there is no such name or its rows do not add up. */
bool fused_add(struct weights *w, const struct model_config *c, const char *fused, struct str prefix,
               struct str suffix, const struct tensor *t);

/* Replaces every tensor of such a name in a finished list; refuses what does not add up. */
MUST bool fused_split(struct weights *w, const struct model_config *c, const char *where, struct err *e);

#endif
