/* probe.c - see probe.h. */
#include "policy/probe.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { PROBE_TRIES_MAX = 6, PROBE_BYTES_MAX = 1 << 24, NAMES_SHOWN_MAX = 8 };
static const double probe_seconds = 15;

struct question {
    struct ask ask; /* first */
    json_t *answer; /* owned; NULL: refused, or not answered */
};

static bool keep_answer(struct ask *a, const json_t *answer, double *n_tokens, struct err *e) {
    UNUSED(e);
    *n_tokens = 0;
    ((struct question *)a)->answer = json_incref((json_t *)(uintptr_t)answer);
    return true;
}

/* Keeps an answer of that shape. Servers lie now and then; one that means it says so six times. */
static bool keep_if(bool fits, const char *what, struct ask *a, const json_t *answer, double *n_tokens,
                    struct err *e) {
    if (!fits) return err_set(e, ERR_SERVICE, "the server's answer makes no sense: no %s", what);
    return keep_answer(a, answer, n_tokens, e);
}

static bool keep_models(struct ask *a, const json_t *answer, double *n_tokens, struct err *e) {
    return keep_if(json_is_array(json_object_get(answer, "data")), "data", a, answer, n_tokens, e);
}

/* An empty list is llama-server's answer to messages. */
static bool keep_ids(struct ask *a, const json_t *answer, double *n_tokens, struct err *e) {
    struct wire_ids ids = {0};
    const json_t *list = json_object_get(answer, "tokens");
    bool fits =
        (a->only >= 0 && json_is_array(list) && json_array_size(list) == 0) || wire_take_ids(answer, &ids, e);
    wire_ids_free(&ids);
    return keep_if(fits, "tokens", a, answer, n_tokens, e);
}

static bool keep_prompt(struct ask *a, const json_t *answer, double *n_tokens, struct err *e) {
    return keep_if(json_is_string(json_object_get(answer, "prompt")), "prompt", a, answer, n_tokens, e);
}

static bool keep_token_text(struct ask *a, const json_t *answer, double *n_tokens, struct err *e) {
    return keep_if(wire_token_text(answer) != NULL, "text", a, answer, n_tokens, e);
}

static bool keep_props(struct ask *a, const json_t *answer, double *n_tokens, struct err *e) {
    return keep_if(json_is_object(json_object_get(answer, "default_generation_settings")), "settings", a,
                   answer, n_tokens, e);
}

static bool keep_one_token(enum wire_form form, struct ask *a, const json_t *answer, double *n_tokens,
                           struct err *e) {
    struct wire_answer one;
    bool fits = wire_take_job(form, answer, NULL, 1, 0, &one, e);
    wire_answer_free(&one);
    return keep_if(fits, "token", a, answer, n_tokens, e);
}

static bool keep_one_of_ids(struct ask *a, const json_t *answer, double *n_tokens, struct err *e) {
    return keep_one_token(WIRE_IDS, a, answer, n_tokens, e);
}

static bool keep_one_of_llama(struct ask *a, const json_t *answer, double *n_tokens, struct err *e) {
    return keep_one_token(WIRE_LLAMA, a, answer, n_tokens, e);
}

/* Asks; false only when the servers are gone for good. q->answer is set if it was answered. The body in
 * q->ask is used up. */
static bool question_ask(struct remote *r, struct question *q, const char *path, bool at_root, ask_read *read,
                         struct err *e) {
    q->ask.path = path;
    q->ask.at_root = at_root;
    q->ask.read = read;
    q->ask.n_bytes_max = PROBE_BYTES_MAX;
    bool done = remote_ask_now(r, &q->ask, e);
    buf_free(&q->ask.body);
    return done;
}

static struct question question_at(int server) {
    return (struct question){
        .ask = {.only = server, .tries_max = PROBE_TRIES_MAX, .seconds_max = probe_seconds}};
}

static void question_fini(struct question *q) {
    json_decref(q->answer);
    q->answer = NULL;
    ask_fini(&q->ask);
    q->ask.state = ASK_IDLE;
}

/* Of any server, until it is answered. */
static struct question question_to_any(uint64_t affinity, double seconds_max) {
    struct question q = question_at(-1);
    q.ask.affinity = affinity;
    q.ask.seconds_max = seconds_max;
    q.ask.tries_max = 0;
    return q;
}

/* ---- rendering ---- */

/* No answer, or only senseless ones, is the server's failure; a refusal is about what was asked. To a probe,
 * senseless answers say that the server does not talk so. */
static bool refused(const struct remote *r, const struct question *q, struct err *e) {
    const bool failed = q->ask.status == 0 || (q->ask.status == 200 && q->ask.only < 0);
    return err_set(e, failed ? ERR_SERVICE : ERR_INPUT, "%s%s: %s", remote_server(r, q->ask.server),
                   q->ask.path, q->ask.why);
}

