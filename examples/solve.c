/* solve.c - the library in thirty lines: a problem in, an answer out.
 *
 *     cc solve.c -lbrood -o solve && ./solve 'Ida has 25 nuts. Ida gets 5 more. How many nuts does Ida have
 * now?'
 */
#include <stdio.h>

#include <brood.h>

static int on_event(void *ctx, const struct brood_event *event) {
    int *n_solutions = ctx;
    if (event->kind == BROOD_EVENT_NODE && event->ended) ++*n_solutions;
    return 0; /* anything else ends the search with what there is */
}

int main(int argc, char **argv) {
    struct brood_error error;
    int n_solutions = 0;
    const struct brood_options options = {.policy = "lab:small", .reward = "lab:prm"};
    const struct brood_request request = {.problem = argc > 1 ? argv[1] : "Ida has 25 nuts. How many?",
                                          .strategy = "sample:n=16",
                                          .budget_tokens = 10000,
                                          .on_event = on_event,
                                          .ctx = &n_solutions};
    struct brood *b = brood_open(&options, &error);
    struct brood_answer *a = b ? brood_solve(b, &request, &error) : NULL;
    if (a)
        printf("%s\n%d of %d solutions say so\n", a->answer ? a->answer : "no answer", a->n_votes,
               n_solutions);
    else
        fprintf(stderr, "solve: %s\n", error.message);
    brood_answer_free(a);
    brood_close(b);
    return a ? 0 : error.status;
}
