/* api.h - what the page asks beside the models: options, past runs (docs/serve.md).
 *
 * Threads: any; reports are made one at a time, and one after the other for who asks meanwhile.
 */
#ifndef BROOD_SERVE_API_H
#define BROOD_SERVE_API_H

#include "serve/desk.h"

json_t *api_models(const struct desk *d, const struct serve_options *o, long long created);
/* One of them; NULL: there is none of this name. */
json_t *api_model(const struct desk *d, const struct serve_options *o, long long created, const char *name);
json_t *api_options(const struct desk *d, const struct serve_options *o, bool has_key);
json_t *api_runs(const struct serve_options *o);
/* NULL with a refusal: no such run, or it cannot be read. */
MUST json_t *api_run(const struct serve_options *o, const char *name, struct refusal *why);

#endif
