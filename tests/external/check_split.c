/* check_split - cuts random text by the published split patterns with PCRE2 (split.c) and with Oniguruma,
 * which Hugging Face's tokenizers use.
 *
 * Needs Debian's libonig-dev when it is built and libonig5 when it runs; skips aloud without.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "model/split.h"
#include "model/split_patterns.h"

#if __has_include(<oniguruma.h>)
#include <oniguruma.h>

enum { TEXTS = 50000, SCALARS_MAX = 24, PIECES_MAX = 4 * SCALARS_MAX + 1 };

static const struct {
    const char *name, *pattern;
} patterns[] = {
    {"Llama 3", SPLIT_LLAMA3},
    {"Qwen 2", SPLIT_QWEN2},
    {"Qwen 3.5", SPLIT_QWEN35},
    {"GPT-2", SPLIT_GPT2},
    {"Tekken", SPLIT_TEKKEN},
    {"GPT-4o", SPLIT_GPT4O},
    {"DeepSeek 3", SPLIT_DEEPSEEK3},
    {"DeepSeek 3, Chinese", SPLIT_DEEPSEEK3_HAN},
    {"DeepSeek, words", SPLIT_DEEPSEEK_WORDS},
    {"DeepSeek, signs", SPLIT_DEEPSEEK_SIGNS},
    {"DeepSeek, ends of lines", "\\s+$"},
    {"DeepSeek, other scripts", SPLIT_DEEPSEEK_HAN},
    {"DeepSeek coder, words", "\\s?\\p{L}+"},
    {"DeepSeek coder, signs", "\\s?\\p{P}+"},
    {"beginnings of lines", "^\\s?[a-z]+"},
};

/* Where engines tend to differ: spaces, case folding, digits and letters of other scripts, marks. */
static const uint32_t notable[] = {' ',    ' ',    ' ',    '\n',   '\r',   '\t',   0x0b,   0x0c,    0x1c,
                                   0x85,   0xa0,   0x1680, 0x180e, 0x2003, 0x200b, 0x2028, 0x202f,  0x205f,
                                   0x3000, 0xfeff, '\'',   '\'',   's',    't',    'R',    'e',     'v',
                                   'l',    'L',    'D',    0x17f,  0x212a, '1',    '2',    0x660,   0x2167,
                                   0xbd,   0x301,  0x308,  0x5d0,  0x4e2d, 0xac00, 0x200d, '.',     '-',
                                   '/',    '&',    '_',    0x1c5,  0x2b0,  0x430,  0x410,  0x1f600, 0xdf};

static struct {
    __typeof__(onig_initialize) *initialize;
    __typeof__(onig_new) *new;
    __typeof__(onig_free) *free;
    __typeof__(onig_search) *search;
    __typeof__(onig_region_new) *region_new;
    __typeof__(onig_region_free) *region_free;
    OnigEncodingType *utf8;
    OnigSyntaxType *ruby;
} onig;

static bool load_oniguruma(void) {
    static const char *const names[] = {"onig_initialize",  "onig_new",        "onig_free",
                                        "onig_search",      "onig_region_new", "onig_region_free",
                                        "OnigEncodingUTF8", "OnigSyntaxRuby"};
    void *library = dlopen("libonig.so.5", RTLD_NOW), *found[ARRAY_LEN(names)];
    if (!library) return false;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        found[i] = dlsym(library, names[i]);
        if (!found[i]) return false;
    }
    _Static_assert(sizeof found == sizeof onig, "one address a name");
    memcpy(&onig, found, sizeof onig);
    OnigEncoding encodings[] = {onig.utf8};
    return onig.initialize(encodings, 1) == ONIG_NORMAL;
}

struct pieces {
    size_t ends[PIECES_MAX], n;
};

static void add_piece(void *ctx, struct str piece) {
    struct pieces *p = ctx;
    p->ends[p->n] = (p->n ? p->ends[p->n - 1] : 0) + piece.len;
    p->n++;
}

static void cut_by_oniguruma(regex_t *re, struct str text, struct pieces *p) {
    const UChar *begin = (const UChar *)text.ptr, *end = begin + text.len;
    OnigRegion *region = onig.region_new();
    for (size_t at = 0; at < text.len;) {
        size_t first = text.len, last = text.len;
        if (onig.search(re, begin, end, begin + at, end, region, ONIG_OPTION_NONE) >= 0) {
            first = (size_t)region->beg[0];
            last = (size_t)region->end[0];
        }
        if (first > at) add_piece(p, (struct str){text.ptr + at, first - at});
        if (last > first) add_piece(p, (struct str){text.ptr + first, last - first});
        at = last;
    }
    onig.region_free(region, 1);
}

static void make_text(uint64_t key, struct buf *out) {
    size_t n = 1 + rng_below(key, 0, SCALARS_MAX);
    buf_clear(out);
    for (size_t i = 0; i < n; i++) {
        uint64_t kind = rng_below(key, 2 * i + 1, 8), range = kind == 6 ? 0x3000 : 0x20000;
        uint32_t c = kind < 6 ? notable[rng_below(key, 2 * i + 2, ARRAY_LEN(notable))]
                              : (uint32_t)rng_below(key, 2 * i + 2, range);
        buf_add_utf8(out, c ? c : '0');
    }
}

static int check_pattern(size_t i_pattern) {
    struct split *s = split_new();
    struct buf text = {0};
    struct err e = {0};
    const char *pattern = patterns[i_pattern].pattern;
    regex_t *re = NULL;
    OnigErrorInfo why;
    int n_differ = 0;
    if (!split_add(s, str_from(pattern), patterns[i_pattern].name, &e) ||
        onig.new(&re, (const UChar *)pattern, (const UChar *)pattern + strlen(pattern), ONIG_OPTION_NONE,
                 onig.utf8, onig.ruby, &why) != ONIG_NORMAL) {
        printf("FAILED %s: %s\n", patterns[i_pattern].name, e.msg);
        split_free(s);
        return 1;
    }
    for (uint64_t i = 0; i < TEXTS; i++) {
        struct pieces ours = {.n = 0}, theirs = {.n = 0};
        make_text(rng_child(rng_child(1, i_pattern), i), &text);
        bool done = split_run(s, buf_str(&text), add_piece, &ours, &e);
        cut_by_oniguruma(re, buf_str(&text), &theirs);
        if (done && ours.n == theirs.n && memcmp(ours.ends, theirs.ends, ours.n * sizeof *ours.ends) == 0)
            continue;
        if (n_differ++ < 5) printf("DIFFERENT %s: %s\n", patterns[i_pattern].name, buf_cstr(&text));
    }
    printf("%s: %d texts, %d differ\n", patterns[i_pattern].name, TEXTS, n_differ);
    buf_free(&text);
    onig.free(re);
    split_free(s);
    return n_differ;
}

int main(void) {
    int n_differ = 0;
    if (!load_oniguruma()) {
        printf("SKIPPED check_split: no libonig.so.5 (Debian: libonig5)\n");
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(patterns); i++) n_differ += check_pattern(i);
    printf("check_split: %d of %zu texts are cut differently\n", n_differ, TEXTS * ARRAY_LEN(patterns));
    return n_differ > 0;
}

#else

int main(void) {
    printf("SKIPPED check_split: built without oniguruma.h (Debian: libonig-dev)\n");
    return 0;
}

#endif
