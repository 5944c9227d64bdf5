/* rank_file.h - a tokenizer from a rank file ("base64 rank" a line), by way of a tokenizer.json in a
 * temporary folder. */
#ifndef BROOD_RANK_FILE_H
#define BROOD_RANK_FILE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "model/split_patterns.h"
#include "model/tokenizer.h"

#define RANK_PATTERN_LLAMA3 SPLIT_LLAMA3
#define RANK_PATTERN_QWEN2  SPLIT_QWEN2

struct rank_tokenizer {
    const char *pattern;
    bool ignore_merges, nfc;
    const char *specials[16]; /* added tokens behind the ranks, up to the first NULL */
    const char *bos;          /* bos_token of the configuration, or NULL */
    const char *behaviour;    /* what becomes of the pattern's matches, or NULL: "Isolated" */
    bool invert;
};

struct ranks {
    struct map *ids; /* bytes to rank */
    struct str *tokens;
    size_t n, cap;
};

static inline int rank_base64(char c) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

static inline struct str rank_decode(struct str text) {
    struct buf out = {0};
    uint32_t bits = 0;
    int n_bits = 0;
    for (size_t i = 0; i < text.len && rank_base64(text.ptr[i]) >= 0; i++) {
        bits = bits << 6 | (uint32_t)rank_base64(text.ptr[i]);
        n_bits += 6;
        if (n_bits < 8) continue;
        n_bits -= 8;
        buf_add_char(&out, (char)(bits >> n_bits));
    }
    size_t n = out.len;
    return (struct str){buf_take(&out), n};
}

static inline bool rank_read(const char *path, struct ranks *r, struct err *e) {
    struct file_lines *lines = file_lines_open(path, e);
    struct str line;
    int got = -1;
    r->ids = map_new(1 << 18);
    while (lines && (got = file_lines_next(lines, &line, e)) == 1) {
        ptrdiff_t space = str_find(line, STR(" "));
        if (space < 0) continue;
        MEM_GROW(r->tokens, r->cap, r->n + 1);
        r->tokens[r->n] = rank_decode((struct str){line.ptr, (size_t)space});
        ASSERT(strtoul(line.ptr + space, NULL, 10) == r->n);
        map_put(r->ids, r->tokens[r->n], (uint32_t)r->n);
        r->n++;
    }
    file_lines_close(lines);
    return got == 0;
}

static inline void rank_free(struct ranks *r) {
    for (size_t i = 0; i < r->n; i++) free((char *)r->tokens[i].ptr);
    free(r->tokens);
    map_free(r->ids);
}

/* The two parts that merging by ranks below `limit` leaves of a token: where it is cut. 0 if more than two
 * are left. */
static inline size_t rank_cut(const struct ranks *r, struct str token, uint32_t limit) {
    size_t ends[256], n = token.len;
    ASSERT(n <= ARRAY_LEN(ends));
    for (size_t i = 0; i < n; i++) ends[i] = i + 1;
    while (n > 2) {
        uint32_t best = limit;
        size_t at = 0;
        for (size_t i = 0; i + 1 < n; i++) {
            size_t begin = i ? ends[i - 1] : 0;
            uint32_t rank;
            if (map_get(r->ids, (struct str){token.ptr + begin, ends[i + 1] - begin}, &rank) && rank < best)
                best = rank, at = i;
        }
        if (best == limit) return 0;
        memmove(ends + at, ends + at + 1, (n - at - 1) * sizeof *ends);
        n--;
    }
    return ends[0];
}

