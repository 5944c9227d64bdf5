/* What becomes of weights on their way into the engine: row orders, blocks, factors of positions, numbers
 * that are none, and the plan of memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/memory.h"
#include "engine/engine.h"
#include "engine/plan.h"
#include "engine/transformer.h"
#include "engine_toy.h"
#include "model/quantise.h"

enum { N = 40 };

static const struct model_config wide = {
    .family = "llama",
    .n_layers = 2,
    .d_model = 256,
    .n_heads = 4,
    .n_kv_heads = 2,
    .head_width = 64,
    .d_ffn = 256,
    .n_vocab = 70,
    .n_context = 160,
    .norm_eps = 1e-5f,
    .rope = {.kind = ROPE_DEFAULT, .theta = 10000, .factor = 1},
    .head = MODEL_HEAD_LM,
    .n_head_outputs = 70,
};

/* All outputs at all of N positions, [N][n_head_outputs]. Owned. */
static float *outputs_of(const struct model *m) {
    struct err e = {0};
    struct engine *en =
        engine_open(m, &(struct engine_options){.n_threads = 2, .n_rows_max = 20, .kv_bytes = 4 << 20}, &e);
    if (!en) fail_msg("%s", e.msg);
    int tokens[N], n_outputs = m->config.n_head_outputs,
                   *outputs = mem_zalloc((size_t)n_outputs, sizeof *outputs);
    size_t marks[N];
    for (int i = 0; i < N; i++) tokens[i] = (int)rng_below(5, (uint64_t)i, (uint64_t)m->config.n_vocab);
    for (size_t i = 0; i < N; i++) marks[i] = i;
    for (int i = 0; i < n_outputs; i++) outputs[i] = i;
    struct branch *b = engine_root(en);
    branch_append(b, tokens, N);
    struct engine_read r = {
        .branch = b, .marks = marks, .n_marks = N, .outputs = outputs, .n_outputs = n_outputs};
    assert_true(engine_read(en, &r, &e));
    struct engine_event event;
    while (!engine_next(en, &event)) assert_true(engine_step(en, &e) > 0);
    float *all = mem_dup(event.outputs, (size_t)(N * n_outputs) * sizeof *all);
    branch_release(b);
    engine_close(en);
    free(outputs);
    return all;
}

static void assert_same_outputs(const struct model *a, const struct model *b, const char *what) {
    float *x = outputs_of(a), *y = outputs_of(b);
    if (memcmp(x, y, sizeof *x * N * (size_t)a->config.n_head_outputs) != 0) fail_msg("%s differs", what);
    free(x);
    free(y);
}

static double difference(const float *got, const double *want, size_t n) {
    double low = INFINITY, high = -INFINITY, worst = 0;
    for (size_t i = 0; i < n; i++) {
        low = fmin(low, want[i]), high = fmax(high, want[i]);
        worst = fmax(worst, fabs(want[i] - (double)got[i]));
    }
    return worst / (high - low);
}

static bool ends_with(const char *s, const char *tail) {
    size_t n = strlen(s), k = strlen(tail);
    return n >= k && strcmp(s + n - k, tail) == 0;
}

/* ---- row orders ---- */

/* Rows of q and k as converters to GGUF put them: in each head, i and i + W/2 next to each other. */
static void pair_rows(struct tensor *t, int w) {
    size_t each = tensor_row_bytes(t), n = (size_t)t->shape[0];
    char *to = mem_alloc(t->n_bytes);
    for (size_t i = 0; i < n; i++) {
        size_t head = i / (size_t)w * (size_t)w, k = i - head, half = (size_t)w / 2;
        memcpy(to + (head + 2 * (k % half) + k / half) * each, (const char *)t->data + i * each, each);
    }
    free((void *)(uintptr_t)t->data);
    t->data = to;
    t->paired = w;
}

