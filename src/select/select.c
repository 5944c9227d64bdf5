/* select.c - the rules. One pass to see who takes part, one to tally the classes, one to pick. */
#include "select/select.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static const char *const rule_names[SELECT_RULES] = {"majority", "best", "weighted", "first-verified"};

const char *select_rule_name(enum select_rule r) {
    ASSERT((unsigned)r < SELECT_RULES);
    return rule_names[r];
}

bool select_rule_parse(const char *name, enum select_rule *out, struct err *e) {
    for (int r = 0; r < SELECT_RULES; r++) {
        if (strcmp(name, rule_names[r]) == 0) {
            *out = (enum select_rule)r;
            return true;
        }
    }
    return err_set(e, ERR_INPUT, "'%s' is no selection: use majority, best, weighted or first-verified",
                   name);
}

bool select_needs_rewards(enum select_rule r) {
    return r == SELECT_BEST || r == SELECT_WEIGHTED;
}

struct votes {
    const struct select_solution *solutions;
    const int *order;
    int n;
    bool complete, answered; /* who takes part: exactly those that are both, as told here */
    enum aggregate aggregate;
};

static const struct select_solution *at(const struct votes *v, int i) {
    return &v->solutions[v->order ? v->order[i] : i];
}

static bool takes_part(const struct votes *v, const struct select_solution *s) {
    return s->complete == v->complete && (s->answer_class >= 0) == v->answered;
}

/* The best of the four groups that is not empty. */
static void choose_group(struct votes *v) {
    bool seen[4] = {0};
    for (int i = 0; i < v->n; i++) seen[(at(v, i)->answer_class >= 0) * 2 + at(v, i)->complete] = true;
    int group = 3;
    while (group > 0 && !seen[group]) group--;
    v->answered = group & 2;
    v->complete = group & 1;
}

/* Rewards that are missing or not numbers lose to all others. */
static double worth(const struct votes *v, const struct select_solution *s) {
    double w = aggregate_of(v->aggregate, s->rewards, s->rewards ? s->n_rewards : 0);
    return isnan(w) ? -INFINITY : w;
}

struct tally {
    int n_votes;
    double score; /* votes, sum of rewards, or best reward: what the rule compares */
    int best;     /* place in the order of the class's best solution */
    double best_worth;
};

static double ballot(enum select_rule r, double w) {
    if (r == SELECT_MAJORITY) return 1;
    return isfinite(w) ? w : 0;
}

static struct tally *tally_classes(enum select_rule r, const struct votes *v, int n_numbers) {
    struct tally *classes = mem_zalloc((size_t)n_numbers, sizeof *classes);
    for (int i = 0; i < v->n; i++) {
        const struct select_solution *s = at(v, i);
        if (!takes_part(v, s)) continue;
        struct tally *t = &classes[s->answer_class];
        double w = worth(v, s);
        if (t->n_votes == 0 || w > t->best_worth) {
            t->best = i;
            t->best_worth = w;
        }
        t->score = r == SELECT_BEST ? t->best_worth : t->score + ballot(r, w);
        t->n_votes++;
    }
    return classes;
}

/* Classes in the order in which their first members come: calls with each once. */
static void choose_class(enum select_rule r, const struct votes *v, struct select_choice *c) {
    int n_numbers = 0;
    for (int i = 0; i < v->n; i++) n_numbers = MAX(n_numbers, at(v, i)->answer_class + 1);
    struct tally *classes = tally_classes(r, v, n_numbers);
    bool *seen = mem_zalloc((size_t)n_numbers, sizeof *seen);
    double total = 0, runner_up = -INFINITY;
    const struct tally *leader = NULL;
    for (int i = 0; i < v->n; i++) {
        const struct select_solution *s = at(v, i);
        if (!takes_part(v, s)) continue;
        c->n_solutions++;
        if (seen[s->answer_class]) continue;
        seen[s->answer_class] = true;
        c->n_classes++;
        const struct tally *t = &classes[s->answer_class];
        total += fabs(t->score);
        if (!leader || t->score > leader->score) {
            if (leader) runner_up = leader->score;
            leader = t;
        } else {
            runner_up = MAX(runner_up, t->score);
        }
    }
    ASSERT(leader);
    c->solution = leader->best;
    c->n_votes = leader->n_votes;
    c->score = isfinite(leader->score) ? leader->score : 0;
    c->runner_up = isfinite(runner_up) ? runner_up : 0;
    c->margin = c->score - c->runner_up;
    if (r != SELECT_BEST) c->margin = total > 0 ? c->margin / total : 0;
    free(seen);
    free(classes);
}

/* No answer anywhere: everyone is a class of one. */
static void choose_unanswered(enum select_rule r, const struct votes *v, struct select_choice *c) {
    double best = -INFINITY, runner_up = -INFINITY;
    for (int i = 0; i < v->n; i++) {
        if (!takes_part(v, at(v, i))) continue;
        double w = worth(v, at(v, i));
        if (c->n_solutions++ == 0 || w > best) {
            if (c->n_solutions > 1) runner_up = best;
            c->solution = i;
            best = w;
        } else {
            runner_up = MAX(runner_up, w);
        }
    }
    c->n_votes = 1;
    if (r == SELECT_MAJORITY) return;
    c->score = isfinite(best) ? best : 0;
    c->runner_up = isfinite(runner_up) ? runner_up : 0;
    c->margin = r == SELECT_BEST ? c->score - c->runner_up : 0;
}

static void choose_verified(const struct votes *v, struct select_choice *c) {
    c->n_solutions = v->n;
    for (int i = 0; i < v->n && c->solution < 0; i++)
        if (at(v, i)->verified == SELECT_VERIFIED) c->solution = i;
    if (c->solution < 0) return;
    int winner = at(v, c->solution)->answer_class;
    c->n_votes = winner < 0;
    for (int i = 0; i < v->n && winner >= 0; i++) c->n_votes += at(v, i)->answer_class == winner;
}

struct select_choice select_choose(enum select_rule r, enum aggregate a,
                                   const struct select_solution *solutions, const int *order, int n) {
    struct votes v = {.solutions = solutions, .order = order, .n = n, .aggregate = a};
    struct select_choice c = {.solution = -1, .answer_class = -1};
    ASSERT(n >= 0 && (unsigned)r < SELECT_RULES);
    if (n == 0) return c;
    choose_group(&v);
    if (r == SELECT_FIRST_VERIFIED)
        choose_verified(&v, &c);
    else if (v.answered)
        choose_class(r, &v, &c);
    else
        choose_unanswered(r, &v, &c);
    if (c.solution < 0) return c;
    c.answer_class = at(&v, c.solution)->answer_class;
    if (order) c.solution = order[c.solution];
    return c;
}
