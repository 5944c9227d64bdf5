/* command.h - runs a program outside of the sandbox and waits for it (inside the room). */
#ifndef BROOD_COMMAND_H
#define BROOD_COMMAND_H

#include "base/err.h"
#include "base/str.h"

/* argv[0] is looked up in PATH. Standard input is `input`; what it prints on both outputs goes to *output,
 * its last 1 MiB. *status is that of waitpid, or -1 after `seconds` by the clock, when its process group was
 * killed. False if it could not be started, or once *stop (may be NULL) is true: it is killed then,
 * ERR_CANCELLED. */
MUST bool command_run(char *const *argv, struct str input, double seconds, const _Atomic bool *stop,
                      struct buf *output, int *status, struct err *e);

#endif
