/* Beam search, its allocations, and DVTS, driven by a scripted policy and reward model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#include "base/aggregate.h"
#include "search/allocate.h"
#include "search_script.h"

/* ---- the same rule, restated: one level after the other, no asks, no events ---- */

struct beam_node {
    char path[160];
    uint64_t key;
    int parent, n_children, n_tokens_path;
    bool until_end, dropped, scored, is_branch; /* is_branch: a DROP names it */
    struct script_result got;
    double score;
};

struct reference {
    const struct script *script;
    int depth, n_nodes;
    enum aggregate aggregate;
    int distinct;
    int allocation; /* 0 topk, 1 rebase, 2 particle */
    double softmax, ess;
    int lookahead, n_ahead;
    struct beam_node nodes[4000], ahead[4000]; /* ahead: greedy steps, no candidates */
};

static bool can_go_on(const struct beam_node *v) {
    return v->got.told.finish == SEARCH_STEP && v->n_tokens_path < SCRIPT_TOKENS_MAX;
}

/* Goes on greedily from v; adds what the reward model says to the n rewards of its path. */
static int look_ahead(struct reference *r, struct beam_node *v, float *rewards, int n) {
    struct beam_node *from = v;
    for (int i = 0; i < r->lookahead && from->scored && can_go_on(from); i++) {
        struct beam_node *x = &r->ahead[r->n_ahead++];
        ASSERT(r->n_ahead < (int)ARRAY_LEN(r->ahead));
        *x = (struct beam_node){.dropped = true, .is_branch = i == 0};
        snprintf(x->path, sizeof x->path, "%.100s.%d", from->path, from->n_children);
        x->key = rng_child(from->key, (uint64_t)from->n_children);
        x->got = script_result(r->script, from->key, from->n_children++, false,
                               SCRIPT_TOKENS_MAX - from->n_tokens_path);
        x->n_tokens_path = from->n_tokens_path + x->got.told.n_tokens;
        x->scored = can_go_on(x) || x->got.told.finish == SEARCH_END;
        for (int k = 0; x->scored && k < x->got.n_rewards; k++) rewards[n++] = x->got.rewards[k];
        if (x->got.n_rewards < 0) break;
        from = x;
    }
    return n;
}

static int reference_add(struct reference *r, int parent, int depth) {
    struct beam_node *p = &r->nodes[parent], *v = &r->nodes[r->n_nodes];
    ASSERT(r->n_nodes < (int)ARRAY_LEN(r->nodes));
    *v = (struct beam_node){.parent = parent, .until_end = depth == r->depth};
    snprintf(v->path, sizeof v->path, parent ? "%.100s.%d" : "%.100s%d", p->path, p->n_children);
    v->key = rng_child(p->key, (uint64_t)p->n_children);
    v->got =
        script_result(r->script, p->key, p->n_children++, v->until_end, SCRIPT_TOKENS_MAX - p->n_tokens_path);
    v->n_tokens_path = p->n_tokens_path + v->got.told.n_tokens;
    v->scored = can_go_on(v) || v->got.told.finish == SEARCH_END;
    float rewards[400];
    int n = 0, up[50], n_up = 0, n_own;
    for (int i = r->n_nodes; i > 0; i = r->nodes[i].parent) up[n_up++] = i;
    while (n_up-- > 0)
        for (int k = 0; k < r->nodes[up[n_up]].got.n_rewards; k++)
            rewards[n++] = r->nodes[up[n_up]].got.rewards[k];
    n_own = v->got.n_rewards;
    if (can_go_on(v) && n_own >= 0 && r->lookahead > 0) n = look_ahead(r, v, rewards, n);
    v->score = n_own < 0 || n == 0 ? -INFINITY : aggregate_of(r->aggregate, rewards, n);
    return r->n_nodes++;
}

