#include "model/chat.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/chat_interpreted.h"
#include "model/chat_template.h"
#include "model/white.h"

enum { SPECIALS_MAX = 4, TEMPLATE_BYTES_MAX = 1 << 20 };

struct writer {
    const struct tokenizer *t;
    struct tokens *out;
    struct buf text; /* what has not been encoded yet: text between special tokens is encoded as one */
    enum tokenizer_place place;
    struct err *e;
    bool failed;
    struct buf *as_text, *marks; /* not NULL: nothing is encoded; text, and where it is a special token */
};

struct turns {
    const struct chat_message *messages;
    size_t n;
    bool open_answer, continue_last;
};

/* A format is one row here, and one function or the template that writes it. */
struct row {
    const char *name;
    bool (*recognise)(const struct chat_template *t);
    void (*render)(const struct chat_format *f, struct writer *w, const struct turns *turns);
    bool needs_bos, has_turns, has_date;
    const char *specials[SPECIALS_MAX]; /* tokens it puts, by index */
    const char *source;                 /* of a row without a function: it is interpreted */
};

struct chat_format {
    const struct row *row;
    const struct tokenizer *tokenizer;
    struct interpreted *interpreted; /* where a template writes it */
    int specials[SPECIALS_MAX];
    int bos;
    char
        *system_default; /* put where a conversation does not start with a system message; NULL: nothing is */
};

/* ---- writing ---- */

static void add_marked(struct buf *text, struct buf *marks, struct str s, char mark) {
    buf_add_str(text, s);
    for (size_t i = 0; i < s.len; i++) buf_add_char(marks, mark);
}

static void flush(struct writer *w) {
    if (w->as_text)
        add_marked(w->as_text, w->marks, buf_str(&w->text), 0);
    else if (!w->failed && w->text.len)
        w->failed = !tokenizer_encode_part(w->t, buf_str(&w->text), w->place, w->out, w->e);
    buf_clear(&w->text);
}

static void put(struct writer *w, const char *text) {
    buf_add_str(&w->text, str_from(text));
}

static void put_token(struct writer *w, int id) {
    flush(w);
    if (w->as_text)
        add_marked(w->as_text, w->marks, tokenizer_bytes(w->t, id), 1);
    else
        tokens_add(w->out, id);
    w->place = TOKENIZER_AFTER_SPECIAL;
}

static const char *role_name(enum chat_role role) {
    static const char *const names[] = {
        [CHAT_SYSTEM] = "system", [CHAT_USER] = "user", [CHAT_ASSISTANT] = "assistant"};
    return names[role];
}

/* Whether message i is the turn to be continued, so that nothing may be taken from it or put behind it. */
static bool is_open(const struct turns *turns, size_t i) {
    return turns->continue_last && i + 1 == turns->n;
}

static struct str strip(struct str s) {
    return white_strip(s, true, true);
}

/* ---- lab: the bundled models ---- */

static const char lab_template[] =
    "{% for message in messages %}{% if message['role'] == 'user' %}Q: {{ message['content'] }}\nA:\n"
    "{% elif message['role'] == 'assistant' %}{{ message['content'] }}<|end|>{% endif %}{% endfor %}";

static bool recognise_lab(const struct chat_template *t) {
    return strcmp(t->raw, lab_template) == 0;
}

static void render_lab(const struct chat_format *f, struct writer *w, const struct turns *turns) {
    for (size_t i = 0; i < turns->n; i++) {
        const struct chat_message *m = &turns->messages[i];
        if (m->role == CHAT_USER) {
            put(w, "Q: ");
            buf_add_str(&w->text, m->content);
            put(w, "\nA:\n");
        } else if (m->role == CHAT_ASSISTANT) {
            buf_add_str(&w->text, m->content);
            if (!is_open(turns, i)) put_token(w, f->specials[0]);
        }
    }
}

/* ---- plain: the text as it is ---- */

static void render_plain(const struct chat_format *f, struct writer *w, const struct turns *turns) {
    UNUSED(f);
    if (tokenizer_bos(w->t) >= 0) put_token(w, tokenizer_bos(w->t));
    w->place = TOKENIZER_START;
    for (size_t i = 0; i < turns->n; i++) buf_add_str(&w->text, turns->messages[i].content);
}

/* ---- ChatML: Qwen2, Qwen2.5 and many others ---- */

/* Words of templates that change what is written in ways the formats here do not. */
static bool has_any(const char *text, const char *const *words, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (strstr(text, words[i])) return true;
    }
    return false;
}

