/* The engine through its header: against the textbook (engine_toy.h), and against itself one request at a
 * time, bit for bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <float.h>

#include "engine/engine.h"
#include "engine_toy.h"
#include "model/quantise.h"

static const struct model_config tiny = {
    .family = "llama",
    .n_layers = 2,
    .d_model = 32,
    .n_heads = 4,
    .n_kv_heads = 2,
    .head_width = 8,
    .d_ffn = 40,
    .n_vocab = 50,
    .n_context = 160,
    .norm_eps = 1e-5f,
    .rope = {.kind = ROPE_DEFAULT, .theta = 10000, .factor = 1},
    .head = MODEL_HEAD_LM,
    .n_head_outputs = 50,
};

/* Of the same numbers, which BF16 holds exactly; inputs of products are rounded to BF16. */
static void toy_init_bf16(struct toy *t, uint64_t seed) {
    struct err e = {0};
    toy_init(t, &tiny, DTYPE_F32, false, seed);
    if (!quantise_named(&t->m, "bf16", 1, &e)) fail_msg("%s", e.msg);
}

static struct engine *open_engine(const struct toy *t, const struct engine_options *o) {
    struct err e = {0};
    struct engine *en = engine_open(&t->m, o, &e);
    if (!en) fail_msg("%s", e.msg);
    return en;
}

static void random_tokens(int *out, int n, int n_vocab, uint64_t key) {
    for (int i = 0; i < n; i++) out[i] = (int)rng_below(key, (uint64_t)i, (uint64_t)n_vocab);
}

static struct branch *branch_of(struct engine *en, const int *tokens, int n) {
    struct branch *b = engine_root(en);
    branch_append(b, tokens, (size_t)n);
    return b;
}

/* Tells nothing: events wait. */
static void step_until_idle(struct engine *en) {
    struct err e = {0};
    for (uint64_t n_rows = UINT64_MAX; n_rows != engine_counters(en).n_rows;) {
        n_rows = engine_counters(en).n_rows;
        if (engine_step(en, &e) < 0) fail_msg("%s", e.msg);
    }
}

/* Steps until one event is there. */
static struct engine_event next_event(struct engine *en) {
    struct engine_event event = {0};
    struct err e = {0};
    while (!engine_next(en, &event)) {
        int n = engine_step(en, &e);
        if (n < 0) fail_msg("%s", e.msg);
        assert_int_not_equal(n, 0);
    }
    return event;
}

/* ---- against the textbook ---- */

/* All head outputs at all positions. */
static void read_all(struct engine *en, struct branch *b, uint64_t id) {
    size_t n = branch_length(b);
    int n_outputs = engine_model(en)->config.n_head_outputs;
    size_t *marks = malloc(n * sizeof *marks);
    int *outputs = malloc((size_t)n_outputs * sizeof *outputs);
    for (size_t i = 0; i < n; i++) marks[i] = i;
    for (int i = 0; i < n_outputs; i++) outputs[i] = i;
    struct err e = {0};
    struct engine_read r = {
        .id = id, .branch = b, .marks = marks, .n_marks = n, .outputs = outputs, .n_outputs = n_outputs};
    assert_true(engine_read(en, &r, &e));
    free(marks);
    free(outputs);
}

static void compare_with_textbook_kv(const struct model_config *c, enum dtype dtype, bool mixed,
                                     uint64_t seed, enum engine_kv kv) {
    struct toy t;
    toy_init(&t, c, dtype, mixed, seed);
    t.half = kv == ENGINE_KV_F16;
    enum { N = 45 };
    int tokens[N];
    random_tokens(tokens, N, c->n_vocab, seed);
    struct engine *en = open_engine(
        &t, &(struct engine_options){.kv = kv, .n_threads = 2, .n_rows_max = 20, .kv_bytes = 1 << 20});
    struct branch *b = branch_of(en, tokens, N);
    read_all(en, b, 7);
    struct engine_event event = next_event(en);
    assert_int_equal(event.id, 7);
    assert_int_equal(event.end, ENGINE_END_READ);
    assert_int_equal(event.n_prefilled, N);
    double *want = toy_outputs(&t, tokens, N), low = INFINITY, high = -INFINITY, worst = 0;
    for (int i = 0; i < N * c->n_head_outputs; i++) {
        low = fmin(low, want[i]), high = fmax(high, want[i]);
        worst = fmax(worst, fabs(want[i] - (double)event.outputs[i]));
    }
    free(want);
    if (!(worst < 2e-5 * (high - low))) fail_msg("largest difference %g of range %g", worst, high - low);
    assert_true(high - low > 0.5);
    branch_release(b);
    engine_close(en);
    toy_fini(&t);
}

