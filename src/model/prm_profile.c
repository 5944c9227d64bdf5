#include "model/prm_profile.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "model/model.h"

/* A known kind of process reward model. A language model's head says nothing: it is known by its path, where
 * any of the words of one row stand in it, whatever their case. */
struct row {
    const char *name;
    enum model_head head;
    int n_outputs;        /* of the head; 0: any, or a language model */
    const char *words[2]; /* in the path; NULL: none are asked for */
    const char *chat;     /* NULL: any chat format */
    const char *opening, *first, *next, *closing;
    bool aside, one_line, by_name; /* by_name: no file tells that a model is one */
    const char *good, *bad;        /* a language model's tokens */
    const char *aggregate;
};

#define LLAMA3_TURN(role) "{token:<|start_header_id|>}" role "{token:<|end_header_id|>}\n\n"
#define CHATML(role)      "{token:<|im_start|>}" role "\n"

static const struct row rows[] = {
    {.name = "token-classification", /* the bundled ones, which were trained on conversations */
     .head = MODEL_HEAD_CLASS,
     .chat = "lab",
     .opening = "{chat}",
     .closing = "{one:\n\n}",
     .aggregate = "min"},
    {.name = "token-classification",
     .head = MODEL_HEAD_CLASS,
     .opening = "{bos?}{problem}{one:\n\n}",
     .closing = "{one:\n\n}",
     .aggregate = "min"},
    {.name = "token-classification-lines",
     .head = MODEL_HEAD_CLASS,
     .opening = "{bos?}{problem}{one:\n}",
     .closing = "{one:\n}",
     .aggregate = "min"},
    {.name = "qwen2.5-math-prm",
     .head = MODEL_HEAD_MLP,
     .n_outputs = 2,
     .opening = CHATML("system") "Please reason step by step, and put your final answer within \\boxed{{}."
                                 "{token:<|im_end|>}\n" CHATML("user") "{problem}{token:<|im_end|>}\n" CHATML(
                                     "assistant"),
     .closing = "{token:<extra_0>}",
     .aggregate = "min"},
    {.name = "qwen2.5-math-rm",
     .head = MODEL_HEAD_MLP,
     .n_outputs = 1,
     .opening = "{chat}",
     .next = "\n\n",
     .closing = "{end}",
     .aside = true,
     .aggregate = "last"},
    {.name = "skywork-o1-open-prm",
     .head = MODEL_HEAD_VALUE,
     .n_outputs = 1,
     .opening = "{bos?}{problem}\n",
     .closing = "{one:\n}",
     .one_line = true,
     .aggregate = "min"},
    {.name = "sequence-classification",
     .head = MODEL_HEAD_SEQUENCE,
     .opening = "{chat}",
     .next = "\n\n",
     .closing = "{end}",
     .aside = true,
     .aggregate = "last"},
    {.name = "math-shepherd",
     .head = MODEL_HEAD_LM,
     .words = {"math-shepherd"},
     .opening = "{bos}{problem}",
     .first = " ",
     .next = "\n",
     .closing = " \xd0\xba\xd0\xb8",
     .good = "+",
     .bad = "-",
     .aggregate = "min"},
    {.name = "rlhflow",
     .head = MODEL_HEAD_LM,
     .words = {"prm-deepseek-data", "prm-mistral-data"},
     .opening = "{bos}" LLAMA3_TURN("system") "Cutting Knowledge Date: December 2023\nToday Date: " CHAT_DATE
                                              "\n\n{token:<|eot_id|>}" LLAMA3_TURN("user") "{problem}",
     .first = " ",
     .next = "+{token:<|eot_id|>}" LLAMA3_TURN("user"),
     .closing = "{token:<|eot_id|>}" LLAMA3_TURN("assistant"),
     .good = "+",
     .bad = "-",
     .aggregate = "prod"},
    {.name = "generative-judge",
     .head = MODEL_HEAD_LM,
     .by_name = true,
     .opening = "{user}Below are a problem and the steps of a solution. Judge the last of these steps: is it "
                "correct, given the problem and the steps before it?\n\nProblem:\n{problem}\n\nSteps:\n",
     .next = "\n\n",
     .closing = "\n\nIs the last step correct? Answer with one word, Yes or No.{answer}",
     .aside = true,
     .good = "Yes",
     .bad = "No",
     .aggregate = "min"},
};

