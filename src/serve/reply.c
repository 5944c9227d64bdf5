/* reply.c - see reply.h. */
#include "serve/reply.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "answer/extract.h"
#include "base/clock.h"
#include "base/mem.h"
#include "run/answer_json.h"

static const double progress_seconds = 0.5, tree_seconds = 0.03, silence_seconds = 10;

/* ---- errors ---- */

static json_t *error_json(const struct refusal *why) {
    const char *type = why->status == 429   ? "rate_limit_error"
                       : why->status == 401 ? "authentication_error"
                       : why->status >= 500 ? "server_error"
                                            : "invalid_request_error";
    return json_pack("{s:{s:o,s:s,s:o,s:o}}", "error", "message", json_text(str_from(why->e.msg)), "type",
                     type, "param", answer_json_text(why->param[0] ? why->param : NULL), "code",
                     answer_json_text(why->code));
}

char *reply_error_text(const struct refusal *why) {
    json_t *o = error_json(why);
    char *text = json_line(o);
    json_decref(o);
    return text;
}

/* ---- chunks ---- */

static void write_json(struct call *c, int status, json_t *o, bool as_event) {
    char *line = json_line(o);
    struct buf b = {0};
    buf_printf(&b, "%s", as_event ? "data: " : "");
    buf_add_str(&b, str_from(line));
    buf_printf(&b, "%s", as_event ? "\n\n" : "\n");
    call_write(c, status, buf_str(&b));
    buf_free(&b);
    free(line);
    json_decref(o);
    c->written = clock_seconds();
}

/* What a chunk says of one choice. text: NULL none; finish: NULL goes on. */
static json_t *choice_json(const struct call *c, int index, const char *role, struct str *text,
                           const char *finish) {
    json_t *o = json_pack("{s:i,s:o}", "index", index, "finish_reason", answer_json_text(finish));
    if (!c->request.is_chat) {
        json_object_set_new(o, "text", text ? json_text(*text) : json_string(""));
        json_object_set_new(o, "logprobs", json_null());
        return o;
    }
    json_t *delta = json_object();
    if (role) json_object_set_new(delta, "role", json_string(role));
    if (text) json_object_set_new(delta, "content", json_text(*text));
    json_object_set_new(o, "delta", delta);
    return o;
}

static json_t *envelope(const struct call *c, const char *object, json_t *choices) {
    return json_pack("{s:s,s:s,s:I,s:o,s:o}", "id", c->id, "object", object, "created",
                     (json_int_t)c->created, "model", json_text(str_from(c->model)), "choices", choices);
}

static const char *chunk_name(const struct call *c) {
    return c->request.is_chat ? "chat.completion.chunk" : "text_completion";
}

/* brood may be NULL; it is taken over. */
static void write_chunk(struct call *c, json_t *choice, json_t *brood) {
    json_t *choices = json_array();
    if (choice) json_array_append_new(choices, choice);
    json_t *o = envelope(c, chunk_name(c), choices);
    if (c->request.include_usage) json_object_set_new(o, "usage", json_null());
    if (brood) json_object_set_new(o, "brood", brood);
    write_json(c, 200, o, true);
}

static void write_text(struct call *c, int index, struct str text) {
    if (text.len > 0) write_chunk(c, choice_json(c, index, NULL, &text, NULL), NULL);
}

/* ---- events ---- */

static void add_event(struct call *c, json_t *event) {
    if (!c->events) c->events = json_array();
    json_array_append_new(c->events, event);
}

static bool tells_tree(const struct call *c) {
    return c->request.stream && c->request.events == REQUEST_EVENTS_TREE;
}

static bool tells(const struct call *c) {
    return c->request.stream && c->request.events != REQUEST_EVENTS_NONE;
}

static void open_stream(struct call *c) {
    struct str empty = {"", 0};
    if (!c->request.stream || call_has_written(c)) return;
    write_chunk(c, choice_json(c, 0, "assistant", &empty, NULL), NULL);
}

void reply_queued(struct call *c, int position) {
    open_stream(c);
    if (tells(c)) add_event(c, json_pack("{s:s,s:i}", "type", "queued", "position", position));
}

/* Once it is sure that the problem can be taken up. */
static void begin(struct call *c, const struct reply_names *names) {
    if (c->has_begun) return;
    c->has_begun = true;
    open_stream(c);
    if (!tells(c)) return;
    const struct answering *v = &c->answering;
    add_event(c, json_pack("{s:s,s:s,s:o,s:s,s:s,s:s,s:o,s:I,s:i}", "type", "begin", "run", c->id, "strategy",
                           json_text(buf_str(&c->strategy)), "select", select_rule_name(v->select),
                           "aggregate", aggregate_names[v->aggregate], "policy", names->policy, "reward",
                           answer_json_text(names->reward), "seed", (json_int_t)c->request.seed, "max_tokens",
                           v->problem.n_tokens_max));
}