/* Is a ranked before b? Nodes of a level are numbered in path order. */
static bool before(const struct reference *r, int a, int b, int first) {
    bool twin[2] = {false, false};
    for (int i = 0; i < 2; i++) {
        const struct beam_node *v = &r->nodes[i ? b : a];
        for (int k = first; k < (i ? b : a) && r->distinct; k++)
            twin[i] |= r->nodes[k].parent == v->parent && v->got.told.text_hash &&
                       r->nodes[k].got.told.text_hash == v->got.told.text_hash;
    }
    if (twin[0] != twin[1]) return twin[1];
    if (r->nodes[a].score != r->nodes[b].score) return r->nodes[a].score > r->nodes[b].score;
    return a < b;
}

/* Drops a node; while that leaves its parent without children that are wanted, the parent instead. */
static void reference_drop(struct reference *r, int node) {
    for (int parent = r->nodes[node].parent; parent > 0; parent = r->nodes[node].parent) {
        bool wanted = false;
        for (int i = 1; i < r->n_nodes; i++)
            wanted |= r->nodes[i].parent == parent && i != node && !r->nodes[i].dropped;
        if (wanted) break;
        node = parent;
    }
    r->nodes[node].is_branch = r->nodes[node].dropped = true;
    for (int i = 1; i < r->n_nodes; i++) r->nodes[i].dropped |= r->nodes[r->nodes[i].parent].dropped;
}

static double odds_of(double score) {
    double p = fmin(fmax(score, 1e-7), 1 - 1e-7);
    return p / (1 - p);
}

/* its_hub's weights, drawn systematically: tick k of n falls at (u + k) / n of the summed weights. */
static void reference_resample(struct reference *r, int first, int end, int depth, int *next) {
    double sum = 0, squares = 0, n = 0,
           u = rng_unit(rng_child(SCRIPT_PROBLEM_KEY, 0x62656173), (uint64_t)depth);
    for (int i = first; i < end; i++) {
        if (!can_go_on(&r->nodes[i])) continue;
        sum += odds_of(r->nodes[i].score);
        squares += odds_of(r->nodes[i].score) * odds_of(r->nodes[i].score);
        n++;
    }
    bool resample = n > 0 && sum * sum / squares < r->ess * n;
    for (int k = 0; k < n; k++) {
        double upto = 0;
        int i = first - 1, j = k;
        while (i + 1 < end) {
            if (!can_go_on(&r->nodes[++i])) continue;
            upto += odds_of(r->nodes[i].score);
            if (resample ? upto / sum > (u + k) / n : j-- == 0) break;
        }
        next[i - first]++;
    }
}

/* The balanced sampling of REBASE's code: from the best down, each takes its share of what is left, rounded
 * up. */
static void reference_rebase(struct reference *r, const int *by_rank, int n, int n_left, int first,
                             int *next) {
    double e[1000];
    for (int i = 0; i < n; i++) {
        double best = r->nodes[by_rank[0]].score;
        e[i] = isinf(best) ? 1 : exp((r->nodes[by_rank[i]].score - best) / r->softmax);
    }
    for (int i = 0; i < n && n_left > 0; i++) {
        double rest = 0;
        for (int k = n - 1; k >= i; k--) rest += e[k];
        int got = rest > 0 ? MIN(n_left, (int)ceil(n_left * e[i] / rest - 1e-9)) : 0;
        next[by_rank[i] - first] = got;
        n_left -= got;
    }
}

static bool is_twin_of_earlier(const struct reference *r, int i, int first) {
    bool twin = false;
    for (int k = first; k < i; k++)
        twin |= r->distinct && r->nodes[k].parent == r->nodes[i].parent && r->nodes[i].got.told.text_hash &&
                r->nodes[k].got.told.text_hash == r->nodes[i].got.told.text_hash;
    return twin;
}

