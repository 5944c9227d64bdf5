/* heuristic.c - rewards by rules, without a model: heuristic:NAME, or several whose product counts:
 * heuristic:NAME+NAME. Of a step:
 *
 *     format       1 where the text so far marks an answer (\boxed, ####, "answer is"), else 0
 *     repetition   the share of different groups among all groups of 4 words so far
 *     short        100 / (100 + words so far): the shortest is best
 *     complex      lines so far / (8 + lines): the longest is best
 *     arithmetic   1 where all equations of the step hold, 0 where one does not
 *     grounded     the share of the step's numbers that stand in the problem, before, or behind "="
 *
 * As in: the format reward of DeepSeek-R1 (2501.12948); 1 - seq-rep-4 (Welleck et al. 2019, 1908.04319);
 * short-m@k (Hassid et al. 2025, 2505.17813); complexity-based consistency (Fu et al. 2022, 2210.00720);
 * GSM8K's calculator (Cobbe et al. 2021, 2110.14168); ROSCOE's faithfulness (Golovneva et al. 2022,
 * 2212.07919), here of numbers alone.
 *
 * short and complex are meant for choosing among solutions (aggregate last), arithmetic and grounded for
 * steps (min). An equation is what stands between signs of operations and digits on both sides of a "=": it
 * is evaluated exactly (answer/answer.h); behind a decimal that was rounded, to its digits. What cannot be
 * evaluated is not counted. Nothing is read or computed by a model, so nothing is charged.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer/answer.h"
#include "answer/extract.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/rng.h"
#include "reward/kinds.h"

enum { GROUP = 4, SIDE_MAX = 200, REWARDS_MAX = 4096 };

struct reward_prefix {
    char *text; /* the steps so far, a blank line behind each */
    size_t n_text, n_problem;
    char *problem;
};

struct view {
    struct str problem, before, step, all; /* all: with the step */
};

typedef double rule(const struct view *v);

/* ---- rules ---- */

static double format_rule(const struct view *v) {
    struct str answer;
    return answer_extract(v->all, 0, &answer, NULL) ? 1 : 0;
}

/* The next word from *at on; false at the end. */
static bool next_word(struct str text, size_t *at, struct str *out) {
    while (*at < text.len && isspace((unsigned char)text.ptr[*at])) ++*at;
    const size_t begin = *at;
    while (*at < text.len && !isspace((unsigned char)text.ptr[*at])) ++*at;
    *out = (struct str){text.ptr + begin, *at - begin};
    return *at > begin;
}

static double repetition_rule(const struct view *v) {
    struct map *seen = map_new(64);
    struct str words[GROUP];
    size_t n = 0, n_groups = 0, n_different = 0;
    for (size_t at = 0; next_word(v->all, &at, &words[n % GROUP]); n++) {
        struct buf group = {0};
        if (n + 1 < GROUP) continue;
        for (size_t i = 0; i < GROUP; i++) {
            buf_add_str(&group, words[(n + 1 + i) % GROUP]);
            buf_add_char(&group, ' ');
        }
        n_groups++;
        n_different += map_put(seen, buf_str(&group), 0);
        buf_free(&group);
    }
    map_free(seen);
    return n_groups ? (double)n_different / (double)n_groups : 1;
}

static double short_rule(const struct view *v) {
    struct str word;
    double n = 0;
    for (size_t at = 0; next_word(v->all, &at, &word);) n++;
    return 100 / (100 + n);
}

static double complex_rule(const struct view *v) {
    double n = 0;
    for (size_t at = 0; at < v->all.len;) {
        const char *end = memchr(v->all.ptr + at, '\n', v->all.len - at);
        const size_t n_line = end ? (size_t)(end - v->all.ptr) - at : v->all.len - at;
        n += str_trim((struct str){v->all.ptr + at, n_line}).len > 0;
        at += n_line + 1;
    }
    return n / (n + 8);
}

static bool is_of_side(char c) {
    return isdigit((unsigned char)c) || (c && strchr("+-*/^(). ,%$", c));
}

/* A point or comma that ends something: no digit follows. */
static bool is_end(struct str text, size_t i) {
    return (text.ptr[i] == '.' || text.ptr[i] == ',') &&
           (i + 1 >= text.len || !isdigit((unsigned char)text.ptr[i + 1]));
}

