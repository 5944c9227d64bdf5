/* help.h - help on the terminal and man pages, both written from the tables of options.h. */
#ifndef BROOD_CLI_HELP_H
#define BROOD_CLI_HELP_H

#include <stdio.h>

#include "cli/options.h"

void help_overview(FILE *out);
void help_command(const struct command *c, FILE *out);

/* roff; c NULL: the page of the program itself. */
void help_man(const struct command *c, FILE *out);

#endif
