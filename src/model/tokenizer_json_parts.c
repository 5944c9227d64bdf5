/* tokenizer_json_parts.c - the pipeline around the merges, as tokenizer.json composes it. */
#include <string.h>

#include "base/json.h"
#include "model/split_patterns.h"
#include "model/tokenizer_impl.h"

enum { DEPTH_MAX = 4, PARTS_MAX = 16 };

static bool want_type(const json_t *part, const char **type, const char *what, const char *where,
                      struct err *e) {
    return json_want_string(part, "type", type, where, e) || err_wrap(e, "%s", what);
}

/* The list of a "Sequence", with both limits checked. */
static bool want_list(const json_t *part, const char *key, int depth, const json_t **list, const char *where,
                      struct err *e) {
    *list = json_object_get(part, key);
    if (!json_is_array(*list) || json_array_size(*list) > PARTS_MAX || depth >= DEPTH_MAX)
        return err_set(e, ERR_INPUT,
                       "%s: a Sequence without %s, with over %d of them, or nested over %d deep", where, key,
                       PARTS_MAX, DEPTH_MAX);
    return true;
}

static bool refuse(const char *what, const char *type, const char *supported, const char *where,
                   struct err *e) {
    return err_set(e, ERR_INPUT, "%s: %s \"%.40s\" is not supported; %s", where, what, type, supported);
}

/* {"pattern": {"String": FROM}, "content": TO}: the only Replace that is understood here. */
static bool is_replace(const json_t *part, struct str from, struct str to, const char *where, struct err *e) {
    const struct str pattern =
        str_from(json_string_value(json_object_get(json_object_get(part, "pattern"), "String")));
    const struct str content = str_from(json_string_value(json_object_get(part, "content")));
    return (str_equal(pattern, from) && str_equal(content, to)) ||
           err_set(e, ERR_INPUT, "%s: Replace other than of \"%s\" by \"%s\" is not supported", where,
                   from.ptr, to.ptr);
}

/* ---- normaliser ---- */

static bool parse_prepend(struct tokenizer *t, const json_t *part, const char *where, struct err *e) {
    const struct str text = str_from(json_string_value(json_object_get(part, "prepend")));
    if (!str_equal(text, STR(TOKENIZER_SPACE)) || t->space_before != SPACE_NONE)
        return err_set(e, ERR_INPUT, "%s: Prepend other than of one \"%s\" is not supported", where,
                       TOKENIZER_SPACE);
    t->space_before = SPACE_ALWAYS;
    return true;
}

static bool parse_normaliser(struct tokenizer *t, const json_t *part, int depth, const char *where,
                             struct err *e) {
    const char *type;
    const json_t *list;
    if (!part || json_is_null(part)) return true;
    if (!want_type(part, &type, "normalizer", where, e)) return false;
    if (strcmp(type, "NFC") == 0) return t->nfc = true;
    if (strcmp(type, "Prepend") == 0) return parse_prepend(t, part, where, e);
    if (strcmp(type, "Replace") == 0)
        return t->spaces_written_first = true, is_replace(part, STR(" "), STR(TOKENIZER_SPACE), where, e);
    if (strcmp(type, "Sequence") != 0)
        return refuse("normalizer", type, "NFC, Prepend and Replace are", where, e);
    if (!want_list(part, "normalizers", depth, &list, where, e)) return false;
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (!parse_normaliser(t, json_array_get(list, i), depth + 1, where, e)) return false;
    }
    return true;
}

bool tokenizer_parse_normaliser(struct tokenizer *t, const json_t *part, const char *where, struct err *e) {
    return parse_normaliser(t, part, 0, where, e);
}

/* ---- splitter ---- */

static void add_literal(struct buf *pattern, const char *text) {
    for (; *text; text++) {
        if (strchr("\\^$.[]|()?*+{}-#", *text)) buf_add_char(pattern, '\\');
        buf_add_char(pattern, *text);
    }
}

static bool parse_behaviour(const json_t *part, enum split_behaviour *behaviour, const char *where,
                            struct err *e) {
    static const char *const names[] = {[SPLIT_ISOLATED] = "Isolated",
                                        [SPLIT_REMOVED] = "Removed",
                                        [SPLIT_TO_PREVIOUS] = "MergedWithPrevious",
                                        [SPLIT_TO_NEXT] = "MergedWithNext",
                                        [SPLIT_CONTIGUOUS] = "Contiguous"};
    const char *name;
    if (!json_want_string(part, "behavior", &name, where, e)) return false;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(name, names[i]) == 0) return *behaviour = (enum split_behaviour)i, true;
    }
    return refuse("Split behavior", name,
                  "Isolated, Removed, MergedWithPrevious, MergedWithNext and Contiguous are", where, e);
}