static json_t *rewards_json(const float *rewards, int n) {
    json_t *list = json_array();
    for (int i = 0; i < n; i++) json_array_append_new(list, answer_json_real((double)rewards[i]));
    return list;
}

static json_t *parent_of(const char *path) {
    const char *dot = strrchr(path, '.');
    return dot ? json_text((struct str){path, (size_t)(dot - path)}) : json_string("");
}

static json_t *node_json(const struct run_event *event) {
    static const char *const finishes[] = {
        [STORE_STEP] = "step", [STORE_END] = "end", [STORE_LENGTH] = "length", [STORE_FAILED] = "failed"};
    const struct store_node *x = event->node;
    const struct str lead = {x->text.ptr, x->n_lead_bytes};
    const struct str text = {x->text.ptr + lead.len, x->text.len - lead.len};
    json_t *o = json_pack("{s:s,s:s,s:o,s:o,s:i,s:o,s:s}", "type", "node", "id", event->path, "parent",
                          parent_of(event->path), "text", json_text(text), "tokens", x->n_tokens, "logprob",
                          answer_json_real(x->logprob), "finish", finishes[x->finish]);
    if (lead.len > 0) json_object_set_new(o, "lead", json_text(lead));
    if (x->finish == STORE_END) {
        struct str answer;
        const bool has = answer_extract(event->solution, 0, &answer, NULL);
        json_object_set_new(o, "answer", has ? json_text(answer) : json_null());
    }
    return o;
}

static void count_event(struct call *c, const struct run_event *event) {
    const struct cost none = {0};
    const struct cost *policy = event->what == RUN_NODE ? &event->node->cost : &none;
    const struct cost *reward = event->what == RUN_SCORE ? &event->score->cost : &none;
    const struct brood_work more = answering_work(policy, reward);
    c->spent_units += prices_of(&c->answering.prices, policy, reward);
    c->spent.tokens_generated += more.tokens_generated;
    c->spent.tokens_read += more.tokens_read;
    c->spent.flops += more.flops;
    c->n_nodes += event->what == RUN_NODE;
    c->n_solutions += event->what == RUN_NODE && event->node->finish == STORE_END;
    c->n_pruned += event->what == RUN_DROP;
}

static json_t *verdict_json(const struct run_event *event) {
    const struct store_verdict *x = event->verdict;
    return json_pack("{s:s,s:s,s:o,s:o,s:o}", "type", "verdict", "id", event->path, "passed",
                     x->passed < 0 ? json_null() : json_boolean(x->passed), "score",
                     answer_json_real(x->score), "feedback", json_text(str_from(x->feedback)));
}

void reply_event(struct call *c, const struct run_event *event, const struct reply_names *names) {
    if (event->what == RUN_SCORE_COST) return;
    begin(c, names);
    count_event(c, event);
    if (!tells_tree(c)) return;
    if (event->what == RUN_NODE) add_event(c, node_json(event));
    if (event->what == RUN_SCORE)
        add_event(c, json_pack("{s:s,s:s,s:o}", "type", "reward", "id", event->path, "rewards",
                               rewards_json(event->score->rewards, event->score->n_rewards)));
    if (event->what == RUN_VERDICT) add_event(c, verdict_json(event));
    if (event->what == RUN_DROP) add_event(c, json_pack("{s:s,s:s}", "type", "drop", "id", event->path));
}

void reply_text(struct call *c, struct str so_far, const struct reply_names *names) {
    if (so_far.len <= c->shown.len) return;
    begin(c, names);
    if (c->request.stream)
        write_text(c, 0, (struct str){so_far.ptr + c->shown.len, so_far.len - c->shown.len});
    buf_add(&c->shown, so_far.ptr + c->shown.len, so_far.len - c->shown.len);
}

static json_t *cost_json(const struct call *c, double now) {
    json_t *o = json_pack("{s:f,s:f,s:f,s:i,s:i,s:i,s:f}", "tokens_generated", c->spent.tokens_generated,
                          "tokens_read", c->spent.tokens_read, "flops", c->spent.flops, "nodes", c->n_nodes,
                          "solutions", c->n_solutions, "pruned", c->n_pruned, "seconds",
                          c->started > 0 ? now - c->started : 0);
    if (prices_are_given(&c->answering.prices))
        json_object_set_new(o, "usd", json_real(prices_dollars(c->spent_units)));
    return o;
}

