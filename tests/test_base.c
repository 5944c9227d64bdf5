/* The ground floor, through its headers; files and JSON are in test_base_files.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"
#include "base/str.h"

/* ---- errors ---- */

static void messages_are_one_safe_line(void **state) {
    UNUSED(state);
    struct err e = {0};
    assert_false(err_set(&e, ERR_INPUT, "%s:%d: not a number", "a.json", 7));
    assert_int_equal(e.code, ERR_INPUT);
    assert_string_equal(e.msg, "a.json:7: not a number");

    err_set(&e, ERR_SERVICE, "x\n\x1b[31m\x7f\xc2\x9b é \xff\xe2\x82");
    assert_string_equal(e.msg, "x??[31m?? é ???");

    err_set(&e, ERR_INPUT, "inner");
    assert_false(err_wrap(&e, "outer %d", 1));
    assert_string_equal(e.msg, "outer 1: inner");
    err_set(&e, ERR_INPUT, "<%s>", e.msg);
    assert_string_equal(e.msg, "<outer 1: inner>");
}

static void long_messages_are_cut_between_characters(void **state) {
    UNUSED(state);
    struct err e = {0};
    struct buf b = {0};
    for (int i = 0; i < 1000; i++) buf_add_utf8(&b, 0x20ac);
    for (int shift = 0; shift < 4; shift++) {
        err_set(&e, ERR_INPUT, "%.*s%s", shift, "abc", buf_cstr(&b));
        assert_in_range(strlen(e.msg), sizeof e.msg - 8, sizeof e.msg - 1);
        err_wrap(&e, "%s", buf_cstr(&b));
        assert_in_range(strlen(e.msg), sizeof e.msg - 8, sizeof e.msg - 1);
        struct str s = str_from(e.msg);
        uint32_t scalar;
        for (size_t at = 0; at < s.len && e.msg[at] != '?'; at += (size_t)str_utf8(s, at, &scalar))
            assert_true(str_utf8(s, at, &scalar) > 0);
    }
    buf_free(&b);
}

static void codes_have_exit_statuses(void **state) {
    UNUSED(state);
    assert_int_equal(err_exit_status(ERR_NONE), 0);
    assert_int_equal(err_exit_status(ERR_INPUT), 2);
    assert_int_equal(err_exit_status(ERR_SERVICE), 3);
    assert_int_equal(err_exit_status(ERR_CANCELLED), 130);
}

/* ---- memory ---- */

static void memory_is_zeroed_aligned_and_grows(void **state) {
    UNUSED(state);
    int *zeroed = mem_zalloc(100, sizeof *zeroed);
    for (int i = 0; i < 100; i++) assert_int_equal(zeroed[i], 0);
    free(zeroed);
    free(mem_alloc(0));
    free(mem_zalloc(0, 8));
    free(mem_realloc(NULL, 0, 8));

    for (size_t alignment = 8; alignment <= 4096; alignment *= 2) {
        unsigned char *p = mem_alloc_aligned(alignment, 33);
        assert_int_equal((uintptr_t)p % alignment, 0);
        for (int i = 0; i < 33; i++) assert_int_equal(p[i], 0);
        free(p);
    }

    int *a = NULL;
    size_t cap = 0, n_moves = 0;
    for (size_t i = 0; i < 10000; i++) {
        size_t before = cap;
        MEM_GROW(a, cap, i + 1);
        n_moves += cap != before;
        assert_true(cap > i);
        a[i] = (int)i;
    }
    assert_true(n_moves < 20);
    assert_int_equal(a[9999], 9999);
    free(a);

    char *copy = mem_strdup("brood");
    assert_string_equal(copy, "brood");
    free(copy);
    copy = mem_dup("ab\0c", 4);
    assert_memory_equal(copy, "ab\0c", 4);
    free(copy);
}

/* ---- strings ---- */

