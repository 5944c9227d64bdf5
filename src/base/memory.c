#include "base/memory.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/pool.h"
#include "base/str.h"

/* Stack and heap of a thread reserve so much, whatever they fill. */
#define ADDRESSES_OF_A_THREAD ((size_t)80 << 20)

static atomic_size_t claimed;

/* ---- small files of the kernel ---- */

static bool read_text(const char *root, const char *path, struct buf *out) {
    struct buf whole = {0};
    buf_printf(&whole, "%s%s", root, path);
    FILE *f = fopen(buf_cstr(&whole), "rb");
    buf_free(&whole);
    buf_clear(out);
    if (!f) return false;
    char chunk[4096];
    for (size_t n; out->len < 1 << 20 && (n = fread(chunk, 1, sizeof chunk, f)) > 0;) buf_add(out, chunk, n);
    fclose(f);
    return true;
}

/* The number after `name` at the beginning of a line; false if it is not there. */
static bool number_after(const struct buf *text, const char *name, size_t *out) {
    size_t n = strlen(name);
    for (const char *line = buf_cstr(text); line; line = strchr(line, '\n')) {
        if (*line == '\n') line++;
        if (strncmp(line, name, n) != 0) continue;
        char *end;
        unsigned long long value = strtoull(line + n, &end, 10);
        if (end == line + n) return false;
        *out = value;
        return true;
    }
    return false;
}

/* "max", and version 1's number near 2^63, are no limit. */
static size_t read_limit(const char *root, const char *dir, const char *name) {
    struct buf path = {0}, text = {0};
    size_t limit = SIZE_MAX;
    buf_printf(&path, "%s/%s", dir, name);
    if (read_text(root, buf_cstr(&path), &text) && !number_after(&text, "", &limit)) limit = SIZE_MAX;
    buf_free(&path);
    buf_free(&text);
    return limit >= (size_t)1 << 60 ? SIZE_MAX : limit;
}

/* ---- control groups ---- */

struct group_kind {
    const char *mount, *limit, *use, *file_pages[2];
};

static const struct group_kind version1 = {"/sys/fs/cgroup/memory",
                                           "memory.limit_in_bytes",
                                           "memory.usage_in_bytes",
                                           {"total_inactive_file ", "total_active_file "}};
static const struct group_kind version2 = {
    "/sys/fs/cgroup", "memory.max", "memory.current", {"inactive_file ", "active_file "}};

struct room {
    size_t total, available;
};

static void look_at_group(const char *root, const struct group_kind *kind, const char *dir, struct room *r) {
    size_t limit = read_limit(root, dir, kind->limit), used = read_limit(root, dir, kind->use);
    if (limit == SIZE_MAX) return;
    struct buf path = {0}, text = {0};
    buf_printf(&path, "%s/memory.stat", dir);
    size_t droppable = 0, n;
    if (read_text(root, buf_cstr(&path), &text)) {
        for (size_t i = 0; i < ARRAY_LEN(kind->file_pages); i++)
            if (number_after(&text, kind->file_pages[i], &n)) droppable += n;
    }
    buf_free(&path);
    buf_free(&text);
    if (used == SIZE_MAX) used = 0;
    used -= MIN(used, droppable);
    r->total = MIN(r->total, limit);
    r->available = MIN(r->available, limit - MIN(limit, used));
}

/* From the process's group up to the root of the mount. */
static void look_at_groups(const char *root, const struct group_kind *kind, const char *group,
                           struct room *r) {
    struct buf dir = {0};
    buf_printf(&dir, "%s%s", kind->mount, group);
    size_t n_mount = strlen(kind->mount);
    for (;;) {
        while (dir.len > n_mount && dir.ptr[dir.len - 1] == '/') dir.ptr[--dir.len] = 0;
        look_at_group(root, kind, buf_cstr(&dir), r);
        if (dir.len <= n_mount) break;
        while (dir.len > n_mount && dir.ptr[dir.len - 1] != '/') dir.ptr[--dir.len] = 0;
    }
    buf_free(&dir);
}

/* Lines "0::/path" (version 2) and "4:memory:/path" (version 1). */
static void look_up_groups(const char *root, struct room *r) {
    struct buf text = {0};
    bool found = read_text(root, "/proc/self/cgroup", &text);
    for (char *line = text.ptr, *next; found && line && *line; line = next) {
        next = strchr(line, '\n');
        if (next) *next++ = 0;
        char *kinds = strchr(line, ':'), *group = kinds ? strchr(kinds + 1, ':') : NULL;
        if (!group || strstr(group, "..")) continue;
        *group++ = 0;
        if (kinds[1] == 0) look_at_groups(root, &version2, group, r);
        if (strcmp(kinds + 1, "memory") == 0) look_at_groups(root, &version1, group, r);
    }
    buf_free(&text);
}

static struct room look(const char *root) {
    struct room r = {SIZE_MAX, SIZE_MAX};
    struct buf text = {0};
    size_t kib;
    if (read_text(root, "/proc/meminfo", &text)) {
        if (number_after(&text, "MemTotal:", &kib)) r.total = kib << 10;
        if (number_after(&text, "MemAvailable:", &kib)) r.available = kib << 10;
    }
    buf_free(&text);
    look_up_groups(root, &r);
    return r;
}

/* What ulimit -v leaves of the address space; SIZE_MAX: no limit. */
static size_t look_at_addresses(const char *root) {
    static const char name[] = "Max address space";
    struct buf text = {0};
    size_t limit = SIZE_MAX, used = 0;
    if (!read_text(root, "/proc/self/limits", &text) || !number_after(&text, name, &limit)) limit = SIZE_MAX;
    if (limit != SIZE_MAX && read_text(root, "/proc/self/status", &text) &&
        number_after(&text, "VmSize:", &used))
        limit -= MIN(limit, used << 10);
    buf_free(&text);
    return limit;
}

size_t memory_total_in(const char *root) {
    return look(root).total;
}

size_t memory_available_in(const char *root) {
    return MIN(look(root).available, look_at_addresses(root));
}

size_t memory_total(void) {
    return memory_total_in("");
}

/* ---- claims ---- */

static size_t touched(void) {
    struct buf text = {0};
    size_t kib = 0;
    if (!read_text("", "/proc/self/status", &text) || !number_after(&text, "RssAnon:", &kib)) kib = 0;
    buf_free(&text);
    return kib << 10;
}

size_t memory_available(void) {
    size_t left = look("").available, addresses = look_at_addresses(""), promised = atomic_load(&claimed),
           used = touched();
    size_t untouched = promised - MIN(promised, used);
    if (addresses != SIZE_MAX)
        addresses -= MIN(addresses, ADDRESSES_OF_A_THREAD * (size_t)(pool_cores() + 1));
    return MIN(left == SIZE_MAX ? left : left - MIN(left, untouched), addresses);
}

void memory_claim(size_t n_bytes) {
    atomic_fetch_add(&claimed, n_bytes);
}

void memory_release(size_t n_bytes) {
    atomic_fetch_sub(&claimed, n_bytes);
}