static void paired_rows_are_put_back(void **state) {
    static const enum dtype types[] = {DTYPE_F32, DTYPE_F16, DTYPE_BF16};
    UNUSED(state);
    for (size_t k = 0; k < ARRAY_LEN(types); k++) {
        struct toy a, b;
        struct model_config c = wide;
        c.qkv_bias = k == 1;
        toy_init(&a, &c, types[k], k == 2, 3);
        toy_init(&b, &c, types[k], k == 2, 3);
        int n = 0;
        for (int i = 0; i < b.m.n_tensors; i++) {
            struct tensor *t = &b.tensors[i];
            if (strstr(t->name, "q_proj") || strstr(t->name, "k_proj")) pair_rows(t, c.head_width), n++;
        }
        assert_int_equal(n, c.qkv_bias ? 8 : 4);
        for (int i = 0; i < b.m.n_tensors; i++)
            for (int64_t r = 0; r < b.tensors[i].shape[0]; r++)
                assert_memory_equal(tensor_row(&a.tensors[i], r), tensor_row(&b.tensors[i], r),
                                    tensor_row_bytes(&a.tensors[i]));
        assert_same_outputs(&a.m, &b.m, dtype_name(types[k]));
        toy_fini(&a);
        toy_fini(&b);
    }
}

/* ---- blocks ---- */

static void put_half(unsigned char *to, float x) {
    uint16_t h;
    dtype_f16_from_f32(&h, &x, 1);
    memcpy(to, &h, 2);
}

/* Random blocks whose values lie within about +-range. */
static void *random_blocks(enum dtype t, size_t n_elements, float range, uint64_t key) {
    size_t each = dtype_block_bytes(t), n = n_elements / (size_t)dtype_block(t);
    unsigned char *all = mem_alloc(n * each);
    for (size_t i = 0; i < n * each; i++) all[i] = (unsigned char)rng_below(key, i, 256);
    for (size_t i = 0; i < n; i++) {
        unsigned char *b = all + i * each;
        switch (t) {
        case DTYPE_Q8_0:
            put_half(b, range / 127);
            break;
        case DTYPE_Q4_0:
            put_half(b, range / 8);
            break;
        case DTYPE_Q5_0:
            put_half(b, range / 16);
            break;
        case DTYPE_Q4_1:
            put_half(b, range / 8), put_half(b + 2, -range);
            break;
        case DTYPE_Q5_1:
            put_half(b, range / 16), put_half(b + 2, -range);
            break;
        case DTYPE_Q4_K:
            put_half(b, range / 8 / 32), put_half(b + 2, range / 32);
            break;
        case DTYPE_Q5_K:
            put_half(b, range / 16 / 32), put_half(b + 2, range / 32);
            break;
        case DTYPE_F16: /* filled by the caller */
            break;
        default:
            put_half(b + 208, range / 32 / 64);
            break;
        }
    }
    return all;
}

/* Every matrix of a type of `types`, taken in turn; vectors F32. */
static void make_coded(struct toy *t, const enum dtype *types, size_t n_types) {
    toy_init(t, &wide, DTYPE_F32, false, 8);
    for (int i = 0; i < t->m.n_tensors; i++) {
        struct tensor *x = &t->tensors[i];
        if (x->n_dims != 2) continue;
        free((void *)(uintptr_t)x->data);
        x->dtype = types[(size_t)i % n_types];
        size_t n = (size_t)(x->shape[0] * x->shape[1]);
        x->data = random_blocks(x->dtype, n, strstr(x->name, "embed") ? 1 : 0.125f, (uint64_t)i);
        x->n_bytes = n / (size_t)dtype_block(x->dtype) * dtype_block_bytes(x->dtype);
    }
}

/* Codes are multiplied as they are, with inputs rounded to 8 bits: near what the exact weights give, the same
 * bits on every instruction set. */