/* {"type": "Split", "pattern": {"Regex": P} or {"String": S}, "behavior": "Isolated", "invert": false} */
static bool parse_split(struct tokenizer *t, const json_t *part, const char *where, struct err *e) {
    enum split_behaviour behaviour = SPLIT_ISOLATED;
    const char *regex, *literal;
    bool invert;
    const json_t *pattern = json_object_get(part, "pattern");
    if (!parse_behaviour(part, &behaviour, where, e) ||
        !json_get_bool(part, "invert", false, &invert, where, e) ||
        !json_get_string(pattern, "Regex", NULL, &regex, where, e) ||
        !json_get_string(pattern, "String", NULL, &literal, where, e))
        return false;
    if (regex) return split_add_as(t->split, str_from(regex), behaviour, invert, where, e);
    if (!literal || !literal[0])
        return err_set(e, ERR_INPUT, "%s: Split has neither a Regex nor a String", where);
    struct buf escaped = {0};
    add_literal(&escaped, literal);
    bool done = split_add_as(t->split, buf_str(&escaped), behaviour, invert, where, e);
    buf_free(&escaped);
    return done;
}

static bool parse_digits(struct tokenizer *t, const json_t *part, const char *where, struct err *e) {
    bool single;
    if (!json_get_bool(part, "individual_digits", false, &single, where, e)) return false;
    return split_add(t->split, single ? STR("\\p{N}") : STR("\\p{N}+"), where, e);
}

static bool parse_byte_level(struct tokenizer *t, const json_t *part, const char *where, struct err *e) {
    bool prefix, regex;
    if (!json_get_bool(part, "add_prefix_space", true, &prefix, where, e) ||
        !json_get_bool(part, "use_regex", true, &regex, where, e))
        return false;
    if (prefix) return err_set(e, ERR_INPUT, "%s: add_prefix_space is not supported", where);
    return !regex || split_add(t->split, STR(SPLIT_GPT2), where, e);
}

/* {"replacement": "U+2581", "prepend_scheme": "first", "split": false}; older: "add_prefix_space" */
static bool parse_metaspace(struct tokenizer *t, const json_t *part, const char *where, struct err *e) {
    const char *replacement, *scheme;
    bool prefix, cut;
    if (!json_want_string(part, "replacement", &replacement, where, e) ||
        !json_get_string(part, "prepend_scheme", "always", &scheme, where, e) ||
        !json_get_bool(part, "add_prefix_space", true, &prefix, where, e) ||
        !json_get_bool(part, "split", true, &cut, where, e))
        return false;
    if (strcmp(replacement, TOKENIZER_SPACE) != 0)
        return refuse("Metaspace with", replacement, TOKENIZER_SPACE " is", where, e);
    if (t->spaces_written_first || t->space_before != SPACE_NONE || t->spaces_written)
        return err_set(e, ERR_INPUT, "%s: Metaspace besides Prepend, Replace or another is not supported",
                       where);
    t->spaces_written = true;
    t->cut = cut ? CUT_EACH : CUT_NOWHERE;
    if (strcmp(scheme, "never") == 0 || !prefix) return true;
    t->space_before = strcmp(scheme, "first") == 0 ? SPACE_FIRST : SPACE_MISSING;
    return strcmp(scheme, "first") == 0 || strcmp(scheme, "always") == 0 ||
           refuse("prepend_scheme", scheme, "first, always and never are", where, e);
}

enum cutting { CUTTING_TEXT, CUTTING_BYTES, CUTTING_PIECES };

/* *stage: what has come; behind ByteLevel and Metaspace nothing may. */
static bool parse_splitter(struct tokenizer *t, const json_t *part, int depth, enum cutting *stage,
                           const char *where, struct err *e) {
    const char *type;
    const json_t *list;
    if (!want_type(part, &type, "pre_tokenizer", where, e)) return false;
    if (*stage != CUTTING_TEXT)
        return refuse("pre_tokenizer after ByteLevel or Metaspace", type, "nothing is", where, e);
    if (strcmp(type, "Split") == 0) return parse_split(t, part, where, e);
    if (strcmp(type, "Digits") == 0) return parse_digits(t, part, where, e);
    if (strcmp(type, "ByteLevel") == 0) return *stage = CUTTING_BYTES, parse_byte_level(t, part, where, e);
    if (strcmp(type, "Metaspace") == 0) return *stage = CUTTING_PIECES, parse_metaspace(t, part, where, e);
    if (strcmp(type, "Sequence") != 0)
        return refuse("pre_tokenizer", type, "Split, Digits, ByteLevel, Metaspace and a Sequence of them are",
                      where, e);
    if (!want_list(part, "pretokenizers", depth, &list, where, e)) return false;
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (!parse_splitter(t, json_array_get(list, i), depth + 1, stage, where, e)) return false;
    }
    return true;
}

