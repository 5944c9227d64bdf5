/* mock_server.h - a server as vLLM, llama-server or a chat service speaks, for tests: it writes a toy chain
 * (model/toy_chain.h), and fails on purpose.
 *
 * A reply is a function of (prompt, seed) alone, whatever failed before. A token is a byte: id = byte + 3;
 * 1 begins a prompt, 2 ends an answer. A conversation is rendered as "U:text\nA:answer<e>U:text\nA:", with
 * "S:text\n" before it where there is a system message; what a later turn asks for is answered with a whole
 * solution, by a chat service with "turn 2: " before it. Behind "Wait," the last step is written anew, behind
 * "The answer is \boxed{" what is missing of the last.
 */
#ifndef BROOD_TESTS_MOCK_SERVER_H
#define BROOD_TESTS_MOCK_SERVER_H

#include <arpa/inet.h>
#include <math.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/rng.h"
#include "model/toy_chain.h"

enum mock_dialect { MOCK_VLLM, MOCK_LLAMA, MOCK_CHAT, MOCK_SGLANG, MOCK_IK };

enum mock_fault {
    MOCK_429,
    MOCK_500,
    MOCK_503,
    MOCK_HANG_UP,
    MOCK_HALF,      /* of a body */
    MOCK_MALFORMED, /* no JSON */
    MOCK_TWICE,     /* two choices, the same */
    MOCK_EMPTY,     /* an object with nothing in it */
    MOCK_ERROR_200, /* an error that says it is none */
    MOCK_STALL,     /* no answer before the server is stopped */
    MOCK_FAULTS
};
enum { MOCK_EOS = 2, MOCK_TOKEN_0 = 3, MOCK_CLOSE = 300, MOCK_CONTEXT = 4096 };

struct mock_options {
    enum mock_dialect dialect;
    const char *chain;  /* toy_params */
    const char *key;    /* wanted as a bearer token; NULL: none */
    double share;       /* of the requests that fail */
    unsigned faults;    /* bits 1 << enum mock_fault */
    const char *script; /* of its first requests: '.' is fine, '4' 429, '5' 500, '3' 503, 's' stalls */
    int n_good;         /* requests before faults begin */
    int n_bad;          /* faults in all; 0: no end */
    bool blank;         /* an empty step comes first */
    bool drop_stop;     /* vLLM: the stop text is named and not kept, as servers before do */
    bool keep_end;      /* the ids of an answer do not have the end token */
    bool no_detokenize, no_top; /* no such page; no likeliest tokens */
    bool thinks;                /* "</think>", one token, stands before the last step */
    bool rows_by_token;         /* of /pooling: one a token, not one a step */
    int n_shy;                  /* a judge's first replies to a question, which say no score */
    const char *retry_after;
    /* For measurements: a step takes first_seconds, and token_seconds for each of its tokens, of which there
     * are as many as a log-normal distribution says, drawn by the seed; the text stays as it is. */
    double first_seconds, token_seconds, tokens_median, tokens_sigma;
};

struct mock {
    struct mock_options o;
    struct toy_params params;
    struct MHD_Daemon *daemon;
    int port;
    pthread_mutex_t lock;
    pthread_cond_t stalls;                          /* one more */
    int n_requests, n_faults, n_given[MOCK_FAULTS]; /* under lock, or after mock_stop */
    int n_ends;                                     /* prompts with an end token in them; likewise */
    struct MHD_Connection *stalled[256];
    int n_stalled;
    bool stops; /* under lock */
    uint64_t problems[64]; /* [n_problems] hashes of those that it went on from; likewise */
    int n_problems;
};

struct mock_request {
    struct buf body;
    bool stalled;
};

static inline enum MHD_Result mock_send(struct MHD_Connection *c, unsigned status, const char *body,
                                        const char *retry_after) {
    struct MHD_Response *r =
        MHD_create_response_from_buffer(strlen(body), (void *)(uintptr_t)body, MHD_RESPMEM_MUST_COPY);
    MHD_add_response_header(r, "Content-Type", "application/json");
    if (retry_after) MHD_add_response_header(r, "Retry-After", retry_after);
    enum MHD_Result done = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return done;
}