static void write_events(struct call *c, double now) {
    json_t *events = c->events ? c->events : json_array();
    c->events = NULL;
    write_chunk(c, choice_json(c, 0, NULL, NULL, NULL),
                json_pack("{s:o,s:o}", "events", events, "cost", cost_json(c, now)));
}

void reply_flush(struct call *c, double now) {
    if (!c->request.stream || !call_has_written(c)) return;
    const double silence = now - c->written;
    if (tells(c) &&
        ((c->events && silence >= tree_seconds) || (c->started > 0 && silence >= progress_seconds)))
        write_events(c, now);
    else if (silence >= silence_seconds) {
        call_write(c, 200, STR(": searching\n\n"));
        c->written = now;
    }
}

/* ---- the end ---- */

struct choice {
    const struct brood_solution *solution; /* NULL: there is none */
    int n_class;                           /* -1: none */
};

/* The best of a class: the chosen one in its own. */
static const struct brood_solution *best_of(const struct brood_answer *a, int n_class) {
    const struct brood_solution *best = NULL;
    for (int i = 0; i < a->n_found; i++) {
        const struct brood_solution *x = &a->solutions[i];
        if (x->n_class != n_class) continue;
        if (i == a->chosen) return x;
        if (!best || x->complete > best->complete ||
            (x->complete == best->complete && x->score > best->score))
            best = x;
    }
    return best;
}

/* Room for n. The chosen solution first, then the best of every other class. */
static int list_choices(const struct brood_answer *a, int n, struct choice *out) {
    const int n_chosen_class = a->chosen >= 0 ? a->solutions[a->chosen].n_class : -1;
    int count = 0;
    out[count++] = (struct choice){a->chosen >= 0 ? &a->solutions[a->chosen] : NULL, n_chosen_class};
    for (int i = 0; i < a->n_classes && count < n; i++) {
        const struct brood_solution *x = i == n_chosen_class ? NULL : best_of(a, i);
        if (x) out[count++] = (struct choice){x, i};
    }
    return count;
}

static const char *finish_of(const struct choice *x) {
    return x->solution && x->solution->complete ? "stop" : "length";
}

static json_t *choice_brood(const struct brood_answer *a, const struct choice *x) {
    const struct brood_class *k = x->n_class >= 0 ? &a->classes[x->n_class] : NULL;
    return json_pack("{s:o,s:o,s:i,s:o}", "answer",
                     answer_json_text(x->solution ? x->solution->answer : NULL), "path",
                     answer_json_text(x->solution ? x->solution->path : NULL), "votes", k ? k->n_votes : 0,
                     "score", k ? answer_json_real(k->score) : json_null());
}

/* In money. */
static json_t *cost_details(const struct call *c) {
    const struct prices *p = &c->answering.prices;
    const struct run_cost *k = &c->cost;
    const struct cost none = {0};
    const double policy = prices_of(p, &k->policy_root, &none) + prices_of(p, &k->policy, &none);
    const double reward = prices_of(p, &none, &k->reward_root) + prices_of(p, &none, &k->reward);
    return json_pack("{s:f,s:f,s:f}", "usd", prices_dollars(policy + reward), "policy_usd",
                     prices_dollars(policy), "reward_usd", prices_dollars(reward));
}

static json_t *usage_json(const struct call *c, const struct choice *choices, int n) {
    const struct run_cost *k = &c->cost;
    const double policy = k->policy_root.tokens_read + k->policy.tokens_read;
    const double reward = k->reward_root.tokens_read + k->reward.tokens_read;
    const double written = k->policy.tokens_generated;
    double told = 0;
    for (int i = 0; i < n; i++) told += choices[i].solution ? choices[i].solution->n_tokens : 0;
    json_t *o =
        json_pack("{s:I,s:I,s:I,s:{s:i,s:I,s:I},s:{s:I}}", "prompt_tokens", (json_int_t)(policy + reward),
                  "completion_tokens", (json_int_t)written, "total_tokens",
                  (json_int_t)(policy + reward + written), "prompt_tokens_details", "cached_tokens", 0,
                  "policy_tokens", (json_int_t)policy, "reward_tokens", (json_int_t)reward,
                  "completion_tokens_details", "reasoning_tokens", (json_int_t)fmax(0, written - told));
    if (prices_are_given(&c->answering.prices)) json_object_set_new(o, "cost_details", cost_details(c));
    return o;
}

static json_t *result_json(const struct call *c) {
    const struct brood_answer *a = c->answering.answer;
    json_t *o = answer_json(a, c->request.text, buf_cstr(&c->strategy), c->request.with_solutions);
    json_object_set_new(o, "run", json_string(c->id));
    json_object_set_new(o, "queued", json_real(c->started - c->arrived));
    return o;
}

