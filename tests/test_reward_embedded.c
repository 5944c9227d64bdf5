/* The engine as a reward model: on a tiny random model that this test writes, and on the bundled one where it
 * is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "base/json.h"
#include "base/share.h"
#include "model/model.h"
#include "reward/reward.h"
#include "tiny_model.h"

static char dir[] = "/tmp/brood-tiny-XXXXXX";
static const char question[] = "what is it";

static int make_model(void **state) {
    UNUSED(state);
    if (!mkdtemp(dir)) return -1;
    tiny_model_write(dir, 1, true);
    return 0;
}

static int remove_model(void **state) {
    UNUSED(state);
    tiny_model_remove(dir);
    return 0;
}

static struct reward *open_tiny(int n_threads) {
    struct err e = {0};
    struct reward *r = reward_open(dir, &(struct reward_options){.n_threads = n_threads}, &e);
    if (!r) fail_msg("%s", e.msg);
    return r;
}

static struct reward_prefix *root_of(struct reward *r) {
    struct err e = {0};
    struct reward_prefix *root = reward_root(r, question, &e);
    if (!root) fail_msg("%s", e.msg);
    return root;
}

static bool next_result(struct reward *r, struct reward_result *out) {
    struct err e = {0};
    while (reward_in_flight(r) > 0) {
        if (reward_next(r, out)) return true;
        if (reward_work(r, 1, &e) <= 0) fail_msg("%s", e.msg);
    }
    return false;
}

enum { STEPS_MAX = 32 };

struct kept {
    float rewards[STEPS_MAX];
    int n_rewards;
    struct cost cost;
    struct reward_prefix *prefix;
};

static struct kept keep(const struct reward_result *result) {
    struct kept k = {.n_rewards = result->n_rewards, .cost = result->cost, .prefix = result->prefix};
    assert_false(result->failed);
    assert_in_range(k.n_rewards, 0, STEPS_MAX);
    if (k.n_rewards) memcpy(k.rewards, result->rewards, sizeof *k.rewards * (size_t)k.n_rewards);
    for (int i = 0; i < k.n_rewards; i++) assert_true(k.rewards[i] >= 0 && k.rewards[i] <= 1);
    return k;
}

static struct kept score(struct reward *r, struct reward_prefix *from, const char *text) {
    struct reward_result result;
    reward_submit(r, &(struct reward_job){.id = 4, .from = from, .text = str_from(text)});
    assert_true(next_result(r, &result));
    assert_int_equal(result.id, 4);
    return keep(&result);
}

static void assert_same(const struct kept *a, const struct kept *b) {
    assert_int_equal(a->n_rewards, b->n_rewards);
    assert_memory_equal(a->rewards, b->rewards, sizeof *a->rewards * (size_t)a->n_rewards);
    assert_memory_equal(&a->cost, &b->cost, sizeof a->cost);
}

static const char *const steps[] = {
    "two and three make five.", "five\ntimes four", " 5*4 = 20. ", "so", "it is 20", "\xc3\xa9t\xc3\xa9"};

/* ---- one step at a time is the same as all at once ---- */
static void step_by_step_is_the_whole(void **state) {
    UNUSED(state);
    struct reward *r = open_tiny(1);
    struct reward_prefix *root = root_of(r), *at = root, *resumed = root;
    struct buf text = {0};
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) buf_printf(&text, "%s\n\n", steps[i]);
    struct kept whole = score(r, root, buf_cstr(&text));
    assert_int_equal(whole.n_rewards, ARRAY_LEN(steps));
    struct cost cost = {0};
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        struct err e = {0};
        struct buf step = {0};
        buf_printf(&step, "%s%s%s", i % 2 ? "\n\n" : "", steps[i], i % 3 ? "\n\n" : "");
        struct kept one = score(r, at, buf_cstr(&step)), from_records = score(r, resumed, buf_cstr(&step));
        assert_int_equal(one.n_rewards, 1);
        assert_memory_equal(one.rewards, whole.rewards + i, sizeof(float));
        assert_same(&one, &from_records);
        cost_add(&cost, &one.cost);
        struct reward_prefix *next = reward_extend(r, resumed, buf_str(&step), &e); /* never read itself */
        assert_non_null(next);
        if (resumed != root) reward_release(r, resumed);
        if (at != root) reward_release(r, at);
        reward_release(r, from_records.prefix);
        at = one.prefix;
        resumed = next;
        buf_free(&step);
    }
    assert_memory_equal(&cost, &whole.cost, sizeof cost);
    bool differ = false;
    for (int i = 1; i < whole.n_rewards; i++)
        differ = differ || fabsf(whole.rewards[i] - whole.rewards[0]) > 1e-4f;
    assert_true(differ);
    reward_release(r, whole.prefix);
    reward_release(r, resumed);
    reward_release(r, at);
    reward_release(r, root);
    buf_free(&text);
    reward_close(r);
}

