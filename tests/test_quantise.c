/* Numbers into blocks, against the rule and against blocks that llama.cpp wrote; a model quantised through
 * its cache: the rows that the rule gives, and what becomes of a cache that is damaged or cannot be written.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/share.h"
#include "model/quantise.h"
#include "model/weights.h"

enum { N_BLOCKS = 400, N = 32 * N_BLOCKS };
static const enum dtype types[] = {DTYPE_Q8_0, DTYPE_Q4_0, DTYPE_Q4_1, DTYPE_Q5_0, DTYPE_Q5_1};

/* Of many sizes, most near zero; some blocks are all zero. */
static float *some_numbers(void) {
    float *x = mem_zalloc(N, sizeof *x);
    for (int i = 0; i < N; i++) {
        double u = rng_unit(11, (uint64_t)i) - 0.5;
        if (i / 32 % 50 != 7) x[i] = (float)ldexp(u * u * u, i / 32 % 40 - 20);
    }
    return x;
}

static void test_recorded_blocks(void **state) {
    UNUSED(state);
    static const uint64_t hashes[] = {/* ggml_quantize_chunk of llama.cpp v0.5.0 on the same numbers */
                                      0xfe513a63ee5265cc, 0x42cc84640590f1a1, 0x3de2708c06247187,
                                      0x7fcfa5bd72667fe5, 0xf117c5ac88f283cb};
    float *x = some_numbers();
    for (size_t k = 0; k < ARRAY_LEN(types); k++) {
        const size_t n_bytes = N_BLOCKS * dtype_block_bytes(types[k]);
        unsigned char *out = mem_zalloc(n_bytes, 1);
        dtype_from_f32(out, types[k], x, N);
        if (rng_hash(0, out, n_bytes) != hashes[k])
            fail_msg("%s differs from what was recorded", dtype_name(types[k]));
        free(out);
    }
    free(x);
}

/* What is read back is within half a part of what was written; where the extreme element sets the scale, the
 * other end may be a whole part away. */
static void test_written_is_near(void **state) {
    UNUSED(state);
    float *x = some_numbers(), *y = mem_zalloc(N, sizeof *y);
    for (size_t k = 0; k < ARRAY_LEN(types); k++) {
        const enum dtype t = types[k];
        unsigned char *out = mem_zalloc(N_BLOCKS * dtype_block_bytes(t), 1);
        dtype_from_f32(out, t, x, N);
        dtype_to_f32(y, out, t, N);
        const bool ranged = t == DTYPE_Q4_1 || t == DTYPE_Q5_1;
        const double parts = t == DTYPE_Q8_0   ? 127
                             : t == DTYPE_Q4_0 ? 8
                             : t == DTYPE_Q4_1 ? 15
                             : t == DTYPE_Q5_0 ? 16
                                               : 31;
        for (int b = 0; b < N_BLOCKS; b++) {
            double low = 0, high = 0;
            for (int i = 32 * b; i < 32 * b + 32; i++) {
                low = fmin(low, i % 32 && ranged ? fmin(low, (double)x[i])
                                : ranged         ? (double)x[i]
                                                 : -fabs((double)x[i]));
                high = fmax(high, ranged ? (double)x[i] : fabs((double)x[i]));
            }
            const double part = (ranged ? high - low : high) / parts,
                         f16 = fmax(high, -low) * 0x1p-9 + 0x1p-24 * parts;
            const double worst = (t == DTYPE_Q4_0 || t == DTYPE_Q5_0 ? 1 : 0.5) * part + f16;
            for (int i = 32 * b; i < 32 * b + 32; i++)
                if (fabs((double)x[i] - (double)y[i]) > worst)
                    fail_msg("%s: %g came back as %g, a part is %g", dtype_name(t), (double)x[i],
                             (double)y[i], part);
        }
        free(out);
    }
    free(x);
    free(y);
}

/* ---- a model ---- */

static char cache[] = "/tmp/brood-quantise-XXXXXX", folder[200];
static char *lab;

