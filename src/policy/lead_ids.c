/* lead_ids.c - see lead_ids.h. */
#include "policy/lead_ids.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void lead_ids_free(struct lead_ids *l) {
    for (size_t i = 0; i < l->n_entries; i++) {
        free(l->entries[i].words);
        wire_ids_free(&l->entries[i].ids);
    }
    for (size_t i = 0; i < l->n_tokens; i++) free(l->tokens[i].text);
    free(l->entries);
    free(l->tokens);
    *l = (struct lead_ids){0};
}

static bool find_turn(struct lead_ids *l, const char *words, uint64_t affinity, struct wire_ids *out,
                      struct err *e) {
    struct wire_ids both[2] = {{0}, {0}};
    bool done = true;
    for (int i = 0; done && i < 2; i++) {
        const char *const turns[] = {"x", i ? "b" : "a", words};
        done = render_turns(l->remote, -1, l->form, l->model, l->system, turns, 3, affinity, l->seconds_max,
                            &both[i], e);
    }
    size_t n = 0;
    const size_t n_most = MIN(both[0].len, both[1].len);
    while (n < n_most && both[0].ptr[both[0].len - 1 - n] == both[1].ptr[both[1].len - 1 - n]) n++;
    if (done && (n == 0 || n == n_most))
        done = err_set(e, ERR_INPUT, "%s: its chat template does not write a conversation of three turns",
                       l->model);
    if (done) wire_ids_add(out, both[0].ptr + both[0].len - n, n);
    wire_ids_free(&both[0]);
    wire_ids_free(&both[1]);
    return done;
}

bool lead_ids_add(struct lead_ids *l, const char *words, bool turn, bool keep, uint64_t affinity,
                  struct wire_ids *out, struct err *e) {
    for (size_t i = 0; i < l->n_entries; i++) {
        const struct lead_entry *x = &l->entries[i];
        if (x->turn != turn || strcmp(x->words, words) != 0) continue;
        wire_ids_add(out, x->ids.ptr, x->ids.len);
        return true;
    }
    struct wire_ids ids = {0};
    const bool done =
        turn ? find_turn(l, words, affinity, &ids, e)
             : render_cut(l->remote, l->form, l->model, words, affinity, l->seconds_max, &ids, e);
    if (done) wire_ids_add(out, ids.ptr, ids.len);
    if (!done || !keep) {
        wire_ids_free(&ids);
        return done;
    }
    MEM_GROW(l->entries, l->cap_entries, l->n_entries + 1);
    l->entries[l->n_entries++] = (struct lead_entry){mem_strdup(words), turn, ids};
    return true;
}

static bool find_mark(struct lead_ids *l, const char *text, uint64_t affinity, int *id, struct err *e) {
    struct wire_ids ids = {0};
    const bool done = render_cut(l->remote, l->form, l->model, text, affinity, l->seconds_max, &ids, e);
    *id = done && ids.len == 1 ? ids.ptr[0] : -1;
    wire_ids_free(&ids);
    return done;
}

bool lead_ids_marks(struct lead_ids *l, uint64_t affinity, struct thought_marks *out, struct err *e) {
    l->knows_marks = l->knows_marks || (find_mark(l, THOUGHT_OPEN, affinity, &l->marks.open, e) &&
                                        find_mark(l, THOUGHT_CLOSE, affinity, &l->marks.close, e));
    *out = l->marks;
    return l->knows_marks;
}

bool lead_ids_text(struct lead_ids *l, int id, uint64_t affinity, const char **text, struct err *e) {
    size_t i = 0;
    while (i < l->n_tokens && l->tokens[i].id != id) i++;
    if (i == l->n_tokens) {
        struct lead_token x = {.id = id};
        if (!render_token_text(l->remote, l->model, id, affinity, l->seconds_max, &x.text, e)) return false;
        MEM_GROW(l->tokens, l->cap_tokens, l->n_tokens + 1);
        l->tokens[l->n_tokens++] = x;
    }
    *text = l->tokens[i].text;
    return true;
}

bool lead_ids_is_end(struct lead_ids *l, int id, struct str tail, uint64_t affinity, bool *is_end,
                     struct err *e) {
    const char *text;
    if (!lead_ids_text(l, id, affinity, &text, e)) return false;
    if (text) {
        *is_end = text[0] == '\0' || !str_ends(tail, str_from(text));
        return true;
    }
    struct wire_ids turn = {0};
    const bool done = lead_ids_add(l, "x", true, true, affinity, &turn, e);
    *is_end = done && turn.ptr[0] == id;
    wire_ids_free(&turn);
    return done;
}
