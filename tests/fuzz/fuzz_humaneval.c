/* humaneval_read on any bytes: problems with all their parts, or one line that says what is wrong. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "verify/humaneval.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    static int fd = -1;
    if (fd < 0) fd = memfd_create("problems", 0);
    ASSERT(fd >= 0 && ftruncate(fd, 0) == 0 && pwrite(fd, bytes, n, 0) == (ssize_t)n);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct err e = {0};
    struct humaneval h;
    if (humaneval_read(&h, path, NULL, &e)) {
        ASSERT(h.n_problems > 0);
        for (size_t i = 0; i < h.n_problems; i++) {
            const struct humaneval_problem *p = &h.problems[i];
            ASSERT(p->task_id && p->prompt && p->entry_point && p->test && p->setup && p->n_samples == 0);
            ASSERT((p->n_io == 0) == (p->io == NULL));
        }
    } else {
        ASSERT(e.code == ERR_INPUT && e.msg[0] && !strchr(e.msg, '\n'));
    }
    humaneval_fini(&h);
    return 0;
}
