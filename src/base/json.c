/* json.c - see json.h. */
#include "base/json.h"

#include <string.h>

#include "base/file.h"

json_t *json_parse(struct str text, const char *where, struct err *e) {
    json_error_t why;
    json_t *value =
        json_loadb(text.ptr ? text.ptr : "", text.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
    if (value) return value;
    bool one_line = str_find(text, STR("\n")) < 0;
    if (one_line)
        err_set(e, ERR_INPUT, "%s: not valid JSON at column %d: %s", where, why.column, why.text);
    else
        err_set(e, ERR_INPUT, "%s: not valid JSON at line %d, column %d: %s", where, why.line, why.column,
                why.text);
    return NULL;
}

json_t *json_read_file(const char *path, size_t n_bytes_max, struct err *e) {
    struct buf text = {0};
    json_t *value = NULL;
    if (file_read(path, n_bytes_max, &text, e) && file_check_pointer(buf_str(&text), path, e))
        value = json_parse(buf_str(&text), path, e);
    buf_free(&text);
    return value;
}

static const char *kind_of(const json_t *v) {
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "a whole number";
    case JSON_REAL:
        return "a number with a fraction";
    case JSON_TRUE:
        return "true";
    case JSON_FALSE:
        return "false";
    case JSON_NULL:
        return "null";
    }
    return "something else";
}

/* The field, with null as absent (*field == NULL). False when `object` is none. */
static bool field_of(const json_t *object, const char *key, const json_t **field, const char *where,
                     struct err *e) {
    if (!json_is_object(object))
        return err_set(e, ERR_INPUT, "%s: expected an object with \"%s\", found %s", where, key,
                       object ? kind_of(object) : "nothing");
    const json_t *v = json_object_get(object, key);
    *field = json_is_null(v) ? NULL : v;
    return true;
}

static bool missing(const char *key, const char *where, struct err *e) {
    return err_set(e, ERR_INPUT, "%s: \"%s\" is missing", where, key);
}

static bool wrong_kind(const json_t *v, const char *key, const char *wanted, const char *where,
                       struct err *e) {
    return err_set(e, ERR_INPUT, "%s: \"%s\" must be %s, not %s", where, key, wanted, kind_of(v));
}

static bool read_int(const json_t *v, const char *key, int64_t min, int64_t max, int64_t *out,
                     const char *where, struct err *e) {
    if (!json_is_integer(v)) return wrong_kind(v, key, "a whole number", where, e);
    int64_t n = json_integer_value(v);
    if (n < min || n > max)
        return err_set(e, ERR_INPUT, "%s: \"%s\" is %lld, but must be from %lld to %lld", where, key,
                       (long long)n, (long long)min, (long long)max);
    *out = n;
    return true;
}

bool json_get_string(const json_t *object, const char *key, const char *def, const char **out,
                     const char *where, struct err *e) {
    const json_t *v;
    if (!field_of(object, key, &v, where, e)) return false;
    if (v && !json_is_string(v)) return wrong_kind(v, key, "a string", where, e);
    *out = v ? json_string_value(v) : def;
    return true;
}

bool json_want_string(const json_t *object, const char *key, const char **out, const char *where,
                      struct err *e) {
    const char *found;
    if (!json_get_string(object, key, NULL, &found, where, e)) return false;
    if (!found) return missing(key, where, e);
    *out = found;
    return true;
}

bool json_get_int(const json_t *object, const char *key, int64_t def, int64_t min, int64_t max, int64_t *out,
                  const char *where, struct err *e) {
    const json_t *v;
    if (!field_of(object, key, &v, where, e)) return false;
    if (v) return read_int(v, key, min, max, out, where, e);
    *out = def;
    return true;
}

bool json_want_int(const json_t *object, const char *key, int64_t min, int64_t max, int64_t *out,
                   const char *where, struct err *e) {
    const json_t *v;
    if (!field_of(object, key, &v, where, e)) return false;
    return v ? read_int(v, key, min, max, out, where, e) : missing(key, where, e);
}

bool json_get_real(const json_t *object, const char *key, double def, double *out, const char *where,
                   struct err *e) {
    const json_t *v;
    if (!field_of(object, key, &v, where, e)) return false;
    if (v && !json_is_number(v)) return wrong_kind(v, key, "a number", where, e);
    *out = v ? json_number_value(v) : def;
    return true;
}

bool json_get_bool(const json_t *object, const char *key, bool def, bool *out, const char *where,
                   struct err *e) {
    const json_t *v;
    if (!field_of(object, key, &v, where, e)) return false;
    if (v && !json_is_boolean(v)) return wrong_kind(v, key, "true or false", where, e);
    *out = v ? json_is_true(v) : def;
    return true;
}

json_t *json_text(struct str s) {
    struct buf clean = {0};
    for (size_t at = 0; at < s.len;) {
        uint32_t scalar;
        int n = str_utf8(s, at, &scalar);
        buf_add_utf8(&clean, n > 0 && scalar != 0 ? scalar : 0xfffd);
        at += n > 0 ? (size_t)n : 1;
    }
    json_t *value = json_stringn(buf_cstr(&clean), clean.len);
    ASSERT(value);
    buf_free(&clean);
    return value;
}

char *json_line(const json_t *value) {
    char *line = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    ASSERT(line);
    return line;
}

struct str json_list_text(struct str object, const char *key) {
    const size_t n_key = strlen(key);
    int depth = 0;
    bool in_string = false;
    size_t from = 0, string_at = 0;
    for (size_t i = 0; i < object.len; i++) {
        const char c = object.ptr[i];
        if (in_string) {
            if (c == '\\') i++;
            if (c != '"') continue;
            in_string = false;
            const bool is_key =
                depth == 1 && !from && i - string_at == n_key && !memcmp(object.ptr + string_at, key, n_key);
            size_t at = i + 1;
            while (at < object.len && strchr(" \t", object.ptr[at])) at++;
            if (!is_key || at >= object.len || object.ptr[at] != ':') continue;
            at++;
            while (at < object.len && strchr(" \t", object.ptr[at])) at++;
            if (at >= object.len || object.ptr[at] != '[') return (struct str){0};
            from = at;
            i = at - 1;
        } else if (c == '"') {
            in_string = true;
            string_at = i + 1;
        } else if (c == '[' || c == '{') {
            depth++;
        } else if (c == ']' || c == '}') {
            depth--;
            if (from && depth == 1) return (struct str){object.ptr + from, i + 1 - from};
        }
    }
    return (struct str){0};
}

json_t *json_parse_without(struct str object, struct str list, struct str other, const char *where,
                           struct err *e) {
    const bool in_order = !other.len || (list.len && list.ptr < other.ptr);
    const struct str cuts[] = {in_order ? list : other, in_order ? other : list};
    struct buf cut = {0};
    const char *at = object.ptr;
    for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
        if (!cuts[i].len) continue;
        buf_add(&cut, at, (size_t)(cuts[i].ptr - at));
        buf_add_str(&cut, STR("[]"));
        at = cuts[i].ptr + cuts[i].len;
    }
    if (at != object.ptr) buf_add(&cut, at, (size_t)(object.ptr + object.len - at));
    json_t *o = json_parse(cut.len ? buf_str(&cut) : object, where, e);
    buf_free(&cut);
    return o;
}