/* One group from the root to its end. */
static void reference_group(struct reference *r, int n_slots, int n_children) {
    int share = n_children / n_slots, spare = n_children % n_slots;
    int first = r->n_nodes, n_left = n_children;
    for (int i = 0; i < n_children; i++) reference_add(r, 0, 1);
    for (int depth = 2;; depth++) {
        int end = r->n_nodes, kept = 0, n_ranked = 0, next[1000] = {0}, by_rank[1000] = {0};
        bool only_twins = true;
        for (int i = first; i < end; i++) {
            if (can_go_on(&r->nodes[i])) only_twins &= is_twin_of_earlier(r, i, first);
            n_left -= r->nodes[i].got.told.finish != SEARCH_FAILED && !can_go_on(&r->nodes[i]);
        }
        for (int i = first; i < end; i++) {
            if (!r->nodes[i].scored) continue;
            int rank = 0, place = 0;
            for (int k = first; k < end; k++) rank += k != i && r->nodes[k].scored && before(r, k, i, first);
            if (!can_go_on(&r->nodes[i])) continue;
            bool given_up = r->distinct == 2 && is_twin_of_earlier(r, i, first);
            if (r->allocation == 0 && rank < n_slots && !given_up) next[i - first] = share + (rank < spare);
            for (int k = first; k < end; k++)
                place += k != i && can_go_on(&r->nodes[k]) && before(r, k, i, first);
            if (is_twin_of_earlier(r, i, first) && !only_twins) continue;
            by_rank[place] = i; /* twins come last: the places of the others are consecutive */
            n_ranked = MAX(n_ranked, place + 1);
        }
        if (r->allocation == 1) reference_rebase(r, by_rank, n_ranked, n_left, first, next);
        if (r->allocation == 2) reference_resample(r, first, end, depth - 1, next);
        for (int i = first; i < end; i++)
            if (can_go_on(&r->nodes[i]) && next[i - first] == 0) reference_drop(r, i);
        for (int i = first; i < end; i++)
            for (int k = 0; k < next[i - first]; k++) reference_add(r, i, depth);
        for (int i = first; i < end; i++) kept += next[i - first] > 0;
        if (kept == 0) break;
        n_slots = kept;
        first = end;
    }
}

static int compare_paths(const char *a, const char *b) {
    while (*a && *b) {
        char *end_a, *end_b;
        long x = strtol(a, &end_a, 10), y = strtol(b, &end_b, 10);
        if (x != y) return x < y ? -1 : 1;
        a = end_a + (*end_a == '.');
        b = end_b + (*end_b == '.');
    }
    return (*a != 0) - (*b != 0);
}

static int by_path(const void *a, const void *b) {
    return compare_paths(((const struct beam_node *)a)->path, ((const struct beam_node *)b)->path);
}

static void reference_dump(struct reference *r, struct buf *out) {
    for (int i = 0; i < r->n_ahead; i++) r->nodes[r->n_nodes++] = r->ahead[i];
    ASSERT(r->n_nodes < (int)ARRAY_LEN(r->nodes));
    qsort(r->nodes, (size_t)r->n_nodes, sizeof *r->nodes, by_path);
    for (int i = 0; i < r->n_nodes; i++) {
        const struct beam_node *v = &r->nodes[i];
        const int states[] = {[SEARCH_STEP] = can_go_on(v) ? TREE_OPEN : TREE_CUT,
                              [SEARCH_END] = TREE_SOLUTION,
                              [SEARCH_LENGTH] = TREE_CUT,
                              [SEARCH_FAILED] = TREE_FAILED};
        int n_rewards = i == 0 ? 0 : v->scored ? v->got.n_rewards : -1;
        buf_printf(out, "%s state=%d%s%s tokens=%d class=%d children=%d rewards=%d:", v->path,
                   i ? states[v->got.told.finish] : (int)TREE_OPEN, v->dropped ? " dropped" : "",
                   v->until_end ? " until-end" : "", v->got.told.n_tokens, i ? v->got.told.answer_class : -1,
                   v->n_children, n_rewards);
        for (int k = 0; k < n_rewards; k++) buf_printf(out, " %g", (double)v->got.rewards[k]);
        buf_add_char(out, '\n');
    }
    for (int i = 0; i < r->n_nodes; i++)
        if (r->nodes[i].is_branch) buf_printf(out, "drop %s\n", r->nodes[i].path);
}

static const struct script mixed = {.seed = 1,
                                    .end_percent = 15,
                                    .cut_percent = 5,
                                    .fail_percent = 5,
                                    .unscored_percent = 5,
                                    .n_values = 4,
                                    .n_texts = 5,
                                    .n_tokens = 12};

