/* openai.c - models behind OpenAI-compatible servers as a policy: http://host:port/v1#model.
 *
 * Several URLs before the '#', parted by ',', share the load (http/servers.h); what fails is asked again
 * (http/remote.h); how a server is talked to is found out when the policy is opened (probe.h, wire.h).
 *
 * A conversation is rendered to token ids by the server that has the model, once a problem; that is an ask
 * among the others, and jobs from the prompt wait for it (prefix.h). From there on a prefix is ids: the
 * prompt's, and those that came back. So nothing is ever cut into tokens again, and the servers' prefix
 * caches hit. A server that cannot do this is used through its chat endpoint, for whole answers only: jobs
 * up to the next step are refused, and the prompt's tokens are not known.
 *
 * Every job is a request of its own, with a seed of 31 bits from the job's key: a request that is repeated
 * is the same request. Whether the same request gives the same text is up to the server. Unlike with our
 * engine, a job that continues a step does not go on with that step's random numbers.
 *
 * A step that is all blank is not one: the next is asked for and added to it.
 *
 * Leads: the server cuts their words into ids, or renders the user's next turn (lead_ids.h), and the job
 * waits for that. Behind a chat endpoint every lead is a turn of the user's, whose ids are not known.
 * Confidences are as the server tells log-probabilities: those of its likeliest tokens.
 *
 * From the environment: BROOD_API_KEY, or BROOD_API_KEY_FILE with the key in its first line; it is sent as a
 * bearer token and is in no name, identity, record or message. BROOD_RETRY_SECONDS (120): servers that failed
 * for so long are gone for good. BROOD_REQUEST_SECONDS: deadline of one request (120, and a quarter of a
 * second for each token asked for).
 *
 * Costs: generated tokens as the server counts them, and as read the tokens that the job's requests carried,
 * prompt and solution so far: that is what servers bill. Their prefix caches are theirs: what they report to
 * have computed is policy_computed. The root has no cost of its own, and there is no FLOP. Where the prompt's
 * tokens are not known beforehand (WIRE_CHAT), they are taken to be at most its bytes and some for the
 * template.
 *
 * Nothing here waits for one answer: what a job needs to know is asked for, and the job is tried again when
 * something has come.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "policy/kinds.h"
#include "policy/prefix.h"
#include "policy/probe.h"
#include "http/endpoint.h"
#include "policy/wire.h"

enum { BLANK_PARTS_MAX = 16, RENDER_SECONDS = 60, BLANK_TOKENS_MAX = 64 }; /* of a step that is all blank */

struct job {
    struct ask ask; /* first */
    struct openai *owner;
    struct policy_job asked;
    struct buf feedback, lead; /* the job's; the words of its lead */
    struct lead_words words;   /* of a lead with feedback: as ids */
    bool begun;                /* what it goes on from is known */
    bool undecided;            /* whether the last answer ended a step is being asked */
    struct wire_ids head;      /* what is gone on from: prefix and lead */
    size_t n_lead;             /* of the head's ids, the last so many */
    struct wire_answer part;   /* the last answer */
    struct buf text;           /* lead and all parts */
    struct wire_ids ids;       /* of all parts; once told, of the lead before them */
    float *confidences;        /* [n_confidences] of all parts */
    size_t n_confidences, cap;
    int n_parts, n_tokens;
    double logprob, n_carried; /* tokens that the requests carried */
    enum policy_finish finish;
    const char *refusal;
    char *why; /* the refusal, where it is owned */
    bool over;
};

struct openai {
    struct policy base;
    struct remote *remote;
    struct probe_found found;
    struct prefixes prefixes;
    char *system, *separator;
    double request_seconds; /* 0: by the number of tokens */
    struct job **jobs;      /* in flight, in the order of submission */
    size_t n_jobs, cap;
    struct job *told; /* of the last result: its texts are being read */
    struct cost computed;
};

/* ---- prefixes ---- */
static struct str behind(struct str text, size_t n) {
    return n > 0 ? (struct str){text.ptr + n, text.len - n} : text;
}

