/* Reward models over HTTP, in every way that servers score text, against a server that knows the toy chain's
 * exact values and fails on purpose (mock_server.h, mock_reward.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "mock_server.h"
#include "reward/pattern.h"
#include "reward/reward.h"
#include "reward/ways.h"
#include "run/run.h"
#include "store/store.h"

#define CHAIN "depth=4,seed=3"
#define KEY   "sk-mock-5Zq7"

static const unsigned all_faults = (1u << MOCK_STALL) - 1; /* all but that */
static char dir[] = "/tmp/brood-reward-XXXXXX";

/* What a test's profile is, as a file of that name or a name. */
static const struct {
    const char *name, *text;
} files[] = {
    {"steps.json",
     "{\"name\":\"steps\",\"opening\":\"P:{problem}\\nS:\",\"next\":\"|\",\"closing\":\"{one:#}\"}"},
    {"whole.json", "{\"name\":\"whole\",\"opening\":\"P:{problem}\\nS:\",\"next\":\"|\",\"closing\":\"%\","
                   "\"aside\":true,\"aggregate\":\"last\"}"},
    {"words.json", "{\"name\":\"words\",\"opening\":\"P:{problem}\\nS:\",\"next\":\"|\",\"closing\":\"#\","
                   "\"good\":\"+\",\"bad\":\"-\"}"},
    {"chat.json",
     "{\"name\":\"chat\",\"opening\":\"{chat}\",\"closing\":\"#\",\"good\":\"+\",\"bad\":\"-\"}"},
    {"judge.json",
     "{\"name\":\"mine\",\"judge\":\"Problem:\\n{problem}\\n\\nA solution so far:\\n\\n{steps}\\n\\nJudge "
     "step {n} {{with care}. SCORE: N\",\"aggregate\":\"prod\"}"},
    {"odd.json", "{\"judge\":\"{problem} and no steps\"}"},
    {"wrong.json", "{\"judge\":\"{steps} {what}\"}"},
    {"two.json", "{\"opening\":\"{problem}{problem}\",\"closing\":\"#\"}"},
    {"long.json", "{\"opening\":\"{problem}\",\"closing\":\"{one:ab}\"}"},
};

static int make_dir(void **state) {
    UNUSED(state);
    static const char *const proxies[] = {"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"};
    struct err e;
    for (size_t i = 0; i < ARRAY_LEN(proxies); i++) unsetenv(proxies[i]);
    if (!mkdtemp(dir)) return -1;
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        char *path = file_join(dir, files[i].name);
        assert_true(file_write_atomic(path, str_from(files[i].text), &e));
        free(path);
    }
    return 0;
}

static void remove_file(const char *name) {
    char *path = file_join(dir, name);
    unlink(path);
    free(path);
}

static int remove_dir(void **state) {
    UNUSED(state);
    static const char *const names[] = {"task.jsonl", "run.brood", "run.brood-wal", "run.brood-shm"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) remove_file(names[i]);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) remove_file(files[i].name);
    return rmdir(dir);
}

static int clear_environment(void **state) {
    UNUSED(state);
    static const char *const names[] = {"BROOD_API_KEY", "BROOD_REWARD_API_KEY", "BROOD_RETRY_SECONDS"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) unsetenv(names[i]);
    return 0;
}

/* ---- ways ---- */
struct way_case {
    enum mock_dialect dialect;
    const char *profile, *talks;
    bool rows_by_token;
    double off; /* rewards are given to whole hundredths, or not quite 0 and 1 */
};

static const struct way_case cases[] = {
    {MOCK_VLLM, "steps.json", "/pooling", false, 1e-6},
    {MOCK_VLLM, "steps.json", "/pooling", true, 1e-6},
    {MOCK_VLLM, "whole.json", "/classify", false, 1e-6},
    {MOCK_SGLANG, "whole.json", "/classify", false, 1e-6},
    {MOCK_VLLM, "words.json", "/v1/completions", false, 1e-6},
    {MOCK_SGLANG, "words.json", "/generate", false, 1e-6},
    {MOCK_IK, "words.json", "ik_llama.cpp", false, 1e-6},
    {MOCK_LLAMA, "words.json", "/completion (llama", false, 1e-6},
    {MOCK_VLLM, "score", "/v1/score", false, 1e-6},
    {MOCK_VLLM, "rerank", "/v1/rerank", false, 1e-6},
    {MOCK_LLAMA, "rerank", "/v1/rerank", false, 1e-6},
    {MOCK_CHAT, "judge", "SCORE: N", false, 0.0051},
    {MOCK_LLAMA, "judge.json", "SCORE: N", false, 0.0051},
};