const char *prm_profile_names(void) {
    return "token-classification, token-classification-lines, qwen2.5-math-prm, qwen2.5-math-rm, "
           "skywork-o1-open-prm, sequence-classification, math-shepherd, rlhflow, generative-judge";
}

/* ---- from rows and files to profiles ---- */

static bool put(char *to, size_t n_max, const char *text, const char *what, const char *where,
                struct err *e) {
    if (!text) text = "";
    if (strlen(text) >= n_max)
        return err_set(e, ERR_INPUT, "%s: \"%s\" is longer than %zu bytes", where, what, n_max - 1);
    memcpy(to, text, strlen(text) + 1);
    return true;
}

static bool put_texts(struct prm_profile *p, const char *opening, const char *first, const char *next,
                      const char *closing, const char *where, struct err *e) {
    return put(p->opening, sizeof p->opening, opening, "opening", where, e) &&
           put(p->first, sizeof p->first, first, "first", where, e) &&
           put(p->next, sizeof p->next, next, "next", where, e) &&
           put(p->closing, sizeof p->closing, closing, "closing", where, e);
}

/* The token that a word is at the beginning of a text, behind a space that some tokenizers put there. */
static bool find_word(const struct model *m, const char *word, int *out, struct err *e) {
    struct tokens ids = {0};
    bool done = tokenizer_encode(m->tokenizer, str_from(word), &ids, e);
    const bool has_space = ids.len == 2 && str_equal(tokenizer_bytes(m->tokenizer, ids.ptr[0]), STR(" "));
    if (done && ids.len > 0) *out = ids.ptr[ids.len - 1];
    if (done && ids.len != 1 && !has_space)
        done = err_set(e, ERR_INPUT, "%s: \"%s\" is %zu tokens, and a score is one token", m->path, word,
                       ids.len);
    tokens_free(&ids);
    return done;
}

static bool put_outputs(const struct model *m, struct prm_profile *p, const char *good, const char *bad,
                        struct err *e) {
    const int n = m->config.n_head_outputs;
    if (m->config.head == MODEL_HEAD_LM) {
        p->n_outputs = bad ? 2 : 1;
        if (!find_word(m, good, &p->outputs[0], e) || (bad && !find_word(m, bad, &p->outputs[1], e)))
            return false;
    } else {
        if (n > 2)
            return err_set(
                e, ERR_INPUT,
                "%s: a head of %d classes; a step reward has 1 (logistic) or 2 (wrong, right), or a "
                "profile's file that says which is \"good\"",
                m->path, n);
        p->n_outputs = n;
        p->outputs[0] = n - 1;
        p->outputs[1] = 0;
    }
    p->readout = p->n_outputs == 2 ? PRM_SOFTMAX_GOOD : PRM_SIGMOID;
    return true;
}

/* Every text can be encoded, and something stands where a score is read. */
static bool check(const struct model *m, const struct prm_profile *p, struct err *e) {
    struct tokens ids = {0}, closing = {0}, behind = {0};
    bool done = prm_profile_open(m, p, STR("x"), &ids, e) &&
                prm_profile_step(m, p, STR("y"), true, &ids, &closing, &behind, e) &&
                prm_profile_step(m, p, STR("z"), false, &ids, &closing, &behind, e);
    if (done && p->aside && !p->closing[0])
        done = err_set(e, ERR_INPUT, "%s: profile %s reads an empty closing aside: give it a \"closing\"",
                       m->path, p->name);
    tokens_free(&ids);
    tokens_free(&closing);
    tokens_free(&behind);
    return done;
}

