/* Choosing among solutions: against slow votes by the letter of select.h, and by properties. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "select/select.h"

/* cmocka compares in single precision. */
#define assert_near(a, b, tolerance) assert_true(fabs((a) - (b)) <= (tolerance))

enum { N_MAX = 24, REWARDS_MAX = 4 };

struct ballot {
    int n;
    struct select_solution solutions[N_MAX];
    float rewards[N_MAX][REWARDS_MAX];
};

/* Rewards are eighths, so that sums are exact in any order and ties are common. */
static void fill(struct ballot *b, uint64_t key, int n_classes, bool all_good) {
    *b = (struct ballot){.n = 1 + (int)rng_below(key, 0, N_MAX)};
    for (int i = 0; i < b->n; i++) {
        uint64_t k = rng_child(key, (uint64_t)i);
        struct select_solution *s = &b->solutions[i];
        s->answer_class = all_good ? (int)rng_below(k, 0, (uint64_t)n_classes)
                                   : (int)rng_below(k, 0, (uint64_t)n_classes + 1) - 1;
        s->complete = all_good || rng_below(k, 1, 3) > 0;
        s->n_rewards = all_good || rng_below(k, 2, 6) ? 1 + (int)rng_below(k, 3, REWARDS_MAX) : 0;
        s->rewards = s->n_rewards ? b->rewards[i] : NULL;
        for (int r = 0; r < s->n_rewards; r++)
            b->rewards[i][r] = (float)((double)rng_below(k, 4 + (uint64_t)r, 17) - (all_good ? 0 : 4)) / 8;
        s->verified = (enum select_verified)rng_below(k, 9, 3);
        s->has_confidence = all_good || rng_below(k, 10, 8) > 0;
        s->confidence = (double)(1 + rng_below(k, 11, 24)) / 8;
    }
}

/* ---- the slow reference ---- */

static double worth(const struct select_solution *s, enum select_rule r, enum aggregate a) {
    if (select_needs_confidences(r)) return s->has_confidence ? s->confidence : -INFINITY;
    double sum = 0, product = 1, least = INFINITY;
    if (s->n_rewards == 0) return -INFINITY;
    for (int i = 0; i < s->n_rewards; i++) {
        sum += s->rewards[i];
        product *= s->rewards[i];
        least = fmin(least, s->rewards[i]);
    }
    const double worths[] = {s->rewards[s->n_rewards - 1], least, product, sum / s->n_rewards};
    return worths[a];
}

static int quality(const struct select_solution *s) {
    return (s->answer_class >= 0 ? 2 : 0) + (s->complete ? 1 : 0);
}

/* Whether a solution's confidence is not below the percentile of those of its quality. */
static bool is_confident(const struct ballot *b, enum select_rule r, int i) {
    const struct select_solution *s = &b->solutions[i];
    double known[N_MAX], at;
    int n = 0;
    if (r != SELECT_CONFIDENT_LOW && r != SELECT_CONFIDENT_HIGH) return true;
    for (int k = 0; k < b->n; k++) {
        if (quality(&b->solutions[k]) != quality(s) || !b->solutions[k].has_confidence) continue;
        int place = n++;
        for (; place > 0 && known[place - 1] > b->solutions[k].confidence; place--)
            known[place] = known[place - 1];
        known[place] = b->solutions[k].confidence;
    }
    if (n == 0 || s->answer_class < 0) return true;
    if (!s->has_confidence) return false;
    at = (r == SELECT_CONFIDENT_LOW ? 9 : 1) * (n - 1) / 10.0;
    const int below = (int)at;
    return below + 1 == n || s->confidence >= known[below] + (at - below) * (known[below + 1] - known[below]);
}

static bool takes_part(const struct ballot *b, enum select_rule r, int i) {
    for (int k = 0; k < b->n; k++)
        if (quality(&b->solutions[k]) > quality(&b->solutions[i])) return false;
    return is_confident(b, r, i);
}

/* What the class of solution i has, all its members looked up anew. */
static double score_of_class(const struct ballot *b, enum select_rule r, enum aggregate a, int i) {
    double votes = 0, sum = 0, best = -INFINITY;
    for (int k = 0; k < b->n; k++) {
        bool same = b->solutions[i].answer_class < 0
                        ? k == i
                        : b->solutions[k].answer_class == b->solutions[i].answer_class;
        if (!takes_part(b, r, k) || !same) continue;
        double w = worth(&b->solutions[k], r, a);
        votes++;
        sum += isfinite(w) ? w : 0;
        best = fmax(best, w);
    }
    if (r == SELECT_MAJORITY) return votes;
    return r == SELECT_WEIGHTED || select_needs_confidences(r) ? sum : best;
}