static void codes_are_multiplied_as_they_are(void **state) {
    static const enum dtype all[] = {DTYPE_Q8_0, DTYPE_Q4_0, DTYPE_Q4_1, DTYPE_Q5_0, DTYPE_Q5_1,
                                     DTYPE_Q4_K, DTYPE_Q5_K, DTYPE_Q6_K, DTYPE_F16};
    UNUSED(state);
    int tokens[N];
    for (int i = 0; i < N; i++) tokens[i] = (int)rng_below(5, (uint64_t)i, (uint64_t)wide.n_vocab);
    const size_t n = (size_t)N * (size_t)wide.n_head_outputs;
    for (size_t k = 0; k < ARRAY_LEN(all); k++) { /* the last: a file of mixed types, F16 among them */
        struct toy a;
        bool mixed = all[k] == DTYPE_F16;
        make_coded(&a, mixed ? all : &all[k], mixed ? ARRAY_LEN(all) : 1);
        for (int i = 0; mixed && i < a.m.n_tensors; i++) /* random bytes are no F16 weights */
            if (a.tensors[i].dtype == DTYPE_F16)
                for (int64_t j = 0; j < tensor_elements(&a.tensors[i]); j++) {
                    float x = 0.125f * ((float)rng_unit(9, (uint64_t)j) - 0.5f);
                    dtype_f16_from_f32((uint16_t *)(uintptr_t)a.tensors[i].data + j, &x, 1);
                }
        float *got = outputs_of(&a.m);
        double *want = toy_outputs(&a, tokens, N);
        assert_true(difference(got, want, n) < 0.04);
        setenv("BROOD_ISA", "generic", 1);
        float *plain = outputs_of(&a.m);
        unsetenv("BROOD_ISA");
        assert_memory_equal(got, plain, n * sizeof *got);
        free(plain);
        free(got);
        free(want);
        toy_fini(&a);
    }
}

/* Weights that BF16 holds come from any type as the same; inputs are rounded, so results are near the
 * textbook's and not the exact ones. A width that is no multiple of 32 leaves a matrix as it is. */
static void bf16_rounds_weights_and_inputs(void **state) {
    static const enum dtype types[] = {DTYPE_F32, DTYPE_F16, DTYPE_BF16};
    UNUSED(state);
    int tokens[N];
    for (int i = 0; i < N; i++) tokens[i] = (int)rng_below(5, (uint64_t)i, (uint64_t)wide.n_vocab);
    const size_t n = (size_t)N * (size_t)wide.n_head_outputs;
    for (int odd = 0; odd < 2; odd++) {
        struct model_config c = wide;
        if (odd) c.d_ffn = 100;
        float *first = NULL;
        for (size_t k = 0; k < ARRAY_LEN(types); k++) {
            struct toy t;
            struct err e = {0};
            toy_init(&t, &c, types[k], false, 6);
            double *want = toy_outputs(&t, tokens, N);
            float *exact = outputs_of(&t.m);
            const uint64_t before = t.m.content_hash;
            assert_true(quantise_named(&t.m, "bf16", 2, &e));
            assert_true(t.m.content_hash != before);
            for (int i = 0; i < t.m.n_tensors; i++) {
                const struct tensor *x = &t.tensors[i];
                assert_int_equal(x->rounds_inputs,
                                 x->n_dims == 2 && !(odd && ends_with(x->name, "down_proj.weight")));
            }
            float *got = outputs_of(&t.m);
            assert_true(difference(got, want, n) < 0.02 && difference(got, want, n) > 1e-4);
            assert_true(difference(exact, want, n) < 2e-5);
            setenv("BROOD_ISA", "generic", 1);
            float *plain = outputs_of(&t.m);
            unsetenv("BROOD_ISA");
            assert_memory_equal(got, plain, n * sizeof *got);
            if (k == 0) first = mem_dup(got, n * sizeof *got);
            if (k == 0 || !odd) assert_memory_equal(got, first, n * sizeof *got);
            free(plain);
            free(got);
            free(exact);
            free(want);
            toy_fini(&t);
        }
        free(first);
    }
}

