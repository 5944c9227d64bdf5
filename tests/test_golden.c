/* The bundled models as PyTorch computes them (lab/golden/golden.json): logits, answers, step rewards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/share.h"
#include "engine/engine.h"

#define HINT "; were the models trained again without writing golden.json?"

struct golden {
    json_t *root; /* NULL: not there, everything is skipped */
    struct model *m;
    struct engine *en;
};

static json_t *golden_root(void) {
    struct err e = {0};
    char *path = share_path("golden/golden.json", &e);
    if (!path) return NULL;
    json_t *root = json_read_file(path, (size_t)64 << 20, &e);
    if (!root) fail_msg("%s", e.msg);
    free(path);
    return root;
}

static bool golden_open(struct golden *g, const char *name) {
    struct err e = {0};
    *g = (struct golden){.root = golden_root()};
    if (!g->root) return false;
    char *path = share_path(name, &e);
    g->m = path ? model_open(path, &e) : NULL;
    if (!g->m) fail_msg("%s", e.msg);
    free(path);
    g->en = engine_open(g->m, &(struct engine_options){.n_threads = 2}, &e);
    if (!g->en) fail_msg("%s", e.msg);
    model_drop_tensors(g->m);
    return true;
}

static void golden_close(struct golden *g) {
    engine_close(g->en);
    model_close(g->m);
    json_decref(g->root);
}

/* A list of numbers as ints. Owned. */
static int *ints(const json_t *list, size_t *n) {
    *n = json_array_size(list);
    int *out = mem_zalloc(*n + 1, sizeof *out);
    for (size_t i = 0; i < *n; i++) out[i] = (int)json_integer_value(json_array_get(list, i));
    return out;
}

static struct branch *branch_of(struct engine *en, const json_t *ids) {
    size_t n;
    int *tokens = ints(ids, &n);
    struct branch *b = engine_root(en);
    branch_append(b, tokens, n);
    free(tokens);
    return b;
}

static struct engine_event next_event(struct engine *en) {
    struct engine_event event = {0};
    struct err e = {0};
    while (!engine_next(en, &event))
        if (engine_step(en, &e) <= 0) fail_msg("%s", e.msg);
    return event;
}

static void compare_logits(struct engine *en, struct branch *b, const json_t *want) {
    int n = (int)json_array_size(want);
    assert_int_equal(n, engine_model(en)->config.n_vocab);
    int *all = mem_zalloc((size_t)n, sizeof *all);
    for (int i = 0; i < n; i++) all[i] = i;
    size_t last = branch_length(b) - 1;
    struct engine_read r = {.branch = b, .marks = &last, .n_marks = 1, .outputs = all, .n_outputs = n};
    struct err e = {0};
    assert_true(engine_read(en, &r, &e));
    struct engine_event event = next_event(en);
    double low = INFINITY, high = -INFINITY, worst = 0;
    for (size_t i = 0; i < (size_t)n; i++) {
        double x = json_number_value(json_array_get(want, i));
        low = fmin(low, x);
        high = fmax(high, x);
        worst = fmax(worst, fabs(x - (double)event.outputs[i]));
    }
    if (!(worst < 1e-4 * (high - low))) fail_msg("a logit differs by %g of %g" HINT, worst, high - low);
    free(all);
}

static void compare_greedy(struct engine *en, struct branch *b, const json_t *want) {
    size_t n;
    int *tokens = ints(want, &n);
    engine_generate(en, &(struct engine_generate){.branch = b, .n_tokens_max = (int)n});
    struct engine_event event = next_event(en);
    assert_int_equal(event.n_tokens, n);
    assert_memory_equal(event.tokens, tokens, n * sizeof *tokens);
    free(tokens);
}

static void compare_policy(const char *name) {
    struct golden g;
    char path[64];
    snprintf(path, sizeof path, "models/%s", name);
    if (!golden_open(&g, path)) skip();
    size_t i;
    const json_t *problem;
    json_array_foreach(json_object_get(g.root, "problems"), i, problem) {
        struct branch *b = branch_of(g.en, json_object_get(problem, "prompt_ids"));
        compare_logits(g.en, b, json_object_get(json_object_get(problem, name), "first_logits"));
        compare_greedy(g.en, b, json_object_get(json_object_get(problem, name), "greedy_ids"));
        branch_release(b);
    }
    golden_close(&g);
}

static void small_policy(void **state) {
    UNUSED(state);
    compare_policy("small");
}

static void large_policy(void **state) {
    UNUSED(state);
    compare_policy("large");
}

static void compare_rewards(struct golden *g, const json_t *solution) {
    const json_t *reads = json_object_get(solution, "reads"), *rewards = json_object_get(solution, "rewards");
    const struct prm_profile *profile = &g->m->prm;
    size_t marks[256], n = json_array_size(reads);
    assert_true(n <= ARRAY_LEN(marks));
    for (size_t i = 0; i < n; i++) marks[i] = (size_t)json_integer_value(json_array_get(reads, i));
    struct branch *b = branch_of(g->en, json_object_get(solution, "ids"));
    struct engine_read r = {.branch = b, .marks = marks, .n_marks = n};
    r.outputs = profile->outputs;
    r.n_outputs = profile->n_outputs;
    struct err e = {0};
    assert_true(engine_read(g->en, &r, &e));
    struct engine_event event = next_event(g->en);
    for (size_t i = 0; i < n; i++) {
        double got = prm_profile_score(profile, event.outputs + (int)i * profile->n_outputs);
        double want = json_number_value(json_array_get(rewards, i));
        if (!(fabs(got - want) < 1e-4)) fail_msg("step %zu: %g, PyTorch says %g" HINT, i, got, want);
    }
    branch_release(b);
}

static void reward_model(void **state) {
    UNUSED(state);
    struct golden g;
    if (!golden_open(&g, "models/prm")) skip();
    size_t i, j;
    const json_t *problem, *solution;
    json_array_foreach(json_object_get(g.root, "problems"), i, problem)
        json_array_foreach(json_object_get(problem, "prm"), j, solution) compare_rewards(&g, solution);
    golden_close(&g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_policy),
        cmocka_unit_test(large_policy),
        cmocka_unit_test(reward_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