static void compare_with_textbook(const struct model_config *c, enum dtype dtype, bool mixed, uint64_t seed) {
    compare_with_textbook_kv(c, dtype, mixed, seed, ENGINE_KV_AUTO);
}

static void outputs_are_the_textbooks(void **state) {
    UNUSED(state);
    struct model_config c = tiny;
    compare_with_textbook(&c, DTYPE_F32, false, 1);
    compare_with_textbook(&c, DTYPE_F16, false, 2);
    compare_with_textbook(&c, DTYPE_BF16, false, 3);
    compare_with_textbook(&c, DTYPE_F32, true, 4);
    c.tied_embeddings = true;
    compare_with_textbook(&c, DTYPE_F16, false, 5);
    c.qkv_bias = true;
    compare_with_textbook(&c, DTYPE_F32, false, 6);
    c.qk_norm = true;
    c.n_kv_heads = 4;
    compare_with_textbook(&c, DTYPE_F32, false, 7);
    c = tiny;
    c.d_model = 40, c.n_heads = 6, c.n_kv_heads = 1, c.head_width = 16, c.d_ffn = 100,
    c.n_vocab = c.n_head_outputs = 333;
    compare_with_textbook(&c, DTYPE_BF16, false, 8);
    compare_with_textbook_kv(&c, DTYPE_BF16, false, 8, ENGINE_KV_F16);
    compare_with_textbook_kv(&tiny, DTYPE_F32, false, 9, ENGINE_KV_F16);
}

static void rope_scalings_are_the_textbooks(void **state) {
    UNUSED(state);
    struct model_config c = tiny;
    c.rope.kind = ROPE_LINEAR;
    c.rope.factor = 4;
    compare_with_textbook(&c, DTYPE_F32, false, 1);
    c.rope.kind = ROPE_LLAMA3;
    c.rope.factor = 8, c.rope.low_freq_factor = 1, c.rope.high_freq_factor = 4,
    c.rope.n_context_original = 64;
    compare_with_textbook(&c, DTYPE_F32, false, 2);
    c.rope.kind = ROPE_YARN;
    c.rope.factor = 4, c.rope.beta_fast = 32, c.rope.beta_slow = 1, c.rope.n_context_original = 40,
    c.rope.attention_factor = 1.1386, c.rope.is_truncated = true, c.head_width = 16;
    compare_with_textbook(&c, DTYPE_F32, false, 3);
    c.rope.is_truncated = false, c.rope.beta_fast = 4;
    compare_with_textbook(&c, DTYPE_F32, false, 4);
}

static void class_heads_have_their_bias(void **state) {
    UNUSED(state);
    struct model_config c = tiny;
    c.head = MODEL_HEAD_CLASS;
    c.n_head_outputs = 2;
    compare_with_textbook(&c, DTYPE_F32, false, 1);
    c.n_head_outputs = 19;
    compare_with_textbook(&c, DTYPE_F16, false, 2);
}

static void greedy_takes_the_largest(void **state) {
    UNUSED(state);
    struct toy t;
    toy_init(&t, &tiny, DTYPE_F16, false, 9);
    enum { N = 20, MORE = 12 };
    int tokens[N + MORE];
    random_tokens(tokens, N, tiny.n_vocab, 9);
    struct engine *en = open_engine(&t, &(struct engine_options){.n_threads = 1});
    struct branch *b = branch_of(en, tokens, N);
    engine_generate(en, &(struct engine_generate){.id = 1, .branch = b, .n_tokens_max = MORE});
    struct engine_event event = next_event(en);
    assert_int_equal(event.n_tokens, MORE);
    assert_int_equal(event.end, ENGINE_END_LENGTH);
    memcpy(tokens + N, event.tokens, sizeof(int) * MORE);
    double *want = toy_outputs(&t, tokens, N + MORE);
    for (int i = N; i < N + MORE; i++) {
        const double *row = want + (i - 1) * tiny.n_vocab;
        int best = 0;
        double sum = 0;
        for (int j = 1; j < tiny.n_vocab; j++)
            if (row[j] > row[best]) best = j;
        for (int j = 0; j < tiny.n_vocab; j++) sum += exp(row[j] - row[best]);
        assert_int_equal(tokens[i], best);
        assert_true(fabs((double)event.logprobs[i - N] + log(sum)) < 1e-4);
    }
    free(want);
    branch_release(b);
    engine_close(en);
    toy_fini(&t);
}

