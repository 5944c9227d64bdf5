/* lean.c - the verifier `lean`: proofs of Lean 4, by the community's REPL (leanprover-community/repl), which
 * the command starts: lean:'lake env /path/to/repl' in a project's folder.
 *
 * The problem's line, as the published miniF2F files have it:
 *
 *     formal_statement   (or statement) "theorem t (n : Nat) : n + 0 = n := by sorry"; what follows the last
 *                        := is replaced
 *
 *     header             may be missing: imports, open, set_option
 *
 * The solution, or its last block of code, is the proof behind := by, or the whole theorem again, of which
 * the proof alone is taken.
 *
 * Messages are JSON objects with a blank line behind each. For a solution, in a process that has read the
 * header once (environment 0):
 *
 *     1  namespace BroodGoal  STATEMENT := by sorry  end BroodGoal
 *
 *                        what was asked, before the solution is read
 *
 *     2  STATEMENT := by PROOF
 *
 *                        no error, no sorry
 *
 *     3  example : type_of% @BroodGoal.t := @t   #print axioms t
 *
 *                        the same type; propext, Classical.choice, Quot.sound and no other axiom
 *
 * A proof with a line that begins another command (theorem, axiom, macro, set_option, ...), or that has
 * anywhere a word that runs programs inside Lean or changes its syntax (run_tac, elab, macro, #eval, ...), is
 * refused before anything runs. The REPL never frees environments: it is started anew after `runs` solutions
 * (default 100).
 */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "verify/checker.h"

enum { RUNS_DEFAULT = 100 };

static const char *const commands[] = {"theorem",
                                       "lemma",
                                       "axiom",
                                       "opaque",
                                       "def",
                                       "abbrev",
                                       "instance",
                                       "macro",
                                       "macro_rules",
                                       "syntax",
                                       "notation",
                                       "infix",
                                       "infixl",
                                       "infixr",
                                       "prefix",
                                       "postfix",
                                       "elab",
                                       "elab_rules",
                                       "declare_syntax_cat",
                                       "initialize",
                                       "namespace",
                                       "section",
                                       "end",
                                       "import",
                                       "open",
                                       "set_option",
                                       "attribute",
                                       "run_cmd",
                                       "structure",
                                       "inductive",
                                       "class",
                                       "variable",
                                       "universe",
                                       "example",
                                       "unsafe",
                                       "partial",
                                       "private",
                                       "noncomputable",
                                       "local",
                                       "scoped"};

/* Wherever they stand: they run programs of the proof's own while Lean reads it, or change what Lean reads. A
 * command needs no line of its own. */
static const char *const reaching[] = {"run_tac",
                                       "run_cmd",
                                       "run_elab",
                                       "run_meta",
                                       "by_elab",
                                       "elab",
                                       "elab_rules",
                                       "macro",
                                       "macro_rules",
                                       "syntax",
                                       "notation",
                                       "notation3",
                                       "infix",
                                       "infixl",
                                       "infixr",
                                       "prefix",
                                       "postfix",
                                       "axiom",
                                       "unsafe",
                                       "extern",
                                       "implemented_by",
                                       "initialize",
                                       "builtin_initialize",
                                       "declare_syntax_cat",
                                       "simproc",
                                       "dsimproc",
                                       "set_option",
                                       "attribute",
                                       "#eval",
                                       "#eval!",
                                       "#print",
                                       "#guard_msgs",
                                       "@["};

/* ---- a problem and a solution ---- */

struct theorem {
    char *header, *statement, *name; /* statement without its := */
};

static void theorem_fini(struct theorem *t) {
    free(t->header);
    free(t->statement);
    free(t->name);
}

/* The word behind "theorem". */
static char *name_of(struct str statement) {
    const ptrdiff_t at = str_find(statement, STR("theorem "));
    if (at < 0) return mem_strdup("");
    struct str rest = {statement.ptr + at + 8, statement.len - (size_t)at - 8};
    rest = str_trim(rest);
    size_t n = 0;
    while (n < rest.len && (isalnum((unsigned char)rest.ptr[n]) || strchr("_.'", rest.ptr[n]))) n++;
    return str_dup((struct str){rest.ptr, n});
}

