/* request.c - see request.h. */
#include "serve/request.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "run/task.h"

bool refuse(struct refusal *why, int status, const char *param, const char *code, const char *format, ...) {
    char text[sizeof why->e.msg];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    why->status = status;
    why->code = code;
    snprintf(why->param, sizeof why->param, "%s", param ? param : "");
    return err_set(&why->e, ERR_INPUT, "%s", text);
}

static bool wrong(struct refusal *why, const char *param, const char *what) {
    return refuse(why, 400, param, "invalid_value", "%s: %s", param, what);
}

/* ---- values; null counts as absent ---- */

static bool take_number(const json_t *v, const char *name, double min, double max, bool is_whole, double *out,
                        struct refusal *why) {
    if (!v || json_is_null(v)) return true;
    const double x = json_is_number(v) ? json_number_value(v) : (double)NAN;
    if (!(x >= min && x <= max) || (is_whole && floor(x) < x))
        return refuse(why, 400, name, "invalid_value", "%s: give a %snumber from %g to %g", name,
                      is_whole ? "whole " : "", min, max);
    *out = x;
    return true;
}

static bool take_bool(const json_t *v, const char *name, bool *out, struct refusal *why) {
    if (!v || json_is_null(v)) return true;
    if (!json_is_boolean(v)) return wrong(why, name, "give true or false");
    *out = json_is_true(v);
    return true;
}

static bool take_name(const json_t *v, const char *name, char **out, struct refusal *why) {
    if (!v || json_is_null(v)) return true;
    if (!json_is_string(v) || json_string_length(v) > REQUEST_NAME_BYTES_MAX)
        return refuse(why, 400, name, "invalid_value", "%s: give a string of at most %d bytes", name,
                      REQUEST_NAME_BYTES_MAX);
    free(*out);
    *out = mem_strdup(json_string_value(v));
    return true;
}

static bool take_object(const json_t *v, const char *name, struct refusal *why) {
    return !v || json_is_null(v) || json_is_object(v) || wrong(why, name, "give an object");
}

static bool take_stops(struct request *r, const json_t *v, struct refusal *why) {
    if (!v || json_is_null(v)) return true;
    const size_t n = json_is_array(v) ? json_array_size(v) : 1;
    if (n > REQUEST_STOPS_MAX)
        return refuse(why, 400, "stop", "invalid_value", "stop: %zu texts, and %d are the most", n,
                      REQUEST_STOPS_MAX);
    for (size_t i = 0; i < n; i++) {
        const json_t *s = json_is_array(v) ? json_array_get(v, i) : v;
        if (!json_is_string(s) || json_string_length(s) == 0 ||
            json_string_length(s) > REQUEST_STOP_BYTES_MAX)
            return refuse(why, 400, "stop", "invalid_value", "stop: give texts of 1 to %d bytes",
                          REQUEST_STOP_BYTES_MAX);
        r->stops[r->n_stops++] = mem_strdup(json_string_value(s));
    }
    return true;
}

/* ---- messages ---- */

/* The text of a message: a string, or an array of text parts. */
static bool take_content(const json_t *v, struct buf *out, struct refusal *why) {
    static const char say[] = "give text: a string, or an array of {\"type\":\"text\",\"text\":\"...\"}";
    if (json_is_string(v)) {
        buf_add_str(out, str_from(json_string_value(v)));
        return true;
    }
    if (!json_is_array(v)) return wrong(why, "messages.content", say);
    for (size_t i = 0; i < json_array_size(v); i++) {
        const json_t *part = json_array_get(v, i);
        const char *type = json_string_value(json_object_get(part, "type"));
        const char *text = json_string_value(json_object_get(part, "text"));
        if (!type || strcmp(type, "text") != 0 || !text) return wrong(why, "messages.content", say);
        buf_add_str(out, str_from(text));
    }
    return true;
}

enum role { ROLE_SYSTEM, ROLE_USER, ROLE_ASSISTANT };