static bool recognise_chatml(const struct chat_template *t) {
    static const char *const others[] = {"think",  "macro",           "strftime",   "bos_token", "namespace",
                                         "split(", "strip",           "trim",       "replace",   "upper",
                                         "title",  "raise_exception", "loop.last%}"};
    static const char *const turns[] = {
        "'<|im_start|>'+message.role+'\\n'+message.content+'<|im_end|>'+'\\n'",
        "'<|im_start|>'+message.role+'\\n'+message.content+'<|im_end|>\\n'",
    };
    return !t->writes_text && has_any(t->normal, turns, ARRAY_LEN(turns)) &&
           strstr(t->normal, "'<|im_start|>assistant\\n'") && !has_any(t->normal, others, ARRAY_LEN(others));
}

static void put_chatml_head(const struct chat_format *f, struct writer *w, const char *role) {
    put_token(w, f->specials[0]);
    put(w, role);
    put(w, "\n");
}

static void put_chatml_tail(const struct chat_format *f, struct writer *w) {
    put_token(w, f->specials[1]);
    put(w, "\n");
}

static void render_chatml(const struct chat_format *f, struct writer *w, const struct turns *turns) {
    if (f->system_default && turns->messages[0].role != CHAT_SYSTEM) {
        put_chatml_head(f, w, "system");
        put(w, f->system_default);
        put_chatml_tail(f, w);
    }
    for (size_t i = 0; i < turns->n; i++) {
        put_chatml_head(f, w, role_name(turns->messages[i].role));
        buf_add_str(&w->text, turns->messages[i].content);
        if (!is_open(turns, i)) put_chatml_tail(f, w);
    }
    if (turns->open_answer) put_chatml_head(f, w, "assistant");
}

/* ---- Llama 3, and 3.1 to 3.3 with their dated system turn ---- */

static bool has_llama3_turn(const char *normal) {
    static const char *const others[] = {"think", "macro", "strip", "split(", "replace"};
    return strstr(normal, "'<|start_header_id|>'+message.role+'<|end_header_id|>\\n\\n'+message.content|trim+"
                          "'<|eot_id|>'") &&
           !has_any(normal, others, ARRAY_LEN(others));
}

static bool recognise_llama3(const struct chat_template *t) {
    return !t->writes_text && has_llama3_turn(t->normal) && !strstr(t->normal, "Date") &&
           !strstr(t->normal, "system_message");
}

static bool recognise_llama31(const struct chat_template *t) {
    return !t->writes_text && has_llama3_turn(t->normal) &&
           strstr(t->unified, "\"Cutting Knowledge Date: December 2023\\n\"") &&
           strstr(t->normal, "'TodayDate:'+date_string+'\\n\\n'") && strstr(t->unified, "26 Jul 2024");
}

static void put_llama3_head(const struct chat_format *f, struct writer *w, const char *role) {
    put_token(w, f->specials[0]);
    put(w, role);
    put_token(w, f->specials[1]);
    put(w, "\n\n");
}

static void put_llama3_turns(const struct chat_format *f, struct writer *w, const struct turns *turns,
                             size_t first) {
    for (size_t i = first; i < turns->n; i++) {
        const struct chat_message *m = &turns->messages[i];
        put_llama3_head(f, w, role_name(m->role));
        buf_add_str(&w->text, is_open(turns, i) ? m->content : strip(m->content));
        if (!is_open(turns, i)) put_token(w, f->specials[2]);
    }
    if (turns->open_answer) put_llama3_head(f, w, "assistant");
}

static void render_llama3(const struct chat_format *f, struct writer *w, const struct turns *turns) {
    put_token(w, f->bos);
    put_llama3_turns(f, w, turns, 0);
}

static void render_llama31(const struct chat_format *f, struct writer *w, const struct turns *turns) {
    bool has_system = turns->messages[0].role == CHAT_SYSTEM;
    put_token(w, f->bos);
    put_llama3_head(f, w, "system");
    put(w, "Cutting Knowledge Date: December 2023\nToday Date: " CHAT_DATE "\n\n");
    if (has_system) buf_add_str(&w->text, strip(turns->messages[0].content));
    put_token(w, f->specials[2]);
    put_llama3_turns(f, w, turns, has_system);
}

/* ---- formats that templates write: for models that come without theirs ---- */

