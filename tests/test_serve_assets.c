/* The files of the page are in the binary, each as it lies in src/serve/page. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "serve/assets.h"

static void every_file_is_served_as_it_is(void **state) {
    UNUSED(state);
    static const char dir[] = "src/serve/page";
    DIR *d = opendir(dir);
    int n = 0;
    if (!d) skip(); /* run elsewhere */
    for (struct dirent *x; (x = readdir(d));) {
        if (x->d_name[0] == '.') continue;
        char *file = file_join(dir, x->d_name);
        struct buf bytes = {0}, path = {0};
        struct asset a;
        struct err e;
        const bool is_page = strcmp(x->d_name, "index.html") == 0;
        buf_printf(&path, "%s%s", is_page ? "/" : "/assets/", is_page ? "" : x->d_name);
        assert_true(file_read(file, 1 << 20, &bytes, &e));
        assert_true(asset_find(buf_cstr(&path), &a));
        assert_true(str_equal(buf_str(&bytes), (struct str){a.bytes, a.length}));
        assert_true(strchr(a.type, '/') != NULL);
        buf_free(&bytes);
        buf_free(&path);
        free(file);
        n++;
    }
    closedir(d);
    assert_true(n >= 8);
}

static void nothing_else_is(void **state) {
    UNUSED(state);
    static const char *const none[] = {"", "/assets/", "/assets/none.js", "/index.html",
                                       "/assets/../index.html"};
    for (size_t i = 0; i < ARRAY_LEN(none); i++) {
        struct asset a;
        assert_false(asset_find(none[i], &a));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_file_is_served_as_it_is),
        cmocka_unit_test(nothing_else_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
