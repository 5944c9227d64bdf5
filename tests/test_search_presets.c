/* Presets against the rules of others, restated plainly: the same steps are written and go on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#include "search_script.h"

/* ---- steps that a restated rule writes ---- */

struct step {
    char path[240];
    uint64_t key;
    int parent, n_children, depth;
    bool ended, lost; /* lost: was an answer and is none any more */
    uint64_t meaning; /* what the text comes to; else the text; else not known: its own */
    double reward;    /* the last */
    uint64_t text;
};

static struct {
    const struct script *script;
    struct step steps[20000];
    int n_steps;
} book;

static void open_book(const struct script *script) {
    book.script = script;
    book.n_steps = 1;
    memset(&book.steps[0], 0, sizeof book.steps[0]);
    book.steps[0].key = SCRIPT_PROBLEM_KEY;
}

static int write_step(int parent, int depth_max) {
    struct step *p = &book.steps[parent], *v = &book.steps[book.n_steps];
    ASSERT(book.n_steps < (int)ARRAY_LEN(book.steps));
    *v = (struct step){.parent = parent, .depth = p->depth + 1};
    snprintf(v->path, sizeof v->path, parent ? "%.200s.%d" : "%.200s%d", p->path, p->n_children);
    v->key = rng_child(p->key, (uint64_t)p->n_children);
    struct script_result r = script_result(book.script, p->key, p->n_children++, v->depth == depth_max, 9);
    v->ended = r.told.finish == SEARCH_END;
    v->reward = r.n_rewards > 0 ? (double)r.rewards[r.n_rewards - 1] : p->reward; /* the last on the path */
    v->text = r.told.text_hash;
    v->meaning = r.told.value_hash ? r.told.value_hash : v->text ? 1000 + v->text : v->key;
    return book.n_steps++;
}

static int by_path(const void *a, const void *b) {
    return strcmp(a, b);
}

/* The same steps, and, if asked for, the same answers. */
static void assert_same_steps(const char *preset, bool answers) {
    for (uint64_t order = 0; order < 3; order++) {
        struct script_run run = {0};
        script_run(preset, book.script, order, &run);
        assert_int_equal(run.n_expands, book.n_steps - 1);
        char(*paths)[240] = mem_zalloc((size_t)book.n_steps, sizeof *paths);
        for (int i = 0; i < book.n_steps; i++) memcpy(paths[i], book.steps[i].path, sizeof *paths);
        qsort(paths, (size_t)book.n_steps, sizeof *paths, by_path);
        const char *line = buf_cstr(&run.dump);
        for (int i = 0; i < book.n_steps; i++, line = strchr(line, '\n') + 1) {
            char path[240] = {0};
            memcpy(path, line, strcspn(line, " "));
            assert_non_null(bsearch(path, paths, (size_t)book.n_steps, sizeof *paths, by_path));
        }
        int n_answers = 0;
        for (int i = 1; i < book.n_steps; i++) n_answers += book.steps[i].ended && !book.steps[i].lost;
        if (answers) assert_int_equal(run.n_solutions, n_answers);
        free(paths);
        buf_free(&run.dump);
    }
}

static struct script script_number(int i) {
    return (struct script){.drops_solutions = true,
                           .seed = (uint64_t)i,
                           .end_percent = 4 + i % 5 * 6,
                           .n_values = i % 3 ? 1000 : 5,
                           .n_texts = i % 4 ? 0 : 6,
                           .n_tokens = 1};
}

/* ---- search-and-learn ---- */

/* beam_search.py: lists of beams, np.argsort (stable), slices. */
static void sal_beam(int n, int m, int depth) {
    int active[200], n_active = n, n_completed = 0;
    for (int i = 0; i < n; i++) active[i] = 0;
    for (int iteration = 0; iteration < depth && n_completed < n; iteration++) {
        int list[200], order[200], n_live = 0, n_kept = 0;
        for (int i = 0; i < n; i++) list[i] = active[i % n_active]; /* duplicate up to n */
        for (int i = 0; i < n; i++) list[i] = write_step(list[i], depth);
        for (int i = 0; i < n; i++) {
            if (!book.steps[list[i]].ended)
                active[n_live++] = list[i];
            else if (++n_completed > n) /* completed[:n] */
                book.steps[list[i]].lost = true;
        }
        if (n_live == 0) break;
        for (int i = 0; i < n_live; i++) { /* insertion sort, ascending */
            int k = i;
            while (k > 0 && book.steps[active[order[k - 1]]].reward > book.steps[active[i]].reward) k--;
            memmove(order + k + 1, order + k, (size_t)(i - k) * sizeof *order);
            order[k] = i;
        }
        for (int i = 0; i < n_live; i++) {
            bool top = false;
            for (int k = MAX(0, n_live - n / m); k < n_live; k++)
                top |= order[k] == i; /* argsort[-(n//m):] */
            if (top) list[n_kept++] = active[i];
        }
        memcpy(active, list, (size_t)n_kept * sizeof *list);
        n_active = n_kept;
    }
}