static inline enum MHD_Result mock_send_json(struct MHD_Connection *c, unsigned status, json_t *o) {
    char *text = json_line(o);
    enum MHD_Result done = mock_send(c, status, text, NULL);
    free(text);
    json_decref(o);
    return done;
}

static inline ssize_t mock_half(void *ctx, uint64_t at, char *out, size_t max) {
    UNUSED(ctx);
    if (at > 0 || max < 12) return MHD_CONTENT_READER_END_WITH_ERROR;
    memcpy(out, "{\"choices\":[", 12);
    return 12;
}

/* ---- what it writes ---- */
static inline json_t *mock_ids(const struct mock *m, struct str text, bool begin) {
    const struct str close = STR("</think>");
    json_t *ids = json_array();
    if (begin) json_array_append_new(ids, json_integer(1));
    for (size_t i = 0; i < text.len; i++) {
        const bool closes = m->o.thinks && str_starts((struct str){text.ptr + i, text.len - i}, close);
        json_array_append_new(ids,
                              json_integer(closes ? MOCK_CLOSE : (unsigned char)text.ptr[i] + MOCK_TOKEN_0));
        if (closes) i += close.len - 1;
    }
    return ids;
}

static inline void mock_text_of(const json_t *ids, struct buf *out) {
    for (size_t i = 0; i < json_array_size(ids); i++) {
        json_int_t id = json_integer_value(json_array_get(ids, i));
        if (id == MOCK_CLOSE)
            buf_add_str(out, STR("</think>"));
        else if (id >= MOCK_TOKEN_0)
            buf_add_char(out, (char)(id - MOCK_TOKEN_0));
    }
}

/* What the user said first. */
static inline const char *mock_problem(const json_t *request) {
    const json_t *messages = json_object_get(request, "messages");
    for (size_t i = 0; i < json_array_size(messages); i++) {
        const json_t *x = json_array_get(messages, i);
        if (strcmp(json_string_value(json_object_get(x, "role")), "user") == 0)
            return json_string_value(json_object_get(x, "content"));
    }
    return NULL;
}

static inline void mock_render(const json_t *request, struct buf *out) {
    const json_t *messages = json_object_get(request, "messages");
    for (size_t i = 0; i < json_array_size(messages); i++) {
        const json_t *x = json_array_get(messages, i);
        const char *role = json_string_value(json_object_get(x, "role"));
        const char *text = json_string_value(json_object_get(x, "content"));
        if (strcmp(role, "system") == 0) buf_printf(out, "S:%s\n", text);
        if (strcmp(role, "user") == 0) buf_printf(out, "U:%s\nA:", text);
        if (strcmp(role, "assistant") == 0) buf_printf(out, "%s<e>", text);
    }
}

/* Three likeliest tokens and, now and then, the one that was drawn; their mean is i + 2. */
static inline json_t *mock_top(size_t i, bool as_list) {
    const double x[] = {-(double)i - 1, -(double)i - 2, -(double)i - 3, -(double)i - 50};
    json_t *top = as_list ? json_array() : json_object();
    for (size_t k = 0; k < 3 + i % 2; k++) {
        char name[16];
        snprintf(name, sizeof name, "token_id:%zu", k);
        if (as_list)
            json_array_append_new(top, json_pack("{s:f}", "logprob", x[k]));
        else
            json_object_set_new(top, name, json_real(x[k]));
    }
    return top;
}

/* Whether a request wants so many likeliest tokens. */
static inline bool mock_wants_top(const struct mock *m, const json_t *request) {
    static const char *const names[] = {[MOCK_VLLM] = "logprobs",
                                        [MOCK_LLAMA] = "n_probs",
                                        [MOCK_CHAT] = "top_logprobs",
                                        [MOCK_SGLANG] = "logprobs",
                                        [MOCK_IK] = "logprobs"};
    return !m->o.no_top && json_integer_value(json_object_get(request, names[m->o.dialect])) == 3;
}

struct mock_written {
    struct buf text;
    bool ended, at_stop; /* the end of the answer; behind a stop text, which is in the text */
};

