/* Extraction: texts with the answer and the rule that has to find it; hostile texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "answer/extract.h"

#define ALL (ANSWER_TRY_MATH | ANSWER_TRY_NUMBER | ANSWER_TRY_CHOICE)

static const struct {
    const char *text, *answer;
    unsigned flags;
    enum answer_source how;
} CASES[] = {
    {"so $\\boxed{42}$.", "42", 0, ANSWER_FROM_BOXED},
    {"\\boxed{1} was wrong, it is \\boxed{2}", "2", 0, ANSWER_FROM_BOXED},
    {"\\boxed{\\frac{1}{2}}", "\\frac{1}{2}", 0, ANSWER_FROM_BOXED},
    {"\\boxed{\\{1,2\\}} done {", "\\{1,2\\}", 0, ANSWER_FROM_BOXED},
    {"\\boxed {7}", "7", 0, ANSWER_FROM_BOXED},
    {"we get \\boxed 5, so", "5", 0, ANSWER_FROM_BOXED},
    {"\\fbox{x}", "x", 0, ANSWER_FROM_BOXED},
    {"\\boxed{3} and then \\boxed{4", "3", 0, ANSWER_FROM_BOXED},
    {"\\boxed{\\boxed{5}}", "\\boxed{5}", 0, ANSWER_FROM_BOXED},
    {"\\boxed{-2} \\quad \\text{and} \\quad \\boxed{1}.", "\\boxed{-2} \\quad \\text{and} \\quad \\boxed{1}",
     0, ANSWER_FROM_BOXED},
    {"$\\boxed{2}$, $\\boxed{3}$", "\\boxed{2}$, $\\boxed{3}", 0, ANSWER_FROM_BOXED},
    {"\\boxed{1} no no no \\boxed{2}", "2", 0, ANSWER_FROM_BOXED},
    {"\\boxed{9}\nThe answer is 8", "9", 0, ANSWER_FROM_BOXED},
    {"\\\\boxed{840}", "840", 0, ANSWER_FROM_BOXED},
    {"9 * 2 = 18\n#### 18", "18", 0, ANSWER_FROM_HASHES},
    {"#### 1,234\n", "1,234", 0, ANSWER_FROM_HASHES},
    {"The answer is 5.", "5", 0, ANSWER_FROM_PHRASE},
    {"The answer is: $x^2$.\nBye.", "x^2", 0, ANSWER_FROM_PHRASE},
    {"Final Answer: The final answer is $(0, 1)$. I hope it is correct.", "(0, 1)", 0, ANSWER_FROM_PHRASE},
    {"the answer is 3.14 exactly", "3.14 exactly", 0, ANSWER_FROM_PHRASE},
    {"**Answer:** 12", "12", 0, ANSWER_FROM_PHRASE},
    {"so 2+2\nA: 4", "4", 0, ANSWER_FROM_PHRASE},
    {"Answer: \\[ x = 5 \\]", "x = 5", 0, ANSWER_FROM_PHRASE},
    {"Final Answer: The volume of $ABC$ is 120. I hope so.", "120", ALL, ANSWER_FROM_PHRASE},
    {"Final Answer: Jane started growing it 3 hours ago.", "3", ALL, ANSWER_FROM_PHRASE},
    {"hence $a=1$ and $b=2$", "b=2", ANSWER_TRY_MATH, ANSWER_FROM_MATH},
    {"hence \\( a \\) and \\[ c \\]", "c", ANSWER_TRY_MATH, ANSWER_FROM_MATH},
    {"first 10, then $x$", "x", ALL, ANSWER_FROM_MATH},
    {"$x$, then 10%", "10%", ALL, ANSWER_FROM_NUMBER},
    {"it costs -1,234.50 in all", "-1,234.50", ALL, ANSWER_FROM_NUMBER},
    {"about 3/4 of them", "3/4", ALL, ANSWER_FROM_NUMBER},
    {"10-3", "3", ALL, ANSWER_FROM_NUMBER},
    {"B. Because A is wrong", "B", ANSWER_TRY_CHOICE, ANSWER_FROM_CHOICE},
    {"A friend says (C)", "C", ANSWER_TRY_CHOICE, ANSWER_FROM_CHOICE},
    {"nothing at all", NULL, ALL, ANSWER_FROM_NOTHING},
    {"model X2A", NULL, ANSWER_TRY_NUMBER, ANSWER_FROM_NOTHING},
    {"10", NULL, 0, ANSWER_FROM_NOTHING},
    {"\\boxed{}", NULL, 0, ANSWER_FROM_NOTHING},
    {"\\boxed{12", NULL, 0, ANSWER_FROM_NOTHING},
    {"a boxed answer", NULL, 0, ANSWER_FROM_NOTHING},
    {"The answer is", NULL, 0, ANSWER_FROM_NOTHING},
    {"", NULL, ALL, ANSWER_FROM_NOTHING},
};

static void rules_find_answers(void **state) {
    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct str out = {0};
        enum answer_source how;
        bool found = answer_extract(str_from(CASES[i].text), CASES[i].flags, &out, &how);
        bool right = how == CASES[i].how && found == (CASES[i].answer != NULL) &&
                     (!found || str_equal(out, str_from(CASES[i].answer)));
        if (!right)
            fail_msg("%s: %s \"%.*s\"", CASES[i].text, answer_source_name(how), found ? (int)out.len : 0,
                     found ? out.ptr : "");
    }
}

/* A megabyte of the same piece; quadratic work would take minutes. */
static void long_texts_end_quickly(void **state) {
    UNUSED(state);
    static const char *const PIECES[] = {"\\boxed{",   "}",           "{",   "\\boxed{1} and ",
                                         "answer is ", "answer is\n", "$",   "\\(",
                                         "\\[",        "#### ",       "1",   "1,",
                                         "-",          "\\boxed ",    "\\",  "A:\n",
                                         "(A)",        " is ",        "$1$", "\\text{",
                                         "answer is $"};
    for (size_t i = 0; i < ARRAY_LEN(PIECES); i++) {
        struct buf b = {0};
        while (b.len < 1000000) buf_add_str(&b, str_from(PIECES[i]));
        struct str out;
        if (answer_extract(buf_str(&b), ALL, &out, NULL))
            assert_true(out.len > 0 && out.ptr >= b.ptr && out.ptr + out.len <= b.ptr + b.len);
        buf_free(&b);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_find_answers),
        cmocka_unit_test(long_texts_end_quickly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