static int reference(const struct ballot *b, enum select_rule r, enum aggregate a) {
    int winner = -1;
    if (r == SELECT_FIRST_VERIFIED) {
        for (int i = b->n - 1; i >= 0; i--)
            if (b->solutions[i].verified == SELECT_VERIFIED) winner = i;
        return winner;
    }
    bool answered = false;
    for (int i = 0; i < b->n; i++) answered |= b->solutions[i].answer_class >= 0;
    enum select_rule by = answered || select_needs_confidences(r) ? r : SELECT_BEST;
    for (int i = 0; i < b->n; i++) {
        if (!takes_part(b, r, i)) continue;
        if (winner < 0 || score_of_class(b, by, a, i) > score_of_class(b, by, a, winner)) winner = i;
    }
    for (int i = 0, first = winner; i < b->n; i++)
        if (takes_part(b, r, i) && answered &&
            b->solutions[i].answer_class == b->solutions[first].answer_class &&
            worth(&b->solutions[i], r, a) > worth(&b->solutions[winner], r, a))
            winner = i;
    return winner;
}

static struct select_choice choose(const struct ballot *b, enum select_rule r, enum aggregate a) {
    return select_choose(r, a, b->solutions, NULL, b->n);
}

#define FOR_ALL_RULES(r, a)                                                                                  \
    for (enum select_rule r = 0; r < SELECT_RULES; r++)                                                      \
        for (enum aggregate a = 0; a < AGGREGATES; a++)

static void choices_are_those_of_the_slow_reference(void **state) {
    UNUSED(state);
    struct ballot b;
    for (uint64_t key = 0; key < 3000; key++) {
        fill(&b, key, 1 + (int)(key % 6), key % 4 == 0);
        FOR_ALL_RULES(r, a) {
            struct select_choice c = choose(&b, r, a);
            assert_int_equal(c.solution, reference(&b, r, a));
            if (c.solution < 0) continue;
            assert_int_equal(c.answer_class, b.solutions[c.solution].answer_class);
            if (r == SELECT_FIRST_VERIFIED || c.answer_class < 0) continue;
            double best = score_of_class(&b, r, a, c.solution), second = -INFINITY, total = 0;
            int n_classes = 0, n_solutions = 0, n_votes = 0;
            bool marked[N_MAX];
            select_participants(r, b.solutions, b.n, marked);
            for (int i = 0; i < b.n; i++) {
                bool is_first = takes_part(&b, r, i);
                assert_int_equal(marked[i], is_first);
                n_solutions += is_first;
                n_votes += is_first && b.solutions[i].answer_class == c.answer_class;
                for (int k = 0; k < i; k++)
                    is_first = is_first && !(takes_part(&b, r, k) &&
                                             b.solutions[k].answer_class == b.solutions[i].answer_class);
                if (!is_first) continue;
                double score = score_of_class(&b, r, a, i);
                n_classes++;
                total += fabs(score);
                if (b.solutions[i].answer_class != c.answer_class) second = fmax(second, score);
            }
            second = isfinite(second) ? second : 0;
            best = isfinite(best) ? best : 0;
            assert_int_equal(c.n_classes, n_classes);
            assert_int_equal(c.n_solutions, n_solutions);
            assert_int_equal(c.n_votes, n_votes);
            assert_true(c.score == best && c.runner_up == second);
            double margin = r == SELECT_BEST ? best - second : total > 0 ? (best - second) / total : 0;
            assert_near(c.margin, margin, 1e-12);
        }
    }
}

static void equal_weights_are_a_majority(void **state) {
    UNUSED(state);
    struct ballot b;
    for (uint64_t key = 0; key < 500; key++) {
        fill(&b, key, 5, false);
        for (int i = 0; i < b.n; i++) {
            b.rewards[i][0] = 0.5f;
            b.solutions[i].rewards = b.rewards[i];
            b.solutions[i].n_rewards = 1;
        }
        struct select_choice m = choose(&b, SELECT_MAJORITY, AGGREGATE_LAST);
        struct select_choice w = choose(&b, SELECT_WEIGHTED, AGGREGATE_LAST);
        assert_int_equal(m.solution, w.solution);
        if (m.answer_class >= 0) assert_true(w.score == m.score / 2 && w.margin == m.margin);
    }
}

