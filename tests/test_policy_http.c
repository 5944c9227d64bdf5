/* The policy over HTTP, against a server that writes toy chains and fails on purpose (mock_server.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "mock_server.h"
#include "policy/policy.h"
#include "http/servers.h"
#include "policy/wire.h"
#include "run/run.h"
#include "store/store.h"

#define CHAIN "depth=4,seed=3"
#define KEY   "sk-mock-5Zq7"

static const unsigned all_faults = (1u << MOCK_STALL) - 1; /* all but that */
static char dir[] = "/tmp/brood-http-XXXXXX";

/* What a job without a lead had written. */
static struct policy_prefix *extend(struct policy *p, struct policy_prefix *from, int index, struct str text,
                                    const int *tokens, int n_tokens, struct err *e) {
    const struct policy_piece piece = {.index = index, .text = text, .tokens = tokens, .n_tokens = n_tokens};
    return policy_extend(p, from, &piece, e);
}

static int make_dir(void **state) {
    UNUSED(state);
    static const char *const proxies[] = {"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"};
    for (size_t i = 0; i < ARRAY_LEN(proxies); i++) unsetenv(proxies[i]);
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state) {
    UNUSED(state);
    static const char *const names[] = {
        "task.jsonl",           "run.brood", "run.brood-wal", "run.brood-shm", "task.jsonl.brood-wal",
        "task.jsonl.brood-shm", "key"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char *path = file_join(dir, names[i]);
        unlink(path);
        free(path);
    }
    return rmdir(dir);
}

static int clear_environment(void **state) {
    UNUSED(state);
    static const char *const names[] = {"BROOD_API_KEY", "BROOD_API_KEY_FILE", "BROOD_RETRY_SECONDS",
                                        "BROOD_REQUEST_SECONDS"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) unsetenv(names[i]);
    return 0;
}

static const char *spec_of(const struct mock *m) {
    static char spec[80];
    snprintf(spec, sizeof spec, "http://127.0.0.1:%d/v1#toy", m->port);
    return spec;
}

static struct policy *open_or_fail(const char *spec) {
    struct err e = {0};
    struct policy *p = policy_open(spec, NULL, &e);
    if (!p) fail_msg("%s: %s", spec, e.msg);
    return p;
}

static struct policy_prefix *root_of(struct policy *p, const char *text) {
    struct err e = {0};
    struct policy_prefix *root = policy_root(p, &(struct policy_prompt){.id = text, .text = text}, &e);
    if (!root) fail_msg("%s", e.msg);
    return root;
}

/* Works until the server has rendered it. */
static enum policy_reading read_prefix(struct policy *p, const struct policy_prefix *prefix, struct err *e) {
    enum policy_reading reading;
    while ((reading = policy_reading(p, prefix, e)) == POLICY_READING)
        if (policy_work(p, 0.05, e) < 0) fail_msg("%s", e->msg);
    return reading;
}

static struct policy_job job_of(uint64_t id, struct policy_prefix *from, uint64_t key,
                                enum policy_until until) {
    return (struct policy_job){.id = id,
                               .from = from,
                               .key = key,
                               .until = until,
                               .n_tokens_max = 200,
                               .sampling = {.temperature = 1, .top_p = 1}};
}

static struct policy_result run_job(struct policy *p, const struct policy_job *job) {
    struct err e = {0};
    struct policy_result r;
    policy_submit(p, job);
    while (!policy_next(p, &r))
        if (policy_work(p, 0.05, &e) < 0) fail_msg("%s", e.msg);
    assert_int_equal(r.id, job->id);
    return r;
}

/* Its text, owned; the prefix is let go. */
static char *text_of_job(struct policy *p, const struct policy_job *job) {
    struct policy_result r = run_job(p, job);
    char *text = str_dup(r.text);
    policy_release(p, r.prefix);
    return text;
}

