/* pattern.c - see pattern.h. */
#include "reward/pattern.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static void pattern_fini(struct pattern *x) {
    wire_ids_free(&x->before);
    wire_ids_free(&x->after);
    free(x->head);
    free(x->tail);
}

void patterns_fini(struct patterns *p) {
    pattern_fini(&p->opening);
    pattern_fini(&p->first);
    pattern_fini(&p->next);
    pattern_fini(&p->closing);
    for (size_t i = 0; i < p->n_names; i++) free(p->names[i]);
    free(p->names);
    wire_ids_free(&p->line_break);
    *p = (struct patterns){0};
}

/* ---- what users and models wrote ---- */
static bool begins_token(const struct patterns *p, struct str text) {
    if (str_starts(text, STR("<|")) || str_starts(text, STR("<s>")) || str_starts(text, STR("</s>")))
        return true;
    for (size_t i = 0; i < p->n_names; i++)
        if (str_starts(text, str_from(p->names[i]))) return true;
    return false;
}

void pattern_put_plain(const struct patterns *p, struct str text, struct buf *out) {
    for (size_t i = 0; i < text.len; i++) {
        const char c = text.ptr[i];
        buf_add_char(out, p->one_line && (c == '\n' || c == '\r') ? ' ' : c);
        if (begins_token(p, (struct str){text.ptr + i, text.len - i})) buf_add_char(out, ' ');
    }
}

/* ---- what the server is asked ---- */
static void put_cut(const struct patterns *p, bool inside, const struct render_at *at, const char *text,
                    struct buf *out) {
    struct buf all = {0};
    buf_printf(&all, "%s%s", inside && p->line_break.len > 0 ? "\n" : "", text);
    wire_put_plain(out, at->form, at->model, buf_cstr(&all));
    buf_free(&all);
}

void pattern_put(const struct patterns *p, const struct pattern *x, const struct render_at *at,
                 struct str filled_in, struct buf *out) {
    struct buf text = {0};
    if (x->slot == PATTERN_TEXT) buf_add_str(&text, str_from(x->head));
    pattern_put_plain(p, filled_in, &text);
    if (x->slot == PATTERN_TEXT) {
        buf_add_str(&text, str_from(x->tail));
        put_cut(p, x->inside, at, buf_cstr(&text), out);
    } else {
        const char *const turn = buf_cstr(&text);
        wire_put_messages(out, at->model, NULL, &turn, 1);
    }
    buf_free(&text);
}

/* Appends ids without the line break that they were cut behind. */
static bool add_inside(const struct patterns *p, bool inside, const struct wire_ids *ids,
                       struct wire_ids *out, struct err *e) {
    const struct wire_ids *lead = &p->line_break;
    const size_t n = inside ? lead->len : 0;
    if (n > 0 && (ids->len < n || memcmp(ids->ptr, lead->ptr, n * sizeof *lead->ptr) != 0))
        return wire_senseless(e, "a text behind a line break that is cut without it");
    wire_ids_add(out, ids->ptr + n, ids->len - n);
    return true;
}

bool pattern_take(const struct patterns *p, const struct pattern *x, const json_t *answer,
                  struct wire_ids *out, struct err *e) {
    struct wire_ids ids = {0};
    wire_ids_add(out, x->before.ptr, x->before.len);
    const bool done =
        wire_take_ids(answer, &ids, e) && add_inside(p, x->slot == PATTERN_TEXT && x->inside, &ids, out, e);
    wire_ids_add(out, x->after.ptr, x->after.len);
    wire_ids_free(&ids);
    return done;
}

/* ---- compiling ---- */
struct compiler {
    struct patterns *p;
    const struct render_at *at;
    struct pattern *x;
    struct buf run; /* text that is not cut yet */
    bool has_slot;  /* what is filled in stands in that text, behind so many bytes of it */
    size_t n_head;
    bool inside, behind; /* behind text; behind what is filled in */
};

static bool cut(const struct compiler *c, const char *text, bool inside, struct wire_ids *out,
                struct err *e) {
    struct wire_ids ids = {0};
    struct buf all = {0};
    inside = inside && c->p->line_break.len > 0;
    buf_printf(&all, "%s%s", inside ? "\n" : "", text);
    const bool done = render_cut(c->at, buf_cstr(&all), &ids, e) && add_inside(c->p, inside, &ids, out, e);
    buf_free(&all);
    wire_ids_free(&ids);
    return done;
}

static struct wire_ids *constants(struct compiler *c) {
    return c->behind ? &c->x->after : &c->x->before;
}

