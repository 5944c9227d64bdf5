/* bench_kernels - one thread's matrix products, attention and element-wise loops beside the processor's
 * limit.
 *
 *     bench_kernels [generic|avx2|avx512] [rounds]      the best of `rounds` (default 7) for each figure
 *
 * The limit is a loop of independent fused multiply-adds in registers of the table's width, run in every
 * round beside what is measured, because the clock of a shared machine varies. All times are CPU times of
 * this process. The last line is the geometric mean of the shares of all products with 16 rows and more.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "kernels/kernels.h"
#include "limits.h"

enum { N_ROWS_MAX = 256 };
static const double round_seconds = 0.006;

static const struct kernels *table;
static int n_rounds = 7;

/* ---- the limit ---- */

static double peak_bytes(void) {
    double start = clock_cpu_seconds(), operations = limits_bytes(table->name, 20000);
    return operations / (clock_cpu_seconds() - start) * 1e-9;
}

/* Pairs of BF16, where the table multiplies them so. */
static double peak_bf16(void) {
    double start = clock_cpu_seconds(), flops = limits_bf16(table->name, 20000);
    return flops / (clock_cpu_seconds() - start) * 1e-9;
}

static double peak_gflops(void) {
    double start = clock_cpu_seconds(), flops = limits_floats(table->name, 20000);
    return flops / (clock_cpu_seconds() - start) * 1e-9;
}

/* ---- timing ---- */

struct timing {
    double seconds; /* of one call, the best round */
    double peak;    /* GFLOP/s, or for bytes billions of operations a second, the best round */
};

typedef void call_function(void *ctx);

static struct timing best_beside(call_function *call, void *ctx, double (*peak)(void)) {
    struct timing best = {.seconds = INFINITY};
    int n = 1;
    call(ctx);
    for (int r = 0; r < n_rounds; r++) {
        best.peak = fmax(best.peak, peak());
        double start = clock_cpu_seconds();
        for (int i = 0; i < n; i++) call(ctx);
        double each = (clock_cpu_seconds() - start) / n;
        best.seconds = fmin(best.seconds, each);
        n = (int)fmin(1e6, fmax(1, round_seconds / each));
    }
    best.peak = fmax(best.peak, peak());
    return best;
}

static struct timing best_of(call_function *call, void *ctx) {
    return best_beside(call, ctx, peak_gflops);
}

static float *floats(size_t n) {
    float *x = mem_alloc_aligned(64, n * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = (float)(int)(i * 2654435761u % 2001u) * 1e-3f - 1.0f;
    return x;
}

/* ---- matrix products ---- */

struct product {
    struct matrix m;
    float *x, *y;
    void *scratch;
    int n_rows;
};

static void product_call(void *ctx) {
    struct product *p = ctx;
    table->matmul(p->y, (size_t)matrix_panels(&p->m) * MATRIX_PANEL, p->x, (size_t)p->m.n_in, p->n_rows,
                  &p->m, 0, matrix_panels(&p->m));
}

static double log_shares;
static int n_shares;

static void bench_matmul(int n_out, int n_in, enum dtype t) {
    static const int rows[] = {1, 2, 4, 8, 16, 64, 256};
    struct product p = {0};
    matrix_init(&p.m, n_out, n_in, t);
    char *weights = mem_zalloc((size_t)n_in * (size_t)n_out, dtype_bytes(t));
    for (size_t i = 0; i < (size_t)n_in * (size_t)n_out; i++) { /* small numbers in any type */
        float w = (float)(int)(i % 255) * 1e-3f;
        memcpy(weights + i * dtype_bytes(t), (char *)&w + 4 - dtype_bytes(t), dtype_bytes(t));
    }
    matrix_pack_rows(&p.m, 0, weights, n_out);
    free(weights);
    p.x = floats((size_t)N_ROWS_MAX * (size_t)n_in);
    p.y = floats((size_t)N_ROWS_MAX * (size_t)matrix_panels(&p.m) * MATRIX_PANEL);

    printf("%-4s %5d x %-5d", dtype_name(t), n_out, n_in);
    for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
        p.n_rows = rows[r];
        struct timing b = best_of(product_call, &p);
        double gflops = 2e-9 * rows[r] * (double)n_out * n_in / b.seconds, share = gflops / b.peak;
        if (rows[r] == 1) printf("  %6.1f GB/s", 1e-9 * (double)matrix_bytes(n_out, n_in, t) / b.seconds);
        printf("  %6.1f %3.0f%%", gflops, 100 * share);
        if (rows[r] >= 16) {
            log_shares += log(share);
            n_shares++;
        }
    }
    printf("\n");
    fflush(stdout);
    free(p.x);
    free(p.y);
    matrix_fini(&p.m);
}

