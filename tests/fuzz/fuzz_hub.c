/* What a hub says: a name, then the list of a repository's files, then its index of weights, parted by a line
 * "--". Whatever they say, no file lies outside the folder. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "hub/listing.h"
#include "hub/name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct str next_part(struct str *rest) {
    const ptrdiff_t end = str_find(*rest, STR("\n--\n"));
    const struct str part = {rest->ptr, end < 0 ? rest->len : (size_t)end};
    const size_t n = end < 0 ? rest->len : (size_t)end + 4;
    rest->ptr += n;
    rest->len -= n;
    return part;
}

static void check(const struct wanted *w) {
    for (int i = 0; i < w->n_files; i++) {
        ASSERT(w->files[i]->hash[0]);
        const char *slash = strrchr(w->files[i]->path, '/'), *name = slash ? slash + 1 : w->files[i]->path;
        ASSERT(name[0] && strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct str rest = {(const char *)data, size};
    char *text = str_dup(next_part(&rest));
    const struct str list = next_part(&rest);
    struct hub_name n;
    struct err e;
    if (name_parse(text, &n, &e)) {
        char *folder = name_folder(&n, "/r"), *path = name_model_path(&n, folder);
        ASSERT(!strstr(path, "/../") && !strstr(path, "/./") && strncmp(path, "/r/", 3) == 0);
        free(folder);
        free(path);
    }
    struct listing l;
    struct wanted w;
    if (listing_read(list, "list", &l, &e)) {
        if (listing_choose(&l, listing_index(&l) ? rest : STR(""), "a/b", &w, &e)) check(&w);
        wanted_fini(&w);
        if (n.file && listing_choose_file(&l, n.file, "a/b", &w, &e)) check(&w);
        if (n.file) wanted_fini(&w);
    }
    listing_fini(&l);
    name_fini(&n);
    free(text);
    return 0;
}
