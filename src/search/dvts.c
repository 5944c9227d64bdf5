/* dvts.c - diverse verifier tree search: n/width greedy searches side by side that never compete with each
 * other.
 *
 * Beeching, Tunstall, Rush 2024, "Scaling test-time compute with open models" (search-and-learn). Each
 * subtree writes width children of its one survivor a level and goes on with the best. Where we differ from
 * search-and-learn: solutions are the leaves that ended, all of them and no others (there: the last width
 * candidates of each tree, unfinished runners-up included), and a subtree never waits for another. The rest
 * as beam.c and beam.h.
 */
#include "search/beam.h"

#include <math.h>

static void init(struct search *s) {
    beam_start(s, beam_slots(s), 1);
}

static const struct search_ops ops = {.size = sizeof(struct beam),
                                      .init = init,
                                      .fini = beam_fini,
                                      .told_node = beam_told_node,
                                      .told_score = beam_told_score};

static const struct search_param params[] = {BEAM_PARAMS, SEARCH_SAMPLING_PARAMS};

const struct search_strategy search_dvts = {
    .name = "dvts",
    .summary = "n/width independent trees, each going on from its best of width steps",
    .source = "Beeching, Tunstall and Rush 2024 (search-and-learn)",
    .example = "dvts:n=16,width=4",
    .needs_reward = true,
    .params = params,
    .n_params = (int)ARRAY_LEN(params),
    .ops = &ops,
};
