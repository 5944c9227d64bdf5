/* Where bundled files are looked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/share.h"

static void the_environment_comes_first(void **state) {
    UNUSED(state);
    char dir[] = "/tmp/brood-share-XXXXXX";
    struct err e = {0};
    assert_non_null(mkdtemp(dir));
    char *file = file_join(dir, "only-here.txt");
    assert_true(file_write_atomic(file, STR("x"), &e));
    setenv("BROOD_SHARE", dir, 1);
    char *found = share_path("only-here.txt", &e);
    assert_non_null(found);
    assert_string_equal(found, file);
    unsetenv("BROOD_SHARE");
    assert_null(share_path("only-here.txt", &e));
    unlink(file);
    rmdir(dir);
    free(found);
    free(file);
}

static void what_is_missing_names_every_place(void **state) {
    UNUSED(state);
    struct err e = {0};
    setenv("BROOD_SHARE", "/no/such/place", 1);
    assert_null(share_path("models/no-such-model", &e));
    assert_int_equal(e.code, ERR_INPUT);
    assert_non_null(strstr(e.msg, "models/no-such-model"));
    assert_non_null(strstr(e.msg, "/no/such/place"));
    assert_non_null(strstr(e.msg, "/share/brood/lab"));
    assert_non_null(strstr(e.msg, "BROOD_SHARE"));
    unsetenv("BROOD_SHARE");
}

/* This program lies in a build folder of the source tree, beside which the lab lies; its first file is always
 * there. */
static void the_source_tree_is_found_from_the_program(void **state) {
    UNUSED(state);
    struct err e = {0};
    unsetenv("BROOD_SHARE");
    if (!file_exists("lab/export.py") || !file_exists("src/base/share.c")) skip();
    char *found = share_path("export.py", &e), real[PATH_MAX], here[PATH_MAX];
    if (!found) skip(); /* built elsewhere: BUILD=... */
    assert_non_null(realpath(found, real));
    assert_non_null(realpath("lab/export.py", here));
    assert_string_equal(real, here);
    free(found);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_environment_comes_first),
        cmocka_unit_test(what_is_missing_names_every_place),
        cmocka_unit_test(the_source_tree_is_found_from_the_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
