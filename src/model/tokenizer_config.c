#include "model/tokenizer_config.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"

#define CONFIG_BYTES_MAX   ((size_t)32 << 20)
#define TEMPLATE_BYTES_MAX ((size_t)2 << 20)

/* "text" or {"content": "text", ...} */
static bool parse_token(const json_t *root, const char *key, char **out, const char *where, struct err *e) {
    const json_t *v = json_object_get(root, key);
    if (!v || json_is_null(v)) return true;
    const char *text = json_string_value(json_is_object(v) ? json_object_get(v, "content") : v);
    if (!text) return err_set(e, ERR_INPUT, "%s: \"%s\" is neither a text nor a token", where, key);
    *out = mem_strdup(text);
    return true;
}

static bool parse_template(const json_t *root, char **out, const char *where, struct err *e) {
    const json_t *v = json_object_get(root, "chat_template");
    const char *text = json_string_value(v);
    for (size_t i = 0; i < json_array_size(v); i++) {
        const json_t *named = json_array_get(v, i);
        const char *name = json_string_value(json_object_get(named, "name"));
        if (name && strcmp(name, "default") == 0)
            text = json_string_value(json_object_get(named, "template"));
    }
    if (v && !json_is_null(v) && !text)
        return err_set(e, ERR_INPUT, "%s: \"chat_template\" is neither a text nor a list with a default",
                       where);
    if (text) *out = mem_strdup(text);
    return true;
}

/* A container of the kind wanted, or NULL. */
static bool parse_container(const json_t *root, const char *key, json_type type, json_t **out,
                            const char *where, struct err *e) {
    json_t *v = json_object_get(root, key);
    if (!v || json_is_null(v)) return true;
    if (json_typeof(v) != type)
        return err_set(e, ERR_INPUT, "%s: \"%s\" is not %s", where, key,
                       type == JSON_OBJECT ? "an object" : "a list");
    *out = json_incref(v);
    return true;
}

static bool parse_add_bos(const json_t *root, int *out, const char *where, struct err *e) {
    bool add;
    const json_t *v = json_object_get(root, "add_bos_token");
    if (!json_get_bool(root, "add_bos_token", false, &add, where, e)) return false;
    *out = v && !json_is_null(v) ? add : -1;
    return true;
}

bool tokenizer_config_parse(const json_t *root, const char *where, struct tokenizer_config *out,
                            struct err *e) {
    *out = (struct tokenizer_config){.add_bos = -1, .legacy = true};
    if (!json_is_object(root)) return err_set(e, ERR_INPUT, "%s: not an object", where);
    if (parse_add_bos(root, &out->add_bos, where, e) &&
        json_get_bool(root, "legacy", true, &out->legacy, where, e) &&
        parse_token(root, "bos_token", &out->bos_token, where, e) &&
        parse_token(root, "eos_token", &out->eos_token, where, e) &&
        parse_token(root, "unk_token", &out->unk_token, where, e) &&
        parse_token(root, "pad_token", &out->pad_token, where, e) &&
        parse_container(root, "added_tokens_decoder", JSON_OBJECT, &out->added_tokens, where, e) &&
        parse_container(root, "additional_special_tokens", JSON_ARRAY, &out->more_special, where, e) &&
        parse_template(root, &out->chat_template, where, e))
        return true;
    tokenizer_config_fini(out);
    return false;
}

static bool read_json(const char *dir, struct tokenizer_config *out, struct err *e) {
    char *path = file_join(dir, "tokenizer_config.json");
    bool done = true;
    if (file_exists(path)) {
        json_t *root = json_read_file(path, CONFIG_BYTES_MAX, e);
        done = root && tokenizer_config_parse(root, path, out, e);
        json_decref(root);
    }
    free(path);
    return done;
}

bool tokenizer_config_read(const char *dir, struct tokenizer_config *out, struct err *e) {
    *out = (struct tokenizer_config){.add_bos = -1, .legacy = true};
    if (!read_json(dir, out, e)) return false;
    char *path = file_join(dir, "chat_template.jinja");
    bool done = true;
    if (file_exists(path)) {
        struct buf text = {0};
        done = file_read(path, TEMPLATE_BYTES_MAX, &text, e);
        if (done) {
            free(out->chat_template);
            out->chat_template = buf_take(&text);
        }
        buf_free(&text);
    }
    free(path);
    if (!done) tokenizer_config_fini(out);
    return done;
}

bool tokenizer_config_is_special(const struct tokenizer_config *c, const char *text) {
    const char *named[] = {c->bos_token, c->eos_token, c->unk_token, c->pad_token};
    const json_t *item;
    size_t i;
    for (i = 0; i < ARRAY_LEN(named); i++) {
        if (named[i] && strcmp(named[i], text) == 0) return true;
    }
    json_array_foreach(c->more_special, i, item) {
        const char *content =
            json_string_value(json_is_object(item) ? json_object_get(item, "content") : item);
        if (content && strcmp(content, text) == 0) return true;
    }
    return false;
}

void tokenizer_config_fini(struct tokenizer_config *c) {
    free(c->bos_token);
    free(c->eos_token);
    free(c->unk_token);
    free(c->pad_token);
    json_decref(c->added_tokens);
    json_decref(c->more_special);
    free(c->chat_template);
    *c = (struct tokenizer_config){0};
}
