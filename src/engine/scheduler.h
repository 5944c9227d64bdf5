/* scheduler.h - continuous batching: which rows the next forward pass computes.
 *
 *     waiting (FIFO) --admit: pages fit--> running (n_rows_max at most, oldest first) --> done (FIFO) --told
 *
 * A request is admitted when the pages that it needs at worst are free or idle beside all that was
 * promised to the running ones: nothing that runs ever waits for memory, so there is no deadlock, and no
 * request overtakes another.
 *
 * A step takes one row from every generating request whose path is computed, and fills the rest with
 * uncomputed tokens, first come first served, at least a quarter of the rows while any wait. Rows belong
 * to nodes, not to requests: a prefix that many requests share is computed once, and requests that sample
 * from the same position share its row. A node's rows begin in a step after its parent is complete.
 *
 * Threads: the engine's. A step allocates only where a request is admitted.
 */
#ifndef BROOD_SCHEDULER_H
#define BROOD_SCHEDULER_H

#include "engine/engine.h"
#include "engine/heads.h"
#include "engine/kv.h"

struct branch {
    struct engine *engine;
    struct kv_node *node; /* the path's last */
    int n_requests;       /* not yet told */
    bool generating;
    struct branch *prev, *next;
};

struct request {
    struct request *next; /* in waiting or done */
    uint64_t id;
    bool reading;
    struct branch *branch;
    struct kv_node *node; /* where the path will end: the branch's, or a child prepared for what is sampled */
    struct engine_generate generate;
    int n_tokens_max;        /* what may be sampled, within the context */
    int *tokens;             /* [n_tokens_max] */
    float *logprobs;         /* [n_tokens_max] */
    float *confidences;      /* [n_tokens_max]; NULL: not wanted */
    int n_sampled, i_draw;   /* this step's draw, or -1 */
    struct engine_read read; /* marks and outputs are copies, one block with values */
    float *values;           /* [n_marks][n_outputs] */
    size_t i_mark, mark_end; /* marks done; those up to mark_end are this step's */
    size_t i_late, late_end,
        n_late;           /* the first n_late marks were computed before: they get rows of their own */
    int late_row;         /* this step's first of these */
    struct kv_node *todo; /* the first uncomputed node of the path before this step, or NULL */
    bool above_done;      /* all of the path above node is computed, and stays so while the request runs */
    const void **table;   /* while it runs: the first n_table pages of the path down to table_node */
    const struct kv_node *table_node;
    int n_table;
    int n_prefilled, n_recomputed;
    enum engine_end end;
};

struct queue {
    struct request *first, *last;
    int n;
};

struct scheduler {
    struct kv *kv;
    struct forward *forward;
    struct heads *heads;
    const struct model *model;
    int n_rows_max;
    struct queue waiting, done;
    struct request *told;     /* its event's memory lives until the next call */
    struct request **running; /* [n_rows_max] */
    int n_running, turn;      /* who generates first when not all can */
    /* this step */
    uint64_t step;
    struct forward_row *rows;     /* [n_rows_max] */
    int n_rows, n_heads, n_drawn; /* states 0 .. n_drawn-1 are sampled from, all n_heads are wanted */
    const void **tables;          /* [n_rows_max][n_path_pages_max] page tables of what runs */
    const void ***free_tables;    /* [n_rows_max], a stack */
    int n_free_tables, n_path_pages_max;
    struct kv_node **nodes; /* [n_rows_max] that have rows */
    int n_nodes, n_late_rows;
    struct head_draw *draws; /* [n_rows_max] */
    int n_draws;
    double flops_row, flops_context, flops_output;
    struct engine_counters counters;
};

void scheduler_init(struct scheduler *s, const struct model *m, struct kv *kv, struct forward *f,
                    struct heads *h, int n_rows_max, int n_path_pages_max);
void scheduler_fini(struct scheduler *s); /* requests in flight go too */

void scheduler_generate(struct scheduler *s, const struct engine_generate *g);
MUST bool scheduler_read(struct scheduler *s, const struct engine_read *r, struct err *e);
void scheduler_cancel(struct scheduler *s, uint64_t id);
MUST int scheduler_step(struct scheduler *s, struct err *e);
bool scheduler_next(struct scheduler *s, struct engine_event *out);
int scheduler_in_flight(const struct scheduler *s);
void scheduler_check(const struct scheduler *s);

/* References of requests to a node that no branch has yet. */
int scheduler_holds(const struct scheduler *s, const struct kv_node *node);

#endif
