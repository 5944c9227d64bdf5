/* patch.h - which files a unified diff touches, and whether it may (inside the room). */
#ifndef BROOD_PATCH_H
#define BROOD_PATCH_H

#include "base/err.h"
#include "base/str.h"

struct patch_files {
    char **paths; /* [n], owned: both sides of every file, renames too; each once */
    size_t n, cap;
};

/* NULL, or why it must not be applied: it leaves the repository, touches .git, makes links, carries binary
 * data, or is no diff as git writes it. *out is filled so far; patch_free. */
const char *patch_read(struct str patch, struct patch_files *out);
void patch_free(struct patch_files *f);
bool patch_touches(const struct patch_files *f, struct str path);

#endif
