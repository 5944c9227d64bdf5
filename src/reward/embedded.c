/* embedded.c - a model of ours that scores steps as a reward model: prefixes are branches of the engine's KV
 * tree.
 *
 *     root: the profile's opening | step 1, closing | step 2, closing | ...
 *
 * What was read of a problem is a tree of places, one a step: equal steps behind equal steps are one place,
 * wherever they stand in the search, whether they have been read or are being read, alone or at the beginning
 * of whole solutions. A job reads what is new of its text, so every token is read once. Only the head outputs
 * that the model's profile lists are computed, and only where closings end. Steps are encoded one by one, so
 * scoring a solution at once gives the same bits as scoring it step by step. A profile that reads its
 * closings aside costs their tokens once a step.
 *
 * A place that nobody stands behind any more gives its pages back and is remembered with its reward. But the
 * steps inside of solutions that are read as a whole keep their pages until the problem's last prefix goes,
 * for other solutions may begin alike; the engine takes them when it needs room.
 *
 * The spec is a model's path, or PATH,profile=NAME with a profile by its name or file (model/prm_profile.h).
 *
 * Costs are a function of positions alone, as in policy/embedded.c: tokens read, plus the listed outputs.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/share.h"
#include "engine/engine.h"
#include "model/model.h"
#include "model/quantise.h"
#include "reward/kinds.h"

struct place {
    struct place *root, *parent;   /* the problem's own has no parent, and is no step */
    struct place *children, *next; /* equal ids below the same parent are one place */
    struct branch *branch;         /* NULL: not needed now */
    struct branch *side;           /* with closings aside, while branch is there and the reward is not */
    struct tokens ids, closing;    /* its own; the closing, if it is read aside */
    struct tokens behind;          /* what its children begin with, likewise */
    size_t first;                  /* position of its first token */
    int depth;                     /* steps up to here */
    float reward;
    bool has_reward, is_told; /* reading it was somebody's cost */
    bool is_kept;             /* inside of a solution that was read as a whole */
    int n_users;              /* prefixes and jobs that stand behind it */
    int n_users_all;          /* of the root: of all places */
};

struct reward_prefix {
    struct place *at;
};

struct job {
    uint64_t id, serial;   /* the caller's; the engine's, of the first read */
    struct place *from;    /* whose prefix it was; there as long as the next */
    struct place *at;      /* behind its text; NULL if that cannot be read */
    struct place **wanted; /* [n_wanted] places between whose rewards are not known, in order */
    int n_wanted, n_told;  /* n_told: reads that have ended, with closings aside */
    float *outputs;        /* [n_wanted][n_outputs] as they arrive, likewise */
    char *why;
};

struct embedded {
    struct reward base;
    struct model *model;
    struct engine *engine;
    char *separator;
    struct job **jobs; /* in flight, in the order of submission */
    size_t n_jobs, cap;
    uint64_t n_serials;
    struct job *told; /* of the last result: its `why` is still being read */
    float *rewards;   /* of the last result */
    size_t cap_rewards;
    struct cost cancelled;
};

/* Floating-point operations of reading n tokens from position `first` on, without head outputs. */
static double flops_of(const struct embedded *p, size_t first, size_t n) {
    double sum_positions = (double)n * (double)first + (double)n * ((double)n - 1) / 2;
    return (double)n * p->base.info.flops_per_token + sum_positions * p->base.info.flops_per_position;
}

/* ---- places ---- */
static struct place *place_new(struct place *parent) {
    struct place *x = mem_zalloc(1, sizeof *x);
    x->root = parent ? parent->root : x;
    x->parent = parent;
    if (!parent) return x;
    x->first = parent->first + parent->ids.len;
    x->depth = parent->depth + 1;
    return x;
}

static size_t place_end(const struct place *x) {
    return x->first + x->ids.len;
}

static void add_read(const struct embedded *p, struct cost *c, size_t first, size_t n) {
    c->tokens_read += (double)n;
    c->flops += flops_of(p, first, n);
}

