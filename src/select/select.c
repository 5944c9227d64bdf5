/* select.c - the rules. One pass to see who takes part, one to tally the classes, one to pick. */
#include "select/select.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "select/ballot.h"

static const char *const rule_names[SELECT_RULES] = {
    "majority", "best", "weighted", "first-verified", "confident", "confident-low", "confident-high"};

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
    return err_set(e, ERR_INPUT,
                   "'%s' is no selection: use majority, best, weighted, first-verified, confident, "
                   "confident-low or confident-high",
                   name);
}

bool select_needs_confidences(enum select_rule r) {
    return r == SELECT_CONFIDENT || r == SELECT_CONFIDENT_LOW || r == SELECT_CONFIDENT_HIGH;
}

bool select_needs_rewards(enum select_rule r) {
    return r == SELECT_BEST || r == SELECT_WEIGHTED;
}

static int nth(const int *order, int i) {
    return order ? order[i] : i;
}

void ballot_init(struct ballot *b, enum aggregate a, const struct select_solution *solutions,
                 const int *order, int n) {
    int n_solutions = 0, n_numbers = 0;
    for (int i = 0; i < n; i++) {
        n_solutions = MAX(n_solutions, nth(order, i) + 1);
        n_numbers = MAX(n_numbers, solutions[nth(order, i)].answer_class + 1);
    }
    *b = (struct ballot){.solutions = solutions,
                         .worths = mem_zalloc((size_t)n_solutions, sizeof *b->worths),
                         .sorted = mem_zalloc((size_t)n, sizeof *b->sorted),
                         .tallies = mem_zalloc((size_t)n_numbers, sizeof *b->tallies)};
    for (int i = 0; i < n; i++) {
        const struct select_solution *s = &solutions[nth(order, i)];
        double worth = aggregate_of(a, s->rewards, s->rewards ? s->n_rewards : 0);
        b->worths[nth(order, i)] = isnan(worth) ? -INFINITY : worth;
    }
}

void ballot_fini(struct ballot *b) {
    free(b->worths);
    free(b->sorted);
    free(b->tallies);
}

/* ---- who takes part: the best of the four groups that is not empty ---- */
static int group_of(const struct select_solution *s) {
    return (s->answer_class >= 0 ? 2 : 0) + (s->complete ? 1 : 0);
}

static int best_group(const struct ballot *b, const int *order, int n) {
    int best = 0;
    for (int i = 0; i < n && best < 3; i++) best = MAX(best, group_of(&b->solutions[nth(order, i)]));
    return best;
}

/* What a rule weighs a solution by. */
static double worth_of(const struct ballot *b, enum select_rule r, int i) {
    if (!select_needs_confidences(r)) return b->worths[i];
    return b->solutions[i].has_confidence ? b->solutions[i].confidence : -INFINITY;
}

/* The least worth that counts, among those of a group; -INFINITY: all do. */
static double least_worth(struct ballot *b, enum select_rule r, int group, const int *order, int n) {
    int n_known = 0;
    if (r != SELECT_CONFIDENT_LOW && r != SELECT_CONFIDENT_HIGH) return -INFINITY;
    for (int i = 0; i < n; i++) {
        const struct select_solution *s = &b->solutions[nth(order, i)];
        if (group_of(s) == group && s->has_confidence) b->sorted[n_known++] = s->confidence;
    }
    if (n_known == 0) return -INFINITY;
    return confidence_quantile(b->sorted, n_known, r == SELECT_CONFIDENT_LOW ? 0.9 : 0.1);
}

/* ---- the rules ---- */
static void add_vote(struct tally *t, enum select_rule r, int solution, double worth) {
    if (t->n_votes == 0 || worth > t->best_worth) {
        t->best = solution;
        t->best_worth = worth;
    }
    t->n_votes++;
    if (r == SELECT_BEST)
        t->score = t->best_worth;
    else if (r == SELECT_MAJORITY)
        t->score = t->n_votes;
    else
        t->score += isfinite(worth) ? worth : 0;
}

/* Classes are compared in the order in which their first members come. */
static void choose_class(struct ballot *b, enum select_rule r, const int *order, int n,
                         struct select_choice *c) {
    int group = best_group(b, order, n);
    const double least = least_worth(b, r, group, order, n);
    for (int i = 0; i < n; i++) {
        const struct select_solution *s = &b->solutions[nth(order, i)];
        const double worth = worth_of(b, r, nth(order, i));
        if (group_of(s) == group && worth >= least)
            add_vote(&b->tallies[s->answer_class], r, nth(order, i), worth);
    }
    double total = 0, runner_up = -INFINITY;
    struct tally *leader = NULL;
    for (int i = 0; i < n; i++) {
        const struct select_solution *s = &b->solutions[nth(order, i)];
        if (group_of(s) != group || !(worth_of(b, r, nth(order, i)) >= least)) continue;
        c->n_solutions++;
        struct tally *t = &b->tallies[s->answer_class];
        if (t->seen) continue;
        t->seen = true;
        c->n_classes++;
        total += fabs(t->score);
        bool leads = !leader || t->score > leader->score;
        if (leads && leader) runner_up = leader->score;
        if (!leads) runner_up = MAX(runner_up, t->score);
        if (leads) leader = t;
    }
    c->solution = leader->best;
    c->n_votes = leader->n_votes;
    c->score = isfinite(leader->score) ? leader->score : 0;
    c->runner_up = isfinite(runner_up) ? runner_up : 0;
    c->margin = c->score - c->runner_up;
    if (r != SELECT_BEST) c->margin = total > 0 ? c->margin / total : 0;
    for (int i = 0; i < n; i++) {
        int number = b->solutions[nth(order, i)].answer_class;
        if (number >= 0) b->tallies[number] = (struct tally){0};
    }
}