/* Static. */
static const char *spec_of(const struct mock *m, const char *profile) {
    static char spec[200];
    const bool is_file = strchr(profile, '.') != NULL;
    snprintf(spec, sizeof spec, "http://127.0.0.1:%d/v1#toy,profile=%s%s%s", m->port, is_file ? dir : "",
             is_file ? "/" : "", profile);
    return spec;
}

static struct mock *mock_for(const struct way_case *x) {
    return mock_start(
        &(struct mock_options){.dialect = x->dialect, .chain = CHAIN, .rows_by_token = x->rows_by_token});
}

static struct reward *open_or_fail(const char *spec) {
    struct err e = {0};
    struct reward *r = reward_open(spec, NULL, &e);
    if (!r) fail_msg("%s: %s", spec, e.msg);
    return r;
}

static struct reward_result run_one(struct reward *r, struct reward_prefix *from, const char *text) {
    struct err e = {0};
    struct reward_result result;
    reward_submit(r, &(struct reward_job){.id = 9, .from = from, .text = str_from(text)});
    assert_int_equal(reward_in_flight(r), 1);
    while (!reward_next(r, &result))
        if (reward_work(r, 0.05, &e) < 0) fail_msg("%s", e.msg);
    assert_int_equal(result.id, 9);
    assert_int_equal(reward_in_flight(r), 0);
    return result;
}

static struct reward_prefix *root_of(struct reward *r, const char *problem) {
    struct err e = {0};
    struct reward_prefix *root = reward_root(r, problem, &e);
    if (!root) fail_msg("%s", e.msg);
    return root;
}

/* A path of the chain: four steps and their exact chances. */
static void draw_path(const char *problem, uint64_t key, char *steps[4], double chances[4]) {
    struct toy_params params;
    struct toy_chain chain;
    struct err e;
    int value = 0;
    assert_true(toy_params_parse(&params, CHAIN, &e));
    toy_chain_init(&chain, &params, problem);
    for (int level = 0; level < 4; level++) {
        struct buf text = {0};
        double logprob;
        value = toy_chain_draw(&chain, level, value, 1, rng_unit(key, (uint64_t)level), &logprob);
        toy_chain_write(&chain, level + 1, value, &text);
        steps[level] = buf_take(&text);
        chances[level] = toy_chain_value(&chain, level + 1, value);
    }
}

static void every_way_gives_every_step_its_reward(void **state) {
    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct mock *m = mock_for(&cases[i]);
        struct reward *r = open_or_fail(spec_of(m, cases[i].profile));
        assert_string_equal(reward_info(r)->kind, "http");
        assert_non_null(strstr(reward_info(r)->talks, cases[i].talks));
        for (uint64_t key = 0; key < 3; key++) {
            char *steps[4];
            double chances[4];
            draw_path("a chain", key, steps, chances);
            struct buf whole = {0};
            for (int k = 0; k < 4; k++)
                buf_printf(&whole, "\n\n %s \n\n\n\n", steps[k]); /* blank ones, too */
            struct reward_prefix *root = root_of(r, "a chain"), *at = root_of(r, "a chain");
            struct reward_result result = run_one(r, root, buf_cstr(&whole));
            if (result.failed) fail_msg("%s: %s", cases[i].profile, result.why);
            assert_int_equal(result.n_rewards, 4);
            for (int k = 0; k < 4; k++)
                assert_true(fabs((double)result.rewards[k] - chances[k]) < cases[i].off);
            assert_true(result.cost.flops == 0);
            reward_release(r, result.prefix);
            for (int k = 0; k < 4; k++) {
                result = run_one(r, at, steps[k]);
                assert_int_equal(result.n_rewards, 1);
                assert_true(fabs((double)result.rewards[0] - chances[k]) < cases[i].off);
                reward_release(r, at);
                at = result.prefix;
            }
            result = run_one(r, at, " \n\n"); /* no step, no reward, no request */
            assert_int_equal(result.n_rewards, 0);
            reward_release(r, result.prefix);
            reward_release(r, at);
            reward_release(r, root);
            for (int k = 0; k < 4; k++) free(steps[k]);
            buf_free(&whole);
        }
        reward_close(r);
        mock_stop(m);
    }
}