/* Outputs of many panels, in any order and with repetitions: what each is by itself. */
static void outputs_are_read_in_any_order(void **state) {
    enum { N_VOCAB = 700, N_READ = 900 };
    UNUSED(state);
    for (int rounded = 0; rounded < 2; rounded++) {
        struct toy t;
        struct err e = {0};
        struct model_config c = wide;
        c.n_vocab = c.n_head_outputs = N_VOCAB;
        toy_init(&t, &c, DTYPE_F16, false, 9);
        if (rounded) assert_true(quantise_named(&t.m, "bf16", 1, &e));
        float *all = outputs_of(&t.m);
        struct engine *en =
            engine_open(&t.m, &(struct engine_options){.n_threads = 1, .kv_bytes = 1 << 20}, &e);
        int tokens[N], outputs[N_READ];
        const size_t mark = N - 1;
        for (int i = 0; i < N; i++) tokens[i] = (int)rng_below(5, (uint64_t)i, N_VOCAB);
        for (int i = 0; i < N_READ; i++) /* runs up and down, and jumps */
            outputs[i] = i < 300 ? i : i < 600 ? 999 - i : (int)rng_below(6, (uint64_t)i, N_VOCAB);
        struct branch *b = engine_root(en);
        branch_append(b, tokens, N);
        struct engine_read r = {
            .branch = b, .marks = &mark, .n_marks = 1, .outputs = outputs, .n_outputs = N_READ};
        assert_true(engine_read(en, &r, &e));
        struct engine_event event;
        while (!engine_next(en, &event)) assert_true(engine_step(en, &e) > 0);
        for (int i = 0; i < N_READ; i++)
            assert_memory_equal(&event.outputs[i], &all[mark * N_VOCAB + (size_t)outputs[i]], sizeof *all);
        branch_release(b);
        engine_close(en);
        free(all);
        toy_fini(&t);
    }
}

static void set_number(struct tensor *t, size_t i, float x) {
    memcpy((char *)(uintptr_t)t->data + 4 * i, &x, 4);
}

/* What is rounded is the nearest of BF16, and zero below 2^-56; what none of them holds is refused. */
static void bf16_weights_are_the_nearest(void **state) {
    UNUSED(state);
    struct toy t;
    struct transformer tr;
    struct err e = {0};
    toy_init(&t, &wide, DTYPE_F32, false, 6);
    assert_true(quantise_named(&t.m, "bf16", 1, &e));
    struct tensor *embed = NULL;
    for (int i = 0; i < t.m.n_tensors; i++)
        if (strstr(t.tensors[i].name, "embed_tokens")) embed = &t.tensors[i];
    assert_non_null(embed);
    static const float cases[][2] = {
        {1.00390625f, 1},  {1.01171875f, 1.015625f}, {-1.00390637f, -1.0078125f}, {0x1p-56f, 0x1p-56f},
        {0x1.fffp-57f, 0}, {-0x1p-130f, 0},          {3e38f, 0x1.c4p127f}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) set_number(embed, i, cases[i][0]);
    assert_true(transformer_init(&tr, &t.m, 10, &e));
    float row[256];
    transformer_embed(&tr, 0, row);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) assert_true(row[i] == cases[i][1]);
    transformer_fini(&tr);
    set_number(embed, 3, 3.4e38f);
    assert_false(transformer_init(&tr, &t.m, 10, &e));
    assert_non_null(strstr(e.msg, "embed_tokens.weight has a weight in row 0 that is not a finite number"));
    toy_fini(&t);
}

/* ---- factors of positions ---- */

