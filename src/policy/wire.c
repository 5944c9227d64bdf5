/* wire.c - see wire.h. */
#include "policy/wire.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/skim.h"

enum { TOKEN_BYTES_MAX = 2048, TOP_BYTES_MAX = 512, TOP_READ_MAX = 256, ANSWER_BYTES_MAX = 1 << 28 };

size_t wire_bytes_max(int n_tokens_max, int n_top) {
    const size_t each = TOKEN_BYTES_MAX + (size_t)n_top * TOP_BYTES_MAX;
    return MIN(((size_t)1 << 16) + (size_t)n_tokens_max * each, (size_t)ANSWER_BYTES_MAX);
}

/* ---- requests ---- */
const char *wire_path(enum wire_form form, bool *at_root) {
    *at_root = form == WIRE_LLAMA;
    return form == WIRE_LLAMA ? "/completion" : form == WIRE_CHAT ? "/chat/completions" : "/completions";
}

void wire_put_job(struct buf *out, const struct wire_job *j) {
    const struct policy_sampling *s = &j->sampling;
    const bool llama = j->form == WIRE_LLAMA, filters = wire_is_llama(j->form);
    wire_put_model(out, j->model);
    if (j->form == WIRE_CHAT) {
        wire_put_conversation(out, j->system, j->turns, j->n_turns);
        if (j->n_top > 0) buf_printf(out, ",\"logprobs\":true,\"top_logprobs\":%d", j->n_top);
    } else {
        buf_add_str(out, STR("\"prompt\":["));
        wire_put_ids(out, j->ids, j->n_ids, true);
        wire_put_ids(out, j->more, j->n_more, j->n_ids == 0);
        buf_add_char(out, ']');
    }
    buf_printf(out, ",\"%s\":%d,\"temperature\":%.7g,\"top_p\":%.7g,\"seed\":%u",
               llama ? "n_predict" : "max_tokens", j->n_tokens_max, (double)s->temperature, (double)s->top_p,
               j->seed);
    /* llama-server filters unless it is told not to; the others do not, and hosted ones know no such keys. */
    if (s->top_k > 0 || filters) buf_printf(out, ",\"top_k\":%d", s->top_k);
    if (s->min_p > 0 || filters) buf_printf(out, ",\"min_p\":%.7g", (double)s->min_p);
    const int n_probs = MAX(j->n_top, 1);
    if (llama) buf_printf(out, ",\"n_probs\":%d,\"return_tokens\":true,\"cache_prompt\":true", n_probs);
    if (j->form == WIRE_IK)
        buf_printf(out, ",\"logprobs\":%d,\"n_probs\":%d,\"cache_prompt\":true", n_probs, n_probs);
    if (j->form == WIRE_IDS) buf_printf(out, ",\"logprobs\":%d,\"return_token_ids\":true", n_probs);
    /* else tokens of equal text are told once */
    if (j->form == WIRE_IDS && j->n_top > 0) buf_add_str(out, STR(",\"return_tokens_as_token_ids\":true"));
    if (j->separator) {
        buf_add_str(out, STR(",\"stop\":["));
        wire_put_string(out, j->separator);
        buf_add_char(out, ']');
        if (!filters) buf_add_str(out, STR(",\"include_stop_str_in_output\":true,\"no_stop_trim\":true"));
    }
    buf_add_char(out, '}');
}

/* ---- answers ---- */
static void take_text(struct buf *out, const json_t *text) {
    buf_add(out, json_string_value(text), json_string_length(text));
}

static void end_step(struct wire_answer *out, const char *separator) {
    if (!str_ends(buf_str(&out->text), str_from(separator))) buf_add_str(&out->text, str_from(separator));
    out->finish = POLICY_STEP;
}

static bool put_finish(const char *reason, const char *matched, const char *separator,
                       struct wire_answer *out, struct err *e) {
    if (!reason) return wire_senseless(e, "no finish_reason");
    if (strcmp(reason, "length") == 0 || strcmp(reason, "content_filter") == 0) {
        out->finish = POLICY_LENGTH;
        return true;
    }
    if (strcmp(reason, "stop") != 0) return wire_senseless(e, "an answer that was not finished");
    out->finish = POLICY_END;
    if (!separator) return true;
    if ((matched && strcmp(matched, separator) == 0) || str_ends(buf_str(&out->text), str_from(separator)))
        end_step(out, separator);
    return true;
}

static bool take_finish(const json_t *choice, const char *separator, struct wire_answer *out, struct err *e) {
    const char *matched = json_string_value(json_object_get(choice, "stop_reason"));
    if (!matched) matched = json_string_value(json_object_get(choice, "matched_stop"));
    return put_finish(json_string_value(json_object_get(choice, "finish_reason")), matched, separator, out,
                      e);
}