static void steps_are_cut_into_ids_once(void **state) {
    UNUSED(state);
    struct err e;
    struct mock *m = mock_for(&cases[4]);
    struct reward *r = open_or_fail(spec_of(m, "words.json"));
    struct reward_prefix *root = root_of(r, "a chain");
    char *steps[4];
    double chances[4];
    draw_path("a chain", 1, steps, chances);
    mock_take_requests(m);
    struct reward_result a = run_one(r, root, steps[0]);
    assert_int_equal(mock_take_requests(m), 3); /* problem, step, reward */
    const double first = a.cost.tokens_read;
    assert_true(first == 2 + 7 + 3 + (double)strlen(steps[0]) + 1); /* "P:a chain\nS:", step, "#" */
    struct reward_prefix *recorded = reward_extend(r, root, str_from(steps[0]), &e);
    struct reward_result b = run_one(r, a.prefix, steps[1]);
    assert_int_equal(mock_take_requests(m), 2);                                  /* step, reward */
    assert_true(b.cost.tokens_read == first + 1 + (double)strlen(steps[1]) + 1); /* "|", step, "#" */
    const float reward = b.rewards[0];
    reward_release(r, b.prefix);
    b = run_one(r, recorded, steps[1]); /* of a resumed run: the same, cut anew */
    assert_true(b.rewards[0] == reward && b.cost.tokens_read > first);
    assert_true(reward_computed(r).tokens_read > 0);
    reward_release(r, b.prefix);
    reward_release(r, recorded);
    reward_release(r, a.prefix);
    reward_release(r, root);
    for (int k = 0; k < 4; k++) free(steps[k]);
    reward_close(r);
    mock_stop(m);
}

static void a_conversation_may_open(void **state) {
    UNUSED(state);
    static const enum mock_dialect dialects[] = {MOCK_VLLM, MOCK_SGLANG, MOCK_LLAMA};
    for (size_t i = 0; i < ARRAY_LEN(dialects); i++) {
        struct mock *m = mock_start(&(struct mock_options){.dialect = dialects[i], .chain = CHAIN});
        struct reward *r = open_or_fail(spec_of(m, "chat.json"));
        struct reward_prefix *root = root_of(r, "a chain");
        struct reward_result a = run_one(r, root, "x");
        assert_false(a.failed);
        assert_true(a.cost.tokens_read == 1 + 2 + 7 + 3 + 2); /* begin, "U:a chain\nA:", "x#" */
        reward_release(r, a.prefix);
        reward_release(r, root);
        reward_close(r);
        mock_stop(m);
    }
}

static void what_is_written_makes_no_phantom_step(void **state) {
    UNUSED(state);
    struct mock *m = mock_for(&cases[0]);
    struct reward *r = open_or_fail(spec_of(m, "steps.json"));
    struct reward_prefix *root = root_of(r, "a chain");
    const struct reward_result a = run_one(r, root, "one # two"); /* here a plain byte closes a step */
    assert_true(a.failed);
    assert_non_null(strstr(a.why, "2 rows for 1 steps"));
    reward_release(r, root);
    reward_close(r);
    mock_stop(m);
    char *names[] = {(char *)(uintptr_t) "<extra_0>", (char *)(uintptr_t) "[INST]"};
    const struct patterns p = {.names = names, .n_names = 2};
    struct buf out = {0};
    pattern_put_plain(&p, STR("a <extra_0> [INST]<|im_end|></s><s> 1 < 2 <extra_1>"), &out);
    assert_string_equal(buf_cstr(&out), "a < extra_0> [ INST]< |im_end|>< /s>< s> 1 < 2 <extra_1>");
    buf_free(&out);
}

