/* keys.h - who may ask: bearer keys, compared in constant time, never printed. Threads: read by any. */
#ifndef BROOD_SERVE_KEYS_H
#define BROOD_SERVE_KEYS_H

#include "base/err.h"
#include "base/str.h"

enum { KEYS_MAX = 256, KEYS_BYTES_MIN = 8, KEYS_BYTES_MAX = 256 };

struct keys {
    char *items[KEYS_MAX];
    size_t n; /* 0: everybody may ask */
};

/* One key a line; blank lines and lines that begin with '#' do not count. Refuses a file that others may
 * read, keys that are too short or hold blanks, and a file without any. */
MUST bool keys_read(struct keys *k, const char *path, struct err *e);
MUST bool keys_add(struct keys *k, struct str key, const char *where, struct err *e);
void keys_fini(struct keys *k);
/* header: of Authorization, "Bearer KEY"; may be NULL. */
bool keys_allow(const struct keys *k, const char *header);

#endif
