#include "engine/engine.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/memory.h"
#include "base/rng.h"
#include "base/str.h"
#include "engine/plan.h"
#include "engine/scheduler.h"

struct engine {
    const struct model *model;
    const struct kernels *kernels;
    struct pool *pool;
    struct transformer transformer;
    struct kv kv;
    struct forward forward;
    struct heads heads;
    struct scheduler scheduler;
    struct branch *branches; /* all */
    size_t n_claimed;
};

static bool open_memory(struct engine *en, const struct engine_plan *p, enum engine_sharing sharing,
                        struct err *e) {
    const struct model_config *c = &en->model->config;
    int n_path_pages = kv_path_pages(p->n_positions);
    if (!transformer_init(&en->transformer, en->model, p->n_positions, e)) return false;
    if (!kv_init(&en->kv, p->n_pages, p->page_bytes, e)) return false;
    int n_allowed =
        en->model->tokenizer ? MIN(c->n_vocab, tokenizer_count(en->model->tokenizer)) : c->n_vocab;
    forward_init(&en->forward, &en->transformer, en->kernels, en->pool, p->kv, p->n_rows_max, sharing,
                 n_path_pages);
    heads_init(&en->heads, &en->forward, en->pool, p->n_rows_max, n_allowed);
    scheduler_init(&en->scheduler, en->model, &en->kv, &en->forward, &en->heads, p->n_rows_max, n_path_pages);
    return true;
}

bool engine_kv_parse(const char *name, enum engine_kv *out, struct err *e) {
    static const char *const names[] = {
        [ENGINE_KV_AUTO] = "auto", [ENGINE_KV_F32] = "f32", [ENGINE_KV_F16] = "f16"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        *out = (enum engine_kv)i;
        if (strcmp(name ? name : "auto", names[i]) == 0) return true;
    }
    return err_set(e, ERR_INPUT, "keys and values as %s: give f16, f32 or auto", name);
}

struct engine *engine_open(const struct model *m, const struct engine_options *o, struct err *e) {
    const struct kernels *kernels = kernels_pick();
    if (!kernels) {
        struct buf names = {0};
        for (size_t i = 0; kernels_name(i); i++)
            if (kernels_by_name(kernels_name(i))) buf_printf(&names, " %s", kernels_name(i));
        err_set(e, ERR_INPUT, "BROOD_ISA=%s is none of the instruction sets that this machine runs:%s",
                getenv("BROOD_ISA"), names.ptr);
        buf_free(&names);
        return NULL;
    }
    struct engine_plan plan = engine_plan_make(m, o);
    if (!engine_plan_check(&plan, m, e)) return NULL;
    struct engine *en = mem_alloc_aligned(64, sizeof *en);
    en->model = m;
    en->kernels = kernels;
    en->n_claimed = engine_plan_bytes(&plan);
    memory_claim(en->n_claimed);
    en->pool = pool_new(plan.n_threads);
    if (!open_memory(en, &plan, o->sharing, e)) {
        engine_close(en);
        return NULL;
    }
    return en;
}

