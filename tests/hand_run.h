/* hand_run.h - runs made by hand, small enough to be counted by hand, in a folder of their own.
 *
 * Every sample writes 10 tokens at 100 FLOP and is scored for 5 tokens and 30 FLOP; the prompt costs 7 tokens
 * and 50 FLOP, the reward model's 8 and 20.
 */
#ifndef BROOD_HAND_RUN_H
#define BROOD_HAND_RUN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "scratch.h"
#include "store/store.h"

/* Of the last name asked for. */
static inline const char *path_of(const char *name) {
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", scratch, name);
    return path;
}

struct sample {
    const char *answer; /* NULL: none */
    float reward;       /* < 0: not scored */
    bool right;
};

static inline struct store *begin_run(const char *name, const char *strategy) {
    struct err e;
    struct buf config = {0};
    buf_printf(&config,
               "{\"task\":{\"name\":\"t\",\"hash\":\"h\"},\"policy\":{\"name\":\"p\",\"parameters\":100},"
               "\"reward\":{\"name\":\"r\",\"parameters\":200},\"strategy\":\"%s\",\"select\":\"weighted\","
               "\"aggregate\":\"min\",\"seed\":\"0\",\"tokens_max\":100}",
               strategy);
    unlink(path_of(name));
    struct store *s = store_open(path_of(name), STORE_WRITE, &e);
    assert_non_null(s);
    assert_true(store_set_config(s, buf_cstr(&config), &e));
    buf_free(&config);
    return s;
}

static inline void put_written(struct store *s, int problem, int i, const struct sample *x, const char *text,
                               double score_flops) {
    struct err e;
    char path[16];
    snprintf(path, sizeof path, "%d", i);
    const struct store_node node = {.problem = problem,
                                    .path = path,
                                    .text = str_from(text),
                                    .verdict = -1,
                                    .n_tokens = 10,
                                    .logprob = -1,
                                    .finish = STORE_END,
                                    .cost = {.tokens_generated = 10, .flops = 100}};
    assert_true(store_put_node(s, &node, &e));
    if (x->reward >= 0) {
        const struct store_score score = {
            problem, path, &x->reward, 1, {.tokens_read = 5, .flops = score_flops}};
        assert_true(store_put_score(s, &score, &e));
    }
    const struct store_solution v = {
        .problem = problem, .path = path, .answer = x->answer, .complete = true, .right = x->right};
    assert_true(store_put_solution(s, &v, &e));
}

static inline void put_sample(struct store *s, int problem, int i, const struct sample *x) {
    put_written(s, problem, i, x, "...", 30);
}

static inline void put_problem(struct store *s, int ordinal, const char *id, int level, const char *key,
                               const struct sample *samples, int n) {
    struct err e;
    const struct store_problem p = {.ordinal = ordinal, .id = id, .text = "?", .answer = key, .level = level};
    assert_true(store_put_problem(s, &p, &e));
    for (int i = 0; i < n; i++) put_sample(s, ordinal, i, &samples[i]);
    const struct cost policy = {.tokens_read = 7, .flops = 50}, reward = {.tokens_read = 8, .flops = 20};
    assert_true(store_put_root_costs(s, ordinal, &policy, &reward, &e));
    assert_true(store_put_done(s, ordinal, &e));
}

static inline void end_run(struct store *s) {
    struct err e;
    const struct store_session session = {.seconds = 3};
    assert_true(store_put_session(s, &session, &e));
    assert_true(store_close(s, &e));
}

#endif