/* ---- forks, sharing, release ---- */

static const struct engine_sampling plain = {.temperature = 1};

static void a_shared_prefix_is_computed_once(void **state) {
    UNUSED(state);
    struct toy t;
    toy_init(&t, &tiny, DTYPE_F32, false, 3);
    enum { N = 37, FORKS = 64, MORE = 5 };
    int tokens[N];
    random_tokens(tokens, N, tiny.n_vocab, 3);
    struct engine *en = open_engine(&t, &(struct engine_options){.n_threads = 2, .n_rows_max = 48});
    struct branch *root = branch_of(en, tokens, N), *forks[FORKS];
    for (int i = 0; i < FORKS; i++) {
        forks[i] = branch_fork(root);
        engine_generate(en, &(struct engine_generate){.id = (uint64_t)i,
                                                      .branch = forks[i],
                                                      .key = (uint64_t)i,
                                                      .sampling = plain,
                                                      .n_tokens_max = MORE});
    }
    step_until_idle(en);
    engine_check(en);
    struct engine_counters c = engine_counters(en);
    assert_int_equal(c.n_prefilled, N);
    assert_int_equal(c.n_recomputed, 0);
    assert_int_equal(c.n_sampled, FORKS * MORE);
    assert_int_equal(c.n_pages_copied, FORKS);
    /* 37 rows, then 4 for each fork; those admitted later ask once more for the prompt's last row */
    assert_true(c.n_rows >= N + FORKS * (MORE - 1) && c.n_rows <= N + FORKS * (MORE - 1) + 4);
    assert_int_equal(c.n_pages_used, 3 + FORKS);
    assert_int_equal(branch_length(root), N);
    struct engine_event event;
    while (engine_next(en, &event)) {
    }
    for (int i = 0; i < FORKS; i++) {
        branch_release(forks[i]);
        engine_check(en);
        assert_int_equal(engine_counters(en).n_pages_used,
                         3 + FORKS - 1 - i); /* pruned pages return at once */
    }
    branch_release(root);
    assert_int_equal(engine_counters(en).n_pages_used, 0);
    engine_check(en);
    engine_close(en);
    toy_fini(&t);
}

static void flops_are_counted_from_shapes(void **state) {
    UNUSED(state);
    struct toy t;
    toy_init(&t, &tiny, DTYPE_F32, false, 3);
    int tokens[10];
    random_tokens(tokens, 10, tiny.n_vocab, 3);
    struct engine *en = open_engine(&t, &(struct engine_options){.n_threads = 1});
    struct branch *b = branch_of(en, tokens, 10);
    engine_generate(en, &(struct engine_generate){.branch = b, .n_tokens_max = 3});
    step_until_idle(en);
    double want = 0; /* rows at positions 0..11; logits at 9, 10, 11 */
    for (int i = 0; i < 12; i++) want += model_flops_per_token(&tiny, i + 1, i >= 9 ? tiny.n_vocab : 0);
    assert_true(fabs(engine_counters(en).flops - want) < 1);
    assert_int_equal(engine_counters(en).n_rows, 12);
    engine_close(en); /* branches and the untold event go with it */
    toy_fini(&t);
}

/* ---- random schedules against one request at a time ---- */

enum { BRANCHES = 20, LENGTH_MAX = 160 };

struct mirror { /* what the test knows of a branch */
    struct branch *b;
    int tokens[LENGTH_MAX + 64], n;
    int n_flying;
    bool generating;
};

struct asked {
    uint64_t id;
    int i_branch;
    bool reading, told;
    struct engine_generate g;
    size_t marks[8];
    int outputs[3], n_marks, n_outputs, n_before;
    int n_stop; /* on_token stops after this many; 0: never */
    int n_seen;
};

struct play {
    const struct toy *t;
    struct engine *en, *solo;
    struct mirror branches[BRANCHES];
    struct asked asked[400];
    int n_asked;
    uint64_t key, counter;
    int n_events, n_unfit, n_cancelled;
};

static int pick(struct play *p, int n) {
    return (int)rng_below(p->key, p->counter++, (uint64_t)n);
}

static enum engine_stop stop_after(void *ctx, int token, float logprob) {
    struct asked *a = ctx;
    UNUSED(token), UNUSED(logprob);
    return ++a->n_seen == a->n_stop ? ENGINE_STOP_AFTER : ENGINE_STOP_NO;
}

