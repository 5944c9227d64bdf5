/* api.c - see api.h. */
#include "serve/api.h"

#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "eval/report.h"
#include "run/answer_json.h"
#include "serve/terms.h"

enum { API_RUNS_MAX = 1000 };

/* ---- models ---- */

static json_t *model_json(const char *name, long long created) {
    return json_pack("{s:o,s:s,s:I,s:s}", "id", json_text(str_from(name)), "object", "model", "created",
                     (json_int_t)created, "owned_by", "brood");
}

static bool can(const struct desk *d, const struct search_strategy *s) {
    return terms_possible(s, desk_policy(d), desk_reward(d) != NULL);
}

json_t *api_models(const struct desk *d, const struct serve_options *o, long long created) {
    json_t *list = json_array();
    UNUSED(o);
    json_array_append_new(list, model_json(desk_policy(d)->name, created));
    for (int i = 0; search_strategies[i]; i++) {
        char name[64];
        if (!can(d, search_strategies[i])) continue;
        snprintf(name, sizeof name, "brood/%s", search_strategies[i]->name);
        json_array_append_new(list, model_json(name, created));
    }
    return json_pack("{s:s,s:o}", "object", "list", "data", list);
}

/* Any spelling that a request may use. */
json_t *api_model(const struct desk *d, const struct serve_options *o, long long created, const char *name) {
    struct call c = {
        .request = {.model = (char *)(uintptr_t)name, .temperature = (double)NAN, .top_p = (double)NAN}};
    struct refusal why;
    const bool there = terms_settle(&c, o, desk_policy(d)->name, &why);
    buf_free(&c.strategy);
    free(c.model);
    return there ? model_json(name, created) : NULL;
}

/* ---- options ---- */

static json_t *number_json(double x) {
    if (!isfinite(x)) return json_null();
    return floor(x) == x && fabs(x) < 1e15 ? json_integer((json_int_t)x) : json_real(x);
}

static json_t *parameter_json(const struct search_param *p) {
    static const char *const types[] = {
        [SEARCH_PARAM_INT] = "int", [SEARCH_PARAM_REAL] = "real", [SEARCH_PARAM_CHOICE] = "choice"};
    json_t *o = json_pack("{s:s,s:s,s:s}", "key", p->name, "type", types[p->type], "summary", p->help);
    if (p->type == SEARCH_PARAM_CHOICE) {
        json_t *choices = json_array();
        for (int i = 0; p->choices[i]; i++) json_array_append_new(choices, json_string(p->choices[i]));
        json_object_set_new(o, "choices", choices);
        json_object_set_new(o, "default", isnan(p->def) ? json_null() : json_string(p->choices[(int)p->def]));
        return o;
    }
    json_object_set_new(o, "default", number_json(p->def));
    json_object_set_new(o, "min", number_json(p->min));
    json_object_set_new(o, "max", number_json(p->max));
    return o;
}

static json_t *strategies_json(const struct desk *d) {
    json_t *list = json_array();
    for (int i = 0; search_strategies[i]; i++) {
        const struct search_strategy *s = search_strategies[i];
        json_t *parameters = json_array();
        for (int j = 0; j < s->n_params; j++)
            json_array_append_new(parameters, parameter_json(&s->params[j]));
        json_array_append_new(list, json_pack("{s:s,s:s,s:b,s:b,s:o}", "name", s->name, "summary", s->summary,
                                              "needs_reward", s->needs_reward, "possible", can(d, s),
                                              "parameters", parameters));
    }
    return list;
}

static json_t *names_json(const struct declared_thing *things, int n) {
    json_t *list = json_array();
    for (int i = 0; i < n; i++) json_array_append_new(list, json_string(things[i].name));
    return list;
}

json_t *api_options(const struct desk *d, const struct serve_options *o, bool has_key) {
    json_t *selections = json_array(), *aggregates = json_array();
    for (int i = 0; i < (int)SELECT_RULES; i++) {
        const enum select_rule rule = (enum select_rule)i;
        const bool cannot = rule == SELECT_FIRST_VERIFIED && desk_declared(d)->n_verifiers == 0;
        if (cannot || (select_needs_rewards(rule) && !desk_reward(d))) continue;
        json_array_append_new(selections, json_string(select_rule_name(rule)));
    }
    for (int i = 0; i < (int)AGGREGATES; i++)
        json_array_append_new(aggregates, json_string(aggregate_names[i]));
    return json_pack("{s:o,s:o,s:s,s:b,s:o,s:o,s:o,s:{s:i,s:i,s:f,s:i},s:o,s:o,s:b}", "policy",
                     answer_json_text(desk_policy(d)->name), "reward",
                     answer_json_text(desk_reward(d) ? desk_reward(d)->name : NULL), "strategy",
                     o->strategy ? o->strategy : "sample", "key", has_key, "strategies", strategies_json(d),
                     "selections", selections, "aggregates", aggregates, "limits", "samples",
                     o->n_samples_max, "tokens", o->n_tokens_max, "seconds", o->seconds_max, "choices",
                     (int)REQUEST_CHOICES_MAX, "plans",
                     names_json(desk_declared(d)->plans, desk_declared(d)->n_plans), "verifiers",
                     names_json(desk_declared(d)->verifiers, desk_declared(d)->n_verifiers), "prices",
                     prices_are_given(desk_prices(d)));
}

