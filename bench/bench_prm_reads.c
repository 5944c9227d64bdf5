/* bench_prm_reads [N_PROBLEMS] - how many tokens the reward model reads in a search, against how many there
 * are.
 *
 * Unique tokens are counted apart from the engine: the prompt's, and for every different step text below
 * every different beginning its tokens and its marker, by the reward model's own tokenizer. The same search
 * is run again with a reward model that reads prompt and solution from the first token on whenever it is
 * asked, as a scorer without a cache does; the rewards, and so the search, are the same.
 *
 * A few tokens may be read twice: where one tree has given a step up, and its pages with it, before another
 * goes on from the same one.
 *
 * Bundled models, problems of the bundled task from the hardest on (about ten steps each).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/share.h"
#include "model/model.h"
#include "policy/policy.h"
#include "reward/reward.h"
#include "run/coordinator.h"
#include "run/run.h"
#include "run/task.h"

static const char *const strategies[] = {"beam:n=16,width=4", "beam:n=16,allocation=rebase",
                                         "dvts:n=16,width=4", "mcts:n=16,width=4", "sample:n=16"};

static void fail(const struct err *e) {
    fprintf(stderr, "bench_prm_reads: %s\n", e->msg);
    exit(err_exit_status(e->code));
}

/* ---- a reward model that reads everything anew ---- */

struct reward_prefix {
    char *problem, *text;
};

struct pending {
    uint64_t id;
    struct reward_prefix *after;
    struct reward_prefix *root; /* the inner one's */
    int n_new;                  /* steps of the job's own text */
};

struct rereader {
    struct reward base;
    struct reward *inner;
    struct pending *jobs;
    size_t n, cap;
};

static struct reward_prefix *prefix_of(const char *problem, const char *before, struct str more) {
    struct reward_prefix *p = mem_zalloc(1, sizeof *p);
    struct buf text = {0};
    buf_add_str(&text, str_from(before));
    buf_add_str(&text, more);
    p->problem = mem_strdup(problem);
    p->text = mem_strdup(text.len ? buf_cstr(&text) : "");
    buf_free(&text);
    return p;
}

static struct reward_prefix *reread_root(struct reward *r, const char *problem, struct err *e) {
    UNUSED(r);
    UNUSED(e);
    return prefix_of(problem, "", STR(""));
}

static struct reward_prefix *reread_extend(struct reward *r, struct reward_prefix *from, struct str text,
                                           struct err *e) {
    UNUSED(r);
    UNUSED(e);
    return prefix_of(from->problem, from->text, text);
}

static struct cost reread_root_cost(const struct reward *r, const struct reward_prefix *root) {
    UNUSED(r);
    UNUSED(root);
    return (struct cost){0};
}

static void reread_release(struct reward *r, struct reward_prefix *p) {
    UNUSED(r);
    free(p->problem);
    free(p->text);
    free(p);
}

static void reread_submit(struct reward *r, const struct reward_job *job) {
    struct rereader *x = (struct rereader *)r;
    struct err e;
    MEM_GROW(x->jobs, x->cap, x->n + 1);
    struct pending *p = &x->jobs[x->n++];
    *p = (struct pending){.id = job->id,
                          .after = prefix_of(job->from->problem, job->from->text, job->text),
                          .root = reward_root(x->inner, job->from->problem, &e),
                          .n_new = reward_split_steps(job->text, STR("\n\n"), NULL, NULL)};
    if (!p->root) fail(&e);
    reward_submit(x->inner,
                  &(struct reward_job){.id = job->id, .from = p->root, .text = str_from(p->after->text)});
}

static int reread_work(struct reward *r, double seconds_max, struct err *e) {
    return reward_work(((struct rereader *)r)->inner, seconds_max, e);
}

static bool reread_next(struct reward *r, struct reward_result *out) {
    struct rereader *x = (struct rereader *)r;
    if (!reward_next(x->inner, out)) return false;
    size_t i = 0;
    while (x->jobs[i].id != out->id) i++;
    const struct pending p = x->jobs[i];
    x->jobs[i] = x->jobs[--x->n];
    if (out->prefix) reward_release(x->inner, out->prefix);
    reward_release(x->inner, p.root);
    out->prefix = p.after;
    out->rewards += out->n_rewards - p.n_new;
    out->n_rewards = p.n_new;
    return true;
}