static void read_theorem(const struct check *k, struct theorem *t) {
    char *formal = checker_field(k, "formal_statement");
    if (!formal[0]) {
        free(formal);
        formal = checker_field(k, "statement");
    }
    struct str s = str_trim(str_from(formal));
    const ptrdiff_t at = str_find_last(s, STR(":="));
    if (at >= 0) s.len = (size_t)at;
    t->header = checker_field(k, "header");
    t->statement = str_dup(str_trim(s));
    t->name = name_of(s);
    free(formal);
}

/* Without the blank lines before it and the white space behind: how far the first line stands in counts. */
static struct str without_blank_lines(struct str text) {
    const struct str trimmed = str_trim(text);
    size_t begin = trimmed.len > 0 ? (size_t)(trimmed.ptr - text.ptr) : text.len;
    const size_t end = begin + trimmed.len;
    while (begin > 0 && text.ptr[begin - 1] != '\n') begin--;
    return (struct str){text.ptr + begin, end - begin};
}

/* The proof behind the statement's ":= by" where the solution repeats it, else all of it. */
static struct str proof_of(struct str text, const char *name) {
    struct buf head = {0};
    buf_printf(&head, "theorem %s", name);
    const ptrdiff_t at = str_find(text, buf_str(&head));
    buf_free(&head);
    struct str rest = at < 0 ? text : (struct str){text.ptr + at, text.len - (size_t)at};
    const ptrdiff_t by = at < 0 ? -1 : str_find(rest, STR(":= by"));
    const struct str trimmed = str_trim(rest);
    if (by >= 0)
        rest = (struct str){rest.ptr + by + 5, rest.len - (size_t)by - 5};
    else if (trimmed.len > 2 && str_starts(trimmed, STR("by")) && isspace((unsigned char)trimmed.ptr[2]))
        rest = (struct str){trimmed.ptr + 2, trimmed.len - 2};
    return without_blank_lines(rest);
}

static bool is_word_char(char c) {
    return isalnum((unsigned char)c) || strchr("_.'", c);
}

/* The command that a line of the proof begins with, or an attribute or #command; NULL if none does. */
static const char *find_command(struct str proof) {
    for (size_t at = 0; at < proof.len;) {
        const char *end = memchr(proof.ptr + at, '\n', proof.len - at);
        const size_t next = end ? (size_t)(end - proof.ptr) + 1 : proof.len;
        const struct str line = str_trim((struct str){proof.ptr + at, next - at});
        size_t n = 0;
        while (n < line.len && is_word_char(line.ptr[n])) n++;
        if (line.len > 0 && line.ptr[0] == '#') return "#";
        if (str_starts(line, STR("@["))) return "@[";
        for (size_t i = 0; i < ARRAY_LEN(commands); i++)
            if (str_equal((struct str){line.ptr, n}, str_from(commands[i]))) return commands[i];
        at = next;
    }
    return NULL;
}

/* A copy without comments, which may say anything. Where a quote might hide the beginning of one, all of it.
 * Owned. */
static char *without_comments(struct str proof) {
    struct buf out = {0};
    const bool plain = str_find(proof, STR("\"")) < 0 && str_find(proof, STR("\xc2\xab")) < 0;
    int depth = 0;
    for (size_t at = 0; at < proof.len; at++) {
        const struct str rest = {proof.ptr + at, proof.len - at};
        const bool opens = plain && str_starts(rest, STR("/-")),
                   closes = depth > 0 && str_starts(rest, STR("-/"));
        depth += opens - closes;
        if (plain && depth == 0 && str_starts(rest, STR("--"))) {
            const ptrdiff_t n = str_find(rest, STR("\n"));
            at = n < 0 ? proof.len : at + (size_t)n - 1;
            buf_add_char(&out, ' ');
        } else if (opens || closes) {
            at++;
            buf_add_char(&out, ' ');
        } else if (depth == 0) {
            buf_add_char(&out, proof.ptr[at]);
        }
    }
    buf_add(&out, "", 0);
    return buf_take(&out);
}

/* A word of the proof that no proof needs and that could make Lean say anything; NULL if it has none. */
static const char *find_reaching(struct str proof) {
    char *text = without_comments(proof);
    const char *found = NULL;
    for (size_t i = 0; i < ARRAY_LEN(reaching) && !found; i++) {
        const size_t n = strlen(reaching[i]);
        for (const char *at = text; (at = strstr(at, reaching[i])) && !found; at += n) {
            const bool begins = at == text || !is_word_char(at[-1]) || !is_word_char(at[0]);
            if (begins && !(at[n] && is_word_char(at[n]) && is_word_char(at[n - 1]))) found = reaching[i];
        }
    }
    free(text);
    return found;
}