static void the_order_matters_in_ties_alone(void **state) {
    UNUSED(state);
    struct ballot b;
    int n_ties = 0, n_clear = 0;
    for (uint64_t key = 0; key < 2000; key++) {
        fill(&b, key, 4, key % 2);
        int order[N_MAX];
        for (int i = 0; i < b.n; i++) {
            int at = (int)rng_below(key, 100 + (uint64_t)i, (uint64_t)i + 1);
            order[i] = order[at];
            order[at] = i;
        }
        for (enum select_rule r = 0; r < SELECT_FIRST_VERIFIED; r++) {
            struct select_choice c = choose(&b, r, AGGREGATE_MEAN);
            struct select_choice d = select_choose(r, AGGREGATE_MEAN, b.solutions, order, b.n);
            bool tie = c.n_classes != 1 && (c.score == c.runner_up || c.answer_class < 0);
            n_ties += tie;
            n_clear += !tie;
            if (!tie) assert_int_equal(c.answer_class, d.answer_class);
            if (!tie) assert_near(c.margin, d.margin, 1e-9);
        }
    }
    assert_true(n_ties > 100 && n_clear > 1000);
}

/* An order over a part chooses as if there were nothing else. */
static void a_part_is_chosen_from_as_if_alone(void **state) {
    UNUSED(state);
    struct ballot b, part;
    for (uint64_t key = 0; key < 500; key++) {
        fill(&b, key, 4, false);
        int order[N_MAX], n = 0;
        part = (struct ballot){0};
        for (int i = 0; i < b.n; i++) {
            if (rng_below(key, 200 + (uint64_t)i, 2)) continue;
            part.solutions[n] = b.solutions[i];
            order[n++] = i;
        }
        FOR_ALL_RULES(r, a) {
            struct select_choice c = select_choose(r, a, b.solutions, order, n);
            struct select_choice d = select_choose(r, a, part.solutions, NULL, n);
            assert_int_equal(c.solution, d.solution < 0 ? -1 : order[d.solution]);
            assert_true(c.answer_class == d.answer_class && c.n_votes == d.n_votes && c.margin == d.margin);
        }
    }
}

static void who_says_nothing_wins_only_among_the_silent(void **state) {
    UNUSED(state);
    struct ballot b;
    for (uint64_t key = 0; key < 2000; key++) {
        fill(&b, key, 2, false);
        bool answered = false, complete_answered = false;
        for (int i = 0; i < b.n; i++) {
            answered |= b.solutions[i].answer_class >= 0;
            complete_answered |= b.solutions[i].answer_class >= 0 && b.solutions[i].complete;
        }
        FOR_ALL_RULES(r, a) {
            if (r == SELECT_FIRST_VERIFIED) continue;
            struct select_choice c = choose(&b, r, a);
            assert_true(c.solution >= 0);
            if (answered) assert_true(c.answer_class >= 0);
            if (complete_answered) assert_true(b.solutions[c.solution].complete);
        }
    }
}

static void nothing_to_choose_from_is_no_choice(void **state) {
    UNUSED(state);
    struct select_solution rejected[] = {{.answer_class = 0, .complete = true, .verified = SELECT_REJECTED},
                                         {.answer_class = 1, .complete = true}};
    FOR_ALL_RULES(r, a) {
        struct select_choice c = select_choose(r, a, NULL, NULL, 0);
        assert_true(c.solution == -1 && c.answer_class == -1 && c.n_solutions == 0 && c.n_votes == 0 &&
                    c.margin == 0);
    }
    struct select_choice c = select_choose(SELECT_FIRST_VERIFIED, AGGREGATE_LAST, rejected, NULL, 2);
    assert_int_equal(c.solution, -1);
    rejected[1].verified = SELECT_VERIFIED;
    c = select_choose(SELECT_FIRST_VERIFIED, AGGREGATE_LAST, rejected, NULL, 2);
    assert_true(c.solution == 1 && c.answer_class == 1 && c.n_votes == 1);
}

