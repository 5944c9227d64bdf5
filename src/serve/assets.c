/* assets.c - see assets.h. A file more is a line of ASSETS. */
#include "serve/assets.h"

#include <string.h>

/* name, file in src/serve/page/, where it is served, its type */
#define ASSETS(X)                                                                                            \
    X(index, "index.html", "/", "text/html; charset=utf-8")                                                  \
    X(css, "page.css", "/assets/page.css", "text/css; charset=utf-8")                                        \
    X(icon, "icon.svg", "/assets/icon.svg", "image/svg+xml")                                                 \
    X(page, "page.js", "/assets/page.js", "text/javascript; charset=utf-8")                                  \
    X(search, "search.js", "/assets/search.js", "text/javascript; charset=utf-8")                            \
    X(tree, "tree.js", "/assets/tree.js", "text/javascript; charset=utf-8")                                  \
    X(runs, "runs.js", "/assets/runs.js", "text/javascript; charset=utf-8")                                  \
    X(show, "show.js", "/assets/show.js", "text/javascript; charset=utf-8")

/* clang-format off */
#define EMBED(name, file, path, type)                                     \
    __asm__(".section .rodata\n"                                          \
            "brood_asset_" #name "_begin: .incbin \"src/serve/page/" file "\"\n" \
            "brood_asset_" #name "_end: .byte 0\n"                         \
            ".balign 8\n"                                                 \
            "brood_asset_" #name "_length: .quad brood_asset_" #name "_end - brood_asset_" #name "_begin\n" \
            ".previous\n");                                               \
    extern const char name##_begin[] __asm__("brood_asset_" #name "_begin"); \
    extern const uint64_t name##_length __asm__("brood_asset_" #name "_length");
/* clang-format on */
ASSETS(EMBED)

struct row {
    const char *path, *type, *bytes;
    const uint64_t *length;
};

#define ROW(name, file, path, type) {path, type, name##_begin, &name##_length},
static const struct row rows[] = {ASSETS(ROW)};

bool asset_find(const char *path, struct asset *out) {
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (strcmp(rows[i].path, path) != 0) continue;
        *out = (struct asset){rows[i].path, rows[i].type, rows[i].bytes, (size_t)*rows[i].length};
        return true;
    }
    return false;
}