/* ---- opening ---- */
static void refusals_say_what_would_work(void **state) {
    UNUSED(state);
    struct mock *m = mock_start(&(struct mock_options){.dialect = MOCK_VLLM});
    char other[80], nobody[80];
    snprintf(other, sizeof other, "http://127.0.0.1:%d/v1#other", m->port);
    snprintf(nobody, sizeof nobody, "http://127.0.0.1:%d/nothing#toy", m->port);
    const struct {
        const char *spec, *says;
        enum err_code code;
    } cases[] = {
        {"http://", "give http://host:port/v1#model", ERR_INPUT},
        {"http:///v1", "give http://host:port/v1#model", ERR_INPUT},
        {"http://127.0.0.1:1/v1?x=1#m", "give http://host:port/v1#model", ERR_INPUT},
        {"http://127.0.0.1:1/v1,ftp://h/v1#m", "give http://host:port/v1#model", ERR_INPUT},
        {"http://me:secret@127.0.0.1:1/v1#m", "BROOD_API_KEY", ERR_INPUT},
        {"http://127.0.0.1:1/v1#m", "is the server running?", ERR_SERVICE},
        {other, "no model 'other'; it has: toy", ERR_INPUT},
        {nobody, "up to /v1", ERR_INPUT},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = {0};
        assert_null(policy_open(cases[i].spec, NULL, &e));
        if (!strstr(e.msg, cases[i].says)) fail_msg("'%s' says: %s", cases[i].spec, e.msg);
        assert_int_equal(e.code, cases[i].code);
        assert_null(strstr(e.msg, "secret"));
    }
    struct err e = {0};
    assert_null(policy_open(spec_of(m), &(struct policy_options){.chat = "chatml"}, &e));
    assert_non_null(strstr(e.msg, "leave --chat out"));
    setenv("BROOD_RETRY_SECONDS", "soon", 1);
    assert_null(policy_open(spec_of(m), NULL, &e));
    assert_non_null(strstr(e.msg, "BROOD_RETRY_SECONDS"));
    mock_stop(m);
}

static void servers_say_what_they_are(void **state) {
    UNUSED(state);
    char identities[3][32];
    for (int d = MOCK_VLLM; d <= MOCK_CHAT; d++) {
        struct mock *m = mock_start(&(struct mock_options){.dialect = (enum mock_dialect)d, .chain = CHAIN});
        char spec[80];
        snprintf(spec, sizeof spec, "http://127.0.0.1:%d/v1/", m->port); /* the only model that it has */
        struct policy *p = open_or_fail(spec);
        const struct policy_info *info = policy_info(p);
        assert_string_equal(info->kind, "openai");
        assert_non_null(strstr(info->talks, d == MOCK_CHAT ? "/v1/chat/completions" : "token ids"));
        assert_int_equal(info->whole_answers_only, d == MOCK_CHAT);
        assert_int_equal(info->n_context, d == MOCK_CHAT ? 0 : MOCK_CONTEXT);
        assert_int_equal(info->n_wanted, SERVER_WINDOW_FIRST);
        memcpy(identities[d], info->identity, sizeof identities[d]);
        struct err e = {0};
        struct policy_prefix *root = root_of(p, "three");
        assert_int_equal(policy_reading(p, root, &e), d == MOCK_CHAT ? POLICY_READ : POLICY_READING);
        assert_int_equal(policy_in_flight(p), d != MOCK_CHAT);
        assert_int_equal(read_prefix(p, root, &e), POLICY_READ);
        assert_int_equal(policy_in_flight(p), 0);
        assert_int_equal(policy_root_cost(p, root).tokens_read, 0);
        assert_true(policy_reads(p, root, POLICY_UNTIL_END) >= 1 + 2 + 5 + 3);
        policy_release(p, root);
        policy_close(p);
        p = open_or_fail(spec_of(m));
        assert_string_equal(policy_info(p)->identity, identities[d]);
        policy_close(p);
        mock_stop(m);
    }
    assert_string_not_equal(identities[MOCK_VLLM], identities[MOCK_LLAMA]);
    assert_string_not_equal(identities[MOCK_VLLM], identities[MOCK_CHAT]);
}

/* ---- jobs ---- */