/* What was read of a branch from position `first` on, as cancelled. */
static void count_cancelled(struct embedded *p, const struct branch *branch, size_t first) {
    const size_t n_read = branch_computed(branch);
    if (n_read > first) add_read(p, &p->cancelled, first, n_read - first);
}

static void give_pages_back(struct embedded *p, struct place *x) {
    if (!x->branch) return;
    if (!x->is_told) { /* nobody heard of what was read */
        count_cancelled(p, x->branch, x->first);
        if (x->side) count_cancelled(p, x->side, place_end(x));
    }
    if (x->side) branch_release(x->side);
    branch_release(x->branch);
    x->branch = x->side = NULL;
}

static void give_back_unless_needed(struct embedded *p, struct place *x) {
    if (x->n_users == 0 && !x->is_kept) give_pages_back(p, x);
}

/* Makes the branch, and what is read aside of it while its reward is not known. */
static struct branch *place_branch(struct embedded *p, struct place *x) {
    if (x->branch) return x->branch;
    x->branch = x->parent ? branch_fork(place_branch(p, x->parent)) : engine_root(p->engine);
    branch_append(x->branch, x->ids.ptr, x->ids.len);
    if (p->model->prm.aside && x->parent && !x->has_reward) {
        x->side = branch_fork(x->branch);
        branch_append(x->side, x->closing.ptr, x->closing.len);
    }
    if (x->parent) give_back_unless_needed(p, x->parent); /* the fork holds what it needs */
    return x->branch;
}

static struct place *place_hold(struct place *x) {
    x->n_users++;
    x->root->n_users_all++;
    return x;
}

static void place_free(struct embedded *p, struct place *x) {
    while (x->children) {
        struct place *child = x->children;
        x->children = child->next;
        place_free(p, child);
    }
    give_pages_back(p, x);
    tokens_free(&x->ids);
    tokens_free(&x->closing);
    tokens_free(&x->behind);
    free(x);
}

/* Stands behind it no more. */
static void place_leave(struct embedded *p, struct place *x) {
    x->n_users--;
    give_back_unless_needed(p, x);
    if (--x->root->n_users_all == 0) place_free(p, x->root);
}

/* ---- prefixes ---- */
static struct reward_prefix *prefix_new(struct place *at) {
    struct reward_prefix *prefix = mem_alloc(sizeof *prefix);
    prefix->at = place_hold(at);
    return prefix;
}

static struct reward_prefix *embedded_root(struct reward *r, const char *problem_text, struct err *e) {
    struct embedded *p = (struct embedded *)r;
    struct place *root = place_new(NULL);
    root->is_told = true;
    const bool opened = prm_profile_open(p->model, &p->model->prm, str_from(problem_text), &root->ids, e);
    if (opened && root->ids.len < (size_t)p->base.info.n_context) return prefix_new(root);
    if (opened)
        err_set(e, ERR_INPUT, "the problem takes %zu tokens, and the reward model %s reads %d in all",
                root->ids.len, p->base.name, p->base.info.n_context);
    place_free(p, root);
    return NULL;
}

static struct cost embedded_root_cost(const struct reward *r, const struct reward_prefix *root) {
    struct cost c = {0};
    add_read((const struct embedded *)r, &c, 0, place_end(root->at));
    return c;
}

struct reading { /* a text on its way down the places */
    struct embedded *p;
    struct place *at;
    struct err *e;
    bool failed;
};

static bool same_tokens(const struct tokens *a, const struct tokens *b) {
    return a->len == b->len && (a->len == 0 || memcmp(a->ptr, b->ptr, a->len * sizeof *a->ptr) == 0);
}

static struct place *find_child(const struct place *from, const struct place *like) {
    struct place *x = from->children;
    while (x && !(same_tokens(&x->ids, &like->ids) && same_tokens(&x->closing, &like->closing) &&
                  same_tokens(&x->behind, &like->behind)))
        x = x->next;
    return x;
}

