/* Equality of answers: tables of pairs with their verdict, properties over all of them, hostile inputs,
 * threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "answer/answer.h"

#include "base/mem.h"
#include "base/pool.h"

static struct answer *parse(const char *text) {
    return answer_parse(str_from(text), NULL);
}

static enum answer_verdict equal_under(const char *x, const char *y, const struct answer_options *o) {
    struct answer *a = answer_parse(str_from(x), o), *b = answer_parse(str_from(y), o);
    enum answer_verdict v = answer_equal(a, b);
    answer_free(a);
    answer_free(b);
    return v;
}

static enum answer_verdict equal(const char *x, const char *y) {
    return equal_under(x, y, NULL);
}

static const char *name(enum answer_verdict v) {
    return v == ANSWER_EQUAL ? "equal" : v == ANSWER_DIFFERENT ? "different" : "cannot tell";
}

static void expect(const char *x, const char *y, enum answer_verdict wanted) {
    enum answer_verdict v = equal(x, y);
    if (v != wanted) fail_msg("%s | %s: wanted %s, got %s", x, y, name(wanted), name(v));
}

/* ---- classes: all of a class are equal, any two of different classes are not ---- */

/* One line a class, forms between " ~ ". No two classes of a group are equal. */
static const char *const NUMBERS[] = {
    "0 ~ -0 ~ 0.0 ~ \\frac{0}{5} ~ 1-1 ~ \\sin \\pi ~ \\ln 1",
    "1/2 ~ \\frac12 ~ \\dfrac{1}{2} ~ \\tfrac 12 ~ 0.5 ~ .5 ~ 0.50 ~ 50\\% ~ \\frac{2}{4} ~ 2^{-1} ~ 1 \\div "
    "2 ~ \\sin 30^\\circ ~ \\sin \\pi/6 ~ \\sin \\pi/6 ~ "
    "\\cos\\left(\\frac{\\pi}{3}\\right) ~ x = \\frac{1}{2} ~ $\\frac{1}{2}$ ~ \\boxed{\\frac12} ~ ½ ~ {1 "
    "\\over 2} ~ "
    "\\frac{1}{2}. ~ \\\\frac{1}{2} ~ \\left(\\frac{1}{2}\\right)",
    "-1/2 ~ -\\frac{1}{2} ~ \\frac{-1}{2} ~ \\frac{1}{-2} ~ -0.5 ~ \u22120.5 ~ -(1/2) ~ \\cos 120^{\\circ}",
    "7/2 ~ 3\\frac12 ~ 3 \\frac{1}{2} ~ 3 1/2 ~ 3.5 ~ 3½ ~ \\frac{7}{2} ~ 350\\%",
    "-7/2 ~ -3\\frac{1}{2} ~ -3.5",
    "1/3 ~ 0.\\overline{3} ~ 0.\\bar{3} ~ \\frac{1}{3} ~ 3^{-1} ~ \\frac13",
    "333/1000 ~ 0.333",
    "1000 ~ 1,000 ~ 1{,}000 ~ 1\\,000 ~ 1 000 ~ 1,\\!000 ~ 10^3 ~ 1e3 ~ 1000.00 ~ 1\\times 10^{3} ~ \\$1000 "
    "~ \\$1,000.00",
    "10000 ~ 10{,}000 ~ 10^4 ~ 1E4 ~ 10,\\! 000",
    "10001 ~ 10{,}001",
    "1234567.89 ~ 1,234,567.89 ~ 1\\,234\\,567.89",
    "8 ~ 2^3 ~ 2^{3} ~ 2**3 ~ \\sqrt{64} ~ 4^{3/2} ~ \\sqrt[3]{512} ~ \\binom{8}{1} ~ \\lfloor 8.9 \\rfloor "
    "~ |{-8}| ~ 1000_2 ~ "
    "\\max(3, 8) ~ \\log_2 256 ~ \\gcd(16, 24) ~ \\lvert -8 \\rvert ~ 2 \\cdot 4 ~ 2\\times 4 ~ 2*4 ~ (2)(4) "
    "~ 2\\cdot2\\cdot2 ~ 8! / 7! ~ "
    "\\log_{3} 6561 ~ 8.",
    "-2 ~ \\sqrt[3]{-8} ~ -\\sqrt{4} ~ \\log_{10} 0.01 ~ \\lceil -2.5 \\rceil",
    "120 ~ 5! ~ \\binom{10}{3} ~ 5 \\cdot 4!",
    "54 ~ 204_5 ~ 204_{5}",
    "6.02 \\times 10^{23} ~ 6.02e23 ~ 602000000000000000000000",
    "2\\sqrt{3} ~ \\sqrt{12} ~ \\sqrt 12 ~ 2\\sqrt3 ~ 12^{1/2} ~ \\frac{6}{\\sqrt{3}} ~ 2*sqrt(3) ~ 2√3 ~ "
    "\\sqrt{3}+\\sqrt{3} ~ "
    "2\\cdot 3^{0.5} ~ \\sqrt{3}\\cdot 2",
    "1+\\sqrt2 ~ \\sqrt{3+2\\sqrt2} ~ \\frac{1}{\\sqrt{2}-1} ~ \\sqrt{2}+1",
    "\\sqrt{2}+\\sqrt{3} ~ \\sqrt{5+2\\sqrt{6}}",
    "3.14 ~ 314/100",
    "3.14159265358979",
    "\\pi ~ pi ~ π ~ \\frac{2\\pi}{2} ~ 180^\\circ + 0 ~ \\arccos(-1) ~ 4\\arctan 1 ~ -i \\ln(-1)",
    "2\\pi ~ 2 \\pi ~ 2*pi ~ \\pi \\cdot 2 ~ \\pi+\\pi",
    "\\frac{\\pi}{6} ~ \\pi/6 ~ \\arcsin(1/2) ~ \\arcsin\\frac12",
    "e ~ e^1 ~ \\exp(1) ~ \\mathrm{e} ~ \\text{e}",
    "e^2 ~ \\exp 2 ~ e\\cdot e",
    "\\ln 2 ~ \\log_e 2 ~ \\frac{\\ln 4}{2} ~ \\ln\\sqrt{4}",
    "1-12i ~ 1 - 12i ~ -12i+1 ~ 1-i\\cdot 12",
    "i ~ \\sqrt{-1} ~ e^{i\\pi/2}",
    "\\frac{\\sqrt{3}}{3} ~ \\frac{1}{\\sqrt3} ~ \\tan 30^\\circ ~ \\tan\\frac{\\pi}{6} ~ \\cot 60^\\circ ~ "
    "3^{-1/2}",
    "\\frac{1+\\sqrt{5}}{2} ~ \\frac{2}{\\sqrt5-1} ~ 2\\cos 36^\\circ",
    "\\infty ~ +\\infty ~ inf ~ ∞",
    "-\\infty ~ -inf",
    "10^{10^{10}}",
};

