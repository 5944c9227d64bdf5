/* smt.c - the verifier `smt`: a solution gives a model of an SMT-LIB problem, or claims that there is none.
 *
 * The problem's line:  smt   declarations and assertions, "(declare-const x Int) (assert (> x 2))"
 * The solution, or the last block of code in it:
 *     unsat                                    passes if z3 finds no model
 *     (define-fun x () Int 3) ...              values of declared constants; passes if z3 finds a model of
 * the problem that has exactly these Nothing else of the solution reaches z3: values are literals (numbers,
 * true, false, (- 3), (/ 1 2), #x1f,
 * (_ bv7 8)), read and written again. "unknown" from z3 is no verdict.
 */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/mem.h"
#include "verify/checker.h"

enum { TOKENS_MAX = 20000, NEST_MAX = 6 };

/* The next token: a parenthesis, or what stands between such and white space. Comments are left out. */
static struct str next_token(struct str *rest) {
    size_t at = 0;
    for (;;) {
        while (at < rest->len && isspace((unsigned char)rest->ptr[at])) at++;
        if (at == rest->len || rest->ptr[at] != ';') break;
        while (at < rest->len && rest->ptr[at] != '\n') at++;
    }
    size_t end = at;
    if (end < rest->len && strchr("()", rest->ptr[end])) {
        end++;
    } else if (end < rest->len && rest->ptr[end] == '|') {
        for (end++; end < rest->len && rest->ptr[end] != '|'; end++) continue;
        end += end < rest->len;
    } else {
        while (end < rest->len && !isspace((unsigned char)rest->ptr[end]) && !strchr("();|", rest->ptr[end]))
            end++;
    }
    const struct str token = {rest->ptr + at, end - at};
    *rest = (struct str){rest->ptr + end, rest->len - end};
    return token;
}

static bool is_token(struct str token, const char *text) {
    return str_equal(token, str_from(text));
}

static bool all_in(struct str s, const char *set) {
    for (size_t i = 0; i < s.len; i++)
        if (!s.ptr[i] || !strchr(set, s.ptr[i])) return false;
    return s.len > 0;
}

static bool is_literal(struct str t) {
    if (is_token(t, "true") || is_token(t, "false")) return true;
    if (t.len > 2 && t.ptr[0] == '#' && t.ptr[1] == 'x')
        return all_in((struct str){t.ptr + 2, t.len - 2}, "0123456789abcdefABCDEF");
    if (t.len > 2 && t.ptr[0] == '#' && t.ptr[1] == 'b')
        return all_in((struct str){t.ptr + 2, t.len - 2}, "01");
    return all_in(t, "0123456789.") && isdigit((unsigned char)t.ptr[0]);
}

/* A value, copied to out; false if it is none. */
static bool read_value(struct str *rest, struct buf *out, int depth) {
    struct str t = next_token(rest);
    if (is_literal(t)) {
        buf_add_str(out, t);
        return true;
    }
    if (!is_token(t, "(") || depth == NEST_MAX) return false;
    t = next_token(rest);
    buf_add_char(out, '(');
    buf_add_str(out, t);
    if (is_token(t, "_")) {
        const struct str number = next_token(rest), width = next_token(rest);
        if (!str_starts(number, STR("bv")) ||
            !all_in((struct str){number.ptr + 2, number.len - 2}, "0123456789") ||
            !all_in(width, "0123456789"))
            return false;
        buf_printf(out, " %.*s %.*s", (int)number.len, number.ptr, (int)width.len, width.ptr);
    } else {
        const int n = is_token(t, "-") ? 1 : is_token(t, "/") ? 2 : 0;
        for (int i = 0; i < n; i++) {
            buf_add_char(out, ' ');
            if (!read_value(rest, out, depth + 1)) return false;
        }
        if (n == 0) return false;
    }
    buf_add_char(out, ')');
    return is_token(next_token(rest), ")");
}

/* Whether the problem declares the constant. */
static bool is_declared(struct str problem, struct str name) {
    struct str before[2] = {{0}, {0}};
    for (int i = 0; i < TOKENS_MAX; i++) {
        const struct str t = next_token(&problem);
        if (t.len == 0) return false;
        if (str_equal(t, name) &&
            (is_token(before[0], "declare-const") || is_token(before[0], "declare-fun")) &&
            is_token(before[1], "("))
            return true;
        before[1] = before[0];
        before[0] = t;
    }
    return false;
}