static void search_and_learns_beams(void **state) {
    UNUSED(state);
    const int ns[] = {4, 8, 16, 12, 40, 6}, ms[] = {4, 2, 4, 3, 8, 1}, depths[] = {40, 7, 3, 1};
    for (int i = 0; i < 120; i++) {
        struct script script = script_number(i);
        int n = ns[i % 6], m = ms[i % 6], depth = depths[i / 6 % 4];
        open_book(&script);
        sal_beam(n, m, depth);
        char text[80];
        snprintf(text, sizeof text, "sal-beam:n=%d,width=%d,depth=%d", n, m, depth);
        assert_same_steps(text, true);
    }
}

/* diverse_verifier_tree_search.py: n/m trees, each goes on from argmax of its m continuations. */
static void sal_dvts(int n, int m, int depth) {
    for (int tree = 0; tree < n / m; tree++) {
        int at = 0, best = 0;
        do {
            best = -1;
            for (int i = 0; i < m; i++) {
                int step = write_step(at, depth);
                if (best < 0 || book.steps[step].reward > book.steps[best].reward) best = step;
            }
            at = best;
        } while (!book.steps[best].ended);
    }
}

static void search_and_learns_dvts(void **state) {
    UNUSED(state);
    const int ns[] = {4, 8, 16, 12, 40, 6}, ms[] = {4, 2, 4, 3, 8, 1}, depths[] = {40, 7, 3, 1};
    for (int i = 0; i < 120; i++) {
        struct script script = script_number(i);
        int n = ns[i % 6], m = ms[i % 6], depth = depths[i / 6 % 4];
        open_book(&script);
        sal_dvts(n, m, depth);
        char text[80];
        snprintf(text, sizeof text, "sal-dvts:n=%d,width=%d,depth=%d", n, m, depth);
        assert_same_steps(text, false);
    }
}

/* ---- compute-optimal-tts ---- */

static bool is_repeated(int step, int first) { /* same text as an earlier child of the same node */
    for (int k = first; k < step; k++)
        if (book.steps[k].parent == book.steps[step].parent && book.steps[step].text &&
            book.steps[k].text == book.steps[step].text)
            return true;
    return false;
}

/* tree.py, beam_search: a heap of (-value, node), of which the k smallest are the next beams. */
static void cotts_beam(int width, int beam_size, int depth) {
    int top[200] = {0}, n_top = 1, k = beam_size, first = book.n_steps;
    for (int i = 0; i < width; i++) write_step(0, depth);
    for (bool at_root = true; n_top > 0 && k > 0; at_root = false) {
        int heap[400], n_heap = 0, n_open = 0;
        if (!at_root) {
            first = book.n_steps;
            for (int i = 0; i < n_top; i++)
                for (int c = 0; c < width / beam_size; c++) write_step(top[i], depth);
        }
        for (int i = first; i < book.n_steps; i++)
            if (!is_repeated(i, first)) heap[n_heap++] = i; /* equal actions are merged */
        for (int a = 0; a < n_heap; a++)                    /* selection sort, stable: best first */
            for (int b = n_heap - 1; b > a; b--)
                if (book.steps[heap[b]].reward > book.steps[heap[b - 1]].reward) {
                    int x = heap[b];
                    heap[b] = heap[b - 1];
                    heap[b - 1] = x;
                }
        n_top = MIN(k, n_heap);
        for (int i = 0; i < n_top; i++) {
            if (book.steps[heap[i]].ended)
                k--; /* into end_nodes: the beam is smaller from now on */
            else
                top[n_open++] = heap[i];
        }
        n_top = n_open;
        for (int a = 0; a < n_top; a++) /* written in the order of the tree: only names depend on it */
            for (int b = a + 1; b < n_top; b++)
                if (top[b] < top[a]) {
                    int x = top[a];
                    top[a] = top[b];
                    top[b] = x;
                }
    }
}