/* The template's text of a conversation becomes the question's next body. */
static bool template_text(struct remote *r, struct question *q, struct err *e) {
    if (!question_ask(r, q, "/apply-template", true, keep_prompt, e)) return false;
    if (!q->answer) return refused(r, q, e);
    json_t *answer = q->answer;
    const char *text = json_string_value(json_object_get(answer, "prompt"));
    if (text) wire_put_content(&q->ask.body, text);
    q->answer = NULL;
    json_decref(answer);
    return text ||
           err_set(e, ERR_INPUT, "%s/apply-template gives no prompt", remote_server(r, q->ask.server));
}

/* Asks for the tokens of the question's body, unless what came before was not done. */
static bool take_tokens(struct remote *r, struct question *q, bool done, struct wire_ids *ids,
                        struct err *e) {
    done = done && question_ask(r, q, "/tokenize", true, keep_ids, e);
    if (done && !q->answer) done = refused(r, q, e);
    if (done && !wire_take_ids(q->answer, ids, e))
        done = err_set(e, ERR_INPUT, "%s/tokenize gives no tokens", remote_server(r, q->ask.server));
    question_fini(q);
    return done;
}

bool probe_render(struct remote *r, int only, enum wire_form form, const char *model, const char *system,
                  const char *const *turns, size_t n_turns, uint64_t affinity, double seconds_max,
                  struct wire_ids *ids, struct err *e) {
    struct question q = question_at(only);
    if (only < 0) q = question_to_any(affinity, seconds_max);
    q.ask.affinity = affinity;
    wire_put_messages(&q.ask.body, model, system, turns, n_turns);
    bool done = form != WIRE_LLAMA || template_text(r, &q, e);
    return take_tokens(r, &q, done, ids, e);
}

bool probe_cut(struct remote *r, enum wire_form form, const char *model, const char *text, uint64_t affinity,
               double seconds_max, struct wire_ids *ids, struct err *e) {
    struct question q = question_to_any(affinity, seconds_max);
    wire_put_plain(&q.ask.body, form, model, text);
    return take_tokens(r, &q, true, ids, e);
}

bool probe_token_text(struct remote *r, const char *model, int id, uint64_t affinity, double seconds_max,
                      char **text, struct err *e) {
    struct question q = question_to_any(affinity, seconds_max);
    *text = NULL;
    wire_put_token(&q.ask.body, model, id);
    const bool done = question_ask(r, &q, "/detokenize", true, keep_token_text, e);
    if (q.answer) *text = mem_strdup(wire_token_text(q.answer));
    question_fini(&q);
    return done;
}

/* ---- the model ---- */
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
                       struct probe_found *out, bool *stop_is_kept, struct err *e) {
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
    out->model = mem_strdup(json_string_value(json_object_get(found, "id")));
    out->n_context = n > 0 && n < INT32_MAX ? (int)n : 0;
    *stop_is_kept = owner && (strcmp(owner, "vllm") == 0 || strcmp(owner, "sglang") == 0);
    return true;
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
    bool done =
        question_ask(r, &q, path, at_root, form == WIRE_LLAMA ? keep_one_of_llama : keep_one_of_ids, e);
    if (done && !q.answer && q.ask.status == 0) done = refused(r, &q, e);
    const json_t *choice = json_array_get(json_object_get(q.answer, "choices"), 0);
    *talks = q.answer && (form == WIRE_LLAMA || stop_is_kept || json_object_get(choice, "stop_reason") ||
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
    static const enum wire_form forms[] = {WIRE_IDS, WIRE_LLAMA};
    bool talks = false, done = true;
    for (size_t i = 0; done && !talks && i < ARRAY_LEN(forms); i++) {
        struct wire_ids ids = {0};
        struct err why = {0};
        out->form = forms[i];
        const char *const turn = "x";
        if (probe_render(r, server, out->form, out->model, system, &turn, 1, 0, 0, &ids, &why))
            done = try_form(r, server, out->form, out->model, &ids, stop_is_kept, &talks, e);
        else if (why.code == ERR_SERVICE)
            done = err_set(e, ERR_SERVICE, "%s", why.msg);
        wire_ids_free(&ids);
    }
    if (!done) return false;
    if (!talks) out->form = WIRE_CHAT;
    return out->form != WIRE_LLAMA || llama_context(r, server, &out->n_context, e);
}

/* One server. *there: it answered; if it did not, *e says why and true is returned. */
static bool probe_one(struct remote *r, int server, const char *model, const char *system,
                      struct probe_found *out, bool *there, struct err *e) {
    struct question q = question_at(server);
    bool stop_is_kept = false, done = false;
    *there = false;
    if (!question_ask(r, &q, "/models", false, keep_models, e)) {
        done = true;
    } else if (q.answer) {
        done = *there = take_model(r, server, model, q.answer, out, &stop_is_kept, e);
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
    if (*there && !find_form(r, server, system, stop_is_kept, out, e)) *there = false;
    return done;
}

bool probe_servers(struct remote *r, int n_servers, const char *model, const char *system,
                   struct probe_found *out, struct err *e) {
    static const char *const names[] = {
        [WIRE_IDS] = "token ids", [WIRE_LLAMA] = "llama-server's own", [WIRE_CHAT] = "chat alone"};
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