static bool take_role(const json_t *message, enum role *out, struct refusal *why) {
    static const struct {
        const char *name;
        enum role role;
    } roles[] = {{"system", ROLE_SYSTEM},
                 {"developer", ROLE_SYSTEM},
                 {"user", ROLE_USER},
                 {"assistant", ROLE_ASSISTANT}};
    const char *name = json_string_value(json_object_get(message, "role"));
    for (size_t i = 0; name && i < ARRAY_LEN(roles); i++) {
        if (strcmp(name, roles[i].name) != 0) continue;
        *out = roles[i].role;
        return true;
    }
    return wrong(why, "messages.role", "give system, developer, user or assistant");
}

static void join(char **to, struct str text) {
    struct buf b = {0};
    if (*to) buf_printf(&b, "%s\n\n", *to);
    buf_add_str(&b, text);
    free(*to);
    *to = buf_take(&b);
}

/* Messages of one role behind each other become one. */
static bool add_message(struct request *r, enum role role, struct str text, struct refusal *why) {
    if (role == ROLE_SYSTEM) {
        join(&r->system, text);
        return true;
    }
    const bool by_user = role == ROLE_USER;
    if (r->n_turns == 0 && !by_user)
        return wrong(why, "messages", "the first is the user's, not the assistant's");
    if (r->n_turns > 0 && (r->n_turns % 2 == 1) == by_user) {
        join(&r->turns[r->n_turns - 1], text);
        return true;
    }
    MEM_GROW(r->turns, r->cap_turns, r->n_turns + 1);
    r->turns[r->n_turns++] = str_dup(text);
    return true;
}

static bool take_messages(struct request *r, const json_t *v, struct refusal *why) {
    if (!json_is_array(v) || json_array_size(v) == 0)
        return wrong(why, "messages", "give an array of messages");
    if (json_array_size(v) > REQUEST_MESSAGES_MAX)
        return refuse(why, 400, "messages", "invalid_value", "messages: %zu of them, and %d are the most",
                      json_array_size(v), REQUEST_MESSAGES_MAX);
    bool ok = true;
    for (size_t i = 0; ok && i < json_array_size(v); i++) {
        const json_t *message = json_array_get(v, i);
        enum role role = ROLE_USER;
        struct buf text = {0};
        ok = take_role(message, &role, why) &&
             take_content(json_object_get(message, "content"), &text, why) &&
             add_message(r, role, (struct str){buf_cstr(&text), text.len}, why);
        buf_free(&text);
    }
    if (!ok) return false;
    if (r->n_turns % 2 == 0) return wrong(why, "messages", "the last is to be the user's");
    r->text = r->turns[--r->n_turns];
    return true;
}

static bool take_text(struct request *r, const json_t *body, struct refusal *why) {
    const char *name = r->is_chat ? "messages" : "prompt";
    const json_t *v = json_object_get(body, name);
    if (!r->is_chat && !json_is_string(v)) return wrong(why, name, "give one string");
    if (r->is_chat && !take_messages(r, v, why)) return false;
    if (!r->is_chat) r->text = mem_strdup(json_string_value(v));
    return str_trim(str_from(r->text)).len > 0 || wrong(why, name, "there is no text in it");
}

/* ---- the object brood ---- */

static bool known_keys(const json_t *object, const char *where, const char *const *keys,
                       struct refusal *why) {
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)object, key, v) {
        size_t i = 0;
        while (keys[i] && strcmp(keys[i], key) != 0) i++;
        if (keys[i]) continue;
        struct buf list = {0};
        for (i = 0; keys[i]; i++) buf_printf(&list, "%s%s", i ? ", " : "", keys[i]);
        refuse(why, 400, where, "unknown_parameter", "%s has no key %.64s: there are %s", where, key,
               buf_cstr(&list));
        buf_free(&list);
        return false;
    }
    return true;
}

