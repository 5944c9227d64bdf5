/* The engine as a policy: on a tiny random model that this test writes, and on the bundled ones where they
 * are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "base/json.h"
#include "base/share.h"
#include "model/model.h"
#include "policy/policy.h"
#include "tiny_model.h"

static char dir[] = "/tmp/brood-tiny-XXXXXX";
static const char question[] = "what is it";

/* What a job without a lead had written. */
static struct policy_prefix *extend(struct policy *p, struct policy_prefix *from, int index, struct str text,
                                    const int *tokens, int n_tokens, struct err *e) {
    const struct policy_piece piece = {.index = index, .text = text, .tokens = tokens, .n_tokens = n_tokens};
    return policy_extend(p, from, &piece, e);
}

static int make_model(void **state) {
    UNUSED(state);
    if (!mkdtemp(dir)) return -1;
    tiny_model_write(dir, 1, false);
    return 0;
}

static int remove_model(void **state) {
    UNUSED(state);
    tiny_model_remove(dir);
    return 0;
}

static struct policy *open_tiny(int n_threads, const char *separator) {
    struct err e = {0};
    struct policy *p =
        policy_open(dir, &(struct policy_options){.n_threads = n_threads, .separator = separator}, &e);
    if (!p) fail_msg("%s", e.msg);
    return p;
}

static struct policy_prefix *root_of(struct policy *p) {
    struct err e = {0};
    struct policy_prefix *root = policy_root(p, &(struct policy_prompt){.id = "x", .text = question}, &e);
    if (!root) fail_msg("%s", e.msg);
    return root;
}

static struct policy_job job_of(struct policy_prefix *from, uint64_t key, enum policy_until until) {
    return (struct policy_job){.id = key,
                               .from = from,
                               .key = rng_child(5, key),
                               .until = until,
                               .n_tokens_max = 1000,
                               .sampling = {.temperature = 1, .top_p = 1}};
}

/* A result that outlives the policy's own. */
struct kept {
    enum policy_finish finish;
    char *text;
    int tokens[TINY_CONTEXT], n_tokens;
    double logprob;
    struct cost cost;
    struct policy_prefix *prefix;
};

static struct kept keep(const struct policy_result *r) {
    struct kept k = {.finish = r->finish,
                     .text = str_dup(r->text),
                     .n_tokens = r->n_tokens,
                     .logprob = r->logprob,
                     .cost = r->cost,
                     .prefix = r->prefix};
    assert_in_range(r->n_tokens, 0, TINY_CONTEXT);
    if (r->n_tokens) memcpy(k.tokens, r->tokens, sizeof *k.tokens * (size_t)r->n_tokens);
    return k;
}

static void drop(struct policy *p, struct kept *k) {
    policy_release(p, k->prefix);
    free(k->text);
}

static bool next_result(struct policy *p, struct policy_result *r) {
    struct err e = {0};
    while (policy_in_flight(p) > 0) {
        if (policy_next(p, r)) return true;
        if (policy_work(p, 1, &e) <= 0) fail_msg("%s", e.msg);
    }
    return false;
}

static struct kept run_job(struct policy *p, const struct policy_job *job) {
    struct policy_result r;
    policy_submit(p, job);
    assert_true(next_result(p, &r));
    assert_int_equal(r.id, job->id);
    assert_int_equal(policy_in_flight(p), 0);
    return keep(&r);
}

static struct kept run_one(struct policy *p, struct policy_prefix *from, uint64_t key,
                           enum policy_until until) {
    struct policy_job job = job_of(from, key, until);
    return run_job(p, &job);
}

static void assert_same(const struct kept *a, const struct kept *b) {
    assert_int_equal(a->finish, b->finish);
    assert_string_equal(a->text, b->text);
    assert_int_equal(a->n_tokens, b->n_tokens);
    assert_memory_equal(a->tokens, b->tokens, sizeof *a->tokens * (size_t)a->n_tokens);
    assert_memory_equal(&a->logprob, &b->logprob, sizeof a->logprob);
    assert_memory_equal(&a->cost, &b->cost, sizeof a->cost);
}