static void expect_generate(struct play *p, struct asked *a, const struct engine_event *got) {
    struct mirror *m = &p->branches[a->i_branch];
    struct branch *b = branch_of(p->solo, m->tokens, a->n_before);
    struct engine_generate g = a->g;
    struct asked again = *a;
    again.n_seen = 0;
    g.branch = b;
    g.ctx = &again;
    engine_generate(p->solo, &g);
    struct engine_event want = next_event(p->solo);
    assert_int_equal(got->end, want.end);
    assert_int_equal(got->n_tokens, want.n_tokens);
    assert_memory_equal(got->tokens, want.tokens, (size_t)want.n_tokens * sizeof *want.tokens);
    assert_memory_equal(got->logprobs, want.logprobs, (size_t)want.n_tokens * sizeof *want.logprobs);
    memcpy(m->tokens + a->n_before, got->tokens, (size_t)got->n_tokens * sizeof *got->tokens);
    m->n = a->n_before + got->n_tokens;
    m->generating = false;
    branch_release(b);
}

static void expect_read(struct play *p, struct asked *a, const struct engine_event *got) {
    struct branch *b = branch_of(p->solo, p->branches[a->i_branch].tokens, a->n_before);
    struct engine_read r = {.branch = b,
                            .marks = a->marks,
                            .n_marks = (size_t)a->n_marks,
                            .outputs = a->outputs,
                            .n_outputs = a->n_outputs};
    struct err e = {0};
    assert_true(engine_read(p->solo, &r, &e));
    struct engine_event want = next_event(p->solo);
    assert_int_equal(got->end, ENGINE_END_READ);
    size_t n = (size_t)(a->n_marks * a->n_outputs);
    if (n) assert_memory_equal(got->outputs, want.outputs, n * sizeof *want.outputs);
    assert_int_equal(branch_computed(b), a->n_before);
    branch_release(b);
}

static void hear(struct play *p) {
    struct engine_event event;
    while (engine_next(p->en, &event)) {
        struct asked *a = &p->asked[event.id];
        struct mirror *m = &p->branches[a->i_branch];
        assert_false(a->told);
        a->told = true;
        m->n_flying--;
        p->n_events++;
        (a->reading ? expect_read : expect_generate)(p, a, &event);
        assert_int_equal(branch_length(m->b), m->n);
        int tokens[LENGTH_MAX + 64];
        int first = pick(p, m->n + 1), n = pick(p, m->n - first + 1);
        branch_tokens(m->b, (size_t)first, (size_t)n, tokens);
        assert_memory_equal(tokens, m->tokens + first, (size_t)n * sizeof *tokens);
        engine_check(p->en);
    }
}

/* Requests that the pool can never hold are dropped with an error: the next one waiting is the one. */
static void take_step(struct play *p) {
    struct err e = {0};
    int n = engine_step(p->en, &e);
    if (n < 0) {
        assert_non_null(strstr(e.msg, "pages"));
        unsigned long id;
        assert_int_equal(sscanf(e.msg, "request %lu", &id), 1);
        struct asked *a = &p->asked[id];
        a->told = true;
        p->branches[a->i_branch].n_flying--;
        p->branches[a->i_branch].generating = false;
        p->n_unfit++;
    }
    engine_check(p->en);
}

static struct asked *new_asked(struct play *p, int i_branch) {
    struct mirror *m = &p->branches[i_branch];
    struct asked *a = &p->asked[p->n_asked];
    *a = (struct asked){.id = (uint64_t)p->n_asked++, .i_branch = i_branch, .n_before = m->n};
    m->n_flying++;
    return a;
}

static void ask_generate(struct play *p, int i) {
    struct mirror *m = &p->branches[i];
    if (m->n == 0 || m->n_flying) return;
    struct asked *a = new_asked(p, i);
    static const struct engine_sampling all[] = {
        {.temperature = 1},
        {.temperature = 0},
        {.temperature = 0.7f, .top_p = 0.9f},
        {.temperature = 1.3f, .top_k = 5},
        {.temperature = 1, .min_p = 0.1f, .top_p = 0.95f, .top_k = 20}};
    a->n_stop = pick(p, 3) ? 0 : 1 + pick(p, 6);
    a->g = (struct engine_generate){.id = a->id,
                                    .branch = m->b,
                                    .key = (uint64_t)pick(p, 1000),
                                    .sampling = all[pick(p, ARRAY_LEN(all))],
                                    .n_tokens_max = 1 + pick(p, 24),
                                    .on_token = stop_after,
                                    .ctx = a};
    m->generating = true;
    engine_generate(p->en, &a->g);
}