/* Writes a whole solution step by step; checks every result against the chain; returns the text. */
static char *write_by_steps(struct policy *p, const char *problem, uint64_t key, bool blank) {
    struct toy_params params;
    struct toy_chain chain;
    struct err e;
    struct buf all = {0};
    assert_true(toy_params_parse(&params, CHAIN, &e));
    toy_chain_init(&chain, &params, problem);
    struct policy_prefix *at = root_of(p, problem);
    for (int level = 1; level <= 4; level++) {
        const struct policy_job job =
            job_of((uint64_t)level, at, rng_child(key, (uint64_t)level), POLICY_UNTIL_STEP);
        struct policy_result r = run_job(p, &job);
        assert_int_equal(r.finish, level == 4 ? POLICY_END : POLICY_STEP);
        int value;
        assert_true(toy_chain_read(&chain, level, str_trim(r.text), &value));
        assert_true(level == 4 || str_ends(r.text, STR("\n\n")));
        assert_int_equal(str_starts(r.text, STR("\n\n")), blank && level == 1);
        assert_int_equal(r.n_tokens, r.text.len + (level == 4));
        assert_int_equal(r.tokens[0], (unsigned char)r.text.ptr[0] + MOCK_TOKEN_0);
        assert_true(fabs(r.logprob + 0.5 * r.n_tokens) < 1e-9);
        assert_int_equal(r.cost.tokens_generated, r.n_tokens);
        const double carried = policy_reads(p, at, POLICY_UNTIL_END); /* a blank step took a second request */
        assert_true(r.cost.tokens_read == (blank && level == 1 ? 2 * carried + 2 : carried));
        assert_true(r.cost.tokens_read <= policy_reads(p, at, POLICY_UNTIL_STEP));
        buf_add_str(&all, r.text);
        /* A recorded result gives the same prefix: the same job after it gives the same text. */
        struct policy_prefix *again = extend(p, at, 0, r.text, r.tokens, r.n_tokens, &e);
        assert_non_null(again);
        struct policy_prefix *next = r.prefix;
        if (level < 4) {
            const struct policy_job a = job_of(8, next, key, POLICY_UNTIL_STEP);
            const struct policy_job b = job_of(9, again, key, POLICY_UNTIL_STEP);
            char *first = text_of_job(p, &a), *second = text_of_job(p, &b);
            assert_string_equal(first, second);
            free(first);
            free(second);
        }
        policy_release(p, again);
        policy_release(p, at);
        at = next;
    }
    const struct policy_job more = job_of(9, at, key, POLICY_UNTIL_STEP);
    struct policy_result r = run_job(p, &more);
    assert_int_equal(r.finish, POLICY_FAILED);
    assert_string_equal(r.why, "the answer has ended");
    policy_release(p, at);
    return buf_take(&all);
}

static void steps_end_at_the_separator(void **state) {
    UNUSED(state);
    static const struct mock_options kinds[] = {
        {.dialect = MOCK_VLLM, .chain = CHAIN},
        {.dialect = MOCK_LLAMA, .chain = CHAIN},
        {.dialect = MOCK_VLLM, .chain = CHAIN, .drop_stop = true},
        {.dialect = MOCK_VLLM, .chain = CHAIN, .blank = true},
        {.dialect = MOCK_LLAMA, .chain = CHAIN, .blank = true},
        {.dialect = MOCK_IK, .chain = CHAIN},
    };
    char *texts[ARRAY_LEN(kinds)];
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct mock *m = mock_start(&kinds[i]);
        struct policy *p = open_or_fail(spec_of(m));
        texts[i] = write_by_steps(p, "a chain", 5, kinds[i].blank);
        assert_true(policy_computed(p).tokens_generated > 50);
        assert_true(policy_computed(p).tokens_read > 0);
        policy_close(p);
        mock_stop(m);
    }
    assert_string_equal(texts[0], texts[1]);
    assert_string_equal(texts[0], texts[2]);
    assert_string_equal(texts[3], texts[4]);
    assert_string_equal(texts[0], texts[5]);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) free(texts[i]);
}

static void whole_answers_and_cut_ones(void **state) {
    UNUSED(state);
    char *texts[3];
    for (int d = MOCK_VLLM; d <= MOCK_CHAT; d++) {
        struct mock *m = mock_start(&(struct mock_options){.dialect = (enum mock_dialect)d, .chain = CHAIN});
        struct policy *p = open_or_fail(spec_of(m));
        struct policy_prefix *root = root_of(p, "whole");
        struct policy_job job = job_of(1, root, 77, POLICY_UNTIL_END);
        struct policy_result r = run_job(p, &job);
        assert_int_equal(r.finish, POLICY_END);
        assert_int_equal(r.n_tokens, r.text.len + 1);
        assert_int_equal(isnan(r.logprob), d == MOCK_CHAT);
        assert_int_equal(r.tokens == NULL, d == MOCK_CHAT);
        texts[d] = str_dup(r.text);
        policy_release(p, r.prefix);
        job.n_tokens_max = 9;
        r = run_job(p, &job);
        assert_int_equal(r.finish, POLICY_LENGTH);
        assert_int_equal(r.n_tokens, 9);
        assert_int_equal(r.text.len, 9);
        assert_memory_equal(r.text.ptr, texts[d], 9);
        policy_release(p, r.prefix);
        job.n_tokens_max = 200; /* another key, another text: the seed is the key's */
        char *same = text_of_job(p, &job);
        assert_string_equal(same, texts[d]);
        int n_others = 0;
        for (uint64_t key = 0; key < 8; key++) {
            job.key = key;
            char *other = text_of_job(p, &job);
            n_others += strcmp(other, same) != 0;
            free(other);
        }
        assert_true(n_others > 4);
        free(same);
        policy_release(p, root);
        policy_close(p);
        mock_stop(m);
    }
    assert_string_equal(texts[0], texts[1]);
    assert_string_equal(texts[0], texts[2]);
    for (size_t i = 0; i < 3; i++) free(texts[i]);
}

