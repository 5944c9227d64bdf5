/* run.c - a run: services, task and store around a coordinator. */
#include "run/run.h"

#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/rng.h"
#include "run/shares.h"
#include "search/plan.h"
#include "store/rows.h"
#include "store/store.h"

/* What is told is committed this often: the most that a kill can cost. */
static const double flush_seconds = 0.25;

struct run {
    struct run_options options;
    enum select_rule said_select; /* as asked for; the options hold what became of it */
    enum aggregate said_aggregate;
    int n_tokens_max;
    struct task *task;
    struct policy *policy;
    struct reward *reward;
    struct verifier *verifier;
    struct store *store;
    struct coordinator *coordinator;
    bool *done;             /* [n_problems] */
    struct rows **recorded; /* [n_problems] of the problems being searched */
    size_t next_problem;
    struct shares shares; /* with a budget of the run that is shared out */
    bool has_shares;
    struct run_progress progress;
    char *failure;
    double started, started_cpu, flushed;
    double seconds_before;             /* of earlier sessions */
    struct store_session told, stored; /* of this session: so far, and written */
    struct verification verified;      /* of this session, written */
    volatile sig_atomic_t stopped;
};

/* The number that was meant: 0.8, not the 0.800000011920929 that a float makes of it. */
static double as_written(float x) {
    char text[32];
    snprintf(text, sizeof text, "%.7g", (double)x);
    return strtod(text, NULL);
}

void run_fill_spec(struct search_spec *spec, const struct policy_info *info, enum aggregate aggregate) {
    search_spec_recommend(spec, "temperature", as_written(info->sampling.temperature));
    search_spec_recommend(spec, "top_p", as_written(info->sampling.top_p));
    search_spec_recommend(spec, "min_p", as_written(info->sampling.min_p));
    search_spec_recommend(spec, "top_k", info->sampling.top_k);
    search_spec_recommend(spec, "aggregate", aggregate);
}

/* ---- configuration: what must be the same for a run to go on ---- */

/* Money is named only where it is limited: runs made before there was such a limit go on. */
static json_t *budget_json(const struct budget *b, const struct prices *p) {
    json_t *o = json_pack("{s:f,s:f,s:f,s:f}", "samples", b->samples, "tokens", b->tokens, "flops", b->flops,
                          "seconds", b->seconds);
    if (b->usd > 0) {
        json_object_set_new(o, "usd", json_real(b->usd));
        json_object_set_new(o, "prices",
                            json_pack("{s:f,s:f,s:f}", "policy_input", p->policy_input, "policy_output",
                                      p->policy_output, "reward_input", p->reward_input));
    }
    return o;
}

static json_t *service_json(const char *name, const char *kind, const char *identity, double n_parameters) {
    return json_pack("{s:s,s:s,s:s,s:f}", "name", name, "kind", kind, "identity", identity, "parameters",
                     n_parameters);
}

static char *hex(uint64_t x) {
    struct buf b = {0};
    buf_printf(&b, "%016" PRIx64, x);
    return buf_take(&b);
}

static bool is_adaptive(const struct run *r) {
    return strcmp(r->options.spec.strategy->name, "adaptive") == 0;
}

/* Of the verifier, and of all that it is shown. Owned. */
static char *verifier_hash(const struct run *r) {
    const char *identity = verifier_info(r->verifier)->identity;
    return hex(rng_hash(r->task->line_hash, identity, strlen(identity)));
}

/* Named where it is so: runs made before there was a choice had F32. */
static bool is_half(const char *kv) {
    return kv && strcmp(kv, "F16") == 0;
}