/* What stands on one side of the "=" at `at`, without what surrounds an expression in prose. */
static struct str side_of(struct str text, size_t at, bool right) {
    size_t begin = right ? at + 1 : at, end = begin;
    while (right && end < text.len && end - begin < SIDE_MAX && is_of_side(text.ptr[end]) &&
           !is_end(text, end))
        end++;
    while (!right && begin > 0 && end - begin < SIDE_MAX && is_of_side(text.ptr[begin - 1]) &&
           !is_end(text, begin - 1))
        begin--;
    while (begin < end && strchr(" .,*/^)%+", text.ptr[begin])) begin++;
    while (end > begin && strchr(" .,*/^(+-$", text.ptr[end - 1])) end--;
    return (struct str){text.ptr + begin, end - begin};
}

static bool has_digit(struct str s) {
    for (size_t i = 0; i < s.len; i++)
        if (isdigit((unsigned char)s.ptr[i])) return true;
    return false;
}

static bool has_sign(struct str s) {
    for (size_t i = 1; i < s.len; i++)
        if (strchr("+-*/^", s.ptr[i])) return true;
    return false;
}

/* Digits behind the point of a number. */
static int decimals_of(struct str s) {
    const ptrdiff_t point = str_find_last(s, STR("."));
    int n = 0;
    for (size_t i = (size_t)point + 1; point >= 0 && i < s.len && isdigit((unsigned char)s.ptr[i]); i++) n++;
    return n;
}

static struct answer *value_of(struct str side, int n_decimals) {
    struct buf text = {0};
    for (size_t i = 0; i < side.len; i++)
        if (side.ptr[i] != '$') buf_add_char(&text, side.ptr[i]);
    const struct answer_options options = {.n_decimals = n_decimals};
    struct answer *a = answer_parse(buf_str(&text), &options);
    buf_free(&text);
    return a;
}

static bool is_wrong(struct str left, struct str right) {
    if (!has_digit(left) || !has_digit(right) || (!has_sign(left) && !has_sign(right))) return false;
    const int n_decimals = has_sign(right) ? 0 : MIN(decimals_of(right), 100);
    struct answer *a = value_of(left, n_decimals), *b = value_of(right, n_decimals);
    const bool wrong = !answer_is_unparsable(a) && !answer_is_unparsable(b) && !answer_is_words(a) &&
                       !answer_is_words(b) && answer_equal(a, b) == ANSWER_DIFFERENT;
    answer_free(a);
    answer_free(b);
    return wrong;
}

static double arithmetic_rule(const struct view *v) {
    for (size_t at = 0; at < v->step.len; at++) {
        if (v->step.ptr[at] != '=') continue;
        if (is_wrong(side_of(v->step, at, false), side_of(v->step, at, true))) return 0;
    }
    return 1;
}

/* The next number, of digits, points and commas between digits; false at the end. */
static bool next_number(struct str text, size_t *at, struct str *out) {
    while (*at < text.len && !isdigit((unsigned char)text.ptr[*at])) ++*at;
    const size_t begin = *at;
    while (*at < text.len &&
           (isdigit((unsigned char)text.ptr[*at]) ||
            (strchr(".,", text.ptr[*at]) && *at + 1 < text.len && isdigit((unsigned char)text.ptr[*at + 1]))))
        ++*at;
    *out = (struct str){text.ptr + begin, *at - begin};
    return *at > begin;
}

static bool has_number(struct str text, struct str number) {
    struct str other;
    for (size_t at = 0; next_number(text, &at, &other);)
        if (str_equal(other, number)) return true;
    return false;
}

static double grounded_rule(const struct view *v) {
    struct str number;
    double n = 0, n_known = 0;
    for (size_t at = 0; next_number(v->step, &at, &number); n++) {
        const struct str line = {v->step.ptr, (size_t)(number.ptr - v->step.ptr)};
        const struct str behind = str_trim(line);
        const bool is_result = behind.len > 0 && behind.ptr[behind.len - 1] == '=';
        n_known += is_result || has_number(v->problem, number) || has_number(v->before, number) ||
                   has_number(line, number);
    }
    return n > 0 ? n_known / n : 1;
}