static const struct {
    int n, width, depth;
} shapes[] = {{1, 1, 5}, {4, 4, 5},  {16, 4, 8},  {16, 1, 6}, {7, 2, 6}, {11, 3, 40},
              {3, 5, 4}, {12, 5, 1}, {32, 16, 6}, {20, 4, 3}, {9, 4, 7}, {16, 2, 40}};

static void assert_restated(struct reference *r, const char *text, uint64_t orders) {
    struct buf expected = {0};
    reference_dump(r, &expected);
    for (uint64_t order = 0; order < 4; order++) {
        struct script_run run = {0};
        script_run(text, r->script, 1000 * order + orders, &run);
        assert_string_equal(buf_cstr(&run.dump), buf_cstr(&expected));
        assert_int_equal(run.n_expands, r->n_nodes - 1);
        buf_free(&run.dump);
    }
    buf_free(&expected);
}

static struct script script_number(int i) {
    struct script script = mixed;
    script.seed = (uint64_t)i;
    if (i % 3 == 0) script.fail_percent = script.unscored_percent = script.cut_percent = 0;
    if (i % 7 == 0) script.n_tokens = 2;
    return script;
}

static void the_tree_is_the_restated_rule_s_in_any_order(void **state) {
    UNUSED(state);
    static struct reference r;
    char text[120];
    for (int i = 0; i < 480; i++) {
        struct script script = script_number(i);
        bool is_dvts = i % 2;
        int distinct = i % 5 ? 1 + i / 5 % 2 : 0;
        int n = shapes[i % 12].n, width = shapes[i % 12].width;
        r = (struct reference){.script = &script,
                               .depth = shapes[i % 12].depth,
                               .aggregate = (enum aggregate)(i / 12 % 4),
                               .distinct = distinct,
                               .n_nodes = 1};
        r.nodes[0].key = SCRIPT_PROBLEM_KEY;
        int n_slots = MAX(1, n / width);
        for (int g = 0; g < (is_dvts ? n_slots : 1); g++)
            reference_group(&r, is_dvts ? 1 : n_slots, is_dvts ? n / n_slots + (g < n % n_slots) : n);
        snprintf(text, sizeof text, "%s:n=%d,width=%d,depth=%d,aggregate=%s,distinct=%d",
                 is_dvts ? "dvts" : "beam", n, width, shapes[i % 12].depth, aggregate_names[i / 12 % 4],
                 distinct);
        assert_restated(&r, text, (uint64_t)i);
    }
}

static void other_allocations_are_their_restated_rules(void **state) {
    UNUSED(state);
    static struct reference r;
    char text[160];
    const double temperatures[] = {0.02, 0.1, 0.3, 1, 50}, shares[] = {0, 0.3, 0.5, 0.9, 1};
    for (int i = 0; i < 400; i++) {
        struct script script = script_number(i);
        script.unscored_percent = i % 2 ? 0 : script.unscored_percent;
        if (i % 5 == 0) script.n_values = 1000;
        r = (struct reference){.script = &script,
                               .depth = shapes[i % 12].depth,
                               .aggregate = (enum aggregate)(i / 12 % 4),
                               .distinct = i % 5 > 1,
                               .allocation = 1 + i % 2,
                               .softmax = temperatures[i / 2 % 5],
                               .ess = shares[i / 2 % 5],
                               .n_nodes = 1};
        r.nodes[0].key = SCRIPT_PROBLEM_KEY;
        reference_group(&r, 1, shapes[i % 12].n);
        snprintf(text, sizeof text,
                 "beam:n=%d,depth=%d,aggregate=%s,distinct=%d,allocation=%s,softmax=%g,ess=%g",
                 shapes[i % 12].n, shapes[i % 12].depth, aggregate_names[i / 12 % 4], i % 5 > 1,
                 i % 2 ? "particle" : "rebase", r.softmax, r.ess);
        assert_restated(&r, text, (uint64_t)i);
    }
}

