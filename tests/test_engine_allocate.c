/* No allocation inside a decoding step, however many branches: malloc and its kind are counted, in the
 * library's calls too. Branches that are done give their pages back; overhead of a step does not grow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"
#include "engine_toy.h"

static atomic_long n_calls;
#define SEEN __attribute__((visibility("default")))

/* Under a sanitizer, whose malloc must stay, the linker sends the program's calls here (Makefile: --wrap);
 * otherwise those that the C library makes for itself are counted, too. */
#ifdef WRAPPED
#define OURS(name) __wrap_##name
#define REAL(name) __real_##name
#else
#define OURS(name) name
#define REAL(name) __libc_##name
#endif

void *REAL(malloc)(size_t n);
void *REAL(calloc)(size_t n, size_t item);
void *REAL(realloc)(void *p, size_t n);
SEEN void *OURS(malloc)(size_t n);
SEEN void *OURS(calloc)(size_t n, size_t item);
SEEN void *OURS(realloc)(void *p, size_t n);
SEEN void *OURS(aligned_alloc)(size_t alignment, size_t n);
SEEN int OURS(posix_memalign)(void **p, size_t alignment, size_t n);

void *OURS(malloc)(size_t n) {
    atomic_fetch_add(&n_calls, 1);
    return REAL(malloc)(n);
}

void *OURS(calloc)(size_t n, size_t item) {
    atomic_fetch_add(&n_calls, 1);
    return REAL(calloc)(n, item);
}

void *OURS(realloc)(void *p, size_t n) {
    atomic_fetch_add(&n_calls, 1);
    return REAL(realloc)(p, n);
}

#ifdef WRAPPED
void *REAL(aligned_alloc)(size_t alignment, size_t n);
int REAL(posix_memalign)(void **p, size_t alignment, size_t n);
#else
void *__libc_memalign(size_t alignment, size_t n);
#define __libc_aligned_alloc __libc_memalign
static int __libc_posix_memalign(void **p, size_t alignment, size_t n) {
    *p = __libc_memalign(alignment, n);
    return *p ? 0 : ENOMEM;
}
#endif
void *OURS(aligned_alloc)(size_t alignment, size_t n) {
    atomic_fetch_add(&n_calls, 1);
    return REAL(aligned_alloc)(alignment, n);
}

int OURS(posix_memalign)(void **p, size_t alignment, size_t n) {
    atomic_fetch_add(&n_calls, 1);
    return REAL(posix_memalign)(p, alignment, n);
}

static const struct model_config config = {
    .family = "llama",
    .n_layers = 2,
    .d_model = 64,
    .n_heads = 4,
    .n_kv_heads = 2,
    .head_width = 16,
    .d_ffn = 64,
    .n_vocab = 70,
    .n_context = 160,
    .norm_eps = 1e-5f,
    .rope = {.kind = ROPE_DEFAULT, .theta = 10000, .factor = 1},
    .head = MODEL_HEAD_LM,
    .n_head_outputs = 70,
};

static long step_calls(struct engine *en) {
    struct err e = {0};
    const long before = atomic_load(&n_calls);
    assert_true(engine_step(en, &e) >= 0);
    return atomic_load(&n_calls) - before;
}

/* N branches of a prompt: the steps that admit requests may allocate; those behind them, evictions and
 * copies of pages and all, may not. */
static void decode(int n, int n_prompt, int n_tokens, int n_rows, int n_threads) {
    struct err e = {0};
    struct toy t;
    toy_init(&t, &config, DTYPE_F32, false, 77);
    t.m.n_end_tokens = 0;
    struct engine *en = engine_open(
        &t.m, &(struct engine_options){.n_threads = n_threads, .n_rows_max = n_rows, .kv_bytes = 8 << 20},
        &e);
    if (!en) fail_msg("%s", e.msg);
    struct branch *root = engine_root(en), **all = mem_zalloc((size_t)n, sizeof(*all));
    for (int i = 0; i < n_prompt; i++) branch_append(root, &(int){i % t.m.config.n_vocab}, 1);
    for (int i = 0; i < n; i++) {
        all[i] = branch_fork(root);
        struct engine_generate g = {.id = (uint64_t)i, .branch = all[i], .key = (uint64_t)i};
        g.sampling.temperature = 1;
        g.n_tokens_max = n_tokens;
        engine_generate(en, &g);
    }
    int n_quiet = 0, n_told = 0;
    struct engine_event event;
    while (engine_in_flight(en) > 0) {
        const bool admits = n_told > 0 || engine_counters(en).n_steps == 0;
        const long calls = step_calls(en);
        if (!admits && calls > 0) fail_msg("%ld allocations in a step of %d branches", calls, n);
        n_quiet += !admits;
        for (n_told = 0; engine_next(en, &event); n_told++) branch_release(all[event.id]);
    }
    assert_true(n_quiet >= n_tokens / 2);
    branch_release(root);
    engine_check(en);
    assert_int_equal(engine_counters(en).n_pages_used, 0); /* what is done has given its pages back */
    free(all);
    engine_close(en);
    toy_fini(&t);
}

static void test_decoding_steps(void **state) {
    UNUSED(state);
    decode(1, 5, 40, 16, 1);
    decode(16, 20, 40, 16, 2);
    decode(64, 33, 30, 64, 2);
    decode(200, 17, 20, 64, 2); /* more than run at once: those behind are admitted as the first end */
}

static void test_hook_counts(void **state) {
    UNUSED(state);
    const long before = atomic_load(&n_calls);
    void *volatile p = malloc(10);
    p = realloc(p, 20);
    free(p);
    free(mem_alloc(3));
    assert_int_equal(atomic_load(&n_calls) - before, 3);
#ifndef WRAPPED
    p = strdup("what the C library allocates itself");
    free(p);
    assert_int_equal(atomic_load(&n_calls) - before, 4);
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_hook_counts),
                                       cmocka_unit_test(test_decoding_steps)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