/* Bytes go with a ByteLevel, pieces with byte_fallback: what has neither is something else. */
bool tokenizer_parse_splitter(struct tokenizer *t, const json_t *part, bool byte_fallback, const char *where,
                              struct err *e) {
    enum cutting stage = CUTTING_TEXT;
    if (part && !json_is_null(part) && !parse_splitter(t, part, 0, &stage, where, e)) return false;
    t->pieces = stage != CUTTING_BYTES;
    if (t->pieces && !byte_fallback)
        return err_set(e, ERR_INPUT,
                       "%s: neither a ByteLevel pre_tokenizer nor byte_fallback%s: byte-level BPE and "
                       "SentencePiece-style BPE with byte fallback are supported",
                       where, stage == CUTTING_PIECES ? " with the Metaspace" : "");
    if (!t->pieces && (byte_fallback || t->spaces_written_first || t->space_before != SPACE_NONE))
        return err_set(e, ERR_INPUT, "%s: ByteLevel with %s is not supported", where,
                       byte_fallback ? "byte_fallback" : "Prepend or Replace");
    if (t->pieces && !split_is_empty(t->split))
        return err_set(e, ERR_INPUT, "%s: Split and Digits without ByteLevel are not supported", where);
    return true;
}

/* ---- post-processor ---- */

static bool refuse_template(const char *where, struct err *e) {
    return err_set(e, ERR_INPUT,
                   "%s: TemplateProcessing other than one token before the text is not supported", where);
}

/* "single": [{"SpecialToken": {"id": TEXT}}, {"Sequence": {"id": "A"}}], "special_tokens": {TEXT: {"ids":
 * [ID]}} */
static bool parse_template(struct tokenizer *t, const json_t *part, const char *where, struct err *e) {
    const json_t *single = json_object_get(part, "single");
    size_t n = json_array_size(single);
    if (n < 1 || n > 2 || !json_object_get(json_array_get(single, n - 1), "Sequence"))
        return refuse_template(where, e);
    if (n == 1) return true;
    const json_t *token = json_object_get(json_array_get(single, 0), "SpecialToken");
    const char *text = json_string_value(json_object_get(token, "id"));
    if (!text) return refuse_template(where, e);
    const json_t *ids =
        json_object_get(json_object_get(json_object_get(part, "special_tokens"), text), "ids");
    const json_t *id = json_array_get(ids, 0);
    if (json_array_size(ids) != 1 || !json_is_integer(id)) return refuse_template(where, e);
    if (json_integer_value(id) < 0 || json_integer_value(id) >= t->n_ids ||
        !t->entries[json_integer_value(id)].present)
        return err_set(e, ERR_INPUT, "%s: the post-processor's token \"%.60s\" is not in the vocabulary",
                       where, text);
    if (t->bos >= 0) return refuse_template(where, e);
    t->bos = (int)json_integer_value(id);
    return true;
}

static bool parse_post_processor(struct tokenizer *t, const json_t *part, int depth, const char *where,
                                 struct err *e) {
    const char *type;
    const json_t *list;
    if (!part || json_is_null(part)) return true;
    if (!want_type(part, &type, "post_processor", where, e)) return false;
    if (strcmp(type, "ByteLevel") == 0) return true; /* offsets only */
    if (strcmp(type, "TemplateProcessing") == 0) return parse_template(t, part, where, e);
    if (strcmp(type, "Sequence") != 0)
        return refuse("post_processor", type, "ByteLevel and TemplateProcessing are", where, e);
    if (!want_list(part, "processors", depth, &list, where, e)) return false;
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (!parse_post_processor(t, json_array_get(list, i), depth + 1, where, e)) return false;
    }
    return true;
}

bool tokenizer_parse_post_processor(struct tokenizer *t, const json_t *part, const char *where,
                                    struct err *e) {
    return parse_post_processor(t, part, 0, where, e);
}

/* ---- decoder ---- */

/* Tokens know what they stand for; a decoder that would make something else of them is refused. */
static bool parse_decoder(const struct tokenizer *t, const json_t *part, int depth, const char *where,
                          struct err *e) {
    const char *type;
    const json_t *list;
    if (!want_type(part, &type, "decoder", where, e)) return false;
    if (!t->pieces)
        return strcmp(type, "ByteLevel") == 0 || refuse("decoder", type, "ByteLevel is", where, e);
    if (strcmp(type, "ByteFallback") == 0 || strcmp(type, "Fuse") == 0 || strcmp(type, "Metaspace") == 0)
        return true;
    if (strcmp(type, "Replace") == 0) return is_replace(part, STR(TOKENIZER_SPACE), STR(" "), where, e);
    if (strcmp(type, "Strip") == 0) {
        const char *content = json_string_value(json_object_get(part, "content"));
        return (content && strcmp(content, " ") == 0 &&
                json_integer_value(json_object_get(part, "stop")) == 0) ||
               refuse("decoder", type, "of spaces before the text it is", where, e);
    }
    if (strcmp(type, "Sequence") != 0)
        return refuse("decoder", type, "Replace, ByteFallback, Fuse, Strip and Metaspace are", where, e);
    if (!want_list(part, "decoders", depth, &list, where, e)) return false;
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (!parse_decoder(t, json_array_get(list, i), depth + 1, where, e)) return false;
    }
    return true;
}

bool tokenizer_parse_decoder(const struct tokenizer *t, const json_t *part, const char *where,
                             struct err *e) {
    return !part || json_is_null(part) || parse_decoder(t, part, 0, where, e);
}
