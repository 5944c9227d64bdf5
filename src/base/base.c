/* base.c - where a broken invariant ends the program. */
#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void base_assert_failed(const char *expression, const char *file, int line) {
    fprintf(stderr, "brood: internal error: %s is false (%s:%d); please report this line\n", expression, file,
            line);
    abort();
}
