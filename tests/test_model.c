/* Model folders: what is read from them, and what hostile or foreign ones are told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <sys/stat.h>

#include "model/config.h"
#include "model/family.h"
#include "model/model.h"
#include "model/safetensors.h"
#include "model_files.h"

static struct model *open_ok(const char *dir) {
    struct err e = {0};
    struct model *m = model_open(dir, &e);
    if (!m) print_error("%s\n", e.msg);
    assert_non_null(m);
    return m;
}

static void assert_refused(const char *dir, const char *wanted) {
    struct err e = {0};
    struct model *m = model_open(dir, &e);
    if (m || !strstr(e.msg, wanted)) print_error("wanted \"%s\", got: %s\n", wanted, m ? "a model" : e.msg);
    assert_null(m);
    assert_non_null(strstr(e.msg, wanted));
    assert_int_equal(e.code, ERR_INPUT);
}

/* ---- a folder ---- */

static void a_folder_becomes_a_model(void **state) {
    static const char *const dtypes[] = {"F32", "F16", "BF16"};
    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(dtypes); i++) {
        char *dir = files_new_model(dtypes[i]);
        struct model *m = open_ok(dir);
        const struct model_config *c = &m->config;
        assert_string_equal(c->family, "llama");
        assert_int_equal(c->n_layers, 2);
        assert_int_equal(c->d_model, 8);
        assert_int_equal(c->n_kv_heads, 1);
        assert_int_equal(c->head_width, 4);
        assert_int_equal(c->n_head_outputs, FILES_CHAT_IDS);
        assert_true(c->rope.kind == ROPE_DEFAULT && c->rope.theta == 10000);
        assert_int_equal(m->n_tensors, 20);
        assert_int_equal(m->prm.kind, PRM_NONE);
        assert_string_equal(chat_name(m->chat), "plain");
        assert_true(model_is_end(m, 259));
        assert_false(model_is_end(m, 258));
        assert_true(m->sampling.temperature == 1 && m->sampling.top_p == 1 && m->sampling.top_k == 0);
        const struct tensor *t = model_tensor(m, "model.layers.1.mlp.down_proj.weight");
        assert_non_null(t);
        assert_string_equal(dtype_name(t->dtype), dtypes[i]);
        assert_int_equal(t->n_bytes, 8 * 12 * (i ? 2 : 4));
        assert_null(model_tensor(m, "lm_head.weight"));
        model_close(m);
        files_free_dir(dir);
    }
}

static void sizes_are_counted(void **state) {
    UNUSED(state);
    char *dir = files_new_model("BF16");
    struct model *m = open_ok(dir);
    const int64_t layer = 2 * 8 + 2 * 8 * 8 + 2 * 4 * 8 + 3 * 8 * 12;
    assert_int_equal(model_parameters_computed(m), 2 * layer + 8);
    assert_int_equal(model_parameters(m), 2 * layer + 8 + FILES_CHAT_IDS * 8);
    const double wanted = 2.0 * (double)(2 * layer + 8) + 4.0 * 2 * 2 * 4 * 10 + 2.0 * 3 * 8;
    assert_true(model_flops_per_token(&m->config, 10, 3) == wanted);
    model_drop_tensors(m);
    assert_null(model_tensor(m, "model.norm.weight")->data);
    assert_int_equal(model_parameters(m), 2 * layer + 8 + FILES_CHAT_IDS * 8);
    model_close(m);
    files_free_dir(dir);
}

static void a_wanted_tensor_has_its_shape(void **state) {
    UNUSED(state);
    char *dir = files_new_model("F32");
    struct model *m = open_ok(dir);
    struct err e = {0};
    assert_non_null(model_want_tensor(m, "model.norm.weight", 1, (const int64_t[]){8}, &e));
    assert_null(model_want_tensor(m, "model.norm.weight", 1, (const int64_t[]){9}, &e));
    assert_non_null(strstr(e.msg, "model.norm.weight is [8], but the configuration makes it [9]"));
    assert_null(model_want_tensor(m, "model.norm.weight", 2, (const int64_t[]){8, 1}, &e));
    assert_null(model_want_tensor(m, "model.norm", 1, (const int64_t[]){8}, &e));
    assert_non_null(strstr(e.msg, "missing"));
    model_close(m);
    files_free_dir(dir);
}

static void put_shard(const char *dir, const char *name, int first, int end) {
    struct files_weights w = files_new_weights("F16");
    files_add_layers(&w, FILES_CHAT_IDS, first, end);
    struct buf bytes = files_take_weights(&w);
    files_put(dir, name, buf_str(&bytes));
    buf_free(&bytes);
}

