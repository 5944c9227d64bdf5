/* str.c - see str.h. */
#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct str str_from(const char *s) {
    return (struct str){s, s ? strlen(s) : 0};
}

bool str_equal(struct str a, struct str b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool str_starts(struct str s, struct str prefix) {
    return s.len >= prefix.len && str_equal((struct str){s.ptr, prefix.len}, prefix);
}

bool str_ends(struct str s, struct str suffix) {
    return s.len >= suffix.len &&
           (suffix.len == 0 || memcmp(s.ptr + s.len - suffix.len, suffix.ptr, suffix.len) == 0);
}

static bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct str str_trim(struct str s) {
    while (s.len && is_space(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len && is_space(s.ptr[s.len - 1])) s.len--;
    return s;
}

ptrdiff_t str_find(struct str hay, struct str needle) {
    if (needle.len == 0) return 0;
    if (hay.len < needle.len) return -1;
    const char *hit = memmem(hay.ptr, hay.len, needle.ptr, needle.len);
    return hit ? hit - hay.ptr : -1;
}

ptrdiff_t str_find_last(struct str hay, struct str needle) {
    if (hay.len < needle.len) return -1;
    if (needle.len == 0) return (ptrdiff_t)hay.len;
    for (size_t n = hay.len - needle.len + 1; n > 0;) {
        const char *first = memrchr(hay.ptr, needle.ptr[0], n);
        if (!first) return -1;
        if (memcmp(first, needle.ptr, needle.len) == 0) return first - hay.ptr;
        n = (size_t)(first - hay.ptr);
    }
    return -1;
}

char *str_dup(struct str s) {
    char *copy = mem_alloc(s.len + 1);
    if (s.len) memcpy(copy, s.ptr, s.len);
    copy[s.len] = '\0';
    return copy;
}

int str_utf8(struct str s, size_t at, uint32_t *scalar) {
    if (at >= s.len) return 0;
    const unsigned char *p = (const unsigned char *)s.ptr + at;
    uint32_t c = p[0], least;
    int n_bytes;
    if (c < 0x80) {
        *scalar = c;
        return 1;
    } else if (c >= 0xc2 && c <= 0xdf) {
        n_bytes = 2, least = 0x80, c &= 0x1f;
    } else if (c >= 0xe0 && c <= 0xef) {
        n_bytes = 3, least = 0x800, c &= 0x0f;
    } else if (c >= 0xf0 && c <= 0xf4) {
        n_bytes = 4, least = 0x10000, c &= 0x07;
    } else {
        return 0;
    }
    if (s.len - at < (size_t)n_bytes) return 0;
    for (int i = 1; i < n_bytes; i++) {
        if ((p[i] & 0xc0) != 0x80) return 0;
        c = c << 6 | (p[i] & 0x3fu);
    }
    if (c < least || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) return 0;
    *scalar = c;
    return n_bytes;
}

/* Room for n more bytes and the NUL. */
static void reserve(struct buf *b, size_t n) {
    ASSERT(n < SIZE_MAX / 2 - b->len - 1);
    MEM_GROW(b->ptr, b->cap, b->len + n + 1);
}

void buf_add(struct buf *b, const void *bytes, size_t n) {
    reserve(b, n);
    if (n) memcpy(b->ptr + b->len, bytes, n);
    b->len += n;
    b->ptr[b->len] = '\0';
}

void buf_add_str(struct buf *b, struct str s) {
    buf_add(b, s.ptr, s.len);
}

void buf_add_char(struct buf *b, char c) {
    buf_add(b, &c, 1);
}

void buf_add_utf8(struct buf *b, uint32_t scalar) {
    if (scalar > 0x10ffff || (scalar >= 0xd800 && scalar <= 0xdfff)) scalar = 0xfffd;
    unsigned char bytes[4];
    size_t n = scalar < 0x80 ? 1 : scalar < 0x800 ? 2 : scalar < 0x10000 ? 3 : 4;
    static const unsigned char lead[5] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n; i-- > 1; scalar >>= 6) bytes[i] = (unsigned char)(0x80 | (scalar & 0x3f));
    bytes[0] = (unsigned char)(lead[n] | scalar);
    buf_add(b, bytes, n);
}

void buf_printf(struct buf *b, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    ASSERT(n >= 0);
    reserve(b, (size_t)n);
    va_start(args, format);
    vsnprintf(b->ptr + b->len, (size_t)n + 1, format, args);
    va_end(args);
    b->len += (size_t)n;
}

void buf_clear(struct buf *b) {
    b->len = 0;
    if (b->ptr) b->ptr[0] = '\0';
}

void buf_free(struct buf *b) {
    free(b->ptr);
    *b = (struct buf){0};
}

struct str buf_str(const struct buf *b) {
    return (struct str){b->ptr, b->len};
}

const char *buf_cstr(const struct buf *b) {
    return b->ptr ? b->ptr : "";
}

char *buf_take(struct buf *b) {
    if (!b->ptr) reserve(b, 0);
    b->ptr[b->len] = '\0';
    char *taken = b->ptr;
    *b = (struct buf){0};
    return taken;
}