static void compute_optimal_ttss_beams(void **state) {
    UNUSED(state);
    const int widths[] = {4, 4, 8, 16, 12, 40}, beams[] = {1, 2, 2, 4, 12, 5}, depths[] = {40, 7, 3, 1};
    for (int i = 0; i < 120; i++) {
        struct script script = script_number(i);
        int width = widths[i % 6], beam = beams[i % 6], depth = depths[i / 6 % 4];
        open_book(&script);
        cotts_beam(width, beam, depth);
        char text[80];
        snprintf(text, sizeof text, "cotts-beam:n=%d,width=%d,depth=%d", width, width / beam, depth);
        assert_same_steps(text, false);
    }
}

/* --num_q: as many jobs, each with one beam. */
static void compute_optimal_ttss_dvts(void **state) {
    UNUSED(state);
    const int ns[] = {4, 8, 16, 12, 40}, widths[] = {4, 2, 4, 3, 8}, depths[] = {40, 7, 3, 1};
    for (int i = 0; i < 100; i++) {
        struct script script = script_number(i);
        int n = ns[i % 5], width = widths[i % 5], depth = depths[i / 5 % 4];
        open_book(&script);
        for (int q = 0; q < n / width; q++) cotts_beam(width, 1, depth);
        char text[80];
        snprintf(text, sizeof text, "cotts-dvts:n=%d,width=%d,depth=%d", n, width, depth);
        assert_same_steps(text, false);
    }
}

/* ---- REBASE and ETS ---- */

/* rebase.py, select_softmax: shares of `width`, rounded up, for the given steps. */
static void softmax_shares(const int *steps, int n, double temperature, int width, int *shares) {
    bool done[64] = {false};
    double sum = 0;
    for (int i = 0; i < n; i++) sum += exp(book.steps[steps[i]].reward / temperature);
    for (int k = 0; k < n; k++) {
        int best = -1;
        for (int i = 0; i < n; i++)
            if (!done[i] && (best < 0 || book.steps[steps[i]].reward > book.steps[steps[best]].reward))
                best = i;
        double e = exp(book.steps[steps[best]].reward / temperature);
        shares[best] = (int)ceil(width * e / sum - 1e-9);
        width -= shares[best];
        sum -= e;
        done[best] = true;
    }
}

/* select_softmax_costmodel: its integer program over x (leaves), y (branches) and coverage, by trying all x.
 */
static double ets_objective(const int *steps, const int *shares, int n, unsigned set, double lambda_c,
                            double lambda_s) {
    static bool is_node[20000], is_kept[20000];
    double outcomes = 0, n_nodes = 0, n_kept = 0, clusters = 0, covered = 0, sum = 0;
    memset(is_node, 0, sizeof is_node);
    memset(is_kept, 0, sizeof is_kept);
    for (int i = 0; i < n; i++) sum += shares[i];
    for (int i = 0; i < n; i++) {
        bool in = set >> i & 1, first = true, first_kept = in;
        outcomes += in ? shares[i] / sum : 0;
        for (int at = steps[i];; at = book.steps[at].parent) {
            n_nodes += !is_node[at];
            n_kept += in && !is_kept[at];
            is_node[at] = true;
            is_kept[at] |= in;
            if (at == 0) break;
        }
        for (int k = 0; k < i; k++) {
            bool same = book.steps[steps[k]].meaning == book.steps[steps[i]].meaning;
            first &= !same;
            first_kept &= !(same && set >> k & 1);
        }
        clusters += first;
        covered += first_kept;
    }
    return outcomes - lambda_c * n_kept / n_nodes + lambda_s * covered / clusters;
}

static unsigned ets_keeps(const int *steps, const int *shares, int n, double lambda_c, double lambda_s) {
    double best_value = -INFINITY;
    unsigned best = 0;
    for (unsigned set = 1; set < 1u << n; set++) {
        double value = ets_objective(steps, shares, n, set, lambda_c, lambda_s);
        for (int i = 0; i < n; i++) { /* of equal sets the one with the better ranks */
            int rank = 0;
            for (int k = 0; k < n; k++) {
                double ahead = book.steps[steps[k]].reward - book.steps[steps[i]].reward;
                rank += ahead > 0 || (ahead == 0 && k < i);
            }
            if (set >> i & 1) value += ldexp(1e-6, -rank);
        }
        if (value <= best_value) continue;
        best_value = value;
        best = set;
    }
    return best;
}

