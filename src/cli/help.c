/* help.c - see help.h. Also the command `help`. */
#include "cli/help.h"

#include <math.h>
#include <string.h>

#include "cli/commands.h"
#include "search/search.h"

enum { HELP_WIDTH = 100, HELP_OPTION_WIDTH = 24 };

static const char exit_statuses[] =
    "0 done; 1 no (equal); 2 bad usage or input: one line on standard error says what, where and what to do; "
    "3 a model, server or disk failed for good; 4 cannot tell (equal); 130 interrupted: what was done so far "
    "is kept.";

static const char specs[] =
    "A model is a Hugging Face folder (config.json, tokenizer.json, *.safetensors), a GGUF file, lab:NAME, a "
    "bundled one (lab:small, lab:large; lab:code writes Python; lab:prm scores steps), or hf:OWNER/NAME, one "
    "that brood pull brought. As a policy, replay:FILE gives recorded samples.";

/* ---- terminal ---- */

/* Words wrapped at HELP_WIDTH; lines after the first begin at `indent`, the first at `at`. */
static void wrap(FILE *out, const char *text, int indent, int at) {
    bool spaced = true; /* nothing stands before the next word */
    while (*text) {
        const int n = (int)strcspn(text, " \n");
        if (at + !spaced + n > HELP_WIDTH && at > indent) {
            fprintf(out, "\n%*s", indent, "");
            at = indent;
            spaced = true;
        }
        at += fprintf(out, "%s%.*s", spaced ? "" : " ", n, text);
        spaced = false;
        text += n;
        if (*text == '\n') {
            fprintf(out, "\n%*s", indent, "");
            at = indent;
            spaced = true;
        }
        text += *text != '\0';
    }
    fputc('\n', out);
}

static void option_heading(const struct option *o, struct buf *b) {
    if (o->letter) buf_printf(b, "-%c, ", o->letter);
    buf_printf(b, "--%s", o->name);
    if (o->value) buf_printf(b, " %s", o->value);
}

static void list_item(FILE *out, const char *heading, const char *text) {
    int at = fprintf(out, "  %-*s", HELP_OPTION_WIDTH - 2, heading);
    if (strlen(heading) + 3 > HELP_OPTION_WIDTH) {
        fprintf(out, "\n%*s", HELP_OPTION_WIDTH, "");
        at = HELP_OPTION_WIDTH;
    }
    wrap(out, text, HELP_OPTION_WIDTH, at);
}

static void param_text(const struct search_param *p, struct buf *b) {
    buf_printf(b, "%s", p->help);
    if (p->type == SEARCH_PARAM_CHOICE) {
        for (int i = 0; p->choices[i]; i++) buf_printf(b, "%s%s", i ? ", " : ": ", p->choices[i]);
        if (!isnan(p->def)) buf_printf(b, " (default %s)", p->choices[(int)p->def]);
    } else if (!isnan(p->def)) {
        buf_printf(b, " (default %g)", p->def);
    }
}

/* What a strategy asks for besides a policy. */
static const char *needs_text(const struct search_strategy *s) {
    return s->needs_reward   ? "; needs a reward model"
           : s->needs_scores ? "; needs a reward model or a verifier"
                             : "";
}

static void strategies_text(FILE *out) {
    fprintf(out, "\nstrategies (--strategy NAME[:key=value,...]):\n");
    for (int i = 0; search_strategies[i]; i++) {
        const struct search_strategy *s = search_strategies[i];
        struct buf b = {0};
        buf_printf(&b, "%s%s\nfor example: --strategy %s\nfrom: %s", s->summary, needs_text(s), s->example,
                   s->source);
        list_item(out, s->name, buf_cstr(&b));
        for (int j = 0; j < s->n_params; j++) {
            struct buf heading = {0};
            buf_clear(&b);
            buf_printf(&heading, "  %s", s->params[j].name);
            param_text(&s->params[j], &b);
            list_item(out, buf_cstr(&heading), buf_cstr(&b));
            buf_free(&heading);
        }
        buf_free(&b);
    }
}

/* "a,b" as "a, b": it may be wrapped. */
static void add_spaced(struct buf *b, const char *spec) {
    for (; *spec; spec++) {
        buf_add_char(b, *spec);
        if (*spec == ',') buf_add_char(b, ' ');
    }
}

