/* profile.c - see profile.h. */
#include "reward/profile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/rng.h"

enum { FILE_BYTES_MAX = 1 << 16 };

static const char judge_system[] = "You check solutions of problems, step by step.";
static const char judge_question[] =
    "Problem:\n{problem}\n\nA solution so far:\n\n{steps}\n\nJudge step {n}, the last one, with all steps "
    "before it given: is what it says true, and does it lead to the right answer? Check its calculations. "
    "Write a short reason. Then end your reply with a line of its own that says\n\nSCORE: N\n\nwhere N is a "
    "whole number from 0 (step {n} is surely wrong) to 100 (it is surely right), and nothing after it.";

static void set_name(struct profile *p, enum way way, const char *name, const char *aggregate) {
    p->way = way;
    snprintf(p->name, sizeof p->name, "%s", name);
    snprintf(p->aggregate, sizeof p->aggregate, "%s", aggregate);
}

/* ---- a judge's words ---- */
struct writer {
    const char *problem, *steps;
    int n;
    struct buf *out;
};

static bool put_part(void *ctx, struct str part, bool is_field, struct err *e) {
    struct writer *w = ctx;
    if (!is_field)
        buf_add_str(w->out, part);
    else if (str_equal(part, STR("problem")))
        buf_add_str(w->out, str_from(w->problem));
    else if (str_equal(part, STR("steps")))
        buf_add_str(w->out, str_from(w->steps));
    else if (str_equal(part, STR("n")))
        buf_printf(w->out, "%d", w->n);
    else
        return err_set(e, ERR_INPUT,
                       "a judge's question has {%.*s}: {problem}, {steps}, {n} and {{ are known",
                       (int)MIN(part.len, 40u), part.ptr);
    return true;
}

void profile_write_question(const struct profile *p, const char *problem, const char *steps, int n,
                            struct buf *out) {
    struct writer w = {problem, steps, n, out};
    struct err e;
    const bool done = prm_profile_walk(p->question, put_part, &w, &e);
    ASSERT(done); /* it was tried when it was opened */
}

static bool check_keys(const json_t *root, const char *where, struct err *e) {
    static const char *const known[] = {"name", "judge", "system", "aggregate"};
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)root, key, value) {
        size_t i = 0;
        while (i < ARRAY_LEN(known) && strcmp(key, known[i]) != 0) i++;
        if (i == ARRAY_LEN(known))
            return err_set(e, ERR_INPUT,
                           "%s: key \"%.40s\" is unknown: a judge's profile has name, judge, system and "
                           "aggregate",
                           where, key);
    }
    return true;
}

static bool judge_of(const json_t *root, const char *where, struct profile *p, struct err *e) {
    static const char *const aggregates[] = {"last", "min", "prod", "mean"};
    const char *name, *question, *system, *aggregate;
    struct buf tried = {0};
    size_t i = 0;
    if (!check_keys(root, where, e) || !json_want_string(root, "judge", &question, where, e) ||
        !json_get_string(root, "name", "judge", &name, where, e) ||
        !json_get_string(root, "system", NULL, &system, where, e) ||
        !json_get_string(root, "aggregate", "min", &aggregate, where, e))
        return false;
    while (i < ARRAY_LEN(aggregates) && strcmp(aggregate, aggregates[i]) != 0) i++;
    if (i == ARRAY_LEN(aggregates))
        return err_set(e, ERR_INPUT, "%s: aggregate \"%.40s\" is unknown: last, min, prod or mean", where,
                       aggregate);
    struct writer w = {"problem", "\x01", 1, &tried};
    bool done = prm_profile_walk(question, put_part, &w, e);
    if (!done) err_wrap(e, "%s", where);
    if (done && str_find(buf_str(&tried), STR("\x01")) < 0)
        done = err_set(e, ERR_INPUT, "%s: \"judge\" has no {steps} in it", where);
    buf_free(&tried);
    if (!done) return false;
    set_name(p, WAY_JUDGE, name, aggregate);
    p->question = mem_strdup(question);
    p->system = system ? mem_strdup(system) : NULL;
    return true;
}