static const char *const EXPRESSIONS[] = {
    "x ~ x+0 ~ \\frac{x^2}{x} ~ 1x ~ x^1",
    "y ~ \\frac{2y}{2}",
    "x^2+2x+1 ~ (x+1)^2 ~ 1+x(2+x) ~ x^2 + 2x + 1 ~ (1+x)(1+x) ~ x**2+2*x+1",
    "x^2-1 ~ (x-1)(x+1) ~ (x+1)(x-1)",
    "x+1 ~ \\frac{x^2-1}{x-1} ~ 1+x",
    "\\frac{11+9a}{20} ~ \\frac{9a+11}{20} ~ \\frac{9}{20}a + \\frac{11}{20}",
    "\\sin^2 x ~ 1-\\cos^2 x ~ (\\sin x)^2 ~ \\frac{1-\\cos 2x}{2}",
    "\\cot x ~ \\frac{\\cos x}{\\sin x} ~ \\frac{1}{\\tan x}",
    "2 \\sin b \\cos a ~ \\sin(a+b)-\\sin(a-b)",
    "\\sqrt{x} ~ x^{1/2} ~ x^{0.5}",
    "|x| ~ \\sqrt{x^2} ~ \\left|x\\right| ~ |-x|",
    "at ~ a t ~ t\\cdot a",
    "3R^2 ~ 3 R^2 ~ R\\cdot 3R",
    "p-q ~ -q+p ~ -(q-p)",
    "x_1+x_2 ~ x_{2}+x_{1}",
    "f(2) ~ f(1+1)",
    "f(x)",
    "e^{x}e^{y} ~ e^{x+y}",
    "n! ~ n\\cdot (n-1)!",
    "\\pi r^2 ~ r^2 \\pi",
    "\\theta ~ θ",
    "\\frac{1}{3\\sqrt[3]{x}^2} ~ \\frac{1}{3x^{2/3}}",
};