static void chat_services_write_whole_answers_only(void **state) {
    UNUSED(state);
    struct err e = {0};
    struct mock *m = mock_start(&(struct mock_options){.dialect = MOCK_CHAT});
    struct policy *p = open_or_fail(spec_of(m));
    struct policy_prefix *root = root_of(p, "whole");
    const struct policy_job job = job_of(1, root, 1, POLICY_UNTIL_STEP);
    policy_submit(p, &job);
    assert_int_equal(policy_work(p, 0.05, &e), -1);
    assert_int_equal(e.code, ERR_INPUT);
    assert_non_null(strstr(e.msg, "--strategy sample"));
    policy_cancel(p, 1);
    policy_release(p, root);
    policy_close(p);
    mock_stop(m);
}

static void too_long_problems_are_refused_alone(void **state) {
    UNUSED(state);
    struct err e = {0};
    struct mock *m = mock_start(&(struct mock_options){.dialect = MOCK_VLLM, .chain = CHAIN});
    struct policy *p = open_or_fail(spec_of(m));
    char *text = mem_zalloc(MOCK_CONTEXT + 1, 1);
    memset(text, 'x', MOCK_CONTEXT);
    struct policy_prefix *root = root_of(p, text);
    struct policy_job job = job_of(1, root, 1, POLICY_UNTIL_END);
    struct policy_result r = run_job(p, &job); /* one that was asked for before it was known */
    assert_int_equal(r.finish, POLICY_FAILED);
    assert_non_null(strstr(r.why, "shorten it"));
    assert_int_equal(policy_reading(p, root, &e), POLICY_UNREADABLE);
    assert_int_equal(e.code, ERR_INPUT);
    assert_non_null(strstr(e.msg, "shorten it"));
    policy_release(p, root);
    text[MOCK_CONTEXT - 10] = '\0'; /* fits, with four tokens to spare */
    root = root_of(p, text);
    job = job_of(1, root, 1, POLICY_UNTIL_END);
    r = run_job(p, &job);
    assert_int_equal(r.finish, POLICY_LENGTH);
    assert_int_equal(r.n_tokens, 4);
    const struct policy_job full = job_of(2, r.prefix, 1, POLICY_UNTIL_END);
    struct policy_prefix *end = r.prefix;
    r = run_job(p, &full);
    assert_int_equal(r.finish, POLICY_FAILED);
    assert_string_equal(r.why, "the policy's context is full");
    policy_release(p, end);
    policy_release(p, root);
    free(text);
    policy_close(p);
    mock_stop(m);
}

static void cancelled_jobs_leave_nothing(void **state) {
    UNUSED(state);
    struct err e = {0};
    struct mock *m = mock_start(&(struct mock_options){
        .dialect = MOCK_VLLM, .chain = CHAIN, .share = 1, .faults = 1u << MOCK_STALL, .n_good = 4});
    struct policy *p = open_or_fail(spec_of(m));
    struct policy_prefix *root = root_of(p, "stalls");
    for (uint64_t id = 0; id < 40; id++) {
        const struct policy_job job = job_of(id, root, id, POLICY_UNTIL_STEP);
        policy_submit(p, &job);
    }
    for (int i = 0; i < 3; i++) assert_true(policy_work(p, 0.01, &e) > 0); /* some fly, some wait */
    for (uint64_t id = 0; id < 38; id++) policy_cancel(p, id);
    policy_cancel(p, 99);
    assert_int_equal(policy_in_flight(p), 2);
    policy_release(p, root);
    policy_close(p); /* the last two with it */
    mock_stop(m);
}

