/* ETS, revisions and adaptive branching on a chain whose every probability is known (search_toy.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "search_toy.h"

/* ---- ETS: every tree that can be, and the best set of each by trying all ---- */

struct grown {
    int n, parents[64], values[64]; /* item 0 is the root */
    int level[8], n_level;          /* the last level, in path order */
};

/* REBASE's shares of n children for the items on the last level that are in `set`; returns how many in all.
 */
static int ets_shares(const struct grown *g, int depth, unsigned set, int n, double temperature,
                      int *shares) {
    double weights[8], sum = 0;
    int left = n;
    for (int i = 0; i < g->n_level; i++) {
        bool right = g->values[g->level[i]] == chain.right[depth];
        weights[i] = set >> i & 1 ? exp(value(depth, right) / temperature) : 0;
        sum += weights[i];
        shares[i] = 0;
    }
    for (int turn = 0; turn < g->n_level && left > 0; turn++) { /* from the best down, the first of equals */
        int best = 0;
        for (int i = 1; i < g->n_level; i++)
            if (weights[i] > weights[best]) best = i;
        if (weights[best] <= 0) break;
        shares[best] = MIN(left, (int)ceil(left * weights[best] / sum - 1e-9));
        left -= shares[best];
        sum -= weights[best];
        weights[best] = 0;
    }
    return n - left;
}

static double ets_worth(const struct grown *g, int depth, unsigned set, const int *shares, int n) {
    bool kept[64] = {false}, known[64] = {false}, in[TOY_BRANCH_MAX] = {false}, all[TOY_BRANCH_MAX] = {false};
    double worth = 0, n_kept = 0, n_known = 0, n_in = 0, n_all = 0;
    for (int i = 0; i < g->n_level; i++) {
        int rank = 0;
        bool is_in = set >> i & 1, right = g->values[g->level[i]] == chain.right[depth];
        for (int k = 0; k < g->n_level; k++) {
            bool better = g->values[g->level[k]] == chain.right[depth];
            rank += better != right ? better : k < i;
        }
        if (is_in) worth += (double)shares[i] / n + ldexp(1e-6, -rank);
        for (int up = g->level[i]; up >= 0; up = up ? g->parents[up] : -1) {
            known[up] = true;
            kept[up] |= is_in;
        }
        all[g->values[g->level[i]]] = true;
        in[g->values[g->level[i]]] |= is_in;
    }
    for (int i = 0; i < g->n; i++) {
        n_kept += kept[i];
        n_known += known[i];
    }
    for (int v = 0; v < chain.params.branch; v++) {
        n_in += in[v];
        n_all += all[v];
    }
    return worth - n_kept / n_known + 1.5 * n_in / n_all;
}

/* The chance that some path ends right, of those that begin as g has grown; x: temperature. */
static double found_by_ets(struct grown *g, int depth, int n, double x) {
    int shares[8], children[8], n_children = 0;
    unsigned best = 1;
    double missed = 1, chance = 0;
    if (depth > 0) {
        ets_shares(g, depth, ~0u, n, x, shares);
        for (unsigned set = 2; set < 1u << g->n_level; set++)
            if (ets_worth(g, depth, set, shares, n) > ets_worth(g, depth, best, shares, n)) best = set;
    }
    ets_shares(g, depth, best, n, x, shares);
    for (int i = 0; i < g->n_level; i++)
        for (int k = 0; k < shares[i]; k++) children[n_children++] = g->level[i];
    if (depth + 1 == chain.params.depth) {
        for (int i = 0; i < n_children; i++) {
            bool right = g->values[children[i]] == chain.right[depth];
            missed *= 1 - (right ? chain.p : chain.q);
        }
        return 1 - missed;
    }
    int b = chain.params.branch, n_outcomes = 1;
    for (int i = 0; i < n_children; i++) n_outcomes *= b;
    for (int outcome = 0; outcome < n_outcomes; outcome++) {
        struct grown next = *g;
        double p = 1;
        next.n_level = 0;
        for (int i = 0, rest = outcome; i < n_children; i++, rest /= b) {
            double probs[TOY_BRANCH_MAX];
            toy_chain_step(&chain, depth, g->values[children[i]], probs);
            p *= probs[rest % b];
            next.parents[next.n] = children[i];
            next.values[next.n] = rest % b;
            next.level[next.n_level++] = next.n++;
        }
        chance += p * found_by_ets(&next, depth + 1, n, x);
    }
    return chance;
}

static void ets_finds_as_computed(void **state) {
    UNUSED(state);
    const struct {
        int depth, branch, n;
        double p, q, temperature;
    } cases[] = {
        {3, 3, 4, 0.5, 0.3, 0.5}, {3, 2, 6, 0.6, 0.2, 0.2}, {4, 2, 4, 0.7, 0.1, 2}, {2, 4, 6, 0.4, 0.2, 1}};
    int n_better = 0;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct grown root = {.n = 1, .parents = {-1}, .n_level = 1};
        char text[120];
        set_chain(cases[i].depth, cases[i].branch, cases[i].p, cases[i].q);
        snprintf(text, sizeof text, "beam:n=%d,allocation=ets,softmax=%g,distinct=0,aggregate=last",
                 cases[i].n, cases[i].temperature);
        struct frequency f = play_many(text, 4000);
        double exact = found_by_ets(&root, 0, cases[i].n, cases[i].temperature);
        assert_probability(text, "found", f.found, exact, f.n);
        assert_true(f.n_nodes == cases[i].n * cases[i].depth);
        snprintf(text, sizeof text, "beam:n=%d,allocation=rebase,softmax=%g,aggregate=last", cases[i].n,
                 cases[i].temperature);
        n_better += exact > play_many(text, 4000).found + 0.01;
    }
    assert_true(n_better >= 3); /* no twins written twice: it is not REBASE, and finds more with as much */
}

