/* coordinator.c - keeps the services busy with the jobs of many searches. */
#include "run/coordinator.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "run/trial.h"

struct coordinator {
    struct policy *policy;
    struct reward *reward;
    struct verifier *verifier; /* NULL: none */
    struct other_verifier {
        struct verifier *verifier;
        char *failure; /* NULL: it is well */
    } * others;        /* [n_others] of problems that name them */
    size_t n_others, cap_others;
    struct verification verification;
    coordinator_on_event *on_event;
    void *ctx;
    struct trial **slots; /* NULL: free */
    size_t n_slots, cap_slots;
    size_t *order; /* [n_active] slots in the order in which their problems were added */
    size_t n_active, cap_order;
    enum coordinator_speculation speculation;
    bool more_problems, shares;
    struct coordinator_guessing guessing;
};

/* A service that has only a few jobs waits for more while the other has work: larger batches cost less a row.
 */
enum { COORDINATOR_REWARD_BATCH = 32, COORDINATOR_SLOTS_MAX = 1 << 20, COORDINATOR_UNVERIFIED_MAX = 1024 };

struct coordinator *coordinator_new(struct policy *policy, struct reward *reward, struct verifier *verifier,
                                    coordinator_on_event *on_event, void *ctx) {
    struct coordinator *c = mem_zalloc(1, sizeof *c);
    *c = (struct coordinator){
        .policy = policy, .reward = reward, .verifier = verifier, .on_event = on_event, .ctx = ctx};
    return c;
}

void coordinator_free(struct coordinator *c) {
    if (!c) return;
    for (size_t i = 0; i < c->n_slots; i++) trial_free(c->slots[i]);
    for (size_t i = 0; i < c->n_others; i++) free(c->others[i].failure);
    free(c->others);
    free(c->slots);
    free(c->order);
    free(c);
}

struct policy *coordinator_policy(struct coordinator *c) {
    return c->policy;
}

struct reward *coordinator_reward(struct coordinator *c) {
    return c->reward;
}

struct verifier *coordinator_verifier(struct coordinator *c) {
    return c->verifier;
}

struct verification *coordinator_verification(struct coordinator *c) {
    return &c->verification;
}

struct verification coordinator_verified(const struct coordinator *c) {
    return c->verification;
}

bool coordinator_event(struct coordinator *c, const struct run_event *event, struct err *e) {
    return !c->on_event || c->on_event(c->ctx, event, e);
}

bool coordinator_can(const struct policy_info *policy, bool leads, bool confidences, struct err *e) {
    if (leads && !policy->has_leads)
        return err_set(e, ERR_INPUT,
                       "this strategy puts words of its own between what the policy writes (a lead), and "
                       "policy %s (%s) cannot go on from them: use another policy, or another strategy",
                       policy->name, policy->kind);
    if (confidences && !policy->has_confidences)
        return err_set(
            e, ERR_INPUT,
            "this strategy looks at the confidence of each token, and policy %s (%s) does not tell "
            "it: use another policy, or another strategy",
            policy->name, policy->kind);
    return true;
}

bool coordinator_tells_confidences(const struct search_spec *spec) {
    return spec->strategy->needs_confidences ||
           (search_spec_has(spec, "top") && search_spec_get(spec, "top") > 0);
}

enum select_rule coordinator_select(const struct search_spec *spec, bool has_reward, bool has_verifier) {
    if (has_verifier) return SELECT_FIRST_VERIFIED;
    if (spec->strategy->needs_confidences) return SELECT_CONFIDENT;
    return has_reward ? SELECT_WEIGHTED : SELECT_MAJORITY;
}