/* A tree of steps, three below each: what was computed is the root and every step once. */
static void every_token_is_read_once(void **state) {
    UNUSED(state);
    struct reward *r = open_tiny(1);
    enum { N_NODES = 1 + 3 + 9 + 27 };
    struct reward_prefix *prefixes[N_NODES] = {root_of(r)};
    struct cost charged = reward_root_cost(r, prefixes[0]);
    for (int first = 1, parent = 0; first < N_NODES; first = first * 3 + 1) {
        int end = first * 3 + 1;
        char text[32];
        for (int i = first; i < end; i++) {
            snprintf(text, sizeof text, "step %d\n\n", i);
            struct reward_prefix *from = prefixes[parent + (i - first) / 3];
            reward_submit(r, &(struct reward_job){.id = (uint64_t)i, .from = from, .text = str_from(text)});
        }
        struct reward_result result;
        while (next_result(r, &result)) {
            struct kept k = keep(&result);
            cost_add(&charged, &k.cost);
            prefixes[result.id] = k.prefix;
        }
        parent = first;
    }
    struct cost computed = reward_computed(r);
    assert_true(computed.tokens_read == charged.tokens_read && computed.tokens_generated == 0);
    assert_true(computed.flops == charged.flops);
    for (int i = 0; i < N_NODES; i++) reward_release(r, prefixes[i]);
    reward_close(r);
}

static void blanks_make_no_steps(void **state) {
    UNUSED(state);
    struct reward *r = open_tiny(1);
    struct reward_prefix *root = root_of(r);
    struct kept plain = score(r, root, "a b\n\nc d");
    assert_int_equal(plain.n_rewards, 2);
    static const char *const same[] = {"a b\n\nc d\n\n", "\n\na b\n\n\n\nc d\n\n \n\n", " a b \n\n\tc d\n"};
    for (size_t i = 0; i < ARRAY_LEN(same); i++) {
        struct kept k = score(r, root, same[i]);
        assert_same(&k, &plain);
        reward_release(r, k.prefix);
    }
    static const char *const none[] = {"", "\n\n", " \n \n\n"};
    for (size_t i = 0; i < ARRAY_LEN(none); i++) {
        struct kept k = score(r, root, none[i]);
        assert_int_equal(k.n_rewards, 0);
        assert_true(k.cost.tokens_read == 0 && k.cost.flops == 0);
        struct kept after = score(r, k.prefix, "a b\n\nc d");
        assert_same(&after, &plain);
        reward_release(r, after.prefix);
        reward_release(r, k.prefix);
    }
    reward_release(r, plain.prefix);
    reward_release(r, root);
    reward_close(r);
}

