/* Any bytes as a file of lines or of one list, and as what a check has kept: lines are counted, lists come
 * back whole, and what was kept can be kept again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "verify/kept.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

enum { N = 64 };
static const uint64_t check = 1;
static const char head[] = "{\"check\":\"0000000000000001\"}\n";

static bool on_line(void *ctx, struct str line, const char *where, struct err *e) {
    UNUSED(where);
    UNUSED(e);
    ASSERT(line.len > 0 && !memchr(line.ptr, '\n', line.len));
    return ++*(size_t *)ctx > 0;
}

static void put(const char *path, const char *before, const uint8_t *bytes, size_t n) {
    FILE *f = fopen(path, "wb");
    ASSERT(f && fputs(before, f) >= 0 && fwrite(bytes, 1, n, f) == n && fclose(f) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    char path[64];
    struct err e = {0};
    struct kept *kept;
    size_t n_lines = 0, n_kept = 0, n_again = 0;
    snprintf(path, sizeof path, "/tmp/fuzz_lines.%ld", (long)getpid());
    put(path, "", bytes, n);
    if (!file_lines_each(path, on_line, &n_lines, &e)) ASSERT(e.msg[0]);
    put(path, head, bytes, n);
    if (kept_open(&kept, path, "", check, N, &e)) {
        for (size_t i = 0; i < N; i++) n_kept += kept_get(kept, i) != NULL;
        ASSERT(kept_add(kept, N - 1, json_pack("[i,s]", N - 1, "passed"), &e));
        n_kept += kept_get(kept, N - 1) == NULL;
        kept_close(kept);
        ASSERT(kept_open(&kept, path, "", check, N, &e));
        for (size_t i = 0; i < N; i++) n_again += kept_get(kept, i) != NULL;
        ASSERT(n_again == n_kept);
        kept_close(kept);
    }
    unlink(path);
    return 0;
}
