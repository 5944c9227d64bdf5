/* ETS: which candidates are worth the memory of their paths. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#include "search/ets.h"
#include "search_script.h"

enum { ITEMS_MAX = 64, LEAVES_MAX = 12 };

/* ---- the objective, over all sets ---- */

struct forest {
    struct ets_item items[ITEMS_MAX];
    int n_items, leaves[LEAVES_MAX], n_leaves, n_clusters;
    double cost, cover;
};

/* Branches first, then the leaves below them: no branch without a leaf. */
static struct forest random_forest(uint64_t seed) {
    struct forest f = {.n_items = 1, .items = {{.parent = -1, .cluster = -1}}};
    int n_branches = (int)rng_below(seed, 0, 12);
    for (int i = 0; i < n_branches; i++, f.n_items++)
        f.items[f.n_items] = (struct ets_item){
            .parent = (int)rng_below(seed, 10 + (uint64_t)i, (uint64_t)f.n_items), .cluster = -1};
    f.n_leaves = 1 + (int)rng_below(seed, 1, LEAVES_MAX);
    int n_kinds = 1 + (int)rng_below(seed, 2, (uint64_t)f.n_leaves), numbers[LEAVES_MAX];
    for (int i = 0; i < LEAVES_MAX; i++) numbers[i] = -1;
    for (int i = 0; i < f.n_leaves; i++) {
        int kind = (int)rng_below(seed, 40 + (uint64_t)i, (uint64_t)n_kinds);
        if (numbers[kind] < 0) numbers[kind] = f.n_clusters++;
        f.leaves[i] = f.n_items;
        f.items[f.n_items++] =
            (struct ets_item){.parent = (int)rng_below(seed, 60 + (uint64_t)i, (uint64_t)n_branches + 1),
                              .cluster = numbers[kind],
                              .worth = (double)rng_below(seed, 80 + (uint64_t)i, 4) / 10 + ldexp(1e-6, -i)};
    }
    const double costs[] = {0, 0.02, 0.1, 0.3}, covers[] = {0, 0.05, 0.2, 1};
    f.cost = costs[rng_below(seed, 3, 4)];
    f.cover = covers[rng_below(seed, 4, 4)];
    return f;
}

/* What a set of leaves is worth; credit[cluster]: the only leaf that covers it, -1: any does. */
static double value_of(const struct forest *f, unsigned set, const int *credit) {
    bool kept[ITEMS_MAX] = {false}, covered[LEAVES_MAX] = {false};
    double value = 0;
    for (int i = 0; i < f->n_leaves; i++) {
        if (!(set >> i & 1)) continue;
        const struct ets_item *v = &f->items[f->leaves[i]];
        value += v->worth;
        covered[v->cluster] |= credit[v->cluster] < 0 || credit[v->cluster] == i;
        for (int k = f->leaves[i]; k >= 0; k = f->items[k].parent) kept[k] = true;
    }
    for (int i = 0; i < f->n_items; i++) value -= kept[i] ? f->cost : 0;
    for (int k = 0; k < f->n_clusters; k++) value += covered[k] ? f->cover : 0;
    return value;
}

static unsigned best_set(const struct forest *f, const int *credit) {
    unsigned best = 1;
    for (unsigned set = 2; set < 1u << f->n_leaves; set++)
        if (value_of(f, set, credit) > value_of(f, best, credit) + 1e-13) best = set;
    return best;
}

static unsigned chosen_set(struct forest *f, int n_shared_max) {
    unsigned set = 0;
    ets_choose(f->items, f->n_items, f->n_clusters, f->cost, f->cover, n_shared_max);
    for (int i = 0; i < f->n_leaves; i++) set |= (unsigned)f->items[f->leaves[i]].is_chosen << i;
    for (int i = 0; i < f->n_items; i++) { /* the path of what is kept, and nothing else */
        bool needed = false;
        for (int k = 0; k < f->n_leaves; k++)
            for (int up = f->leaves[k]; up >= 0 && (set >> k & 1); up = f->items[up].parent)
                needed |= up == i;
        assert_int_equal(f->items[i].is_chosen, needed);
    }
    return set;
}

