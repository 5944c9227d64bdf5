/* policy.c - see policy.h: the table of kinds, and the checks that all of them share. */
#include "policy/policy.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "hub/hub.h"
#include "model/model.h"
#include "policy/kinds.h"

static struct policy *open_pulled(const char *rest, const struct policy_options *o, struct err *e) {
    char *path = hub_find(rest - strlen(HUB_PREFIX), e);
    struct policy *p = path ? policy_open_embedded(path, o, e) : NULL;
    free(path);
    return p;
}

static const struct {
    const char *prefix;
    policy_open_kind *open;
} policy_kinds[] = {
    {HUB_PREFIX, open_pulled},
    {"lab:", policy_open_lab},
    {"replay:", policy_open_replay},
    {"toy:", policy_open_toy},
};

static struct policy *open_kind(const char *spec, const struct policy_options *o, struct err *e) {
    struct str s = str_from(spec);
    for (size_t i = 0; i < ARRAY_LEN(policy_kinds); i++) {
        struct str prefix = str_from(policy_kinds[i].prefix);
        if (str_starts(s, prefix)) return policy_kinds[i].open(spec + prefix.len, o, e);
    }
    if (str_starts(s, STR("http://")) || str_starts(s, STR("https://")))
        return policy_open_openai(spec, o, e);
    if (model_is_path(spec)) return policy_open_embedded(spec, o, e);
    if (file_exists(spec))
        err_set(e, ERR_INPUT,
                "policy %s: such a file is no model; give a .gguf file, the folder of a Hugging Face model "
                "(config.json, tokenizer.json, *.safetensors), or replay:%s if it holds recorded samples",
                spec, spec);
    else
        err_set(e, ERR_INPUT,
                "policy '%s': no such folder; use lab:NAME, the folder of a Hugging Face model, a .gguf "
                "file, hf:OWNER/NAME (brood pull), replay:FILE (recorded samples), "
                "http://host:port/v1#model, or toy:",
                spec);
    return NULL;
}

struct policy *policy_open(const char *spec, const struct policy_options *o, struct err *e) {
    static const struct policy_options none = {0};
    if (!o) o = &none;
    if (o->separator && !o->separator[0]) {
        err_set(e, ERR_INPUT, "the step separator is empty; leave it out for a blank line");
        return NULL;
    }
    struct policy *p = open_kind(spec, o, e);
    if (!p) return NULL;
    if (o->weights && strcmp(o->weights, "file") != 0 && strcmp(p->info.kind, "embedded") != 0) {
        policy_close(p);
        err_set(e, ERR_INPUT, "policy %s: weights %s are for models that run here; leave them out", spec,
                o->weights);
        return NULL;
    }
    if (o->kv && strcmp(o->kv, "auto") != 0 && !p->info.kv) {
        policy_close(p);
        err_set(e, ERR_INPUT, "policy %s: keys and values as %s are for models that run here; leave it out",
                spec, o->kv);
        return NULL;
    }
    p->name = mem_strdup(spec);
    p->info.name = p->name;
    return p;
}

void policy_close(struct policy *p) {
    if (!p) return;
    char *name = p->name, *leads[POLICY_LEADS];
    memcpy(leads, p->leads, sizeof leads);
    p->ops->close(p);
    for (int i = 0; i < POLICY_LEADS; i++) free(leads[i]);
    free(name);
}

const struct policy_info *policy_info(const struct policy *p) {
    return &p->info;
}

bool policy_can_talk(const struct policy *p, const struct policy_talk *talk, struct err *e) {
    if (talk->system && !p->info.has_system)
        return err_set(e, ERR_INPUT, "policy %s has no place for a system message of a request: leave it out",
                       p->name);
    if (talk->n_turns > 0 && !p->info.can_talk)
        return err_set(e, ERR_INPUT,
                       "policy %s takes one question, not a conversation: send one user message", p->name);
    if (talk->raw && !p->info.can_continue)
        return err_set(e, ERR_INPUT, "policy %s cannot continue a prompt as it is: send messages", p->name);
    return true;
}

struct policy_prefix *policy_root(struct policy *p, const struct policy_prompt *prompt, struct err *e) {
    ASSERT(prompt->text && prompt->talk.n_turns % 2 == 0);
    return policy_can_talk(p, &prompt->talk, e) ? p->ops->root(p, prompt, e) : NULL;
}

enum policy_reading policy_reading(struct policy *p, const struct policy_prefix *prefix, struct err *e) {
    return p->ops->reading ? p->ops->reading(p, prefix, e) : POLICY_READ;
}

struct cost policy_root_cost(const struct policy *p, const struct policy_prefix *root) {
    return p->ops->root_cost(p, root);
}

double policy_reads(const struct policy *p, const struct policy_prefix *from, enum policy_until until) {
    return p->ops->reads ? p->ops->reads(p, from, until) : 0;
}