/* Goes on with the solution so far. */
static inline void mock_write(const struct mock *m, const char *problem, struct str so_far, uint64_t seed,
                              double temperature, int n_max, const char *stop, struct mock_written *w) {
    struct toy_chain chain;
    int level = 0, value = 0;
    toy_chain_init(&chain, &m->params, problem);
    const bool fresh = so_far.len == 0;
    so_far = str_trim(so_far);
    const bool waits = str_ends(so_far, STR("Wait,")), answers = str_ends(so_far, STR("\\boxed{"));
    for (ptrdiff_t end; so_far.len > 0; level++) {
        end = str_find(so_far, STR("\n\n"));
        struct str step = {so_far.ptr, end < 0 ? so_far.len : (size_t)end};
        if (str_starts(step, STR("</think>"))) level--;
        if (!toy_chain_read(&chain, level + 1, step, &value)) value = 0;
        so_far.ptr += step.len;
        so_far.len -= step.len;
        so_far = str_trim(so_far);
    }
    if (waits) level = MAX(level - (level > m->params.depth ? 2 : 1), 0);
    if (answers) level = m->params.depth - 1;
    if (fresh && m->o.blank) buf_add_str(&w->text, STR("\n\n"));
    w->at_stop = stop && w->text.len > 0;
    while (!w->at_stop && level < m->params.depth) {
        double logprob;
        value = toy_chain_draw(&chain, level, value, temperature, rng_unit(seed, (uint64_t)level), &logprob);
        if (m->o.thinks && level == m->params.depth - 1 && !answers) buf_add_str(&w->text, STR("</think>"));
        if (answers)
            buf_printf(&w->text, "%d}.", value), level++;
        else
            toy_chain_write(&chain, ++level, value, &w->text);
        w->ended = level == m->params.depth;
        if (!w->ended) buf_add_str(&w->text, STR("\n\n"));
        w->at_stop = stop && !w->ended;
    }
    if (w->text.len + w->ended <= (size_t)n_max) return;
    w->text.len = MIN(w->text.len, (size_t)n_max);
    w->text.ptr[w->text.len] = '\0';
    w->ended = w->at_stop = false;
}

static inline json_t *mock_completion(const struct mock *m, const json_t *request, const char *problem,
                                      struct str so_far, size_t n_prompt, bool twice) {
    const bool llama = m->o.dialect == MOCK_LLAMA;
    const char *stop = json_string_value(json_array_get(json_object_get(request, "stop"), 0));
    struct mock_written w = {0};
    mock_write(m, problem, so_far, (uint64_t)json_integer_value(json_object_get(request, "seed")),
               json_number_value(json_object_get(request, "temperature")),
               (int)json_integer_value(json_object_get(request, llama ? "n_predict" : "max_tokens")), stop,
               &w);
    json_t *ids = mock_ids(m, buf_str(&w.text), false), *logprobs = json_array(), *tops = json_array();
    if (w.ended && !m->o.keep_end) json_array_append_new(ids, json_integer(MOCK_EOS));
    const size_t n = json_array_size(ids);
    const bool wants_top = mock_wants_top(m, request);
    const bool keep = json_is_true(json_object_get(request, "include_stop_str_in_output"));
    const bool ik = m->o.dialect == MOCK_IK;
    if (w.at_stop && (llama || ik || !keep || m->o.drop_stop)) w.text.len -= 2;
    json_t *text = json_text(buf_str(&w.text)), *answer;
    if (ik) { /* ids among the log-probabilities; what stopped has no bytes, and "stop" is said always */
        for (size_t i = 0; i < n; i++) {
            json_t *place = json_pack("{s:O,s:f,s:[i],s:o*}", "id", json_array_get(ids, i), "logprob", -0.5,
                                      "bytes", 1, "top_logprobs", wants_top ? mock_top(i, true) : NULL);
            if (i + 1 == n && (w.ended || w.at_stop)) json_array_clear(json_object_get(place, "bytes"));
            json_array_append_new(logprobs, place);
        }
        json_decref(ids);
        json_t *choices = json_pack("[{s:o,s:s,s:{s:o}}]", "text", text, "finish_reason", "stop", "logprobs",
                                    "content", logprobs);
        if (twice) json_array_append(choices, json_array_get(choices, 0));
        answer = json_pack("{s:o,s:{s:i}}", "choices", choices, "timings", "prompt_n", (int)n_prompt);
    } else if (llama) {
        for (size_t i = 0; i < n; i++)
            json_array_append_new(logprobs, json_pack("{s:f,s:o*}", "logprob", -0.5, "top_logprobs",
                                                      wants_top ? mock_top(i, true) : NULL));
        answer = json_pack("{s:o,s:o,s:s,s:s,s:o,s:{s:i}}", "content", text, "tokens", ids, "stop_type",
                           w.ended     ? "eos"
                           : w.at_stop ? "word"
                                       : "limit",
                           "stopping_word", w.at_stop ? stop : "", "completion_probabilities", logprobs,
                           "timings", "prompt_n", (int)n_prompt);
    } else {
        for (size_t i = 0; i < n; i++) json_array_append_new(logprobs, json_real(-0.5));
        for (size_t i = 0; wants_top && i < n; i++) json_array_append_new(tops, mock_top(i, false));
        json_t *choice = json_pack("{s:i,s:o,s:s,s:o,s:o,s:{s:o,s:O}}", "index", 0, "text", text,
                                   "finish_reason", w.ended || w.at_stop ? "stop" : "length", "stop_reason",
                                   w.at_stop ? json_string(stop) : json_null(), "token_ids", ids, "logprobs",
                                   "token_logprobs", logprobs, "top_logprobs", tops);
        json_t *choices = json_array();
        json_array_append(choices, choice);
        if (twice) json_array_append(choices, choice);
        json_decref(choice);
        answer = json_pack("{s:o,s:{s:i,s:i,s:{s:i}}}", "choices", choices, "usage", "prompt_tokens",
                           (int)n_prompt, "completion_tokens", (int)n, "prompt_tokens_details",
                           "cached_tokens", (int)n_prompt / 2);
    }
    json_decref(tops);
    buf_free(&w.text);
    return answer;
}

