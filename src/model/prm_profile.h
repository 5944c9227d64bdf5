/* prm_profile.h - how a process reward model wants to read a problem and its steps, and where its score
 * stands.
 *
 * A profile is data, chosen from the model's files and printable; the reward room follows it without knowing
 * model names:
 *
 *     problem prompt ids | step 1 ids, marker | step 2 ids, marker | ...       score of a step = readout(head
 * outputs at its marker)
 *
 * Steps are encoded one by one, stripped of white space at both ends, so a step's ids do not depend on what
 * follows it.
 */
#ifndef BROOD_PRM_PROFILE_H
#define BROOD_PRM_PROFILE_H

#include "base/err.h"

struct model;

enum prm_kind {
    PRM_NONE,
    PRM_MARKER, /* a marker token after every step is read */
};

enum prm_readout {
    PRM_SOFTMAX_GOOD, /* softmax over the listed outputs, first of them is "good" */
    PRM_SIGMOID,      /* logistic of the first listed output */
};

struct prm_profile {
    enum prm_kind kind;
    char name[40]; /* "token-classification", ... */
    int marker;    /* token id */
    enum prm_readout readout;
    int outputs[2]; /* head outputs to compute, good first */
    int n_outputs;
    char aggregate[8]; /* recommended: last, min, prod or mean */
};

/* Fills *p from the model's head and tokenizer; PRM_NONE for a plain language model. */
MUST bool prm_profile_detect(const struct model *m, struct prm_profile *p, struct err *e);

/* The score in [0,1] from the head outputs listed in the profile. */
double prm_profile_score(const struct prm_profile *p, const float *outputs);

#endif
