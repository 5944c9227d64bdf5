/* scratch.h - a folder for the files of one test program: made before its tests, removed with all in it after
 * them (cmocka_run_group_tests(tests, scratch_make, scratch_remove)).
 */
#ifndef BROOD_TESTS_SCRATCH_H
#define BROOD_TESTS_SCRATCH_H

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/file.h"

static char scratch[] = "/tmp/brood-test-XXXXXX";

static inline int scratch_make(void **state) {
    UNUSED(state);
    return mkdtemp(scratch) ? 0 : -1;
}

static inline int scratch_remove_one(const char *path, const struct stat *st, int type, struct FTW *at) {
    UNUSED(st), UNUSED(type), UNUSED(at);
    return remove(path);
}

static inline int scratch_remove(void **state) {
    UNUSED(state);
    return nftw(scratch, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* The caller frees both. */
static inline char *scratch_path(const char *name) {
    return file_join(scratch, name);
}

static inline char *scratch_write(const char *name, const char *text) {
    struct err e;
    char *path = scratch_path(name);
    if (!file_write_atomic(path, str_from(text), &e)) fail_msg("%s", e.msg);
    return path;
}

#endif
