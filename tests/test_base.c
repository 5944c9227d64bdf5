/* The ground floor, through its headers. Temporary files lie in a folder that the test makes and removes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"
#include "base/share.h"
#include "base/str.h"

#define assert_text(got, want) assert_string_equal((got), (want))
#define assert_has(text, part) assert_non_null(strstr((text), (part)))

/* ---- errors ---- */

static void messages_are_one_safe_line(void **state) {
    UNUSED(state);
    struct err e = {0};
    assert_false(err_set(&e, ERR_INPUT, "%s:%d: not a number", "a.json", 7));
    assert_int_equal(e.code, ERR_INPUT);
    assert_text(e.msg, "a.json:7: not a number");

    err_set(&e, ERR_SERVICE, "x\n\x1b[31m\x7f\xc2\x9b é \xff\xe2\x82");
    assert_text(e.msg, "x??[31m?? é ???");

    err_set(&e, ERR_INPUT, "inner");
    assert_false(err_wrap(&e, "outer %d", 1));
    assert_text(e.msg, "outer 1: inner");
    err_set(&e, ERR_INPUT, "<%s>", e.msg);
    assert_text(e.msg, "<outer 1: inner>");
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
    assert_text(copy, "brood");
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
    assert_text(copy, "ab");
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
    assert_text(buf_cstr(&b), "");
    buf_clear(&b);
    for (int i = 0; i < 1000; i++) {
        buf_printf(&b, "%d,", i);
        assert_int_equal(b.ptr[b.len], '\0');
    }
    assert_int_equal(b.len, 10 * 2 + 90 * 3 + 900 * 4);
    assert_true(str_ends(buf_str(&b), STR("998,999,")));
    buf_clear(&b);
    assert_text(buf_cstr(&b), "");
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
    assert_text(taken, "");
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

/* ---- files ---- */

static char *temp_dir; /* made by the group's set-up */

static char *temp_path(const char *name) {
    return file_join(temp_dir, name);
}

static void write_gzip(const char *path, const char *text, size_t n_times, const char *mode) {
    gzFile gz = gzopen(path, mode);
    assert_non_null(gz);
    for (size_t i = 0; i < n_times; i++)
        assert_int_equal(gzwrite(gz, text, (unsigned)strlen(text)), strlen(text));
    assert_int_equal(gzclose(gz), Z_OK);
}

static void files_are_replaced_whole(void **state) {
    UNUSED(state);
    struct err e = {0};
    char *path = temp_path("a.txt"), *link_path = temp_path("link");
    struct buf b = {0};
    assert_true(file_write_atomic(path, STR("one"), &e));
    assert_true(file_exists(path));
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(symlink("a.txt", link_path), 0);
    assert_true(file_write_atomic(link_path, STR("two\0!"), &e));
    assert_true(file_read(path, 100, &b, &e));
    assert_true(str_equal(buf_str(&b), STR("two\0!")));
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(lstat(link_path, &st), 0);
    assert_true(S_ISLNK(st.st_mode));

    assert_true(file_write_atomic(path, STR(""), &e));
    assert_true(file_read(path, 0, &b, &e));
    assert_int_equal(b.len, 0);
    assert_true(file_write_atomic("/dev/null", STR("gone"), &e));

    assert_false(file_write_atomic(temp_dir, STR("x"), &e));
    assert_has(e.msg, "folder");
    assert_false(file_write_atomic("/nonexistent/x", STR("x"), &e));
    assert_text(e.msg, "/nonexistent/x: cannot write here: No such file or directory");
    assert_int_equal(e.code, ERR_INPUT);
    buf_free(&b);
    unlink(link_path);
    free(link_path);
    free(path);
}

static void reading_refuses_with_a_reason(void **state) {
    UNUSED(state);
    struct err e = {0};
    struct buf b = {0};
    assert_false(file_read("/nonexistent/x", 10, &b, &e));
    assert_text(e.msg, "/nonexistent/x: cannot open: No such file or directory");
    assert_false(file_read(temp_dir, 10, &b, &e));
    assert_has(e.msg, "is a folder");
    char *path = temp_path("ten");
    assert_true(file_write_atomic(path, STR("0123456789"), &e));
    assert_true(file_read(path, 10, &b, &e));
    assert_text(buf_cstr(&b), "0123456789");
    assert_false(file_read(path, 9, &b, &e));
    assert_has(e.msg, "ten: larger than the 9 bytes allowed here");
    assert_null(b.ptr);
    free(path);
}

static void maps_give_the_bytes(void **state) {
    UNUSED(state);
    struct err e = {0};
    struct file_map m;
    char *path = temp_path("map");
    assert_true(file_write_atomic(path, STR("\x1f\x8b\0raw"), &e));
    assert_true(file_map(path, &m, &e));
    assert_int_equal(m.n_bytes, 6);
    assert_memory_equal(m.ptr, "\x1f\x8b\0raw", 6);
    file_unmap(&m);
    assert_null(m.ptr);
    file_unmap(&m);
    assert_true(file_write_atomic(path, STR(""), &e));
    assert_true(file_map(path, &m, &e));
    assert_null(m.ptr);
    file_unmap(&m);
    assert_false(file_map(temp_dir, &m, &e));
    assert_has(e.msg, "not a regular file");
    assert_false(file_map("/nonexistent/x", &m, &e));
    free(path);
}

static void paths_join(void **state) {
    UNUSED(state);
    static const char *const cases[][3] = {
        {"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"", "b", "b"}, {"/", "b", "/b"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *joined = file_join(cases[i][0], cases[i][1]);
        assert_text(joined, cases[i][2]);
        free(joined);
    }
    assert_true(file_is_dir(temp_dir) && file_exists(temp_dir));
    assert_false(file_is_dir("/nonexistent") || file_exists("/nonexistent"));
}

/* Lines of every length around the size of a chunk, plain and gzip, with and without the last newline. */
static void lines_come_back_in_every_form(void **state) {
    UNUSED(state);
    struct err e = {0};
    char *path = temp_path("lines");
    enum { N = 300 };
    for (int form = 0; form < 8; form++) {
        bool gzip = form & 1, crlf = form & 2, last_open = form & 4;
        struct buf text = {0};
        for (size_t i = 0; i < N; i++) {
            for (size_t j = 0; j < i * 17 % 5000; j++) buf_add_char(&text, (char)('a' + (i + j) % 26));
            buf_add_str(&text, i == N - 1 && last_open ? STR("end") : crlf ? STR("\r\n") : STR("\n"));
        }
        if (gzip)
            write_gzip(path, buf_cstr(&text), 1, "wb1");
        else
            assert_true(file_write_atomic(path, buf_str(&text), &e));
        struct file_lines *f = file_lines_open(path, &e);
        assert_non_null(f);
        struct str line;
        for (size_t i = 0; i < N; i++) {
            assert_int_equal(file_lines_next(f, &line, &e), 1);
            assert_int_equal(file_lines_number(f), i + 1);
            size_t n = i * 17 % 5000;
            assert_int_equal(line.len, n + (i == N - 1 && last_open ? 3 : 0));
            for (size_t j = 0; j < n; j++)
                if (line.ptr[j] != (char)('a' + (i + j) % 26))
                    fail_msg("form %d, line %zu, byte %zu", form, i, j);
        }
        assert_int_equal(file_lines_next(f, &line, &e), 0);
        assert_int_equal(file_lines_next(f, &line, &e), 0);
        file_lines_close(f);
        buf_free(&text);
    }
    file_lines_close(NULL);
    free(path);
}

static void empty_and_blank_lines_count(void **state) {
    UNUSED(state);
    struct err e = {0};
    char *path = temp_path("blank");
    struct str line;
    assert_true(file_write_atomic(path, STR(""), &e));
    struct file_lines *f = file_lines_open(path, &e);
    assert_int_equal(file_lines_next(f, &line, &e), 0);
    file_lines_close(f);

    assert_true(file_write_atomic(path, STR("\n\r\na\0b\r\r\n\r"), &e));
    f = file_lines_open(path, &e);
    static const struct {
        const char *ptr;
        size_t len;
    } want[] = {{"", 0}, {"", 0}, {"a\0b\r", 4}, {"", 0}};
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        assert_int_equal(file_lines_next(f, &line, &e), 1);
        assert_true(str_equal(line, (struct str){want[i].ptr, want[i].len}));
    }
    assert_int_equal(file_lines_next(f, &line, &e), 0);
    file_lines_close(f);
    assert_null(file_lines_open("/nonexistent/x", &e));
    free(path);
}

static void damaged_gzip_is_an_error(void **state) {
    UNUSED(state);
    struct err e = {0};
    struct buf b = {0};
    char *path = temp_path("cut.gz");
    write_gzip(path, "some text that goes on\n", 1000, "wb");
    assert_true(file_read(path, 1 << 20, &b, &e));
    assert_int_equal(b.len, 23000);
    assert_false(file_read(path, 22999, &b, &e));

    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(truncate(path, st.st_size - 20), 0);
    assert_false(file_read(path, 1 << 20, &b, &e));
    assert_has(e.msg, "cut.gz: damaged gzip content");
    struct file_lines *f = file_lines_open(path, &e);
    struct str line;
    int status;
    while ((status = file_lines_next(f, &line, &e)) == 1)
        ;
    assert_int_equal(status, -1);
    assert_has(e.msg, "damaged gzip");
    assert_int_equal(file_lines_next(f, &line, &e), -1);
    file_lines_close(f);
    free(path);
}

static void a_line_over_the_limit_is_refused(void **state) {
    UNUSED(state);
    struct err e = {0};
    char *path = temp_path("long.gz");
    char *mib = mem_zalloc(1, ((size_t)1 << 20) + 1);
    memset(mib, 'x', (size_t)1 << 20);
    struct str line;

    write_gzip(path, "short\n", 1, "wb1");
    write_gzip(path, mib, FILE_LINE_MAX >> 20, "ab1");
    struct file_lines *f = file_lines_open(path, &e);
    assert_int_equal(file_lines_next(f, &line, &e), 1);
    assert_int_equal(file_lines_next(f, &line, &e), 1); /* exactly the limit */
    assert_int_equal(line.len, FILE_LINE_MAX);
    file_lines_close(f);

    write_gzip(path, "x\nmore\n", 1, "ab1");
    f = file_lines_open(path, &e);
    assert_int_equal(file_lines_next(f, &line, &e), 1);
    assert_int_equal(file_lines_next(f, &line, &e), -1);
    assert_has(e.msg, "long.gz:2: line longer than 64 MiB");
    file_lines_close(f);
    free(mib);
    unlink(path);
    free(path);
}

static void shared_files_are_found_or_named(void **state) {
    UNUSED(state);
    struct err e = {0};
    char *path = temp_path("bundled");
    assert_true(file_write_atomic(path, STR("x"), &e));
    setenv("BROOD_SHARE", temp_dir, 1);
    char *found = share_path("bundled", &e);
    assert_text(found, path);
    free(found);
    assert_null(share_path("no/such thing", &e));
    assert_has(e.msg, "bundled no/such thing not found in ");
    assert_has(e.msg, temp_dir);
    assert_has(e.msg, "/share/brood/lab");
    unsetenv("BROOD_SHARE");
    free(path);
}

/* ---- JSON ---- */

static void json_errors_say_where(void **state) {
    UNUSED(state);
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"{\"a\": 1,\n \"b\": }", "t.json: not valid JSON at line 2, column 7"},
        {"{\"a\" 1}", "t.json: not valid JSON at column 6"},
        {"", "t.json: not valid JSON"},
        {"{} {}", "end of file expected"},
        {"{\"a\": 1, \"a\": 2}", "duplicate object key"},
        {"\"\xff\"", "unable to decode byte 0xff"},
        {"\"a\\u0000b\"", "\\u0000"},
        {"99999999999999999999", "too big integer"},
        {"1e999", "real number overflow"},
        {"NaN", "invalid token"},
    };
    struct err e = {0};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_null(json_parse(str_from(cases[i].text), "t.json", &e));
        assert_int_equal(e.code, ERR_INPUT);
        assert_has(e.msg, cases[i].part);
    }
    assert_null(json_parse(str_from(NULL), "t.json", &e));

    struct buf deep = {0};
    for (int i = 0; i < 100000; i++) buf_add_char(&deep, '[');
    assert_null(json_parse(buf_str(&deep), "t.json", &e));
    assert_has(e.msg, "maximum parsing depth");
    buf_free(&deep);
}

