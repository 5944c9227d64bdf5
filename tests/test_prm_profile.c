/* Profiles of step-scoring models: each reads what its text says and nothing else. The restatement builds ids
 * by hand (the tiny model's tokens are bytes) and asks the engine for outputs at one position at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "engine/engine.h"
#include "model/model.h"
#include "reward/reward.h"
#include "tiny_model.h"

static const char question[] = "how many";
static const char *const steps[] = {"one and", "a = b", "so c"};
enum { N_STEPS = 3, OTHER = TINY_END + 1 };

static char *new_model(const char *architecture, bool identity) {
    char *dir = mem_strdup("/tmp/brood-tiny-XXXXXX");
    assert_non_null(mkdtemp(dir));
    tiny_model_write_as(dir, 3, architecture, identity);
    return dir;
}

static void drop_model(char *dir) {
    tiny_model_remove(dir);
    free(dir);
}

/* Outputs at the end of these ids, by an engine of its own. */
static void outputs_at_end(const char *dir, const struct tokens *ids, const int *outputs, int n_outputs,
                           float *out) {
    struct err e = {0};
    struct model *m = model_open(dir, &e);
    if (!m) fail_msg("%s", e.msg);
    struct engine *en = engine_open(m, &(struct engine_options){.n_threads = 1, .kv_bytes = 4 << 20}, &e);
    struct branch *b = engine_root(en);
    branch_append(b, ids->ptr, ids->len);
    const size_t mark = ids->len - 1;
    const struct engine_read read = {
        .branch = b, .marks = &mark, .n_marks = 1, .outputs = outputs, .n_outputs = n_outputs};
    assert_true(engine_read(en, &read, &e));
    struct engine_event event;
    while (!engine_next(en, &event)) assert_true(engine_step(en, &e) > 0);
    memcpy(out, event.outputs, (size_t)n_outputs * sizeof *out);
    branch_release(b);
    engine_close(en);
    model_close(m);
}

static void add_bytes(struct tokens *ids, const char *text) {
    for (; *text; text++) tokens_add(ids, (unsigned char)*text);
}

struct scored {
    float rewards[N_STEPS];
    double tokens_read;
};

static struct scored score_all(const char *spec, bool at_once) {
    struct err e = {0};
    struct scored s = {0};
    struct reward *r = reward_open(spec, &(struct reward_options){.n_threads = 1}, &e);
    if (!r) fail_msg("%s", e.msg);
    struct reward_prefix *at = reward_root(r, question, &e);
    assert_non_null(at);
    for (int i = 0; i < N_STEPS; i += at_once ? N_STEPS : 1) {
        struct buf text = {0};
        for (int k = i; k < (at_once ? N_STEPS : i + 1); k++) buf_printf(&text, " %s\n\n", steps[k]);
        reward_submit(r, &(struct reward_job){.id = 1, .from = at, .text = buf_str(&text)});
        struct reward_result result;
        while (!reward_next(r, &result)) assert_true(reward_work(r, 1, &e) > 0);
        if (result.failed) fail_msg("%s", result.why);
        assert_int_equal(result.n_rewards, at_once ? N_STEPS : 1);
        memcpy(s.rewards + i, result.rewards, (size_t)result.n_rewards * sizeof *result.rewards);
        s.tokens_read += result.cost.tokens_read;
        reward_release(r, at);
        at = result.prefix;
        buf_free(&text);
    }
    reward_release(r, at);
    reward_close(r);
    return s;
}

/* Both ways of asking give the same; returned. */
static struct scored score_twice(const char *spec) {
    const struct scored one = score_all(spec, false), all = score_all(spec, true);
    assert_memory_equal(one.rewards, all.rewards, sizeof one.rewards);
    assert_true(one.tokens_read == all.tokens_read);
    return one;
}

static float softmax2(const float *y) {
    const double max = fmax((double)y[0], (double)y[1]), good = exp((double)y[0] - max),
                 bad = exp((double)y[1] - max);
    return (float)(good / (good + bad));
}

static char *with_profile(const char *dir, const char *json) {
    struct buf spec = {0};
    tiny_file(dir, "profile.json", str_from(json));
    buf_printf(&spec, "%s,profile=%s/profile.json", dir, dir);
    return buf_take(&spec);
}

static void drop_profile(const char *dir, char *spec) {
    char *path = file_join(dir, "profile.json");
    unlink(path);
    free(path);
    free(spec);
}