static bool from_row(const struct model *m, const struct row *r, struct prm_profile *p, struct err *e) {
    *p = (struct prm_profile){.kind = PRM_STEPS, .aside = r->aside, .one_line = r->one_line};
    return put(p->name, sizeof p->name, r->name, "name", m->path, e) &&
           put(p->aggregate, sizeof p->aggregate, r->aggregate, "aggregate", m->path, e) &&
           put_texts(p, r->opening, r->first, r->next, r->closing, m->path, e) &&
           put_outputs(m, p, r->good, r->bad, e) && check(m, p, e);
}

static bool contains_word(const char *path, const char *word) {
    for (const char *at = path; *at; at++) {
        size_t i = 0;
        while (word[i] && tolower((unsigned char)at[i]) == word[i]) i++;
        if (!word[i]) return true;
    }
    return false;
}

/* A row is for models with this chat format. */
static bool has_chat(const struct model *m, const struct row *r) {
    return !r->chat || strcmp(r->chat, chat_name(m->chat)) == 0;
}

static bool is_row(const struct model *m, const struct row *r) {
    if (!has_chat(m, r)) return false;
    if (r->by_name || r->head != m->config.head || (r->n_outputs && r->n_outputs != m->config.n_head_outputs))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(r->words); i++)
        if (r->words[i] && contains_word(m->path, r->words[i])) return true;
    return !r->words[0];
}

void prm_profile_detect(const struct model *m, struct prm_profile *p) {
    struct err e = {0};
    for (size_t i = 0; i < ARRAY_LEN(rows);
         i++) /* where one does not fit, the next may: a newline for a blank line */
        if (is_row(m, &rows[i]) && from_row(m, &rows[i], p, &e)) return;
    *p = (struct prm_profile){.kind = PRM_NONE};
    if (m->config.head == MODEL_HEAD_LM) return; /* a language model all the same */
    if (e.code == ERR_NONE)
        err_set(&e, ERR_INPUT, "a head of %d outputs scores no steps: 1 or 2 do", m->config.n_head_outputs);
    snprintf(p->why, sizeof p->why, "%s", e.msg);
}

/* ---- files ---- */

enum { FILE_BYTES_MAX = 1 << 16 };

static bool check_keys(const json_t *root, const char *where, struct err *e) {
    static const char *const known[] = {"name",     "opening", "first",      "next", "closing",
                                        "aside",    "readout", "good",       "bad",  "aggregate",
                                        "one_line", "prompt",  "prompt_file"};
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)root, key, value) {
        size_t i = 0;
        while (i < ARRAY_LEN(known) && strcmp(key, known[i]) != 0) i++;
        if (i == ARRAY_LEN(known))
            return err_set(
                e, ERR_INPUT,
                "%s: key \"%.40s\" is unknown: name, opening, first, next, closing, aside, one_line, "
                "prompt, prompt_file, readout, good, bad and aggregate are",
                where, key);
    }
    return true;
}

/* A judge's prompt: up to {steps} read once, the rest of it on the side of each step. */
static bool from_prompt(const char *prompt, const char *where, struct prm_profile *p, struct err *e) {
    static const char steps[] = "{steps}";
    const char *at = strstr(prompt, steps), *problem = strstr(prompt, "{problem}");
    struct buf opening = {0}, closing = {0};
    if (!at || !problem || problem > at || strstr(at + 1, steps))
        return err_set(
            e, ERR_INPUT,
            "%s: a judge's prompt has {problem} and, behind it, {steps} once: steps are read as they "
            "come",
            where);
    buf_printf(&opening, "{user}%.*s", (int)(at - prompt), prompt);
    buf_printf(&closing, "%s{answer}", at + strlen(steps));
    const bool done = put(p->opening, sizeof p->opening, buf_cstr(&opening), "prompt", where, e) &&
                      put(p->closing, sizeof p->closing, buf_cstr(&closing), "prompt", where, e);
    p->aside = true;
    buf_free(&opening);
    buf_free(&closing);
    return done;
}

