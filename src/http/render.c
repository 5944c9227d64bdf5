/* render.c - see render.h. */
#include "http/render.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* An empty list is llama-server's answer to messages. */
static bool keep_ids(struct ask *a, const json_t *answer, double *n_tokens, struct err *e) {
    struct wire_ids ids = {0};
    const json_t *list = json_object_get(answer, "tokens");
    bool fits =
        (a->only >= 0 && json_is_array(list) && json_array_size(list) == 0) || wire_take_ids(answer, &ids, e);
    wire_ids_free(&ids);
    return question_keep_if(fits, "tokens", a, answer, n_tokens, e);
}

static bool keep_prompt(struct ask *a, const json_t *answer, double *n_tokens, struct err *e) {
    return question_keep_if(json_is_string(json_object_get(answer, "prompt")), "prompt", a, answer, n_tokens,
                            e);
}

static bool keep_token_text(struct ask *a, const json_t *answer, double *n_tokens, struct err *e) {
    return question_keep_if(wire_token_text(answer) != NULL, "text", a, answer, n_tokens, e);
}

/* The template's text of a conversation becomes the question's next body. */
static bool template_text(struct remote *r, struct question *q, struct err *e) {
    if (!question_ask(r, q, "/apply-template", true, keep_prompt, e)) return false;
    if (!q->answer) return question_refused(r, q, e);
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
    if (done && !q->answer) done = question_refused(r, q, e);
    if (done && !wire_take_ids(q->answer, ids, e))
        done = err_set(e, ERR_INPUT, "%s/tokenize gives no tokens", remote_server(r, q->ask.server));
    question_fini(q);
    return done;
}

bool render_turns(struct remote *r, int only, enum wire_form form, const char *model, const char *system,
                  const char *const *turns, size_t n_turns, uint64_t affinity, double seconds_max,
                  struct wire_ids *ids, struct err *e) {
    struct question q = question_at(only);
    if (only < 0) q = question_to_any(affinity, seconds_max);
    q.ask.affinity = affinity;
    wire_put_messages(&q.ask.body, model, system, turns, n_turns);
    bool done = !wire_is_llama(form) || template_text(r, &q, e);
    return take_tokens(r, &q, done, ids, e);
}

bool render_cut(struct remote *r, enum wire_form form, const char *model, const char *text, uint64_t affinity,
                double seconds_max, struct wire_ids *ids, struct err *e) {
    struct question q = question_to_any(affinity, seconds_max);
    wire_put_plain(&q.ask.body, form, model, text);
    return take_tokens(r, &q, true, ids, e);
}

bool render_token_text(struct remote *r, const char *model, int id, uint64_t affinity, double seconds_max,
                       char **text, struct err *e) {
    struct question q = question_to_any(affinity, seconds_max);
    *text = NULL;
    wire_put_token(&q.ask.body, model, id);
    const bool done = question_ask(r, &q, "/detokenize", true, keep_token_text, e);
    if (q.answer) *text = mem_strdup(wire_token_text(q.answer));
    question_fini(&q);
    return done;
}
