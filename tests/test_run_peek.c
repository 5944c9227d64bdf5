/* test_run_peek.c - what is shown of a solution while it is written is the beginning of what it becomes, stop
 * texts included: of a bundled model, and of one that writes bytes at random, in whole characters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"
#include "model/tokenizer.h"
#include "run/coordinator.h"
#include "tiny_model.h"

static bool on_event(void *ctx, const struct run_event *event, struct err *e) {
    UNUSED(e);
    if (event->what == RUN_ENDED && event->solutions->n == 1)
        buf_add_str(ctx, str_from(event->solutions->items[0].text));
    return true;
}

/* The text in the end; *n_looks: how often a longer one was seen before. */
static char *write_one(struct policy *policy, const char *stop, int *n_looks) {
    struct search_spec spec;
    struct err e;
    struct buf whole = {0}, seen = {0}, now = {0};
    const char *stops[] = {stop};
    assert_true(search_spec_parse(&spec, "greedy", &e));
    const struct coordinator_problem problem = {
        .id = "one",
        .text = "Tom has 12 jars. Tom sells 5 of them. How many jars does Tom have now?",
        .spec = &spec,
        .n_tokens_max = 64,
        .stops = stops,
        .n_stops = stop ? 1 : 0,
    };
    struct coordinator *c = coordinator_new(policy, NULL, NULL, on_event, &whole);
    assert_true(coordinator_add(c, &problem, &e));
    *n_looks = 0;
    for (int n_active = 1; n_active > 0;) {
        assert_true(coordinator_step(c, &n_active, &e));
        buf_clear(&now);
        if (!coordinator_peek(c, 0, &now)) continue;
        assert_true(now.len >= seen.len && memcmp(buf_cstr(&now), buf_cstr(&seen), seen.len) == 0);
        *n_looks += now.len > seen.len;
        buf_clear(&seen);
        buf_add(&seen, buf_cstr(&now), now.len);
    }
    assert_true(str_starts(buf_str(&whole), (struct str){buf_cstr(&seen), seen.len}));
    assert_false(coordinator_peek(c, 0, &now));
    coordinator_free(c);
    buf_free(&seen);
    buf_free(&now);
    return buf_take(&whole);
}

static void test_peeks_are_beginnings(void **state) {
    struct err e;
    int n_looks;
    UNUSED(state);
    struct policy *policy = policy_open("lab:small", &(struct policy_options){.n_threads = 1}, &e);
    assert_non_null(policy);
    char *whole = write_one(policy, NULL, &n_looks);
    assert_true(n_looks > 10 && strlen(whole) > 20);
    /* Every text of three bytes in it as a stop text. */
    for (size_t at = 1; at + 3 < strlen(whole); at += 5) {
        char stop[4] = {whole[at], whole[at + 1], whole[at + 2], '\0'};
        char *cut = write_one(policy, stop, &n_looks);
        assert_int_equal(strlen(cut), strstr(whole, stop) - whole);
        assert_memory_equal(cut, whole, strlen(cut));
        free(cut);
    }
    free(whole);
    policy_close(policy);
}

/* ---- a model that writes bytes at random ---- */

static void swap_ids(json_t *vocab, int a, int b) {
    struct buf x = {0}, y = {0};
    tiny_spell(&x, a);
    tiny_spell(&y, b);
    const json_int_t id = json_integer_value(json_object_get(vocab, buf_cstr(&x)));
    json_object_set_new(vocab, buf_cstr(&x),
                        json_integer(json_integer_value(json_object_get(vocab, buf_cstr(&y)))));
    json_object_set_new(vocab, buf_cstr(&y), json_integer(id));
    buf_free(&x);
    buf_free(&y);
}

/* The small model, in whose vocabulary parts of characters are as likely as letters were, NUL among them; one
 * token holds the end of a step and the beginning of a character. */