/* Blocks of a coded type with small scales and any codes; BF16: small numbers. */
static void *random_blocks(enum dtype t, size_t n) {
    const size_t n_bytes = dtype_block_bytes(t);
    unsigned char *all = mem_alloc(n * n_bytes);
    for (size_t i = 0; i < n * n_bytes; i++) all[i] = (unsigned char)(i * 2654435761u >> 13);
    for (size_t i = 0; i < n && t == DTYPE_BF16; i++) all[2 * i + 1] = 0x3C;
    for (size_t i = 0; i < n && t != DTYPE_BF16; i++) all[i * n_bytes + (t == DTYPE_Q6_K ? 209 : 1)] = 0x20;
    return all;
}

static void coded_call(void *ctx) {
    struct product *p = ctx;
    kernels_multiply(table, p->y, (size_t)matrix_panels(&p->m) * MATRIX_PANEL, p->x, (size_t)p->m.n_in,
                     p->n_rows, &p->m, 0, matrix_panels(&p->m), p->scratch);
}

/* Coded, or BF16 with rounded inputs. */
static void bench_rounded(int n_out, int n_in, enum dtype t) {
    static const int rows[] = {1, 2, 4, 8, 16, 64, 256};
    struct product p = {0};
    matrix_init(&p.m, n_out, n_in, t);
    p.m.rounds_inputs = t == DTYPE_BF16;
    void *weights = random_blocks(t, (size_t)n_out * (size_t)(n_in / dtype_block(t)));
    matrix_pack_rows(&p.m, 0, weights, n_out);
    free(weights);
    p.x = floats((size_t)N_ROWS_MAX * (size_t)n_in);
    p.y = floats((size_t)N_ROWS_MAX * (size_t)matrix_panels(&p.m) * MATRIX_PANEL);
    p.scratch = mem_alloc(coded_rounded_bytes(N_ROWS_MAX, n_in));
    printf("%-4s %5d x %-5d", dtype_name(t), n_out, n_in);
    for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
        p.n_rows = rows[r];
        struct timing b = best_beside(coded_call, &p, t == DTYPE_BF16 ? peak_bf16 : peak_bytes);
        double rate = 2e-9 * rows[r] * (double)n_out * n_in / b.seconds;
        if (rows[r] == 1) printf("  %6.1f GB/s", 1e-9 * (double)matrix_bytes(n_out, n_in, t) / b.seconds);
        printf("  %6.1f %3.0f%%", rate, 100 * rate / b.peak);
    }
    printf("\n");
    fflush(stdout);
    free(p.scratch);
    free(p.x);
    free(p.y);
    matrix_fini(&p.m);
}

/* ---- attention ---- */

/* n_paths rows that see one shared prefix, or each positions of its own. */
struct attention {
    struct attend call;
    char *memory;
    struct attend_path paths[ATTEND_QUERIES_MAX];
};

static void attention_call(void *ctx) {
    const struct attention *a = ctx;
    table->attend(&a->call);
}

static void bench_attend(enum dtype type, int n_paths, bool shared, int n_queries, int width, int n_tokens) {
    const int n_pages = (n_tokens + KV_PAGE - 1) / KV_PAGE, n_rows = n_paths * n_queries;
    const size_t row = (size_t)(n_queries * width), page = kv_head_elements(width) * dtype_bytes(type);
    const void **pages = mem_zalloc((size_t)(n_pages * n_paths), sizeof *pages);
    struct attention a = {.memory = mem_alloc_aligned(64, page * (size_t)(n_pages * n_paths))};
    memset(a.memory, 0x3C, page * (size_t)(n_pages * n_paths));
    for (int i = 0; i < n_pages * n_paths; i++)
        pages[i] = a.memory + (size_t)(shared ? i % n_pages : i) * page;
    for (int r = 0; r < n_paths; r++)
        a.paths[r] = (struct attend_path){pages + r * n_pages, n_tokens, shared ? n_tokens / KV_PAGE : 0};
    float *q = floats(row * (size_t)n_paths), *out = floats(row * (size_t)n_paths),
          *scratch = floats(attend_scratch_floats(n_rows, width, n_pages));
    a.call = (struct attend){.out = out,
                             .q = q,
                             .out_stride = row,
                             .q_stride = row,
                             .paths = a.paths,
                             .n_paths = n_paths,
                             .n_queries = n_queries,
                             .head_width = width,
                             .dtype = type,
                             .scale = 0.125f,
                             .scratch = scratch};
    struct timing b = best_of(attention_call, &a);
    double gflops = 4e-9 * n_rows * width * n_tokens / b.seconds;
    printf("attend %s %2d rows%s of %2d queries x width %3d over %4d tokens: %7.2f us a row  %6.1f GFLOP/s  "
           "%3.0f%%\n",
           dtype_name(type), n_paths, shared ? ", shared," : "", n_queries, width, n_tokens,
           1e6 * b.seconds / n_paths, gflops, 100 * gflops / b.peak);
    free(q);
    free(out);
    free(scratch);
    free(a.memory);
    free(pages);
}

