/* lead_ids.c - see lead_ids.h. */
#include "policy/lead_ids.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void lead_words_fini(struct lead_words *x) {
    rendering_fini(&x->both[0]);
    rendering_fini(&x->both[1]);
    free(x->words);
    *x = (struct lead_words){0};
}

void lead_ids_free(struct lead_ids *l) {
    for (size_t i = 0; i < l->n_kept; i++) {
        lead_words_fini(l->kept[i]);
        free(l->kept[i]);
    }
    for (size_t i = 0; i < l->n_tokens; i++) {
        rendering_fini(&l->tokens[i]->text);
        free(l->tokens[i]);
    }
    free(l->kept);
    free(l->tokens);
    *l = (struct lead_ids){0};
}

/* ---- words ---- */
static void ask_words(const struct lead_ids *l, struct lead_words *x, const char *words, bool turn,
                      uint64_t affinity) {
    x->words = mem_strdup(words);
    x->turn = turn;
    if (!turn) rendering_cut(&x->both[0], &l->at, words, affinity);
    for (int i = 0; turn && i < 2; i++) {
        const char *const turns[] = {"x", i ? "b" : "a", words};
        rendering_turns(&x->both[i], &l->at, l->system, turns, 3, affinity);
    }
}

static struct lead_words *keep_words(struct lead_ids *l, const char *words, bool turn) {
    for (size_t i = 0; i < l->n_kept; i++)
        if (l->kept[i]->turn == turn && strcmp(l->kept[i]->words, words) == 0) return l->kept[i];
    MEM_GROW(l->kept, l->cap_kept, l->n_kept + 1);
    return l->kept[l->n_kept++] = mem_zalloc(1, sizeof *l->kept[0]);
}

/* What both conversations end with. */
static enum render_state add_ending(const struct lead_ids *l, const struct lead_words *x,
                                    struct wire_ids *out, struct err *e) {
    const struct wire_ids *a = &x->both[0].ids, *b = &x->both[1].ids;
    const size_t n_most = MIN(a->len, b->len);
    size_t n = 0;
    while (n < n_most && a->ptr[a->len - 1 - n] == b->ptr[b->len - 1 - n]) n++;
    if (n == 0 || n == n_most) {
        err_set(e, ERR_INPUT, "%s: its chat template does not write a conversation of three turns",
                l->at.model);
        return RENDER_REFUSED;
    }
    wire_ids_add(out, a->ptr + a->len - n, n);
    return RENDER_DONE;
}

enum render_state lead_ids_add(struct lead_ids *l, const char *words, bool turn, struct lead_words *own,
                               uint64_t affinity, struct wire_ids *out, struct err *e) {
    struct lead_words *x = own ? own : keep_words(l, words, turn);
    if (!x->words) ask_words(l, x, words, turn, affinity);
    for (int i = 0; i < 1 + turn; i++) {
        if (x->both[i].state == RENDER_REFUSED) *e = x->both[i].why;
        if (x->both[i].state != RENDER_DONE) return x->both[i].state;
    }
    if (turn) return add_ending(l, x, out, e);
    wire_ids_add(out, x->both[0].ids.ptr, x->both[0].ids.len);
    return RENDER_DONE;
}

/* ---- marks and tokens ---- */
static enum render_state find_mark(struct lead_ids *l, const char *text, uint64_t affinity, int *id,
                                   struct err *e) {
    struct wire_ids ids = {0};
    const enum render_state state = lead_ids_add(l, text, false, NULL, affinity, &ids, e);
    *id = ids.len == 1 ? ids.ptr[0] : -1;
    wire_ids_free(&ids);
    return state;
}

enum render_state lead_ids_marks(struct lead_ids *l, uint64_t affinity, struct thought_marks *out,
                                 struct err *e) {
    const enum render_state open = find_mark(l, THOUGHT_OPEN, affinity, &out->open, e);
    const enum render_state close = find_mark(l, THOUGHT_CLOSE, affinity, &out->close, e);
    return open == RENDER_DONE ? close : open;
}

enum render_state lead_ids_text(struct lead_ids *l, int id, uint64_t affinity, const char **text) {
    size_t i = 0;
    while (i < l->n_tokens && l->tokens[i]->id != id) i++;
    if (i == l->n_tokens) {
        MEM_GROW(l->tokens, l->cap_tokens, l->n_tokens + 1);
        struct lead_token *x = l->tokens[l->n_tokens++] = mem_zalloc(1, sizeof *x);
        x->id = id;
        rendering_token(&x->text, &l->at, id, affinity);
    }
    *text = l->tokens[i]->text.text;
    return l->tokens[i]->text.state;
}

enum render_state lead_ids_is_end(struct lead_ids *l, int id, struct str tail, uint64_t affinity,
                                  bool *is_end, struct err *e) {
    const char *text;
    enum render_state state = lead_ids_text(l, id, affinity, &text);
    if (state != RENDER_DONE) return state;
    if (text) {
        *is_end = text[0] == '\0' || !str_ends(tail, str_from(text));
        return RENDER_DONE;
    }
    struct wire_ids turn = {0};
    state = lead_ids_add(l, "x", true, NULL, affinity, &turn, e);
    *is_end = state == RENDER_DONE && turn.ptr[0] == id;
    wire_ids_free(&turn);
    return state;
}
