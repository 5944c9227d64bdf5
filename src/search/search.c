/* search.c - what all strategies share: the queue of asks, the protocol, the tree's bookkeeping. */
#include "search/search.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"

static double param_of(const struct search_spec *spec, const char *key, double otherwise) {
    return search_spec_has(spec, key) ? search_spec_get(spec, key) : otherwise;
}

static double param_or(const struct search *s, const char *key, double otherwise) {
    return param_of(&s->spec, key, otherwise);
}

/* Whatever else the parameter "stop" of a strategy may be. */
static bool stops_if_verified(const struct search_spec *spec) {
    for (int i = 0; i < spec->strategy->n_params; i++) {
        const struct search_param *p = &spec->strategy->params[i];
        if (p->type == SEARCH_PARAM_CHOICE && strcmp(p->name, "stop") == 0)
            return strcmp(p->choices[(int)spec->values[i]], "verified") == 0;
    }
    return false;
}

bool search_check(const struct search_spec *spec, const struct search_context *c, struct err *e) {
    const struct search_strategy *strategy = spec->strategy;
    if (strategy->needs_reward && !c->has_reward)
        return err_set(e, ERR_INPUT, "strategy '%s' needs a reward model: give one with --reward",
                       strategy->name);
    if (strategy->needs_scores && !c->has_reward && !c->has_verifier)
        return err_set(e, ERR_INPUT,
                       "strategy '%s' needs a reward model, or a verifier: give one with --reward",
                       strategy->name);
    if (stops_if_verified(spec) && !c->has_verifier)
        return err_set(e, ERR_INPUT,
                       "strategy '%s': stop=verified needs a verifier, and there is none; leave it out",
                       strategy->name);
    if (((int)param_of(spec, "feedback", 0) & SEARCH_FEEDBACK_REWARDS) && !c->has_reward)
        return err_set(e, ERR_INPUT,
                       "strategy '%s': feedback=rewards needs a reward model: give one with --reward",
                       strategy->name);
    for (int i = 0; i < strategy->n_params; i++) {
        if (isnan(spec->values[i]))
            return err_set(e, ERR_INPUT,
                           "strategy '%s': %s is not set and nothing recommends a value; give %s=...",
                           strategy->name, strategy->params[i].name, strategy->params[i].name);
    }
    return !strategy->ops->check || strategy->ops->check(spec, c, e);
}

struct search *search_new(const struct search_spec *spec, const struct search_context *c, struct err *e) {
    const struct search_strategy *strategy = spec->strategy;
    ASSERT(c->n_tokens_answer_max > 0);
    if (!search_check(spec, c, e)) return NULL;
    ASSERT(strategy->ops->size >= sizeof(struct search));
    struct search *s = mem_zalloc(1, strategy->ops->size);
    s->ops = strategy->ops;
    s->spec = *spec;
    s->context = *c;
    s->advice.aggregate = AGGREGATES;
    s->revises = strategy->revises;
    s->sampling = (struct search_ask){.temperature = (float)param_or(s, "temperature", 0),
                                      .top_p = (float)param_or(s, "top_p", 1),
                                      .min_p = (float)param_or(s, "min_p", 0),
                                      .top_k = (int)param_or(s, "top_k", 0)};
    tree_init(&s->tree, c->problem_key);
    s->ops->init(s);
    return s;
}

void search_free(struct search *s) {
    if (!s) return;
    if (s->ops->fini) s->ops->fini(s);
    tree_fini(&s->tree);
    free(s->queue);
    free(s->turns);
    free(s->faces);
    free(s->paths);
    map_free(s->face_of);
    free(s);
}

const struct tree *search_tree(const struct search *s) {
    return &s->tree;
}

struct search_advice search_advice(const struct search *s) {
    return s->advice;
}

bool search_revises(const struct search *s) {
    return s->revises;
}

/* ---- the queue ---- */
static struct search_ask *push(struct search *s, enum search_op op, int node) {
    ASSERT(!s->stopped);
    if (op == SEARCH_EXPAND && s->context.in_turns)
        MEM_GROW(s->turns, s->cap_turns, s->n_turns + 1);
    else
        MEM_GROW(s->queue, s->cap_queue, s->n_queue + 1);
    struct search_ask *ask =
        op == SEARCH_EXPAND && s->context.in_turns ? &s->turns[s->n_turns++] : &s->queue[s->n_queue++];
    *ask =
        (struct search_ask){.op = op, .node = node, .parent = tree_get(&s->tree, node)->parent, .twin = -1};
    return ask;
}

