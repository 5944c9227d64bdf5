/* progress.h - how far a long command has come, on standard error.
 *
 * On a terminal one line that is redrawn; elsewhere a line now and then, each time later than before. Nothing
 * is shown during the first two seconds, so short work stays quiet.
 *
 *     struct progress p = progress_begin();
 *     while (...) if (progress_due(&p)) progress_show(&p, text);
 *     progress_end(&p);
 */
#ifndef BROOD_CLI_PROGRESS_H
#define BROOD_CLI_PROGRESS_H

#include "base/base.h"

struct progress {
    bool terminal, shown;
    double started, due, wait;
};

struct progress progress_begin(void);
bool progress_due(const struct progress *p);
void progress_show(struct progress *p, const char *text);
void progress_end(struct progress *p); /* wipes the live line */

#endif
