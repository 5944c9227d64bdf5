#include "engine/scheduler.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "engine/batch.h"

void scheduler_init(struct scheduler *s, const struct model *m, struct kv *kv, struct forward *f,
                    struct heads *h, int n_rows_max, int n_path_pages_max) {
    *s = (struct scheduler){.kv = kv, .forward = f, .heads = h, .model = m};
    s->n_rows_max = n_rows_max;
    s->n_path_pages_max = n_path_pages_max;
    size_t n = (size_t)n_rows_max;
    s->running = mem_zalloc(n, sizeof *s->running);
    s->rows = mem_zalloc(n, sizeof *s->rows);
    s->nodes = mem_zalloc(n, sizeof *s->nodes);
    s->draws = mem_zalloc(n, sizeof *s->draws);
    s->tables = mem_zalloc(n * (size_t)n_path_pages_max, sizeof *s->tables);
    s->free_tables = mem_zalloc(n, sizeof *s->free_tables);
    for (; s->n_free_tables < n_rows_max; s->n_free_tables++)
        s->free_tables[s->n_free_tables] = s->tables + (size_t)s->n_free_tables * (size_t)n_path_pages_max;
    s->flops_row = model_flops_per_token(&m->config, 0, 0);
    s->flops_context = model_flops_per_token(&m->config, 1, 0) - s->flops_row;
    s->flops_output = model_flops_per_token(&m->config, 0, 1) - s->flops_row;
}

/* ---- queues ---- */

static void queue_put(struct queue *q, struct request *r) {
    r->next = NULL;
    *(q->last ? &q->last->next : &q->first) = r;
    q->last = r;
    q->n++;
}

static struct request *queue_take(struct queue *q) {
    struct request *r = q->first;
    q->first = r->next;
    if (!q->first) q->last = NULL;
    q->n--;
    return r;
}

static struct request *queue_take_id(struct queue *q, uint64_t id) {
    struct request *prev = NULL, *r = q->first;
    while (r && r->id != id) prev = r, r = r->next;
    if (!r) return NULL;
    *(prev ? &prev->next : &q->first) = r->next;
    if (q->last == r) q->last = prev;
    q->n--;
    return r;
}

static void request_free(struct request *r) {
    if (!r) return;
    free(r->tokens);
    free(r->logprobs);
    free(r->confidences);
    free(r->values);
    free(r);
}

/* The request lets go of its branch and of a child that nothing was sampled into. */
static void leave_branch(struct scheduler *s, struct request *r) {
    r->branch->n_requests--;
    if (!r->reading) r->branch->generating = false;
    if (r->node != r->branch->node) kv_release(s->kv, r->node);
    r->node = NULL;
}

void scheduler_fini(struct scheduler *s) {
    while (s->waiting.n) request_free(queue_take(&s->waiting));
    while (s->done.n) request_free(queue_take(&s->done));
    for (int i = 0; i < s->n_running; i++) request_free(s->running[i]);
    request_free(s->told);
    free(s->running);
    free(s->rows);
    free(s->nodes);
    free(s->draws);
    free(s->tables);
    free(s->free_tables);
    *s = (struct scheduler){0};
}

/* ---- asking ---- */

void scheduler_generate(struct scheduler *s, const struct engine_generate *g) {
    struct branch *b = g->branch;
    ASSERT(s->model->config.head == MODEL_HEAD_LM && b->n_requests == 0 && kv_length(b->node) > 0 &&
           g->n_tokens_max > 0);
    ASSERT(g->sampling.temperature >= 0 && g->sampling.top_k >= 0 && g->sampling.top_p >= 0 &&
           g->sampling.min_p <= 1);
    struct request *r = mem_zalloc(1, sizeof *r);
    *r = (struct request){.id = g->id, .branch = b, .generate = *g};
    r->n_tokens_max = MAX(0, MIN(g->n_tokens_max, s->model->config.n_context - kv_length(b->node)));
    r->node = b->node->n_users > 1 ? kv_child(s->kv, b->node) : b->node;
    b->n_requests++;
    b->generating = true;
    queue_put(&s->waiting, r);
}