static void put_index(const char *dir, const char *second) {
    struct buf text = {0};
    buf_printf(&text,
               "{\"metadata\":{},\"weight_map\":{\"model.norm.weight\":\"a.safetensors\","
               "\"model.layers.1.mlp.up_proj.weight\":\"%s\"}}",
               second);
    files_put(dir, "model.safetensors.index.json", buf_str(&text));
    buf_free(&text);
}

static void shards_are_one_model(void **state) {
    UNUSED(state);
    char *whole = files_new_model("F16"), *dir = files_new_model("F16");
    files_remove(dir, "model.safetensors");
    put_shard(dir, "a.safetensors", 0, 1);
    put_shard(dir, "b.safetensors", 1, 2);
    put_index(dir, "b.safetensors");
    struct model *a = open_ok(whole), *b = open_ok(dir);
    assert_int_equal(a->n_tensors, b->n_tensors);
    for (int i = 0; i < a->n_tensors; i++) {
        assert_string_equal(a->tensors[i].name, b->tensors[i].name);
        assert_memory_equal(a->tensors[i].data, b->tensors[i].data, a->tensors[i].n_bytes);
    }
    assert_true(a->content_hash == b->content_hash);
    model_close(a);
    model_close(b);

    put_index(dir, "../b.safetensors");
    assert_refused(dir, "not a file of this folder");
    put_index(dir, "c.safetensors");
    assert_refused(dir, "c.safetensors");
    put_index(dir, "a.safetensors");
    assert_refused(dir, "model.layers.1.mlp.up_proj.weight is not in a.safetensors");
    put_shard(dir, "b.safetensors", 0, 2);
    put_index(dir, "b.safetensors");
    assert_refused(dir, "twice");
    files_put(dir, "model.safetensors.index.json", STR("{\"weight_map\":{\"x\":7}}"));
    assert_refused(dir, "no file name");
    files_put(dir, "model.safetensors.index.json", STR("{}"));
    assert_refused(dir, "weight_map");
    files_free_dir(dir);
    files_free_dir(whole);
}

static void hashes_name_the_content(void **state) {
    UNUSED(state);
    char *dir = files_new_model("F16");
    struct model *m = open_ok(dir);
    uint64_t first = m->content_hash;
    model_close(m);
    m = open_ok(dir);
    assert_true(m->content_hash == first);
    model_close(m);

    struct err e;
    struct buf bytes = {0};
    char *path = file_join(dir, "model.safetensors");
    assert_true(file_read(path, 1 << 20, &bytes, &e));
    bytes.ptr[bytes.len - 1] ^= 1;
    files_put(dir, "model.safetensors", buf_str(&bytes));
    m = open_ok(dir);
    assert_true(m->content_hash != first);
    model_close(m);
    buf_free(&bytes);
    free(path);
    files_free_dir(dir);
}

static void a_chat_format_can_be_named(void **state) {
    UNUSED(state);
    char *dir = files_new_model("F16");
    struct err e = {0};
    struct model *m = model_open_chat(dir, "chatml", &e);
    assert_non_null(m);
    assert_string_equal(chat_name(m->chat), "chatml");
    model_close(m);
    files_put(dir, "tokenizer_config.json", STR("{\"chat_template\": \"{{ something of its own }}\"}"));
    assert_refused(dir, "chat template: line 1: unexpected \"of\"");
    assert_refused(dir, "--chat");
    m = model_open_chat(dir, "plain", &e);
    assert_non_null(m);
    model_close(m);
    assert_null(model_open_chat(dir, "nobody", &e));
    files_free_dir(dir);
}

static void end_tokens_and_sampling_are_read(void **state) {
    UNUSED(state);
    char *dir = files_new_model("F16");
    files_put(dir, "generation_config.json",
              STR("{\"eos_token_id\":[260,261],\"temperature\":0.6,\"top_p\":0.9,\"top_k\":20,\"do_sample\":"
                  "true}"));
    struct model *m = open_ok(dir);
    assert_int_equal(m->n_end_tokens, 2);
    assert_true(model_is_end(m, 260) && model_is_end(m, 261) && !model_is_end(m, 259));
    assert_true(fabsf(m->sampling.temperature - 0.6f) < 1e-6f && fabsf(m->sampling.top_p - 0.9f) < 1e-6f);
    assert_int_equal(m->sampling.top_k, 20);
    model_close(m);
    files_put(dir, "generation_config.json", STR("{\"eos_token_id\":266}"));
    assert_refused(dir, "eos_token_id");
    files_put(dir, "generation_config.json", STR("{\"temperature\":-1}"));
    assert_refused(dir, "temperature");
    files_put(dir, "generation_config.json", STR("[]"));
    assert_refused(dir, "generation_config.json");
    files_free_dir(dir);
}

