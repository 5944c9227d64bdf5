#include "model/chat.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/chat_template.h"

enum { SPECIALS_MAX = 4, TEMPLATE_BYTES_MAX = 1 << 20 };

struct writer {
    const struct tokenizer *t;
    struct tokens *out;
    struct buf text; /* what has not been encoded yet: text between special tokens is encoded as one */
    struct err *e;
    bool failed;
};

struct turns {
    const struct chat_message *messages;
    size_t n;
    bool open_answer, continue_last;
};

/* A format is one row here and one function. */
struct row {
    const char *name;
    bool (*recognise)(const struct chat_template *t);
    void (*render)(const struct chat_format *f, struct writer *w, const struct turns *turns);
    bool needs_bos, has_turns;
    const char *specials[SPECIALS_MAX]; /* tokens it puts, by index */
};

struct chat_format {
    const struct row *row;
    int specials[SPECIALS_MAX];
    int bos;
    char
        *system_default; /* put where a conversation does not start with a system message; NULL: nothing is */
};

/* ---- writing ---- */

static void flush(struct writer *w) {
    if (!w->failed && w->text.len) w->failed = !tokenizer_encode(w->t, buf_str(&w->text), w->out, w->e);
    buf_clear(&w->text);
}

static void put(struct writer *w, const char *text) {
    buf_add_str(&w->text, str_from(text));
}

static void put_token(struct writer *w, int id) {
    flush(w);
    tokens_add(w->out, id);
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

/* Python's str.strip(): the white space of str.isspace(). */
static bool is_python_space(uint32_t c) {
    return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
           c == 0x3000;
}

static struct str strip(struct str s) {
    uint32_t c;
    int n;
    while (s.len && (n = str_utf8(s, 0, &c)) > 0 && is_python_space(c)) {
        s.ptr += n;
        s.len -= (size_t)n;
    }
    while (s.len) {
        size_t back = 1;
        while (back < s.len && back < 4 && ((unsigned char)s.ptr[s.len - back] & 0xc0) == 0x80) back++;
        n = str_utf8(s, s.len - back, &c);
        if (n != (int)back || !is_python_space(c)) break;
        s.len -= back;
    }
    return s;
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

/* ---- the table ---- */

#define LLAMA3_TOKENS "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"

static const struct row rows[] = {
    {"lab", recognise_lab, render_lab, false, false, {"<|end|>"}},
    {"plain", NULL, render_plain, false, false, {0}},
    {"chatml", recognise_chatml, render_chatml, false, true, {"<|im_start|>", "<|im_end|>"}},
    {"llama-3", recognise_llama3, render_llama3, true, true, {LLAMA3_TOKENS}},
    {"llama-3.1", recognise_llama31, render_llama31, true, true, {LLAMA3_TOKENS}},
};

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

static struct chat_format *open_row(const struct row *row, const struct tokenizer *t, const char *where,
                                    struct err *e) {
    struct chat_format *f = mem_zalloc(1, sizeof *f);
    f->row = row;
    if (find_tokens(f, t, where, e)) return f;
    chat_close(f);
    return NULL;
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
    if (found)
        f = open_row(found, t, where, e);
    else
        err_set(e, ERR_INPUT,
                "%s: chat template \"%.60s\" is not known; name the format that the model was trained with: "
                "--chat %s",
                where, template_text, chat_names());
    /* Qwen's '<|im_start|>system\nYou are ...<|im_end|>\n' for conversations without a system message. */
    if (f && found->render == render_chatml)
        f->system_default = chat_template_literal(&text, "<|im_start|>system\\n", "<|im_end|>");
    chat_template_fini(&text);
    return f;
}

struct chat_format *chat_open_named(const char *name, const struct tokenizer *t, const char *where,
                                    struct err *e) {
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (strcmp(rows[i].name, name) == 0) return open_row(&rows[i], t, where, e);
    }
    err_set(e, ERR_INPUT, "chat format %.40s is not known; these are: %s", name, chat_names());
    return NULL;
}

void chat_close(struct chat_format *f) {
    if (!f) return;
    free(f->system_default);
    free(f);
}

const char *chat_name(const struct chat_format *f) {
    return f->row->name;
}

const char *chat_names(void) {
    return "lab, plain, chatml, llama-3, llama-3.1";
}

bool chat_has_turns(const struct chat_format *f) {
    return f->row->has_turns;
}

bool chat_render_next(const struct chat_format *f, const struct tokenizer *t, struct str user,
                      struct tokens *out, struct err *e) {
    ASSERT(f->row->has_turns);
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

bool chat_render(const struct chat_format *f, const struct tokenizer *t, const struct chat_message *messages,
                 size_t n_messages, bool open_answer, bool continue_last, struct tokens *out, struct err *e) {
    struct writer w = {.t = t, .out = out, .e = e};
    const struct turns turns = {messages, n_messages, open_answer, continue_last};
    size_t n_before = out->len;
    if (n_messages == 0) return err_set(e, ERR_INPUT, "a conversation without messages");
    if (continue_last && (open_answer || messages[n_messages - 1].role != CHAT_ASSISTANT))
        return err_set(e, ERR_INPUT, "only an assistant's message at the end can be continued");
    f->row->render(f, &w, &turns);
    flush(&w);
    buf_free(&w.text);
    if (w.failed) out->len = n_before;
    return !w.failed;
}
