/* score_file on any bytes: every line comes out again with its rewards, or one line says what is wrong. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "eval/score.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    static int fd = -1;
    static struct reward *reward;
    struct err e = {0};
    if (fd < 0) {
        fd = memfd_create("score", 0);
        reward = reward_open("toy:depth=3", &(struct reward_options){0}, &e);
    }
    ASSERT(reward && fd >= 0 && ftruncate(fd, 0) == 0 && pwrite(fd, bytes, n, 0) == (ssize_t)n);
    char path[64], *text = NULL;
    size_t n_text = 0;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    FILE *out = open_memstream(&text, &n_text);
    struct score_progress p;
    ASSERT(out);
    const bool ok = score_file(path, reward, out, NULL, NULL, &p, &e);
    fclose(out);
    int n_lines = 0;
    for (size_t i = 0; i < n_text; i++) n_lines += text[i] == '\n';
    ASSERT(n_lines == p.n_lines && reward_in_flight(reward) == 0);
    ASSERT(ok || (e.code == ERR_INPUT && e.msg[0] && !strchr(e.msg, '\n')));
    free(text);
    return 0;
}
