/* question.c - see question.h. */
#include "http/question.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { PROBE_TRIES_MAX = 6, PROBE_BYTES_MAX = 1 << 24, NAMES_SHOWN_MAX = 8 };
static const double probe_seconds = 15;

bool question_keep(struct ask *a, const json_t *answer, double *n_tokens, struct err *e) {
    UNUSED(e);
    *n_tokens = 0;
    ((struct question *)a)->answer = json_incref((json_t *)(uintptr_t)answer);
    return true;
}

/* Keeps an answer of that shape. Servers lie now and then; one that means it says so six times. */
bool question_keep_if(bool fits, const char *what, struct ask *a, const json_t *answer, double *n_tokens,
                      struct err *e) {
    if (!fits) return err_set(e, ERR_SERVICE, "the server's answer makes no sense: no %s", what);
    return question_keep(a, answer, n_tokens, e);
}

void question_send(struct remote *r, struct ask *a, const char *path, bool at_root, ask_read *read) {
    a->path = path;
    a->at_root = at_root;
    a->read = read;
    a->n_bytes_max = PROBE_BYTES_MAX;
    remote_ask(r, a);
}

bool question_ask(struct remote *r, struct question *q, const char *path, bool at_root, ask_read *read,
                  struct err *e) {
    question_send(r, &q->ask, path, at_root, read);
    bool done = remote_wait(r, &q->ask, e);
    buf_free(&q->ask.body);
    return done;
}

struct question question_at(int server) {
    return (struct question){
        .ask = {.only = server, .tries_max = PROBE_TRIES_MAX, .seconds_max = probe_seconds}};
}

void question_fini(struct question *q) {
    json_decref(q->answer);
    q->answer = NULL;
    ask_fini(&q->ask);
    q->ask.state = ASK_IDLE;
}

struct question question_to_any(uint64_t affinity, double seconds_max) {
    struct question q = question_at(-1);
    q.ask.affinity = affinity;
    q.ask.seconds_max = seconds_max;
    q.ask.tries_max = 0;
    return q;
}

bool question_refused(const struct remote *r, const struct question *q, struct err *e) {
    const bool failed = q->ask.status == 0 || (q->ask.status == 200 && q->ask.only < 0);
    return err_set(e, failed ? ERR_SERVICE : ERR_INPUT, "%s%s: %s", remote_server(r, q->ask.server),
                   q->ask.path, q->ask.why);
}

/* ---- which model ---- */
static bool keep_models(struct ask *a, const json_t *answer, double *n_tokens, struct err *e) {
    return question_keep_if(json_is_array(json_object_get(answer, "data")), "data", a, answer, n_tokens, e);
}

static bool unknown_model(const struct remote *r, int server, const char *model, const json_t *data,
                          struct err *e) {
    struct buf names = {0};
    for (size_t i = 0; i < MIN(json_array_size(data), (size_t)NAMES_SHOWN_MAX); i++) {
        const char *id = json_string_value(json_object_get(json_array_get(data, i), "id"));
        if (id) buf_printf(&names, "%s%s", names.len > 0 ? ", " : "", id);
    }
    if (model[0])
        err_set(e, ERR_INPUT, "%s: no model '%s'; it has: %s", remote_server(r, server), model,
                buf_cstr(&names));
    else
        err_set(e, ERR_INPUT, "%s: say which model, as in URL#model; it has: %s", remote_server(r, server),
                buf_cstr(&names));
    buf_free(&names);
    return false;
}

static bool take_model(const struct remote *r, int server, const char *model, const json_t *answer,
                       struct question_model *out, struct err *e) {
    const json_t *data = json_object_get(answer, "data"), *found = NULL;
    for (size_t i = 0; i < json_array_size(data); i++) {
        const json_t *x = json_array_get(data, i);
        const char *id = json_string_value(json_object_get(x, "id"));
        if (!id || (model[0] && strcmp(id, model) != 0)) continue;
        if (!model[0] && json_array_size(data) > 1) break;
        found = x;
        break;
    }
    if (!found) return unknown_model(r, server, model, data, e);
    const char *owner = json_string_value(json_object_get(found, "owned_by"));
    const json_int_t n = json_integer_value(json_object_get(found, "max_model_len"));
    out->name = mem_strdup(json_string_value(json_object_get(found, "id")));
    out->n_context = n > 0 && n < INT32_MAX ? (int)n : 0;
    snprintf(out->owner, sizeof out->owner, "%s", owner ? owner : "");
    return true;
}

bool question_which_model(struct remote *r, int server, const char *model, struct question_model *out,
                          struct err *e) {
    struct question q = question_at(server);
    bool done = false;
    *out = (struct question_model){0};
    if (!question_ask(r, &q, "/models", false, keep_models, e)) {
        done = true;
    } else if (q.answer) {
        done = out->there = take_model(r, server, model, q.answer, out, e);
    } else if (q.ask.status == 401 || q.ask.status == 403) {
        err_set(e, ERR_INPUT, "%s wants another key (%s): set BROOD_API_KEY, or BROOD_API_KEY_FILE",
                remote_server(r, server), q.ask.why);
    } else if (q.ask.status == 0) {
        done = true;
        err_set(e, ERR_SERVICE, "%s: %s; is the server running?", remote_server(r, server), q.ask.why);
    } else {
        err_set(e, ERR_INPUT, "%s/models: %s; give the URL of an OpenAI-compatible server up to /v1",
                remote_server(r, server), q.ask.why);
    }
    question_fini(&q);
    return done;
}
