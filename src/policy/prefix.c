/* prefix.c - see prefix.h. */
#include "policy/prefix.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"

enum { TEMPLATE_TOKENS_MAX = 512 }; /* of a chat format */

static bool is_chat(const struct prefixes *p) {
    return p->leads.at.form == WIRE_CHAT;
}

static void add_turn(struct policy_prefix *prefix, struct str text) {
    MEM_GROW(prefix->turns, prefix->cap, prefix->n_turns + 1);
    prefix->turns[prefix->n_turns++] = str_dup(text);
}

static void add_tail(struct policy_prefix *prefix, struct str text) {
    const size_t n = MIN(text.len, (size_t)PREFIX_TAIL_BYTES_MAX);
    const size_t n_kept = MIN(prefix->n_tail, PREFIX_TAIL_BYTES_MAX - n);
    memmove(prefix->tail, prefix->tail + prefix->n_tail - n_kept, n_kept);
    if (n > 0) memcpy(prefix->tail + n_kept, text.ptr + text.len - n, n);
    prefix->n_tail = n_kept + n;
}

/* With all that does not come from the server. */
static struct policy_prefix *prefix_new(const struct policy_prefix *from) {
    struct policy_prefix *prefix = mem_zalloc(1, sizeof *prefix);
    prefix->state = RENDER_DONE;
    prefix->n_users = 1;
    if (!from) return prefix;
    for (size_t i = 0; i < from->n_turns; i++) add_turn(prefix, str_from(from->turns[i]));
    memcpy(prefix->tail, from->tail, from->n_tail);
    prefix->n_tail = from->n_tail;
    prefix->system = from->system ? mem_strdup(from->system) : NULL;
    prefix->begin = from->begin;
    prefix->affinity = from->affinity;
    prefix->ended = from->ended;
    return prefix;
}

static void add_unread(struct prefixes *p, struct policy_prefix *prefix) {
    prefix->state = RENDER_ASKED;
    MEM_GROW(p->unread, p->cap, p->n_unread + 1);
    p->unread[p->n_unread++] = prefix;
}

static void remove_unread(struct prefixes *p, const struct policy_prefix *prefix) {
    size_t i = 0;
    while (p->unread[i] != prefix) i++;
    p->n_unread--;
    memmove(p->unread + i, p->unread + i + 1, (p->n_unread - i) * sizeof(struct policy_prefix *));
}

static void forget_sources(struct prefixes *p, struct policy_prefix *prefix) {
    if (prefix->rendering) rendering_fini(prefix->rendering);
    free(prefix->rendering);
    prefix_release(p, prefix->from);
    prefix->rendering = NULL;
    prefix->from = NULL;
}

void prefix_release(struct prefixes *p, struct policy_prefix *prefix) {
    if (!prefix || --prefix->n_users > 0) return;
    if (prefix->state == RENDER_ASKED) remove_unread(p, prefix);
    forget_sources(p, prefix);
    wire_ids_free(&prefix->ids);
    for (size_t i = 0; i < prefix->n_turns; i++) free(prefix->turns[i]);
    free(prefix->turns);
    free(prefix->system);
    free(prefix->why);
    free(prefix);
}

void prefixes_fini(struct prefixes *p) {
    ASSERT(p->n_unread == 0);
    lead_ids_free(&p->leads);
    free(p->unread);
}

bool prefixes_full(const struct prefixes *p, size_t n_ids) {
    return p->info->n_context > 0 && n_ids >= (size_t)p->info->n_context;
}

double prefix_carries(const struct prefixes *p, const struct policy_prefix *prefix) {
    if (!is_chat(p)) return (double)prefix->ids.len + (prefix->from ? prefix_carries(p, prefix->from) : 0);
    const char *system = prefix->system ? prefix->system : p->system;
    double n = (double)((system ? strlen(system) : 0) + TEMPLATE_TOKENS_MAX);
    for (size_t i = 0; i < prefix->n_turns; i++) n += (double)strlen(prefix->turns[i]);
    return n;
}

/* ---- making them ---- */
struct policy_prefix *prefix_root(struct prefixes *p, const struct policy_prompt *prompt) {
    const struct policy_talk *talk = &prompt->talk;
    struct policy_prefix *root = prefix_new(NULL);
    if (talk->system) root->system = mem_strdup(talk->system);
    for (size_t i = 0; i < talk->n_turns; i++) add_turn(root, str_from(talk->turns[i]));
    add_turn(root, str_from(prompt->text));
    /* A conversation stays with the server that its first question went to: the prefix is there. */
    root->affinity = rng_hash(0, root->turns[0], strlen(root->turns[0]));
    if (is_chat(p)) return root;
    root->rendering = mem_zalloc(1, sizeof *root->rendering);
    if (talk->raw)
        rendering_begun(root->rendering, &p->leads.at, prompt->text, root->affinity);
    else
        rendering_turns(root->rendering, &p->leads.at, root->system ? root->system : p->system,
                        (const char *const *)root->turns, root->n_turns, root->affinity);
    for (size_t i = 0; i < root->n_turns; i++) free(root->turns[i]);
    root->n_turns = 0;
    add_unread(p, root);
    return root;
}

/* Text behind `from`, and where it ends. */
static struct policy_prefix *begin_after(const struct prefixes *p, const struct policy_prefix *from,
                                         enum policy_lead lead, struct str words, struct str written,
                                         bool ended) {
    struct policy_prefix *prefix = prefix_new(from);
    if (is_chat(p) && lead != POLICY_LEAD_NONE) add_turn(prefix, words);
    if (is_chat(p)) add_turn(prefix, written);
    add_tail(prefix, words);
    add_tail(prefix, written);
    prefix->ended = ended || is_chat(p);
    return prefix;
}