bool scheduler_read(struct scheduler *s, const struct engine_read *g, struct err *e) {
    const struct kv_node *node = g->branch->node;
    int n_tokens = kv_length(node), n_pages = kv_node_pages(node, node->n_tokens);
    ASSERT(!g->branch->generating);
    if (n_tokens > s->model->config.n_context)
        return err_set(e, ERR_INPUT, "%s: a text of %d tokens does not fit the model's context of %d",
                       s->model->path, n_tokens, s->model->config.n_context);
    if (n_pages > s->kv->n_pages)
        return err_set(
            e, ERR_INPUT,
            "a text of %d tokens needs %d pages of key-value cache, there are %d: give it more memory",
            n_tokens, n_pages, s->kv->n_pages);
    struct request *r = mem_zalloc(1, sizeof *r);
    *r = (struct request){
        .id = g->id, .reading = true, .branch = g->branch, .node = g->branch->node, .read = *g};
    size_t n_values = g->n_marks * (size_t)g->n_outputs;
    r->values = mem_alloc(n_values * sizeof(float) + g->n_marks * sizeof(size_t) +
                          (size_t)g->n_outputs * sizeof(int) + 16);
    size_t *marks = (size_t *)(void *)(((uintptr_t)(r->values + n_values) + 7) & ~(uintptr_t)7);
    int *outputs = (int *)(void *)(marks + g->n_marks);
    for (size_t i = 0; i < g->n_marks; i++) {
        ASSERT(g->marks[i] < (size_t)n_tokens && (i == 0 || g->marks[i] > g->marks[i - 1]));
        marks[i] = g->marks[i];
    }
    for (int i = 0; i < g->n_outputs; i++) {
        ASSERT(g->outputs[i] >= 0 && g->outputs[i] < s->model->config.n_head_outputs);
        outputs[i] = g->outputs[i];
    }
    r->read.marks = marks;
    r->read.outputs = outputs;
    g->branch->n_requests++;
    queue_put(&s->waiting, r);
    return true;
}

/* What runs no longer: its pages may go, and its table. */
static void stop_running(struct scheduler *s, struct request *r) {
    kv_unpin(s->kv, r->node);
    s->free_tables[s->n_free_tables++] = r->table;
    r->table = NULL;
}

static void remove_running(struct scheduler *s, int i) {
    s->n_running--;
    memmove(s->running + i, s->running + i + 1, (size_t)(s->n_running - i) * sizeof *s->running);
    if (s->turn > i) s->turn--;
    if (s->turn >= s->n_running) s->turn = 0;
}

void scheduler_cancel(struct scheduler *s, uint64_t id) {
    struct request *r = NULL;
    for (int i = 0; i < s->n_running && !r; i++)
        if (s->running[i]->id == id) {
            r = s->running[i];
            remove_running(s, i);
            stop_running(s, r);
        }
    if (!r) r = queue_take_id(&s->waiting, id);
    if (!r) r = queue_take_id(&s->done, id);
    if (!r) return;
    leave_branch(s, r);
    request_free(r);
}

/* ---- a step ---- */

static void finish(struct scheduler *s, struct request *r, enum engine_end end) {
    r->end = end;
    queue_put(&s->done, r);
}

/* Tokens of r->node that will be computed: the last one sampled is not. */
static int final_tokens(const struct request *r) {
    return r->node->n_tokens + (r->reading ? 0 : r->n_tokens_max - 1);
}

