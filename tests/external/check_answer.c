/* check_answer DATA - extraction and equality against what others recorded in DATA/grader, DATA/bench and
 * DATA/replay.
 *
 * Every section prints what was compared, how often we agree, and each disagreement. A missing file is
 * skipped aloud. The exit status is 1 when a section falls below the share it has to reach.
 */
#include "answer/answer.h"
#include "answer/extract.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN_BYTES 110

struct section {
    const char *name;
    size_t n, n_agree, n_cannot_tell;
    double seconds;
};

typedef void section_row(struct section *s, const json_t *row);

static const char *field(const json_t *row, const char *key) {
    const char *v = json_string_value(json_object_get(row, key));
    return v ? v : "";
}

/* The end of a long text: that is where answers are. */
static void show(const char *what, const char *text) {
    size_t n = strlen(text), skip = n > SHOWN_BYTES ? n - SHOWN_BYTES : 0;
    printf("      %-9s%s", what, skip ? "..." : "");
    for (const char *p = text + skip; *p; p++) putchar(*p == '\n' ? ' ' : *p);
    putchar('\n');
}

static bool run_file(const char *dir, const char *file, const char *name, double share, section_row *each) {
    struct err e = {0};
    struct section s = {.name = name};
    char *path = file_join(dir, file);
    bool ok = true;
    if (!file_exists(path)) {
        printf("SKIPPED %s: %s is missing\n", name, path);
    } else {
        printf("%s (%s)\n", name, file);
        struct file_lines *f = file_lines_open(path, &e);
        struct str line;
        while (f && file_lines_next(f, &line, &e) == 1) {
            json_t *row = json_parse(line, path, &e);
            if (!row) break;
            each(&s, row);
            json_decref(row);
        }
        file_lines_close(f);
        if (e.code) printf("   FAILED: %s\n", e.msg);
        ok = !e.code && (double)s.n_agree >= share * (double)s.n;
        printf("   %zu of %zu agree (%.1f %%), of all %zu undecided; %.0f a second%s\n", s.n_agree, s.n,
               s.n ? 100.0 * (double)s.n_agree / (double)s.n : 0.0, s.n_cannot_tell,
               s.seconds > 0 ? (double)s.n / s.seconds : 0.0,
               ok ? "" : "   BELOW THE SHARE THAT IS REQUIRED");
    }
    free(path);
    return ok;
}

static const char *verdict_name(enum answer_verdict v) {
    return v == ANSWER_EQUAL ? "equal" : v == ANSWER_DIFFERENT ? "different" : "cannot tell";
}

static void judge(struct section *s, const char *id, enum answer_verdict v, bool expected, const char *gold,
                  const char *pred) {
    s->n++;
    s->n_cannot_tell += v == ANSWER_CANNOT_TELL;
    if ((v == ANSWER_EQUAL) == expected) {
        s->n_agree++;
        return;
    }
    printf("   %s: expected %s, ours %s\n", id, expected ? "equal" : "different", verdict_name(v));
    show("gold", gold);
    show("pred", pred);
}

/* ---- Math-Verify: texts of which the answer has to be found first ---- */

/* A short text is read as a whole if it can be; else the answer is looked for in it. */
static struct answer *find_answer(const char *text, struct answer_options o) {
    struct str s = str_from(text), found = s;
    enum answer_source how = ANSWER_FROM_NOTHING;
    bool any = answer_extract(s, ANSWER_TRY_MATH | ANSWER_TRY_NUMBER, &found, &how);
    if (how != ANSWER_FROM_BOXED && how != ANSWER_FROM_HASHES && how != ANSWER_FROM_PHRASE && s.len < 150) {
        struct answer *whole = answer_parse(s, &o);
        if (!answer_is_unparsable(whole) && !answer_is_words(whole)) return whole;
        if (how == ANSWER_FROM_NOTHING) return whole;
        answer_free(whole);
    }
    o.comma_decimal = o.comma_decimal || how == ANSWER_FROM_NUMBER;
    return answer_parse(any ? found : s, &o);
}