static json_t *configuration(const struct run *r) {
    const struct run_options *o = &r->options;
    const struct policy_info *p = policy_info(r->policy);
    struct buf strategy = {0};
    search_spec_print(&o->spec, &strategy);
    char *task_hash = hex(r->task->hash), *seed = hex(o->seed);
    json_t *c = json_object();
    json_object_set_new(c, "task",
                        json_pack("{s:s,s:I,s:s}", "name", r->task->name, "problems",
                                  (json_int_t)r->task->n_problems, "hash", task_hash));
    json_object_set_new(c, "policy", service_json(p->name, p->kind, p->identity, p->n_parameters));
    const struct reward_info *w = r->reward ? reward_info(r->reward) : NULL;
    json_object_set_new(c, "reward",
                        w ? service_json(w->name, w->kind, w->identity, w->n_parameters) : json_null());
    if (o->weights) json_object_set_new(json_object_get(c, "policy"), "weights", json_string(o->weights));
    if (w && o->reward_weights)
        json_object_set_new(json_object_get(c, "reward"), "weights", json_string(o->reward_weights));
    if (is_half(p->kv)) json_object_set_new(json_object_get(c, "policy"), "kv", json_string("f16"));
    if (w && is_half(w->kv)) json_object_set_new(json_object_get(c, "reward"), "kv", json_string("f16"));
    if (r->verifier) {
        char *identity = verifier_hash(r);
        const struct verifier_info *v = verifier_info(r->verifier);
        json_object_set_new(
            c, "verifier",
            json_pack("{s:s,s:s,s:s}", "name", v->name, "kind", v->kind, "identity", identity));
        free(identity);
    }
    json_object_set_new(c, "strategy", json_string(buf_cstr(&strategy)));
    if (is_adaptive(r)) {
        const char *plan = o->plan ? o->plan : plan_default(r->reward != NULL);
        char *identity = hex(rng_hash(0, plan, strlen(plan)));
        json_object_set_new(c, "plan",
                            json_pack("{s:s,s:o}", "identity", identity, "text", json_text(str_from(plan))));
        free(identity);
    }
    const bool by_plan = is_adaptive(r) && r->said_select == SELECT_RULES;
    json_object_set_new(c, "select", json_string(by_plan ? "plan" : select_rule_name(o->select)));
    json_object_set_new(c, "aggregate", json_string(aggregate_names[o->aggregate]));
    json_object_set_new(c, "budget", budget_json(&o->budget, &o->prices));
    if (r->has_shares || o->run_budget.seconds > 0)
        json_object_set_new(c, "run_budget", budget_json(&o->run_budget, &o->prices));
    json_object_set_new(c, "seed", json_string(seed));
    json_object_set_new(c, "tokens_max", json_integer(r->n_tokens_max));
    json_object_set_new(c, "grader", json_string(o->lenient ? "qwen" : "strict"));
    json_object_set_new(c, "system", o->system ? json_text(str_from(o->system)) : json_null());
    json_object_set_new(c, "chat", o->chat ? json_string(o->chat) : json_null());
    if (p->chat_date) json_object_set_new(c, "chat_date", json_string(p->chat_date));
    json_object_set_new(c, "separator", json_string(o->separator ? o->separator : "\n\n"));
    if (select_needs_confidences(o->select)) {
        struct buf how = {0};
        buf_add_str(&how, str_from(confidence_names[o->confidence.by]));
        if (o->confidence.window > 0) buf_printf(&how, ":%d", o->confidence.window);
        json_object_set_new(c, "confidence", json_string(buf_cstr(&how)));
        buf_free(&how);
    }
    json_t *leads = json_object();
    for (int i = 0; i < POLICY_LEADS; i++)
        if (p->leads[i].replaced)
            json_object_set_new(leads, store_lead_name((enum store_lead)i),
                                json_text(str_from(p->leads[i].text)));
    if (json_object_size(leads) > 0)
        json_object_set(c, "leads", leads); /* there since they can be replaced */
    json_decref(leads);
    free(task_hash);
    free(seed);
    buf_free(&strategy);
    return c;
}

static bool other_configuration(const struct run *r, const char *key, const json_t *then, const json_t *now,
                                struct err *e) {
    char *was = then ? json_line(then) : mem_strdup("none"), *is = now ? json_line(now) : mem_strdup("none");
    err_set(
        e, ERR_INPUT,
        "%s: this run was made with another %s (%s, now %s): give --run another file, or the same options",
        store_path(r->store), key, was, is);
    free(was);
    free(is);
    return false;
}

