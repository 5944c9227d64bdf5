/* convert.c - brood convert: PyTorch's own weight files as safetensors. */
#include <stdio.h>

#include "cli/commands.h"
#include "base/format.h"
#include "model/convert.h"

struct convert_values {
    const char *output;
};

static int convert_run(const struct command_line *line, struct err *e) {
    const struct convert_values *v = line->values;
    struct convert_told told;
    char bytes[FORMAT_MAX];
    if (!convert_folder(line->args[0], v->output, &told, e)) return -1;
    printf("%d tensors, %sB from %d file%s, written to %s%s\n", told.n_tensors,
           format_count(bytes, told.n_bytes), told.n_files, told.n_files == 1 ? "" : "s",
           v->output ? v->output : line->args[0], v->output ? "" : "/model.safetensors");
    return 0;
}

static const struct option convert_options[] = {
    {"output", 'o', OPTION_TEXT, offsetof(struct convert_values, output), "FILE",
     "the file to write (default FOLDER/model.safetensors)", 0, 0},
};

static const char *const convert_examples[] = {
    "brood convert math-shepherd-mistral-7b-prm",
    "then: brood bench TASK --reward math-shepherd-mistral-7b-prm",
    NULL,
};

const struct command command_convert = {
    .name = "convert",
    .arguments = "FOLDER",
    .summary = "PyTorch weights (pytorch_model.bin) as safetensors",
    .about = "Some models are published as Python pickles alone, which can run anything when they are "
             "loaded. This command reads the few operations that tensors need and refuses every other one by "
             "its name; nothing of the file is executed. Models are opened from safetensors and GGUF only.",
    .examples = convert_examples,
    .options = convert_options,
    .n_options = (int)ARRAY_LEN(convert_options),
    .n_args_min = 1,
    .n_args_max = 1,
    .defaults = &(const struct convert_values){0},
    .values_bytes = sizeof(struct convert_values),
    .run = convert_run,
};
