/* wire.c - see wire.h. */
#include "http/wire.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void wire_ids_add(struct wire_ids *ids, const int *more, size_t n) {
    MEM_GROW(ids->ptr, ids->cap, ids->len + n);
    if (n > 0) memcpy(ids->ptr + ids->len, more, n * sizeof *more);
    ids->len += n;
}

void wire_ids_free(struct wire_ids *ids) {
    free(ids->ptr);
    *ids = (struct wire_ids){0};
}

/* ---- requests ---- */
void wire_put_string(struct buf *out, const char *s) {
    size_t n = 0;
    while (s[n] >= ' ' && s[n] <= '~' && s[n] != '"' && s[n] != '\\') n++;
    if (!s[n]) { /* plain ASCII */
        buf_add_char(out, '"');
        buf_add(out, s, n);
        buf_add_char(out, '"');
        return;
    }
    json_t *value = json_text(str_from(s));
    char *text = json_dumps(value, JSON_ENCODE_ANY);
    ASSERT(text);
    buf_add_str(out, str_from(text));
    free(text);
    json_decref(value);
}

void wire_put_ids(struct buf *out, const int *ids, size_t n, bool first) {
    char bytes[12]; /* from the last digit on */
    for (size_t i = 0; i < n; i++) {
        size_t k = sizeof bytes;
        unsigned id = (unsigned)ids[i];
        do bytes[--k] = (char)('0' + id % 10);
        while (id /= 10);
        if (!first || i > 0) bytes[--k] = ',';
        buf_add(out, bytes + k, sizeof bytes - k);
    }
}

static void put_message(struct buf *out, const char *role, const char *text) {
    if (out->ptr[out->len - 1] == '}') buf_add_char(out, ',');
    buf_printf(out, "{\"role\":\"%s\",\"content\":", role);
    wire_put_string(out, text);
    buf_add_char(out, '}');
}

void wire_put_conversation(struct buf *out, const char *system, const char *const *turns, size_t n_turns) {
    buf_add_str(out, STR("\"messages\":["));
    if (system) put_message(out, "system", system);
    for (size_t i = 0; i < n_turns; i++) put_message(out, i % 2 ? "assistant" : "user", turns[i]);
    buf_add_char(out, ']');
}

void wire_put_model(struct buf *out, const char *model) {
    buf_add_str(out, STR("{\"model\":"));
    wire_put_string(out, model);
    buf_add_char(out, ',');
}

void wire_put_messages(struct buf *out, const char *model, const char *system, const char *const *turns,
                       size_t n_turns) {
    wire_put_model(out, model);
    wire_put_conversation(out, system, turns, n_turns);
    buf_add_str(out, STR(",\"add_generation_prompt\":true}"));
}

void wire_put_content(struct buf *out, const char *text) {
    buf_add_str(out, STR("{\"content\":"));
    wire_put_string(out, text);
    buf_add_str(out, STR(",\"add_special\":true,\"parse_special\":true}"));
}

static void put_text(struct buf *out, enum wire_form form, const char *model, const char *text, bool begun) {
    wire_put_model(out, model);
    buf_printf(out, "\"%s\":", wire_is_llama(form) ? "content" : "prompt");
    wire_put_string(out, text);
    buf_printf(out, ",\"%s\":%s}", wire_is_llama(form) ? "add_special" : "add_special_tokens",
               begun ? "true" : "false");
}

void wire_put_plain(struct buf *out, enum wire_form form, const char *model, const char *text) {
    put_text(out, form, model, text, false);
}

void wire_put_begun(struct buf *out, enum wire_form form, const char *model, const char *text) {
    put_text(out, form, model, text, true);
}

void wire_put_token(struct buf *out, const char *model, int id) {
    wire_put_model(out, model);
    buf_printf(out, "\"tokens\":[%d]}", id);
}

const char *wire_token_text(const json_t *answer) {
    static const char *const names[] = {"prompt", "content", "text"}; /* vLLM, llama-server, SGLang */
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *text = json_string_value(json_object_get(answer, names[i]));
        if (text) return text;
    }
    return NULL;
}

/* ---- answers ---- */
bool wire_senseless(struct err *e, const char *what) {
    return err_set(e, ERR_SERVICE, "the server's answer makes no sense: %s", what);
}

bool wire_take_list(const json_t *list, size_t n_max, struct wire_ids *ids, struct err *e) {
    if (!json_is_array(list)) return wire_senseless(e, "no token ids");
    if (json_array_size(list) > n_max) return wire_senseless(e, "more tokens than were asked for");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *v = json_array_get(list, i);
        if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > INT32_MAX)
            return wire_senseless(e, "a token id that is none");
        const int id = (int)json_integer_value(v);
        wire_ids_add(ids, &id, 1);
    }
    return true;
}

bool wire_take_ids(const json_t *answer, struct wire_ids *ids, struct err *e) {
    if (!wire_take_list(json_object_get(answer, "tokens"), (size_t)INT32_MAX / 8, ids, e)) return false;
    return ids->len > 0 || wire_senseless(e, "no tokens");
}

double wire_count(const json_t *object, const char *key) {
    double n = json_number_value(json_object_get(object, key));
    return n > 0 && n < 1e12 ? floor(n) : 0;
}