static bool take_budget(struct request *r, const json_t *v, struct refusal *why) {
    static const char *const keys[] = {"samples", "tokens", "flops", "usd", "seconds", NULL};
    if (!v || json_is_null(v)) return true;
    struct budget *b = &r->budget;
    return take_object(v, "brood.budget", why) && known_keys(v, "brood.budget", keys, why) &&
           take_number(json_object_get(v, "samples"), "brood.budget.samples", 1, 1e6, true, &b->samples,
                       why) &&
           take_number(json_object_get(v, "tokens"), "brood.budget.tokens", 1, 1e12, true, &b->tokens, why) &&
           take_number(json_object_get(v, "flops"), "brood.budget.flops", 1, 1e30, false, &b->flops, why) &&
           take_number(json_object_get(v, "usd"), "brood.budget.usd", 1e-12, 1e9, false, &b->usd, why) &&
           take_number(json_object_get(v, "seconds"), "brood.budget.seconds", 1e-3, 1e6, false, &b->seconds,
                       why);
}

/* Fields of the problem for the verifier; never those of the answer key. */
static bool take_problem(struct request *r, const json_t *v, struct refusal *why) {
    if (!take_object(v, "brood.problem", why)) return false;
    if (!json_is_object(v)) return true;
    if (!r->verify) return wrong(why, "brood.problem", "it is for a verifier: name one in brood.verify");
    r->line = task_public_line(v);
    return true;
}

static bool take_events(struct request *r, const json_t *v, struct refusal *why) {
    static const char *const names[] = {[REQUEST_EVENTS_NONE] = "none",
                                        [REQUEST_EVENTS_PROGRESS] = "progress",
                                        [REQUEST_EVENTS_TREE] = "tree"};
    r->events = REQUEST_EVENTS_PROGRESS;
    if (!v || json_is_null(v)) return true;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        r->events = (enum request_events)i;
        if (json_is_string(v) && strcmp(json_string_value(v), names[i]) == 0) return true;
    }
    return wrong(why, "brood.events", "give none, progress or tree");
}

static bool take_brood(struct request *r, const json_t *v, struct refusal *why) {
    static const char *const keys[] = {"strategy", "samples",   "select",  "aggregate", "confidence",
                                       "plan",     "verify",    "problem", "budget",    "deadline",
                                       "events",   "solutions", NULL};
    if (!take_object(v, "brood", why)) return false;
    if (json_is_object(v) && !known_keys(v, "brood", keys, why)) return false;
    return take_name(json_object_get(v, "strategy"), "brood.strategy", &r->strategy, why) &&
           take_name(json_object_get(v, "select"), "brood.select", &r->select, why) &&
           take_name(json_object_get(v, "aggregate"), "brood.aggregate", &r->aggregate, why) &&
           take_name(json_object_get(v, "confidence"), "brood.confidence", &r->confidence, why) &&
           take_name(json_object_get(v, "plan"), "brood.plan", &r->plan, why) &&
           take_name(json_object_get(v, "verify"), "brood.verify", &r->verify, why) &&
           take_problem(r, json_object_get(v, "problem"), why) &&
           take_number(json_object_get(v, "samples"), "brood.samples", 1, 1e6, true, &r->samples, why) &&
           take_number(json_object_get(v, "deadline"), "brood.deadline", 1e-3, 1e6, false, &r->deadline,
                       why) &&
           take_bool(json_object_get(v, "solutions"), "brood.solutions", &r->with_solutions, why) &&
           take_budget(r, json_object_get(v, "budget"), why) &&
           take_events(r, json_object_get(v, "events"), why);
}

/* ---- fields of OpenAI's that would change the reply ---- */

static bool is_off(const json_t *v) {
    if (!v || json_is_null(v) || json_is_false(v)) return true;
    if (json_is_number(v)) return !(json_number_value(v) > 0 || json_number_value(v) < 0);
    if (json_is_array(v)) return json_array_size(v) == 0;
    if (json_is_object(v)) {
        const char *type = json_string_value(json_object_get(v, "type"));
        return json_object_size(v) == 0 || (type && strcmp(type, "text") == 0);
    }
    const char *s = json_string_value(v);
    return s && (!*s || strcmp(s, "none") == 0);
}