static void lookahead_ranks_by_where_a_step_leads(void **state) {
    UNUSED(state);
    static struct reference r;
    char text[160];
    for (int i = 0; i < 300; i++) {
        struct script script = script_number(i);
        script.drops_solutions = true;
        bool is_dvts = i % 4 == 1;
        int n = MIN(shapes[i % 12].n, 20), width = shapes[i % 12].width, n_slots = MAX(1, n / width);
        r = (struct reference){.script = &script,
                               .depth = MIN(shapes[i % 12].depth, 8),
                               .aggregate = (enum aggregate)(i / 12 % 4),
                               .distinct = true,
                               .allocation = i % 4 == 3,
                               .softmax = 0.1,
                               .lookahead = 1 + i % 5,
                               .n_nodes = 1};
        r.nodes[0].key = SCRIPT_PROBLEM_KEY;
        for (int g = 0; g < (is_dvts ? n_slots : 1); g++)
            reference_group(&r, is_dvts ? 1 : n_slots, is_dvts ? n / n_slots + (g < n % n_slots) : n);
        snprintf(text, sizeof text, "%s:n=%d,width=%d,depth=%d,aggregate=%s,lookahead=%d%s",
                 is_dvts ? "dvts" : "beam", n, width, r.depth, aggregate_names[i / 12 % 4], r.lookahead,
                 r.allocation ? ",allocation=rebase" : "");
        assert_restated(&r, text, (uint64_t)i);
    }
}

/* Two steps: the one that scores better leads nowhere. Only lookahead sees it. */
static void lookahead_decides(void **state) {
    UNUSED(state);
    const char *texts[] = {"beam:n=2,width=2,depth=3,aggregate=last",
                           "beam:n=2,width=2,depth=3,aggregate=last,lookahead=1"};
    for (int ahead = 0; ahead < 2; ahead++) {
        struct search *s = script_search(texts[ahead]);
        const struct tree *t = search_tree(s);
        struct search_ask ask;
        int dropped = -1;
        while (search_ask(s, &ask)) {
            const struct tree_node *v = &t->nodes[ask.node];
            struct search_told told = {
                .finish = v->until_end ? SEARCH_END : SEARCH_STEP, .n_tokens = 1, .answer_class = -1};
            float reward = v->depth == 1                    ? (v->index == 0 ? 0.9f : 0.6f)
                           : t->nodes[v->parent].index == 0 ? 0.1f
                                                            : 0.8f;
            if (ask.op == SEARCH_EXPAND) {
                bool is_ahead = ahead && v->depth == 2 && v->index == 0;
                if (v->depth <= 2) assert_true(is_ahead == (ask.temperature == 0));
                search_tell_node(s, ask.node, &told);
            } else if (ask.op == SEARCH_SCORE) {
                search_tell_score(s, ask.node, &reward, 1);
            } else if (v->depth == 1) {
                dropped = v->index;
            }
        }
        assert_int_equal(dropped, ahead ? 0 : 1);
        search_free(s);
    }
}

/* ---- allocations by themselves ---- */

static void softmax_hands_out_all_children_in_proportion(void **state) {
    UNUSED(state);
    for (uint64_t seed = 0; seed < 500; seed++) {
        struct candidate c[20] = {{0}};
        size_t n = 1 + rng_below(seed, 0, 20);
        int n_children = (int)rng_below(seed, 1, 60), total = 0;
        double sum = 0;
        for (size_t i = 0; i < n; i++)
            c[i] = (struct candidate){.is_open = true, .score = 1 - (double)i / 20}; /* rank order */
        for (size_t i = 0; i < n; i++) sum += exp(c[i].score / 0.2);
        allocate_softmax(c, n, n_children, 0.2);
        for (size_t i = 0; i < n; i++) {
            total += c[i].n_children;
            assert_true(i == 0 || c[i].n_children <= c[i - 1].n_children);
            assert_true(c[i].n_children <= n_children * exp(c[i].score / 0.2) / sum + 1);
        }
        assert_int_equal(total, n_children);
    }
    struct candidate even[4] = {{.is_open = true}, {.is_open = true}, {.is_open = true}, {.is_open = true}};
    allocate_softmax(even, 4, 8, 1);
    for (int i = 0; i < 4; i++) assert_int_equal(even[i].n_children, 2);
}

