#include "model/chat_interpreted.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/template.h"

struct interpreted {
    char *source;
    struct template *template;
    const struct tokenizer *tokenizer;
    bool has_turns;
};

static struct str token_text(const struct tokenizer *t, int id) {
    return id >= 0 ? tokenizer_bytes(t, id) : (struct str){NULL, 0};
}

static bool write_text(const struct interpreted *f, const struct chat_message *messages, size_t n,
                       bool open_answer, struct template_output *out, struct err *e) {
    const struct tokenizer *t = f->tokenizer;
    const struct template_input in = {.messages = messages,
                                      .n_messages = n,
                                      .open_answer = open_answer,
                                      .bos = token_text(t, tokenizer_bos_token(t)),
                                      .eos = token_text(t, tokenizer_eos_token(t)),
                                      .unk = token_text(t, tokenizer_unk_token(t)),
                                      .pad = token_text(t, tokenizer_pad_token(t))};
    return template_render(f->template, &in, out, e) || err_wrap(e, "chat template");
}

bool interpreted_write(const struct interpreted *f, const struct chat_message *messages, size_t n_messages,
                       bool open_answer, struct buf *text, struct buf *marks, struct err *e) {
    struct template_output o = {0};
    const bool done = write_text(f, messages, n_messages, open_answer, &o, e);
    if (done) {
        buf_add_str(text, buf_str(&o.text));
        buf_add_str(marks, buf_str(&o.marks));
    }
    template_output_fini(&o);
    return done;
}

/* ---- turns ---- */

/* Where the nth (from 0) byte lies that the template did not write; -1 if there is none. */
static ptrdiff_t find_foreign(const struct template_output *o, size_t n) {
    for (size_t i = 0; i < o->text.len; i++) {
        if (!o->marks.ptr[i] && n-- == 0) return (ptrdiff_t)i;
    }
    return -1;
}

/* A conversation in which the user says "x", is answered "y", and says something else; true if the answer is
 * found in it. *behind: where what follows the answer begins. */
static bool write_turns(const struct interpreted *f, struct str user, struct template_output *out,
                        size_t *behind, struct err *e) {
    const struct chat_message messages[] = {
        {CHAT_USER, STR("x")}, {CHAT_ASSISTANT, STR("y")}, {CHAT_USER, user}};
    if (!write_text(f, messages, ARRAY_LEN(messages), true, out, e)) return false;
    ptrdiff_t at = find_foreign(out, 1);
    if (at < 0 || out->text.ptr[at] != 'y')
        return err_set(e, ERR_INPUT, "chat template: it does not write an answer behind its question");
    *behind = (size_t)at + 1;
    return true;
}

bool interpreted_render_next(const struct interpreted *f, struct str user, struct tokens *out,
                             struct err *e) {
    struct template_output o = {0};
    size_t behind;
    bool done = write_turns(f, user, &o, &behind, e) &&
                tokenizer_encode_marked(f->tokenizer, (struct str){o.text.ptr + behind, o.text.len - behind},
                                        o.marks.ptr + behind, TOKENIZER_INSIDE, out, e);
    template_output_fini(&o);
    return done;
}

/* ---- opening ---- */

/* What a template makes of one message of a user tells whether it can be used at all. */
static bool try_message(struct interpreted *f, struct err *e) {
    const struct chat_message message = {CHAT_USER, STR("x")};
    struct template_output o = {0};
    struct err ignored;
    size_t behind;
    bool done = write_text(f, &message, 1, true, &o, e);
    if (done && find_foreign(&o, 0) < 0)
        done = err_set(e, ERR_INPUT, "chat template: it does not write what the user says");
    if (done) f->has_turns = write_turns(f, STR("z"), &o, &behind, &ignored);
    template_output_fini(&o);
    return done;
}

struct interpreted *interpreted_open(const char *source, const struct tokenizer *t, struct err *e) {
    struct interpreted *f = mem_zalloc(1, sizeof *f);
    f->source = mem_strdup(source);
    f->tokenizer = t;
    f->template = template_new(str_from(f->source), e);
    if (!f->template) err_wrap(e, "chat template");
    if (f->template && try_message(f, e)) return f;
    interpreted_close(f);
    return NULL;
}

void interpreted_close(struct interpreted *f) {
    if (!f) return;
    template_free(f->template);
    free(f->source);
    free(f);
}

bool interpreted_has_date(const struct interpreted *f) {
    return strstr(f->source, "strftime_now") != NULL;
}

bool interpreted_has_turns(const struct interpreted *f) {
    return f->has_turns;
}

/* An answer to be continued stands behind the opening of the assistant's turn, as it was generated there:
 * templates change the answers that are over. */
bool interpreted_render(const struct interpreted *f, const struct chat_message *messages, size_t n_messages,
                        bool open_answer, bool continue_last, struct tokens *out, struct err *e) {
    struct template_output o = {0};
    const size_t n = n_messages - continue_last;
    if (n == 0) return err_set(e, ERR_INPUT, "an answer to be continued without a message before it");
    bool done = write_text(f, messages, n, open_answer || continue_last, &o, e);
    if (done && continue_last) {
        buf_add_str(&o.text, messages[n].content);
        for (size_t i = 0; i < messages[n].content.len; i++) buf_add_char(&o.marks, 0);
    }
    done =
        done && tokenizer_encode_marked(f->tokenizer, buf_str(&o.text), o.marks.ptr, TOKENIZER_START, out, e);
    template_output_fini(&o);
    return done;
}
