/* embedded.c - a model of ours as a policy: prefixes are branches of the engine's KV tree, jobs are its
 * requests.
 *
 * A prompt is rendered once by the model's chat format up to the opening of the answer; from there on text is
 * kept as token ids and never encoded again. A job forks its prefix, so the shared part is stored and
 * computed once; the last token of a step is computed when something follows it.
 *
 * A step ends with the token in which its separator becomes complete (the match is over bytes, across
 * tokens); blank separators in front of a step belong to it. Texts never end inside a UTF-8 character: where
 * a token does, the beginning of the character is shown with the step that goes on, or not at all. A NUL that
 * a model writes is shown as U+FFFD.
 *
 * A prefix never holds the token that ended its answer: a lead goes on behind the text. Of chat formats with
 * turns, REVISE ends the answer as the format says and asks in a turn of the user's. Of models that think
 * between marks, WAIT and ANSWER heed them (thought.h).
 *
 * Costs are a function of positions alone: the token at position t attends to t + 1 of them and costs
 * model_flops_per_token of that; the prompt is read (no head outputs) and charged to the root, a lead is read
 * likewise and charged to its job, every sampled token is charged to its job with the whole head. What was
 * really computed (policy_computed) differs by what is evicted and computed again, by last tokens that
 * nothing follows, and by jobs that were cancelled.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/share.h"
#include "engine/engine.h"
#include "model/model.h"
#include "model/quantise.h"
#include "policy/kinds.h"
#include "policy/thought.h"

struct policy_prefix {
    struct branch *branch;
    size_t begin; /* where its answer begins */
    bool ended;   /* its answer has ended */
};

struct stepper { /* finds the end of a step in a stream of bytes */
    const char *separator;
    size_t n_separator, *fallback; /* Knuth-Morris-Pratt: matched bytes after a mismatch at each length */
    size_t n_matched, n_seen;
    size_t n_blank; /* bytes before the first that is not blank */
};

struct job {
    uint64_t id, serial; /* the caller's; the engine's */
    struct branch *branch;
    size_t n_before; /* tokens of the prefix that stay */
    size_t begin;    /* where its answer begins */
    struct buf lead;
    char tail[4];      /* the beginning of a character that the step before was cut in; NUL-terminated */
    struct tokens ids; /* of the lead; once told, of all */
    size_t n_lead;
    struct stepper stepper;
    const struct tokenizer *tokenizer;
    char *why; /* failed at submission */
};

struct embedded {
    struct policy base;
    struct model *model;
    struct engine *engine;
    char *system, *separator;
    size_t *fallback;
    struct job **jobs; /* in flight, in the order of submission */
    size_t n_jobs, cap;
    uint64_t n_serials;
    struct job *told; /* of the last result: its `why` is still being read */
    struct buf text;  /* of the last result */
    struct cost cancelled;
    struct thought_marks marks;
};

/* ---- the end of a step ---- */
static size_t *stepper_table(struct str separator) {
    size_t *fallback = mem_zalloc(separator.len + 1, sizeof *fallback);
    for (size_t i = 1, k = 0; i < separator.len; i++) {
        while (k > 0 && separator.ptr[i] != separator.ptr[k]) k = fallback[k];
        if (separator.ptr[i] == separator.ptr[k]) k++;
        fallback[i + 1] = k;
    }
    return fallback;
}

