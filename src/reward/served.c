/* served.c - models behind servers as reward models: http://host:port/v1#model,profile=NAME.
 *
 * A prefix is one step of a tree: the text, and the ids that the server cut it into, which are asked for
 * once, when a job first needs them. So every request for a step begins with the ids of the one before it,
 * and the server's prefix cache hits. What a request holds and how rewards are read from its answer: ways.h;
 * which texts stand around problem and steps: model/prm_profile.h, pattern.h; servers, keys and faults: the
 * room http. A job is told when all of its steps have their one reward each; if any has none, it fails.
 *
 * A judge is a chat model that is asked about one step at a time, in words that stand below or in a file. A
 * reply without a score is asked for again with another seed, four times in all; the tokens of those are
 * counted as retried.
 *
 * Costs: as read, the ids that requests carried, or for texts the tokens that the server reports; a judge's
 * words are counted as read, too. There is no FLOP, and the root costs nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "http/endpoint.h"
#include "http/question.h"
#include "reward/kinds.h"
#include "reward/pattern.h"
#include "reward/profile.h"
#include "reward/ways.h"

enum {
    JUDGE_TRIES_MAX = 4,
    STEP_TOKENS_UNKNOWN = 1 << 15,
    ANSWER_BYTES_MAX = 1 << 26,
    STEPS_MAX = 1000,
    TRYING_TRIES_MAX = 8
};
static const double request_seconds_default = 300;

struct request {
    struct ask ask; /* first */
    void (*over)(struct request *r);
};

enum ids_state { IDS_UNKNOWN, IDS_ASKED, IDS_KNOWN, IDS_REFUSED };

struct reward_prefix {
    struct request cut; /* first */
    struct served *owner;
    struct reward_prefix *parent; /* held; NULL: the problem */
    int n_users, depth;
    uint64_t affinity; /* of the problem */
    char *text;
    enum ids_state state;
    struct wire_ids ids; /* its own */
    struct job *waiting; /* jobs that go on when its ids are known */
    char *why;
};

struct scoring {            /* one request for rewards */
    struct request request; /* first */
    struct job *job;
    struct ways_ask asked;
    int first; /* of the job's rewards */
    struct ways_answer answer;
    size_t *ends;
    struct buf query;
    char **texts;
};

struct job {
    uint64_t id;
    struct served *owner;
    struct reward_prefix *from, *at; /* held; at: behind its text */
    struct job *prev, *next;         /* in the order of submission */
    struct job *next_waiting;
    struct reward_prefix *waits_for;
    struct scoring **scorings;
    int n_scorings, n_over, n_rewards;
    float *rewards;
    double n_tokens;
    char *why;
    bool over;
    struct job *next_over;
};

struct served {
    struct reward base;
    struct endpoint at;
    struct render_at server; /* how texts are cut */
    struct profile profile;
    struct patterns patterns;
    enum way_server kind;
    int good, bad;
    char *separator;
    struct job *first, *last;
    int n_jobs;
    bool opened, trying; /* all is known but whether it works; that is being tried */
    struct job *over_first, *over_last, *told;
    struct cost computed;
    double n_unread, tokens_unread; /* replies of a judge without a score */
};

/* ---- prefixes ---- */
static bool reads_ids(const struct served *s) {
    return s->profile.way <= WAY_LOGPROB;
}

static struct reward_prefix *prefix_new(struct served *s, struct reward_prefix *parent, struct str text) {
    struct reward_prefix *x = mem_zalloc(1, sizeof *x);
    x->owner = s;
    x->parent = parent;
    x->n_users = 1;
    x->text = str_dup(text);
    if (!parent) return x;
    parent->n_users++;
    x->depth = parent->depth + 1;
    x->affinity = parent->affinity;
    return x;
}

static void prefix_release(struct reward_prefix *x) {
    while (x && --x->n_users == 0) {
        struct reward_prefix *parent = x->parent;
        ASSERT(!x->waiting);
        if (x->state == IDS_ASKED) remote_drop(x->owner->at.remote, &x->cut.ask);
        ask_fini(&x->cut.ask);
        wire_ids_free(&x->ids);
        free(x->text);
        free(x->why);
        free(x);
        x = parent;
    }
}

static void served_release(struct reward *r, struct reward_prefix *prefix) {
    UNUSED(r);
    prefix_release(prefix);
}