/* A particle of weight w gets floor(nw) or ceil(nw) children, and nw in the mean over all draws. */
static void resampling_is_unbiased(void **state) {
    UNUSED(state);
    for (uint64_t seed = 0; seed < 50; seed++) {
        enum { N = 9, DRAWS = 2000 };
        double scores[N], sum = 0, mean[N] = {0};
        for (size_t i = 0; i < N; i++) {
            scores[i] = i % 4 == 3 ? -INFINITY : rng_unit(seed, i);
            sum += odds_of(scores[i]);
        }
        for (int draw = 0; draw < DRAWS; draw++) {
            struct candidate c[N + 1] = {{0}};
            int total = 0;
            for (size_t i = 0; i < N; i++) c[i] = (struct candidate){.is_open = true, .score = scores[i]};
            allocate_resample(c, N + 1, 1, (draw + 0.5) / DRAWS); /* the last is a solution */
            for (size_t i = 0; i < N; i++) {
                double exact = N * odds_of(scores[i]) / sum;
                assert_true(c[i].n_children >= floor(exact) && c[i].n_children <= ceil(exact));
                mean[i] += (double)c[i].n_children / DRAWS;
                total += c[i].n_children;
            }
            assert_true(total == N && c[N].n_children == 0);
        }
        for (size_t i = 0; i < N; i++)
            assert_true(fabs(mean[i] - N * odds_of(scores[i]) / sum) < 2.0 / DRAWS);
    }
}

/* Where nothing ends early, fails or is cut, a level has n nodes. */
static void counts_follow_the_formulas(void **state) {
    UNUSED(state);
    const struct script endless = {.seed = 3, .n_values = 100, .n_tokens = 1};
    for (int i = 0; i < 60; i++) {
        const int widths[] = {1, 2, 4, 8}, depths[] = {1, 2, 3, 5, 12};
        int width = widths[i % 4], depth = depths[i / 4 % 5], n = width * (1 + i / 20 * 3);
        char text[100];
        for (int k = 0; k < 2; k++) {
            struct script_run run = {0};
            snprintf(text, sizeof text, "%s:n=%d,width=%d,depth=%d", k ? "beam" : "dvts", n, width, depth);
            script_run(text, &endless, 5, &run);
            assert_int_equal(run.n_expands, n * depth);
            assert_int_equal(run.n_scores, n * depth);
            assert_int_equal(run.n_solutions, n);
            assert_int_equal(run.n_drops, (n - n / width) * (depth - 1));
            buf_free(&run.dump);
            if (depth > 3) continue;
            struct script_run looking = {0}; /* two more for each that is not the last of its path */
            snprintf(text, sizeof text, "%s:n=%d,width=%d,depth=%d,lookahead=2", k ? "beam" : "dvts", n,
                     width, depth);
            script_run(text, &endless, 5, &looking);
            assert_int_equal(looking.n_expands, n * depth + 2 * n * (depth - 1));
            assert_int_equal(looking.n_solutions, n);
            buf_free(&looking.dump);
        }
    }
}

/* ---- width 1: independent samples ---- */

/* Chain i has so many steps, ends so, and answers so: by the key of its first node. */
static struct search_told chain_told(uint64_t key, int depth, bool until_end, int *n_steps) {
    *n_steps = 1 + (int)rng_below(key, 0, 6);
    struct search_told told = {.answer_class = -1, .n_tokens = until_end ? *n_steps : 1};
    if (!until_end && depth < *n_steps) return told;
    const enum search_finish finishes[] = {SEARCH_END, SEARCH_END, SEARCH_LENGTH, SEARCH_END};
    told.finish = finishes[rng_below(key, 1, 4)];
    if (told.finish == SEARCH_END) told.answer_class = (int)rng_below(key, 2, 5);
    return told;
}

