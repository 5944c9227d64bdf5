#include "engine/kv.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/mem.h"

/* ---- pages ---- */

static void poison(struct kv *kv, int page) {
#ifdef BROOD_POISON
    memset(kv->memory + (size_t)page * kv->page_bytes, 0xFF, kv->page_bytes); /* NaN in F32 and in F16 */
#else
    UNUSED(kv), UNUSED(page);
#endif
}

bool kv_init(struct kv *kv, int n_pages, size_t page_bytes, struct err *e) {
    ASSERT(n_pages > 0 && page_bytes > 0);
    *kv = (struct kv){.n_pages = n_pages, .n_free = n_pages, .page_bytes = page_bytes};
    size_t n_bytes = (size_t)n_pages * page_bytes;
    void *p = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return err_set(e, ERR_INPUT, "no memory for a key-value cache of %zu MiB: ask for a smaller one",
                       n_bytes >> 20);
    kv->memory = p;
    kv->free_pages = mem_zalloc((size_t)n_pages, sizeof *kv->free_pages);
    for (int i = 0; i < n_pages; i++) {
        kv->free_pages[i] = n_pages - 1 - i;
        poison(kv, i);
    }
    return true;
}

/* Page i of a node covers positions up to 16 (first / 16 + i + 1); pages for its first n tokens. */
static int pages_for(const struct kv_node *node, int n) {
    return n > 0 ? (node->first + n - 1) / KV_PAGE - node->first / KV_PAGE + 1 : 0;
}

int kv_path_pages(int n_positions) {
    return (n_positions + KV_PAGE - 1) / KV_PAGE;
}

int kv_node_pages(const struct kv_node *node, int n_tokens_final) {
    int n = pages_for(node, n_tokens_final);
    for (node = node->parent; node; node = node->parent) n += pages_for(node, node->n_tokens);
    return n;
}

/* ---- the idle list ---- */

static void idle_remove(struct kv *kv, struct kv_node *node) {
    *(node->idle_prev ? &node->idle_prev->idle_next : &kv->idle_first) = node->idle_next;
    *(node->idle_next ? &node->idle_next->idle_prev : &kv->idle_last) = node->idle_prev;
    node->idle_prev = node->idle_next = NULL;
    node->idle = false;
}

/* Nodes come here just used, or as parents of nodes just evicted, which were the oldest: search from the
 * near end. */
static void idle_insert(struct kv *kv, struct kv_node *node, bool from_oldest) {
    struct kv_node *after = from_oldest ? NULL : kv->idle_last; /* node goes behind it */
    if (from_oldest)
        for (struct kv_node *n = kv->idle_first; n && n->last_use < node->last_use; n = n->idle_next)
            after = n;
    else
        while (after && after->last_use > node->last_use) after = after->idle_prev;
    node->idle_prev = after;
    node->idle_next = after ? after->idle_next : kv->idle_first;
    *(after ? &after->idle_next : &kv->idle_first) = node;
    *(node->idle_next ? &node->idle_next->idle_prev : &kv->idle_last) = node;
    node->idle = true;
}

static void idle_update(struct kv *kv, struct kv_node *node, bool from_oldest) {
    bool idle = node->n_pins == 0 && node->n_pages > 0 && node->n_children_resident == 0;
    if (idle && !node->idle) idle_insert(kv, node, from_oldest);
    if (!idle && node->idle) idle_remove(kv, node);
}

/* Takes the node's last page; its tokens beyond the remaining pages are no longer computed. */
static void drop_last_page(struct kv *kv, struct kv_node *node, bool from_oldest) {
    ASSERT(node->n_pins == 0 && node->n_pages > 0 && node->n_children_resident == 0);
    int page = node->pages[--node->n_pages];
    kv->n_idle--;
    poison(kv, page);
    kv->free_pages[kv->n_free++] = page;
    int end = (node->first / KV_PAGE + node->n_pages) * KV_PAGE - node->first;
    node->n_computed = node->n_pages ? MIN(node->n_computed, end) : 0;
    idle_update(kv, node, from_oldest);
    if (node->n_pages == 0 && node->parent) {
        node->parent->n_children_resident--;
        idle_update(kv, node->parent, from_oldest);
    }
}

static int take_page(struct kv *kv) {
    if (kv->n_free == 0) {
        ASSERT(kv->idle_first);
        drop_last_page(kv, kv->idle_first, true);
        kv->n_evictions++;
    }
    int page = kv->free_pages[--kv->n_free];
    kv->n_used_peak = MAX(kv->n_used_peak, kv->n_pages - kv->n_free);
    return page;
}

/* ---- nodes ---- */

static struct kv_node *node_new(struct kv *kv, struct kv_node *parent) {
    struct kv_node *node = mem_zalloc(1, sizeof *node);
    node->parent = parent;
    node->n_users = 1;
    if (parent) {
        parent->n_users++;
        node->first = kv_length(parent);
    }
    node->all_next = kv->all;
    if (kv->all) kv->all->all_prev = node;
    kv->all = node;
    return node;
}

struct kv_node *kv_root(struct kv *kv) {
    return node_new(kv, NULL);
}

