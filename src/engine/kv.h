/* kv.h - the copy-on-write tree of key-value pages.
 *
 * A node holds a run of tokens; a path is the runs from the root down. A node owns the pages that its own
 * positions touch, so a path's page for positions 16 i .. 16 i + 15 is the one of the deepest node on it
 * that has page i:
 *
 *     node A: positions 0..37            A0 [0-15]  A1 [16-31]  A2 [32-37 ..]
 *       ├─ node B: positions 38..52                             B2 [32-37 copied | 38-47]  B3 [48-52 ..]
 *       └─ node C: positions 38..41                             C2 [32-37 copied | 38-41 ..]
 *
 *     path of B: A0 A1 B2 B3          path of C: A0 A1 C2
 *
 * Position t is slot t % 16 of page t / 16 whatever the tree looks like: bits do not depend on forks. A
 * page is one block of F32 or F16 elements, [L][G] heads of kernels.h's K transposed [W][16], V [16][W].
 *
 * Forking is taking one more reference. A node with one reference grows in place; with more it is frozen,
 * and who grows gets a child, whose first page is a copy if it begins inside one (the only copy there is).
 * Pages go with their node, a node with its last reference.
 *
 * Tokens are the truth and pages a cache. Of a node the leading n_computed tokens have pages. Pinned nodes
 * (those on the path of a running request) keep theirs, and are promised what they still need when they
 * are pinned, so a running request never waits for memory. Pages of other nodes are idle: when the pool is
 * empty, the last page of the least recently used idle node without idle children goes first.
 *
 * Invariants (kv_check):
 *   - every page is free or owned by exactly one node; counts agree
 *   - a node's references are its children plus the holders that the caller counted
 *   - first = parent's end; only a root or a node prepared for growth is empty; a parent of computed
 *     tokens is wholly computed
 *   - n_pages is what n_computed needs, between steps
 *   - pins grow towards the root; free + idle pages >= promised pages
 *   - the idle list holds exactly the unpinned nodes with pages and without children with pages, oldest
 *     first
 *
 * With BROOD_POISON defined (it is under AddressSanitizer), pages that nobody owns are NaN throughout.
 */
#ifndef BROOD_KV_H
#define BROOD_KV_H

#include "base/err.h"
#include "kernels/kernels.h"

#if defined(__SANITIZE_ADDRESS__) && !defined(BROOD_POISON)
#define BROOD_POISON
#endif

struct kv_node {
    struct kv_node *parent;
    int n_users; /* references: children, branches, requests that prepared a node */
    int n_pins;  /* running requests whose path goes through here */
    int first;   /* position of tokens[0] */
    int n_tokens;
    int *tokens; /* [tokens_cap] */
    size_t tokens_cap;
    int n_computed;      /* leading tokens whose keys and values are in pages */
    int n_computed_ever; /* the most that ever were: more now is progress, less is computed again */
    int n_pages;
    int *pages; /* [pages_cap] page numbers; pages[i] is page first / 16 + i of the path */
    size_t pages_cap;
    int n_pages_promised;    /* while pinned: the most pages it will have; else 0 */
    int n_children_resident; /* children with pages */
    uint64_t last_use;
    struct kv_node *idle_prev, *idle_next;
    bool idle;
    struct kv_node *all_prev, *all_next;
    /* the scheduler's note of where this step's rows are */
    uint64_t step;
    int row_first, row_position, n_rows;
};

struct kv {
    int n_pages, n_free, n_idle, n_promised;
    size_t page_bytes;
    char *memory;                           /* [n_pages][page_bytes] */
    int *free_pages;                        /* [n_pages], a stack */
    struct kv_node *idle_first, *idle_last; /* by last_use */
    struct kv_node *all;
    uint64_t clock, n_evictions, n_copied;
    int n_used_peak;
};

/* One mapping of n_pages pages, touched only as it is used. */
MUST bool kv_init(struct kv *kv, int n_pages, size_t page_bytes, struct err *e);
void kv_fini(struct kv *kv); /* nodes go too */

/* References. kv_grow takes the caller's reference to node and returns one to the node that now ends with
 * the tokens. */
struct kv_node *kv_root(struct kv *kv);
struct kv_node *kv_child(struct kv *kv,
                         struct kv_node *parent); /* empty; takes one more reference to the parent */
void kv_hold(struct kv_node *node);
void kv_release(struct kv *kv, struct kv_node *node);
struct kv_node *kv_grow(struct kv *kv, struct kv_node *node, const int *tokens, int n);

/* Room for n more tokens, so that kv_push does not allocate. */
void kv_reserve_tokens(struct kv_node *node, int n);
void kv_push(struct kv_node *node, int token);
/* Removes the last token, not computed, of a node that the caller alone holds; takes the caller's reference
 * and returns one to the node that the path now ends with. */
struct kv_node *kv_pop(struct kv *kv, struct kv_node *node);

/* Pins the path that ends in node, on which node will have n_tokens_final tokens computed; false (and
 * nothing changed) if the pages do not fit beside what is promised already. */
MUST bool kv_pin(struct kv *kv, struct kv_node *node, int n_tokens_final);
void kv_unpin(struct kv *kv, struct kv_node *node);
/* Pages that the path's nodes have in all when node has n_tokens_final computed; pages that a row at the
 * end of n_positions sees. */
int kv_node_pages(const struct kv_node *node, int n_tokens_final);
int kv_path_pages(int n_positions);

/* Gives a pinned node the page of its token i_token, evicting if it must; the parent must be wholly
 * computed. */
void kv_ensure_page(struct kv *kv, struct kv_node *node, int i_token);
void *kv_page(const struct kv *kv, const struct kv_node *node, int position); /* a page that the node owns */
/* The page pointers of the path's first n_positions positions, all resident, from page i_first on: out[i] is
 * page i. */
void kv_path(const struct kv *kv, const struct kv_node *node, int i_first, int n_positions, const void **out);
void kv_computed(struct kv_node *node, int n_computed); /* after a step */

int kv_length(const struct kv_node *node);        /* of the path */
int kv_path_computed(const struct kv_node *node); /* leading positions of the path that are resident */
void kv_read_tokens(const struct kv_node *node, int first, int n, int *out);

/* n_held(ctx, node): references that the caller knows of. */
void kv_check(const struct kv *kv, int (*n_held)(void *ctx, const struct kv_node *node), void *ctx);

#endif
