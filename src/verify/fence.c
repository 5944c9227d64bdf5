#include "verify/fence.h"

#include <string.h>

bool fence_next(struct str text, size_t *at, struct str closing, struct str *block) {
    struct str rest = {text.ptr + *at, text.len - *at};
    const ptrdiff_t open = str_find(rest, STR("```"));
    const void *line = open < 0 ? NULL : memchr(rest.ptr + open, '\n', rest.len - (size_t)open);
    if (!line) return false;
    const size_t begin = (size_t)((const char *)line + 1 - text.ptr);
    rest = (struct str){text.ptr + begin, text.len - begin};
    const ptrdiff_t close = str_find(rest, closing);
    *block = (struct str){rest.ptr, close < 0 ? rest.len : (size_t)close};
    *at = begin + block->len + (close < 0 ? 0 : closing.len);
    return true;
}
