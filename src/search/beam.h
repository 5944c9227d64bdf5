/* beam.h - level by level search guided by step rewards, in one group (beam search) or several that know
 * nothing of each other (DVTS).
 *
 *     one group, 2 slots, 4 children a slot                                 o open   S solution   x pruned
 *
 *     root ──┬─ o 0.9 ──┬─ S 0.9   closes its slot for good
 *            │          ├─ o 0.3 x
 *            │          ├─ S 0.2   outranked, closes no slot, but was paid for: it stays a solution
 *            │          └─ o 0.8 ──┬─ ... the one slot left goes on with its 4 children
 *            ├─ o 0.1 x            └─ ...
 *            ├─ o 0.7 ──┬─ o 0.5 x
 *            └─ ...     └─ ...
 *
 * A level is decided when every node of it was told and scored. Its candidates, open or ended, are ranked by
 * (twins last, aggregate of the rewards along the path, path order); allocate.h says which open ones get how
 * many children, the others are dropped. At the last depth the answer is written to its end. What was cut off
 * or failed is no candidate. How many there are to share out:
 *
 *   topk: the best go into the group's slots. A candidate that ended closes its slot; so does a slot
 *   for which there is no candidate. The rest go on until all slots are closed.
 *
 *   rebase: n children, less one for each that ended or was cut off so far.
 *
 *   ets: likewise, among those that ets.h keeps.
 *
 *   particle: as many as are open: what ended is in the archive, that is, a solution of the search, and
 *   no particle any more. Twins are particles as good as any.
 *
 * With lookahead=k a candidate that is open is worth what it leads to: the policy writes k more steps below
 * it at temperature 0, one after the other, each is scored, and the candidate is ranked by the rewards along
 * the path to the last of them. Then these steps are dropped, whatever they came to: they decide, and are no
 * solutions, for n greedy ends would be one mind voting n times. Snell et al. 2024, section 5.2. A level
 * costs up to n * (k + 1) steps.
 *
 * A twin is a node whose text an earlier sibling also has: two slots with the same text would search the same
 * place twice.
 */
#ifndef BROOD_BEAM_H
#define BROOD_BEAM_H

#include "base/aggregate.h"
#include "search/allocate.h"
#include "search/strategies.h"

enum beam_allocation { BEAM_TOPK, BEAM_REBASE, BEAM_PARTICLE, BEAM_ETS, BEAM_ALLOCATIONS };

struct beam_group {
    int n_slots;      /* topk: still open */
    int share, spare; /* topk: the slot of rank i gets share children, one more if i < spare */
    int n_left;       /* rebase, ets: children to share out */
    int *level;       /* [n_level] nodes of the level that is being written, in path order */
    size_t n_level, cap;
    int n_waiting; /* of them, not told or not scored */
};

struct beam {
    struct search search;
    enum aggregate aggregate;
    enum beam_allocation allocation;
    int depth;
    int distinct;
    struct beam_group *groups; /* [n_groups]; a node's tag is its group, or AHEAD (beam.c) */
    int n_groups;
    int lookahead;
    double *values; /* [nodes] with lookahead: what a candidate is worth */
    size_t cap_values;
};

/* Starts n_groups groups of n_slots slots; the parameter n is the number of children that all together write
 * a level. */
void beam_start(struct search *s, int n_groups, int n_slots);
int beam_slots(const struct search *s); /* n / width, at least 1 */
void beam_fini(struct search *s);
void beam_told_node(struct search *s, int node);
void beam_told_score(struct search *s, int node);

/* Rows of the parameter tables of both. */
#define BEAM_PARAMS                                                                                          \
    {"n", SEARCH_PARAM_INT, 16, 1, 4096, NULL, "children written a level", false},                           \
        {"width", SEARCH_PARAM_INT, 4, 1, 4096, NULL, "children of each survivor: n/width survive", false},  \
        {"depth", SEARCH_PARAM_INT, 40, 1, 1000, NULL, "steps at most; the last goes to the end", false},    \
        {"aggregate",     SEARCH_PARAM_CHOICE,   NAN,  0, AGGREGATES - 1,                                    \
         aggregate_names, "of a path's rewards", false},                                                     \
        {"distinct",                                                                                         \
         SEARCH_PARAM_INT,                                                                                   \
         1,                                                                                                  \
         0,                                                                                                  \
         2,                                                                                                  \
         NULL,                                                                                               \
         "equal siblings: 1 rank after all others, 2 are given up",                                          \
         false},                                                                                             \
    {                                                                                                        \
        "lookahead", SEARCH_PARAM_INT, 0, 0, 1000, NULL,                                                     \
            "a step is worth what so many greedy steps lead to", true                                        \
    }

#endif