static bool is_blank(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Takes the bytes of one token; true if a separator became complete that begins behind something not blank.
 */
static bool stepper_feed(struct stepper *s, struct str bytes) {
    bool ends = false;
    for (size_t i = 0; i < bytes.len; i++) {
        char c = bytes.ptr[i];
        if (s->n_blank == s->n_seen && is_blank(c)) s->n_blank++;
        s->n_seen++;
        while (s->n_matched > 0 && c != s->separator[s->n_matched]) s->n_matched = s->fallback[s->n_matched];
        if (c == s->separator[s->n_matched]) s->n_matched++;
        if (s->n_matched < s->n_separator) continue;
        ends = ends || s->n_blank < s->n_seen - s->n_separator;
        s->n_matched = s->fallback[s->n_matched];
    }
    return ends;
}

static enum engine_stop on_token(void *ctx, int token, float logprob) {
    struct job *job = ctx;
    UNUSED(logprob);
    if (tokenizer_is_special(job->tokenizer, token)) return ENGINE_STOP_NO;
    return stepper_feed(&job->stepper, tokenizer_bytes(job->tokenizer, token)) ? ENGINE_STOP_AFTER
                                                                               : ENGINE_STOP_NO;
}

/* ---- prefixes ---- */
static struct policy_prefix *prefix_new(struct branch *branch, size_t begin, bool ended) {
    struct policy_prefix *prefix = mem_alloc(sizeof *prefix);
    *prefix = (struct policy_prefix){.branch = branch, .begin = begin, .ended = ended};
    return prefix;
}

static bool render(const struct embedded *p, const char *text, const struct policy_talk *talk,
                   struct tokens *ids, struct err *e) {
    const struct tokenizer *t = p->model->tokenizer;
    if (talk->raw) {
        if (tokenizer_bos(t) >= 0) tokens_add(ids, tokenizer_bos(t));
        return tokenizer_encode(t, str_from(text), ids, e);
    }
    struct chat_message *messages = mem_alloc((talk->n_turns + 2) * sizeof *messages);
    const char *system = talk->system ? talk->system : p->system;
    size_t n = 0;
    if (system) messages[n++] = (struct chat_message){CHAT_SYSTEM, str_from(system)};
    for (size_t i = 0; i < talk->n_turns; i++)
        messages[n++] =
            (struct chat_message){i % 2 == 0 ? CHAT_USER : CHAT_ASSISTANT, str_from(talk->turns[i])};
    messages[n++] = (struct chat_message){CHAT_USER, str_from(text)};
    const bool done = chat_render(p->model->chat, t, messages, n, true, false, ids, e);
    free(messages);
    return done;
}

static struct policy_prefix *embedded_root(struct policy *policy, const struct policy_prompt *prompt,
                                           struct err *e) {
    struct embedded *p = (struct embedded *)policy;
    struct policy_prefix *root = NULL;
    struct tokens ids = {0};
    if (!render(p, prompt->text, &prompt->talk, &ids, e)) goto done;
    if (ids.len == 0) {
        err_set(e, ERR_INPUT, "the problem is empty");
        goto done;
    }
    if (ids.len >= (size_t)p->base.info.n_context) {
        err_set(e, ERR_INPUT,
                "the problem takes %zu tokens, and %s reads %d in all: shorten it, or use another policy",
                ids.len, p->base.name, p->base.info.n_context);
        goto done;
    }
    root = prefix_new(engine_root(p->engine), ids.len, false);
    branch_append(root->branch, ids.ptr, ids.len);
done:
    tokens_free(&ids);
    return root;
}

/* How many line breaks the text so far ends with. */
static int line_breaks(const struct embedded *p, const struct branch *b) {
    int last[4];
    const size_t n = MIN(branch_length(b), ARRAY_LEN(last));
    struct buf text = {0};
    branch_tokens(b, branch_length(b) - n, n, last);
    tokenizer_decode(p->model->tokenizer, last, n, true, &text);
    const int n_breaks = policy_line_breaks(buf_str(&text));
    buf_free(&text);
    return n_breaks;
}

static struct thought look_at_thought(const struct embedded *p, const struct branch *b, size_t begin) {
    const size_t n = branch_length(b);
    int *ids = mem_alloc(n * sizeof *ids);
    branch_tokens(b, 0, n, ids);
    const struct thought t = thought_of(&p->marks, ids, n, begin);
    free(ids);
    return t;
}

/* A branch that a lead goes on from, with the first *n tokens of the prefix: all, but for WAIT behind a
 * thought that was closed. What is cut in the middle is read again. */
static struct branch *branch_for(const struct embedded *p, const struct policy_prefix *from,
                                 enum policy_lead lead, size_t *n) {
    *n = branch_length(from->branch);
    if (lead != POLICY_LEAD_WAIT || p->marks.close < 0) return branch_fork(from->branch);
    const size_t n_kept = look_at_thought(p, from->branch, from->begin).closed_at;
    if (n_kept == *n) return branch_fork(from->branch);
    int *ids = mem_alloc(n_kept * sizeof *ids);
    struct branch *b = engine_root(p->engine);
    branch_tokens(from->branch, 0, n_kept, ids);
    branch_append(b, ids, n_kept);
    free(ids);
    *n = n_kept;
    return b;
}

static bool encode_inside(const struct embedded *p, struct str text, struct tokens *ids, struct err *e) {
    return tokenizer_encode_part(p->model->tokenizer, text, TOKENIZER_INSIDE, ids, e);
}

/* The words of a lead behind a branch, and their ids. */
static bool write_lead(const struct embedded *p, const struct branch *from, size_t begin,
                       enum policy_lead lead, struct str feedback, struct buf *text, struct tokens *ids,
                       struct err *e) {
    const bool turn = lead == POLICY_LEAD_REVISE && chat_has_turns(p->model->chat);
    int n_breaks = turn ? 0 : line_breaks(p, from);
    if (lead == POLICY_LEAD_ANSWER && look_at_thought(p, from, begin).is_open) {
        buf_add_str(text, thought_ending(n_breaks));
        const size_t n_mark = strlen(THOUGHT_CLOSE);
        if (!encode_inside(p, (struct str){text->ptr, text->len - n_mark}, ids, e)) return false;
        tokens_add(ids, p->marks.close);
        n_breaks = 0;
    }
    const size_t n_before = text->len;
    policy_write_lead(&p->base, lead, feedback, n_breaks, text);
    if (turn) return chat_render_next(p->model->chat, p->model->tokenizer, buf_str(text), ids, e);
    return encode_inside(p, (struct str){text->ptr + n_before, text->len - n_before}, ids, e);
}

/* Floating-point operations of n tokens from position `first` on. */
static double flops_of(const struct embedded *p, size_t first, size_t n, double per_token) {
    double sum_positions = (double)n * (double)first + (double)n * ((double)n - 1) / 2;
    return (double)n * per_token + sum_positions * p->base.info.flops_per_position;
}

static double flops_per_token_read(const struct embedded *p) {
    return model_flops_per_token(&p->model->config, 1, 0);
}

static struct cost embedded_root_cost(const struct policy *policy, const struct policy_prefix *root) {
    const struct embedded *p = (const struct embedded *)policy;
    size_t n = branch_length(root->branch);
    return (struct cost){.tokens_read = (double)n, .flops = flops_of(p, 0, n, flops_per_token_read(p))};
}

static bool ids_of_piece(const struct embedded *p, const struct policy_piece *piece, struct tokens *ids,
                         struct err *e) {
    if (piece->tokens) {
        tokens_add_all(ids, piece->tokens, (size_t)(piece->n_lead_tokens + piece->n_tokens));
        return true;
    }
    if (piece->lead == POLICY_LEAD_NONE)
        return tokenizer_encode_part(p->model->tokenizer, piece->text, TOKENIZER_INSIDE, ids, e);
    return err_set(e, ERR_INPUT, "%s: the record has no token ids to go on from", p->base.name);
}

static struct policy_prefix *embedded_extend(struct policy *policy, struct policy_prefix *from,
                                             const struct policy_piece *piece, struct err *e) {
    struct embedded *p = (struct embedded *)policy;
    struct policy_prefix *prefix = NULL;
    struct tokens ids = {0};
    if (!ids_of_piece(p, piece, &ids, e)) goto done;
    for (size_t i = 0; i < ids.len; i++) {
        if (ids.ptr[i] >= 0 && ids.ptr[i] < p->model->config.n_vocab) continue;
        err_set(e, ERR_INPUT, "%s has no token %d: the recorded text is another model's", p->base.name,
                ids.ptr[i]);
        goto done;
    }
    size_t n_kept;
    struct branch *branch = branch_for(p, from, piece->lead, &n_kept);
    if (n_kept + ids.len > (size_t)p->base.info.n_context) {
        err_set(e, ERR_INPUT, "the recorded text is longer than what %s reads (%d tokens)", p->base.name,
                p->base.info.n_context);
        branch_release(branch);
        goto done;
    }
    const size_t n_lead = (size_t)piece->n_lead_tokens;
    prefix = prefix_new(branch, piece->lead == POLICY_LEAD_REVISE ? n_kept + n_lead : from->begin,
                        from->ended && piece->lead == POLICY_LEAD_NONE);
    if (ids.len > 0) prefix->ended = model_is_end(p->model, ids.ptr[ids.len - 1]);
    branch_append(prefix->branch, ids.ptr, ids.len - (ids.len > 0 && prefix->ended));
done:
    tokens_free(&ids);
    return prefix;
}

static void embedded_release(struct policy *policy, struct policy_prefix *prefix) {
    UNUSED(policy);
    branch_release(prefix->branch);
    free(prefix);
}

/* ---- jobs ---- */
static void job_free(struct job *job) {
    if (!job) return;
    if (job->branch) branch_release(job->branch);
    buf_free(&job->lead);
    tokens_free(&job->ids);
    free(job->why);
    free(job);
}

static struct job *remove_at(struct embedded *p, size_t i) {
    struct job *job = p->jobs[i];
    p->n_jobs--;
    memmove(p->jobs + i, p->jobs + i + 1, (p->n_jobs - i) * sizeof *p->jobs);
    return job;
}

static struct job *refused(struct job *job, const char *why) {
    if (job->branch) branch_release(job->branch);
    job->branch = NULL;
    job->why = mem_strdup(why);
    return job;
}

/* What is shown of ids. */
static void add_text(const struct embedded *p, const int *ids, size_t n, struct buf *out) {
    const size_t first = out->len;
    tokenizer_decode(p->model->tokenizer, ids, n, true, out);
    if (out->len == first || !memchr(out->ptr + first, '\0', out->len - first)) return;
    const size_t n_raw = out->len - first;
    char *raw = mem_alloc(n_raw);
    memcpy(raw, out->ptr + first, n_raw);
    out->len = first;
    for (size_t i = 0; i < n_raw; i++) {
        if (raw[i])
            buf_add_char(out, raw[i]);
        else
            buf_add_utf8(out, 0xfffd);
    }
    free(raw);
}

/* The beginning of a character that an answer so far ends in: of its last bytes. */
static void find_tail(const struct embedded *p, const struct branch *b, size_t begin, char tail[4]) {
    char last[3];
    size_t n = 0;
    for (size_t i = branch_length(b); i > begin && n < sizeof last; i--) {
        int id;
        branch_tokens(b, i - 1, 1, &id);
        const struct str bytes = tokenizer_is_special(p->model->tokenizer, id)
                                     ? STR("")
                                     : tokenizer_bytes(p->model->tokenizer, id);
        for (size_t k = bytes.len; k > 0 && n < sizeof last; k--) last[sizeof last - ++n] = bytes.ptr[k - 1];
    }
    const struct str pending = {last + sizeof last - n, n};
    const size_t n_whole = tokenizer_complete_utf8(pending);
    memcpy(tail, pending.ptr + n_whole, n - n_whole);
    tail[n - n_whole] = '\0';
}

/* Hands the job to the engine, or notes why it cannot be. */
static struct job *job_start(struct embedded *p, const struct policy_job *asked) {
    struct job *job = mem_zalloc(1, sizeof *job);
    job->id = asked->id;
    job->serial = p->n_serials++;
    job->begin = asked->from->begin;
    if (asked->lead == POLICY_LEAD_NONE && asked->from->ended) return refused(job, "the answer has ended");
    job->branch = branch_for(p, asked->from, asked->lead, &job->n_before);
    if (asked->lead != POLICY_LEAD_NONE) {
        struct err e;
        if (!write_lead(p, job->branch, job->begin, asked->lead, asked->feedback, &job->lead, &job->ids, &e))
            return refused(job, e.msg);
        job->n_lead = job->ids.len;
    } else {
        find_tail(p, job->branch, job->begin, job->tail);
    }
    const size_t n_read = job->n_before + job->n_lead;
    if (n_read >= (size_t)p->base.info.n_context) return refused(job, "the policy's context is full");
    if (asked->lead == POLICY_LEAD_REVISE) job->begin = n_read;
    branch_append(job->branch, job->ids.ptr, job->n_lead);
    job->tokenizer = p->model->tokenizer;
    job->stepper = (struct stepper){
        .separator = p->separator, .n_separator = strlen(p->separator), .fallback = p->fallback};
    const struct policy_sampling *s = &asked->sampling;
    engine_generate(p->engine,
                    &(struct engine_generate){
                        .id = job->serial,
                        .branch = job->branch,
                        .key = asked->key,
                        .sampling = {.temperature = s->temperature,
                                     .top_k = s->top_k,
                                     .top_p = s->top_p,
                                     .min_p = s->min_p},
                        .n_tokens_max = MIN(asked->n_tokens_max, p->base.info.n_context - (int)n_read),
                        .n_top = asked->n_top,
                        .on_token = asked->until == POLICY_UNTIL_STEP ? on_token : NULL,
                        .ctx = job,
                    });
    return job;
}

static void embedded_submit(struct policy *policy, const struct policy_job *asked) {
    struct embedded *p = (struct embedded *)policy;
    MEM_GROW(p->jobs, p->cap, p->n_jobs + 1);
    p->jobs[p->n_jobs++] = job_start(p, asked);
}

/* Of a job that has sampled n tokens. */
static struct cost cost_of(const struct embedded *p, const struct job *job, size_t n) {
    return (struct cost){.tokens_generated = (double)n,
                         .tokens_read = (double)job->n_lead,
                         .flops = flops_of(p, job->n_before, job->n_lead, flops_per_token_read(p)) +
                                  flops_of(p, job->n_before + job->n_lead, n, p->base.info.flops_per_token)};
}

static void embedded_cancel(struct policy *policy, uint64_t id) {
    struct embedded *p = (struct embedded *)policy;
    for (size_t i = 0; i < p->n_jobs; i++) {
        if (p->jobs[i]->id != id) continue;
        struct job *job = remove_at(p, i);
        if (job->branch) {
            engine_cancel(p->engine, job->serial);
            const size_t n = branch_length(job->branch) - job->n_before - job->n_lead;
            const struct cost c = n > 0 ? cost_of(p, job, n) : (struct cost){0};
            cost_add(&p->cancelled, &c);
        }
        job_free(job);
        return;
    }
}

static int embedded_work(struct policy *policy, double seconds_max, struct err *e) {
    struct embedded *p = (struct embedded *)policy;
    UNUSED(seconds_max); /* one forward pass */
    if (p->n_jobs == 0) return 0;
    return engine_step(p->engine, e) < 0 ? -1 : 1;
}

/* The first job that was refused at submission, or NULL. */
static struct job *take_refused(struct embedded *p) {
    for (size_t i = 0; i < p->n_jobs; i++)
        if (p->jobs[i]->why) return remove_at(p, i);
    return NULL;
}

static struct job *take_serial(struct embedded *p, uint64_t serial) {
    for (size_t i = 0; i < p->n_jobs; i++)
        if (p->jobs[i]->serial == serial) return remove_at(p, i);
    ASSERT(!"an event of the engine belongs to a job in flight");
    return NULL;
}

static void tell(struct embedded *p, struct job *job, const struct engine_event *event,
                 struct policy_result *out) {
    static const enum policy_finish finishes[] = {[ENGINE_END_TOKEN] = POLICY_END,
                                                  [ENGINE_END_STOPPED] = POLICY_STEP,
                                                  [ENGINE_END_LENGTH] = POLICY_LENGTH};
    size_t n = (size_t)event->n_tokens, n_shown = n - (event->end == ENGINE_END_TOKEN);
    out->finish = finishes[event->end];
    buf_clear(&p->text);
    buf_add_str(&p->text, buf_str(&job->lead));
    buf_add_str(&p->text, str_from(job->tail));
    add_text(p, event->tokens, n_shown, &p->text);
    out->text = buf_str(&p->text);
    out->text.len = tokenizer_complete_utf8(out->text);
    out->n_lead_bytes = MIN(job->lead.len, out->text.len);
    if (job->n_lead > 0) tokens_add_all(&job->ids, event->tokens, n);
    out->tokens = job->n_lead > 0 ? job->ids.ptr : event->tokens;
    out->n_lead_tokens = (int)job->n_lead;
    out->n_tokens = event->n_tokens;
    out->confidences = event->confidences;
    out->n_confidences = event->confidences ? event->n_tokens : 0;
    for (size_t i = 0; i < n; i++) out->logprob += (double)event->logprobs[i];
    out->cost = cost_of(p, job, n);
    if (event->end == ENGINE_END_TOKEN) branch_take_back(job->branch);
    out->prefix = prefix_new(job->branch, job->begin, event->end == ENGINE_END_TOKEN);
    job->branch = NULL;
}

static bool embedded_next(struct policy *policy, struct policy_result *out) {
    struct embedded *p = (struct embedded *)policy;
    struct engine_event event;
    struct job *job = take_refused(p);
    if (!job && !engine_next(p->engine, &event)) return false;
    out->finish = POLICY_FAILED;
    if (job) {
        out->why = job->why;
    } else {
        job = take_serial(p, event.id);
        if (event.end == ENGINE_END_FAILED)
            out->why = "the policy's outputs are not numbers";
        else
            tell(p, job, &event, out);
    }
    out->id = job->id;
    job_free(p->told);
    p->told = job;
    return true;
}

static bool embedded_peek(struct policy *policy, uint64_t id, struct buf *out) {
    const struct embedded *p = (const struct embedded *)policy;
    size_t i = 0;
    while (i < p->n_jobs && p->jobs[i]->id != id) i++;
    if (i == p->n_jobs || !p->jobs[i]->branch) return false;
    const struct job *job = p->jobs[i];
    const size_t n_read = job->n_before + job->n_lead, n = branch_length(job->branch) - n_read;
    int *ids = mem_alloc(n * sizeof *ids);
    struct buf text = {0};
    branch_tokens(job->branch, n_read, n, ids);
    buf_add_str(&text, str_from(job->tail));
    add_text(p, ids, n, &text);
    buf_add(out, buf_cstr(&text), tokenizer_complete_utf8(buf_str(&text)));
    buf_free(&text);
    free(ids);
    return true;
}

static int embedded_in_flight(const struct policy *policy) {
    return (int)((const struct embedded *)policy)->n_jobs;
}

static struct cost embedded_computed(const struct policy *policy) {
    return engine_computed(((const struct embedded *)policy)->engine);
}

static struct waste embedded_waste(const struct policy *policy) {
    const struct embedded *p = (const struct embedded *)policy;
    return (struct waste){.cancelled = p->cancelled, .recomputed = engine_recomputed(p->engine)};
}

static double embedded_cache_bytes(const struct policy *policy) {
    return engine_cache_bytes(((const struct embedded *)policy)->engine);
}

/* ---- opening and closing ---- */
static void embedded_close(struct policy *policy) {
    struct embedded *p = (struct embedded *)policy;
    for (size_t i = 0; i < p->n_jobs; i++) {
        if (p->jobs[i]->branch) engine_cancel(p->engine, p->jobs[i]->serial);
        job_free(p->jobs[i]);
    }
    job_free(p->told);
    free(p->jobs);
    buf_free(&p->text);
    if (p->engine) engine_close(p->engine);
    if (p->model) model_close(p->model);
    free(p->fallback);
    free(p->separator);
    free(p->system);
    free(p);
}

static const struct policy_ops embedded_ops = {
    .close = embedded_close,
    .root = embedded_root,
    .root_cost = embedded_root_cost,
    .extend = embedded_extend,
    .release = embedded_release,
    .submit = embedded_submit,
    .cancel = embedded_cancel,
    .work = embedded_work,
    .next = embedded_next,
    .peek = embedded_peek,
    .in_flight = embedded_in_flight,
    .computed = embedded_computed,
    .waste = embedded_waste,
    .cache_bytes = embedded_cache_bytes,
};

/* Whether the chat format does not drop a system message. */
static bool writes_system(const struct embedded *p) {
    struct tokens with = {0}, without = {0};
    struct chat_message messages[] = {{CHAT_SYSTEM, STR("y")}, {CHAT_USER, STR("x")}};
    const struct tokenizer *t = p->model->tokenizer;
    struct err e;
    const bool writes = chat_render(p->model->chat, t, messages, 2, true, false, &with, &e) &&
                        chat_render(p->model->chat, t, messages + 1, 1, true, false, &without, &e) &&
                        with.len != without.len;
    tokens_free(&with);
    tokens_free(&without);
    return writes;
}

static void fill_info(struct embedded *p) {
    const struct model *m = p->model;
    const struct model_config *c = &m->config;
    double at_start = model_flops_per_token(c, 1, c->n_vocab);
    p->base.info = (struct policy_info){
        .kind = "embedded",
        .kv = engine_kv_name(p->engine),
        .n_parameters = (double)model_parameters(m),
        .flops_per_token = at_start,
        .flops_per_position = model_flops_per_token(c, 2, c->n_vocab) - at_start,
        .n_context = c->n_context,
        .n_wanted = engine_wanted(p->engine),
        .sampling = {.temperature = m->sampling.temperature,
                     .top_p = m->sampling.top_p,
                     .min_p = m->sampling.min_p,
                     .top_k = m->sampling.top_k},
        .chat_date = chat_date(m->chat),
        .has_confidences = true,
        .has_system = writes_system(p),
        .can_talk = chat_has_turns(m->chat),
        .can_continue = true,
    };
    const char *parts[] = {chat_name(m->chat), p->separator, p->system ? p->system : ""};
    uint64_t hash = engine_identity(p->engine);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) hash = rng_hash(hash, parts[i], strlen(parts[i]) + 1);
    policy_set_identity(&p->base, hash);
}

