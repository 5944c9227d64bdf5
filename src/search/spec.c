/* spec.c - strategies and their parameters as text, by the strategies' own tables. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "search/search.h"

/* The i-th name of a list that ends in NULL. */
typedef const char *name_at(const void *list, int i);

/* Strategies, then presets. */
static const char *strategy_name(const void *list, int i) {
    UNUSED(list);
    int n = 0;
    while (search_strategies[n]) n++;
    return i < n ? search_strategies[i]->name : search_presets[i - n].name;
}

static const char *param_name(const void *list, int i) {
    const struct search_strategy *strategy = list;
    return i < strategy->n_params ? strategy->params[i].name : NULL;
}

static const char *choice_name(const void *list, int i) {
    return ((const char *const *)list)[i];
}

static int find(name_at *name, const void *list, struct str wanted) {
    for (int i = 0; name(list, i); i++)
        if (str_equal(str_from(name(list, i)), wanted)) return i;
    return -1;
}

/* "what 'wanted'; ...: a, b, c" */
static bool unknown(name_at *name, const void *list, const char *what, struct str wanted, struct err *e) {
    struct buf known = {0};
    for (int i = 0; name(list, i); i++) buf_printf(&known, "%s%s", i ? ", " : "", name(list, i));
    err_set(e, ERR_INPUT, "%s '%.*s'; known: %s", what, (int)MIN(wanted.len, 60),
            wanted.ptr ? wanted.ptr : "", known.len ? buf_cstr(&known) : "none");
    buf_free(&known);
    return false;
}

static int param_index(const struct search_spec *spec, const char *key) {
    return find(param_name, spec->strategy, str_from(key));
}

bool search_spec_has(const struct search_spec *spec, const char *key) {
    return param_index(spec, key) >= 0;
}

double search_spec_get(const struct search_spec *spec, const char *key) {
    int i = param_index(spec, key);
    ASSERT(i >= 0);
    return spec->values[i];
}

static int param_required(const struct search_spec *spec, struct str key, struct err *e) {
    int i = find(param_name, spec->strategy, key);
    if (i >= 0) return i;
    char what[120];
    snprintf(what, sizeof what, "strategy '%s' has no parameter", spec->strategy->name);
    unknown(param_name, spec->strategy, what, key, e);
    return -1;
}

static bool set_at(struct search_spec *spec, int i, double value, struct err *e) {
    const struct search_param *p = &spec->strategy->params[i];
    if (p->type != SEARCH_PARAM_REAL && value != floor(value))
        return err_set(e, ERR_INPUT, "strategy '%s': %s=%g must be a whole number", spec->strategy->name,
                       p->name, value);
    if (!(value >= p->min && value <= p->max))
        return err_set(e, ERR_INPUT, "strategy '%s': %s=%g must be from %g to %g", spec->strategy->name,
                       p->name, value, p->min, p->max);
    spec->values[i] = value;
    return true;
}

bool search_spec_set(struct search_spec *spec, const char *key, double value, struct err *e) {
    int i = param_required(spec, str_from(key), e);
    return i >= 0 && set_at(spec, i, value, e);
}

static bool set_text(struct search_spec *spec, struct str key, struct str value, struct err *e) {
    int i = param_required(spec, key, e);
    if (i < 0) return false;
    const struct search_param *p = &spec->strategy->params[i];
    char what[120];
    if (p->type == SEARCH_PARAM_CHOICE) {
        int at = find(choice_name, p->choices, value);
        if (at >= 0) return set_at(spec, i, at, e);
        snprintf(what, sizeof what, "strategy '%s': %s cannot be", spec->strategy->name, p->name);
        return unknown(choice_name, p->choices, what, value, e);
    }
    char *text = str_dup(value), *end;
    double number = strtod(text, &end);
    bool is_number = value.len > 0 && *end == '\0' && end == text + value.len && isfinite(number) &&
                     strspn(text, "+-.0123456789eE") == value.len;
    free(text);
    if (!is_number)
        return err_set(e, ERR_INPUT, "strategy '%s': %s='%.*s' is not a number", spec->strategy->name,
                       p->name, (int)MIN(value.len, 60), value.ptr ? value.ptr : "");
    return set_at(spec, i, number, e);
}

