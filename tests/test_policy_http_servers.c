/* Several servers, and servers with few threads, through the policy's door and the program's: who gets what,
 * how much at once, what is done when one breaks and when it is there again (mock_server.h, mock_front.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "http/servers.h"
#include "mock_front.h"
#include "mock_server.h"
#include "policy/policy.h"
#include "run/run.h"
#include "store/store.h"

#define CHAIN  "depth=4,seed=3"
#define PROBES "..." /* the requests with which a policy is opened */

enum { PROBLEMS = 12, JOBS = 10 };
static char dir[] = "/tmp/brood-servers-XXXXXX";

static int make_dir(void **state) {
    UNUSED(state);
    static const char *const names[] = {"http_proxy", "HTTP_PROXY",    "all_proxy",
                                        "ALL_PROXY",  "BROOD_API_KEY", "BROOD_API_KEY_FILE"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) unsetenv(names[i]);
    setenv("BROOD_REQUEST_SECONDS", "86400", 1); /* no deadline helps */
    setenv("BROOD_RETRY_SECONDS", "86400", 1);
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state) {
    UNUSED(state);
    static const char *const names[] = {"task.jsonl",    "run.brood", "run.brood-wal",
                                        "run.brood-shm", "says",      "judge.json"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char *path = file_join(dir, names[i]);
        unlink(path);
        free(path);
    }
    return rmdir(dir);
}

static struct policy *open_or_fail(const char *spec) {
    struct err e = {0};
    struct policy *p = policy_open(spec, NULL, &e);
    if (!p) fail_msg("%s: %s", spec, e.msg);
    return p;
}

static struct policy *open_both(const struct mock *a, const struct mock *b) {
    char spec[120];
    snprintf(spec, sizeof spec, "http://127.0.0.1:%d/v1,http://127.0.0.1:%d/v1#toy", a->port, b->port);
    return open_or_fail(spec);
}

static struct policy *open_one(const struct mock *m) {
    char spec[80];
    snprintf(spec, sizeof spec, "http://127.0.0.1:%d/v1#toy", m->port);
    return open_or_fail(spec);
}

static struct policy_prefix *root_of(struct policy *p, const char *text) {
    struct err e = {0};
    struct policy_prefix *root = policy_root(p, &(struct policy_prompt){.id = text, .text = text}, &e);
    if (!root) fail_msg("%s", e.msg);
    return root;
}

static void submit(struct policy *p, uint64_t id, struct policy_prefix *root) {
    policy_submit(p, &(struct policy_job){.id = id,
                                          .from = root,
                                          .key = id,
                                          .until = POLICY_UNTIL_END,
                                          .n_tokens_max = 200,
                                          .sampling = {.temperature = 1, .top_p = 1}});
}

static void work(struct policy *p) {
    struct err e = {0};
    if (policy_work(p, 0.02, &e) < 0) fail_msg("%s", e.msg);
}

/* All that is in flight, each told once. */
static void finish(struct policy *p, int n_wanted) {
    struct policy_result r;
    int n = 0;
    for (; policy_in_flight(p) > 0; work(p)) {
        for (; policy_next(p, &r); n++) {
            assert_int_equal(r.finish, POLICY_END);
            policy_release(p, r.prefix);
        }
    }
    assert_int_equal(n, n_wanted);
}

/* One answer to a problem. */
static void ask(struct policy *p, const char *problem) {
    struct policy_prefix *root = root_of(p, problem);
    submit(p, 1, root);
    finish(p, 1);
    policy_release(p, root);
}

static const char *name_of(int i) {
    static char name[32];
    snprintf(name, sizeof name, "chain %d", i);
    return name;
}

/* ---- who gets what ---- */
static void prefixes_stay_with_their_server(void **state) {
    UNUSED(state);
    const struct mock_options o = {.dialect = MOCK_VLLM, .chain = CHAIN};
    struct mock *m[2] = {mock_start(&o), mock_start(&o)};
    struct policy *p = open_both(m[0], m[1]);
    int owner[40], n_of[2] = {0};
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < 40; i++) ask(p, name_of(i));
    for (int i = 0; i < 40; i++) {
        owner[i] = mock_knows_problem(m[1], name_of(i));
        assert_int_equal(mock_knows_problem(m[0], name_of(i)), !owner[i]); /* one of them, always the same */
        n_of[owner[i]]++;
    }
    assert_true(n_of[0] > 0 && n_of[1] > 0);
    struct policy_prefix *root = root_of(p, name_of(0)); /* more than one server takes at once: shared */
    for (uint64_t id = 0; id < 4 * SERVER_WINDOW_FIRST; id++) submit(p, id, root);
    finish(p, 4 * SERVER_WINDOW_FIRST);
    assert_true(mock_knows_problem(m[0], name_of(0)) && mock_knows_problem(m[1], name_of(0)));
    policy_release(p, root);
    const int port = m[1]->port;
    mock_stop(m[1]); /* its problems go to the other one */
    for (int i = 1; i < 40; i++) ask(p, name_of(i));
    for (int i = 1; i < 40; i++) assert_true(mock_knows_problem(m[0], name_of(i)));
    m[1] = mock_start_at(&o, port); /* and come back when it is there again */
    int i = 1;
    while (owner[i] != 1) i++;
    while (!mock_knows_problem(m[1], name_of(i))) ask(p, name_of(i));
    policy_close(p);
    mock_stop(m[0]);
    mock_stop(m[1]);
}

