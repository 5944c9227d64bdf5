/* lex.h - LaTeX and plain text into tokens (private to the room).
 *
 * Layout commands vanish here (\left, \displaystyle, $, thin spaces, \boxed, fonts); \text{...} becomes the
 * tokens of its content, marked LEX_IN_TEXT; Unicode mathematics becomes the token of its LaTeX twin. Numbers
 * keep their digits with separators taken out.
 */
#ifndef BROOD_ANSWER_LEX_H
#define BROOD_ANSWER_LEX_H

#include "answer/node.h"

enum lex_kind {
    LEX_END,
    LEX_NUM,   /* text: digits with at most one '.', possibly followed by 'e' and an exponent; "0.(3)" marks a
                  repeating part */
    LEX_SYM,   /* text: name of a symbol */
    LEX_WORD,  /* text: a word as written */
    LEX_FUNC,  /* op: enum func */
    LEX_CONST, /* op: enum node_kind of a constant */
    LEX_CHAR,  /* op: the character: + - * / ^ _ ( ) [ ] { } | , ; : ! ' & and '~' for \quad, 'N' newline of a
                  matrix */
    LEX_REL,   /* op: enum rel, '~' for an approximation, 'E' for \in, 'X' for \notin */
    LEX_SETOP, /* op: enum node_kind */
    LEX_BRACE, /* op: '{' or '}': a visible \{ or \} */
    LEX_PM,    /* op: '+' or '-' */
    LEX_PERCENT,
    LEX_DEGREE,
    LEX_CURRENCY, /* text: name */
    LEX_FRAC,
    LEX_BINOM,
    LEX_OVER,    /* op: '/' for \over, 'C' for \choose */
    LEX_BEGIN,   /* text: environment */
    LEX_FINISH,  /* \end; text: environment */
    LEX_FENCE,   /* op: '|' abs, 'f' floor, 'c' ceil; lower bit of flags: closing */
    LEX_NUMBERS, /* text: N Z Q R C */
    LEX_EMPTY,   /* the empty set */
    LEX_ACCENT,  /* text: bar, hat, vec ...: names the symbol that follows */
    LEX_AND,     /* "and" */
    LEX_OR,      /* "or" */
    LEX_MOD,
    LEX_BAD, /* no meaning here: the parse fails */
};

#define LEX_IN_TEXT 1u /* came out of \text{...} */
#define LEX_SPACE   2u /* white space before it */
#define LEX_CLOSING 4u
#define LEX_TIGHT   8u /* a number with a thousands separator that was a bare comma */

struct lex_token {
    uint8_t kind;
    uint8_t op;
    uint16_t flags;
    uint32_t at; /* offset in the source */
    struct str text;
};

#define LEX_TOKENS_MAX 3000

struct lex {
    struct str src;
    struct tree *tree; /* owns made-up texts */
    struct lex_token *tokens;
    size_t n_tokens, cap;
    bool comma_decimal;
    bool failed; /* over a bound */
};

/* Fills l->tokens (ends in LEX_END); free with lex_fini. */
void lex_run(struct lex *l, struct str src, struct tree *tree, bool comma_decimal);
void lex_fini(struct lex *l);

/* words.c: what a run of letters or a command means. */
struct word {
    const char *name;
    uint8_t kind; /* enum lex_kind */
    uint8_t op;
    const char *text;
};
const struct word *word_command(struct str name); /* "frac", "sin", "alpha" ...; NULL when unknown */
const struct word *word_plain(struct str run);    /* "sqrt", "pi", "and", "percent" ...; NULL when unknown */
const struct word *word_unicode(uint32_t scalar); /* NULL when unknown */

#endif