/* ---- reward models ---- */

/* Turns a folder into a token classifier with n classes. */
static void make_classifier(const char *dir, int n_classes, bool bias) {
    json_t *config = files_config("LlamaForTokenClassification", FILES_CHAT_IDS);
    struct files_weights w = files_new_weights("F16");
    json_object_set_new(config, "num_labels", json_integer(n_classes));
    files_add_layers(&w, FILES_CHAT_IDS, 0, 2);
    files_add_tensor(&w, "score.weight", 2, n_classes, 8);
    if (bias) files_add_tensor(&w, "score.bias", 1, n_classes, 0);
    struct buf bytes = files_take_weights(&w);
    files_put_json(dir, "config.json", config);
    files_put(dir, "model.safetensors", buf_str(&bytes));
    buf_free(&bytes);
    json_decref(config);
}

static void a_token_classifier_scores_steps(void **state) {
    UNUSED(state);
    char *dir = files_new_model("F16");
    for (int n = 1; n <= 2; n++) {
        make_classifier(dir, n, n == 2);
        struct model *m = open_ok(dir);
        assert_int_equal(m->config.head, MODEL_HEAD_CLASS);
        assert_int_equal(m->config.n_head_outputs, n);
        assert_int_equal(m->prm.kind, PRM_STEPS);
        assert_string_equal(m->prm.name, "token-classification");
        assert_string_equal(m->prm.closing, "{one:\n\n}");
        assert_int_equal(m->prm.n_outputs, n);
        assert_int_equal(m->prm.outputs[0], n - 1);
        const float outputs[] = {1.5f, -0.5f};
        double wanted = n == 1 ? 1 / (1 + exp(-1.5)) : 1 / (1 + exp(-2.0));
        assert_true(fabs(prm_profile_score(&m->prm, outputs) - wanted) < 1e-12);
        model_close(m);
    }
    make_classifier(dir, 3, true);
    struct model *m = open_ok(dir);
    assert_int_equal(m->prm.kind, PRM_NONE);
    assert_non_null(strstr(m->prm.why, "3 classes"));
    model_close(m);
    files_free_dir(dir);
}

static void scores_of_extreme_outputs_are_numbers(void **state) {
    static const float outputs[][2] = {{1e30f, -1e30f}, {-1e30f, 1e30f}, {0, 0}};
    static const double wanted[] = {1, 0, 0.5};
    UNUSED(state);
    struct prm_profile p = {.kind = PRM_STEPS, .n_outputs = 2, .readout = PRM_SOFTMAX_GOOD};
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
        assert_true(prm_profile_score(&p, outputs[i]) == wanted[i]);
    p.readout = PRM_SIGMOID;
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
        assert_true(prm_profile_score(&p, outputs[i]) == wanted[i]);
}

/* ---- configurations ---- */

/* "key=json;key=json;...": sets (or with nothing behind '=' removes) keys of config.json. */
static json_t *changed_config(const char *changes) {
    json_t *config = files_config("LlamaForCausalLM", 300);
    struct err e;
    while (*changes) {
        const char *equals = strchr(changes, '='), *end = strchr(changes, ';');
        if (!end) end = changes + strlen(changes);
        char *key = str_dup((struct str){changes, (size_t)(equals - changes)});
        if (end == equals + 1) {
            json_object_del(config, key);
        } else {
            json_t *v = json_parse((struct str){equals + 1, (size_t)(end - equals - 1)}, "test", &e);
            ASSERT(v);
            json_object_set_new(config, key, v);
        }
        free(key);
        changes = *end ? end + 1 : end;
    }
    return config;
}

static bool parse_changed(const char *changes, struct model_config *c, struct err *e) {
    json_t *config = changed_config(changes);
    bool done = config_parse(config, "config.json", c, e);
    json_decref(config);
    return done;
}

