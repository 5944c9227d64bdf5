/* The sampler against a sorted reference and the chi-square distribution; decoding does not allocate. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/engine.h"
#include "engine/sampler.h"
#include "engine_toy.h"

/* ---- counting allocations: not under sanitizers, which bring their own ---- */

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED
#endif

static int n_allocations;

#ifndef SANITIZED
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t each);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t alignment, size_t n);
void *malloc(size_t n) {
    n_allocations++;
    return __libc_malloc(n);
}
void *calloc(size_t n, size_t each) {
    n_allocations++;
    return __libc_calloc(n, each);
}
void *realloc(void *p, size_t n) {
    n_allocations++;
    return __libc_realloc(p, n);
}
int posix_memalign(void **out, size_t alignment, size_t n) {
    n_allocations++;
    return (*out = __libc_memalign(alignment, n)) ? 0 : 12;
}
#endif

/* ---- the reference: sort, filter, renormalise, one thing after the other ---- */

struct entry {
    double p;
    int id;
};

static int by_probability(const void *a, const void *b) {
    const struct entry *x = a, *y = b;
    if (x->p != y->p) return x->p > y->p ? -1 : 1;
    return x->id - y->id;
}

static void renormalise(struct entry *all, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++) sum += all[i].p;
    for (int i = 0; i < n; i++) all[i].p /= sum;
}

/* Survivors by falling probability; returns how many. */
static int reference(const float *logits, int n, const struct engine_sampling *how, struct entry *out) {
    double max = -INFINITY;
    for (int i = 0; i < n; i++) max = fmax(max, (double)logits[i]);
    for (int i = 0; i < n; i++)
        out[i] = (struct entry){exp(((double)logits[i] - max) / (double)how->temperature), i};
    qsort(out, (size_t)n, sizeof *out, by_probability);
    renormalise(out, n);
    int n_kept = n;
    while (n_kept > 1 && out[n_kept - 1].p < (double)how->min_p * out[0].p) n_kept--;
    if (how->top_k > 0) n_kept = MIN(n_kept, how->top_k);
    renormalise(out, n_kept);
    if (how->top_p > 0 && how->top_p < 1) {
        double sum = out[0].p;
        int n_nucleus = 1;
        while (n_nucleus < n_kept && sum < (double)how->top_p) sum += out[n_nucleus++].p;
        n_kept = n_nucleus;
    }
    renormalise(out, n_kept);
    return n_kept;
}

static void random_logits(float *out, int n, uint64_t key) {
    double spread = 0.5 + 6 * rng_unit(key, 1u << 20);
    for (int i = 0; i < n; i++) out[i] = (float)(spread * (2 * rng_unit(key, (uint64_t)i) - 1));
    if (rng_below(key, 1u << 21, 2)) /* ties */
        for (int i = 0; i < n; i++) out[i] = roundf(out[i]);
}

static struct engine_sampling random_filters(uint64_t key) {
    struct engine_sampling how = {.temperature = (float)(0.2 + 2 * rng_unit(key, 0))};
    if (rng_below(key, 1, 2)) how.top_k = 1 + (int)rng_below(key, 2, 40);
    if (rng_below(key, 3, 2)) how.top_p = (float)rng_unit(key, 4);
    if (rng_below(key, 5, 2)) how.min_p = (float)(rng_unit(key, 6) * rng_unit(key, 7));
    return how;
}

/* The drawn token is the reference's at that point of its cumulative distribution, within rounding. */
static void draws_are_the_sorted_references(void **state) {
    UNUSED(state);
    enum { N = 300 };
    float logits[N];
    struct entry kept[N];
    struct sampler s;
    sampler_init(&s, N);
    const struct kernels *k = kernels_by_name("generic");
    for (uint64_t round = 0; round < 3000; round++) {
        uint64_t key = rng_child(77, round);
        int n = 1 + (int)rng_below(key, 1u << 22, N);
        random_logits(logits, n, key);
        struct engine_sampling how = random_filters(rng_child(key, 1));
        bool filtered = how.top_k > 0 || how.top_p > 0 || how.min_p > 0;
        int n_kept = reference(logits, n, &how, kept), token;
        float logprob;
        double unit = rng_unit(key, 1u << 23);
        assert_true(sampler_draw(&s, k, logits, n, n, &how, unit, &token, &logprob));
        double below = 0, mine = -1, sum = 0;
        for (int i = 0; i < n_kept; i++) {
            if (filtered ? i < n_kept && mine < 0 : kept[i].id < token)
                below += kept[i].id == token ? 0 : kept[i].p;
            if (kept[i].id == token) mine = kept[i].p;
        }
        /* an edge of the nucleus or of min-p may fall the other way by rounding */
        if (mine < 0) mine = 1e-6;
        assert_true(unit >= below - 1e-4 && unit <= below + mine + 1e-4);
        for (int i = 0; i < n; i++) sum += exp((double)logits[i] - (double)logits[token]);
        assert_true(fabs((double)logprob + log(sum)) < 1e-5);
    }
    sampler_fini(&s);
}