static const char llama2_source[] =
    "{% set first = messages[0].role == 'system' %}"
    "{% for message in (messages[1:] if first else messages) %}"
    "{% if message.role == 'user' %}"
    "{% set system = '<<SYS>>\n' + messages[0].content + '\n<</SYS>>\n\n' if first and loop.first else '' %}"
    "{{ bos_token + '[INST] ' + (system + message.content).strip() + ' [/INST]' }}"
    "{% elif message.role == 'assistant' %}{{ ' ' + message.content.strip() + ' ' + eos_token }}"
    "{% else %}{{ raise_exception('a system message stands first, or nowhere') }}{% endif %}{% endfor %}";

/* Version 3 takes a system message before the last of the user's; version 1 knows none. */
#define MISTRAL_SOURCE(system, before, between, after)                                                       \
    "{{ bos_token }}{% set first = messages[0].role == 'system' %}" system                                   \
    "{% for message in (messages[1:] if first else messages) %}"                                             \
    "{% if (message.role == 'user') != (loop.index0 % 2 == 0) %}"                                            \
    "{{ raise_exception('user and assistant take turns') }}{% endif %}"                                      \
    "{% if message.role == 'user' %}{{ '[INST]" before "' }}"                                                \
    "{% if first and loop.last %}{{ messages[0].content + '\n\n' }}{% endif %}"                              \
    "{{ message.content + '" between "[/INST]' }}"                                                           \
    "{% elif message.role == 'assistant' %}{{ " after " + eos_token }}"                                      \
    "{% else %}{{ raise_exception('a system message stands first, or nowhere') }}{% endif %}{% endfor %}"
#define NO_SYSTEM "{% if first %}{{ raise_exception('there is no place for a system message') }}{% endif %}"

static const char mistral1_source[] = MISTRAL_SOURCE(NO_SYSTEM, " ", " ", "message.content");
static const char mistral3_source[] = MISTRAL_SOURCE("", " ", "", "' ' + message.content.strip()");
static const char tekken_source[] = MISTRAL_SOURCE("", "", "", "message.content");

/* Qwen3 without thinking: what it thought is left out of answers that are over, and the new one begins with
 * an empty thought. */
static const char qwen3_source[] =
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\n' }}"
    "{{ message.content if message.role != 'assistant' else "
    "message.content.split('</think>')[-1].lstrip('\n') }}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n<think>\n\n</think>\n\n' }}{% endif %}";

/* ---- the table ---- */

#define LLAMA3_TOKENS "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"
#define MISTRAL_ROW(name, source)                                                                            \
    { name, NULL, NULL, true, true, false, {"[INST]", "[/INST]"}, source }

static const struct row rows[] = {
    {"lab", recognise_lab, render_lab, false, false, false, {"<|end|>"}, NULL},
    {"plain", NULL, render_plain, false, false, false, {0}, NULL},
    {"chatml", recognise_chatml, render_chatml, false, true, false, {"<|im_start|>", "<|im_end|>"}, NULL},
    {"llama-3", recognise_llama3, render_llama3, true, true, false, {LLAMA3_TOKENS}, NULL},
    {"llama-3.1", recognise_llama31, render_llama31, true, true, true, {LLAMA3_TOKENS}, NULL},
    {"qwen3-direct", NULL, NULL, false, true, false, {"<|im_start|>", "<|im_end|>"}, qwen3_source},
    {"llama-2", NULL, NULL, true, true, false, {0}, llama2_source},
    {"mistral-v1", NULL, NULL, true, true, false, {0}, mistral1_source},
    MISTRAL_ROW("mistral-v3", mistral3_source),
    MISTRAL_ROW("mistral-tekken", tekken_source),
};

static const struct row interpreted_row = {.name = "template"};

static bool find_tokens(struct chat_format *f, const struct tokenizer *t, const char *where, struct err *e) {
    const struct row *row = f->row;
    for (int i = 0; i < SPECIALS_MAX && row->specials[i]; i++) {
        f->specials[i] = tokenizer_special(t, row->specials[i]);
        if (!tokenizer_is_special(t, f->specials[i]))
            return err_set(e, ERR_INPUT,
                           "%s: chat format %s needs %s, which is no special token of this tokenizer", where,
                           row->name, row->specials[i]);
    }
    f->bos = tokenizer_bos_token(t) >= 0 ? tokenizer_bos_token(t) : tokenizer_special(t, "<|begin_of_text|>");
    if (row->needs_bos && f->bos < 0)
        return err_set(e, ERR_INPUT, "%s: chat format %s needs a bos_token in tokenizer_config.json", where,
                       row->name);
    return true;
}

