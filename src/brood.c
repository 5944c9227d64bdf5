/* brood.c - the library's door: one problem through the coordinator. */
#include "brood.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer/answer.h"
#include "base/err.h"
#include "base/mem.h"
#include "run/answering.h"

#ifndef BROOD_VERSION
#define BROOD_VERSION "0"
#endif

static const char default_policy[] = "lab:small", default_reward[] = "lab:prm";

struct brood {
    struct policy *policy;
    struct reward *reward;     /* NULL: none */
    struct verifier *verifier; /* likewise */
    volatile sig_atomic_t cancelled;
};

/* One solve in progress. */
struct solving {
    struct answering answering; /* its answer is set when the search has ended */
    struct brood *brood;
    const struct brood_request *request;
};

static void set_error(struct brood_error *error, const struct err *e) {
    error->status = err_exit_status(e->code);
    snprintf(error->message, sizeof error->message, "%s", e->msg);
}

const char *brood_version(void) {
    return BROOD_VERSION;
}

struct brood *brood_open(const struct brood_options *o, struct brood_error *error) {
    struct err e = {0};
    struct brood *b = mem_zalloc(1, sizeof *b);
    const char *policy = o->policy ? o->policy : default_policy;
    const char *reward = o->reward ? o->reward : o->policy ? "none" : default_reward;
    const struct policy_options po = {.n_threads = o->n_threads,
                                      .system = o->system,
                                      .chat = o->chat,
                                      .weights = o->weights,
                                      .kv = o->kv,
                                      .lead_revise = o->revise_text,
                                      .lead_wait = o->wait_text,
                                      .lead_answer = o->answer_text};
    const struct reward_options ro = {.n_threads = o->n_threads, .weights = o->reward_weights, .kv = o->kv};
    if (o->verify) {
        b->verifier = verifier_open(o->verify, &(struct verifier_options){.n_workers = o->n_threads}, &e);
        if (!b->verifier) goto failed;
    }
    b->policy = policy_open(policy, &po, &e);
    if (!b->policy) goto failed;
    if (strcmp(reward, "none") != 0) {
        b->reward = reward_open(reward, &ro, &e);
        if (!b->reward) goto failed;
    }
    return b;
failed:
    set_error(error, &e);
    brood_close(b);
    return NULL;
}

void brood_close(struct brood *b) {
    if (!b) return;
    reward_close(b->reward);
    policy_close(b->policy);
    verifier_close(b->verifier);
    free(b);
    answer_thread_end();
}

void brood_cancel(struct brood *b) {
    b->cancelled = 1;
}

void brood_answer_free(struct brood_answer *a) {
    answering_free_answer(a);
}

/* ---- solving ---- */

static bool on_event(void *ctx, const struct run_event *event, struct err *e) {
    struct solving *v = ctx;
    if (event->what == RUN_ENDED) return answering_end(&v->answering, event, e);
    if (!v->request->on_event || event->what == RUN_SCORE_COST) return true;
    struct brood_event out = {.path = event->path};
    struct buf text = {0};
    if (event->what == RUN_NODE) {
        buf_add_str(&text, event->node->text);
        out.kind = BROOD_EVENT_NODE;
        out.text = buf_cstr(&text);
        out.n_lead_bytes = (int)event->node->n_lead_bytes;
        out.ended = event->node->finish == STORE_END;
        out.n_tokens = event->node->n_tokens;
    } else if (event->what == RUN_SCORE) {
        out.kind = BROOD_EVENT_SCORE;
        out.rewards = event->score->rewards;
        out.n_rewards = MAX(event->score->n_rewards, 0);
    } else if (event->what == RUN_VERDICT) {
        out.kind = BROOD_EVENT_VERDICT;
        out.verified = event->verdict->passed;
        out.feedback = event->verdict->feedback;
    } else {
        out.kind = BROOD_EVENT_DROP;
    }
    if (v->request->on_event(v->request->ctx, &out)) v->brood->cancelled = 1;
    buf_free(&text);
    return true;
}

/* Since `before`. */
static struct waste waste_since(const struct coordinator *c, const struct waste *before) {
    struct waste w = coordinator_waste(c);
    waste_subtract(&w, before);
    return w;
}

static void tell_retries(struct solving *v, double n_retried, double *n_told) {
    if (n_retried <= *n_told || !v->request->on_event) return;
    *n_told = n_retried;
    const struct brood_event event = {.kind = BROOD_EVENT_RETRY, .path = "", .n_retried = n_retried};
    if (v->request->on_event(v->request->ctx, &event)) v->brood->cancelled = 1;
}

_Static_assert((int)BROOD_SPECULATE_AUTO == (int)COORDINATOR_SPECULATE_AUTO &&
                   (int)BROOD_SPECULATE_ON == (int)COORDINATOR_SPECULATE_ON &&
                   (int)BROOD_SPECULATE_OFF == (int)COORDINATOR_SPECULATE_OFF,
               "the door lists the ways to speculate in the coordinator's order");

static void add_waste(struct brood_answer *a, const struct waste *w, struct coordinator_guessing guessed) {
    const struct cost none = {0};
    a->n_guessed = guessed.n_made;
    a->n_guesses_used = guessed.n_used;
    a->cancelled = answering_work(&w->cancelled, &none);
    a->recomputed = answering_work(&w->recomputed, &none);
    a->n_retried = w->n_retried;
    a->tokens_retried = w->tokens_retried;
}

static bool search(struct solving *v, struct err *e) {
    struct coordinator *c =
        coordinator_new(v->brood->policy, v->brood->reward, v->brood->verifier, on_event, v);
    const struct waste before = coordinator_waste(c);
    double n_told = 0;
    coordinator_speculate(c, (enum coordinator_speculation)v->request->speculate);
    bool ok = coordinator_add(c, &v->answering.problem, e);
    for (int n_active = 1; ok && n_active > 0 && !v->brood->cancelled;) {
        ok = coordinator_step(c, &n_active, e);
        tell_retries(v, waste_since(c, &before).n_retried, &n_told);
    }
    if (ok && v->brood->cancelled && !v->answering.answer) ok = coordinator_stop(c, RUN_STOPPED, e);
    const struct waste w = waste_since(c, &before);
    if (v->answering.answer) add_waste(v->answering.answer, &w, coordinator_guessed(c));
    coordinator_free(c);
    return ok;
}

struct brood_answer *brood_solve(struct brood *b, const struct brood_request *request,
                                 struct brood_error *error) {
    struct err e = {0};
    struct solving v = {.brood = b, .request = request};
    const bool ok = answering_begin(&v.answering, b->policy, b->reward, b->verifier != NULL, request, &e) &&
                    search(&v, &e);
    b->cancelled = 0;
    if (ok) return v.answering.answer;
    brood_answer_free(v.answering.answer);
    set_error(error, &e);
    return NULL;
}