static void company_and_threads_change_nothing(void **state) {
    UNUSED(state);
    enum { N = 40 };
    static struct kept together[2][N];
    for (int i_threads = 0; i_threads < 2; i_threads++) {
        struct reward *r = open_tiny(i_threads ? 3 : 1);
        struct reward_prefix *root = root_of(r);
        struct reward_result result;
        char texts[N][64];
        for (int i = 0; i < N; i++) {
            snprintf(texts[i], sizeof texts[i], "%s\n\nnumber %d\n\n%s", steps[i % 5], i, steps[(i + 2) % 5]);
            reward_submit(r,
                          &(struct reward_job){.id = (uint64_t)i, .from = root, .text = str_from(texts[i])});
        }
        while (next_result(r, &result)) together[i_threads][result.id] = keep(&result);
        for (int i = 0; i < N; i += 7) {
            struct kept alone = score(r, root, texts[i]);
            assert_same(&alone, &together[i_threads][i]);
            reward_release(r, alone.prefix);
        }
        for (int i = 0; i < N; i++) {
            reward_release(r, together[i_threads][i].prefix);
            if (i_threads == 1) assert_same(&together[0][i], &together[1][i]);
        }
        reward_release(r, root);
        reward_close(r);
    }
}

/* ---- costs and limits ---- */
static void costs_follow_positions(void **state) {
    UNUSED(state);
    struct err e = {0};
    struct model *m = model_open(dir, &e);
    struct reward *r = open_tiny(1);
    struct reward_prefix *root = root_of(r);
    double n_prompt = (double)strlen(question) + 1, flops = 0; /* a marker stands behind it */
    for (double i = 0; i < n_prompt; i++) flops += model_flops_per_token(&m->config, i + 1, 0);
    struct cost cost = reward_root_cost(r, root);
    assert_true(cost.tokens_read == n_prompt && cost.flops == flops);

    struct kept k = score(r, root, "abc\n\nde"); /* a b c marker d e marker */
    flops = 0;
    for (int i = 0; i < 7; i++)
        flops += model_flops_per_token(&m->config, n_prompt + i + 1, i == 3 || i == 6 ? 2 : 0);
    assert_true(k.cost.tokens_read == 7 && k.cost.tokens_generated == 0 && k.cost.flops == flops);
    assert_string_equal(reward_info(r)->aggregate, "min");
    assert_string_equal(reward_info(r)->kind, "embedded");
    assert_int_equal(reward_info(r)->n_context, TINY_CONTEXT);
    reward_release(r, k.prefix);
    reward_release(r, root);
    reward_close(r);
    model_close(m);
}

static void too_long_texts_fail(void **state) {
    UNUSED(state);
    struct err e = {0};
    struct reward *r = open_tiny(1);
    struct reward_prefix *root = root_of(r);
    char text[TINY_CONTEXT + 1];
    memset(text, 'a', sizeof text - 1);
    text[TINY_CONTEXT] = '\0';
    struct reward_result result;
    reward_submit(r, &(struct reward_job){.id = 1, .from = root, .text = str_from(text)});
    assert_true(next_result(r, &result));
    assert_true(result.failed && result.n_rewards == 0 && !result.prefix);
    assert_non_null(strstr(result.why, "longer than what the reward model"));
    assert_null(reward_extend(r, root, str_from(text), &e));
    assert_null(reward_root(r, text, &e));
    assert_non_null(strstr(e.msg, "257 tokens"));
    text[TINY_CONTEXT - (int)strlen(question) - 2] = '\0'; /* fits with its marker and the problem's */
    struct kept k = score(r, root, text);
    assert_int_equal(k.n_rewards, 1);
    reward_release(r, k.prefix);
    reward_release(r, root);
    reward_close(r);
}