static const char *const COLLECTIONS[] = {
    "(1,2) ~ \\left(1, 2\\right) ~ (1;2) ~ (0.5+0.5, \\sqrt4) ~ (x,y)=(1,2) ~ ( 1 , 2 ) ~ \\left( "
    "\\frac{2}{2},2\\right)",
    "(2,1)",
    "(1,2,3)",
    "1,2 ~ 2, 1 ~ 1 and 2 ~ 2 \\text{ and } 1 ~ x=1 \\text{ or } x=2 ~ x = 1, 2 ~ \\{1,2\\} ~ \\{2, 1\\} ~ "
    "\\{2,1,1\\} ~ 1 or 2 ~ "
    "\\boxed{1}, \\boxed{2} ~ 1;2 ~ $1$ and $2$ ~ \\frac{3 \\pm 1}{2} ~ x \\in \\{1,2\\}",
    "3, 5, 7 ~ 3,5, and 7 ~ \\{7,5,3\\} ~ 5, 3, 7",
    "\\{1\\pm\\sqrt5,-2\\} ~ \\{-2, 1+\\sqrt{5}, 1-\\sqrt{5}\\}",
    "1 \\pm \\sqrt{19} ~ 1+\\sqrt{19}, 1-\\sqrt{19}",
    "\\pm 2021 ~ 2021, -2021",
    "\\emptyset ~ \\{\\} ~ \\varnothing ~ ∅",
    "[0,1) ~ \\left[0,1\\right) ~ 0 \\le x < 1 ~ x \\in [0,1) ~ [0,1[ ~ 1 > x \\geq 0 ~ [0, 0.5] \\cup (0.5, "
    "1) ~ \\{x \\mid 0 \\le x < 1\\}",
    "[0,1] ~ 0 \\leq x \\leq 1 ~ [0, \\frac{2}{2}] ~ [0,1)\\cup\\{1\\}",
    "(0,1] ~ ]0,1]",
    "(-\\infty, 2) \\cup (3, \\infty) ~ x<2 or x>3 ~ (3,\\infty)\\cup(-\\infty,2) ~ \\mathbb{R} \\setminus "
    "[2,3] ~ x < 2 \\text{ or } x > 3",
    "(2,\\infty) ~ x > 2 ~ 2 < x ~ -x < -2 ~ 2x > 4 ~ (2, +\\infty) ~ (2, inf) ~ x-2>0",
    "x \\ge 2 ~ [2,\\infty) ~ 2 \\le x ~ x >= 2 ~ x ≥ 2",
    "\\mathbb{R} ~ (-\\infty,\\infty) ~ ℝ ~ (-\\infty, 5) \\cup [5, \\infty)",
    "x \\ne 3 ~ x != 3 ~ (-\\infty,3)\\cup(3,\\infty) ~ \\mathbb{R} \\setminus \\{3\\} ~ x ≠ 3",
    "\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix} ~ \\begin{bmatrix}1&2\\\\3&4\\\\\\end{bmatrix} ~ "
    "\\left(\\begin{array}{cc}1 & 2\\\\3 & 4\\end{array}\\right) ~ "
    "\\begin{pmatrix}0.5&1\\\\1.5&2\\end{pmatrix}\\cdot 2 ~ "
    "\\begin{pmatrix}0&0\\\\3&4\\end{pmatrix}+\\begin{pmatrix}1&2\\\\0&0\\end{pmatrix}",
    "\\begin{pmatrix} 1 & 3 \\\\ 2 & 4 \\end{pmatrix}",
    "\\begin{pmatrix} -1/3 \\\\ 2/3 \\\\ 5/3 \\end{pmatrix} ~ \\frac{1}{3}\\begin{pmatrix} -1 \\\\ 2 \\\\ 5 "
    "\\end{pmatrix}",
    "(1,2),(3,4) ~ (3,4),(1,2) ~ (1,2) and (3,4) ~ 1,2;3,4 ~ \\{(3,4),(1,2),(1,2)\\}",
};

static const char *const RELATIONS[] = {
    "y = 2x + 3 ~ y=3+2x ~ 2x - y + 3 = 0 ~ y - 2x = 3 ~ -4x+2y-6=0",
    "y = 2x",
    "x^2/4 + y^2/3 = 1 ~ 3x^2+4y^2=12 ~ x^2/16 + y^2/12 = 1/4",
    "5x - 7y + 11z + 4 = 0 ~ -5x+7y-11z-4=0",
    "x + y < 3 ~ 3 > x+y ~ 2x+2y<6 ~ -x-y > -3",
    "x + y > 3",
    "f(2) < f(1) < f(4) ~ f(4) > f(1) > f(2)",
    "3:4 ~ 6:8 ~ 3 : 4",
    "4:3",
};

static const char *const WORDS[] = {
    "\\text{Evelyn} ~ Evelyn ~ evelyn ~ \\textbf{Evelyn}",
    "\\text{east} ~ east",
    "\\text{even} ~ even",
    "\\text{(B)} ~ B ~ (B) ~ \\textbf{(B)} ~ \\mathrm{B} ~ \\text{B} ~ B.",
    "\\text{(C)} ~ C",
    "yes ~ Yes ~ \\text{Yes}",
    "no ~ \\text{no}",
};

struct form {
    struct answer *a;
    const char *text;
    size_t class;
};

