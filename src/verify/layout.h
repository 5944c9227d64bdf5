/* layout.h - one published line as a problem (inside the room). */
#ifndef BROOD_LAYOUT_H
#define BROOD_LAYOUT_H

#include "verify/humaneval.h"

/* Fills *p, which layout_free frees, also after false. */
MUST bool layout_read(struct str line, const struct verify_language *language, struct humaneval_problem *p,
                      const char *where, struct err *e);
void layout_free(struct humaneval_problem *p);

struct str layout_evalplus_script(void); /* evalplus.py */

#endif
