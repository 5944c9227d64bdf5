/* test_policy_leads.c - leads and confidences of the embedded policy, on a tiny random model: what a lead
 * makes is what the same tokens make when they are read as one text. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/engine.h"
#include "model/model.h"
#include "policy/policy.h"
#include "tiny_model.h"

static char dir[] = "/tmp/brood-tiny-XXXXXX", chat_dir[] = "/tmp/brood-tiny-XXXXXX",
            thinking_dir[] = "/tmp/brood-tiny-XXXXXX";
static const char question[] = "what is it";

/* The same model with other special tokens. */
static void make_model_with(const char *to, const char *end, const char *other) {
    struct err e;
    struct buf text = {0}, config = {0};
    char *path = file_join(to, "tokenizer.json");
    tiny_model_write(to, 1, false);
    ASSERT(file_read(path, 1 << 20, &text, &e));
    const char *const names[][2] = {{"<|end|>", end}, {"<|other|>", other}};
    for (size_t i = 0; i < 2; i++) {
        struct buf out = {0};
        struct str rest = buf_str(&text), name = str_from(names[i][0]);
        ptrdiff_t at = str_find(rest, name);
        ASSERT(at >= 0);
        buf_add(&out, rest.ptr, (size_t)at);
        buf_add_str(&out, str_from(names[i][1]));
        buf_add(&out, rest.ptr + at + name.len, rest.len - (size_t)at - name.len);
        buf_free(&text);
        text = out;
    }
    tiny_file(to, "tokenizer.json", buf_str(&text));
    buf_printf(&config, "{\"eos_token\": \"%s\"}", end);
    tiny_file(to, "tokenizer_config.json", buf_str(&config));
    buf_free(&config);
    buf_free(&text);
    free(path);
}

static int make_models(void **state) {
    UNUSED(state);
    if (!mkdtemp(dir) || !mkdtemp(chat_dir) || !mkdtemp(thinking_dir)) return -1;
    tiny_model_write(dir, 1, false);
    make_model_with(chat_dir, "<|im_end|>", "<|im_start|>");
    make_model_with(thinking_dir, "<|end|>", "</think>");
    return 0;
}

static int remove_models(void **state) {
    UNUSED(state);
    tiny_model_remove(dir);
    tiny_model_remove(chat_dir);
    tiny_model_remove(thinking_dir);
    return 0;
}

static struct policy *open_with(const char *path, const struct policy_options *o) {
    struct err e = {0};
    struct policy *p = policy_open(path, o, &e);
    if (!p) fail_msg("%s", e.msg);
    return p;
}

static struct policy_prefix *root_of(struct policy *p) {
    struct err e = {0};
    struct policy_prefix *root = policy_root(p, &(struct policy_prompt){.id = "x", .text = question}, &e);
    if (!root) fail_msg("%s", e.msg);
    return root;
}

/* A result that outlives the policy's own. */
struct kept {
    struct policy_result r;
    struct buf text;
    int tokens[TINY_CONTEXT];
    float confidences[TINY_CONTEXT];
};

static void run_job(struct policy *p, const struct policy_job *job, struct kept *out) {
    struct err e = {0};
    policy_submit(p, job);
    while (!policy_next(p, &out->r))
        if (policy_work(p, 1, &e) <= 0) fail_msg("%s", e.msg);
    out->text = (struct buf){0};
    buf_add_str(&out->text, out->r.text);
    const size_t n = (size_t)(out->r.n_lead_tokens + out->r.n_tokens);
    assert_in_range(n, 0, TINY_CONTEXT);
    if (n > 0) memcpy(out->tokens, out->r.tokens, n * sizeof *out->tokens);
    if (out->r.confidences)
        memcpy(out->confidences, out->r.confidences, (size_t)out->r.n_tokens * sizeof *out->confidences);
}

static void drop(struct policy *p, struct kept *k) {
    policy_release(p, k->r.prefix);
    buf_free(&k->text);
}

static struct policy_job job_of(struct policy_prefix *from, uint64_t key, enum policy_until until) {
    return (struct policy_job){.id = key,
                               .from = from,
                               .key = rng_child(6, key),
                               .until = until,
                               .n_tokens_max = 30,
                               .sampling = {.temperature = key % 2 ? 1.0f : 0.0f, .top_p = 1}};
}

