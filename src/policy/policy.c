/* policy.c - see policy.h: the table of kinds, and the checks that all of them share. */
#include "policy/policy.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "policy/kinds.h"

static const struct {
    const char *prefix;
    policy_open_kind *open;
} policy_kinds[] = {
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
    if (file_is_dir(spec)) return policy_open_embedded(spec, o, e);
    if (file_exists(spec))
        err_set(e, ERR_INPUT,
                "policy %s: a file is no model; give the folder of a Hugging Face model (config.json, "
                "tokenizer.json, *.safetensors), or replay:%s if it holds recorded samples",
                spec, spec);
    else
        err_set(e, ERR_INPUT,
                "policy '%s': no such folder; use lab:NAME, the folder of a Hugging Face model, replay:FILE "
                "(recorded samples), http://host:port/v1#model, or toy:",
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
    p->name = mem_strdup(spec);
    p->info.name = p->name;
    return p;
}

void policy_close(struct policy *p) {
    if (!p) return;
    char *name = p->name;
    p->ops->close(p);
    free(name);
}

const struct policy_info *policy_info(const struct policy *p) {
    return &p->info;
}

struct policy_prefix *policy_root(struct policy *p, const struct policy_prompt *prompt, struct err *e) {
    ASSERT(prompt->text);
    return p->ops->root(p, prompt, e);
}

struct cost policy_root_cost(const struct policy *p, const struct policy_prefix *root) {
    return p->ops->root_cost(p, root);
}

struct policy_prefix *policy_extend(struct policy *p, struct policy_prefix *from, int index, struct str text,
                                    const int *tokens, int n_tokens, struct err *e) {
    ASSERT(from && index >= 0 && n_tokens >= 0);
    return p->ops->extend(p, from, index, text, tokens, n_tokens, e);
}

void policy_release(struct policy *p, struct policy_prefix *prefix) {
    if (prefix) p->ops->release(p, prefix);
}

void policy_submit(struct policy *p, const struct policy_job *job) {
    ASSERT(job->from && job->index >= 0 && job->n_tokens_max > 0);
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

int policy_in_flight(const struct policy *p) {
    return p->ops->in_flight(p);
}

struct cost policy_computed(const struct policy *p) {
    return p->ops->computed(p);
}

/* ---- what kinds share ---- */
struct str policy_separator(const struct policy_options *o) {
    return str_from(o->separator ? o->separator : "\n\n");
}

void policy_set_identity(struct policy *p, uint64_t hash) {
    snprintf(p->info.identity, sizeof p->info.identity, "%016" PRIx64, hash);
}