static void slices_compare_trim_and_find(void **state) {
    UNUSED(state);
    struct str none = str_from(NULL);
    assert_int_equal(none.len, 0);
    assert_true(str_equal(none, STR("")));
    assert_true(str_equal(STR("a\0b"), STR("a\0b")));
    assert_false(str_equal(STR("a\0b"), STR("a\0c")));
    assert_true(str_starts(STR("abc"), STR("ab")) && str_starts(STR("abc"), none));
    assert_false(str_starts(STR("ab"), STR("abc")));
    assert_true(str_ends(STR("abc"), STR("bc")) && str_ends(STR("abc"), STR("")));
    assert_false(str_ends(STR("bc"), STR("abc")));

    assert_true(str_equal(str_trim(STR(" \t\r\n\v\fx y\n ")), STR("x y")));
    assert_int_equal(str_trim(STR(" \n")).len, 0);
    assert_int_equal(str_trim(none).len, 0);

    struct str hay = STR("abcabcab");
    assert_int_equal(str_find(hay, STR("cab")), 2);
    assert_int_equal(str_find_last(hay, STR("cab")), 5);
    assert_int_equal(str_find_last(hay, STR("abcabcab")), 0);
    assert_int_equal(str_find(hay, STR("abcabcabc")), -1);
    assert_int_equal(str_find_last(hay, STR("abcabcabc")), -1);
    assert_int_equal(str_find(hay, STR("x")), -1);
    assert_int_equal(str_find_last(hay, STR("ac")), -1);
    assert_int_equal(str_find(hay, STR("")), 0);
    assert_int_equal(str_find_last(hay, STR("")), 8);
    assert_int_equal(str_find(none, STR("a")), -1);
    assert_int_equal(str_find_last(none, none), 0);

    char *copy = str_dup((struct str){"abc", 2});
    assert_string_equal(copy, "ab");
    free(copy);
}

static void utf8_takes_every_scalar_and_nothing_else(void **state) {
    UNUSED(state);
    for (uint32_t c = 0; c <= 0x110000; c++) {
        struct buf b = {0};
        buf_add_utf8(&b, c);
        uint32_t back = 0;
        int n = str_utf8(buf_str(&b), 0, &back);
        bool scalar = c < 0x110000 && !(c >= 0xd800 && c < 0xe000);
        if (n != (int)b.len || back != (scalar ? c : 0xfffd))
            fail_msg("scalar %x gave %d bytes and came back as %x", c, n, back);
        buf_free(&b);
    }
    static const char *const ill[] = {
        "\x80",             /* a continuation byte alone */
        "\xc0\x80",         /* overlong */
        "\xc1\xbf",         /**/
        "\xe0\x9f\xbf",     /**/
        "\xf0\x8f\xbf\xbf", /**/
        "\xed\xa0\x80",     /* a surrogate */
        "\xf4\x90\x80\x80", /* above U+10FFFF */
        "\xf5\x80\x80\x80",
        "\xff",
        "\xe2\x82",     /* cut */
        "\xe2\x28\xa1", /* broken off */
        "\xf0\x9f\x98",
    };
    uint32_t scalar = 0;
    for (size_t i = 0; i < ARRAY_LEN(ill); i++) assert_int_equal(str_utf8(str_from(ill[i]), 0, &scalar), 0);
    assert_int_equal(str_utf8(STR("abc"), 3, &scalar), 0);
    assert_int_equal(str_utf8((struct str){"\xe2\x82\xac", 2}, 0, &scalar), 0);
}

static void buffers_grow_and_end_in_nul(void **state) {
    UNUSED(state);
    struct buf b = {0};
    assert_string_equal(buf_cstr(&b), "");
    buf_clear(&b);
    for (int i = 0; i < 1000; i++) {
        buf_printf(&b, "%d,", i);
        assert_int_equal(b.ptr[b.len], '\0');
    }
    assert_int_equal(b.len, 10 * 2 + 90 * 3 + 900 * 4);
    assert_true(str_ends(buf_str(&b), STR("998,999,")));
    buf_clear(&b);
    assert_string_equal(buf_cstr(&b), "");
    buf_add(&b, "a\0b", 3);
    buf_add_char(&b, '!');
    buf_add_str(&b, STR("cd"));
    buf_add(&b, NULL, 0);
    assert_true(str_equal(buf_str(&b), STR("a\0b!cd")));
    char *taken = buf_take(&b);
    assert_memory_equal(taken, "a\0b!cd", 7);
    free(taken);
    assert_null(b.ptr);
    taken = buf_take(&b);
    assert_string_equal(taken, "");
    free(taken);
    buf_free(&b);
}

/* ---- random numbers ---- */

static void check_philox(const uint32_t c[4], const uint32_t k[2], const uint32_t want[4]) {
    uint32_t out[4];
    rng_philox(c, k, out);
    assert_memory_equal(out, want, sizeof out);
}