static void both_dialects_of_configurations_are_one(void **state) {
    static const char *const pairs[][2] = {
        {"rope_theta=500000.0;torch_dtype=\"bfloat16\"", "rope_theta=;rope_parameters={\"rope_theta\":500000."
                                                         "0,\"rope_type\":\"default\"};dtype=\"bfloat16\""},
        {"rope_scaling={\"type\":\"linear\",\"factor\":4.0}",
         "rope_theta=;rope_parameters={\"rope_theta\":10000.0,\"rope_type\":\"linear\",\"factor\":4}"},
        {"rope_scaling={\"rope_type\":\"llama3\",\"factor\":32.0,\"low_freq_factor\":1.0,\"high_freq_"
         "factor\":4.0,"
         "\"original_max_position_embeddings\":8192}",
         "rope_theta=;rope_parameters={\"rope_theta\":10000.0,\"rope_type\":\"llama3\",\"factor\":32.0,"
         "\"low_freq_factor\":1.0,\"high_freq_factor\":4.0,\"original_max_position_embeddings\":8192}"},
        {"rope_scaling={\"type\":\"yarn\",\"factor\":4.0,\"original_max_position_embeddings\":32}",
         "rope_theta=;rope_parameters={\"rope_theta\":10000.0,\"rope_type\":\"yarn\",\"factor\":4.0,"
         "\"original_max_position_embeddings\":32,\"beta_fast\":32,\"beta_slow\":1.0,\"truncate\":true,"
         "\"attention_factor\":1.138629436111989}"},
        {"rope_scaling=null;head_dim=", ""},
        {"num_key_value_heads=", "num_key_value_heads=null"},
    };
    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        struct model_config a, b;
        struct err e = {0};
        assert_true(parse_changed(pairs[i][0], &a, &e));
        assert_true(parse_changed(pairs[i][1], &b, &e));
        assert_int_equal(a.rope.kind, b.rope.kind);
        assert_true(a.rope.theta == b.rope.theta && a.rope.factor == b.rope.factor);
        assert_true(a.rope.beta_fast == b.rope.beta_fast && a.rope.beta_slow == b.rope.beta_slow);
        assert_true(a.rope.attention_factor == b.rope.attention_factor);
        assert_int_equal(a.n_context, b.n_context);
        assert_int_equal(a.rope.n_context_original, b.rope.n_context_original);
        assert_int_equal(a.head_width, b.head_width);
        assert_int_equal(a.n_kv_heads, b.n_kv_heads);
    }
}

static void families_differ_by_flags(void **state) {
    static const struct {
        const char *changes, *family;
        bool qkv_bias, qk_norm;
        enum model_head head;
    } cases[] = {
        {"", "llama", false, false, MODEL_HEAD_LM},
        {"architectures=[\"MistralForCausalLM\"];sliding_window=null", "mistral", false, false,
         MODEL_HEAD_LM},
        {"architectures=[\"MistralForCausalLM\"];sliding_window=64", "mistral", false, false, MODEL_HEAD_LM},
        {"architectures=[\"Qwen2ForCausalLM\"];use_sliding_window=false;sliding_window=8", "qwen2", true,
         false, MODEL_HEAD_LM},
        {"architectures=[\"Qwen2ForTokenClassification\"];num_labels=2", "qwen2", true, false,
         MODEL_HEAD_CLASS},
        {"architectures=[\"Qwen3ForCausalLM\"];head_dim=128;layer_types=[\"full_attention\"]", "qwen3", false,
         true, MODEL_HEAD_LM},
    };
    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct model_config c;
        struct err e = {0};
        assert_true(parse_changed(cases[i].changes, &c, &e));
        assert_string_equal(c.family, cases[i].family);
        assert_true(c.qkv_bias == cases[i].qkv_bias && c.qk_norm == cases[i].qk_norm &&
                    c.head == cases[i].head);
    }
}

/* The context is what the weights can do: longer by yarn, shorter by a window of attention. */
static void contexts_end_where_they_must(void **state) {
    static const struct {
        const char *changes;
        int n_context, n_window;
    } cases[] = {
        {"", 64, 0},
        {"architectures=[\"MistralForCausalLM\"];sliding_window=null", 64, 0},
        {"architectures=[\"MistralForCausalLM\"];sliding_window=64", 64, 0},
        {"architectures=[\"MistralForCausalLM\"];sliding_window=32", 32, 32},
        {"architectures=[\"MistralForCausalLM\"];max_position_embeddings=8192", 4096, 4096},
        {"architectures=[\"MistralForCausalLM\"];max_position_embeddings=8192;sliding_window=null", 8192, 0},
        {"architectures=[\"Qwen2ForCausalLM\"];use_sliding_window=false;sliding_window=8", 64, 0},
        {"architectures=[\"Qwen2ForCausalLM\"];use_sliding_window=true;sliding_window=8", 8, 8},
        {"layer_types=[\"full_attention\",\"sliding_attention\"];sliding_window=16", 16, 16},
        {"layer_types=[\"full_attention\",\"full_attention\"];sliding_window=16", 64, 0},
        {"rope_scaling={\"type\":\"yarn\",\"factor\":4.0}", 256, 0},
        {"rope_scaling={\"type\":\"yarn\",\"factor\":4.0,\"original_max_position_embeddings\":8}", 64, 0},
        {"rope_scaling={\"type\":\"linear\",\"factor\":4.0}", 64, 0},
        {"rope_scaling={\"type\":\"longrope\",\"short_factor\":[1,2]};original_max_position_embeddings=16",
         16, 0},
        {"rope_scaling={\"type\":\"su\",\"short_factor\":[1,2],\"original_max_position_embeddings\":32}", 32,
         0},
        {"architectures=[\"Phi3ForCausalLM\"];sliding_window=16", 16, 16},
        {"architectures=[\"Phi3ForCausalLM\"];sliding_window=null", 64, 0},
    };
    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct model_config c;
        struct err e = {0};
        assert_true(parse_changed(cases[i].changes, &c, &e));
        assert_int_equal(c.n_context, cases[i].n_context);
        assert_int_equal(c.n_window, cases[i].n_window);
    }
}