static inline json_t *mock_chat(const struct mock *m, const json_t *request, bool twice) {
    struct mock_written w = {0};
    const json_t *messages = json_object_get(request, "messages");
    const char *first = json_string_value(json_object_get(json_array_get(messages, 0), "role"));
    const size_t n_turns = (json_array_size(messages) - (first && strcmp(first, "system") == 0)) / 2 + 1;
    if (n_turns > 1) buf_printf(&w.text, "turn %zu: ", n_turns);
    mock_write(m, mock_problem(request), STR(""),
               (uint64_t)json_integer_value(json_object_get(request, "seed")),
               json_number_value(json_object_get(request, "temperature")),
               (int)json_integer_value(json_object_get(request, "max_tokens")), NULL, &w);
    json_t *choices = json_array(), *tops = json_array();
    for (size_t i = 0; mock_wants_top(m, request) && i < w.text.len; i++) /* none of the end token */
        json_array_append_new(tops,
                              json_pack("{s:f,s:o}", "logprob", -0.5, "top_logprobs", mock_top(i, true)));
    for (int i = 0; i <= twice; i++)
        json_array_append_new(choices,
                              json_pack("{s:i,s:{s:s,s:o},s:s,s:{s:O}}", "index", 0, "message", "role",
                                        "assistant", "content", json_text(buf_str(&w.text)), "finish_reason",
                                        w.ended ? "stop" : "length", "logprobs", "content", tops));
    json_decref(tops);
    json_t *answer = json_pack("{s:o,s:{s:i,s:i}}", "choices", choices, "usage", "prompt_tokens", 7,
                               "completion_tokens", (int)w.text.len + w.ended);
    buf_free(&w.text);
    return answer;
}

#include "mock_reward.h"

static inline int mock_find_problem(const struct mock *m, uint64_t hash) {
    int i = 0;
    while (i < m->n_problems && m->problems[i] != hash) i++;
    return i;
}

static inline void mock_note_problem(struct mock *m, const char *problem) {
    const uint64_t hash = rng_hash(0, problem, strlen(problem));
    pthread_mutex_lock(&m->lock);
    const int i = mock_find_problem(m, hash);
    if (i == m->n_problems && i < (int)ARRAY_LEN(m->problems)) m->problems[m->n_problems++] = hash;
    pthread_mutex_unlock(&m->lock);
}

/* Whether it was asked to go on from this problem. */
static inline bool mock_knows_problem(struct mock *m, const char *problem) {
    pthread_mutex_lock(&m->lock);
    const bool is = mock_find_problem(m, rng_hash(0, problem, strlen(problem))) < m->n_problems;
    pthread_mutex_unlock(&m->lock);
    return is;
}

