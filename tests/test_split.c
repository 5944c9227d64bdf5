/* Cutting text by split patterns, against patterns by hand and against themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/split.h"
#include "model/split_fast.h"
#include "model_files.h"

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
static bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}
static bool is_end(char c) {
    return c == '\n' || c == '\r';
}

static size_t contraction(const char *s) {
    static const char *const known[] = {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (strncasecmp(s, known[i], strlen(known[i])) == 0) return strlen(known[i]);
    }
    return 0;
}

/* The first piece of NUL-terminated ASCII by Qwen2's pattern, alternative by alternative. */
static size_t split_by_hand(const char *s) {
    size_t n = contraction(s), i;
    if (n) return n;
    i = !is_end(s[0]) && !is_letter(s[0]) && !is_digit(s[0]) && is_letter(s[1]);
    for (n = i; is_letter(s[n]);) n++;
    if (n > i) return n;
    if (is_digit(s[0])) return 1;
    i = s[0] == ' ';
    for (n = i; s[n] && !is_space(s[n]) && !is_letter(s[n]) && !is_digit(s[n]);) n++;
    if (n > i) {
        while (is_end(s[n])) n++;
        return n;
    }
    size_t last_end = 0;
    for (n = 0; is_space(s[n]); n++) {
        if (is_end(s[n])) last_end = n + 1;
    }
    if (last_end) return last_end;
    return n > 1 && s[n] ? n - 1 : n;
}

struct pieces {
    size_t lengths[512], n;
};

static void note_piece(void *ctx, struct str piece) {
    struct pieces *p = ctx;
    p->lengths[p->n++] = piece.len;
}

static void splitting_equals_the_pattern_by_hand(void **state) {
    static const char alphabet[] = "aB s'tLl09 \t\n\r .,-\\'  d";
    struct split *s = split_new();
    struct err e;
    UNUSED(state);
    assert_true(split_add(s, STR(FILES_QWEN2_PATTERN), "test", &e));
    for (uint64_t i = 0; i < 20000; i++) {
        char text[40];
        size_t n = rng_below(2, i, sizeof text), at = 0;
        for (size_t k = 0; k < n; k++) text[k] = alphabet[rng_below(rng_child(3, i), k, sizeof alphabet - 1)];
        text[n] = '\0';
        struct pieces p = {.n = 0};
        assert_true(split_run(s, (struct str){text, n}, note_piece, &p, &e));
        for (size_t k = 0; k < p.n; at += p.lengths[k++])
            assert_int_equal(p.lengths[k], split_by_hand(text + at));
        assert_int_equal(at, n);
    }
    split_free(s);
}