/* The list that a refusal shows is the table's. */
static void supported_families_are_named(void **state) {
    UNUSED(state);
    int n = 0;
    char *list = mem_strdup(family_names()), *rest = list;
    for (char *name; (name = strsep(&rest, ",")); n++) {
        const struct family *f = family_find(name + (name[0] == ' '));
        assert_non_null(f);
        assert_string_equal(f->architecture, name + (name[0] == ' '));
    }
    assert_int_equal(n, family_count());
    free(list);
}

static void what_is_not_computed_is_refused(void **state) {
    static const char *const cases[][2] = {
        {"architectures=[\"GemmaForCausalLM\"]",
         "GemmaForCausalLM is not supported; these are: LlamaForCausalLM"},
        {"architectures=", "architectures"},
        {"architectures=[]", "architectures"},
        {"architectures=[7]", "architectures"},
        {"layer_types=[\"full_attention\",\"sliding_attention\"]", "layer 1"},
        {"layer_types=[\"full_attention\",\"chunked_attention\"];sliding_window=9", "layer 1"},
        {"quantization_config={}", "quantised"},
        {"hidden_act=\"gelu\"", "gelu"},
        {"attention_bias=true", "attention_bias"},
        {"mlp_bias=true", "mlp_bias"},
        {"partial_rotary_factor=0.5", "partial_rotary_factor"},
        {"rope_parameters={\"rope_type\":\"default\",\"partial_rotary_factor\":0.5}",
         "partial_rotary_factor"},
        {"quantization_config={\"quant_method\":\"gptq\"}", "gptq"},
        {"rope_scaling={\"type\":\"longrope\",\"factor\":4}", "longrope needs a short_factor of 2 numbers"},
        {"rope_scaling={\"type\":\"longrope\",\"short_factor\":[1,0]}", "short factor 1 is 0"},
        {"rope_scaling={\"type\":\"longrope\",\"short_factor\":[1,2],\"attention_factor\":-1}",
         "attention factor"},
        {"rope_scaling={\"type\":\"yarn\"}", "factor"},
        {"rope_scaling={\"type\":\"yarn\",\"factor\":4,\"beta_slow\":0}", "beta_slow"},
        {"rope_scaling={\"type\":\"yarn\",\"factor\":4,\"attention_factor\":0}", "attention factor"},
        {"rope_scaling={\"type\":\"yarn\",\"factor\":4};rope_theta=1", "rope_theta"},
        {"rope_scaling={\"type\":\"dynamic\",\"factor\":4}",
         "dynamic is not supported; default, linear, llama3, yarn and longrope are"},
        {"architectures=[\"Phi3ForCausalLM\"];partial_rotary_factor=0.1", "partial_rotary_factor 0.1"},
        {"rope_scaling={\"type\":\"linear\"}", "factor"},
        {"rope_scaling={\"type\":\"linear\",\"factor\":0}", "factor"},
        {"rope_scaling={\"rope_type\":\"llama3\",\"factor\":8,\"low_freq_factor\":4,\"high_freq_factor\":4,"
         "\"original_max_position_embeddings\":8}",
         "low_freq_factor"},
        {"rope_scaling=[]", "RoPE"},
        {"rope_parameters={\"full_attention\":{},\"sliding_attention\":{}}", "differs between layers"},
        {"rope_theta=0", "rope_theta"},
        {"rope_theta=\"x\"", "rope_theta"},
        {"rms_norm_eps=-1", "rms_norm_eps"},
        {"hidden_size=", "hidden_size"},
        {"hidden_size=0", "hidden_size"},
        {"hidden_size=99999999999", "hidden_size"},
        {"num_hidden_layers=100000", "num_hidden_layers"},
        {"num_attention_heads=8.5", "num_attention_heads"},
        {"num_key_value_heads=3", "key-value heads"},
        {"head_dim=5", "head width"},
        {"vocab_size=-4", "vocab_size"},
        {"tie_word_embeddings=\"yes\"", "tie_word_embeddings"},
    };
    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct model_config c;
        struct err e = {0};
        bool done = parse_changed(cases[i][0], &c, &e);
        if (done || !strstr(e.msg, cases[i][1]))
            print_error("%s: %s\n", cases[i][0], done ? "accepted" : e.msg);
        assert_false(done);
        assert_non_null(strstr(e.msg, cases[i][1]));
    }
}