static void math_verify(struct section *s, const json_t *row, enum answer_rules rules) {
    struct answer_options o = {.rules = rules, .n_decimals = 6};
    const json_t *precision = json_object_get(json_object_get(row, "options"), "precision");
    if (json_is_integer(precision)) o.n_decimals = (int)json_integer_value(precision);
    const json_t *types = json_object_get(json_object_get(row, "options"), "match_types");
    o.comma_decimal =
        json_array_size(types) == 1 && strcmp(json_string_value(json_array_get(types, 0)), "expr") == 0;
    const char *gold = field(row, "gold"), *pred = field(row, "pred"), *id = field(row, "id");
    double before = clock_seconds();
    struct answer *a = find_answer(gold, o), *b = find_answer(pred, o);
    enum answer_verdict v = answer_equal(a, b);
    s->seconds += clock_seconds() - before;
    judge(s, strrchr(id, ':') ? strchr(id, ':') + 1 : id, v, json_is_true(json_object_get(row, "expected")),
          gold, pred);
    if (v != answer_equal(b, a)) printf("   NOT SYMMETRIC: %s\n", id);
    if (rules == ANSWER_STRICT && v == ANSWER_EQUAL && answer_key(a) != answer_key(b) && o.n_decimals >= 6)
        printf("   KEYS DIFFER: %s\n", id);
    answer_free(a);
    answer_free(b);
}

static void row_math_verify(struct section *s, const json_t *row) {
    math_verify(s, row, ANSWER_GENEROUS);
}

static void row_math_verify_strict(struct section *s, const json_t *row) {
    math_verify(s, row, ANSWER_STRICT);
}

static void row_extraction(struct section *s, const json_t *row) {
    const char *pred = field(row, "pred");
    const json_t *expected = json_object_get(row, "expected_extraction");
    struct str out = {0};
    bool found = answer_extract(str_from(pred), ANSWER_TRY_CHOICE, &out, NULL);
    bool agree = found == (json_array_size(expected) > 0);
    if (found && agree) {
        struct answer *a = answer_parse(out, NULL);
        agree = false;
        for (size_t i = 0; i < json_array_size(expected) && !agree; i++) {
            struct answer *b = answer_parse(str_from(json_string_value(json_array_get(expected, i))), NULL);
            agree = answer_equal(a, b) == ANSWER_EQUAL;
            answer_free(b);
        }
        answer_free(a);
    }
    s->n++;
    s->n_agree += agree;
    if (agree) return;
    printf("   %s: expected %s, ours \"%.*s\"\n", field(row, "id"),
           json_array_size(expected) ? json_string_value(json_array_get(expected, 0)) : "nothing",
           found ? (int)out.len : 0, found ? out.ptr : "");
    show("text", pred);
}

static enum answer_verdict compare(const char *x, const char *y, const struct answer_options *o,
                                   struct section *s) {
    double before = clock_seconds();
    struct answer *a = answer_parse(str_from(x), o), *b = answer_parse(str_from(y), o);
    enum answer_verdict v = answer_equal(a, b);
    s->seconds += clock_seconds() - before;
    answer_free(a);
    answer_free(b);
    return v;
}

static void row_numeric(struct section *s, const json_t *row) {
    struct answer_options o = {.n_decimals = (int)json_integer_value(json_object_get(row, "float_rounding"))};
    const char *a = field(row, "a"), *b = field(row, "b");
    judge(s, "rounding", compare(a, b, &o, s), json_is_true(json_object_get(row, "expected")), a, b);
}

static void row_hendrycks(struct section *s, const json_t *row) {
    const char *gold = field(row, "gold"), *pred = field(row, "pred");
    judge(s, field(row, "id"), compare(gold, pred, NULL, s), json_is_true(json_object_get(row, "expected")),
          gold, pred);
}

/* ---- latex2sympy: does the LaTeX parse, and does it mean what the sympy text means? ---- */

static size_t latex_n, latex_parsed, latex_both, latex_equal;

/* sympy's constructors that have a plain reading: Rational('1/2') -> (1/2); anything else is left and will
 * not parse. */