double policy_lead_reads(const struct policy *p, enum policy_lead lead, struct str feedback) {
    enum { TURN_TOKENS_MAX = 64 }; /* of a chat format, around what the user says */
    if (lead == POLICY_LEAD_NONE || !p->leads[lead]) return 0;
    return (double)(strlen(p->leads[lead]) + feedback.len + 1 + TURN_TOKENS_MAX); /* a token has a byte */
}

struct policy_prefix *policy_extend(struct policy *p, struct policy_prefix *from,
                                    const struct policy_piece *piece, struct err *e) {
    ASSERT(from && piece->index >= 0 && piece->n_tokens >= 0 && piece->n_lead_tokens >= 0);
    if (piece->lead != POLICY_LEAD_NONE && !p->info.has_leads) {
        err_set(e, ERR_INPUT, "%s: the record has text (a lead) that this policy cannot go on from", p->name);
        return NULL;
    }
    return p->ops->extend(p, from, piece, e);
}

void policy_release(struct policy *p, struct policy_prefix *prefix) {
    if (prefix) p->ops->release(p, prefix);
}

void policy_submit(struct policy *p, const struct policy_job *job) {
    ASSERT(job->from && job->index >= 0 && job->n_tokens_max > 0 && job->n_top >= 0);
    ASSERT(job->lead == POLICY_LEAD_NONE || p->info.has_leads);
    ASSERT(job->n_top == 0 || p->info.has_confidences);
    p->ops->submit(p, job);
}

void policy_cancel(struct policy *p, uint64_t id) {
    p->ops->cancel(p, id);
}

int policy_work(struct policy *p, double seconds_max, struct err *e) {
    return p->ops->work(p, seconds_max, e);
}

bool policy_next(struct policy *p, struct policy_result *out) {
    *out = (struct policy_result){0};
    return p->ops->next(p, out);
}

bool policy_peek(struct policy *p, uint64_t id, struct buf *out) {
    return p->ops->peek && p->ops->peek(p, id, out);
}

int policy_in_flight(const struct policy *p) {
    return p->ops->in_flight(p);
}

struct cost policy_computed(const struct policy *p) {
    return p->ops->computed(p);
}

struct waste policy_waste(const struct policy *p) {
    return p->ops->waste ? p->ops->waste(p) : (struct waste){0};
}

double policy_cache_bytes(const struct policy *p) {
    return p->ops->cache_bytes ? p->ops->cache_bytes(p) : 0;
}

/* ---- what kinds share ---- */
struct str policy_separator(const struct policy_options *o) {
    return str_from(o->separator ? o->separator : "\n\n");
}

void policy_set_leads(struct policy *p, enum policy_lead_style style, const struct policy_options *o) {
    static const char wait[] = "\n\nWait,", answer[] = "\n\nThe answer is \\boxed{";
    static const char turn[] = "Your answer may be wrong. Read the solution again, find the first mistake if "
                               "there is one, and write the whole corrected solution.";
    static const char *const suits[][POLICY_LEADS] = {
        [POLICY_LEADS_TEXT] = {NULL, "\n\nTry again.\n", wait, answer},
        [POLICY_LEADS_REVISE_TURN] = {NULL, turn, wait, answer},
        [POLICY_LEADS_TURNS] = {NULL, turn, "Wait. Go through your work once more and go on from there.",
                                "Stop here. Write your final answer now, in a LaTeX box."},
    };
    const char *const given[POLICY_LEADS] = {NULL, o->lead_revise, o->lead_wait, o->lead_answer};
    for (int i = POLICY_LEAD_REVISE; i < POLICY_LEADS; i++) {
        const char *text = given[i] ? given[i] : suits[style][i];
        p->info.leads[i].text = p->leads[i] = mem_strdup(text);
        p->info.leads[i].replaced = strcmp(text, suits[style][i]) != 0;
    }
    p->info.has_leads = true;
}

int policy_line_breaks(struct str text) {
    int n = 0;
    while ((size_t)n < text.len && text.ptr[text.len - 1 - (size_t)n] == '\n') n++;
    return n;
}

void policy_write_lead(const struct policy *p, enum policy_lead lead, struct str feedback, int n_line_breaks,
                       struct buf *out) {
    struct str text = str_from(p->leads[lead]);
    size_t n_leading = 0, n_there = (size_t)n_line_breaks;
    while (n_leading < text.len && text.ptr[n_leading] == '\n') n_leading++;
    for (size_t i = n_there; i < n_leading; i++) buf_add_char(out, '\n');
    if (lead == POLICY_LEAD_REVISE && feedback.len > 0) {
        buf_add_str(out, feedback);
        buf_add_char(out, '\n');
    }
    buf_add_str(out, (struct str){text.ptr + n_leading, text.len - n_leading});
}

void policy_set_identity(struct policy *p, uint64_t hash) {
    snprintf(p->info.identity, sizeof p->info.identity, "%016" PRIx64, hash);
}