static struct reward_prefix *served_root(struct reward *r, const char *problem_text, struct err *e) {
    UNUSED(e);
    struct reward_prefix *root = prefix_new((struct served *)r, NULL, str_trim(str_from(problem_text)));
    root->affinity = rng_hash(0, problem_text, strlen(problem_text));
    return root;
}

static struct cost served_root_cost(const struct reward *r, const struct reward_prefix *root) {
    UNUSED(r);
    UNUSED(root);
    return (struct cost){0};
}

static void add_step(void *ctx, struct str step) {
    struct reward_prefix **at = ctx;
    struct reward_prefix *child = prefix_new((*at)->owner, *at, step);
    prefix_release(*at);
    *at = child;
}

/* Behind the steps of a text; held by the caller. */
static struct reward_prefix *behind(struct served *s, struct reward_prefix *from, struct str text) {
    struct reward_prefix *at = from;
    at->n_users++;
    reward_split_steps(text, str_from(s->separator), add_step, &at);
    return at;
}

static struct reward_prefix *served_extend(struct reward *r, struct reward_prefix *from, struct str text,
                                           struct err *e) {
    UNUSED(e);
    return behind((struct served *)r, from, text);
}

/* ---- ids of prefixes ---- */
static const struct pattern *pattern_of(const struct reward_prefix *x) {
    const struct patterns *p = &x->owner->patterns;
    return x->depth == 0 ? &p->opening : x->depth == 1 ? &p->first : &p->next;
}

static void go_on(struct job *job);

static void wake(struct reward_prefix *x) {
    struct job *job = x->waiting;
    x->waiting = NULL;
    while (job) {
        struct job *next = job->next_waiting;
        job->waits_for = NULL;
        go_on(job);
        job = next;
    }
}

static bool read_cut(struct ask *a, const json_t *answer, double *n_tokens, struct err *e) {
    struct reward_prefix *x = (struct reward_prefix *)a;
    *n_tokens = 0;
    x->ids.len = 0;
    return pattern_take(&x->owner->patterns, pattern_of(x), answer, &x->ids, e);
}

/* llama-server renders a conversation to text first. */
static bool read_template(struct ask *a, const json_t *answer, double *n_tokens, struct err *e) {
    struct reward_prefix *x = (struct reward_prefix *)a;
    const char *text = json_string_value(json_object_get(answer, "prompt"));
    *n_tokens = 0;
    free(x->why);
    x->why = text ? mem_strdup(text) : NULL; /* kept there until it is cut */
    return text || wire_senseless(e, "no prompt");
}

static void send_cut(struct reward_prefix *x) {
    x->cut.ask.path = "/tokenize";
    x->cut.ask.read = read_cut;
    remote_ask(x->owner->at.remote, &x->cut.ask);
}

static void on_cut(struct request *r) {
    struct reward_prefix *x = (struct reward_prefix *)r;
    if (r->ask.state == ASK_DONE && r->ask.read == read_template) {
        buf_clear(&r->ask.body);
        wire_put_content(&r->ask.body, x->why);
        free(x->why);
        x->why = NULL;
        send_cut(x);
        return;
    }
    x->state = r->ask.state == ASK_DONE ? IDS_KNOWN : IDS_REFUSED;
    if (x->state == IDS_REFUSED) x->why = mem_strdup(r->ask.why ? r->ask.why : "its text cannot be cut");
    wake(x);
}

static double request_seconds(const struct served *s) {
    return s->at.request_seconds > 0 ? s->at.request_seconds : request_seconds_default;
}

static void ask_ids(struct reward_prefix *x) {
    struct served *s = x->owner;
    struct ask *a = &x->cut.ask;
    const struct pattern *p = pattern_of(x);
    pattern_put(&s->patterns, p, &s->server, str_from(x->text), &a->body);
    x->state = IDS_ASKED;
    x->cut.over = on_cut;
    a->at_root = true;
    a->only = -1;
    a->affinity = x->affinity;
    a->seconds_max = request_seconds(s);
    a->n_bytes_max = ANSWER_BYTES_MAX;
    if (p->slot != PATTERN_CHAT || !wire_is_llama(s->server.form)) {
        send_cut(x);
        return;
    }
    a->path = "/apply-template";
    a->read = read_template;
    remote_ask(s->at.remote, a);
}

/* ---- requests for rewards ---- */
static void scoring_free(struct scoring *x) {
    remote_drop(x->job->owner->at.remote, &x->request.ask);
    ask_fini(&x->request.ask);
    wire_ids_free(&x->asked.ids);
    buf_free(&x->query);
    for (int i = 0; x->texts && i < x->asked.n; i++) free(x->texts[i]);
    free(x->texts);
    free(x->ends);
    free(x);
}