/* Names the first part in which the recorded configuration differs. A model that moved is the same model: its
 * name may change, its identity not. */
static bool same_configuration(const struct run *r, const json_t *now, const json_t *then, struct err *e) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)then, key, value) {
        if (!json_object_get(now, key)) return other_configuration(r, key, value, NULL, e);
    }
    json_object_foreach((json_t *)(uintptr_t)now, key, value) {
        const json_t *old = json_object_get(then, key);
        const json_t *a = value, *b = old;
        if (json_is_object(value) && json_is_object(old) && json_object_get(value, "identity")) {
            a = json_object_get(value, "identity");
            b = json_object_get(old, "identity");
        } else if (strcmp(key, "task") == 0) {
            a = json_object_get(value, "hash");
            b = json_object_get(old, "hash");
        }
        const bool is_long = strcmp(key, "plan") == 0; /* its hash says enough */
        if (!json_equal(a, b)) return other_configuration(r, key, is_long ? b : old, is_long ? a : value, e);
    }
    return true;
}

static bool settle_configuration(struct run *r, struct err *e) {
    json_t *now = configuration(r);
    bool ok;
    if (store_config(r->store)) {
        json_t *then = json_parse(str_from(store_config(r->store)), store_path(r->store), e);
        ok = then && same_configuration(r, now, then, e);
        json_decref(then);
    } else {
        char *line = json_line(now);
        ok = store_set_config(r->store, line, e);
        free(line);
    }
    json_decref(now);
    return ok;
}

/* ---- opening ---- */

struct survey {
    struct run *run;
    struct err *e;
    bool failed;
};

/* What a problem that has ended has spent: its records in path order, so that every session finds the same.
 */
static bool count_spending(struct run *r, int ordinal, const struct cost *policy_root,
                           const struct cost *reward_root, struct err *e) {
    if (!r->has_shares) return true;
    struct rows *rows = rows_load(r->store, ordinal, e);
    if (!rows) return false;
    struct cost policy = *policy_root, reward = *reward_root;
    double n_samples = 0;
    for (size_t i = 0; i < rows->n_nodes; i++) {
        const struct rows_node *x = &rows->nodes[i];
        cost_add(&policy, &x->cost);
        if (x->scored) cost_add(&reward, &x->score_cost);
        n_samples += x->finish == STORE_END || x->finish == STORE_LENGTH;
    }
    rows_free(rows);
    struct spending s = spending_of(&r->options.prices, &policy, &reward);
    s.of[BUDGET_SAMPLES] = n_samples;
    shares_end(&r->shares, ordinal, &s);
    return true;
}

static bool count_choice(void *ctx, const struct store_choice *c) {
    struct run *r = ctx;
    if (c->right >= 0) r->progress.n_graded++;
    if (c->right > 0) r->progress.n_right++;
    return true;
}

static bool mark_done(void *ctx, const struct store_problem *p) {
    struct survey *v = ctx;
    if (p->ordinal < 0 || (size_t)p->ordinal >= v->run->task->n_problems || !p->done) return true;
    v->run->done[p->ordinal] = true;
    v->run->progress.n_done++;
    v->failed = !count_spending(v->run, p->ordinal, &p->policy_root, &p->reward_root, v->e);
    return !v->failed;
}

static bool open_records(struct run *r, struct err *e) {
    for (size_t i = 0; i < r->task->n_problems; i++) {
        const struct task_problem *p = &r->task->problems[i];
        const struct store_problem row = {
            .ordinal = (int)i, .id = p->id, .text = p->prompt, .answer = p->answer, .level = p->level};
        if (!store_put_problem(r->store, &row, e)) return false;
    }
    struct survey v = {.run = r, .e = e};
    struct store_session before = {0};
    int n_sessions;
    if (!store_flush(r->store, e) || !store_each_problem(r->store, mark_done, &v, e) || v.failed ||
        !store_sessions(r->store, &before, &n_sessions, e)) {
        return false;
    }
    r->seconds_before = before.seconds;
    for (size_t i = 0; i < r->task->n_problems; i++) {
        if (r->done[i] && !store_each_choice(r->store, (int)i, count_choice, r, e)) return false;
    }
    r->progress.n_done_before = r->progress.n_done;
    return true;
}