static void ask_read(struct play *p, int i) {
    struct mirror *m = &p->branches[i];
    if (m->generating) return;
    struct asked *a = new_asked(p, i);
    a->reading = true;
    for (int j = 0; j < m->n && a->n_marks < 8; j += 1 + pick(p, 12)) a->marks[a->n_marks++] = (size_t)j;
    for (int j = 0; j < 3; j++) a->outputs[a->n_outputs++] = pick(p, p->t->m.config.n_head_outputs);
    struct engine_read r = {.id = a->id,
                            .branch = m->b,
                            .marks = a->marks,
                            .n_marks = (size_t)a->n_marks,
                            .outputs = a->outputs,
                            .n_outputs = a->n_outputs};
    struct err e = {0};
    if (engine_read(p->en, &r, &e)) return;
    assert_true(m->n > p->t->m.config.n_context || strstr(e.msg, "pages"));
    m->n_flying--;
    p->n_asked--;
}

static void grow(struct play *p, int i) {
    struct mirror *m = &p->branches[i];
    if (m->n_flying) return;
    int n = pick(p, 4) ? pick(p, 12) : pick(p, 50);
    if (m->n + n > LENGTH_MAX + 8) return;
    random_tokens(m->tokens + m->n, n, p->t->m.config.n_vocab, rng_child(p->key, p->counter++));
    branch_append(m->b, m->tokens + m->n, (size_t)n);
    m->n += n;
}

static void fork_or_begin(struct play *p, int i, int from) {
    struct mirror *m = &p->branches[i], *parent = &p->branches[from];
    if (m->b) return;
    bool fork = parent->b && !parent->generating && pick(p, 6);
    if (fork)
        *m = (struct mirror){.b = branch_fork(parent->b), .n = parent->n};
    else
        *m = (struct mirror){.b = engine_root(p->en)};
    if (fork) memcpy(m->tokens, parent->tokens, sizeof m->tokens);
}

static void cancel_one(struct play *p) {
    if (p->n_asked == 0) return;
    struct asked *a = &p->asked[pick(p, p->n_asked)];
    if (a->told) return;
    struct mirror *m = &p->branches[a->i_branch];
    engine_cancel(p->en, a->id);
    p->n_cancelled++;
    a->told = true;
    m->n_flying--;
    if (a->reading) return;
    m->generating = false; /* the branch keeps what it has */
    m->n = (int)branch_length(m->b);
    branch_tokens(m->b, 0, (size_t)m->n, m->tokens);
}

static void act(struct play *p) {
    int i = pick(p, BRANCHES), what = pick(p, 20);
    struct mirror *m = &p->branches[i];
    if (what < 3) {
        fork_or_begin(p, i, pick(p, BRANCHES));
    } else if (what == 3) {
        if (pick(p, 2)) cancel_one(p);
    } else if (what > 12) {
        take_step(p);
    } else if (m->b && what < 6) {
        grow(p, i);
    } else if (m->b && what < 9) {
        ask_generate(p, i);
    } else if (m->b && what < 12) {
        ask_read(p, i);
    } else if (m->b && !m->n_flying && !pick(p, 4)) {
        branch_release(m->b);
        m->b = NULL;
    }
}

/* Sums over all plays: they must have met what they are for. */
struct met {
    uint64_t n_events, n_unfit, n_cancelled, n_evictions, n_copied, n_recomputed;
};

static void play_one(const struct toy *t, struct engine *solo, enum engine_kv kv, uint64_t seed,
                     struct met *met) {
    struct play *p = mem_zalloc(1, sizeof *p);
    *p = (struct play){.t = t, .solo = solo, .key = seed};
    static const int rows[] = {1, 2, 3, 5, 8, 16, 33, 64};
    struct engine_options o = {.kv = kv,
                               .n_threads = 1 + pick(p, 3),
                               .n_rows_max = rows[pick(p, ARRAY_LEN(rows))],
                               .sharing = (enum engine_sharing)pick(p, 3)};
    size_t page_bytes = 2 * 2 * kv_head_elements(8) * (kv == ENGINE_KV_F16 ? 2 : 4);
    o.kv_bytes = page_bytes * (size_t)(pick(p, 4) ? 3 + pick(p, 14) : 200);
    p->en = open_engine(t, &o);
    for (int i = 0; i < 400 && p->n_asked < (int)ARRAY_LEN(p->asked); i++) {
        act(p);
        engine_check(p->en);
        if (pick(p, 3) == 0) hear(p);
    }
    while (engine_in_flight(p->en)) take_step(p), hear(p);
    for (int i = 0; i < p->n_asked; i++) assert_true(p->asked[i].told);
    for (int i = 0; i < BRANCHES; i++) {
        if (p->branches[i].b) branch_release(p->branches[i].b);
        engine_check(p->en);
    }
    struct engine_counters c = engine_counters(p->en);
    assert_int_equal(c.n_pages_used, 0);
    met->n_events += (uint64_t)p->n_events;
    met->n_unfit += (uint64_t)p->n_unfit;
    met->n_cancelled += (uint64_t)p->n_cancelled;
    met->n_evictions += c.n_evictions;
    met->n_copied += c.n_pages_copied;
    met->n_recomputed += c.n_recomputed;
    engine_close(p->en);
    free(p);
}