int search_want_lead(struct search *s, int parent, bool until_end, enum tree_lead lead) {
    int node = tree_add_lead(&s->tree, parent, lead);
    tree_get(&s->tree, node)->until_end = until_end;
    struct search_ask *ask = push(s, SEARCH_EXPAND, node);
    ask->until_end = until_end;
    ask->lead = lead;
    ask->n_tokens_max = s->context.n_tokens_answer_max - tree_get(&s->tree, node)->n_tokens_solution;
    ASSERT(ask->n_tokens_max > 0);
    ask->temperature = s->sampling.temperature;
    ask->top_p = s->sampling.top_p;
    ask->min_p = s->sampling.min_p;
    ask->top_k = s->sampling.top_k;
    return node;
}

int search_want_expand(struct search *s, int parent, bool until_end) {
    return search_want_lead(s, parent, until_end, TREE_LEAD_NONE);
}

static struct search_ask *last_expand(struct search *s) {
    const bool in_turns = s->context.in_turns;
    const size_t n = in_turns ? s->n_turns : s->n_queue;
    ASSERT(n > 0);
    struct search_ask *ask = in_turns ? &s->turns[n - 1] : &s->queue[n - 1];
    ASSERT(ask->op == SEARCH_EXPAND);
    return ask;
}

int search_want_as(struct search *s, int parent, const struct search_ask *ask) {
    int node = search_want_lead(s, parent, ask->until_end, ask->lead);
    struct search_ask *mine = last_expand(s);
    ASSERT(ask->n_tokens_max <= mine->n_tokens_max);
    const struct search_ask name = *mine;
    *mine = *ask;
    mine->node = name.node;
    mine->parent = name.parent;
    return node;
}

void search_want_confidences(struct search *s, int n_top) {
    last_expand(s)->n_top = n_top;
}

const char *const search_feedbacks[] = {"none", "verifier", "rewards", "all", NULL};

void search_want_feedback(struct search *s) {
    struct search_ask *ask = last_expand(s);
    ASSERT(ask->lead == TREE_LEAD_REVISE);
    ask->feedback = (enum search_feedback)search_spec_get(&s->spec, "feedback");
}

void search_want_tokens(struct search *s, int n_max) {
    ASSERT(n_max > 0);
    struct search_ask *ask = last_expand(s);
    ask->n_tokens_max = MIN(ask->n_tokens_max, n_max);
}

int search_want_greedy(struct search *s, int parent, bool until_end) {
    int node = search_want_expand(s, parent, until_end);
    last_expand(s)->temperature = 0;
    return node;
}

/* ---- equal siblings ---- */
static struct search_face *face_of(struct search *s, const struct tree_node *v) {
    const uint64_t text[2] = {(uint64_t)v->parent, v->text_hash};
    const struct str key = {(const char *)text, sizeof text};
    uint32_t i;
    if (!s->face_of) s->face_of = map_new(16);
    if (map_get(s->face_of, key, &i)) return &s->faces[i];
    MEM_GROW(s->faces, s->cap_faces, s->n_faces + 1);
    map_put(s->face_of, key, (uint32_t)s->n_faces);
    s->faces[s->n_faces] = (struct search_face){.node = -1, .first = -1, .last = -1};
    return &s->faces[s->n_faces++];
}

static void wait_for(struct search *s, struct search_face *face, int node) {
    if (face->first < 0)
        face->first = node;
    else
        tree_get(&s->tree, face->last)->next_waiting = node;
    face->last = node;
}

/* The next node that waits and is still wanted, taken off the list; -1: none. */
static int next_waiting(struct search *s, struct search_face *face) {
    while (face->first >= 0) {
        int node = face->first;
        face->first = tree_get(&s->tree, node)->next_waiting;
        if (!tree_get(&s->tree, node)->dropped) return node;
    }
    return -1;
}

/* What is to become of those that wait for `node`, which was scored or is given up. */
static void release_twins(struct search *s, int node) {
    const struct tree_node *v = tree_get(&s->tree, node);
    struct search_face *face = v->face < 0 ? NULL : &s->faces[v->face];
    if (!face || face->node != node) return;
    if (v->scored) {
        for (int twin; (twin = next_waiting(s, face)) >= 0;) push(s, SEARCH_SCORE, twin)->twin = node;
    } else {
        face->node = next_waiting(s, face);
        if (face->node >= 0) push(s, SEARCH_SCORE, face->node);
    }
}