static bool on_event(void *ctx, const struct run_event *event, struct err *e);

/* What the options leave to the reward model. */
static bool choose_rules(struct run *r, struct err *e) {
    struct run_options *o = &r->options;
    r->said_select = o->select;
    r->said_aggregate = o->aggregate;
    const char *suits = r->reward ? reward_info(r->reward)->aggregate : "";
    if (o->select == SELECT_RULES)
        o->select = coordinator_select(&o->spec, r->reward != NULL, r->verifier != NULL);
    return o->aggregate != AGGREGATES || aggregate_parse(suits[0] ? suits : "last", &o->aggregate, e);
}

static bool open_verifier(struct run *r, struct err *e) {
    const struct verifier_options vo = {.n_workers = r->options.n_threads};
    if (r->options.verify) {
        r->verifier = verifier_open(r->options.verify, &vo, e);
        return r->verifier != NULL;
    }
    for (size_t i = 0; i < r->task->n_problems; i++) {
        const struct task_problem *p = &r->task->problems[i];
        if (!p->verify) continue;
        return err_set(e, ERR_INPUT,
                       "%s: problem %s has %s and no answer: have its solutions verified with --verify %s",
                       r->task->name, p->id, p->has, p->verify);
    }
    return true;
}

static bool open_services(struct run *r, struct err *e) {
    const struct run_options *o = &r->options;
    const struct policy_options po = {.n_threads = o->n_threads,
                                      .separator = o->separator,
                                      .system = o->system,
                                      .chat = o->chat,
                                      .weights = o->weights,
                                      .kv = o->kv,
                                      .lead_revise = o->lead_revise,
                                      .lead_wait = o->lead_wait,
                                      .lead_answer = o->lead_answer};
    const struct reward_options ro = {
        .n_threads = o->n_threads, .separator = o->separator, .weights = o->reward_weights, .kv = o->kv};
    if (!open_verifier(r, e)) return false; /* it starts processes: before threads */
    r->policy = policy_open(o->policy, &po, e);
    if (!r->policy) return false;
    if (o->reward) {
        r->reward = reward_open(o->reward, &ro, e);
        if (!r->reward) return false;
    }
    if (!choose_rules(r, e)) return false;
    if (o->spec.strategy->needs_reward && !r->reward) {
        return err_set(
            e, ERR_INPUT,
            "strategy %s needs a reward model: give one with --reward, for example --reward lab:prm",
            o->spec.strategy->name);
    }
    if (!coordinator_can(policy_info(r->policy), o->spec.strategy->revises,
                         coordinator_tells_confidences(&o->spec), e)) {
        return false;
    }
    if (select_needs_confidences(o->select) && !coordinator_tells_confidences(&o->spec)) {
        return err_set(
            e, ERR_INPUT,
            "selection %s needs the confidences of tokens: use --strategy deepconf, or sample:top=20",
            select_rule_name(o->select));
    }
    if (o->select == SELECT_FIRST_VERIFIED && !r->verifier)
        return err_set(e, ERR_INPUT,
                       "selection first-verified needs a verifier: give one with --verify, or choose among "
                       "recorded solutions with 'brood vote'");
    if (select_needs_rewards(o->select) && !r->reward) {
        return err_set(e, ERR_INPUT,
                       "selection %s needs a reward model: give one with --reward, or --select majority",
                       select_rule_name(o->select));
    }
    const int n_context = policy_info(r->policy)->n_context;
    r->n_tokens_max = o->n_tokens_max > 0 ? o->n_tokens_max : RUN_TOKENS_DEFAULT;
    if (n_context > 0) r->n_tokens_max = MIN(r->n_tokens_max, n_context);
    if (o->plan && !is_adaptive(r))
        return err_set(e, ERR_INPUT, "a plan is for the strategy adaptive, not for %s",
                       o->spec.strategy->name);
    if (o->plan && !plan_recommend(o->plan, "plan", &r->options.spec, e)) return false;
    run_fill_spec(&r->options.spec, policy_info(r->policy), o->aggregate);
    return true;
}