/* ---- refusals ---- */
static void refusals_say_what_would_work(void **state) {
    UNUSED(state);
    struct mock *chat = mock_start(&(struct mock_options){.dialect = MOCK_CHAT, .chain = CHAIN});
    struct mock *llama = mock_start(&(struct mock_options){.dialect = MOCK_LLAMA, .chain = CHAIN});
    struct mock *vllm = mock_start(&(struct mock_options){.dialect = MOCK_VLLM, .chain = CHAIN});
    const struct {
        const struct mock *at;
        const char *profile, *says;
    } refused[] = {
        {chat, "no-such", "profile 'no-such' is unknown: judge, rerank"},
        {chat, "none.json", "none.json"},
        {chat, "odd.json", "no {steps}"},
        {chat, "wrong.json", "{what}"},
        {chat, "words.json", "/tokenize"},
        {chat, "rerank", "does not score steps there"},
        {llama, "steps.json", "llama-server scores no steps"},
        {vllm, "two.json", "more than one {problem}"},
        {vllm, "long.json", "is more"},
    };
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        struct err e = {0};
        assert_null(reward_open(spec_of(refused[i].at, refused[i].profile), NULL, &e));
        if (!strstr(e.msg, refused[i].says)) fail_msg("%s: %s", refused[i].profile, e.msg);
        assert_int_equal(e.code, ERR_INPUT);
    }
    struct err e = {0};
    char spec[80];
    snprintf(spec, sizeof spec, "http://127.0.0.1:%d/v1", vllm->port);
    assert_null(reward_open(spec, NULL, &e));
    assert_non_null(strstr(e.msg, ",profile=NAME"));
    assert_null(reward_open("http://127.0.0.1:1/v1#m,profile=judge", NULL, &e));
    assert_int_equal(e.code, ERR_SERVICE);
    assert_null(reward_open("http://me:secret@127.0.0.1:1/v1#m", NULL, &e));
    assert_null(strstr(e.msg, "secret"));
    mock_stop(chat);
    mock_stop(llama);
    mock_stop(vllm);
}

static void a_reward_model_has_a_key_of_its_own(void **state) {
    UNUSED(state);
    struct err e = {0};
    struct mock *m = mock_start(&(struct mock_options){.dialect = MOCK_VLLM, .chain = CHAIN, .key = KEY});
    setenv("BROOD_API_KEY", "sk-of-the-policy", 1);
    assert_null(reward_open(spec_of(m, "score"), NULL, &e));
    assert_null(strstr(e.msg, "sk-of-the-policy"));
    setenv("BROOD_REWARD_API_KEY", KEY, 1);
    reward_close(open_or_fail(spec_of(m, "score")));
    unsetenv("BROOD_REWARD_API_KEY");
    setenv("BROOD_API_KEY", KEY, 1);
    reward_close(open_or_fail(spec_of(m, "score")));
    mock_stop(m);
}

/* ---- judges ---- */
static void a_reply_is_read_strictly(void **state) {
    UNUSED(state);
    static const struct {
        const char *reply;
        int score; /* -1: none */
    } replies[] = {
        {"SCORE: 0", 0},
        {"Right.\n\nSCORE: 100\n \n", 100},
        {"SCORE: 7", 7},
        {"SCORE: 55\r\n", 55},
        {"", -1},
        {"SCORE: ", -1},
        {"SCORE: 101", -1},
        {"SCORE: 07", -1},
        {"SCORE: -1", -1},
        {"SCORE: 5.5", -1},
        {"SCORE: 50%", -1},
        {"Score: 50", -1},
        {"SCORE: N", -1},
        {"**SCORE: 50**", -1},
        {"It is SCORE: 50", -1},
        {"SCORE: 50\nI am sure.", -1},
    };
    for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
        float x = -1;
        const bool read = ways_judged(replies[i].reply, &x);
        if (read != (replies[i].score >= 0) || (read && x != (float)replies[i].score / 100))
            fail_msg("'%s' is read as %d, %g", replies[i].reply, read, (double)x);
    }
}

