/* trial.c - asks into jobs, results into what is told. */
#include "run/trial.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "model/tokenizer.h"
#include "run/value.h"

enum { TRIAL_REWARDS_MAX = 4096, FEEDBACK_STEPS_MAX = 64 };

static uint64_t job_id(const struct trial *t, int node, bool is_score) {
    return t->slot << 33 | (uint64_t)node << 1 | (uint64_t)is_score;
}

static const struct tree_node *tree_node(const struct trial *t, int node) {
    return &search_tree(t->search)->nodes[node];
}

/* The trial's record of a tree node, made when first needed. */
struct trial_node *trial_node(struct trial *t, int node) {
    const size_t n = (size_t)node + 1;
    if (n > t->n_nodes) {
        MEM_GROW(t->nodes, t->cap_nodes, n);
        memset(t->nodes + t->n_nodes, 0, (n - t->n_nodes) * sizeof *t->nodes);
        t->n_nodes = n;
    }
    struct trial_node *x = &t->nodes[node];
    if (!x->path) {
        const size_t need = tree_path(search_tree(t->search), node, NULL, 0) + 1;
        x->path = mem_alloc(need);
        tree_path(search_tree(t->search), node, x->path, need);
        x->recorded = t->problem.recorded && node > 0 ? rows_find(t->problem.recorded, x->path) : NULL;
    }
    return x;
}

static void node_forget_policy(struct trial *t, int node) {
    struct trial_node *x = &t->nodes[node];
    if (x->policy_prefix) policy_release(coordinator_policy(t->owner), x->policy_prefix);
    x->policy_prefix = NULL;
}

static void node_forget_reward(struct trial *t, int node) {
    struct trial_node *x = &t->nodes[node];
    if (x->reward_prefix) reward_release(coordinator_reward(t->owner), x->reward_prefix);
    x->reward_prefix = NULL;
}

/* Takes a node out of the services: its jobs and its prefixes. */
static void node_withdraw(struct trial *t, int node) {
    struct trial_node *x = &t->nodes[node];
    guess_forget(t, node);
    verdict_withdraw(t, node);
    if (x->writing) policy_cancel(coordinator_policy(t->owner), x->job);
    if (x->scoring) reward_cancel(coordinator_reward(t->owner), job_id(t, node, true));
    t->n_in_flight -= (int)x->writing + (int)x->scoring;
    t->n_writing -= (int)x->writing;
    x->writing = x->scoring = false;
    node_forget_policy(t, node);
    node_forget_reward(t, node);
}

void trial_free(struct trial *t) {
    if (!t) return;
    for (size_t i = 0; i < t->n_nodes; i++) {
        node_withdraw(t, (int)i);
        free(t->nodes[i].path);
        free(t->nodes[i].text);
    }
    guess_fini(t);
    verdicts_fini(&t->verdicts);
    free(t->nodes);
    free(t->failure);
    free(t->held);
    ledger_fini(&t->ledger);
    select_classes_free(t->classes);
    search_free(t->search);
    free(t);
}

/* ---- prefixes, made when a job needs them ---- */

static struct policy_prefix *policy_prefix_of(struct trial *t, int node, struct err *e) {
    struct policy *policy = coordinator_policy(t->owner);
    struct trial_node *x = trial_node(t, node);
    if (x->policy_prefix) return x->policy_prefix;
    if (node == 0) {
        const struct policy_prompt prompt = {
            .id = t->problem.id, .text = t->problem.text, .talk = t->problem.talk};
        x->policy_prefix = policy_root(policy, &prompt, e);
        return x->policy_prefix;
    }
    ASSERT(x->recorded); /* computed nodes have theirs until they are dropped */
    struct policy_prefix *from = policy_prefix_of(t, tree_node(t, node)->parent, e);
    x = trial_node(t, node);
    if (!from) return NULL;
    const struct rows_node *r = x->recorded;
    const struct policy_piece piece = {
        .index = tree_node(t, node)->index,
        .lead = (enum policy_lead)r->lead,
        .ended = r->finish == STORE_END,
        .text = {r->text, r->text_len},
        .n_lead_bytes = r->n_lead_bytes,
        .tokens = r->tokens,
        .n_lead_tokens = r->tokens ? r->n_lead_tokens : 0,
        .n_tokens = r->n_tokens_known - (r->tokens ? r->n_lead_tokens : 0),
    };
    x->policy_prefix = policy_extend(policy, from, &piece, e);
    return x->policy_prefix;
}