/* A server that does not answer when the policy is opened gets its share from when it does. */
static void one_that_comes_later_is_found(void **state) {
    UNUSED(state);
    const struct mock_options o = {.dialect = MOCK_LLAMA, .chain = CHAIN};
    struct mock *m[2] = {mock_start(&o), mock_start(&o)};
    const int port = m[1]->port;
    struct mock gone = {.port = port};
    mock_stop(m[1]);
    struct policy *p = open_both(m[0], &gone);
    for (int i = 0; i < 40; i++) ask(p, name_of(i));
    m[1] = mock_start_at(&o, port);
    for (int i = 0; m[1] && mock_take_requests(m[1]) == 0; i = (i + 1) % 40) ask(p, name_of(i));
    policy_close(p);
    mock_stop(m[0]);
    mock_stop(m[1]);
}

/* ---- how much at once ---- */
static void windows_follow_what_servers_say(void **state) {
    UNUSED(state);
    for (int busy = 0; busy < 3; busy++) {
        static const char *const scripts[] = {NULL, PROBES ".4", PROBES ".3"};
        struct mock *m =
            mock_start(&(struct mock_options){.dialect = MOCK_VLLM, .chain = CHAIN, .script = scripts[busy]});
        struct policy *p = open_one(m);
        assert_int_equal(policy_info(p)->n_wanted, SERVER_WINDOW_FIRST);
        struct policy_prefix *root = root_of(p, "a chain");
        submit(p, 0, root);
        finish(p, 1);
        work(p);
        assert_int_equal(policy_info(p)->n_wanted, SERVER_WINDOW_FIRST / (busy ? 2 : 1));
        for (uint64_t id = 0; id < 4 * SERVER_WINDOW_FIRST; id++) submit(p, id, root);
        finish(p, 4 * SERVER_WINDOW_FIRST); /* the first full window brought more than nothing */
        assert_true(policy_info(p)->n_wanted > SERVER_WINDOW_FIRST / (busy ? 2 : 1));
        policy_release(p, root);
        policy_close(p);
        mock_stop(m);
    }
}

/* ---- one that breaks ---- */
static void one_request_decides_whether_a_server_is_well(void **state) {
    UNUSED(state);
    struct mock *m = mock_start(&(struct mock_options){.dialect = MOCK_VLLM,
                                                       .chain = CHAIN,
                                                       .script = PROBES "."
                                                                        "5555555555"
                                                                        "sssssssss"});
    struct policy *p = open_one(m);
    struct policy_prefix *root = root_of(p, "a chain");
    for (uint64_t id = 0; id < JOBS; id++) submit(p, id, root);
    for (int n = 1; n < 6; n++) {
        while (mock_stalled(m) == 0) work(p);
        for (int i = 0; i < 20; i++) work(p);
        assert_int_equal(mock_stalled(m), 1); /* the others wait for what comes of it */
        assert_true(policy_waste(p).n_retried >= 1 && policy_waste(p).n_retried <= n);
        mock_hang_up(m);
    }
    policy_cancel(p, 0);
    mock_stop(m);
    for (uint64_t id = 1; id < JOBS; id++) policy_cancel(p, id);
    policy_release(p, root);
    policy_close(p);
}

static void all_is_asked_when_it_is_well_again(void **state) {
    UNUSED(state);
    struct mock *m = mock_start(&(struct mock_options){.dialect = MOCK_VLLM,
                                                       .chain = CHAIN,
                                                       .script = PROBES "."
                                                                        "5555555555"
                                                                        "5"});
    struct policy *p = open_one(m);
    struct policy_prefix *root = root_of(p, "a chain");
    for (uint64_t id = 0; id < JOBS; id++) submit(p, id, root);
    finish(p, JOBS);
    assert_true(policy_waste(p).n_retried == JOBS + 1);
    assert_int_equal(mock_take_requests(m), strlen(PROBES ".") + JOBS + 1 + JOBS);
    policy_release(p, root);
    policy_close(p);
    mock_stop(m);
}

/* ---- few threads ---- */
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

