/* answer.h - mathematical answers: parsed once, compared many times, exactly, with an honest third outcome.
 *
 *     text --lex, parse--> expression tree --decide--> EQUAL | DIFFERENT | CANNOT_TELL
 *
 * LaTeX and plain notation are read: numbers (fractions, mixed, decimals, repeating, percent, bases),
 * radicals, pi, e, i, elementary functions, polynomials and other expressions in symbols, lists, tuples,
 * sets, intervals and their unions, matrices, equations, inequalities, ratios, units, currencies, choices and
 * words. docs/equality.md has the rules and what they were measured against.
 *
 * EQUAL and DIFFERENT are said only when decided: rationals by FLINT, other constants by Arb balls
 * (different) and Calcium (equal), rational functions by canonical forms, other expressions in symbols by
 * balls at fixed random points: one point where the balls are apart proves DIFFERENT; agreement everywhere,
 * confirmed to 700 bits, counts as EQUAL (the one rule that is not a proof). Everything else is CANNOT_TELL.
 *
 * Work is bounded by counts (bytes, tokens, depth, bits, terms, precision), never by a clock: no signals, no
 * alarms; the same pair gives the same verdict on every machine. Over a bound the answer is unparsable, or
 * the verdict CANNOT_TELL.
 *
 * Threads: an answer never changes after answer_parse, so any number of threads may compare it. FLINT caches
 * memory per thread: a thread that used this room calls answer_thread_end before it ends (otherwise the cache
 * is lost, nothing worse). Its answers outlive it; another thread may free them.
 */
#ifndef BROOD_ANSWER_ANSWER_H
#define BROOD_ANSWER_ANSWER_H

#include "base/str.h"

enum answer_verdict {
    ANSWER_EQUAL = 0, /* the exit statuses of `brood equal` are 0, 1 and 4 */
    ANSWER_DIFFERENT = 1,
    ANSWER_CANNOT_TELL = 4,
};

enum answer_rules {
    ANSWER_STRICT = 0, /* semantic and exact */
    /* The same with the benefit of the doubt, for grading against a key: what one side leaves out (the names
     * in "x = 1, y = 2", a percent sign, the order of a pair beside a set, repetition) does not count. Not
     * transitive. */
    ANSWER_GENEROUS,
    /* The rules of Qwen2.5-Math's grader, for reproducing published numbers: a, a/100 and 100 a are one, 1e-4
     * relative, units and much else deleted. */
    ANSWER_QWEN,
};

struct answer_options {
    enum answer_rules rules;
    int n_decimals; /* 0: exact. n > 0 (at most 100): where a decimal takes part, equal when both round to the
                       same n decimals (grading only) */
    bool comma_decimal; /* "2,74" is 2.74, not the list 2 and 74 */
};

struct answer;

/* Never NULL, whatever the text; options may be NULL (strict). The text is copied. Free with answer_free. */
struct answer *answer_parse(struct str text, const struct answer_options *options);
void answer_free(struct answer *a);

/* No mathematical reading was found (or it was over a bound). Such an answer equals only its own text; it
 * should not win a vote. */
bool answer_is_unparsable(const struct answer *a);

/* The answer is words, not mathematics: "ellipse", "no solution". */
bool answer_is_words(const struct answer *a);

/* The text as given, borrowed until answer_free. */
struct str answer_text(const struct answer *a);

/* Symmetric and reflexive. Both answers must have been parsed with the same options. Under ANSWER_QWEN `a` is
 * the reference and `b` the prediction, since those rules are not symmetric. EQUAL is transitive under strict
 * rules but for what is left out: 5 cm = 5 = 5 m. */
enum answer_verdict answer_equal(const struct answer *a, const struct answer *b);

/* A hash with: answer_equal(a, b) == ANSWER_EQUAL implies equal keys, so that classes of N answers are found
 * by comparing within buckets. Exceptions, all documented in docs/equality.md: unit conversion (5 m = 500
 * cm), degrees beside radians, ANSWER_GENEROUS, ANSWER_QWEN, n_decimals > 0. */
uint64_t answer_key(const struct answer *a);

/* Gives back the memory that the mathematics libraries cached for the calling thread. */
void answer_thread_end(void);

#define ANSWER_BYTES_MAX 8192 /* a longer text is unparsable */

#endif
