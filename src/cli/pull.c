/* pull.c - brood pull: a model from a Hugging Face hub. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/format.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "hub/hub.h"

struct pull_values {
    const char *file;
    bool json;
};

struct shown {
    struct progress progress;
    double started;
    volatile sig_atomic_t stop;
};

static void on_interrupt(void *ctx) {
    ((struct shown *)ctx)->stop = 1;
}

/* "2/5 model.safetensors: 1.2GB of 3.1GB, 45MB a second, 42 s left" */
static bool on_progress(void *ctx, const struct hub_progress *p) {
    struct shown *s = ctx;
    if (s->stop) return false;
    if (!progress_due(&s->progress)) return true;
    struct buf line = {0};
    char a[FORMAT_MAX], b[FORMAT_MAX];
    if (p->n_files == 0)
        buf_printf(&line, "asks for %s", p->file);
    else
        buf_printf(&line, "%d/%d %s: %sB of %sB", p->i_file + 1, p->n_files, p->file,
                   format_count(a, p->n_bytes), format_count(b, p->n_bytes_total));
    const double rate = p->n_bytes_came / MAX(clock_seconds() - s->started, 1e-3);
    if (p->waits)
        buf_printf(&line, "; tries again: %s", p->waits);
    else if (p->n_files > 0 && p->n_bytes_came > 0)
        buf_printf(&line, ", %sB a second, %s left", format_count(a, rate),
                   format_seconds(b, (p->n_bytes_total - p->n_bytes) / rate));
    progress_show(&s->progress, buf_cstr(&line));
    buf_free(&line);
    return true;
}

static void print_json(const struct hub_pulled *p) {
    json_t *o =
        json_pack("{s:s,s:o,s:s,s:i,s:f,s:f,s:b,s:b}", "name", p->name, "path", json_text(str_from(p->path)),
                  "commit", p->commit, "files", p->n_files, "bytes", p->n_bytes, "bytes_downloaded",
                  p->n_bytes_came, "was_here", p->was_here, "pickle", p->is_pickle);
    char *line = json_line(o);
    printf("%s\n", line);
    free(line);
    json_decref(o);
}

static void print_text(const struct hub_pulled *p) {
    char a[FORMAT_MAX], b[FORMAT_MAX];
    printf("%s %s: commit %.12s, %d file%s, %sB", p->name, p->was_here ? "was here already" : "is here",
           p->commit, p->n_files, p->n_files == 1 ? "" : "s", format_count(a, p->n_bytes));
    if (!p->was_here) printf(" (%sB downloaded), verified", format_count(b, p->n_bytes_came));
    printf("\n%s\n", p->path);
    if (p->is_pickle)
        printf("its weights are PyTorch pickles: brood convert '%s' makes safetensors of them\n", p->path);
    else
        printf("brood model '%s' says what it is; brood solve --policy '%s' uses it\n", p->name, p->name);
}

static int pull_run(const struct command_line *line, struct err *e) {
    const struct pull_values *v = line->values;
    struct shown shown = {.progress = progress_begin(), .started = clock_seconds()};
    const struct hub_options o = {.file = v->file, .wait_seconds = 1, .progress = on_progress, .ctx = &shown};
    struct hub_pulled pulled;
    interrupt_catch(on_interrupt, &shown);
    const bool done = hub_pull(line->args[0], &o, &pulled, e);
    interrupt_release();
    progress_end(&shown.progress);
    if (done && v->json)
        print_json(&pulled);
    else if (done)
        print_text(&pulled);
    hub_pulled_fini(&pulled);
    if (!done && e->code == ERR_CANCELLED)
        err_set(e, ERR_CANCELLED, "interrupted: what came is kept, and the same command goes on from there");
    return done ? 0 : -1;
}

#define FIELD(name) offsetof(struct pull_values, name)
static const struct option pull_options[] = {
    {"file", 0, OPTION_TEXT, FIELD(file), "FILE", "one GGUF file of the repository, instead of the model", 0,
     0},
    {"json", 0, OPTION_FLAG, FIELD(json), NULL, "one JSON object (docs/json.md)", 0, 0},
};
#undef FIELD

static const char *const pull_examples[] = {
    "brood pull hf:Qwen/Qwen2.5-Math-1.5B-Instruct",
    "then: brood solve --policy hf:Qwen/Qwen2.5-Math-1.5B-Instruct 'PROBLEM'",
    "brood pull hf:peiyi9979/math-shepherd-mistral-7b-prm@refs/pr/5",
    "of another revision",
    "brood pull hf:OWNER/NAME-GGUF --file NAME-Q4_K_M.gguf",
    "then: brood solve --policy 'hf:OWNER/NAME-GGUF#NAME-Q4_K_M.gguf' 'PROBLEM'",
    NULL,
};

const struct command command_pull = {
    .name = "pull",
    .arguments = "hf:OWNER/NAME[@REVISION]",
    .summary = "downloads a model from a Hugging Face hub, verified",
    .about =
        "Configuration, tokenizer, chat template and weights are brought to $XDG_CACHE_HOME/brood/hf "
        "(~/.cache/brood/hf), where every command finds them by the same name. Every file is compared with "
        "the size and hash that the hub lists; the model is at its place whole, or not at all. A pull that "
        "broke off goes on where it stopped when the command is repeated; a repeated command also brings a "
        "newer commit of the revision.\n"
        "From the environment: HF_ENDPOINT is another hub; HF_TOKEN, or the token in the file HF_TOKEN_PATH, "
        "$HF_HOME/token or ~/.cache/huggingface/token, is sent to that hub alone.",
    .examples = pull_examples,
    .options = pull_options,
    .n_options = (int)ARRAY_LEN(pull_options),
    .n_args_min = 1,
    .n_args_max = 1,
    .defaults = &(const struct pull_values){0},
    .values_bytes = sizeof(struct pull_values),
    .run = pull_run,
};