/* ---- tokens are a function of prefix, key and sampling ---- */
static void company_and_threads_change_nothing(void **state) {
    UNUSED(state);
    enum { N = 64 };
    static struct kept together[2][N];
    for (int i_threads = 0; i_threads < 2; i_threads++) {
        struct policy *p = open_tiny(i_threads ? 3 : 1, NULL);
        struct policy_prefix *root = root_of(p);
        struct policy_result r;
        for (uint64_t key = 0; key < N; key++) {
            struct policy_job job = job_of(root, key, POLICY_UNTIL_END);
            policy_submit(p, &job);
        }
        while (next_result(p, &r)) together[i_threads][r.id] = keep(&r);
        for (uint64_t key = 0; i_threads == 0 && key < N; key += 9) {
            struct kept alone = run_one(p, root, key, POLICY_UNTIL_END);
            assert_same(&alone, &together[0][key]);
            drop(p, &alone);
        }
        for (int i = 0; i < N; i++) policy_release(p, together[i_threads][i].prefix);
        policy_release(p, root);
        policy_close(p);
    }
    int n_ended = 0, n_same = 0;
    for (int i = 0; i < N; i++) {
        assert_same(&together[0][i], &together[1][i]);
        n_ended += together[0][i].finish == POLICY_END;
        n_same += i > 0 && strcmp(together[0][i].text, together[0][0].text) == 0;
    }
    for (int i = 0; i < 2 * N; i++) free(together[i / N][i % N].text);
    assert_in_range(n_ended, N / 4, N);
    assert_int_equal(n_same, 0);
}

/* Where the first step of a text ends, the slow way: bytes up to the first separator behind something not
 * blank. */
static size_t slow_step(struct str text, struct str separator) {
    for (size_t end = separator.len; end <= text.len; end++) {
        struct str body = {text.ptr, end - separator.len};
        if (str_ends((struct str){text.ptr, end}, separator) && str_trim(body).len > 0) return end;
    }
    return SIZE_MAX;
}

/* Follows one key step by step, with prefixes of results or with prefixes made from records. */
static int follow_steps(struct policy *p, struct policy_prefix *root, uint64_t key, bool from_records,
                        struct str separator, const struct kept *whole) {
    struct buf text = {0};
    struct policy_prefix *at = root;
    int n_tokens = 0, n_steps = 0;
    double logprob = 0;
    struct cost cost = {0};
    enum policy_finish finish = POLICY_STEP;
    for (; finish == POLICY_STEP; n_steps++) {
        struct err e = {0};
        struct kept step = run_one(p, at, key, POLICY_UNTIL_STEP);
        struct str step_text = str_from(step.text);
        buf_add_str(&text, step_text);
        assert_memory_equal(step.tokens, whole->tokens + n_tokens,
                            sizeof *step.tokens * (size_t)step.n_tokens);
        n_tokens += step.n_tokens;
        logprob += step.logprob;
        cost_add(&cost, &step.cost);
        finish = step.finish;
        size_t end = slow_step(step_text, separator);
        assert_true(finish == POLICY_STEP ? end <= step_text.len && end + 1 >= step_text.len
                                          : end == SIZE_MAX);
        struct policy_prefix *made = extend(p, at, 0, step_text, step.tokens, step.n_tokens, &e);
        assert_non_null(made);
        if (at != root) policy_release(p, at);
        at = from_records ? made : step.prefix;
        step.prefix = from_records ? step.prefix : made;
        drop(p, &step);
    }
    if (finish == POLICY_FAILED) finish = POLICY_LENGTH; /* a step ended with the context's last token */
    assert_int_equal(finish, whole->finish);
    assert_string_equal(buf_cstr(&text), whole->text);
    assert_int_equal(n_tokens, whole->n_tokens);
    assert_true(fabs(logprob - whole->logprob) < 1e-9);
    assert_memory_equal(&cost, &whole->cost, sizeof cost);
    policy_release(p, at);
    buf_free(&text);
    return n_steps;
}

static void steps_with_one_key_are_the_whole(void **state) {
    UNUSED(state);
    static const char *const separators[] = {"\n\n", "e", "ab", ".\n\n"};
    for (size_t i = 0; i < ARRAY_LEN(separators); i++) {
        struct policy *p = open_tiny(1, separators[i]);
        struct policy_prefix *root = root_of(p);
        int n_steps = 0, n = 12;
        for (uint64_t key = 0; key < (uint64_t)n; key++) {
            struct kept whole = run_one(p, root, key, POLICY_UNTIL_END);
            n_steps += follow_steps(p, root, key, key % 2, str_from(separators[i]), &whole);
            drop(p, &whole);
        }
        if (i < 2) assert_true(n_steps >= 2 * n);
        policy_release(p, root);
        policy_close(p);
    }
}

