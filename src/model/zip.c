#include "model/zip.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum {
    END_BYTES = 22,
    LOCATOR_BYTES = 20,
    END64_BYTES = 56,
    CENTRAL_BYTES = 46,
    LOCAL_BYTES = 30,
    ENTRIES_MAX = 1 << 20
};

struct reader {
    const unsigned char *bytes;
    size_t n;
    const char *where;
    struct err *e;
};

static uint64_t number(const unsigned char *at, int n_bytes) {
    uint64_t x = 0;
    for (int i = n_bytes - 1; i >= 0; i--) x = x << 8 | at[i];
    return x;
}

static bool damaged(const struct reader *r, const char *what) {
    return err_set(r->e, ERR_INPUT,
                   "%s: %s: this is no whole PyTorch checkpoint (a ZIP archive since PyTorch 1.6); "
                   "download it again",
                   r->where, what);
}

/* The last record of an archive, searched from its end: a comment may follow it. */
static const unsigned char *find_end(const struct reader *r) {
    for (size_t back = END_BYTES; back <= r->n && back <= END_BYTES + 65535u; back++)
        if (number(r->bytes + r->n - back, 4) == 0x06054b50) return r->bytes + r->n - back;
    return NULL;
}

/* Where the list of entries lies and how many it has. */
static bool find_list(const struct reader *r, uint64_t *at, uint64_t *count) {
    const unsigned char *end = find_end(r);
    if (!end) return damaged(r, "no end of an archive");
    *count = number(end + 10, 2);
    *at = number(end + 16, 4);
    const size_t end_at = (size_t)(end - r->bytes);
    if (end_at < LOCATOR_BYTES || number(end - LOCATOR_BYTES, 4) != 0x07064b50) return true;
    const uint64_t at64 = number(end - LOCATOR_BYTES + 8, 8);
    if (at64 > r->n || r->n - at64 < END64_BYTES || number(r->bytes + at64, 4) != 0x06064b50)
        return damaged(r, "the end of the archive points nowhere");
    *count = number(r->bytes + at64 + 32, 8);
    *at = number(r->bytes + at64 + 48, 8);
    return true;
}

/* Sizes and offset that do not fit 32 bits stand in an extra field, in this order, where they are all ones.
 */
static void widen(const unsigned char *extra, size_t n_extra, uint64_t *plain, uint64_t *packed,
                  uint64_t *offset) {
    for (size_t i = 0; i + 4 <= n_extra;) {
        const uint64_t id = number(extra + i, 2), size = number(extra + i + 2, 2);
        size_t at = i + 4, end = MIN(at + (size_t)size, n_extra);
        uint64_t *const fields[] = {plain, packed, offset};
        for (size_t k = 0; id == 1 && k < ARRAY_LEN(fields); k++) {
            if (*fields[k] != UINT32_MAX || at + 8 > end) continue;
            *fields[k] = number(extra + at, 8);
            at += 8;
        }
        i += 4 + (size_t)size;
    }
}

/* One entry of the list at `at`; *n_bytes is what it takes. */
static bool read_entry(const struct reader *r, uint64_t at, struct zip_entry *out, uint64_t *n_bytes) {
    if (at > r->n || r->n - at < CENTRAL_BYTES || number(r->bytes + at, 4) != 0x02014b50)
        return damaged(r, "its list of entries breaks off");
    const unsigned char *c = r->bytes + at;
    const uint64_t method = number(c + 10, 2), n_name = number(c + 28, 2), n_extra = number(c + 30, 2);
    uint64_t packed = number(c + 20, 4), plain = number(c + 24, 4), local = number(c + 42, 4);
    *n_bytes = CENTRAL_BYTES + n_name + n_extra + number(c + 32, 2);
    if (r->n - at < *n_bytes) return damaged(r, "its list of entries breaks off");
    out->name = (struct str){(const char *)c + CENTRAL_BYTES, n_name};
    widen(c + CENTRAL_BYTES + n_name, n_extra, &plain, &packed, &local);
    if (method != 0 || plain != packed) return damaged(r, "an entry is compressed");
    if (local > r->n || r->n - local < LOCAL_BYTES || number(r->bytes + local, 4) != 0x04034b50)
        return damaged(r, "an entry lies outside of the file");
    const uint64_t head = LOCAL_BYTES + number(r->bytes + local + 26, 2) + number(r->bytes + local + 28, 2);
    if (r->n - local < head || r->n - local - head < plain)
        return damaged(r, "an entry lies outside of the file");
    out->data = (struct str){(const char *)r->bytes + local + head, plain};
    return true;
}

static int compare_entries(const void *a, const void *b) {
    const struct zip_entry *x = a, *y = b;
    const int order = memcmp(x->name.ptr, y->name.ptr, MIN(x->name.len, y->name.len));
    return order ? order : (x->name.len > y->name.len) - (x->name.len < y->name.len);
}

bool zip_open(const unsigned char *bytes, size_t n, const char *where, struct zip *out, struct err *e) {
    const struct reader r = {bytes, n, where, e};
    uint64_t at = 0, count = 0, n_entry = 0;
    *out = (struct zip){0};
    if (!find_list(&r, &at, &count)) return false;
    if (count > ENTRIES_MAX || count * CENTRAL_BYTES > n)
        return damaged(&r, "its number of entries is not true");
    out->entries = mem_zalloc(MAX((size_t)count, (size_t)1), sizeof *out->entries);
    for (uint64_t i = 0; i < count; i++, at += n_entry) {
        if (!read_entry(&r, at, &out->entries[i], &n_entry)) {
            zip_close(out);
            return false;
        }
    }
    out->n_entries = (size_t)count;
    qsort(out->entries, out->n_entries, sizeof *out->entries, compare_entries);
    return true;
}

void zip_close(struct zip *z) {
    free(z->entries);
    *z = (struct zip){0};
}

const struct zip_entry *zip_find(const struct zip *z, struct str name) {
    const struct zip_entry key = {.name = name};
    return z->n_entries ? bsearch(&key, z->entries, z->n_entries, sizeof key, compare_entries) : NULL;
}