/* ---- folders that are not what they should be ---- */

/* One level too high, too low, and what is no model at all. */
static void folders_beside_a_model_are_told_where_it_lies(void **state) {
    UNUSED(state);
    char *outer = files_new_dir(), *dir = file_join(outer, "m"), *commit = file_join(dir, "snapshots"),
         *inner = file_join(commit, "abc");
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_refused(dir, "not a model's folder");
    files_put(dir, "params.json", STR("{}"));
    assert_refused(dir, "the publisher's own format");
    assert_int_equal(mkdir(commit, 0700), 0);
    assert_int_equal(mkdir(inner, 0700), 0);
    files_put(inner, "config.json", STR("{}"));
    assert_refused(dir, "there is one in ");
    assert_refused(dir, "/snapshots/abc: is that the model?");
    files_put(dir, "config.json", STR("{}"));
    files_remove(inner, "config.json");
    assert_refused(commit, "there is one in the folder above: is that the model?");
    files_remove(dir, "config.json");
    files_put(dir, "adapter_config.json", STR("{\"base_model_name_or_path\":\"a/base\"}"));
    assert_refused(dir, "an adapter (LoRA) of a/base");
    files_free_dir(inner);
    files_free_dir(commit);
    files_free_dir(dir);
    files_free_dir(outer);
}

static void foreign_folders_are_told_why(void **state) {
    UNUSED(state);
    assert_refused("/nonexistent/model", "no such model folder");
    assert_refused("/nonexistent/model.gguf", "GGUF");
    char *dir = files_new_model("F16");
    char *file = file_join(dir, "config.json");
    assert_refused(file, "give the folder");
    free(file);
    files_remove(dir, "model.safetensors");
    assert_refused(dir, "neither model.safetensors nor");
    files_put(dir, "model-00001-of-00002.safetensors", STR("x"));
    assert_refused(dir, "model-00001-of-00002.safetensors is there, but neither");
    files_put(dir, "model.safetensors.index.json",
              STR("{\"weight_map\":{\"x\":\"model-00002-of-00002.safetensors\"}}"));
    assert_refused(dir, "model-00002-of-00002.safetensors, one of its files, is missing");
    files_remove(dir, "model.safetensors.index.json");
    files_put(dir, "pytorch_model.bin", STR("PK"));
    assert_refused(dir, "brood convert '");
    files_put(dir, "model.safetensors",
              STR("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"));
    assert_refused(dir, "Git LFS");
    files_put(dir, "model.safetensors", STR(""));
    assert_refused(dir, "0 bytes");
    put_shard(dir, "model.safetensors", 0, 1);
    assert_refused(dir, "model.layers.1.input_layernorm.weight is missing");
    put_shard(dir, "model.safetensors", 0, 3);
    assert_refused(dir, "is not part of a llama model of 2 layers");
    files_remove(dir, "tokenizer.json");
    files_put(dir, "tokenizer.model", STR(""));
    assert_refused(dir, "SentencePiece");
    files_remove(dir, "config.json");
    assert_refused(dir, "config.json");
    files_free_dir(dir);
}

/* Links whose targets are not there, as in a hub's cache that lost its blobs; pipes are not waited for. */
static void links_and_pipes_are_told_apart(void **state) {
    static const char *const names[] = {"config.json", "tokenizer.json", "model.safetensors",
                                        "model.safetensors.index.json"};
    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char *dir = files_new_model("F16"), *path = file_join(dir, names[i]);
        files_remove(dir, i == 3 ? "model.safetensors" : names[i]);
        assert_int_equal(symlink("../../blobs/none", path), 0);
        assert_refused(dir, "a link to a file that is not there");
        free(path);
        files_free_dir(dir);
    }
    char *dir = files_new_model("F16"), *path = file_join(dir, "model.safetensors");
    files_remove(dir, "model.safetensors");
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_refused(dir, "not a regular file");
    assert_refused(path, "give the folder");
    free(path);
    files_free_dir(dir);
}