static void the_best_of_all_sets_is_found(void **state) {
    UNUSED(state);
    int n_partial = 0, any[LEAVES_MAX];
    for (int k = 0; k < LEAVES_MAX; k++) any[k] = -1;
    for (uint64_t seed = 0; seed < 400; seed++) {
        struct forest f = random_forest(seed);
        unsigned set = chosen_set(&f, ETS_SHARED_MAX);
        assert_int_equal(set, best_set(&f, any));
        n_partial += set != (1u << f.n_leaves) - 1 && (set & (set - 1));
    }
    assert_true(n_partial > 100); /* neither all nor one */
}

/* Too many clusters to tell apart: the largest are, of the others one member brings the credit. */
static void what_is_not_told_apart_is_credited_to_the_best_member(void **state) {
    UNUSED(state);
    int n_less = 0;
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct forest f = random_forest(seed);
        int n_shared_max = (int)(seed % 3), credit[LEAVES_MAX], members[LEAVES_MAX] = {0}, any[LEAVES_MAX];
        for (int k = 0; k < LEAVES_MAX; k++) any[k] = credit[k] = -1;
        for (int i = f.n_leaves - 1; i >= 0; i--) {
            members[f.items[f.leaves[i]].cluster]++;
            credit[f.items[f.leaves[i]].cluster] = i;
        }
        for (int n = 0; n < n_shared_max; n++) {
            int largest = 0;
            for (int k = 1; k < f.n_clusters; k++)
                if (members[k] > members[largest]) largest = k;
            if (members[largest] < 2) break;
            credit[largest] = -1;
            members[largest] = 0;
        }
        unsigned set = chosen_set(&f, n_shared_max);
        assert_int_equal(set, best_set(&f, credit));
        double best = value_of(&f, best_set(&f, any), any), got = value_of(&f, set, any);
        assert_true(got <= best + 1e-12);
        n_less += got < best - 1e-9;
    }
    assert_true(n_less > 0 && n_less < 60);
}

static void large_levels_are_chosen_from_too(void **state) {
    UNUSED(state);
    enum { N = 4096, DEEP = 30 };
    struct ets_item *items = mem_zalloc(1 + N + N * 2 + DEEP, sizeof *items);
    int n = 0;
    items[n++] = (struct ets_item){.parent = -1, .cluster = -1};
    for (int i = 1; i < DEEP; i++, n++) items[n] = (struct ets_item){.parent = n - 1, .cluster = -1};
    for (int i = 0; i < N; i++, n++) items[n] = (struct ets_item){.parent = DEEP - 1, .cluster = -1};
    for (int i = 0; i < N; i++, n++) /* cluster i / 2: the second of each pair covers nothing */
        items[n] = (struct ets_item){.parent = DEEP + i, .worth = 0.001 + ldexp(1e-6, -i), .cluster = i / 2};
    ets_choose(items, n, N / 2, 0.001, 0.01, ETS_SHARED_MAX);
    for (int i = 0; i < N; i++) assert_true(items[n - N + i].is_chosen == (i % 2 == 0));
    free(items);
}

/* ---- as an allocation ---- */

static void assert_same_tree(const char *a, const char *b, const struct script *script) {
    struct script_run runs[2] = {{0}, {0}};
    script_run(a, script, 1, &runs[0]);
    script_run(b, script, 2, &runs[1]);
    assert_string_equal(buf_cstr(&runs[0].dump), buf_cstr(&runs[1].dump));
    buf_free(&runs[0].dump);
    buf_free(&runs[1].dump);
}