struct kv_node *kv_child(struct kv *kv, struct kv_node *parent) {
    return node_new(kv, parent);
}

static void node_free(struct kv *kv, struct kv_node *node) {
    *(node->all_prev ? &node->all_prev->all_next : &kv->all) = node->all_next;
    if (node->all_next) node->all_next->all_prev = node->all_prev;
    free(node->tokens);
    free(node->pages);
    free(node);
}

void kv_fini(struct kv *kv) {
    while (kv->all) node_free(kv, kv->all);
    if (kv->memory) munmap(kv->memory, (size_t)kv->n_pages * kv->page_bytes);
    free(kv->free_pages);
    *kv = (struct kv){0};
}

void kv_hold(struct kv_node *node) {
    node->n_users++;
}

void kv_release(struct kv *kv, struct kv_node *node) {
    while (node && --node->n_users == 0) {
        ASSERT(node->n_pins == 0);
        struct kv_node *parent = node->parent;
        while (node->n_pages > 0) drop_last_page(kv, node, false);
        node_free(kv, node);
        node = parent;
    }
}

void kv_reserve_tokens(struct kv_node *node, int n) {
    MEM_GROW(node->tokens, node->tokens_cap, (size_t)(node->n_tokens + n));
    MEM_GROW(node->pages, node->pages_cap, (size_t)pages_for(node, node->n_tokens + n));
}

void kv_push(struct kv_node *node, int token) {
    ASSERT((size_t)node->n_tokens < node->tokens_cap);
    node->tokens[node->n_tokens++] = token;
}

struct kv_node *kv_pop(struct kv *kv, struct kv_node *node) {
    ASSERT(node->n_users == 1 && node->n_pins == 0 && node->n_computed < node->n_tokens);
    struct kv_node *parent = node->parent;
    if (--node->n_tokens > 0 || !parent) return node;
    kv_hold(parent);
    kv_release(kv, node);
    return parent;
}

struct kv_node *kv_grow(struct kv *kv, struct kv_node *node, const int *tokens, int n) {
    if (n == 0) return node;
    ASSERT(n > 0 && kv_length(node) <= INT32_MAX / 2 - n);
    if (node->n_users > 1) {
        struct kv_node *child = kv_child(kv, node);
        kv_release(kv, node);
        node = child;
    }
    ASSERT(node->n_pins == 0);
    kv_reserve_tokens(node, n);
    memcpy(node->tokens + node->n_tokens, tokens, (size_t)n * sizeof *tokens);
    node->n_tokens += n;
    return node;
}

int kv_length(const struct kv_node *node) {
    return node->first + node->n_tokens;
}

int kv_path_computed(const struct kv_node *node) {
    int n = node->first + node->n_computed;
    for (; node->parent; node = node->parent)
        if (node->parent->n_computed < node->parent->n_tokens)
            n = node->parent->first + node->parent->n_computed;
    return n;
}

void kv_read_tokens(const struct kv_node *node, int first, int n, int *out) {
    ASSERT(first >= 0 && n >= 0 && first <= kv_length(node) - n);
    for (int end = first + n; end > first; node = node->parent) {
        if (node->first >= end) continue;
        int begin = MAX(first, node->first);
        memcpy(out + (begin - first), node->tokens + (begin - node->first),
               (size_t)(end - begin) * sizeof *out);
        end = begin;
    }
}

/* ---- running requests ---- */

bool kv_pin(struct kv *kv, struct kv_node *leaf, int n_tokens_final) {
    int n_needed = 0, n_lost = 0; /* pages to promise; idle pages that will no longer be */
    for (struct kv_node *node = leaf; node; node = node->parent) {
        int n = pages_for(node, node == leaf ? n_tokens_final : node->n_tokens);
        if (node->n_pins == 0) n_lost += node->n_pages;
        n_needed += MAX(0, n - (node->n_pins ? node->n_pages_promised : node->n_pages));
    }
    if (kv->n_free + kv->n_idle - n_lost < kv->n_promised + n_needed) return false;
    for (struct kv_node *node = leaf; node; node = node->parent) {
        int n = pages_for(node, node == leaf ? n_tokens_final : node->n_tokens);
        if (node->n_pins++ == 0) {
            node->n_pages_promised = node->n_pages;
            kv->n_idle -= node->n_pages;
            idle_update(kv, node, false);
        }
        kv->n_promised += MAX(0, n - node->n_pages_promised);
        node->n_pages_promised = MAX(n, node->n_pages_promised);
    }
    return true;
}

void kv_unpin(struct kv *kv, struct kv_node *node) {
    for (; node; node = node->parent) {
        ASSERT(node->n_pins > 0);
        if (--node->n_pins > 0) continue;
        kv->n_promised -= node->n_pages_promised - node->n_pages;
        kv->n_idle += node->n_pages;
        node->n_pages_promised = 0;
        node->last_use = ++kv->clock;
        idle_update(kv, node, false);
    }
}