void search_want_score(struct search *s, int node) {
    struct tree_node *v = tree_get(&s->tree, node);
    ASSERT(s->context.has_reward && v->parent >= 0 && !v->dropped && !v->score_asked);
    ASSERT(v->state == TREE_OPEN || v->state == TREE_SOLUTION || v->state == TREE_CUT);
    v->score_asked = true;
    if (v->text_hash == 0) {
        push(s, SEARCH_SCORE, node);
        return;
    }
    struct search_face *face = face_of(s, v);
    v->face = (int)(face - s->faces);
    const struct tree_node *twin = tree_get(&s->tree, face->node < 0 ? node : face->node);
    if (twin->scored)
        push(s, SEARCH_SCORE, node)->twin = face->node;
    else if (face->node < 0)
        push(s, SEARCH_SCORE, face->node = node);
    else
        wait_for(s, face, node);
}

/* Asks for the first of the solution's nodes that nobody asked for, once all before it are told. True: the
 * node itself is asked for, or dropped. */
static bool score_next_of(struct search *s, int node) {
    const struct tree_node *nodes = s->tree.nodes;
    int next = -1;
    if (nodes[node].dropped) return true;
    for (int i = node; i > 0; i = nodes[i].lead == TREE_LEAD_REVISE ? 0 : nodes[i].parent) {
        if (nodes[i].score_asked && !nodes[i].scored) return i == node;
        if (nodes[i].score_asked) break;
        next = i;
    }
    if (next >= 0) search_want_score(s, next);
    return next < 0 || next == node;
}

void search_want_score_path(struct search *s, int node) {
    if (score_next_of(s, node)) return;
    MEM_GROW(s->paths, s->cap_paths, s->n_paths + 1);
    s->paths[s->n_paths++] = node;
}

static void carry_on_paths(struct search *s) {
    size_t n = 0;
    for (size_t i = 0; i < s->n_paths; i++)
        if (!score_next_of(s, s->paths[i])) s->paths[n++] = s->paths[i];
    s->n_paths = n;
}

void search_want_drop(struct search *s, int node) {
    struct tree_node *v = tree_get(&s->tree, node);
    ASSERT(v->parent >= 0 && !v->dropped);
    tree_drop(&s->tree, node);
    push(s, SEARCH_DROP, node);
    if (!v->scored) release_twins(s, node);
}

void search_want_prune(struct search *s, int node) {
    for (;;) {
        int parent = tree_get(&s->tree, node)->parent;
        if (parent == 0 || tree_get(&s->tree, parent)->n_live > 1) break;
        node = parent;
    }
    search_want_drop(s, node);
}

bool search_is_verified(const struct search *s) {
    for (size_t i = 1; i < s->tree.n_nodes; i++)
        if (s->tree.nodes[i].verdict == 1 && !s->tree.nodes[i].dropped) return true;
    return false;
}

const char *const search_stops[] = {"none", "verified", NULL};

bool search_may_stop(const struct search *s) {
    return search_spec_get(&s->spec, "stop") == SEARCH_STOP_VERIFIED && search_is_verified(s);
}

double search_path_reward(const struct search *s, int node, enum aggregate a) {
    if (s->tree.nodes[node].n_rewards < 0) return NAN;
    int n = tree_path_rewards(&s->tree, node, NULL, 0);
    float *rewards = mem_alloc((size_t)MAX(n, 1) * sizeof *rewards);
    tree_path_rewards(&s->tree, node, rewards, n);
    double reward = aggregate_of(a, rewards, n);
    free(rewards);
    return reward;
}

/* Whatever is open in a dropped subtree will not be told any more. */
static void close_asks(struct search *s, int node) {
    bool is_leaf = s->tree.nodes[node].n_children == 0;
    size_t end = is_leaf ? (size_t)node + 1 : s->tree.n_nodes;
    for (size_t i = (size_t)node; i < end; i++) {
        struct tree_node *v = &s->tree.nodes[i];
        if (!v->dropped || !(v->writing || v->scoring)) continue;
        int up = (int)i;
        while (up > node) up = s->tree.nodes[up].parent;
        if (up != node) continue;
        v->writing = v->scoring = false;
        s->n_open--;
    }
}

