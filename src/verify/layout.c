/* layout.c - see layout.h. */
#include "verify/layout.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"

enum { MEMORY_OF_PYTHON = 64 << 20 };

__asm__(".section .rodata\n"
        "brood_evalplus_begin: .incbin \"src/verify/evalplus.py\"\n"
        "brood_evalplus_end: .byte 0\n"
        ".previous\n");
extern const char evalplus_begin[] __asm__("brood_evalplus_begin"), evalplus_end[] __asm__(
                                                                        "brood_evalplus_end");

struct str layout_evalplus_script(void) {
    return (struct str){evalplus_begin, (size_t)(evalplus_end - evalplus_begin)};
}

void layout_free(struct humaneval_problem *p) {
    char *const owned[] = {p->task_id, p->prompt,    p->entry_point, p->test,
                           p->setup,   p->reference, p->unfit,       p->trouble};
    for (size_t i = 0; i < ARRAY_LEN(owned); i++) free(owned[i]);
    for (size_t i = 0; i < p->n_io; i++) {
        free((char *)p->io[i].input.ptr);
        free((char *)p->io[i].output.ptr);
    }
    free(p->io);
    *p = (struct humaneval_problem){0};
}

static char *join(const char *a, const char *b, const char *c) {
    struct buf text = {0};
    buf_printf(&text, "%s%s%s", a, b, c);
    return buf_take(&text);
}

static bool is_word(char c) {
    return isalnum((unsigned char)c) || c == '_';
}

/* ---- HumanEval and EvalPlus ---- */

static bool take_function(const json_t *o, struct humaneval_problem *p, const char *where, struct err *e) {
    const char *prompt, *entry_point, *test, *canonical;
    if (!json_want_string(o, "prompt", &prompt, where, e) ||
        !json_want_string(o, "entry_point", &entry_point, where, e) ||
        !json_want_string(o, "test", &test, where, e) ||
        !json_get_string(o, "canonical_solution", NULL, &canonical, where, e))
        return false;
    p->prompt = mem_strdup(prompt);
    p->setup = mem_strdup(prompt);
    p->entry_point = mem_strdup(entry_point);
    p->test = mem_strdup(test);
    if (canonical) p->reference = join(prompt, canonical, "\n");
    return true;
}

static void add_literal(struct buf *out, const char *name, struct str value) {
    json_t *text = json_text(value);
    char *literal = json_dumps(text, JSON_ENCODE_ANY | JSON_ENSURE_ASCII); /* a literal of Python's, too */
    ASSERT(literal);
    buf_printf(out, "%s = %s\n", name, literal);
    free(literal);
    json_decref(text);
}

static bool take_evalplus(const json_t *o, struct str base, struct str plus, struct humaneval_problem *p,
                          const char *where, struct err *e) {
    const char *prompt, *entry_point, *canonical;
    double atol;
    if (!json_want_string(o, "prompt", &prompt, where, e) ||
        !json_want_string(o, "entry_point", &entry_point, where, e) ||
        !json_want_string(o, "canonical_solution", &canonical, where, e) ||
        !json_get_real(o, "atol", 0, &atol, where, e))
        return false;
    struct buf inputs = {0}, test = {0}, setup = {0};
    const struct str parts[] = {base, plus};
    for (int i = 0; i < 2; i++) {
        const struct str inside =
            parts[i].len > 2 ? str_trim((struct str){parts[i].ptr + 1, parts[i].len - 2}) : (struct str){0};
        if (!inside.len) continue;
        buf_add_str(&inputs, inputs.len ? STR(", ") : STR("["));
        buf_add_str(&inputs, inside);
    }
    buf_add_str(&inputs, inputs.len ? STR("]") : STR("[]"));
    add_literal(&test, "INPUTS", buf_str(&inputs));
    add_literal(&test, "TASK", str_from(p->task_id));
    add_literal(&test, "NAME", str_from(entry_point));
    buf_printf(&test, "TOLERANCE = %.17g\n", atol);
    buf_add_str(&test, layout_evalplus_script());
    buf_printf(&setup, "%s%s\nreference = %s\n", prompt, canonical, entry_point);
    p->prompt = mem_strdup(prompt);
    p->entry_point = mem_strdup(entry_point);
    p->setup = buf_take(&setup);
    p->test = buf_take(&test);
    p->reference = join(prompt, canonical, "\n");
    p->hidden = true;
    buf_free(&inputs);
    return true;
}

/* ---- MBPP ---- */

/* True if `name` is called in `text`. */
static bool is_called(const char *text, struct str name) {
    for (const char *at = text; (at = memmem(at, strlen(at), name.ptr, name.len)); at++) {
        if ((at == text || (!is_word(at[-1]) && at[-1] != '.')) && at[name.len] == '(') return true;
    }
    return false;
}