static const struct {
    const char *name;
    rule *judge;
    bool of_steps; /* best used with min; else with last */
} rules[] = {
    {"format", format_rule, false},        {"repetition", repetition_rule, false},
    {"short", short_rule, false},          {"complex", complex_rule, false},
    {"arithmetic", arithmetic_rule, true}, {"grounded", grounded_rule, true},
};

/* ---- the service ---- */

struct heuristic_job {
    uint64_t id;
    struct reward_prefix *at; /* behind the text */
    float *rewards;           /* [n] */
    int n;
    bool failed;
};

struct heuristic {
    struct reward base;
    char *separator;
    unsigned chosen;            /* bits of rules[] */
    struct heuristic_job *jobs; /* first in, first out; the first n_ready may be answered */
    size_t n_jobs, n_ready, cap;
    float *told; /* rewards of the last result */
};

static struct reward_prefix *prefix_copy(const struct reward_prefix *from) {
    struct reward_prefix *p = mem_dup(from, sizeof *from);
    p->text = str_dup((struct str){from->text, from->n_text});
    p->problem = str_dup((struct str){from->problem, from->n_problem});
    return p;
}

static void heuristic_release(struct reward *r, struct reward_prefix *prefix) {
    UNUSED(r);
    free(prefix->text);
    free(prefix->problem);
    free(prefix);
}

static struct reward_prefix *heuristic_root(struct reward *r, const char *problem_text, struct err *e) {
    UNUSED(r);
    UNUSED(e);
    struct reward_prefix *root = mem_zalloc(1, sizeof *root);
    root->text = mem_strdup("");
    root->problem = mem_strdup(problem_text);
    root->n_problem = strlen(problem_text);
    return root;
}

static struct cost heuristic_root_cost(const struct reward *r, const struct reward_prefix *root) {
    UNUSED(r);
    UNUSED(root);
    return (struct cost){0};
}

struct walk {
    const struct heuristic *h;
    struct reward_prefix *at;
    struct heuristic_job *job; /* NULL: nothing is judged */
    size_t cap;
};

static void walk_step(void *ctx, struct str step) {
    struct walk *w = ctx;
    struct reward_prefix *at = w->at;
    struct buf all = {0};
    double reward = 1;
    buf_add(&all, at->text, at->n_text);
    buf_add_str(&all, step);
    const struct view view = {.problem = {at->problem, at->n_problem},
                              .before = {at->text, at->n_text},
                              .step = step,
                              .all = buf_str(&all)};
    for (size_t i = 0; w->job && i < ARRAY_LEN(rules); i++)
        if (w->h->chosen & 1u << i) reward *= rules[i].judge(&view);
    if (w->job && w->job->n < REWARDS_MAX) {
        MEM_GROW(w->job->rewards, w->cap, (size_t)w->job->n + 1);
        w->job->rewards[w->job->n++] = (float)reward;
    } else if (w->job) {
        w->job->failed = true;
    }
    buf_add_str(&all, STR("\n\n"));
    free(at->text);
    at->n_text = all.len;
    at->text = buf_take(&all);
}

static void walk_text(const struct heuristic *h, struct reward_prefix *at, struct str text,
                      struct heuristic_job *job) {
    struct walk w = {.h = h, .at = at, .job = job};
    reward_split_steps(text, str_from(h->separator), walk_step, &w);
}

static struct reward_prefix *heuristic_extend(struct reward *r, struct reward_prefix *from, struct str text,
                                              struct err *e) {
    UNUSED(e);
    struct reward_prefix *prefix = prefix_copy(from);
    walk_text((struct heuristic *)r, prefix, text, NULL);
    return prefix;
}

static void heuristic_submit(struct reward *r, const struct reward_job *asked) {
    struct heuristic *h = (struct heuristic *)r;
    MEM_GROW(h->jobs, h->cap, h->n_jobs + 1);
    struct heuristic_job *job = &h->jobs[h->n_jobs++];
    *job = (struct heuristic_job){.id = asked->id, .at = prefix_copy(asked->from)};
    walk_text(h, job->at, asked->text, job);
}

static struct heuristic_job take_at(struct heuristic *h, size_t i) {
    const struct heuristic_job job = h->jobs[i];
    memmove(h->jobs + i, h->jobs + i + 1, (h->n_jobs - i - 1) * sizeof *h->jobs);
    h->n_jobs--;
    if (i < h->n_ready) h->n_ready--;
    return job;
}

