/* Files and JSON, through their headers. Temporary files lie in a folder that the test makes and removes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/share.h"
#include "scratch.h"

#define assert_text(got, want) assert_string_equal((got), (want))
#define assert_has(text, part) assert_non_null(strstr((text), (part)))

/* ---- files ---- */

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
    char *path = scratch_path("a.txt"), *link_path = scratch_path("link");
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

    assert_false(file_write_atomic(scratch, STR("x"), &e));
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
    assert_false(file_read(scratch, 10, &b, &e));
    assert_has(e.msg, "is a folder");
    char *path = scratch_path("ten");
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
    char *path = scratch_path("map");
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
    assert_false(file_map(scratch, &m, &e));
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
    assert_true(file_is_dir(scratch) && file_exists(scratch));
    assert_false(file_is_dir("/nonexistent") || file_exists("/nonexistent"));
}

/* Lines of every length around the size of a chunk, plain and gzip, with and without the last newline. */
static void lines_come_back_in_every_form(void **state) {
    UNUSED(state);
    struct err e = {0};
    char *path = scratch_path("lines");
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
    char *path = scratch_path("blank");
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

/* A JSON list gives what its elements as lines give, wherever chunks end and however it is written. */
static void a_list_is_read_as_its_elements(void **state) {
    UNUSED(state);
    static const char *const between[] = {",", ",\n", " ,\r\n  "};
    struct err e = {0};
    char *path = scratch_path("list.json");
    enum { N = 200 };
    for (size_t form = 0; form < ARRAY_LEN(between); form++) {
        struct buf text = {0};
        struct str line;
        buf_printf(&text, form == 1 ? "\xef\xbb\xbf[" : " \n[\n");
        for (int i = 0; i < N; i++)
            buf_printf(&text, "%s{\"i\": %d,%s\"t\": \"]}\\\"[{,%*s\\\\\", \"l\": [[%d], {}]}",
                       i ? between[form] : "", i, form ? "\n" : "", i * 31 % 3000, "", i);
        buf_printf(&text, "%s]\n \n", form ? "\n" : "");
        assert_true(file_write_atomic(path, buf_str(&text), &e));
        struct file_lines *f = file_lines_open(path, &e);
        for (int i = 0; i < N; i++) {
            assert_int_equal(file_lines_next(f, &line, &e), 1);
            assert_int_equal(file_lines_number(f), i + 1);
            assert_null(memchr(line.ptr, '\n', line.len));
            json_t *o = json_parse(line, "list", &e);
            assert_non_null(o);
            assert_int_equal(json_integer_value(json_object_get(o, "i")), i);
            assert_int_equal(json_string_length(json_object_get(o, "t")), 7 + i * 31 % 3000);
            json_decref(o);
        }
        assert_int_equal(file_lines_next(f, &line, &e), 0);
        assert_int_equal(file_lines_next(f, &line, &e), 0);
        file_lines_close(f);
        buf_free(&text);
    }
    free(path);
}

static bool count_line(void *ctx, struct str line, const char *where, struct err *e) {
    UNUSED(line);
    UNUSED(where);
    UNUSED(e);
    return ++*(int *)ctx > 0;
}

static void what_is_no_list_of_lines_is_named(void **state) {
    UNUSED(state);
    static const struct {
        const char *text, *says; /* NULL: read, as n lines */
        int n;
    } cases[] = {
        {"[]", NULL, 0},
        {"[ \n ] \n", NULL, 0},
        {"\xef\xbb\xbf{}\n{}", NULL, 2},
        {"[{}, {}", "does not end", 0},
        {"[{}, \"]", "does not end", 0},
        {"[{}]\n{}\n", "stands behind the list of 1 elements", 0},
        {"[] x", "stands behind", 0},
        {"PAR1\x15\x04", "Parquet", 0},
        {"PK\3\4abc", "zip", 0},
        {"\x28\xb5\x2f\xfd", "zstd", 0},
        {"\xfd\x37zXZ", "xz", 0},
        {"BZh91AY", "bzip2", 0},
        {"SQLite format 3", "SQLite", 0},
        {"<!DOCTYPE html>", "web page", 0},
        {"version https://git-lfs.github.com/spec/v1\n", "git lfs pull", 0},
    };
    char *path = scratch_path("other");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = {0};
        int n = 0;
        assert_true(file_write_atomic(path, str_from(cases[i].text), &e));
        const bool ok = file_lines_each(path, count_line, &n, &e);
        assert_int_equal(ok, !cases[i].says);
        if (ok)
            assert_int_equal(n, cases[i].n);
        else
            assert_has(e.msg, cases[i].says);
        if (!ok) assert_has(e.msg, "other");
    }
    free(path);
}

