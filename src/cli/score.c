/* score.c - brood score: step rewards of existing solutions. */
#include "eval/score.h"

#include <stdio.h>

#include "cli/commands.h"
#include "base/format.h"
#include "cli/interrupt.h"
#include "cli/progress.h"

struct score_values {
    const char *reward, *weights, *kv;
    uint64_t n_threads;
};

static void stop(void *ctx) {
    UNUSED(ctx);
}

static bool on_progress(void *ctx, const struct score_progress *p) {
    struct progress *progress = ctx;
    if (progress_due(progress)) {
        char tokens[FORMAT_MAX], text[120];
        snprintf(text, sizeof text, "%d solutions of %d problems, %s tokens read", p->n_solutions, p->n_lines,
                 format_count(tokens, p->tokens_read));
        progress_show(progress, text);
    }
    return !interrupt_came();
}

static int score_run(const struct command_line *line, struct err *e) {
    const struct score_values *v = line->values;
    if (!v->reward) {
        err_set(e, ERR_INPUT, "no reward model: give one with --reward, for example --reward lab:prm");
        return -1;
    }
    const struct reward_options options = {
        .n_threads = (int)v->n_threads, .weights = v->weights, .kv = v->kv};
    struct reward *reward = reward_open(v->reward, &options, e);
    if (!reward) return -1;
    struct progress progress = progress_begin();
    struct score_progress p;
    interrupt_catch(stop, NULL);
    const bool ok = score_file(line->args[0], reward, stdout, on_progress, &progress, &p, e);
    interrupt_release();
    progress_end(&progress);
    reward_close(reward);
    if (ok && p.n_solutions == 0) {
        err_set(e, ERR_INPUT, "%s: no solutions in it: a line needs \"solutions\", \"responses\" or \"text\"",
                line->args[0]);
        return -1;
    }
    if (ok && p.n_failed > 0)
        fprintf(stderr, "brood: %d of %d solutions could not be scored (null); the first: %s\n", p.n_failed,
                p.n_solutions, p.failure.msg);
    return ok ? 0 : -1;
}

static const struct option score_options[] = {
    {"reward", 0, OPTION_TEXT, offsetof(struct score_values, reward), "SPEC",
     "the reward model, as in 'brood bench', for example lab:prm or heuristic:arithmetic", 0, 0},
    {"weights", 0, OPTION_TEXT, offsetof(struct score_values, weights), "TYPE",
     "quantise its weights when they are loaded, once: q8_0, q5_1, q5_0, q4_1 or q4_0; bf16: round them and "
     "the "
     "inputs of products to BF16; file: as they are (default file)",
     0, 0},
    {"kv", 0, OPTION_TEXT, offsetof(struct score_values, kv), "TYPE",
     "how keys and values are kept: f16, f32 or auto (default auto: f16 where weights are quantised or bf16, "
     "else f32)",
     0, 0},
    {"threads", 0, OPTION_COUNT, offsetof(struct score_values, n_threads), "N", "cores to use (default all)",
     1, 256},
};

static const char *const score_examples[] = {
    "brood report --jsonl large.brood | brood score --reward lab:prm - | brood vote -",
    "what a reward model makes of the solutions of a run that had none",
    NULL,
};

const struct command command_score = {
    .name = "score",
    .arguments = "SOLUTIONS.jsonl --reward SPEC",
    .summary = "step rewards of existing solutions, as JSON lines",
    .about = "Reads solutions as 'brood report --jsonl' writes them and as others publish them, each line "
             "with its \"prompt\" (docs/records.md; - is standard input), and writes the same lines with one "
             "reward a step.",
    .examples = score_examples,
    .options = score_options,
    .n_options = (int)ARRAY_LEN(score_options),
    .n_args_min = 1,
    .n_args_max = 1,
    .defaults = &(const struct score_values){0},
    .values_bytes = sizeof(struct score_values),
    .run = score_run,
};