/* NULL: there is no such page. */
static inline json_t *mock_answer(struct mock *m, const char *url, const json_t *request, bool twice,
                                  bool *too_long) {
    const enum mock_dialect d = m->o.dialect;
    const bool llama = d == MOCK_LLAMA || d == MOCK_IK;
    if (strcmp(url, "/v1/models") == 0)
        return json_pack("{s:[{s:s,s:s,s:i}]}", "data", "id", "toy", "owned_by",
                         d == MOCK_VLLM     ? "vllm"
                         : llama            ? "llamacpp"
                         : d == MOCK_SGLANG ? "sglang"
                                            : "somebody",
                         d == MOCK_VLLM ? "max_model_len" : "created", MOCK_CONTEXT);
    if (llama && strcmp(url, "/props") == 0)
        return json_pack("{s:{s:i}}", "default_generation_settings", "n_ctx", MOCK_CONTEXT);
    json_t *reward = mock_reward(m, url, request, twice);
    if (reward) return reward;
    if (strcmp(url, "/v1/chat/completions") == 0) return mock_chat(m, request, twice);
    if (d == MOCK_CHAT) return NULL;
    struct buf text = {0};
    json_t *answer = NULL;
    mock_render(request, &text);
    if (llama && strcmp(url, "/apply-template") == 0) {
        answer = json_pack("{s:o}", "prompt", json_text(buf_str(&text)));
    } else if (strcmp(url, "/tokenize") == 0) {
        const char *plain = json_string_value(json_object_get(request, llama ? "content" : "prompt"));
        const json_t *special = json_object_get(request, llama ? "add_special" : "add_special_tokens");
        if (llama || plain) buf_clear(&text);
        buf_add_str(&text, str_from(plain));
        answer = json_pack("{s:o}", "tokens",
                           mock_ids(m, buf_str(&text), text.len > 0 && !(special && json_is_false(special))));
    } else if (strcmp(url, "/detokenize") == 0 && !m->o.no_detokenize) {
        const json_int_t id = json_integer_value(json_array_get(json_object_get(request, "tokens"), 0));
        char one[5] = "</s>";
        if (id >= MOCK_TOKEN_0) one[0] = (char)(id - MOCK_TOKEN_0), one[1] = '\0';
        answer = json_pack("{s:s}", llama ? "content" : "prompt", one);
    } else if (strcmp(url, d == MOCK_LLAMA ? "/completion" : "/v1/completions") == 0) {
        const json_t *ids = json_object_get(request, "prompt");
        mock_text_of(ids, &text);
        for (size_t i = 0; i < json_array_size(ids); i++) {
            if (json_integer_value(json_array_get(ids, i)) != MOCK_EOS) continue;
            pthread_mutex_lock(&m->lock);
            m->n_ends++;
            pthread_mutex_unlock(&m->lock);
        }
        const ptrdiff_t at = str_find(buf_str(&text), STR("\nA:")), u = str_find(buf_str(&text), STR("U:"));
        *too_long = json_array_size(ids) >= MOCK_CONTEXT;
        if (u >= 0 && at >= u + 2 && !*too_long) {
            text.ptr[at] = '\0';
            mock_note_problem(m, text.ptr + u + 2);
            struct str so_far = {text.ptr + at + 3, text.len - (size_t)at - 3};
            for (ptrdiff_t next; (next = str_find(so_far, STR("\nA:"))) >= 0;) /* of a later turn */
                so_far = (struct str){so_far.ptr + next + 3, so_far.len - (size_t)next - 3};
            answer = mock_completion(m, request, text.ptr + u + 2, so_far, json_array_size(ids), twice);
        }
    }
    buf_free(&text);
    return answer;
}

/* ---- requests ---- */
static inline void mock_take_time(const struct mock *m, const json_t *request) {
    const uint64_t seed = (uint64_t)json_integer_value(json_object_get(request, "seed"));
    const double radius = sqrt(-2 * log(1 - rng_unit(seed, 1))),
                 angle = 6.283185307179586 * rng_unit(seed, 2);
    const double n_tokens = m->o.tokens_median * exp(m->o.tokens_sigma * radius * cos(angle));
    const double seconds = m->o.first_seconds + n_tokens * m->o.token_seconds;
    const struct timespec t = {(time_t)seconds, (long)((seconds - floor(seconds)) * 1e9)};
    nanosleep(&t, NULL);
}

