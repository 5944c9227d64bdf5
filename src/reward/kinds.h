/* kinds.h - inside the room: how reward.c opens each kind. See policy/kinds.h, which this mirrors. */
#ifndef BROOD_REWARD_KINDS_H
#define BROOD_REWARD_KINDS_H

#include "reward/reward.h"

typedef struct reward *reward_open_kind(const char *rest, const struct reward_options *o, struct err *e);
reward_open_kind reward_open_embedded; /* a folder or file, with or without ,profile= */
reward_open_kind reward_open_lab;      /* the name of a bundled model */
reward_open_kind reward_open_toy;
/* A model as for the policy: a path, or lab:NAME. */
reward_open_kind reward_open_likelihood, reward_open_perplexity, reward_open_certainty;
reward_open_kind reward_open_heuristic; /* NAME[+NAME...] */
reward_open_kind reward_open_served;    /* gets the whole spec: http://... */

/* PATH of "PATH,profile=NAME": how long it is. */
#define REWARD_PROFILE ",profile="
size_t reward_path_length(const char *spec);

struct str reward_separator(const struct reward_options *o);
void reward_set_identity(struct reward *r, uint64_t hash);

#endif