static int n_plays(void) {
    const char *s = getenv("BROOD_TEST_PLAYS"); /* more than the usual number, by hand */
    return s ? (int)strtol(s, NULL, 10) : 240;
}

static void random_trees_equal_one_request_at_a_time(void **state) {
    UNUSED(state);
    struct toy t[3];
    toy_init(&t[0], &tiny, DTYPE_F32, false, 11);
    toy_init(&t[1], &tiny, DTYPE_F32, false, 11);
    toy_init_bf16(&t[2], 11);
    int end_tokens[] = {7};
    const enum engine_kv kv[] = {ENGINE_KV_AUTO, ENGINE_KV_F16, ENGINE_KV_AUTO};
    static const char *const kept[] = {"F32", "F16", "F16"};
    struct engine *solo[3];
    for (int i = 0; i < 3; i++) {
        t[i].m.end_tokens = end_tokens;
        t[i].m.n_end_tokens = 1;
        solo[i] =
            open_engine(&t[i], &(struct engine_options){.kv = kv[i], .n_threads = 1, .n_rows_max = 256});
        assert_string_equal(engine_kv_name(solo[i]), kept[i]);
    }
    struct met met = {0};
    for (int i = 0; i < n_plays(); i++)
        play_one(&t[i % 3], solo[i % 3], i % 3 == 0 ? ENGINE_KV_F32 : ENGINE_KV_F16,
                 rng_child(5, (uint64_t)i), &met);
    uint64_t n = (uint64_t)n_plays();
    print_message(
        "%lu plays: %lu events, %lu unfit, %lu cancelled, %lu evicted, %lu copied, %lu recomputed\n", n,
        met.n_events, met.n_unfit, met.n_cancelled, met.n_evictions, met.n_copied, met.n_recomputed);
    assert_true(met.n_events > 4 * n && met.n_unfit > 0 && met.n_cancelled > n / 2);
    assert_true(met.n_evictions > 10 * n && met.n_copied > n && met.n_recomputed > 50 * n);
    for (int i = 0; i < 3; i++) {
        engine_close(solo[i]);
        toy_fini(&t[i]);
    }
}

/* ---- the edges ---- */

static void ends_are_told(void **state) {
    UNUSED(state);
    struct toy t;
    toy_init(&t, &tiny, DTYPE_F32, false, 13);
    struct engine *en = open_engine(&t, &(struct engine_options){.n_threads = 1, .kv_bytes = 11 * 4096});
    int tokens[LENGTH_MAX + 1];
    random_tokens(tokens, LENGTH_MAX + 1, tiny.n_vocab, 1);
    struct branch *b = branch_of(en, tokens, LENGTH_MAX - 3);
    engine_generate(en,
                    &(struct engine_generate){.id = 1, .branch = b, .sampling = plain, .n_tokens_max = 100});
    struct engine_event event = next_event(en);
    assert_int_equal(event.end, ENGINE_END_LENGTH); /* the context */
    assert_int_equal(event.n_tokens, 3);
    engine_generate(en,
                    &(struct engine_generate){.id = 2, .branch = b, .sampling = plain, .n_tokens_max = 100});
    event = next_event(en);
    assert_int_equal(event.id, 2);
    assert_int_equal(event.end, ENGINE_END_LENGTH);
    assert_int_equal(event.n_tokens, 0);
    branch_append(b, tokens, 1);
    struct err e = {0};
    assert_false(engine_read(en, &(struct engine_read){.branch = b}, &e));
    assert_int_equal(e.code, ERR_INPUT);
    struct branch *empty = engine_root(en);
    assert_true(engine_read(en, &(struct engine_read){.id = 3, .branch = empty}, &e));
    assert_true(engine_step(en, &e) > 0);
    assert_true(engine_next(en, &event));
    assert_int_equal(event.id, 3);
    assert_int_equal(engine_step(en, &e), 0);
    engine_close(en);
    toy_fini(&t);
}

