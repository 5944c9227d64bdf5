/* vote.c - see vote.h. */
#include "eval/vote.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"
#include "run/task.h"

/* ---- recorded solutions into a set ---- */

static bool is_gradable(const struct recorded_problem *p) {
    bool graded = p->n_solutions > 0;
    for (size_t i = 0; i < p->n_solutions; i++) graded = graded && p->solutions[i].right != RECORDED_UNGRADED;
    return graded || p->gold;
}

static bool is_right(const struct recorded_problem *p, const struct recorded_solution *x, struct str answer,
                     bool lenient) {
    if (x->right != RECORDED_UNGRADED) return x->right == RECORDED_RIGHT;
    return answer.len > 0 && task_grade(answer, p->gold, lenient);
}

/* The grade of a class is that of its first member: a file of many solutions has few different answers. */
static void add_problem(struct curves_set *set, const struct recorded_problem *p, bool lenient) {
    struct select_classes *classes = select_classes_new();
    struct select_solution *view = recorded_view(p, classes);
    curves_add_problem(set, p->id, (int)set->n, p->level);
    recorded_set_confidences(p, &(struct select_confidence){0}, view);
    for (size_t i = 0; i < p->n_solutions; i++) {
        const int number = view[i].answer_class;
        const struct str answer = number >= 0 ? select_classes_answer(classes, number) : (struct str){0};
        curves_add_solution(set, &view[i], is_right(p, &p->solutions[i], answer, lenient));
    }
    free(view);
    select_classes_free(classes);
}

static struct curves_set *set_of(const struct recorded *r, bool lenient, struct vote *out) {
    struct curves_set *set = curves_set_new();
    for (size_t i = 0; i < r->n_problems; i++) {
        if (is_gradable(&r->problems[i]))
            add_problem(set, &r->problems[i], lenient);
        else
            out->n_ungraded++;
        out->n_solutions += (int)r->problems[i].n_solutions;
    }
    out->n_problems = (int)set->n;
    return set;
}

/* Takes the confidences of all solutions by this. */
static void weigh(struct curves_set *set, const struct recorded *r, const struct select_confidence *how) {
    size_t k = 0;
    for (size_t i = 0; i < r->n_problems; i++)
        if (is_gradable(&r->problems[i]))
            recorded_set_confidences(&r->problems[i], how, set->problems[k++].solutions);
}

/* ---- counting ---- */

static void count_row(const struct curves_set *set, const struct vote_options *o, enum curves_measure m,
                      enum aggregate a, enum confidence by, struct vote *out) {
    const uint64_t key = rng_child_named(0, "report");
    double *x = mem_zalloc(set->n, sizeof *x);
    MEM_GROW(out->rows, out->cap, out->n_rows + 1);
    struct vote_row *row = &out->rows[out->n_rows++];
    *row = (struct vote_row){.measure = m, .aggregate = a, .by = by};
    for (int i = 0; i < out->n_ks; i++) {
        const enum aggregate used = a == AGGREGATES ? AGGREGATE_LAST : a;
        if (o->first)
            curves_first_k(set, m, used, out->ks[i], x);
        else
            curves_at_k(set, m, used, out->ks[i], x);
        row->accuracy[i] = coverage_interval(x, (int)set->n, key);
    }
    free(x);
}

static bool choose_ks(const struct curves_set *set, const struct vote_options *o, struct vote *out,
                      struct err *e) {
    if (o->n > set->n_max)
        return err_set(e, ERR_INPUT, "-n %d: no problem has more than %d solutions", o->n, set->n_max);
    out->n_ks = o->n > 0 ? 1 : curves_ks(set->n_max, out->ks);
    if (o->n > 0) out->ks[0] = o->n;
    return true;
}

static bool check_inputs(const struct curves_set *set, const struct vote_options *o, const struct vote *out,
                         struct err *e) {
    if (set->n == 0)
        return err_set(
            e, ERR_INPUT,
            "none of %d problems can be graded: their solutions need \"right\", or they \"answer\"",
            out->n_ungraded);
    if (o->measure >= 0 && !curves_can_measure(set, (enum curves_measure)o->measure))
        return err_set(e, ERR_INPUT, "selection %s: no solution has %s",
                       curves_measure_name((enum curves_measure)o->measure),
                       o->measure == CURVES_FIRST_VERIFIED                         ? "\"verified\""
                       : curves_needs_confidences((enum curves_measure)o->measure) ? "\"confidences\""
                                                                                   : "\"rewards\"");
    return true;
}

bool vote_count(const struct recorded *r, const struct vote_options *o, struct vote *out, struct err *e) {
    *out = (struct vote){0};
    struct curves_set *set = set_of(r, o->lenient, out);
    const bool ok = check_inputs(set, o, out, e) && choose_ks(set, o, out, e);
    for (int m = 0; ok && m < CURVES_MEASURES; m++) {
        if (!curves_can_measure(set, (enum curves_measure)m) || (o->measure >= 0 && m != o->measure))
            continue;
        const bool by_rewards = curves_needs_rewards((enum curves_measure)m);
        const bool by_confidences = curves_needs_confidences((enum curves_measure)m);
        if (!by_rewards && !by_confidences)
            count_row(set, o, (enum curves_measure)m, AGGREGATES, CONFIDENCES, out);
        for (int a = 0; by_rewards && a < AGGREGATES; a++) {
            if (o->aggregate == AGGREGATES || a == (int)o->aggregate)
                count_row(set, o, (enum curves_measure)m, (enum aggregate)a, CONFIDENCES, out);
        }
        for (int c = 0; by_confidences && c < CONFIDENCES; c++) {
            if (o->by != CONFIDENCES && c != (int)o->by) continue;
            weigh(set, r, &(struct select_confidence){(enum confidence)c, o->window});
            count_row(set, o, (enum curves_measure)m, AGGREGATES, (enum confidence)c, out);
        }
    }
    curves_set_free(set);
    if (!ok) vote_fini(out);
    return ok;
}

void vote_fini(struct vote *v) {
    free(v->rows);
    *v = (struct vote){0};
}

json_t *vote_json(const struct vote *v) {
    json_t *rows = json_array();
    for (size_t i = 0; i < v->n_rows; i++) {
        const struct vote_row *row = &v->rows[i];
        json_t *points = json_array();
        for (int k = 0; k < v->n_ks; k++) {
            const struct interval *x = &row->accuracy[k];
            json_array_append_new(points, json_pack("{s:i,s:f,s:f,s:f}", "samples", v->ks[k], "mean", x->mean,
                                                    "low", x->low, "high", x->high));
        }
        json_t *aggregate =
            row->aggregate == AGGREGATES ? json_null() : json_string(aggregate_names[row->aggregate]);
        json_t *o = json_pack("{s:s,s:o,s:o}", "select", curves_measure_name(row->measure), "aggregate",
                              aggregate, "accuracy", points);
        if (row->by != CONFIDENCES)
            json_object_set_new(o, "confidence", json_string(confidence_names[row->by]));
        json_array_append_new(rows, o);
    }
    return json_pack("{s:i,s:i,s:i,s:o}", "problems", v->n_problems, "solutions", v->n_solutions, "ungraded",
                     v->n_ungraded, "rows", rows);
}
