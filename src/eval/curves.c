/* curves.c - see curves.h. */
#include "eval/curves.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/rng.h"
#include "store/rows.h"

static const char *const measure_names[CURVES_MEASURES] = {"majority",       "best",      "weighted",
                                                           "first-verified", "confident", "confident-low",
                                                           "confident-high", "coverage"};

const char *curves_measure_name(enum curves_measure m) {
    ASSERT((unsigned)m < CURVES_MEASURES);
    return measure_names[m];
}

bool curves_needs_rewards(enum curves_measure m) {
    return m == CURVES_BEST || m == CURVES_WEIGHTED;
}

bool curves_needs_confidences(enum curves_measure m) {
    return m == CURVES_CONFIDENT || m == CURVES_CONFIDENT_LOW || m == CURVES_CONFIDENT_HIGH;
}

/* ---- the set ---- */

struct curves_set *curves_set_new(void) {
    return mem_zalloc(1, sizeof(struct curves_set));
}

void curves_set_free(struct curves_set *s) {
    if (!s) return;
    for (size_t i = 0; i < s->n; i++) {
        struct curves_problem *p = &s->problems[i];
        for (int j = 0; j < p->n; j++) free((float *)(uintptr_t)p->solutions[j].rewards);
        free(p->solutions);
        free(p->right);
        free(p->id);
        free(p->charges);
    }
    free(s->problems);
    free(s);
}

struct curves_problem *curves_add_problem(struct curves_set *s, const char *id, int ordinal, int level) {
    MEM_GROW(s->problems, s->cap, s->n + 1);
    struct curves_problem *p = &s->problems[s->n++];
    *p =
        (struct curves_problem){.id = mem_strdup(id), .ordinal = ordinal, .level = level, .chosen_right = -1};
    return p;
}

/* Whether n is a power of two, or 0: when an array that doubles is full. */
static bool is_full(int n) {
    return (n & (n - 1)) == 0;
}

void curves_add_solution(struct curves_set *s, const struct select_solution *solution, bool right) {
    ASSERT(s->n > 0);
    struct curves_problem *p = &s->problems[s->n - 1];
    if (is_full(p->n)) {
        const size_t cap = p->n ? 2 * (size_t)p->n : 1;
        p->solutions = mem_realloc(p->solutions, cap, sizeof *p->solutions);
        p->right = mem_realloc(p->right, cap, sizeof *p->right);
    }
    struct select_solution *x = &p->solutions[p->n];
    *x = *solution;
    const bool scored = x->rewards && x->n_rewards > 0;
    x->rewards = scored ? mem_dup(x->rewards, (size_t)x->n_rewards * sizeof *x->rewards) : NULL;
    x->n_rewards = scored ? x->n_rewards : 0;
    p->right[p->n++] = right;
    p->n_right += right;
    s->has_rewards = s->has_rewards || scored;
    s->has_verified = s->has_verified || x->verified != SELECT_UNKNOWN;
    s->has_confidences = s->has_confidences || x->has_confidence;
    s->n_max = MAX(s->n_max, p->n);
}

/* ---- from a store ---- */

enum { CURVES_REWARDS_MAX = 4096 };

struct loading {
    struct curves_set *set;
    struct store *store;
    struct select_confidence confidence;
    struct err *e;
    bool failed;
};

static void add_costs(struct curves_problem *p, const struct rows *r) {
    bool *leads = rows_on_solutions(r);
    for (size_t i = 0; i < r->n_nodes; i++) {
        const struct rows_node *n = &r->nodes[i];
        cost_add(&p->policy, &n->cost);
        if (n->scored) cost_add(&p->reward, &n->score_cost);
        if (leads[i]) continue;
        cost_add(&p->policy_pruned, &n->cost);
        if (n->scored) cost_add(&p->reward_pruned, &n->score_cost);
    }
    free(leads);
}

