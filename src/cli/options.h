/* options.h - command lines by tables.
 *
 * Every command is one `struct command`: its options are rows that say where their value goes, what it may be
 * and what it does. The parser, `brood help`, the man pages and the suggestions for misspelt names all read
 * the same rows.
 *
 *     --name=value, --name value, -nVALUE, -n VALUE, --flag; "--" ends the options.
 *
 * What begins with '-' and goes on with neither a letter nor '-' is an argument: `brood equal -1 -2/2` works.
 */
#ifndef BROOD_CLI_OPTIONS_H
#define BROOD_CLI_OPTIONS_H

#include "base/err.h"
#include "base/str.h"

enum option_type {
    OPTION_FLAG,  /* bool */
    OPTION_TEXT,  /* const char *, borrowed from the command line */
    OPTION_COUNT, /* uint64_t */
    OPTION_REAL,  /* double */
    OPTION_LIST,  /* struct option_list: may come again; each borrowed from the command line */
};

enum { OPTION_LIST_MAX = 32 };

struct option_list {
    const char *items[OPTION_LIST_MAX]; /* [n] */
    int n;
};

struct option {
    const char *name; /* without the dashes */
    char letter;      /* short form, or 0 */
    enum option_type type;
    size_t offset;     /* of its field in the command's values */
    const char *value; /* what its value is called in help; NULL for a flag */
    const char *help;
    double min, max; /* of numbers */
};

struct command_line {
    void *values; /* the command's, owned */
    const char **args;
    int n_args;
    bool help;   /* --help or -h was there: nothing else counts */
    int argc;    /* the words after the command's name, as typed */
    char **argv; /* likewise, borrowed */
};

struct command {
    const char *name, *arguments, *summary;
    const char *about;                     /* paragraphs, parted by a newline */
    const char *const *examples;           /* command line, what it does, ..., NULL */
    const struct option *options, *shared; /* its own; rows that several commands have */
    int n_options, n_shared;
    int n_args_min, n_args_max;
    bool lists_strategies;
    const void *defaults; /* of the values */
    size_t values_bytes;
    int (*run)(const struct command_line *line, struct err *e); /* the exit status; or -1 with *e set */
};

/* The i-th of its own, then of the shared options; NULL after the last. */
const struct option *command_option(const struct command *c, int i);

/* argv holds what comes after the command's name. Free with options_free in any case. */
MUST bool options_parse(const struct command *c, int argc, char **argv, struct command_line *out,
                        struct err *e);
void options_free(struct command_line *line);

/* The name nearest to what was typed, or NULL if none is near. names(ctx, i) is NULL at the end. */
const char *options_nearest(const char *typed, const char *(*names)(const void *ctx, int i), const void *ctx);

#endif