static void a_judge_is_asked_again_and_that_is_counted(void **state) {
    UNUSED(state);
    for (int n_shy = 2; n_shy <= 4; n_shy += 2) {
        struct mock *m =
            mock_start(&(struct mock_options){.dialect = MOCK_CHAT, .chain = CHAIN, .n_shy = n_shy});
        struct reward *r = open_or_fail(spec_of(m, "judge"));
        assert_string_equal(reward_info(r)->aggregate, "min");
        struct reward_prefix *root = root_of(r, "a chain");
        const struct reward_result a = run_one(r, root, "so\n\nand so");
        assert_int_equal(a.failed, n_shy == 4);
        if (a.failed)
            assert_non_null(strstr(a.why, "SCORE: N"));
        else
            assert_int_equal(a.n_rewards, 2);
        const double n_retried = reward_waste(r).n_retried;
        if (a.failed) /* one step was asked three times in vain; the other may have had fewer turns by then */
            assert_true(n_retried >= 3 && n_retried <= 6);
        else
            assert_true(n_retried == 4);
        assert_true(reward_waste(r).tokens_retried > 100);
        if (!a.failed) /* what was asked in vain is in no step's cost */
            assert_true(reward_waste(r).tokens_retried == 2 * a.cost.tokens_read);
        reward_release(r, a.prefix);
        reward_release(r, root);
        reward_close(r);
        mock_stop(m);
    }
}

static void answers_that_make_no_sense(void **state) {
    UNUSED(state);
    static const struct {
        enum way way;
        enum way_server server;
        const char *answer, *says;
    } senseless[] = {
        {WAY_POOLING, WAY_VLLM, "{\"data\":[{\"data\":[[0.5,0.5]]}]}", "1 rows for 2 steps and 5 tokens"},
        {WAY_POOLING, WAY_VLLM, "{\"data\":[{\"data\":[[1,-2],[3,1]]}]}", "logits"},
        {WAY_POOLING, WAY_VLLM, "{\"data\":[{\"data\":[[0.1],[\"x\"]]}]}", "no number"},
        {WAY_POOLING, WAY_VLLM, "{\"data\":[{\"data\":[[0.1],[4.5]]}]}", "logits"},
        {WAY_POOLING, WAY_VLLM, "{\"data\":[{\"data\":[[0.1],[0.2,0.3,0.5]]}]}",
         "neither one number nor two"},
        {WAY_POOLING, WAY_VLLM, "{\"data\":[]}", "0 rows"},
        {WAY_CLASSIFY, WAY_VLLM, "{\"data\":[{}]}", "no probabilities"},
        {WAY_CLASSIFY, WAY_SGLANG, "{\"embedding\":[1,2]}", "not one number"},
        {WAY_LOGPROB, WAY_VLLM, "{\"choices\":[{\"logprobs\":{\"top_logprobs\":[{\"token_id:9\":-1}]}}]}",
         "neither"},
        {WAY_LOGPROB, WAY_VLLM, "{\"choices\":[{\"logprobs\":null}]}", "no log-probabilities"},
        {WAY_LOGPROB, WAY_SGLANG, "{\"meta_info\":{}}", "no log-probabilities"},
        {WAY_LOGPROB, WAY_LLAMA, "[]", "no log-probabilities"},
        {WAY_RERANK, WAY_VLLM, "{\"results\":[{\"index\":0,\"relevance_score\":0.5}]}",
         "not one result a text"},
        {WAY_RERANK, WAY_VLLM,
         "{\"results\":[{\"index\":0,\"relevance_score\":0.5},{\"index\":0,\"relevance_score\":0.5}]}",
         "twice"},
        {WAY_RERANK, WAY_VLLM,
         "{\"results\":[{\"index\":2,\"relevance_score\":0.5},{\"index\":0,\"relevance_score\":0.5}]}",
         "index"},
        {WAY_SCORE, WAY_VLLM, "{\"data\":[{\"index\":0,\"score\":0.5},{\"index\":1}]}", "without a number"},
        {WAY_SCORE, WAY_VLLM, "{\"data\":[{\"index\":0,\"score\":0.5},{\"index\":1,\"score\":-3}]}",
         "logits"},
        {WAY_JUDGE, WAY_OTHER, "{\"choices\":[{\"message\":{}}]}", "no text"},
        {WAY_JUDGE, WAY_OTHER, "{\"choices\":[{},{}]}", "not one choice"},
        {WAY_JUDGE, WAY_OTHER, "{\"error\":{},\"choices\":[]}", "an error with status 200"},
    };
    int ids[5] = {1, 2, 3, 4, 5};
    const size_t ends[2] = {2, 4};
    for (size_t i = 0; i < ARRAY_LEN(senseless); i++) {
        struct err e = {0};
        float rewards[2];
        struct ways_answer out = {.rewards = rewards};
        const struct ways_ask asked = {.way = senseless[i].way,
                                       .server = senseless[i].server,
                                       .ids = {ids, 5, 5},
                                       .ends = ends,
                                       .n = 2,
                                       .n_steps = 2,
                                       .good = 1,
                                       .bad = 2};
        json_t *answer = json_parse(str_from(senseless[i].answer), "answer", &e);
        assert_non_null(answer);
        assert_false(ways_take(&asked, answer, &out, &e));
        if (!strstr(e.msg, senseless[i].says)) fail_msg("%s: %s", senseless[i].answer, e.msg);
        json_decref(answer);
    }
}