/* Equal samples of which one alone was charged share its cost; where each was, each has its own. */
static void add_charges(struct curves_problem *p, const struct rows *r) {
    struct map *numbers = map_new(r->n_nodes);
    for (size_t i = 0; i < r->n_nodes; i++) {
        const struct rows_node *n = &r->nodes[i];
        uint32_t at = (uint32_t)p->n_charges;
        if (strchr(n->path, '.')) continue;
        p->n_written++;
        if (!n->scored) continue;
        const bool is_new = map_put(numbers, (struct str){n->text, n->text_len}, at);
        if (!is_new) map_get(numbers, (struct str){n->text, n->text_len}, &at);
        if (!is_new && n->score_cost.flops == 0) {
            p->charges[at].n_equal++;
            continue;
        }
        MEM_GROW(p->charges, p->cap_charges, p->n_charges + 1);
        p->charges[p->n_charges++] = (struct curves_charge){n->score_cost, 1};
    }
    map_free(numbers);
}

struct cost curves_score(const struct curves_problem *p, int k) {
    struct cost sum = {0};
    for (size_t i = 0; i < p->n_charges; i++) {
        double none = 1; /* of those that share it is among the k: C(n - m, k) / C(n, k) */
        for (int m = 0; m < p->charges[i].n_equal; m++)
            none *= fmax(0, (double)(p->n_written - k - m) / (p->n_written - m));
        sum.flops += p->charges[i].cost.flops * (1 - none);
        sum.tokens_read += p->charges[i].cost.tokens_read * (1 - none);
    }
    return sum;
}

/* Owned; one of each solution of the rows. */
static struct select_solution *weighed(const struct rows *r, const struct select_confidence *how) {
    struct select_solution *x = mem_zalloc(r->n_solutions, sizeof *x);
    struct select_tokens *tokens = mem_zalloc(r->n_solutions, sizeof *tokens);
    for (size_t i = 0; i < r->n_solutions; i++)
        tokens[i].confidences = rows_confidences(r, r->solutions[i].path, &tokens[i].n);
    select_set_confidences(x, tokens, (int)r->n_solutions, how);
    for (size_t i = 0; i < r->n_solutions; i++) free((float *)(uintptr_t)tokens[i].confidences);
    free(tokens);
    return x;
}

static void count_different(const struct loading *l, const struct rows *r) {
    struct curves_problem *p = &l->set->problems[l->set->n - 1];
    struct map *texts = map_new(r->n_solutions);
    for (size_t i = 0; i < r->n_solutions; i++) {
        struct buf text = {0};
        rows_text(r, r->solutions[i].path, &text);
        map_put(texts, buf_str(&text), 0);
        buf_free(&text);
    }
    p->n_texts = (int)map_count(texts);
    map_free(texts);
    for (int i = 0; i < p->n; i++) p->n_answers = MAX(p->n_answers, p->solutions[i].answer_class + 1);
}

static void add_solutions(struct loading *l, const struct rows *r) {
    struct select_classes *classes = select_classes_new();
    struct select_solution *all = weighed(r, &l->confidence);
    float rewards[CURVES_REWARDS_MAX];
    for (size_t i = 0; i < r->n_solutions; i++) {
        const struct rows_solution *v = &r->solutions[i];
        struct select_solution *x = &all[i];
        x->answer_class = v->answer ? select_classes_add_answer(classes, str_from(v->answer)) : -1;
        const struct rows_node *end = rows_find(r, v->path);
        if (end && end->verdict >= 0) x->verified = end->verdict ? SELECT_VERIFIED : SELECT_REJECTED;
        x->complete = v->complete;
        x->rewards = rewards;
        x->n_rewards = MIN(rows_rewards(r, v->path, rewards, CURVES_REWARDS_MAX), CURVES_REWARDS_MAX);
        curves_add_solution(l->set, x, v->right > 0);
    }
    count_different(l, r);
    free(all);
    select_classes_free(classes);
}

static bool note_choice(void *ctx, const struct store_choice *c) {
    ((struct curves_problem *)ctx)->chosen_right = c->right;
    return true;
}

/* Without an answer key: by a verifier. */
static bool is_graded(const struct rows *r) {
    for (size_t i = 0; i < r->n_solutions; i++) {
        const struct rows_node *end = rows_find(r, r->solutions[i].path);
        if (r->solutions[i].right >= 0 && end && end->verdict >= 0) return true;
    }
    return false;
}

