/* thought.c - see thought.h. */
#include "policy/thought.h"

struct thought thought_of(const struct thought_marks *m, const int *ids, size_t n, size_t begin) {
    struct thought t = {.is_open = m->close >= 0 && m->open < 0, .closed_at = n};
    for (size_t i = 0; i < n && m->close >= 0; i++) {
        if (ids[i] == m->open) t.is_open = true;
        if (ids[i] != m->close) continue;
        t.is_open = false;
        if (i >= begin) t.closed_at = i;
    }
    return t;
}

struct str thought_ending(int n_line_breaks) {
    return n_line_breaks > 0 ? STR(THOUGHT_CLOSE) : STR("\n" THOUGHT_CLOSE);
}