/* ---- element by element ---- */

enum { N_ELEMENTS = 4096 };
static float *ea, *eb, *ec;

static void call_rmsnorm(void *ctx) {
    UNUSED(ctx);
    table->rmsnorm(ec, ea, eb, N_ELEMENTS, 1e-5f);
}

static void call_rope(void *ctx) {
    UNUSED(ctx);
    table->rope(ec, N_ELEMENTS / 64, 64, ea, eb);
}

static void call_silu(void *ctx) {
    UNUSED(ctx);
    memcpy(ec, ea, N_ELEMENTS * sizeof *ec);
    table->silu_mul(ec, eb, N_ELEMENTS);
}

static void call_exp_sum(void *ctx) {
    UNUSED(ctx);
    float max;
    limits_sink = table->exp_sum(ec, ea, N_ELEMENTS, 0.7f, &max);
}

static void bench_elements(const char *name, call_function *call) {
    struct timing b = best_of(call, NULL);
    printf("%-8s %5.2f elements/ns\n", name, 1e-9 * N_ELEMENTS / b.seconds);
}

int main(int argc, char **argv) {
    table = argc > 1 ? kernels_by_name(argv[1]) : kernels_pick();
    if (argc > 2) n_rounds = (int)strtol(argv[2], NULL, 10);
    if (!table || n_rounds < 1) {
        fprintf(stderr,
                "usage: bench_kernels [generic|avx2|avx512] [rounds]   (a table that this processor runs)\n");
        return 2;
    }
    double peak = 0;
    for (int i = 0; i < 200; i++) peak = fmax(peak, peak_gflops());
    printf("table %s, one thread, limit %.1f GFLOP/s\n", table->name, peak);
    printf("GFLOP/s and share of the limit at rows  1 (with weights GB/s), 2, 4, 8, 16, 64, 256\n");

    static const int shapes[][2] = {{64, 64},   {192, 64},    {128, 128},   {704, 128},
                                    {256, 256}, {768, 256},   {1536, 256},  {256, 768},
                                    {512, 256}, {2048, 2048}, {8192, 2048}, {2048, 8192}};
    for (size_t i = 0; i < ARRAY_LEN(shapes); i++)
        for (int t = 0; t < 3; t += t < 1 || i > 8 ? 1 : 2)
            bench_matmul(shapes[i][0], shapes[i][1], (enum dtype)t);

    printf("coded weights: 10^9 operations a second (a multiply-add is two) and share of the limit for "
           "bytes, %.1f\n",
           peak_bytes());
    static const enum dtype coded[] = {DTYPE_Q8_0, DTYPE_Q4_0, DTYPE_Q4_K, DTYPE_Q6_K};
    for (size_t i = 0; i < ARRAY_LEN(coded); i++) {
        bench_rounded(2048, 2048, coded[i]);
        bench_rounded(8192, 2048, coded[i]);
        bench_rounded(2048, 8192, coded[i]);
    }
    printf("BF16 with rounded inputs: GFLOP/s and share of the limit for BF16, %.1f\n", peak_bf16());
    bench_rounded(512, 896, DTYPE_BF16);
    bench_rounded(2048, 2048, DTYPE_BF16);
    bench_rounded(8192, 2048, DTYPE_BF16);
    bench_rounded(2048, 8192, DTYPE_BF16);

    static const int heads[][3] = {{1, 16, 128}, {1, 32, 128}, {2, 32, 128},  {1, 64, 300},
                                   {4, 64, 300}, {7, 64, 300}, {4, 128, 1000}};
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        for (enum dtype t = DTYPE_F32; t <= DTYPE_F16; t++) {
            bench_attend(t, 1, false, heads[i][0], heads[i][1], heads[i][2]);
            bench_attend(t, ATTEND_QUERIES_MAX / heads[i][0], false, heads[i][0], heads[i][1], heads[i][2]);
            bench_attend(t, ATTEND_QUERIES_MAX / heads[i][0], true, heads[i][0], heads[i][1], heads[i][2]);
        }
    }

    ea = floats(N_ELEMENTS);
    eb = floats(N_ELEMENTS);
    ec = floats(N_ELEMENTS);
    bench_elements("rmsnorm", call_rmsnorm);
    bench_elements("rope", call_rope);
    bench_elements("silu_mul", call_silu);
    bench_elements("exp_sum", call_exp_sum);
    free(ea);
    free(eb);
    free(ec);
    printf("%s: %.1f %% of the limit (geometric mean of %d products of 16 rows and more)\n", table->name,
           100 * exp(log_shares / n_shares), n_shares);
    return 0;
}
