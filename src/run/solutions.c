/* solutions.c - collecting solutions. */
#include "run/solutions.h"

#include <stdlib.h>

#include "answer/extract.h"
#include "base/mem.h"

struct solutions *solutions_new(void) {
    struct solutions *s = mem_zalloc(1, sizeof *s);
    s->classes = select_classes_new();
    return s;
}

void solutions_free(struct solutions *s) {
    if (!s) return;
    for (size_t i = 0; i < s->n; i++) {
        free(s->items[i].path);
        free(s->items[i].text);
        free(s->items[i].answer);
        free(s->items[i].rewards);
        free(s->items[i].confidences);
    }
    free(s->items);
    free(s->view);
    select_classes_free(s->classes);
    free(s);
}

void solutions_add(struct solutions *s, const char *path, struct str text, const float *rewards,
                   int n_rewards, bool complete, int n_tokens, double logprob) {
    const size_t cap_before = s->cap;
    MEM_GROW(s->items, s->cap, s->n + 1);
    if (s->cap != cap_before) s->view = mem_realloc(s->view, s->cap, sizeof *s->view);
    struct str answer;
    const bool answered = answer_extract(text, 0, &answer, NULL);
    struct solution *x = &s->items[s->n];
    *x = (struct solution){
        .path = mem_strdup(path),
        .text = str_dup(text),
        .answer = answered ? str_dup(answer) : NULL,
        .rewards = n_rewards > 0 ? mem_dup(rewards, (size_t)n_rewards * sizeof *rewards) : NULL,
        .n_rewards = n_rewards > 0 ? n_rewards : 0,
        .complete = complete,
        .n_tokens = n_tokens,
        .logprob = logprob,
    };
    s->view[s->n++] = (struct select_solution){
        .answer_class = answered ? select_classes_add_answer(s->classes, answer) : -1,
        .complete = complete,
        .rewards = x->rewards,
        .n_rewards = x->n_rewards,
        .verified = SELECT_UNKNOWN,
    };
}

void solutions_add_confidences(struct solutions *s, float *confidences, int n) {
    ASSERT(s->n > 0);
    s->items[s->n - 1].confidences = confidences;
    s->items[s->n - 1].n_confidences = confidences ? n : 0;
}

void solutions_add_verdict(struct solutions *s, int verdict) {
    ASSERT(s->n > 0);
    s->view[s->n - 1].verified = verdict < 0 ? SELECT_UNKNOWN : verdict ? SELECT_VERIFIED : SELECT_REJECTED;
}

void solutions_weigh(struct solutions *s, const struct select_confidence *how) {
    struct select_tokens *tokens = mem_zalloc(s->n, sizeof *tokens);
    for (size_t i = 0; i < s->n; i++)
        tokens[i] = (struct select_tokens){s->items[i].confidences, s->items[i].n_confidences};
    select_set_confidences(s->view, tokens, (int)s->n, how);
    free(tokens);
}

void solutions_follow(const struct search_advice *a, enum select_rule *rule, enum aggregate *aggregate) {
    struct err e;
    enum select_rule advised;
    if (*rule == SELECT_RULES && a->select && select_rule_parse(a->select, &advised, &e)) *rule = advised;
    if (*aggregate == AGGREGATES) *aggregate = a->aggregate;
}

struct select_choice solutions_choose(const struct solutions *s, enum select_rule rule,
                                      enum aggregate aggregate) {
    return select_choose(rule, aggregate, s->view, NULL, (int)s->n);
}
