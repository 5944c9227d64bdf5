/* qwen.h - the lenient rules of Qwen2.5-Math's grader, on normalised strings (private to the room).
 *
 * Follows evaluation/parser.py (strip_string) and evaluation/grader.py (math_equal) of QwenLM/Qwen2.5-Math,
 * with our strict decision in the place of sympy. docs/equality.md lists the deviations.
 */
#ifndef BROOD_ANSWER_QWEN_H
#define BROOD_ANSWER_QWEN_H

#include "answer/answer.h"

/* The normal form of a text, appended to *out: layout, units, percent signs, "x=" and much else removed. */
void qwen_normalise(struct str text, struct buf *out);

/* EQUAL by the rules; otherwise DIFFERENT where the strict decision says so, else CANNOT_TELL. Both are
 * normalised. */
enum answer_verdict qwen_equal(struct str reference, struct str prediction);

#endif