static int reread_in_flight(const struct reward *r) {
    return reward_in_flight(((const struct rereader *)r)->inner);
}

static void reread_cancel(struct reward *r, uint64_t id) {
    reward_cancel(((struct rereader *)r)->inner, id);
}

static struct cost reread_computed(const struct reward *r) {
    return reward_computed(((const struct rereader *)r)->inner);
}

static void reread_close(struct reward *r) {
    reward_close(((struct rereader *)r)->inner);
    free(((struct rereader *)r)->jobs);
    free(r);
}

static const struct reward_ops reread_ops = {.close = reread_close,
                                             .root = reread_root,
                                             .extend = reread_extend,
                                             .root_cost = reread_root_cost,
                                             .release = reread_release,
                                             .submit = reread_submit,
                                             .cancel = reread_cancel,
                                             .work = reread_work,
                                             .next = reread_next,
                                             .in_flight = reread_in_flight,
                                             .computed = reread_computed};

static struct reward *reread(struct reward *inner) {
    struct rereader *x = mem_zalloc(1, sizeof *x);
    x->base.ops = &reread_ops;
    x->base.info = *reward_info(inner);
    x->inner = inner;
    return &x->base;
}

/* ---- unique tokens ---- */

struct counting {
    struct model *model; /* the reward model's tokenizer and chat format */
    struct map *texts;   /* "problem path" of a node: index of its whole text */
    char **whole;
    size_t n_whole, cap;
    struct map *seen; /* "problem" and the steps so far */
    double n_unique, n_steps, n_solutions;
};

struct step_walk {
    struct counting *c;
    struct buf key;
    int n_steps;
};

static void count_step(void *ctx, struct str step) {
    struct step_walk *w = ctx;
    uint32_t ignored;
    buf_add_str(&w->key, step);
    buf_add_str(&w->key, STR("\n\n"));
    w->n_steps++;
    if (map_get(w->c->seen, buf_str(&w->key), &ignored)) return;
    map_put(w->c->seen, buf_str(&w->key), 1);
    struct tokens ids = {0};
    struct err e;
    if (!tokenizer_encode(w->c->model->tokenizer, step, &ids, &e)) fail(&e);
    w->c->n_unique += (double)ids.len + 1;
    tokens_free(&ids);
}

static struct buf key_of(int ordinal, struct str path) {
    struct buf key = {0};
    buf_printf(&key, "%d ", ordinal);
    buf_add_str(&key, path);
    return key;
}

static const char *whole_text(const struct counting *c, int ordinal, const char *path, size_t n) {
    uint32_t i;
    struct buf key = key_of(ordinal, (struct str){path, n});
    const char *text = map_get(c->texts, buf_str(&key), &i) ? c->whole[i] : "";
    buf_free(&key);
    return text;
}

static bool on_event(void *ctx, const struct run_event *event, struct err *e) {
    struct counting *c = ctx;
    UNUSED(e);
    if (event->what == RUN_NODE) {
        const char *dot = strrchr(event->path, '.');
        struct buf text = {0}, key = key_of(event->ordinal, str_from(event->path));
        buf_add_str(&text, str_from(whole_text(c, event->ordinal, event->path,
                                               dot ? (size_t)(dot - event->path) : 0)));
        buf_add_str(&text, event->node->text);
        MEM_GROW(c->whole, c->cap, c->n_whole + 1);
        map_put(c->texts, buf_str(&key), (uint32_t)c->n_whole);
        c->whole[c->n_whole++] = buf_take(&text);
        buf_free(&key);
    } else if (event->what == RUN_SCORE) {
        struct step_walk w = {.c = c, .key = key_of(event->ordinal, STR(""))};
        reward_split_steps(str_from(whole_text(c, event->ordinal, event->path, strlen(event->path))),
                           STR("\n\n"), count_step, &w);
        buf_free(&w.key);
    } else if (event->what == RUN_ENDED) {
        for (size_t i = 0; i < event->solutions->n; i++) c->n_steps += event->solutions->items[i].n_rewards;
        c->n_solutions += (double)event->solutions->n;
    }
    return true;
}