static void json_getters_check_types(void **state) {
    UNUSED(state);
    struct err e = {0};
    json_t *o = json_parse(STR("{\"s\": \"x\", \"i\": 5, \"r\": 2.5, \"t\": true, \"n\": null, \"a\": []}"),
                           "w:3", &e);
    const char *s;
    int64_t i;
    double r;
    bool t;
    assert_true(json_want_string(o, "s", &s, "w:3", &e));
    assert_text(s, "x");
    assert_true(json_get_string(o, "none", "def", &s, "w:3", &e));
    assert_text(s, "def");
    assert_true(json_get_string(o, "n", NULL, &s, "w:3", &e));
    assert_null(s);
    assert_false(json_want_string(o, "none", &s, "w:3", &e));
    assert_text(e.msg, "w:3: \"none\" is missing");
    assert_false(json_want_string(o, "n", &s, "w:3", &e));
    assert_false(json_get_string(o, "i", "def", &s, "w:3", &e));
    assert_text(e.msg, "w:3: \"i\" must be a string, not a whole number");

    assert_true(json_want_int(o, "i", 5, 5, &i, "w:3", &e));
    assert_int_equal(i, 5);
    assert_true(json_get_int(o, "n", -1, 0, 9, &i, "w:3", &e));
    assert_int_equal(i, -1);
    assert_false(json_get_int(o, "i", 0, 6, 9, &i, "w:3", &e));
    assert_text(e.msg, "w:3: \"i\" is 5, but must be from 6 to 9");
    assert_false(json_want_int(o, "r", 0, 9, &i, "w:3", &e));
    assert_has(e.msg, "must be a whole number, not a number with a fraction");
    assert_false(json_want_int(o, "none", 0, 9, &i, "w:3", &e));

    assert_true(json_get_real(o, "r", 0, &r, "w:3", &e) && r == 2.5);
    assert_true(json_get_real(o, "i", 0, &r, "w:3", &e) && r == 5);
    assert_true(json_get_real(o, "none", 7, &r, "w:3", &e) && r == 7);
    assert_false(json_get_real(o, "s", 0, &r, "w:3", &e));
    assert_true(json_get_bool(o, "t", false, &t, "w:3", &e) && t);
    assert_true(json_get_bool(o, "none", true, &t, "w:3", &e) && t);
    assert_false(json_get_bool(o, "i", false, &t, "w:3", &e));
    assert_text(e.msg, "w:3: \"i\" must be true or false, not a whole number");
    assert_false(json_get_bool(json_object_get(o, "a"), "x", false, &t, "w:3", &e));
    assert_text(e.msg, "w:3: expected an object with \"x\", found an array");
    assert_false(json_get_bool(NULL, "x", false, &t, "w:3", &e));
    json_decref(o);
}