static struct policy_prefix *openai_root(struct policy *policy, const struct policy_prompt *prompt,
                                         struct err *e) {
    UNUSED(e);
    return prefix_root(&((struct openai *)policy)->prefixes, prompt);
}

static enum policy_reading openai_reading(struct policy *policy, const struct policy_prefix *prefix,
                                          struct err *e) {
    UNUSED(policy);
    if (prefix->state == RENDER_REFUSED) err_set(e, ERR_INPUT, "%s", prefix->why);
    return prefix->state == RENDER_REFUSED ? POLICY_UNREADABLE
           : prefix->state == RENDER_DONE  ? POLICY_READ
                                           : POLICY_READING;
}

static void openai_release(struct policy *policy, struct policy_prefix *prefix) {
    prefix_release(&((struct openai *)policy)->prefixes, prefix);
}

static struct cost openai_root_cost(const struct policy *policy, const struct policy_prefix *root) {
    UNUSED(policy);
    UNUSED(root);
    return (struct cost){0};
}

static double openai_reads(const struct policy *policy, const struct policy_prefix *from,
                           enum policy_until until) {
    const double once = prefix_carries(&((const struct openai *)policy)->prefixes, from);
    return until == POLICY_UNTIL_STEP ? 2 * once + BLANK_TOKENS_MAX : once;
}

static struct policy_prefix *openai_extend(struct policy *policy, struct policy_prefix *from,
                                           const struct policy_piece *piece, struct err *e) {
    struct openai *p = (struct openai *)policy;
    if (p->found.form != WIRE_CHAT && !piece->tokens) {
        err_set(e, ERR_INPUT, "%s: the record has no token ids to go on from", p->base.name);
        return NULL;
    }
    return prefix_extend(&p->prefixes, from, piece);
}

/* ---- jobs ---- */
static void job_free(struct job *job) {
    if (!job) return;
    remote_drop(job->owner->remote, &job->ask);
    ask_fini(&job->ask);
    wire_answer_free(&job->part);
    buf_free(&job->feedback);
    buf_free(&job->lead);
    lead_words_fini(&job->words);
    buf_free(&job->text);
    wire_ids_free(&job->head);
    wire_ids_free(&job->ids);
    free(job->confidences);
    free(job->why);
    free(job);
}

static struct job *remove_at(struct openai *p, size_t i) {
    struct job *job = p->jobs[i];
    p->n_jobs--;
    memmove(p->jobs + i, p->jobs + i + 1, (p->n_jobs - i) * sizeof *p->jobs);
    return job;
}

static const char *separator_of(const struct job *job) {
    return job->asked.until == POLICY_UNTIL_STEP ? job->owner->separator : NULL;
}

static int tokens_left(const struct job *job) {
    const int n_context = job->owner->base.info.n_context;
    int n = job->asked.n_tokens_max - job->n_tokens;
    if (n_context > 0 && job->owner->found.form != WIRE_CHAT)
        n = MIN(n, n_context - (int)(job->head.len + job->ids.len));
    return n;
}

static void count_part(const struct job *job, double *n_tokens) {
    struct openai *p = job->owner;
    *n_tokens = job->part.n_tokens;
    p->computed.tokens_read += job->part.n_read;
    p->computed.tokens_generated += job->part.n_tokens;
}

static bool read_part(struct ask *a, const json_t *answer, double *n_tokens, struct err *e) {
    struct job *job = (struct job *)a;
    wire_answer_free(&job->part);
    if (!wire_take_job(job->owner->found.form, answer, separator_of(job), tokens_left(job), job->asked.n_top,
                       &job->part, e))
        return false;
    if (job->part.finish == POLICY_STEP && job->part.ids.len == 0)
        return err_set(e, ERR_SERVICE, "the server's answer makes no sense: a step of no tokens");
    count_part(job, n_tokens);
    return true;
}

static bool skim_part(struct ask *a, struct str body, double *n_tokens) {
    struct job *job = (struct job *)a;
    wire_answer_free(&job->part);
    if (!wire_skim_job(body, separator_of(job), tokens_left(job), &job->part)) return false;
    if (job->part.finish == POLICY_STEP && job->part.ids.len == 0) return false;
    count_part(job, n_tokens);
    return true;
}