static void read_one_step(void *ctx, struct str step) {
    struct reading *r = ctx;
    const struct model *m = r->p->model;
    if (r->failed) return;
    struct place *x = place_new(r->at);
    tokens_add_all(&x->ids, r->at->behind.ptr, r->at->behind.len);
    r->failed = !prm_profile_step(m, &m->prm, step, x->depth == 1, &x->ids, &x->closing, &x->behind, r->e);
    if (!r->failed && place_end(x) + x->closing.len > (size_t)r->p->base.info.n_context) {
        r->failed = true;
        err_set(r->e, ERR_INPUT, "the solution is longer than what the reward model %s reads (%d tokens)",
                r->p->base.name, r->p->base.info.n_context);
    }
    struct place *known = r->failed ? NULL : find_child(r->at, x);
    if (r->failed || known) {
        place_free(r->p, x);
    } else {
        x->next = r->at->children;
        r->at->children = x;
    }
    if (!r->failed) r->at = known ? known : x;
}

/* The place after the steps of a text, read or not; NULL if they do not fit. */
static struct place *place_after(struct embedded *p, struct place *from, struct str text, struct err *e) {
    struct reading r = {.p = p, .at = from, .e = e};
    reward_split_steps(text, str_from(p->separator), read_one_step, &r);
    return r.failed ? NULL : r.at;
}

static struct reward_prefix *embedded_extend(struct reward *r, struct reward_prefix *from, struct str text,
                                             struct err *e) {
    struct place *at = place_after((struct embedded *)r, from->at, text, e);
    if (!at) return NULL;
    for (struct place *x = at; x != from->at; x = x->parent) x->is_told = true; /* in an earlier session */
    return prefix_new(at);
}

static void embedded_release(struct reward *r, struct reward_prefix *prefix) {
    struct embedded *p = (struct embedded *)r;
    place_leave(p, prefix->at);
    free(prefix);
}

/* ---- jobs ---- */
static void job_free(struct embedded *p, struct job *job) {
    if (!job) return;
    if (job->at) place_leave(p, job->at);
    free(job->wanted);
    free(job->outputs);
    free(job->why);
    free(job);
}

static struct job *remove_at(struct embedded *p, size_t i) {
    struct job *job = p->jobs[i];
    p->n_jobs--;
    memmove(p->jobs + i, p->jobs + i + 1, (p->n_jobs - i) * sizeof *p->jobs);
    return job;
}

/* How many reads of the engine a job is: with closings aside, one a step. */
static int n_reads(const struct embedded *p, const struct job *job) {
    return p->model->prm.aside ? job->n_wanted : MIN(job->n_wanted, 1);
}

/* One read with a mark at the end of every step. */
static bool read_inline(struct embedded *p, struct job *job, struct engine_read *read, struct err *e) {
    size_t *marks = mem_alloc((size_t)job->n_wanted * sizeof *marks);
    for (int i = 0; i < job->n_wanted; i++) marks[i] = place_end(job->wanted[i]) - 1;
    read->branch = place_branch(p, job->at);
    read->marks = marks;
    read->n_marks = (size_t)job->n_wanted;
    const bool done = engine_read(p->engine, read, e);
    free(marks);
    return done;
}

static bool read_aside(struct embedded *p, struct job *job, struct engine_read *read, struct err *e) {
    job->outputs = mem_zalloc((size_t)job->n_wanted * (size_t)read->n_outputs, sizeof *job->outputs);
    for (int i = 0; i < job->n_wanted; i++) place_branch(p, job->wanted[i]);
    for (int i = 0; i < job->n_wanted; i++) {
        const size_t mark = branch_length(job->wanted[i]->side) - 1;
        read->id = job->serial + (uint64_t)i;
        read->branch = job->wanted[i]->side;
        read->marks = &mark;
        read->n_marks = 1;
        if (engine_read(p->engine, read, e)) continue;
        for (int j = 0; j < i; j++) engine_cancel(p->engine, job->serial + (uint64_t)j);
        return false;
    }
    return true;
}

