/* digest.h - inside the room: hashes of files as hubs list them, over libcrypto. */
#ifndef BROOD_HUB_DIGEST_H
#define BROOD_HUB_DIGEST_H

#include "base/base.h"

enum digest_kind {
    DIGEST_SHA256,   /* of the bytes */
    DIGEST_GIT_BLOB, /* SHA-1 of "blob N", a NUL and the N bytes */
};
enum { DIGEST_HEX_MAX = 65 };

struct digest;

struct digest *digest_new(enum digest_kind kind, uint64_t n_bytes); /* of the whole file */
void digest_add(struct digest *d, const void *bytes, size_t n);
void digest_end(struct digest *d, char out[DIGEST_HEX_MAX]); /* lower-case hexadecimal; frees */
void digest_free(struct digest *d);                          /* NULL is legal */

#endif
