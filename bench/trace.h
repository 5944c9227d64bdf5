/* trace.h - a search tree to be played again: which steps of how many tokens were written and scored.
 *
 *     prompt N                      tokens of the problem
 *     ROUND PARENT N_TOKENS         a node a line, rounds ascending; PARENT counts nodes from 0, -1: the root
 *
 * bench/compare_engine.py writes it from a recorded run. Used by bench_engine.c and, without the library, by
 * peer_engine.c: everything is here and needs nothing but libc.
 */
#ifndef BENCH_TRACE_H
#define BENCH_TRACE_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum { TRACE_NODES_MAX = 1 << 16, TRACE_TOKENS_MAX = 1 << 16 };

struct trace_node {
    int round, parent, n_tokens;
    int n_before;  /* tokens of its parent's path, the prompt too */
    int last_used; /* the last round that goes on from it; its own if none does */
};

struct trace {
    int n_prompt, n_nodes, n_rounds;
    struct trace_node *nodes;
};

/* False and a line on stderr if it cannot be read. */
static inline bool trace_read(const char *path, struct trace *t) {
    FILE *in = fopen(path, "r");
    struct trace_node n;
    *t = (struct trace){.nodes = calloc(TRACE_NODES_MAX, sizeof n)};
    bool good = in && t->nodes && fscanf(in, "prompt %d", &t->n_prompt) == 1 && t->n_prompt > 0 &&
                t->n_prompt <= TRACE_TOKENS_MAX;
    while (good && fscanf(in, "%d %d %d", &n.round, &n.parent, &n.n_tokens) == 3) {
        good = t->n_nodes < TRACE_NODES_MAX && n.n_tokens > 0 && n.n_tokens <= TRACE_TOKENS_MAX &&
               n.parent >= -1 && n.parent < t->n_nodes && n.round >= t->n_rounds - 1 &&
               n.round <= t->n_rounds && (n.parent < 0 || t->nodes[n.parent].round < n.round);
        if (!good) break;
        struct trace_node *p = n.parent < 0 ? NULL : &t->nodes[n.parent];
        n.n_before = p ? p->n_before + p->n_tokens : t->n_prompt;
        n.last_used = n.round;
        if (p) p->last_used = n.round;
        t->n_rounds = n.round + 1;
        t->nodes[t->n_nodes++] = n;
    }
    good = good && feof(in) && t->n_nodes > 0;
    if (in) fclose(in);
    if (!good) fprintf(stderr, "%s: no trace of a search\n", path);
    return good;
}

/* Any ids will do; the same on both sides. */
static inline int trace_token(int i) {
    return 1000 + (int)((unsigned)i * 7919u % 20011u);
}

#endif
