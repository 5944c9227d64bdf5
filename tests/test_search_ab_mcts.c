/* Adaptive branching: beliefs and draws by themselves, the tree against the published rule restated. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#include "base/aggregate.h"
#include "search/posterior.h"
#include "search_script.h"

/* cmocka compares in single precision. */
#define assert_near(a, b, tolerance) assert_true(fabs((a) - (b)) <= (tolerance))

static const struct posterior_prior gaussian = {
    .mean = 0, .kappa = 1, .nu = 1, .tau2 = 0.1, .a = 0.5, .b = 0.5};

/* ---- beliefs ---- */

/* treequest's prob_state.py: mean and variance of the list, then its four formulas; Beta adds. */
static struct posterior_prior published(const struct posterior_prior *prior, const double *scores, int n) {
    struct posterior_prior q = *prior;
    double ave = 0, var = 0;
    for (int i = 0; i < n; i++) ave += scores[i] / n;
    for (int i = 0; i < n; i++) var += (scores[i] - ave) * (scores[i] - ave);
    q.kappa = prior->kappa + n;
    q.nu = prior->nu + n;
    q.mean = (prior->kappa * prior->mean + n * ave) / q.kappa;
    q.tau2 = (prior->nu * prior->tau2 + var +
              n * prior->kappa * (prior->mean - ave) * (prior->mean - ave) / (prior->kappa + n)) /
             q.nu;
    for (int i = 0; i < n; i++) {
        q.a += scores[i];
        q.b += 1 - scores[i];
    }
    return q;
}

static void assert_same_belief(const struct posterior_prior *p, const struct posterior_prior *q) {
    assert_near(p->mean, q->mean, 1e-12);
    assert_near(p->kappa, q->kappa, 1e-12);
    assert_near(p->nu, q->nu, 1e-12);
    assert_near(p->tau2, q->tau2, 1e-12);
    assert_near(p->a, q->a, 1e-12);
    assert_near(p->b, q->b, 1e-12);
}

static void beliefs_are_those_of_the_published_formulas(void **state) {
    UNUSED(state);
    for (uint64_t seed = 0; seed < 200; seed++) {
        const struct posterior_prior prior = {.mean = rng_unit(seed, 0),
                                              .kappa = 0.1 + 3 * rng_unit(seed, 1),
                                              .nu = 0.1 + 5 * rng_unit(seed, 2),
                                              .tau2 = 0.01 + rng_unit(seed, 3),
                                              .a = 0.1 + rng_unit(seed, 4),
                                              .b = 0.1 + rng_unit(seed, 5)};
        double scores[40];
        struct posterior p = {0};
        struct posterior_prior one_by_one = prior;
        for (int n = 0; n <= 40; n++) {
            const struct posterior_prior belief = posterior_belief(&prior, &p);
            const struct posterior_prior expected = published(&prior, scores, n);
            assert_same_belief(&belief, &expected);
            assert_same_belief(&belief, &one_by_one); /* what was believed is the prior of what follows */
            if (n == 40) break;
            scores[n] = rng_below(seed, 9, 2) ? rng_unit(seed, 10 + (uint64_t)n)
                                              : (double)rng_below(seed, 10 + (uint64_t)n, 2);
            posterior_observe(&p, scores[n]);
            one_by_one = published(&one_by_one, &scores[n], 1);
        }
    }
}

/* Worked by hand: scores 1 and 0.5. */
static void a_belief_worked_by_hand(void **state) {
    UNUSED(state);
    struct posterior p = {0};
    posterior_observe(&p, 1);
    posterior_observe(&p, 0.5);
    const struct posterior_prior q = posterior_belief(&gaussian, &p);
    assert_near(q.mean, 1.5 / 3, 1e-15);
    assert_near(q.nu * q.tau2, 0.1 + 0.125 + 2 * 0.75 * 0.75 / 3, 1e-15);
    assert_near(q.kappa, 3, 0);
    assert_near(q.a, 2, 1e-15);
    assert_near(q.b, 1, 1e-15);
}

/* ---- draws ---- */

enum { DRAWS = 40000 };

/* The share of draws up to x is F(x), within four standard errors. */
static void assert_distribution(const struct posterior_prior *belief, double (*cdf)(double), double from,
                                double to) {
    static double draws[DRAWS];
    struct posterior_stream s = {.key = 7};
    for (int i = 0; i < DRAWS; i++) draws[i] = posterior_draw(belief, &s);
    for (int g = 1; g < 20; g++) {
        double x = from + (to - from) * g / 20, f = cdf(x);
        int n = 0;
        for (int i = 0; i < DRAWS; i++) n += draws[i] <= x;
        assert_near((double)n / DRAWS, f, 4 * sqrt(f * (1 - f) / DRAWS));
    }
}

