/* test_eval_html.c - the page: well-formed whatever models wrote, nothing in it that runs or loads but its
 * own script, the same bytes again, bounded; and which problems are picked for it. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "eval/html.h"
#include "eval/html_page.h"
#include "eval/html_tree.h"
#include "hand_run.h"
#include "page_reader.h"
#include "run/run.h"

/* ---- SHA-256 (FIPS 180-4), to know the script by its hash as a browser does ---- */

static uint32_t turn(uint32_t x, int n) {
    return x >> n | x << (32 - n);
}

static void sha_block(uint32_t h[8], const unsigned char *p, const uint32_t k[64]) {
    uint32_t w[64], v[8];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 | (uint32_t)p[4 * i + 2] << 8 |
               p[4 * i + 3];
    for (int i = 16; i < 64; i++)
        w[i] = w[i - 16] + (turn(w[i - 15], 7) ^ turn(w[i - 15], 18) ^ w[i - 15] >> 3) + w[i - 7] +
               (turn(w[i - 2], 17) ^ turn(w[i - 2], 19) ^ w[i - 2] >> 10);
    memcpy(v, h, sizeof v);
    for (int i = 0; i < 64; i++) {
        const uint32_t a = v[7] + (turn(v[4], 6) ^ turn(v[4], 11) ^ turn(v[4], 25)) +
                           ((v[4] & v[5]) ^ (~v[4] & v[6])) + k[i] + w[i];
        const uint32_t b = (turn(v[0], 2) ^ turn(v[0], 13) ^ turn(v[0], 22)) +
                           ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
        memmove(v + 1, v, 7 * sizeof *v);
        v[4] += a;
        v[0] = a + b;
    }
    for (int i = 0; i < 8; i++) h[i] += v[i];
}

/* The first 32 bits of the fractional parts of square (power 2) or cube roots of the first primes. */
static void roots_of_primes(uint32_t *out, int n, int power) {
    for (int p = 2, found = 0; found < n; p++) {
        bool prime = true;
        for (int q = 2; q * q <= p; q++) prime = prime && p % q != 0;
        if (!prime) continue;
        unsigned __int128 low = 0, high = (unsigned __int128)20 << 32; /* root times 2^32, by halving */
        while (high - low > 1) {
            const unsigned __int128 m = (low + high) / 2;
            const bool below = power == 2 ? m * m <= (unsigned __int128)(unsigned)p << 64
                                          : m * m * m <= (unsigned __int128)(unsigned)p << 96;
            *(below ? &low : &high) = m;
        }
        out[found++] = (uint32_t)low;
    }
}

static void sha256_base64(struct str s, char out[45]) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t h[8], k[64];
    unsigned char digest[33] = {0};
    roots_of_primes(h, 8, 2);
    roots_of_primes(k, 64, 3);
    const size_t n = (s.len + 9 + 63) / 64 * 64;
    unsigned char *padded = mem_zalloc(n, 1);
    memcpy(padded, s.ptr, s.len);
    padded[s.len] = 0x80;
    for (int i = 0; i < 8; i++) padded[n - 1 - (size_t)i] = (unsigned char)((uint64_t)s.len * 8 >> 8 * i);
    for (size_t i = 0; i < n; i += 64) sha_block(h, padded + i, k);
    free(padded);
    for (int i = 0; i < 32; i++) digest[i] = (unsigned char)(h[i / 4] >> (24 - 8 * (i % 4)));
    for (int i = 0; i < 11; i++) {
        const unsigned x =
            (unsigned)digest[3 * i] << 16 | (unsigned)digest[3 * i + 1] << 8 | digest[3 * i + 2];
        for (int j = 0; j < 4; j++) out[4 * i + j] = letters[x >> (18 - 6 * j) & 63];
    }
    out[43] = '=';
    out[44] = '\0';
}

