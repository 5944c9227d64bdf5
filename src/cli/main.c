/* main.c - the table of subcommands. */
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/help.h"
#include "cli/progress.h"
#include "model/quantise.h"

const struct command *const commands[] = {
    &command_solve,  &command_bench,   &command_report, &command_serve, &command_plan,
    &command_verify, &command_vote,    &command_agree,  &command_score, &command_equal,
    &command_model,  &command_convert, &command_pull,   &command_help,  NULL,
};

static const char *command_name(const void *ctx, int i) {
    UNUSED(ctx);
    return commands[i] ? commands[i]->name : NULL;
}

const struct command *command_find(const char *name, struct err *e) {
    for (int i = 0; commands[i]; i++) {
        if (strcmp(commands[i]->name, name) == 0) return commands[i];
    }
    const char *near = options_nearest(name, command_name, NULL);
    if (near)
        err_set(e, ERR_INPUT, "unknown command '%.60s': did you mean 'brood %s'?", name, near);
    else
        err_set(e, ERR_INPUT, "unknown command '%.60s': 'brood help' lists the commands", name);
    return NULL;
}

static int run(int argc, char **argv, struct err *e) {
    if (argc < 2) {
        err_set(e, ERR_INPUT,
                "what shall be done? 'brood help' lists the commands; try: brood solve 'PROBLEM'");
        return -1;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("brood %s\n", BROOD_VERSION);
        return 0;
    }
    const bool asks_help = strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0;
    const struct command *c = asks_help ? &command_help : command_find(argv[1], e);
    if (!c) return -1;
    struct command_line line;
    int status = -1;
    if (options_parse(c, argc - 2, argv + 2, &line, e)) {
        if (line.help)
            help_command(c, stdout), status = 0;
        else
            status = c->run(&line, e);
    }
    options_free(&line);
    return status;
}

/* Shown where it takes longer than two seconds. */
static void on_quantise(void *ctx, const char *path, double done) {
    struct progress *p = ctx;
    char text[200];
    if (p->started == 0) *p = progress_begin();
    snprintf(text, sizeof text, "%.120s: weights are quantised, once: %.0f %%", path, 100 * done);
    if (progress_due(p)) progress_show(p, text);
    if (done < 1) return;
    progress_end(p);
    *p = (struct progress){0};
}

int main(int argc, char **argv) {
    setlocale(LC_CTYPE, "");
    struct progress quantising = {0};
    quantise_watch(on_quantise, &quantising);
    struct err e = {0};
    int status = run(argc, argv, &e);
    if (status >= 0 && (fflush(stdout) != 0 || ferror(stdout))) {
        err_set(&e, ERR_SERVICE, "standard output: cannot write: %s", strerror(errno));
        status = -1;
    }
    if (status >= 0) return status;
    fprintf(stderr, "brood: %s\n", e.msg);
    return err_exit_status(e.code);
}