static void parts_must_fit_together(void **state) {
    UNUSED(state);
    char *dir = files_new_model("F16");
    json_t *config = files_config("LlamaForCausalLM", FILES_CHAT_IDS);
    json_object_set_new(config, "intermediate_size", json_integer(16));
    files_put_json(dir, "config.json", config);
    assert_refused(dir, "is [12,8], but the configuration makes it [16,8]");
    json_object_set_new(config, "intermediate_size", json_integer(12));
    json_object_set_new(config, "vocab_size", json_integer(260));
    files_put_json(dir, "config.json", config);
    assert_refused(dir, "266 ids but the model only 260 embeddings");
    json_object_set_new(config, "vocab_size", json_integer(FILES_CHAT_IDS));
    json_object_set_new(config, "tie_word_embeddings", json_false());
    files_put_json(dir, "config.json", config);
    assert_refused(dir, "lm_head.weight is missing");
    json_decref(config);
    files_free_dir(dir);
}

/* Bytes changed, taken out or put in at random: a model or one line, nothing else. */
static void damaged_files_are_refused_or_read(void **state) {
    static const char *const names[] = {"config.json", "tokenizer.json", "model.safetensors"};
    char *dir = files_new_model("F16");
    struct buf whole = {0}, damaged = {0};
    struct err e;
    UNUSED(state);
    for (uint64_t i = 0; i < 600; i++) {
        char *path = file_join(dir, names[i % 3]);
        assert_true(file_read(path, 1 << 20, &whole, &e));
        uint64_t at = rng_below(11, 3 * i, i % 2 ? MIN(whole.len, 1000u) : whole.len);
        uint64_t n_out = rng_below(11, 3 * i + 1, 3), n_in = rng_below(11, 3 * i + 2, 3);
        buf_clear(&damaged);
        buf_add(&damaged, whole.ptr, at);
        for (uint64_t k = 0; k < n_in; k++) buf_add_char(&damaged, (char)rng_u64(rng_child(11, i), k));
        if (at + n_out < whole.len) buf_add(&damaged, whole.ptr + at + n_out, whole.len - at - n_out);
        files_put(dir, names[i % 3], buf_str(&damaged));
        struct model *m = model_open(dir, &e);
        if (m)
            assert_true(model_parameters(m) > 0);
        else
            assert_true(e.code == ERR_INPUT && e.msg[0]);
        model_close(m);
        files_put(dir, names[i % 3], buf_str(&whole));
        free(path);
    }
    buf_free(&whole);
    buf_free(&damaged);
    files_free_dir(dir);
}

/* ---- hostile safetensors ---- */

static bool parse_bytes(struct str bytes, struct err *e) {
    struct weights w = {0};
    /* A copy at its exact size, so that reading past it is seen. */
    unsigned char *copy = mem_dup(bytes.ptr, bytes.len);
    bool done = safetensors_parse(copy, bytes.len, "x", &w, e) && weights_finish(&w, "x", e);
    weights_fini(&w);
    free(copy);
    return done;
}

static bool parse_header(const char *header, size_t n_data, struct err *e) {
    struct buf bytes = {0};
    uint64_t n = strlen(header);
    buf_add(&bytes, &n, 8);
    buf_add(&bytes, header, n);
    for (size_t i = 0; i < n_data; i++) buf_add_char(&bytes, 'x');
    bool done = parse_bytes(buf_str(&bytes), e);
    buf_free(&bytes);
    return done;
}

#define ONE(dtype, shape, offsets)                                                                           \
    "{\"a\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

static void good_headers_are_read(void **state) {
    static const struct {
        const char *header;
        size_t n_data;
    } cases[] = {
        {"{}", 0},
        {"{}      ", 0},
        {"{\"__metadata__\":{\"format\":\"pt\"}}", 0},
        {ONE("\"F32\"", "[2,3]", "[0,24]"), 24},
        {ONE("\"BF16\"", "[]", "[0,2]"), 2},
        {ONE("\"F16\"", "[0,5]", "[0,0]"), 0},
        {"{\"b\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[4,6]},"
         "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
         6},
    };
    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = {0};
        if (!parse_header(cases[i].header, cases[i].n_data, &e)) fail_msg("%s: %s", cases[i].header, e.msg);
    }
}