static inline json_t *rank_string(struct str bytes) {
    struct buf out = {0};
    for (size_t i = 0; i < bytes.len; i++) {
        uint32_t b = (unsigned char)bytes.ptr[i], spare = 0x100;
        bool printable = (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
        for (uint32_t c = 0; c < b && !printable; c++)
            spare += !((c >= '!' && c <= '~') || (c >= 0xa1 && c <= 0xac) || c >= 0xae);
        buf_add_utf8(&out, printable ? b : spare);
    }
    json_t *s = json_stringn(buf_cstr(&out), out.len);
    buf_free(&out);
    return s;
}

static inline json_t *rank_model(const struct ranks *r, bool ignore_merges) {
    json_t *vocab = json_object(), *merges = json_array();
    for (size_t i = 0; i < r->n; i++) {
        json_t *text = rank_string(r->tokens[i]);
        json_object_set_new(vocab, json_string_value(text), json_integer((json_int_t)i));
        json_decref(text);
        size_t cut = r->tokens[i].len > 1 ? rank_cut(r, r->tokens[i], (uint32_t)i) : 0;
        if (!cut) continue;
        const struct str t = r->tokens[i];
        json_array_append_new(merges, json_pack("[o,o]", rank_string((struct str){t.ptr, cut}),
                                                rank_string((struct str){t.ptr + cut, t.len - cut})));
    }
    return json_pack("{s:s,s:b,s:o,s:o}", "type", "BPE", "ignore_merges", ignore_merges, "vocab", vocab,
                     "merges", merges);
}

static inline json_t *rank_json(const struct ranks *r, const struct rank_tokenizer *k) {
    json_t *added = json_array();
    for (size_t i = 0; i < ARRAY_LEN(k->specials) && k->specials[i]; i++)
        json_array_append_new(added, json_pack("{s:I,s:s,s:b,s:b}", "id", (json_int_t)(r->n + i), "content",
                                               k->specials[i], "special", 1, "normalized", 0));
    json_t *split = json_pack("{s:s,s:{s:s},s:s,s:b}", "type", "Split", "pattern", "Regex", k->pattern,
                              "behavior", k->behaviour ? k->behaviour : "Isolated", "invert", k->invert);
    json_t *bytes = json_pack("{s:s,s:b,s:b,s:b}", "type", "ByteLevel", "add_prefix_space", 0, "trim_offsets",
                              1, "use_regex", 0);
    json_t *normaliser = k->nfc ? json_pack("{s:s}", "type", "NFC") : json_null();
    return json_pack("{s:o,s:o,s:{s:s,s:[o,o]},s:o}", "added_tokens", added, "normalizer", normaliser,
                     "pre_tokenizer", "type", "Sequence", "pretokenizers", split, bytes, "model",
                     rank_model(r, k->ignore_merges));
}

/* Writes tokenizer.json and tokenizer_config.json into a folder. */
static inline bool rank_write(const char *path, const struct rank_tokenizer *k, const char *dir,
                              struct err *e) {
    struct ranks r = {0};
    char *json_path = file_join(dir, "tokenizer.json"),
         *config_path = file_join(dir, "tokenizer_config.json");
    bool done = rank_read(path, &r, e);
    if (done) {
        json_t *root = rank_json(&r, k),
               *config = k->bos ? json_pack("{s:s}", "bos_token", k->bos) : json_object();
        char *text = json_line(root), *config_text = json_line(config);
        done = file_write_atomic(json_path, str_from(text), e) &&
               file_write_atomic(config_path, str_from(config_text), e);
        free(text);
        free(config_text);
        json_decref(config);
        json_decref(root);
    }
    rank_free(&r);
    free(config_path);
    free(json_path);
    return done;
}

static inline char *rank_new_dir(void) {
    char *dir = mem_strdup("/tmp/brood-check-XXXXXX");
    ASSERT(mkdtemp(dir));
    return dir;
}

/* The folder with what rank_write or another wrote there. */
static inline void rank_free_dir(char *dir) {
    static const char *const names[] = {"tokenizer.json", "tokenizer_config.json"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char *path = file_join(dir, names[i]);
        unlink(path);
        free(path);
    }
    rmdir(dir);
    free(dir);
}

static inline struct tokenizer *rank_tokenizer_open(const char *path, const struct rank_tokenizer *k,
                                                    struct err *e) {
    char *dir = rank_new_dir();
    struct tokenizer *t = rank_write(path, k, dir, e) ? tokenizer_open(dir, e) : NULL;
    rank_free_dir(dir);
    return t;
}

#endif
