/* json.h - jansson with errors that say where, and getters that check types.
 *
 * All take `where` ("file.json", "tasks.jsonl:12") for the message. A getter with a default treats a missing
 * key or null as absent, and a wrong type as an error: nothing is guessed.
 */
#ifndef BROOD_JSON_H
#define BROOD_JSON_H

#include <jansson.h>

#include "base/err.h"
#include "base/str.h"

/* Parses one JSON value (no \u0000 in it); refuses trailing bytes, duplicate keys, and depth over jansson's
 * limit. Owned (json_decref). */
MUST json_t *json_parse(struct str text, const char *where, struct err *e);
MUST json_t *json_read_file(const char *path, size_t n_bytes_max, struct err *e);

/* Lists of numbers too large for JSON's integers here: the text of the list at a key of the object's top
 * level, brackets and all (empty if there is none), and the object parsed with one or two such lists emptied.
 */
struct str json_list_text(struct str object, const char *key);
MUST json_t *json_parse_without(struct str object, struct str list, struct str other, const char *where,
                                struct err *e);

/* Required (def == NULL pointers) and optional fields of an object. Strings are borrowed from the object. */
MUST bool json_want_string(const json_t *object, const char *key, const char **out, const char *where,
                           struct err *e);
MUST bool json_get_string(const json_t *object, const char *key, const char *def, const char **out,
                          const char *where, struct err *e);
MUST bool json_want_int(const json_t *object, const char *key, int64_t min, int64_t max, int64_t *out,
                        const char *where, struct err *e);
MUST bool json_get_int(const json_t *object, const char *key, int64_t def, int64_t min, int64_t max,
                       int64_t *out, const char *where, struct err *e);
MUST bool json_get_real(const json_t *object, const char *key, double def, double *out, const char *where,
                        struct err *e);
MUST bool json_get_bool(const json_t *object, const char *key, bool def, bool *out, const char *where,
                        struct err *e);

/* A string value made from bytes that may not be UTF-8: ill-formed bytes become U+FFFD, and so does NUL,
 * which json_parse refuses. Owned. */
json_t *json_text(struct str s);

/* Compact one-line dump, keys in insertion order. Owned, free(). */
char *json_line(const json_t *value);

#endif