static void senseless_answers_are_chance_until_they_repeat(void **state) {
    UNUSED(state);
    static const unsigned mixed = 1u << MOCK_MALFORMED | 1u << MOCK_EMPTY | 1u << MOCK_ERROR_200;
    const struct mock_options six = {
        .dialect = MOCK_VLLM, .chain = CHAIN, .share = 1, .faults = mixed, .n_good = 4, .n_bad = 6};
    struct mock_options all_alike = six;
    all_alike.faults = 1u << MOCK_EMPTY;
    all_alike.n_bad = 0;
    const struct policy_job job = job_of(1, NULL, 1, POLICY_UNTIL_STEP);
    for (int k = 0; k < 2; k++) {
        struct mock *m = mock_start(k ? &all_alike : &six);
        struct policy *p = open_or_fail(spec_of(m));
        assert_int_equal(m->n_faults, 0);
        struct policy_job asked = job;
        asked.from = root_of(p, "chain 0");
        const struct policy_result r = run_job(p, &asked);
        assert_int_equal(m->n_faults, 6);
        assert_int_equal(r.finish == POLICY_FAILED, k == 1);
        if (r.prefix) policy_release(p, r.prefix);
        policy_release(p, asked.from);
        policy_close(p);
        mock_stop(m);
    }
}

/* ---- the key ---- */
static bool contains(const char *path, const char *what) {
    struct buf bytes = {0};
    struct err e;
    if (!file_read(path, 1 << 26, &bytes, &e)) return false;
    bool found = str_find(buf_str(&bytes), str_from(what)) >= 0;
    buf_free(&bytes);
    return found;
}

static void keys_are_sent_and_never_shown(void **state) {
    UNUSED(state);
    struct err e = {0};
    struct mock *m = mock_start(&(struct mock_options){.dialect = MOCK_VLLM, .key = KEY});
    assert_null(policy_open(spec_of(m), NULL, &e));
    assert_int_equal(e.code, ERR_INPUT);
    assert_non_null(strstr(e.msg, "BROOD_API_KEY"));
    setenv("BROOD_API_KEY", "sk-wrong", 1);
    assert_null(policy_open(spec_of(m), NULL, &e));
    assert_non_null(strstr(e.msg, "wrong key: Bearer (the key)"));
    assert_null(strstr(e.msg, "sk-wrong"));
    setenv("BROOD_API_KEY", "sk-bad\r\nHost: x", 1);
    assert_null(policy_open(spec_of(m), NULL, &e));
    assert_null(strstr(e.msg, "sk-bad"));
    setenv("BROOD_API_KEY", KEY, 1);
    struct policy *p = open_or_fail(spec_of(m));
    policy_close(p);
    unsetenv("BROOD_API_KEY");
    char *path = file_join(dir, "key");
    assert_true(file_write_atomic(path, STR(KEY "\n"), &e));
    setenv("BROOD_API_KEY_FILE", path, 1);
    p = open_or_fail(spec_of(m));
    policy_close(p);
    setenv("BROOD_API_KEY_FILE", "/no/such/key", 1);
    assert_null(policy_open(spec_of(m), NULL, &e));
    assert_non_null(strstr(e.msg, "BROOD_API_KEY_FILE"));
    free(path);
    mock_stop(m);
}

/* ---- runs ---- */
enum { PROBLEMS = 12 };

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

static struct run *open_run(const char *task, const char *spec, const char *store, const char *strategy) {
    struct err e = {0};
    struct run_options o = {.task = task,
                            .policy = spec,
                            .reward = "toy:" CHAIN ",noise=0.1",
                            .store = store,
                            .select = SELECT_WEIGHTED,
                            .aggregate = AGGREGATE_LAST,
                            .seed = 7};
    if (!search_spec_parse(&o.spec, strategy, &e)) fail_msg("%s", e.msg);
    struct run *r = run_open(&o, &e);
    if (!r) fail_msg("%s", e.msg);
    return r;
}

/* The records but for the configuration, which names the server. Owned. */
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

static char *records_of(const char *task, const char *spec, const char *strategy) {
    return finish_run(open_run(task, spec, ":memory:", strategy));
}