static size_t collect(const char *const *classes, size_t n_classes, struct form **out) {
    size_t n = 0, cap = 0;
    struct form *forms = NULL;
    for (size_t c = 0; c < n_classes; c++) {
        struct str rest = str_from(classes[c]);
        for (bool more = true; more;) {
            ptrdiff_t at = str_find(rest, STR(" ~ "));
            more = at >= 0;
            struct str text = {rest.ptr, more ? (size_t)at : rest.len};
            MEM_GROW(forms, cap, n + 1);
            forms[n++] = (struct form){answer_parse(text, NULL), str_dup(text), c};
            if (more) rest = (struct str){rest.ptr + at + 3, rest.len - (size_t)at - 3};
        }
    }
    *out = forms;
    return n;
}

/* Inside a class equal, with equal keys; across classes not equal; symmetric; nothing unparsable. */
static void check_classes(const char *const *classes, size_t n_classes) {
    struct form *f;
    size_t n = collect(classes, n_classes, &f), n_wrong = 0;
    for (size_t i = 0; i < n; i++) {
        if (answer_is_unparsable(f[i].a)) print_error("unparsable: %s\n", f[i].text), n_wrong++;
        for (size_t j = i; j < n; j++) {
            enum answer_verdict v = answer_equal(f[i].a, f[j].a);
            bool same = f[i].class == f[j].class;
            if (v != answer_equal(f[j].a, f[i].a))
                print_error("not symmetric: %s | %s\n", f[i].text, f[j].text), n_wrong++;
            if ((v == ANSWER_EQUAL) != same)
                print_error("%s | %s: %s\n", f[i].text, f[j].text, name(v)), n_wrong++;
            if (same && answer_key(f[i].a) != answer_key(f[j].a))
                print_error("keys: %s | %s\n", f[i].text, f[j].text), n_wrong++;
        }
    }
    for (size_t i = 0; i < n; i++) {
        answer_free(f[i].a);
        free((char *)(uintptr_t)f[i].text);
    }
    free(f);
    assert_int_equal(n_wrong, 0);
}

static void numbers_are_classes(void **state) {
    UNUSED(state);
    check_classes(NUMBERS, ARRAY_LEN(NUMBERS));
}
static void expressions_are_classes(void **state) {
    UNUSED(state);
    check_classes(EXPRESSIONS, ARRAY_LEN(EXPRESSIONS));
}
static void collections_are_classes(void **state) {
    UNUSED(state);
    check_classes(COLLECTIONS, ARRAY_LEN(COLLECTIONS));
}
static void relations_are_classes(void **state) {
    UNUSED(state);
    check_classes(RELATIONS, ARRAY_LEN(RELATIONS));
}
static void words_are_classes(void **state) {
    UNUSED(state);
    check_classes(WORDS, ARRAY_LEN(WORDS));
}

/* ---- single verdicts ---- */

static void units_may_be_left_out_but_not_exchanged(void **state) {
    UNUSED(state);
    expect("5\\text{ cm}", "5", ANSWER_EQUAL);
    expect("5 cm", "5\\mbox{ cm}", ANSWER_EQUAL);
    expect("15\\mbox{ cm}^2", "15", ANSWER_EQUAL);
    expect("864 \\mbox{ inches}^2", "864", ANSWER_EQUAL);
    expect("5\\text{ cm}", "5 \\text{ kg}", ANSWER_DIFFERENT);
    expect("5\\text{ cm}", "6", ANSWER_DIFFERENT);
    expect("5\\text{ m}", "500\\text{ cm}", ANSWER_EQUAL);
    expect("5\\text{ m}", "5\\text{ cm}", ANSWER_DIFFERENT);
    expect("2 hours", "120 minutes", ANSWER_EQUAL);
    expect("12 apples", "12", ANSWER_EQUAL);
    expect("12 apples", "12 oranges", ANSWER_CANNOT_TELL);
    expect("12 apples", "13 oranges", ANSWER_DIFFERENT);
    expect("\\$18.90", "18.9", ANSWER_EQUAL);
    expect("5.4 \\text{ cents}", "5.4", ANSWER_EQUAL);
    expect("60 \\text{ km/h}", "60 km/h", ANSWER_EQUAL);
    expect("90^\\circ", "90", ANSWER_EQUAL);
    expect("90^{\\circ}", "90 degrees", ANSWER_EQUAL);
    expect("90^\\circ", "\\frac{\\pi}{2}", ANSWER_EQUAL);
    expect("90^\\circ", "45", ANSWER_DIFFERENT);
    expect("\\frac{270}7\\text{ degrees}", "\\frac{270}{7}", ANSWER_EQUAL);
}