void engine_close(struct engine *en) {
    if (!en) return;
    scheduler_fini(&en->scheduler);
    heads_fini(&en->heads);
    forward_fini(&en->forward);
    for (struct branch *b = en->branches, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    kv_fini(&en->kv);
    transformer_fini(&en->transformer);
    pool_free(en->pool);
    memory_release(en->n_claimed);
    free(en);
}

const struct model *engine_model(const struct engine *en) {
    return en->model;
}

const char *engine_isa(const struct engine *en) {
    return en->kernels->name;
}

const char *engine_kv_name(const struct engine *en) {
    return dtype_name(en->forward.kv);
}

uint64_t engine_identity(const struct engine *en) {
    const char *kv = engine_kv_name(en);
    const uint64_t content = en->model->content_hash;
    return en->forward.kv == DTYPE_F32 ? content : rng_hash(content, kv, strlen(kv));
}

/* ---- branches ---- */

/* Takes the caller's reference to node. */
static struct branch *branch_new(struct engine *en, struct kv_node *node) {
    struct branch *b = mem_zalloc(1, sizeof *b);
    b->engine = en;
    b->node = node;
    b->next = en->branches;
    if (b->next) b->next->prev = b;
    return en->branches = b;
}

struct branch *engine_root(struct engine *en) {
    return branch_new(en, kv_root(&en->kv));
}

struct branch *branch_fork(struct branch *b) {
    ASSERT(!b->generating);
    kv_hold(b->node);
    return branch_new(b->engine, b->node);
}

void branch_append(struct branch *b, const int *tokens, size_t n) {
    ASSERT(b->n_requests == 0 && n <= INT32_MAX / 4);
    for (size_t i = 0; i < n; i++) ASSERT(tokens[i] >= 0 && tokens[i] < b->engine->model->config.n_vocab);
    b->node = kv_grow(&b->engine->kv, b->node, tokens, (int)n);
}

void branch_take_back(struct branch *b) {
    ASSERT(b->n_requests == 0);
    b->node = kv_pop(&b->engine->kv, b->node);
}

void branch_release(struct branch *b) {
    if (!b) return;
    ASSERT(b->n_requests == 0);
    kv_release(&b->engine->kv, b->node);
    *(b->prev ? &b->prev->next : &b->engine->branches) = b->next;
    if (b->next) b->next->prev = b->prev;
    free(b);
}

size_t branch_length(const struct branch *b) {
    return (size_t)kv_length(b->node);
}

size_t branch_computed(const struct branch *b) {
    return (size_t)kv_path_computed(b->node);
}

void branch_tokens(const struct branch *b, size_t first, size_t n, int *out) {
    ASSERT(first <= branch_length(b) && n <= branch_length(b) - first);
    kv_read_tokens(b->node, (int)first, (int)n, out);
}

/* ---- requests ---- */

void engine_generate(struct engine *en, const struct engine_generate *g) {
    ASSERT(g->branch->engine == en);
    scheduler_generate(&en->scheduler, g);
}

bool engine_read(struct engine *en, const struct engine_read *r, struct err *e) {
    ASSERT(r->branch->engine == en);
    return scheduler_read(&en->scheduler, r, e);
}

void engine_cancel(struct engine *en, uint64_t id) {
    scheduler_cancel(&en->scheduler, id);
}

int engine_step(struct engine *en, struct err *e) {
    return scheduler_step(&en->scheduler, e);
}

bool engine_next(struct engine *en, struct engine_event *out) {
    return scheduler_next(&en->scheduler, out);
}

int engine_in_flight(const struct engine *en) {
    return scheduler_in_flight(&en->scheduler);
}

int engine_wanted(const struct engine *en) {
    return en->scheduler.n_rows_max;
}

struct engine_counters engine_counters(const struct engine *en) {
    struct engine_counters c = en->scheduler.counters;
    c.n_pages = (uint64_t)en->kv.n_pages;
    c.n_pages_used = (uint64_t)(en->kv.n_pages - en->kv.n_free);
    c.n_pages_peak = (uint64_t)en->kv.n_used_peak;
    c.n_evictions = en->kv.n_evictions;
    c.n_pages_copied = en->kv.n_copied;
    c.page_bytes = en->kv.page_bytes;
    return c;
}

struct cost engine_computed(const struct engine *en) {
    const struct engine_counters c = engine_counters(en);
    return (struct cost){.tokens_read = (double)(c.n_prefilled + c.n_recomputed),
                         .tokens_generated = (double)c.n_sampled,
                         .flops = c.flops};
}

struct cost engine_recomputed(const struct engine *en) {
    const struct engine_counters c = engine_counters(en);
    return (struct cost){.tokens_read = (double)c.n_recomputed, .flops = c.flops_recomputed};
}

double engine_cache_bytes(const struct engine *en) {
    const struct engine_counters c = engine_counters(en);
    return (double)c.n_pages_used * (double)c.page_bytes;
}

/* ---- checks ---- */

static int n_held(void *ctx, const struct kv_node *node) {
    const struct engine *en = ctx;
    int n = scheduler_holds(&en->scheduler, node);
    for (const struct branch *b = en->branches; b; b = b->next) n += b->node == node;
    return n;
}

void engine_check(const struct engine *en) {
    kv_check(&en->kv, n_held, (void *)(uintptr_t)en);
    scheduler_check(&en->scheduler);
}