struct policy_prefix *prefix_after(const struct prefixes *p, const struct policy_prefix *from,
                                   const struct wire_ids *ids, enum policy_lead lead, struct str words,
                                   struct str written, bool ended) {
    struct policy_prefix *prefix = begin_after(p, from, lead, words, written, ended);
    wire_ids_add(&prefix->ids, ids->ptr, ids->len);
    if (lead == POLICY_LEAD_REVISE) prefix->begin = ids->len;
    return prefix;
}

static enum render_state settle(struct prefixes *p, struct policy_prefix *prefix);

struct policy_prefix *prefix_extend(struct prefixes *p, struct policy_prefix *from,
                                    const struct policy_piece *piece) {
    const struct str words = {piece->text.ptr, piece->n_lead_bytes};
    const struct str written = piece->n_lead_bytes > 0
                                   ? (struct str){piece->text.ptr + words.len, piece->text.len - words.len}
                                   : piece->text;
    struct policy_prefix *prefix = begin_after(p, from, piece->lead, words, written, piece->ended);
    if (is_chat(p)) return prefix;
    prefix->lead = piece->lead;
    prefix->n_lead_tokens = (size_t)piece->n_lead_tokens;
    wire_ids_add(&prefix->ids, piece->tokens, (size_t)(piece->n_lead_tokens + piece->n_tokens));
    prefix->from = from;
    from->n_users++;
    add_unread(p, prefix);
    if (settle(p, prefix) != RENDER_ASKED) remove_unread(p, prefix);
    return prefix;
}

/* ---- reading them ---- */
static enum render_state refuse(struct policy_prefix *prefix, const char *why) {
    prefix->why = mem_strdup(why);
    return RENDER_REFUSED;
}

static enum render_state settle_root(struct prefixes *p, struct policy_prefix *root) {
    struct rendering *x = root->rendering;
    if (x->state == RENDER_REFUSED) return refuse(root, x->why.msg);
    if (x->state != RENDER_DONE) return RENDER_ASKED;
    struct err e;
    if (prefixes_full(p, x->ids.len)) {
        err_set(&e, ERR_INPUT,
                "the problem takes %zu tokens, and %s reads %d in all: shorten it, or use another policy",
                x->ids.len, p->info->name, p->info->n_context);
        return refuse(root, e.msg);
    }
    root->ids = x->ids;
    x->ids = (struct wire_ids){0};
    root->begin = root->ids.len;
    return RENDER_DONE;
}

static enum render_state settle_behind(struct prefixes *p, struct policy_prefix *prefix) {
    const struct policy_prefix *from = prefix->from;
    struct wire_ids head = {0};
    struct err e = {0};
    bool is_open;
    if (from->state == RENDER_REFUSED) return refuse(prefix, from->why);
    if (from->state != RENDER_DONE) return RENDER_ASKED;
    enum render_state state = RENDER_DONE;
    if (prefix->lead == POLICY_LEAD_NONE)
        wire_ids_add(&head, from->ids.ptr, from->ids.len);
    else
        state = prefix_head(p, from, prefix->lead, &head, &is_open, &e);
    if (state == RENDER_REFUSED) refuse(prefix, e.msg);
    if (state == RENDER_DONE) {
        prefix->begin = prefix->lead == POLICY_LEAD_REVISE ? head.len + prefix->n_lead_tokens : from->begin;
        wire_ids_add(&head, prefix->ids.ptr, prefix->ids.len);
        wire_ids_free(&prefix->ids);
        prefix->ids = head;
        return RENDER_DONE;
    }
    wire_ids_free(&head);
    return state;
}

static enum render_state settle(struct prefixes *p, struct policy_prefix *prefix) {
    prefix->state = prefix->rendering ? settle_root(p, prefix) : settle_behind(p, prefix);
    if (prefix->state != RENDER_ASKED) forget_sources(p, prefix);
    return prefix->state;
}

void prefixes_work(struct prefixes *p) {
    size_t n = 0;
    for (size_t i = 0; i < p->n_unread; i++) { /* parents come before children */
        struct policy_prefix *prefix = p->unread[i];
        if (settle(p, prefix) == RENDER_ASKED) p->unread[n++] = prefix;
    }
    p->n_unread = n;
}

enum render_state prefix_head(struct prefixes *p, const struct policy_prefix *from, enum policy_lead lead,
                              struct wire_ids *head, bool *is_open, struct err *e) {
    struct thought_marks marks = {-1, -1};
    enum render_state state = RENDER_DONE;
    bool is_end = false;
    if (lead != POLICY_LEAD_REVISE) state = lead_ids_marks(&p->leads, from->affinity, &marks, e);
    if (state != RENDER_DONE) return state;
    const struct thought t = thought_of(&marks, from->ids.ptr, from->ids.len, from->begin);
    *is_open = t.is_open;
    if (lead == POLICY_LEAD_WAIT && t.closed_at < from->ids.len) {
        wire_ids_add(head, from->ids.ptr, t.closed_at);
        return RENDER_DONE;
    }
    if (from->ended && from->ids.len > 0)
        state = lead_ids_is_end(&p->leads, from->ids.ptr[from->ids.len - 1],
                                (struct str){from->tail, from->n_tail}, from->affinity, &is_end, e);
    if (state == RENDER_DONE) wire_ids_add(head, from->ids.ptr, from->ids.len - (size_t)is_end);
    return state;
}