static void names_are_read_back(void **state) {
    UNUSED(state);
    struct err e;
    for (enum select_rule r = 0, out; r < SELECT_RULES; r++) {
        assert_true(select_rule_parse(select_rule_name(r), &out, &e));
        assert_int_equal(out, r);
    }
    for (enum aggregate a = 0, out; a < AGGREGATES; a++) {
        assert_true(aggregate_parse(aggregate_names[a], &out, &e));
        assert_int_equal(out, a);
    }
    enum select_rule r;
    enum aggregate a;
    assert_false(select_rule_parse("best-of-n", &r, &e));
    assert_string_equal(
        e.msg, "'best-of-n' is no selection: use majority, best, weighted, first-verified, confident, "
               "confident-low or confident-high");
    assert_false(aggregate_parse("max", &a, &e));
    assert_string_equal(e.msg, "'max' is no aggregate: use last, min, prod or mean");
    assert_true(select_needs_rewards(SELECT_BEST) && select_needs_rewards(SELECT_WEIGHTED));
    assert_false(select_needs_rewards(SELECT_MAJORITY) || select_needs_rewards(SELECT_FIRST_VERIFIED));
}

static void aggregates_are_what_they_are_called(void **state) {
    UNUSED(state);
    const float rewards[] = {0.5f, 0.25f, -2, 4};
    assert_true(aggregate_of(AGGREGATE_LAST, rewards, 4) == 4);
    assert_true(aggregate_of(AGGREGATE_MIN, rewards, 4) == -2);
    assert_true(aggregate_of(AGGREGATE_PROD, rewards, 4) == -1);
    assert_true(aggregate_of(AGGREGATE_MEAN, rewards, 4) == 2.75 / 4);
    for (enum aggregate a = 0; a < AGGREGATES; a++) {
        assert_true(aggregate_of(a, rewards, 1) == 0.5);
        assert_true(isnan(aggregate_of(a, rewards, 0)));
        assert_true(isnan(aggregate_of(a, NULL, 0)));
    }
}

/* ---- classes ---- */

static int add(struct select_classes *c, const char *answer) {
    return select_classes_add_answer(c, str_from(answer));
}

static void equal_answers_share_a_class(void **state) {
    UNUSED(state);
    struct select_classes *c = select_classes_new();
    assert_int_equal(add(c, "\\frac{1}{2}"), 0);
    assert_int_equal(add(c, "3"), 1);
    assert_int_equal(add(c, "0.5"), 0);
    assert_int_equal(add(c, "1/2"), 0);
    assert_int_equal(add(c, "3.0"), 1);
    assert_int_equal(add(c, ""), -1);
    assert_int_equal(add(c, "2x+2"), 2);
    assert_int_equal(add(c, "2(x+1)"), 2);
    assert_int_equal(select_classes_add(c, STR("So the answer is \\boxed{\\sqrt{9}}.")), 1);
    assert_int_equal(select_classes_add(c, STR("I counted 3 of them and got lost")), -1);
    assert_int_equal(select_classes_count(c), 3);
    assert_true(str_equal(select_classes_answer(c, 0), STR("\\frac{1}{2}")));
    assert_true(str_equal(select_classes_answer(c, 2), STR("2x+2")));
    select_classes_free(c);
    select_classes_free(NULL);
}

static void many_answers_are_put_into_few_classes(void **state) {
    UNUSED(state);
    struct select_classes *c = select_classes_new();
    struct buf b = {0};
    for (int i = 0; i < 6000; i++) {
        int value = i % 1500;
        buf_clear(&b);
        if (i < 3000)
            buf_printf(&b, "%d%s", value, i < 1500 ? "" : ".0");
        else
            buf_printf(&b, "\\frac{%d}{%d}", value * (i / 1500), i / 1500);
        assert_int_equal(select_classes_add_answer(c, buf_str(&b)), value);
    }
    assert_int_equal(select_classes_count(c), 1500);
    buf_free(&b);
    select_classes_free(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(choices_are_those_of_the_slow_reference),
        cmocka_unit_test(equal_weights_are_a_majority),
        cmocka_unit_test(the_order_matters_in_ties_alone),
        cmocka_unit_test(a_part_is_chosen_from_as_if_alone),
        cmocka_unit_test(who_says_nothing_wins_only_among_the_silent),
        cmocka_unit_test(nothing_to_choose_from_is_no_choice),
        cmocka_unit_test(names_are_read_back),
        cmocka_unit_test(aggregates_are_what_they_are_called),
        cmocka_unit_test(equal_answers_share_a_class),
        cmocka_unit_test(many_answers_are_put_into_few_classes),
    };
    return cmocka_run_group_tests_name("select", tests, NULL, NULL);
}