/* Two spaces before each line that has less: a proof that begins at the margin is one all the same. */
static void add_proof(struct buf *out, struct str proof) {
    bool flush = false;
    for (size_t at = 0; at < proof.len; at++)
        flush |= (at == 0 || proof.ptr[at - 1] == '\n') && !isspace((unsigned char)proof.ptr[at]);
    for (size_t at = 0; at < proof.len; at++) {
        if (flush && (at == 0 || proof.ptr[at - 1] == '\n')) buf_add_str(out, STR("  "));
        buf_add_char(out, proof.ptr[at]);
    }
}

/* ---- messages ---- */

static size_t lean_message(struct str said) {
    size_t skipped = 0; /* blank lines before it */
    while (skipped < said.len && isspace((unsigned char)said.ptr[skipped])) skipped++;
    const struct str rest = {said.ptr + skipped, said.len - skipped};
    const ptrdiff_t end = str_find(rest, STR("\n\n"));
    return end < 0 ? 0 : skipped + (size_t)end + 2;
}

static void add_command(struct buf *out, const char *text, int64_t environment) {
    json_t *o = json_pack("{s:o}", "cmd", json_text(str_from(text)));
    if (environment >= 0) json_object_set_new(o, "env", json_integer(environment));
    char *line = json_line(o);
    buf_printf(out, "%s\n\n", line);
    free(line);
    json_decref(o);
}

/* Stages: 0 the header is to be sent, 1 the goal, 2 the proof, 3 the check. The environment that the last
 * answer made is kept beside it. */
static bool lean_ask(const struct settings *s, struct check *k, struct buf *send, struct check_answer *out) {
    struct theorem t;
    struct buf text = {0};
    UNUSED(s);
    read_theorem(k, &t);
    const struct str proof = proof_of(checker_block(str_from(k->solution)), t.name);
    const char *command = find_command(proof), *word = find_reaching(proof);
    const uint64_t header = rng_hash(0, t.header, strlen(t.header));
    if (k->stage == 0 && k->memo->is_set && k->memo->key == header) { /* this process has read it */
        k->environment = k->memo->value;
        k->stage = 1;
    }
    bool ok = t.name[0] && !command && !word;
    out->verdict = VERIFIER_REJECTED;
    if (!t.name[0]) {
        out->verdict = VERIFIER_UNKNOWN;
        buf_printf(&out->feedback, "the problem has no \"formal_statement\" with a theorem in it");
    } else if (command) {
        buf_printf(&out->feedback, "A line of the proof begins with %s: only the proof is wanted.", command);
    } else if (word) {
        buf_printf(&out->feedback, "A proof may not use %s.", word);
    } else if (k->stage == 0) {
        k->memo->key = header;
        add_command(send, t.header[0] ? t.header : "-- no header", -1);
    } else if (k->stage == 1) {
        buf_printf(&text, "namespace BroodGoal\n%s := by sorry\nend BroodGoal", t.statement);
        add_command(send, buf_cstr(&text), k->environment);
    } else if (k->stage == 2) {
        buf_printf(&text, "%s := by\n", t.statement);
        add_proof(&text, proof);
        add_command(send, buf_cstr(&text), k->environment);
    } else {
        buf_printf(&text, "example : type_of%% @BroodGoal.%s := @%s\n#print axioms %s", t.name, t.name,
                   t.name);
        add_command(send, buf_cstr(&text), k->environment);
    }
    buf_free(&text);
    theorem_fini(&t);
    return ok;
}

static struct check *lean_of(struct check *const *under_way, int n, const json_t *m) {
    UNUSED(m);
    return n > 0 ? under_way[0] : NULL;
}

/* The first message of that severity; NULL if there is none. */
static const char *first_of(const json_t *m, const char *severity) {
    const json_t *list = json_object_get(m, "messages"), *x;
    size_t i;
    json_array_foreach(list, i, x) {
        const char *is = json_string_value(json_object_get(x, "severity"));
        const char *data = json_string_value(json_object_get(x, "data"));
        if (is && strcmp(is, severity) == 0) return data ? data : "";
    }
    return NULL;
}

static bool says(const json_t *m, const char *part) {
    const json_t *list = json_object_get(m, "messages"), *x;
    size_t i;
    json_array_foreach(list, i, x) {
        const char *data = json_string_value(json_object_get(x, "data"));
        if (data && strstr(data, part)) return true;
    }
    return false;
}