static void without_cost_it_is_rebase(void **state) {
    UNUSED(state);
    for (uint64_t seed = 0; seed < 60; seed++) {
        const struct script script = {.seed = seed,
                                      .end_percent = 12,
                                      .cut_percent = 3,
                                      .fail_percent = 3,
                                      .unscored_percent = seed % 2 ? 10 : 0,
                                      .n_values = 6,
                                      .n_texts = 6,
                                      .n_meanings = 4,
                                      .n_tokens = 6};
        assert_same_tree("beam:n=12,allocation=ets,cost=0", "beam:n=12,allocation=rebase", &script);
        assert_same_tree("beam:n=12,allocation=ets,cost=0,cover=0,softmax=0.5,distinct=0",
                         "beam:n=12,allocation=rebase,softmax=0.5,distinct=0", &script);
    }
}

/* How many nodes lie on the paths of a level's survivors. */
static int count_kept(const char *text, const struct script *script) {
    struct script_run run = {0};
    int n = 0;
    script_run(text, script, 3, &run);
    for (const char *line = buf_cstr(&run.dump); *line && *line != 'd'; line = strchr(line, '\n') + 1)
        n += !strstr(line, "children=0") || strstr(line, "children=0") > strchr(line, '\n');
    buf_free(&run.dump);
    return n;
}

static void memory_has_its_price(void **state) {
    UNUSED(state);
    int n_free = 0, n_default = 0, n_dear = 0, n_text = 0;
    for (uint64_t seed = 0; seed < 40; seed++) {
        const struct script script = {
            .seed = seed, .end_percent = 5, .n_values = 20, .n_texts = 9, .n_meanings = 4, .n_tokens = 4};
        n_free += count_kept("beam:n=12,allocation=ets,cost=0,softmax=0.2,depth=8", &script);
        n_default += count_kept("beam:n=12,allocation=ets,softmax=0.2,depth=8", &script);
        n_text += count_kept("beam:n=12,allocation=ets,softmax=0.2,depth=8,cluster=text", &script);
        n_dear += count_kept("beam:n=12,allocation=ets,softmax=0.2,depth=8,cost=1000", &script);
    }
    assert_true(n_dear < n_default && n_default < n_text && n_text < n_free);
}

/* At any price one path is kept: that of the best. */
static void at_least_one_goes_on(void **state) {
    UNUSED(state);
    for (uint64_t seed = 0; seed < 40; seed++) {
        const struct script script = {
            .seed = seed, .end_percent = 10, .n_values = 1 << 20, .n_meanings = 3, .n_tokens = 1};
        struct script_run run = {0};
        int n_on[10] = {0};
        double best[10] = {0}, gone_on[10] = {0};
        script_run("beam:n=8,allocation=ets,cost=1000,depth=6,aggregate=last", &script, 3, &run);
        for (const char *line = buf_cstr(&run.dump); *line && *line != 'd'; line = strchr(line, '\n') + 1) {
            int depth = *line != ' ', is_open = 0, n_children = 0;
            for (const char *c = line; *c != ' '; c++) depth += *c == '.';
            sscanf(strstr(line, "state="), "state=%d", &is_open);
            sscanf(strstr(line, "children="), "children=%d", &n_children);
            double reward = depth ? strtod(strchr(strstr(line, "rewards="), ':') + 1, NULL) : 0;
            if (is_open == TREE_OPEN) best[depth] = fmax(best[depth], reward);
            if (n_children == 0) continue;
            n_on[depth]++;
            gone_on[depth] = reward;
        }
        for (int depth = 0; depth < 10; depth++)
            assert_true(n_on[depth] <= 1 && (n_on[depth] == 0 || gone_on[depth] == best[depth]));
        assert_true(n_on[1] == 1);
        buf_free(&run.dump);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_of_all_sets_is_found),
        cmocka_unit_test(what_is_not_told_apart_is_credited_to_the_best_member),
        cmocka_unit_test(large_levels_are_chosen_from_too),
        cmocka_unit_test(without_cost_it_is_rebase),
        cmocka_unit_test(memory_has_its_price),
        cmocka_unit_test(at_least_one_goes_on),
    };
    return cmocka_run_group_tests_name("search_ets", tests, NULL, NULL);
}
