/* json_parse, its getters, and the way back: what was parsed prints as one line that parses to the same
 * value. */
#include <stdlib.h>

#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void check_getters(const json_t *v) {
    struct err e = {0};
    const char *s;
    int64_t i;
    double r;
    bool t;
    if (json_want_string(v, "id", &s, "fuzz", &e))
        ASSERT(s);
    else
        ASSERT(e.code == ERR_INPUT && e.msg[0]);
    if (json_get_int(v, "n", 3, -5, 5, &i, "fuzz", &e)) ASSERT(i >= -5 && i <= 5);
    UNUSED(json_get_string(v, "id", NULL, &s, "fuzz", &e));
    UNUSED(json_want_int(v, "n", INT64_MIN, INT64_MAX, &i, "fuzz", &e));
    UNUSED(json_get_real(v, "r", 0, &r, "fuzz", &e));
    UNUSED(json_get_bool(v, "t", false, &t, "fuzz", &e));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    struct err e = {0};
    struct str text = {(const char *)bytes, n};
    json_t *v = json_parse(text, "fuzz", &e);
    if (v) {
        check_getters(v);
        char *line = json_line(v);
        json_t *back = json_parse(str_from(line), "line", &e);
        ASSERT(back && json_equal(v, back));
        json_decref(back);
        free(line);
        json_decref(v);
    } else {
        ASSERT(e.code == ERR_INPUT && e.msg[0]);
    }
    json_t *as_text = json_text(text);
    char *line = json_line(as_text);
    json_t *back = json_parse(str_from(line), "line", &e);
    ASSERT(back && json_equal(as_text, back));
    json_decref(back);
    free(line);
    json_decref(as_text);
    return 0;
}
