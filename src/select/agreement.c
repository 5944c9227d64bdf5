/* agreement.c - see agreement.h. */
#include "select/agreement.h"

#include <math.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/mem.h"

static int64_t tests_of(const uint8_t *passed, const int64_t *n_copies, size_t n_tests) {
    int64_t n = 0;
    for (size_t t = 0; t < n_tests; t++) n += passed[t] ? n_copies[t] : 0;
    return n;
}

/* Groups in the order of their first programs. */
static struct agreement_group *collect(const uint8_t *passed, const int64_t *n_solutions, size_t n_programs,
                                       const int64_t *n_copies, size_t n_tests, size_t *group_of,
                                       size_t *n_groups) {
    struct agreement_group *groups = mem_zalloc(MAX(n_programs, (size_t)1), sizeof *groups);
    struct map *index = map_new(n_programs + 1);
    *n_groups = 0;
    for (size_t p = 0; p < n_programs; p++) {
        const uint8_t *row = passed + p * n_tests;
        const struct str key = {(const char *)row, n_tests};
        uint32_t g = (uint32_t)*n_groups;
        if (map_put(index, key, g))
            groups[(*n_groups)++] = (struct agreement_group){
                .first = p, .chosen = p, .n_tests = tests_of(row, n_copies, n_tests)};
        else
            ASSERT(map_get(index, key, &g));
        groups[g].n_solutions += n_solutions[p];
        if (n_solutions[p] > n_solutions[groups[g].chosen]) groups[g].chosen = p;
        group_of[p] = g;
    }
    map_free(index);
    return groups;
}

static int best_first(const void *a, const void *b) {
    const struct agreement_group *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return x->first < y->first ? -1 : x->first > y->first;
}

struct agreement_group *agreement_find(enum agreement_rule rule, const uint8_t *passed,
                                       const int64_t *n_solutions, size_t n_programs, const int64_t *n_copies,
                                       size_t n_tests, size_t *group_of, size_t *n_groups) {
    struct agreement_group *groups =
        collect(passed, n_solutions, n_programs, n_copies, n_tests, group_of, n_groups);
    size_t *place = mem_zalloc(MAX(n_programs, (size_t)1), sizeof *place); /* by first program */
    for (size_t g = 0; g < *n_groups; g++) {
        const double n = (double)groups[g].n_solutions;
        groups[g].score = rule == AGREEMENT_DUAL ? sqrt(n) * (double)groups[g].n_tests : n;
    }
    size_t *first = mem_zalloc(MAX(*n_groups, (size_t)1), sizeof *first);
    for (size_t g = 0; g < *n_groups; g++) first[g] = groups[g].first;
    qsort(groups, *n_groups, sizeof *groups, best_first);
    for (size_t g = 0; g < *n_groups; g++) place[groups[g].first] = g;
    for (size_t p = 0; p < n_programs; p++) group_of[p] = place[first[group_of[p]]];
    free(first);
    free(place);
    return groups;
}
