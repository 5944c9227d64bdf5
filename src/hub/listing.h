/* listing.h - inside the room: what a repository holds, as a hub lists it, and what of it a model needs.
 *
 *     GET /api/models/OWNER/NAME/revision/REVISION?blobs=true
 *     {"sha": COMMIT, "siblings": [{"rfilename": PATH, "size": N, "blobId": SHA1,
 *                                   "lfs": {"sha256": HEX, "size": N}}, ...]}
 */
#ifndef BROOD_HUB_LISTING_H
#define BROOD_HUB_LISTING_H

#include "base/err.h"
#include "base/str.h"
#include "hub/digest.h"

enum { LISTING_FILES_MAX = 100000, LISTING_BYTES_MAX = 64 << 20, LISTING_WANTED_MAX = 4096 };

struct listed {
    char *path;
    uint64_t n_bytes;
    enum digest_kind kind;
    char hash[DIGEST_HEX_MAX]; /* "": the hub gives none, or no size */
};

struct listing {
    char commit[65];
    struct listed *files; /* [n_files] */
    int n_files;
};

/* listing_fini in any case. */
MUST bool listing_read(struct str json, const char *where, struct listing *out, struct err *e);
void listing_fini(struct listing *l);
const struct listed *listing_find(const struct listing *l, const char *path); /* NULL: there is none */

struct wanted {
    const struct listed **files; /* [n_files], borrowed from the listing */
    int n_files;
    bool is_pickle;
};

/* The index of split weights that has to be read before listing_choose; NULL: there is none. */
const struct listed *listing_index(const struct listing *l);

/* What a model needs: configuration, tokenizer, chat template and weights, those of the index as it says.
 * index: its text; may be empty where listing_index is NULL. wanted_fini in any case. */
MUST bool listing_choose(const struct listing *l, struct str index, const char *repository,
                         struct wanted *out, struct err *e);
/* One GGUF file, with all parts of its set (NAME-00001-of-00003.gguf). */
MUST bool listing_choose_file(const struct listing *l, const char *path, const char *repository,
                              struct wanted *out, struct err *e);
void wanted_fini(struct wanted *w);

#endif
