/* repository_read and patch_read on any bytes: tasks with all their parts, or one line that says what is
 * wrong; a patch that is let through names only files inside. Reports of tests are read without one falling
 * over.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "verify/patch.h"
#include "verify/repository_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void check_tasks(const uint8_t *bytes, size_t n) {
    static int fd = -1;
    if (fd < 0) fd = memfd_create("tasks", 0);
    ASSERT(fd >= 0 && ftruncate(fd, 0) == 0 && pwrite(fd, bytes, n, 0) == (ssize_t)n);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct err e = {0};
    struct repository r;
    if (repository_read(&r, path, &e)) {
        ASSERT(r.n_tasks > 0);
        for (size_t i = 0; i < r.n_tasks; i++)
            ASSERT(r.tasks[i].n_tests > 0 && r.tasks[i].base_commit[0] != '-');
        repository_fini(&r);
    } else {
        ASSERT(e.code == ERR_INPUT && e.msg[0] && !strchr(e.msg, '\n'));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    const struct str text = {(const char *)bytes, n};
    struct patch_files files;
    const char *why = patch_read(text, &files);
    for (size_t i = 0; !why && i < files.n; i++) {
        const char *path = files.paths[i];
        ASSERT(path[0] && path[0] != '/' && strncmp(path, "../", 3) != 0 && !strstr(path, "/../"));
        ASSERT(strncmp(path, ".git/", 5) != 0 && !strstr(path, "/.git/"));
    }
    ASSERT(why || files.n > 0);
    patch_free(&files);
    check_tasks(bytes, n);
    char *name = str_dup((struct str){text.ptr, MIN(n, 40)});
    ASSERT(!repository_test_passed((struct str){text.ptr, 0}, name));
    if (repository_test_passed(text, name)) ASSERT(n > 3);
    char *argument = repository_test_argument(name);
    ASSERT(argument);
    if (repository_test_lies_in(name, text)) ASSERT(n > 0);
    free(argument);
    free(name);
    return 0;
}
