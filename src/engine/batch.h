/* batch.h - the rows of one step, chosen from the running requests (scheduler.h says by which rules). */
#ifndef BROOD_BATCH_H
#define BROOD_BATCH_H

#include "engine/scheduler.h"

/* Fills rows, nodes, draws and each running request's share of them. */
void batch_build(struct scheduler *s);

/* The forward row that computes a mark of this step. */
int batch_mark_row(const struct request *r, size_t i_mark);

/* The path's first uncomputed node, or NULL; and its last node with tokens. */
struct kv_node *batch_todo(struct request *r);
struct kv_node *batch_tip(const struct request *r);

#endif
