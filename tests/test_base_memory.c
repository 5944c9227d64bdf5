/* What memory is left, read from a made-up machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/memory.h"
#include "base/str.h"

static char *new_root(void) {
    char *root = mem_strdup("/tmp/brood-test-XXXXXX");
    ASSERT(mkdtemp(root));
    return root;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    UNUSED(st), UNUSED(type), UNUSED(ftw);
    return remove(path);
}

static void free_root(char *root) {
    nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(root);
}

/* The file with the folders that it lies in. */
static void put(const char *root, const char *path, const char *content) {
    struct buf whole = {0};
    buf_printf(&whole, "%s%s", root, path);
    for (char *slash = whole.ptr + strlen(root) + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
        *slash = 0;
        mkdir(whole.ptr, 0700);
    }
    FILE *f = fopen(whole.ptr, "w");
    ASSERT(f && fputs(content, f) >= 0 && fclose(f) == 0);
    buf_free(&whole);
}

static const char meminfo[] =
    "MemTotal:        1000 kB\nMemFree:          100 kB\nMemAvailable:     600 kB\n";

static void without_groups_the_kernel_is_asked(void **state) {
    UNUSED(state);
    char *root = new_root();
    assert_true(memory_available_in(root) == SIZE_MAX && memory_total_in(root) == SIZE_MAX);
    put(root, "/proc/meminfo", meminfo);
    assert_int_equal(memory_total_in(root), 1000 << 10);
    assert_int_equal(memory_available_in(root), 600 << 10);
    put(root, "/proc/self/cgroup", "0::/\n");
    put(root, "/sys/fs/cgroup/cgroup.procs", "1\n");
    assert_int_equal(memory_available_in(root), 600 << 10);
    free_root(root);
}

static void the_least_of_all_groups_counts(void **state) {
    UNUSED(state);
    char *root = new_root();
    put(root, "/proc/meminfo", meminfo);
    put(root, "/proc/self/cgroup", "0::/a/b\n");
    put(root, "/sys/fs/cgroup/a/b/memory.max", "max\n");
    put(root, "/sys/fs/cgroup/a/b/memory.current", "409600\n");
    assert_int_equal(memory_available_in(root), 600 << 10);
    put(root, "/sys/fs/cgroup/a/memory.max", "512000\n"); /* 500 KiB, of which 400 are used */
    put(root, "/sys/fs/cgroup/a/memory.current", "409600\n");
    assert_int_equal(memory_total_in(root), 500 << 10);
    assert_int_equal(memory_available_in(root), 100 << 10);
    put(root, "/sys/fs/cgroup/a/memory.stat",
        "anon 5\ninactive_file 51200\nactive_file 51200\nfile 999999\n");
    assert_int_equal(memory_available_in(root), 200 << 10); /* 100 of these could be dropped */
    put(root, "/sys/fs/cgroup/a/b/memory.max", "430080\n"); /* 420 KiB in the inner one */
    assert_int_equal(memory_available_in(root), 20 << 10);
    put(root, "/sys/fs/cgroup/a/b/memory.current", "999999999\n");
    assert_int_equal(memory_available_in(root), 0);
    free_root(root);
}

static void groups_of_version_1_count_too(void **state) {
    UNUSED(state);
    char *root = new_root();
    put(root, "/proc/meminfo", meminfo);
    put(root, "/proc/self/cgroup", "9:name=systemd:/x\n4:memory:/inner/one\n1:cpu:/y\n0::/\n");
    put(root, "/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"); /* none */
    put(root, "/sys/fs/cgroup/memory/memory.usage_in_bytes", "1\n");
    assert_int_equal(memory_available_in(root), 600 << 10);
    put(root, "/sys/fs/cgroup/memory/inner/one/memory.limit_in_bytes", "307200\n");
    put(root, "/sys/fs/cgroup/memory/inner/one/memory.usage_in_bytes", "204800\n");
    put(root, "/sys/fs/cgroup/memory/inner/one/memory.stat",
        "inactive_file 1\ntotal_inactive_file 10240\ntotal_active_file 10240\n");
    assert_int_equal(memory_total_in(root), 300 << 10);
    assert_int_equal(memory_available_in(root), 120 << 10);
    free_root(root);
}

static void a_limit_of_addresses_counts(void **state) {
    UNUSED(state);
    char *root = new_root();
    put(root, "/proc/meminfo", meminfo);
    put(root, "/proc/self/limits",
        "Limit                     Soft Limit           Hard Limit           Units     \n"
        "Max address space         unlimited            unlimited            bytes     \n");
    put(root, "/proc/self/status", "Name:\tx\nVmSize:\t     300 kB\n");
    assert_int_equal(memory_available_in(root), 600 << 10);
    put(root, "/proc/self/limits",
        "Max address space         409600               unlimited            bytes     \n");
    assert_int_equal(memory_available_in(root), 100 << 10);
    put(root, "/proc/self/status", "Name:\tx\nVmSize:\t     500 kB\n");
    assert_int_equal(memory_available_in(root), 0);
    free_root(root);
}

static void strange_files_are_no_limit(void **state) {
    static const char *const strange[] = {"",         "\n",       "0::", "0", ":", "::", "0::/../../etc\n",
                                          "4:memory", "\n\n0::/a"};
    UNUSED(state);
    char *root = new_root();
    put(root, "/proc/meminfo", meminfo);
    put(root, "/sys/fs/cgroup/a/memory.max", "garbage\n");
    for (size_t i = 0; i < ARRAY_LEN(strange); i++) {
        put(root, "/proc/self/cgroup", strange[i]);
        assert_int_equal(memory_available_in(root), 600 << 10);
    }
    free_root(root);
}

/* This machine: there is some, and not more than all. */
static void this_machine_has_memory(void **state) {
    UNUSED(state);
    assert_true(memory_total() > 0 && memory_available() <= memory_total());
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_groups_the_kernel_is_asked),
        cmocka_unit_test(the_least_of_all_groups_counts),
        cmocka_unit_test(groups_of_version_1_count_too),
        cmocka_unit_test(a_limit_of_addresses_counts),
        cmocka_unit_test(strange_files_are_no_limit),
        cmocka_unit_test(this_machine_has_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
