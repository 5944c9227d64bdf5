/* mock_reward.h - the mock server's pages for reward models: whatever the way, the reward of a step is the
 * chance of the toy chain to end at the right answer (reward/toy.c without noise). Part of mock_server.h.
 *
 * Ids are read back as "P:problem\nS:step#|step#" (a closing aside, "%", may follow).
 */
#ifndef BROOD_TESTS_MOCK_REWARD_H
#define BROOD_TESTS_MOCK_REWARD_H

/* What a server with logits can say: never quite sure. */
static inline double mock_unsure(double x) {
    return fmin(fmax(x, 1e-9), 1 - 1e-9);
}

/* The chance behind the steps, which are parted by a text. */
static inline double mock_chance(const struct mock *m, struct str problem, struct str steps,
                                 const char *parted) {
    struct toy_chain chain;
    char *name = str_dup(problem);
    int level = 0, value = 0;
    toy_chain_init(&chain, &m->params, name);
    free(name);
    for (bool last = false; !last;) {
        const ptrdiff_t end = str_find(steps, str_from(parted));
        last = end < 0;
        const struct str step = {steps.ptr, last ? steps.len : (size_t)end};
        if (!last)
            steps = (struct str){step.ptr + step.len + strlen(parted), steps.len - step.len - strlen(parted)};
        if (str_trim(step).len == 0) continue;
        if (toy_chain_read(&chain, level + 1, str_trim(step), &value))
            level++;
        else if (!toy_chain_read(&chain, level = m->params.depth, str_trim(step), &value))
            return 0.5; /* no words of the chain: what a reward model is tried out with */
    }
    return level > 0 ? toy_chain_value(&chain, level, value) : 0.5;
}

/* Of a text "P:problem\nS:step#|step#", up to its k-th closing. */
static inline double mock_chance_of(const struct mock *m, struct str all, int k) {
    const ptrdiff_t at = str_find(all, STR("\nS:"));
    if (!str_starts(all, STR("P:")) || at < 0) return 0.5;
    struct buf steps = {0};
    for (size_t i = (size_t)at + 3, n = 0; i < all.len && n < (size_t)k; i++) {
        if (all.ptr[i] == '#') n++;
        if (all.ptr[i] != '#' && all.ptr[i] != '%') buf_add_char(&steps, all.ptr[i]);
    }
    const double x = mock_chance(m, (struct str){all.ptr + 2, (size_t)at - 2}, buf_str(&steps), "|");
    buf_free(&steps);
    return x;
}

static inline int mock_count(struct str all, char c) {
    int n = 0;
    for (size_t i = 0; i < all.len; i++) n += all.ptr[i] == c;
    return n;
}

static inline json_t *mock_doubled(json_t *list, bool twice) {
    if (twice) json_array_append(list, json_array_get(list, 0));
    return list;
}

static inline json_t *mock_pooling(const struct mock *m, struct str all, bool twice) {
    json_t *rows = json_array();
    int k = 0;
    for (size_t i = 0; i < all.len; i++) {
        const bool closes = all.ptr[i] == '#';
        k += closes;
        if (!closes && !m->o.rows_by_token) continue;
        const double x = closes ? mock_chance_of(m, all, k) : 0.25;
        json_array_append_new(rows, json_pack("[f,f]", 1 - x, x));
    }
    return json_pack("{s:o}", "data",
                     mock_doubled(json_pack("[{s:i,s:o}]", "index", 0, "data", rows), twice));
}

static inline json_t *mock_classify(const struct mock *m, struct str all, bool twice) {
    const double x = mock_unsure(mock_chance_of(m, all, mock_count(all, '|') + 1));
    if (m->o.dialect == MOCK_SGLANG) {
        json_t *one = mock_doubled(json_pack("[f]", log(x / (1 - x))), twice);
        return json_pack("[{s:o}]", "embedding", one);
    }
    return json_pack("{s:o}", "data",
                     mock_doubled(json_pack("[{s:i,s:[f,f]}]", "index", 0, "probs", 1 - x, x), twice));
}

/* Of '+' and '-'. */
static inline json_t *mock_words(const struct mock *m, struct str all, bool twice) {
    const int good = '+' + MOCK_TOKEN_0, bad = '-' + MOCK_TOKEN_0;
    const double x = mock_unsure(mock_chance_of(m, all, mock_count(all, '#'))), lg = log(x) - 1,
                 lb = log(1 - x) - 1;
    json_t *list = json_array();
    if (m->o.dialect == MOCK_SGLANG) {
        json_array_append_new(list, json_pack("[f,i,n]", lg, good));
        json_array_append_new(list, json_pack("[f,i,n]", lb, bad));
        return twice ? json_pack("[o,{}]", list)
                     : json_pack("{s:{s:[o]}}", "meta_info", "output_token_ids_logprobs", list);
    }
    if (m->o.dialect == MOCK_LLAMA || m->o.dialect == MOCK_IK) {
        json_array_append_new(list, json_pack("{s:i,s:f}", "id", 99, "logprob", -0.1));
        json_array_append_new(list, json_pack("{s:i,s:f}", "id", good, "logprob", lg));
        json_array_append_new(list, json_pack("{s:i,s:f}", "id", bad, "logprob", lb));
        if (m->o.dialect == MOCK_IK)
            return json_pack(
                "{s:o}", "choices",
                mock_doubled(json_pack("[{s:{s:[{s:o}]}}]", "logprobs", "content", "top_logprobs", list),
                             twice));
        return twice ? json_pack("[o,{}]", list)
                     : json_pack("{s:[{s:o}]}", "completion_probabilities", "top_logprobs", list);
    }
    json_decref(list);
    json_t *top = json_pack("{s:f,s:f,s:f}", "token_id:99", -0.1, "token_id:46", lg, "token_id:48", lb);
    return json_pack(
        "{s:o,s:{s:i,s:i}}", "choices",
        mock_doubled(json_pack("[{s:s,s:{s:[o]}}]", "text", "x", "logprobs", "top_logprobs", top), twice),
        "usage", "prompt_tokens", (int)all.len, "completion_tokens", 1);
}