static bool load_problem(void *ctx, const struct store_problem *p) {
    struct loading *l = ctx;
    l->set->n_problems++;
    if (!p->done) return true;
    l->set->n_done++;
    struct rows *r = rows_load(l->store, p->ordinal, l->e);
    l->failed = !r;
    if (!r) return false;
    if (!p->answer && !is_graded(r)) {
        l->set->n_ungraded++;
        rows_free(r);
        return true;
    }
    struct curves_problem *out = curves_add_problem(l->set, p->id, p->ordinal, p->level);
    out->policy_root = p->policy_root;
    out->reward_root = p->reward_root;
    add_costs(out, r);
    add_charges(out, r);
    add_solutions(l, r);
    rows_free(r);
    l->failed = !store_each_choice(l->store, p->ordinal, note_choice, out, l->e);
    return !l->failed;
}

/* As the run chose by, if it did. */
static void read_confidence(const struct store *s, struct select_confidence *how) {
    struct err e;
    json_t *config = store_config(s) ? json_parse(str_from(store_config(s)), store_path(s), &e) : NULL;
    const char *text = json_string_value(json_object_get(config, "confidence"));
    struct select_confidence given;
    if (text && select_confidence_parse(text, &given, &e)) *how = given;
    json_decref(config);
}

struct curves_set *curves_load(struct store *s, struct err *e) {
    struct loading l = {.set = curves_set_new(), .store = s, .e = e};
    read_confidence(s, &l.confidence);
    if (store_each_problem(s, load_problem, &l, e) && !l.failed) return l.set;
    curves_set_free(l.set);
    return NULL;
}

/* ---- measures ---- */

static const enum select_rule rules[CURVES_MEASURES] = {[CURVES_MAJORITY] = SELECT_MAJORITY,
                                                        [CURVES_BEST] = SELECT_BEST,
                                                        [CURVES_WEIGHTED] = SELECT_WEIGHTED,
                                                        [CURVES_FIRST_VERIFIED] = SELECT_FIRST_VERIFIED,
                                                        [CURVES_CONFIDENT] = SELECT_CONFIDENT,
                                                        [CURVES_CONFIDENT_LOW] = SELECT_CONFIDENT_LOW,
                                                        [CURVES_CONFIDENT_HIGH] = SELECT_CONFIDENT_HIGH};

bool curves_can_measure(const struct curves_set *s, enum curves_measure m) {
    if (s->n == 0) return false;
    if (curves_needs_confidences(m)) return s->has_confidences;
    return curves_needs_rewards(m) ? s->has_rewards : m != CURVES_FIRST_VERIFIED || s->has_verified;
}

void curves_at_k(const struct curves_set *s, enum curves_measure m, enum aggregate a, int k, double *out) {
    for (size_t i = 0; i < s->n; i++) {
        const struct curves_problem *p = &s->problems[i];
        const int k_here = MIN(k, p->n);
        const uint64_t key = rng_child(rng_child_named(rng_child_named(0, "curves"), p->id), (uint64_t)k);
        if (p->n == 0)
            out[i] = 0;
        else if (m == CURVES_COVERAGE)
            out[i] = coverage_pass_at_k(p->n, p->n_right, k_here);
        else
            out[i] = coverage_select_at_k(rules[m], a, p->solutions, p->right, p->n, k_here, CURVES_DRAWS,
                                          key, NULL);
    }
}

void curves_first_k(const struct curves_set *s, enum curves_measure m, enum aggregate a, int k, double *out) {
    for (size_t i = 0; i < s->n; i++) {
        const struct curves_problem *p = &s->problems[i];
        const int k_here = MIN(k, p->n);
        int chosen = -1;
        if (m == CURVES_COVERAGE)
            for (int j = 0; j < k_here && chosen < 0; j++) chosen = p->right[j] ? j : -1;
        else if (k_here > 0)
            chosen = select_choose(rules[m], a, p->solutions, NULL, k_here).solution;
        out[i] = chosen >= 0 && p->right[chosen];
    }
}

int curves_ks(int n_max, int ks[32]) {
    int n = 0;
    for (int64_t k = 1; k < n_max && n < 31; k *= 2) ks[n++] = (int)k;
    if (n_max > 0) ks[n++] = n_max;
    return n;
}