static struct chat_format *open_row(const struct row *row, const char *source, const struct tokenizer *t,
                                    const char *where, struct err *e) {
    struct chat_format *f = mem_zalloc(1, sizeof *f);
    f->row = row;
    f->tokenizer = t;
    if (source) f->interpreted = interpreted_open(source, t, e);
    if (source && !f->interpreted) err_wrap(e, "%s", where);
    if ((f->interpreted || !source) && find_tokens(f, t, where, e)) return f;
    chat_close(f);
    return NULL;
}

static struct chat_format *open_interpreted(const char *source, const struct tokenizer *t, const char *where,
                                            struct err *e) {
    struct chat_format *f = open_row(&interpreted_row, source, t, where, e);
    if (f) return f;
    char why[sizeof e->msg];
    memcpy(why, e->msg, sizeof why);
    err_set(e, ERR_INPUT, "%.300s; name the format that the model was trained with: --chat %s", why,
            chat_names());
    return NULL;
}

/* ---- whether a format is what the template says ---- */

/* Whether two formats write the same, or both refuse. */
static bool writes_same(const struct chat_format *a, const struct chat_format *b,
                        const struct chat_message *messages, size_t n, bool open_answer) {
    struct tokens x = {0}, y = {0};
    struct err e;
    bool done = chat_render(a, a->tokenizer, messages, n, open_answer, false, &x, &e);
    bool same = chat_render(b, b->tokenizer, messages, n, open_answer, false, &y, &e) == done &&
                x.len == y.len && (x.len == 0 || memcmp(x.ptr, y.ptr, x.len * sizeof *x.ptr) == 0);
    tokens_free(&x);
    tokens_free(&y);
    return same;
}

/* A built-in format that writes something else than the template does gives way to the template, if that can
 * be interpreted. */
static struct chat_format *check_against(struct chat_format *f, const char *source, const char *where) {
    static const struct chat_message messages[] = {{CHAT_SYSTEM, {" s\n", 3}},
                                                   {CHAT_USER, {"u 1 ", 4}},
                                                   {CHAT_ASSISTANT, {" a\n\n", 4}},
                                                   {CHAT_USER, {"\n<u>", 4}}};
    struct err ignored;
    struct chat_format *g = open_row(&interpreted_row, source, f->tokenizer, where, &ignored);
    bool same = true;
    for (size_t first = 0; g && first < 2; first++) {
        for (size_t n = 1; n <= ARRAY_LEN(messages) - first; n++) {
            if (first + n < 2) continue; /* a system message alone is no conversation */
            same = same && writes_same(f, g, messages + first, n, true) &&
                   writes_same(f, g, messages + first, n, false);
        }
    }
    chat_close(same ? g : f);
    return same ? f : g;
}

struct chat_format *chat_open(const char *template_text, const struct tokenizer *t, const char *where,
                              struct err *e) {
    if (!template_text) return chat_open_named("plain", t, where, e);
    if (strlen(template_text) > TEMPLATE_BYTES_MAX) {
        err_set(e, ERR_INPUT, "%s: a chat template of %zu bytes is over the %d allowed", where,
                strlen(template_text), TEMPLATE_BYTES_MAX);
        return NULL;
    }
    struct chat_template text = chat_template_read(template_text);
    const struct row *found = NULL;
    struct chat_format *f = NULL;
    for (size_t i = 0; i < ARRAY_LEN(rows) && !found; i++) {
        if (rows[i].recognise && rows[i].recognise(&text)) found = &rows[i];
    }
    f = found ? open_row(found, NULL, t, where, e) : open_interpreted(template_text, t, where, e);
    /* Qwen's '<|im_start|>system\nYou are ...<|im_end|>\n' for conversations without a system message. */
    if (f && found && found->render == render_chatml)
        f->system_default = chat_template_literal(&text, "<|im_start|>system\\n", "<|im_end|>");
    chat_template_fini(&text);
    return f && found ? check_against(f, template_text, where) : f;
}

struct chat_format *chat_open_named(const char *name, const struct tokenizer *t, const char *where,
                                    struct err *e) {
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (strcmp(rows[i].name, name) == 0) return open_row(&rows[i], rows[i].source, t, where, e);
    }
    err_set(e, ERR_INPUT, "chat format %.40s is not known; these are: %s", name, chat_names());
    return NULL;
}