/* Tokens that the job's next request carries. */
static double carried_by(const struct job *job) {
    if (job->owner->found.form != WIRE_CHAT) return (double)(job->head.len + job->ids.len);
    return prefix_carries(&job->owner->prefixes, job->asked.from) + (double)job->lead.len;
}

static void ask_part(struct job *job) {
    struct openai *p = job->owner;
    const struct policy_prefix *from = job->asked.from;
    const int n_tokens = tokens_left(job);
    const size_t n_turns = from->n_turns + (job->lead.len > 0);
    const char **turns = mem_zalloc(n_turns, sizeof *turns);
    for (size_t i = 0; i < n_turns; i++) turns[i] = i < from->n_turns ? from->turns[i] : buf_cstr(&job->lead);
    const struct wire_job wire = {
        .form = p->found.form,
        .model = p->found.model,
        .system = from->system ? from->system : p->system,
        .turns = turns,
        .n_turns = n_turns,
        .ids = job->head.ptr,
        .n_ids = job->head.len,
        .more = job->ids.ptr,
        .n_more = job->ids.len,
        .separator = separator_of(job),
        .n_tokens_max = n_tokens,
        .n_top = job->asked.n_top,
        .seed = (uint32_t)(rng_child(job->asked.key, (uint64_t)job->n_parts) & 0x7fffffff),
        .sampling = job->asked.sampling,
    };
    buf_clear(&job->ask.body);
    wire_put_job(&job->ask.body, &wire);
    free(turns);
    job->ask.path = wire_path(wire.form, &job->ask.at_root);
    job->ask.only = -1;
    job->ask.affinity = from->affinity;
    job->ask.seconds_max = p->request_seconds > 0 ? p->request_seconds : 120 + 0.25 * n_tokens;
    job->ask.n_bytes_max = wire_bytes_max(n_tokens, job->asked.n_top);
    job->ask.n_tokens = carried_by(job);
    job->ask.read = read_part;
    job->ask.skim = p->found.form == WIRE_IDS && job->asked.n_top == 0 ? skim_part : NULL;
    remote_ask(p->remote, &job->ask);
}

/* Puts the lead behind the prefix; done, or to be tried again as it was. */
static enum render_state put_lead(struct openai *p, struct job *job, struct err *e) {
    const struct policy_prefix *from = job->asked.from;
    const bool chat = p->found.form == WIRE_CHAT, turn = chat || job->asked.lead == POLICY_LEAD_REVISE;
    bool is_open = false;
    enum render_state state =
        chat ? RENDER_DONE : prefix_head(&p->prefixes, from, job->asked.lead, &job->head, &is_open, e);
    if (state != RENDER_DONE) return state;
    const size_t n_head = job->head.len;
    const bool is_cut = n_head + 1 < from->ids.len; /* what stands there then is not known as text */
    int n_breaks = turn || is_cut ? 0 : policy_line_breaks((struct str){from->tail, from->n_tail});
    buf_clear(&job->lead);
    if (job->asked.lead == POLICY_LEAD_ANSWER && is_open) {
        buf_add_str(&job->lead, thought_ending(n_breaks));
        n_breaks = 0;
    }
    policy_write_lead(&p->base, job->asked.lead, buf_str(&job->feedback), n_breaks, &job->lead);
    if (!chat)
        state = lead_ids_add(&p->prefixes.leads, buf_cstr(&job->lead), turn,
                             job->feedback.len > 0 ? &job->words : NULL, from->affinity, &job->head, e);
    job->n_lead = job->head.len - n_head;
    if (state == RENDER_ASKED) job->head.len = 0;
    if (state == RENDER_DONE) buf_add_str(&job->text, buf_str(&job->lead));
    return state;
}