/* A node's part of its solution: not the words that asked for a revision. */
static struct str own_text(struct trial *t, int node) {
    const struct trial_node *x = trial_node(t, node);
    const size_t n = tree_node(t, node)->lead == TREE_LEAD_REVISE ? x->n_lead_bytes : 0;
    return (struct str){x->text + n, x->text_len - n};
}

/* Where the solution that goes on at `node` stood before: a revision begins at the prompt. */
static int node_before(const struct trial *t, int node) {
    return tree_node(t, node)->lead == TREE_LEAD_REVISE ? 0 : tree_node(t, node)->parent;
}

static struct reward_prefix *reward_prefix_of(struct trial *t, int node, struct err *e) {
    struct reward *reward = coordinator_reward(t->owner);
    struct trial_node *x = trial_node(t, node);
    if (x->reward_prefix) return x->reward_prefix;
    if (node == 0) {
        x->reward_prefix = reward_root(reward, t->problem.text, e);
        return x->reward_prefix;
    }
    struct reward_prefix *twin = x->twin ? t->nodes[x->twin].reward_prefix : NULL;
    struct reward_prefix *from = twin ? twin : reward_prefix_of(t, node_before(t, node), e);
    x = trial_node(t, node);
    if (!from) return NULL;
    x->reward_prefix = reward_extend(reward, from, twin ? (struct str){0} : own_text(t, node), e);
    return x->reward_prefix;
}

static void note_failure(struct trial *t, const char *why) {
    if (t->n_failed++ == 0) t->failure = mem_strdup(why && why[0] ? why : "no reason given");
}

/* Reads the prompts, and asks for nothing before that is done: what they cost is not there to be granted. A
 * problem that a service cannot take (longer than its context, not among the recorded ones) ends its own
 * search and no other. */
static bool read_prompts(struct trial *t, struct err *e) {
    struct policy_prefix *root = policy_prefix_of(t, 0, e);
    const enum policy_reading reading =
        root ? policy_reading(coordinator_policy(t->owner), root, e) : POLICY_UNREADABLE;
    if (reading == POLICY_READING) return true;
    if (reading == POLICY_UNREADABLE) return false;
    t->cost.policy_root = policy_root_cost(coordinator_policy(t->owner), root);
    if (coordinator_reward(t->owner)) {
        struct reward_prefix *read = reward_prefix_of(t, 0, e);
        if (!read) return false;
        t->reward_root = reward_root_cost(coordinator_reward(t->owner), read);
    }
    const struct spending prompts = spending_of(&t->problem.prices, &t->cost.policy_root, &t->reward_root);
    /* At once, that grants do not depend on when it is read for a reward. */
    ledger_charge(&t->ledger, &prompts);
    t->is_read = true;
    return true;
}

static bool open_prompts(struct trial *t, struct err *e) {
    if (read_prompts(t, e)) return true;
    if (e->code != ERR_INPUT) return false;
    note_failure(t, e->msg);
    trial_stop(t, RUN_UNUSABLE);
    return true;
}

struct trial *trial_new(struct coordinator *owner, uint64_t slot, const struct coordinator_problem *p,
                        struct err *e) {
    struct trial *t = mem_zalloc(1, sizeof *t);
    *t = (struct trial){.owner = owner, .slot = slot, .problem = *p, .started = clock_seconds()};
    t->deadline = p->budget.seconds > 0 ? t->started + p->budget.seconds : INFINITY;
    t->classes = select_classes_new();
    ledger_init(&t->ledger, &p->budget);
    const struct search_context context = {
        .problem_key = p->key,
        .has_reward = coordinator_reward(owner) != NULL,
        .has_verifier = trial_verifier(t) != NULL,
        .in_turns = p->budget.samples > 0 || p->budget.tokens > 0 || p->budget.flops > 0 || p->budget.usd > 0,
        .plan = p->plan,
        .n_tokens_answer_max = p->n_tokens_max,
    };
    t->search = search_new(p->spec, &context, e);
    if (t->search && open_prompts(t, e)) return t;
    trial_free(t);
    return NULL;
}

/* ---- telling ---- */

/* All text on the way to `node`. */
static void text_up_to(struct trial *t, int node, struct buf *out) {
    if (node == 0) return;
    text_up_to(t, node_before(t, node), out);
    buf_add_str(out, own_text(t, node));
}

/* The text of the whole solution that ends at `node`. */
static void solution_text(struct trial *t, int node, struct buf *out) {
    text_up_to(t, node, out);
    if (node > 0) out->len -= trial_node(t, node)->n_over_bytes;
}