/* The same pattern in a group is not known by hand: it is cut by the pattern alone. */
static void published_patterns_are_cut_alike_by_hand(void **state) {
    static const char *const parts[] = {"a",
                                        "b",
                                        "S",
                                        "t",
                                        "'s",
                                        "'RE",
                                        "'ll",
                                        "'",
                                        "12",
                                        "3",
                                        " ",
                                        " ",
                                        "  ",
                                        "\n",
                                        "\r\n",
                                        ".",
                                        "/!",
                                        "--",
                                        "_",
                                        "\t",
                                        "\v",
                                        "\x1c",
                                        "$x",
                                        "Ab",
                                        "ZZ",
                                        "\xc5\xbf",
                                        "\xe2\x84\xaa",
                                        "\xc3\xa9",
                                        "\xc2\xa0",
                                        "\xc2\x85",
                                        "\xd9\xa3",
                                        "\xcc\x81",
                                        "\xe3\x80\x80",
                                        "\xe4\xb8\xad",
                                        "\xf0\x9f\x98\x80",
                                        "\xe1\xa0\x8e",
                                        "\xc7\x85"};
    struct err e;
    UNUSED(state);
    for (size_t k = 0; split_fast_patterns[k]; k++) {
        struct split *fast = split_new(), *general = split_new();
        struct buf group = {0};
        size_t n_fast = 0;
        buf_printf(&group, "(?:%s)", split_fast_patterns[k]);
        assert_true(split_add(fast, str_from(split_fast_patterns[k]), "test", &e));
        assert_true(split_add(general, buf_str(&group), "test", &e));
        assert_non_null(split_fast_find(str_from(split_fast_patterns[k])));
        assert_null(split_fast_find(buf_str(&group)));
        for (uint64_t i = 0; i < 20000; i++) {
            struct pieces a = {.n = 0}, b = {.n = 0};
            struct buf text = {0};
            uint64_t n_ascii = i % 3 ? 25 : ARRAY_LEN(parts), n = 1 + rng_below(11, i, 14);
            for (uint64_t j = 0; j < n; j++)
                buf_add_str(&text, str_from(parts[rng_below(rng_child(12, i), j, n_ascii)]));
            assert_true(split_run(fast, buf_str(&text), note_piece, &a, &e));
            assert_true(split_run(general, buf_str(&text), note_piece, &b, &e));
            if (a.n != b.n || memcmp(a.lengths, b.lengths, a.n * sizeof *a.lengths) != 0)
                fail_msg("%s: %s", split_fast_patterns[k], buf_cstr(&text));
            n_fast += split_fast_piece(split_fast_find(str_from(split_fast_patterns[k])), buf_str(&text)) > 0;
            buf_free(&text);
        }
        assert_true(n_fast > 10000); /* most begin with a piece that ASCII decides */
        split_free(fast);
        split_free(general);
        buf_free(&group);
    }
}

static void anchors_are_ends_of_lines(void **state) {
    struct split *s = split_new();
    struct pieces p = {.n = 0};
    struct err e;
    UNUSED(state);
    assert_true(split_add(s, STR("\\s+$|^a"), "test", &e));
    assert_true(split_run(s, STR("aa b  \nab "), note_piece, &p, &e));
    const size_t wanted[] = {1, 3, 2, 1, 1, 1, 1}; /* "a" "a b" "  " "\n" "a" "b" " " */
    assert_int_equal(p.n, ARRAY_LEN(wanted));
    assert_memory_equal(p.lengths, wanted, sizeof wanted);
    split_free(s);
}

static void spaces_are_those_of_unicode(void **state) {
    static const struct {
        const char *text;
        size_t lengths[4];
    } cases[] = {
        {"x\xe3\x80\x80\xe3\x80\x80y", {1, 3, 4}}, /* U+3000 is a space: the last one goes with the letter */
        {"x \xe1\xa0\x8e"
         "1",
         {1, 4, 1}}, /* U+180E is none */
        {"x\xc2\xa0\xc2\xa0"
         "1",
         {1, 2, 2, 1}}, /* U+00A0 is */
        {"x\xc2\x85\xc2\x85"
         "1",
         {1, 2, 2, 1}}, /* and so is U+0085 */
        {"\xd0\xb6"
         "1\xd9\xa3\xe2\x85\xa7",
         {2, 1, 2, 3}}, /* letters and digits of other scripts */
    };
    struct split *s = split_new();
    struct err e;
    UNUSED(state);
    assert_true(split_add(s, STR(FILES_QWEN2_PATTERN), "test", &e));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct pieces p = {.n = 0};
        assert_true(split_run(s, str_from(cases[i].text), note_piece, &p, &e));
        for (size_t k = 0; k < ARRAY_LEN(cases[i].lengths) && cases[i].lengths[k]; k++)
            assert_int_equal(p.lengths[k], cases[i].lengths[k]);
    }
    split_free(s);
}

static void patterns_cut_one_after_another(void **state) {
    struct split *s = split_new();
    struct pieces p = {.n = 0};
    struct err e;
    UNUSED(state);
    assert_true(split_add(s, STR("\\p{N}"), "test", &e));
    assert_true(split_add(s, STR("[^\\s]+"), "test", &e));
    assert_true(split_run(s, STR("12ab cd3"), note_piece, &p, &e));
    const size_t wanted[] = {1, 1, 2, 1, 2, 1};
    assert_int_equal(p.n, ARRAY_LEN(wanted));
    assert_memory_equal(p.lengths, wanted, sizeof wanted);
    split_free(s);
}