static void doubt_is_said(void **state) {
    UNUSED(state);
    expect("50\\%", "50", ANSWER_CANNOT_TELL);
    expect("50\\%", "0.5", ANSWER_EQUAL);
    expect("50\\%", "51", ANSWER_DIFFERENT);
    expect("1,1,2", "1,2", ANSWER_CANNOT_TELL);
    expect("1,2", "(1,2)", ANSWER_CANNOT_TELL);
    expect("1,2", "(1,3)", ANSWER_DIFFERENT);
    expect("x=1, y=2", "1, 2", ANSWER_CANNOT_TELL);
    expect("x=1, y=2", "x=2, y=1", ANSWER_DIFFERENT);
    expect("x=1, y=2", "y=2, x=1", ANSWER_EQUAL);
    expect("y=2x", "2x", ANSWER_CANNOT_TELL);
    expect("y=2x", "3x", ANSWER_DIFFERENT);
    expect("1:2", "1/2", ANSWER_CANNOT_TELL);
    expect("12:00", "1:00", ANSWER_DIFFERENT);
    expect("4:30 \\text{ p.m.}", "4:30", ANSWER_EQUAL);
    expect("4:30 \\text{ p.m.}", "4:30 PM", ANSWER_EQUAL);
    expect("4:30 p.m.", "4:30 am", ANSWER_DIFFERENT);
    expect("no solution", "\\emptyset", ANSWER_CANNOT_TELL);
    expect("\\text{ellipse}", "an ellipse", ANSWER_CANNOT_TELL);
    expect("\\text{ellipse}", "\\text{circle}", ANSWER_DIFFERENT);
    expect("\\text{ellipse}", "5", ANSWER_DIFFERENT);
    expect("0.333...", "1/3", ANSWER_CANNOT_TELL);
    expect("\\frac{1}{0}", "5", ANSWER_CANNOT_TELL);
    expect("\\frac{1}{0}", "\\frac{1}{0}", ANSWER_EQUAL);
    expect("0^0 - 1", "0", ANSWER_EQUAL);
    expect("\\ln x^2", "2 \\ln x", ANSWER_CANNOT_TELL); /* not for negative x */
    expect("\\sqrt{x^2}", "x", ANSWER_DIFFERENT);
    expect("(-8)^{1/3}", "-2", ANSWER_CANNOT_TELL);
    expect("\\sqrt{x}\\sqrt{y}", "\\sqrt{xy}", ANSWER_CANNOT_TELL); /* nor here */
    expect("\\sqrt{x}\\sqrt{y}", "2\\sqrt{xy}", ANSWER_DIFFERENT);
    expect("b", "B", ANSWER_CANNOT_TELL);
    expect("204_5", "204", ANSWER_CANNOT_TELL);
    expect("204_5", "205", ANSWER_DIFFERENT);
    expect("5 m", "5", ANSWER_CANNOT_TELL);
    expect("x^2=4", "2, -2", ANSWER_CANNOT_TELL);
    expect("x^2=4", "2", ANSWER_CANNOT_TELL);
    expect("two", "2", ANSWER_CANNOT_TELL);
    expect("yes", "true", ANSWER_CANNOT_TELL);
    expect("", "5", ANSWER_CANNOT_TELL);
    expect("", "", ANSWER_EQUAL);
}

static void kinds_differ(void **state) {
    UNUSED(state);
    expect("2x+z=1", "1", ANSWER_DIFFERENT);
    expect("a^2+b=0", "0", ANSWER_DIFFERENT);
    expect("1", "-[0,1)", ANSWER_CANNOT_TELL);
    expect("[0,1)", "1", ANSWER_DIFFERENT);
    expect("(1,2)", "3", ANSWER_DIFFERENT);
    expect("1,2", "1", ANSWER_DIFFERENT);
    expect("\\{5\\}", "5", ANSWER_EQUAL);
    expect("\\begin{pmatrix}1\\\\2\\end{pmatrix}", "(1,2)", ANSWER_CANNOT_TELL);
    expect("x", "5", ANSWER_DIFFERENT);
    expect("B", "D", ANSWER_DIFFERENT);
    expect("1 - \\frac{1}{e}", "1 + \\frac{1}{e}", ANSWER_DIFFERENT);
    expect("\\frac{11}{36}", "\\text{frac}", ANSWER_DIFFERENT);
}

static void labels_are_read(void **state) {
    UNUSED(state);
    expect("x = 5+5+1 = 11", "11", ANSWER_EQUAL);
    expect("k=1", "1", ANSWER_EQUAL);
    expect("x = 1/3 \\approx 0.33", "1/3", ANSWER_EQUAL);
    expect("|AB| = 1", "1", ANSWER_EQUAL);
    expect("\\frac{NO}{BO} = \\frac{1}{\\sqrt 6}", "\\frac{1}{\\sqrt{6}}", ANSWER_EQUAL);
    expect("W(n) = 1 \\text{ and } W(n) = -1", "W(x)=1orW(x)=-1", ANSWER_EQUAL);
    expect("\\text{Area} = 12", "12", ANSWER_EQUAL);
    expect("f(x) = x+1", "x+1", ANSWER_EQUAL);
    expect("x = 3", "x = 4", ANSWER_DIFFERENT);
    expect("n=2, 3, 4", "n=1, 2, 3", ANSWER_DIFFERENT);
    expect("x = x^2", "x^2", ANSWER_CANNOT_TELL);
}