/* Asks for the first part when all that it goes on from is known, or notes why it cannot be. */
static void begin(struct job *job) {
    struct openai *p = job->owner;
    const struct policy_prefix *from = job->asked.from;
    struct err why = {0};
    enum render_state state = from->state;
    if (state == RENDER_REFUSED)
        err_set(&why, ERR_INPUT, "%s", from->why);
    else if (state == RENDER_DONE && job->asked.lead != POLICY_LEAD_NONE)
        state = put_lead(p, job, &why);
    else if (state == RENDER_DONE)
        wire_ids_add(&job->head, from->ids.ptr, from->ids.len);
    if (state == RENDER_ASKED) return;
    job->begun = true;
    if (state == RENDER_REFUSED)
        job->refusal = job->why = mem_strdup(why.msg);
    else if (job->asked.lead == POLICY_LEAD_NONE && from->ended)
        job->refusal = "the answer has ended";
    else if (prefixes_full(&p->prefixes, job->head.len))
        job->refusal = "the policy's context is full";
    if (job->refusal)
        job->over = true;
    else
        ask_part(job);
}

static void openai_submit(struct policy *policy, const struct policy_job *asked) {
    struct openai *p = (struct openai *)policy;
    struct job *job = mem_zalloc(1, sizeof *job);
    job->owner = p;
    job->asked = *asked;
    buf_add_str(&job->feedback, asked->feedback);
    MEM_GROW(p->jobs, p->cap, p->n_jobs + 1);
    p->jobs[p->n_jobs++] = job;
    begin(job);
}

static void openai_cancel(struct policy *policy, uint64_t id) {
    struct openai *p = (struct openai *)policy;
    for (size_t i = 0; i < p->n_jobs; i++) {
        if (p->jobs[i]->asked.id != id) continue;
        job_free(remove_at(p, i));
        return;
    }
}

/* Adds the part that came; asks for the next while all is blank. */
static void take_part(struct job *job) {
    const struct wire_answer *part = &job->part;
    const double n_asked = carried_by(job);
    job->n_carried += job->owner->found.form == WIRE_CHAT && part->n_prompt > 0 ? part->n_prompt : n_asked;
    buf_add_str(&job->text, buf_str(&part->text));
    wire_ids_add(&job->ids, part->ids.ptr, part->ids.len);
    MEM_GROW(job->confidences, job->cap, job->n_confidences + part->n_confidences);
    for (size_t i = 0; i < part->n_confidences; i++)
        job->confidences[job->n_confidences++] = part->confidences[i];
    job->n_tokens += part->n_tokens;
    job->logprob += part->logprob;
    job->finish = part->finish;
    job->n_parts++;
    const struct str text = behind(buf_str(&job->text), job->lead.len);
    if (part->finish == POLICY_STEP && str_trim(text).len == 0) {
        const double n_more = n_asked + (double)part->ids.len, n_most = job->asked.n_read_max;
        if (tokens_left(job) > 0 && job->n_parts < BLANK_PARTS_MAX &&
            (n_most <= 0 || job->n_carried + n_more <= n_most)) {
            ask_part(job);
            return;
        }
        job->finish = POLICY_LENGTH;
    }
    job->over = true;
}

/* Takes the answer that has come, when it is known whether its last token ended a step, where its server does
 * not say. */
static bool take_answer(struct job *job, struct err *e) {
    struct openai *p = job->owner;
    struct wire_answer *part = &job->part;
    const char *text;
    if (part->is_unsure) {
        job->undecided = lead_ids_text(&p->prefixes.leads, part->ids.ptr[part->ids.len - 1],
                                       job->asked.from->affinity, &text) == RENDER_ASKED;
        if (job->undecided) return true;
        wire_decide(part, text ? text : "", separator_of(job));
    }
    take_part(job);
    return job->asked.n_top == 0 || job->n_confidences > 0 || job->n_tokens <= 1 ||
           err_set(e, ERR_INPUT,
                   "%s: the server tells no likeliest tokens (top_logprobs), which this strategy's "
                   "confidences need: use another strategy",
                   p->base.name);
}

/* A key or a model that is refused from now on is so for all jobs; a page for single tokens may lack. */
static bool is_for_good(const struct ask *a) {
    const bool is_token = a->ctx && strcmp(a->path, "/detokenize") == 0;
    return a->state == ASK_REFUSED &&
           (a->status == 401 || a->status == 403 || (a->status == 404 && !is_token));
}