void chat_close(struct chat_format *f) {
    if (!f) return;
    interpreted_close(f->interpreted);
    free(f->system_default);
    free(f);
}

const char *chat_name(const struct chat_format *f) {
    return f->row->name;
}

const char *chat_names(void) {
    return "lab, plain, chatml, llama-3, llama-3.1, qwen3-direct, llama-2, mistral-v1, mistral-v3, "
           "mistral-tekken";
}

const char *chat_date(const struct chat_format *f) {
    return f->row->has_date || (f->interpreted && interpreted_has_date(f->interpreted)) ? CHAT_DATE : NULL;
}

bool chat_has_turns(const struct chat_format *f) {
    return f->interpreted ? interpreted_has_turns(f->interpreted) : f->row->has_turns;
}

bool chat_render_next(const struct chat_format *f, const struct tokenizer *t, struct str user,
                      struct tokens *out, struct err *e) {
    ASSERT(chat_has_turns(f));
    if (f->interpreted) return interpreted_render_next(f->interpreted, user, out, e);
    const struct chat_message messages[] = {
        {CHAT_USER, STR("x")}, {CHAT_ASSISTANT, STR("x")}, {CHAT_USER, user}};
    struct tokens before = {0}, all = {0};
    bool done = chat_render(f, t, messages, 2, false, true, &before, e) &&
                chat_render(f, t, messages, 3, true, false, &all, e);
    if (done) { /* an answer ends with a special token: what precedes it is cut into the same tokens */
        ASSERT(all.len > before.len && memcmp(all.ptr, before.ptr, before.len * sizeof *all.ptr) == 0);
        tokens_add_all(out, all.ptr + before.len, all.len - before.len);
    }
    tokens_free(&before);
    tokens_free(&all);
    return done;
}

/* Cuts a text in two where the user's words stand: a byte that no format writes itself. */
enum { WORDS = 1 };

static bool cut_around(const struct buf *text, const struct buf *marks, struct chat_around *out) {
    size_t at = 0;
    while (at < text->len && (text->ptr[at] != WORDS || marks->ptr[at])) at++;
    if (at == text->len) return false;
    buf_add(&out->before, text->ptr, at);
    buf_add(&out->before_marks, marks->ptr, at);
    buf_add(&out->behind, text->ptr + at + 1, text->len - at - 1);
    buf_add(&out->behind_marks, marks->ptr + at + 1, text->len - at - 1);
    return true;
}

bool chat_write_around(const struct chat_format *f, const struct tokenizer *t, struct chat_around *out,
                       struct err *e) {
    static const char words[] = {WORDS};
    const struct chat_message message = {CHAT_USER, {words, sizeof words}};
    struct buf text = {0}, marks = {0};
    bool done = true;
    *out = (struct chat_around){0};
    if (f->interpreted) {
        done = interpreted_write(f->interpreted, &message, 1, true, &text, &marks, e);
    } else {
        struct writer w = {.t = t, .e = e, .as_text = &text, .marks = &marks};
        f->row->render(f, &w, &(struct turns){&message, 1, true, false});
        flush(&w);
        buf_free(&w.text);
    }
    if (done && !cut_around(&text, &marks, out))
        done = err_set(e, ERR_INPUT, "chat format %s: it does not write what the user says", chat_name(f));
    buf_free(&text);
    buf_free(&marks);
    return done;
}

void chat_around_fini(struct chat_around *a) {
    buf_free(&a->before);
    buf_free(&a->before_marks);
    buf_free(&a->behind);
    buf_free(&a->behind_marks);
}

bool chat_render(const struct chat_format *f, const struct tokenizer *t, const struct chat_message *messages,
                 size_t n_messages, bool open_answer, bool continue_last, struct tokens *out, struct err *e) {
    struct writer w = {.t = t, .out = out, .place = TOKENIZER_START, .e = e};
    const struct turns turns = {messages, n_messages, open_answer, continue_last};
    size_t n_before = out->len;
    if (n_messages == 0) return err_set(e, ERR_INPUT, "a conversation without messages");
    if (continue_last && (open_answer || messages[n_messages - 1].role != CHAT_ASSISTANT))
        return err_set(e, ERR_INPUT, "only an assistant's message at the end can be continued");
    if (f->interpreted)
        return interpreted_render(f->interpreted, messages, n_messages, open_answer, continue_last, out, e);
    f->row->render(f, &w, &turns);
    flush(&w);
    buf_free(&w.text);
    if (w.failed) out->len = n_before;
    return !w.failed;
}