/* In the manner of Math-Shepherd: two tokens of a language model, compared where each step's tag ends. */
static void a_language_model_scores_by_two_tokens(void **state) {
    UNUSED(state);
    char *dir = new_model("LlamaForCausalLM", false);
    char *spec =
        with_profile(dir, "{\"opening\": \"{problem}\", \"first\": \" \", \"next\": \"\\n\", "
                          "\"closing\": \" #{token:<|other|>}{{\", \"good\": \"+\", \"bad\": \"-\"}");
    const struct scored s = score_twice(spec);
    struct tokens ids = {0};
    add_bytes(&ids, question);
    const size_t n_opening = ids.len;
    for (int i = 0; i < N_STEPS; i++) {
        float y[2];
        add_bytes(&ids, i ? "\n" : " ");
        add_bytes(&ids, steps[i]);
        add_bytes(&ids, " #");
        tokens_add(&ids, OTHER);
        add_bytes(&ids, "{");
        outputs_at_end(dir, &ids, (const int[]){'+', '-'}, 2, y);
        const float want = softmax2(y);
        assert_memory_equal(&s.rewards[i], &want, sizeof want);
    }
    assert_true(s.tokens_read == (double)(ids.len - n_opening));
    tokens_free(&ids);
    drop_profile(dir, spec);
    drop_model(dir);
}

/* Closings that are read aside are no part of what follows. */
static void a_closing_aside_leaves_nothing_behind(void **state) {
    UNUSED(state);
    char *dir = new_model("LlamaForSequenceClassification", false);
    char *spec =
        with_profile(dir, "{\"opening\": \"{problem}{token:<|other|>}\", \"next\": \"\\n\\n\", "
                          "\"closing\": \"{token:<|end|>}\", \"aside\": true, \"aggregate\": \"last\"}");
    const struct scored s = score_twice(spec);
    struct tokens ids = {0};
    add_bytes(&ids, question);
    tokens_add(&ids, OTHER);
    const size_t n_opening = ids.len;
    for (int i = 0; i < N_STEPS; i++) {
        float y;
        if (i) tokens_add(&ids, TINY_BREAK);
        add_bytes(&ids, steps[i]);
        tokens_add(&ids, TINY_END);
        outputs_at_end(dir, &ids, (const int[]){0}, 1, &y);
        const float want = (float)(1 / (1 + exp(-(double)y)));
        assert_memory_equal(&s.rewards[i], &want, sizeof want);
        ids.len--;
    }
    assert_true(s.tokens_read == (double)(ids.len - n_opening + N_STEPS));
    tokens_free(&ids);
    drop_profile(dir, spec);
    drop_model(dir);
}

/* A judge is asked about each step aside, in its own chat format; the problem is no part of the template. */
static void a_judge_is_asked_about_each_step(void **state) {
    UNUSED(state);
    static const char prompt[] = "Q {problem}\nS {steps} ok {step}? {{\n";
    char *dir = new_model("LlamaForCausalLM", false);
    tiny_file(dir, "tokenizer_config.json",
              STR("{\"eos_token\": \"<|end|>\", \"add_bos_token\": false, \"chat_template\": \"{% for m in "
                  "messages "
                  "%}<|other|>{{ m.role }}:{{ m.content }}<|end|>{% endfor %}{% if add_generation_prompt %}"
                  "<|other|>A:{% endif %}\"}"));
    tiny_file(dir, "judge.txt", STR(prompt));
    char *spec = with_profile(dir, "{\"prompt_file\": \"judge.txt\", \"next\": \";\", \"good\": \"+\", "
                                   "\"bad\": \"-\"}");
    const struct scored s = score_twice(spec);
    struct tokens ids = {0};
    double n_closings = 0;
    tokens_add(&ids, OTHER);
    add_bytes(&ids, "user:Q how many\nS ");
    const size_t n_opening = ids.len;
    for (int i = 0; i < N_STEPS; i++) {
        float y[2];
        if (i) add_bytes(&ids, ";");
        add_bytes(&ids, steps[i]);
        const size_t n_steps = ids.len;
        add_bytes(&ids, " ok ");
        add_bytes(&ids, steps[i]);
        add_bytes(&ids, "? {");
        tokens_add(&ids, TINY_END);
        tokens_add(&ids, OTHER);
        add_bytes(&ids, "A:");
        outputs_at_end(dir, &ids, (const int[]){'+', '-'}, 2, y);
        const float want = softmax2(y);
        assert_memory_equal(&s.rewards[i], &want, sizeof want);
        n_closings += (double)(ids.len - n_steps);
        ids.len = n_steps;
    }
    assert_true(s.tokens_read == (double)(ids.len - n_opening) + n_closings);
    drop_profile(dir, spec);
    spec = with_profile(dir,
                        "{\"prompt\": \"Q {problem}\\nS {steps} ok {step}? {{\", \"next\": \";\", \"good\": "
                        "\"+\", \"bad\": \"-\"}");
    const struct scored again = score_twice(spec);
    assert_memory_equal(again.rewards, s.rewards, sizeof s.rewards);

    struct err e = {0};
    struct model *m = model_open(dir, &e);
    struct prm_profile p;
    assert_non_null(m);
    assert_int_equal(m->prm.kind, PRM_NONE); /* a judge only where it is asked for */
    assert_true(prm_profile_named(m, strstr(spec, "profile=") + strlen("profile="), &p, &e));
    ids.len = 0;
    assert_true(prm_profile_open(m, &p, STR("<|end|>"), &ids, &e));
    for (size_t i = 0; i < ids.len; i++) assert_true(ids.ptr[i] != TINY_END);
    model_close(m);
    tokens_free(&ids);
    drop_profile(dir, spec);
    char *path = file_join(dir, "judge.txt");
    unlink(path);
    free(path);
    drop_model(dir);
}