/* Reads tokens [n] behind the root and writes on. */
static void read_as_one(struct policy *p, struct policy_prefix *root, const int *tokens, int n,
                        struct policy_job job, struct kept *out) {
    struct err e = {0};
    const struct policy_piece piece = {.tokens = tokens, .n_tokens = n};
    struct policy_prefix *one = policy_extend(p, root, &piece, &e);
    if (!one) fail_msg("%s", e.msg);
    job.from = one;
    job.lead = POLICY_LEAD_NONE;
    run_job(p, &job, out);
    policy_release(p, one);
}

static void assert_goes_on_alike(const struct kept *a, const struct kept *b) {
    assert_int_equal(a->r.finish, b->r.finish);
    assert_int_equal(a->r.n_tokens, b->r.n_tokens);
    assert_memory_equal(a->tokens + a->r.n_lead_tokens, b->tokens + b->r.n_lead_tokens,
                        (size_t)a->r.n_tokens * sizeof *a->tokens);
    assert_memory_equal(&a->r.logprob, &b->r.logprob, sizeof a->r.logprob);
    assert_memory_equal(a->confidences, b->confidences, (size_t)a->r.n_confidences * sizeof(float));
}

/* A first piece in every way that it may end, then every lead, twice: behind a result and behind a record. */
static void check_leads(const char *path, const char *chat) {
    struct err e = {0};
    struct policy *p = open_with(
        path, &(struct policy_options){.n_threads = 1, .chat = chat, .lead_revise = "\n\nTry again.\n"});
    struct policy_prefix *root = root_of(p);
    int n_ended = 0, n_cut = 0;
    for (uint64_t key = 0; key < 40; key++) {
        struct kept first, with, without, again;
        struct policy_job begin = job_of(root, key * 2 + 1, key % 4 ? POLICY_UNTIL_END : POLICY_UNTIL_STEP);
        begin.n_tokens_max = 80;
        run_job(p, &begin, &first);
        n_ended += first.r.finish == POLICY_END;
        n_cut += first.r.finish == POLICY_LENGTH;
        const int n_text = first.r.n_tokens - (first.r.finish == POLICY_END); /* the end is taken back */
        for (int lead = POLICY_LEAD_REVISE; lead < POLICY_LEADS; lead++) {
            struct policy_job job = job_of(first.r.prefix, key + 1000, POLICY_UNTIL_END);
            job.lead = (enum policy_lead)lead;
            job.n_top = 3;
            if (lead == POLICY_LEAD_REVISE && key % 3 == 0) job.feedback = STR("Step 1 is wrong.");
            run_job(p, &job, &with);
            assert_true(with.r.n_lead_tokens > 0 && with.r.n_lead_bytes > 0);
            assert_true(with.r.cost.tokens_read == with.r.n_lead_tokens);
            assert_true(!!strstr(buf_cstr(&with.text), "Step 1 is wrong.\n") == (job.feedback.len > 0));

            int tokens[2 * TINY_CONTEXT];
            memcpy(tokens, first.tokens, (size_t)n_text * sizeof *tokens);
            memcpy(tokens + n_text, with.tokens, (size_t)with.r.n_lead_tokens * sizeof *tokens);
            read_as_one(p, root, tokens, n_text + with.r.n_lead_tokens, job, &without);
            assert_goes_on_alike(&with, &without);

            const struct policy_piece piece = {.tokens = first.tokens, .n_tokens = first.r.n_tokens};
            const struct policy_piece more = {.lead = job.lead,
                                              .tokens = with.tokens,
                                              .n_lead_tokens = with.r.n_lead_tokens,
                                              .n_tokens = with.r.n_tokens,
                                              .n_lead_bytes = with.r.n_lead_bytes};
            struct policy_prefix *recorded = policy_extend(p, root, &piece, &e);
            job.from = recorded;
            run_job(p, &job, &again);
            assert_goes_on_alike(&with, &again);
            assert_string_equal(buf_cstr(&with.text), buf_cstr(&again.text));
            assert_true(with.r.cost.flops == again.r.cost.flops);
            drop(p, &again);

            /* and behind what the lead has made */
            struct policy_prefix *both = policy_extend(p, recorded, &more, &e);
            assert_non_null(both);
            drop(p, &without);
            job.lead = POLICY_LEAD_WAIT;
            job.from = with.r.prefix;
            run_job(p, &job, &again);
            job.from = both;
            run_job(p, &job, &without);
            assert_goes_on_alike(&again, &without);
            drop(p, &again);
            drop(p, &without);
            drop(p, &with);
            policy_release(p, both);
            policy_release(p, recorded);
        }
        drop(p, &first);
    }
    assert_in_range(n_ended, 5, 35);
    assert_in_range(n_cut, 5, 35);
    policy_release(p, root);
    policy_close(p);
}

