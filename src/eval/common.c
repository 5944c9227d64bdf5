/* common.c - see common.h. */
#include "eval/common.h"

#include <stdlib.h>

#include "base/map.h"
#include "base/mem.h"

void common_fini(struct common *c) {
    for (size_t r = 0; c->rows && r < c->n_runs; r++) free(c->rows[r]);
    free(c->rows);
}

void common_init(struct common *c, const struct report *r) {
    struct map **by_id = mem_zalloc(r->n, sizeof *by_id);
    *c = (struct common){.rows = mem_zalloc(r->n, sizeof *c->rows), .n_runs = r->n};
    for (size_t i = 0; i < r->n; i++) {
        by_id[i] = map_new(r->sets[i]->n);
        c->rows[i] = mem_zalloc(MAX(r->sets[0]->n, 1), sizeof **c->rows);
        for (size_t j = 0; j < r->sets[i]->n; j++)
            map_put(by_id[i], str_from(r->sets[i]->problems[j].id), (uint32_t)j);
    }
    for (size_t j = 0; j < r->sets[0]->n; j++) {
        size_t i = 0;
        uint32_t at;
        for (; i < r->n && map_get(by_id[i], str_from(r->sets[0]->problems[j].id), &at); i++)
            c->rows[i][c->n] = at;
        c->n += i == r->n;
    }
    for (size_t i = 0; i < r->n; i++) map_free(by_id[i]);
    free(by_id);
}