bool search_spec_set_text(struct search_spec *spec, const char *key, const char *value, struct err *e) {
    return set_text(spec, str_from(key), str_from(value), e);
}

void search_spec_recommend(struct search_spec *spec, const char *key, double value) {
    int i = param_index(spec, key);
    if (i < 0 || !isnan(spec->values[i]) || isnan(value)) return;
    const struct search_param *p = &spec->strategy->params[i];
    spec->values[i] = MIN(MAX(value, p->min), p->max);
}

/* Cuts s at the first c: returns what is before it, leaves what is after. */
static struct str cut(struct str *s, char c) {
    const char *hit = s->len ? memchr(s->ptr, c, s->len) : NULL;
    struct str before = {s->ptr, hit ? (size_t)(hit - s->ptr) : s->len};
    *s = hit ? (struct str){hit + 1, s->len - before.len - 1} : (struct str){0};
    return before;
}

/* The parameters of a strategy, "key=value,...", over what *spec has; `text` is for messages. */
static bool set_all(struct search_spec *spec, struct str rest, const char *text, struct err *e) {
    bool given[SEARCH_PARAMS_MAX] = {0};
    while (rest.len > 0) {
        struct str value = str_trim(cut(&rest, ','));
        struct str key = str_trim(cut(&value, '='));
        value = str_trim(value);
        if (key.len == 0)
            return err_set(e, ERR_INPUT, "strategy '%s': expected key=value after ':' and between commas",
                           text);
        if (!set_text(spec, key, value, e)) return false;
        int i = find(param_name, spec->strategy, key);
        if (given[i])
            return err_set(e, ERR_INPUT, "strategy '%s': %s is given twice", text,
                           spec->strategy->params[i].name);
        given[i] = true;
    }
    return true;
}

bool search_spec_parse(struct search_spec *spec, const char *text, struct err *e) {
    struct str rest = str_from(text);
    struct str name = str_trim(cut(&rest, ':'));
    int at = find(strategy_name, NULL, name), n = 0;
    if (at < 0) return unknown(strategy_name, NULL, "unknown strategy", name, e);
    while (search_strategies[n]) n++;
    if (at >= n)
        return search_spec_parse(spec, search_presets[at - n].spec, e) && set_all(spec, rest, text, e);
    *spec = (struct search_spec){.strategy = search_strategies[at]};
    ASSERT(spec->strategy->n_params <= SEARCH_PARAMS_MAX);
    for (int i = 0; i < spec->strategy->n_params; i++) spec->values[i] = spec->strategy->params[i].def;
    return set_all(spec, rest, text, e);
}

/* The shortest decimal that reads back as the same number. */
static void print_number(double value, struct buf *out) {
    char text[40];
    for (int n_digits = 6; n_digits <= 17; n_digits++) {
        snprintf(text, sizeof text, "%.*g", n_digits, value);
        if (strtod(text, NULL) == value) break;
    }
    buf_add_str(out, str_from(text));
}

void search_spec_print(const struct search_spec *spec, struct buf *out) {
    buf_add_str(out, str_from(spec->strategy->name));
    char between = ':';
    for (int i = 0; i < spec->strategy->n_params; i++) {
        const struct search_param *p = &spec->strategy->params[i];
        if (isnan(spec->values[i]) || (p->optional && spec->values[i] == p->def)) continue;
        buf_printf(out, "%c%s=", between, p->name);
        if (p->type == SEARCH_PARAM_CHOICE)
            buf_add_str(out, str_from(p->choices[(int)spec->values[i]]));
        else
            print_number(spec->values[i], out);
        between = ',';
    }
}