/* The places whose rewards the job needs; those inside of a text of several steps are kept. */
static void list_wanted(struct job *job) {
    int n = 0;
    for (struct place *x = job->at; x != job->from; x = x->parent) {
        if (x != job->at) x->is_kept = true;
        n += !x->has_reward;
    }
    job->wanted = mem_zalloc((size_t)n, sizeof *job->wanted);
    job->n_wanted = n;
    for (struct place *x = job->at; x != job->from; x = x->parent)
        if (!x->has_reward) job->wanted[--n] = x;
}

static bool job_read(struct embedded *p, struct job *job, struct err *e) {
    const struct prm_profile *profile = &p->model->prm;
    struct engine_read read = {
        .id = job->serial, .outputs = profile->outputs, .n_outputs = profile->n_outputs};
    if (job->n_wanted == 0) return true;
    return profile->aside ? read_aside(p, job, &read, e) : read_inline(p, job, &read, e);
}

static struct job *job_start(struct embedded *p, const struct reward_job *asked) {
    struct err e;
    struct job *job = mem_zalloc(1, sizeof *job);
    job->id = asked->id;
    job->from = asked->from->at;
    job->at = place_after(p, job->from, asked->text, &e);
    if (job->at) {
        place_hold(job->at);
        list_wanted(job);
    }
    job->serial = p->n_serials;
    p->n_serials += (uint64_t)n_reads(p, job);
    if (job->at && !job_read(p, job, &e)) {
        place_leave(p, job->at);
        job->at = NULL;
        job->n_wanted = 0;
    }
    if (!job->at) job->why = mem_strdup(e.msg);
    return job;
}

static void embedded_submit(struct reward *r, const struct reward_job *asked) {
    struct embedded *p = (struct embedded *)r;
    MEM_GROW(p->jobs, p->cap, p->n_jobs + 1);
    p->jobs[p->n_jobs++] = job_start(p, asked);
}

static void job_cancel(struct embedded *p, struct job *job) {
    for (int i = 0; i < n_reads(p, job); i++)
        engine_cancel(p->engine, job->serial + (uint64_t)i); /* one that was told is not there */
    job_free(p, job);
}

static void embedded_cancel(struct reward *r, uint64_t id) {
    struct embedded *p = (struct embedded *)r;
    for (size_t i = 0; i < p->n_jobs; i++) {
        if (p->jobs[i]->id != id) continue;
        job_cancel(p, remove_at(p, i));
        return;
    }
}

static int embedded_work(struct reward *r, double seconds_max, struct err *e) {
    struct embedded *p = (struct embedded *)r;
    UNUSED(seconds_max); /* one forward pass */
    if (p->n_jobs == 0) return 0;
    return engine_step(p->engine, e) < 0 ? -1 : 1;
}

/* The first job with nothing to compute, or NULL. */
static struct job *take_at_once(struct embedded *p) {
    for (size_t i = 0; i < p->n_jobs; i++)
        if (p->jobs[i]->n_wanted == 0) return remove_at(p, i);
    return NULL;
}

static size_t find_serial(const struct embedded *p, uint64_t serial) {
    for (size_t i = 0; i < p->n_jobs; i++)
        if (serial >= p->jobs[i]->serial && serial - p->jobs[i]->serial < (uint64_t)n_reads(p, p->jobs[i]))
            return i;
    ASSERT(!"an event of the engine belongs to a job in flight");
    return 0;
}

/* Takes events until a job has all its outputs; NULL: none has yet. */
static struct job *take_read(struct embedded *p, const float **outputs) {
    const size_t n = (size_t)p->model->prm.n_outputs;
    struct engine_event event = {0};
    while (engine_next(p->engine, &event)) {
        const size_t i = find_serial(p, event.id);
        struct job *job = p->jobs[i];
        *outputs = event.outputs;
        if (!job->outputs) return remove_at(p, i);
        memcpy(job->outputs + (event.id - job->serial) * n, event.outputs, n * sizeof *job->outputs);
        *outputs = job->outputs;
        if (++job->n_told == job->n_wanted) return remove_at(p, i);
    }
    return NULL;
}