/* No answer anywhere: everyone is a class of one. */
static void choose_unanswered(const struct ballot *b, enum select_rule r, const int *order, int n,
                              struct select_choice *c) {
    double best = -INFINITY, runner_up = -INFINITY;
    int group = best_group(b, order, n);
    for (int i = 0; i < n; i++) {
        if (group_of(&b->solutions[nth(order, i)]) != group) continue;
        double worth = worth_of(b, r, nth(order, i));
        if (c->n_solutions++ == 0 || worth > best) {
            if (c->n_solutions > 1) runner_up = best;
            c->solution = nth(order, i);
            best = worth;
        } else {
            runner_up = MAX(runner_up, worth);
        }
    }
    c->n_votes = 1;
    if (r == SELECT_MAJORITY) return;
    c->score = isfinite(best) ? best : 0;
    c->runner_up = isfinite(runner_up) ? runner_up : 0;
    c->margin = r == SELECT_BEST ? c->score - c->runner_up : 0;
}

static void choose_verified(const struct ballot *b, const int *order, int n, struct select_choice *c) {
    c->n_solutions = n;
    for (int i = 0; i < n && c->solution < 0; i++)
        if (b->solutions[nth(order, i)].verified == SELECT_VERIFIED) c->solution = nth(order, i);
    if (c->solution < 0) return;
    int winner = b->solutions[c->solution].answer_class;
    c->n_votes = winner < 0;
    for (int i = 0; i < n && winner >= 0; i++)
        c->n_votes += b->solutions[nth(order, i)].answer_class == winner;
}

struct select_choice ballot_choose(struct ballot *b, enum select_rule r, const int *order, int n) {
    struct select_choice c = {.solution = -1, .answer_class = -1};
    ASSERT(n >= 0 && (unsigned)r < SELECT_RULES);
    if (n == 0) return c;
    if (r == SELECT_FIRST_VERIFIED)
        choose_verified(b, order, n, &c);
    else if (best_group(b, order, n) >= 2)
        choose_class(b, r, order, n, &c);
    else
        choose_unanswered(b, r, order, n, &c);
    if (c.solution >= 0) c.answer_class = b->solutions[c.solution].answer_class;
    return c;
}

struct select_choice select_choose(enum select_rule r, enum aggregate a,
                                   const struct select_solution *solutions, const int *order, int n) {
    struct ballot b;
    ballot_init(&b, a, solutions, order, n);
    struct select_choice c = ballot_choose(&b, r, order, n);
    ballot_fini(&b);
    return c;
}

void select_participants(enum select_rule r, const struct select_solution *solutions, int n, bool *out) {
    struct ballot b;
    ballot_init(&b, AGGREGATE_LAST, solutions, NULL, n);
    const int group = best_group(&b, NULL, n);
    const double least = group >= 2 ? least_worth(&b, r, group, NULL, n) : -INFINITY;
    for (int i = 0; i < n; i++)
        out[i] =
            r == SELECT_FIRST_VERIFIED || (group_of(&solutions[i]) == group &&
                                           (!select_needs_confidences(r) || worth_of(&b, r, i) >= least));
    ballot_fini(&b);
}

/* ---- confidences ---- */

bool select_confidence_parse(const char *text, struct select_confidence *out, struct err *e) {
    const char *colon = strchr(text, ':');
    char *name = str_dup((struct str){text, colon ? (size_t)(colon - text) : strlen(text)}), *end = NULL;
    bool ok = confidence_parse(name, &out->by, e);
    free(name);
    out->window = 0;
    if (!ok || !colon) return ok;
    const long n = strtol(colon + 1, &end, 10);
    if (colon[1] < '0' || colon[1] > '9' || *end || n < 1 || n > 1 << 20)
        return err_set(e, ERR_INPUT, "'%s': behind the colon, give a window of 1 to %d tokens", text,
                       1 << 20);
    out->window = (int)n;
    return true;
}

void select_set_confidences(struct select_solution *solutions, const struct select_tokens *tokens, int n,
                            const struct select_confidence *how) {
    int *lengths = mem_zalloc((size_t)n, sizeof *lengths), n_known = 0, window = how->window;
    for (int i = 0; i < n; i++)
        if (tokens[i].n > 0) lengths[n_known++] = tokens[i].n;
    if (window == 0) window = confidence_window(lengths, n_known);
    for (int i = 0; i < n; i++) {
        solutions[i].has_confidence = tokens[i].n > 0;
        if (tokens[i].n > 0)
            solutions[i].confidence = confidence_of(how->by, tokens[i].confidences, tokens[i].n, window);
    }
    free(lengths);
}