static void presets_text(FILE *out) {
    fprintf(out, "\nstrategies under the names that others use (parameters can be changed likewise):\n");
    for (int i = 0; search_presets[i].name; i++) {
        const struct search_preset *p = &search_presets[i];
        struct buf b = {0};
        buf_printf(&b, "%s\nis: ", p->summary);
        add_spaced(&b, p->spec);
        buf_printf(&b, "\nfrom: %s", p->source);
        list_item(out, p->name, buf_cstr(&b));
        buf_free(&b);
    }
}

void help_overview(FILE *out) {
    fprintf(out, "brood - a small language model that answers like a larger one: it samples many solutions,\n"
                 "checks them and chooses\n\nusage: brood COMMAND [OPTIONS] [ARGUMENTS]\n\n");
    for (int i = 0; commands[i]; i++) list_item(out, commands[i]->name, commands[i]->summary);
    fprintf(out, "\n'brood help COMMAND' says more. To begin with:\n"
                 "  brood solve 'Ida has 25 nuts. Now Ida has 8 times as many. Ida keeps half of them. "
                 "How many nuts does Ida have now?'\n\n");
    wrap(out, specs, 0, 0);
    fprintf(out, "\nexit status: ");
    wrap(out, exit_statuses, 0, 13);
}

void help_command(const struct command *c, FILE *out) {
    fprintf(out, "brood %s - %s\n\nusage: brood %s [OPTIONS] %s\n\n", c->name, c->summary, c->name,
            c->arguments);
    wrap(out, c->about, 0, 0);
    const struct option *o;
    for (int i = 0; (o = command_option(c, i)); i++) {
        struct buf heading = {0};
        if (i == 0) fprintf(out, "\noptions:\n");
        option_heading(o, &heading);
        list_item(out, buf_cstr(&heading), o->help);
        buf_free(&heading);
    }
    if (c->lists_strategies) {
        strategies_text(out);
        presets_text(out);
        fprintf(out, "\nmodels:\n  ");
        wrap(out, specs, 2, 2);
    }
    fprintf(out, "\nexamples:\n");
    for (int i = 0; c->examples[i]; i += 2)
        fprintf(out, "  %s\n      %s\n", c->examples[i], c->examples[i + 1]);
}

/* ---- man pages ---- */

/* Text as roff takes it: no line begins with a control character, dashes and backslashes are literal. */
static void roff(FILE *out, const char *text) {
    bool begins = true;
    for (; *text; text++) {
        if (begins && (*text == '.' || *text == '\'')) fputs("\\&", out);
        if (*text == '\\')
            fputs("\\e", out);
        else if (*text == '-')
            fputs("\\-", out);
        else if (*text == '\n')
            fputs("\n.PP", out), fputc('\n', out);
        else
            fputc(*text, out);
        begins = *text == '\n';
    }
    fputc('\n', out);
}

static void roff_line(FILE *out, const char *macro, const char *text) {
    fprintf(out, "%s ", macro);
    roff(out, text);
}

static void man_title(FILE *out, const char *name, const char *summary) {
    fprintf(out,
            ".\\\" Written by 'brood help --man' from the tables of options.\n"
            ".TH %s 1 \"\" \"brood\" \"Brood\"\n.SH NAME\n%s \\- ",
            name, name);
    roff(out, summary);
}

static void man_strategies(FILE *out) {
    fprintf(out, ".SH STRATEGIES\n");
    for (int i = 0; search_strategies[i]; i++) {
        const struct search_strategy *s = search_strategies[i];
        fprintf(out, ".TP\n");
        roff_line(out, ".B", s->name);
        struct buf b = {0};
        buf_printf(&b, "%s%s. For example: --strategy %s. From: %s.", s->summary, needs_text(s), s->example,
                   s->source);
        for (int j = 0; j < s->n_params; j++) {
            buf_printf(&b, " %s: ", s->params[j].name);
            param_text(&s->params[j], &b);
            buf_add_char(&b, '.');
        }
        roff(out, buf_cstr(&b));
        buf_free(&b);
    }
}

static void man_presets(FILE *out) {
    fprintf(out, ".SH STRATEGIES UNDER THE NAMES THAT OTHERS USE\n");
    for (int i = 0; search_presets[i].name; i++) {
        const struct search_preset *p = &search_presets[i];
        fprintf(out, ".TP\n");
        roff_line(out, ".B", p->name);
        struct buf b = {0};
        buf_printf(&b, "%s. Is: ", p->summary);
        add_spaced(&b, p->spec);
        buf_printf(&b, ". From: %s.", p->source);
        roff(out, buf_cstr(&b));
        buf_free(&b);
    }
}

