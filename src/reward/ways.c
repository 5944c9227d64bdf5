/* ways.c - see ways.h. */
#include "reward/ways.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { VLLM_TOP = 20, LLAMA_TOP = 100, IK_TOP = 10, SCORE_DIGITS_MAX = 3 };

const char *ways_path(enum way way, enum way_server server, bool *at_root) {
    static const char *const paths[] = {
        [WAY_POOLING] = "/pooling", [WAY_CLASSIFY] = "/classify", [WAY_LOGPROB] = "/completions",
        [WAY_SCORE] = "/score",     [WAY_RERANK] = "/rerank",     [WAY_JUDGE] = "/chat/completions"};
    *at_root = way == WAY_POOLING || way == WAY_CLASSIFY;
    if (way != WAY_LOGPROB || server == WAY_VLLM || server == WAY_OTHER || server == WAY_IK)
        return paths[way];
    *at_root = true;
    return server == WAY_SGLANG ? "/generate" : "/completion";
}

/* ---- requests ---- */
static void put_ids(const struct ways_ask *a, const char *key, struct buf *out) {
    buf_printf(out, "\"%s\":[", key);
    wire_put_ids(out, a->ids.ptr, a->ids.len, true);
    buf_add_char(out, ']');
}

static void put_logprob(const struct ways_ask *a, struct buf *out) {
    if (a->server == WAY_SGLANG) {
        put_ids(a, "input_ids", out);
        buf_printf(out,
                   ",\"sampling_params\":{\"max_new_tokens\":1,\"temperature\":0},\"return_logprob\":true,"
                   "\"token_ids_logprob\":[%d,%d]",
                   a->good, a->bad);
        return;
    }
    put_ids(a, "prompt", out);
    if (a->server == WAY_IK)
        buf_printf(out,
                   ",\"max_tokens\":1,\"temperature\":0,\"logprobs\":%d,\"n_probs\":%d,\"cache_prompt\":true",
                   IK_TOP, IK_TOP);
    else if (a->server == WAY_LLAMA)
        buf_printf(out, ",\"n_predict\":1,\"temperature\":0,\"n_probs\":%d,\"cache_prompt\":true", LLAMA_TOP);
    else
        buf_printf(out,
                   ",\"max_tokens\":1,\"temperature\":0,\"logprobs\":%d,\"return_tokens_as_token_ids\":true,"
                   "\"logprob_token_ids\":[%d,%d]",
                   VLLM_TOP, a->good, a->bad);
}

static void put_texts(const struct ways_ask *a, const char *query, const char *texts, struct buf *out) {
    buf_printf(out, "\"%s\":", query);
    wire_put_string(out, a->query);
    buf_printf(out, ",\"%s\":[", texts);
    for (int i = 0; i < a->n; i++) {
        if (i) buf_add_char(out, ',');
        wire_put_string(out, a->texts[i]);
    }
    buf_add_char(out, ']');
}

void ways_put(const struct ways_ask *a, struct buf *out) {
    wire_put_model(out, a->model);
    switch (a->way) {
    case WAY_POOLING:
        put_ids(a, "input", out);
        buf_add_str(out, STR(",\"task\":\"token_classify\",\"use_activation\":true"));
        break;
    case WAY_CLASSIFY:
        put_ids(a, a->server == WAY_SGLANG ? "input_ids" : "input", out);
        break;
    case WAY_LOGPROB:
        put_logprob(a, out);
        break;
    case WAY_SCORE:
        put_texts(a, "text_1", "text_2", out);
        break;
    case WAY_RERANK:
        put_texts(a, "query", "documents", out);
        break;
    case WAY_JUDGE:
        wire_put_conversation(out, a->system, &a->query, 1);
        buf_printf(out, ",\"max_tokens\":%d,\"temperature\":%s,\"seed\":%d", WAYS_JUDGE_TOKENS_MAX,
                   a->n_try ? "0.7" : "0", a->n_try);
    }
    buf_add_char(out, '}');
}

/* ---- answers ---- */
static double logistic(double x) {
    return 1 / (1 + exp(-x));
}