static void factors_are_llama3s(void **state) {
    UNUSED(state);
    struct toy t;
    struct model_config c = wide;
    c.rope.kind = ROPE_LLAMA3;
    c.rope.factor = 8, c.rope.low_freq_factor = 1, c.rope.high_freq_factor = 4,
    c.rope.n_context_original = 64;
    toy_init(&t, &c, DTYPE_F32, false, 4);
    int tokens[N];
    for (int i = 0; i < N; i++) tokens[i] = (int)rng_below(5, (uint64_t)i, (uint64_t)wide.n_vocab);
    double *want = toy_outputs(&t, tokens, N);
    int half = c.head_width / 2;
    float *factors = mem_zalloc((size_t)half, sizeof *factors);
    for (int i = 0; i < half; i++)
        factors[i] = (float)(pow(c.rope.theta, -2.0 * i / c.head_width) / toy_frequency(&c, i));
    assert_true(factors[0] == 1 && factors[half - 1] == 8);
    t.tensors[t.m.n_tensors++] = (struct tensor){.name = "rope_freqs.weight",
                                                 .dtype = DTYPE_F32,
                                                 .n_dims = 1,
                                                 .shape = {half},
                                                 .data = factors,
                                                 .n_bytes = (size_t)half * sizeof *factors};
    t.m.config.rope.kind = ROPE_FACTORS;
    float *got = outputs_of(&t.m);
    assert_true(difference(got, want, (size_t)N * (size_t)c.n_head_outputs) < 2e-5);
    factors[3] = 0;
    struct err e = {0};
    assert_null(engine_open(&t.m, &(struct engine_options){.n_threads = 1, .kv_bytes = 1 << 20}, &e));
    assert_non_null(strstr(e.msg, "rope_freqs.weight: factor 3 is 0"));
    free(got);
    free(want);
    toy_fini(&t);
}

/* ---- numbers that are none ---- */

static void assert_named(const struct toy *t, const char *name, const char *more) {
    struct err e = {0};
    assert_null(engine_open(&t->m, &(struct engine_options){.n_threads = 1, .kv_bytes = 1 << 20}, &e));
    if (!strstr(e.msg, name) || !strstr(e.msg, more)) fail_msg("%s %s: %s", name, more, e.msg);
    assert_int_equal(e.code, ERR_INPUT);
}

/* The last weight of each tensor in turn. */
static void numbers_that_are_none_are_refused_by_name(void **state) {
    static const struct {
        enum dtype dtype;
        uint32_t bits;
    } bad[] = {{DTYPE_F32, 0x7F800000}, {DTYPE_F32, 0xFFC00001}, {DTYPE_F16, 0xFC00}, {DTYPE_BF16, 0x7FC0}};
    UNUSED(state);
    for (size_t k = 0; k < ARRAY_LEN(bad); k++) {
        struct toy t;
        struct model_config c = wide;
        c.qkv_bias = c.qk_norm = true;
        toy_init(&t, &c, bad[k].dtype, false, 4);
        for (int i = 0; i < t.m.n_tensors; i++) {
            struct tensor *x = &t.tensors[i];
            size_t each = dtype_bytes(x->dtype);
            char *last = (char *)(uintptr_t)x->data + x->n_bytes - each, kept[4];
            memcpy(kept, last, each);
            memcpy(last, &bad[k].bits, each);
            assert_named(&t, x->name, "not a finite number");
            memcpy(last, kept, each);
        }
        toy_fini(&t);
    }
    static const enum dtype coded[] = {DTYPE_Q4_K, DTYPE_Q6_K, DTYPE_Q8_0};
    for (size_t k = 0; k < ARRAY_LEN(coded); k++) {
        struct toy t;
        make_coded(&t, &coded[k], 1);
        for (int i = 0; i < t.m.n_tensors; i++) {
            struct tensor *x = &t.tensors[i];
            if (!ends_with(x->name, "up_proj.weight")) continue;
            size_t scale = coded[k] == DTYPE_Q6_K ? 208 : 0;
            unsigned char *last =
                (unsigned char *)(uintptr_t)x->data + x->n_bytes - dtype_block_bytes(coded[k]) + scale;
            put_half(last, NAN);
            assert_named(&t, x->name, "row 255");
            put_half(last, 0);
        }
        toy_fini(&t);
    }
}

/* ---- the plan ---- */

static size_t packed_bytes(const struct transformer *t) {
    const struct matrix *ends[] = {&t->head, &t->embed};
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(ends); i++)
        if (ends[i]->panels) n += matrix_bytes(ends[i]->n_out, ends[i]->n_in, ends[i]->dtype);
    return n + t->layer_bytes * (size_t)t->config.n_layers;
}