static void a_word_that_is_not_likely_counts_as_impossible(void **state) {
    UNUSED(state);
    static const char *const answers[] = {
        "{\"choices\":[{\"logprobs\":{\"top_logprobs\":[{\"token_id:1\":-1}]}}]}",
        "{\"choices\":[{\"logprobs\":{\"top_logprobs\":[{\"token_id:2\":-1,\"token_id:1\":-9999.0}]}}]}",
        "{\"choices\":[{\"logprobs\":{\"top_logprobs\":[{\"token_id:2\":-3,\"token_id:1\":-3}]}}]}"};
    static const float expected[] = {1, 0, 0.5f};
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        struct err e = {0};
        float reward;
        struct ways_answer out = {.rewards = &reward};
        const struct ways_ask asked = {.way = WAY_LOGPROB, .n = 1, .good = 1, .bad = 2};
        json_t *answer = json_parse(str_from(answers[i]), "answer", &e);
        assert_true(ways_take(&asked, answer, &out, &e));
        assert_true(reward == expected[i]);
        json_decref(answer);
    }
}

/* ---- runs ---- */
enum { PROBLEMS = 8 };

static char *write_task(void) {
    struct err e;
    struct buf b = {0};
    for (int i = 0; i < PROBLEMS; i++)
        buf_printf(&b, "{\"id\":\"p%d\",\"problem\":\"chain %d\",\"answer\":%d}\n", i, i, i % 3);
    char *path = file_join(dir, "task.jsonl");
    assert_true(file_write_atomic(path, buf_str(&b), &e));
    buf_free(&b);
    return path;
}

static struct run *open_run(const char *task, const char *policy, const char *reward, const char *store) {
    struct err e = {0};
    struct run_options o = {.task = task,
                            .policy = policy,
                            .reward = reward,
                            .store = store,
                            .select = SELECT_WEIGHTED,
                            .aggregate = AGGREGATE_LAST,
                            .seed = 7};
    if (!search_spec_parse(&o.spec, "beam:n=4,width=2", &e)) fail_msg("%s", e.msg);
    struct run *r = run_open(&o, &e);
    if (!r) fail_msg("%s", e.msg);
    return r;
}

/* The records but for the configuration, which names the servers. Owned. */
static char *finish_run(struct run *r) {
    struct err e = {0};
    struct run_progress progress;
    do {
        if (!run_step(r, &progress, &e)) fail_msg("%s", e.msg);
    } while (!progress.finished);
    assert_int_equal(progress.n_done, PROBLEMS);
    assert_int_equal(progress.n_failed, 0);
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    assert_true(store_export(run_store(r), f, &e));
    fclose(f);
    assert_true(run_close(r, &e));
    char *records = mem_strdup(strchr(text, '\n'));
    free(text);
    return records;
}

static void faults_of_policy_and_reward_model_change_no_record(void **state) {
    UNUSED(state);
    char *task = write_task(), policies[2][80], rewards[2][200];
    int n_given[MOCK_FAULTS] = {0};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct mock_options o = {.dialect = MOCK_VLLM, .chain = CHAIN};
        struct mock_options w = {
            .dialect = cases[i].dialect, .chain = CHAIN, .rows_by_token = cases[i].rows_by_token};
        struct mock *all[4];
        char *records[2];
        for (int k = 0; k < 2; k++) {
            o.share = w.share = k * 0.3;
            o.faults = w.faults = all_faults;
            all[k] = mock_start(&o);
            all[2 + k] = mock_start(&w);
            snprintf(policies[k], sizeof policies[k], "http://127.0.0.1:%d/v1#toy", all[k]->port);
            snprintf(rewards[k], sizeof rewards[k], "%s", spec_of(all[2 + k], cases[i].profile));
            records[k] = finish_run(open_run(task, policies[k], rewards[k], ":memory:"));
        }
        assert_string_equal(records[0], records[1]);
        assert_true(all[3]->n_faults > all[3]->n_requests / 5);
        for (int k = 0; k < MOCK_FAULTS; k++) n_given[k] += all[3]->n_given[k];
        for (int k = 0; k < 2; k++) free(records[k]);
        for (int k = 0; k < 4; k++) mock_stop(all[k]);
    }
    for (int k = 0; k < MOCK_STALL; k++) assert_true(n_given[k] > 0);
    free(task);
}

