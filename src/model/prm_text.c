/* prm_text.c - the texts of a profile into ids: pieces of text that lie together are encoded together. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/model.h"
#include "model/prm_profile.h"

struct writer {
    const struct model *m;
    struct str problem, step; /* for {problem} and {chat}; for {step} */
    struct tokens *out;
    struct buf run,
        marks; /* text that is not encoded yet; marks: 1 where the chat format's own tokens count */
    bool has_marks;
    enum tokenizer_place place;
    struct err *e;
};

static void put_marked(struct writer *w, struct str text, const char *marks) {
    w->has_marks |= marks != NULL;
    buf_add_str(&w->run, text);
    for (size_t i = 0; i < text.len; i++) buf_add_char(&w->marks, marks ? marks[i] : 0);
}

static bool flush(struct writer *w) {
    const struct tokenizer *t = w->m->tokenizer;
    if (w->run.len == 0) return true;
    const bool done = w->has_marks
                          ? tokenizer_encode_marked(t, buf_str(&w->run), w->marks.ptr, w->place, w->out, w->e)
                          : tokenizer_encode_part(t, buf_str(&w->run), w->place, w->out, w->e);
    const bool behind_special =
        w->has_marks && w->out->len && tokenizer_is_special(t, w->out->ptr[w->out->len - 1]);
    w->place = behind_special ? TOKENIZER_AFTER_SPECIAL : TOKENIZER_INSIDE;
    w->run.len = w->marks.len = 0;
    w->has_marks = false;
    return done;
}

static void writer_fini(struct writer *w) {
    buf_free(&w->run);
    buf_free(&w->marks);
}

static bool put_id(struct writer *w, int id) {
    if (!flush(w)) return false;
    tokens_add(w->out, id);
    w->place = TOKENIZER_AFTER_SPECIAL;
    return true;
}

static bool put_added(struct writer *w, struct str text) {
    char *name = str_dup(text);
    const int id = tokenizer_special(w->m->tokenizer, name);
    const bool done =
        id >= 0 ? put_id(w, id)
                : err_set(w->e, ERR_INPUT, "%s: the tokenizer has no token %s, which the profile names",
                          w->m->path, name);
    free(name);
    return done;
}

/* The one token that a text is. */
static bool put_one(struct writer *w, struct str text) {
    struct tokens ids = {0};
    bool done = tokenizer_encode_part(w->m->tokenizer, text, TOKENIZER_INSIDE, &ids, w->e);
    if (done && ids.len != 1)
        done = err_set(
            w->e, ERR_INPUT,
            "%s: the end of a step is one token, and for this tokenizer it would be %zu: give a profile that "
            "fits",
            w->m->path, ids.len);
    done = done && put_id(w, ids.ptr[0]);
    tokens_free(&ids);
    return done;
}

/* The problem in the model's own chat format, the answer's turn opened. */
static bool put_chat(struct writer *w) {
    const struct chat_message message = {CHAT_USER, w->problem};
    w->place = TOKENIZER_AFTER_SPECIAL;
    return chat_render(w->m->chat, w->m->tokenizer, &message, 1, true, false, w->out, w->e);
}

/* What closes an answer's turn: what a closed conversation has beyond an unfinished one. */
static bool put_end(struct writer *w) {
    const struct chat_message messages[] = {{CHAT_USER, STR("a")}, {CHAT_ASSISTANT, STR("b")}};
    struct tokens closed = {0}, begun = {0};
    bool done = flush(w) &&
                chat_render(w->m->chat, w->m->tokenizer, messages, 2, false, false, &closed, w->e) &&
                chat_render(w->m->chat, w->m->tokenizer, messages, 2, false, true, &begun, w->e);
    if (done &&
        (closed.len <= begun.len || memcmp(closed.ptr, begun.ptr, begun.len * sizeof *begun.ptr) != 0))
        done = err_set(w->e, ERR_INPUT,
                       "%s: chat format %s has nothing that ends an answer, where {end} is read", w->m->path,
                       chat_name(w->m->chat));
    for (size_t i = begun.len; done && i < closed.len; i++) tokens_add(w->out, closed.ptr[i]);
    tokens_free(&closed);
    tokens_free(&begun);
    return done;
}

bool prm_profile_unknown_field(struct str field, struct err *e) {
    return err_set(
        e, ERR_INPUT,
        "a profile's text has {%.*s}: {problem}, {chat}, {end}, {user}, {answer}, {step}, {bos}, {bos?}, "
        "{token:...}, {one:...} and {{ are known",
        (int)MIN(field.len, 40u), field.ptr);
}

/* {user}: what stands before the user's words in the chat format; {answer}: what stands behind them. */
static bool put_around(struct writer *w, bool behind) {
    struct chat_around a;
    const bool done = chat_write_around(w->m->chat, w->m->tokenizer, &a, w->e);
    if (done)
        put_marked(w, buf_str(behind ? &a.behind : &a.before),
                   (behind ? a.behind_marks : a.before_marks).ptr);
    chat_around_fini(&a);
    return done;
}