static bool read_rewards(struct ask *a, const json_t *answer, double *n_tokens, struct err *e) {
    struct scoring *x = (struct scoring *)a;
    x->answer = (struct ways_answer){.rewards = x->job->rewards + x->first};
    const bool done = ways_take(&x->asked, answer, &x->answer, e);
    if (x->answer.n_tokens <= 0) x->answer.n_tokens = (double)x->asked.ids.len;
    *n_tokens = x->answer.n_tokens;
    return done;
}

static void job_over(struct job *job) {
    struct served *s = job->owner;
    if (job->over) return;
    job->over = true;
    *(s->over_last ? &s->over_last->next_over : &s->over_first) = job;
    s->over_last = job;
}

static void fail(struct job *job, const char *why) {
    if (!job->why) job->why = mem_strdup(why);
    job_over(job);
}

static void send_scoring(struct scoring *x) {
    struct ask *a = &x->request.ask;
    buf_clear(&a->body);
    ways_put(&x->asked, &a->body);
    remote_ask(x->job->owner->at.remote, a);
}

static void on_rewards(struct request *r) {
    struct scoring *x = (struct scoring *)r;
    struct job *job = x->job;
    struct served *s = job->owner;
    if (r->ask.state != ASK_DONE) {
        fail(job, r->ask.why);
        return;
    }
    s->computed.tokens_read += x->answer.n_tokens - x->answer.n_written;
    s->computed.tokens_generated += x->answer.n_written;
    if (x->answer.unread && ++x->asked.n_try < JUDGE_TRIES_MAX) {
        s->n_unread++;
        s->tokens_unread += x->answer.n_tokens;
        send_scoring(x);
        return;
    }
    if (x->answer.unread) {
        fail(job, "the judge's replies end with no line \"SCORE: N\", N of 0 to 100");
        return;
    }
    job->n_tokens += reads_ids(s) ? (double)x->asked.ids.len : x->answer.n_tokens;
    if (++job->n_over == job->n_scorings) job_over(job);
}

/* The ids up to the step, its closing with them; where the last `n` closings end. */
static void put_ids(struct scoring *x, const struct reward_prefix *last, int n) {
    const struct served *s = x->job->owner;
    const struct reward_prefix **path = mem_zalloc((size_t)last->depth + 1, sizeof *path);
    x->ends = mem_zalloc((size_t)n, sizeof *x->ends);
    for (const struct reward_prefix *at = last; at; at = at->parent) path[at->depth] = at;
    for (int i = 0; i <= last->depth; i++) {
        wire_ids_add(&x->asked.ids, path[i]->ids.ptr, path[i]->ids.len);
        if (i > last->depth - n) x->ends[i - (last->depth - n) - 1] = x->asked.ids.len - 1;
    }
    if (s->patterns.aside)
        wire_ids_add(&x->asked.ids, s->patterns.closing.before.ptr, s->patterns.closing.before.len);
    x->asked.ends = x->ends;
    free(path);
}

/* The steps from the first on: numbered, or as they stood. */
static void put_steps(const struct reward_prefix *last, bool numbered, struct buf *out) {
    const struct reward_prefix **path = mem_zalloc((size_t)last->depth + 1, sizeof *path);
    for (const struct reward_prefix *at = last; at; at = at->parent) path[at->depth] = at;
    for (int i = 1; i <= last->depth; i++) {
        if (i > 1) buf_add_str(out, str_from(last->owner->separator));
        if (numbered) buf_printf(out, "Step %d: ", i);
        buf_add_str(out, str_from(path[i]->text));
    }
    free(path);
}

static void put_texts(struct scoring *x, const struct reward_prefix *root, const struct reward_prefix *last,
                      int n) {
    buf_add_str(&x->query, str_from(root->text));
    x->texts = mem_zalloc((size_t)n, sizeof *x->texts);
    for (int i = n; i-- > 0; last = last->parent) {
        struct buf text = {0};
        put_steps(last, false, &text);
        x->texts[i] = buf_take(&text);
    }
    x->asked.texts = x->texts;
}

static void put_question(struct scoring *x, const struct reward_prefix *root,
                         const struct reward_prefix *last) {
    const struct profile *p = &x->job->owner->profile;
    struct buf steps = {0};
    put_steps(last, true, &steps);
    profile_write_question(p, root->text, buf_cstr(&steps), last->depth, &x->query);
    x->asked.system = p->system;
    buf_free(&steps);
}