static struct model *open_quantised(enum dtype t, struct err *e) {
    struct model *m = model_open(lab, e);
    assert_non_null(m);
    if (quantise_model(m, t, 2, e)) return m;
    model_close(m);
    return NULL;
}

/* The files of the cache; the path of one in `path`. */
static int list_cache(char path[600]) {
    int n = 0;
    DIR *d = opendir(folder);
    for (struct dirent *entry; d && (entry = readdir(d));) {
        if (entry->d_name[0] == '.') continue;
        snprintf(path, 600, "%s/%.300s", folder, entry->d_name);
        n++;
    }
    if (d) closedir(d);
    return n;
}

static void empty_cache(void) {
    char path[600];
    while (list_cache(path) > 0) assert_int_equal(unlink(path), 0);
}

static ino_t inode_of(const char *path) {
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_ino;
}

static void assert_rows(const struct model *m, const struct model *plain, enum dtype type) {
    float x[1024];
    unsigned char want[1088];
    int n = 0;
    for (int i = 0; i < m->n_tensors; i++) {
        const struct tensor *t = &m->tensors[i], *p = &plain->tensors[i];
        const bool outer = strcmp(t->name, "model.embed_tokens.weight") == 0;
        if (t->n_dims != 2 || t->shape[1] % 32 != 0) {
            assert_int_equal(t->dtype, p->dtype);
            continue;
        }
        assert_int_equal(t->dtype, outer ? DTYPE_Q8_0 : type);
        assert_true(t->shape[1] <= 1024);
        for (int64_t r = 0; r < t->shape[0]; r++) {
            dtype_to_f32(x, tensor_row(p, r), p->dtype, (size_t)t->shape[1]);
            dtype_from_f32(want, t->dtype, x, (size_t)t->shape[1]);
            assert_memory_equal(tensor_row(t, r), want, tensor_row_bytes(t));
        }
        n++;
    }
    assert_true(n > 10);
}

static void test_model(void **state) {
    UNUSED(state);
    struct err e = {0};
    struct model *plain = model_open(lab, &e);
    assert_non_null(plain);
    char path[600];
    for (size_t k = 0; k < ARRAY_LEN(types); k++) {
        empty_cache();
        for (int again = 0; again < 2; again++) {
            const ino_t before = again ? inode_of(path) : 0;
            struct model *m = open_quantised(types[k], &e);
            if (!m) fail_msg("%s", e.msg);
            assert_rows(m, plain, types[k]);
            assert_true(m->content_hash != plain->content_hash);
            assert_int_equal(list_cache(path), 1);
            if (again) assert_true(inode_of(path) == before); /* taken, not made again */
            assert_true(quantise_model(m, types[k], 1, &e));  /* of this type already: as it is */
            model_close(m);
        }
    }
    struct model *m = open_quantised(DTYPE_Q4_0, &e);
    assert_false(quantise_model(m, DTYPE_Q5_0, 1, &e));
    assert_non_null(strstr(e.msg, "coded already"));
    model_close(m);
    model_close(plain);
}

/* BF16 keeps nothing on disk, and needs no place for it. */
static void test_bf16(void **state) {
    UNUSED(state);
    struct err e = {0};
    char path[600];
    empty_cache();
    setenv("XDG_CACHE_HOME", "/dev/null/here", 1);
    struct model *m = open_quantised(DTYPE_BF16, &e), *plain = model_open(lab, &e);
    setenv("XDG_CACHE_HOME", cache, 1);
    assert_true(m && plain);
    assert_int_equal(list_cache(path), 0);
    assert_true(m->content_hash != plain->content_hash);
    int n = 0;
    for (int i = 0; i < m->n_tensors; i++) {
        const struct tensor *t = &m->tensors[i];
        assert_int_equal(t->rounds_inputs, t->n_dims == 2 && t->shape[1] % 32 == 0);
        assert_int_equal(t->dtype, plain->tensors[i].dtype);
        n += t->rounds_inputs;
    }
    assert_true(n > 10);
    model_close(m);
    model_close(plain);
    m = open_quantised(DTYPE_Q8_0, &e);
    assert_false(quantise_model(m, DTYPE_BF16, 1, &e));
    assert_non_null(strstr(e.msg, "coded already"));
    model_close(m);
}