static bool put_field(struct writer *w, struct str field) {
    static const char token[] = "token:", one[] = "one:";
    const int bos = tokenizer_bos_token(w->m->tokenizer) >= 0 ? tokenizer_bos_token(w->m->tokenizer)
                                                              : tokenizer_bos(w->m->tokenizer);
    if (str_equal(field, STR("problem"))) {
        put_marked(w, w->problem, NULL);
        return true;
    }
    if (str_equal(field, STR("step"))) {
        put_marked(w, w->step, NULL);
        return true;
    }
    if (str_equal(field, STR("user"))) return put_around(w, false);
    if (str_equal(field, STR("answer"))) return put_around(w, true);
    if (str_equal(field, STR("chat"))) return flush(w) && put_chat(w);
    if (str_equal(field, STR("end"))) return put_end(w);
    if (str_equal(field, STR("bos?")) && bos < 0) return true;
    if (str_equal(field, STR("bos")) || str_equal(field, STR("bos?")))
        return bos >= 0 ? put_id(w, bos)
                        : err_set(w->e, ERR_INPUT,
                                  "%s: the tokenizer has no token to begin with, which the profile asks "
                                  "for with {bos}",
                                  w->m->path);
    if (str_starts(field, str_from(token)))
        return put_added(w, (struct str){field.ptr + strlen(token), field.len - strlen(token)});
    if (str_starts(field, str_from(one)))
        return put_one(w, (struct str){field.ptr + strlen(one), field.len - strlen(one)});
    return prm_profile_unknown_field(field, w->e);
}

bool prm_profile_walk(const char *text, prm_profile_part *each, void *ctx, struct err *e) {
    for (const char *at = text; *at; at++) {
        if (*at != '{' || at[1] == '{') {
            at += *at == '{';
            if (!each(ctx, (struct str){at, 1}, false, e)) return false;
            continue;
        }
        const char *end = strchr(at, '}');
        if (!end) return err_set(e, ERR_INPUT, "a profile's text has a { without its }; a plain one is {{");
        if (!each(ctx, (struct str){at + 1, (size_t)(end - at - 1)}, true, e)) return false;
        at = end;
    }
    return true;
}

static bool put_part(void *ctx, struct str part, bool is_field, struct err *e) {
    struct writer *w = ctx;
    UNUSED(e);
    if (is_field) return put_field(w, part);
    put_marked(w, part, NULL);
    return true;
}

static bool put_text(struct writer *w, const char *text) {
    return prm_profile_walk(text, put_part, w, w->e);
}

bool prm_profile_open(const struct model *m, const struct prm_profile *p, struct str problem,
                      struct tokens *out, struct err *e) {
    struct writer w = {.m = m, .problem = problem, .out = out, .place = TOKENIZER_START, .e = e};
    const bool done = put_text(&w, p->opening) && flush(&w);
    writer_fini(&w);
    return done;
}

static void put_step(struct writer *w, const struct prm_profile *p, struct str step) {
    step = str_trim(step);
    for (size_t i = 0; i < step.len; i++) {
        const bool line = p->one_line && (step.ptr[i] == '\n' || step.ptr[i] == '\r');
        put_marked(w, line ? STR(" ") : (struct str){step.ptr + i, 1}, NULL);
    }
}

/* A step and the text behind it. */
static bool put_step_and(struct writer *w, const struct prm_profile *p, struct str step, const char *before,
                         const char *behind) {
    w->step = str_trim(step);
    bool done = put_text(w, before);
    if (done) put_step(w, p, step);
    done = done && put_text(w, behind) && flush(w);
    writer_fini(w);
    return done;
}

bool prm_profile_step(const struct model *m, const struct prm_profile *p, struct str step, bool is_first,
                      struct tokens *out, struct tokens *closing, struct tokens *behind, struct err *e) {
    struct writer w = {.m = m, .out = out, .place = TOKENIZER_INSIDE, .e = e};
    if (!p->aside) return put_step_and(&w, p, step, is_first ? p->first : p->next, p->closing);
    struct tokens goes_on = {0}, ends = {0};
    struct writer v = w;
    const char *before = is_first ? p->first : "";
    w.out = &goes_on;
    v.out = &ends;
    const bool done =
        put_step_and(&w, p, step, before, p->next) && put_step_and(&v, p, step, before, p->closing);
    if (done) {
        size_t n = 0;
        while (n < goes_on.len && n + 1 < ends.len && goes_on.ptr[n] == ends.ptr[n]) n++;
        tokens_add_all(out, ends.ptr, n);
        tokens_add_all(closing, ends.ptr + n, ends.len - n);
        tokens_add_all(behind, goes_on.ptr + n, goes_on.len - n);
    }
    tokens_free(&goes_on);
    tokens_free(&ends);
    return done;
}