/* Where the first of the stop texts begins, less half a character before it; -1: nowhere. */
static ptrdiff_t find_stop(const struct coordinator_problem *p, struct str text) {
    ptrdiff_t first = -1;
    for (size_t i = 0; i < p->n_stops; i++) {
        const ptrdiff_t at = str_find(text, str_from(p->stops[i]));
        if (at >= 0 && (first < 0 || at < first)) first = at;
    }
    if (first > 0) first = (ptrdiff_t)tokenizer_complete_utf8((struct str){text.ptr, (size_t)first});
    return first;
}

/* A solution ends before a stop text. Where that begins in a step before, so many bytes are over there. */
static void apply_stops(struct trial *t, int node, struct store_node *row) {
    if (t->problem.n_stops == 0 || row->finish == STORE_FAILED) return;
    struct buf text = {0};
    text_up_to(t, node_before(t, node), &text);
    const size_t n_before = text.len;
    /* The words that ask for a revision are not part of the solution; others are. */
    const size_t n_asked = tree_node(t, node)->lead == TREE_LEAD_REVISE ? row->n_lead_bytes : 0;
    buf_add(&text, row->text.ptr + n_asked, row->text.len - n_asked);
    const ptrdiff_t at = find_stop(&t->problem, buf_str(&text));
    if (at >= 0) {
        row->finish = STORE_END;
        row->text.len = n_asked + ((size_t)at > n_before ? (size_t)at - n_before : 0);
        trial_node(t, node)->n_over_bytes = (size_t)at < n_before ? n_before - (size_t)at : 0;
        row->n_lead_bytes = MIN(row->n_lead_bytes, row->text.len);
    }
    buf_free(&text);
}

/* What a node has cost so far. */
static struct spending spent_on(const struct trial *t, const struct trial_node *x,
                                const struct cost *scored) {
    struct spending s = spending_of(&t->problem.prices, &x->written, scored);
    s.of[BUDGET_SAMPLES] = x->is_sample;
    return s;
}

static void settle(struct trial *t, struct trial_node *x, const struct cost *scored) {
    if (!x->has_entry) return;
    const struct spending s = spent_on(t, x, scored);
    ledger_settle(&t->ledger, x->ledger_entry, &s);
}

/* Whether a node that was told is continued no more. */
static bool is_over(const struct trial *t, int node) {
    const enum tree_state state = tree_node(t, node)->state;
    return state == TREE_FAILED || (state != TREE_OPEN && !search_revises(t->search));
}

void trial_tell(struct trial *t, int node, struct search_told *told) {
    struct trial_node *x = trial_node(t, node);
    if (!coordinator_reward(t->owner) || told->finish == SEARCH_FAILED) {
        settle(t, x, &(struct cost){0});
    } else if (x->has_entry) { /* its score may still be asked for */
        const struct spending known = spent_on(t, x, &(struct cost){0});
        ledger_note(&t->ledger, x->ledger_entry, &known);
    }
    if (told->finish == SEARCH_END) {
        struct buf text = {0};
        solution_text(t, node, &text);
        told->answer_class = select_classes_add(t->classes, buf_str(&text));
        buf_free(&text);
    }
    search_tell_node(t->search, node, told);
    if (is_over(t, node)) node_forget_policy(t, node); /* its pages are free at once */
}

static bool tell_node(struct trial *t, int node, const struct store_node *row, bool recorded, struct err *e) {
    struct trial_node *x = trial_node(t, node);
    x->text = str_dup(row->text);
    x->text_len = row->text.len;
    x->n_lead_bytes = row->n_lead_bytes;
    x->written = row->cost;
    x->is_sample = row->finish == STORE_END || row->finish == STORE_LENGTH;
    cost_add(&t->cost.policy, &row->cost);
    if (row->finish == STORE_FAILED) note_failure(t, row->why);
    struct buf text = {0};
    if (row->finish == STORE_END) solution_text(t, node, &text);
    const struct run_event event = {.what = RUN_NODE,
                                    .ordinal = t->problem.ordinal,
                                    .recorded = recorded,
                                    .path = x->path,
                                    .node = row,
                                    .solution = buf_str(&text)};
    if (!coordinator_event(t->owner, &event, e)) {
        buf_free(&text);
        return false;
    }
    struct search_told told = {.finish = (enum search_finish)row->finish,
                               .n_tokens = row->n_tokens,
                               .logprob = row->logprob,
                               .text_hash = rng_hash(0, row->text.ptr, row->text.len),
                               .value_hash = value_hash(own_text(t, node)),
                               .confidences = row->confidences,
                               .n_confidences = row->n_confidences,
                               .answer_class = -1,
                               .verdict = row->verdict};
    bool ok = true;
    if (row->finish == STORE_END && trial_verifier(t))
        ok = verdict_ask(t, node, buf_str(&text), &told, e);
    else
        trial_tell(t, node, &told);
    buf_free(&text);
    return ok;
}