/* One request for the last n rewards up to a step. */
static void add_scoring(struct job *job, const struct reward_prefix *last, int n, int first) {
    const struct served *s = job->owner;
    const struct reward_prefix *root = last;
    struct scoring *x = mem_zalloc(1, sizeof *x);
    while (root->parent) root = root->parent;
    x->job = job;
    x->first = first;
    x->request.over = on_rewards;
    x->asked = (struct ways_ask){.way = s->profile.way,
                                 .server = s->kind,
                                 .model = s->server.model,
                                 .n = n,
                                 .n_steps = last->depth,
                                 .good = s->good,
                                 .bad = s->bad};
    if (reads_ids(s))
        put_ids(x, last, n);
    else if (s->profile.way == WAY_JUDGE)
        put_question(x, root, last);
    else
        put_texts(x, root, last, n);
    x->asked.query = buf_cstr(&x->query);
    struct ask *a = &x->request.ask;
    a->path = ways_path(x->asked.way, s->kind, &a->at_root);
    a->only = -1;
    a->affinity = root->affinity;
    a->seconds_max = request_seconds(s);
    a->n_bytes_max = ANSWER_BYTES_MAX;
    a->n_tokens = (double)x->asked.ids.len;
    a->read = read_rewards;
    a->tries_max = s->trying ? TRYING_TRIES_MAX : 0;
    job->scorings[job->n_scorings++] = x;
}

static bool is_together(enum way way) {
    return way == WAY_POOLING || way == WAY_SCORE || way == WAY_RERANK;
}

static void begin(struct job *job) {
    const int n = job->n_rewards, depth = job->at->depth;
    const bool together = is_together(job->owner->profile.way);
    job->rewards = mem_zalloc((size_t)n, sizeof *job->rewards);
    job->scorings = mem_zalloc((size_t)n, sizeof(struct scoring *));
    struct reward_prefix *at = job->at;
    if (together) add_scoring(job, at, n, 0);
    for (int i = n; !together && i-- > 0; at = at->parent)
        add_scoring(job, at, 1, at->depth - (depth - n) - 1);
    for (int i = 0; i < job->n_scorings; i++) send_scoring(job->scorings[i]);
}

static const char *context_is_full(const struct job *job) {
    const int most = job->owner->base.info.n_context;
    size_t n = 0;
    for (const struct reward_prefix *at = job->at; at; at = at->parent) n += at->ids.len;
    return most > 0 && n >= (size_t)most ? "the reward model's context is full" : NULL;
}

/* Waits for the ids of its path, then asks for rewards. */
static void go_on(struct job *job) {
    if (reads_ids(job->owner)) {
        for (struct reward_prefix *at = job->at; at; at = at->parent)
            if (at->state == IDS_UNKNOWN) ask_ids(at);
        for (struct reward_prefix *at = job->at; at; at = at->parent) {
            if (at->state == IDS_KNOWN) continue;
            if (at->state == IDS_REFUSED) {
                fail(job, at->why);
                return;
            }
            job->waits_for = at;
            job->next_waiting = at->waiting;
            at->waiting = job;
            return;
        }
        const char *full = context_is_full(job);
        if (full) {
            fail(job, full);
            return;
        }
    }
    begin(job);
}

/* ---- jobs ---- */
static void served_submit(struct reward *r, const struct reward_job *asked) {
    struct served *s = (struct served *)r;
    struct job *job = mem_zalloc(1, sizeof *job);
    job->id = asked->id;
    job->owner = s;
    job->from = asked->from;
    job->from->n_users++;
    job->at = behind(s, asked->from, asked->text);
    job->n_rewards = job->at->depth - asked->from->depth;
    job->prev = s->last;
    *(s->last ? &s->last->next : &s->first) = job;
    s->last = job;
    s->n_jobs++;
    if (job->n_rewards > STEPS_MAX)
        fail(job, "it has more than 1000 steps");
    else if (job->n_rewards > 0)
        go_on(job);
    else
        job_over(job);
}

static void unlink_job(struct job *job) {
    struct served *s = job->owner;
    *(job->prev ? &job->prev->next : &s->first) = job->next;
    *(job->next ? &job->next->prev : &s->last) = job->prev;
    s->n_jobs--;
}