static void faults_change_no_record(void **state) {
    UNUSED(state);
    static const char *const strategies[] = {"sample:n=6", "beam:n=4,width=2", "dvts:n=4,width=2"};
    char *task = write_task();
    int n_given[MOCK_FAULTS] = {0};
    for (int d = MOCK_VLLM; d <= MOCK_CHAT; d++) {
        for (size_t i = 0; i < (d == MOCK_CHAT ? 1 : ARRAY_LEN(strategies)); i++) {
            struct mock_options o = {.dialect = (enum mock_dialect)d, .chain = CHAIN};
            struct mock *sound = mock_start(&o);
            o.share = 0.3;
            o.faults = all_faults;
            struct mock *broken = mock_start(&o);
            char *expected = records_of(task, spec_of(sound), strategies[i]);
            char *got = records_of(task, spec_of(broken), strategies[i]);
            assert_string_equal(expected, got);
            assert_true(broken->n_faults > broken->n_requests / 5);
            for (int k = 0; k < MOCK_FAULTS; k++) n_given[k] += broken->n_given[k];
            free(expected);
            free(got);
            mock_stop(sound);
            mock_stop(broken);
        }
    }
    for (int k = 0; k < MOCK_STALL; k++) assert_true(n_given[k] > 0);
    free(task);
}

/* What a person sees of it: one command's output, both streams. */
static char *output_of(const char *command) {
    FILE *f = popen(command, "r");
    struct buf out = {0};
    char bytes[4096];
    assert_non_null(f);
    for (size_t n; (n = fread(bytes, 1, sizeof bytes, f)) > 0;) buf_add(&out, bytes, n);
    assert_int_equal(pclose(f), 0);
    return buf_take(&out);
}

static void repetitions_are_shown(void **state) {
    UNUSED(state);
    const char *brood = getenv("BROOD");
    if (!brood) skip();
    char *task = write_task(), command[600];
    struct mock *m = mock_start(&(struct mock_options){.dialect = MOCK_VLLM,
                                                       .chain = CHAIN,
                                                       .share = 0.3,
                                                       .faults = 1u << MOCK_500 | 1u << MOCK_503,
                                                       .n_good = 4});
    snprintf(command, sizeof command, "%s solve --policy http://127.0.0.1:%d/v1#toy -n 24 x 2>&1", brood,
             m->port);
    char *solved = output_of(command);
    assert_non_null(strstr(solved, "asked again: "));
    snprintf(command, sizeof command,
             "%s bench %s --policy http://127.0.0.1:%d/v1#toy -n 8 --run %s.brood 2>&1", brood, task, m->port,
             task);
    char *benched = output_of(command);
    assert_non_null(strstr(benched, "requests to servers were asked again"));
    snprintf(command, sizeof command, "%s report %s.brood", brood, task);
    char *reported = output_of(command);
    assert_non_null(strstr(reported, "asked again: "));
    snprintf(command, sizeof command, "%s.brood", task);
    unlink(command);
    mock_stop(m);
    free(solved);
    free(benched);
    free(reported);
    free(task);
}

static void stalls_end_at_the_deadline(void **state) {
    UNUSED(state);
    char *task = write_task();
    struct mock_options o = {.dialect = MOCK_VLLM, .chain = CHAIN};
    struct mock *sound = mock_start(&o);
    o.share = 0.3;
    o.faults = 1u << MOCK_STALL;
    o.n_good = 10;
    o.n_bad = 12;
    struct mock *stalling = mock_start(&o);
    char *expected = records_of(task, spec_of(sound), "sample:n=4");
    setenv("BROOD_REQUEST_SECONDS", "0.4", 1);
    struct run *r = open_run(task, spec_of(stalling), ":memory:", "sample:n=4");
    unsetenv("BROOD_REQUEST_SECONDS");
    char *got = finish_run(r);
    assert_string_equal(expected, got);
    free(expected);
    free(got);
    mock_stop(sound);
    mock_stop(stalling);
    free(task);
}