bool trial_verdict(struct trial *t, size_t face, const struct verifier_result *r, struct err *e) {
    if (r->verdict == VERIFIER_UNKNOWN) note_failure(t, r->feedback);
    return verdict_result(t, face, r, e);
}

static bool tell_score(struct trial *t, int node, const struct store_score *row, bool recorded,
                       struct err *e) {
    struct trial_node *x = trial_node(t, node);
    x->scored = row->cost;
    t->cost.reward_root = t->reward_root;
    cost_add(&t->cost.reward, &row->cost);
    settle(t, x, &row->cost);
    const struct run_event event = {.what = RUN_SCORE,
                                    .ordinal = t->problem.ordinal,
                                    .recorded = recorded,
                                    .path = x->path,
                                    .score = row};
    if (!coordinator_event(t->owner, &event, e)) return false;
    search_tell_score(t->search, node, row->rewards, row->n_rewards);
    return true;
}

_Static_assert((int)SEARCH_STEP == (int)STORE_STEP && (int)SEARCH_FAILED == (int)STORE_FAILED &&
                   (int)POLICY_STEP == (int)STORE_STEP && (int)POLICY_END == (int)STORE_END &&
                   (int)POLICY_FAILED == (int)STORE_FAILED,
               "the rooms list the ways to finish in one order");
_Static_assert((int)TREE_LEAD_REVISE == (int)STORE_LEAD_REVISE &&
                   (int)TREE_LEAD_WAIT == (int)STORE_LEAD_WAIT &&
                   (int)TREE_LEAD_ANSWER == (int)STORE_LEAD_ANSWER &&
                   (int)POLICY_LEAD_REVISE == (int)STORE_LEAD_REVISE &&
                   (int)POLICY_LEAD_WAIT == (int)STORE_LEAD_WAIT &&
                   (int)POLICY_LEAD_ANSWER == (int)STORE_LEAD_ANSWER,
               "the rooms list the leads in one order");

bool trial_policy_result(struct trial *t, int node, const struct policy_result *r, struct err *e) {
    struct trial_node *x = trial_node(t, node);
    x->writing = false;
    t->n_in_flight--;
    t->n_writing--;
    x->policy_prefix = r->prefix;
    struct store_node row = {
        .problem = t->problem.ordinal,
        .path = x->path,
        .lead = (enum store_lead)tree_node(t, node)->lead,
        .n_lead_bytes = r->n_lead_bytes,
        .n_lead_tokens = r->n_lead_tokens,
        .text = r->text,
        .tokens = r->tokens,
        .n_tokens_known = r->tokens ? r->n_lead_tokens + r->n_tokens : 0,
        .n_tokens = r->n_tokens,
        .confidences = r->confidences,
        .n_confidences = r->n_confidences,
        .verdict = -1,
        .logprob = r->logprob,
        .finish = (enum store_finish)r->finish,
        .cost = r->cost,
        .why = r->finish == POLICY_FAILED ? r->why : NULL,
    };
    apply_stops(t, node, &row);
    return tell_node(t, node, &row, false, e);
}

/* Of a stop text the beginning may have been written: so many bytes are held back. */
static size_t held_back(const struct coordinator_problem *p) {
    size_t n = 0;
    for (size_t i = 0; i < p->n_stops; i++) n = MAX(n, strlen(p->stops[i]) - 1);
    return n;
}

bool trial_peek(struct trial *t, struct buf *out) {
    size_t node = t->n_nodes;
    if (t->n_writing != 1) return false;
    while (node > 0 && !t->nodes[node - 1].writing) node--;
    if (node-- == 0) return false;
    text_up_to(t, node_before(t, (int)node), out);
    if (!policy_peek(coordinator_policy(t->owner), t->nodes[node].job, out)) return false;
    const ptrdiff_t at = find_stop(&t->problem, buf_str(out));
    const size_t n_back = MIN(out->len, held_back(&t->problem));
    if (at >= 0)
        out->len = (size_t)at;
    else
        out->len -= n_back;
    out->len = tokenizer_complete_utf8(buf_str(out)); /* holding back may have cut a character */
    return true;
}