static double sum_of_logprobs(const json_t *list, const char *key) {
    double sum = json_array_size(list) > 0 ? 0 : NAN;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *v = json_array_get(list, i);
        if (key) v = json_object_get(v, key);
        sum += json_is_number(v) ? json_number_value(v) : (double)NAN;
    }
    return sum;
}

/* ---- confidences ---- */
static int falling(const void *a, const void *b) {
    const double *x = a, *y = b;
    return (*x < *y) - (*x > *y);
}

/* Of a place whose likeliest tokens are told: as {text: logprob}, or as [{logprob}]. The token that was drawn
 * may be among them although it is none of the likeliest: it sorts last. NAN: none told. */
static double confidence_of(const json_t *top, int n_top) {
    double x[TOP_READ_MAX], sum = 0;
    int n = 0;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)top, key, value) {
        if (n < TOP_READ_MAX && json_is_number(value)) x[n++] = json_number_value(value);
    }
    for (size_t i = 0; i < json_array_size(top) && n < TOP_READ_MAX; i++) {
        value = json_object_get(json_array_get(top, i), "logprob");
        if (json_is_number(value)) x[n++] = json_number_value(value);
    }
    if (n == 0) return (double)NAN;
    qsort(x, (size_t)n, sizeof *x, falling);
    n = MIN(n, n_top);
    for (int i = 0; i < n; i++) sum -= x[i];
    return sum / n;
}

/* list: one a token, each the likeliest tokens themselves, or (inside) an object with them. */
static bool take_confidences(const json_t *list, bool inside, int n_tokens_max, int n_top,
                             struct wire_answer *out, struct err *e) {
    const size_t n = json_array_size(list);
    if (n_top == 0 || n == 0) return true;
    if (n > (size_t)(out->n_tokens > 0 ? out->n_tokens : n_tokens_max))
        return wire_senseless(e, "more log-probabilities than tokens");
    out->confidences = mem_zalloc(n, sizeof *out->confidences);
    for (size_t i = 0; i < n; i++) {
        const json_t *at = json_array_get(list, i);
        const double x = confidence_of(inside ? json_object_get(at, "top_logprobs") : at, n_top);
        if (isnan(x)) break; /* of the end token, where the server tells nothing of it */
        out->confidences[out->n_confidences++] = (float)x;
    }
    return true;
}

static bool take_completion(enum wire_form form, const json_t *answer, const char *separator,
                            int n_tokens_max, int n_top, struct wire_answer *out, struct err *e) {
    const json_t *choices = json_object_get(answer, "choices"), *usage = json_object_get(answer, "usage");
    const json_t *choice = json_array_get(choices, 0);
    if (json_object_get(answer, "error")) return wire_senseless(e, "an error with status 200");
    if (json_array_size(choices) != 1) return wire_senseless(e, "not one choice");
    const json_t *text = form == WIRE_CHAT ? json_object_get(json_object_get(choice, "message"), "content")
                                           : json_object_get(choice, "text");
    if (!json_is_string(text) && !(form == WIRE_CHAT && json_is_null(text)))
        return wire_senseless(e, "no text");
    take_text(&out->text, text);
    if (!take_finish(choice, separator, out, e)) return false;
    if (form == WIRE_IDS &&
        !wire_take_list(json_object_get(choice, "token_ids"), (size_t)n_tokens_max, &out->ids, e))
        return false;
    const double n_counted = wire_count(usage, "completion_tokens");
    out->n_tokens = (int)MIN(n_counted > 0 ? n_counted : (double)out->ids.len, (double)n_tokens_max);
    const json_t *logprobs = json_object_get(choice, "logprobs");
    if (form == WIRE_IDS) out->logprob = sum_of_logprobs(json_object_get(logprobs, "token_logprobs"), NULL);
    const json_t *tops = json_object_get(logprobs, form == WIRE_IDS ? "top_logprobs" : "content");
    if (!take_confidences(tops, form == WIRE_CHAT, n_tokens_max, n_top, out, e)) return false;
    const double n_cached = wire_count(json_object_get(usage, "prompt_tokens_details"), "cached_tokens");
    out->n_prompt = wire_count(usage, "prompt_tokens");
    out->n_read = fmax(0, out->n_prompt - n_cached);
    return true;
}

