/* fetch.h - inside the room: one file after another from a hub, over libcurl.
 *
 * Redirects are followed here, one by one, so that the token is sent where scheme, host and port are the
 * endpoint's and nowhere else; from https nothing leads back to http.
 */
#ifndef BROOD_HUB_FETCH_H
#define BROOD_HUB_FETCH_H

#include "base/err.h"
#include "base/str.h"
#include "hub/digest.h"

struct fetch;

struct fetch_watch {
    /* n_bytes: of the file that are here; n_came: of them, over the network since fetch_new; waits: why it
     * waits, or NULL. False: stop. */
    bool (*told)(void *ctx, uint64_t n_bytes, uint64_t n_came, const char *waits);
    void *ctx;
    double wait_seconds; /* before the first new try */
};

/* endpoint: "https://host", no slash at its end; token NULL: none. */
MUST struct fetch *fetch_new(const char *endpoint, const char *token, const struct fetch_watch *w,
                             struct err *e);
void fetch_free(struct fetch *f); /* NULL is legal */
uint64_t fetch_bytes_came(const struct fetch *f);

/* The whole answer, in memory. what: the thing asked for, for messages ("OWNER/NAME@main"). */
MUST bool fetch_text(struct fetch *f, const char *url, const char *what, size_t n_bytes_max, struct buf *out,
                     struct err *e);

struct fetch_file {
    const char *path; /* to write; "PATH.part" until it is verified */
    uint64_t n_bytes;
    enum digest_kind kind;
    const char *hash;
};
/* Leaves the verified file at its path. What is there already is verified, what is there in part is gone on
 * from. */
MUST bool fetch_file(struct fetch *f, const char *url, const char *what, const struct fetch_file *file,
                     struct err *e);

#endif
