/* export.c - a run as JSON lines: the first line its configuration, then one line a problem
 * (docs/records.md). */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "store/internal.h"
#include "store/rows.h"

enum { EXPORT_REWARDS_MAX = 4096 };

static json_t *text_or_null(const char *s) {
    return s ? json_text(str_from(s)) : json_null();
}

static json_t *real_or_null(double x) {
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *tri_state(int right) {
    return right < 0 ? json_null() : json_boolean(right);
}

static json_t *cost_json(const struct cost *c) {
    return json_pack("{s:f,s:f,s:f}", "generated", c->tokens_generated, "read", c->tokens_read, "flops",
                     c->flops);
}

static json_t *reals_json(const float *x, int n) {
    if (n < 0) return json_null();
    json_t *list = json_array();
    for (int i = 0; i < n; i++) json_array_append_new(list, real_or_null((double)x[i]));
    return list;
}

static json_t *tokens_json(const struct rows_node *n) {
    if (!n->tokens) return json_null();
    json_t *list = json_array();
    for (int i = 0; i < n->n_tokens_known; i++) json_array_append_new(list, json_integer(n->tokens[i]));
    return list;
}

/* What few nodes have is left out where it is not. */
static void add_optional(json_t *o, const struct rows_node *n) {
    if (n->lead != STORE_LEAD_NONE) {
        json_object_set_new(o, "lead", json_string(store_lead_name(n->lead)));
        json_object_set_new(o, "lead_bytes", json_integer((json_int_t)n->n_lead_bytes));
        json_object_set_new(o, "lead_tokens", json_integer(n->n_lead_tokens));
    }
    if (n->n_confidences > 0)
        json_object_set_new(o, "confidences", reals_json(n->confidences, n->n_confidences));
    if (n->verdict >= 0 || n->verified) json_object_set_new(o, "verified", tri_state(n->verdict));
    if (n->verified && isfinite(n->verifier_score))
        json_object_set_new(o, "verifier_score", json_real(n->verifier_score));
    if (n->feedback) json_object_set_new(o, "feedback", json_text(str_from(n->feedback)));
}

static json_t *node_json(const struct rows_node *n) {
    json_t *o = json_object();
    json_object_set_new(o, "path", json_string(n->path));
    json_object_set_new(o, "text", json_text((struct str){n->text, n->text_len}));
    json_object_set_new(o, "tokens", tokens_json(n));
    json_object_set_new(o, "n_tokens", json_integer(n->n_tokens));
    json_object_set_new(o, "logprob", real_or_null(n->logprob));
    json_object_set_new(o, "finish", json_string(store_finish_name(n->finish)));
    json_object_set_new(o, "cost", cost_json(&n->cost));
    if (n->why) json_object_set_new(o, "why", text_or_null(n->why));
    if (n->scored) {
        json_object_set_new(o, "rewards", reals_json(n->rewards, n->n_rewards));
        json_object_set_new(o, "reward_cost", cost_json(&n->score_cost));
    }
    add_optional(o, n);
    return o;
}

static json_t *solution_json(const struct rows *r, const struct rows_solution *v) {
    const struct rows_node *end = rows_find(r, v->path);
    struct buf text = {0};
    rows_text(r, v->path, &text);
    float rewards[EXPORT_REWARDS_MAX];
    const int n = rows_rewards(r, v->path, rewards, EXPORT_REWARDS_MAX);
    json_t *o = json_object();
    json_object_set_new(o, "path", json_string(v->path));
    json_object_set_new(o, "text", json_text(buf_str(&text)));
    json_object_set_new(o, "answer", text_or_null(v->answer));
    json_object_set_new(o, "rewards", reals_json(rewards, n));
    int n_confidences;
    float *confidences = rows_confidences(r, v->path, &n_confidences);
    if (confidences) json_object_set_new(o, "confidences", reals_json(confidences, n_confidences));
    free(confidences);
    json_object_set_new(o, "complete", json_boolean(v->complete));
    if (end && end->verdict >= 0) json_object_set_new(o, "verified", json_boolean(end->verdict));
    json_object_set_new(o, "right", tri_state(v->right));
    buf_free(&text);
    return o;
}

static bool choice_json(void *ctx, const struct store_choice *c) {
    json_t *o = json_object();
    json_object_set_new(o, "rule", json_string(c->rule));
    json_object_set_new(o, "aggregate", json_string(c->aggregate));
    json_object_set_new(o, "path", text_or_null(c->path));
    json_object_set_new(o, "answer", text_or_null(c->answer));
    json_object_set_new(o, "solutions", json_integer(c->n_solutions));
    json_object_set_new(o, "classes", json_integer(c->n_classes));
    json_object_set_new(o, "votes", json_integer(c->n_votes));
    json_object_set_new(o, "score", real_or_null(c->score));
    json_object_set_new(o, "margin", real_or_null(c->margin));
    json_object_set_new(o, "right", tri_state(c->right));
    json_array_append_new(ctx, o);
    return true;
}

struct export {
    struct store *store;
    FILE *out;
    struct err *e;
    bool failed;
};

static bool export_problem(void *ctx, const struct store_problem *p) {
    struct export *x = ctx;
    struct rows *r = rows_load(x->store, p->ordinal, x->e);
    if (!r) {
        x->failed = true;
        return false;
    }
    json_t *o = json_object(), *nodes = json_array(), *solutions = json_array(), *choices = json_array();
    for (size_t i = 0; i < r->n_nodes; i++) json_array_append_new(nodes, node_json(&r->nodes[i]));
    for (size_t i = 0; i < r->n_solutions; i++)
        json_array_append_new(solutions, solution_json(r, &r->solutions[i]));
    x->failed = !store_each_choice(x->store, p->ordinal, choice_json, choices, x->e);
    json_object_set_new(o, "problem", text_or_null(p->id));
    json_object_set_new(o, "level", p->level ? json_integer(p->level) : json_null());
    json_object_set_new(o, "prompt", text_or_null(p->text));
    json_object_set_new(o, "answer", text_or_null(p->answer));
    json_object_set_new(o, "done", json_boolean(p->done));
    json_object_set_new(o, "prompt_cost", cost_json(&p->policy_root));
    json_object_set_new(o, "reward_prompt_cost", cost_json(&p->reward_root));
    json_object_set_new(o, "solutions", solutions);
    json_object_set_new(o, "choices", choices);
    json_object_set_new(o, "nodes", nodes);
    char *line = json_line(o);
    if (!x->failed && fprintf(x->out, "%s\n", line) < 0)
        x->failed = !err_set(x->e, ERR_SERVICE, "export: %s", strerror(errno));
    free(line);
    json_decref(o);
    rows_free(r);
    return !x->failed;
}

bool store_export(struct store *s, FILE *out, struct err *e) {
    if (s->config && fprintf(out, "{\"configuration\":%s}\n", s->config) < 0)
        return err_set(e, ERR_SERVICE, "export: %s", strerror(errno));
    struct export x = {.store = s, .out = out, .e = e};
    return store_each_problem(s, export_problem, &x, e) && !x.failed;
}
