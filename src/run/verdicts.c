/* verdicts.c - see verdicts.h. */
#include "run/verdicts.h"

#include <math.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/mem.h"
#include "run/trial.h"

static uint64_t job_id(const struct trial *t, size_t face) {
    return t->slot << 33 | face;
}

static size_t face_of(struct verdicts *v, struct str solution) {
    uint32_t at = (uint32_t)v->n;
    if (!v->by_text) v->by_text = map_new(64);
    if (!map_put(v->by_text, solution, at)) {
        map_get(v->by_text, solution, &at);
        return at;
    }
    MEM_GROW(v->faces, v->cap, v->n + 1);
    v->faces[v->n++] = (struct verdict_face){.passed = -1, .score = (double)NAN};
    return at;
}

static void learn(struct verdict_face *f, int passed, double score, const char *feedback) {
    if (f->known) return;
    f->known = true;
    f->passed = passed;
    f->score = score;
    f->feedback = feedback && feedback[0] ? mem_strdup(feedback) : NULL;
}

static void count(struct trial *t, const struct verification *more) {
    verification_add(&t->verdicts.sum, more, 1);
    verification_add(coordinator_verification(t->owner), more, 1);
}

/* Tells a node of its face's verdict, which is known. */
static bool tell(struct trial *t, int node, struct search_told *told, bool equal, struct err *e) {
    const struct trial_node *x = trial_node(t, node);
    const struct verdict_face *f = &t->verdicts.faces[x->face - 1];
    const struct store_verdict row = {.problem = t->problem.ordinal,
                                      .path = x->path,
                                      .passed = f->passed,
                                      .score = f->score,
                                      .feedback = f->feedback ? f->feedback : ""};
    const struct run_event event = {
        .what = RUN_VERDICT, .ordinal = row.problem, .path = row.path, .verdict = &row};
    count(t, &(struct verification){.n_verdicts = 1, .n_equal = equal});
    if (!coordinator_event(t->owner, &event, e)) return false;
    told->verdict = f->passed;
    trial_tell(t, node, told);
    return true;
}

static void submit(struct trial *t, size_t face, struct str solution) {
    const struct verifier_job job = {
        .id = job_id(t, face),
        .problem = {t->problem.id, t->problem.text, t->problem.line},
        .solution = solution,
    };
    t->verdicts.faces[face].asked = true;
    verifier_submit(trial_verifier(t), &job);
}

static void wait_for(struct trial *t, int node, size_t face, const struct search_told *told) {
    struct trial_node *x = trial_node(t, node);
    x->verdict = mem_zalloc(1, sizeof *x->verdict);
    x->verdict->told = *told;
    if (told->n_confidences > 0)
        x->verdict->told.confidences =
            mem_dup(told->confidences, (size_t)told->n_confidences * sizeof *told->confidences);
    x->verdict->next = t->verdicts.faces[face].first;
    t->verdicts.faces[face].first = node;
    t->n_in_flight++;
}

bool verdict_ask(struct trial *t, int node, struct str solution, struct search_told *told, struct err *e) {
    struct trial_node *x = trial_node(t, node);
    const struct rows_node *r = x->recorded;
    const size_t face = face_of(&t->verdicts, solution);
    struct verdict_face *f = &t->verdicts.faces[face];
    x->face = (int)face + 1;
    if (r && r->verified) {
        learn(f, r->verdict, r->verifier_score, r->feedback);
        told->verdict = r->verdict;
        trial_tell(t, node, told);
        return true;
    }
    if (f->known) return tell(t, node, told, true, e);
    wait_for(t, node, face, told);
    if (!f->asked) submit(t, face, solution);
    return true;
}

static void wait_free(struct verdict_wait *w) {
    free((float *)(uintptr_t)w->told.confidences);
    free(w);
}

/* The node waits no more: what it waited with, to be freed. */
static struct verdict_wait *end_wait(struct trial *t, int node) {
    struct trial_node *x = &t->nodes[node];
    struct verdict_wait *w = x->verdict;
    int *at = &t->verdicts.faces[x->face - 1].first;
    while (*at != node) at = &t->nodes[*at].verdict->next;
    *at = w->next;
    x->verdict = NULL;
    t->n_in_flight--;
    return w;
}

bool verdict_result(struct trial *t, size_t face, const struct verifier_result *r, struct err *e) {
    struct verdict_face *f = &t->verdicts.faces[face];
    f->asked = false;
    learn(f, r->verdict == VERIFIER_UNKNOWN ? -1 : r->verdict == VERIFIER_PASSED, r->score, r->feedback);
    count(t, &(struct verification){
                 .n_executions = r->n_executions, .seconds = r->seconds, .cpu_seconds = r->cpu_seconds});
    bool ok = true, equal = false;
    for (int node; ok && (node = t->verdicts.faces[face].first) > 0; equal = true) {
        struct verdict_wait *w = end_wait(t, node);
        ok = tell(t, node, &w->told, equal, e);
        wait_free(w);
    }
    return ok;
}

void verdict_withdraw(struct trial *t, int node) {
    if (!t->nodes[node].verdict) return;
    const size_t face = (size_t)t->nodes[node].face - 1;
    wait_free(end_wait(t, node));
    struct verdict_face *f = &t->verdicts.faces[face];
    if (f->first > 0 || !f->asked) return;
    verifier_cancel(trial_verifier(t), job_id(t, face));
    f->asked = false;
}

void verdicts_give_up(struct trial *t) {
    for (size_t i = 1; i < t->n_nodes; i++) {
        if (!t->nodes[i].verdict) continue;
        const size_t face = (size_t)t->nodes[i].face - 1;
        struct verdict_wait *w = end_wait(t, (int)i);
        if (t->verdicts.faces[face].asked && t->verdicts.faces[face].first == 0) {
            verifier_cancel(trial_verifier(t), job_id(t, face));
            t->verdicts.faces[face].asked = false;
        }
        trial_tell(t, (int)i, &w->told);
        wait_free(w);
    }
}

struct str verdict_feedback(const struct trial *t, int node) {
    const int i = t->nodes[node].face;
    const struct verdict_face *face = i > 0 ? &t->verdicts.faces[i - 1] : NULL;
    return str_from(face && face->passed == 0 ? face->feedback : NULL); /* not why it could not tell */
}

void verdicts_fini(struct verdicts *v) {
    for (size_t i = 0; i < v->n; i++) free(v->faces[i].feedback);
    free(v->faces);
    map_free(v->by_text);
    *v = (struct verdicts){0};
}