/* "prompt", or the text in the file that "prompt_file" names, beside the profile's. */
static bool from_json_prompt(const json_t *root, const char *where, struct prm_profile *p, struct err *e) {
    static const char *const others[] = {"opening", "closing", "aside"};
    const char *prompt, *name, *first, *next;
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (json_object_get(root, others[i]))
            return err_set(e, ERR_INPUT, "%s: \"%s\" beside a prompt, which has its own", where, others[i]);
    if (!json_get_string(root, "prompt", NULL, &prompt, where, e) ||
        !json_get_string(root, "prompt_file", NULL, &name, where, e) ||
        !json_get_string(root, "first", "", &first, where, e) ||
        !json_get_string(root, "next", "\n\n", &next, where, e) ||
        !put(p->first, sizeof p->first, first, "first", where, e) ||
        !put(p->next, sizeof p->next, next, "next", where, e))
        return false;
    if (prompt && name)
        return err_set(e, ERR_INPUT, "%s: \"prompt\" and \"prompt_file\": one of them", where);
    if (prompt) return from_prompt(prompt, where, p, e);
    const char *slash = strrchr(where, '/');
    struct buf path = {0}, text = {0};
    if (slash && name[0] != '/') buf_add(&path, where, (size_t)(slash + 1 - where));
    buf_add_str(&path, str_from(name));
    bool done = file_read(buf_cstr(&path), FILE_BYTES_MAX, &text, e);
    while (done && text.len && strchr("\r\n", text.ptr[text.len - 1]))
        text.ptr[--text.len] = 0; /* how files end */
    if (done && text.len && memchr(text.ptr, 0, text.len))
        done = err_set(e, ERR_INPUT, "%s: a prompt is text, and this has a byte 0", buf_cstr(&path));
    done = done && from_prompt(buf_cstr(&text), buf_cstr(&path), p, e);
    buf_free(&path);
    buf_free(&text);
    return done;
}

/* The texts and flags. */
static bool from_json_texts(const json_t *root, const char *where, struct prm_profile *p, struct err *e) {
    const char *name, *opening, *first, *next, *closing;
    if (json_object_get(root, "prompt") || json_object_get(root, "prompt_file"))
        return json_get_string(root, "name", "generative-judge", &name, where, e) &&
               json_get_bool(root, "one_line", false, &p->one_line, where, e) &&
               put(p->name, sizeof p->name, name, "name", where, e) && from_json_prompt(root, where, p, e);
    return json_get_string(root, "name", "custom", &name, where, e) &&
           json_want_string(root, "opening", &opening, where, e) &&
           json_get_string(root, "first", "", &first, where, e) &&
           json_get_string(root, "next", "", &next, where, e) &&
           json_get_string(root, "closing", "", &closing, where, e) &&
           json_get_bool(root, "aside", false, &p->aside, where, e) &&
           json_get_bool(root, "one_line", false, &p->one_line, where, e) &&
           put(p->name, sizeof p->name, name, "name", where, e) &&
           put_texts(p, opening, first, next, closing, where, e);
}

/* All but outputs. */
static bool from_json_any(const json_t *root, const char *where, struct prm_profile *p, struct err *e) {
    static const char *const aggregates[] = {"last", "min", "prod", "mean"};
    const char *readout, *aggregate;
    size_t i = 0;
    if (!json_is_object(root)) return err_set(e, ERR_INPUT, "%s: a profile is a JSON object", where);
    if (!check_keys(root, where, e) || !from_json_texts(root, where, p, e) ||
        !json_get_string(root, "readout", "softmax", &readout, where, e) ||
        !json_get_string(root, "aggregate", "min", &aggregate, where, e))
        return false;
    const bool softmax = strcmp(readout, "softmax") == 0;
    if (!softmax && strcmp(readout, "sigmoid") != 0)
        return err_set(e, ERR_INPUT, "%s: readout \"%.40s\" is unknown: softmax or sigmoid", where, readout);
    while (i < ARRAY_LEN(aggregates) && strcmp(aggregate, aggregates[i]) != 0) i++;
    if (i == ARRAY_LEN(aggregates))
        return err_set(e, ERR_INPUT, "%s: aggregate \"%.40s\" is unknown: last, min, prod or mean", where,
                       aggregate);
    p->kind = PRM_STEPS;
    p->readout = softmax ? PRM_SOFTMAX_GOOD : PRM_SIGMOID;
    return put(p->aggregate, sizeof p->aggregate, aggregate, "aggregate", where, e);
}