static void job_free(struct job *job) {
    if (!job) return;
    for (struct job **at = job->waits_for ? &job->waits_for->waiting : NULL; at && *at;
         at = &(*at)->next_waiting) {
        if (*at != job) continue;
        *at = job->next_waiting;
        break;
    }
    for (int i = 0; i < job->n_scorings; i++) scoring_free(job->scorings[i]);
    free(job->scorings);
    prefix_release(job->at);
    prefix_release(job->from);
    free(job->rewards);
    free(job->why);
    free(job);
}

static void forget_over(struct served *s, const struct job *job) {
    struct job *before = NULL;
    for (struct job *at = s->over_first; at; before = at, at = at->next_over) {
        if (at != job) continue;
        *(before ? &before->next_over : &s->over_first) = at->next_over;
        if (s->over_last == at) s->over_last = before;
        return;
    }
}

static void served_cancel(struct reward *r, uint64_t id) {
    struct served *s = (struct served *)r;
    struct job *job = s->first;
    while (job && job->id != id) job = job->next;
    if (!job) return;
    if (job->over) forget_over(s, job);
    unlink_job(job);
    job_free(job);
}

static bool is_for_good(const struct ask *a) {
    return a->state == ASK_REFUSED && (a->status == 401 || a->status == 403 || a->status == 404);
}

static int served_work(struct reward *r, double seconds_max, struct err *e) {
    struct served *s = (struct served *)r;
    if (s->n_jobs == 0) return MIN(remote_work(s->at.remote, 0, e), 0);
    if (s->over_first) seconds_max = 0;
    if (remote_work(s->at.remote, seconds_max, e) < 0) return -1;
    for (struct ask *a; (a = remote_next(s->at.remote));) {
        if (!s->trying && is_for_good(a)) {
            err_set(e, ERR_SERVICE, "%s: %s", remote_server(s->at.remote, a->server), a->why);
            return -1;
        }
        struct request *request = (struct request *)a;
        request->over(request);
    }
    s->base.info.n_wanted = remote_wanted(s->at.remote);
    return 1;
}

static bool served_next(struct reward *r, struct reward_result *out) {
    struct served *s = (struct served *)r;
    job_free(s->told);
    struct job *job = s->told = s->over_first;
    if (!job) return false;
    forget_over(s, job);
    unlink_job(job);
    out->id = job->id;
    out->failed = job->why != NULL;
    out->why = job->why;
    if (out->failed) return true;
    out->rewards = job->rewards;
    out->n_rewards = job->n_rewards;
    out->cost.tokens_read = job->n_tokens;
    out->prefix = job->at;
    job->at->n_users++;
    return true;
}

static int served_in_flight(const struct reward *r) {
    return ((const struct served *)r)->n_jobs;
}

static struct cost served_computed(const struct reward *r) {
    return ((const struct served *)r)->computed;
}

static struct waste served_waste(const struct reward *r) {
    const struct served *s = (const struct served *)r;
    const struct remote_counters c = remote_counters(s->at.remote);
    return (struct waste){.n_retried = c.n_again + s->n_unread,
                          .tokens_retried = c.tokens_again + s->tokens_unread};
}

/* ---- opening and closing ---- */
static void served_close(struct reward *r) {
    struct served *s = (struct served *)r;
    while (s->first) {
        struct job *job = s->first;
        unlink_job(job);
        job_free(job);
    }
    job_free(s->told);
    patterns_fini(&s->patterns);
    profile_fini(&s->profile);
    free((char *)(uintptr_t)s->server.model);
    free(s->separator);
    endpoint_close(&s->at);
    free(s);
}

static const struct reward_ops served_ops = {
    .close = served_close,
    .root = served_root,
    .root_cost = served_root_cost,
    .extend = served_extend,
    .release = served_release,
    .submit = served_submit,
    .cancel = served_cancel,
    .work = served_work,
    .next = served_next,
    .in_flight = served_in_flight,
    .computed = served_computed,
    .waste = served_waste,
};

static enum way_server kind_of(const char *owner) {
    static const char *const owners[] = {
        [WAY_VLLM] = "vllm", [WAY_SGLANG] = "sglang", [WAY_LLAMA] = "llamacpp"};
    for (size_t i = 0; i < ARRAY_LEN(owners); i++)
        if (strcmp(owner, owners[i]) == 0) return (enum way_server)i;
    return WAY_OTHER;
}