bool trial_reward_result(struct trial *t, int node, const struct reward_result *r, struct err *e) {
    struct trial_node *x = trial_node(t, node);
    x->scoring = false;
    t->n_in_flight--;
    if (!x->reward_prefix)
        x->reward_prefix = r->prefix;
    else if (r->prefix) /* a node below it was asked for while it was being scored */
        reward_release(coordinator_reward(t->owner), r->prefix);
    if (r->failed) note_failure(t, r->why);
    const struct store_score row = {
        .problem = t->problem.ordinal,
        .path = x->path,
        .rewards = r->rewards,
        .n_rewards = r->failed ? -1 : r->n_rewards,
        .cost = r->cost,
    };
    if (!tell_score(t, node, &row, false, e)) return false;
    if (is_over(t, node)) node_forget_reward(t, node);
    return true;
}

/* ---- asks ---- */

/* The rewards of a solution's steps, in words: "Scores of the steps, from 0 to 1: 0.97, 0.21. The lowest is
 * that of step 2." Nothing where it has none. */
static void tell_rewards(const struct trial *t, int node, struct buf *out) {
    float rewards[TRIAL_REWARDS_MAX];
    const struct tree *tree = search_tree(t->search);
    const int n =
        MIN(tree->nodes[node].n_rewards < 0 ? 0 : tree_path_rewards(tree, node, rewards, TRIAL_REWARDS_MAX),
            FEEDBACK_STEPS_MAX);
    int lowest = 0;
    for (int i = 0; i < n; i++) {
        buf_printf(out, "%s%.2f", i > 0 ? ", " : "Scores of the steps, from 0 to 1: ", (double)rewards[i]);
        if (rewards[i] < rewards[lowest]) lowest = i;
    }
    if (n > 1) buf_printf(out, ". The lowest is that of step %d", lowest + 1);
    if (n > 0) buf_add_char(out, '.');
}

/* What the revision is told of the solution above it. */
static void feedback_of(const struct trial *t, const struct search_ask *ask, struct buf *out) {
    if (ask->lead != TREE_LEAD_REVISE) return;
    if (ask->feedback & SEARCH_FEEDBACK_VERIFIER) buf_add_str(out, verdict_feedback(t, ask->parent));
    const size_t n_before = out->len;
    if (n_before > 0 && ask->feedback & SEARCH_FEEDBACK_REWARDS) buf_add_char(out, '\n');
    if (ask->feedback & SEARCH_FEEDBACK_REWARDS) tell_rewards(t, ask->parent, out);
    if (n_before > 0 && out->len == n_before + 1) out->len = n_before;
}

/* Tokens of its lead. */
static double lead_bound(const struct trial *t, const struct search_ask *ask) {
    struct buf feedback = {0};
    feedback_of(t, ask, &feedback);
    const double n =
        policy_lead_reads(coordinator_policy(t->owner), (enum policy_lead)ask->lead, buf_str(&feedback));
    buf_free(&feedback);
    return n;
}

/* Tokens that a job from a prefix is charged for reading, at most. A step may be asked for twice. */
static double read_bound(const struct trial *t, const struct search_ask *ask) {
    const struct policy_prefix *from = t->nodes[ask->parent].policy_prefix;
    const enum policy_until until = ask->until_end ? POLICY_UNTIL_END : POLICY_UNTIL_STEP;
    return (from ? policy_reads(coordinator_policy(t->owner), from, until) : 0) +
           lead_bound(t, ask) * (ask->until_end ? 1 : 2);
}

static struct ledger_worst worst_of(const struct trial *t, const struct search_ask *ask) {
    const struct policy_info *p = policy_info(coordinator_policy(t->owner));
    const struct prices *prices = &t->problem.prices;
    struct ledger_worst w = {.once = {{[BUDGET_SAMPLES] = 1}}, .a_token = {{[BUDGET_TOKENS] = 1}}};
    double *flops = &w.a_token.of[BUDGET_FLOPS], *usd = &w.a_token.of[BUDGET_USD];
    *flops = p->flops_per_token + p->flops_per_position * p->n_context;
    *usd = prices_unit(prices->policy_output);
    w.once.of[BUDGET_USD] = prices_unit(prices->policy_input) * read_bound(t, ask);
    if (coordinator_reward(t->owner)) {
        /* A reward model may cut the text into other tokens, and reads some of its own with each step. */
        const struct reward_info *r = reward_info(coordinator_reward(t->owner));
        const double n = 1 + r->n_tokens_step;
        *flops += n * (r->flops_per_token + r->flops_per_position * r->n_context);
        *usd += n * prices_unit(prices->reward_input);
        w.once.of[BUDGET_USD] += n * prices_unit(prices->reward_input) * lead_bound(t, ask);
    }
    w.once.of[BUDGET_FLOPS] = *flops * lead_bound(t, ask);
    return w;
}