static void cancelled_jobs_leave_nothing(void **state) {
    UNUSED(state);
    struct err e = {0};
    struct reward *r = open_tiny(1);
    struct reward_prefix *root = root_of(r);
    bool told[32] = {false}, text_told[5] = {false};
    double n_told = 0;
    for (uint64_t id = 0; id < 32; id++)
        reward_submit(
            r, &(struct reward_job){.id = id, .from = root, .text = str_from(id == 8 ? "" : steps[id % 5])});
    reward_submit(r, &(struct reward_job){.id = 77, .from = root, .text = STR("nobody hears of this one")});
    for (uint64_t id = 0; id < 32; id += 4)
        reward_cancel(r, id); /* before any work, one with no steps among them */
    for (int i = 0; i < 2; i++) assert_true(reward_work(r, 0, &e) > 0); /* the prompt, then steps */
    for (uint64_t id = 1; id < 32; id += 4) reward_cancel(r, id);
    reward_cancel(r, 77);
    reward_cancel(r, 99);
    struct reward_result result;
    while (next_result(r, &result)) {
        assert_false(told[result.id]);
        told[result.id] = true;
        if (!text_told[result.id % 5]) n_told += result.cost.tokens_read; /* equal texts are read once */
        text_told[result.id % 5] |= result.cost.tokens_read > 0;
        reward_release(r, result.prefix);
    }
    for (uint64_t id = 0; id < 32; id++) assert_int_equal(told[id], id % 4 > 1);
    /* Every token that was read is the prompt's, in a result or in the waste. */
    const double n_prompt = reward_root_cost(r, root).tokens_read;
    assert_true(reward_computed(r).tokens_read == n_prompt + n_told + reward_waste(r).cancelled.tokens_read);
    assert_true(reward_waste(r).cancelled.tokens_read > 0);
    for (uint64_t id = 0; id < 4; id++) /* open when the reward model is closed */
        reward_submit(r, &(struct reward_job){.id = id, .from = root, .text = str_from(id ? steps[id] : "")});
    reward_release(r, root);
    reward_close(r);
}

/* ---- equal texts behind equal texts are read once, wherever they stand ---- */
static void equal_texts_are_read_once(void **state) {
    UNUSED(state);
    struct err e = {0};
    struct reward *r = open_tiny(1);
    struct reward_prefix *root = root_of(r);
    const double n_prompt = reward_root_cost(r, root).tokens_read;
    struct kept a = score(r, root, "one\n\n"), a2 = score(r, a.prefix, "two\n\n");
    const double n_once = reward_computed(r).tokens_read;
    assert_true(n_once == n_prompt + a.cost.tokens_read + a2.cost.tokens_read);
    /* A sibling, and a child of the sibling: their blanks differ, their steps do not. */
    struct kept b = score(r, root, "\n\none "), b2 = score(r, b.prefix, " two");
    assert_same(&a, &b);
    assert_same(&a2, &b2);
    assert_true(reward_computed(r).tokens_read == n_once);
    /* Both in flight at once; and again when nobody holds the first any more. */
    struct kept both[2];
    for (uint64_t id = 0; id < 2; id++)
        reward_submit(r, &(struct reward_job){.id = id, .from = (id ? a2 : b2).prefix, .text = STR("three")});
    for (int i = 0; i < 2; i++) {
        struct reward_result result;
        assert_true(next_result(r, &result));
        both[i] = keep(&result);
    }
    assert_same(&both[0], &both[1]);
    for (int i = 0; i < 2; i++) reward_release(r, both[i].prefix);
    struct kept other = score(r, root, "other");
    const double n_thrice = n_once + both[0].cost.tokens_read + other.cost.tokens_read;
    assert_true(reward_computed(r).tokens_read == n_thrice);
    struct kept again = score(r, a2.prefix, "three");
    assert_same(&again, &both[0]);
    assert_true(reward_computed(r).tokens_read == n_thrice);
    /* What was given back is read again if somebody goes on from it, with the same rewards. */
    struct kept four = score(r, again.prefix, "four");
    const double n_four = n_thrice + again.cost.tokens_read + four.cost.tokens_read;
    assert_true(reward_computed(r).tokens_read == n_four);
    struct kept whole = score(r, root, "one\n\ntwo\n\nthree\n\nfour");
    assert_true(reward_computed(r).tokens_read == n_four); /* four steps that are known, as a whole */
    assert_true(whole.rewards[3] == four.rewards[0] && whole.rewards[2] == again.rewards[0]);
    struct reward_prefix *const all[] = {a.prefix,     a2.prefix,   b.prefix,    b2.prefix,
                                         again.prefix, four.prefix, other.prefix};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) reward_release(r, all[i]);
    reward_release(r, root); /* before its last descendant */
    struct reward_prefix *more = reward_extend(r, whole.prefix, STR("five"), &e);
    assert_non_null(more);
    struct kept six = score(r, more, "six");
    assert_int_equal(six.n_rewards, 1);
    reward_release(r, six.prefix);
    reward_release(r, more);
    reward_release(r, whole.prefix);
    assert_true(reward_waste(r).cancelled.tokens_read == 0);
    reward_close(r);
}

