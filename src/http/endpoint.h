/* endpoint.h - the servers that a spec names: http://host:port/v1,http://other:port/v1#model.
 *
 * From the environment: BROOD_API_KEY, or BROOD_API_KEY_FILE with the key in its first line, sent as a bearer
 * token; it is in no name, identity, record or message. A reward model has keys of its own in
 * BROOD_REWARD_API_KEY or BROOD_REWARD_API_KEY_FILE where one of them is set (empty: no key is sent).
 * BROOD_RETRY_SECONDS (120): servers that failed for so long are gone for good. BROOD_REQUEST_SECONDS:
 * deadline of one request.
 */
#ifndef BROOD_HTTP_ENDPOINT_H
#define BROOD_HTTP_ENDPOINT_H

#include "http/remote.h"

struct endpoint {
    struct remote *remote;
    char *model; /* as asked for; "": the only one that there is */
    int n_servers;
    double request_seconds; /* 0: the caller decides */
};

/* what: "policy" or "reward model", for messages and keys. */
MUST bool endpoint_open(const char *what, const char *spec, struct endpoint *out, struct err *e);
void endpoint_close(struct endpoint *x);

#endif