static void the_plan_is_what_is_taken(void **state) {
    static const enum dtype types[] = {DTYPE_F32, DTYPE_BF16, DTYPE_Q4_K};
    UNUSED(state);
    for (size_t k = 0; k < 5; k++) {
        struct toy t;
        struct transformer tr;
        struct err e = {0};
        struct model_config c = wide;
        if (k == 1)
            c.tied_embeddings = true, c.n_kv_heads = 1, c.d_ffn = 100, c.n_vocab = c.n_head_outputs = 71;
        if (k == 2)
            make_coded(&t, &types[k], 1);
        else
            toy_init(&t, &c, types[k % 3], k == 3, 4); /* 3: stacked tensors of different types */
        if (k == 4) assert_true(quantise_named(&t.m, "bf16", 1, &e));
        size_t n = transformer_bytes(&t.m, 77);
        assert_true(transformer_init(&tr, &t.m, 77, &e));
        size_t vectors = (size_t)tr.config.n_layers * 2 * (size_t)(tr.config.d_model + tr.config.head_width) *
                         sizeof(float);
        size_t positions = 77 * (size_t)tr.config.head_width * sizeof(float);
        if (k != 3) assert_int_equal(n, packed_bytes(&tr) + vectors + positions);
        assert_true(n >= positions + vectors);
        transformer_fini(&tr);
        toy_fini(&t);
    }
}

static void what_does_not_fit_is_refused_before_it_begins(void **state) {
    UNUSED(state);
    struct toy t;
    struct err e = {0};
    toy_init(&t, &wide, DTYPE_F32, false, 4);
    struct engine_options o = {.n_threads = 2};
    struct engine_plan p = engine_plan_make(&t.m, &o);
    assert_int_equal(p.n_pages, p.cache / p.page_bytes);
    assert_int_equal(p.n_positions, 160);
    assert_true(p.weights > 0 && p.work > 0 && p.cache >= 10 * p.page_bytes);
    assert_true(engine_plan_check(&p, &t.m, &e));
    p.available = engine_plan_bytes(&p) - 1;
    assert_false(engine_plan_check(&p, &t.m, &e));
    assert_non_null(strstr(e.msg, "do not fit"));
    o.kv_bytes = SIZE_MAX / 2;
    p = engine_plan_make(&t.m, &o);
    assert_false(engine_plan_check(&p, &t.m, &e));
    assert_int_equal(e.code, ERR_INPUT);
    /* a model of 2^60 bytes costs its plan and a line */
    t.m.config.n_vocab = t.m.config.n_head_outputs = 1 << 22;
    for (int i = 0; i < t.m.n_tensors; i++)
        if (t.tensors[i].n_dims == 2) t.tensors[i].shape[1] = (int64_t)1 << 40;
    assert_null(engine_open(&t.m, &(struct engine_options){.n_threads = 1, .kv_bytes = 1 << 20}, &e));
    assert_non_null(strstr(e.msg, "do not fit"));
    toy_fini(&t);
}

/* What is claimed and not touched is not there for another. */
static void claims_are_subtracted(void **state) {
    UNUSED(state);
    size_t before = memory_available();
    if (before == SIZE_MAX || before < (size_t)1 << 30) skip();
    memory_claim((size_t)8 << 40);
    assert_int_equal(memory_available(), 0);
    memory_release((size_t)8 << 40);
    assert_true(memory_available() > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paired_rows_are_put_back),
        cmocka_unit_test(codes_are_multiplied_as_they_are),
        cmocka_unit_test(bf16_rounds_weights_and_inputs),
        cmocka_unit_test(bf16_weights_are_the_nearest),
        cmocka_unit_test(outputs_are_read_in_any_order),
        cmocka_unit_test(factors_are_llama3s),
        cmocka_unit_test(numbers_that_are_none_are_refused_by_name),
        cmocka_unit_test(the_plan_is_what_is_taken),
        cmocka_unit_test(what_does_not_fit_is_refused_before_it_begins),
        cmocka_unit_test(claims_are_subtracted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
