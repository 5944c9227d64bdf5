/* bench_equal [PYTHON] - pairs of answers compared a second: parsed and compared, compared only, sorted into
 * classes for a vote; and the same pairs by SymPy (parse_expr and simplify), where PYTHON (default python3)
 * has it.
 *
 * The pairs are what models write: integers, fractions, decimals, radicals, expressions. The last line is the
 * figure.
 */
#include "answer/answer.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pair {
    const char *a, *b;         /* as models write them */
    const char *sym_a, *sym_b; /* for SymPy */
};

static const struct pair PAIRS[] = {
    {"42", "42.0", "42", "42.0"},
    {"1{,}000", "1000", "1000", "1000"},
    {"17", "19", "17", "19"},
    {"-3", "3", "-3", "3"},
    {"\\frac{3}{4}", "0.75", "3/4", "0.75"},
    {"\\frac{14}{3}", "4\\frac{2}{3}", "14/3", "4+2/3"},
    {"\\dfrac{7}{12}", "\\frac{7}{13}", "7/12", "7/13"},
    {"\\$18.90", "18.9", "18.90", "18.9"},
    {"2\\sqrt{3}", "\\sqrt{12}", "2*sqrt(3)", "sqrt(12)"},
    {"\\frac{\\sqrt{3}}{3}", "\\frac{1}{\\sqrt{3}}", "sqrt(3)/3", "1/sqrt(3)"},
    {"1+\\sqrt{2}", "\\sqrt{3+2\\sqrt{2}}", "1+sqrt(2)", "sqrt(3+2*sqrt(2))"},
    {"\\sqrt{53}", "7.28", "sqrt(53)", "7.28"},
    {"12\\pi", "36\\pi/3", "12*pi", "36*pi/3"},
    {"\\frac{\\pi}{6}", "\\frac{\\pi}{3}", "pi/6", "pi/3"},
    {"\\frac{1}{2}", "\\cos 60^\\circ", "1/2", "cos(pi/3)"},
    {"1-12i", "-12i+1", "1-12*I", "-12*I+1"},
    {"(x+1)^2", "x^2+2x+1", "(x+1)**2", "x**2+2*x+1"},
    {"6r^2-4r-24", "6r^2-4r+24", "6*r**2-4*r-24", "6*r**2-4*r+24"},
    {"\\frac{11+9a}{20}", "\\frac{9a}{20}+\\frac{11}{20}", "(11+9*a)/20", "9*a/20+11/20"},
    {"\\sin^2 x", "1-\\cos^2 x", "sin(x)**2", "1-cos(x)**2"},
    {"x^5 - x^4 + x^3 - x^2 + x - 1", "(x-1)(x^4+x^2+1)", "x**5-x**4+x**3-x**2+x-1", "(x-1)*(x**4+x**2+1)"},
    {"2^{10}", "1024", "2**10", "1024"},
    {"\\binom{10}{3}", "120", "binomial(10,3)", "120"},
    {"\\log_2 8", "3", "log(8,2)", "3"},
};

#define ROUNDS 400

static double rate_whole(void) {
    double before = clock_seconds();
    for (int r = 0; r < ROUNDS; r++)
        for (size_t i = 0; i < ARRAY_LEN(PAIRS); i++) {
            struct answer *a = answer_parse(str_from(PAIRS[i].a), NULL),
                          *b = answer_parse(str_from(PAIRS[i].b), NULL);
            (void)answer_equal(a, b);
            answer_free(a);
            answer_free(b);
        }
    return ROUNDS * (double)ARRAY_LEN(PAIRS) / (clock_seconds() - before);
}