static void leads_are_read_as_one_text(void **state) {
    UNUSED(state);
    check_leads(dir, NULL);
    check_leads(chat_dir, "chatml");
}

/* ---- models that think between marks ---- */
enum { CLOSE = TINY_END + 1 };

/* The last closing mark among tokens [n]; n: none. */
static int closed_at(const int *tokens, int n) {
    for (int i = n - 1; i >= 0; i--)
        if (tokens[i] == CLOSE) return i;
    return n;
}

static void thoughts_go_on_and_are_closed(void **state) {
    UNUSED(state);
    struct err e = {0};
    struct policy *p = open_with(thinking_dir, &(struct policy_options){.n_threads = 1});
    struct policy_prefix *root = root_of(p);
    int n_closed = 0, n_open = 0;
    for (uint64_t key = 0; key < 900 && n_closed < 12; key++) {
        struct kept first, with, without, again;
        struct policy_job job = job_of(root, key * 2 + 1, POLICY_UNTIL_END);
        job.n_tokens_max = 80;
        run_job(p, &job, &first);
        const int n_text = first.r.n_tokens - (first.r.finish == POLICY_END);
        const int n_thought = closed_at(first.tokens, n_text);
        if (n_thought == n_text && n_open > 12) {
            drop(p, &first);
            continue;
        }
        *(n_thought < n_text ? &n_closed : &n_open) += 1;
        for (int lead = POLICY_LEAD_WAIT; lead < POLICY_LEADS; lead++) {
            const int n_kept = lead == POLICY_LEAD_WAIT ? n_thought : n_text;
            int tokens[2 * TINY_CONTEXT];
            job = job_of(first.r.prefix, key + 1000, POLICY_UNTIL_END);
            job.lead = (enum policy_lead)lead;
            run_job(p, &job, &with);
            memcpy(tokens, first.tokens, (size_t)n_kept * sizeof *tokens);
            memcpy(tokens + n_kept, with.tokens, (size_t)with.r.n_lead_tokens * sizeof *tokens);
            read_as_one(p, root, tokens, n_kept + with.r.n_lead_tokens, job, &without);
            assert_goes_on_alike(&with, &without);
            const bool closes = closed_at(with.tokens, with.r.n_lead_tokens) < with.r.n_lead_tokens;
            assert_int_equal(closes, lead == POLICY_LEAD_ANSWER && n_thought == n_text);
            const struct str words = {with.text.ptr, with.r.n_lead_bytes};
            assert_int_equal(str_find(words, STR("</think>\n\nThe answer is \\boxed{")) >= 0, closes);

            const struct policy_piece piece = {.tokens = first.tokens, .n_tokens = first.r.n_tokens};
            struct policy_prefix *recorded = policy_extend(p, root, &piece, &e);
            job.from = recorded;
            run_job(p, &job, &again);
            assert_goes_on_alike(&with, &again);
            assert_true(with.r.cost.flops == again.r.cost.flops);
            policy_release(p, recorded);
            drop(p, &again);
            drop(p, &without);
            drop(p, &with);
        }
        drop(p, &first);
    }
    assert_int_equal(n_closed, 12);
    assert_true(n_open > 5);
    policy_release(p, root);
    policy_close(p);
}