static bool flush(struct compiler *c, struct err *e) {
    bool done = true;
    if (c->has_slot) {
        const char *all = buf_cstr(&c->run);
        c->x->head = str_dup((struct str){all, c->n_head});
        c->x->tail = mem_strdup(all + c->n_head);
        c->x->slot = PATTERN_TEXT;
        c->x->inside = c->inside;
        c->has_slot = false;
        c->behind = true;
    } else if (c->run.len > 0) {
        done = cut(c, buf_cstr(&c->run), c->inside, constants(c), e);
    } else {
        return true;
    }
    c->inside = true;
    buf_clear(&c->run);
    return done;
}

static bool put_slot(struct compiler *c, struct err *e) {
    if (c->has_slot || c->x->slot != PATTERN_NOTHING)
        return err_set(e, ERR_INPUT,
                       "a profile's text has more than one {problem} or {chat}: a server reads one");
    c->has_slot = true;
    c->n_head = c->run.len;
    return true;
}

static bool put_token(struct compiler *c, struct str name, bool named, struct err *e) {
    if (!flush(c, e)) return false;
    char *text = str_dup(name);
    struct wire_ids ids = {0};
    bool done = cut(c, text, !named, &ids, e);
    if (done && ids.len != 1)
        done =
            err_set(e, ERR_INPUT,
                    named ? "%s: its tokenizer has no token %s, which the profile names"
                          : "%s: the end of a step is one token, and for its tokenizer '%s' is more: give a "
                            "profile that fits",
                    c->at->model, named ? text : "\\n\\n");
    if (done) wire_ids_add(constants(c), ids.ptr, 1);
    wire_ids_free(&ids);
    c->inside = false;
    if (!named) {
        free(text);
        return done;
    }
    MEM_GROW(c->p->names, c->p->cap, c->p->n_names + 1);
    c->p->names[c->p->n_names++] = text;
    return done;
}

/* What the tokenizer begins a text with: what one cut with it has in front of one without. */
static bool put_begin(struct compiler *c, bool must, struct err *e) {
    struct wire_ids with = {0}, without = {0};
    bool done = flush(c, e) && render_begun(c->at, "x", &with, e) && cut(c, "x", false, &without, e);
    const size_t n = with.len > without.len ? with.len - without.len : 0;
    if (done && must && n == 0)
        done = err_set(e, ERR_INPUT,
                       "%s: its tokenizer has no token to begin with, which the profile asks for "
                       "with {bos}",
                       c->at->model);
    if (done) wire_ids_add(constants(c), with.ptr, MIN(n, 1u));
    if (n > 0) c->inside = false;
    wire_ids_free(&with);
    wire_ids_free(&without);
    return done;
}

/* What closes an answer's turn: what two conversations with different answers both end with. */
static bool put_end(struct compiler *c, struct err *e) {
    struct wire_ids both[2] = {{0}, {0}};
    bool done = flush(c, e);
    for (int i = 0; done && i < 2; i++) {
        struct question q = question_to_any(0, c->at->seconds_max);
        const char *const turns[] = {"x", i ? "b" : "a"};
        wire_put_model(&q.ask.body, c->at->model);
        wire_put_conversation(&q.ask.body, NULL, turns, 2);
        buf_add_str(&q.ask.body, STR(",\"add_generation_prompt\":false}"));
        done = question_ask(c->at->remote, &q, "/tokenize", true, question_keep, e);
        if (done && !q.answer) done = question_refused(c->at->remote, &q, e);
        done = done && wire_take_ids(q.answer, &both[i], e);
        question_fini(&q);
    }
    size_t n = 0;
    const size_t n_most = MIN(both[0].len, both[1].len);
    while (n < n_most && both[0].ptr[both[0].len - 1 - n] == both[1].ptr[both[1].len - 1 - n]) n++;
    if (done && (n == 0 || n == n_most))
        done = err_set(e, ERR_INPUT,
                       "%s: its chat template has nothing that ends an answer, where {end} is read",
                       c->at->model);
    if (done) wire_ids_add(constants(c), both[0].ptr + both[0].len - n, n);
    wire_ids_free(&both[0]);
    wire_ids_free(&both[1]);
    c->inside = false;
    return done;
}

/* What stands around the user's words: what two conversations begin with, or end with. */
static bool put_around(struct compiler *c, bool is_behind, struct err *e) {
    struct wire_ids both[2] = {{0}, {0}};
    bool done = flush(c, e);
    for (int i = 0; done && i < 2; i++) {
        const char *const turn = i ? "b" : "a";
        done = render_turns(c->at, NULL, &turn, 1, &both[i], e);
    }
    const size_t n_most = MIN(both[0].len, both[1].len);
    size_t n = 0;
    while (n < n_most && (is_behind ? both[0].ptr[both[0].len - 1 - n] == both[1].ptr[both[1].len - 1 - n]
                                    : both[0].ptr[n] == both[1].ptr[n]))
        n++;
    if (done) wire_ids_add(constants(c), both[0].ptr + (is_behind ? both[0].len - n : 0), n);
    wire_ids_free(&both[0]);
    wire_ids_free(&both[1]);
    c->inside = false;
    return done;
}

