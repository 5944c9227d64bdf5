/* queue.c - see kinds.h. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "policy/kinds.h"

void policy_queue_add(struct policy_queue *q, const struct policy_job *job) {
    MEM_GROW(q->jobs, q->cap, q->n_jobs + 1);
    q->jobs[q->n_jobs] = *job;
    q->jobs[q->n_jobs++].feedback.ptr = job->feedback.len > 0 ? str_dup(job->feedback) : NULL;
}

static void free_feedback(const struct policy_job *job) {
    free((void *)(uintptr_t)job->feedback.ptr);
}

static void remove_at(struct policy_queue *q, size_t i) {
    memmove(q->jobs + i, q->jobs + i + 1, (q->n_jobs - i - 1) * sizeof *q->jobs);
    q->n_jobs--;
    if (i < q->n_ready) q->n_ready--;
}

void policy_queue_cancel(struct policy_queue *q, uint64_t id) {
    for (size_t i = 0; i < q->n_jobs; i++) {
        if (q->jobs[i].id != id) continue;
        free_feedback(&q->jobs[i]);
        remove_at(q, i);
        return;
    }
}

int policy_queue_work(struct policy_queue *q) {
    q->n_ready = q->n_jobs;
    return (int)MIN(q->n_ready, (size_t)INT32_MAX);
}

bool policy_queue_take(struct policy_queue *q, bool shuffle, struct policy_job *out) {
    if (q->n_ready == 0) return false;
    size_t i_taken = 0;
    for (size_t i = 1; shuffle && i < q->n_ready; i++)
        if (q->jobs[i].key < q->jobs[i_taken].key) i_taken = i;
    *out = q->jobs[i_taken];
    free(q->feedback);
    q->feedback = (char *)(uintptr_t)out->feedback.ptr;
    remove_at(q, i_taken);
    return true;
}

void policy_queue_free(struct policy_queue *q) {
    for (size_t i = 0; i < q->n_jobs; i++) free_feedback(&q->jobs[i]);
    free(q->feedback);
    free(q->jobs);
    *q = (struct policy_queue){0};
}