/* ---- revisions: version k of a chain is a sample of the chain whose p and q moved k times ---- */

static double version_is_right(int k) {
    const struct toy_chain kept = chain;
    for (int i = 0; i < k; i++) toy_chain_revise(&chain, false);
    double right = value(0, true);
    chain = kept;
    return right;
}

static void revisions_find_as_computed(void **state) {
    UNUSED(state);
    const double moves[] = {0, 0.1, -0.2};
    for (int i = 0; i < 9; i++) {
        set_revised_chain(chains[i % 3].depth, chains[i % 3].branch, chains[i % 3].p, chains[i % 3].q,
                          moves[i / 3]);
        const struct { int n, length; } shapes[] = {{1, 1}, {4, 4}, {6, 2}, {7, 3}, {5, 1}};
        for (size_t k = 0; k < ARRAY_LEN(shapes); k++) {
            int n = shapes[k].n, length = shapes[k].length, n_chains = MAX(1, n / length);
            double missed = 1;
            char text[80];
            for (int c = 0; c < n_chains; c++)
                for (int v = 0; v < n / n_chains + (c < n % n_chains); v++) missed *= 1 - version_is_right(v);
            snprintf(text, sizeof text, "revise:n=%d,length=%d", n, length);
            struct frequency f = play_many(text, 3000);
            assert_probability(text, "found", f.found, 1 - missed, f.n);
            assert_true(f.n_nodes == n && f.n_revised == n - n_chains);
        }
    }
}

/* With two answers a chain's best version is right if any is: the last reward is the exact truth. */
static void a_chain_s_best_version_votes_as_computed(void **state) {
    UNUSED(state);
    set_revised_chain(4, 2, 0.6, 0.15, 0.1);
    for (int n_chains = 1; n_chains <= 5; n_chains += 2) {
        char text[80];
        int length = 3, votes[2] = {0}, first[2] = {0};
        double missed = 1, answers[2];
        for (int v = 0; v < length; v++) missed *= 1 - version_is_right(v);
        answers[chain.right[4]] = 1 - missed;
        answers[1 - chain.right[4]] = missed;
        snprintf(text, sizeof text, "revise:n=%d,length=%d,versions=best", n_chains * length, length);
        struct frequency f = play_many(text, 4000);
        assert_probability(text, "majority", f.majority,
                           majority_is_right(answers, n_chains, votes, first, 0), f.n);
    }
}

/* ---- adaptive branching: of two solutions, whether the second is a revision of the first ---- */

/* P(CONT's draw > GEN's), GEN having seen y, by quadrature over quantiles. */
static double goes_deeper(bool beta, double y) {
    const int n = 2000;
    double sum = 0;
    for (int i = 0; i < n; i++) {
        double u = (i + 0.5) / n, pi = acos(-1);
        if (beta) { /* CONT is Beta(1/2, 1/2); GEN Beta(3/2, 1/2) or Beta(1/2, 3/2) */
            double angle = u * pi / 2, other = pi / 2 - angle; /* CONT's draw is sin^2 of it */
            double bend = sin(angle) * cos(angle);
            sum += y > 0 ? 2 / pi * (angle - bend) : 1 - 2 / pi * (other - bend);
        } else { /* CONT is Cauchy, scale sqrt(0.1); GEN t with 2 degrees: mean y / 2, kappa 2, nu tau2 by
                    hand */
            double x = sqrt(0.1) * tan(pi * (u - 0.5)), tau2 = (0.1 + y * y / 2) / 2;
            double t = (x - y / 2) / sqrt(tau2 / 2);
            sum += 0.5 + t / (2 * sqrt(2 + t * t));
        }
    }
    return sum / n;
}

static void branching_finds_as_computed(void **state) {
    UNUSED(state);
    for (int i = 0; i < 6; i++) {
        set_revised_chain(chains[i % 3].depth, chains[i % 3].branch, chains[i % 3].p, chains[i % 3].q, 0.2);
        bool beta = i / 3;
        double fresh = version_is_right(0), revised = version_is_right(1);
        double if_right = goes_deeper(beta, 1), if_wrong = goes_deeper(beta, 0);
        char text[80];
        snprintf(text, sizeof text, "ab-mcts:n=2,width=1,aggregate=last,prior=%s",
                 beta ? "beta" : "gaussian");
        struct frequency f = play_many(text, 6000);
        assert_probability(text, "deeper", f.n_revised, fresh * if_right + (1 - fresh) * if_wrong, f.n);
        double second = if_wrong * revised + (1 - if_wrong) * fresh;
        assert_probability(text, "found", f.found, fresh + (1 - fresh) * second, f.n);
        assert_true(f.n_nodes == 2);
        struct frequency flat = play_many("ab-mcts:n=6,width=4,depth=1,aggregate=last", 3000);
        assert_probability("ab-mcts", "depth 1", flat.found, 1 - pow(1 - fresh, 6), flat.n);
        assert_true(flat.n_nodes == 6 && flat.n_revised == 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ets_finds_as_computed),
        cmocka_unit_test(revisions_find_as_computed),
        cmocka_unit_test(a_chain_s_best_version_votes_as_computed),
        cmocka_unit_test(branching_finds_as_computed),
    };
    return cmocka_run_group_tests_name("search_exact_more", tests, NULL, NULL);
}
