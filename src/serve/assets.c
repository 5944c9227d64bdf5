/* assets.c - see assets.h. A file more is a line in the assembly, two symbols and a row of the table. */
#include "serve/assets.h"

#include <string.h>

__asm__(".section .rodata\n"
        "brood_asset_index_begin: .incbin \"src/serve/page/index.html\"\n"
        "brood_asset_index_end: .byte 0\n"
        ".balign 8\n"
        "brood_asset_index_length: .quad brood_asset_index_end - brood_asset_index_begin\n"
        ".previous\n");
extern const char index_begin[] __asm__("brood_asset_index_begin");
extern const uint64_t index_length __asm__("brood_asset_index_length");

struct row {
    const char *path, *type, *bytes;
    const uint64_t *length;
};

static const struct row rows[] = {
    {"/", "text/html; charset=utf-8", index_begin, &index_length},
};

bool asset_find(const char *path, struct asset *out) {
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (strcmp(rows[i].path, path) != 0) continue;
        *out = (struct asset){rows[i].path, rows[i].type, rows[i].bytes, (size_t)*rows[i].length};
        return true;
    }
    return false;
}