static void json_text_takes_any_bytes(void **state) {
    UNUSED(state);
    struct err e = {0};
    json_t *v = json_text(STR("a\xff\0é\xe2\x82"));
    assert_text(json_string_value(v), "a\xef\xbf\xbd\xef\xbf\xbdé\xef\xbf\xbd\xef\xbf\xbd");
    char *line = json_line(v);
    json_t *back = json_parse(str_from(line), "line", &e);
    assert_true(json_equal(v, back));
    json_decref(back);
    free(line);
    json_decref(v);
    v = json_text(str_from(NULL));
    assert_text(json_string_value(v), "");
    json_decref(v);

    v = json_parse(STR("{\"z\": 1,\n\"a\": [1.5, \"\\n\"]}"), "x", &e);
    line = json_line(v);
    assert_text(line, "{\"z\":1,\"a\":[1.5,\"\\n\"]}");
    free(line);
    json_decref(v);
}

static void json_files_are_read(void **state) {
    UNUSED(state);
    struct err e = {0};
    char *path = temp_path("x.json");
    assert_true(file_write_atomic(path, STR("{\"a\": [1, 2]}\n"), &e));
    json_t *v = json_read_file(path, 100, &e);
    assert_int_equal(json_array_size(json_object_get(v, "a")), 2);
    json_decref(v);
    assert_null(json_read_file(path, 5, &e));
    assert_true(file_write_atomic(path, STR("{\n\"a\"\n"), &e));
    assert_null(json_read_file(path, 100, &e));
    assert_has(e.msg, "x.json: not valid JSON at line 3");
    free(path);
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

static int make_temp_dir(void **state) {
    UNUSED(state);
    char name[] = "/tmp/brood-base-XXXXXX";
    if (!mkdtemp(name)) return -1;
    temp_dir = mem_strdup(name);
    return 0;
}

static int remove_temp_dir(void **state) {
    UNUSED(state);
    struct buf b = {0};
    buf_printf(&b, "rm -rf '%s'", temp_dir);
    int status = system(buf_cstr(&b));
    buf_free(&b);
    free(temp_dir);
    return status;
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
        cmocka_unit_test(files_are_replaced_whole),
        cmocka_unit_test(reading_refuses_with_a_reason),
        cmocka_unit_test(maps_give_the_bytes),
        cmocka_unit_test(paths_join),
        cmocka_unit_test(lines_come_back_in_every_form),
        cmocka_unit_test(empty_and_blank_lines_count),
        cmocka_unit_test(damaged_gzip_is_an_error),
        cmocka_unit_test(a_line_over_the_limit_is_refused),
        cmocka_unit_test(shared_files_are_found_or_named),
        cmocka_unit_test(json_errors_say_where),
        cmocka_unit_test(json_getters_check_types),
        cmocka_unit_test(json_text_takes_any_bytes),
        cmocka_unit_test(json_files_are_read),
        cmocka_unit_test(clocks_go_forward),
    };
    return cmocka_run_group_tests(tests, make_temp_dir, remove_temp_dir);
}