bool coordinator_add(struct coordinator *c, const struct coordinator_problem *p, struct err *e) {
    const struct search_strategy *strategy = p->spec->strategy;
    ASSERT(p->n_tokens_max > 0);
    if (!coordinator_can(policy_info(c->policy), strategy->revises, coordinator_tells_confidences(p->spec),
                         e))
        return false;
    size_t slot = 0;
    while (slot < c->n_slots && c->slots[slot]) slot++;
    ASSERT(slot < COORDINATOR_SLOTS_MAX);
    struct trial *t = trial_new(c, slot, p, e);
    if (!t) return false;
    if (slot == c->n_slots) {
        MEM_GROW(c->slots, c->cap_slots, c->n_slots + 1);
        c->n_slots++;
    }
    c->slots[slot] = t;
    MEM_GROW(c->order, c->cap_order, c->n_active + 1);
    c->order[c->n_active++] = slot;
    return true;
}

struct coordinator_guessing *coordinator_guessing(struct coordinator *c) {
    return &c->guessing;
}

struct coordinator_guessing coordinator_guessed(const struct coordinator *c) {
    return c->guessing;
}

void coordinator_speculate(struct coordinator *c, enum coordinator_speculation how) {
    c->speculation = how;
}

void coordinator_expect(struct coordinator *c, bool more_problems) {
    c->more_problems = more_problems;
}

/* What was asked for; guesses make room for it. */
static int n_asked(const struct coordinator *c) {
    return policy_in_flight(c->policy) - c->guessing.n_flying;
}

void coordinator_add_verifier(struct coordinator *c, struct verifier *v) {
    MEM_GROW(c->others, c->cap_others, c->n_others + 1);
    c->others[c->n_others++] = (struct other_verifier){v, NULL};
}

const char *coordinator_verifier_failure(const struct coordinator *c, const struct verifier *v) {
    for (size_t i = 0; i < c->n_others; i++)
        if (c->others[i].verifier == v) return c->others[i].failure;
    return NULL;
}

/* Solutions that wait for a verifier much slower than the policy do not pile up without end. */
static bool verifier_is_full(const struct verifier *v) {
    return v && verifier_in_flight(v) >= MAX(COORDINATOR_UNVERIFIED_MAX, 4 * verifier_info(v)->n_wanted);
}

bool coordinator_hungry(const struct coordinator *c) {
    return !verifier_is_full(c->verifier) && n_asked(c) < policy_info(c->policy)->n_wanted;
}

/* ---- guesses ---- */

static void make_room(struct coordinator *c) {
    for (size_t i = c->n_active; i-- > 0;) {
        struct trial *t = c->slots[c->order[i]];
        while (policy_in_flight(c->policy) > policy_info(c->policy)->n_wanted && guess_shed(t)) continue;
    }
}

static bool may_guess(const struct coordinator *c, const struct trial *t) {
    const bool elsewhere = policy_info(c->policy)->talks != NULL;
    if (policy_info(c->policy)->whole_answers_only || trial_over(t)) return false;
    if (!elsewhere && t->n_writing == 0) return false; /* the cores have rewards to compute */
    return c->speculation == COORDINATOR_SPECULATE_ON ||
           (elsewhere && !budget_limits_cost(&t->problem.budget));
}

static void guess(struct coordinator *c) {
    if (c->speculation == COORDINATOR_SPECULATE_OFF || c->more_problems) return;
    for (size_t i = 0; i < c->n_active; i++) {
        struct trial *t = c->slots[c->order[i]];
        const int n_room = policy_info(c->policy)->n_wanted - policy_in_flight(c->policy);
        if (n_room <= 0) break;
        if (may_guess(c, t)) guess_more(t, n_room);
    }
}

void coordinator_share(struct coordinator *c) {
    c->shares = true;
}

struct turn { /* of one active problem */
    struct trial *trial;
    int n_of_client; /* expansions in flight of all that its client has */
    bool sated;
};

static struct turn *next_turn(struct turn *turns, size_t n) {
    struct turn *best = NULL;
    for (size_t i = 0; i < n; i++) {
        struct turn *t = &turns[i];
        if (t->sated) continue;
        const int ahead = best ? best->n_of_client - t->n_of_client : 1;
        if (ahead > 0 || (ahead == 0 && t->trial->n_writing < best->trial->n_writing)) best = t;
    }
    return best;
}

