/* Weights of several in one tensor, and heads that are rotated in part: the rows that the engine reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/model.h"
#include "model_files.h"

static char *new_fused_model(int n_qkv_rows, double rotated) {
    char *dir = files_new_model("F32");
    json_t *config = files_config("Phi3ForCausalLM", FILES_CHAT_IDS);
    struct files_weights w = files_new_weights("F32");
    files_add_tensor(&w, "model.embed_tokens.weight", 2, FILES_CHAT_IDS, 8);
    files_add_tensor(&w, "model.norm.weight", 1, 8, 0);
    for (int l = 0; l < 2; l++) {
        static const struct {
            const char *name;
            int n_dims, rows, columns;
        } parts[] = {{"input_layernorm", 1, 8, 0},     {"post_attention_layernorm", 1, 8, 0},
                     {"self_attn.qkv_proj", 2, 16, 8}, {"self_attn.o_proj", 2, 8, 8},
                     {"mlp.gate_up_proj", 2, 24, 8},   {"mlp.down_proj", 2, 8, 12}};
        for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
            char name[96];
            const int rows = i == 2 ? n_qkv_rows : parts[i].rows;
            snprintf(name, sizeof name, "model.layers.%d.%s.weight", l, parts[i].name);
            files_add_tensor(&w, name, parts[i].n_dims, rows, parts[i].columns);
        }
    }
    struct buf bytes = files_take_weights(&w);
    files_put(dir, "model.safetensors", buf_str(&bytes));
    json_object_set_new(config, "partial_rotary_factor", json_real(rotated));
    files_put_json(dir, "config.json", config);
    json_decref(config);
    buf_free(&bytes);
    return dir;
}

/* Row i of a part is row `wanted` of what files_add_tensor wrote under the name of the whole. */
static void assert_row(const struct model *m, const char *part, int i, const char *whole, int wanted) {
    const struct tensor *t = model_tensor(m, part);
    assert_non_null(t);
    const float *row = tensor_row(t, i);
    const uint64_t key = rng_child_named(7, whole);
    for (int k = 0; k < 8; k++) {
        float x;
        memcpy(&x, row + k, sizeof x);
        assert_true(x == (float)(rng_unit(key, (uint64_t)(wanted * 8 + k)) - 0.5));
    }
}

static void fused_weights_are_read_in_parts(void **state) {
    static const char qkv[] = "model.layers.1.self_attn.qkv_proj.weight",
                      gate_up[] = "model.layers.1.mlp.gate_up_proj.weight";
    UNUSED(state);
    for (int is_partial = 0; is_partial < 2; is_partial++) {
        /* heads of 4 of which 2 are rotated: pairs are sought 2 apart, in the file they are neighbours */
        static const int places[2][4] = {{0, 1, 2, 3}, {0, 2, 1, 3}};
        const int *place = places[is_partial];
        char *dir = new_fused_model(16, is_partial ? 0.5 : 1);
        struct err e = {0};
        struct model *m = model_open(dir, &e);
        if (!m) fail_msg("%s", e.msg);
        assert_string_equal(m->config.family, "phi3");
        assert_int_equal(m->config.n_unrotated, is_partial ? 2 : 0);
        assert_null(model_tensor(m, qkv));
        for (int i = 0; i < 8; i++)
            assert_row(m, "model.layers.1.self_attn.q_proj.weight", i, qkv, i / 4 * 4 + place[i % 4]);
        for (int i = 0; i < 4; i++) {
            assert_row(m, "model.layers.1.self_attn.k_proj.weight", i, qkv, 8 + place[i]);
            assert_row(m, "model.layers.1.self_attn.v_proj.weight", i, qkv, 12 + i);
        }
        for (int i = 0; i < 12; i++) {
            assert_row(m, "model.layers.1.mlp.gate_proj.weight", i, gate_up, i);
            assert_row(m, "model.layers.1.mlp.up_proj.weight", i, gate_up, 12 + i);
        }
        model_close(m);
        files_free_dir(dir);
    }
    char *dir = new_fused_model(15, 1);
    struct err e = {0};
    assert_null(model_open(dir, &e));
    assert_int_equal(e.code, ERR_INPUT);
    assert_non_null(
        strstr(e.msg, "self_attn.qkv_proj.weight has 15 rows, but the configuration makes it 16"));
    files_free_dir(dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fused_weights_are_read_in_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
