/* test_serve_metrics.c - what /metrics prints obeys Prometheus's text format. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "serve/metrics.h"

struct family {
    char name[64], type[16];
    int n_samples;
    double last_bucket, inf, count; /* of a histogram */
    double last_bound;
};

static bool is_name(const char *s, size_t n) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz_0123456789";
    return n > 0 && strspn(s, letters) >= n && !(s[0] >= '0' && s[0] <= '9');
}

/* "{key=\"value\",...}" up to its end; NULL: it is none. */
static const char *skip_labels(const char *s) {
    if (*s != '{') return s;
    do {
        const size_t n = strcspn(++s, "=");
        if (!is_name(s, n) || s[n + 1] != '"') return NULL;
        s += n + 2;
        s += strcspn(s, "\"\\\n");
        if (*s++ != '"') return NULL;
    } while (*s == ',');
    return *s == '}' ? s + 1 : NULL;
}

/* A sample of the family that was announced last. */
static void check_sample(struct family *f, const char *line) {
    const size_t n = strcspn(line, "{ "), n_family = strlen(f->name);
    char *end;
    assert_true(is_name(line, n));
    assert_true(strncmp(line, f->name, n_family) == 0);
    const char *rest = skip_labels(line + n);
    assert_non_null(rest);
    assert_true(*rest == ' ');
    const double x = strtod(rest + 1, &end);
    assert_true(end != rest + 1 && *end == '\0');
    f->n_samples++;
    if (strcmp(f->type, "histogram") != 0) {
        assert_int_equal(n, n_family);
        return;
    }
    const char *suffix = line + n_family;
    if (strncmp(suffix, "_bucket{le=\"", 12) == 0) {
        const double bound = strtod(suffix + 12, NULL); /* "+Inf" is infinite */
        assert_true(bound > f->last_bound);
        assert_true(x >= f->last_bucket); /* they are cumulative */
        f->last_bound = bound;
        f->last_bucket = f->inf = x;
    } else if (strncmp(suffix, "_count ", 7) == 0) {
        f->count = x;
    } else {
        assert_true(strncmp(suffix, "_sum ", 5) == 0);
    }
}

static void end_family(const struct family *f) {
    const bool is_counter = strcmp(f->type, "counter") == 0;
    const size_t n = strlen(f->name);
    if (!f->name[0]) return;
    assert_int_equal(is_counter, n > 6 && strcmp(f->name + n - 6, "_total") == 0);
    if (strcmp(f->type, "histogram") != 0) return;
    assert_true(f->last_bound > 1e300 && f->inf == f->count);
}

/* Each family once, HELP and TYPE before its samples, all of them together, no line twice. */
static int check_text(char *text, struct family *families, int n_max) {
    struct family *f = families;
    int n = 0;
    const size_t length = strlen(text);
    assert_true(length > 0 && text[length - 1] == '\n');
    *f = (struct family){.name = ""};
    for (char *line; (line = strsep(&text, "\n")) && *line;) {
        if (strncmp(line, "# HELP ", 7) == 0) {
            char name[64];
            assert_int_equal(sscanf(line, "# HELP %63[a-z_] %*s", name), 1);
            for (int i = 0; i < n; i++) assert_string_not_equal(families[i].name, name);
            if (n > 0) end_family(f);
            assert_true(n < n_max);
            f = &families[n++];
            *f = (struct family){.last_bound = -1};
            snprintf(f->name, sizeof f->name, "%s", name);
            assert_true(strncmp(name, "brood_", 6) == 0);
        } else if (strncmp(line, "# TYPE ", 7) == 0) {
            char name[64];
            assert_int_equal(sscanf(line, "# TYPE %63s %15s", name, f->type), 2);
            assert_string_equal(name, f->name);
            assert_int_equal(f->n_samples, 0);
            assert_true(strcmp(f->type, "counter") == 0 || strcmp(f->type, "gauge") == 0 ||
                        strcmp(f->type, "histogram") == 0);
        } else {
            assert_true(f->type[0]);
            check_sample(f, line);
        }
    }
    end_family(f);
    return n;
}

static void test_text_format(void **state) {
    struct family families[64];
    struct buf text = {0};
    struct metrics *m = metrics_new();
    UNUSED(state);
    metrics_print(m, &text);
    char *copy = str_dup(buf_str(&text));
    const int n = check_text(copy, families, 64);
    assert_true(n >= 10);
    free(copy);
    buf_free(&text);
    for (int i = 0; i < 40; i++) {
        metrics_count(m, i % 3 ? "chat" : "completions", i % 5 ? 200 : 429);
        metrics_time(m, 0.001 * i, i == 7 ? 1e6 : 0.02 * i * i);
    }
    metrics_count_gone(m);
    metrics_queue(m, 3, 2);
    metrics_set(m, &(struct metrics_now){
                       .policy = {1e15, 2, 3}, .is_well = true, .policy_cache_bytes = 1e18});
    metrics_print(m, &text);
    copy = str_dup(buf_str(&text));
    assert_int_equal(check_text(copy, families, 64), n);
    free(copy);
    assert_non_null(strstr(buf_cstr(&text), "brood_replies_total{kind=\"chat\",status=\"429\"}"));
    buf_free(&text);
    metrics_free(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_text_format)};
    return cmocka_run_group_tests_name("serve_metrics", tests, NULL, NULL);
}