/* The published vectors of Random123 (kat_vectors, philox4x32 10). */
static void philox_gives_the_published_vectors(void **state) {
    UNUSED(state);
    check_philox((const uint32_t[4]){0}, (const uint32_t[2]){0},
                 (const uint32_t[4]){0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
    const uint32_t ones[4] = {~0u, ~0u, ~0u, ~0u};
    check_philox(ones, ones, (const uint32_t[4]){0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
    check_philox((const uint32_t[4]){0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
                 (const uint32_t[2]){0xa4093822, 0x299f31d0},
                 (const uint32_t[4]){0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

static void numbers_lie_in_range_and_spread(void **state) {
    UNUSED(state);
    enum { N = 60000, SIDES = 6 };
    int n_side[SIDES] = {0};
    double sum = 0;
    for (uint64_t i = 0; i < N; i++) {
        double u = rng_unit(42, i);
        assert_true(u >= 0 && u < 1);
        sum += u;
        uint64_t side = rng_below(43, i, SIDES);
        assert_true(side < SIDES);
        n_side[side]++;
        assert_int_equal(rng_below(44, i, 1), 0);
    }
    assert_true(sum / N > 0.495 && sum / N < 0.505); /* 4 standard deviations */
    for (int i = 0; i < SIDES; i++) assert_in_range(n_side[i], N / SIDES - 400, N / SIDES + 400);
}

static void keys_of_children_differ(void **state) {
    UNUSED(state);
    struct map *seen = map_new(0);
    uint64_t parents[] = {0, 1, UINT64_C(1) << 63};
    for (size_t i_parent = 0; i_parent < ARRAY_LEN(parents); i_parent++) {
        for (uint64_t i = 0; i < 1000; i++) {
            uint64_t child = rng_child(parents[i_parent], i), draw = rng_u64(parents[i_parent], i);
            assert_int_equal(child, rng_child(parents[i_parent], i));
            assert_true(map_put(seen, (struct str){(char *)&child, sizeof child}, 0));
            assert_true(map_put(seen, (struct str){(char *)&draw, sizeof draw}, 0));
        }
    }
    map_free(seen);
    assert_int_equal(rng_child_named(7, "aime-1"), rng_child_named(7, "aime-1"));
    assert_int_not_equal(rng_child_named(7, "aime-1"), rng_child_named(7, "aime-2"));
    assert_int_not_equal(rng_child_named(7, "aime-1"), rng_child_named(8, "aime-1"));
}

/* Replays rest on these: a change here changes every recorded run. */
static void derived_numbers_never_change(void **state) {
    UNUSED(state);
    assert_int_equal(rng_u64(0, 0), 0xe169c58d6627e8d5); /* the first two words of the published vector */
    uint64_t h = rng_hash(rng_hash(0, "ab", 2), "c", 1);
    assert_int_not_equal(h, rng_hash(rng_hash(0, "a", 1), "bc", 2));
    assert_int_equal(rng_hash(0, "", 0), UINT64_C(0xefd01f60ba992926));
    assert_int_equal(rng_child(1, 2), UINT64_C(0xa9b8bbe87d34a749));
    assert_int_equal(rng_child_named(1, "x"), UINT64_C(0x4328b7a3d59d6509));
}

/* ---- threads ---- */

struct tally {
    atomic_int n_calls[POOL_WORKERS_MAX];
    atomic_int n_workers_wrong;
    int n_expected;
    int64_t sums[POOL_WORKERS_MAX]; /* written without atomics: the pool orders them */
    int64_t n_items;
};

static void tally_job(void *ctx, int i_worker, int n_workers) {
    struct tally *t = ctx;
    if (n_workers != t->n_expected) atomic_fetch_add(&t->n_workers_wrong, 1);
    atomic_fetch_add(&t->n_calls[i_worker], 1);
    int64_t begin, end;
    pool_share(t->n_items, 8, i_worker, n_workers, &begin, &end);
    for (int64_t i = begin; i < end; i++) t->sums[i_worker] += i;
}

static void pool_runs_every_worker_once_a_round(void **state) {
    UNUSED(state);
    static const int sizes[] = {1, 2, 3, 8, 33};
    for (size_t i_size = 0; i_size < ARRAY_LEN(sizes); i_size++) {
        int n = sizes[i_size], n_rounds = n > 8 ? 200 : 2000;
        struct pool *p = pool_new(n);
        assert_int_equal(pool_size(p), n);
        struct tally *t = mem_zalloc(1, sizeof *t);
        t->n_expected = n;
        int64_t want = 0, sum = 0;
        for (int i_round = 0; i_round < n_rounds; i_round++) {
            t->n_items = i_round % 300;
            want += t->n_items * (t->n_items - 1) / 2;
            pool_run(p, tally_job, t);
        }
        for (int i = 0; i < n; i++) {
            assert_int_equal(atomic_load(&t->n_calls[i]), n_rounds);
            sum += t->sums[i];
        }
        assert_int_equal(sum, want);
        assert_int_equal(atomic_load(&t->n_workers_wrong), 0);
        free(t);
        pool_free(p);
    }
    pool_free(NULL);
    pool_free(pool_new(4)); /* never used */
}

/* Rounds apart by more than the spin, so that both sides sleep and wake. */
static void uneven_job(void *ctx, int i_worker, int n_workers) {
    double until = clock_seconds() + 2e-4 * ((i_worker + *(int *)ctx) % n_workers);
    while (clock_seconds() < until)
        ;
}

static void pool_sleeps_and_wakes(void **state) {
    UNUSED(state);
    struct pool *p = pool_new(2);
    for (int i = 0; i < 300; i++) {
        pool_run(p, uneven_job, &i);
        double until = clock_seconds() + (i % 3 == 0 ? 2e-4 : 0);
        while (clock_seconds() < until)
            ;
    }
    pool_free(p);
}

static void pool_share_covers_exactly(void **state) {
    UNUSED(state);
    static const int64_t ns[] = {0, 1, 7, 8, 9, 63, 64, 65, 1000, 4097, INT64_MAX};
    static const int64_t grains[] = {1, 2, 8, 64, 5000};
    for (size_t i = 0; i < ARRAY_LEN(ns); i++) {
        for (size_t j = 0; j < ARRAY_LEN(grains); j++) {
            for (int n_workers = 1; n_workers <= 40; n_workers++) {
                int64_t at = 0, least = INT64_MAX, most = 0;
                for (int w = 0; w < n_workers; w++) {
                    int64_t begin, end;
                    pool_share(ns[i], grains[j], w, n_workers, &begin, &end);
                    assert_true(begin == at && end >= begin);
                    assert_true(begin % grains[j] == 0 || begin == ns[i]);
                    at = end;
                    least = MIN(least, end - begin);
                    most = MAX(most, end - begin);
                }
                assert_true(at == ns[i]);
                assert_true(most - least <= 2 * grains[j]);
            }
        }
    }
    assert_in_range(pool_cores(), 1, POOL_WORKERS_MAX);
}

/* ---- map ---- */

static void map_grows_and_keeps_the_first_value(void **state) {
    UNUSED(state);
    for (size_t n_expected = 0; n_expected <= 50000; n_expected += 50000) {
        struct map *m = map_new(n_expected);
        struct buf key = {0};
        for (uint32_t i = 0; i < 50000; i++) {
            buf_clear(&key);
            buf_printf(&key, "key %u", i);
            assert_true(map_put(m, buf_str(&key), i));
            assert_false(map_put(m, buf_str(&key), i + 1));
        }
        assert_int_equal(map_count(m), 50000);
        for (uint32_t i = 0; i < 60000; i++) {
            buf_clear(&key);
            buf_printf(&key, "key %u", i);
            uint32_t value = 7;
            assert_int_equal(map_get(m, buf_str(&key), &value), i < 50000);
            assert_int_equal(value, i < 50000 ? i : 7);
        }
        buf_free(&key);
        map_free(m);
    }
    map_free(NULL);
}

static void map_tells_odd_keys_apart(void **state) {
    UNUSED(state);
    struct map *m = map_new(0);
    uint32_t value = 0;
    assert_false(map_get(m, STR(""), &value));
    assert_true(map_put(m, STR(""), 1));
    assert_true(map_put(m, STR("\0"), 2));
    assert_true(map_put(m, STR("\0\0"), 3));
    assert_true(map_put(m, STR("a"), UINT32_MAX));
    assert_true(map_get(m, str_from(NULL), &value) && value == 1);
    assert_true(map_get(m, STR("\0"), &value) && value == 2);
    assert_true(map_get(m, STR("\0\0"), &value) && value == 3);
    assert_true(map_get(m, STR("a"), &value) && value == UINT32_MAX);
    map_free(m);
}

/* ---- clock ---- */

static void clocks_go_forward(void **state) {
    UNUSED(state);
    double a = clock_seconds(), cpu_a = clock_cpu_seconds(), b = a;
    for (int i = 0; i < 1000; i++) {
        double c = clock_seconds();
        assert_true(c >= b);
        b = c;
    }
    assert_true(clock_cpu_seconds() >= cpu_a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_one_safe_line),
        cmocka_unit_test(long_messages_are_cut_between_characters),
        cmocka_unit_test(codes_have_exit_statuses),
        cmocka_unit_test(memory_is_zeroed_aligned_and_grows),
        cmocka_unit_test(slices_compare_trim_and_find),
        cmocka_unit_test(utf8_takes_every_scalar_and_nothing_else),
        cmocka_unit_test(buffers_grow_and_end_in_nul),
        cmocka_unit_test(philox_gives_the_published_vectors),
        cmocka_unit_test(numbers_lie_in_range_and_spread),
        cmocka_unit_test(keys_of_children_differ),
        cmocka_unit_test(derived_numbers_never_change),
        cmocka_unit_test(pool_runs_every_worker_once_a_round),
        cmocka_unit_test(pool_sleeps_and_wakes),
        cmocka_unit_test(pool_share_covers_exactly),
        cmocka_unit_test(map_grows_and_keeps_the_first_value),
        cmocka_unit_test(map_tells_odd_keys_apart),
        cmocka_unit_test(clocks_go_forward),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
