/* declared.h - what the operator declared when the server was started, and requests may name: plans of the
 * strategy adaptive, verifiers.
 *
 *     --plan NAME=FILE --verify NAME=SPEC        a request says "plan":"NAME", "verify":"NAME"
 *
 * A client names one of them and nothing else: no file, no command. Verifiers outside of the sandbox are
 * refused, for whoever words the problem has a say in what the policy writes.
 *
 * Ownership: everything belongs to the struct. Threads: after declared_open names are read by any; verifiers
 * are worked by the desk's.
 */
#ifndef BROOD_SERVE_DECLARED_H
#define BROOD_SERVE_DECLARED_H

#include "serve/serve.h"
#include "verify/verifier.h"

enum { DECLARED_MAX = 32, DECLARED_NAME_BYTES_MAX = 64 };

struct declared_thing {
    char *name;
    char *plan;                /* its text */
    struct verifier *verifier; /* or this */
};

struct declared {
    struct declared_thing plans[DECLARED_MAX], verifiers[DECLARED_MAX];
    int n_plans, n_verifiers;
};

/* To be opened before services that have threads. Free with declared_fini in any case. */
MUST bool declared_open(struct declared *d, const struct serve_options *o, struct err *e);
void declared_fini(struct declared *d);
/* NULL: there is none of this name. */
const char *declared_plan(const struct declared *d, const char *name);
struct verifier *declared_verifier(const struct declared *d, const char *name);
/* "a, b"; "none" */
void declared_list(const struct declared_thing *things, int n, struct buf *out);

#endif