static inline int mock_draw_fault(struct mock *m) {
    pthread_mutex_lock(&m->lock);
    const uint64_t n = (uint64_t)m->n_requests++;
    int fault = -1, n_kinds = __builtin_popcount(m->o.faults);
    if (m->o.script && n < strlen(m->o.script)) {
        static const char *const marks = "453";
        static const int kinds[] = {MOCK_429, MOCK_500, MOCK_503, MOCK_STALL};
        const char mark = m->o.script[n];
        if (mark != '.') fault = kinds[mark == 's' ? 3 : strchr(marks, mark) - marks];
    } else if (n_kinds > 0 && n >= (uint64_t)m->o.n_good && (m->o.n_bad == 0 || m->n_faults < m->o.n_bad) &&
               rng_unit(0xfa17, n) < m->o.share) {
        int skip = (int)rng_below(0xfa18, n, (uint64_t)n_kinds);
        for (fault = 0; !(m->o.faults & 1u << fault) || skip-- > 0;) fault++;
        m->n_faults++;
        m->n_given[fault]++;
    }
    pthread_mutex_unlock(&m->lock);
    return fault;
}

/* False: the server is being stopped. Who is in the list is suspended, so that it can be resumed. */
static inline bool mock_stall(struct mock *m, struct MHD_Connection *c, struct mock_request *r) {
    pthread_mutex_lock(&m->lock);
    const bool stalls = !m->stops;
    if (stalls) {
        ASSERT(m->n_stalled < (int)ARRAY_LEN(m->stalled));
        r->stalled = true;
        MHD_suspend_connection(c);
        m->stalled[m->n_stalled++] = c;
        pthread_cond_broadcast(&m->stalls);
    }
    pthread_mutex_unlock(&m->lock);
    return stalls;
}

/* Every fault but those that change the answer itself. True: it was sent. */
static inline bool mock_fail(struct mock *m, struct MHD_Connection *c, struct mock_request *r, int fault,
                             enum MHD_Result *done) {
    switch (fault) {
    case MOCK_429:
        *done = mock_send(c, 429, "{\"error\":{\"message\":\"slow down\"}}", m->o.retry_after);
        return true;
    case MOCK_500:
        *done = mock_send(c, 500, "Internal Server Error", NULL);
        return true;
    case MOCK_503:
        *done = mock_send(c, 503, "{\"error\":\"loading\"}", NULL);
        return true;
    case MOCK_MALFORMED:
        *done = mock_send(c, 200, "{\"choices\":[{\"text\":\"", NULL);
        return true;
    case MOCK_EMPTY:
        *done = mock_send(c, 200, "{}", NULL);
        return true;
    case MOCK_ERROR_200:
        *done = mock_send(c, 200, "{\"error\":{\"message\":\"out of memory\",\"code\":500}}", NULL);
        return true;
    case MOCK_HANG_UP:
        *done = MHD_NO;
        return true;
    case MOCK_HALF: {
        struct MHD_Response *x = MHD_create_response_from_callback(4000, 1024, mock_half, NULL, NULL);
        *done = MHD_queue_response(c, 200, x);
        MHD_destroy_response(x);
        return true;
    }
    case MOCK_STALL:
        *done = mock_stall(m, c, r) ? MHD_YES : MHD_NO;
        return true;
    default:
        return false;
    }
}

static inline bool mock_knows(const struct mock *m, struct MHD_Connection *c, enum MHD_Result *done) {
    const char *given = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Authorization");
    struct buf wanted = {0};
    buf_printf(&wanted, "Bearer %s", m->o.key ? m->o.key : "");
    const bool fine = !m->o.key || (given && strcmp(given, buf_cstr(&wanted)) == 0);
    buf_free(&wanted);
    if (!fine) /* and says what it was given, which it should not */
        *done = mock_send_json(c, 401,
                               json_pack("{s:{s:o}}", "error", "message",
                                         json_sprintf("wrong key: %s", given ? given : "none")));
    return fine;
}

