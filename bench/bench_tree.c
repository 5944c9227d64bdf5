/* bench_tree - what large trees cost beside the arithmetic: processor time of a token that is spent outside
 * the kernels, memory against the plan, and eviction.
 *
 * Every case runs twice on a model of the bundled small policy's shape with random weights and a context of
 * 16,384: with the kernels of this machine, and with kernels that compute nothing, whose time is all
 * overhead: the scheduler, page tables, the order of rows, the draw of a token, events. The linker sends
 * kernels_pick here (Makefile: --wrap). One thread.
 *
 *     overhead    ns a token, kernels that compute nothing        of it all   its share of the time with
 * kernels pages       used at most, of those that the tree needs      memory      the process grew by, of the
 * plan heap        bytes a branch beside its pages
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "../tests/engine_toy.h"
#include "base/clock.h"
#include "engine/engine.h"
#include "engine/plan.h"

/* ---- kernels that compute nothing ---- */

static void no_matmul(float *y, size_t y_stride, const float *x, size_t x_stride, int n_rows,
                      const struct matrix *w, int panel_first, int panel_end) {
    UNUSED(y), UNUSED(y_stride), UNUSED(x), UNUSED(x_stride), UNUSED(n_rows);
    UNUSED(w), UNUSED(panel_first), UNUSED(panel_end);
}

static void no_rmsnorm(float *y, const float *x, const float *gain, int n, float eps) {
    UNUSED(y), UNUSED(x), UNUSED(gain), UNUSED(n), UNUSED(eps);
}

static void no_rope(float *x, int n_heads, int head_width, const float *cos, const float *sin) {
    UNUSED(x), UNUSED(n_heads), UNUSED(head_width), UNUSED(cos), UNUSED(sin);
}

static void no_add(float *x, const float *y, int n) {
    UNUSED(x), UNUSED(y), UNUSED(n);
}

static void no_attend(const struct attend *a) {
    UNUSED(a);
}

static void no_kv_store(void *block, enum dtype t, int slot, const float *k, const float *v, int head_width) {
    UNUSED(block), UNUSED(t), UNUSED(slot), UNUSED(k), UNUSED(v), UNUSED(head_width);
}

/* All tokens alike. */
static float no_exp_sum(float *out, const float *x, int n, float inv_temperature, float *max_out) {
    UNUSED(x), UNUSED(inv_temperature);
    if (out[0] != 1 || out[n - 1] != 1)
        for (int i = 0; i < n; i++) out[i] = 1;
    *max_out = 0;
    return (float)n;
}

static const struct kernels nothing = {.name = "nothing",
                                       .matmul = no_matmul,
                                       .rmsnorm = no_rmsnorm,
                                       .rope = no_rope,
                                       .silu_mul = no_add,
                                       .add = no_add,
                                       .attend = no_attend,
                                       .kv_store = no_kv_store,
                                       .exp_sum = no_exp_sum};
static bool compute;

const struct kernels *__real_kernels_pick(void);
const struct kernels *__wrap_kernels_pick(void);
const struct kernels *__wrap_kernels_pick(void) {
    return compute ? __real_kernels_pick() : &nothing;
}

/* ---- cases ---- */

static const struct model_config small = {
    .family = "llama",
    .n_layers = 4,
    .d_model = 64,
    .n_heads = 4,
    .n_kv_heads = 4,
    .head_width = 16,
    .d_ffn = 176,
    .n_vocab = 448,
    .n_context = 16384,
    .norm_eps = 1e-5f,
    .rope = {.kind = ROPE_DEFAULT, .theta = 10000, .factor = 1},
    .head = MODEL_HEAD_LM,
    .n_head_outputs = 448,
    .tied_embeddings = true,
};

/* A prompt; `depth` times every branch is forked `fan` ways, each a step longer; then samples of every leaf.
 */
struct shape {
    const char *name;
    int n_prompt, depth, fan, n_step;
    int n_samples, n_tokens; /* of a leaf; of a sample */
    int n_pages;             /* 0: as many as are needed */
    bool keep;               /* finished branches are kept */
};

struct result {
    double seconds; /* of the processor, in decoding steps */
    uint64_t n_tokens, n_evictions, n_pages_peak, n_pages, n_pages_left;
    size_t plan_bytes, grown_bytes, heap_bytes;
    int n_branches;
};

