/* reward.c - see reward.h: the table of kinds, and what all of them share. */
#include "reward/reward.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "hub/hub.h"
#include "model/model.h"
#include "reward/kinds.h"

static const struct {
    const char *prefix;
    reward_open_kind *open;
} reward_kinds[] = {
    {"lab:", reward_open_lab},
    {"toy:", reward_open_toy},
    {"likelihood:", reward_open_likelihood},
    {"perplexity:", reward_open_perplexity},
    {"certainty:", reward_open_certainty},
    {"heuristic:", reward_open_heuristic},
};

size_t reward_path_length(const char *spec) {
    const char *at = strstr(spec, REWARD_PROFILE);
    return at ? (size_t)(at - spec) : strlen(spec);
}

/* hf:NAME[,profile=...] as PATH[,profile=...]. */
static struct reward *open_pulled(const char *spec, const struct reward_options *o, struct err *e) {
    const size_t n_name = reward_path_length(spec);
    char *name = str_dup((struct str){spec, n_name}), *path = hub_find(name, e);
    struct buf local = {0};
    buf_printf(&local, "%s%s", path ? path : "", spec + n_name);
    struct reward *r = path ? reward_open_embedded(buf_cstr(&local), o, e) : NULL;
    buf_free(&local);
    free(name);
    free(path);
    return r;
}

static struct reward *open_kind(const char *spec, const struct reward_options *o, struct err *e) {
    struct str s = str_from(spec);
    for (size_t i = 0; i < ARRAY_LEN(reward_kinds); i++) {
        struct str prefix = str_from(reward_kinds[i].prefix);
        if (str_starts(s, prefix)) return reward_kinds[i].open(spec + prefix.len, o, e);
    }
    if (str_starts(s, STR("http://")) || str_starts(s, STR("https://")))
        return reward_open_served(spec, o, e);
    if (str_starts(s, STR(HUB_PREFIX))) return open_pulled(spec, o, e);
    char *path = str_dup((struct str){spec, reward_path_length(spec)});
    const bool is_path = model_is_path(path);
    free(path);
    if (is_path) return reward_open_embedded(spec, o, e);
    err_set(e, ERR_INPUT,
            "reward model '%s': no such folder; use lab:NAME, the folder of a Hugging Face model with a "
            "step-scoring head, http://host:port/v1#model,profile=NAME, "
            "likelihood:, perplexity: or certainty:MODEL, heuristic:NAME, or toy:",
            spec);
    return NULL;
}

struct reward *reward_open(const char *spec, const struct reward_options *o, struct err *e) {
    static const struct reward_options none = {0};
    if (!o) o = &none;
    if (o->separator && !o->separator[0]) {
        err_set(e, ERR_INPUT, "the step separator is empty; leave it out for a blank line");
        return NULL;
    }
    struct reward *r = open_kind(spec, o, e);
    if (!r) return NULL;
    if (o->weights && strcmp(o->weights, "file") != 0 && strcmp(r->info.kind, "embedded") != 0) {
        r->ops->close(r);
        err_set(e, ERR_INPUT, "reward %s: weights %s are for models that run here; leave them out", spec,
                o->weights);
        return NULL;
    }
    if (o->kv && strcmp(o->kv, "auto") != 0 && !r->info.kv) {
        r->ops->close(r);
        err_set(e, ERR_INPUT, "reward %s: keys and values as %s are for models that run here; leave it out",
                spec, o->kv);
        return NULL;
    }
    r->name = mem_strdup(spec);
    r->info.name = r->name;
    return r;
}

void reward_close(struct reward *r) {
    if (!r) return;
    char *name = r->name;
    r->ops->close(r);
    free(name);
}

const struct reward_info *reward_info(const struct reward *r) {
    return &r->info;
}

struct reward_prefix *reward_root(struct reward *r, const char *problem_text, struct err *e) {
    return r->ops->root(r, problem_text, e);
}

struct cost reward_root_cost(const struct reward *r, const struct reward_prefix *root) {
    return r->ops->root_cost(r, root);
}

struct reward_prefix *reward_extend(struct reward *r, struct reward_prefix *from, struct str text,
                                    struct err *e) {
    ASSERT(from);
    return r->ops->extend(r, from, text, e);
}

void reward_release(struct reward *r, struct reward_prefix *prefix) {
    if (prefix) r->ops->release(r, prefix);
}

void reward_submit(struct reward *r, const struct reward_job *job) {
    ASSERT(job->from);
    r->ops->submit(r, job);
}

void reward_cancel(struct reward *r, uint64_t id) {
    r->ops->cancel(r, id);
}

int reward_work(struct reward *r, double seconds_max, struct err *e) {
    return r->ops->work(r, seconds_max, e);
}

bool reward_next(struct reward *r, struct reward_result *out) {
    *out = (struct reward_result){0};
    return r->ops->next(r, out);
}

int reward_in_flight(const struct reward *r) {
    return r->ops->in_flight(r);
}

struct cost reward_computed(const struct reward *r) {
    return r->ops->computed(r);
}

struct waste reward_waste(const struct reward *r) {
    return r->ops->waste ? r->ops->waste(r) : (struct waste){0};
}

double reward_cache_bytes(const struct reward *r) {
    return r->ops->cache_bytes ? r->ops->cache_bytes(r) : 0;
}

/* ---- what kinds share ---- */
int reward_split_steps(struct str text, struct str separator, void (*each)(void *ctx, struct str step),
                       void *ctx) {
    ASSERT(separator.len > 0);
    int n_steps = 0;
    for (bool last = false; !last;) {
        ptrdiff_t found = str_find(text, separator);
        last = found < 0;
        struct str step = str_trim((struct str){text.ptr, last ? text.len : (size_t)found});
        if (!last) {
            size_t n_used = (size_t)found + separator.len;
            text = (struct str){text.ptr + n_used, text.len - n_used};
        }
        if (step.len == 0) continue;
        if (each) each(ctx, step);
        n_steps++;
    }
    return n_steps;
}

struct str reward_separator(const struct reward_options *o) {
    return str_from(o->separator ? o->separator : "\n\n");
}

void reward_set_identity(struct reward *r, uint64_t hash) {
    snprintf(r->info.identity, sizeof r->info.identity, "%016" PRIx64, hash);
}