/* Lets the oldest waiting request run. False if it must wait, or, with *e set, if it never can. */
static bool admit(struct scheduler *s, struct err *e) {
    struct request *r = s->waiting.first;
    if (!r->reading && r->n_tokens_max == 0) {
        finish(s, queue_take(&s->waiting), ENGINE_END_LENGTH);
        return true;
    }
    int n_final = final_tokens(r), n_pages = kv_node_pages(r->node, n_final);
    if (n_pages > s->kv->n_pages) {
        queue_take(&s->waiting);
        leave_branch(s, r);
        err_set(e, ERR_INPUT,
                "request %" PRIu64
                " needs %d pages of key-value cache, there are %d: give it more memory or fewer tokens",
                r->id, n_pages, s->kv->n_pages);
        request_free(r);
        return false;
    }
    if (!kv_pin(s->kv, r->node, n_final)) return false;
    queue_take(&s->waiting);
    s->running[s->n_running++] = r;
    r->table = s->free_tables[--s->n_free_tables];
    if (r->reading) {
        size_t n_computed = (size_t)kv_path_computed(r->node);
        while (r->n_late < r->read.n_marks && r->read.marks[r->n_late] < n_computed) r->n_late++;
        r->i_mark = r->n_late;
    } else {
        kv_reserve_tokens(r->node, r->n_tokens_max);
        r->tokens = mem_alloc((size_t)r->n_tokens_max * sizeof *r->tokens);
        r->logprobs = mem_alloc((size_t)r->n_tokens_max * sizeof *r->logprobs);
        if (r->generate.n_top > 0)
            r->confidences = mem_alloc((size_t)r->n_tokens_max * sizeof *r->confidences);
    }
    return true;
}

static void take_values(struct scheduler *s, struct request *r, size_t first, size_t end) {
    for (size_t m = first; m < end; m++) {
        struct head_read read = {
            .i_head = s->rows[batch_mark_row(r, m)].i_head,
            .outputs = r->read.outputs,
            .n_outputs = r->read.n_outputs,
            .out = r->values + m * (size_t)r->read.n_outputs,
        };
        heads_read(s->heads, &read);
        s->counters.flops += s->flops_output * r->read.n_outputs;
    }
}

/* True when the request is done. */
static bool advance_read(struct scheduler *s, struct request *r) {
    take_values(s, r, r->i_late, r->late_end);
    take_values(s, r, r->i_mark, r->mark_end);
    r->i_late = r->late_end;
    r->i_mark = r->mark_end;
    r->end = ENGINE_END_READ;
    return r->i_late == r->n_late && r->i_mark == r->read.n_marks && !batch_todo(r);
}

static bool advance_generate(struct scheduler *s, struct request *r) {
    if (r->i_draw < 0) return false;
    const struct head_draw *d = &s->draws[r->i_draw];
    r->end = ENGINE_END_FAILED;
    if (d->failed) return true;
    if (r->node != r->branch->node) { /* the first token: the branch moves to the child prepared for it */
        kv_release(s->kv, r->branch->node);
        r->branch->node = r->node;
    }
    kv_push(r->node, d->token);
    r->tokens[r->n_sampled] = d->token;
    if (r->confidences) r->confidences[r->n_sampled] = d->confidence;
    r->logprobs[r->n_sampled++] = d->logprob;
    s->counters.n_sampled++;
    const struct engine_generate *g = &r->generate;
    bool stop = g->on_token && g->on_token(g->ctx, d->token, d->logprob) == ENGINE_STOP_AFTER;
    bool last = r->n_sampled == r->n_tokens_max;
    r->end = model_is_end(s->model, d->token) ? ENGINE_END_TOKEN
             : stop                           ? ENGINE_END_STOPPED
                                              : ENGINE_END_LENGTH;
    return r->end != ENGINE_END_LENGTH || last;
}