/* Skywork's: a value head with a bias, read at a newline that ends each step; lines in a step become one. */
static void a_value_head_is_a_line_through_the_state(void **state) {
    UNUSED(state);
    char *dir = new_model("Qwen2ForPrmModel", false), *plain = new_model("Qwen2ForCausalLM", true);
    const struct scored s = score_twice(dir);
    struct err e = {0};
    struct model *m = model_open(dir, &e);
    if (!m) fail_msg("%s", e.msg);
    assert_string_equal(m->prm.name, "skywork-o1-open-prm");
    float weight[TINY_WIDTH], bias;
    memcpy(weight, model_tensor(m, "v_head.summary.weight")->data, sizeof weight);
    memcpy(&bias, model_tensor(m, "v_head.summary.bias")->data, sizeof bias);
    model_close(m);
    int outputs[TINY_WIDTH];
    for (int i = 0; i < TINY_WIDTH; i++) outputs[i] = i;
    struct tokens ids = {0};
    add_bytes(&ids, question);
    add_bytes(&ids, "\n");
    for (int i = 0; i < N_STEPS; i++) {
        float h[TINY_WIDTH];
        double y = (double)bias;
        add_bytes(&ids, steps[i]);
        add_bytes(&ids, "\n");
        outputs_at_end(plain, &ids, outputs, TINY_WIDTH, h);
        for (int k = 0; k < TINY_WIDTH; k++) y += (double)weight[k] * (double)h[k];
        assert_true(fabs((double)s.rewards[i] - 1 / (1 + exp(-y))) < 1e-5);
    }
    tokens_free(&ids);
    drop_model(dir);
    drop_model(plain);
}

/* Qwen2.5-Math-PRM's head: two layers with a ReLU between. Its own profile's tokens are not in the tiny
 * tokenizer. */