static bool put_reward(double x, float *out, struct err *e) {
    if (!(x >= 0 && x <= 1)) return wire_senseless(e, "a reward that is no probability (are these logits?)");
    *out = (float)x;
    return true;
}

/* Of one class: its probability; of two (wrong, right): the second. */
static bool take_row(const json_t *row, float *out, struct err *e) {
    const json_t *x = row;
    if (json_is_array(row)) {
        const size_t n = json_array_size(row);
        if (n != 1 && n != 2) return wire_senseless(e, "a row that is neither one number nor two");
        x = json_array_get(row, n - 1);
        const double sum = json_number_value(json_array_get(row, 0)) + json_number_value(x);
        if (n == 2 && !(fabs(sum - 1) < 0.02))
            return wire_senseless(e,
                                  "two classes whose probabilities are not 1 together (are these logits?)");
    }
    if (!json_is_number(x)) return wire_senseless(e, "a reward that is no number");
    return put_reward(json_number_value(x), out, e);
}

static const json_t *only_data(const json_t *answer) {
    const json_t *data = json_object_get(answer, "data");
    return json_array_size(data) == 1 ? json_array_get(data, 0) : NULL;
}

static bool take_pooling(const struct ways_ask *a, const json_t *answer, float *out, struct err *e) {
    const json_t *rows = json_object_get(only_data(answer), "data");
    const size_t n_rows = json_array_size(rows);
    const bool by_step = n_rows == (size_t)a->n_steps;
    if (!by_step && n_rows != a->ids.len) {
        char what[120];
        snprintf(what, sizeof what, "%zu rows for %d steps and %zu tokens", n_rows, a->n_steps, a->ids.len);
        return wire_senseless(e, what);
    }
    for (int i = 0; i < a->n; i++) {
        const size_t at = by_step ? (size_t)(a->n_steps - a->n + i) : a->ends[i];
        if (!take_row(json_array_get(rows, at), &out[i], e)) return false;
    }
    return true;
}

static bool take_classify(const struct ways_ask *a, const json_t *answer, float *out, struct err *e) {
    if (a->server != WAY_SGLANG) {
        const json_t *probs = json_object_get(only_data(answer), "probs");
        return probs ? take_row(probs, out, e) : wire_senseless(e, "no probabilities");
    }
    const json_t *one =
        json_is_array(answer) && json_array_size(answer) == 1 ? json_array_get(answer, 0) : answer;
    const json_t *numbers = json_object_get(one, "embedding");
    const json_t *x = json_array_get(numbers, 0);
    if (json_array_size(numbers) != 1 || !json_is_number(x)) return wire_senseless(e, "not one number");
    return put_reward(logistic(json_number_value(x)), out, e);
}

/* What a list of [{id, logprob}], or [[logprob, id, ...]], or {"token_id:N": logprob} tells of a token. */
static double told(const json_t *list, int id) {
    char name[32];
    snprintf(name, sizeof name, "token_id:%d", id);
    const json_t *x = json_object_get(list, name);
    if (json_is_number(x)) return json_number_value(x);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *row = json_array_get(list, i);
        const bool as_list = json_is_array(row);
        const json_t *key = as_list ? json_array_get(row, 1) : json_object_get(row, "id");
        x = as_list ? json_array_get(row, 0) : json_object_get(row, "logprob");
        if (json_is_integer(key) && json_integer_value(key) == id && json_is_number(x))
            return json_number_value(x);
    }
    return -INFINITY;
}

static bool take_logprob(const struct ways_ask *a, const json_t *answer, float *out, struct err *e) {
    const json_t *list;
    if (a->server == WAY_SGLANG) {
        const json_t *meta = json_object_get(answer, "meta_info");
        list = json_array_get(json_object_get(meta, "output_token_ids_logprobs"), 0);
    } else if (a->server == WAY_LLAMA) {
        const json_t *tokens = json_object_get(answer, "completion_probabilities");
        list = json_object_get(json_array_get(tokens, 0), "top_logprobs");
    } else {
        const json_t *choices = json_object_get(answer, "choices");
        if (json_array_size(choices) != 1) return wire_senseless(e, "not one choice");
        const json_t *logprobs = json_object_get(json_array_get(choices, 0), "logprobs");
        list = a->server == WAY_IK
                   ? json_object_get(json_array_get(json_object_get(logprobs, "content"), 0), "top_logprobs")
                   : json_array_get(json_object_get(logprobs, "top_logprobs"), 0);
    }
    if (!list) return wire_senseless(e, "no log-probabilities");
    const double good = told(list, a->good), bad = told(list, a->bad);
    if (!(good > -1000) && !(bad > -1000))
        return wire_senseless(e, "neither of the two tokens is among the likeliest");
    return put_reward(logistic(good - bad), out, e);
}

