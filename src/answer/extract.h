/* extract.h - finds the final answer in the text of a solution.
 *
 * The rules are tried in this order; the first that fires wins, and says so:
 *
 *     BOXED    the last \boxed{...} (\fbox, \framebox, "\boxed 5"); an unclosed brace does not count
 *     HASHES   the text after the last "####" up to the end of its line (GSM8K)
 *     PHRASE   what follows the last "answer is", "answer:", "A:" at a line start, up to the end of the
 * sentence MATH     the last $...$, \(...\) or \[...\]         only with ANSWER_TRY_MATH NUMBER   the last
 * number that stands alone, when it stands behind the last mathematics      only with ANSWER_TRY_NUMBER
 *     CHOICE   the letter A to E of a choice              only with ANSWER_TRY_CHOICE
 *
 * Of a whole sentence behind a phrase ("Final answer: the volume is 120") the value is taken where one is
 * found. Boxes that follow each other with nothing but separators between them ("\boxed{1} and \boxed{2}")
 * are one answer: the slice then reaches from the first \boxed to the last closing brace, and answer_parse
 * reads it as a list.
 *
 * The result is a slice of the text. One pass per rule, linear in the text, no recursion, no allocation. Safe
 * on any thread. Where we differ from Qwen2.5-Math's extract_answer: "boxed" without a backslash is prose, an
 * unclosed brace is not an answer (the text was cut off), nothing is deleted inside the answer, and the last
 * number is a guess that the caller has to ask for.
 */
#ifndef BROOD_ANSWER_EXTRACT_H
#define BROOD_ANSWER_EXTRACT_H

#include "base/str.h"

enum answer_source {
    ANSWER_FROM_NOTHING = 0,
    ANSWER_FROM_BOXED,
    ANSWER_FROM_HASHES,
    ANSWER_FROM_PHRASE,
    ANSWER_FROM_MATH,
    ANSWER_FROM_NUMBER,
    ANSWER_FROM_CHOICE,
};

#define ANSWER_TRY_MATH   1u /* fall back to the last mathematics */
#define ANSWER_TRY_NUMBER 2u /* or to the last number: a declared last resort */
#define ANSWER_TRY_CHOICE 4u /* then to the letter of a choice */

/* True when a rule fired; then *out is a non-empty trimmed slice of text and *how names the rule (how may be
 * NULL). */
bool answer_extract(struct str text, unsigned flags, struct str *out, enum answer_source *how);

/* "boxed", "hashes", "phrase", "math", "number", "choice", "nothing". */
const char *answer_source_name(enum answer_source how);

#endif
