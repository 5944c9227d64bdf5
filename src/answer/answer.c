#include "answer/answer.h"

#include "answer/decide.h"
#include "answer/fold.h"
#include "answer/parse.h"
#include "answer/qwen.h"

#include "base/mem.h"
#include "base/rng.h"

#include <stdlib.h>
#include <string.h>

struct answer {
    struct str text;
    struct answer_options options;
    struct tree tree;
    const struct node *root; /* NULL: unparsable */
    struct buf normal;       /* under ANSWER_QWEN */
};

struct answer *answer_parse(struct str text, const struct answer_options *options) {
    struct answer *a = mem_zalloc(1, sizeof *a);
    a->text = (struct str){str_dup(text), text.len};
    if (options) a->options = *options;
    ASSERT(a->options.n_decimals >= 0 && a->options.n_decimals <= 100);
    node_tree_init(&a->tree);
    struct str trimmed = str_trim(a->text);
    if (trimmed.len == 0 || trimmed.len > ANSWER_BYTES_MAX) return a;
    if (a->options.rules == ANSWER_QWEN) qwen_normalise(trimmed, &a->normal);
    struct lex lex;
    lex_run(&lex, trimmed, &a->tree, a->options.comma_decimal);
    struct node *root = parse_run(&lex, &a->tree);
    if (root) root = fold_matrices(&a->tree, root);
    a->root = a->tree.full ? NULL : root;
    lex_fini(&lex);
    return a;
}

void answer_free(struct answer *a) {
    if (!a) return;
    node_tree_fini(&a->tree);
    buf_free(&a->normal);
    free((char *)(uintptr_t)a->text.ptr);
    free(a);
}

bool answer_is_unparsable(const struct answer *a) {
    return !a->root;
}

bool answer_is_words(const struct answer *a) {
    return a->root && a->root->kind == NODE_TEXT;
}

struct str answer_text(const struct answer *a) {
    return a->text;
}

static int order_of(struct str x, struct str y) {
    int c = memcmp(x.ptr, y.ptr, MIN(x.len, y.len));
    return c ? c : (x.len > y.len) - (x.len < y.len);
}

enum answer_verdict answer_equal(const struct answer *a, const struct answer *b) {
    ASSERT(a->options.rules == b->options.rules && a->options.n_decimals == b->options.n_decimals);
    if (str_equal(str_trim(a->text), str_trim(b->text))) return ANSWER_EQUAL;
    if (a->options.rules == ANSWER_QWEN) return qwen_equal(buf_str(&a->normal), buf_str(&b->normal));
    if (!a->root || !b->root) return ANSWER_CANNOT_TELL;
    if (order_of(a->text, b->text) > 0) { /* symmetric by construction */
        const struct answer *t = a;
        a = b;
        b = t;
    }
    struct decide d = {.n_decimals = a->options.n_decimals,
                       .generous = a->options.rules == ANSWER_GENEROUS,
                       .n_steps_left = DECIDE_STEPS};
    return decide(&d, a->root, b->root);
}

uint64_t answer_key(const struct answer *a) {
    struct str text = str_trim(a->text);
    return a->root ? key_of(a->root) : rng_hash(7, text.ptr, text.len);
}

void answer_thread_end(void) {
    flint_cleanup();
}