/* The function that the first test calls: one that the code defines, else the first that is no built-in. */
static char *find_entry_point(const char *code, const char *test) {
    static const char *const usual[] = {"set",  "sorted", "list", "tuple", "round", "abs", "len",   "isclose",
                                        "not",  "str",    "int",  "float", "dict",  "all", "any",   "sum",
                                        "bool", "max",    "min",  "and",   "or",    "in",  "assert"};
    for (const char *at = code; at && *at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL) {
        if (strncmp(at, "def ", 4) != 0) continue;
        const struct str name = {
            at + 4, strspn(at + 4, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789")};
        if (name.len && is_called(test, name)) return str_dup(name);
    }
    for (const char *at = test; *at;) {
        size_t n = 0;
        while (is_word(at[n])) n++;
        if (n && at[n] == '(' && !isdigit((unsigned char)at[0])) {
            const struct str name = {at, n};
            bool is_usual = false;
            for (size_t i = 0; i < ARRAY_LEN(usual); i++) is_usual |= str_equal(name, str_from(usual[i]));
            if (!is_usual) return str_dup(name);
        }
        at += n ? n : 1;
    }
    return NULL;
}

static int compare_lengths(const void *a, const void *b) {
    const char *x = *(char *const *)a, *y = *(char *const *)b;
    const size_t m = strlen(x), n = strlen(y);
    return m < n ? -1 : m > n ? 1 : strcmp(x, y);
}

static bool take_mbpp(const json_t *o, struct humaneval_problem *p, const char *where, struct err *e) {
    const char *code, *setup_code;
    const json_t *tests = json_object_get(o, "test_list"), *imports = json_object_get(o, "test_imports"),
                 *line;
    size_t i;
    if (!json_get_string(o, "code", NULL, &code, where, e) ||
        !json_get_string(o, "test_setup_code", "", &setup_code, where, e))
        return false;
    const size_t n = json_array_size(tests);
    struct buf test = {0}, setup = {0};
    const char **lines = mem_zalloc(n + 1, sizeof *lines);
    bool ok = n > 0;
    json_array_foreach(tests, i, line) {
        ok = ok && (lines[i] = json_string_value(line));
    }
    if (ok) p->entry_point = find_entry_point(code, lines[0]);
    if (ok) qsort(lines, n, sizeof *lines, compare_lengths);
    for (i = 0; ok && i < n; i++) buf_printf(&test, "%s\n", lines[i]);
    json_array_foreach(imports, i, line) {
        if (json_is_string(line)) buf_printf(&setup, "%s\n", json_string_value(line));
    }
    buf_printf(&setup, "%s\n", setup_code);
    p->prompt = mem_strdup("");
    p->setup = buf_take(&setup);
    p->test = test.len ? buf_take(&test) : mem_strdup("");
    if (code) p->reference = join(code, "\n", "");
    free(lines);
    buf_free(&test);
    if (!ok) return err_set(e, ERR_INPUT, "%s: \"test_list\" needs to be a list of asserts", where);
    if (!p->entry_point)
        return err_set(e, ERR_INPUT, "%s: cannot tell which function the first test calls", where);
    return true;
}

/* ---- CodeContests ---- */

static bool add_io(struct humaneval_problem *p, size_t *cap, const json_t *input, const json_t *output,
                   bool hidden) {
    if (!json_is_string(input) || !json_is_string(output)) return false;
    MEM_GROW(p->io, *cap, p->n_io + 1);
    struct verify_io *io = &p->io[p->n_io++];
    const struct str in = {json_string_value(input), json_string_length(input)};
    const struct str out = {json_string_value(output), json_string_length(output)};
    io->input = (struct str){str_dup(in), in.len};
    io->output = (struct str){str_dup(out), out.len};
    io->hidden = hidden;
    return true;
}

/* {"input": [...], "output": [...]}, or a list of {"input", "output"}. */
static bool take_tests(const json_t *tests, bool hidden, struct humaneval_problem *p, size_t *cap) {
    const json_t *inputs = json_object_get(tests, "input"), *outputs = json_object_get(tests, "output"),
                 *test;
    size_t i;
    bool ok = !tests || json_is_null(tests) || json_is_array(tests) ||
              (json_is_object(tests) && json_array_size(inputs) == json_array_size(outputs));
    json_array_foreach(tests, i, test) {
        ok = ok && add_io(p, cap, json_object_get(test, "input"), json_object_get(test, "output"), hidden);
    }
    for (i = 0; ok && json_is_object(tests) && i < json_array_size(inputs); i++)
        ok = add_io(p, cap, json_array_get(inputs, i), json_array_get(outputs, i), hidden);
    return ok;
}

/* CodeContests' numbers and names of the languages that references are run in. */
static const struct {
    int number;
    const char *name;
} contest_languages[] = {{3, "PYTHON3"}, {2, "CPP"}};

static bool is_language(const json_t *value, int i) {
    const char *text = json_string_value(value);
    return json_is_integer(value) ? json_integer_value(value) == contest_languages[i].number
                                  : text && strcmp(text, contest_languages[i].name) == 0;
}

/* The first solution in the language; NULL if there is none. */
static const char *find_solution(const json_t *solutions, int i_language) {
    const json_t *languages = json_object_get(solutions, "language"),
                 *texts = json_object_get(solutions, "solution");
    const json_t *one;
    size_t i;
    json_array_foreach(solutions, i, one) {
        if (is_language(json_object_get(one, "language"), i_language))
            return json_string_value(json_object_get(one, "solution"));
    }
    json_array_foreach(languages, i, one) {
        if (is_language(one, i_language)) return json_string_value(json_array_get(texts, i));
    }
    return NULL;
}

/* A reference is run in the language that it is written in, whatever samples are: in theirs if there is one.
 */
static void take_reference(const json_t *solutions, const struct verify_language *language,
                           struct humaneval_problem *p) {
    const bool cpp = language && str_ends(str_from(language->source), STR(".cc"));
    for (int i = 0; i < 2 && !p->reference; i++) {
        p->reference_is_cpp = (i == 0) == cpp;
        const char *solution = find_solution(solutions, p->reference_is_cpp);
        if (solution) p->reference = mem_strdup(solution);
    }
}

static bool take_contest(const json_t *o, const struct verify_language *language, struct humaneval_problem *p,
                         const char *where, struct err *e) {
    static const char *const kinds[] = {"public_tests", "private_tests", "generated_tests"};
    const json_t *limit = json_object_get(o, "time_limit");
    const char *reads, *writes;
    size_t cap = 0;
    int64_t memory;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (!take_tests(json_object_get(o, kinds[i]), i > 0, p, &cap)) /* public ones alone are seen */
            return err_set(e, ERR_INPUT,
                           "%s: \"%s\" needs \"input\" and \"output\": lists of texts, as many of each",
                           where, kinds[i]);
    }
    if (p->n_io == 0) return err_set(e, ERR_INPUT, "%s: the problem has no tests", where);
    if (!json_get_string(o, "input_file", "", &reads, where, e) ||
        !json_get_string(o, "output_file", "", &writes, where, e) ||
        !json_get_int(o, "memory_limit_bytes", 0, 0, (int64_t)1 << 40, &memory, where, e))
        return false;
    if (reads[0] || writes[0])
        p->unfit = join("its programs use files of their own: ", reads, writes[0] && !reads[0] ? writes : "");
    const json_t *nanos = json_object_get(limit, "nanos");
    if (json_is_object(limit))
        p->cpu_seconds =
            json_number_value(json_object_get(limit, "seconds")) + 1e-9 * json_number_value(nanos);
    if (!(p->cpu_seconds >= 0 && p->cpu_seconds < 3600)) p->cpu_seconds = 0;
    p->memory_bytes = memory ? (size_t)memory + MEMORY_OF_PYTHON : 0;
    take_reference(json_object_get(o, "solutions"), language, p);
    p->prompt = mem_strdup("");
    p->setup = mem_strdup("");
    p->entry_point = mem_strdup("");
    p->test = mem_strdup("");
    return true;
}

/* ---- a line ---- */

static bool take_id(const json_t *o, const char *key, struct humaneval_problem *p, const char *where,
                    struct err *e) {
    const json_t *id = json_object_get(o, key);
    char text[32];
    snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT, json_integer_value(id));
    if (json_is_integer(id))
        p->task_id = mem_strdup(text);
    else if (json_is_string(id))
        p->task_id = mem_strdup(json_string_value(id));
    return p->task_id || err_set(e, ERR_INPUT, "%s: needs \"%s\", a text or a number", where, key);
}

bool layout_read(struct str line, const struct verify_language *language, struct humaneval_problem *p,
                 const char *where, struct err *e) {
    const struct str base = json_list_text(line, "base_input"), plus = json_list_text(line, "plus_input");
    *p = (struct humaneval_problem){0};
    json_t *o = json_parse_without(line, base, plus, where, e);
    if (!o) return false;
    const bool contest = json_object_get(o, "public_tests") || json_object_get(o, "private_tests");
    bool ok = take_id(o, contest ? "name" : "task_id", p, where, e);
    if (ok && !contest && language)
        ok = err_set(e, ERR_INPUT, "%s: its tests call a function: they are for Python alone", where);
    if (ok && contest)
        ok = take_contest(o, language, p, where, e);
    else if (ok && (base.len || plus.len))
        ok = take_evalplus(o, base, plus, p, where, e);
    else if (ok && json_object_get(o, "test_list"))
        ok = take_mbpp(o, p, where, e);
    else if (ok)
        ok = take_function(o, p, where, e);
    json_decref(o);
    return ok;
}