static void a_reward_model_gone_for_good_ends_a_run_that_can_go_on(void **state) {
    UNUSED(state);
    struct err e = {0};
    char *task = write_task(), *store = file_join(dir, "run.brood"), reward[200];
    const char *policy = "toy:" CHAIN;
    const struct mock_options o = {.dialect = MOCK_VLLM, .chain = CHAIN};
    setenv("BROOD_RETRY_SECONDS", "0.3", 1);
    struct mock *m = mock_start(&o);
    snprintf(reward, sizeof reward, "%s", spec_of(m, "words.json"));
    char *expected = finish_run(open_run(task, policy, reward, ":memory:"));
    struct run *r = open_run(task, policy, reward, store);
    struct run_progress progress;
    for (int i = 0; i < 4; i++) assert_true(run_step(r, &progress, &e));
    const int port = m->port;
    mock_stop(m);
    while (run_step(r, &progress, &e)) assert_false(progress.finished);
    assert_int_equal(e.code, ERR_SERVICE);
    assert_non_null(strstr(e.msg, "the same command goes on"));
    assert_true(run_close(r, &e));
    m = mock_start_at(&o, port);
    char *got = finish_run(open_run(task, policy, reward, store));
    assert_string_equal(expected, got);
    free(got);
    free(expected);
    mock_stop(m);
    free(store);
    free(task);
}

static void cancelled_jobs_leave_nothing(void **state) {
    UNUSED(state);
    struct err e = {0};
    for (int n_good = 20; n_good <= 60; n_good += 20) { /* ids stall, or rewards */
        struct mock *m = mock_start(&(struct mock_options){
            .dialect = MOCK_VLLM, .chain = CHAIN, .share = 1, .faults = 1u << MOCK_STALL, .n_good = n_good});
        struct reward *r = open_or_fail(spec_of(m, "words.json"));
        struct reward_prefix *root = root_of(r, "stalls");
        char text[40];
        for (uint64_t id = 0; id < 40; id++) {
            snprintf(text, sizeof text, "one %d\n\ntwo", (int)id);
            reward_submit(r, &(struct reward_job){.id = id, .from = root, .text = str_from(text)});
        }
        for (int i = 0; i < 20; i++) assert_true(reward_work(r, 0.01, &e) > 0);
        reward_release(r, root);
        for (uint64_t id = 0; id < 38; id++) reward_cancel(r, id);
        reward_cancel(r, 99);
        struct reward_result result; /* some had ended before */
        while (reward_next(r, &result)) reward_release(r, result.prefix);
        reward_close(r); /* the last two with it */
        mock_stop(m);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_way_gives_every_step_its_reward),
        cmocka_unit_test(steps_are_cut_into_ids_once),
        cmocka_unit_test(a_conversation_may_open),
        cmocka_unit_test(what_is_written_makes_no_phantom_step),
        cmocka_unit_test_teardown(refusals_say_what_would_work, clear_environment),
        cmocka_unit_test_teardown(a_reward_model_has_a_key_of_its_own, clear_environment),
        cmocka_unit_test(a_reply_is_read_strictly),
        cmocka_unit_test(a_judge_is_asked_again_and_that_is_counted),
        cmocka_unit_test(answers_that_make_no_sense),
        cmocka_unit_test(a_word_that_is_not_likely_counts_as_impossible),
        cmocka_unit_test(faults_of_policy_and_reward_model_change_no_record),
        cmocka_unit_test_teardown(a_reward_model_gone_for_good_ends_a_run_that_can_go_on, clear_environment),
        cmocka_unit_test(cancelled_jobs_leave_nothing),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
