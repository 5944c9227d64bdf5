/* engine_rate MODEL [N_SAMPLES [N_TOKENS [N_THREADS [N_PROMPT]]]] - tokens sampled a second after one prompt.
 *
 * Every sample runs to N_TOKENS; the prompt is read before the clock starts. Prints the best of five rounds,
 * the rate by CPU time (which other load disturbs less), and a hash of all tokens.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "engine/engine.h"

static int argument(int argc, char **argv, int i, int otherwise) {
    return argc > i ? (int)strtol(argv[i], NULL, 10) : otherwise;
}

static double round_seconds(struct engine *en, struct branch *root, int n, int n_tokens, uint64_t *hash) {
    struct branch **all = mem_zalloc((size_t)n, sizeof *all);
    struct engine_event event;
    struct err e = {0};
    *hash = 0;
    double begin = clock_seconds();
    for (int i = 0; i < n; i++) {
        struct engine_generate g = {
            .id = (uint64_t)i, .branch = all[i] = branch_fork(root), .key = (uint64_t)i};
        g.sampling.temperature = 1;
        g.n_tokens_max = n_tokens;
        engine_generate(en, &g);
    }
    while (engine_in_flight(en)) {
        if (engine_step(en, &e) < 0) return fprintf(stderr, "%s\n", e.msg), 1e9;
        while (engine_next(en, &event))
            *hash ^= rng_hash(event.id, event.tokens, (size_t)event.n_tokens * sizeof(int));
    }
    double seconds = clock_seconds() - begin;
    for (int i = 0; i < n; i++) branch_release(all[i]);
    free(all);
    return seconds;
}

int main(int argc, char **argv) {
    struct err e = {0};
    int n = argument(argc, argv, 2, 64), n_tokens = argument(argc, argv, 3, 128),
        n_prompt = argument(argc, argv, 5, 100);
    double opening = clock_seconds();
    struct model *m = argc > 1 ? model_open(argv[1], &e) : NULL;
    if (!m) return fprintf(stderr, "usage: engine_rate MODEL [N_SAMPLES ...] %s\n", e.msg), 2;
    m->n_end_tokens = 0;
    struct engine *en = engine_open(m, &(struct engine_options){.n_threads = argument(argc, argv, 4, 0)}, &e);
    if (!en) return fprintf(stderr, "%s\n", e.msg), 2;
    opening = clock_seconds() - opening;
    struct branch *root = engine_root(en);
    for (int i = 0; i < n_prompt; i++) branch_append(root, &(int){(i * 7 + 3) % 256}, 1);
    double best = 1e9, prompt = clock_seconds(), cpu = clock_cpu_seconds(), all = 0;
    uint64_t hash = 0;
    if (!engine_read(en, &(struct engine_read){.branch = root}, &e)) return 2;
    struct engine_event event;
    while (!engine_next(en, &event))
        if (engine_step(en, &e) < 0) return 2;
    prompt = clock_seconds() - prompt;
    for (int i = 0; i < 5; i++) {
        double seconds = round_seconds(en, root, n, n_tokens, &hash);
        best = seconds < best ? seconds : best;
        all += seconds;
    }
    struct engine_counters c = engine_counters(en);
    double cpu_seconds = clock_cpu_seconds() - cpu, n_drawn = 5.0 * n * n_tokens;
    printf("open %.1f ms, prompt %.1f ms, %d x %d tokens: %.0f tokens/s (mean %.0f, %.0f a CPU second), %.1f "
           "GFLOP/s, ",
           opening * 1e3, prompt * 1e3, n, n_tokens, n * n_tokens / best, n_drawn / all,
           n_drawn / cpu_seconds, c.flops / cpu_seconds / 1e9);
    printf("%s, %016llx\n", engine_isa(en), (unsigned long long)hash);
    engine_close(en);
    model_close(m);
    return 0;
}