/* Solutions so far for a problem, in any order. */
static inline json_t *mock_documents(const struct mock *m, const json_t *request, const char *query,
                                     const char *documents, bool twice) {
    const json_t *list = json_object_get(request, documents);
    const char *problem = json_string_value(json_object_get(request, query));
    json_t *results = json_array();
    for (size_t i = json_array_size(list); i-- > 0;) {
        const char *text = json_string_value(json_array_get(list, i));
        const double x = mock_unsure(mock_chance(m, str_from(problem), str_from(text), "\n\n"));
        const bool raw = m->o.dialect == MOCK_LLAMA;
        json_array_append_new(results, json_pack("{s:i,s:f}", "index", (int)i,
                                                 strcmp(query, "query") == 0 ? "relevance_score" : "score",
                                                 raw ? log(x / (1 - x)) : x));
    }
    return mock_doubled(results, twice);
}

static inline struct str mock_between(const char *text, const char *from, const char *to) {
    const char *begin = strstr(text, from), *end = begin ? strstr(begin, to) : NULL;
    if (!end) return (struct str){0};
    begin += strlen(from);
    return (struct str){begin, (size_t)(end - begin)};
}

/* Answers the built-in question; at the first try not in the form that was asked for, if it is shy. */
static inline json_t *mock_judge(const struct mock *m, const json_t *request, const char *question,
                                 bool twice) {
    const struct str problem = mock_between(question, "Problem:\n", "\n\nA solution so far:\n\n");
    const struct str steps = mock_between(question, "A solution so far:\n\n", "\n\nJudge step ");
    const json_int_t seed = json_integer_value(json_object_get(request, "seed"));
    struct buf plain = {0};
    for (size_t i = 0; i < steps.len; i++) { /* without "Step k: " */
        const struct str rest = {steps.ptr + i, steps.len - i};
        if (str_starts(rest, STR("Step "))) i += (size_t)str_find(rest, STR(": ")) + 2;
        buf_add_char(&plain, steps.ptr[i]);
    }
    const int n = (int)lround(100 * mock_chance(m, problem, buf_str(&plain), "\n\n"));
    char reply[80];
    snprintf(reply, sizeof reply,
             seed < m->o.n_shy ? "It looks right.\nScore: %d" : "It looks right.\n\nSCORE: %d\n", n);
    buf_free(&plain);
    json_t *choices = json_pack("[{s:i,s:{s:s,s:s},s:s}]", "index", 0, "message", "role", "assistant",
                                "content", reply, "finish_reason", "stop");
    return json_pack("{s:o,s:{s:i,s:i}}", "choices", mock_doubled(choices, twice), "usage", "prompt_tokens",
                     (int)strlen(question), "completion_tokens", 10);
}

/* NULL: it is none of these pages. */
static inline json_t *mock_reward(const struct mock *m, const char *url, const json_t *request, bool twice) {
    const enum mock_dialect d = m->o.dialect;
    const char *key = d == MOCK_SGLANG ? "input_ids" : "input";
    struct buf text = {0};
    json_t *answer = NULL;
    if (strcmp(url, "/v1/chat/completions") == 0) {
        const char *question = mock_problem(request);
        if (question && strstr(question, "SCORE: N")) answer = mock_judge(m, request, question, twice);
    } else if (strcmp(url, "/v1/rerank") == 0 && d != MOCK_CHAT) {
        answer = json_pack("{s:o}", "results", mock_documents(m, request, "query", "documents", twice));
    } else if (strcmp(url, "/v1/score") == 0 && d == MOCK_VLLM) {
        answer = json_pack("{s:o}", "data", mock_documents(m, request, "text_1", "text_2", twice));
    } else if (strcmp(url, "/pooling") == 0 && d == MOCK_VLLM) {
        mock_text_of(json_object_get(request, "input"), &text);
        answer = mock_pooling(m, buf_str(&text), twice);
    } else if (strcmp(url, "/classify") == 0 && (d == MOCK_VLLM || d == MOCK_SGLANG)) {
        mock_text_of(json_object_get(request, key), &text);
        answer = mock_classify(m, buf_str(&text), twice);
    } else if ((d == MOCK_VLLM && json_object_get(request, "logprob_token_ids")) ||
               (d == MOCK_IK && json_integer_value(json_object_get(request, "n_probs")) == 10) ||
               (d == MOCK_LLAMA && json_integer_value(json_object_get(request, "n_probs")) == 100)) {
        mock_text_of(json_object_get(request, "prompt"), &text);
        answer = mock_words(m, buf_str(&text), twice);
    } else if (strcmp(url, "/generate") == 0 && d == MOCK_SGLANG) {
        mock_text_of(json_object_get(request, "input_ids"), &text);
        answer = mock_words(m, buf_str(&text), twice);
    }
    buf_free(&text);
    return answer;
}

#endif