static void a_head_of_two_layers(void **state) {
    UNUSED(state);
    char *dir = new_model("Qwen2ForProcessRewardModel", false), *plain = new_model("Qwen2ForCausalLM", true);
    struct err e = {0};
    assert_null(reward_open(dir, NULL, &e));
    assert_non_null(strstr(e.msg, "<|im_start|>"));
    char *spec = with_profile(dir, "{\"opening\": \"{problem}\", \"closing\": \"{token:<|other|>}\"}");
    const struct scored s = score_twice(spec);
    struct model *m = model_open(dir, &e);
    if (!m) fail_msg("%s", e.msg);
    float w0[TINY_WIDTH][TINY_WIDTH], b0[TINY_WIDTH], w2[2][TINY_WIDTH], b2[2];
    memcpy(w0, model_tensor(m, "score.0.weight")->data, sizeof w0);
    memcpy(b0, model_tensor(m, "score.0.bias")->data, sizeof b0);
    memcpy(w2, model_tensor(m, "score.2.weight")->data, sizeof w2);
    memcpy(b2, model_tensor(m, "score.2.bias")->data, sizeof b2);
    model_close(m);
    int outputs[TINY_WIDTH];
    for (int i = 0; i < TINY_WIDTH; i++) outputs[i] = i;
    struct tokens ids = {0};
    add_bytes(&ids, question);
    for (int i = 0; i < N_STEPS; i++) {
        float h[TINY_WIDTH];
        double y[2] = {(double)b2[0], (double)b2[1]};
        add_bytes(&ids, steps[i]);
        tokens_add(&ids, OTHER);
        outputs_at_end(plain, &ids, outputs, TINY_WIDTH, h);
        for (int k = 0; k < TINY_WIDTH; k++) {
            double inner = (double)b0[k];
            for (int j = 0; j < TINY_WIDTH; j++) inner += (double)w0[k][j] * (double)h[j];
            for (int n = 0; n < 2; n++) y[n] += (double)w2[n][k] * fmax(inner, 0);
        }
        assert_true(fabs((double)s.rewards[i] - 1 / (1 + exp(y[0] - y[1]))) <
                    1e-5); /* the second is "good" */
    }
    tokens_free(&ids);
    drop_profile(dir, spec);
    drop_model(dir);
    drop_model(plain);
}

/* A head of several classes, of which a file says what counts: for, and against. */
static void a_file_says_which_classes_count(void **state) {
    static const struct {
        const char *keys;
        int good, bad[3], n_bad; /* n_bad 0: logistic */
    } cases[] = {{"\"good\": 0, \"bad\": 2", 0, {2}, 1},
                 {"\"good\": 2, \"bad\": [0, 1]", 2, {0, 1}, 2},
                 {"\"good\": 1, \"bad\": [3, 0, 2]", 1, {3, 0, 2}, 3},
                 {"\"good\": 3", 3, {0, 1, 2}, 3},
                 {"\"good\": 1, \"readout\": \"sigmoid\"", 1, {0}, 0}};
    UNUSED(state);
    char *dir = mem_strdup("/tmp/brood-tiny-XXXXXX");
    assert_non_null(mkdtemp(dir));
    tiny_model_write_labels(dir, 3, "LlamaForTokenClassification", 4, false);
    for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
        struct buf json = {0};
        buf_printf(&json, "{\"opening\": \"{problem}\", \"closing\": \"{token:<|other|>}\", %s}",
                   cases[k].keys);
        char *spec = with_profile(dir, buf_cstr(&json));
        const struct scored s = score_twice(spec);
        struct tokens ids = {0};
        add_bytes(&ids, question);
        for (int i = 0; i < N_STEPS; i++) {
            float y[4];
            add_bytes(&ids, steps[i]);
            tokens_add(&ids, OTHER);
            outputs_at_end(dir, &ids, (const int[]){0, 1, 2, 3}, 4, y);
            const double good = exp((double)y[cases[k].good]);
            double sum = cases[k].n_bad ? good : 1 + good;
            for (int n = 0; n < cases[k].n_bad; n++) sum += exp((double)y[cases[k].bad[n]]);
            assert_true(fabs((double)s.rewards[i] - good / sum) < 1e-6);
        }
        tokens_free(&ids);
        drop_profile(dir, spec);
        buf_free(&json);
    }
    static const char *const refused[][2] = {{"\"first\": \"\"", "which of the head's 4 outputs"},
                                             {"\"bad\": 0", "without"},
                                             {"\"good\": 4, \"bad\": 0", "from 0 to 3"},
                                             {"\"good\": -1, \"bad\": 0", "from 0 to 3"},
                                             {"\"good\": \"+\", \"bad\": 0", "numbers"},
                                             {"\"good\": 1, \"bad\": [0, 1]", "twice"},
                                             {"\"good\": 1, \"bad\": []", "more than one"},
                                             {"\"good\": 1, \"bad\": [[0]]", "numbers"},
                                             {"\"good\": 1.5", "numbers"}};
    for (size_t k = 0; k < ARRAY_LEN(refused); k++) {
        struct buf json = {0};
        struct err e = {0};
        buf_printf(&json, "{\"opening\": \"{problem}\", \"closing\": \".\", %s}", refused[k][0]);
        char *spec = with_profile(dir, buf_cstr(&json));
        assert_null(reward_open(spec, NULL, &e));
        if (!strstr(e.msg, refused[k][1])) fail_msg("%s: %s", buf_cstr(&json), e.msg);
        drop_profile(dir, spec);
        buf_free(&json);
    }
    struct err e = {0};
    assert_null(reward_open(dir, NULL, &e)); /* not by itself, and it says what would work */
    assert_non_null(strstr(e.msg, "profile"));
    drop_model(dir);
}