static void hostile_headers_cost_one_line(void **state) {
    static const struct {
        const char *header;
        size_t n_data;
        const char *wanted;
    } cases[] = {
        {"[]", 0, "no safetensors header"},
        {" {}", 0, "no safetensors header"},
        {"{", 0, "JSON"},
        {"{} x", 0, "JSON"},
        {"{\"a\":{},\"a\":{}}", 0, "JSON"},
        {"{\"a\":7}", 0, "does not describe"},
        {"{\"a\":{}}", 0, "dtype"},
        {ONE("\"I8\"", "[1]", "[0,1]"), 1, "type I8"},
        {ONE("\"F8_E4M3\"", "[1]", "[0,1]"), 1, "type F8_E4M3"},
        {ONE("7", "[1]", "[0,1]"), 1, "dtype"},
        {ONE("\"F32\"", "7", "[0,4]"), 4, "shape"},
        {ONE("\"F32\"", "[-1]", "[0,4]"), 4, "shape[0]"},
        {ONE("\"F32\"", "[1.0]", "[0,4]"), 4, "shape[0]"},
        {ONE("\"F32\"", "[1,1,1,1,1]", "[0,4]"), 4, "at most 4"},
        {ONE("\"F32\"", "[4294967296,4294967296]", "[0,4]"), 4, "do not fill"},
        {ONE("\"F32\"", "[4611686018427387904]", "[0,0]"), 0, "do not fill"},
        {ONE("\"F32\"", "[9223372036854775807,9223372036854775807]", "[0,0]"), 0, "do not fill"},
        {ONE("\"F32\"", "[9223372036854775808]", "[0,0]"), 0, "JSON"},
        {ONE("\"F32\"", "[2]", "[0,4]"), 4, "do not fill"},
        {ONE("\"F32\"", "[1]", "[0]"), 4, "data_offsets"},
        {ONE("\"F32\"", "[1]", "[4,0]"), 4, "not a range"},
        {ONE("\"F32\"", "[1]", "[-4,0]"), 4, "not a range"},
        {ONE("\"F32\"", "[1]", "[0,9223372036854775807]"), 4, "cut short"},
        {ONE("\"F32\"", "[1]", "[1,5]"), 4, "cut short"},
        {ONE("\"F32\"", "[1]", "[4,8]"), 8, "hole"},
        {ONE("\"F32\"", "[1]", "[0,4]"), 5, "belong to no tensor"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
         "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[2,6]}}",
         6, "overlaps"},
    };
    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = {0};
        bool done = parse_header(cases[i].header, cases[i].n_data, &e);
        if (done || !strstr(e.msg, cases[i].wanted))
            print_error("%s: %s\n", cases[i].header, done ? "accepted" : e.msg);
        assert_false(done);
        assert_non_null(strstr(e.msg, cases[i].wanted));
    }
}

static void every_truncation_is_noticed(void **state) {
    UNUSED(state);
    struct files_weights w = files_new_weights("F32");
    files_add_tensor(&w, "a", 2, 3, 4);
    files_add_tensor(&w, "b", 1, 5, 0);
    struct buf bytes = files_take_weights(&w);
    struct err e = {0};
    assert_true(parse_bytes(buf_str(&bytes), &e));
    for (size_t n = 0; n < bytes.len; n++) assert_false(parse_bytes((struct str){bytes.ptr, n}, &e));
    buf_free(&bytes);
}

static void lying_header_sizes_are_noticed(void **state) {
    static const uint64_t sizes[] = {
        0, 1, 3, 1000, (uint64_t)16 << 20, ((uint64_t)16 << 20) + 1, UINT64_MAX, UINT64_MAX - 7};
    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        char bytes[10] = "........{}";
        struct err e = {0};
        memcpy(bytes, &sizes[i], 8);
        assert_false(parse_bytes((struct str){bytes, sizeof bytes}, &e));
        assert_true(e.msg[0] != '\0');
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_folder_becomes_a_model),
        cmocka_unit_test(sizes_are_counted),
        cmocka_unit_test(a_wanted_tensor_has_its_shape),
        cmocka_unit_test(shards_are_one_model),
        cmocka_unit_test(hashes_name_the_content),
        cmocka_unit_test(a_chat_format_can_be_named),
        cmocka_unit_test(end_tokens_and_sampling_are_read),
        cmocka_unit_test(a_token_classifier_scores_steps),
        cmocka_unit_test(scores_of_extreme_outputs_are_numbers),
        cmocka_unit_test(both_dialects_of_configurations_are_one),
        cmocka_unit_test(families_differ_by_flags),
        cmocka_unit_test(contexts_end_where_they_must),
        cmocka_unit_test(supported_families_are_named),
        cmocka_unit_test(what_is_not_computed_is_refused),
        cmocka_unit_test(foreign_folders_are_told_why),
        cmocka_unit_test(folders_beside_a_model_are_told_where_it_lies),
        cmocka_unit_test(links_and_pipes_are_told_apart),
        cmocka_unit_test(parts_must_fit_together),
        cmocka_unit_test(damaged_files_are_refused_or_read),
        cmocka_unit_test(good_headers_are_read),
        cmocka_unit_test(hostile_headers_cost_one_line),
        cmocka_unit_test(every_truncation_is_noticed),
        cmocka_unit_test(lying_header_sizes_are_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