/* Which model the servers have: one that does not answer is left to come back, if another does. */
static bool find_model(struct served *s, struct err *e) {
    bool found = false;
    for (int i = 0; i < s->at.n_servers; i++) {
        struct question_model m;
        const char *wanted = found ? s->server.model : s->at.model;
        if (!question_which_model(s->at.remote, i, wanted, &m, e)) return false;
        if (!m.there) continue;
        const enum way_server kind = kind_of(m.owner);
        if (found && kind != s->kind) {
            free(m.name);
            return err_set(e, ERR_INPUT,
                           "%s is another kind of server (%s) than the one before it: they cannot "
                           "share the work",
                           remote_server(s->at.remote, i), m.owner);
        }
        if (found)
            free(m.name);
        else
            s->server.model = m.name;
        s->kind = kind;
        if (m.n_context > 0)
            s->base.info.n_context =
                s->base.info.n_context > 0 ? MIN(s->base.info.n_context, m.n_context) : m.n_context;
        found = true;
    }
    return found;
}

static bool open_ids(struct served *s, struct err *e) {
    if (!reads_ids(s)) return true;
    if (s->kind == WAY_LLAMA && s->profile.way != WAY_LOGPROB)
        return err_set(
            e, ERR_INPUT,
            "%s: llama-server scores no steps with profile %s: it has log-probabilities (a profile "
            "with \"good\" and \"bad\"), rerank and judge",
            s->server.model, s->profile.name);
    s->server.form = s->kind == WAY_LLAMA ? WIRE_LLAMA : WIRE_IDS;
    const struct prm_words *w = &s->profile.words;
    return patterns_open(&s->server, &w->profile, &s->patterns, e) &&
           (s->profile.way != WAY_LOGPROB ||
            (pattern_word(&s->server, w->good, &s->good, e) && pattern_word(&s->server, w->bad, &s->bad, e)));
}

/* Two steps are scored, so that a server that cannot do it is refused now. A judge is not asked: it costs. */
static bool try_out(struct served *s, struct err *e) {
    struct reward_result result;
    if (s->profile.way == WAY_JUDGE) return true;
    struct reward_prefix *root = reward_root(&s->base, "What is 1 + 1?", e);
    if (!root) return false;
    reward_submit(&s->base, &(struct reward_job){.id = 1, .from = root, .text = STR("1 + 1 = 2.\n\nSo 2.")});
    bool done = true, got = false;
    s->trying = true;
    while (done && !(got = reward_next(&s->base, &result))) done = reward_work(&s->base, 0.05, e) >= 0;
    if (got && result.failed)
        done = err_set(e, ERR_INPUT, "%s: profile %s does not score steps there: %s", s->server.model,
                       s->profile.name, result.why);
    if (got) reward_release(&s->base, result.prefix);
    job_free(s->told);
    s->told = NULL;
    reward_cancel(&s->base, 1);
    reward_release(&s->base, root);
    s->computed = (struct cost){0};
    s->trying = false;
    return done;
}

static void fill_info(struct served *s) {
    struct reward_info *info = &s->base.info;
    info->kind = "http";
    info->talks = profile_talks(&s->profile, s->kind);
    info->n_wanted = remote_wanted(s->at.remote);
    info->n_tokens_step = info->n_context > 0 ? info->n_context : STEP_TOKENS_UNKNOWN;
    memcpy(info->aggregate, s->profile.aggregate, sizeof info->aggregate);
    const uint64_t hash = rng_hash(profile_hash(&s->profile), s->server.model, strlen(s->server.model) + 1);
    reward_set_identity(&s->base, rng_hash(hash, &s->kind, sizeof s->kind));
}

struct reward *reward_open_served(const char *spec, const struct reward_options *o, struct err *e) {
    const size_t n = reward_path_length(spec);
    const char *name = spec[n] ? spec + n + strlen(REWARD_PROFILE) : NULL;
    char *urls = str_dup((struct str){spec, n});
    struct served *s = mem_zalloc(1, sizeof *s);
    s->base.ops = &served_ops;
    s->separator = str_dup(reward_separator(o));
    bool done = endpoint_open("reward model", urls, &s->at, e) && find_model(s, e);
    s->server.remote = s->at.remote;
    s->server.seconds_max = request_seconds(s);
    done = done && profile_open(name, s->server.model, &s->profile, e) && open_ids(s, e);
    s->opened = done;
    done = done && try_out(s, e);
    if (!done && s->kind == WAY_LLAMA && s->profile.way == WAY_LOGPROB && s->opened && e->code == ERR_INPUT) {
        s->kind = WAY_IK; /* it says that it is llama.cpp's, too */
        done = try_out(s, e);
    }
    if (done) fill_info(s);
    free(urls);
    if (done) return &s->base;
    served_close(&s->base);
    return NULL;
}