static void the_hash_is_sha_256(void **state) {
    UNUSED(state);
    char hash[45];
    sha256_base64(STR("abc"), hash);
    assert_string_equal(hash, "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
    sha256_base64(STR(""), hash);
    assert_string_equal(hash, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
}

/* ---- pages ---- */

static void make_page(const char *const *names, int n, int n_trees, struct buf *out,
                      struct html_facts *facts) {
    struct err e;
    struct report *r = report_new();
    for (int i = 0; i < n; i++)
        if (!report_add(r, path_of(names[i]), REPORT_AGGREGATE_OF_RUN, &e)) fail_msg("%s", e.msg);
    report_compare(r);
    struct browse *b = browse_open(r, &e);
    if (!b) fail_msg("%s", e.msg);
    browse_pick(b, n_trees, NULL);
    if (!html_report(r, &(struct html_extras){0}, b, out, facts, &e)) fail_msg("%s", e.msg);
    browse_close(b);
    report_free(r);
}

static struct page *read_page(const struct buf *bytes) {
    struct page *p = mem_zalloc(1, sizeof *p);
    page_read(p, buf_str(bytes));
    return p;
}

static void end_page(struct page *p, struct buf *bytes) {
    page_free(p);
    free(p);
    buf_free(bytes);
}

/* Runs a toy policy to the end. */
static void make_toy_run(const char *name, const char *strategy) {
    struct err e = {0};
    struct buf lines = {0};
    for (int i = 0; i < 9; i++)
        buf_printf(&lines, "{\"id\":\"p%d\",\"problem\":\"chain %d\",\"answer\":%d,\"level\":%d}\n", i, i,
                   i % 3, 1 + i % 3);
    char *task = mem_strdup(path_of("toy.jsonl"));
    FILE *f = fopen(task, "w");
    assert_non_null(f);
    fputs(buf_cstr(&lines), f);
    fclose(f);
    char *store = mem_strdup(path_of(name));
    unlink(store);
    struct run_options o = {.task = task,
                            .policy = "toy:depth=4,seed=3",
                            .reward = "toy:depth=4,seed=3,noise=0.1",
                            .store = store,
                            .select = SELECT_WEIGHTED,
                            .aggregate = AGGREGATE_LAST};
    assert_true(search_spec_parse(&o.spec, strategy, &e));
    struct run *r = run_open(&o, &e);
    if (!r) fail_msg("%s", e.msg);
    struct run_progress p;
    do assert_true(run_step(r, &p, &e));
    while (!p.finished);
    assert_true(run_close(r, &e));
    free(task);
    free(store);
    buf_free(&lines);
}

/* Nodes and dropped nodes of the trees that a page has. */
static void count_nodes(const char *const *names, int n, int n_trees, size_t *n_nodes, size_t *n_dropped) {
    struct err e;
    struct report *r = report_new();
    for (int i = 0; i < n; i++) assert_true(report_add(r, path_of(names[i]), REPORT_AGGREGATE_OF_RUN, &e));
    struct browse *b = browse_open(r, &e);
    *n_nodes = *n_dropped = 0;
    browse_pick(b, n_trees, NULL);
    for (size_t i = 0; i < b->n_problems; i++) {
        for (size_t j = 0; b->problems[i].picked && j < b->n_runs; j++) {
            struct browse_tree *t = browse_tree_load(b, i, j, &e);
            *n_nodes += t->rows->n_nodes;
            for (size_t k = 0; k < t->rows->n_nodes; k++) *n_dropped += t->log.dropped[k] > 0;
            browse_tree_free(t);
        }
    }
    browse_close(b);
    report_free(r);
}

static void a_page_shows_its_runs(void **state) {
    UNUSED(state);
    static const char *const names[] = {"many.brood", "beam.brood", "one.brood"};
    make_toy_run(names[0], "sample:n=8");
    make_toy_run(names[1], "beam:n=6,width=3");
    make_toy_run(names[2], "greedy");
    struct buf bytes = {0}, again = {0};
    struct html_facts facts;
    make_page(names, 3, 6, &bytes, &facts);
    assert_int_equal(facts.n_trees, 6);
    assert_int_equal(facts.n_problems, 9);
    struct page *p = read_page(&bytes);
    static const char *const shown[] = {
        "The runs",        "many", "beam:n=6,width=3", "weighted", "coverage",
        "law of coverage", "p8",   "answer key",       "written",  "side by side"};
    for (size_t i = 0; i < ARRAY_LEN(shown); i++)
        if (str_find(buf_str(&p->text), str_from(shown[i])) < 0) fail_msg("'%s' is not shown", shown[i]);
    size_t n_nodes, n_dropped;
    count_nodes(names, 3, 6, &n_nodes, &n_dropped);
    assert_int_equal(p->n_written, n_nodes);
    assert_int_equal(p->n_dropped, n_dropped);
    assert_true(p->n_circles > n_nodes && n_dropped > 50);
    make_page(names, 3, 6, &again, &facts);
    assert_int_equal(bytes.len, again.len);
    assert_memory_equal(bytes.ptr, again.ptr, bytes.len);
    buf_free(&again);
    end_page(p, &bytes);
}

static void nothing_runs_or_loads(void **state) {
    UNUSED(state);
    struct buf bytes = {0};
    struct html_facts facts;
    char hash[45], part[80];
    make_toy_run("many.brood", "sample:n=4");
    make_page((const char *const[]){"many.brood"}, 1, 2, &bytes, &facts);
    struct page *p = read_page(&bytes);
    assert_int_equal(p->n_styles, 1);
    assert_int_equal(p->n_scripts, 1);
    assert_true(str_equal(p->script, html_script()) && str_equal(p->style, html_style()));
    static const char *const banned[] = {
        "http:",   "https:",   "//",     "url(",    "@import",   "fetch",          "XMLHttp", "eval",
        "import(", "Function", "cookie", "Storage", "innerHTML", "insertAdjacent", "write(",  "src"};
    for (size_t i = 0; i < ARRAY_LEN(banned); i++)
        if (str_find(p->script, str_from(banned[i])) >= 0 || str_find(p->style, str_from(banned[i])) >= 0)
            fail_msg("the script or the style has %s", banned[i]);
    assert_true(str_find(p->policy, STR("default-src 'none'")) >= 0);
    assert_true(str_find(p->policy, STR("unsafe")) < 0 && str_find(p->policy, STR("http")) < 0);
    sha256_base64(p->style, hash);
    snprintf(part, sizeof part, "style-src 'sha256-%s'", hash);
    if (str_find(p->policy, str_from(part)) < 0)
        fail_msg("html_page.c should say that html_page.css has %s", hash);
    sha256_base64(p->script, hash);
    snprintf(part, sizeof part, "script-src 'sha256-%s'", hash);
    if (str_find(p->policy, str_from(part)) < 0)
        fail_msg("html_page.c should say that html_page.js has %s", hash);
    end_page(p, &bytes);
}

/* ---- difficulty ---- */

static void difficulty_is_shown_where_a_plan_is_there(void **state) {
    UNUSED(state);
    struct err e;
    struct reliabilities l, none;
    make_toy_run("many.brood", "sample:n=12");
    make_toy_run("beam.brood", "beam:n=6,width=3");
    struct report *r = report_new();
    assert_true(report_add(r, path_of("beam.brood"), REPORT_AGGREGATE_OF_RUN, &e));
    assert_true(reliabilities_make(&none, r, NULL, "no plan", &e));
    assert_int_equal(none.n, 0);
    assert_false(reliabilities_make(&none, r, plan_default(true), "built-in", &e)); /* a search alone */
    assert_non_null(strstr(e.msg, "built-in"));
    assert_true(report_add(r, path_of("many.brood"), REPORT_AGGREGATE_OF_RUN, &e));
    if (!reliabilities_make(&l, r, plan_default(true), "built-in", &e)) fail_msg("%s", e.msg);
    assert_int_equal(l.n, 1);
    assert_int_equal(l.items[0].run, 1);
    assert_true(l.items[0].scored && l.items[0].n_pilot < 12);
    int n = 0;
    for (int i = 0; i < l.items[0].figures.n_rows; i++) n += l.items[0].figures.rows[i].n;
    assert_true(n > 0 && n % 9 == 0); /* the same number of pilots of each problem */
    json_t *json = reliabilities_json(&l, r);
    assert_int_equal(json_array_size(json), 1);
    assert_non_null(json_object_get(json_array_get(json, 0), "brier"));
    json_decref(json);
    struct buf bytes = {0};
    struct html_facts facts;
    struct browse *b = browse_open(r, &e);
    assert_true(html_report(r, &(struct html_extras){.reliabilities = &l}, b, &bytes, &facts, &e));
    struct page *p = read_page(&bytes);
    assert_true(str_find(buf_str(&p->text), STR("How well difficulty is predicted")) >= 0);
    assert_true(p->n_circles >= (size_t)l.items[0].figures.n_rows);
    browse_close(b);
    end_page(p, &bytes);
    reliabilities_fini(&l);
    report_free(r);
}

/* ---- hostile text ---- */

static const char *const hostile[] = {
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\" onmouseover=\"alert(1)",
    "' autofocus onfocus='alert(1)",
    "&lt;b&gt; &amp;amp; &#x3c;",
    "</style><style>*{display:none}</style>",
    "]]><!-- --><![CDATA[",
    "javascript:alert(1) https://example.org/x?a=1&b=2",
    "\x01\x02\x1b[31m\x7f\x08 bell\x07",
    "\xe2\x80\xae"
    "detrever"
    "\xe2\x80\xac \xe2\x81\xa6isolate \xe2\x80\x8f\xd8\x9c",
    "\xff\xfe\xc0\xaf\xed\xa0\x80 not UTF-8 \xf4\x90\x80\x80",
    "\xef\xbb\xbf\xe2\x80\x8b invisible \xf3\xa0\x80\x81",
    "\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d \xd9\x85\xd8\xb1\xd8\xad\xd8\xa8\xd8\xa7",
    "{{7*7}} ${7*7} `x` \\boxed{1}",
    "</details></section></main></body></html>",
    "",
};

static char *escaped_json(const char *s) {
    json_t *v = json_text(str_from(s));
    char *out = json_dumps(v, JSON_ENCODE_ANY);
    json_decref(v);
    return out;
}

/* Every text of the run is hostile: names, ids, problems, keys, steps, answers, reasons. */
static void make_hostile_run(const char *name) {
    struct err e;
    struct buf config = {0};
    char *texts[ARRAY_LEN(hostile)];
    for (size_t i = 0; i < ARRAY_LEN(hostile); i++) texts[i] = escaped_json(hostile[i]);
    buf_printf(
        &config,
        "{\"task\":{\"name\":%s,\"hash\":%s},\"policy\":{\"name\":%s,\"parameters\":100},\"reward\":{"
        "\"name\":%s,"
        "\"parameters\":2},\"strategy\":\"sample:n=2,temperature=1,top_p=1,min_p=0,top_k=0\",\"select\":%s,"
        "\"aggregate\":\"min\",\"seed\":\"0\",\"tokens_max\":100}",
        texts[0], texts[1], texts[2], texts[3], texts[5]);
    for (size_t i = 0; i < ARRAY_LEN(hostile); i++) free(texts[i]);
    unlink(path_of(name));
    struct store *s = store_open(path_of(name), STORE_WRITE, &e);
    assert_true(s && store_set_config(s, buf_cstr(&config), &e));
    buf_free(&config);
    for (int i = 0; i < (int)ARRAY_LEN(hostile); i++) {
        const char *text = hostile[i], *other = hostile[(i + 3) % (int)ARRAY_LEN(hostile)];
        char id[160], step[400];
        const float rewards[] = {0.3f, 0.9f};
        snprintf(id, sizeof id, "%s %d", text, i);
        snprintf(step, sizeof step, "%s.\n\n%s", text, other);
        const struct store_problem p = {
            .ordinal = i, .id = id, .text = text, .answer = other, .level = i % 3};
        assert_true(store_put_problem(s, &p, &e));
        for (int j = 0; j < 2; j++) {
            const struct store_node node = {.problem = i,
                                            .path = j ? "1" : "0",
                                            .text = str_from(step),
                                            .verdict = -1,
                                            .n_tokens = 3,
                                            .finish = j ? STORE_FAILED : STORE_END,
                                            .why = j ? text : NULL};
            const struct store_score score = {i, j ? "1" : "0", rewards, 2, {.tokens_read = 5}};
            assert_true(store_put_node(s, &node, &e) && (j || store_put_score(s, &score, &e)));
        }
        const struct store_solution v = {
            .problem = i, .path = "0", .answer = text, .complete = true, .right = i % 2};
        const struct store_choice c = {.problem = i,
                                       .rule = hostile[0],
                                       .aggregate = hostile[1],
                                       .path = "0",
                                       .answer = text,
                                       .n_solutions = 1};
        const struct cost none = {0};
        assert_true(store_put_solution(s, &v, &e) && store_put_choice(s, &c, &e));
        assert_true(store_put_root_costs(s, i, &none, &none, &e) && store_put_done(s, i, &e));
    }
    end_run(s);
}

static void hostile_text_is_shown_and_nothing_else(void **state) {
    UNUSED(state);
    static const char name[] = "<b onload=x>'\"&.brood";
    struct buf bytes = {0};
    struct html_facts facts;
    make_hostile_run(name);
    make_page((const char *const[]){name, name}, 2, 100, &bytes, &facts);
    assert_int_equal(facts.n_trees, ARRAY_LEN(hostile));
    struct page *p = read_page(&bytes); /* complains about anything that is not text */
    assert_int_equal(p->n_scripts, 1);
    for (size_t i = 0; i < 8; i++) /* those without hidden characters are shown as they are */
        if (str_find(buf_str(&p->text), str_from(hostile[i])) < 0) fail_msg("not shown: %s", hostile[i]);
    static const char *const pictures[] = {
        "\xe2\x90\x81\xe2\x90\x82\xe2\x90\x9b[31m[U+007F]\xe2\x90\x88 bell\xe2\x90\x87",
        "[U+202E]detrever[U+202C] [U+2066]isolate [U+200F][U+061C]", "[U+FEFF][U+200B] invisible [U+E0001]",
        "\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d"};
    for (size_t i = 0; i < ARRAY_LEN(pictures); i++)
        if (str_find(buf_str(&p->text), str_from(pictures[i])) < 0) fail_msg("not shown: %s", pictures[i]);
    end_page(p, &bytes);
}

/* ---- size ---- */

static void a_large_search_is_shown_in_part(void **state) {
    UNUSED(state);
    enum { N = 3000, LONG = 2000000 };
    struct err e;
    struct store *s = begin_run("large.brood", "sample:n=3000");
    struct sample *samples = mem_zalloc(N, sizeof *samples);
    for (int i = 0; i < N; i++) samples[i] = (struct sample){i % 7 ? "3" : "7", 0.5f, i % 7 == 0};
    put_problem(s, 0, "large", 0, "7", samples, N);
    free(samples);
    put_problem(s, 1, "long", 0, "7", NULL, 0);
    struct buf text = {0};
    for (int i = 0; i < LONG; i++)
        buf_add_char(&text, i % 40 == 39 ? '\n' : i % 40 == 38 && i % 80 > 40 ? '\n' : '"');
    const struct store_node node = {
        .problem = 1, .path = "0", .text = buf_str(&text), .verdict = -1, .n_tokens = 9, .finish = STORE_END};
    assert_true(store_put_node(s, &node, &e));
    buf_free(&text);
    end_run(s);
    struct buf bytes = {0};
    struct html_facts facts;
    make_page((const char *const[]){"large.brood"}, 1, 10, &bytes, &facts);
    assert_int_equal(facts.n_trees, 2);
    struct page *p = read_page(&bytes);
    assert_true(p->n_circles < 2 * HTML_STEPS_MAX);
    assert_true(str_find(buf_str(&p->text), STR("Shown here are 320 of 3000 nodes")) >= 0);
    assert_true(str_find(buf_str(&p->text), STR("steps left out")) >= 0);
    assert_true(bytes.len < 3 << 20);
    end_page(p, &bytes);
}

/* ---- picking ---- */

static void picks_are_spread_and_wrong_ones_first(void **state) {
    UNUSED(state);
    struct err e;
    struct store *s = begin_run("pick.brood", "sample:n=2");
    for (int i = 0; i < 30;
         i++) { /* level 1 all right, 2 half wrong, 3 all wrong; every third wrong one was missed */
        const int level = 1 + i % 3;
        const bool wrong = level == 3 || (level == 2 && i % 2);
        const struct sample samples[] = {{wrong ? "3" : "7", 0.9f, !wrong},
                                         {"7", 0.1f, i % 9 == 5 || !wrong}};
        char id[16];
        snprintf(id, sizeof id, "p%d", i);
        put_problem(s, i, id, level, "7", samples, 2);
        const struct store_choice c = {.problem = i,
                                       .rule = "weighted",
                                       .aggregate = "min",
                                       .path = "0",
                                       .answer = "x",
                                       .n_solutions = 2};
        assert_true(store_put_choice(s, &c, &e));
    }
    end_run(s);
    struct report *r = report_new();
    assert_true(report_add(r, path_of("pick.brood"), REPORT_AGGREGATE_OF_RUN, &e));
    struct browse *b = browse_open(r, &e);
    assert_int_equal(b->n_problems, 30);
    assert_int_equal(browse_pick(b, 12, NULL), 12);
    int n_levels[4] = {0}, n_wrong = 0, n_missed = 0;
    for (size_t i = 0; i < b->n_problems; i++) {
        const struct browse_problem *p = &b->problems[i];
        if (!p->picked) continue;
        n_levels[p->level]++;
        n_wrong += p->states[0].right == 0;
        n_missed += p->states[0].right == 0 && p->states[0].n_right > 0;
    }
    for (int l = 1; l <= 3; l++) assert_int_equal(n_levels[l], 4);
    assert_int_equal(n_wrong, 4 + 3); /* of four in a level the third is a right one, where there is one */
    assert_true(n_missed >= 3);
    browse_close(b);
    b = browse_open(r, &e);
    assert_int_equal(browse_pick(b, 50, "p7"), 1);
    assert_true(b->problems[7].picked && !b->problems[0].picked);
    assert_int_equal(browse_pick(b, 50, "nobody"), 0);
    browse_close(b);
    b = browse_open(r, &e);
    assert_int_equal(browse_pick(b, 50, NULL), 30);
    assert_int_equal(browse_pick(b, 0, NULL), 0);
    browse_close(b);
    report_free(r);
}

static void one_id_of_two_tasks_is_two_problems(void **state) {
    UNUSED(state);
    struct err e;
    const struct sample one[] = {{"7", -1, true}};
    struct store *s = begin_run("this.brood", "sample:n=1");
    put_problem(s, 0, "same", 0, "7", one, 1);
    put_problem(s, 1, "line 1", 0, "7", one, 1);
    end_run(s);
    s = begin_run("that.brood", "sample:n=1");
    const struct store_problem other = {
        .ordinal = 0, .id = "line 1", .text = "another question", .answer = "7"};
    assert_true(store_put_problem(s, &other, &e));
    put_problem(s, 1, "same", 0, "7", one, 1);
    end_run(s);
    struct report *r = report_new();
    assert_true(report_add(r, path_of("this.brood"), REPORT_AGGREGATE_OF_RUN, &e));
    assert_true(report_add(r, path_of("that.brood"), REPORT_AGGREGATE_OF_RUN, &e));
    struct browse *b = browse_open(r, &e);
    assert_int_equal(b->n_problems, 3);
    assert_true(b->problems[0].states[0].ordinal == 0 && b->problems[0].states[1].ordinal == 1);
    assert_true(b->problems[1].states[0].ordinal == 1 && b->problems[1].states[1].ordinal == -1);
    assert_int_equal(browse_pick(b, 9, "line 1"), 2);
    browse_close(b);
    report_free(r);
}

static void a_tree_has_votes_and_events(void **state) {
    UNUSED(state);
    struct err e;
    make_toy_run("beam.brood", "beam:n=6,width=3");
    struct report *r = report_new();
    assert_true(report_add(r, path_of("beam.brood"), REPORT_AGGREGATE_OF_RUN, &e));
    struct browse *b = browse_open(r, &e);
    for (size_t i = 0; i < b->n_problems; i++) {
        struct browse_tree *t = browse_tree_load(b, i, 0, &e);
        assert_non_null(t);
        assert_true(t->ordered);
        int n_votes = t->n_unanswered, n_chosen = 0, n_chosen_classes = 0;
        for (size_t c = 0; c < t->n_classes; c++) {
            n_votes += t->classes[c].n_votes;
            n_chosen_classes += t->classes[c].chosen;
            if (c > 0) assert_true(t->classes[c].n_votes <= t->classes[c - 1].n_votes);
        }
        assert_int_equal(n_votes, t->rows->n_solutions);
        assert_int_equal(n_chosen_classes, t->answer ? 1 : 0);
        for (size_t j = 0; j < t->rows->n_nodes; j++) {
            assert_true(t->parents[j] < (int)j);
            if (t->leads[j]) assert_int_equal(t->log.dropped[j], 0);
            if (t->chosen[j]) assert_true(t->leads[j] && (t->parents[j] < 0 || t->chosen[t->parents[j]]));
            n_chosen += t->chosen[j] && t->solutions[j] >= 0;
        }
        assert_int_equal(n_chosen, t->answer ? 1 : n_chosen);
        browse_tree_free(t);
    }
    browse_close(b);
    report_free(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hash_is_sha_256),
        cmocka_unit_test(a_page_shows_its_runs),
        cmocka_unit_test(nothing_runs_or_loads),
        cmocka_unit_test(difficulty_is_shown_where_a_plan_is_there),
        cmocka_unit_test(hostile_text_is_shown_and_nothing_else),
        cmocka_unit_test(a_large_search_is_shown_in_part),
        cmocka_unit_test(picks_are_spread_and_wrong_ones_first),
        cmocka_unit_test(one_id_of_two_tasks_is_two_problems),
        cmocka_unit_test(a_tree_has_votes_and_events),
    };
    return cmocka_run_group_tests_name("eval_html", tests, scratch_make, scratch_remove);
}
