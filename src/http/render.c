/* render.c - see render.h. */
#include "http/render.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* An empty list is llama-server's answer to messages: a probe takes it for a refusal. */
static bool read_ids(struct ask *a, const json_t *answer, double *n_tokens, struct err *e) {
    struct rendering *x = (struct rendering *)a;
    const json_t *list = json_object_get(answer, "tokens");
    *n_tokens = 0;
    x->ids.len = 0;
    return (a->only >= 0 && json_is_array(list) && json_array_size(list) == 0) ||
           wire_take_ids(answer, &x->ids, e);
}

static bool read_template(struct ask *a, const json_t *answer, double *n_tokens, struct err *e) {
    struct rendering *x = (struct rendering *)a;
    const char *text = json_string_value(json_object_get(answer, "prompt"));
    *n_tokens = 0;
    if (!text) return wire_senseless(e, "no prompt");
    free(x->template_text);
    x->template_text = mem_strdup(text);
    return true;
}

static bool read_token(struct ask *a, const json_t *answer, double *n_tokens, struct err *e) {
    struct rendering *x = (struct rendering *)a;
    const char *text = wire_token_text(answer);
    *n_tokens = 0;
    if (!text) return wire_senseless(e, "no text");
    free(x->text);
    x->text = mem_strdup(text);
    return true;
}

static void init(struct rendering *x, const struct render_at *at, uint64_t affinity) {
    const bool probes = at->seconds_max <= 0;
    const struct question q = probes ? question_at(at->only) : question_to_any(affinity, at->seconds_max);
    *x = (struct rendering){.ask = q.ask, .at = *at};
    x->ask.affinity = affinity;
    x->ask.ctx = x;
}

static void send(struct rendering *x, const char *path, ask_read *read) {
    x->state = RENDER_ASKED;
    question_send(x->at.remote, &x->ask, path, true, read);
}

void rendering_turns(struct rendering *x, const struct render_at *at, const char *system,
                     const char *const *turns, size_t n_turns, uint64_t affinity) {
    const bool llama = wire_is_llama(at->form);
    init(x, at, affinity);
    wire_put_messages(&x->ask.body, at->model, system, turns, n_turns);
    send(x, llama ? "/apply-template" : "/tokenize", llama ? read_template : read_ids);
}

void rendering_cut(struct rendering *x, const struct render_at *at, const char *text, uint64_t affinity) {
    init(x, at, affinity);
    wire_put_plain(&x->ask.body, at->form, at->model, text);
    send(x, "/tokenize", read_ids);
}

void rendering_begun(struct rendering *x, const struct render_at *at, const char *text, uint64_t affinity) {
    init(x, at, affinity);
    wire_put_begun(&x->ask.body, at->form, at->model, text);
    send(x, "/tokenize", read_ids);
}

void rendering_token(struct rendering *x, const struct render_at *at, int id, uint64_t affinity) {
    init(x, at, affinity);
    wire_put_token(&x->ask.body, at->model, id);
    send(x, "/detokenize", read_token);
}

void rendering_over(struct rendering *x) {
    const bool is_token = x->ask.read == read_token;
    if (x->ask.state == ASK_DONE && x->ask.read == read_template) {
        buf_clear(&x->ask.body);
        wire_put_content(&x->ask.body, x->template_text);
        send(x, "/tokenize", read_ids);
    } else if (is_token || (x->ask.state == ASK_DONE && x->ids.len > 0)) {
        x->state = RENDER_DONE;
    } else if (x->ask.state == ASK_DONE) {
        x->state = RENDER_REFUSED;
        err_set(&x->why, ERR_INPUT, "%s/tokenize gives no tokens",
                remote_server(x->at.remote, x->ask.server));
    } else {
        const struct question q = {.ask = x->ask};
        x->state = RENDER_REFUSED;
        question_refused(x->at.remote, &q, &x->why);
    }
}

void rendering_fini(struct rendering *x) {
    if (x->at.remote) remote_drop(x->at.remote, &x->ask);
    ask_fini(&x->ask);
    wire_ids_free(&x->ids);
    free(x->text);
    free(x->template_text);
    *x = (struct rendering){0};
}

bool rendering_wait(struct rendering *x, struct err *e) {
    while (x->state == RENDER_ASKED) {
        if (!remote_wait(x->at.remote, &x->ask, e)) return false;
        rendering_over(x);
    }
    if (x->state == RENDER_REFUSED) *e = x->why;
    return x->state == RENDER_DONE;
}

static bool take(struct rendering *x, struct wire_ids *ids, struct err *e) {
    const bool done = rendering_wait(x, e);
    if (done) wire_ids_add(ids, x->ids.ptr, x->ids.len);
    rendering_fini(x);
    return done;
}

bool render_turns(const struct render_at *at, const char *system, const char *const *turns, size_t n_turns,
                  struct wire_ids *ids, struct err *e) {
    struct rendering x;
    rendering_turns(&x, at, system, turns, n_turns, 0);
    return take(&x, ids, e);
}

bool render_cut(const struct render_at *at, const char *text, struct wire_ids *ids, struct err *e) {
    struct rendering x;
    rendering_cut(&x, at, text, 0);
    return take(&x, ids, e);
}

bool render_begun(const struct render_at *at, const char *text, struct wire_ids *ids, struct err *e) {
    struct rendering x;
    rendering_begun(&x, at, text, 0);
    return take(&x, ids, e);
}