static void write_model(const char *dir) {
    static const char bytes[] = "\xe2\x82\xac\xf0\x9f\x98\x80\xc3\xa9\xed\xa0\xff\xc0\xe4\xb8\xad\x00\x81";
    char *path = file_join(dir, "tokenizer.json");
    struct err e;
    tiny_model_write(dir, 1, false);
    json_t *root = json_read_file(path, 1 << 20, &e);
    assert_non_null(root);
    json_t *model = json_object_get(root, "model"), *vocab = json_object_get(model, "vocab");
    for (size_t i = 0; i < sizeof bytes - 1; i++) swap_ids(vocab, 'a' + (int)i, (unsigned char)bytes[i]);
    json_object_del(vocab, "\xc4\x8a\xc4\x8a"
                           "A");
    json_object_set_new(vocab, "\xc4\x8a\xc4\x8a\xc3\xa2", json_integer(258));
    json_array_set_new(json_object_get(model, "merges"), 2, json_string("\xc4\x8a\xc4\x8a \xc3\xa2"));
    char *text = json_line(root);
    tiny_file(dir, "tokenizer.json", str_from(text));
    free(text);
    free(path);
    json_decref(root);
}

struct told {
    struct buf whole;
    json_t *shown; /* text up to each node, as its pieces are shown one by one */
    json_t *ids;   /* and its tokens */
    const struct tokenizer *tokenizer;
    int n_nodes, n_ill, n_cut; /* nodes; with what is no text; whose tokens end inside a character */
    bool has_stop;
};

static void add_shown(struct buf *shown, struct str piece) {
    json_t *text = json_text(piece);
    buf_add_str(shown, (struct str){json_string_value(text), json_string_length(text)});
    json_decref(text);
}

/* What the tokens up to a node say, but for half a character in the end. */
static void assert_tokens_say(struct told *t, const char *parent, const struct run_event *event,
                              struct str shown) {
    struct buf raw = {0}, whole = {0}, at_once = {0};
    json_t *ids = json_deep_copy(json_object_get(t->ids, parent));
    if (!ids) ids = json_array();
    for (int i = 0; i < event->node->n_tokens; i++)
        json_array_append_new(ids, json_integer(event->node->tokens[i]));
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const int id = (int)json_integer_value(json_array_get(ids, i));
        tokenizer_decode(t->tokenizer, &id, 1, true, &raw);
    }
    for (size_t i = 0; i < raw.len; i++)
        buf_add_str(&whole, raw.ptr[i] ? (struct str){raw.ptr + i, 1} : STR("\xef\xbf\xbd"));
    whole.len = tokenizer_complete_utf8(buf_str(&whole));
    add_shown(&at_once, buf_str(&whole));
    assert_true(str_equal(shown, buf_str(&at_once)));
    json_object_set_new(t->ids, event->path, ids);
    buf_free(&raw);
    buf_free(&whole);
    buf_free(&at_once);
}

static void note_node(struct told *t, const struct run_event *event) {
    const struct store_node *x = event->node;
    const char *dot = strrchr(event->path, '.');
    char parent[64] = "";
    struct buf shown = {0}, at_once = {0};
    if (dot) snprintf(parent, sizeof parent, "%.*s", (int)(dot - event->path), event->path);
    if (dot) buf_add_str(&shown, str_from(json_string_value(json_object_get(t->shown, parent))));
    add_shown(&shown, x->text);
    json_object_set_new(t->shown, event->path, json_stringn(buf_cstr(&shown), shown.len));
    if (!t->has_stop) assert_tokens_say(t, parent, event, buf_str(&shown));
    t->n_nodes++;
    t->n_ill += strstr(buf_cstr(&shown), "\xef\xbf\xbd") != NULL;
    t->n_cut += x->finish == STORE_STEP && x->tokens[x->n_tokens - 1] == 258;
    if (event->solution.ptr) { /* a stop text may cut into steps before */
        add_shown(&at_once, event->solution);
        assert_true(t->has_stop ? str_starts(buf_str(&shown), buf_str(&at_once))
                                : str_equal(buf_str(&shown), buf_str(&at_once)));
    }
    buf_free(&shown);
    buf_free(&at_once);
}

static bool on_told(void *ctx, const struct run_event *event, struct err *e) {
    struct told *t = ctx;
    UNUSED(e);
    if (event->what == RUN_NODE) note_node(t, event);
    if (event->what == RUN_ENDED && event->solutions->n > 0)
        buf_add_str(&t->whole, str_from(event->solutions->items[0].text));
    return true;
}