struct run *run_open(const struct run_options *o, struct err *e) {
    struct run *r = mem_zalloc(1, sizeof *r);
    r->options = *o;
    r->started = r->flushed = clock_seconds();
    r->started_cpu = clock_cpu_seconds();
    r->task = task_open(o->task, o->n_problems, e);
    if (!r->task || !open_services(r, e)) goto failed;
    if (o->budget.samples > 0 && search_spec_has(&r->options.spec, "n") &&
        search_spec_get(&r->options.spec, "n") > o->budget.samples &&
        !search_spec_set(&r->options.spec, "n", floor(o->budget.samples), e)) {
        goto failed;
    }
    r->done = mem_zalloc(r->task->n_problems, sizeof *r->done);
    r->recorded = mem_zalloc(r->task->n_problems, sizeof *r->recorded);
    r->progress.n_problems = (int)r->task->n_problems;
    r->has_shares = budget_limits_cost(&o->run_budget) || o->run_budget.samples > 0;
    if (r->has_shares) shares_init(&r->shares, &o->run_budget, &o->budget, r->progress.n_problems);
    r->store = store_open(o->store, STORE_WRITE, e);
    if (!r->store || !settle_configuration(r, e) || !open_records(r, e)) goto failed;
    r->coordinator = coordinator_new(r->policy, r->reward, r->verifier, on_event, r);
    coordinator_speculate(r->coordinator, o->speculate);
    return r;
failed:;
    struct err ignored;
    if (!run_close(r, &ignored)) { /* the first error is the one that counts */
    }
    return NULL;
}

/* What has really been computed, work done again included. */
static void count_work(struct run *r) {
    struct cost c = policy_computed(r->policy);
    if (r->reward) {
        const struct cost w = reward_computed(r->reward);
        cost_add(&c, &w);
    }
    r->told.tokens_generated = c.tokens_generated;
    r->told.tokens_read = c.tokens_read;
    if (r->coordinator) r->told.waste = coordinator_waste(r->coordinator);
}

static bool flush(struct run *r, struct err *e) {
    count_work(r);
    r->told.seconds = clock_seconds() - r->started;
    r->told.cpu_seconds = clock_cpu_seconds() - r->started_cpu;
    struct store_session more = {
        .seconds = r->told.seconds - r->stored.seconds,
        .cpu_seconds = r->told.cpu_seconds - r->stored.cpu_seconds,
        .n_jobs = r->told.n_jobs - r->stored.n_jobs,
        .tokens_generated = r->told.tokens_generated - r->stored.tokens_generated,
        .tokens_read = r->told.tokens_read - r->stored.tokens_read,
        .waste = r->told.waste,
    };
    waste_subtract(&more.waste, &r->stored.waste);
    r->flushed = clock_seconds();
    struct verification verified = coordinator_verified(r->coordinator), new = verified;
    verification_add(&new, &r->verified, -1);
    if (!store_put_session(r->store, &more, e) || !store_put_verification(r->store, &new, e) ||
        !store_flush(r->store, e))
        return false;
    r->stored = r->told;
    r->verified = verified;
    return true;
}

bool run_close(struct run *r, struct err *e) {
    if (!r) return true;
    bool ok = !r->coordinator || flush(r, e);
    coordinator_free(r->coordinator);
    if (r->store && !store_close(r->store, e)) ok = false;
    reward_close(r->reward);
    policy_close(r->policy);
    verifier_close(r->verifier);
    for (size_t i = 0; r->recorded && i < r->task->n_problems; i++) rows_free(r->recorded[i]);
    shares_fini(&r->shares);
    free(r->recorded);
    free(r->done);
    task_free(r->task);
    free(r->failure);
    free(r);
    return ok;
}

/* ---- events into the store ---- */

/* The grade of a problem without an answer key. */
static int verdict_of(const struct select_solution *x) {
    return x->verified == SELECT_UNKNOWN ? -1 : x->verified == SELECT_VERIFIED;
}