static bool refuse_undone(const json_t *body, struct refusal *why) {
    static const char *const undone[] = {
        "tools",        "tool_choice", "functions",       "function_call",      "logprobs",
        "top_logprobs", "logit_bias",  "response_format", "presence_penalty",   "frequency_penalty",
        "echo",         "suffix",      "audio",           "web_search_options", "prediction",
        "guided_json",  "guided_regex"};
    for (size_t i = 0; i < ARRAY_LEN(undone); i++) {
        const char *name = undone[i];
        if (is_off(json_object_get(body, name))) continue;
        return refuse(why, 400, name, "unsupported_parameter", "%s is not done here: leave it out", name);
    }
    double best_of = 1;
    return take_number(json_object_get(body, "best_of"), "best_of", 1, 1, true, &best_of, why);
}

/* ---- the whole ---- */

static bool take_length(struct request *r, const json_t *body, struct refusal *why) {
    static const char *const names[] = {"max_tokens", "max_completion_tokens"};
    double n = 0;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const double before = n;
        if (!take_number(json_object_get(body, names[i]), names[i], 1, 1 << 24, true, &n, why)) return false;
        if (before > 0 && n > before) n = before;
    }
    r->n_tokens_max = (int)n;
    return true;
}

static bool take_all(struct request *r, const json_t *body, struct refusal *why) {
    double n = 1, seed = 0;
    const json_t *options = json_object_get(body, "stream_options");
    const bool ok =
        refuse_undone(body, why) && take_name(json_object_get(body, "model"), "model", &r->model, why) &&
        take_name(json_object_get(body, "user"), "user", &r->user, why) &&
        take_bool(json_object_get(body, "stream"), "stream", &r->stream, why) &&
        take_object(options, "stream_options", why) &&
        take_bool(json_object_get(options, "include_usage"), "stream_options.include_usage",
                  &r->include_usage, why) &&
        take_number(json_object_get(body, "n"), "n", 1, REQUEST_CHOICES_MAX, true, &n, why) &&
        take_number(json_object_get(body, "seed"), "seed", 0, 9007199254740992.0, true, &seed, why) &&
        take_number(json_object_get(body, "temperature"), "temperature", 0, 10, false, &r->temperature,
                    why) &&
        take_number(json_object_get(body, "top_p"), "top_p", 0, 1, false, &r->top_p, why) &&
        take_length(r, body, why) && take_stops(r, json_object_get(body, "stop"), why) &&
        take_brood(r, json_object_get(body, "brood"), why) && take_text(r, body, why);
    r->n = (int)n;
    r->seed = (uint64_t)seed;
    return ok;
}

bool request_parse(struct request *r, bool is_chat, struct str body, struct refusal *why) {
    *r = (struct request){.is_chat = is_chat, .temperature = (double)NAN, .top_p = (double)NAN, .n = 1};
    struct err e;
    json_t *o = json_parse(body, "the request's body", &e);
    if (!o) return refuse(why, 400, NULL, "invalid_json", "%s", e.msg);
    const bool ok = json_is_object(o)
                        ? take_all(r, o, why)
                        : refuse(why, 400, NULL, "invalid_json", "the request's body is no object");
    json_decref(o);
    return ok;
}

void request_fini(struct request *r) {
    for (size_t i = 0; i < r->n_stops; i++) free(r->stops[i]);
    for (size_t i = 0; i < r->n_turns; i++) free(r->turns[i]);
    char *const texts[] = {r->model,     r->strategy,   r->user, r->system, r->text, r->select,
                           r->aggregate, r->confidence, r->plan, r->verify, r->line};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) free(texts[i]);
    free(r->turns);
    *r = (struct request){0};
}
