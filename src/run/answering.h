/* answering.h - one request in a coordinator: a struct brood_request into a problem, and what the search
 * came to into a struct brood_answer.
 *
 *     answering_begin(&v, policy, reward, false, &request, &e)     chooses the rules, checks, fills v.problem
 *     coordinator_add(c, &v.problem, &e)
 *     on RUN_ENDED: answering_end(&v, event, &e)            v.answer
 *
 * Any number of them share a coordinator. Ownership: the request and the services are borrowed while the
 * answering lives; the answer is the caller's, answering_free_answer. Threads: as the coordinator.
 */
#ifndef BROOD_ANSWERING_H
#define BROOD_ANSWERING_H

#include "brood.h"
#include "run/coordinator.h"

struct answering {
    struct policy *policy;
    struct reward *reward; /* NULL: none */
    bool has_verifier;     /* in the coordinator */
    const struct brood_request *request;
    struct search_spec spec;
    struct coordinator_problem problem;
    enum select_rule select;
    enum aggregate aggregate;
    struct select_confidence confidence;
    struct prices prices;
    bool select_is_free, aggregate_is_free; /* the search may advise others */
    struct brood_answer *answer;            /* set when the search has ended */
};

/* ERR_INPUT: the request asks for what cannot be done. The answering stays where it is in memory. */
MUST bool answering_begin(struct answering *v, struct policy *policy, struct reward *reward,
                          bool has_verifier, const struct brood_request *request, struct err *e);
/* False where there is nothing to answer with: ERR_INPUT, ERR_SERVICE, or ERR_CANCELLED if it was stopped
 * before there was a solution. Solutions of this event live as long as the call. */
MUST bool answering_end(struct answering *v, const struct run_event *event, struct err *e);
void answering_free_answer(struct brood_answer *a); /* NULL is legal */

struct brood_work answering_work(const struct cost *a, const struct cost *b); /* of both */

#endif
