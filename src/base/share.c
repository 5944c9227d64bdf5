/* share.c - see share.h. */
#include "base/share.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"

#ifndef BROOD_PREFIX
#define BROOD_PREFIX "/usr/local"
#endif

/* dir/name if it is there; else NULL, with the place added to the list of places tried. Owned. */
static char *try_in(const char *dir, const char *name, struct buf *tried) {
    char *path = file_join(dir, name);
    if (file_exists(path)) return path;
    buf_printf(tried, "%s%s", tried->len ? ", " : "", dir);
    free(path);
    return NULL;
}

/* Beside the running program, as installed or in a source tree: build/brood has lab/ beside its folder, and
 * what lies deeper (build/asan/brood, build/release/tests/test_x) has it beside the folder called build. */
static char *try_near_program(const char *name, struct buf *tried) {
    static const char *const places[] = {"../share/brood/lab", "../lab"};
    char exe[PATH_MAX], *found = NULL;
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (n <= 0) return NULL;
    exe[n] = '\0';
    *(strrchr(exe, '/') + 1) = '\0';
    for (size_t i = 0; i < ARRAY_LEN(places) && !found; i++) {
        char *dir = file_join(exe, places[i]);
        found = try_in(dir, name, tried);
        free(dir);
    }
    ptrdiff_t build = str_find_last(str_from(exe), STR("/build/"));
    if (!found && build >= 0) {
        exe[build] = '\0';
        char *dir = file_join(exe, "lab");
        found = try_in(dir, name, tried);
        free(dir);
    }
    return found;
}

char *share_path(const char *name, struct err *e) {
    struct buf tried = {0};
    const char *env = getenv("BROOD_SHARE");
    char *found = env && env[0] ? try_in(env, name, &tried) : NULL;
    if (!found) found = try_near_program(name, &tried);
    if (!found) found = try_in(BROOD_PREFIX "/share/brood/lab", name, &tried);
    if (!found)
        err_set(e, ERR_INPUT, "bundled %s not found in %s; set BROOD_SHARE to the lab folder", name,
                buf_cstr(&tried));
    buf_free(&tried);
    return found;
}