/* "(define-fun x () Int 3) ..." as assertions; "" or why not. */
static const char *read_model(struct str text, struct str problem, struct buf *out) {
    int n = 0, depth = 0;
    for (struct str t; (t = next_token(&text)).len > 0;) {
        if (is_token(t, "(") || is_token(t, ")")) {
            depth += is_token(t, "(") ? 1 : -1;
            continue;
        }
        if (is_token(t, "sat") || is_token(t, "model")) continue;
        if (!is_token(t, "define-fun"))
            return "A model has nothing but (define-fun NAME () SORT VALUE) in it.";
        const struct str name = next_token(&text);
        if (!is_declared(problem, name))
            return "The model names a constant that the problem does not declare.";
        if (!is_token(next_token(&text), "(") || !is_token(next_token(&text), ")"))
            return "The model has a function with arguments; only constants can be checked.";
        struct str sort = next_token(&text);
        if (is_token(sort, "(")) /* (_ BitVec 8) */
            for (int i = 0; i < 8 && !is_token(sort, ")"); i++) sort = next_token(&text);
        buf_printf(out, "(assert (= %.*s ", (int)name.len, name.ptr);
        if (!read_value(&text, out, 0)) return "The model has a value that is no literal.";
        buf_add_str(out, STR("))\n"));
        if (!is_token(next_token(&text), ")")) return "The model is not closed.";
        depth--;
        n++;
    }
    if (depth != 0) return "The parentheses of the model do not match.";
    return n > 0 ? ""
                 : "It says neither unsat nor a model: (define-fun NAME () SORT VALUE) for each constant.";
}

static bool claims_unsat(struct str text) {
    text = str_trim(text);
    const ptrdiff_t at = str_find_last(text, STR("\n"));
    const struct str last = at < 0 ? text : str_trim((struct str){text.ptr + at, text.len - (size_t)at});
    return is_token(last, "unsat") || is_token(last, "unsat.");
}

static bool smt_files(const struct settings *s, const struct check *k,
                      struct process_file files[PROCESS_FILES_MAX], int *n_files, struct check_answer *out) {
    char *problem = checker_field(k, "smt");
    const struct str text = checker_block(str_from(k->solution));
    const bool unsat = claims_unsat(text);
    struct buf file = {0};
    const char *wrong = "";
    UNUSED(s);
    buf_printf(&file, "%s\n", problem);
    if (!problem[0]) {
        out->verdict = VERIFIER_UNKNOWN;
        wrong = "the problem has no \"smt\" to solve";
    } else if (!unsat) {
        out->verdict = VERIFIER_REJECTED;
        wrong = read_model(text, str_from(problem), &file);
    }
    buf_add_str(&file, STR("(check-sat)\n"));
    free(problem);
    if (wrong[0]) {
        buf_printf(&out->feedback, "%s", wrong);
        buf_free(&file);
        return false;
    }
    const size_t n = file.len;
    files[(*n_files)++] = (struct process_file){"problem.smt2", {buf_take(&file), n}};
    return true;
}

static bool smt_judge(const struct settings *s, const struct check *k, int status, struct str said,
                      struct check_answer *out, const char **why) {
    const bool unsat = claims_unsat(checker_block(str_from(k->solution)));
    struct str text = str_trim(said);
    const ptrdiff_t at = str_find_last(text, STR("\n"));
    const struct str last = at < 0 ? text : str_trim((struct str){text.ptr + at, text.len - (size_t)at});
    UNUSED(s);
    *why = "z3 was ended by a signal (memory=N gives it more)";
    if (!WIFEXITED(status)) return false;
    if (str_find(text, STR("(error")) >= 0 || !(is_token(last, "sat") || is_token(last, "unsat"))) {
        out->verdict = unsat || is_token(last, "unknown") ? VERIFIER_UNKNOWN : VERIFIER_REJECTED;
        buf_printf(&out->feedback, "z3 says: %.*s", (int)MIN(text.len, 1000), text.ptr);
        return true;
    }
    out->verdict = is_token(last, unsat ? "unsat" : "sat") ? VERIFIER_PASSED : VERIFIER_REJECTED;
    if (out->verdict == VERIFIER_REJECTED)
        buf_printf(&out->feedback, "%s",
                   unsat ? "There is a model: it is satisfiable."
                         : "These values are no model of the problem: an assertion does not hold.");
    return true;
}

const struct checker_ops checker_smt = {
    .name = "smt", .errors_too = true, .files = smt_files, .judge = smt_judge};

struct verifier *verifier_open_smt(const struct settings *s, const struct verifier_options *o,
                                   struct err *e) {
    struct settings mine = *s;
    mine.rest = NULL;
    if (!s->rest) return checker_open(&checker_smt, &mine, o, "z3 -smt2 problem.smt2", e);
    err_set(e, ERR_INPUT, "verifier smt: it takes no command: leave ':%.60s' out", s->rest);
    return NULL;
}