static void what_never_fits_is_an_error(void **state) {
    UNUSED(state);
    struct toy t;
    toy_init(&t, &tiny, DTYPE_F32, false, 13);
    struct engine *en = open_engine(&t, &(struct engine_options){.n_threads = 1, .kv_bytes = 3 * 4096});
    int tokens[60];
    random_tokens(tokens, 60, tiny.n_vocab, 1);
    struct branch *a = branch_of(en, tokens, 40), *b = branch_of(en, tokens, 60),
                  *c = branch_of(en, tokens, 40);
    engine_generate(en, &(struct engine_generate){.id = 1, .branch = a, .n_tokens_max = 10});
    engine_generate(
        en, &(struct engine_generate){.id = 2, .branch = c, .n_tokens_max = 9}); /* 48 positions: 3 pages */
    struct err e = {0};
    assert_false(engine_read(en, &(struct engine_read){.branch = b}, &e));
    assert_int_equal(engine_step(en, &e), -1);
    assert_non_null(strstr(e.msg, "request 1"));
    struct engine_event event = next_event(en);
    assert_int_equal(event.id, 2);
    assert_int_equal(event.n_tokens, 9);
    engine_check(en);
    engine_close(en);
    toy_fini(&t);
}

static void evicted_pages_are_computed_again(void **state) {
    UNUSED(state);
    struct toy t;
    toy_init(&t, &tiny, DTYPE_F32, false, 17);
    struct engine *en = open_engine(&t, &(struct engine_options){.n_threads = 1, .kv_bytes = 8 * 4096});
    enum { N = 80 };
    int tokens[N];
    struct branch *b[2];
    for (int i = 0; i < 2; i++) {
        random_tokens(tokens, N, tiny.n_vocab, (uint64_t)i);
        b[i] = branch_of(en, tokens, N);
    }
    size_t marks[] = {10, 79};
    int outputs[] = {3};
    float first[2] = {0};
    for (int i = 0; i < 6; i++) { /* 5 pages each, 8 in all */
        struct err e = {0};
        assert_true(engine_read(
            en,
            &(struct engine_read){
                .branch = b[i % 2], .marks = marks, .n_marks = 2, .outputs = outputs, .n_outputs = 1},
            &e));
        struct engine_event event = next_event(en);
        assert_int_equal(event.n_prefilled, i < 2 ? N : 0);
        assert_int_equal(event.n_recomputed,
                         i < 2 ? 0 : 32); /* the last two pages of the other made room for it */
        if (i == 0) memcpy(first, event.outputs, sizeof first);
        if (i % 2 == 0) assert_memory_equal(first, event.outputs, sizeof first);
        engine_check(en);
    }
    assert_int_equal(branch_computed(b[1]), N);
    assert_int_equal(branch_computed(b[0]), 48);
    engine_close(en);
    toy_fini(&t);
}

static void logits_that_are_no_numbers_end_the_request(void **state) {
    UNUSED(state);
    struct toy t;
    toy_init(&t, &tiny, DTYPE_F32, false, 19);
    /* finite weights whose products are not: infinities of both signs meet in every logit */
    for (int i = 0; i < t.m.n_tensors; i++)
        for (int k = 0; strcmp(t.tensors[i].name, "model.norm.weight") == 0 && k < tiny.d_model; k++)
            toy_store((void *)(uintptr_t)t.tensors[i].data, (size_t)k, DTYPE_F32, FLT_MAX);
    struct engine *en = open_engine(&t, &(struct engine_options){.n_threads = 1});
    int tokens[] = {1, 2, 3};
    struct branch *b = branch_of(en, tokens, 3), *fork = branch_fork(b);
    engine_generate(
        en, &(struct engine_generate){.id = 1, .branch = fork, .sampling = plain, .n_tokens_max = 10});
    struct engine_event event = next_event(en);
    assert_int_equal(event.end, ENGINE_END_FAILED);
    assert_int_equal(event.n_tokens, 0);
    engine_check(en);
    branch_release(fork);
    branch_release(b);
    engine_check(en);
    engine_close(en);
    toy_fini(&t);
}

/* ---- instruction sets, opening ---- */