/* Of the mean of a normal-inverse-gamma: Student's t with nu degrees of freedom, scaled by sqrt(tau2 /
 * kappa). */
static double t_1(double x) {
    return 0.5 + atan(x / sqrt(0.1)) / acos(-1);
}

static double t_2(double x) { /* mean 0.25, tau2 / kappa = 0.02 */
    double t = (x - 0.25) / sqrt(0.02);
    return 0.5 + t / (2 * sqrt(2 + t * t));
}

static double t_3(double x) { /* mean 0.5, tau2 / kappa = 0.04 */
    double u = (x - 0.5) / 0.2 / sqrt(3);
    return 0.5 + (u / (1 + u * u) + atan(u)) / acos(-1);
}

static double arcsine(double x) { /* Beta(1/2, 1/2) */
    return 2 / acos(-1) * asin(sqrt(x));
}

static double beta_2_1(double x) {
    return x * x;
}

static double beta_3_2(double x) {
    return 4 * x * x * x - 3 * x * x * x * x;
}

static void draws_have_their_distributions(void **state) {
    UNUSED(state);
    assert_distribution(&gaussian, t_1, -2, 2);
    const struct posterior_prior two = {.mean = 0.25, .kappa = 3, .nu = 2, .tau2 = 0.06};
    assert_distribution(&two, t_2, -0.5, 1);
    const struct posterior_prior three = {.mean = 0.5, .kappa = 2, .nu = 3, .tau2 = 0.08};
    assert_distribution(&three, t_3, -0.5, 1.5);
    assert_distribution(&(struct posterior_prior){.is_beta = true, .a = 0.5, .b = 0.5}, arcsine, 0, 1);
    assert_distribution(&(struct posterior_prior){.is_beta = true, .a = 2, .b = 1}, beta_2_1, 0, 1);
    assert_distribution(&(struct posterior_prior){.is_beta = true, .a = 3, .b = 2}, beta_3_2, 0, 1);
    struct posterior_stream s = {.key = 1};
    const struct posterior_prior extreme = {.is_beta = true, .a = 1e-3, .b = 1e-3};
    for (int i = 0; i < 1000; i++) {
        double x = posterior_draw(&extreme, &s);
        assert_true(x >= 0 && x <= 1);
    }
}

/* ---- the rule, restated as treequest has it: lists of scores, fitted anew for every draw ---- */

enum { NODES_MAX = 300 };

struct list {
    double scores[NODES_MAX];
    int n;
};

struct node {
    int parent, children[NODES_MAX], n_children, n_asked, depth;
    uint64_t key;
    struct script_result got;
    double score;
    struct list itself, gen, cont;
};

struct reference {
    const struct script *script;
    struct posterior_prior prior;
    int n, width, depth, n_nodes, n_decisions;
    enum aggregate aggregate;
    bool stops;
    struct node nodes[NODES_MAX];
};

static void tell(struct list *l, double score) {
    l->scores[l->n++] = score;
}

static double draw_sample(const struct reference *r, const struct list *l, struct posterior_stream *s) {
    const struct posterior_prior fitted = published(&r->prior, l->scores, l->n);
    return posterior_draw(&fitted, s);
}

/* Thompson sampling: of the first of the largest. */
static int node_to_expand(const struct reference *r, uint64_t decision) {
    struct posterior_stream s = {.key = rng_child(rng_child(SCRIPT_PROBLEM_KEY, 0x61626d63), decision)};
    int at = 0;
    while (r->nodes[at].n_children > 0 && r->nodes[at].depth + 1 < r->depth) {
        const struct node *v = &r->nodes[at];
        double gen = draw_sample(r, &v->gen, &s);
        if (!(draw_sample(r, &v->cont, &s) > gen)) return at;
        double largest = -INFINITY;
        for (int i = 0; i < v->n_children; i++) {
            double value = draw_sample(r, &r->nodes[v->children[i]].itself, &s);
            if (value > largest) at = v->children[i];
            largest = fmax(largest, value);
        }
    }
    return at;
}

static int write_node(struct reference *r, int parent) {
    struct node *v = &r->nodes[r->n_nodes], *p = &r->nodes[parent];
    *v = (struct node){.parent = parent, .depth = p->depth + 1};
    v->key = rng_child(p->key, (uint64_t)p->n_asked);
    v->got = script_result(r->script, p->key, p->n_asked++, true, SCRIPT_TOKENS_MAX);
    if (r->script->no_reward || v->got.told.finish != SEARCH_END) v->got.n_rewards = -1;
    if (v->got.n_rewards > 0) v->score = aggregate_of(r->aggregate, v->got.rewards, v->got.n_rewards);
    if (v->got.told.verdict == 1) v->score = 1;
    return r->n_nodes++;
}