static double rate_compare(size_t *n_undecided) {
    struct answer *a[ARRAY_LEN(PAIRS)], *b[ARRAY_LEN(PAIRS)];
    for (size_t i = 0; i < ARRAY_LEN(PAIRS); i++) {
        a[i] = answer_parse(str_from(PAIRS[i].a), NULL);
        b[i] = answer_parse(str_from(PAIRS[i].b), NULL);
    }
    double before = clock_seconds();
    for (int r = 0; r < ROUNDS; r++)
        for (size_t i = 0; i < ARRAY_LEN(PAIRS); i++)
            *n_undecided += answer_equal(a[i], b[i]) == ANSWER_CANNOT_TELL;
    double rate = ROUNDS * (double)ARRAY_LEN(PAIRS) / (clock_seconds() - before);
    for (size_t i = 0; i < ARRAY_LEN(PAIRS); i++) {
        answer_free(a[i]);
        answer_free(b[i]);
    }
    return rate;
}

/* A vote of many: parse, key, and compare inside buckets. */
static double rate_vote(size_t n) {
    struct answer **all = mem_alloc(n * sizeof *all);
    uint64_t *keys = mem_alloc(n * sizeof *keys);
    size_t n_classes = 0;
    double before = clock_seconds();
    for (size_t i = 0; i < n; i++) {
        const struct pair *p = &PAIRS[i * 7 % ARRAY_LEN(PAIRS)];
        all[n_classes] = answer_parse(str_from(i & 1 ? p->a : p->b), NULL);
        keys[n_classes] = answer_key(all[n_classes]);
        size_t c = 0;
        while (c < n_classes &&
               (keys[c] != keys[n_classes] || answer_equal(all[c], all[n_classes]) != ANSWER_EQUAL))
            c++;
        if (c == n_classes)
            n_classes++;
        else
            answer_free(all[n_classes]);
    }
    double rate = (double)n / (clock_seconds() - before);
    for (size_t i = 0; i < n_classes; i++) answer_free(all[i]);
    free(all);
    free(keys);
    printf("vote of %zu answers: %zu classes, %.0f answers a second\n", n, n_classes, rate);
    return rate;
}

/* The peer, in a process of its own that times itself after its imports. */
static double rate_sympy(const char *python) {
    struct buf program = {0};
    buf_add_str(&program, STR("import sys, time\n"
                              "try:\n"
                              "    from sympy import simplify\n"
                              "    from sympy.parsing.sympy_parser import parse_expr\n"
                              "except ImportError:\n"
                              "    sys.exit(0)\n"
                              "pairs = [\n"));
    for (size_t i = 0; i < ARRAY_LEN(PAIRS); i++)
        buf_printf(&program, "    ('%s', '%s'),\n", PAIRS[i].sym_a, PAIRS[i].sym_b);
    buf_add_str(&program, STR("]\n"
                              "def run():\n"
                              "    for a, b in pairs:\n"
                              "        x, y = parse_expr(a), parse_expr(b)\n"
                              "        x == y or simplify(x - y) == 0\n"
                              "run()\n"
                              "t = time.perf_counter()\n"
                              "run()\n"
                              "run()\n"
                              "print(2 * len(pairs) / (time.perf_counter() - t))\n"));
    char path[] = "/tmp/bench_equal_XXXXXX";
    int fd = mkstemp(path);
    FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
    double rate = 0;
    if (f) {
        fwrite(program.ptr, 1, program.len, f);
        fclose(f);
        struct buf command = {0};
        buf_printf(&command, "'%s' %s 2>/dev/null", python, path);
        FILE *out = popen(buf_cstr(&command), "r");
        if (out && fscanf(out, "%lf", &rate) != 1) rate = 0;
        if (out) pclose(out);
        buf_free(&command);
        remove(path);
    }
    buf_free(&program);
    return rate;
}

int main(int argc, char **argv) {
    size_t n_undecided = 0;
    double whole = rate_whole(), compare = rate_compare(&n_undecided);
    printf("parsed and compared: %.0f pairs a second; compared only: %.0f (%zu undecided)\n", whole, compare,
           n_undecided);
    rate_vote(10000);
    double sympy = rate_sympy(argc > 1 ? argv[1] : "python3");
    answer_thread_end();
    if (sympy > 0)
        printf("SymPy, caches warm: %.1f pairs a second\n%.0f pairs a second, %.0f times SymPy\n", sympy,
               whole, whole / sympy);
    else
        printf("SymPy is not installed: no comparison\n%.0f pairs a second\n", whole);
    return 0;
}