static bool expand_recorded(struct trial *t, int node, struct err *e) {
    const struct rows_node *r = trial_node(t, node)->recorded;
    const struct store_node row = {
        .problem = t->problem.ordinal,
        .path = r->path,
        .lead = r->lead,
        .n_lead_bytes = r->n_lead_bytes,
        .n_lead_tokens = r->n_lead_tokens,
        .text = {r->text, r->text_len},
        .tokens = r->tokens,
        .n_tokens_known = r->n_tokens_known,
        .n_tokens = r->n_tokens,
        .confidences = r->confidences,
        .n_confidences = r->n_confidences,
        .verdict = r->verdict,
        .logprob = r->logprob,
        .finish = r->finish,
        .cost = r->cost,
        .why = r->why,
    };
    return tell_node(t, node, &row, true, e);
}

void trial_begin_writing(struct trial *t, int node, uint64_t job) {
    struct trial_node *x = trial_node(t, node);
    x->writing = true;
    x->job = job;
    t->n_in_flight++;
    t->n_writing++;
    t->n_writing_max = MAX(t->n_writing_max, t->n_writing);
}

void trial_submit(struct trial *t, const struct search_ask *ask, uint64_t id, uint64_t key, int index,
                  int n_tokens) {
    struct buf feedback = {0};
    feedback_of(t, ask, &feedback);
    const struct policy_job job = {
        .id = id,
        .from = t->nodes[ask->parent].policy_prefix,
        .key = key,
        .index = index,
        .until = ask->until_end ? POLICY_UNTIL_END : POLICY_UNTIL_STEP,
        .lead = (enum policy_lead)ask->lead,
        .feedback = buf_str(&feedback),
        .n_tokens_max = n_tokens,
        .n_top = ask->n_top,
        .n_read_max = t->problem.budget.usd > 0 ? read_bound(t, ask) : 0,
        .sampling = {ask->temperature, ask->top_p, ask->min_p, ask->top_k},
    };
    policy_submit(coordinator_policy(t->owner), &job);
    buf_free(&feedback);
}

static bool expand(struct trial *t, const struct search_ask *ask, int n_tokens, struct err *e) {
    const struct policy_info *info = policy_info(coordinator_policy(t->owner));
    const struct tree_node *v = tree_node(t, ask->node);
    bool was_guessed;
    if (trial_node(t, ask->node)->recorded) return expand_recorded(t, ask->node, e);
    if (!coordinator_can(info, ask->lead != TREE_LEAD_NONE, ask->n_top > 0, e)) return false;
    if (!policy_prefix_of(t, ask->parent, e) || !guess_answer(t, ask, n_tokens, &was_guessed, e))
        return false;
    if (was_guessed) return true;
    trial_begin_writing(t, ask->node, job_id(t, ask->node, false));
    trial_submit(t, ask, t->nodes[ask->node].job, v->key, v->index, n_tokens);
    return true;
}

/* Starts the expansion if its budget can be granted (*granted: what ledger_grant says). */
static bool try_expand(struct trial *t, const struct search_ask *ask, int *granted, struct err *e) {
    size_t entry;
    *granted = BUDGET_WAIT;
    if (t->problem.budget.usd > 0) { /* what it carries is paid for */
        const struct policy_prefix *from = policy_prefix_of(t, ask->parent, e);
        struct err why;
        if (!from) return false;
        if (policy_reading(coordinator_policy(t->owner), from, &why) == POLICY_READING) return true;
    }
    const struct ledger_worst worst = worst_of(t, ask);
    *granted = ledger_grant(&t->ledger, ask->n_tokens_max, &worst, &entry);
    if (*granted <= 0) return true;
    struct trial_node *x = trial_node(t, ask->node);
    x->ledger_entry = entry;
    x->has_entry = true;
    return expand(t, ask, *granted, e);
}

static void hold(struct trial *t, const struct search_ask *ask) {
    MEM_GROW(t->held, t->cap_held, t->n_held + 1);
    t->held[t->n_held++] = *ask;
}

static bool expand_or_hold(struct trial *t, const struct search_ask *ask, struct err *e) {
    int granted = BUDGET_WAIT;
    if (t->n_held == 0 && !try_expand(t, ask, &granted, e)) return false;
    if (granted <= 0) hold(t, ask);
    return true;
}