/* results: [{index, key}], each index once. */
static bool take_indexed(const struct ways_ask *a, const json_t *results, const char *key, bool raw,
                         float *out, struct err *e) {
    if (json_array_size(results) != (size_t)a->n) return wire_senseless(e, "not one result a text");
    for (int i = 0; i < a->n; i++) out[i] = NAN;
    for (int i = 0; i < a->n; i++) {
        const json_t *x = json_array_get(results, (size_t)i), *index = json_object_get(x, "index");
        const json_t *number = json_object_get(x, key);
        const json_int_t at = json_is_integer(index) ? json_integer_value(index) : -1;
        if (at < 0 || at >= a->n || !isnan(out[at]))
            return wire_senseless(e, "an index that is none, or comes twice");
        if (!json_is_number(number)) return wire_senseless(e, "a result without a number");
        const double given = json_number_value(number);
        if (!put_reward(raw ? logistic(given) : given, &out[at], e)) return false;
    }
    return true;
}

bool ways_judged(const char *reply, float *reward) {
    const struct str all = str_trim(str_from(reply));
    const ptrdiff_t line = str_find_last(all, STR("\n"));
    struct str last = line < 0 ? all : str_trim((struct str){all.ptr + line, all.len - (size_t)line});
    if (!str_starts(last, STR("SCORE: "))) return false;
    last = (struct str){last.ptr + 7, last.len - 7};
    if (last.len == 0 || last.len > SCORE_DIGITS_MAX || (last.len > 1 && last.ptr[0] == '0')) return false;
    int n = 0;
    for (size_t i = 0; i < last.len; i++) {
        if (last.ptr[i] < '0' || last.ptr[i] > '9') return false;
        n = 10 * n + (last.ptr[i] - '0');
    }
    if (n > 100) return false;
    *reward = (float)n / 100;
    return true;
}

static bool take_judge(const json_t *answer, struct ways_answer *out, struct err *e) {
    const json_t *choices = json_object_get(answer, "choices");
    const json_t *message = json_object_get(json_array_get(choices, 0), "message");
    const json_t *text = json_object_get(message, "content");
    if (json_array_size(choices) != 1) return wire_senseless(e, "not one choice");
    if (!json_is_string(text) && !json_is_null(text)) return wire_senseless(e, "no text");
    out->unread = json_is_null(text) || !ways_judged(json_string_value(text), out->rewards);
    return true;
}

bool ways_take(const struct ways_ask *a, const json_t *answer, struct ways_answer *out, struct err *e) {
    const json_t *usage = json_object_get(answer, "usage");
    float *x = out->rewards;
    out->n_written = wire_count(usage, "completion_tokens");
    out->n_tokens = wire_count(usage, "prompt_tokens") + out->n_written;
    if (json_object_get(answer, "error")) return wire_senseless(e, "an error with status 200");
    switch (a->way) {
    case WAY_POOLING:
        return take_pooling(a, answer, x, e);
    case WAY_CLASSIFY:
        return take_classify(a, answer, x, e);
    case WAY_LOGPROB:
        return take_logprob(a, answer, x, e);
    case WAY_SCORE:
        return take_indexed(a, json_object_get(answer, "data"), "score", false, x, e);
    case WAY_RERANK:
        return take_indexed(a, json_object_get(answer, "results"), "relevance_score", a->server == WAY_LLAMA,
                            x, e);
    case WAY_JUDGE:
        return take_judge(answer, out, e);
    }
    return false;
}