static int fail(const char *what) {
    fprintf(stderr, "bench_tree: %s\n", what);
    exit(2);
}

static size_t resident_bytes(void) {
    long n_pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%*d %ld", &n_pages) != 1) n_pages = 0;
    if (f) fclose(f);
    return (size_t)n_pages * 4096;
}

static int power(int x, int n) {
    return n > 0 ? x * power(x, n - 1) : 1;
}

/* Pages of the tree when all its samples are done, by hand: a node owns what its own positions touch. */
static int pages_needed(const struct shape *s) {
    int first = 0, n = (s->n_prompt + KV_PAGE - 1) / KV_PAGE;
    first = s->n_prompt;
    for (int d = 1; d <= s->depth; d++, first += s->n_step)
        n += power(s->fan, d) * ((first + s->n_step - 1) / KV_PAGE - first / KV_PAGE + 1);
    const int last = first + s->n_tokens - 2; /* the last token sampled is not computed */
    if (last >= first) n += power(s->fan, s->depth) * s->n_samples * (last / KV_PAGE - first / KV_PAGE + 1);
    return n;
}

static void run(struct engine *en) {
    struct err e = {0};
    struct engine_event event;
    while (engine_in_flight(en)) {
        if (engine_step(en, &e) < 0) fail(e.msg);
        while (engine_next(en, &event)) continue;
    }
}

static void append(struct branch *b, int n, uint64_t key) {
    int *ids = mem_zalloc((size_t)n + 1, sizeof(int));
    for (int i = 0; i < n; i++) ids[i] = (int)rng_below(key, (uint64_t)i, (uint32_t)small.n_vocab);
    branch_append(b, ids, (size_t)n);
    free(ids);
}

static void read_branch(struct engine *en, struct branch *b) {
    struct err e = {0};
    struct engine_read r = {.branch = b};
    if (!engine_read(en, &r, &e)) fail(e.msg);
}

/* All leaves of a case, the tree above them read. */
static struct branch **grow(struct engine *en, const struct shape *s, int *n_leaves) {
    struct branch **level = mem_zalloc(1, sizeof(struct branch *)), **next;
    *n_leaves = 1;
    level[0] = engine_root(en);
    append(level[0], s->n_prompt, 1);
    read_branch(en, level[0]);
    run(en);
    for (int d = 1; d <= s->depth; d++) {
        next = mem_zalloc((size_t)(*n_leaves * s->fan), sizeof(struct branch *));
        for (int i = 0; i < *n_leaves; i++) {
            for (int j = 0; j < s->fan; j++) {
                struct branch *b = next[i * s->fan + j] = branch_fork(level[i]);
                append(b, s->n_step, rng_child((uint64_t)d, (uint64_t)(i * s->fan + j)));
                read_branch(en, b);
            }
        }
        run(en);
        for (int i = 0; i < *n_leaves; i++) branch_release(level[i]);
        free(level);
        level = next;
        *n_leaves *= s->fan;
    }
    return level;
}