static char *plain_from_sympy(const char *sympy) {
    static const char *const PLAIN[][2] = {
        {"Rational('", "("},      {"Float('", "("},    {"Symbol('", "("}, {"')", ")"},
        {", evaluate=False", ""}, {", real=True", ""}, {"Min(", "min("},  {"Max(", "max("},
        {"igcd(", "gcd("},        {"ilcm(", "lcm("},   {"Mod(", "mod("},  {"ceiling(", "ceil("},
        {"_Abs(", "abs("},        {"S.Half", "(1/2)"},
    };
    struct buf b = {0};
    for (const char *p = sympy; *p;) {
        size_t i = 0;
        while (i < ARRAY_LEN(PLAIN) && strncmp(p, PLAIN[i][0], strlen(PLAIN[i][0])) != 0) i++;
        if (i == ARRAY_LEN(PLAIN))
            buf_add_char(&b, *p++);
        else {
            buf_add_str(&b, str_from(PLAIN[i][1]));
            p += strlen(PLAIN[i][0]);
        }
    }
    buf_add_char(&b, '\0');
    return buf_take(&b);
}

static void row_latex(struct section *s, const json_t *row) {
    const char *latex = field(row, "latex"), *sympy = field(row, "sympy");
    if (!json_is_string(json_object_get(row, "sympy"))) return;
    double before = clock_seconds();
    struct answer *a = answer_parse(str_from(latex), NULL);
    char *plain = plain_from_sympy(sympy);
    struct answer *b = answer_parse(str_from(plain), NULL);
    latex_n++;
    bool parsed = !answer_is_unparsable(a);
    latex_parsed += parsed;
    if (parsed && !answer_is_unparsable(b) && !answer_is_words(b)) {
        enum answer_verdict v = answer_equal(a, b);
        latex_both++;
        latex_equal += v == ANSWER_EQUAL;
        if (v != ANSWER_EQUAL && getenv("CHECK_VERBOSE"))
            printf("   %s: %s | %s\n", verdict_name(v), latex, plain);
    }
    if (!parsed && getenv("CHECK_VERBOSE")) printf("   unparsed: %s\n", latex);
    s->seconds += clock_seconds() - before;
    s->n++;
    s->n_agree += parsed;
    free(plain);
    answer_free(a);
    answer_free(b);
}

/* ---- benchmarks and model outputs ---- */

static void expect_extraction(struct section *s, const json_t *row, const char *text, const char *gold,
                              enum answer_source source) {
    struct str out = {0};
    enum answer_source how;
    double before = clock_seconds();
    bool found = answer_extract(str_from(text), 0, &out, &how);
    struct answer *a = answer_parse(found ? out : STR(""), NULL), *b = answer_parse(str_from(gold), NULL);
    enum answer_verdict v = answer_equal(a, b);
    s->seconds += clock_seconds() - before;
    s->n++;
    bool agree = found && how == source && v == ANSWER_EQUAL && !answer_is_unparsable(b);
    s->n_agree += agree;
    if (!agree) {
        printf("   %s: %s, rule %s%s\n", field(row, "unique_id"), verdict_name(v), answer_source_name(how),
               answer_is_unparsable(b) ? ", unparsable" : "");
        show("gold", gold);
        if (found) printf("      found    %.*s\n", (int)MIN(out.len, SHOWN_BYTES), out.ptr);
    }
    answer_free(a);
    answer_free(b);
}

static void row_math500(struct section *s, const json_t *row) {
    expect_extraction(s, row, field(row, "solution"), field(row, "answer"), ANSWER_FROM_BOXED);
}

static void row_gsm8k(struct section *s, const json_t *row) {
    expect_extraction(s, row, field(row, "solution"), field(row, "answer"), ANSWER_FROM_HASHES);
}

static struct answer *answer_of(const char *text) {
    struct str out = {0};
    bool found = answer_extract(str_from(text), 0, &out, NULL);
    return answer_parse(found ? out : STR(""), NULL);
}

static void row_gsm8k_models(struct section *s, const json_t *row) {
    double before = clock_seconds();
    struct answer *a = answer_of(field(row, "ground_truth")), *b = answer_of(field(row, "solution"));
    enum answer_verdict v = answer_equal(a, b);
    s->seconds += clock_seconds() - before;
    judge(s, field(row, "id"), v, json_is_true(json_object_get(row, "is_correct")),
          field(row, "ground_truth"), field(row, "solution"));
    answer_free(a);
    answer_free(b);
}