static void greedy_takes_no_chance(void **state) {
    UNUSED(state);
    struct policy *p = open_tiny(1, NULL);
    struct policy_prefix *root = root_of(p);
    struct policy_job a = job_of(root, 1, POLICY_UNTIL_STEP), b = job_of(root, 2, POLICY_UNTIL_STEP);
    a.sampling.temperature = b.sampling.temperature = 0;
    a.n_tokens_max = b.n_tokens_max = 20;
    struct kept first = run_job(p, &a), second = run_job(p, &b);
    assert_same(&first, &second);
    assert_true(first.logprob < 0 && first.logprob > -100);
    drop(p, &first);
    drop(p, &second);
    policy_release(p, root);
    policy_close(p);
}

/* ---- limits ---- */
static void limits_cut_and_full_contexts_fail(void **state) {
    UNUSED(state);
    struct err e = {0};
    struct policy *p = open_tiny(1, "\x01");
    struct policy_prefix *root = root_of(p);
    struct policy_job job = job_of(root, 3, POLICY_UNTIL_STEP);
    job.n_tokens_max = 5;
    struct kept cut = run_job(p, &job);
    assert_int_equal(cut.finish, POLICY_LENGTH);
    assert_int_equal(cut.n_tokens, 5);
    drop(p, &cut);

    int filler[TINY_CONTEXT];
    size_t n_filler = TINY_CONTEXT - strlen(question);
    for (int i = 0; i < TINY_CONTEXT; i++) filler[i] = 'a';
    struct policy_prefix *nearly = extend(p, root, 0, STR(""), filler, (int)n_filler - 3, &e);
    struct policy_prefix *full = extend(p, root, 0, STR(""), filler, (int)n_filler, &e);
    assert_non_null(nearly);
    assert_non_null(full);
    assert_null(extend(p, root, 0, STR(""), filler, (int)n_filler + 1, &e));
    assert_non_null(strstr(e.msg, "longer"));
    filler[0] = TINY_VOCAB;
    assert_null(extend(p, root, 0, STR(""), filler, 1, &e));
    assert_non_null(strstr(e.msg, "no token 261"));
    struct kept clamped = run_one(p, nearly, 4, POLICY_UNTIL_STEP);
    assert_int_equal(clamped.finish, POLICY_LENGTH);
    assert_int_equal(clamped.n_tokens, 3);
    struct kept refused = run_one(p, full, 4, POLICY_UNTIL_STEP);
    assert_int_equal(refused.finish, POLICY_FAILED);
    assert_null(refused.prefix);
    drop(p, &clamped);
    drop(p, &refused);

    filler[0] = TINY_END;
    struct policy_prefix *ended = extend(p, root, 0, STR(""), filler, 1, &e);
    struct policy_result r;
    job = job_of(ended, 1, POLICY_UNTIL_END);
    policy_submit(p, &job);
    assert_true(next_result(p, &r));
    assert_int_equal(r.finish, POLICY_FAILED);
    assert_string_equal(r.why, "the answer has ended");
    policy_release(p, ended);
    policy_release(p, full);
    policy_release(p, nearly);
    policy_release(p, root);

    char *text = mem_zalloc(TINY_CONTEXT + 1, 1);
    memset(text, 'a', TINY_CONTEXT);
    assert_null(policy_root(p, &(struct policy_prompt){.id = "x", .text = text}, &e));
    assert_non_null(strstr(e.msg, "256 tokens"));
    assert_null(policy_root(p, &(struct policy_prompt){.id = "x", .text = ""}, &e));
    free(text);
    policy_close(p);
}

static void texts_hold_no_end_tokens_and_tokens_do(void **state) {
    UNUSED(state);
    struct policy *p = open_tiny(1, NULL);
    struct policy_prefix *root = root_of(p);
    int n_ended = 0, n_special = 0;
    for (uint64_t key = 100; key < 140; key++) {
        struct kept k = run_one(p, root, key, POLICY_UNTIL_END);
        n_ended += k.finish == POLICY_END;
        if (k.finish == POLICY_END) assert_int_equal(k.tokens[k.n_tokens - 1], TINY_END);
        for (int i = 0; i < k.n_tokens; i++) n_special += k.tokens[i] == TINY_END + 1;
        assert_null(strstr(k.text, "<|end|>"));
        assert_null(strstr(k.text, "<|other|>"));
        drop(p, &k);
    }
    assert_true(n_ended > 5 && n_special > 0);
    policy_release(p, root);
    policy_close(p);
}