static int grade(struct run *r, const struct task_problem *p, const char *answer, struct map *grades) {
    if (!answer) return 0;
    uint32_t right;
    if (!map_get(grades, str_from(answer), &right)) {
        right = task_grade(str_from(answer), p->answer, r->options.lenient);
        map_put(grades, str_from(answer), right);
    }
    return (int)right;
}

static bool put_solutions(struct run *r, int ordinal, const struct solutions *s, int chosen,
                          int *chosen_right, struct err *e) {
    const struct task_problem *p = &r->task->problems[ordinal];
    struct map *grades = map_new(16);
    bool ok = true;
    *chosen_right = p->answer ? 0 : -1;
    for (size_t i = 0; ok && i < s->n; i++) {
        const struct solution *x = &s->items[i];
        const struct store_solution row = {.problem = ordinal,
                                           .path = x->path,
                                           .answer = x->answer,
                                           .complete = x->complete,
                                           .right = p->answer ? grade(r, p, x->answer, grades)
                                                              : verdict_of(&s->view[i])};
        if ((int)i == chosen) *chosen_right = row.right;
        ok = store_put_solution(r->store, &row, e);
    }
    map_free(grades);
    return ok;
}

static bool put_choice(struct run *r, int ordinal, const struct solutions *s, const struct select_choice *c,
                       enum select_rule rule, enum aggregate aggregate, struct err *e) {
    const struct solution *x = c->solution >= 0 ? &s->items[c->solution] : NULL;
    const struct store_choice row = {
        .problem = ordinal,
        .rule = select_rule_name(rule),
        .aggregate = aggregate_names[aggregate],
        .path = x ? x->path : NULL,
        .answer = x ? x->answer : NULL,
        .n_solutions = c->n_solutions,
        .n_classes = c->n_classes,
        .n_votes = c->n_votes,
        .score = c->score,
        .margin = c->margin,
    };
    return store_put_choice(r->store, &row, e);
}

static bool on_ended(struct run *r, const struct run_event *event, struct err *e) {
    const int i = event->ordinal;
    rows_free(r->recorded[i]);
    r->recorded[i] = NULL;
    if (event->failure && !r->failure) r->failure = mem_strdup(event->failure);
    r->progress.n_failed += event->n_failed;
    if (event->why == RUN_STOPPED) return true; /* to be resumed */
    enum select_rule rule = r->said_select;
    enum aggregate aggregate = r->said_aggregate;
    solutions_follow(&event->advice, &rule, &aggregate);
    if (rule == SELECT_RULES) rule = r->options.select;
    if (aggregate == AGGREGATES) aggregate = r->options.aggregate;
    const struct select_choice c = solutions_choose(event->solutions, rule, aggregate);
    int right;
    if (!put_solutions(r, i, event->solutions, c.solution, &right, e) ||
        !put_choice(r, i, event->solutions, &c, rule, aggregate, e) ||
        !store_put_root_costs(r->store, i, &event->cost->policy_root, &event->cost->reward_root, e) ||
        !store_put_done(r->store, i, e) ||
        !count_spending(r, i, &event->cost->policy_root, &event->cost->reward_root, e)) {
        return false;
    }
    r->progress.n_cut_short += event->why == RUN_BUDGET || event->why == RUN_DEADLINE;
    r->done[i] = true;
    r->progress.n_done++;
    r->progress.n_graded += right >= 0;
    r->progress.n_right += right > 0;
    return true;
}

static bool on_event(void *ctx, const struct run_event *event, struct err *e) {
    struct run *r = ctx;
    if (event->what == RUN_ENDED) return on_ended(r, event, e);
    if (event->recorded || event->what == RUN_DROP) return true;
    if (event->what == RUN_SCORE_COST) return store_put_score(r->store, event->score, e);
    r->told.n_jobs++;
    if (event->what == RUN_SCORE) return store_put_score(r->store, event->score, e);
    if (event->what == RUN_VERDICT) return store_put_verdict(r->store, event->verdict, e);
    if (event->node->finish == STORE_END) r->progress.n_solutions++;
    return store_put_node(r->store, event->node, e);
}