/* A language model's words; *bad is NULL with a readout that needs none. */
static bool get_words(const json_t *root, bool softmax, const char *where, const char **good,
                      const char **bad, struct err *e) {
    if (!json_get_string(root, "good", NULL, good, where, e) ||
        !json_get_string(root, "bad", NULL, bad, where, e))
        return false;
    if (!softmax) *bad = NULL;
    return true;
}

static bool add_output(const struct model *m, struct prm_profile *p, const json_t *number, const char *where,
                       struct err *e) {
    const int n = m->config.n_head_outputs;
    const json_int_t i = json_integer_value(number);
    if (!json_is_integer(number) || i < 0 || i >= n)
        return err_set(e, ERR_INPUT,
                       "%s: \"good\" and \"bad\" of this head are numbers of its outputs, from 0 to %d",
                       where, n - 1);
    for (int k = 0; k < p->n_outputs; k++)
        if (p->outputs[k] == i) return err_set(e, ERR_INPUT, "%s: output %d is named twice", where, (int)i);
    if (p->n_outputs == PRM_OUTPUTS_MAX)
        return err_set(e, ERR_INPUT, "%s: over %d outputs; name those that count in \"bad\"", where,
                       PRM_OUTPUTS_MAX);
    p->outputs[p->n_outputs++] = (int)i;
    return true;
}

/* Numbers of a head's outputs: good, and with softmax bad, a list of them, or all others. */
static bool put_numbers(const struct model *m, struct prm_profile *p, const json_t *root, const char *where,
                        struct err *e) {
    const json_t *good = json_object_get(root, "good"), *bad = json_object_get(root, "bad");
    const bool softmax = p->readout == PRM_SOFTMAX_GOOD, is_list = json_is_array(bad);
    if (!good && bad) return err_set(e, ERR_INPUT, "%s: \"bad\" without \"good\"", where);
    if (!good && m->config.n_head_outputs <= 2 && (softmax || m->config.n_head_outputs == 1))
        return put_outputs(m, p, NULL, NULL, e);
    if (!good)
        return err_set(e, ERR_INPUT,
                       "%s: which of the head's %d outputs is \"good\"? give its number, from 0", where,
                       m->config.n_head_outputs);
    if (!add_output(m, p, good, where, e)) return false;
    const size_t n_bad = is_list ? json_array_size(bad) : bad ? 1 : 0;
    for (size_t i = 0; softmax && i < n_bad; i++)
        if (!add_output(m, p, is_list ? json_array_get(bad, i) : bad, where, e)) return false;
    for (int i = 0; softmax && !bad && i < m->config.n_head_outputs; i++) {
        json_t *other = json_integer(i);
        const bool done = i == p->outputs[0] || add_output(m, p, other, where, e);
        json_decref(other);
        if (!done) return false;
    }
    return !softmax || p->n_outputs > 1 ||
           err_set(e, ERR_INPUT, "%s: a softmax has more than one output: give \"bad\", or readout sigmoid",
                   where);
}

static bool from_json(const struct model *m, const json_t *root, const char *where, struct prm_profile *p,
                      struct err *e) {
    const char *good, *bad;
    if (!from_json_any(root, where, p, e)) return false;
    const bool softmax = p->readout == PRM_SOFTMAX_GOOD;
    if (m->config.head != MODEL_HEAD_LM) return put_numbers(m, p, root, where, e) && check(m, p, e);
    if (!get_words(root, softmax, where, &good, &bad, e)) return false;
    if (!good || (softmax && !bad))
        return err_set(e, ERR_INPUT, "%s: a language model's score needs the tokens \"good\"%s", where,
                       softmax ? " and \"bad\"" : "");
    return put_outputs(m, p, good, bad, e) && check(m, p, e);
}