/* tell: the node is registered, then its score goes up. */
static void learn(struct reference *r, int node) {
    struct node *v = &r->nodes[node], *p = &r->nodes[v->parent];
    if (v->got.told.finish == SEARCH_FAILED) return;
    p->children[p->n_children++] = node;
    tell(&v->itself, v->score);
    tell(&p->gen, v->score);
    for (int at = v->parent; at != 0; at = r->nodes[at].parent) {
        tell(&r->nodes[r->nodes[at].parent].cont, v->score);
        tell(&r->nodes[at].itself, v->score);
    }
}

static void reference_search(struct reference *r) {
    r->n_nodes = 1;
    r->nodes[0] = (struct node){.key = SCRIPT_PROBLEM_KEY};
    for (bool verified = false; r->n_decisions < r->n && !(verified && r->stops);) {
        int batch[NODES_MAX], n_batch = MIN(r->width, r->n - r->n_decisions);
        for (int i = 0; i < n_batch; i++) batch[i] = node_to_expand(r, (uint64_t)r->n_decisions++);
        for (int i = 0; i < n_batch; i++) batch[i] = write_node(r, batch[i]);
        for (int i = 0; i < n_batch; i++) {
            learn(r, batch[i]);
            verified |= r->nodes[batch[i]].got.told.verdict == 1;
        }
    }
}

static void reference_dump(const struct reference *r, int node, const char *path, struct buf *out) {
    const struct node *v = &r->nodes[node];
    const int states[] = {[SEARCH_STEP] = TREE_OPEN,
                          [SEARCH_END] = TREE_SOLUTION,
                          [SEARCH_LENGTH] = TREE_CUT,
                          [SEARCH_FAILED] = TREE_FAILED};
    int n_rewards = node ? v->got.n_rewards : 0;
    buf_printf(out, "%s state=%d%s%s tokens=%d class=%d children=%d rewards=%d:", path,
               node ? states[v->got.told.finish] : (int)TREE_OPEN,
               v->got.told.verdict == 1 && node ? " verified" : "", node ? " until-end" : "",
               v->got.told.n_tokens, node ? v->got.told.answer_class : -1, v->n_asked, n_rewards);
    for (int k = 0; k < n_rewards; k++) buf_printf(out, " %g", (double)v->got.rewards[k]);
    buf_add_char(out, '\n');
    for (int i = 0, index = 0; i < r->n_nodes; i++) {
        if (i == 0 || r->nodes[i].parent != node) continue;
        char child[400];
        snprintf(child, sizeof child, *path ? "%.350s.%d" : "%.350s%d", path, index++);
        reference_dump(r, i, child, out);
    }
}

/* Plays the strategy in several orders; returns the depth of its tree. */
static int assert_restated(struct reference *r, const char *text, uint64_t orders) {
    struct buf expected = {0};
    int deepest = 0;
    reference_search(r);
    reference_dump(r, 0, "", &expected);
    for (int i = 0; i < r->n_nodes; i++) deepest = MAX(deepest, r->nodes[i].depth);
    for (uint64_t order = 0; order < 4; order++) {
        struct script_run run = {0};
        script_run(text, r->script, 1000 * order + orders, &run);
        assert_string_equal(buf_cstr(&run.dump), buf_cstr(&expected));
        assert_int_equal(run.n_expands, r->n_nodes - 1);
        assert_int_equal(run.n_drops, 0);
        buf_free(&run.dump);
    }
    buf_free(&expected);
    return deepest;
}

