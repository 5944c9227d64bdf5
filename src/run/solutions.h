/* solutions.h - the solutions that a search has found, ready for selection.
 *
 * In path order, whatever the order in which they ended, with answers extracted and put into classes of equal
 * answers in that order: so a selection over them is a function of the tree. Ownership: everything belongs to
 * the set.
 */
#ifndef BROOD_SOLUTIONS_H
#define BROOD_SOLUTIONS_H

#include "base/cost.h"
#include "base/str.h"
#include "search/search.h"
#include "select/select.h"

struct solution {
    char *path, *text;
    char *answer;   /* extracted; NULL: none */
    float *rewards; /* [n_rewards] step rewards along the path; NULL: not scored */
    int n_rewards;
    float *confidences; /* [n_confidences] of its tokens; NULL: not known */
    int n_confidences;
    bool complete;
    int n_tokens;
    double logprob;
};

struct solutions {
    struct solution *items;
    struct select_solution *view; /* [n] of the same solutions, what select_choose takes */
    size_t n, cap;
    struct select_classes *classes;
};

struct solutions *solutions_new(void);
void solutions_free(struct solutions *s);
/* Adds one; takes ownership of nothing: everything is copied. Call in path order. */
void solutions_add(struct solutions *s, const char *path, struct str text, const float *rewards,
                   int n_rewards, bool complete, int n_tokens, double logprob);

/* To the one added last, owned by the set from now on; NULL: none. */
void solutions_add_confidences(struct solutions *s, float *confidences, int n);
/* Of a verifier on the one added last: 1 passed, 0 rejected, -1 not known. */
void solutions_add_verdict(struct solutions *s, int verdict);
/* Sets the confidence of each in the view. */
void solutions_weigh(struct solutions *s, const struct select_confidence *how);

/* What a search advises, where the rule (SELECT_RULES) or the aggregate (AGGREGATES) is left to it. */
void solutions_follow(const struct search_advice *a, enum select_rule *rule, enum aggregate *aggregate);
/* The rule with its aggregate over all of them. */
struct select_choice solutions_choose(const struct solutions *s, enum select_rule rule,
                                      enum aggregate aggregate);

#endif