static bool take_rendering(struct rendering *x, struct err *e) {
    rendering_over(x);
    return x->state != RENDER_REFUSED || x->why.code != ERR_SERVICE ||
           err_set(e, ERR_SERVICE, "%s", x->why.msg);
}

static bool take_asks(struct openai *p, struct err *e) {
    for (struct ask *a; (a = remote_next(p->remote));) {
        struct job *job = (struct job *)a;
        if (is_for_good(a))
            return err_set(e, ERR_SERVICE, "%s: %s", remote_server(p->remote, a->server), a->why);
        if (a->ctx) {
            if (!take_rendering(a->ctx, e)) return false;
        } else if (a->state == ASK_DONE) {
            if (!take_answer(job, e)) return false;
        } else {
            job->refusal = a->why;
            job->over = true;
        }
    }
    return true;
}

/* What waited for answers that have come. */
static bool go_on(struct openai *p, struct err *e) {
    prefixes_work(&p->prefixes);
    for (size_t i = 0; i < p->n_jobs; i++) {
        struct job *job = p->jobs[i];
        if (!job->begun) begin(job);
        if (job->undecided && !take_answer(job, e)) return false;
    }
    return true;
}

static int openai_in_flight(const struct policy *policy) {
    const struct openai *p = (const struct openai *)policy;
    return (int)(p->n_jobs + p->prefixes.n_unread);
}

static int openai_work(struct policy *policy, double seconds_max, struct err *e) {
    struct openai *p = (struct openai *)policy;
    if (openai_in_flight(policy) == 0) return MIN(remote_work(p->remote, 0, e), 0);
    for (size_t i = 0; i < p->n_jobs; i++) {
        if (p->jobs[i]->over) seconds_max = 0;
        if (p->found.form != WIRE_CHAT || p->jobs[i]->asked.until == POLICY_UNTIL_END) continue;
        err_set(e, ERR_INPUT,
                "%s writes whole answers only (its server has no token ids to go on from): use a strategy "
                "of whole samples, such as --strategy sample",
                p->base.name);
        return -1;
    }
    if (remote_work(p->remote, seconds_max, e) < 0 || !take_asks(p, e) || !go_on(p, e)) return -1;
    p->base.info.n_wanted = remote_wanted(p->remote);
    return 1;
}

static void tell(const struct openai *p, struct job *job, struct policy_result *out) {
    const bool chat = p->found.form == WIRE_CHAT;
    out->finish = job->finish;
    out->text = buf_str(&job->text);
    out->n_lead_bytes = job->lead.len;
    out->n_lead_tokens = (int)job->n_lead;
    out->n_tokens = chat ? job->n_tokens : (int)job->ids.len;
    out->confidences = job->n_confidences > 0 ? job->confidences : NULL;
    out->n_confidences = (int)job->n_confidences;
    out->logprob = job->logprob;
    out->cost.tokens_generated = job->n_tokens;
    out->cost.tokens_read = job->n_carried;
    const struct str written = behind(out->text, job->lead.len);
    out->prefix = prefix_after(&p->prefixes, job->asked.from, &job->head, job->asked.lead,
                               buf_str(&job->lead), written, job->finish == POLICY_END);
    wire_ids_add(&out->prefix->ids, job->ids.ptr, job->ids.len);
    struct wire_ids all = {0};
    if (job->n_lead > 0) wire_ids_add(&all, job->head.ptr + job->head.len - job->n_lead, job->n_lead);
    wire_ids_add(&all, job->ids.ptr, job->ids.len);
    wire_ids_free(&job->ids);
    job->ids = all;
    out->tokens = chat ? NULL : job->ids.ptr;
}

static bool openai_next(struct policy *policy, struct policy_result *out) {
    struct openai *p = (struct openai *)policy;
    size_t i = 0;
    while (i < p->n_jobs && !p->jobs[i]->over) i++;
    if (i == p->n_jobs) return false;
    job_free(p->told);
    struct job *job = p->told = remove_at(p, i);
    out->id = job->asked.id;
    if (job->refusal) {
        out->finish = POLICY_FAILED;
        out->why = job->refusal;
        return true;
    }
    tell(p, job, out);
    return true;
}