static int falling(const void *a, const void *b) {
    const float *x = a, *y = b;
    return (*x < *y) - (*x > *y);
}

/* All log-probabilities sorted, the first n_top of them averaged; and the draw is what it is without. */
static void confidences_are_the_sorted_references(void **state) {
    UNUSED(state);
    enum { N = 300 };
    float logits[N], sorted[N];
    struct sampler s;
    sampler_init(&s, N);
    const struct kernels *k = kernels_by_name("generic");
    for (uint64_t round = 0; round < 2000; round++) {
        uint64_t key = rng_child(78, round);
        int n = 1 + (int)rng_below(key, 1u << 22, N), n_top = 1 + (int)rng_below(key, 1u << 21, 40), token[2];
        random_logits(logits, n, key);
        if (round % 3 == 0) /* many equal ones */
            for (int i = 0; i < n; i++) logits[i] = floorf(logits[i]);
        struct engine_sampling how = random_filters(rng_child(key, 1));
        float logprob[2];
        double unit = rng_unit(key, 1u << 23), sum = 0, want = 0;
        assert_true(sampler_draw(&s, k, logits, n, n, &how, unit, &token[0], &logprob[0]));
        double got = (double)sampler_confidence(&s, logits, n, n_top);
        assert_true(sampler_draw(&s, k, logits, n, n, &how, unit, &token[1], &logprob[1]));
        assert_int_equal(token[0], token[1]);
        assert_memory_equal(&logprob[0], &logprob[1], sizeof logprob[0]);
        memcpy(sorted, logits, (size_t)n * sizeof *logits);
        qsort(sorted, (size_t)n, sizeof *sorted, falling);
        for (int i = 0; i < n; i++) sum += exp((double)sorted[i] - (double)sorted[0]);
        const int n_taken = n_top < n ? n_top : n;
        for (int i = 0; i < n_taken; i++)
            want -= ((double)sorted[i] - (double)sorted[0] - log(sum)) / n_taken;
        assert_true(fabs(got - want) < 1e-5 * fmax(1, want));
    }
    sampler_fini(&s);
}

/* 99.9 % quantile of chi-square by Wilson and Hilferty. */
static double chi_square_limit(int freedom) {
    double f = freedom, z = 3.09;
    return f * pow(1 - 2 / (9 * f) + z * sqrt(2 / (9 * f)), 3);
}

static void draws_follow_the_distribution(void **state) {
    UNUSED(state);
    enum { N = 40, DRAWS = 20000 };
    static const struct engine_sampling all[] = {
        {.temperature = 1},
        {.temperature = 0.6f},
        {.temperature = 1.5f, .top_k = 10},
        {.temperature = 1, .top_p = 0.8f},
        {.temperature = 1, .min_p = 0.05f},
        {.temperature = 0.8f, .top_k = 20, .top_p = 0.95f, .min_p = 0.02f},
    };
    float logits[N];
    struct entry kept[N];
    struct sampler s;
    sampler_init(&s, N);
    const struct kernels *k = kernels_pick();
    for (size_t a = 0; a < ARRAY_LEN(all); a++) {
        for (int i = 0; i < N; i++) logits[i] = (float)(4 * rng_unit(a, (uint64_t)i));
        int count[N] = {0}, n_kept = reference(logits, N, &all[a], kept), token, n_seen = 0;
        float logprob;
        for (uint64_t i = 0; i < DRAWS; i++) {
            assert_true(sampler_draw(&s, k, logits, N, N, &all[a], rng_unit(1000 + a, i), &token, &logprob));
            count[token]++;
        }
        double chi = 0;
        for (int i = 0; i < n_kept; i++) {
            double want = DRAWS * kept[i].p;
            chi += (count[kept[i].id] - want) * (count[kept[i].id] - want) / want;
            n_seen += count[kept[i].id];
        }
        assert_int_equal(n_seen, DRAWS); /* nothing outside the filters */
        if (!(chi < chi_square_limit(n_kept - 1))) fail_msg("chi-square %g with %d tokens", chi, n_kept);
    }
    sampler_fini(&s);
}