static void retry_after_is_waited_for(void **state) {
    UNUSED(state);
    struct mock *m = mock_start(&(struct mock_options){.dialect = MOCK_VLLM,
                                                       .chain = CHAIN,
                                                       .share = 1,
                                                       .faults = 1u << MOCK_429,
                                                       .n_good = 4,
                                                       .n_bad = 1,
                                                       .retry_after = "1"});
    setenv("BROOD_RETRY_SECONDS", "0.01", 1); /* being told to wait is no failure */
    struct policy *p = open_or_fail(spec_of(m));
    struct policy_prefix *root = root_of(p, "waits");
    const struct policy_job job = job_of(1, root, 1, POLICY_UNTIL_END);
    const double began = clock_seconds();
    free(text_of_job(p, &job));
    assert_true(clock_seconds() - began > 0.99);
    assert_true(policy_waste(p).n_retried == 1);
    assert_true(policy_waste(p).tokens_retried == policy_reads(p, root, POLICY_UNTIL_END));
    policy_release(p, root);
    policy_close(p);
    mock_stop(m);
}

static void another_server_takes_over(void **state) {
    UNUSED(state);
    struct err e = {0};
    char *task = write_task(), spec[160];
    const struct mock_options o = {.dialect = MOCK_LLAMA, .chain = CHAIN};
    struct mock *a = mock_start(&o), *b = mock_start(&o);
    char *expected = records_of(task, spec_of(a), "beam:n=4,width=2");
    mock_take_requests(a);
    snprintf(spec, sizeof spec, "http://127.0.0.1:%d/v1,http://127.0.0.1:%d/v1#toy", a->port, b->port);
    struct run *r = open_run(task, spec, ":memory:", "beam:n=4,width=2");
    struct run_progress progress;
    for (int i = 0; i < 2; i++) assert_true(run_step(r, &progress, &e));
    assert_true(mock_take_requests(a) > 0 && mock_take_requests(b) > 0);
    mock_stop(b);
    char *got = finish_run(r);
    assert_string_equal(expected, got);
    free(got);
    got = records_of(task, spec, "beam:n=4,width=2"); /* one that is not there when it begins */
    assert_string_equal(expected, got);
    free(got);
    free(expected);
    mock_stop(a);
    free(task);
}

static void a_server_gone_for_good_ends_a_run_that_can_go_on(void **state) {
    UNUSED(state);
    struct err e = {0};
    char *task = write_task(), *store = file_join(dir, "run.brood"), spec[80];
    const struct mock_options o = {.dialect = MOCK_VLLM, .chain = CHAIN, .key = KEY};
    setenv("BROOD_API_KEY", KEY, 1);
    setenv("BROOD_RETRY_SECONDS", "0.3", 1);
    struct mock *m = mock_start(&o);
    snprintf(spec, sizeof spec, "%s", spec_of(m));
    char *expected = records_of(task, spec, "beam:n=4,width=2");
    struct run *r = open_run(task, spec, store, "beam:n=4,width=2");
    struct run_progress progress;
    for (int i = 0; i < 4; i++) assert_true(run_step(r, &progress, &e));
    const int port = m->port;
    mock_stop(m);
    while (run_step(r, &progress, &e)) assert_false(progress.finished);
    assert_int_equal(e.code, ERR_SERVICE);
    assert_non_null(strstr(e.msg, "the same command goes on"));
    assert_true(run_close(r, &e));
    m = mock_start_at(&o, port);
    char *got = finish_run(open_run(task, spec, store, "beam:n=4,width=2"));
    assert_string_equal(expected, got);
    assert_false(contains(store, KEY));
    assert_true(contains(store, "127.0.0.1"));
    free(got);
    free(expected);
    mock_stop(m);
    free(store);
    free(task);
}

/* ---- bookkeeping of servers ---- */
static void problems_stay_with_their_server(void **state) {
    UNUSED(state);
    struct servers s = {0};
    int of[3] = {0};
    static const char *const urls[] = {"http://a/v1", "http://b/v1/", "http://c"};
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) servers_add(&s, urls[i]);
    assert_string_equal(s.items[1].base, "http://b/v1");
    assert_string_equal(s.items[1].root, "http://b");
    assert_string_equal(s.items[2].root, "http://c");
    for (uint64_t key = 0; key < 300; key++) of[servers_pick(&s, key, -1, 1)]++;
    for (int i = 0; i < 3; i++) assert_in_range(of[i], 60, 140);
    for (uint64_t key = 0; key < 300;
         key++) { /* one that waits gives its problems away, and gets them back */
        int own = servers_pick(&s, key, -1, 1);
        s.items[1].not_before = 2;
        int other = servers_pick(&s, key, -1, 1);
        assert_true(own == 1 ? other != 1 : other == own);
        assert_int_not_equal(servers_pick(&s, key, other, 1), other);
        assert_int_equal(servers_pick(&s, key, -1, 2), own);
        s.items[1].not_before = 0;
    }
    for (int i = 0; i < SERVER_WINDOW_FIRST; i++) servers_sent(&s, 0); /* a full one passes on */
    for (uint64_t key = 0; key < 50; key++) assert_int_not_equal(servers_pick(&s, key, -1, 1), 0);
    servers_fini(&s);
}