static const char no_axioms[] = " does not depend on any axioms", some_axioms[] = " depends on axioms: [";

/* What "'t' depends on axioms: [propext, x]" names beside the three; "" if nothing. */
static bool check_axioms(const char *data, const char *name, struct check_answer *out) {
    static const char *const allowed[] = {"propext", "Classical.choice", "Quot.sound"};
    struct buf head = {0};
    buf_printf(&head, "'%s'", name);
    const bool names_it = strncmp(data, buf_cstr(&head), head.len) == 0;
    const char *rest = names_it ? data + head.len : "";
    buf_free(&head);
    if (strncmp(rest, no_axioms, strlen(no_axioms)) == 0) return true;
    if (strncmp(rest, some_axioms, strlen(some_axioms)) != 0) {
        buf_printf(&out->feedback, "Lean did not say on which axioms the proof rests.");
        return false;
    }
    for (rest += strlen(some_axioms); *rest && *rest != ']';) {
        const size_t n = strcspn(rest, ",]");
        const struct str axiom = str_trim((struct str){rest, n});
        bool known = false;
        for (size_t i = 0; i < ARRAY_LEN(allowed); i++) known |= str_equal(axiom, str_from(allowed[i]));
        if (!known) {
            buf_printf(&out->feedback, "The proof rests on the axiom %.*s.", (int)axiom.len, axiom.ptr);
            return false;
        }
        rest += n + (rest[n] == ',');
    }
    return *rest == ']';
}

static int hear_check(const struct check *k, const json_t *m, struct check_answer *out) {
    const char *error = first_of(m, "error"), *info = first_of(m, "info");
    struct theorem t;
    read_theorem(k, &t);
    if (error)
        buf_printf(&out->feedback, "It does not prove the theorem that was asked: %s", error);
    else if (!info)
        buf_printf(&out->feedback, "Lean did not say on which axioms the proof rests.");
    else if (check_axioms(info, t.name, out))
        out->verdict = VERIFIER_PASSED;
    theorem_fini(&t);
    return 1;
}

static int lean_hear(const struct settings *s, struct check *k, const json_t *m, struct check_answer *out,
                     const char **why) {
    const char *error = first_of(m, "error");
    const json_t *env = json_object_get(m, "env");
    UNUSED(s);
    *why = "the REPL answered without an environment";
    out->verdict = VERIFIER_REJECTED;
    if (!json_is_integer(env)) {
        const char *message = json_string_value(json_object_get(m, "message"));
        if (!message) return -1;
        out->verdict = VERIFIER_UNKNOWN;
        buf_printf(&out->feedback, "the REPL says: %s", message);
        return 1;
    }
    if (k->stage == 3) return hear_check(k, m, out);
    if (error && k->stage < 2) {
        out->verdict = VERIFIER_UNKNOWN;
        buf_printf(&out->feedback, "the problem's own %s is wrong: %s",
                   k->stage == 0 ? "header" : "statement", error);
        return 1;
    }
    if (k->stage == 2 && error) {
        buf_printf(&out->feedback, "Lean does not accept it: %s", error);
        return 1;
    }
    if (k->stage == 2 &&
        (json_array_size(json_object_get(m, "sorries")) > 0 || says(m, "declaration uses 'sorry'"))) {
        buf_printf(&out->feedback, "The proof leaves something out (sorry).");
        return 1;
    }
    k->environment = json_integer_value(env);
    if (k->stage == 0) {
        k->memo->is_set = true;
        k->memo->value = k->environment;
    }
    k->stage++;
    return 0;
}

const struct checker_ops checker_lean = {
    .name = "lean",
    .stays = true,
    .message = lean_message,
    .ask = lean_ask,
    .of = lean_of,
    .hear = lean_hear,
};

struct verifier *verifier_open_lean(const struct settings *s, const struct verifier_options *o,
                                    struct err *e) {
    struct settings mine = *s;
    if (!s->rest || !s->rest[0]) {
        err_set(e, ERR_INPUT,
                "verifier lean: name what starts the REPL, as in lean,sandbox=off:'lake env /path/to/repl'");
        return NULL;
    }
    mine.batch = 1;
    if (mine.runs == 0) mine.runs = RUNS_DEFAULT;
    return checker_open(&checker_lean, &mine, o, s->rest, e);
}
