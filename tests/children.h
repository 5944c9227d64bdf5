/* children.h - how many processes a process has begun, and those in turn, that have not been reaped. */
#ifndef BROOD_TESTS_CHILDREN_H
#define BROOD_TESTS_CHILDREN_H

#include <stdio.h>
#include <stdlib.h>

/* 0 where the kernel does not tell. */
static inline int children_count(int pid) {
    char path[80], text[4096] = "";
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", pid, pid);
    FILE *f = fopen(path, "r");
    if (!f) return 0;
    const size_t n_read = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n_read] = '\0';
    int n = 0;
    char *at = text, *end;
    for (long child; (child = strtol(at, &end, 10)) > 0 && end != at; at = end)
        n += 1 + children_count((int)child);
    return n;
}

#endif