/* After all else that the search asks for: a budget that is spent ends it with everything said. */
static bool retry_held(struct trial *t, bool *did, struct err *e) {
    int granted;
    const struct search_ask ask = t->held[0];
    if (!try_expand(t, &ask, &granted, e)) return false;
    *did = granted != BUDGET_WAIT;
    if (granted == BUDGET_SPENT) trial_stop(t, RUN_BUDGET);
    if (granted > 0) memmove(t->held, t->held + 1, --t->n_held * sizeof *t->held);
    return true;
}

static bool score_event(struct trial *t, enum run_what what, int node, bool recorded, struct err *e) {
    const struct tree_node *v = tree_node(t, t->nodes[node].twin ? t->nodes[node].twin : node);
    const struct store_score row = {t->problem.ordinal, t->nodes[node].path, v->rewards, v->n_rewards,
                                    t->nodes[node].scored};
    const struct run_event event = {
        .what = what, .ordinal = row.problem, .recorded = recorded, .path = row.path, .score = &row};
    return coordinator_event(t->owner, &event, e);
}

/* Equal siblings are computed once, whichever was told first; the first of them in path order is charged for
 * it, so that records do not depend on the order of telling. The budget was charged when it was computed. */
static bool score_as_twin(struct trial *t, int node, int twin, struct err *e) {
    struct trial_node *x = trial_node(t, node);
    int *payer = &t->nodes[twin].payer, before = *payer ? *payer : twin;
    x->twin = twin;
    if (node < before) {
        x->scored = t->nodes[before].scored;
        t->nodes[before].scored = (struct cost){0};
        *payer = node;
        if (!score_event(t, RUN_SCORE_COST, before, false, e)) return false;
    }
    settle(t, x, &(struct cost){0});
    const struct rows_node *r = x->recorded;
    const bool known = r && r->scored && cost_equal(&r->score_cost, &x->scored);
    if (!score_event(t, RUN_SCORE, node, known, e)) return false;
    if (!is_over(t, node) && t->nodes[twin].reward_prefix && !reward_prefix_of(t, node, e)) return false;
    const struct tree_node *v = tree_node(t, twin);
    search_tell_score(t->search, node, v->rewards, v->n_rewards);
    return true;
}

static bool score(struct trial *t, int node, struct err *e) {
    struct trial_node *x = trial_node(t, node);
    const struct rows_node *r = x->recorded;
    if (r && r->scored) {
        const struct store_score row = {t->problem.ordinal, r->path, r->rewards, r->n_rewards, r->score_cost};
        return tell_score(t, node, &row, true, e);
    }
    struct reward_prefix *from = reward_prefix_of(t, node_before(t, node), e);
    x = trial_node(t, node);
    if (!from) return false;
    const struct reward_job job = {.id = job_id(t, node, true), .from = from, .text = own_text(t, node)};
    x->scoring = true;
    t->n_in_flight++;
    reward_submit(coordinator_reward(t->owner), &job);
    return true;
}

static bool drop(struct trial *t, int node, struct err *e) {
    const struct tree *tree = search_tree(t->search);
    bool *below = mem_zalloc(tree->n_nodes, sizeof *below); /* parents come before children */
    for (size_t i = (size_t)node; i < tree->n_nodes; i++) {
        below[i] = (int)i == node || (tree->nodes[i].parent >= 0 && below[tree->nodes[i].parent]);
        if (!below[i] || i >= t->n_nodes) continue;
        settle(t, &t->nodes[i],
               &(struct cost){0}); /* work cut short is not charged: nothing was told of it */
        node_withdraw(t, (int)i);
    }
    size_t n = 0;
    for (size_t i = 0; i < t->n_held; i++) {
        if (!below[t->held[i].node]) t->held[n++] = t->held[i];
    }
    t->n_held = n;
    free(below);
    const struct run_event event = {
        .what = RUN_DROP, .ordinal = t->problem.ordinal, .path = trial_node(t, node)->path};
    return coordinator_event(t->owner, &event, e);
}

bool trial_advance(struct trial *t, bool *did, struct err *e) {
    struct search_ask ask;
    *did = false;
    if (!t->is_read && !trial_over(t) && !open_prompts(t, e)) return false;
    if (!t->is_read) return true;
    *did = search_ask(t->search, &ask);
    if (!*did) {
        if (t->n_held == 0) return true;
        if (!retry_held(t, did, e)) return false;
        if (*did || t->n_in_flight > 0) return true;
        ledger_settle_all(&t->ledger); /* nothing more will be told of what was granted */
        return retry_held(t, did, e);
    }
    switch (ask.op) {
    case SEARCH_EXPAND:
        return expand_or_hold(t, &ask, e);
    case SEARCH_SCORE:
        return ask.twin < 0 ? score(t, ask.node, e) : score_as_twin(t, ask.node, ask.twin, e);
    case SEARCH_DROP:
        return drop(t, ask.node, e);
    }
    ASSERT(!"an ask of no known kind");
    return false;
}