static void play_chains(const char *text, struct buf *out) {
    struct search *s = script_search(text);
    const struct tree *t = search_tree(s);
    struct search_ask ask;
    while (search_ask(s, &ask)) {
        assert_true(ask.op != SEARCH_DROP);
        int top = ask.node, n_steps;
        while (t->nodes[top].parent > 0) top = t->nodes[top].parent;
        struct search_told told =
            chain_told(t->nodes[top].key, t->nodes[ask.node].depth, ask.until_end, &n_steps);
        float reward = (float)rng_unit(t->nodes[ask.node].key, 9);
        if (ask.op == SEARCH_EXPAND)
            search_tell_node(s, ask.node, &told);
        else
            search_tell_score(s, ask.node, &reward, 1);
    }
    assert_true(search_done(s));
    struct script_node *nodes = mem_alloc(t->n_nodes * sizeof *nodes);
    for (size_t i = 0; i < t->n_nodes; i++) nodes[i] = (struct script_node){t, (int)i};
    qsort(nodes, t->n_nodes, sizeof *nodes, script_by_path);
    for (size_t i = 1; i < t->n_nodes; i++) {
        const struct tree_node *v = &t->nodes[nodes[i].node];
        if (v->n_children == 0)
            buf_printf(out, "state %d, class %d, %d tokens\n", (int)v->state, v->answer_class,
                       v->n_tokens_path);
    }
    free(nodes);
    search_free(s);
}

static void beams_of_width_1_are_independent_samples(void **state) {
    UNUSED(state);
    struct buf sample = {0}, beam = {0}, dvts = {0};
    play_chains("sample:n=40", &sample);
    play_chains("beam:n=40,width=1", &beam);
    play_chains("dvts:n=40,width=1", &dvts);
    assert_string_equal(buf_cstr(&beam), buf_cstr(&sample));
    assert_string_equal(buf_cstr(&dvts), buf_cstr(&sample));
    buf_free(&sample);
    buf_free(&beam);
    buf_free(&dvts);
}

static void all_that_ended_are_solutions_and_all_else_is_dropped(void **state) {
    UNUSED(state);
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct script script = mixed;
        script.seed = seed;
        script.fail_percent = script.cut_percent = 0;
        script.n_tokens = 1;
        struct script_run run = {0};
        script_run(seed % 2 ? "beam:n=12,width=3" : "dvts:n=12,width=3", &script, seed, &run);
        int n_ended = 0;
        for (const char *line = buf_cstr(&run.dump); *line && *line != 'd'; line = strchr(line, '\n') + 1) {
            bool ended = strstr(line, " state=2") && strstr(line, " state=2") < strchr(line, '\n');
            bool dropped = strstr(line, " dropped") && strstr(line, " dropped") < strchr(line, '\n');
            bool leaf = strstr(line, " children=0") && strstr(line, " children=0") < strchr(line, '\n');
            if (leaf) assert_true(ended != dropped);
            n_ended += ended;
        }
        assert_true(n_ended == run.n_solutions && n_ended > 0);
        buf_free(&run.dump);
    }
}

static void it_can_be_stopped_at_any_time(void **state) {
    UNUSED(state);
    const char *texts[] = {"beam:n=8,width=2",
                           "beam:n=8,allocation=rebase",
                           "beam:n=8,allocation=particle",
                           "dvts:n=8,width=2",
                           "sample:n=8",
                           "greedy"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        for (int n = 1;; n++) {
            struct script_run run = {.n_told_max = n};
            script_run(texts[i], &mixed, (uint64_t)n, &run);
            buf_free(&run.dump);
            if (run.n_told < n) break;
            assert_int_equal(run.n_told, n);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_tree_is_the_restated_rule_s_in_any_order),
        cmocka_unit_test(other_allocations_are_their_restated_rules),
        cmocka_unit_test(lookahead_ranks_by_where_a_step_leads),
        cmocka_unit_test(lookahead_decides),
        cmocka_unit_test(softmax_hands_out_all_children_in_proportion),
        cmocka_unit_test(resampling_is_unbiased),
        cmocka_unit_test(counts_follow_the_formulas),
        cmocka_unit_test(beams_of_width_1_are_independent_samples),
        cmocka_unit_test(all_that_ended_are_solutions_and_all_else_is_dropped),
        cmocka_unit_test(it_can_be_stopped_at_any_time),
    };
    return cmocka_run_group_tests_name("search_beam", tests, NULL, NULL);
}
