/* language.c - languages that are declared by their commands. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "verify/verify.h"

static const struct {
    const char *name, *commands;
} languages[] = {
    {"c", "program.c /usr/bin/cc -std=gnu17 -O2 -o {program} {source} -lm ; {program}"},
    {"c++", "program.cc /usr/bin/c++ -O2 -o {program} {source} ; {program}"},
    {"perl", "program.pl /usr/bin/perl {source}"},
};

enum { WORDS_MAX = 40 };

static void free_words(char **words) {
    for (size_t i = 0; words && words[i]; i++) free(words[i]);
    free(words);
}

void verify_language_free(struct verify_language *l) {
    if (!l) return;
    free_words(l->compile);
    free_words(l->run);
    free(l);
}

static struct str next_word(struct str *text) {
    *text = str_trim(*text);
    size_t n = 0;
    while (n < text->len && text->ptr[n] != ' ') n++;
    const struct str word = {text->ptr, n};
    *text = (struct str){text->ptr + n, text->len - n};
    return word;
}

static bool take_command(struct str *text, char ***out) {
    char **words = *out = mem_zalloc(WORDS_MAX + 1, sizeof *words);
    int n = 0;
    for (struct str word; (word = next_word(text)).len > 0 && !str_equal(word, STR(";"));) {
        if (n == WORDS_MAX) return false;
        words[n++] = str_dup(word);
    }
    /* Links lead through /etc/alternatives, which the sandbox does not have. */
    char *real = n > 0 && words[0][0] == '/' ? realpath(words[0], NULL) : NULL;
    if (real) {
        free(words[0]);
        words[0] = real;
    }
    return n > 0 && (words[0][0] == '/' || strcmp(words[0], "{program}") == 0);
}

static bool mentions(char *const *words, const char *word) {
    for (size_t i = 0; words && words[i]; i++)
        if (strcmp(words[i], word) == 0) return true;
    return false;
}

/* Whether its commands can be run, and run the program. */
static bool check_commands(const struct verify_language *l, const char *text, struct err *e) {
    char *const *const first = l->compile ? l->compile : l->run;
    for (int i = 0; i < 2; i++) {
        const char *word = i == 0 ? first[0] : l->run[0];
        if (word[0] == '/' && access(word, X_OK) != 0)
            return err_set(e, ERR_INPUT,
                           "language '%.100s': %.100s: cannot be run: %s: install it, or give its path", text,
                           word, strerror(errno));
    }
    if (!mentions(first, "{source}") ||
        (l->compile && !mentions(l->run, "{program}") && !mentions(l->run, "{source}")))
        return err_set(
            e, ERR_INPUT,
            "language '%.100s': %s: {source} stands for the file with the program, {program} for what the "
            "first of two commands makes of it, each a word of its own",
            text,
            mentions(first, "{source}") ? "the command that runs does not name the program"
                                        : "no command reads the program");
    return true;
}

bool verify_language_parse(const char *text, struct verify_language **out, struct err *e) {
    *out = NULL;
    if (strcmp(text, "python") == 0) return true;
    for (size_t i = 0; i < ARRAY_LEN(languages); i++) {
        if (strcmp(text, languages[i].name) == 0) text = languages[i].commands;
    }
    struct verify_language *l = mem_zalloc(1, sizeof *l);
    struct str rest = str_from(text);
    const struct str source = next_word(&rest);
    bool ok = source.len > 0 && source.len < sizeof l->source && !memchr(source.ptr, '/', source.len) &&
              memchr(source.ptr, '.', source.len) && !str_equal(source, STR("program"));
    if (ok) memcpy(l->source, source.ptr, source.len);
    const bool compiles = memchr(rest.ptr, ';', rest.len) != NULL;
    ok = ok && (!compiles || take_command(&rest, &l->compile)) && take_command(&rest, &l->run) &&
         rest.len == 0;
    ok = ok && l->source[0] != '.';
    if (!ok) {
        err_set(
            e, ERR_INPUT,
            "language '%.100s': expected python, c, c++, perl, or a file name and commands with whole paths: "
            "\"program.rb /usr/bin/ruby {source}\" or \"program.c /usr/bin/cc -o {program} {source} ; "
            "{program}\"",
            text);
        verify_language_free(l);
        return false;
    }
    if (!check_commands(l, text, e)) {
        verify_language_free(l);
        return false;
    }
    *out = l;
    return true;
}