static inline enum MHD_Result mock_on_request(void *ctx, struct MHD_Connection *c, const char *url,
                                              const char *method, const char *version, const char *bytes,
                                              size_t *n_bytes, void **state) {
    struct mock *m = ctx;
    struct mock_request *r = *state;
    enum MHD_Result done = MHD_NO;
    UNUSED(method);
    UNUSED(version);
    if (!r) {
        *state = mem_zalloc(1, sizeof *r);
        return MHD_YES;
    }
    if (*n_bytes > 0) {
        buf_add(&r->body, bytes, *n_bytes);
        *n_bytes = 0;
        return MHD_YES;
    }
    if (r->stalled) return MHD_NO;
    const int fault = mock_draw_fault(m);
    if (!mock_knows(m, c, &done) || mock_fail(m, c, r, fault, &done)) return done;
    struct err e;
    bool too_long = false;
    json_t *request = r->body.len > 0 ? json_parse(buf_str(&r->body), "request", &e) : json_object();
    json_t *answer = request ? mock_answer(m, url, request, fault == MOCK_TWICE, &too_long) : NULL;
    const unsigned status = !request || too_long ? 400 : 404;
    if (m->o.token_seconds > 0 && json_object_get(request, "seed")) mock_take_time(m, request);
    json_decref(request);
    if (answer) return mock_send_json(c, 200, answer);
    return mock_send_json(c, status,
                          json_pack("{s:{s:s}}", "error", "message",
                                    too_long ? "maximum context length is 4096" : "no such request"));
}

static inline void mock_on_end(void *ctx, struct MHD_Connection *c, void **state,
                               enum MHD_RequestTerminationCode why) {
    struct mock_request *r = *state;
    UNUSED(ctx);
    UNUSED(c);
    UNUSED(why);
    if (!r) return;
    buf_free(&r->body);
    free(r);
}

/* port 0: any that is free. */
static inline struct mock *mock_start_at(const struct mock_options *o, int port) {
    struct mock *m = mem_zalloc(1, sizeof *m);
    struct err e;
    m->o = *o;
    ASSERT(toy_params_parse(&m->params, o->chain ? o->chain : "", &e));
    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->stalls, NULL);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const unsigned threads = m->o.token_seconds > 0
                                 ? MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD
                                 : MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME;
    m->daemon = MHD_start_daemon(threads, 0, NULL, NULL, mock_on_request, m, MHD_OPTION_SOCK_ADDR, &at,
                                 MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u, MHD_OPTION_NOTIFY_COMPLETED,
                                 mock_on_end, NULL, MHD_OPTION_END);
    ASSERT(m->daemon);
    m->port = MHD_get_daemon_info(m->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
    return m;
}

static inline struct mock *mock_start(const struct mock_options *o) {
    return mock_start_at(o, 0);
}

/* Those that stall now are hung up on. */
static inline void mock_hang_up(struct mock *m) {
    pthread_mutex_lock(&m->lock);
    for (int i = 0; i < m->n_stalled; i++) MHD_resume_connection(m->stalled[i]);
    m->n_stalled = 0;
    pthread_mutex_unlock(&m->lock);
}

static inline int mock_stalled(struct mock *m) {
    pthread_mutex_lock(&m->lock);
    const int n = m->n_stalled;
    pthread_mutex_unlock(&m->lock);
    return n;
}

/* Until one stalls. */
static inline void mock_wait_stalled(struct mock *m) {
    pthread_mutex_lock(&m->lock);
    while (m->n_stalled == 0) pthread_cond_wait(&m->stalls, &m->lock);
    pthread_mutex_unlock(&m->lock);
}

static inline void mock_stop(struct mock *m) {
    if (!m) return;
    pthread_mutex_lock(&m->lock);
    m->stops = true;
    pthread_mutex_unlock(&m->lock);
    mock_hang_up(m);
    MHD_stop_daemon(m->daemon);
    pthread_cond_destroy(&m->stalls);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

/* Requests since this was last asked. */
static inline int mock_take_requests(struct mock *m) {
    pthread_mutex_lock(&m->lock);
    const int n = m->n_requests;
    m->n_requests = 0;
    pthread_mutex_unlock(&m->lock);
    return n;
}

#endif