static void man_of_program(FILE *out) {
    man_title(out, "brood",
              "a small language model that answers like a larger one, by searching and choosing");
    fprintf(out, ".SH SYNOPSIS\n.B brood\n.I COMMAND\n[\\fIOPTIONS\\fR] [\\fIARGUMENTS\\fR]\n.SH COMMANDS\n");
    for (int i = 0; commands[i]; i++) {
        fprintf(out, ".TP\n.B brood %s\n", commands[i]->name);
        roff(out, commands[i]->summary);
    }
    fprintf(out, ".SH MODELS\n");
    roff(out, specs);
    fprintf(out,
            ".SH ENVIRONMENT\n.TP\n.B BROOD_SHARE\nWhere the bundled models and tasks lie, if not beside the "
            "program.\n.TP\n.B NO_COLOR\nCharts without colours.\n.SH EXIT STATUS\n");
    roff(out, exit_statuses);
    fprintf(out, ".SH SEE ALSO\n");
    for (int i = 0; commands[i]; i++) fprintf(out, "%s.BR brood\\-%s (1)", i ? ",\n" : "", commands[i]->name);
    fputc('\n', out);
}

void help_man(const struct command *c, FILE *out) {
    if (!c) {
        man_of_program(out);
        return;
    }
    struct buf name = {0};
    buf_printf(&name, "brood-%s", c->name);
    man_title(out, buf_cstr(&name), c->summary);
    buf_free(&name);
    fprintf(out, ".SH SYNOPSIS\n.B brood %s\n[\\fIOPTIONS\\fR]\n", c->name);
    roff(out, c->arguments);
    fprintf(out, ".SH DESCRIPTION\n");
    roff(out, c->about);
    const struct option *o;
    for (int i = 0; (o = command_option(c, i)); i++) {
        struct buf heading = {0};
        if (i == 0) fprintf(out, ".SH OPTIONS\n");
        option_heading(o, &heading);
        fprintf(out, ".TP\n");
        roff_line(out, ".B", buf_cstr(&heading));
        roff(out, o->help);
        buf_free(&heading);
    }
    if (c->lists_strategies) {
        man_strategies(out);
        man_presets(out);
        fprintf(out, ".SH MODELS\n");
        roff(out, specs);
    }
    fprintf(out, ".SH EXAMPLES\n");
    for (int i = 0; c->examples[i]; i += 2) {
        fprintf(out, ".TP\n");
        roff_line(out, ".B", c->examples[i]);
        roff(out, c->examples[i + 1]);
    }
    fprintf(out, ".SH EXIT STATUS\n");
    roff(out, exit_statuses);
    fprintf(out, ".SH SEE ALSO\n.BR brood (1)\n");
}

/* ---- the command ---- */

struct help_values {
    bool man, names;
};

static const struct option help_options[] = {
    {"man", 0, OPTION_FLAG, offsetof(struct help_values, man), NULL,
     "as a man page (roff), for `make install`", 0, 0},
    {"names", 0, OPTION_FLAG, offsetof(struct help_values, names), NULL, "only the names of the commands", 0,
     0},
};

static int help_run(const struct command_line *line, struct err *e) {
    const struct help_values *v = line->values;
    const struct command *c = line->n_args ? command_find(line->args[0], e) : NULL;
    if (line->n_args && !c) return -1;
    if (v->names)
        for (int i = 0; commands[i]; i++) printf("%s\n", commands[i]->name);
    else if (v->man)
        help_man(c, stdout);
    else if (c)
        help_command(c, stdout);
    else
        help_overview(stdout);
    return 0;
}

static const char *const help_examples[] = {"brood help bench", "what bench does, its options and strategies",
                                            NULL};

const struct command command_help = {
    .name = "help",
    .arguments = "[COMMAND]",
    .summary = "what the commands do",
    .about = "Without a command it lists them all. 'brood COMMAND --help' says the same.",
    .examples = help_examples,
    .options = help_options,
    .n_options = (int)ARRAY_LEN(help_options),
    .n_args_max = 1,
    .defaults = &(const struct help_values){0},
    .values_bytes = sizeof(struct help_values),
    .run = help_run,
};