static int compare_asks(const void *a, const void *b, void *tree) {
    return tree_compare(tree, ((const struct search_ask *)a)->node, ((const struct search_ask *)b)->node);
}

/* The next that may be handed out; false: there is none now. */
static bool take(struct search *s, struct search_ask *out) {
    if (s->i_queue < s->n_queue) {
        *out = s->queue[s->i_queue++];
        if (s->i_queue == s->n_queue) s->i_queue = s->n_queue = 0;
        return true;
    }
    if (s->i_turn == s->n_turn && s->n_turn < s->n_turns && s->n_open == 0) { /* all is told: a turn begins */
        qsort_r(s->turns + s->n_turn, s->n_turns - s->n_turn, sizeof *s->turns, compare_asks, &s->tree);
        s->n_turn = s->n_turns;
    }
    if (s->i_turn == s->n_turn) return false;
    *out = s->turns[s->i_turn++];
    if (s->i_turn == s->n_turns) s->i_turn = s->n_turn = s->n_turns = 0;
    return true;
}

bool search_ask(struct search *s, struct search_ask *out) {
    if (s->stopped) return false;
    if (s->i_queue == s->n_queue && s->ops->idle) s->ops->idle(s);
    while (take(s, out)) {
        struct tree_node *v = tree_get(&s->tree, out->node);
        if (out->op == SEARCH_DROP) {
            if (v->state == TREE_ASKED && !v->writing) continue; /* nobody ever heard of it */
            close_asks(s, out->node);
            return true;
        }
        if (v->dropped) continue;
        if (out->op == SEARCH_EXPAND)
            v->writing = true;
        else
            v->scoring = true;
        s->n_open++;
        return true;
    }
    return false;
}

/* ---- results ---- */
static enum tree_state state_of(const struct search *s, const struct tree_node *v,
                                enum search_finish finish) {
    switch (finish) {
    case SEARCH_STEP: /* a step that used up the answer's tokens leaves nothing to go on with */
        return v->n_tokens_solution < s->context.n_tokens_answer_max ? TREE_OPEN : TREE_CUT;
    case SEARCH_END:
        return TREE_SOLUTION;
    case SEARCH_LENGTH:
        return TREE_CUT;
    case SEARCH_FAILED:
        break;
    }
    return TREE_FAILED;
}

void search_tell_node(struct search *s, int node, const struct search_told *told) {
    struct tree_node *v = tree_get(&s->tree, node);
    if (s->stopped) return;
    ASSERT(v->writing);
    ASSERT(told->finish != SEARCH_STEP || !v->until_end);
    ASSERT(told->n_tokens >= 0 && told->n_tokens <= INT32_MAX - v->n_tokens_path);
    v->writing = false;
    s->n_open--;
    v->n_tokens = told->n_tokens;
    v->n_tokens_path += told->n_tokens;
    v->n_tokens_solution += told->n_tokens;
    v->logprob = told->logprob;
    v->text_hash = told->text_hash;
    v->value_hash = told->value_hash;
    v->state = state_of(s, v, told->finish);
    v->answer_class = v->state == TREE_SOLUTION || v->state == TREE_CUT ? told->answer_class : -1;
    ASSERT(v->answer_class >= -1);
    v->verdict = v->state == TREE_SOLUTION && s->context.has_verifier ? told->verdict : -1;
    v->n_confidences = told->n_confidences;
    if (v->n_confidences > 0)
        v->confidences = mem_dup(told->confidences, (size_t)v->n_confidences * sizeof *v->confidences);
    if (!v->dropped) s->ops->told_node(s, node);
}

void search_tell_score(struct search *s, int node, const float *rewards, int n_rewards) {
    struct tree_node *v = tree_get(&s->tree, node);
    if (s->stopped) return;
    ASSERT(v->scoring && n_rewards >= -1);
    v->scoring = false;
    v->scored = true;
    s->n_open--;
    v->n_rewards = n_rewards;
    if (n_rewards > 0) v->rewards = mem_dup(rewards, (size_t)n_rewards * sizeof *rewards);
    release_twins(s, node);
    if (s->n_paths > 0) carry_on_paths(s);
    if (!v->dropped) s->ops->told_score(s, node);
}

void search_stop(struct search *s) {
    s->stopped = true;
}

bool search_done(const struct search *s) {
    return s->stopped || (s->i_queue == s->n_queue && s->i_turn == s->n_turns && s->n_open == 0);
}
