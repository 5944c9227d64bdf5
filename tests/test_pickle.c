/* PyTorch checkpoints without Python: archives made here, their programs written by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "model/convert.h"
#include "model/pickle.h"
#include "model/safetensors.h"

/* ---- archives ---- */

static void put(struct buf *out, uint64_t x, int n_bytes) {
    for (int i = 0; i < n_bytes; i++) buf_add_char(out, (char)(i < 8 ? x >> (8 * i) & 0xff : 0));
}

struct archive {
    struct buf bytes, list;
    int n;
};

static void add_entry(struct archive *a, const char *name, struct str data, unsigned method) {
    const size_t at = a->bytes.len, n_name = strlen(name);
    put(&a->bytes, 0x04034b50, 4), put(&a->bytes, 0, 4), put(&a->bytes, method, 2), put(&a->bytes, 0, 8);
    put(&a->bytes, data.len, 4), put(&a->bytes, data.len, 4), put(&a->bytes, n_name, 2), put(&a->bytes, 3, 2);
    buf_add(&a->bytes, name, n_name), buf_add(&a->bytes, "...", 3);
    buf_add(&a->bytes, data.ptr, data.len);
    put(&a->list, 0x02014b50, 4), put(&a->list, 0, 6), put(&a->list, method, 2), put(&a->list, 0, 8);
    put(&a->list, data.len, 4), put(&a->list, data.len, 4), put(&a->list, n_name, 2), put(&a->list, 0, 12);
    put(&a->list, at, 4);
    buf_add(&a->list, name, n_name);
    a->n++;
}

static struct buf close_archive(struct archive *a) {
    const size_t at = a->bytes.len;
    buf_add_str(&a->bytes, buf_str(&a->list));
    put(&a->bytes, 0x06054b50, 4), put(&a->bytes, 0, 4), put(&a->bytes, (uint64_t)a->n, 2);
    put(&a->bytes, (uint64_t)a->n, 2), put(&a->bytes, a->list.len, 4), put(&a->bytes, at, 4),
        put(&a->bytes, 0, 2);
    buf_free(&a->list);
    return a->bytes;
}

/* ---- programs ---- */

static void text(struct buf *p, const char *s) {
    buf_add_char(p, 'X');
    put(p, strlen(s), 4);
    buf_add_str(p, str_from(s));
}

static void number(struct buf *p, int n) {
    buf_add_char(p, 'J');
    put(p, (uint64_t)(uint32_t)n, 4);
}

struct described {
    const char *storage, *key;
    int offset, shape[2], stride[2];
};

/* _rebuild_tensor_v2(storage, offset, sizes, strides, False, OrderedDict()) */
static void tensor(struct buf *p, const struct described *d) {
    buf_add_str(p, STR("ctorch._utils\n_rebuild_tensor_v2\n(("));
    text(p, "storage");
    buf_printf(p, "ctorch\n%s\n", d->storage);
    text(p, d->key), text(p, "cpu"), number(p, 12);
    buf_add_str(p, STR("tQ"));
    number(p, d->offset);
    number(p, d->shape[0]), number(p, d->shape[1]), buf_add_char(p, (char)0x86);
    number(p, d->stride[0]), number(p, d->stride[1]), buf_add_char(p, (char)0x86);
    buf_add_str(p, STR("\x89"
                       "ccollections\nOrderedDict\n)RtR"));
}

static const float floats[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};

/* A dictionary with "a", "b" and something that is no tensor. */
static struct buf checkpoint(const struct described *a, const struct described *b, const char *extra) {
    struct buf p = {0};
    buf_add(&p, "\x80\x02}q\0(", 6);
    text(&p, "a"), tensor(&p, a);
    text(&p, "b"), tensor(&p, b);
    text(&p, "step"), number(&p, 7);
    buf_printf(&p, "%su.", extra);
    struct archive z = {0};
    add_entry(&z, "m/data.pkl", buf_str(&p), 0);
    add_entry(&z, "m/data/0", (struct str){(const char *)floats, sizeof floats}, 0);
    add_entry(&z, "m/version", STR("3\n"), 0);
    buf_free(&p);
    return close_archive(&z);
}

static const struct described good_a = {"FloatStorage", "0", 0, {2, 3}, {3, 1}},
                              good_b = {"FloatStorage", "0", 4, {1, 8}, {99, 1}};

static void tensors_are_read(void **state) {
    UNUSED(state);
    struct buf file = checkpoint(&good_a, &good_b, "");
    struct weights w = {0};
    struct err e = {0};
    if (!pickle_parse((const unsigned char *)file.ptr, file.len, "x.bin", &w, &e)) fail_msg("%s", e.msg);
    assert_true(weights_finish(&w, "x.bin", &e));
    assert_int_equal(w.n_tensors, 2);
    const struct tensor *a = weights_find(w.tensors, 2, "a"), *b = weights_find(w.tensors, 2, "b");
    assert_int_equal(a->n_dims, 2);
    assert_int_equal(a->shape[0], 2);
    assert_int_equal(a->shape[1], 3);
    assert_memory_equal(a->data, floats, 6 * sizeof(float));
    assert_memory_equal(b->data, floats + 4, 8 * sizeof(float));
    weights_fini(&w);
    buf_free(&file);
}