static void edges_of_draws(void **state) {
    UNUSED(state);
    struct sampler s;
    sampler_init(&s, 200);
    const struct kernels *k = kernels_pick();
    float logits[200] = {0}, logprob;
    int token;
    struct engine_sampling how = {.temperature = 0};
    logits[5] = logits[9] = 2;
    assert_true(sampler_draw(&s, k, logits, 200, 200, &how, 0.9, &token, &logprob));
    assert_int_equal(token, 5); /* ties: the lowest id */
    how.temperature = 1;
    how.top_k = 1;
    assert_true(sampler_draw(&s, k, logits, 200, 200, &how, 0.9, &token, &logprob));
    assert_int_equal(token, 5);
    how = (struct engine_sampling){.temperature = 1};
    assert_true(sampler_draw(&s, k, logits, 200, 200, &how, 0, &token, &logprob));
    assert_int_equal(token, 0);
    assert_true(sampler_draw(&s, k, logits, 200, 200, &how, 1 - 0x1p-53, &token, &logprob));
    assert_int_equal(token, 199);
    for (int i = 0; i < 200; i++) logits[i] = i == 70 ? 0 : -1e30f; /* all weight on one */
    for (double unit = 0; unit < 1; unit += 0.1) {
        assert_true(sampler_draw(&s, k, logits, 200, 200, &how, unit, &token, &logprob));
        assert_int_equal(token, 70);
        assert_true(logprob == 0);
    }
    assert_false(sampler_draw(&s, k, logits, 200, 70,
                              &(struct engine_sampling){.temperature = 1e30f, .top_k = 3}, 0.5, &token,
                              &logprob) &&
                 token >= 70); /* ids that the tokenizer does not have are never drawn */
    float bad[] = {NAN, INFINITY};
    for (int i = 0; i < 2; i++) {
        logits[33] = bad[i];
        assert_false(sampler_draw(&s, k, logits, 200, 200, &how, 0.5, &token, &logprob));
    }
    for (int i = 0; i < 200; i++) logits[i] = -INFINITY;
    assert_false(sampler_draw(&s, k, logits, 200, 200, &how, 0.5, &token, &logprob));
    sampler_fini(&s);
}

static void logarithms(void **state) {
    UNUSED(state);
    for (uint64_t i = 0; i < 10000; i++) {
        double x = exp(20 * rng_unit(3, i));
        assert_true(fabs(sampler_log(x) - log(x)) <= 1e-15 * fmax(1, log(x)));
    }
    assert_true(sampler_log(1) == 0);
}

/* ---- no allocation in a decoding step ---- */

static void decoding_steps_do_not_allocate(void **state) {
    UNUSED(state);
#ifdef SANITIZED
    skip();
#endif
    struct model_config c = {.family = "llama",
                             .n_layers = 2,
                             .d_model = 32,
                             .n_heads = 4,
                             .n_kv_heads = 2,
                             .head_width = 8,
                             .d_ffn = 40};
    c.n_vocab = c.n_head_outputs = 50;
    c.n_context = 400;
    c.norm_eps = 1e-5f;
    c.rope.theta = 10000;
    struct toy t;
    toy_init(&t, &c, DTYPE_F32, false, 1);
    struct err e = {0};
    struct engine *en = engine_open(&t.m, &(struct engine_options){.n_threads = 2, .n_rows_max = 32}, &e);
    assert_non_null(en);
    struct branch *root = engine_root(en);
    int prompt[50] = {0};
    branch_append(root, prompt, 50);
    for (int i = 0; i < 100; i++) {
        struct engine_generate g = {
            .id = (uint64_t)i, .branch = branch_fork(root), .key = (uint64_t)i, .n_tokens_max = 60};
        g.sampling = (struct engine_sampling){.temperature = 1, .top_p = 0.9f};
        g.n_top = i % 3;
        engine_generate(en, &g);
    }
    int n_quiet = 0, n_steps = 0;
    for (int n = 1; n > 0; n_steps++) {
        struct engine_event event;
        bool told = engine_next(en, &event);
        while (told && engine_next(en, &event)) continue;
        int before = n_allocations;
        n = engine_step(en, &e);
        /* requests are admitted in the first step, and in the steps after others were done */
        bool admits = n_steps == 0 || told;
        if (!admits) assert_int_equal(n_allocations, before);
        n_quiet += !admits && n > 0;
    }
    assert_true(n_quiet > 100 && n_allocations > 100);
    engine_close(en);
    toy_fini(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draws_are_the_sorted_references),
        cmocka_unit_test(confidences_are_the_sorted_references),
        cmocka_unit_test(draws_follow_the_distribution),
        cmocka_unit_test(edges_of_draws),
        cmocka_unit_test(logarithms),
        cmocka_unit_test(decoding_steps_do_not_allocate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