static void models_without_a_scoring_head_are_refused(void **state) {
    UNUSED(state);
    struct err e = {0};
    char policy[] = "/tmp/brood-tiny-XXXXXX";
    assert_non_null(mkdtemp(policy));
    assert_null(reward_open(policy, NULL, &e));
    assert_non_null(strstr(e.msg, "config.json"));
    tiny_model_write(policy, 1, false);
    assert_null(reward_open(policy, NULL, &e));
    assert_non_null(strstr(e.msg, "nothing here says that this model scores steps"));
    assert_non_null(strstr(e.msg, "PATH,profile=NAME"));
    tiny_model_remove(policy);
}

/* ---- the bundled model, against what PyTorch computed ---- */
static void check_rewards(struct reward *r, const json_t *problem) {
    struct err e = {0};
    char *prompt =
        mem_strdup(json_string_value(json_object_get(problem, "prompt")) + 3); /* "Q: " ... "\nA:\n" */
    prompt[strlen(prompt) - 4] = '\0';
    struct reward_prefix *root = reward_root(r, prompt, &e);
    assert_non_null(root);
    const json_t *told = json_object_get(problem, "prm");
    for (size_t i = 0; i < json_array_size(told); i++) {
        const json_t *one = json_array_get(told, i), *rewards = json_object_get(one, "rewards");
        struct kept k = score(r, root, json_string_value(json_object_get(one, "solution")));
        assert_int_equal(k.n_rewards, json_array_size(rewards));
        for (int j = 0; j < k.n_rewards; j++)
            assert_true(fabs((double)k.rewards[j] - json_number_value(json_array_get(rewards, (size_t)j))) <
                        1e-3);
        reward_release(r, k.prefix);
    }
    reward_release(r, root);
    free(prompt);
}

static void the_bundled_model_scores_as_pytorch_did(void **state) {
    UNUSED(state);
    struct err e = {0};
    char *path = share_path("golden/golden.json", &e),
         *model = share_path("models/prm/model.safetensors", &e);
    bool has_both = path && model;
    json_t *golden = has_both ? json_read_file(path, (size_t)64 << 20, &e) : NULL;
    free(path);
    free(model);
    if (!has_both) skip();
    assert_non_null(golden);
    struct reward *r = reward_open("lab:prm", NULL, &e);
    if (!r) fail_msg("%s", e.msg);
    const json_t *problems = json_object_get(golden, "problems");
    for (size_t i = 0; i < json_array_size(problems); i++) check_rewards(r, json_array_get(problems, i));
    reward_close(r);
    json_decref(golden);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(step_by_step_is_the_whole),
        cmocka_unit_test(every_token_is_read_once),
        cmocka_unit_test(blanks_make_no_steps),
        cmocka_unit_test(company_and_threads_change_nothing),
        cmocka_unit_test(costs_follow_positions),
        cmocka_unit_test(too_long_texts_fail),
        cmocka_unit_test(cancelled_jobs_leave_nothing),
        cmocka_unit_test(equal_texts_are_read_once),
        cmocka_unit_test(models_without_a_scoring_head_are_refused),
        cmocka_unit_test(the_bundled_model_scores_as_pytorch_did),
    };
    return cmocka_run_group_tests(tests, make_model, remove_model);
}