static void damaged_gzip_is_an_error(void **state) {
    UNUSED(state);
    struct err e = {0};
    struct buf b = {0};
    char *path = scratch_path("cut.gz");
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
    char *path = scratch_path("long.gz");
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
    char *path = scratch_path("bundled");
    assert_true(file_write_atomic(path, STR("x"), &e));
    setenv("BROOD_SHARE", scratch, 1);
    char *found = share_path("bundled", &e);
    assert_text(found, path);
    free(found);
    assert_null(share_path("no/such thing", &e));
    assert_has(e.msg, "bundled no/such thing not found in ");
    assert_has(e.msg, scratch);
    assert_has(e.msg, "/share/brood/lab");
    unsetenv("BROOD_SHARE");
    free(path);
}

/* ---- JSON ---- */

/* Lists whose numbers JSON here cannot hold are cut out by text, and the rest is parsed. */
static void json_lists_are_found_by_text(void **state) {
    UNUSED(state);
    struct err e;
    static const struct {
        const char *object, *a, *b;
    } cases[] = {
        {"{\"a\": [[9999999999999999999999], \"]\\\"}\"], \"b\":[]}",
         "[[9999999999999999999999], \"]\\\"}\"]", "[]"},
        {"{\"b\" : [1], \"c\": {\"a\": [2]}, \"d\": \"a\", \"a\" : [3, {\"b\": [4]}]}", "[3, {\"b\": [4]}]",
         "[1]"},
        {"{\"a\": \"[1]\", \"b\": 3}", "", ""},
        {"{\"ab\": [1], \"\\\"a\": [2]}", "", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct str object = str_from(cases[i].object);
        const struct str a = json_list_text(object, "a"), b = json_list_text(object, "b");
        assert_true(str_equal(a, str_from(cases[i].a)) && str_equal(b, str_from(cases[i].b)));
        for (int order = 0; order < 2; order++) {
            json_t *o = json_parse_without(object, order ? b : a, order ? a : b, "t.json", &e);
            assert_non_null(o);
            if (a.len) assert_int_equal(json_array_size(json_object_get(o, "a")), 0);
            if (b.len) assert_int_equal(json_array_size(json_object_get(o, "b")), 0);
            json_decref(o);
        }
    }
    assert_int_equal(json_list_text(STR("{\"a\": [1"), "a").len, 0);
}

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
    char *path = scratch_path("x.json");
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_replaced_whole),
        cmocka_unit_test(reading_refuses_with_a_reason),
        cmocka_unit_test(maps_give_the_bytes),
        cmocka_unit_test(paths_join),
        cmocka_unit_test(lines_come_back_in_every_form),
        cmocka_unit_test(empty_and_blank_lines_count),
        cmocka_unit_test(a_list_is_read_as_its_elements),
        cmocka_unit_test(what_is_no_list_of_lines_is_named),
        cmocka_unit_test(damaged_gzip_is_an_error),
        cmocka_unit_test(a_line_over_the_limit_is_refused),
        cmocka_unit_test(shared_files_are_found_or_named),
        cmocka_unit_test(json_errors_say_where),
        cmocka_unit_test(json_lists_are_found_by_text),
        cmocka_unit_test(json_getters_check_types),
        cmocka_unit_test(json_text_takes_any_bytes),
        cmocka_unit_test(json_files_are_read),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