/* select_and_expand, until nothing is left; ets: with the cost model. */
static void reward_balanced(int n, int depth, bool ets) {
    int level[64] = {0}, n_level = 1, remaining = n;
    for (;;) {
        int steps[64], shares[64], n_steps = 0;
        for (int i = 0; i < n_level; i++) {
            if (book.steps[level[i]].ended)
                remaining--;
            else
                steps[n_steps++] = level[i];
        }
        if (remaining <= 0 || n_steps == 0) return;
        softmax_shares(steps, n_steps, 0.2, remaining, shares);
        if (ets && n_steps > 1) {
            unsigned set = ets_keeps(steps, shares, n_steps, 1, 1.5);
            int n_kept = 0;
            for (int i = 0; i < n_steps; i++)
                if (set >> i & 1) steps[n_kept++] = steps[i];
            n_steps = n_kept;
            softmax_shares(steps, n_steps, 0.2, remaining, shares);
        }
        n_level = 0;
        for (int i = 0; i < n_steps; i++)
            for (int k = 0; k < shares[i]; k++) level[n_level++] = write_step(steps[i], depth);
    }
}

static void the_reward_balanced_searches(void **state) {
    UNUSED(state);
    const int depths[] = {25, 7, 3, 1};
    for (int i = 0; i < 120; i++) {
        struct script script = script_number(i);
        bool ets = i % 2;
        int n = ets ? 2 + i % 7 : 3 + i % 30, depth = depths[i / 2 % 4];
        script.n_values = 1 << 22; /* no two alike but of equal steps */
        script.n_texts = i % 5 ? 40 : 0;
        script.n_meanings = i % 3 ? 5 : 0;
        script.end_percent += 5;
        open_book(&script);
        reward_balanced(n, depth, ets);
        char text[80];
        snprintf(text, sizeof text, "%s:n=%d,depth=%d", ets ? "ets" : "rebase", n, depth);
        assert_same_steps(text, true);
    }
}

/* ---- its_hub ---- */

/* particle_gibbs.py with one iteration: softmax of logit(reward), random.choices over all particles. */
static void its_pf(int n, int depth) {
    int particles[100] = {0}, drawn[100];
    uint64_t rounds = rng_child(SCRIPT_PROBLEM_KEY, 0x69747370);
    bool all_ended = false;
    for (int round = 0; !all_ended; round++) {
        double weights[100], largest = -INFINITY, sum = 0;
        for (int i = 0; i < n; i++)
            if (!book.steps[particles[i]].ended) particles[i] = write_step(particles[i], depth);
        for (int i = 0; i < n; i++) {
            double p = fmin(fmax(book.steps[particles[i]].reward, 1e-7), 1 - 1e-7);
            weights[i] = log(p / (1 - p));
            largest = fmax(largest, weights[i]);
        }
        for (int i = 0; i < n; i++) {
            weights[i] = exp(weights[i] - largest);
            sum += weights[i];
        }
        all_ended = true;
        for (int k = 0; k < n; k++) {
            double mark = rng_unit(rng_child(rounds, (uint64_t)round), (uint64_t)k) * sum, upto = 0;
            int i = 0;
            for (upto = weights[0]; i < n - 1 && upto <= mark; upto += weights[++i]) continue;
            drawn[k] = particles[i];
            all_ended &= book.steps[drawn[k]].ended;
        }
        for (int i = 0; i < n; i++) {
            bool kept = false;
            for (int k = 0; k < n; k++) kept |= drawn[k] == particles[i];
            if (!kept) book.steps[particles[i]].lost = true;
        }
        memcpy(particles, drawn, sizeof drawn);
    }
}

static void its_hubs_particles(void **state) {
    UNUSED(state);
    const int ns[] = {1, 2, 4, 8, 16, 50}, depths[] = {50, 7, 3, 1};
    for (int i = 0; i < 120; i++) {
        struct script script = script_number(i);
        int n = ns[i % 6], depth = depths[i / 6 % 4];
        open_book(&script);
        its_pf(n, depth);
        char text[80];
        snprintf(text, sizeof text, "its-pf:n=%d,depth=%d", n, depth);
        assert_same_steps(text, true);
    }
}

