/* name.h - inside the room: names of models on a hub, and the folders that belong to them. */
#ifndef BROOD_HUB_NAME_H
#define BROOD_HUB_NAME_H

#include "base/err.h"
#include "base/str.h"

struct hub_name {
    char *owner, *repository, *revision; /* repository without its owner; revision "main" unless it is said */
    char *file;                          /* path in the repository; NULL: the model */
};

/* text: with "hf:". What it may hold is what hubs allow, so that a name is never more than a name: no "..",
 * nothing that begins with a dot, no blanks. name_fini in any case. */
MUST bool name_parse(const char *text, struct hub_name *out, struct err *e);
MUST bool name_set_file(struct hub_name *n, const char *file, struct err *e);
void name_fini(struct hub_name *n);
char *name_text(const struct hub_name *n); /* "hf:..."; owned */

/* Whether a path in a repository is one that we would write below a folder of ours. */
bool name_is_path(struct str path);

MUST char *name_root(struct err *e);                              /* .../brood/hf; owned */
char *name_folder(const struct hub_name *n, const char *root);    /* the whole model's place; owned */
char *name_part(const struct hub_name *n, const char *root);      /* what is under way; owned */
char *name_model_path(const struct hub_name *n, const char *dir); /* dir, or the GGUF file in it; owned */

/* Percent-encoded for one segment of a URL ('/' too), or keeping '/'. */
void name_add_url(struct buf *out, const char *text, bool keep_slashes);

#endif
