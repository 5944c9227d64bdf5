/* score.c - see score.h. Lines are read as long as the batch has room, and written in their order. */
#include "eval/score.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"

static const char *const prompt_names[] = {"prompt", "question", "problem", NULL};
static const char *const text_names[] = {"text", "response", "completion", "solution", "sample", NULL};
static const char *const texts_names[] = {"texts", "responses", "completions", "samples", NULL};

struct score_job { /* one solution */
    const char *text;
    json_t *rewards; /* NULL: not yet; null: failed */
};

struct score_line {
    json_t *object;
    struct reward_prefix *root;
    struct score_job *jobs;
    size_t n_jobs, cap;
    uint64_t first_id; /* of jobs[0]; the others follow */
    size_t n_open;
};

struct scoring {
    struct reward *reward;
    FILE *out;
    struct score_line *lines; /* [n_lines], those before i_line are written */
    size_t i_line, n_lines, cap;
    uint64_t next_id;
    struct score_progress *progress;
};

static json_t *first_string(const json_t *object, const char *const *names) {
    for (; *names; names++) {
        json_t *v = json_object_get(object, *names);
        if (json_is_string(v)) return v;
    }
    return NULL;
}

static json_t *first_list(const json_t *object, const char *const *names) {
    for (; *names; names++) {
        json_t *v = json_object_get(object, *names);
        if (json_is_array(v)) return v;
    }
    return NULL;
}

/* ---- a line into jobs, rewards into the line ---- */

static bool add_job(struct score_line *l, const json_t *text, const char *where, struct err *e) {
    if (!json_is_string(text)) return err_set(e, ERR_INPUT, "%s: a solution without text", where);
    MEM_GROW(l->jobs, l->cap, l->n_jobs + 1);
    l->jobs[l->n_jobs++] = (struct score_job){.text = json_string_value(text)};
    return true;
}

static bool find_jobs(struct score_line *l, const char *where, struct err *e) {
    json_t *const solutions = json_object_get(l->object, "solutions");
    const json_t *texts = first_list(l->object, texts_names), *text = first_string(l->object, text_names),
                 *item;
    size_t i;
    if (json_is_array(solutions)) {
        json_array_foreach(solutions, i, item) {
            if (!add_job(l, first_string(item, text_names), where, e)) return false;
        }
    } else if (texts) {
        json_array_foreach((json_t *)(uintptr_t)texts, i, item) {
            if (!add_job(l, item, where, e)) return false;
        }
    } else if (text) {
        return add_job(l, text, where, e);
    }
    return true;
}

static void put_rewards(struct score_line *l) {
    json_t *const solutions = json_object_get(l->object, "solutions");
    if (json_is_array(solutions)) {
        for (size_t i = 0; i < l->n_jobs; i++)
            json_object_set_new(json_array_get(solutions, i), "rewards", l->jobs[i].rewards);
    } else if (first_list(l->object, texts_names)) {
        json_t *lists = json_array();
        for (size_t i = 0; i < l->n_jobs; i++) json_array_append_new(lists, l->jobs[i].rewards);
        json_object_set_new(l->object, "rewards", lists);
    } else if (l->n_jobs == 1) {
        json_object_set_new(l->object, "rewards", l->jobs[0].rewards);
    }
    for (size_t i = 0; i < l->n_jobs; i++) l->jobs[i].rewards = NULL;
}

static void line_fini(struct scoring *s, struct score_line *l) {
    for (size_t i = 0; i < l->n_jobs; i++) {
        if (!l->jobs[i].rewards) reward_cancel(s->reward, l->first_id + i);
        json_decref(l->jobs[i].rewards);
    }
    if (l->root) reward_release(s->reward, l->root);
    free(l->jobs);
    json_decref(l->object);
    *l = (struct score_line){0};
}

/* ---- in and out ---- */

static void note_failure(struct scoring *s, const char *why) {
    if (s->progress->failure.code == ERR_NONE) err_set(&s->progress->failure, ERR_INPUT, "%s", why);
    s->progress->n_failed++;
}

/* The problem cannot be read: none of its solutions gets a reward. */
static void give_up(struct scoring *s, struct score_line *l, const struct err *why) {
    for (size_t i = 0; i < l->n_jobs; i++) {
        l->jobs[i].rewards = json_null();
        note_failure(s, why->msg);
    }
    s->progress->n_solutions += (int)l->n_jobs;
    s->next_id += l->n_jobs;
}