static bool submit_shared(struct coordinator *c, struct turn *turns, struct err *e) {
    struct turn *t;
    for (size_t i = 0; i < c->n_active; i++) {
        turns[i].trial = c->slots[c->order[i]];
        turns[i].sated = verifier_is_full(turns[i].trial->problem.verifier);
        for (size_t j = 0; j < c->n_active; j++) {
            const struct trial *other = c->slots[c->order[j]];
            if (other->problem.client == turns[i].trial->problem.client)
                turns[i].n_of_client += other->n_writing;
        }
    }
    while (coordinator_hungry(c) && (t = next_turn(turns, c->n_active))) {
        const int before = t->trial->n_writing;
        bool did;
        if (!trial_advance(t->trial, &did, e)) return false;
        t->sated = !did || verifier_is_full(t->trial->problem.verifier);
        for (size_t i = 0; i < c->n_active; i++) {
            if (turns[i].trial->problem.client == t->trial->problem.client)
                turns[i].n_of_client += t->trial->n_writing - before;
        }
    }
    return true;
}

/* Draws asks from the searches, oldest problem first, until the policy has enough. */
static bool submit(struct coordinator *c, struct err *e) {
    if (c->shares) {
        struct turn *turns = mem_zalloc(c->n_active, sizeof *turns);
        const bool ok = submit_shared(c, turns, e);
        free(turns);
        if (!ok) return false;
        make_room(c);
        guess(c);
        return true;
    }
    for (size_t i = 0; i < c->n_active; i++) {
        struct trial *t = c->slots[c->order[i]];
        bool did = true;
        while (did && coordinator_hungry(c) && !verifier_is_full(t->problem.verifier)) {
            if (!trial_advance(t, &did, e)) return false;
        }
        if (!coordinator_hungry(c)) break;
    }
    make_room(c);
    guess(c);
    return true;
}

static bool tell_policy(struct coordinator *c, struct err *e) {
    struct policy_result r;
    while (policy_next(c->policy, &r)) {
        if (guess_is_job(r.id)) {
            if (!guess_result(c->slots[guess_slot(r.id)], &r, e)) return false;
            continue;
        }
        struct trial *t = c->slots[r.id >> 33];
        if (!trial_policy_result(t, (int)((r.id & 0x1ffffffffu) >> 1), &r, e)) return false;
    }
    return true;
}

static bool tell_reward(struct coordinator *c, struct err *e) {
    struct reward_result r;
    while (reward_next(c->reward, &r)) {
        struct trial *t = c->slots[r.id >> 33];
        if (!trial_reward_result(t, (int)((r.id & 0x1ffffffffu) >> 1), &r, e)) return false;
    }
    return true;
}

static bool tell_verdicts(struct coordinator *c, struct verifier *v, struct err *e) {
    struct verifier_result r;
    while (verifier_next(v, &r)) {
        if (!trial_verdict(c->slots[r.id >> 33], (size_t)(r.id & 0x1ffffffffu), &r, e)) return false;
    }
    return true;
}

/* Problems whose verifier failed: nothing can be said of their solutions. */
static void end_unverified(struct coordinator *c) {
    for (size_t i = 0; c->n_others > 0 && i < c->n_active; i++) {
        struct trial *t = c->slots[c->order[i]];
        const char *failure = coordinator_verifier_failure(c, t->problem.verifier);
        if (failure && !trial_over(t)) trial_fail(t, RUN_UNVERIFIED, failure);
    }
}

static bool work_others(struct coordinator *c, double seconds_max, struct err *e) {
    for (size_t i = 0; i < c->n_others; i++) {
        struct other_verifier *o = &c->others[i];
        struct err failure;
        if (o->failure || verifier_in_flight(o->verifier) == 0) continue;
        if (verifier_work(o->verifier, seconds_max, &failure) < 0)
            o->failure = mem_strdup(failure.msg);
        else if (!tell_verdicts(c, o->verifier, e))
            return false;
    }
    end_unverified(c);
    return true;
}

