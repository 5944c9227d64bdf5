/* queue.c - see kinds.h. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "policy/kinds.h"

enum { TAG_TURNS = 0x7475726e };

void policy_queue_add(struct policy_queue *q, const struct policy_job *job) {
    MEM_GROW(q->items, q->cap, q->n_jobs + 1);
    struct policy_queued *x = &q->items[q->n_jobs++];
    *x = (struct policy_queued){.job = *job, .due = q->n_turns + 1};
    x->job.feedback.ptr = job->feedback.len > 0 ? str_dup(job->feedback) : NULL;
    if (q->n_turns_max > 1) x->due += rng_below(job->key, TAG_TURNS, (uint64_t)q->n_turns_max);
}

static void free_feedback(const struct policy_job *job) {
    free((void *)(uintptr_t)job->feedback.ptr);
}

static void remove_at(struct policy_queue *q, size_t i) {
    memmove(q->items + i, q->items + i + 1, (q->n_jobs - i - 1) * sizeof *q->items);
    q->n_jobs--;
    if (i < q->n_ready) q->n_ready--;
}

void policy_queue_cancel(struct policy_queue *q, uint64_t id) {
    for (size_t i = 0; i < q->n_jobs; i++) {
        if (q->items[i].job.id != id) continue;
        free_feedback(&q->items[i].job);
        remove_at(q, i);
        return;
    }
}

int policy_queue_work(struct policy_queue *q) {
    q->n_turns++;
    for (size_t i = q->n_ready; i < q->n_jobs; i++) {
        if (q->items[i].due > q->n_turns) continue;
        const struct policy_queued ready = q->items[i];
        memmove(q->items + q->n_ready + 1, q->items + q->n_ready, (i - q->n_ready) * sizeof ready);
        q->items[q->n_ready++] = ready;
    }
    return (int)MIN(q->n_jobs, (size_t)INT32_MAX);
}

bool policy_queue_take(struct policy_queue *q, bool shuffle, struct policy_job *out) {
    if (q->n_ready == 0) return false;
    size_t i_taken = 0;
    for (size_t i = 1; shuffle && i < q->n_ready; i++)
        if (q->items[i].job.key < q->items[i_taken].job.key) i_taken = i;
    *out = q->items[i_taken].job;
    free(q->feedback);
    q->feedback = (char *)(uintptr_t)out->feedback.ptr;
    remove_at(q, i_taken);
    return true;
}

void policy_queue_free(struct policy_queue *q) {
    for (size_t i = 0; i < q->n_jobs; i++) free_feedback(&q->items[i].job);
    free(q->feedback);
    free(q->items);
    *q = (struct policy_queue){0};
}