/* Pieces as they are seen, each shown as JSON has it, and the text in the end: the same. */
static void watch(struct policy *policy, struct reward *reward, const char *strategy, uint64_t key,
                  const char *stop, struct told *t) {
    struct search_spec spec;
    struct err e;
    struct buf seen = {0}, now = {0}, shown = {0}, at_once = {0};
    const char *stops[] = {stop};
    const bool writes_one = strstr(strategy, "sample") != NULL;
    assert_true(search_spec_parse(&spec, strategy, &e));
    const struct coordinator_problem problem = {.id = "one",
                                                .text = "Go.",
                                                .spec = &spec,
                                                .key = key,
                                                .n_tokens_max = 40,
                                                .stops = stops,
                                                .n_stops = stop ? 1 : 0};
    struct coordinator *c = coordinator_new(policy, reward, NULL, on_told, t);
    assert_true(coordinator_add(c, &problem, &e));
    for (int n_active = 1; n_active > 0;) {
        assert_true(coordinator_step(c, &n_active, &e));
        buf_clear(&now);
        if (!writes_one || !coordinator_peek(c, 0, &now) || now.len < seen.len) continue;
        assert_true(seen.len == 0 || memcmp(now.ptr, seen.ptr, seen.len) == 0);
        add_shown(&shown, (struct str){buf_cstr(&now) + seen.len, now.len - seen.len});
        buf_clear(&seen);
        buf_add_str(&seen, buf_str(&now));
    }
    assert_true(str_starts(buf_str(&t->whole), buf_str(&seen)));
    add_shown(&shown, (struct str){buf_cstr(&t->whole) + seen.len, t->whole.len - seen.len});
    add_shown(&at_once, buf_str(&t->whole));
    assert_string_equal(buf_cstr(&shown), buf_cstr(&at_once));
    coordinator_free(c);
    buf_free(&seen);
    buf_free(&now);
    buf_free(&shown);
    buf_free(&at_once);
}

static void test_no_half_character_is_shown(void **state) {
    static const char *const strategies[] = {
        "sample:n=1,temperature=1,top_p=1,min_p=0,top_k=0",
        "beam:n=4,width=2,temperature=1,top_p=1,min_p=0,top_k=0,aggregate=last"};
    static const char *const stops[] = {NULL, "\xe2\x82\xac", "\xc3\xa9", "\xe4\xb8\xad\xe4",
                                        "\xf0\x9f\x98\x80 "};
    char dir[] = "/tmp/brood-peek-XXXXXX";
    struct err e;
    int n_cut = 0, n_nodes = 0, n_ill = 0;
    UNUSED(state);
    assert_non_null(mkdtemp(dir));
    write_model(dir);
    struct policy *policy = policy_open(dir, &(struct policy_options){.n_threads = 1}, &e);
    struct reward *reward = reward_open("heuristic:short", &(struct reward_options){0}, &e);
    struct tokenizer *tokenizer = tokenizer_open(dir, &e);
    assert_true(policy && reward && tokenizer);
    for (uint64_t i = 0; i < 200; i++) {
        struct told t = {.shown = json_object(),
                         .ids = json_object(),
                         .tokenizer = tokenizer,
                         .has_stop = i / 2 % ARRAY_LEN(stops) > 0};
        watch(policy, reward, strategies[i % 2], rng_child(9, i), stops[i / 2 % ARRAY_LEN(stops)], &t);
        n_cut += t.n_cut;
        n_nodes += t.n_nodes;
        n_ill += t.n_ill;
        json_decref(t.shown);
        json_decref(t.ids);
        buf_free(&t.whole);
    }
    assert_true(n_nodes > 400 && n_ill > 100 && n_cut > 10);
    tokenizer_close(tokenizer);
    reward_close(reward);
    policy_close(policy);
    tiny_model_remove(dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_peeks_are_beginnings),
                                       cmocka_unit_test(test_no_half_character_is_shown)};
    return cmocka_run_group_tests_name("run_peek", tests, NULL, NULL);
}
