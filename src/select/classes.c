/* classes.c - classes of equal answers: a hash table from the answers' keys to chains of classes.
 *
 * Equal answers have equal keys, so an answer is compared with the founders of the classes in its bucket
 * alone. An answer written exactly as an earlier one is found by its text, without parsing: samples repeat
 * themselves a lot.
 */
#include <stdlib.h>

#include "answer/answer.h"
#include "answer/extract.h"
#include "base/map.h"
#include "base/mem.h"
#include "select/select.h"

struct founder {
    struct answer *answer;
    int next; /* class with the same key, or -1 */
};

struct select_classes {
    struct founder *founders; /* [n], by class number */
    size_t n, cap;
    struct map *by_text; /* class + 1; 0: unparsable */
    struct map *by_key;  /* first class of the chain */
};

struct select_classes *select_classes_new(void) {
    struct select_classes *c = mem_zalloc(1, sizeof *c);
    c->by_text = map_new(16);
    c->by_key = map_new(16);
    return c;
}

void select_classes_free(struct select_classes *c) {
    if (!c) return;
    for (size_t i = 0; i < c->n; i++) answer_free(c->founders[i].answer);
    free(c->founders);
    map_free(c->by_text);
    map_free(c->by_key);
    free(c);
}

int select_classes_count(const struct select_classes *c) {
    return (int)c->n;
}

struct str select_classes_answer(const struct select_classes *c, int answer_class) {
    ASSERT(answer_class >= 0 && (size_t)answer_class < c->n);
    return answer_text(c->founders[answer_class].answer);
}

/* The class that `answer` is equal to; otherwise it founds one. Takes ownership. */
static int place(struct select_classes *c, struct answer *answer) {
    uint64_t key = answer_key(answer);
    struct str key_bytes = {(const char *)&key, sizeof key};
    uint32_t first;
    int last = -1;
    if (map_get(c->by_key, key_bytes, &first)) {
        for (int i = (int)first; i >= 0; i = c->founders[i].next) {
            if (answer_equal(c->founders[i].answer, answer) == ANSWER_EQUAL) {
                answer_free(answer);
                return i;
            }
            last = i;
        }
    }
    ASSERT(c->n < INT32_MAX);
    int number = (int)c->n;
    MEM_GROW(c->founders, c->cap, c->n + 1);
    c->founders[c->n++] = (struct founder){answer, -1};
    if (last >= 0) {
        c->founders[last].next = number;
    } else {
        bool is_new = map_put(c->by_key, key_bytes, (uint32_t)number);
        ASSERT(is_new);
    }
    return number;
}

int select_classes_add_answer(struct select_classes *c, struct str text) {
    uint32_t known;
    if (map_get(c->by_text, text, &known)) return (int)known - 1;
    struct answer *answer = answer_parse(text, NULL);
    int number = -1;
    if (answer_is_unparsable(answer))
        answer_free(answer);
    else
        number = place(c, answer);
    bool is_new = map_put(c->by_text, text, (uint32_t)(number + 1));
    ASSERT(is_new);
    return number;
}

int select_classes_add(struct select_classes *c, struct str solution_text) {
    struct str answer;
    if (!answer_extract(solution_text, 0, &answer, NULL)) return -1;
    return select_classes_add_answer(c, answer);
}