/* ---- what becomes of delimiters ---- */

enum { STRETCHES_MAX = 64 };
struct stretches {
    struct {
        size_t begin, end;
        bool delimiter;
    } at[STRETCHES_MAX];
    size_t n;
};

/* The stretches of a text: runs of letters, or each letter alone, match; the rest lies between. */
static void find_stretches(const char *text, bool runs, bool invert, struct stretches *s) {
    s->n = 0;
    for (size_t i = 0; text[i];) {
        bool match = is_letter(text[i]);
        size_t end = i + 1;
        while ((runs || !match) && text[end] && is_letter(text[end]) == match) end++;
        s->at[s->n].begin = i;
        s->at[s->n].end = end;
        s->at[s->n++].delimiter = match != invert;
        i = end;
    }
}

/* The definition of each behaviour as a fold over the list of stretches (MergedWithNext's from the right). */
static void fold(const struct stretches *in, enum split_behaviour behaviour, struct stretches *out) {
    bool previous = false, backwards = behaviour == SPLIT_TO_NEXT;
    out->n = 0;
    for (size_t k = 0; k < in->n; k++) {
        size_t i = backwards ? in->n - 1 - k : k;
        bool now = in->at[i].delimiter;
        bool merges = behaviour == SPLIT_CONTIGUOUS                                  ? now == previous
                      : behaviour == SPLIT_TO_PREVIOUS || behaviour == SPLIT_TO_NEXT ? now && !previous
                                                                                     : false;
        if (merges && out->n > 0) {
            if (backwards)
                out->at[out->n - 1].begin = in->at[i].begin;
            else
                out->at[out->n - 1].end = in->at[i].end;
        } else if (behaviour != SPLIT_REMOVED || !now) {
            out->at[out->n++] = in->at[i];
        }
        previous = now;
    }
    for (size_t i = 0; backwards && i < out->n / 2; i++) {
        __typeof__(out->at[0]) swapped = out->at[i];
        out->at[i] = out->at[out->n - 1 - i];
        out->at[out->n - 1 - i] = swapped;
    }
}

struct found {
    const char *text;
    struct stretches s;
};

static void note_stretch(void *ctx, struct str piece) {
    struct found *f = ctx;
    f->s.at[f->s.n].begin = (size_t)(piece.ptr - f->text);
    f->s.at[f->s.n++].end = (size_t)(piece.ptr - f->text) + piece.len;
}

static void delimiters_behave_as_defined(void **state) {
    static const char *const patterns[] = {"\\p{L}", "\\p{L}+"};
    size_t n_merged = 0;
    UNUSED(state);
    for (int k = 0; k < 20; k++) {
        enum split_behaviour behaviour = (enum split_behaviour)(k % 5);
        bool invert = k / 5 % 2, runs = k / 10;
        struct split *s = split_new();
        struct err e;
        assert_true(split_add_as(s, str_from(patterns[runs]), behaviour, invert, "test", &e));
        for (uint64_t i = 0; i < 2000; i++) {
            char text[STRETCHES_MAX];
            size_t n = rng_below(21, i, sizeof text);
            for (size_t j = 0; j < n; j++) text[j] = "ab 1"[rng_below(rng_child(22, i), j, 4)];
            text[n] = '\0';
            struct stretches cut, wanted;
            struct found f = {.text = text};
            find_stretches(text, runs, invert, &cut);
            fold(&cut, behaviour, &wanted);
            assert_true(split_run(s, (struct str){text, n}, note_stretch, &f, &e));
            assert_int_equal(f.s.n, wanted.n);
            for (size_t j = 0; j < wanted.n; j++) {
                assert_int_equal(f.s.at[j].begin, wanted.at[j].begin);
                assert_int_equal(f.s.at[j].end, wanted.at[j].end);
            }
            n_merged += cut.n > wanted.n;
        }
        split_free(s);
    }
    assert_true(n_merged > 10000);
}