/* ---- costs ---- */
static void costs_follow_positions(void **state) {
    UNUSED(state);
    struct err e = {0};
    struct model *m = model_open(dir, &e);
    struct policy *p = open_tiny(1, NULL);
    const struct policy_info *info = policy_info(p);
    struct policy_prefix *root = root_of(p);
    struct cost cost = policy_root_cost(p, root);
    double flops = 0, n_prompt = (double)strlen(question);
    for (double i = 0; i < n_prompt; i++) flops += model_flops_per_token(&m->config, i + 1, 0);
    assert_true(cost.tokens_read == n_prompt && cost.tokens_generated == 0 && cost.flops == flops);

    struct kept k = run_one(p, root, 1, POLICY_UNTIL_END);
    flops = 0;
    for (double i = 0; i < k.n_tokens; i++)
        flops += model_flops_per_token(&m->config, n_prompt + i + 1, TINY_VOCAB);
    assert_true(k.cost.tokens_generated == k.n_tokens && k.cost.tokens_read == 0 && k.cost.flops == flops);
    assert_true(info->flops_per_token + 7 * info->flops_per_position ==
                model_flops_per_token(&m->config, 8, TINY_VOCAB));
    assert_true(info->n_parameters == (double)model_parameters(m) && info->n_context == TINY_CONTEXT);
    assert_true(info->n_wanted > 1 && strlen(info->identity) == 16);
    drop(p, &k);
    struct cost computed = policy_computed(p); /* all but the last token, which nothing follows */
    double last = model_flops_per_token(&m->config, n_prompt + k.n_tokens, 0);
    assert_true(computed.tokens_generated == k.n_tokens && computed.tokens_read == n_prompt);
    assert_true(computed.flops == cost.flops + flops - last);
    policy_release(p, root);
    policy_close(p);
    model_close(m);
}

/* ---- cancelling ---- */
static void cancelled_jobs_leave_nothing(void **state) {
    UNUSED(state);
    struct err e = {0};
    struct policy *p = open_tiny(2, NULL);
    struct policy_prefix *root = root_of(p), *full[2];
    int filler[TINY_CONTEXT] = {0};
    for (int i = 0; i < 2; i++)
        full[i] = extend(p, root, i, STR(""), filler, TINY_CONTEXT - (int)strlen(question), &e);
    bool told[48] = {false};
    double n_told = 0;
    for (uint64_t key = 0; key < 48; key++) {
        struct policy_job job = job_of(key % 16 == 3 ? full[0] : root, key, POLICY_UNTIL_END);
        policy_submit(p, &job);
    }
    for (uint64_t key = 0; key < 48; key += 4) policy_cancel(p, key); /* before any work */
    policy_cancel(p, 3);                                              /* one that failed at submission */
    for (int i = 0; i < 30; i++) assert_true(policy_work(p, 0, &e) > 0);
    for (uint64_t key = 1; key < 48; key += 4) policy_cancel(p, key); /* running or done */
    policy_cancel(p, 1000);
    struct policy_result r;
    while (next_result(p, &r)) {
        assert_false(told[r.id]);
        told[r.id] = true;
        n_told += r.n_tokens;
        policy_release(p, r.prefix);
    }
    for (uint64_t key = 0; key < 48; key++) assert_int_equal(told[key], key % 4 > 1 && key != 3);
    /* Every token that was sampled is in a result or in the waste. */
    const struct waste w = policy_waste(p);
    assert_true(w.cancelled.tokens_generated > 0 && w.cancelled.flops > 0 && w.recomputed.tokens_read == 0);
    assert_true(policy_computed(p).tokens_generated == n_told + w.cancelled.tokens_generated);
    for (uint64_t key = 0; key < 8; key++) { /* open when the policy is closed */
        struct policy_job job = job_of(key ? root : full[1], key, POLICY_UNTIL_END);
        policy_submit(p, &job);
    }
    for (int i = 0; i < 5; i++) assert_true(policy_work(p, 0, &e) > 0);
    for (int i = 0; i < 2; i++) policy_release(p, full[i]);
    policy_release(p, root);
    policy_close(p);
}

/* ---- opening ---- */
static void unusable_models_are_refused(void **state) {
    UNUSED(state);
    struct err e = {0};
    char reward[] = "/tmp/brood-tiny-XXXXXX";
    assert_non_null(mkdtemp(reward));
    assert_null(policy_open(reward, NULL, &e));
    assert_non_null(strstr(e.msg, "config.json"));
    tiny_model_write(reward, 1, true);
    assert_null(policy_open(reward, NULL, &e));
    assert_non_null(strstr(e.msg, "--reward"));
    tiny_model_remove(reward);
    assert_null(policy_open(dir, &(struct policy_options){.chat = "no-such"}, &e));
    assert_non_null(strstr(e.msg, "no-such"));
    assert_non_null(strstr(e.msg, "plain"));
}