static void an_ended_answer_goes_on_with_a_lead_alone(void **state) {
    UNUSED(state);
    struct err e = {0};
    struct policy *p = open_with(dir, &(struct policy_options){.n_threads = 1});
    struct policy_prefix *root = root_of(p);
    const int tokens[] = {'a', TINY_END};
    struct policy_prefix *ended =
        policy_extend(p, root, &(struct policy_piece){.tokens = tokens, .n_tokens = 2}, &e);
    struct policy_job job = job_of(ended, 1, POLICY_UNTIL_END);
    struct kept k;
    run_job(p, &job, &k);
    assert_int_equal(k.r.finish, POLICY_FAILED);
    job.lead = POLICY_LEAD_WAIT;
    drop(p, &k);
    run_job(p, &job, &k);
    assert_true(k.r.finish != POLICY_FAILED && k.r.n_tokens > 0);
    drop(p, &k);
    int filler[TINY_CONTEXT];
    for (int i = 0; i < TINY_CONTEXT; i++) filler[i] = 'a';
    struct policy_prefix *full =
        policy_extend(p, root, &(struct policy_piece){.tokens = filler, .n_tokens = TINY_CONTEXT - 12}, &e);
    job.from = full; /* the lead alone fills the context */
    run_job(p, &job, &k);
    assert_int_equal(k.r.finish, POLICY_FAILED);
    assert_non_null(strstr(k.r.why, "context is full"));
    drop(p, &k);
    const struct policy_piece unknown = {.lead = POLICY_LEAD_WAIT, .text = STR("Wait, x"), .n_lead_bytes = 5};
    assert_null(policy_extend(p, root, &unknown, &e));
    assert_int_equal(e.code, ERR_INPUT);
    policy_release(p, full);
    policy_release(p, ended);
    policy_release(p, root);
    policy_close(p);
}

static void expect_lead(struct policy *p, const char *before, enum policy_lead lead, const char *wanted) {
    struct err e = {0};
    struct kept k;
    struct policy_prefix *root = root_of(p);
    struct policy_prefix *from = policy_extend(p, root, &(struct policy_piece){.text = str_from(before)}, &e);
    struct policy_job job = job_of(from, 1, POLICY_UNTIL_END);
    job.lead = lead;
    run_job(p, &job, &k);
    char *text = str_dup((struct str){k.text.ptr, k.r.n_lead_bytes});
    assert_string_equal(text, wanted);
    free(text);
    drop(p, &k);
    policy_release(p, from);
    policy_release(p, root);
}

static void line_breaks_are_not_doubled(void **state) {
    UNUSED(state);
    struct policy *p = open_with(dir, &(struct policy_options){.n_threads = 1});
    expect_lead(p, "a.", POLICY_LEAD_WAIT, "\n\nWait,");
    expect_lead(p, "a\n", POLICY_LEAD_WAIT, "\nWait,");
    expect_lead(p, "a.\n\n", POLICY_LEAD_WAIT, "Wait,");
    expect_lead(p, "a\n\n\n", POLICY_LEAD_WAIT, "Wait,");
    expect_lead(p, "a", POLICY_LEAD_REVISE, "\n\nTry again.\n");
    expect_lead(p, "a", POLICY_LEAD_ANSWER, "\n\nThe answer is \\boxed{");
    assert_string_equal(policy_info(p)->leads[POLICY_LEAD_WAIT].text, "\n\nWait,");
    assert_false(policy_info(p)->leads[POLICY_LEAD_WAIT].replaced);
    policy_close(p);
    p = open_with(dir, &(struct policy_options){
                           .n_threads = 1, .lead_wait = " Hm.", .lead_answer = "\n\nThe answer is \\boxed{"});
    expect_lead(p, "a\n", POLICY_LEAD_WAIT, " Hm.");
    assert_true(policy_info(p)->leads[POLICY_LEAD_WAIT].replaced);
    assert_false(policy_info(p)->leads[POLICY_LEAD_ANSWER].replaced);
    policy_close(p);
}

static int falling(const void *a, const void *b) {
    const double *x = a, *y = b;
    return (*x < *y) - (*x > *y);
}