static bool take_llama(const json_t *answer, const char *separator, int n_tokens_max, int n_top,
                       struct wire_answer *out, struct err *e) {
    const json_t *text = json_object_get(answer, "content");
    const char *stop = json_string_value(json_object_get(answer, "stop_type"));
    const char *matched = json_string_value(json_object_get(answer, "stopping_word"));
    if (json_object_get(answer, "error")) return wire_senseless(e, "an error with status 200");
    if (!json_is_string(text)) return wire_senseless(e, "no content");
    take_text(&out->text, text);
    if (!wire_take_list(json_object_get(answer, "tokens"), (size_t)n_tokens_max, &out->ids, e)) return false;
    if (stop && strcmp(stop, "limit") == 0)
        out->finish = POLICY_LENGTH;
    else if (stop && strcmp(stop, "eos") == 0)
        out->finish = POLICY_END;
    else if (stop && strcmp(stop, "word") == 0 && separator && matched && strcmp(matched, separator) == 0)
        end_step(out, separator);
    else
        return wire_senseless(e, "no stop_type that was asked for");
    out->n_tokens = (int)MIN(out->ids.len, (size_t)n_tokens_max);
    const json_t *probabilities = json_object_get(answer, "completion_probabilities");
    out->logprob = sum_of_logprobs(probabilities, "logprob");
    out->n_read = wire_count(json_object_get(answer, "timings"), "prompt_n");
    return take_confidences(probabilities, true, n_tokens_max, n_top, out, e);
}

/* Each place tells its token's id and bytes; one that stopped the answer has no bytes. finish_reason is
 * "stop" also where no more tokens were to be written. */
static bool take_ik(const json_t *answer, int n_tokens_max, int n_top, struct wire_answer *out,
                    struct err *e) {
    const json_t *choices = json_object_get(answer, "choices"), *choice = json_array_get(choices, 0);
    const json_t *text = json_object_get(choice, "text");
    const json_t *places = json_object_get(json_object_get(choice, "logprobs"), "content");
    const size_t n = json_array_size(places);
    if (json_object_get(answer, "error")) return wire_senseless(e, "an error with status 200");
    if (json_array_size(choices) != 1) return wire_senseless(e, "not one choice");
    if (!json_is_string(text)) return wire_senseless(e, "no text");
    if (n == 0) return wire_senseless(e, "no token ids");
    json_t *ids = json_array();
    for (size_t i = 0; i < n; i++) json_array_append(ids, json_object_get(json_array_get(places, i), "id"));
    const bool done = json_array_size(ids) == n && wire_take_list(ids, (size_t)n_tokens_max, &out->ids, e);
    if (json_array_size(ids) != n) wire_senseless(e, "a token without its id");
    json_decref(ids);
    if (!done) return false;
    take_text(&out->text, text);
    const json_t *bytes = json_object_get(json_array_get(places, n - 1), "bytes");
    out->is_unsure = json_is_array(bytes) && json_array_size(bytes) == 0;
    out->finish = !out->is_unsure && n == (size_t)n_tokens_max ? POLICY_LENGTH : POLICY_END;
    out->n_tokens = (int)n;
    out->logprob = sum_of_logprobs(places, "logprob");
    out->n_read = wire_count(json_object_get(answer, "timings"), "prompt_n");
    return take_confidences(places, true, n_tokens_max, n_top, out, e);
}

void wire_decide(struct wire_answer *a, const char *last, const char *separator) {
    a->is_unsure = false;
    if (!separator || !last[0]) return;
    const struct str token = str_from(last), whole = str_from(separator);
    if (str_find(token, whole) >= 0 || str_ends(whole, token)) end_step(a, separator);
}

bool wire_take_job(enum wire_form form, const json_t *answer, const char *separator, int n_tokens_max,
                   int n_top, struct wire_answer *out, struct err *e) {
    *out = (struct wire_answer){.logprob = (double)NAN};
    if (form == WIRE_IK) return take_ik(answer, n_tokens_max, n_top, out, e);
    if (form == WIRE_LLAMA) return take_llama(answer, separator, n_tokens_max, n_top, out, e);
    return take_completion(form, answer, separator, n_tokens_max, n_top, out, e);
}

/* ---- the common answer, without a tree of JSON ---- */
struct skimmed {
    struct wire_answer *out;
    int n_tokens_max, n_choices, n_counted, n_prompt, n_cached;
    struct buf reason, matched;
};

static bool skim_logprobs(struct skim *s, struct skimmed *k) {
    struct str key;
    bool first = true;
    int got;
    if (skim_null(s)) return true;
    if (!skim_open(s, '{')) return false;
    while ((got = skim_key(s, &first, &key)) > 0) {
        if (!str_equal(key, STR("token_logprobs"))) {
            if (!skim_skip(s)) return false;
            continue;
        }
        double sum = 0, x;
        int n = 0;
        bool first_item = true;
        if (!skim_open(s, '[')) return false;
        while ((got = skim_item(s, &first_item)) > 0) {
            if (!skim_number(s, &x)) return false;
            sum += x;
            n++;
        }
        if (got < 0) return false;
        k->out->logprob = n > 0 ? sum : (double)NAN;
    }
    return got == 0;
}