static char *records_of(const char *task, int port, const char *reward, const char *strategy) {
    struct err e = {0};
    char spec[80];
    snprintf(spec, sizeof spec, "http://127.0.0.1:%d/v1#toy", port);
    struct run_options o = {.task = task,
                            .policy = spec,
                            .reward = reward,
                            .store = ":memory:",
                            .select = SELECT_WEIGHTED,
                            .aggregate = AGGREGATE_LAST,
                            .seed = 7};
    struct run_progress progress;
    if (!search_spec_parse(&o.spec, strategy, &e)) fail_msg("%s", e.msg);
    struct run *r = run_open(&o, &e);
    if (!r) fail_msg("%s", e.msg);
    do {
        if (!run_step(r, &progress, &e)) fail_msg("%s", e.msg);
    } while (!progress.finished);
    assert_int_equal(progress.n_done, PROBLEMS);
    assert_int_equal(progress.n_failed, 0);
    assert_true(progress.waste.n_retried == 0);
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    assert_true(store_export(run_store(r), f, &e));
    fclose(f);
    assert_true(run_close(r, &e));
    char *records = mem_strdup(strchr(text, '\n')); /* the configuration names the server */
    free(text);
    return records;
}

/* Each thread is held by a connection for as long as we keep it, and there are more requests than threads. */
static void servers_with_few_threads_hold_nothing_up(void **state) {
    UNUSED(state);
    static const char *const strategies[] = {"sample:n=8", "beam:n=4,width=2", "revise:n=4,length=2"};
    char *task = write_task();
    for (int d = MOCK_VLLM; d <= MOCK_LLAMA; d++) {
        struct mock *m = mock_start(&(struct mock_options){.dialect = (enum mock_dialect)d, .chain = CHAIN});
        for (size_t i = 0; i < ARRAY_LEN(strategies); i++) {
            struct front *f = front_start(3, m->port);
            char *expected = records_of(task, m->port, "toy:" CHAIN ",noise=0.1", strategies[i]);
            char *got = records_of(task, f->port, "toy:" CHAIN ",noise=0.1", strategies[i]);
            assert_string_equal(expected, got);
            free(expected);
            free(got);
            front_stop(f);
        }
        mock_stop(m);
    }
    free(task);
}

/* Policy and reward model behind the same few threads. */
static void two_models_share_few_threads(void **state) {
    UNUSED(state);
    char *task = write_task(), reward[120];
    struct mock *m = mock_start(&(struct mock_options){.dialect = MOCK_VLLM, .chain = CHAIN});
    struct front *f = front_start(3, m->port);
    snprintf(reward, sizeof reward, "http://127.0.0.1:%d/v1#toy,profile=judge", f->port);
    char *got = records_of(task, f->port, reward, "beam:n=4,width=2");
    snprintf(reward, sizeof reward, "http://127.0.0.1:%d/v1#toy,profile=judge", m->port);
    char *expected = records_of(task, m->port, reward, "beam:n=4,width=2");
    assert_string_equal(expected, got);
    free(expected);
    free(got);
    front_stop(f);
    mock_stop(m);
    free(task);
}

/* ---- an interrupt ---- */
static pid_t start_bench(const char *brood, const char *task, const char *store, int port, const char *says) {
    char spec[80];
    const pid_t pid = fork();
    if (pid != 0) return pid;
    const int fd = open(says, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    snprintf(spec, sizeof spec, "http://127.0.0.1:%d/v1#toy", port);
    if (fd >= 0 && dup2(fd, 1) == 1 && dup2(fd, 2) == 2)
        execl(brood, brood, "bench", task, "--policy", spec, "-n", "4", "--run", store, (char *)NULL);
    _exit(99);
}

static void interrupts_are_heeded_while_prompts_are_rendered(void **state) {
    UNUSED(state);
    const char *brood = getenv("BROOD");
    if (!brood) skip();
    for (int d = MOCK_VLLM; d <= MOCK_LLAMA; d++) {
        static const char *const scripts[] = {[MOCK_VLLM] = PROBES, [MOCK_LLAMA] = "......"};
        struct mock *m = mock_start(&(struct mock_options){.dialect = (enum mock_dialect)d,
                                                           .chain = CHAIN,
                                                           .script = scripts[d],
                                                           .share = 1,
                                                           .faults = 1u << MOCK_STALL});
        char *task = write_task(), *store = file_join(dir, "run.brood"), *says = file_join(dir, "says");
        struct buf said = {0};
        struct err e;
        int status;
        const pid_t pid = start_bench(brood, task, store, m->port, says);
        mock_wait_stalled(m); /* a prompt is with the server, and stays there */
        kill(pid, SIGINT);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(file_read(says, 1 << 20, &said, &e));
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 130) fail_msg("%s", buf_cstr(&said));
        assert_non_null(strstr(buf_cstr(&said), "everything so far is kept"));
        unlink(store);
        buf_free(&said);
        free(says);
        free(store);
        free(task);
        mock_stop(m);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prefixes_stay_with_their_server),
        cmocka_unit_test(one_that_comes_later_is_found),
        cmocka_unit_test(windows_follow_what_servers_say),
        cmocka_unit_test(one_request_decides_whether_a_server_is_well),
        cmocka_unit_test(all_is_asked_when_it_is_well_again),
        cmocka_unit_test(servers_with_few_threads_hold_nothing_up),
        cmocka_unit_test(two_models_share_few_threads),
        cmocka_unit_test(interrupts_are_heeded_while_prompts_are_rendered),
    };
    return cmocka_run_group_tests_name("policy_http_servers", tests, make_dir, remove_dir);
}