/* Turns outputs into the rewards of the places that wanted them; false: they are not numbers. */
static bool take_outputs(const struct embedded *p, const struct job *job, const float *outputs) {
    const struct prm_profile *profile = &p->model->prm;
    for (int i = 0; i < job->n_wanted; i++) {
        const float reward = (float)prm_profile_score(profile, outputs + i * profile->n_outputs);
        if (isnan(reward)) return false;
        job->wanted[i]->reward = reward; /* again, if another job was as fast: the same */
        job->wanted[i]->has_reward = true;
    }
    return true;
}

/* Rewards and costs of the steps between; a cost is a function of positions, whoever read them first. */
static void tell(struct embedded *p, const struct job *job, const float *outputs, struct reward_result *out) {
    if (!take_outputs(p, job, outputs)) {
        out->failed = true;
        out->why = "the reward model's outputs are not numbers";
        return;
    }
    const double one_mark =
        model_flops_per_token(&p->model->config, 1, p->model->prm.n_outputs) - p->base.info.flops_per_token;
    out->n_rewards = job->at->depth - job->from->depth;
    MEM_GROW(p->rewards, p->cap_rewards, (size_t)out->n_rewards);
    for (struct place *x = job->at; x != job->from; x = x->parent) {
        p->rewards[x->depth - job->from->depth - 1] = x->reward;
        add_read(p, &out->cost, x->first, x->ids.len);
        add_read(p, &out->cost, place_end(x), x->closing.len);
        out->cost.flops += one_mark;
        x->is_told = true;
    }
    out->rewards = p->rewards;
    out->prefix = prefix_new(job->at);
}

static bool embedded_next(struct reward *r, struct reward_result *out) {
    struct embedded *p = (struct embedded *)r;
    const float *outputs = NULL;
    struct job *job = take_at_once(p);
    if (!job && !(job = take_read(p, &outputs))) return false;
    out->id = job->id;
    out->failed = job->why != NULL;
    out->why = job->why;
    if (!out->failed) tell(p, job, outputs, out);
    if (job->at) place_leave(p, job->at); /* its pages may go with its prefix */
    job->at = NULL;
    job_free(p, p->told);
    p->told = job;
    return true;
}

static int embedded_in_flight(const struct reward *r) {
    return (int)((const struct embedded *)r)->n_jobs;
}

static struct cost embedded_computed(const struct reward *r) {
    return engine_computed(((const struct embedded *)r)->engine);
}

static struct waste embedded_waste(const struct reward *r) {
    const struct embedded *p = (const struct embedded *)r;
    return (struct waste){.cancelled = p->cancelled, .recomputed = engine_recomputed(p->engine)};
}

static double embedded_cache_bytes(const struct reward *r) {
    return engine_cache_bytes(((const struct embedded *)r)->engine);
}

/* ---- opening and closing ---- */
static void embedded_close(struct reward *r) {
    struct embedded *p = (struct embedded *)r;
    for (size_t i = 0; i < p->n_jobs; i++) job_cancel(p, p->jobs[i]);
    job_free(p, p->told);
    free(p->jobs);
    free(p->rewards);
    if (p->engine) engine_close(p->engine);
    if (p->model) model_close(p->model);
    free(p->separator);
    free(p);
}

static const struct reward_ops embedded_ops = {
    .close = embedded_close,
    .root = embedded_root,
    .root_cost = embedded_root_cost,
    .extend = embedded_extend,
    .release = embedded_release,
    .submit = embedded_submit,
    .cancel = embedded_cancel,
    .work = embedded_work,
    .next = embedded_next,
    .in_flight = embedded_in_flight,
    .computed = embedded_computed,
    .waste = embedded_waste,
    .cache_bytes = embedded_cache_bytes,
};

/* Tokens of a profile's own that come with a step. */
static int count_step_tokens(const struct model *m) {
    struct err e;
    struct tokens ids = {0}, closing = {0}, behind = {0};
    size_t most = 1;
    for (int first = 0; first < 2; first++, ids.len = closing.len = behind.len = 0)
        if (prm_profile_step(m, &m->prm, STR("."), first, &ids, &closing, &behind, &e))
            most = MAX(most, ids.len + closing.len + behind.len);
    tokens_free(&ids);
    tokens_free(&closing);
    tokens_free(&behind);
    return (int)MAX(most, (size_t)2) - 1;
}

