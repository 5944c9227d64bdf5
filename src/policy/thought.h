/* thought.h - models that think between marks, "<think>" and "</think>", before they answer (private to the
 * room).
 *
 *     prompt <think> 2+3 = 5 ... </think> The answer is 5. <end>
 *            ^ open              ^ closed_at
 *
 * Leads heed the marks: WAIT goes on with the thought, so its end and the answer behind it are taken back;
 * ANSWER ends a thought that is open with the mark before it asks. A model has marks if its tokenizer has the
 * second as one token; one that lacks the first thinks from the beginning of its answer.
 */
#ifndef BROOD_POLICY_THOUGHT_H
#define BROOD_POLICY_THOUGHT_H

#include "base/str.h"

#define THOUGHT_OPEN  "<think>"
#define THOUGHT_CLOSE "</think>"

struct thought_marks {
    int open, close; /* -1: there is no such token */
};

struct thought {
    bool is_open;
    size_t closed_at; /* the last closing mark of the answer; n: there is none */
};

/* ids [n] of prompt and answer, which begins at `begin`. A prompt may open the thought, and close it. */
struct thought thought_of(const struct thought_marks *m, const int *ids, size_t n, size_t begin);

/* What ends an open thought behind a text that ends with so many line breaks. */
struct str thought_ending(int n_line_breaks);

#endif