static struct result measure(const struct toy *t, const struct shape *s) {
    struct err e = {0};
    struct result r = {0};
    struct engine_options o = {.n_threads = 1};
    o.kv_bytes = engine_plan_make(&t->m, &o).page_bytes * (size_t)(s->n_pages ? s->n_pages : pages_needed(s));
    const struct engine_plan plan = engine_plan_make(&t->m, &o);
    const size_t resident = resident_bytes();
    struct engine *en = engine_open(&t->m, &o, &e);
    if (!en) fail(e.msg);
    int n_leaves, n = 0;
    const size_t heap = mallinfo2().uordblks;
    struct branch **leaves = grow(en, s, &n_leaves),
                  **all = mem_zalloc((size_t)(n_leaves * s->n_samples), sizeof(struct branch *));
    for (int i = 0; i < n_leaves; i++)
        for (int j = 0; j < s->n_samples; j++, n++) {
            struct engine_generate g = {.id = (uint64_t)n, .key = (uint64_t)n, .n_tokens_max = s->n_tokens};
            g.branch = all[n] = branch_fork(leaves[i]);
            g.sampling.temperature = 1;
            engine_generate(en, &g);
        }
    r.heap_bytes = mallinfo2().uordblks;
    r.heap_bytes = (r.heap_bytes > heap ? r.heap_bytes - heap : 0) / (size_t)n;
    r.n_branches = n;
    const double start = clock_cpu_seconds();
    struct engine_event event;
    while (engine_in_flight(en)) {
        if (engine_step(en, &e) < 0) fail(e.msg);
        while (engine_next(en, &event)) {
            r.n_tokens += (uint64_t)event.n_tokens;
            if (!s->keep) branch_release(all[event.id]);
        }
    }
    r.seconds = clock_cpu_seconds() - start;
    for (int i = 0; i < n_leaves; i++) branch_release(leaves[i]);
    for (int i = 0; s->keep && i < n; i++) branch_release(all[i]);
    const struct engine_counters c = engine_counters(en);
    r.n_evictions = c.n_evictions;
    r.n_pages_peak = c.n_pages_peak;
    r.n_pages = c.n_pages;
    r.n_pages_left = c.n_pages_used;
    r.plan_bytes = engine_plan_bytes(&plan);
    r.grown_bytes = resident_bytes() - resident;
    free(leaves);
    free(all);
    engine_close(en);
    malloc_trim(0);
    return r;
}

static void show(const struct toy *t, const struct shape *s) {
    enum { ROUNDS = 3 };
    struct result idle, real;
    double best[2] = {0};
    for (int i = 0; i < ROUNDS; i++) {
        compute = false;
        idle = measure(t, s);
        compute = true;
        real = measure(t, s);
        best[0] = i == 0 || idle.seconds < best[0] ? idle.seconds : best[0];
        best[1] = i == 0 || real.seconds < best[1] ? real.seconds : best[1];
    }
    if (idle.n_pages_left || real.n_pages_left) fail("pages are left when all branches are gone");
    const double n = (double)real.n_tokens;
    printf("%-34s %6d %8.0f %8.0f %5.1f %%  %7lu of %7d %9lu  %6.1f of %6.1f MB %6zu\n", s->name,
           real.n_branches, 1e9 * best[0] / n, 1e9 * best[1] / n, 100 * best[0] / best[1], real.n_pages_peak,
           pages_needed(s), real.n_evictions, (double)real.grown_bytes / 1e6, (double)real.plan_bytes / 1e6,
           real.heap_bytes);
    fflush(stdout);
}

int main(void) {
    static struct toy t;
    toy_init(&t, &small, DTYPE_F16, false, 5);
    t.m.n_end_tokens = 0;
    printf("%-34s %6s %8s %8s %7s  %18s %9s  %19s %6s\n", "", "", "overhead", "in all", "of it",
           "pages, of needed", "evictions", "memory, of plan", "heap");
    printf("%-34s %6s %8s %8s\n", "", "branch", "ns/token", "ns/token");
    static const struct shape shapes[] = {
        {"samples of a prompt of 256", 256, 0, 1, 0, 1, 32, 0, false},
        {"", 256, 0, 1, 0, 10, 32, 0, false},
        {"", 256, 0, 1, 0, 100, 32, 0, false},
        {"", 256, 0, 1, 0, 1000, 32, 0, false},
        {"", 256, 0, 1, 0, 10000, 32, 0, false},
        {"branches of a tree of 2,000 tokens", 1808, 1, 4, 192, 1, 64, 0, false},
        {"", 1808, 2, 4, 96, 1, 64, 0, false},
        {"", 1808, 3, 4, 64, 1, 64, 0, false},
        {"", 1808, 3, 10, 64, 1, 64, 0, false},
        {"64 samples of a prompt of 500", 500, 0, 1, 0, 64, 64, 0, false},
        {"1,000", 1000, 0, 1, 0, 64, 64, 0, false},
        {"2,000", 2000, 0, 1, 0, 64, 64, 0, false},
        {"4,000", 4000, 0, 1, 0, 64, 64, 0, false},
        {"8,000", 8000, 0, 1, 0, 64, 64, 0, false},
        {"10,000, all kept, a small cache", 256, 0, 1, 0, 10000, 32, 2000, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(shapes); i++) show(&t, &shapes[i]);
    toy_fini(&t);
    return 0;
}
