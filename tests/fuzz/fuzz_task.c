/* task_open on any bytes: either problems with an id and a prompt each, or one line that says what is wrong;
 * and budget_parse on the same. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "run/budget.h"
#include "run/task.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void check_task(const struct task *t) {
    ASSERT(t->n_problems > 0);
    for (size_t i = 0; i < t->n_problems; i++) {
        const struct task_problem *p = &t->problems[i];
        ASSERT(p->id && p->prompt && p->prompt[0] && p->level >= 0 && p->level < 1000);
    }
}

static void check_budget(const uint8_t *bytes, size_t n) {
    struct err e = {0};
    struct budget b = {0};
    char *text = str_dup((struct str){(const char *)bytes, n});
    if (budget_parse(&b, text, &e)) {
        ASSERT(b.samples >= 0 && b.tokens >= 0 && b.flops >= 0 && b.seconds >= 0);
    } else {
        ASSERT(e.code == ERR_INPUT && e.msg[0]);
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    static int fd = -1;
    if (fd < 0) fd = memfd_create("task", 0);
    ASSERT(fd >= 0 && ftruncate(fd, 0) == 0 && pwrite(fd, bytes, n, 0) == (ssize_t)n);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct err e = {0};
    struct task *t = task_open(path, 0, &e);
    if (t) {
        check_task(t);
    } else {
        ASSERT(e.code == ERR_INPUT && e.msg[0] && !strchr(e.msg, '\n'));
    }
    task_free(t);
    if (n < 200) check_budget(bytes, n);
    return 0;
}
