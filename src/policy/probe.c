/* probe.c - see probe.h. */
#include "policy/probe.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static bool keep_props(struct ask *a, const json_t *answer, double *n_tokens, struct err *e) {
    return question_keep_if(json_is_object(json_object_get(answer, "default_generation_settings")),
                            "settings", a, answer, n_tokens, e);
}

static bool keep_one_token(enum wire_form form, struct ask *a, const json_t *answer, double *n_tokens,
                           struct err *e) {
    struct wire_answer one;
    bool fits = wire_take_job(form, answer, NULL, 1, 0, &one, e);
    wire_answer_free(&one);
    return question_keep_if(fits, "token", a, answer, n_tokens, e);
}

static bool keep_one_of_ids(struct ask *a, const json_t *answer, double *n_tokens, struct err *e) {
    return keep_one_token(WIRE_IDS, a, answer, n_tokens, e);
}

static bool keep_one_of_llama(struct ask *a, const json_t *answer, double *n_tokens, struct err *e) {
    return keep_one_token(WIRE_LLAMA, a, answer, n_tokens, e);
}

static bool keep_one_of_ik(struct ask *a, const json_t *answer, double *n_tokens, struct err *e) {
    return keep_one_token(WIRE_IK, a, answer, n_tokens, e);
}

/* ---- how it talks ---- */

/* Asks for one token after the ids. *talks: it was answered in this form. */
static bool try_form(struct remote *r, int server, enum wire_form form, const char *model,
                     const struct wire_ids *ids, bool stop_is_kept, bool *talks, struct err *e) {
    struct question q = question_at(server);
    bool at_root;
    const char *path = wire_path(form, &at_root);
    const struct wire_job job = {.form = form,
                                 .model = model,
                                 .ids = ids->ptr,
                                 .n_ids = ids->len,
                                 .n_tokens_max = 1,
                                 .sampling = {.temperature = 0, .top_p = 1}};
    *talks = false;
    wire_put_job(&q.ask.body, &job);
    bool done = question_ask(r, &q, path, at_root,
                             form == WIRE_LLAMA ? keep_one_of_llama
                             : form == WIRE_IK  ? keep_one_of_ik
                                                : keep_one_of_ids,
                             e);
    if (done && !q.answer && q.ask.status == 0) done = question_refused(r, &q, e);
    const json_t *choice = json_array_get(json_object_get(q.answer, "choices"), 0);
    *talks = q.answer && (wire_is_llama(form) || stop_is_kept || json_object_get(choice, "stop_reason") ||
                          json_object_get(choice, "matched_stop"));
    question_fini(&q);
    return done;
}

/* The context of a slot, which is shorter than the model's. */
static bool llama_context(struct remote *r, int server, int *n_context, struct err *e) {
    struct question q = question_at(server);
    bool done = question_ask(r, &q, "/props", true, keep_props, e);
    const json_int_t n = json_integer_value(
        json_object_get(json_object_get(q.answer, "default_generation_settings"), "n_ctx"));
    if (n > 0 && n < INT32_MAX) *n_context = (int)n;
    question_fini(&q);
    return done;
}

static bool find_form(struct remote *r, int server, const char *system, bool stop_is_kept,
                      struct probe_found *out, struct err *e) {
    static const enum wire_form forms[] = {WIRE_IDS, WIRE_LLAMA, WIRE_IK};
    bool talks = false, done = true;
    for (size_t i = 0; done && !talks && i < ARRAY_LEN(forms); i++) {
        struct wire_ids ids = {0};
        struct err why = {0};
        out->form = forms[i];
        const char *const turn = "x";
        const struct render_at at = {.remote = r, .form = forms[i], .model = out->model, .only = server};
        if (render_turns(&at, system, &turn, 1, &ids, &why))
            done = try_form(r, server, out->form, out->model, &ids, stop_is_kept, &talks, e);
        else if (why.code == ERR_SERVICE)
            done = err_set(e, ERR_SERVICE, "%s", why.msg);
        wire_ids_free(&ids);
    }
    if (!done) return false;
    if (!talks) out->form = WIRE_CHAT;
    return !wire_is_llama(out->form) || llama_context(r, server, &out->n_context, e);
}

/* One server. *there: it answered; if it did not, *e says why and true is returned. */
static bool probe_one(struct remote *r, int server, const char *model, const char *system,
                      struct probe_found *out, bool *there, struct err *e) {
    struct question_model which;
    *there = false;
    if (!question_which_model(r, server, model, &which, e)) return false;
    if (!which.there) return true;
    const bool stop_is_kept = strcmp(which.owner, "vllm") == 0 || strcmp(which.owner, "sglang") == 0;
    out->model = which.name;
    out->n_context = which.n_context;
    *there = find_form(r, server, system, stop_is_kept, out, e);
    return true;
}

bool probe_servers(struct remote *r, int n_servers, const char *model, const char *system,
                   struct probe_found *out, struct err *e) {
    static const char *const names[] = {[WIRE_IDS] = "token ids",
                                        [WIRE_LLAMA] = "llama-server's own",
                                        [WIRE_IK] = "ik_llama.cpp's",
                                        [WIRE_CHAT] = "chat alone"};
    int first = -1;
    *out = (struct probe_found){0};
    for (int i = 0; i < n_servers; i++) {
        struct probe_found found = {0};
        bool there;
        bool done = probe_one(r, i, out->model ? out->model : model, system, &found, &there, e);
        if (done && there && first < 0) {
            first = i;
            *out = found;
            continue;
        }
        if (done && there && found.form != out->form)
            done = err_set(e, ERR_INPUT, "%s and %s do not talk alike (%s, %s): they cannot share the work",
                           remote_server(r, first), remote_server(r, i), names[out->form], names[found.form]);
        if (done && there && found.n_context > 0)
            out->n_context = out->n_context > 0 ? MIN(out->n_context, found.n_context) : found.n_context;
        free(found.model);
        if (done) continue;
        free(out->model);
        return false;
    }
    return first >= 0;
}