static bool skim_ids(struct skim *s, struct skimmed *k) {
    bool first = true;
    int got, id;
    if (!skim_open(s, '[')) return false;
    k->out->ids.len = 0;
    while ((got = skim_item(s, &first)) > 0) {
        if (!skim_count(s, &id) || k->out->ids.len == (size_t)k->n_tokens_max) return false;
        wire_ids_add(&k->out->ids, &id, 1);
    }
    return got == 0;
}

static bool skim_string(struct skim *s, struct buf *out) {
    buf_clear(out);
    return skim_text(s, out);
}

static bool skim_choice(struct skim *s, struct skimmed *k) {
    enum { TEXT = 1, IDS = 2, REASON = 4 };
    struct str key;
    bool first = true;
    int got, seen = 0;
    if (k->n_choices++ || !skim_open(s, '{')) return false;
    while ((got = skim_key(s, &first, &key)) > 0) {
        bool fine;
        if (str_equal(key, STR("text")))
            fine = skim_string(s, &k->out->text), seen |= TEXT;
        else if (str_equal(key, STR("token_ids")))
            fine = skim_ids(s, k), seen |= IDS;
        else if (str_equal(key, STR("finish_reason")))
            fine = skim_string(s, &k->reason), seen |= REASON;
        else if (str_equal(key, STR("stop_reason")) || str_equal(key, STR("matched_stop")))
            fine = skim_null(s) || (k->matched.len == 0 && skim_string(s, &k->matched));
        else if (str_equal(key, STR("logprobs")))
            fine = skim_logprobs(s, k);
        else
            fine = skim_skip(s);
        if (!fine) return false;
    }
    return got == 0 && seen == (TEXT | IDS | REASON);
}

static bool skim_usage(struct skim *s, struct skimmed *k, int depth) {
    struct str key;
    bool first = true;
    int got;
    if (skim_null(s)) return true;
    if (!skim_open(s, '{')) return false;
    while ((got = skim_key(s, &first, &key)) > 0) {
        bool fine;
        if (depth == 0 && str_equal(key, STR("completion_tokens")))
            fine = skim_count(s, &k->n_counted);
        else if (depth == 0 && str_equal(key, STR("prompt_tokens")))
            fine = skim_count(s, &k->n_prompt);
        else if (depth == 0 && str_equal(key, STR("prompt_tokens_details")))
            fine = skim_usage(s, k, 1);
        else if (depth == 1 && str_equal(key, STR("cached_tokens")))
            fine = skim_null(s) || skim_count(s, &k->n_cached);
        else
            fine = skim_skip(s);
        if (!fine) return false;
    }
    return got == 0;
}

static bool skim_answer(struct skim *s, struct skimmed *k) {
    struct str key;
    bool first = true;
    int got;
    if (!skim_open(s, '{')) return false;
    while ((got = skim_key(s, &first, &key)) > 0) {
        bool fine, first_choice = true;
        int more = 1;
        if (str_equal(key, STR("error"))) return false;
        if (str_equal(key, STR("choices"))) {
            fine = skim_open(s, '[');
            while (fine && (more = skim_item(s, &first_choice)) > 0) fine = skim_choice(s, k);
            fine = fine && more == 0;
        } else if (str_equal(key, STR("usage"))) {
            fine = skim_usage(s, k, 0);
        } else {
            fine = skim_skip(s);
        }
        if (!fine) return false;
    }
    return got == 0 && k->n_choices == 1 && skim_end(s);
}

bool wire_skim_job(struct str body, const char *separator, int n_tokens_max, struct wire_answer *out) {
    struct skimmed k = {.out = out, .n_tokens_max = n_tokens_max};
    struct skim s = {body.ptr, body.ptr + body.len};
    struct err e;
    *out = (struct wire_answer){.logprob = (double)NAN};
    const bool done =
        skim_answer(&s, &k) &&
        put_finish(buf_cstr(&k.reason), k.matched.len ? buf_cstr(&k.matched) : NULL, separator, out, &e);
    out->n_tokens = MIN(k.n_counted > 0 ? k.n_counted : (int)out->ids.len, n_tokens_max);
    out->n_prompt = k.n_prompt;
    out->n_read = MAX(0, k.n_prompt - k.n_cached);
    buf_free(&k.reason);
    buf_free(&k.matched);
    return done;
}

void wire_answer_free(struct wire_answer *a) {
    buf_free(&a->text);
    wire_ids_free(&a->ids);
    free(a->confidences);
    a->confidences = NULL;
    a->n_confidences = 0;
}