/* A system message that the chat format would drop is refused, not ignored. */
static bool check_system(const struct embedded *p, struct err *e) {
    return !p->system || writes_system(p) ||
           err_set(e, ERR_INPUT, "%s: chat format %s has no place for a system message; leave it out",
                   p->model->path, chat_name(p->model->chat));
}

struct policy *policy_open_embedded(const char *path, const struct policy_options *o, struct err *e) {
    struct embedded *p = mem_zalloc(1, sizeof *p);
    enum engine_kv kv;
    p->base.ops = &embedded_ops;
    p->system = o->system ? mem_strdup(o->system) : NULL;
    p->separator = str_dup(policy_separator(o));
    p->fallback = stepper_table(policy_separator(o));
    p->model = model_open_chat(path, o->chat, e);
    if (!p->model) goto failed;
    if (p->model->config.head != MODEL_HEAD_LM) {
        err_set(e, ERR_INPUT, "%s: this model scores text and cannot write it; give it as --reward", path);
        goto failed;
    }
    if (!check_system(p, e) || !quantise_named(p->model, o->weights, o->n_threads, e)) goto failed;
    if (!engine_kv_parse(o->kv, &kv, e)) goto failed;
    p->engine = engine_open(p->model, &(struct engine_options){.n_threads = o->n_threads, .kv = kv}, e);
    if (!p->engine) goto failed;
    model_drop_tensors(p->model);
    fill_info(p);
    p->marks = (struct thought_marks){tokenizer_special(p->model->tokenizer, THOUGHT_OPEN),
                                      tokenizer_special(p->model->tokenizer, THOUGHT_CLOSE)};
    policy_set_leads(&p->base, chat_has_turns(p->model->chat) ? POLICY_LEADS_REVISE_TURN : POLICY_LEADS_TEXT,
                     o);
    return &p->base;
failed:
    embedded_close(&p->base);
    return NULL;
}

struct policy *policy_open_lab(const char *name, const struct policy_options *o, struct err *e) {
    struct buf place = {0};
    buf_printf(&place, "models/%s", name);
    char *path = share_path(buf_cstr(&place), e);
    struct policy *p = path ? policy_open_embedded(path, o, e) : NULL;
    buf_free(&place);
    free(path);
    return p;
}
