/* interrupt.h - Ctrl-C asks for a good end; a second one, half a second later or more, ends the program at
 * once. SIGTERM and SIGHUP likewise. */
#ifndef BROOD_CLI_INTERRUPT_H
#define BROOD_CLI_INTERRUPT_H

#include "base/base.h"

/* From now on the first signal calls stop(ctx), from the signal handler. */
void interrupt_catch(void (*stop)(void *ctx), void *ctx);
void interrupt_release(void); /* as before interrupt_catch */
bool interrupt_came(void);

enum { INTERRUPT_STATUS = 130 };

#endif