static bool submit_line(struct scoring *s, struct str text, const char *where, struct err *e) {
    MEM_GROW(s->lines, s->cap, s->n_lines + 1);
    struct score_line *l = &s->lines[s->n_lines++];
    *l = (struct score_line){.object = json_parse(text, where, e), .first_id = s->next_id};
    if (!l->object) return false;
    if (!json_is_object(l->object)) return err_set(e, ERR_INPUT, "%s: not a JSON object", where);
    if (!find_jobs(l, where, e)) return false;
    if (l->n_jobs == 0) return true;
    const json_t *prompt = first_string(l->object, prompt_names);
    if (!prompt)
        return err_set(e, ERR_INPUT, "%s: no problem text: solutions are scored with their \"prompt\"",
                       where);
    l->root = reward_root(s->reward, json_string_value(prompt), e);
    if (!l->root && e->code == ERR_INPUT) {
        give_up(s, l, e);
        return true;
    }
    if (!l->root) return false;
    const struct cost cost = reward_root_cost(s->reward, l->root);
    s->progress->tokens_read += cost.tokens_read;
    s->progress->flops += cost.flops;
    for (size_t i = 0; i < l->n_jobs; i++) {
        const struct reward_job job = {
            .id = s->next_id++, .from = l->root, .text = str_from(l->jobs[i].text)};
        reward_submit(s->reward, &job);
        l->n_open++;
    }
    return true;
}

/* Results belong to one of the lines in flight: few, so a walk finds it. */
static void take_result(struct scoring *s, const struct reward_result *r) {
    size_t i = s->i_line;
    while (r->id >= s->lines[i].first_id + s->lines[i].n_jobs) i++;
    struct score_line *l = &s->lines[i];
    struct score_job *job = &l->jobs[r->id - l->first_id];
    job->rewards = r->failed ? json_null() : json_array();
    for (int j = 0; !r->failed && j < r->n_rewards; j++)
        json_array_append_new(job->rewards, json_real((double)r->rewards[j]));
    reward_release(s->reward, r->prefix);
    l->n_open--;
    s->progress->n_solutions++;
    if (r->failed) note_failure(s, r->why ? r->why : "no reason given");
    s->progress->tokens_read += r->cost.tokens_read;
    s->progress->flops += r->cost.flops;
}

static bool write_done(struct scoring *s, struct err *e) {
    while (s->i_line < s->n_lines && s->lines[s->i_line].n_open == 0) {
        struct score_line *l = &s->lines[s->i_line];
        put_rewards(l);
        char *text = json_line(l->object);
        const bool ok = fprintf(s->out, "%s\n", text) > 0;
        free(text);
        line_fini(s, l);
        s->i_line++;
        s->progress->n_lines++;
        if (!ok) return err_set(e, ERR_SERVICE, "cannot write the scored solutions: %s", strerror(errno));
    }
    if (s->i_line == s->n_lines) s->i_line = s->n_lines = 0;
    return true;
}

/* Reads lines while the batch has room: 1, 0 at the end of the file, -1 on error. */
static int feed(struct scoring *s, struct file_lines *f, const char *path, struct err *e) {
    while (reward_in_flight(s->reward) < reward_info(s->reward)->n_wanted) {
        struct str line;
        const int got = file_lines_next(f, &line, e);
        if (got <= 0) return got;
        if (str_trim(line).len == 0) continue;
        struct buf where = {0};
        buf_printf(&where, "%s:%zu", path, file_lines_number(f));
        const bool ok = submit_line(s, line, buf_cstr(&where), e);
        buf_free(&where);
        if (!ok) return -1;
    }
    return 1;
}

static bool score_lines(struct scoring *s, struct file_lines *f, const char *path, score_on_progress *on,
                        void *ctx, struct err *e) {
    for (int more = 1; more > 0 || s->n_lines > 0;) {
        struct reward_result result;
        if (more > 0) more = feed(s, f, path, e);
        if (more < 0 || reward_work(s->reward, 0.1, e) < 0) return false;
        while (reward_next(s->reward, &result)) take_result(s, &result);
        if (!write_done(s, e)) return false;
        if (on && !on(ctx, s->progress))
            return err_set(e, ERR_CANCELLED, "interrupted: the solutions so far are written");
    }
    return true;
}

bool score_file(const char *path, struct reward *reward, FILE *out, score_on_progress *on, void *ctx,
                struct score_progress *p, struct err *e) {
    *p = (struct score_progress){0};
    struct scoring s = {.reward = reward, .out = out, .progress = p};
    struct file_lines *f = file_lines_open(path, e);
    if (!f) return false;
    const bool ok = score_lines(&s, f, path, on, ctx, e);
    for (size_t i = s.i_line; i < s.n_lines; i++) line_fini(&s, &s.lines[i]);
    free(s.lines);
    file_lines_close(f);
    return ok;
}