static uint64_t play_hash(const struct toy *t) {
    struct engine *en = open_engine(t, &(struct engine_options){.n_threads = 1, .n_rows_max = 16});
    int tokens[70];
    random_tokens(tokens, 70, tiny.n_vocab, 4);
    struct branch *root = branch_of(en, tokens, 70);
    for (uint64_t i = 0; i < 6; i++) {
        struct engine_generate g = {
            .id = i, .branch = branch_fork(root), .key = i, .sampling = plain, .n_tokens_max = 30};
        engine_generate(en, &g);
    }
    uint64_t hash = 0;
    for (int i = 0; i < 6; i++) {
        struct engine_event event = next_event(en);
        hash = rng_hash(hash, event.tokens, (size_t)event.n_tokens * sizeof *event.tokens);
        hash = rng_hash(hash, event.logprobs, (size_t)event.n_tokens * sizeof *event.logprobs);
    }
    engine_close(en);
    return hash;
}

static void instruction_sets_give_the_same_bits(void **state) {
    UNUSED(state);
    char *before = getenv("BROOD_ISA") ? mem_strdup(getenv("BROOD_ISA")) : NULL;
    for (int type = DTYPE_F32; type <= DTYPE_BF16 + 1; type++) { /* the last: inputs rounded, too */
        struct toy t;
        if (type <= DTYPE_BF16)
            toy_init(&t, &tiny, (enum dtype)type, false, 23);
        else
            toy_init_bf16(&t, 23);
        setenv("BROOD_ISA", "generic", 1);
        const uint64_t generic = play_hash(&t);
        for (size_t i = 0; kernels_name(i); i++) {
            if (!kernels_by_name(kernels_name(i))) continue;
            setenv("BROOD_ISA", kernels_name(i), 1);
            if (play_hash(&t) != generic) fail_msg("%s differs from generic", kernels_name(i));
        }
        toy_fini(&t);
    }
    if (before)
        setenv("BROOD_ISA", before, 1);
    else
        unsetenv("BROOD_ISA");
    free(before);
}

static void what_cannot_be_opened_is_refused(void **state) {
    UNUSED(state);
    struct toy t;
    struct err e = {0};
    toy_init(&t, &tiny, DTYPE_F32, false, 3);
    assert_null(engine_open(&t.m, &(struct engine_options){.n_threads = 1, .kv_bytes = SIZE_MAX / 2}, &e));
    assert_non_null(strstr(e.msg, "do not fit"));
    t.m.config.rope.kind = ROPE_FACTORS;
    assert_null(engine_open(&t.m, &(struct engine_options){.n_threads = 1, .kv_bytes = 1 << 20}, &e));
    assert_non_null(strstr(e.msg, "rope_freqs.weight is missing"));
    t.m.config.rope.kind = ROPE_DEFAULT;
    t.m.config.d_ffn++;
    assert_null(engine_open(&t.m, &(struct engine_options){.n_threads = 1, .kv_bytes = 1 << 20}, &e));
    assert_non_null(strstr(e.msg, "mlp."));
    t.m.config.d_ffn--;
    t.m.config.n_layers++;
    assert_null(engine_open(&t.m, &(struct engine_options){.n_threads = 1, .kv_bytes = 1 << 20}, &e));
    assert_non_null(strstr(e.msg, "model.layers.2."));
    t.m.config.n_layers--;
    struct engine *en = open_engine(&t, &(struct engine_options){0}); /* the defaults work */
    assert_true(engine_wanted(en) > 0);
    assert_ptr_equal(engine_model(en), &t.m);
    assert_non_null(kernels_by_name(engine_isa(en)));
    engine_close(en);
    toy_fini(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outputs_are_the_textbooks),
        cmocka_unit_test(rope_scalings_are_the_textbooks),
        cmocka_unit_test(class_heads_have_their_bias),
        cmocka_unit_test(greedy_takes_the_largest),
        cmocka_unit_test(a_shared_prefix_is_computed_once),
        cmocka_unit_test(flops_are_counted_from_shapes),
        cmocka_unit_test(ends_are_told),
        cmocka_unit_test(what_never_fits_is_an_error),
        cmocka_unit_test(evicted_pages_are_computed_again),
        cmocka_unit_test(logits_that_are_no_numbers_end_the_request),
        cmocka_unit_test(instruction_sets_give_the_same_bits),
        cmocka_unit_test(what_cannot_be_opened_is_refused),
        cmocka_unit_test(random_trees_equal_one_request_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
