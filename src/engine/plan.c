#include "engine/plan.h"

#include "base/memory.h"
#include "base/pool.h"
#include "engine/heads.h"
#include "engine/kv.h"

enum { ROWS_DEFAULT = 256, ROWS_MAX = 4096, CONTEXTS_DEFAULT = 128, POSITIONS_LEAST = 4096 };
#define KV_BYTES_MIN ((size_t)64 << 20)
#define KV_BYTES_MAX ((size_t)2 << 30)

static size_t cache_of(const struct engine_plan *p, int n_positions) {
    return (size_t)kv_path_pages(n_positions) * p->page_bytes;
}

/* Less than is wanted where memory is short, but not less than is of use. */
static size_t default_cache(const struct engine_plan *p, const struct model_config *c) {
    size_t rest = p->weights + p->work, most = MIN(KV_BYTES_MAX, memory_total() / 2);
    size_t least = MIN(KV_BYTES_MIN, most);
    size_t wanted = MAX(MIN(CONTEXTS_DEFAULT * cache_of(p, c->n_context), most), least);
    size_t left = p->available - MIN(p->available, rest);
    return MAX(MIN(wanted, left), MIN(wanted, MAX(least, cache_of(p, MIN(c->n_context, POSITIONS_LEAST)))));
}

/* Whoever has rounded inputs to 8 bits or fewer loses nothing by 11. */
static enum dtype default_kv(const struct model *m) {
    for (int i = 0; i < m->n_tensors; i++)
        if (dtype_coding(m->tensors[i].dtype) || m->tensors[i].rounds_inputs) return DTYPE_F16;
    return DTYPE_F32;
}

static void plan_work(struct engine_plan *p, const struct model *m, int n_positions) {
    const struct model_config *c = &m->config;
    int n_path_pages = kv_path_pages(n_positions);
    p->n_positions = n_positions;
    p->weights = transformer_bytes(m, n_positions);
    p->work = forward_bytes(c, p->n_rows_max, p->n_threads, n_path_pages) +
              heads_bytes(c, p->n_rows_max, p->n_threads) +
              (size_t)p->n_rows_max * (size_t)(n_path_pages + 1) * sizeof(void *);
}

struct engine_plan engine_plan_make(const struct model *m, const struct engine_options *o) {
    const struct model_config *c = &m->config;
    struct engine_plan p = {.available = memory_available()};
    p.n_threads = o->n_threads > 0 ? o->n_threads : pool_cores();
    p.n_rows_max = o->n_rows_max > 0 ? MIN(o->n_rows_max, ROWS_MAX) : ROWS_DEFAULT;
    p.kv = o->kv == ENGINE_KV_AUTO ? default_kv(m) : o->kv == ENGINE_KV_F16 ? DTYPE_F16 : DTYPE_F32;
    p.page_bytes =
        (size_t)c->n_layers * (size_t)c->n_kv_heads * kv_head_elements(c->head_width) * dtype_bytes(p.kv);
    plan_work(&p, m, c->n_context);
    p.cache = o->kv_bytes ? o->kv_bytes : default_cache(&p, c);
    p.n_pages = (int)MIN(MAX(p.cache / p.page_bytes, 1), INT32_MAX / KV_PAGE / 2);
    plan_work(&p, m, (int)MIN((size_t)c->n_context, (size_t)p.n_pages * KV_PAGE));
    return p;
}

bool engine_plan_check(const struct engine_plan *p, const struct model *m, struct err *e) {
    size_t wanted = engine_plan_bytes(p);
    if (wanted <= p->available) return true;
    return err_set(
        e, ERR_INPUT,
        "%s: %zu MiB of weights, %zu MiB to work in and %zu MiB of key-value cache do not fit the %zu "
        "MiB of memory that are free: free some, or take a smaller model",
        m->path, p->weights >> 20, p->work >> 20, p->cache >> 20, p->available >> 20);
}