static void dates_in_prompts_are_told(void **state) {
    UNUSED(state);
    static const char source[] = "{{ strftime_now('%d %b %Y') }}: {{ messages[0].content }}";
    struct err e = {0};
    char dated[] = "/tmp/brood-tiny-XXXXXX";
    assert_non_null(mkdtemp(dated));
    tiny_model_write(dated, 1, false);
    struct policy *p = policy_open(dated, NULL, &e);
    assert_non_null(p);
    assert_null(policy_info(p)->chat_date);
    policy_close(p);
    char *path = file_join(dated, "chat_template.jinja");
    assert_true(file_write_atomic(path, str_from(source), &e));
    p = policy_open(dated, NULL, &e);
    if (!p) fail_msg("%s", e.msg);
    assert_string_equal(policy_info(p)->chat_date, "26 Jul 2024");
    policy_close(p);
    unlink(path);
    free(path);
    tiny_model_remove(dated);
}

static void what_changes_answers_changes_the_identity(void **state) {
    UNUSED(state);
    static const struct policy_options options[] = {
        {0}, {.separator = "\n"}, {.system = "be brief"}, {.n_threads = 2}, {.separator = "\n\n"}};
    char identities[ARRAY_LEN(options)][32];
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        struct err e = {0};
        struct policy *p = policy_open(dir, &options[i], &e);
        if (!p) fail_msg("%s", e.msg);
        memcpy(identities[i], policy_info(p)->identity, sizeof identities[i]);
        policy_close(p);
    }
    assert_string_not_equal(identities[0], identities[1]);
    assert_string_not_equal(identities[0], identities[2]);
    assert_string_equal(identities[0], identities[3]);
    assert_string_equal(identities[0], identities[4]);
}

/* ---- the bundled models, against what PyTorch wrote ---- */
static void check_greedy(const char *spec, const char *name, const json_t *problems) {
    struct err e = {0};
    struct policy *p = policy_open(spec, NULL, &e);
    if (!p) fail_msg("%s", e.msg);
    for (size_t i = 0; i < json_array_size(problems); i++) {
        const json_t *problem = json_array_get(problems, i), *told = json_object_get(problem, name);
        const json_t *ids = json_object_get(told, "greedy_ids");
        char *prompt =
            mem_strdup(json_string_value(json_object_get(problem, "prompt")) + 3); /* "Q: " ... "\nA:\n" */
        prompt[strlen(prompt) - 4] = '\0';
        struct policy_prefix *root = policy_root(p, &(struct policy_prompt){.id = "x", .text = prompt}, &e);
        assert_non_null(root);
        assert_true(policy_root_cost(p, root).tokens_read ==
                    (double)json_array_size(json_object_get(problem, "prompt_ids")));
        struct policy_job job = job_of(root, 1, POLICY_UNTIL_END);
        job.sampling.temperature = 0;
        job.n_tokens_max = 240;
        struct policy_result r;
        policy_submit(p, &job);
        assert_true(next_result(p, &r));
        assert_int_equal(r.n_tokens, json_array_size(ids));
        for (size_t j = 0; j < json_array_size(ids); j++)
            assert_int_equal(r.tokens[j], json_integer_value(json_array_get(ids, j)));
        policy_release(p, r.prefix);
        policy_release(p, root);
        free(prompt);
    }
    policy_close(p);
}

static void bundled_policies_write_what_pytorch_wrote(void **state) {
    UNUSED(state);
    struct err e = {0};
    char *path = share_path("golden/golden.json", &e);
    char *model = share_path("models/large/model.safetensors", &e);
    bool has_both = path && model;
    json_t *golden = has_both ? json_read_file(path, (size_t)64 << 20, &e) : NULL;
    free(path);
    free(model);
    if (!has_both) skip();
    assert_non_null(golden);
    check_greedy("lab:small", "small", json_object_get(golden, "problems"));
    check_greedy("lab:large", "large", json_object_get(golden, "problems"));
    json_decref(golden);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(company_and_threads_change_nothing),
        cmocka_unit_test(steps_with_one_key_are_the_whole),
        cmocka_unit_test(greedy_takes_no_chance),
        cmocka_unit_test(limits_cut_and_full_contexts_fail),
        cmocka_unit_test(texts_hold_no_end_tokens_and_tokens_do),
        cmocka_unit_test(costs_follow_positions),
        cmocka_unit_test(cancelled_jobs_leave_nothing),
        cmocka_unit_test(unusable_models_are_refused),
        cmocka_unit_test(dates_in_prompts_are_told),
        cmocka_unit_test(what_changes_answers_changes_the_identity),
        cmocka_unit_test(bundled_policies_write_what_pytorch_wrote),
    };
    return cmocka_run_group_tests(tests, make_model, remove_model);
}