static void compute(struct scheduler *s) {
    /* A row that asks about a page which another row stores into is not: kernels load whole pages. */
    bool independent = s->n_late_rows == 0;
    for (int i = 0; i < s->n_nodes; i++) independent &= s->nodes[i]->n_rows == 1;
    forward_run(s->forward, s->rows, s->n_rows, independent);
    heads_draw(s->heads, s->draws, s->n_draws, s->n_drawn);
    s->counters.n_steps++;
    s->counters.n_rows += (uint64_t)s->n_rows;
    s->counters.flops += s->flops_output * s->n_drawn * s->model->config.n_vocab;
    for (int i = 0; i < s->n_nodes; i++) {
        struct kv_node *n = s->nodes[i];
        kv_computed(n, MAX(n->n_computed, n->row_position + n->n_rows - n->first));
    }
}

int scheduler_step(struct scheduler *s, struct err *e) {
    request_free(s->told);
    s->told = NULL;
    e->code = ERR_NONE;
    while (s->waiting.n && s->n_running < s->n_rows_max && admit(s, e)) continue;
    if (e->code != ERR_NONE) return -1;
    batch_build(s);
    if (s->n_rows) compute(s);
    int n_done = 0;
    for (int i = 0; i < s->n_running; i++) {
        struct request *r = s->running[i];
        if (!(r->reading ? advance_read(s, r) : advance_generate(s, r))) {
            s->running[i - n_done] = r;
            continue;
        }
        stop_running(s, r);
        finish(s, r, r->end);
        n_done++;
    }
    s->n_running -= n_done;
    if (s->turn >= s->n_running) s->turn = 0;
    ASSERT(s->n_rows || n_done || s->n_running == 0);
    return s->n_rows ? s->n_rows : s->done.n > 0;
}

/* ---- telling ---- */

bool scheduler_next(struct scheduler *s, struct engine_event *out) {
    request_free(s->told);
    s->told = NULL;
    if (s->done.n == 0) return false;
    struct request *r = s->told = queue_take(&s->done);
    leave_branch(s, r);
    *out = (struct engine_event){
        .id = r->id,
        .end = r->end,
        .n_tokens = r->n_sampled,
        .tokens = r->tokens,
        .logprobs = r->logprobs,
        .confidences = r->confidences,
        .outputs = r->values,
        .n_prefilled = r->n_prefilled,
        .n_recomputed = r->n_recomputed,
    };
    return true;
}

int scheduler_in_flight(const struct scheduler *s) {
    return s->waiting.n + s->n_running + s->done.n;
}

/* ---- checks ---- */

int scheduler_holds(const struct scheduler *s, const struct kv_node *node) {
    int n = 0;
    for (int i = 0; i < s->n_running; i++)
        n += s->running[i]->node == node && s->running[i]->branch->node != node;
    for (const struct request *r = s->waiting.first; r; r = r->next)
        n += r->node == node && r->branch->node != node;
    for (const struct request *r = s->done.first; r; r = r->next)
        n += r->node == node && r->branch->node != node;
    return n;
}

static void check_queue(const struct queue *q) {
    int n = 0;
    const struct request *last = NULL;
    for (const struct request *r = q->first; r; last = r, r = r->next) {
        n++;
        ASSERT(r->branch->n_requests > 0);
    }
    ASSERT(n == q->n && last == q->last);
}

void scheduler_check(const struct scheduler *s) {
    check_queue(&s->waiting);
    check_queue(&s->done);
    for (const struct kv_node *node = s->kv->all; node; node = node->all_next) {
        int n_pins = 0;
        for (int i = 0; i < s->n_running; i++)
            for (const struct kv_node *n = s->running[i]->node; n; n = n->parent) n_pins += n == node;
        ASSERT(n_pins == node->n_pins);
    }
    ASSERT(s->n_free_tables == s->n_rows_max - s->n_running);
    for (int i = 0; i < s->n_running; i++) {
        const struct request *r = s->running[i];
        ASSERT(r->branch->n_requests > 0 && r->branch->generating != r->reading);
        ASSERT(r->reading || r->n_sampled < r->n_tokens_max);
        ASSERT(r->table);
    }
}