static void qwen_row(struct section *s, const json_t *row, enum answer_rules rules) {
    struct answer_options o = {.rules = rules};
    const json_t *answers = json_object_get(row, "answers"), *correct = json_object_get(row, "correct");
    const char *gold = field(row, "ground_truth");
    for (size_t i = 0; i < json_array_size(answers); i++) {
        const char *pred = json_string_value(json_array_get(answers, i));
        judge(s, field(row, "id"), compare(gold, pred ? pred : "", &o, s),
              json_is_true(json_array_get(correct, i)), gold, pred ? pred : "");
    }
}

/* The answers that Qwen's own extraction found (and normalised), from the same responses. */
static void row_qwen_extraction(struct section *s, const json_t *row) {
    const json_t *answers = json_object_get(row, "answers"), *responses = json_object_get(row, "responses");
    for (size_t i = 0; i < json_array_size(answers) && i < json_array_size(responses); i++) {
        const char *theirs = json_string_value(json_array_get(answers, i));
        const char *response = json_string_value(json_array_get(responses, i));
        if (!theirs || !response || !*theirs) continue;
        double before = clock_seconds();
        struct str out = {0};
        bool found = answer_extract(str_from(response), ANSWER_TRY_NUMBER, &out, NULL);
        struct answer *a = answer_parse(found ? out : STR(""), NULL),
                      *b = answer_parse(str_from(theirs), NULL);
        enum answer_verdict v = answer_equal(a, b);
        s->seconds += clock_seconds() - before;
        judge(s, field(row, "id"), v, true, theirs, response);
        answer_free(a);
        answer_free(b);
    }
}

static void row_qwen_strict(struct section *s, const json_t *row) {
    qwen_row(s, row, ANSWER_STRICT);
}

static void row_qwen_lenient(struct section *s, const json_t *row) {
    qwen_row(s, row, ANSWER_QWEN);
}

int main(int argc, char **argv) {
    const char *dir = argc > 1 ? argv[1] : "../shared/data";
    if (!file_is_dir(dir)) {
        printf("SKIPPED check_answer: the folder %s is missing\n", dir);
        return 0;
    }
    bool ok = true;
    ok &= run_file(dir, "grader/math_verify.jsonl", "Math-Verify's verdicts, our generous rules", 0.95,
                   row_math_verify);
    ok &= run_file(dir, "grader/math_verify.jsonl", "Math-Verify's verdicts, our strict rules", 0.94,
                   row_math_verify_strict);
    ok &=
        run_file(dir, "grader/math_verify_extraction.jsonl", "Math-Verify's extraction", 0.5, row_extraction);
    ok &= run_file(dir, "grader/math_verify_numeric.jsonl", "Math-Verify's rounding", 1, row_numeric);
    ok &= run_file(dir, "grader/hendrycks_is_equiv.jsonl", "Hendrycks' is_equiv", 0.7, row_hendrycks);
    ok &= run_file(dir, "grader/latex2sympy_pairs.jsonl", "latex2sympy: LaTeX that parses", 0.8, row_latex);
    printf("   %zu of %zu parse; where the sympy text has a plain reading too, %zu of %zu are equal\n",
           latex_parsed, latex_n, latex_equal, latex_both);
    ok &=
        run_file(dir, "bench/math500.jsonl", "MATH-500: the solution's box is the answer", 0.99, row_math500);
    ok &= run_file(dir, "bench/gsm8k_test.jsonl", "GSM8K: #### is the answer", 1, row_gsm8k);
    ok &= run_file(dir, "replay/gsm8k_model_solutions.jsonl", "GSM8K model solutions: the flags", 0.999,
                   row_gsm8k_models);
    ok &= run_file(dir, "replay/qwen_math_cot_100x8_rm.jsonl", "Qwen's verdicts, our strict rules", 0.95,
                   row_qwen_strict);
    ok &= run_file(dir, "replay/qwen_math_cot_100x8_rm.jsonl", "Qwen's verdicts, our qwen rules", 0.99,
                   row_qwen_lenient);
    ok &=
        run_file(dir, "replay/qwen_math_cot_100x8_rm.jsonl", "Qwen's extraction", 0.95, row_qwen_extraction);
    answer_thread_end();
    printf("check_answer: %s\n", ok ? "all shares reached" : "FAILED");
    return ok ? 0 : 1;
}
