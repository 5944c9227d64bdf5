/* queue.c - see queue.h. */
#include "serve/queue.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct line {   /* of one client */
    char *name; /* NULL: free */
    struct queue_place *first;
    int n_running;
    uint64_t served; /* when it came or was served last, in turns */
};

struct queue {
    struct line *lines;
    size_t n_lines, cap;
    int n_max, n_waiting, n_running;
    uint64_t n_turns;
};

struct queue *queue_new(int n_max) {
    struct queue *q = mem_zalloc(1, sizeof *q);
    q->n_max = n_max;
    return q;
}

void queue_free(struct queue *q) {
    if (!q) return;
    for (size_t i = 0; i < q->n_lines; i++) free(q->lines[i].name);
    free(q->lines);
    free(q);
}

static size_t line_of(struct queue *q, const char *client) {
    size_t spare = q->n_lines;
    for (size_t i = 0; i < q->n_lines; i++) {
        if (!q->lines[i].name)
            spare = MIN(spare, i);
        else if (strcmp(q->lines[i].name, client) == 0)
            return i;
    }
    MEM_GROW(q->lines, q->cap, spare + 1);
    q->n_lines = MAX(q->n_lines, spare + 1);
    q->lines[spare] = (struct line){.name = mem_strdup(client), .served = ++q->n_turns};
    return spare;
}

int queue_add(struct queue *q, const char *client, struct queue_place *p) {
    ASSERT(p->state == QUEUE_OUT);
    if (q->n_waiting >= q->n_max) return -1;
    const size_t i = line_of(q, client);
    struct queue_place **end = &q->lines[i].first;
    while (*end) end = &(*end)->next;
    *end = p;
    *p = (struct queue_place){.client = (int)i, .state = QUEUE_WAITS};
    return q->n_waiting++;
}

struct queue_place *queue_next(struct queue *q) {
    struct line *best = NULL;
    for (size_t i = 0; i < q->n_lines; i++) {
        struct line *l = &q->lines[i];
        if (!l->first) continue;
        if (!best || l->n_running < best->n_running ||
            (l->n_running == best->n_running && l->served < best->served))
            best = l;
    }
    if (!best) return NULL;
    struct queue_place *p = best->first;
    best->first = p->next;
    best->served = ++q->n_turns;
    best->n_running++;
    q->n_waiting--;
    q->n_running++;
    p->next = NULL;
    p->state = QUEUE_RUNS;
    return p;
}

void queue_leave(struct queue *q, struct queue_place *p) {
    if (p->state == QUEUE_OUT) return;
    struct line *l = &q->lines[p->client];
    if (p->state == QUEUE_RUNS) {
        l->n_running--;
        q->n_running--;
    } else {
        struct queue_place **at = &l->first;
        while (*at != p) at = &(*at)->next;
        *at = p->next;
        q->n_waiting--;
    }
    p->next = NULL;
    p->state = QUEUE_OUT;
    if (l->first || l->n_running > 0) return;
    free(l->name);
    l->name = NULL;
}

int queue_waiting(const struct queue *q) {
    return q->n_waiting;
}

int queue_running(const struct queue *q) {
    return q->n_running;
}