static void assert_refused(struct buf file, const char *message) {
    struct weights w = {0};
    struct err e = {0};
    assert_false(pickle_parse((const unsigned char *)file.ptr, file.len, "x.bin", &w, &e));
    if (!strstr(e.msg, message)) fail_msg("%s: %s", message, e.msg);
    assert_int_equal(e.code, ERR_INPUT);
    weights_fini(&w);
    buf_free(&file);
}

static void everything_else_is_refused(void **state) {
    UNUSED(state);
    const struct described outside = {"FloatStorage", "0", 7, {2, 3}, {3, 1}},
                           negative = {"FloatStorage", "0", -1, {2, 3}, {3, 1}},
                           turned = {"FloatStorage", "0", 0, {2, 3}, {1, 2}},
                           huge = {"FloatStorage", "0", 0, {INT32_MAX, INT32_MAX}, {INT32_MAX, 1}},
                           elsewhere = {"FloatStorage", "../0", 0, {2, 3}, {3, 1}},
                           doubles = {"DoubleStorage", "0", 0, {2, 3}, {3, 1}};
    assert_refused(checkpoint(&outside, &good_b, ""), "outside of its storage");
    assert_refused(checkpoint(&negative, &good_b, ""), "outside of its storage");
    assert_refused(checkpoint(&turned, &good_b, ""), "in one piece");
    assert_refused(checkpoint(&huge, &good_b, ""), "too large");
    assert_refused(checkpoint(&elsewhere, &good_b, ""), "not in the archive");
    assert_refused(checkpoint(&doubles, &good_b, ""), "torch.DoubleStorage");
    assert_refused(checkpoint(&good_a, &good_b, "cposix\nsystem\n"), "posix.system");
    assert_refused(checkpoint(&good_a, &good_b, "ibuiltins\neval\n"), "operation 0x69");
    assert_refused(checkpoint(&good_a, &good_b, "h\x63"), "memo");
    assert_refused(checkpoint(&good_a, &good_b, "tttt"), "mark");
    assert_refused(checkpoint(&good_a, &good_b, "R"), "call");
}

/* Cut off anywhere, or with any byte changed, a file is refused or read; never more. */
static void damage_is_told(void **state) {
    UNUSED(state);
    struct buf whole = checkpoint(&good_a, &good_b, "");
    for (size_t n = 0; n < whole.len; n++) {
        struct weights w = {0};
        struct err e = {0};
        unsigned char *part = mem_dup(whole.ptr, MAX(n, (size_t)1));
        assert_false(pickle_parse(part, n, "x.bin", &w, &e));
        assert_non_null(strstr(e.msg, "x.bin"));
        weights_fini(&w);
        free(part);
    }
    for (size_t i = 0; i < whole.len * 3; i++) {
        struct weights w = {0};
        struct err e = {0};
        unsigned char *copy = mem_dup(whole.ptr, whole.len);
        copy[i / 3] ^= (unsigned char)(i % 3 == 0 ? 1 : i % 3 == 1 ? 0x80 : 0xff);
        if (!pickle_parse(copy, whole.len, "x.bin", &w, &e)) assert_true(e.msg[0] != '\0');
        weights_fini(&w);
        free(copy);
    }
    buf_free(&whole);
    struct archive packed = {0};
    add_entry(&packed, "m/data.pkl", STR("}."), 8);
    assert_refused(close_archive(&packed), "compressed");
}

static void a_folder_becomes_safetensors(void **state) {
    UNUSED(state);
    char dir[] = "/tmp/brood-convert-XXXXXX";
    assert_non_null(mkdtemp(dir));
    struct buf file = checkpoint(&good_a, &good_b, "");
    struct err e = {0};
    struct convert_told told;
    char *bin = file_join(dir, "pytorch_model.bin"), *out = file_join(dir, "model.safetensors");
    assert_false(convert_folder(dir, NULL, &told, &e));
    assert_non_null(strstr(e.msg, "there is no pytorch_model.bin"));
    assert_true(file_write_atomic(bin, buf_str(&file), &e));
    if (!convert_folder(dir, NULL, &told, &e)) fail_msg("%s", e.msg);
    assert_int_equal(told.n_tensors, 2);
    struct file_map map;
    struct weights w = {0};
    assert_true(file_map(out, &map, &e));
    if (!safetensors_parse(map.ptr, map.n_bytes, out, &w, &e) || !weights_finish(&w, out, &e))
        fail_msg("%s", e.msg);
    assert_memory_equal(weights_find(w.tensors, w.n_tensors, "b")->data, floats + 4, 8 * sizeof(float));
    weights_fini(&w);
    file_unmap(&map);
    assert_false(convert_folder(dir, NULL, &told, &e)); /* what is there is not written over */
    assert_non_null(strstr(e.msg, "is there already"));
    unlink(bin), unlink(out), rmdir(dir);
    free(bin), free(out);
    buf_free(&file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors_are_read),
        cmocka_unit_test(everything_else_is_refused),
        cmocka_unit_test(damage_is_told),
        cmocka_unit_test(a_folder_becomes_safetensors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