static void fill_info(struct embedded *p) {
    const struct model *m = p->model;
    double at_start = model_flops_per_token(&m->config, 1, 0);
    p->base.info = (struct reward_info){
        .kind = "embedded",
        .kv = engine_kv_name(p->engine),
        .n_parameters = (double)model_parameters(m),
        .flops_per_token = at_start,
        .flops_per_position = model_flops_per_token(&m->config, 2, 0) - at_start,
        .n_context = m->config.n_context,
        .n_wanted = engine_wanted(p->engine),
        .n_tokens_step = count_step_tokens(m),
    };
    memcpy(p->base.info.aggregate, m->prm.aggregate, sizeof p->base.info.aggregate);
    const char *parts[] = {m->prm.name,    m->prm.opening,     m->prm.first, m->prm.next,
                           m->prm.closing, chat_name(m->chat), p->separator};
    const int numbers[] = {m->prm.aside,     m->prm.one_line,   (int)m->prm.readout,
                           m->prm.n_outputs, m->prm.outputs[0], m->prm.outputs[1]};
    uint64_t hash = rng_hash(engine_identity(p->engine), numbers, sizeof numbers);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) hash = rng_hash(hash, parts[i], strlen(parts[i]) + 1);
    for (int i = 2; i < m->prm.n_outputs; i++) hash = rng_hash(hash, &m->prm.outputs[i], sizeof(int));
    reward_set_identity(&p->base, hash);
}

/* The model's own profile, or the one that the spec names. */
static bool choose_profile(struct embedded *p, const char *name, struct err *e) {
    if (name) return prm_profile_named(p->model, name, &p->model->prm, e);
    if (p->model->prm.kind != PRM_NONE) return true;
    if (p->model->prm.why[0])
        return err_set(e, ERR_INPUT, "%s; or say how it is read: PATH,profile=NAME (%s, or a file)",
                       p->model->prm.why, prm_profile_names());
    return err_set(e, ERR_INPUT,
                   "%s: nothing here says that this model scores steps; give one that does (lab:prm), or say "
                   "how it is read: PATH,profile=NAME (%s, or a file)",
                   p->model->path, prm_profile_names());
}

struct reward *reward_open_embedded(const char *spec, const struct reward_options *o, struct err *e) {
    struct embedded *p = mem_zalloc(1, sizeof *p);
    enum engine_kv kv;
    const size_t n_path = reward_path_length(spec);
    char *path = str_dup((struct str){spec, n_path});
    p->base.ops = &embedded_ops;
    p->separator = str_dup(reward_separator(o));
    p->model = model_open(path, e);
    free(path);
    if (!p->model || !choose_profile(p, spec[n_path] ? spec + n_path + strlen(REWARD_PROFILE) : NULL, e))
        goto failed;
    if (!quantise_named(p->model, o->weights, o->n_threads, e)) goto failed;
    if (!engine_kv_parse(o->kv, &kv, e)) goto failed;
    p->engine = engine_open(p->model, &(struct engine_options){.n_threads = o->n_threads, .kv = kv}, e);
    if (!p->engine) goto failed;
    model_drop_tensors(p->model);
    fill_info(p);
    return &p->base;
failed:
    embedded_close(&p->base);
    return NULL;
}

struct reward *reward_open_lab(const char *name, const struct reward_options *o, struct err *e) {
    struct buf place = {0};
    const size_t n_name = reward_path_length(name);
    buf_printf(&place, "models/%.*s", (int)n_name, name);
    char *path = share_path(buf_cstr(&place), e);
    buf_clear(&place);
    if (path) buf_printf(&place, "%s%s", path, name + n_name);
    struct reward *r = path ? reward_open_embedded(buf_cstr(&place), o, e) : NULL;
    buf_free(&place);
    free(path);
    return r;
}
