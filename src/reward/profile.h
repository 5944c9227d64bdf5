/* profile.h - how a model behind a server scores steps: the "NAME" of http://host/v1#model,profile=NAME.
 *
 *     a name of model/prm_profile.h   the texts around problem and steps, as for models of our own; the
 * server is asked for probabilities of steps (pooling), of the whole so far (classify: profiles with closings
 * aside and no words), or of two words (logprob) rerank, score                   the solution up to each
 * step, as a document for the problem judge                           a chat model is asked about each step,
 * in the words of profile.c a file                          one JSON object, as in model/prm_profile.h; or of
 * a judge:
 *
 *     {"name": "mine", "judge": "Problem: {problem}\n\n{steps}\n\nIs step {n} right? ... SCORE: N ...",
 *      "system": "You grade.", "aggregate": "min"}
 *
 * {steps} are all steps so far, "Step 1: ..." and so on; {n} is the number of the last, about which the judge
 * is asked. Its reply must end with a line "SCORE: N", N from 0 to 100 (ways.h). system and name may be left
 * out; aggregate is min then.
 */
#ifndef BROOD_REWARD_PROFILE_H
#define BROOD_REWARD_PROFILE_H

#include "model/prm_profile.h"
#include "reward/ways.h"

struct profile {
    enum way way;
    char name[40], aggregate[8];
    struct prm_words words;  /* pooling, classify, logprob */
    char *system, *question; /* judge; owned; system may be NULL */
};

/* name NULL: what suits a model of that name, if that is known. */
MUST bool profile_open(const char *name, const char *model, struct profile *out, struct err *e);
void profile_fini(struct profile *p);
void profile_write_question(const struct profile *p, const char *problem, const char *steps, int n,
                            struct buf *out);
uint64_t profile_hash(const struct profile *p);
/* "/pooling, token ids, ..." for people; static. */
const char *profile_talks(const struct profile *p, enum way_server server);

#endif
