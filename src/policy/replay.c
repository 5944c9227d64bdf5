/* replay.c - recorded samples as a policy: replay:FILE, JSON lines (.gz too).
 *
 * Two layouts, also mixed; samples of lines with the same id add up in the order of the file:
 *
 *     {"id": "math/0", "samples": ["first solution", {"text": "second", "n_tokens": 57, "finish": "stop"}]}
 *     {"task_id": "HumanEval/0", "completion": "    return 1"}
 *
 *   the problem   id, task_id, unique_id, problem_id, idx or instance_id: text or a whole number; else the
 *                 line's number. question, problem, prompt or input: its text, by which it is found when the
 *                 id is not
 *
 *   many samples  samples, solutions, completions, responses, generations, outputs or code: a list of texts
 *                 or objects
 *
 *   one sample    text, completion, solution, response, output, generation, code or model_patch; in a line
 *                 or in a list's object, there with n_tokens, logprob (both of the whole sample) and finish
 *                 or finish_reason ("length": cut)
 *
 * Until the end, child i of the root is recorded sample i. Until a step, it is the first step of sample i,
 * and the rest of that sample follows as the only child (0) of each step. What was not recorded fails, and
 * says so.
 *
 * Costs are what the file says: n_tokens for a sample given in one piece, else nothing (a piece's count is
 * not known and is not guessed). n_tokens_max and sampling do not apply: the text was written long ago. So
 * there are no leads and no confidences either.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/rng.h"
#include "policy/kinds.h"

struct sample {
    char *text;
    size_t n_bytes;
    int n_tokens;   /* 0: not known */
    double logprob; /* NAN: not known */
    bool cut;
};

struct recorded {
    char *id;
    struct sample *samples;
    size_t n_samples, cap;
};

struct policy_prefix {
    uint32_t i_problem;
    int i_sample; /* -1: the root */
    size_t at;    /* bytes of the sample that are written */
};

struct replay {
    struct policy base;
    struct recorded *problems;
    size_t n_problems, cap;
    struct map *by_id, *by_text;
    struct policy_queue queue;
    char *path, *separator;
    struct buf why; /* of the last result */
};

/* ---- reading the file ---- */
static const char *const id_keys[] = {"id", "task_id", "unique_id", "problem_id", "idx", "instance_id", NULL};
static const char *const prompt_keys[] = {"question", "problem", "prompt", "input", NULL};
static const char *const list_keys[] = {"samples",     "solutions", "completions", "responses",
                                        "generations", "outputs",   "code",        NULL};
static const char *const text_keys[] = {"text",       "completion", "solution",    "response", "output",
                                        "generation", "code",       "model_patch", NULL};

/* The first of the keys whose value is of this type. */
static const json_t *first_of(const json_t *object, const char *const *keys, json_type type) {
    for (; *keys; keys++) {
        const json_t *v = json_object_get(object, *keys);
        if (v && json_typeof(v) == type) return v;
    }
    return NULL;
}

static struct str text_of(const json_t *string) {
    return (struct str){json_string_value(string), json_string_length(string)};
}

static void add_sample(struct recorded *r, struct str text, int64_t n_tokens, double logprob, bool cut) {
    MEM_GROW(r->samples, r->cap, r->n_samples + 1);
    r->samples[r->n_samples++] = (struct sample){.text = str_dup(text),
                                                 .n_bytes = text.len,
                                                 .n_tokens = (int)n_tokens,
                                                 .logprob = logprob,
                                                 .cut = cut};
}

static bool read_sample_object(struct recorded *r, const json_t *object, const char *where, struct err *e) {
    const json_t *text = first_of(object, text_keys, JSON_STRING);
    if (!text)
        return err_set(
            e, ERR_INPUT,
            "%s: no recorded sample; expected a list \"samples\" or a text \"completion\" (or one of "
            "their synonyms)",
            where);
    int64_t n_tokens;
    double logprob;
    const char *finish, *finish_reason;
    if (!json_get_int(object, "n_tokens", 0, 0, INT32_MAX, &n_tokens, where, e)) return false;
    if (!json_get_real(object, "logprob", NAN, &logprob, where, e)) return false;
    if (!json_get_string(object, "finish_reason", "", &finish_reason, where, e)) return false;
    if (!json_get_string(object, "finish", finish_reason, &finish, where, e)) return false;
    add_sample(r, text_of(text), n_tokens, logprob, str_equal(str_from(finish), STR("length")));
    return true;
}

static bool read_samples(struct recorded *r, const json_t *line, const char *where, struct err *e) {
    const json_t *list = first_of(line, list_keys, JSON_ARRAY);
    if (!list) return read_sample_object(r, line, where, e);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *v = json_array_get(list, i);
        if (json_is_string(v))
            add_sample(r, text_of(v), 0, NAN, false);
        else if (!json_is_object(v))
            return err_set(e, ERR_INPUT, "%s: sample %zu is neither a text nor an object", where, i);
        else if (!read_sample_object(r, v, where, e))
            return false;
    }
    return true;
}

