/* digest.c - see digest.h. */
#include "hub/digest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/evp.h>

#include "base/mem.h"

struct digest {
    EVP_MD_CTX *ctx;
};

struct digest *digest_new(enum digest_kind kind, uint64_t n_bytes) {
    struct digest *d = mem_zalloc(1, sizeof *d);
    d->ctx = EVP_MD_CTX_new();
    ASSERT(d->ctx && EVP_DigestInit_ex(d->ctx, kind == DIGEST_SHA256 ? EVP_sha256() : EVP_sha1(), NULL));
    if (kind == DIGEST_GIT_BLOB) {
        char head[32];
        const int n = snprintf(head, sizeof head, "blob %" PRIu64, n_bytes);
        digest_add(d, head, (size_t)n + 1);
    }
    return d;
}

void digest_add(struct digest *d, const void *bytes, size_t n) {
    ASSERT(EVP_DigestUpdate(d->ctx, bytes, n));
}

void digest_end(struct digest *d, char out[DIGEST_HEX_MAX]) {
    unsigned char raw[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    ASSERT(EVP_DigestFinal_ex(d->ctx, raw, &n) && 2 * n < DIGEST_HEX_MAX);
    for (unsigned i = 0; i < n; i++) snprintf(out + (size_t)2 * i, 3, "%02x", raw[i]);
    digest_free(d);
}

void digest_free(struct digest *d) {
    if (!d) return;
    EVP_MD_CTX_free(d->ctx);
    free(d);
}