static json_t *solution_event(const struct brood_solution *x) {
    return json_pack("{s:s,s:s,s:o,s:b,s:i,s:o,s:o,s:o,s:o,s:i,s:o}", "type", "solution", "id", x->path,
                     "answer", answer_json_text(x->answer), "complete", x->complete, "tokens", x->n_tokens,
                     "rewards", x->rewards ? rewards_json(x->rewards, x->n_rewards) : json_null(), "score",
                     x->rewards ? answer_json_real(x->score) : json_null(), "logprob",
                     answer_json_real(x->logprob), "confidence", answer_json_real(x->confidence), "class",
                     x->n_class, "verified", x->verified < 0 ? json_null() : json_boolean(x->verified));
}

static void add_last_events(struct call *c, const struct brood_answer *a) {
    if (tells_tree(c)) {
        for (int i = 0; i < a->n_found; i++) add_event(c, solution_event(&a->solutions[i]));
        add_event(c, json_pack("{s:s,s:o,s:i}", "type", "classes", "classes", answer_json_classes(a),
                               "voters", a->n_solutions));
    }
    const char *path = a->chosen >= 0 ? a->solutions[a->chosen].path : NULL;
    add_event(c, json_pack("{s:s,s:o,s:o,s:i,s:i,s:f,s:f,s:s,s:s,s:s,s:o}", "type", "chosen", "id",
                           answer_json_text(path), "answer", answer_json_text(a->answer), "votes", a->n_votes,
                           "voters", a->n_solutions, "score", a->score, "margin", a->margin, "select",
                           a->select, "aggregate", a->aggregate, "ended", a->ended, "ran_out",
                           answer_json_text(a->ran_out)));
}

/* Step by step; of what is shown already, the rest. */
static void stream_text(struct call *c, int index, struct str text) {
    if (index == 0 && str_starts(text, buf_str(&c->shown))) {
        text.ptr += c->shown.len;
        text.len -= c->shown.len;
    }
    while (text.len > 0) {
        const ptrdiff_t at = str_find(text, STR("\n\n"));
        const size_t n = at < 0 ? text.len : (size_t)at + 2;
        write_text(c, index, (struct str){text.ptr, n});
        text.ptr += n;
        text.len -= n;
    }
}

static void stream_answer(struct call *c, const struct choice *choices, int n) {
    const struct brood_answer *a = c->answering.answer;
    if (tells(c)) {
        add_last_events(c, a);
        write_events(c, clock_seconds());
    }
    for (int i = 0; i < n; i++)
        if (choices[i].solution) stream_text(c, i, str_from(choices[i].solution->text));
    for (int i = 0; i < n; i++) {
        json_t *choice = choice_json(c, i, NULL, NULL, finish_of(&choices[i]));
        json_object_set_new(choice, "brood", choice_brood(a, &choices[i]));
        write_chunk(c, choice, i == n - 1 ? json_pack("{s:o}", "result", result_json(c)) : NULL);
    }
    if (c->request.include_usage) {
        json_t *o = envelope(c, chunk_name(c), json_array());
        json_object_set_new(o, "usage", usage_json(c, choices, n));
        write_json(c, 200, o, true);
    }
    call_write(c, 200, STR("data: [DONE]\n\n"));
}

static void send_answer(struct call *c, const struct choice *choices, int n) {
    json_t *list = json_array();
    for (int i = 0; i < n; i++) {
        const struct str text = str_from(choices[i].solution ? choices[i].solution->text : NULL);
        json_t *o = json_pack("{s:i,s:s,s:n,s:o}", "index", i, "finish_reason", finish_of(&choices[i]),
                              "logprobs", "brood", choice_brood(c->answering.answer, &choices[i]));
        if (c->request.is_chat)
            json_object_set_new(
                o, "message",
                json_pack("{s:s,s:o,s:n}", "role", "assistant", "content", json_text(text), "refusal"));
        else
            json_object_set_new(o, "text", json_text(text));
        json_array_append_new(list, o);
    }
    json_t *o = envelope(c, c->request.is_chat ? "chat.completion" : "text_completion", list);
    json_object_set_new(o, "usage", usage_json(c, choices, n));
    json_object_set_new(o, "brood", result_json(c));
    write_json(c, 200, o, false);
}

void reply_answer(struct call *c, const struct reply_names *names) {
    struct choice choices[REQUEST_CHOICES_MAX];
    const int n = list_choices(c->answering.answer, c->request.n, choices);
    begin(c, names);
    if (c->request.stream)
        stream_answer(c, choices, n);
    else
        send_answer(c, choices, n);
    call_close(c);
}

void reply_refuse(struct call *c, const struct refusal *why) {
    write_json(c, why->status, error_json(why), call_has_written(c));
    call_close(c);
}
