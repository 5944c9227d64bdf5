/* terms.h - what a request comes to on this server: its strategy in full, and nothing beyond the limits. */
#ifndef BROOD_SERVE_TERMS_H
#define BROOD_SERVE_TERMS_H

#include "serve/call.h"
#include "serve/serve.h"

/* Names under which a model may be asked for: `policy`, "brood", "brood/STRATEGY". Fills c->strategy,
 * c->asked, c->model and c->deadline. */
MUST bool terms_settle(struct call *c, const struct serve_options *o, const char *policy,
                       struct refusal *why);
/* Whether a strategy can be done with these models. */
bool terms_possible(const struct search_strategy *s, const struct policy_info *policy, bool has_reward);

#endif