/* ---- opening ---- */
static bool words_of(const char *name, struct profile *p, struct err *e) {
    if (!prm_profile_words(name, &p->words, e)) return false;
    set_name(p,
             p->words.good[0] ? WAY_LOGPROB
             : p->words.whole ? WAY_CLASSIFY
                              : WAY_POOLING,
             p->words.profile.name, p->words.profile.aggregate);
    if (p->way != WAY_LOGPROB || p->words.bad[0]) return true;
    return err_set(e, ERR_INPUT,
                   "profile %s: behind a server a word is scored against another: give \"good\" and \"bad\"",
                   p->name);
}

static bool open_file(const char *path, struct profile *p, struct err *e) {
    json_t *root = json_read_file(path, FILE_BYTES_MAX, e);
    const bool done =
        root && (json_object_get(root, "judge") ? judge_of(root, path, p, e) : words_of(path, p, e));
    json_decref(root);
    return done;
}

static bool is_known(const char *name) {
    const char *names = prm_profile_names();
    const size_t n = strlen(name);
    for (const char *at = strstr(names, name); n > 0 && at; at = strstr(at + 1, name))
        if ((at == names || at[-1] == ' ') && (at[n] == ',' || at[n] == '\0')) return true;
    return false;
}

bool profile_open(const char *name, const char *model, struct profile *out, struct err *e) {
    *out = (struct profile){0};
    if (!name) {
        name = prm_profile_suits(model);
        if (!name && str_find(str_from(model), STR("rerank")) >= 0) name = "rerank";
        if (!name)
            return err_set(
                e, ERR_INPUT,
                "reward model %s: say how it scores steps, as in URL#model,profile=NAME: judge, rerank, "
                "score, %s, or a profile's file",
                model, prm_profile_names());
    }
    if (strcmp(name, "judge") == 0) {
        set_name(out, WAY_JUDGE, name, "min");
        out->system = mem_strdup(judge_system);
        out->question = mem_strdup(judge_question);
    } else if (strcmp(name, "rerank") == 0) {
        set_name(out, WAY_RERANK, name, "last");
    } else if (strcmp(name, "score") == 0) {
        set_name(out, WAY_SCORE, name, "last");
    } else if (is_known(name)) {
        return words_of(name, out, e);
    } else if (strchr(name, '.') || strchr(name, '/')) {
        return open_file(name, out, e);
    } else {
        return err_set(e, ERR_INPUT, "profile '%s' is unknown: judge, rerank, score, %s, or a profile's file",
                       name, prm_profile_names());
    }
    return true;
}

void profile_fini(struct profile *p) {
    free(p->system);
    free(p->question);
    *p = (struct profile){0};
}

uint64_t profile_hash(const struct profile *p) {
    const struct prm_profile *w = &p->words.profile;
    const char *const texts[] = {w->opening,    w->first,     w->next,   w->closing,
                                 p->words.good, p->words.bad, p->system, p->question};
    const int numbers[] = {(int)p->way, w->aside, w->one_line, (int)w->readout};
    uint64_t hash = rng_hash(0, numbers, sizeof numbers);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        hash = rng_hash(hash, texts[i] ? texts[i] : "", texts[i] ? strlen(texts[i]) + 1 : 1);
    return hash;
}

const char *profile_talks(const struct profile *p, enum way_server server) {
    static const char *const talks[] = {
        [WAY_POOLING] = "/pooling with token ids: a probability a step",
        [WAY_CLASSIFY] = "/classify with token ids: a probability of the solution up to each step",
        [WAY_LOGPROB] = "/v1/completions with token ids: probabilities of two words behind each step",
        [WAY_SCORE] = "/v1/score with texts: problem and solution up to each step",
        [WAY_RERANK] = "/v1/rerank with texts: solutions up to each step, for the problem",
        [WAY_JUDGE] = "/v1/chat/completions: asked about each step, the reply ends with SCORE: N",
    };
    if (p->way == WAY_LOGPROB && server == WAY_SGLANG)
        return "/generate (SGLang) with token ids: probabilities of two words behind each step";
    if (p->way == WAY_LOGPROB && server == WAY_IK)
        return "/v1/completions (ik_llama.cpp) with token ids: probabilities of two words behind each step";
    if (p->way == WAY_LOGPROB && server == WAY_LLAMA)
        return "/completion (llama-server) with token ids: probabilities of two words behind each step";
    return talks[p->way];
}