static struct cost openai_computed(const struct policy *policy) {
    return ((const struct openai *)policy)->computed;
}

static struct waste openai_waste(const struct policy *policy) {
    const struct remote_counters c = remote_counters(((const struct openai *)policy)->remote);
    return (struct waste){.n_retried = c.n_again, .tokens_retried = c.tokens_again};
}

/* ---- opening and closing ---- */
static void openai_close(struct policy *policy) {
    struct openai *p = (struct openai *)policy;
    for (size_t i = 0; i < p->n_jobs; i++) job_free(p->jobs[i]);
    job_free(p->told);
    free(p->jobs);
    prefixes_fini(&p->prefixes);
    remote_free(p->remote);
    free(p->found.model);
    free(p->separator);
    free(p->system);
    free(p);
}

static const struct policy_ops openai_ops = {
    .close = openai_close,
    .root = openai_root,
    .reading = openai_reading,
    .root_cost = openai_root_cost,
    .extend = openai_extend,
    .reads = openai_reads,
    .release = openai_release,
    .submit = openai_submit,
    .cancel = openai_cancel,
    .work = openai_work,
    .next = openai_next,
    .in_flight = openai_in_flight,
    .computed = openai_computed,
    .waste = openai_waste,
};

static void fill_info(struct openai *p) {
    static const char *const talks[] = {
        [WIRE_IDS] = "/v1/completions, token ids both ways",
        [WIRE_LLAMA] = "/completion (llama-server), token ids both ways",
        [WIRE_IK] = "/v1/completions (ik_llama.cpp), token ids in and among the log-probabilities",
        [WIRE_CHAT] = "/v1/chat/completions, text",
    };
    p->base.info = (struct policy_info){
        .kind = "openai",
        .talks = talks[p->found.form],
        .whole_answers_only = p->found.form == WIRE_CHAT,
        .n_context = p->found.n_context,
        .n_wanted = remote_wanted(p->remote),
        .sampling = {.temperature = 1, .top_p = 1},
        .has_confidences = true,
        .has_system = true,
        .can_talk = true,
        .can_continue = p->found.form != WIRE_CHAT,
    };
    const double seconds = p->request_seconds > 0 ? p->request_seconds : RENDER_SECONDS;
    p->prefixes.info = &p->base.info;
    p->prefixes.system = p->prefixes.leads.system = p->system;
    p->prefixes.leads.at = (struct render_at){
        .remote = p->remote, .form = p->found.form, .model = p->found.model, .seconds_max = seconds};
    const char *parts[] = {p->found.model, p->separator, p->system ? p->system : ""};
    uint64_t hash = (uint64_t)p->found.form;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) hash = rng_hash(hash, parts[i], strlen(parts[i]) + 1);
    policy_set_identity(&p->base, hash);
}

struct policy *policy_open_openai(const char *spec, const struct policy_options *o, struct err *e) {
    struct endpoint at = {0};
    struct openai *p = mem_zalloc(1, sizeof *p);
    p->base.ops = &openai_ops;
    p->system = o->system ? mem_strdup(o->system) : NULL;
    p->separator = str_dup(policy_separator(o));
    bool done = endpoint_open("policy", spec, &at, e);
    if (done && o->chat)
        done = err_set(e, ERR_INPUT, "policy %s: the server has its own chat format; leave --chat out", spec);
    p->remote = at.remote;
    p->request_seconds = at.request_seconds;
    if (done) done = probe_servers(p->remote, at.n_servers, at.model, p->system, &p->found, e);
    free(at.model);
    if (done) {
        fill_info(p);
        policy_set_leads(&p->base, p->found.form == WIRE_CHAT ? POLICY_LEADS_TURNS : POLICY_LEADS_REVISE_TURN,
                         o);
        return &p->base;
    }
    openai_close(&p->base);
    return NULL;
}