static void rounding_is_an_option(void **state) {
    UNUSED(state);
    struct answer_options three = {.n_decimals = 3}, four = {.n_decimals = 4};
    assert_int_equal(equal_under("1/3", "0.333", &three), ANSWER_EQUAL);
    assert_int_equal(equal_under("1/3", "0.333", &four), ANSWER_DIFFERENT);
    assert_int_equal(equal_under("\\sqrt 2", "1.414", &three), ANSWER_EQUAL);
    assert_int_equal(equal_under("\\sqrt 2", "1.414", &four), ANSWER_DIFFERENT);
    assert_int_equal(equal_under("-1/3", "-0.333", &three), ANSWER_EQUAL);
    assert_int_equal(equal_under("1/3", "333/1000", &three), ANSWER_DIFFERENT); /* no decimal: exact */
    assert_int_equal(equal_under("(\\frac{3}{5},\\frac{8}{3}]", "(0.6,2.667]", &three), ANSWER_EQUAL);
    struct answer_options comma = {.comma_decimal = true};
    assert_int_equal(equal_under("2,74", "2.74", &comma), ANSWER_EQUAL);
    assert_int_equal(equal("2,74", "2.74"), ANSWER_DIFFERENT);
}

static void generous_rules_give_the_benefit_of_the_doubt(void **state) {
    UNUSED(state);
    struct answer_options g = {.rules = ANSWER_GENEROUS};
    assert_int_equal(equal_under("x=-5, p=1", "-5, 1", &g), ANSWER_EQUAL);
    assert_int_equal(equal_under("x=-5, p=1", "1, -5", &g), ANSWER_CANNOT_TELL);
    assert_int_equal(equal_under("x=-5, p=1", "(1, -5)", &g), ANSWER_CANNOT_TELL);
    assert_int_equal(equal_under("x=-5, p=1", "2, -5", &g), ANSWER_DIFFERENT);
    assert_int_equal(equal_under("50\\%", "50", &g), ANSWER_EQUAL);
    assert_int_equal(equal_under("(1,3)", "\\{1,3\\}", &g), ANSWER_EQUAL);
    assert_int_equal(equal_under("1,1,2", "1,2", &g), ANSWER_EQUAL);
    assert_int_equal(equal_under("y=2x", "2x", &g), ANSWER_EQUAL);
    assert_int_equal(equal_under("(1,3)", "(3,1)", &g), ANSWER_DIFFERENT);
    assert_int_equal(equal_under("50\\%", "51", &g), ANSWER_DIFFERENT);
    assert_int_equal(equal_under("\\frac{1}{0}", "5", &g), ANSWER_CANNOT_TELL);
}