static void windows_grow_while_it_pays(void **state) {
    UNUSED(state);
    struct servers s = {0};
    servers_add(&s, "http://a/v1");
    double now = 1;
    for (int i = 0; i < 4000; i++) { /* serves up to 100 at once, each in a second */
        while (s.items[0].n_flying < (int)s.items[0].window) servers_sent(&s, 0);
        now += 1 / fmin(100, s.items[0].window);
        servers_told(&s, 0, SERVER_ANSWERED, now - 1, 0, 10, now);
    }
    assert_in_range((int)s.items[0].window, 90, 250);
    const double before = s.items[0].window;
    for (int i = 0; i < 20; i++) servers_told(&s, 0, SERVER_BUSY, now - 0.5, 0, 0, now);
    assert_true(s.items[0].window == floor(before / 2)); /* all were sent before the first came back */
    servers_told(&s, 0, SERVER_LATE, now + 0.1, 0, 0, now + 1);
    assert_true(s.items[0].window == floor(floor(before / 2) / 2));
    for (int i = 0; i < 30; i++) servers_told(&s, 0, SERVER_BUSY, now + 2 + i, 5, 0, now + 2 + i);
    assert_true(s.items[0].window == 1);
    assert_int_equal(servers_pick(&s, 0, -1, now + 35.9), -1);
    assert_true(fabs(servers_wake(&s, now + 35) - (now + 36)) < 1e-9);
    servers_fini(&s);
}

static void broken_servers_are_left_alone(void **state) {
    UNUSED(state);
    struct servers s = {0};
    servers_add(&s, "http://a/v1");
    double now = 1;
    for (int i = 0; i < SERVER_FAILURES_MAX; i++) {
        assert_int_equal(servers_pick(&s, 0, -1, now), 0);
        servers_sent(&s, 0);
        servers_told(&s, 0, SERVER_FAILED, now, 0, 0, now);
    }
    for (double wait = 0.25; wait < 40; wait *= 2) {
        assert_int_equal(servers_pick(&s, 0, -1, now + fmin(30, wait) - 0.01), -1);
        now += fmin(30, wait);
        assert_int_equal(servers_pick(&s, 0, -1, now), 0); /* one is sent to see */
        servers_sent(&s, 0);
        assert_int_equal(servers_pick(&s, 0, -1, now), -1);
        if (wait < 20) servers_told(&s, 0, SERVER_FAILED, now, 0, 0, now);
        if (wait >= 20) break;
    }
    servers_told(&s, 0, SERVER_ANSWERED, now, 0, 1, now);
    assert_int_equal(servers_pick(&s, 0, -1, now), 0);
    servers_sent(&s, 0);
    assert_int_equal(servers_pick(&s, 0, -1, now), 0);
    servers_fini(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(refusals_say_what_would_work, clear_environment),
        cmocka_unit_test(servers_say_what_they_are),
        cmocka_unit_test(steps_end_at_the_separator),
        cmocka_unit_test(whole_answers_and_cut_ones),
        cmocka_unit_test(chat_services_write_whole_answers_only),
        cmocka_unit_test(too_long_problems_are_refused_alone),
        cmocka_unit_test(cancelled_jobs_leave_nothing),
        cmocka_unit_test(senseless_answers_are_chance_until_they_repeat),
        cmocka_unit_test_teardown(keys_are_sent_and_never_shown, clear_environment),
        cmocka_unit_test(faults_change_no_record),
        cmocka_unit_test(repetitions_are_shown),
        cmocka_unit_test_teardown(stalls_end_at_the_deadline, clear_environment),
        cmocka_unit_test_teardown(retry_after_is_waited_for, clear_environment),
        cmocka_unit_test(another_server_takes_over),
        cmocka_unit_test_teardown(a_server_gone_for_good_ends_a_run_that_can_go_on, clear_environment),
        cmocka_unit_test(problems_stay_with_their_server),
        cmocka_unit_test(windows_grow_while_it_pays),
        cmocka_unit_test(broken_servers_are_left_alone),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