static void the_tree_is_the_published_rule_s_in_any_order(void **state) {
    UNUSED(state);
    static struct reference r;
    const int ns[] = {1, 5, 20, 60, 100}, widths[] = {1, 4, 3, 16, 7, 64}, depths[] = {1, 2, 4, 8, 1000};
    int n_deep = 0, n_early = 0;
    for (int i = 0; i < 240; i++) {
        const struct script script = {.seed = (uint64_t)i,
                                      .no_reward = i % 8 == 7,
                                      .cut_percent = i % 3 ? 10 : 0,
                                      .fail_percent = i % 3 ? 5 : 0,
                                      .unscored_percent = i % 7 ? 0 : 10,
                                      .verified_percent = i % 8 == 7 || i % 5 == 0 ? 6 : 0,
                                      .n_values = 1000,
                                      .n_texts = i % 5 ? 0 : 3,
                                      .n_tokens = 20};
        r = (struct reference){.script = &script,
                               .prior = gaussian,
                               .n = ns[i % 5],
                               .width = widths[i % 6],
                               .depth = depths[i / 5 % 5],
                               .aggregate = (enum aggregate)(i / 2 % AGGREGATES),
                               .stops = script.verified_percent && i % 3 == 0};
        r.prior.is_beta = i / 4 % 2;
        if (i % 2) r.prior.mean = 0.5;
        if (i % 3 == 1) r.prior.tau2 = r.prior.kappa = 0.01;
        if (i % 3 == 2) r.prior.nu = r.prior.a = 4;
        char text[240];
        snprintf(text, sizeof text,
                 "ab-mcts:n=%d,width=%d,depth=%d,prior=%s,mean=%g,kappa=%g,nu=%g,tau2=%g,a=%g,b=%g,"
                 "aggregate=%s,stop=%s",
                 r.n, r.width, r.depth, r.prior.is_beta ? "beta" : "gaussian", r.prior.mean, r.prior.kappa,
                 r.prior.nu, r.prior.tau2, r.prior.a, r.prior.b, aggregate_names[r.aggregate],
                 r.stops ? "verified" : "none");
        int deepest = assert_restated(&r, text, (uint64_t)i);
        assert_true(deepest <= r.depth);
        n_deep += deepest > 2;
        n_early += r.n_nodes - 1 < r.n;
    }
    assert_true(n_deep > 30 && n_early > 4);
}

/* Under TreeQuest's name: one decision at a time, its default priors, no bound on depth. */
static void treequests_preset(void **state) {
    UNUSED(state);
    static struct reference r;
    for (int i = 0; i < 60; i++) {
        const struct script script = {.seed = (uint64_t)i, .n_values = 1000, .n_tokens = 1};
        r = (struct reference){.script = &script, .prior = gaussian, .n = 50, .width = 1, .depth = 1000};
        assert_restated(&r, i % 2 ? "tq-ab-mcts-a" : "tq-ab-mcts-a:n=50,width=1", (uint64_t)i);
        r = (struct reference){.script = &script, .prior = gaussian, .n = 50, .width = 5, .depth = 1000};
        r.prior.is_beta = true;
        assert_restated(&r, "tq-ab-mcts-a:width=5,prior=beta", (uint64_t)i); /* ask_batch */
    }
}

/* ---- what follows from the rule ---- */

static void counts_follow_the_formulas(void **state) {
    UNUSED(state);
    const struct script script = {.seed = 3, .n_values = 100, .n_tokens = 1};
    for (int n = 1; n <= 40; n += 3) {
        char text[80];
        struct script_run run = {0}, flat = {0}, sample = {0};
        snprintf(text, sizeof text, "ab-mcts:n=%d", n);
        script_run(text, &script, 5, &run);
        assert_true(run.n_expands == n && run.n_solutions == n && run.n_scores == n);
        snprintf(text, sizeof text, "ab-mcts:n=%d,depth=1", n); /* nothing is revised: samples */
        script_run(text, &script, 5, &flat);
        snprintf(text, sizeof text, "sample:n=%d", n);
        script_run(text, &script, 6, &sample);
        assert_string_equal(buf_cstr(&flat.dump), buf_cstr(&sample.dump));
        buf_free(&run.dump);
        buf_free(&flat.dump);
        buf_free(&sample.dump);
    }
}

static void without_scores_it_is_refused(void **state) {
    UNUSED(state);
    struct err e = {0};
    const struct search_spec spec = script_spec("ab-mcts");
    struct search_context context = {.problem_key = 1, .n_tokens_answer_max = 9};
    assert_null(search_new(&spec, &context, &e));
    assert_string_equal(e.msg,
                        "strategy 'ab-mcts' needs a reward model, or a verifier: give one with --reward");
    context.has_verifier = true;
    struct search *s = search_new(&spec, &context, &e);
    assert_non_null(s);
    search_free(s);
}

static void it_can_be_stopped_at_any_time(void **state) {
    UNUSED(state);
    const struct script script = {.seed = 9, .fail_percent = 5, .n_values = 9, .n_tokens = 9};
    for (int n = 1;; n++) {
        struct script_run run = {.n_told_max = n};
        script_run("ab-mcts:n=20,width=3", &script, (uint64_t)n, &run);
        buf_free(&run.dump);
        if (run.n_told < n) break;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(beliefs_are_those_of_the_published_formulas),
        cmocka_unit_test(a_belief_worked_by_hand),
        cmocka_unit_test(draws_have_their_distributions),
        cmocka_unit_test(the_tree_is_the_published_rule_s_in_any_order),
        cmocka_unit_test(treequests_preset),
        cmocka_unit_test(counts_follow_the_formulas),
        cmocka_unit_test(without_scores_it_is_refused),
        cmocka_unit_test(it_can_be_stopped_at_any_time),
    };
    return cmocka_run_group_tests_name("search_ab_mcts", tests, NULL, NULL);
}