static void qwen_rules_are_lenient(void **state) {
    UNUSED(state);
    struct answer_options q = {.rules = ANSWER_QWEN};
    static const struct {
        const char *gold, *pred;
        bool equal;
    } CASES[] = {
        {"50", "0.5", true},
        {"0.5", "50", true},
        {"50", "5000", true},
        {"50", "51", false},
        {"10000", "10001", true},
        {"10000", "10010", false},
        {"50", "50\\%", true},
        {"5", "5 cm", true},
        {"B", "The answer is (B)", true},
        {"B", "C", false},
        {"(1,2)", "[1,2]", true},
        {"(1,2)", "(2,1)", false},
        {"\\frac{1}{2}", "0.5", true},
        {"\\frac12", "0.50001", true},
        {"x=5", "5", true},
        {"k = 5", "5", true},
        {"\\sqrt{12}", "2\\sqrt{3}", true},
        {"y = 2x", "2x", true},
        {"p+q=1", "-p-q=-1", true},
        {"p+q=1", "2p+2q=2", false},
        {"\\begin{pmatrix}1\\\\2\\end{pmatrix}", "\\begin{bmatrix}1\\\\2\\end{bmatrix}", true},
        {"90^\\circ", "90", true},
        {"\\text{Evelyn}", "evelyn", true},
        {"1,2", "2,1", false},
        {"\\$32,348", "32348", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        bool same = equal_under(CASES[i].gold, CASES[i].pred, &q) == ANSWER_EQUAL;
        if (same != CASES[i].equal)
            fail_msg("qwen: %s | %s: %s", CASES[i].gold, CASES[i].pred, same ? "equal" : "not equal");
    }
}

/* ---- hostile inputs ---- */

static char *repeat(const char *piece, size_t n) {
    struct buf b = {0};
    for (size_t i = 0; i < n; i++) buf_add_str(&b, str_from(piece));
    buf_add_char(&b, '\0');
    return buf_take(&b);
}

static void hostile(const char *head, const char *piece, size_t n, const char *tail) {
    char *middle = repeat(piece, n);
    struct buf b = {0};
    buf_add_str(&b, str_from(head));
    buf_add_str(&b, str_from(middle));
    buf_add_str(&b, str_from(tail));
    struct answer *a = answer_parse(buf_str(&b), NULL), *c = parse("5");
    buf_add_str(&b, STR(" "));
    struct answer *again = answer_parse(buf_str(&b), NULL);
    assert_int_not_equal(answer_equal(a, c), ANSWER_EQUAL);
    assert_int_equal(answer_equal(a, again), ANSWER_EQUAL);
    (void)answer_key(a);
    answer_free(a);
    answer_free(again);
    answer_free(c);
    buf_free(&b);
    free(middle);
}

static void hostile_texts_end_quickly(void **state) {
    UNUSED(state);
    static const size_t SIZES[] = {50, 1000, 100000};
    for (size_t i = 0; i < ARRAY_LEN(SIZES); i++) {
        size_t n = SIZES[i];
        hostile("", "(", n, "");
        hostile("", "{", n, "");
        hostile("", "\\{", n, "1");
        hostile("", "\\frac{", n, "");
        hostile("1", "^1", n, "2");
        hostile("2^{", "2^{", n, "2");
        hostile("", "\\sqrt{", n, "2");
        hostile("", "-", n, "7");
        hostile("", "\\text{", n, "");
        hostile("", "1,", n, "2");
        hostile("", "\\pm 1,", n, "2");
        hostile("", "|", n, "");
        hostile("x", "+x", n, "");
        hostile("x", "\\cdot(x+y+z)", n, "");
        hostile("9", "9", n, "");
        hostile("", "\\boxed{", n, "");
        hostile("\\begin{pmatrix}", "1&", n, "1\\end{pmatrix}");
        hostile("\\sqrt2", "+\\sqrt{2}", n, "");
        hostile("3", "!", n, "");
        hostile("x", "_x", n, "");
        hostile("", "\\", n, "");
        hostile("", "\xff", n, "");
    }
}

static void huge_numbers_end_quickly(void **state) {
    UNUSED(state);
    static const char *const HUGE_ONES[] = {
        "10^{10^{10}}",
        "10^{10^{10^{10}}}",
        "9^{9^{9^{9}}}",
        "99999999!",
        "(10^{100})!",
        "1e999999",
        "1e-999999",
        "2^{-10^{18}}",
        "e^{e^{e^{e^{e}}}}",
        "\\binom{10^9}{10^8}",
        "\\sqrt[99999999]{2}",
        "\\sin(10^{10^{10}})",
        "(1+10^{-100})^{10^{100}}",
        "\\ln\\ln\\ln\\ln 2",
        "0^{-1}",
        "\\frac{1}{1-1}",
        "\\tan 90^\\circ",
        "\\log 0",
        "\\log_1 5",
        "\\frac{1}{\\sqrt{2}^2-2}",
        "(x+y+z+w)^{1000}",
        "(x^{1000}+1)^{1000}",
        "\\gcd(10^{4000}, 3^{8000})",
        "5_1",
        "9_5",
        "\\frac{x}{x-x}",
        "1_{99}",
        "\\sqrt[0]{5}",
        "\\sqrt[-2]{5}",
        "\\max()",
        "\\lfloor 10^{100}\\pi \\rfloor",
        "x^{x^{x^{x}}}",
        "(\\sqrt2+\\sqrt3+\\sqrt5+\\sqrt7+\\sqrt{11}+\\sqrt{13})^{20}",
        "\\sqrt{2}^{\\sqrt{3}^{\\sqrt{5}}}",

        "i^{i^{i}}",
        "\\sqrt{\\sqrt{\\sqrt{\\sqrt{\\sqrt{\\sqrt{2}+1}+1}+1}+1}+1}",
        "\\operatorname{lcm}(0,0)",
        "7\\mod 0",
        "(0/0)!",
    };
    for (size_t i = 0; i < ARRAY_LEN(HUGE_ONES); i++)
        for (size_t j = 0; j < ARRAY_LEN(HUGE_ONES); j++) {
            enum answer_verdict v = equal(HUGE_ONES[i], HUGE_ONES[j]);
            if (i == j)
                assert_int_equal(v, ANSWER_EQUAL);
            else if (v == ANSWER_EQUAL)
                fail_msg("%s | %s", HUGE_ONES[i], HUGE_ONES[j]);
        }
    expect("10^{10^{10}}", "10^{10^{10}}+1", ANSWER_CANNOT_TELL);
    expect("x", "x+10^{-60}", ANSWER_DIFFERENT);
    expect("\\sin x", "\\sin x+10^{-60}", ANSWER_DIFFERENT);
    expect("\\sin x", "\\sin x+10^{-400}", ANSWER_CANNOT_TELL);
    expect("\\sin x", "\\sin x+(\\frac{x}{10})^{800}", ANSWER_CANNOT_TELL);
    expect("x+y=1", "x+y=1+10^{-60}", ANSWER_DIFFERENT);
    expect("\\sqrt2", "\\sqrt2+10^{-60}", ANSWER_DIFFERENT);
    expect("\\sqrt2", "\\sqrt2+10^{-2000}", ANSWER_CANNOT_TELL);
    expect("10^{4000}", "10^{4000}+1", ANSWER_DIFFERENT);
    expect("1000!", "1000!+1", ANSWER_DIFFERENT);
}

static void bytes_of_any_kind_are_read(void **state) {
    UNUSED(state);
    char all[3];
    struct answer *five = parse("5");
    for (int i = 0; i < 256; i++)
        for (int j = 0; j < 256; j++) {
            all[0] = (char)i, all[1] = (char)j, all[2] = '1';
            struct answer *a = answer_parse((struct str){all, 3}, NULL);
            (void)answer_equal(a, five);
            assert_int_equal(answer_equal(a, a), ANSWER_EQUAL);
            answer_free(a);
        }
    answer_free(five);
}

/* ---- threads ---- */

struct share {
    struct form *forms;
    size_t n;
    size_t n_wrong[8];
};

static void compare_all(void *ctx, int i_worker, int n_workers) {
    struct share *s = ctx;
    for (size_t i = 0; i < s->n; i++)
        for (size_t j = (size_t)i_worker; j < s->n; j += (size_t)n_workers) {
            bool same = s->forms[i].class == s->forms[j].class;
            struct answer *own = answer_parse(str_from(s->forms[i].text), NULL);
            if ((answer_equal(own, s->forms[j].a) == ANSWER_EQUAL) != same) s->n_wrong[i_worker]++;
            answer_free(own);
        }
    answer_thread_end();
}

static void threads_agree(void **state) {
    UNUSED(state);
    struct share s = {0};
    s.n = collect(EXPRESSIONS, ARRAY_LEN(EXPRESSIONS), &s.forms);
    struct pool *p = pool_new(4);
    pool_run(p, compare_all, &s);
    pool_free(p);
    for (size_t i = 0; i < ARRAY_LEN(s.n_wrong); i++) assert_int_equal(s.n_wrong[i], 0);
    for (size_t i = 0; i < s.n; i++) {
        answer_free(s.forms[i].a);
        free((char *)(uintptr_t)s.forms[i].text);
    }
    free(s.forms);
}

struct orphans {
    struct answer *answers[4][30];
    int n_wrong[4];
};

static void make_orphans(void *ctx, int i_worker, int n_workers) {
    UNUSED(n_workers);
    struct orphans *o = ctx;
    for (size_t i = 0; i < ARRAY_LEN(o->answers[0]); i++) {
        o->answers[i_worker][i] =
            parse(i & 1 ? "123456789012345678901234567890" : "12345678901234567890123456789 \\cdot 10");
        o->n_wrong[i_worker] +=
            answer_equal(o->answers[i_worker][i], o->answers[i_worker][0]) != ANSWER_EQUAL;
    }
    answer_thread_end();
}

static void answers_outlive_their_threads(void **state) {
    UNUSED(state);
    struct orphans o = {0};
    struct pool *p = pool_new(4);
    pool_run(p, make_orphans, &o);
    pool_free(p);
    for (size_t w = 0; w < 4; w++) {
        assert_int_equal(o.n_wrong[w], 0);
        for (size_t i = 0; i < ARRAY_LEN(o.answers[0]); i++) {
            assert_int_equal(answer_equal(o.answers[w][i], o.answers[0][i & 1]), ANSWER_EQUAL);
            if (w || i > 1) answer_free(o.answers[w][i]);
        }
    }
    answer_free(o.answers[0][0]);
    answer_free(o.answers[0][1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_classes),
        cmocka_unit_test(expressions_are_classes),
        cmocka_unit_test(collections_are_classes),
        cmocka_unit_test(relations_are_classes),
        cmocka_unit_test(words_are_classes),
        cmocka_unit_test(units_may_be_left_out_but_not_exchanged),
        cmocka_unit_test(doubt_is_said),
        cmocka_unit_test(kinds_differ),
        cmocka_unit_test(labels_are_read),
        cmocka_unit_test(rounding_is_an_option),
        cmocka_unit_test(generous_rules_give_the_benefit_of_the_doubt),
        cmocka_unit_test(qwen_rules_are_lenient),
        cmocka_unit_test(hostile_texts_end_quickly),
        cmocka_unit_test(huge_numbers_end_quickly),
        cmocka_unit_test(bytes_of_any_kind_are_read),
        cmocka_unit_test(threads_agree),
        cmocka_unit_test(answers_outlive_their_threads),
    };
    int n_failed = cmocka_run_group_tests(tests, NULL, NULL);
    answer_thread_end();
    return n_failed;
}
