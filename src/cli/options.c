/* options.c - see options.h. */
#include "cli/options.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* ---- suggestions ---- */

enum { NAME_MAX_COMPARED = 40 };

/* How many letters have to be changed, added, removed or swapped with their neighbour. */
static int distance(const char *a, const char *b) {
    const size_t n_a = strlen(a), n_b = strlen(b);
    int d[NAME_MAX_COMPARED + 1][NAME_MAX_COMPARED + 1];
    if (n_a > NAME_MAX_COMPARED || n_b > NAME_MAX_COMPARED) return NAME_MAX_COMPARED;
    for (size_t i = 0; i <= n_a; i++) {
        for (size_t j = 0; j <= n_b; j++) {
            if (i == 0 || j == 0) {
                d[i][j] = (int)(i + j);
                continue;
            }
            int best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            best = MIN(best, MIN(d[i - 1][j], d[i][j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                best = MIN(best, d[i - 2][j - 2] + 1);
            d[i][j] = best;
        }
    }
    return d[n_a][n_b];
}

const char *options_nearest(const char *typed, const char *(*names)(const void *ctx, int i),
                            const void *ctx) {
    const char *nearest = NULL;
    int least = 1 + MAX(1, (int)strlen(typed) / 3);
    for (int i = 0; names(ctx, i); i++) {
        const char *name = names(ctx, i);
        const bool begins = strlen(typed) >= 3 && strncmp(name, typed, strlen(typed)) == 0;
        const int far = begins ? 1 : distance(typed, name);
        if (far < least) {
            least = far;
            nearest = name;
        }
    }
    return nearest;
}

const struct option *command_option(const struct command *c, int i) {
    if (i < c->n_options) return &c->options[i];
    return i < c->n_options + c->n_shared ? &c->shared[i - c->n_options] : NULL;
}

static const char *option_name(const void *ctx, int i) {
    const struct option *o = command_option(ctx, i);
    return o ? o->name : NULL;
}

/* ---- one option ---- */

static const struct option *find_long(const struct command *c, struct str name) {
    const struct option *o;
    for (int i = 0; (o = command_option(c, i)) && !str_equal(str_from(o->name), name); i++) {
    }
    return o;
}

static const struct option *find_letter(const struct command *c, char letter) {
    const struct option *o;
    for (int i = 0; (o = command_option(c, i)) && o->letter != letter; i++) {
    }
    return o;
}

static bool unknown_option(const struct command *c, struct str name, struct err *e) {
    char *typed = str_dup(name);
    const char *near = options_nearest(typed, option_name, c);
    if (near)
        err_set(e, ERR_INPUT, "unknown option --%s of brood %s: did you mean --%s?", typed, c->name, near);
    else
        err_set(e, ERR_INPUT, "unknown option --%s of brood %s: 'brood help %s' lists what it has", typed,
                c->name, c->name);
    free(typed);
    return false;
}

/* "--samples (-n)" */
static const char *spelled(const struct option *o, char out[static 64]) {
    snprintf(out, 64, o->letter ? "--%s (-%c)" : "--%s", o->name, o->letter);
    return out;
}

static bool set_count(const struct option *o, const char *text, uint64_t *field, struct err *e) {
    char *end, name[64];
    errno = 0;
    const unsigned long long n = strtoull(text, &end, 10);
    if (!isdigit((unsigned char)text[0]) || *end || errno)
        return err_set(e, ERR_INPUT, "%s '%.60s': expected a whole number from %.0f", spelled(o, name), text,
                       o->min);
    if ((double)n < o->min || (double)n > o->max)
        return err_set(e, ERR_INPUT, "%s %s: expected a whole number from %.0f to %.12g", spelled(o, name),
                       text, o->min, o->max);
    *field = n;
    return true;
}

static bool set_real(const struct option *o, const char *text, double *field, struct err *e) {
    char *end;
    const double x = strtod(text, &end);
    if (!text[0] || *end || !isfinite(x) || isspace((unsigned char)text[0]) || x < o->min || x > o->max)
        return err_set(e, ERR_INPUT, "--%s '%.60s': expected a number from %g to %g", o->name, text, o->min,
                       o->max);
    *field = x;
    return true;
}

static bool add_to_list(const struct option *o, const char *text, struct option_list *list, struct err *e) {
    if (list->n == OPTION_LIST_MAX)
        return err_set(e, ERR_INPUT, "--%s: %d of them are the most", o->name, OPTION_LIST_MAX);
    list->items[list->n++] = text;
    return true;
}

static bool set_option(const struct option *o, const char *text, void *values, struct err *e) {
    void *field = (char *)values + o->offset;
    switch (o->type) {
    case OPTION_FLAG:
        *(bool *)field = true;
        return true;
    case OPTION_TEXT:
    case OPTION_LIST:
        if (!text[0])
            return err_set(e, ERR_INPUT, "--%s: its value is empty: expected %s", o->name, o->value);
        if (o->type == OPTION_LIST) return add_to_list(o, text, field, e);
        *(const char **)field = text;
        return true;
    case OPTION_COUNT:
        return set_count(o, text, field, e);
    case OPTION_REAL:
        return set_real(o, text, field, e);
    }
    ASSERT(!"an option of no known type");
    return false;
}

/* ---- the line ---- */

struct cursor {
    const struct command *command;
    int argc, i;
    char **argv;
    struct command_line *out;
};

/* Sets the option to `attached`, or to the next word if there is none. */
static bool take_value(struct cursor *c, const struct option *o, const char *attached, struct err *e) {
    if (o->type == OPTION_FLAG) {
        if (attached) return err_set(e, ERR_INPUT, "--%s takes no value", o->name);
        return set_option(o, NULL, c->out->values, e);
    }
    if (!attached) {
        if (c->i + 1 >= c->argc)
            return err_set(e, ERR_INPUT, "--%s: a value is missing: expected %s", o->name, o->value);
        attached = c->argv[++c->i];
    }
    return set_option(o, attached, c->out->values, e);
}

static bool take_long(struct cursor *c, const char *word, struct err *e) {
    const char *equals = strchr(word, '=');
    const struct str name = {word + 2, equals ? (size_t)(equals - word - 2) : strlen(word + 2)};
    const struct option *o = find_long(c->command, name);
    if (!o) return unknown_option(c->command, name, e);
    return take_value(c, o, equals ? equals + 1 : NULL, e);
}

static bool take_short(struct cursor *c, const char *word, struct err *e) {
    const struct option *o = find_letter(c->command, word[1]);
    if (o) return take_value(c, o, word[2] == '=' ? word + 3 : word[2] ? word + 2 : NULL, e);
    const struct str name = {word + 1, strcspn(word + 1, "=")};
    if (find_long(c->command, name))
        return err_set(e, ERR_INPUT, "unknown option %s of brood %s: did you mean -%s (two dashes)?", word,
                       c->command->name, word);
    return err_set(
        e, ERR_INPUT,
        "unknown option %s of brood %s: 'brood help %s' lists what it has; put -- before what is no option",
        word, c->command->name, c->command->name);
}

static bool check_arguments(const struct command *c, const struct command_line *line, struct err *e) {
    if (line->n_args < c->n_args_min)
        return err_set(e, ERR_INPUT, "too few arguments: usage: brood %s [OPTIONS] %s", c->name,
                       c->arguments);
    if (line->n_args > c->n_args_max)
        return err_set(e, ERR_INPUT,
                       "unexpected argument '%.60s': usage: brood %s [OPTIONS] %s (quote what has spaces)",
                       line->args[c->n_args_max], c->name, c->arguments);
    return true;
}

bool options_parse(const struct command *c, int argc, char **argv, struct command_line *out, struct err *e) {
    *out = (struct command_line){.argc = argc,
                                 .argv = argv,
                                 .values = mem_dup(c->defaults, c->values_bytes),
                                 .args = mem_zalloc((size_t)argc + 1, sizeof *out->args)};
    struct cursor cursor = {.command = c, .argc = argc, .argv = argv, .out = out};
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            out->help = true;
            return true;
        }
    }
    bool options_ended = false;
    for (; cursor.i < argc; cursor.i++) {
        const char *word = argv[cursor.i];
        bool ok = true;
        if (!options_ended && strcmp(word, "--") == 0)
            options_ended = true;
        else if (!options_ended && strncmp(word, "--", 2) == 0)
            ok = take_long(&cursor, word, e);
        else if (!options_ended && word[0] == '-' && isalpha((unsigned char)word[1]))
            ok = take_short(&cursor, word, e);
        else
            out->args[out->n_args++] = word;
        if (!ok) return false;
    }
    return check_arguments(c, out, e);
}

void options_free(struct command_line *line) {
    free(line->values);
    free(line->args);
    *line = (struct command_line){0};
}