/* ---- repeated sampling under other names ---- */

static void samples_under_other_names(void **state) {
    UNUSED(state);
    const struct {
        const char *text;
        int n;
        float temperature, top_p;
    } presets[] = {{"sal-best-of-n", 4, 0.8f, 1},
                   {"sal-best-of-n:n=9", 9, 0.8f, 1},
                   {"cotts-best-of-n", 256, 0.7f, 1},
                   {"monkeys:n=7", 7, 0.6f, 0.95f}};
    for (size_t i = 0; i < ARRAY_LEN(presets); i++) {
        struct search *s = script_search(presets[i].text);
        struct search_ask ask;
        for (int k = 0; k < presets[i].n; k++) {
            assert_true(search_ask(s, &ask) && ask.op == SEARCH_EXPAND && ask.parent == 0 && ask.until_end);
            assert_true(ask.temperature == presets[i].temperature && ask.top_p == presets[i].top_p);
            assert_true(ask.min_p == 0 && ask.top_k == 0);
        }
        assert_false(search_ask(s, &ask));
        search_free(s);
    }
}

static void assert_prints(const char *text, const char *printed) {
    struct search_spec spec;
    struct err e = {0};
    struct buf out = {0};
    assert_true(search_spec_parse(&spec, text, &e));
    search_spec_print(&spec, &out);
    assert_string_equal(buf_cstr(&out), printed);
    buf_free(&out);
}

static void presets_are_recorded_as_what_they_mean(void **state) {
    UNUSED(state);
    assert_prints("sal-best-of-n:n=64", "sample:n=64,temperature=0.8,top_p=1,min_p=0,top_k=0");
    assert_prints(
        "sal-dvts:n=8,temperature=0.7",
        "dvts:n=8,width=4,depth=40,aggregate=last,distinct=0,temperature=0.7,top_p=1,min_p=0,top_k=0");
    assert_prints("sal-beam", "sal-beam:n=4,width=4,depth=40,aggregate=last,temperature=0.8,top_p=1");
    struct search_spec spec;
    struct err e = {0};
    assert_false(search_spec_parse(&spec, "monkeys:n=2,n=3", &e));
    assert_string_equal(e.msg, "strategy 'monkeys:n=2,n=3': n is given twice");
    for (int i = 0; search_presets[i].name; i++) {
        assert_true(search_presets[i].summary && search_presets[i].source);
        assert_true(search_spec_parse(&spec, search_presets[i].name, &e));
        assert_true(search_spec_parse(&spec, search_presets[i].spec, &e));
    }
}

/* Services that fail or cut off are none of the published rules; nothing may break. */
static void failures_and_stops_are_survived(void **state) {
    UNUSED(state);
    const char *texts[] = {"sal-beam:n=8,width=2", "its-pf:n=8", "sal-dvts:n=8", "cotts-beam:n=8,width=2"};
    for (int i = 0; i < 400; i++) {
        struct script script = script_number(i);
        script.cut_percent = script.unscored_percent = 10;
        script.fail_percent = i % 7 * 10;
        script.n_tokens = 12;
        struct script_run run = {.n_told_max = i % 3 ? 0 : i / 4};
        struct buf first = {0};
        script_run(texts[i % 4], &script, (uint64_t)i, &run);
        buf_add_str(&first, buf_str(&run.dump));
        buf_free(&run.dump);
        if (i % 3) {
            run = (struct script_run){0};
            script_run(texts[i % 4], &script, 7777, &run);
            assert_string_equal(buf_cstr(&run.dump), buf_cstr(&first));
            buf_free(&run.dump);
        }
        buf_free(&first);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(search_and_learns_beams),
        cmocka_unit_test(search_and_learns_dvts),
        cmocka_unit_test(compute_optimal_ttss_beams),
        cmocka_unit_test(compute_optimal_ttss_dvts),
        cmocka_unit_test(the_reward_balanced_searches),
        cmocka_unit_test(its_hubs_particles),
        cmocka_unit_test(samples_under_other_names),
        cmocka_unit_test(presets_are_recorded_as_what_they_mean),
        cmocka_unit_test(failures_and_stops_are_survived),
    };
    return cmocka_run_group_tests_name("search_presets", tests, NULL, NULL);
}