bool prm_profile_named(const struct model *m, const char *name, struct prm_profile *p, struct err *e) {
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (strcmp(rows[i].name, name) != 0 || !has_chat(m, &rows[i])) continue;
        if (rows[i].head == m->config.head) return from_row(m, &rows[i], p, e);
        return err_set(e, ERR_INPUT, "%s: profile %s is for models with another head", m->path, name);
    }
    *p = (struct prm_profile){0};
    if (!strchr(name, '.') && !strchr(name, '/'))
        return err_set(e, ERR_INPUT, "profile '%s' is unknown: %s, or the path of a profile's file", name,
                       prm_profile_names());
    struct buf content = {0};
    const bool done =
        file_read(name, FILE_BYTES_MAX, &content, e) && prm_profile_parse(m, buf_str(&content), name, p, e);
    buf_free(&content);
    return done;
}

bool prm_profile_parse(const struct model *m, struct str content, const char *where, struct prm_profile *p,
                       struct err *e) {
    *p = (struct prm_profile){0};
    json_t *root = json_parse(content, where, e);
    const bool done = root && from_json(m, root, where, p, e);
    json_decref(root);
    return done;
}

/* ---- without the model ---- */

static bool words_of_row(const struct row *r, struct prm_words *out, struct err *e) {
    struct prm_profile *p = &out->profile;
    p->kind = PRM_STEPS;
    p->aside = r->aside;
    p->one_line = r->one_line;
    p->readout = r->bad || r->n_outputs != 1 ? PRM_SOFTMAX_GOOD : PRM_SIGMOID;
    out->whole = r->aside && !r->good;
    return put(p->name, sizeof p->name, r->name, "name", r->name, e) &&
           put(p->aggregate, sizeof p->aggregate, r->aggregate, "aggregate", r->name, e) &&
           put(out->good, sizeof out->good, r->good, "good", r->name, e) &&
           put(out->bad, sizeof out->bad, r->bad, "bad", r->name, e) &&
           put_texts(p, r->opening, r->first, r->next, r->closing, r->name, e);
}

bool prm_profile_words(const char *name, struct prm_words *out, struct err *e) {
    *out = (struct prm_words){0};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (strcmp(rows[i].name, name) == 0 && !rows[i].chat) return words_of_row(&rows[i], out, e);
    const char *good = NULL, *bad = NULL;
    json_t *root = json_read_file(name, FILE_BYTES_MAX, e);
    bool done = root && from_json_any(root, name, &out->profile, e);
    const bool softmax = out->profile.readout == PRM_SOFTMAX_GOOD;
    done = done && get_words(root, softmax, name, &good, &bad, e);
    if (done && good && softmax && !bad)
        done =
            err_set(e, ERR_INPUT, "%s: a language model's score needs the tokens \"good\" and \"bad\"", name);
    done = done && put(out->good, sizeof out->good, good, "good", name, e) &&
           put(out->bad, sizeof out->bad, bad, "bad", name, e);
    out->whole = done && out->profile.aside && !out->good[0];
    json_decref(root);
    return done;
}

const char *prm_profile_suits(const char *model_name) {
    static const char *const heads[][2] = {{"qwen2.5-math-prm", "qwen2.5-math-prm"},
                                           {"qwen2.5-math-rm", "qwen2.5-math-rm"},
                                           {"skywork-o1-open-prm", "skywork-o1-open-prm"},
                                           {"skywork-reward", "sequence-classification"}};
    for (size_t i = 0; i < ARRAY_LEN(heads); i++)
        if (contains_word(model_name, heads[i][0])) return heads[i][1];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (size_t k = 0; k < ARRAY_LEN(rows[i].words); k++)
            if (rows[i].words[k] && contains_word(model_name, rows[i].words[k])) return rows[i].name;
    return NULL;
}

double prm_profile_score(const struct prm_profile *p, const float *outputs) {
    double good = outputs[0], max = good, sum = 0;
    if (p->readout == PRM_SIGMOID) return 1 / (1 + exp(-good));
    ASSERT(p->readout == PRM_SOFTMAX_GOOD);
    for (int i = 1; i < p->n_outputs; i++) max = fmax(max, outputs[i]);
    for (int i = 0; i < p->n_outputs; i++) sum += exp((double)outputs[i] - max);
    return exp(good - max) / sum;
}