/* The cases that Hugging Face's tokenizers documents for its Split, words and signs being kept. */
static void published_behaviours(void **state) {
    static const struct {
        enum split_behaviour behaviour;
        const char *pieces;
    } cases[] = {{SPLIT_REMOVED, "How|are|you|doing|?"},
                 {SPLIT_ISOLATED, "How| |are| |you| |doing|?"},
                 {SPLIT_TO_PREVIOUS, "How |are |you |doing|?"},
                 {SPLIT_TO_NEXT, "How| are| you| doing|?"},
                 {SPLIT_CONTIGUOUS, "How| |are| |you| |doing?"}};
    static const char text[] = "How are you doing?";
    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct split *s = split_new();
        struct found f = {.text = text};
        struct buf shown = {0};
        struct err e;
        assert_true(split_add_as(s, STR("\\p{L}+|[^\\s\\p{L}]+"), cases[i].behaviour, true, "test", &e));
        assert_true(split_run(s, STR(text), note_stretch, &f, &e));
        for (size_t k = 0; k < f.s.n; k++)
            buf_printf(&shown, "%s%.*s", k ? "|" : "", (int)(f.s.at[k].end - f.s.at[k].begin),
                       text + f.s.at[k].begin);
        assert_string_equal(buf_cstr(&shown), cases[i].pieces);
        buf_free(&shown);
        split_free(s);
    }
}

/* A pattern that comes after works within what is left. */
static void what_is_removed_is_not_cut_again(void **state) {
    struct split *s = split_new();
    struct pieces p = {.n = 0};
    struct err e;
    UNUSED(state);
    assert_true(split_add_as(s, STR(" "), SPLIT_REMOVED, false, "test", &e));
    assert_true(split_add_as(s, STR("\\p{N}"), SPLIT_TO_PREVIOUS, false, "test", &e));
    assert_true(split_run(s, STR("ab1 2c 34"), note_piece, &p, &e)); /* "ab1" "2" "c" "3" "4" */
    const size_t wanted[] = {3, 1, 1, 1, 1};
    assert_int_equal(p.n, ARRAY_LEN(wanted));
    assert_memory_equal(p.lengths, wanted, sizeof wanted);
    split_free(s);
}

static void patterns_read_differently_are_refused(void **state) {
    static const char *const patterns[] = {
        "\\w+",          "\\bx",     "\\hx",  "[a[b]]", "[a&&b]", "a{2}+", "(?x)a", "(*LIMIT_MATCH=1)a",
        "[]a]",          "(?P<n>a)", "a*",    "a|",     "(",      "[a",    "\\p{L", "\\",
        "\\p{Nonsense}", "\\Ka",     "\\1(a)"};
    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(patterns); i++) {
        struct split *s = split_new();
        struct err e = {0};
        assert_false(split_add(s, str_from(patterns[i]), "test", &e));
        assert_non_null(strstr(e.msg, "split pattern"));
        split_free(s);
    }
}

static void a_pattern_without_end_is_stopped(void **state) {
    struct split *s = split_new();
    struct pieces p = {.n = 0};
    struct err e = {0};
    char text[64];
    UNUSED(state);
    assert_true(split_add(s, STR("(?:a|a|aa)+(?:a|aa)+(?:aa|a)+[bc]"), "test", &e));
    memset(text, 'a', sizeof text);
    assert_false(split_run(s, (struct str){text, sizeof text}, note_piece, &p, &e));
    assert_non_null(strstr(e.msg, "too long"));
    split_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splitting_equals_the_pattern_by_hand),
        cmocka_unit_test(published_patterns_are_cut_alike_by_hand),
        cmocka_unit_test(anchors_are_ends_of_lines),
        cmocka_unit_test(spaces_are_those_of_unicode),
        cmocka_unit_test(patterns_cut_one_after_another),
        cmocka_unit_test(delimiters_behave_as_defined),
        cmocka_unit_test(published_behaviours),
        cmocka_unit_test(what_is_removed_is_not_cut_again),
        cmocka_unit_test(patterns_read_differently_are_refused),
        cmocka_unit_test(a_pattern_without_end_is_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