/* Whatever is done to the cached file, the next opening makes it again. */
static void test_damaged_cache(void **state) {
    UNUSED(state);
    struct err e = {0};
    struct model *plain = model_open(lab, &e), *m;
    struct buf whole = {0};
    char path[600];
    empty_cache();
    m = open_quantised(DTYPE_Q8_0, &e);
    assert_non_null(m);
    model_close(m);
    list_cache(path);
    assert_true(file_read(path, 1 << 24, &whole, &e));
    for (int i = 0; i < 40; i++) {
        struct buf damaged = {0};
        buf_add(&damaged, whole.ptr, whole.len);
        if (i < 30)
            damaged.len = rng_below(3, (uint64_t)i, whole.len); /* torn; the first may be empty */
        else if (i < 35)
            damaged.ptr[8 * (i - 30)] ^= 1; /* magic, version, counts, a key */
        else
            damaged.ptr[24 + 8 + 21 + 4 + (i - 35) % 4] ^= 1; /* the cache's version */
        assert_true(file_write_atomic(path, buf_str(&damaged), &e));
        buf_free(&damaged);
        m = open_quantised(DTYPE_Q8_0, &e);
        if (!m) fail_msg("%s", e.msg);
        assert_rows(m, plain, DTYPE_Q8_0);
        model_close(m);
        struct buf now = {0};
        assert_true(file_read(path, 1 << 24, &now, &e));
        assert_int_equal(now.len, whole.len);
        assert_memory_equal(now.ptr, whole.ptr, whole.len);
        buf_free(&now);
        assert_int_equal(list_cache(path), 1);
    }
    buf_free(&whole);
    model_close(plain);
}

/* One line, and nothing left behind. */
static void test_no_room(void **state) {
    UNUSED(state);
    struct err e = {0};
    char path[600];
    struct rlimit old, least = {4096, 0};
    empty_cache();
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    least.rlim_max = old.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &least), 0);
    struct model *m = open_quantised(DTYPE_Q8_0, &e);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_null(m);
    assert_non_null(strstr(e.msg, "cannot write the quantised weights: File too large; free some room"));
    assert_null(strchr(e.msg, '\n'));
    assert_int_equal(list_cache(path), 0);
    setenv("XDG_CACHE_HOME", "/dev/null/here", 1);
    assert_null(open_quantised(DTYPE_Q8_0, &e));
    assert_non_null(strstr(e.msg, "cannot make this folder for quantised weights"));
    setenv("XDG_CACHE_HOME", cache, 1);
}

static void test_names(void **state) {
    UNUSED(state);
    enum dtype t;
    struct err e = {0};
    assert_true(quantise_parse("q8_0", &t, &e) && t == DTYPE_Q8_0);
    assert_true(quantise_parse("Q4_1", &t, &e) && t == DTYPE_Q4_1);
    assert_false(quantise_parse("q4_k", &t, &e));
    assert_true(quantise_parse("BF16", &t, &e) && t == DTYPE_BF16);
    assert_false(quantise_parse("f16", &t, &e));
    assert_non_null(strstr(e.msg, "give bf16, q8_0"));
}

static int set_up(void **state) {
    UNUSED(state);
    struct err e = {0};
    if (!mkdtemp(cache)) return -1;
    setenv("XDG_CACHE_HOME", cache, 1);
    snprintf(folder, sizeof folder, "%s/brood/weights", cache);
    lab = share_path("models/small", &e);
    return lab ? 0 : -1;
}

static int tear_down(void **state) {
    UNUSED(state);
    char path[420];
    empty_cache();
    rmdir(folder);
    snprintf(path, sizeof path, "%s/brood", cache);
    rmdir(path);
    free(lab);
    return rmdir(cache);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recorded_blocks),
        cmocka_unit_test(test_written_is_near),
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_damaged_cache),
        cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_bf16),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
