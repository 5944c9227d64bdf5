/* commands.h - the subcommands, one file each. They parse, print and draw progress; the work is done in the
 * rooms below. */
#ifndef BROOD_CLI_COMMANDS_H
#define BROOD_CLI_COMMANDS_H

#include "cli/options.h"

extern const struct command command_agree, command_solve, command_bench, command_report, command_serve,
    command_vote, command_score, command_equal, command_verify, command_model, command_plan, command_convert,
    command_pull, command_help;

extern const struct command *const commands[]; /* NULL-terminated, in the order in which help lists them */
const struct command *command_find(const char *name, struct err *e);

/* Exit statuses beside those of errors (base/err.h). */
enum { EXIT_YES = 0, EXIT_NO = 1, EXIT_CANNOT_TELL = 4 };

#endif
