/* agreement.h - choosing among programs by tests that the policy wrote itself: dual execution agreement.
 *
 * Chen et al. 2022, "CodeT: Code Generation with Generated Tests" (2207.10397). Neither the programs nor the
 * tests are to be trusted, but right ones agree with each other: programs that pass exactly the same tests
 * form a group, and a group is worth the more, the more solutions and the more tests stand behind it,
 *
 *     score = sqrt(solutions in the group) * tests that it passes        (copies count, on both sides)
 *
 * which is what the authors' program computes; the paper writes the product without the root. The largest
 * group without regard to its tests is the majority vote over behaviours.
 */
#ifndef BROOD_AGREEMENT_H
#define BROOD_AGREEMENT_H

#include "base/base.h"

enum agreement_rule { AGREEMENT_DUAL, AGREEMENT_MAJORITY };

struct agreement_group {
    size_t first;        /* its first program */
    size_t chosen;       /* its program with most copies, the first of them */
    int64_t n_solutions; /* copies of its programs */
    int64_t n_tests;     /* copies of the tests that it passes */
    double score;
};

/* passed [n_programs][n_tests] is 1 where a program passes a test; n_solutions [n_programs] and n_copies
 * [n_tests] count copies. Fills group_of [n_programs]; groups, best first by the rule, are owned, free(), and
 * as many as *n_groups. Programs that pass no test form a group as others do, with score 0 by AGREEMENT_DUAL.
 * Ties go to the group whose first program comes first. */
struct agreement_group *agreement_find(enum agreement_rule rule, const uint8_t *passed,
                                       const int64_t *n_solutions, size_t n_programs, const int64_t *n_copies,
                                       size_t n_tests, size_t *group_of, size_t *n_groups);

#endif