/* Waits only where nothing else has work: the processes of a verifier go on by themselves. */
static bool work_verifiers(struct coordinator *c, bool idle, struct err *e) {
    const double seconds_max = idle ? 0.05 / (double)(1 + c->n_others) : 0;
    if (c->verifier && verifier_in_flight(c->verifier) > 0 &&
        (verifier_work(c->verifier, seconds_max, e) < 0 || !tell_verdicts(c, c->verifier, e)))
        return false;
    return work_others(c, seconds_max, e);
}

static bool end_trials(struct coordinator *c, struct err *e) {
    size_t n = 0;
    const double now = clock_seconds();
    for (size_t i = 0; i < c->n_active; i++) {
        const size_t slot = c->order[i];
        struct trial *t = c->slots[slot];
        if (!trial_over(t) && now >= t->deadline) trial_stop(t, RUN_DEADLINE);
        if (!trial_over(t)) {
            c->order[n++] = slot;
            continue;
        }
        const bool ok = trial_end(t, e);
        trial_free(t);
        c->slots[slot] = NULL;
        if (!ok) { /* the rest stays listed, so that coordinator_free finds a consistent state */
            for (i++; i < c->n_active; i++) c->order[n++] = c->order[i];
            c->n_active = n;
            return false;
        }
    }
    c->n_active = n;
    return true;
}

bool coordinator_fill(struct coordinator *c, struct err *e) {
    return submit(c, e);
}

bool coordinator_step(struct coordinator *c, int *n_active, struct err *e) {
    if (!submit(c, e)) return false;
    /* A policy behind servers goes on while we score: neither waits for the other. */
    const bool elsewhere = policy_info(c->policy)->talks != NULL;
    const bool scores_now = elsewhere && c->reward && reward_in_flight(c->reward) > 0;
    /* A guess has no turn of its own while rewards wait for the same cores. */
    const bool rewards_first = !elsewhere && c->reward && reward_in_flight(c->reward) > 0 && n_asked(c) == 0;
    const int policy_did = rewards_first ? 0 : policy_work(c->policy, scores_now ? 0 : 0.05, e);
    if (policy_did < 0 || !tell_policy(c, e)) return false;
    /* One behind servers lets go of connections, too, which it may share with the policy. */
    if (c->reward && (policy_did == 0 || scores_now || reward_info(c->reward)->talks ||
                      reward_in_flight(c->reward) >= COORDINATOR_REWARD_BATCH)) {
        if (reward_work(c->reward, policy_did ? 0 : 0.05, e) < 0 || !tell_reward(c, e)) return false;
    }
    const bool idle = policy_did == 0 && policy_in_flight(c->policy) == 0 &&
                      (!c->reward || reward_in_flight(c->reward) == 0);
    if (!work_verifiers(c, idle, e) || !end_trials(c, e)) return false;
    *n_active = (int)c->n_active;
    return true;
}

struct waste coordinator_waste(const struct coordinator *c) {
    struct waste w = policy_waste(c->policy);
    cost_add(&w.cancelled, &c->guessing.in_vain);
    if (c->reward) {
        const struct waste read = reward_waste(c->reward);
        waste_add(&w, &read);
    }
    return w;
}

bool coordinator_peek(struct coordinator *c, int ordinal, struct buf *out) {
    for (size_t i = 0; i < c->n_active; i++) {
        struct trial *t = c->slots[c->order[i]];
        if (t->problem.ordinal == ordinal) return !trial_over(t) && trial_peek(t, out);
    }
    return false;
}

void coordinator_end(struct coordinator *c, int ordinal, enum run_why why) {
    for (size_t i = 0; i < c->n_active; i++) {
        struct trial *t = c->slots[c->order[i]];
        if (t->problem.ordinal == ordinal && !trial_over(t)) trial_stop(t, why);
    }
}

bool coordinator_stop(struct coordinator *c, enum run_why why, struct err *e) {
    for (size_t i = 0; i < c->n_active; i++) {
        struct trial *t = c->slots[c->order[i]];
        if (!trial_over(t)) trial_stop(t, why);
    }
    return end_trials(c, e);
}