/* Minus the mean log-probability of the n_top likeliest, from all head outputs at a position. */
static double slow_confidence(const float *logits, int n_top) {
    double sorted[TINY_VOCAB], sum = 0, confidence = 0;
    for (int i = 0; i < TINY_VOCAB; i++) sorted[i] = (double)logits[i];
    qsort(sorted, TINY_VOCAB, sizeof *sorted, falling);
    for (int i = 0; i < TINY_VOCAB; i++) sum += exp(sorted[i] - sorted[0]);
    for (int i = 0; i < n_top; i++) confidence -= (sorted[i] - sorted[0] - log(sum)) / n_top;
    return confidence;
}

static void check_confidences(struct engine *en, const struct tokens *prompt, const struct kept *k,
                              int n_top) {
    struct branch *b = engine_root(en);
    int outputs[TINY_VOCAB];
    size_t marks[TINY_CONTEXT];
    struct engine_event event;
    struct err e = {0};
    branch_append(b, prompt->ptr, prompt->len);
    branch_append(b, k->tokens, (size_t)k->r.n_tokens);
    for (int i = 0; i < TINY_VOCAB; i++) outputs[i] = i;
    for (int i = 0; i < k->r.n_tokens; i++) marks[i] = prompt->len - 1 + (size_t)i;
    const struct engine_read read = {.branch = b,
                                     .marks = marks,
                                     .n_marks = (size_t)k->r.n_tokens,
                                     .outputs = outputs,
                                     .n_outputs = TINY_VOCAB};
    assert_true(engine_read(en, &read, &e));
    while (!engine_next(en, &event)) assert_true(engine_step(en, &e) > 0);
    for (int i = 0; i < k->r.n_tokens; i++) {
        const double want = slow_confidence(event.outputs + i * TINY_VOCAB, n_top);
        assert_true(fabs((double)k->confidences[i] - want) < 1e-5);
    }
    branch_release(b);
}

static void confidences_are_those_of_the_logits(void **state) {
    UNUSED(state);
    struct err e = {0};
    struct policy *p = open_with(dir, &(struct policy_options){.n_threads = 1});
    struct model *m = model_open(dir, &e);
    struct engine *en = engine_open(m, &(struct engine_options){.n_threads = 1}, &e);
    struct policy_prefix *root = root_of(p);
    struct tokens prompt = {0};
    assert_true(tokenizer_encode(m->tokenizer, str_from(question), &prompt, &e));
    int n_tokens = 0;
    for (uint64_t key = 0; key < 20; key++) {
        struct kept with, without;
        struct policy_job job = job_of(root, key, POLICY_UNTIL_END);
        if (key % 3 == 2)
            job.sampling = (struct policy_sampling){.temperature = 0.7f, .top_p = 0.9f, .top_k = 30};
        run_job(p, &job, &without);
        assert_null(without.r.confidences);
        assert_int_equal(without.r.n_confidences, 0);
        job.n_top = 1 + (int)key;
        run_job(p, &job, &with);
        assert_non_null(with.r.confidences);
        assert_int_equal(with.r.n_confidences, with.r.n_tokens);
        without.r.n_confidences = 0;
        assert_int_equal(with.r.n_tokens, without.r.n_tokens);
        assert_memory_equal(with.tokens, without.tokens, (size_t)with.r.n_tokens * sizeof(int));
        assert_memory_equal(&with.r.logprob, &without.r.logprob, sizeof with.r.logprob);
        check_confidences(en, &prompt, &with, job.n_top);
        n_tokens += with.r.n_tokens;
        drop(p, &with);
        drop(p, &without);
    }
    assert_true(n_tokens > 100);
    tokens_free(&prompt);
    policy_release(p, root);
    policy_close(p);
    engine_close(en);
    model_close(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leads_are_read_as_one_text),
        cmocka_unit_test(thoughts_go_on_and_are_closed),
        cmocka_unit_test(an_ended_answer_goes_on_with_a_lead_alone),
        cmocka_unit_test(line_breaks_are_not_doubled),
        cmocka_unit_test(confidences_are_those_of_the_logits),
    };
    return cmocka_run_group_tests_name("policy_leads", tests, make_models, remove_models);
}