/* ---- carrying on ---- */

static bool feed(struct run *r, int *n_active, struct err *e) {
    /* A step after each, since only then is it known whether the batches are full. */
    coordinator_expect(r->coordinator, true);
    while (r->next_problem < r->task->n_problems) {
        /* Only what those in hand do not ask for: memory is that of the problems open at once. */
        if (!coordinator_fill(r->coordinator, e)) return false;
        if (!coordinator_hungry(r->coordinator)) break;
        struct budget budget = r->options.budget;
        if (r->has_shares && !shares_take(&r->shares, (int)r->next_problem, &budget)) break;
        const size_t i = r->next_problem++;
        if (r->done[i]) continue;
        const struct task_problem *p = &r->task->problems[i];
        r->recorded[i] = rows_load(r->store, (int)i, e);
        if (!r->recorded[i]) return false;
        const struct coordinator_problem job = {
            .ordinal = (int)i,
            .id = p->id,
            .text = p->prompt,
            .line = str_from(p->line),
            .key = rng_child_named(r->options.seed, p->id),
            .spec = &r->options.spec,
            .plan = r->options.plan,
            .budget = budget,
            .prices = r->options.prices,
            .n_tokens_max = r->n_tokens_max,
            .confidence = r->options.confidence,
            .recorded = r->recorded[i],
        };
        if (!coordinator_add(r->coordinator, &job, e)) return err_wrap(e, "problem %s", p->id);
        if (!coordinator_step(r->coordinator, n_active, e)) return false;
    }
    coordinator_expect(r->coordinator, false);
    return true;
}

/* The seconds of a run are those of all its sessions. */
static bool out_of_time(const struct run *r) {
    const double most = r->options.run_budget.seconds;
    return most > 0 && r->seconds_before + clock_seconds() - r->started >= most;
}

static bool carry_on(struct run *r, struct err *e) {
    int n_active = 0;
    if (out_of_time(r) && r->progress.n_done < r->progress.n_problems) {
        r->progress.finished = r->progress.out_of_time = true;
        return coordinator_stop(r->coordinator, RUN_DEADLINE, e);
    }
    if (!feed(r, &n_active, e) || !coordinator_step(r->coordinator, &n_active, e)) return false;
    r->progress.finished = n_active == 0 && r->next_problem == r->task->n_problems;
    return true;
}

bool run_step(struct run *r, struct run_progress *p, struct err *e) {
    if (r->stopped) {
        if (!coordinator_stop(r->coordinator, RUN_STOPPED, e) || !flush(r, e)) return false;
        return err_set(e, ERR_CANCELLED, "interrupted: everything so far is kept in %s",
                       store_path(r->store));
    }
    bool ok = carry_on(r, e);
    if (!ok || r->progress.finished || clock_seconds() - r->flushed > flush_seconds) {
        struct err flush_error;
        if (!flush(r, ok ? e : &flush_error)) ok = false; /* what was told is kept whatever else failed */
    }
    count_work(r);
    r->progress.seconds = clock_seconds() - r->started;
    r->progress.tokens_generated = r->told.tokens_generated;
    r->progress.tokens_read = r->told.tokens_read;
    r->progress.waste = r->told.waste;
    r->progress.verification = coordinator_verified(r->coordinator);
    r->progress.n_guessed = coordinator_guessed(r->coordinator).n_made;
    r->progress.n_guesses_used = coordinator_guessed(r->coordinator).n_used;
    *p = r->progress;
    return ok;
}

void run_stop(struct run *r) {
    r->stopped = 1;
}

const char *run_failure(const struct run *r) {
    return r->failure;
}

struct store *run_store(struct run *r) {
    return r->store;
}

bool run_signature(struct run *r, uint64_t *out, struct err *e) {
    char *bytes = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&bytes, &n);
    if (!f) return err_set(e, ERR_SERVICE, "no memory for the signature");
    const bool ok = store_export(r->store, f, e);
    fclose(f);
    *out = rng_hash(0, bytes, n);
    free(bytes);
    return ok;
}
