/* zip.h - the entries of a ZIP archive that stores without compression, as PyTorch writes checkpoints: ZIP64
 * too.
 *
 * Ownership: names and data point into the bytes. Nothing is trusted: every offset and size is checked
 * against the bytes, names are not paths to anything. Threads: pure.
 */
#ifndef BROOD_ZIP_H
#define BROOD_ZIP_H

#include "base/err.h"
#include "base/str.h"

struct zip_entry {
    struct str name, data;
};

struct zip {
    struct zip_entry *entries; /* sorted by name */
    size_t n_entries;
};

MUST bool zip_open(const unsigned char *bytes, size_t n, const char *where, struct zip *out, struct err *e);
void zip_close(struct zip *z);
const struct zip_entry *zip_find(const struct zip *z, struct str name); /* NULL if there is none */

#endif