void kv_ensure_page(struct kv *kv, struct kv_node *node, int i_token) {
    int n = pages_for(node, i_token + 1);
    if (n <= node->n_pages) return;
    ASSERT(n == node->n_pages + 1 && n <= node->n_pages_promised && (size_t)n <= node->pages_cap);
    struct kv_node *parent = node->parent;
    ASSERT(!parent || parent->n_computed == parent->n_tokens);
    int page = take_page(kv);
    kv->n_promised--;
    node->pages[node->n_pages++] = page;
    if (node->n_pages > 1) return;
    if (parent) parent->n_children_resident++;
    if (node->first % KV_PAGE == 0) return;
    memcpy(kv_page(kv, node, node->first), kv_page(kv, parent, node->first - 1), kv->page_bytes);
    kv->n_copied++;
}

void *kv_page(const struct kv *kv, const struct kv_node *node, int position) {
    int i = position / KV_PAGE - node->first / KV_PAGE;
    ASSERT(i >= 0 && i < node->n_pages);
    return kv->memory + (size_t)node->pages[i] * kv->page_bytes;
}

void kv_path(const struct kv *kv, const struct kv_node *node, int i_first, int n_positions,
             const void **out) {
    for (int end = kv_path_pages(n_positions); end > i_first; node = node->parent) {
        const int own = node->first / KV_PAGE, begin = MAX(own, i_first);
        ASSERT(begin >= end || node->n_pages >= end - own);
        for (int i = begin; i < end; i++) out[i] = kv->memory + (size_t)node->pages[i - own] * kv->page_bytes;
        end = MIN(end, begin);
    }
}

void kv_computed(struct kv_node *node, int n_computed) {
    ASSERT(n_computed >= node->n_computed && n_computed <= node->n_tokens);
    node->n_computed = n_computed;
    node->n_computed_ever = MAX(node->n_computed_ever, n_computed);
}

/* ---- checks ---- */

static void check_idle_list(const struct kv *kv) {
    const struct kv_node *prev = NULL;
    for (const struct kv_node *n = kv->idle_first; n; prev = n, n = n->idle_next) {
        ASSERT(n->idle && n->idle_prev == prev);
        ASSERT(!prev || prev->last_use < n->last_use);
    }
    ASSERT(kv->idle_last == prev);
}

static void check_node(const struct kv_node *node) {
    const struct kv_node *parent = node->parent;
    ASSERT(node->first == (parent ? kv_length(parent) : 0));
    ASSERT(node->n_tokens > 0 || !parent || (node->n_users == 1 && node->n_pages == 0));
    ASSERT(node->n_computed <= node->n_tokens && node->n_computed <= node->n_computed_ever);
    ASSERT(node->n_pages == pages_for(node, node->n_computed));
    ASSERT(node->n_pins > 0 ? node->n_pages <= node->n_pages_promised : node->n_pages_promised == 0);
    if (parent) {
        ASSERT(parent->n_tokens > 0 || !parent->parent);
        ASSERT(node->n_computed == 0 || parent->n_computed == parent->n_tokens);
        ASSERT(parent->n_pins >= node->n_pins && parent->n_users > 0);
    }
    ASSERT(node->idle == (node->n_pins == 0 && node->n_pages > 0 && node->n_children_resident == 0));
    ASSERT(node->n_users > 0);
}

static void check_poison(const struct kv *kv, int page) {
#ifdef BROOD_POISON
    const unsigned char *p = (const unsigned char *)kv->memory + (size_t)page * kv->page_bytes;
    ASSERT(p[0] == 0xFF && p[kv->page_bytes - 1] == 0xFF);
#else
    UNUSED(kv), UNUSED(page);
#endif
}

void kv_check(const struct kv *kv, int (*n_held)(void *ctx, const struct kv_node *node), void *ctx) {
    char *seen = mem_zalloc((size_t)kv->n_pages, 1);
    int n_owned = 0, n_idle = 0, n_promised = 0;
    for (int i = 0; i < kv->n_free; i++) {
        ASSERT(kv->free_pages[i] >= 0 && kv->free_pages[i] < kv->n_pages && !seen[kv->free_pages[i]]);
        seen[kv->free_pages[i]] = 1;
        check_poison(kv, kv->free_pages[i]);
    }
    for (const struct kv_node *node = kv->all; node; node = node->all_next) {
        check_node(node);
        for (int i = 0; i < node->n_pages; i++) {
            ASSERT(node->pages[i] >= 0 && node->pages[i] < kv->n_pages && !seen[node->pages[i]]);
            seen[node->pages[i]] = 1;
        }
        n_owned += node->n_pages;
        if (node->n_pins)
            n_promised += node->n_pages_promised - node->n_pages;
        else
            n_idle += node->n_pages;
        int n_children = 0, n_resident = 0;
        for (const struct kv_node *n = kv->all; n; n = n->all_next)
            if (n->parent == node) n_children++, n_resident += n->n_pages > 0;
        ASSERT(node->n_children_resident == n_resident);
        ASSERT(node->n_users == n_children + n_held(ctx, node));
    }
    ASSERT(n_owned + kv->n_free == kv->n_pages);
    ASSERT(n_idle == kv->n_idle && n_promised == kv->n_promised);
    ASSERT(kv->n_free + kv->n_idle >= kv->n_promised);
    check_idle_list(kv);
    free(seen);
}