static void forget(struct heuristic *h, size_t i) {
    struct heuristic_job job = take_at(h, i);
    heuristic_release(&h->base, job.at);
    free(job.rewards);
}

static void heuristic_cancel(struct reward *r, uint64_t id) {
    struct heuristic *h = (struct heuristic *)r;
    for (size_t i = 0; i < h->n_jobs; i++) {
        if (h->jobs[i].id != id) continue;
        forget(h, i);
        return;
    }
}

static int heuristic_work(struct reward *r, double seconds_max, struct err *e) {
    struct heuristic *h = (struct heuristic *)r;
    UNUSED(seconds_max);
    UNUSED(e);
    h->n_ready = h->n_jobs;
    return (int)h->n_ready;
}

static bool heuristic_next(struct reward *r, struct reward_result *out) {
    struct heuristic *h = (struct heuristic *)r;
    if (h->n_ready == 0) return false;
    struct heuristic_job job = take_at(h, 0);
    free(h->told);
    h->told = job.rewards;
    out->id = job.id;
    out->failed = job.failed;
    if (job.failed) {
        out->why = "heuristic: the solution has more than 4096 steps";
        heuristic_release(r, job.at);
        return true;
    }
    out->rewards = job.rewards;
    out->n_rewards = job.n;
    out->prefix = job.at;
    return true;
}

static int heuristic_in_flight(const struct reward *r) {
    return (int)((const struct heuristic *)r)->n_jobs;
}

static struct cost heuristic_computed(const struct reward *r) {
    UNUSED(r);
    return (struct cost){0};
}

static void heuristic_close(struct reward *r) {
    struct heuristic *h = (struct heuristic *)r;
    while (h->n_jobs > 0) forget(h, 0);
    free(h->jobs);
    free(h->told);
    free(h->separator);
    free(h);
}

static const struct reward_ops heuristic_ops = {
    .close = heuristic_close,
    .root = heuristic_root,
    .root_cost = heuristic_root_cost,
    .extend = heuristic_extend,
    .release = heuristic_release,
    .submit = heuristic_submit,
    .cancel = heuristic_cancel,
    .work = heuristic_work,
    .next = heuristic_next,
    .in_flight = heuristic_in_flight,
    .computed = heuristic_computed,
};

static bool refuse(const char *name, size_t n, struct err *e) {
    struct buf known = {0};
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) buf_printf(&known, "%s%s", i ? ", " : "", rules[i].name);
    err_set(e, ERR_INPUT, "heuristic '%.*s': use one of %s, or several as in heuristic:%s+%s",
            (int)MIN(n, 60), name, buf_cstr(&known), rules[0].name, rules[1].name);
    buf_free(&known);
    return false;
}

/* "NAME+NAME" as bits of rules[]. */
static bool read_names(const char *at, unsigned *chosen, struct err *e) {
    for (*chosen = 0;; at++) {
        const size_t n = strcspn(at, "+");
        size_t i = 0;
        while (i < ARRAY_LEN(rules) && !str_equal((struct str){at, n}, str_from(rules[i].name))) i++;
        if (i == ARRAY_LEN(rules)) return refuse(at, n, e);
        *chosen |= 1u << i;
        at += n;
        if (!*at) return true;
    }
}

struct reward *reward_open_heuristic(const char *rest, const struct reward_options *o, struct err *e) {
    unsigned chosen, of_steps = 0;
    if (!read_names(rest, &chosen, e)) return NULL;
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) of_steps |= (unsigned)rules[i].of_steps << i;
    struct heuristic *h = mem_zalloc(1, sizeof *h);
    h->chosen = chosen;
    h->separator = str_dup(reward_separator(o));
    h->base.ops = &heuristic_ops;
    h->base.info = (struct reward_info){.kind = "heuristic", .n_wanted = 64, .n_tokens_step = 1};
    snprintf(h->base.info.aggregate, sizeof h->base.info.aggregate, "%s", chosen & of_steps ? "min" : "last");
    uint64_t hash = rng_hash(0x68657572, h->separator, strlen(h->separator));
    for (size_t i = 0; i < ARRAY_LEN(rules); i++)
        if (chosen & 1u << i) hash = rng_hash(hash, rules[i].name, strlen(rules[i].name));
    reward_set_identity(&h->base, hash);
    return &h->base;
}