static double prompt_tokens(const struct model *m, const char *problem) {
    struct tokens ids = {0};
    struct err e;
    const struct chat_message message = {CHAT_USER, str_from(problem)};
    if (!chat_render(m->chat, m->tokenizer, &message, 1, true, false, &ids, &e)) fail(&e);
    const double n = (double)ids.len;
    tokens_free(&ids);
    return n;
}

/* ---- a search ---- */

struct outcome {
    double seconds, n_read, n_unique, depth;
};

static struct outcome run(const struct task *task, const int *problems, int n, const char *strategy,
                          const struct model *prm, bool rereads) {
    struct err e = {0};
    struct search_spec spec;
    struct policy *policy = policy_open("lab:small", NULL, &e);
    struct reward *reward = policy ? reward_open("lab:prm", NULL, &e) : NULL;
    if (!reward || !search_spec_parse(&spec, strategy, &e)) fail(&e);
    if (rereads) reward = reread(reward);
    run_fill_spec(&spec, policy_info(policy), AGGREGATE_MIN);
    struct counting c = {
        .model = (struct model *)(uintptr_t)prm, .texts = map_new(1024), .seen = map_new(1024)};
    const double began = clock_seconds();
    for (int i = 0; i < n; i++) { /* one after the other, as a person asks */
        const struct task_problem *t = &task->problems[problems[i]];
        struct coordinator *co = coordinator_new(policy, reward, NULL, on_event, &c);
        const struct coordinator_problem p = {.ordinal = i,
                                              .id = t->id,
                                              .text = t->prompt,
                                              .key = rng_child_named(1, t->id),
                                              .spec = &spec,
                                              .n_tokens_max = policy_info(policy)->n_context};
        c.n_unique += prompt_tokens(prm, t->prompt);
        int n_active = 1;
        if (!coordinator_add(co, &p, &e)) fail(&e);
        while (n_active > 0)
            if (!coordinator_step(co, &n_active, &e)) fail(&e);
        coordinator_free(co);
    }
    const struct outcome out = {.seconds = clock_seconds() - began,
                                .n_read = reward_computed(reward).tokens_read,
                                .n_unique = c.n_unique,
                                .depth = c.n_steps / c.n_solutions};
    for (size_t i = 0; i < c.n_whole; i++) free(c.whole[i]);
    free(c.whole);
    map_free(c.texts);
    map_free(c.seen);
    reward_close(reward);
    policy_close(policy);
    return out;
}

int main(int argc, char **argv) {
    struct err e = {0};
    struct task *task = task_open("lab:story", 0, &e);
    char *path = task ? share_path("models/prm", &e) : NULL;
    struct model *prm = path ? model_open(path, &e) : NULL;
    if (!prm) fail(&e);
    int *problems = mem_zalloc(task->n_problems, sizeof *problems), n = 0;
    for (int level = 5; level >= 1; level--)
        for (size_t i = 0; i < task->n_problems; i++)
            if (task->problems[i].level == level) problems[n++] = (int)i;
    n = MIN(n, argc > 1 ? MAX(1, (int)strtol(argv[1], NULL, 10)) : 20);
    printf("%-28s %6s %9s %9s %6s %9s %7s   whole prefixes: %8s %6s %9s\n", "tokens read by the reward model",
           "steps", "read", "unique", "ratio", "seconds", "", "read", "ratio", "seconds");
    bool good = true;
    for (size_t i = 0; i < ARRAY_LEN(strategies); i++) {
        const struct outcome a = run(task, problems, n, strategies[i], prm, false);
        const struct outcome b = run(task, problems, n, strategies[i], prm, true);
        printf("%-28s %9.1f %9.0f %9.0f %6.3f %9.3f %24s %8.0f %6.2f %9.3f\n", strategies[i], a.depth,
               a.n_read, a.n_unique, a.n_read / a.n_unique, a.seconds, "", b.n_read, b.n_read / b.n_unique,
               b.seconds);
        good = good && a.n_read < 1.01 * a.n_unique && a.n_unique == b.n_unique;
    }
    if (!good) printf("tokens were read more than once, or the searches differ\n");
    free(problems);
    free(path);
    model_close(prm);
    task_free(task);
    return !good;
}