/* ---- the end ---- */

bool trial_over(const struct trial *t) {
    return search_done(t->search) && t->n_held == 0;
}

struct verifier *trial_verifier(const struct trial *t) {
    return t->problem.verifier ? t->problem.verifier : coordinator_verifier(t->owner);
}

void trial_fail(struct trial *t, enum run_why why, const char *failure) {
    free(t->failure);
    t->failure = mem_strdup(failure);
    t->n_failed++;
    trial_stop(t, why);
}

void trial_stop(struct trial *t, enum run_why why) {
    t->why = why;
    t->n_held = 0;
    verdicts_give_up(t); /* what was written is a solution without them, too */
    search_stop(t->search);
    for (size_t i = 0; i < t->n_nodes; i++) node_withdraw(t, (int)i);
}

static bool path_is_scored(const struct trial *t, int node) {
    for (; node > 0; node = node_before(t, node)) {
        if (tree_node(t, node)->n_rewards < 0) return false;
    }
    return true;
}

static void add_solution(struct trial *t, int node, struct solutions *out) {
    const struct tree *tree = search_tree(t->search);
    struct buf text = {0};
    float rewards[TRIAL_REWARDS_MAX];
    const int n_rewards =
        path_is_scored(t, node) ? tree_path_rewards(tree, node, rewards, TRIAL_REWARDS_MAX) : 0;
    double logprob = 0;
    for (int i = node; i > 0; i = node_before(t, i)) logprob += tree->nodes[i].logprob;
    solution_text(t, node, &text);
    solutions_add(out, trial_node(t, node)->path, buf_str(&text), rewards, MIN(n_rewards, TRIAL_REWARDS_MAX),
                  tree->nodes[node].state == TREE_SOLUTION, tree->nodes[node].n_tokens_solution, logprob);
    int n_confidences;
    float *confidences = tree_path_confidences(tree, node, &n_confidences);
    solutions_add_confidences(out, confidences, n_confidences);
    solutions_add_verdict(out, tree->nodes[node].verdict);
    buf_free(&text);
}

/* Adds up what nodes cost that lead to none of the solutions. */
static void count_pruned(struct trial *t, const int *solutions, int n) {
    const struct tree *tree = search_tree(t->search);
    bool *used = mem_zalloc(tree->n_nodes, sizeof *used);
    for (int i = 0; i < n; i++)
        for (int node = solutions[i]; node > 0 && !used[node]; node = tree->nodes[node].parent)
            used[node] = true;
    for (size_t i = 1; i < t->n_nodes; i++) {
        if (used[i]) continue;
        cost_add(&t->cost.policy_pruned, &t->nodes[i].written);
        cost_add(&t->cost.reward_pruned, &t->nodes[i].scored);
    }
    free(used);
}

static struct solutions *gather(struct trial *t) {
    const struct tree *tree = search_tree(t->search);
    int *nodes = mem_zalloc(tree->n_nodes, sizeof *nodes);
    const int n = tree_candidates(tree, nodes);
    struct solutions *s = solutions_new();
    for (int i = 0; i < n; i++) add_solution(t, nodes[i], s);
    solutions_weigh(s, &t->problem.confidence);
    count_pruned(t, nodes, n);
    free(nodes);
    return s;
}

bool trial_end(struct trial *t, struct err *e) {
    struct solutions *s = gather(t);
    if (t->ledger.n_entries == 0) /* a prompt that nothing was asked about is not read */
        t->cost.policy_root = t->cost.reward_root = (struct cost){0};
    const struct run_event event = {
        .what = RUN_ENDED,
        .ordinal = t->problem.ordinal,
        .why = t->why,
        .ran_out = t->ledger.ran_out,
        .advice = search_advice(t->search),
        .solutions = s,
        .cost = &t->cost,
        .n_failed = t->n_failed,
        .failure = t->failure,
        .verification = &t->verdicts.sum,
        .seconds = clock_seconds() - t->started,
    };
    const bool ok = coordinator_event(t->owner, &event, e);
    solutions_free(s);
    return ok;
}