/* The problem of a line, made if it is new. */
static struct recorded *problem_of(struct replay *p, const json_t *line, size_t i_line) {
    struct buf id = {0};
    for (const char *const *key = id_keys; *key && id.len == 0; key++) {
        const json_t *v = json_object_get(line, *key);
        if (json_is_string(v)) buf_add_str(&id, text_of(v));
        if (json_is_integer(v)) buf_printf(&id, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    }
    if (id.len == 0) buf_printf(&id, "%zu", i_line);
    uint32_t i_problem;
    if (!map_get(p->by_id, buf_str(&id), &i_problem)) {
        i_problem = (uint32_t)p->n_problems++;
        MEM_GROW(p->problems, p->cap, p->n_problems);
        p->problems[i_problem] = (struct recorded){.id = str_dup(buf_str(&id))};
        map_put(p->by_id, buf_str(&id), i_problem);
        const json_t *prompt = first_of(line, prompt_keys, JSON_STRING);
        if (prompt) map_put(p->by_text, str_trim(text_of(prompt)), i_problem);
    }
    buf_free(&id);
    return &p->problems[i_problem];
}

static bool read_line(struct replay *p, struct str text, size_t i_line, struct err *e) {
    char where[300];
    snprintf(where, sizeof where, "%s:%zu", p->path, i_line);
    json_t *line = json_parse(text, where, e);
    if (!line) return false;
    bool done = json_is_object(line) ? read_samples(problem_of(p, line, i_line), line, where, e)
                                     : err_set(e, ERR_INPUT, "%s: expected an object", where);
    json_decref(line);
    return done;
}

static bool read_file(struct replay *p, uint64_t *hash, struct err *e) {
    struct file_lines *lines = file_lines_open(p->path, e);
    if (!lines) return false;
    struct str line;
    int got;
    while ((got = file_lines_next(lines, &line, e)) > 0) {
        *hash = rng_hash(*hash, line.ptr, line.len);
        if (str_trim(line).len > 0 && !read_line(p, line, file_lines_number(lines), e)) break;
    }
    file_lines_close(lines);
    if (got != 0) return false;
    if (p->n_problems == 0) return err_set(e, ERR_INPUT, "%s: holds no recorded samples", p->path);
    return true;
}

/* ---- the policy ---- */
static void replay_close(struct policy *policy) {
    struct replay *p = (struct replay *)policy;
    for (size_t i = 0; i < p->n_problems; i++) {
        for (size_t j = 0; j < p->problems[i].n_samples; j++) free(p->problems[i].samples[j].text);
        free(p->problems[i].samples);
        free(p->problems[i].id);
    }
    free(p->problems);
    map_free(p->by_id);
    map_free(p->by_text);
    policy_queue_free(&p->queue);
    buf_free(&p->why);
    free(p->path);
    free(p->separator);
    free(p);
}

static struct policy_prefix *replay_root(struct policy *policy, const struct policy_prompt *prompt,
                                         struct err *e) {
    struct replay *p = (struct replay *)policy;
    uint32_t i_problem;
    if (!map_get(p->by_id, str_from(prompt->id), &i_problem) &&
        !map_get(p->by_text, str_trim(str_from(prompt->text)), &i_problem)) {
        err_set(e, ERR_INPUT,
                "%s: no recorded samples of problem '%s' (it has %zu problems, the first is '%s')", p->path,
                prompt->id ? prompt->id : "", p->n_problems, p->problems[0].id);
        return NULL;
    }
    struct policy_prefix root = {.i_problem = i_problem, .i_sample = -1};
    return mem_dup(&root, sizeof root);
}

static struct cost replay_root_cost(const struct policy *policy, const struct policy_prefix *root) {
    UNUSED(policy);
    UNUSED(root);
    return (struct cost){0};
}

/* The sample that child `index` of a prefix continues; NULL with a reason if it was not recorded. */
static const struct sample *child_sample(const struct replay *p, const struct policy_prefix *from, int index,
                                         int *i_sample, struct buf *why) {
    const struct recorded *r = &p->problems[from->i_problem];
    buf_clear(why);
    *i_sample = from->i_sample < 0 ? index : from->i_sample;
    if (from->i_sample >= 0 && index > 0)
        buf_printf(why, "a recorded step has one continuation, and child %d was asked for", index);
    else if ((size_t)*i_sample >= r->n_samples)
        buf_printf(why, "problem '%s' has %zu recorded samples, and sample %d was asked for (counted from 0)",
                   r->id, r->n_samples, *i_sample);
    else if (from->i_sample >= 0 && from->at == r->samples[*i_sample].n_bytes)
        buf_printf(why, "the recorded sample has ended");
    else
        return &r->samples[*i_sample];
    return NULL;
}

static struct policy_prefix *replay_extend(struct policy *policy, struct policy_prefix *from,
                                           const struct policy_piece *piece, struct err *e) {
    struct replay *p = (struct replay *)policy;
    const struct str text = piece->text;
    struct policy_prefix prefix = *from;
    struct buf why = {0};
    const struct sample *s = child_sample(p, from, piece->index, &prefix.i_sample, &why);
    if (!s) {
        err_set(e, ERR_INPUT, "%s: %s", p->path, buf_cstr(&why));
        buf_free(&why);
        return NULL;
    }
    if (!str_starts((struct str){s->text + from->at, s->n_bytes - from->at}, text)) {
        err_set(e, ERR_INPUT,
                "%s: sample %d of problem '%s' is not the text of this run: the file has changed", p->path,
                prefix.i_sample, p->problems[prefix.i_problem].id);
        return NULL;
    }
    prefix.at += text.len;
    return mem_dup(&prefix, sizeof prefix);
}

static void replay_release(struct policy *policy, struct policy_prefix *prefix) {
    UNUSED(policy);
    free(prefix);
}

static void replay_submit(struct policy *policy, const struct policy_job *job) {
    policy_queue_add(&((struct replay *)policy)->queue, job);
}

static void replay_cancel(struct policy *policy, uint64_t id) {
    policy_queue_cancel(&((struct replay *)policy)->queue, id);
}

static int replay_work(struct policy *policy, double seconds_max, struct err *e) {
    UNUSED(seconds_max);
    UNUSED(e);
    return policy_queue_work(&((struct replay *)policy)->queue);
}

/* Where the step that begins at `at` ends: after the first separator behind something that is not blank; at
 * the end of the text if nothing but blanks would follow. */
static size_t step_end(struct str text, size_t at, struct str separator) {
    for (size_t from = at;;) {
        ptrdiff_t found = str_find((struct str){text.ptr + from, text.len - from}, separator);
        if (found < 0) return text.len;
        size_t body = from + (size_t)found;
        from = body + separator.len;
        if (str_trim((struct str){text.ptr + at, body - at}).len == 0) continue;
        return str_trim((struct str){text.ptr + from, text.len - from}).len > 0 ? from : text.len;
    }
}

static bool replay_next(struct policy *policy, struct policy_result *out) {
    struct replay *p = (struct replay *)policy;
    struct policy_job job;
    if (!policy_queue_take(&p->queue, false, &job)) return false;
    out->id = job.id;
    struct policy_prefix prefix = *job.from;
    const struct sample *s = child_sample(p, job.from, job.index, &prefix.i_sample, &p->why);
    if (!s) {
        out->finish = POLICY_FAILED;
        out->why = buf_cstr(&p->why);
        return true;
    }
    prefix.at = s->n_bytes;
    if (job.until == POLICY_UNTIL_STEP)
        prefix.at = step_end((struct str){s->text, s->n_bytes}, job.from->at, str_from(p->separator));
    bool whole = job.from->at == 0 && prefix.at == s->n_bytes;
    out->finish = prefix.at < s->n_bytes ? POLICY_STEP : s->cut ? POLICY_LENGTH : POLICY_END;
    out->text = (struct str){s->text + job.from->at, prefix.at - job.from->at};
    out->n_tokens = whole ? s->n_tokens : 0;
    out->logprob = whole ? s->logprob : NAN;
    out->cost.tokens_generated = out->n_tokens;
    out->prefix = mem_dup(&prefix, sizeof prefix);
    return true;
}

static int replay_in_flight(const struct policy *policy) {
    return (int)((const struct replay *)policy)->queue.n_jobs;
}

static struct cost replay_computed(const struct policy *policy) {
    UNUSED(policy); /* nothing: the samples were computed long ago */
    return (struct cost){0};
}

static const struct policy_ops replay_ops = {
    .close = replay_close,
    .root = replay_root,
    .root_cost = replay_root_cost,
    .extend = replay_extend,
    .release = replay_release,
    .submit = replay_submit,
    .cancel = replay_cancel,
    .work = replay_work,
    .next = replay_next,
    .in_flight = replay_in_flight,
    .computed = replay_computed,
};

struct policy *policy_open_replay(const char *rest, const struct policy_options *o, struct err *e) {
    struct replay *p = mem_zalloc(1, sizeof *p);
    p->path = mem_strdup(rest);
    p->separator = str_dup(policy_separator(o));
    p->by_id = map_new(64);
    p->by_text = map_new(64);
    uint64_t hash = rng_hash(0, p->separator, str_from(p->separator).len);
    if (!read_file(p, &hash, e)) {
        replay_close(&p->base);
        return NULL;
    }
    p->base.ops = &replay_ops;
    p->base.info =
        (struct policy_info){.kind = "replay", .n_wanted = 256, .sampling = {.temperature = 1, .top_p = 1}};
    policy_set_identity(&p->base, hash);
    return &p->base;
}