static struct str behind(struct str s, size_t n) {
    return (struct str){s.ptr + n, s.len - n};
}

static bool put_part(void *ctx, struct str part, bool is_field, struct err *e) {
    struct compiler *c = ctx;
    if (!is_field) {
        buf_add_str(&c->run, part);
        return true;
    }
    if (str_equal(part, STR("problem"))) return put_slot(c, e);
    if (str_equal(part, STR("end"))) return put_end(c, e);
    if (str_equal(part, STR("user"))) return put_around(c, false, e);
    if (str_equal(part, STR("answer"))) return put_around(c, true, e);
    if (str_equal(part, STR("step")))
        return err_set(e, ERR_INPUT,
                       "a profile with {step} is not read behind servers: use the model's file");
    if (str_equal(part, STR("bos")) || str_equal(part, STR("bos?"))) return put_begin(c, part.len == 3, e);
    if (str_starts(part, STR("token:"))) return put_token(c, behind(part, 6), true, e);
    if (str_starts(part, STR("one:"))) return put_token(c, behind(part, 4), false, e);
    if (!str_equal(part, STR("chat"))) return prm_profile_unknown_field(part, e);
    if (!flush(c, e)) return false;
    if (c->x->slot != PATTERN_NOTHING || c->x->before.len > 0) return put_slot(c, e);
    c->x->slot = PATTERN_CHAT;
    c->behind = true;
    c->inside = false;
    return true;
}

/* A pattern of these texts, with what is filled in between them unless {problem} or {chat} says where. */
static bool compile(struct compiler c, const char *before, bool filled, const char *after, struct err *e) {
    bool done = prm_profile_walk(before, put_part, &c, e) && (!filled || put_slot(&c, e)) &&
                prm_profile_walk(after, put_part, &c, e) && flush(&c, e);
    buf_free(&c.run);
    return done;
}

/* Whether a text alone is cut as it is inside of another. */
static bool find_line_break(const struct compiler *c, struct err *e) {
    struct wire_ids alone = {0}, behind_break = {0}, line_break = {0};
    bool done = cut(c, "x", false, &alone, e) && cut(c, "\nx", false, &behind_break, e) &&
                cut(c, "\n", false, &line_break, e);
    const bool same = done && behind_break.ptr[behind_break.len - 1] == alone.ptr[alone.len - 1];
    if (done && !same) wire_ids_add(&c->p->line_break, line_break.ptr, line_break.len);
    wire_ids_free(&alone);
    wire_ids_free(&behind_break);
    wire_ids_free(&line_break);
    return done;
}

bool pattern_word(const struct render_at *at, const char *word, int *id, struct err *e) {
    struct wire_ids ids = {0};
    bool done = render_cut(at, word, &ids, e);
    if (done && ids.len > 2)
        done = err_set(e, ERR_INPUT, "%s: \"%s\" is %zu tokens, and a score is one token", at->model, word,
                       ids.len);
    if (done) *id = ids.ptr[ids.len - 1];
    wire_ids_free(&ids);
    return done;
}

bool patterns_open(const struct render_at *at, const struct prm_profile *p, struct patterns *out,
                   struct err *e) {
    *out = (struct patterns){.aside = p->aside, .one_line = p->one_line};
    const char *closing = p->aside ? "" : p->closing;
    struct compiler c = {.p = out, .at = at, .x = &out->opening};
    bool done = find_line_break(&c, e) && compile(c, p->opening, false, "", e);
    c.inside = true;
    c.x = &out->first;
    done = done && compile(c, p->first, true, closing, e);
    c.x = &out->next;
    done = done && compile(c, p->next, true, closing, e);
    c.x = &out->closing;
    done = done && (!p->aside || compile(c, "", false, p->closing, e));
    if (done && out->opening.slot == PATTERN_NOTHING)
        done = err_set(e, ERR_INPUT, "profile %s: its opening has no {problem} and no {chat}", p->name);
    if (done && p->aside && out->closing.before.len == 0)
        done =
            err_set(e, ERR_INPUT, "profile %s reads an empty closing aside: give it a \"closing\"", p->name);
    if (!done) patterns_fini(out);
    return done;
}