static void what_cannot_be_is_refused(void **state) {
    static const struct {
        const char *json, *message;
    } bad[] = {
        {"[]", "is a JSON object"},
        {"{\"first\": \"x\"}", "opening"},
        {"{\"opening\": \"{problem\", \"good\": \"+\", \"bad\": \"-\"}", "without its }"},
        {"{\"opening\": \"{what}\", \"good\": \"+\", \"bad\": \"-\"}", "{what}"},
        {"{\"opening\": \"{token:<|none|>}\", \"good\": \"+\", \"bad\": \"-\"}", "no token <|none|>"},
        {"{\"opening\": \"{bos}\", \"good\": \"+\", \"bad\": \"-\"}", "{bos}"},
        {"{\"opening\": \"{one:ab}\", \"good\": \"+\", \"bad\": \"-\"}", "it would be 2"},
        {"{\"opening\": \"{problem}\", \"good\": \"+\"}", "\"good\" and \"bad\""},
        {"{\"opening\": \"{problem}\", \"good\": \"ok\", \"bad\": \"-\"}", "\"ok\" is 2 tokens"},
        {"{\"opening\": \"{problem}\", \"good\": \"plus\", \"bad\": \"-\"}", "\"plus\" is 4 tokens"},
        {"{\"opening\": \"{problem}\", \"good\": \"+\", \"bad\": \"-\", \"readout\": \"max\"}", "readout"},
        {"{\"opening\": \"{problem}\", \"good\": \"+\", \"bad\": \"-\", \"aggregate\": \"sum\"}",
         "aggregate"},
        {"{\"opening\": \"{problem}\", \"good\": \"+\", \"bad\": \"-\", \"marker\": 3}",
         "\"marker\" is unknown"},
        {"{\"opening\": \"{problem}\", \"good\": \"+\", \"bad\": \"-\", \"aside\": true}", "empty closing"},
        {"{\"prompt\": \"{steps} {problem}\", \"good\": \"+\", \"bad\": \"-\"}", "behind it, {steps}"},
        {"{\"prompt\": \"{problem}\", \"good\": \"+\", \"bad\": \"-\"}", "behind it, {steps}"},
        {"{\"prompt\": \"{problem}{steps}{steps}\", \"good\": \"+\", \"bad\": \"-\"}", "once"},
        {"{\"prompt\": \"{problem}{steps}\", \"aside\": true, \"good\": \"+\", \"bad\": \"-\"}", "\"aside\""},
        {"{\"prompt\": \"{problem}{steps}\", \"prompt_file\": \"x\"}", "one of them"},
        {"{\"prompt_file\": \"none.txt\", \"good\": \"+\", \"bad\": \"-\"}", "none.txt"},
    };
    UNUSED(state);
    char *dir = new_model("LlamaForCausalLM", false);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err e = {0};
        char *spec = with_profile(dir, bad[i].json);
        assert_null(reward_open(spec, NULL, &e));
        if (!strstr(e.msg, bad[i].message)) fail_msg("%s: %s", bad[i].json, e.msg);
        assert_int_equal(e.code, ERR_INPUT);
        drop_profile(dir, spec);
    }
    struct err e = {0};
    struct buf spec = {0};
    buf_printf(&spec, "%s,profile=shepherd", dir);
    assert_null(reward_open(buf_cstr(&spec), NULL, &e));
    assert_non_null(strstr(e.msg, "math-shepherd"));
    spec.len = 0;
    buf_printf(&spec, "%s,profile=skywork-o1-open-prm", dir);
    assert_null(reward_open(buf_cstr(&spec), NULL, &e));
    assert_non_null(strstr(e.msg, "another head"));
    buf_free(&spec);
    drop_model(dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_language_model_scores_by_two_tokens),
        cmocka_unit_test(a_closing_aside_leaves_nothing_behind),
        cmocka_unit_test(a_judge_is_asked_about_each_step),
        cmocka_unit_test(a_value_head_is_a_line_through_the_state),
        cmocka_unit_test(a_head_of_two_layers),
        cmocka_unit_test(a_file_says_which_classes_count),
        cmocka_unit_test(what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