/* ---- runs ---- */

/* A plain file name of a run: nothing that leads elsewhere. */
static bool is_run_name(const char *name) {
    return name[0] != '.' && !strchr(name, '/') && str_ends(str_from(name), STR(".brood"));
}

static json_t *copy_of(const json_t *v) {
    return v ? json_deep_copy(v) : json_null();
}

/* The configuration of a run keeps models as objects with a name. */
static json_t *name_of(const json_t *v) {
    return copy_of(json_is_object(v) ? json_object_get(v, "name") : v);
}

static bool summarize(const char *path, json_t *out, struct err *e) {
    struct err ignored;
    int n_problems, n_done;
    struct store *s = store_open(path, STORE_READ, e);
    if (!s) return false;
    json_t *config = store_config(s) ? json_parse(str_from(store_config(s)), path, e) : NULL;
    bool done = config != NULL || err_set(e, ERR_INPUT, "%s: the run has no configuration yet", path);
    if (done) done = store_count_done(s, &n_problems, &n_done, e);
    if (done) {
        static const char *const names[] = {"task", "policy", "reward"};
        for (size_t i = 0; i < ARRAY_LEN(names); i++)
            json_object_set_new(out, names[i], name_of(json_object_get(config, names[i])));
        json_object_set_new(out, "strategy", copy_of(json_object_get(config, "strategy")));
        const char *seed = json_string_value(json_object_get(config, "seed")); /* hexadecimal */
        json_object_set_new(out, "seed", seed ? json_integer(strtoll(seed, NULL, 16)) : json_null());
        json_object_set_new(out, "problems", json_integer(n_problems));
        json_object_set_new(out, "done", json_integer(n_done));
    }
    json_decref(config);
    return store_close(s, done ? e : &ignored) && done;
}

struct run_file {
    char *name;
    long long bytes, modified;
};

static int compare_files(const void *a, const void *b) {
    const struct run_file *x = a, *y = b;
    if (x->modified != y->modified) return x->modified < y->modified ? 1 : -1;
    return strcmp(x->name, y->name);
}

static size_t list_files(const char *folder, struct run_file *files) {
    DIR *dir = opendir(folder);
    size_t n = 0;
    for (const struct dirent *x; dir && n < API_RUNS_MAX && (x = readdir(dir));) {
        struct stat st;
        char *path = file_join(folder, x->d_name);
        if (is_run_name(x->d_name) && stat(path, &st) == 0 && S_ISREG(st.st_mode))
            files[n++] =
                (struct run_file){mem_strdup(x->d_name), (long long)st.st_size, (long long)st.st_mtime};
        free(path);
    }
    if (dir) closedir(dir);
    qsort(files, n, sizeof *files, compare_files);
    return n;
}

json_t *api_runs(const struct serve_options *o) {
    struct run_file *files = mem_zalloc(API_RUNS_MAX, sizeof *files);
    const size_t n = o->runs ? list_files(o->runs, files) : 0;
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        struct err e;
        char *path = file_join(o->runs, files[i].name);
        json_t *x = json_pack("{s:o,s:I,s:I}", "name", json_text(str_from(files[i].name)), "bytes",
                              (json_int_t)files[i].bytes, "modified", (json_int_t)files[i].modified);
        if (!summarize(path, x, &e)) json_object_set_new(x, "error", json_text(str_from(e.msg)));
        json_array_append_new(list, x);
        free(path);
        free(files[i].name);
    }
    free(files);
    return json_pack("{s:o}", "runs", list);
}

json_t *api_run(const struct serve_options *o, const char *name, struct refusal *why) {
    static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
    struct err e;
    char *path = o->runs && is_run_name(name) ? file_join(o->runs, name) : NULL;
    json_t *out = NULL;
    if (!path || !file_exists(path)) {
        refuse(why, 404, NULL, "run_not_found", "there is no run %.100s", name);
        free(path);
        return NULL;
    }
    pthread_mutex_lock(&one_at_a_time);
    struct report *r = report_new();
    if (report_add(r, path, REPORT_AGGREGATE_OF_RUN, &e))
        out = report_json(r);
    else
        refuse(why, 500, NULL, "run_unreadable", "%s", e.msg);
    report_free(r);
    pthread_mutex_unlock(&one_at_a_time);
    free(path);
    return out;
}
