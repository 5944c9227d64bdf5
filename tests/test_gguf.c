/* GGUF files: the same model as the folder that they were made from, and what damaged and foreign ones are
 * told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine_toy.h"
#include "gguf_files.h"
#include "model/gguf_model.h"

enum { VOCAB = FILES_CHAT_IDS + 6 }; /* six of padding */

static const struct model_config small = {
    .n_layers = 2,
    .d_model = 32,
    .n_heads = 4,
    .n_kv_heads = 2,
    .head_width = 8,
    .d_ffn = 40,
    .n_vocab = VOCAB,
    .n_context = 160,
    .norm_eps = 1e-5f,
    .rope = {.kind = ROPE_DEFAULT, .theta = 10000, .factor = 1},
    .head = MODEL_HEAD_LM,
    .n_head_outputs = VOCAB,
};

static char *path_in(const char *dir, const char *name) {
    return file_join(dir, name);
}

static struct model *open_ok(const char *path) {
    struct err e = {0};
    struct model *m = model_open(path, &e);
    if (!m) fail_msg("%s", e.msg);
    return m;
}

static void assert_refused(const char *path, const char *wanted) {
    struct err e = {0};
    struct model *m = model_open(path, &e);
    if (m || !strstr(e.msg, wanted)) fail_msg("wanted \"%s\", got: %s", wanted, m ? "a model" : e.msg);
    assert_int_equal(e.code, ERR_INPUT);
}

static void put_chat_vocabulary(struct gguf_writer *w) {
    json_t *tokenizer = files_chat_tokenizer();
    gguf_put_vocabulary(w, tokenizer, "qwen2", VOCAB);
    json_decref(tokenizer);
    gguf_put_int(w, "tokenizer.ggml.eos_token_id", 259);
    gguf_put_bool(w, "tokenizer.ggml.add_bos_token", false);
}

static void begin(struct gguf_writer *w, const struct toy *t, const char *arch) {
    *w = (struct gguf_writer){0};
    gguf_put_arch(w, &t->m.config, arch);
    put_chat_vocabulary(w);
}

/* ---- the same model ---- */

static void assert_same_model(const struct model *m, const struct toy *t, const char *family) {
    const struct model_config *a = &m->config, *b = &t->m.config;
    assert_string_equal(a->family, family);
    assert_true(a->n_layers == b->n_layers && a->d_model == b->d_model && a->n_heads == b->n_heads);
    assert_true(a->n_kv_heads == b->n_kv_heads && a->head_width == b->head_width && a->d_ffn == b->d_ffn);
    assert_true(a->n_vocab == b->n_vocab && a->n_context == b->n_context && a->norm_eps == b->norm_eps);
    assert_true(a->tied_embeddings == b->tied_embeddings && a->qkv_bias == b->qkv_bias);
    assert_true(a->qk_norm == b->qk_norm && a->rope.kind == b->rope.kind && a->rope.theta == b->rope.theta);
    assert_true(a->rope.factor == b->rope.factor && a->n_head_outputs == b->n_head_outputs);
    assert_int_equal(m->n_tensors, t->m.n_tensors);
    for (int i = 0; i < m->n_tensors; i++) {
        const struct tensor *x = &m->tensors[i], *y = &t->tensors[i];
        assert_string_equal(x->name, y->name);
        assert_int_equal(x->dtype, y->dtype);
        assert_true(x->n_dims == y->n_dims && x->shape[0] == y->shape[0] && x->n_bytes == y->n_bytes);
        for (int64_t r = 0; r < x->shape[0]; r++)
            assert_memory_equal(tensor_row(x, r), tensor_row(y, r), tensor_row_bytes(x));
    }
}

static void files_are_the_models_they_were_made_from(void **state) {
    static const struct {
        const char *arch;
        bool qkv_bias, qk_norm, tied;
        enum dtype dtype;
    } cases[] = {{"llama", false, false, false, DTYPE_F32}, {"llama", false, false, true, DTYPE_F16},
                 {"llama", false, false, true, DTYPE_BF16}, {"qwen2", true, false, true, DTYPE_BF16},
                 {"qwen2", true, false, false, DTYPE_F32},  {"qwen3", false, true, true, DTYPE_F16}};
    UNUSED(state);
    char *dir = files_new_dir(), *path = path_in(dir, "small.gguf");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct toy t;
        struct gguf_writer w;
        struct model_config c = small;
        c.tied_embeddings = cases[i].tied, c.qkv_bias = cases[i].qkv_bias, c.qk_norm = cases[i].qk_norm;
        toy_init(&t, &c, cases[i].dtype, false, i);
        begin(&w, &t, cases[i].arch);
        gguf_put_model_tensors(&w, &t.m, cases[i].arch, 0, t.m.n_tensors);
        gguf_write(&w, path);
        struct model *m = open_ok(path), *again = open_ok(dir); /* the folder holds this one file */
        assert_same_model(m, &t, cases[i].arch);
        assert_true(m->content_hash == again->content_hash);
        assert_int_equal(tokenizer_count(m->tokenizer), FILES_CHAT_IDS);
        assert_true(m->n_end_tokens == 3 && model_is_end(m, 259) && model_is_end(m, 261) &&
                    model_is_end(m, 265));
        assert_string_equal(chat_name(m->chat), "plain");
        assert_int_equal(m->prm.kind, PRM_NONE);
        const int parameters = (int)model_parameters(m);
        model_drop_tensors(m);
        assert_null(m->tensors[0].data);
        assert_int_equal(model_parameters(m), parameters);
        model_close(m);
        model_close(again);
        toy_fini(&t);
    }
    files_free_dir(dir);
    free(path);
}

/* Ids of the vocabulary in the file beside those of the tokenizer.json that it was written from. */
static void vocabularies_are_their_tokenizers(void **state) {
    static const char *const texts[] = {"he said: here\n\n", "<|im_start|>user<|end|> 1234 [PAD266]",
                                        "\xc3\xa4\xe2\x82\xac", "her", ""};
    UNUSED(state);
    char *folder = files_new_model("F32"), *dir = files_new_dir(), *path = path_in(dir, "a.gguf");
    struct model *hf = open_ok(folder);
    struct toy t;
    struct gguf_writer w;
    toy_init(&t, &small, DTYPE_F32, false, 1);
    begin(&w, &t, "llama");
    gguf_put_text(
        &w, "tokenizer.chat_template",
        "{% for message in messages %}{% if message['role'] == 'user' %}Q: {{ message['content'] }}\nA:\n"
        "{% elif message['role'] == 'assistant' %}{{ message['content'] }}<|end|>{% endif %}{% endfor %}");
    gguf_put_model_tensors(&w, &t.m, "llama", 0, t.m.n_tensors);
    gguf_write(&w, path);
    struct model *m = open_ok(path);
    assert_string_equal(chat_name(m->chat), "lab");
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct tokens a = {0}, b = {0};
        struct err e = {0};
        assert_true(tokenizer_encode(hf->tokenizer, str_from(texts[i]), &a, &e));
        assert_true(tokenizer_encode(m->tokenizer, str_from(texts[i]), &b, &e));
        assert_int_equal(a.len, b.len);
        if (a.len) assert_memory_equal(a.ptr, b.ptr, a.len * sizeof *a.ptr);
        tokens_free(&a);
        tokens_free(&b);
    }
    for (int id = 0; id < FILES_CHAT_IDS; id++) {
        assert_true(str_equal(tokenizer_bytes(hf->tokenizer, id), tokenizer_bytes(m->tokenizer, id)));
        assert_int_equal(tokenizer_is_special(hf->tokenizer, id), tokenizer_is_special(m->tokenizer, id));
    }
    assert_int_equal(tokenizer_bos(m->tokenizer), -1);
    assert_int_equal(tokenizer_eos_token(m->tokenizer), 259);
    model_close(hf);
    model_close(m);
    toy_fini(&t);
    files_free_dir(folder);
    files_free_dir(dir);
    free(path);
}

/* ---- what the format allows ---- */

static void entries_may_have_any_type_of_integer(void **state) {
    UNUSED(state);
    struct gguf_writer w = {0};
    struct gguf g;
    struct err e = {0};
    int64_t n;
    double x;
    int flag;
    struct str text;
    put_bits(gguf_entry_of(&w, "u8", GGUF_U8), 200, 1);
    put_bits(gguf_entry_of(&w, "i8", GGUF_I8), 0xff, 1);
    put_bits(gguf_entry_of(&w, "i16", GGUF_I16), 0x8000, 2);
    put_bits(gguf_entry_of(&w, "i64", GGUF_I64), UINT64_MAX - 6, 8);
    put_bits(gguf_entry_of(&w, "u64", GGUF_U64), UINT64_MAX, 8);
    put_bits(gguf_entry_of(&w, "f64", GGUF_F64), 0x3ff8000000000000, 8);
    gguf_put_float(&w, "f32", 0.25f);
    gguf_put_float(&w, "nan", NAN);
    gguf_put_bool(&w, "bool", true);
    gguf_put_text(&w, "text", "words");
    struct buf *b = gguf_array_of(&w, "equal", GGUF_U16, 3);
    for (int i = 0; i < 3; i++) put_bits(b, 7, 2);
    b = gguf_array_of(&w, "unequal", GGUF_I32, 2);
    put_bits(b, 7, 4), put_bits(b, 8, 4);
    gguf_array_of(&w, "empty", GGUF_I32, 0);
    struct buf bytes = gguf_take(&w);
    assert_true(gguf_parse((unsigned char *)bytes.ptr, bytes.len, "test", &g, &e));
    assert_true(gguf_get_int(&g, "u8", 0, 0, 255, &n, &e) && n == 200);
    assert_true(gguf_get_int(&g, "i8", 0, -9, 255, &n, &e) && n == -1);
    assert_true(gguf_get_int(&g, "i16", 0, -40000, 255, &n, &e) && n == -32768);
    assert_true(gguf_get_int(&g, "i64", 0, -9, 255, &n, &e) && n == -7);
    assert_true(gguf_get_int(&g, "equal", 0, 0, 255, &n, &e) && n == 7);
    assert_true(gguf_get_int(&g, "nobody", 5, 0, 1, &n, &e) && n == 5);
    assert_true(gguf_get_real(&g, "f64", 0, &x, &e) && x == 1.5);
    assert_true(gguf_get_real(&g, "f32", 0, &x, &e) && x == 0.25);
    assert_true(gguf_get_real(&g, "u8", 0, &x, &e) && x == 200);
    assert_true(gguf_get_bool(&g, "bool", 0, &flag, &e) && flag == 1);
    assert_true(gguf_get_string(&g, "text", &text, &e) && str_equal(text, STR("words")));
    assert_false(gguf_get_int(&g, "u64", 0, 0, INT64_MAX, &n, &e));
    assert_false(gguf_get_int(&g, "u8", 0, 0, 199, &n, &e));
    assert_non_null(strstr(e.msg, "metadata u8 is 200, not from 0 to 199"));
    assert_false(gguf_get_int(&g, "text", 0, 0, 1, &n, &e));
    assert_non_null(strstr(e.msg, "metadata text is a text, not an integer"));
    assert_false(gguf_get_int(&g, "unequal", 0, 0, 9, &n, &e));
    assert_non_null(strstr(e.msg, "differs between layers"));
    assert_false(gguf_get_int(&g, "empty", 0, 0, 9, &n, &e));
    assert_false(gguf_get_real(&g, "nan", 0, &x, &e));
    assert_false(gguf_get_real(&g, "text", 0, &x, &e));
    assert_false(gguf_get_bool(&g, "u8", 0, &flag, &e));
    assert_false(gguf_get_string(&g, "u8", &text, &e));
    assert_false(gguf_want_int(&g, "nobody", 0, 9, &n, &e));
    assert_non_null(strstr(e.msg, "missing"));
    gguf_fini(&g);
    buf_free(&bytes);
}

/* q, k and v in one tensor; an alignment of 64; a vocabulary as Hugging Face's own file inside. */
static void other_forms_are_the_same_model(void **state) {
    UNUSED(state);
    char *dir = files_new_dir(), *path = path_in(dir, "a.gguf");
    struct toy t;
    struct model_config c = small;
    c.qkv_bias = true;
    toy_init(&t, &c, DTYPE_F16, false, 1);
    struct gguf_writer w = {.alignment = 64};
    json_t *tokenizer = files_chat_tokenizer();
    char *line = json_line(tokenizer), name[96];
    gguf_put_arch(&w, &c, "qwen2");
    gguf_put_int(&w, "general.alignment", 64);
    gguf_put_vocabulary(&w, tokenizer, "somebody's", VOCAB);
    gguf_put_text(&w, "tokenizer.huggingface.json", line);
    gguf_put_float(&w, "general.sampling.temp", 0.5f);
    gguf_put_int(&w, "general.sampling.top_k", 20);
    json_decref(tokenizer);
    free(line);
    for (int i = 0; i < t.m.n_tensors; i++) {
        const struct tensor *k = &t.tensors[i];
        bool is_k = strstr(k->name, "k_proj"), other = strstr(k->name, "q_proj") || strstr(k->name, "v_proj");
        if (!is_k && !other) gguf_put_model_tensor(&w, k, 0);
        if (!is_k) continue;
        struct buf bytes = {0};
        int64_t dims[2] = {c.d_model, 0};
        for (int part = 0; part < 3; part++) {
            snprintf(name, sizeof name, "%s", k->name);
            strstr(name, "k_proj")[0] = "qkv"[part];
            const struct tensor *x = model_tensor(&t.m, name);
            buf_add(&bytes, x->data, x->n_bytes);
            dims[1] += x->shape[0];
        }
        snprintf(name, sizeof name, "blk.%c.attn_qkv%s", k->name[13], strrchr(k->name, '.'));
        gguf_put_tensor(&w, name, GGUF_ID_F16, k->n_dims, k->n_dims == 1 ? dims + 1 : dims, buf_str(&bytes));
        buf_free(&bytes);
    }
    gguf_write(&w, path);
    struct model *m = open_ok(path);
    assert_same_model(m, &t, "qwen2");
    assert_true(m->sampling.temperature == 0.5f && m->sampling.top_k == 20 && m->sampling.top_p == 1);
    model_close(m);
    toy_fini(&t);
    files_free_dir(dir);
    free(path);
}

/* ---- files of several parts, folders ---- */

static void write_part(const char *dir, const struct toy *t, int no, int count, int first, int end,
                       int n_said) {
    struct gguf_writer w = {0};
    char name[64];
    if (no == 1) begin(&w, t, "llama");
    put_bits(gguf_entry_of(&w, "split.no", GGUF_U16), (uint64_t)no - 1, 2);
    put_bits(gguf_entry_of(&w, "split.count", GGUF_U16), (uint64_t)count, 2);
    put_bits(gguf_entry_of(&w, "split.tensors.count", GGUF_I32), (uint64_t)n_said, 4);
    gguf_put_model_tensors(&w, &t->m, "llama", first, end);
    snprintf(name, sizeof name, "m-%05d-of-%05d.gguf", no, count);
    char *path = path_in(dir, name);
    gguf_write(&w, path);
    free(path);
}

static void parts_are_one_model(void **state) {
    UNUSED(state);
    char *dir = files_new_dir(), *first = path_in(dir, "m-00001-of-00003.gguf"),
         *second = path_in(dir, "m-00002-of-00003.gguf");
    struct toy t;
    toy_init(&t, &small, DTYPE_F32, false, 2);
    int n = t.m.n_tensors;
    write_part(dir, &t, 1, 3, 0, 0, n);
    write_part(dir, &t, 2, 3, 0, 9, n);
    write_part(dir, &t, 3, 3, 9, n, n);
    struct model *m = open_ok(first), *again = open_ok(dir);
    assert_same_model(m, &t, "llama");
    model_close(m);
    model_close(again);
    assert_refused(second, "part 2 of 3; name the first part (-00001-of-00003.gguf)");
    write_part(dir, &t, 1, 3, 0, 0, n + 1);
    write_part(dir, &t, 2, 3, 0, 10, n);
    assert_refused(first, "there twice");
    write_part(dir, &t, 1, 3, 0, 0, n);
    write_part(dir, &t, 2, 3, 0, 8, n);
    assert_refused(dir, "tensors in its 3 parts, but it says");
    write_part(dir, &t, 2, 3, 0, 8, n - 1);
    write_part(dir, &t, 1, 3, 0, 0, n - 1);
    assert_refused(dir, "is missing");
    write_part(dir, &t, 3, 3, 9, n, n);
    rename(second, first);
    assert_refused(dir, "it says that it is part 2 of 3, not 1 of 3");
    files_remove(dir, "m-00001-of-00003.gguf");
    assert_refused(dir, "the first part");
    toy_fini(&t);
    files_free_dir(dir);
    free(first);
    free(second);
}

static void a_folder_holds_one_model(void **state) {
    UNUSED(state);
    char *dir = files_new_model("F32"), *a = path_in(dir, "a.gguf"), *b = path_in(dir, "b.gguf");
    struct toy t;
    struct gguf_writer w;
    toy_init(&t, &small, DTYPE_F32, false, 2);
    for (int i = 0; i < 2; i++) {
        begin(&w, &t, "llama");
        gguf_put_model_tensors(&w, &t.m, "llama", 0, t.m.n_tensors);
        gguf_write(&w, i ? b : a);
    }
    struct model *m = open_ok(dir); /* weights beside config.json come first */
    assert_int_equal(m->config.n_vocab, FILES_CHAT_IDS);
    model_close(m);
    files_remove(dir, "model.safetensors");
    assert_refused(dir, "2 GGUF models are in this folder; name one of them, like");
    m = open_ok(b);
    model_close(m);
    files_remove(dir, "b.gguf");
    m = open_ok(dir); /* config.json alone makes no folder of weights */
    assert_int_equal(m->config.n_vocab, VOCAB);
    model_close(m);
    assert_true(model_is_path(dir) && model_is_path(a) && !model_is_path(b));
    toy_fini(&t);
    files_free_dir(dir);
    free(a);
    free(b);
}

/* ---- metadata that are not understood ---- */

struct change {
    const char *key; /* written besides, or instead of what the file has */
    char type;       /* i, f, t(ext), b(ool), 0: the key is left out */
    const char *value;
    const char *wanted; /* NULL: it stays a model */
};

static void put_change(struct gguf_writer *w, const struct change *c) {
    if (c->type == 'i') put_bits(gguf_entry_of(w, c->key, GGUF_I64), (uint64_t)strtoll(c->value, NULL, 0), 8);
    if (c->type == 'f') gguf_put_float(w, c->key, strtof(c->value, NULL));
    if (c->type == 't') gguf_put_text(w, c->key, c->value);
    if (c->type == 'b') gguf_put_bool(w, c->key, c->value[0] == 't');
}

/* The metadata of `from` without those whose key is changed, then the changes. */
static void rewrite(struct gguf_writer *w, const struct gguf *from, const struct change *c) {
    for (size_t i = 0; i < from->n_entries; i++) {
        const struct gguf_entry *x = &from->entries[i];
        if (str_equal(x->key, str_from(c->key))) continue;
        const char *first = x->key.ptr - 8, *end = NULL;
        for (size_t k = 0; k < from->n_entries; k++) { /* up to the next entry, or to the tensors */
            const char *next = from->entries[k].key.ptr - 8;
            if (next > first && (!end || next < end)) end = next;
        }
        const char *tensors = from->tensors[0].name.ptr - 8;
        for (size_t k = 0; k < from->n_tensors; k++) tensors = MIN(tensors, from->tensors[k].name.ptr - 8);
        buf_add(&w->entries, first, (size_t)((end ? end : tensors) - first));
        w->n_entries++;
    }
    put_change(w, c);
}

static const struct change changes[] = {
    {"general.architecture", 't', "gemma2", "architecture gemma2 is not supported; in GGUF files llama"},
    {"general.architecture", 't', "mistral3", "mistral3"},
    {"general.architecture", 0, "", "general.architecture is missing"},
    {"general.architecture", 'i', "3", "not a text"},
    {"general.type", 't', "adapter", "holds a adapter, not a model"},
    {"general.type", 't', "model", NULL},
    {"general.alignment", 'i', "12", "multiple of 8"},
    {"general.alignment", 'i', "0", "general.alignment is 0"},
    {"llama.block_count", 0, "", "llama.block_count is missing"},
    {"llama.block_count", 'i', "0", "llama.block_count is 0"},
    {"llama.block_count", 'i', "99999999999", "llama.block_count"},
    {"llama.block_count", 'i', "3", "model.layers.2"},
    {"llama.block_count", 'i', "1", "is not part of a llama model of 1 layers"},
    {"llama.embedding_length", 'i', "64", "is [272,32], but the configuration makes it [272,64]"},
    {"llama.attention.head_count_kv", 'i', "3", "cannot share 3"},
    {"llama.attention.key_length", 'i', "16", "values of 8"},
    {"llama.rope.dimension_count", 'i', "4", "a rotated part of 4"},
    {"llama.attention.layer_norm_rms_epsilon", 0, "", "layer_norm_rms_epsilon is missing"},
    {"llama.rope.freq_base", 'f', "0", "rope_theta"},
    {"llama.rope.freq_base", 'f', "nan", "not finite"},
    {"llama.rope.scaling.type", 't', "longrope", "RoPE scaling longrope is not supported"},
    {"llama.rope.scaling.type", 't', "none", NULL},
    {"llama.rope.scaling.factor", 'f', "0.5", "factor of 0.5"},
    {"llama.rope.scaling.factor", 'f', "4", NULL},
    {"llama.expert_count", 'i', "8", "a mixture of experts"},
    {"llama.expert_count", 'i', "0", NULL},
    {"llama.pooling_type", 'i', "3", "an embedding or ranking model"},
    {"llama.attention.causal", 'b', "false", "an encoder"},
    {"llama.attention.scale", 'f', "0.5", "llama.attention.scale is not known here"},
    {"llama.attention.sliding_window", 'i', "32", NULL},
    {"qwen2.attention.scale", 'f', "0.5", NULL}, /* not of this architecture */
    {"tokenizer.ggml.model", 't', "bert", "tokenizer model bert is not supported"},
    {"tokenizer.ggml.model", 0, "", "there is no vocabulary in it"},
    {"tokenizer.ggml.model", 't', "llama", "tokenizer.ggml.scores is missing"},
    {"tokenizer.ggml.pre", 't', "default", "the split pattern default (tokenizer.ggml.pre) is not known"},
    {"tokenizer.ggml.pre", 0, "", "does not say how its tokenizer splits text"},
    {"tokenizer.ggml.pre", 't', "llama-bpe", NULL},
    {"tokenizer.ggml.pre", 't', "gpt-2", NULL},
    {"tokenizer.ggml.pre", 't', "tekken", NULL},
    {"tokenizer.ggml.pre", 't', "smollm", NULL},
    {"tokenizer.ggml.tokens", 0, "", "a vocabulary of 0 tokens"},
    {"tokenizer.ggml.merges", 0, "", "tokenizer.ggml.merges is missing"},
    {"tokenizer.ggml.merges", 't', "x", "is no array"},
    {"tokenizer.ggml.bos_token_id", 'i', "272", "there are 272 tokens"},
    {"tokenizer.ggml.bos_token_id", 'i', "271", "the begin token 271 is not in the vocabulary"},
    {"tokenizer.ggml.bos_token_id", 'i', "4294967295", NULL}, /* none */
    {"tokenizer.ggml.bos_token_id", 'i', "-2", "bos_token_id is -2"},
    {"tokenizer.ggml.add_bos_token", 'b', "true", "add_bos_token without a bos_token_id"},
    {"tokenizer.ggml.add_eos_token", 'b', "true", "add_eos_token"},
    {"tokenizer.chat_template", 't', "{{ x", "chat template"},
    {"tokenizer.huggingface.json", 't', "{", "tokenizer.huggingface.json"},
    {"general.sampling.temp", 'f', "-1", "temperature"},
    {"split.count", 'i', "2", "part 1 of 2, not 1 of 1"},
};

static void changed_metadata_are_read_or_refused(void **state) {
    UNUSED(state);
    char *dir = files_new_dir(), *path = path_in(dir, "a.gguf");
    struct toy t;
    struct gguf_writer w;
    struct gguf from;
    struct err e = {0};
    toy_init(&t, &small, DTYPE_F16, false, 2);
    begin(&w, &t, "llama");
    gguf_put_model_tensors(&w, &t.m, "llama", 0, t.m.n_tensors);
    struct buf whole = gguf_take(&w);
    assert_true(gguf_parse((unsigned char *)whole.ptr, whole.len, "test", &from, &e));
    for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
        w = (struct gguf_writer){0};
        rewrite(&w, &from, &changes[i]);
        gguf_put_model_tensors(&w, &t.m, "llama", 0, t.m.n_tensors);
        gguf_write(&w, path);
        struct model *m = model_open(path, &e);
        bool right = changes[i].wanted ? !m && strstr(e.msg, changes[i].wanted) : m != NULL;
        if (!right) fail_msg("%s=%s: %s", changes[i].key, changes[i].value, m ? "a model" : e.msg);
        if (m && strstr(changes[i].key, "window")) assert_int_equal(m->config.n_context, 32);
        if (m && strstr(changes[i].key, "scaling.factor")) assert_int_equal(m->config.rope.kind, ROPE_LINEAR);
        model_close(m);
    }
    gguf_fini(&from);
    buf_free(&whole);
    toy_fini(&t);
    files_free_dir(dir);
    free(path);
}

static void positions_are_scaled_as_the_file_says(void **state) {
    UNUSED(state);
    char *dir = files_new_dir(), *path = path_in(dir, "a.gguf");
    struct toy t;
    struct gguf_writer w;
    const float factors[] = {1, 1, 2, 8};
    toy_init(&t, &small, DTYPE_F16, false, 2);
    begin(&w, &t, "llama");
    gguf_put_model_tensors(&w, &t.m, "llama", 0, t.m.n_tensors);
    gguf_put_tensor(&w, "rope_freqs.weight", GGUF_ID_F32, 1, (const int64_t[]){4},
                    (struct str){(const char *)factors, sizeof factors});
    gguf_write(&w, path);
    struct model *m = open_ok(path);
    assert_int_equal(m->config.rope.kind, ROPE_FACTORS);
    assert_memory_equal(model_tensor(m, "rope_freqs.weight")->data, factors, sizeof factors);
    model_close(m);

    begin(&w, &t, "llama");
    gguf_put_text(&w, "llama.rope.scaling.type", "yarn");
    gguf_put_float(&w, "llama.rope.scaling.factor", 4);
    gguf_put_int(&w, "llama.rope.scaling.original_context_length", 80);
    gguf_put_float(&w, "llama.rope.scaling.attn_factor", 2);
    gguf_put_model_tensors(&w, &t.m, "llama", 0, t.m.n_tensors);
    gguf_write(&w, path);
    m = open_ok(path);
    assert_true(m->config.rope.kind == ROPE_YARN && m->config.rope.factor == 4);
    assert_true(m->config.rope.n_context_original == 80 && m->config.n_context == 320);
    assert_true(m->config.rope.beta_fast == 32 && m->config.rope.beta_slow == 1 &&
                m->config.rope.is_truncated);
    assert_true(fabs(m->config.rope.attention_factor - 2 * (0.1 * log(4) + 1)) < 1e-12);
    model_close(m);
    toy_fini(&t);
    files_free_dir(dir);
    free(path);
}

/* ---- hostile bytes ---- */

static bool parse(struct str bytes, struct err *e) {
    struct gguf g;
    bool done = gguf_parse((const unsigned char *)bytes.ptr, bytes.len, "test", &g, e);
    if (done) gguf_fini(&g);
    return done;
}

static struct buf small_file(void) {
    struct gguf_writer w = {0};
    const float numbers[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    const struct str data = {(const char *)numbers, sizeof numbers};
    gguf_put_text(&w, "general.architecture", "llama");
    struct buf *b = gguf_array_of(&w, "list", GGUF_STRING, 2);
    put_text(b, STR("one")), put_text(b, STR("two"));
    b = gguf_array_of(&w, "numbers", GGUF_F32, 3);
    for (int i = 0; i < 3; i++) put_float(b, 1);
    gguf_put_tensor(&w, "a", GGUF_ID_F32, 2, (const int64_t[]){4, 2}, data);
    gguf_put_tensor(&w, "b", GGUF_ID_F32, 1, (const int64_t[]){8}, data);
    return gguf_take(&w);
}

/* Cut anywhere it is refused; with any byte changed it is refused or read, within its bounds. */
static void damaged_files_cost_a_line(void **state) {
    UNUSED(state);
    struct buf file = small_file();
    struct err e = {0};
    assert_true(parse(buf_str(&file), &e));
    for (size_t n = 0; n < file.len; n++) {
        char *cut = mem_dup(file.ptr, n); /* its own block, so that a read beyond is seen */
        e = (struct err){0};
        assert_false(parse((struct str){cut, n}, &e));
        assert_true(e.code == ERR_INPUT && e.msg[0] && !strchr(e.msg, '\n'));
        free(cut);
    }
    for (size_t at = 0; at < file.len; at++) {
        for (int k = 0; k < 8; k++) {
            static const unsigned char values[] = {0, 1, 0x7f, 0x80, 0xff, 9, 32, 4};
            char kept = file.ptr[at];
            file.ptr[at] = (char)values[k];
            char *copy = mem_dup(file.ptr, file.len);
            e = (struct err){0};
            assert_true(parse((struct str){copy, file.len}, &e) || e.code == ERR_INPUT);
            free(copy);
            file.ptr[at] = kept;
        }
    }
    buf_free(&file);
}

static void lies_are_found(void **state) {
    static const char *const starts[][2] = {
        {"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n",
         "this is a Git LFS pointer, not the file"},
        {"GGML", "not a GGUF file"},
        {"", "not a GGUF file, whatever its name: it is empty"},
        {"<!doctype html>", "a web page"},
        {"GGUF\1\0\0\0", "version 1 is not supported"},
        {"GGUF\0\0\0\3", "big-endian"},
        {"GGUF\7\0\0\0", "version 7"},
        {"GGUF\3\0\0\0"
         "\377\377\377\377\377\377\377\177"
         "\0\0\0\0\0\0\0\0",
         "tensors are over"},
        {"GGUF\3\0\0\0"
         "\0\0\0\0\0\0\0\0"
         "\377\377\377\377\0\0\0\0",
         "metadata entries are over"},
        {"GGUF\3\0\0\0"
         "\0\0\0\0\0\0\0\0"
         "\377\0\0\0\0\0\0\0",
         "cut short"},
        {"GGUF\3\0\0\0"
         "\0\0\0\0\0\0\0\0"
         "\1\0\0\0\0\0\0\0"
         "\377\377\377\377\377\377\377\377"
         "aaaaaaaa",
         "damaged or cut"},
        {"GGUF\3\0\0\0"
         "\0\0\0\0\0\0\0\0"
         "\1\0\0\0\0\0\0\0"
         "\1\0\0\0\0\0\0\0"
         "a"
         "\77\0\0\0"
         "\0\0\0\0",
         "unknown type 63"},
        {"GGUF\3\0\0\0"
         "\0\0\0\0\0\0\0\0"
         "\1\0\0\0\0\0\0\0"
         "\1\0\0\0\0\0\0\0"
         "a"
         "\11\0\0\0\11\0\0\0\0\0\0\0\0\0\0\0",
         "array of arrays"},
        {"GGUF\3\0\0\0"
         "\0\0\0\0\0\0\0\0"
         "\1\0\0\0\0\0\0\0"
         "\1\0\0\0\0\0\0\0"
         "a"
         "\11\0\0\0\12\0\0\0\0\0\0\0\0\0\0\40",
         "array of over"},
        {"GGUF\3\0\0\0"
         "\0\0\0\0\0\0\0\0"
         "\1\0\0\0\0\0\0\0"
         "\1\0\0\0\0\0\0\0"
         "a"
         "\11\0\0\0\12\0\0\0\0\0\1\0\0\0\0\0",
         "cut short"},
    };
    static const size_t lengths[] = {0, 4, 0, 0, 8, 8, 8, 24, 24, 24, 40, 41, 49, 49, 49};
    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
        struct err e = {0};
        size_t n = lengths[i] ? lengths[i] : strlen(starts[i][0]);
        assert_false(parse((struct str){starts[i][0], n}, &e));
        if (!strstr(e.msg, starts[i][1])) fail_msg("wanted \"%s\", got: %s", starts[i][1], e.msg);
    }
}

static void tensors_that_cannot_be_are_refused(void **state) {
    static const struct {
        const char *name;
        uint32_t type;
        int n_dims;
        int64_t dims[5];
        size_t n_bytes;
        const char *wanted;
    } cases[] = {
        {"a", 10, 1, {256}, 84, "type Q2_K; F32, F16"},
        {"a", 20, 1, {32}, 18, "IQ4_NL"},
        {"a", 39, 1, {32}, 17, "MXFP4"},
        {"a", 99, 1, {32}, 17, "number 99"},
        {"a", 0, 5, {1, 1, 1, 1, 1}, 4, "5 dimensions"},
        {"a", 0, 0, {0}, 4, "0 dimensions"},
        {"a", 0, 2, {0, 4}, 4, "sizes that no tensor can have"},
        {"a", 0, 2, {(int64_t)1 << 32, (int64_t)1 << 32}, 4, "sizes that no tensor can have"},
        {"a", 0, 2, {-1, 1}, 4, "sizes that no tensor can have"},
        {"a", 0, 1, {(int64_t)1 << 40}, 4, "ends beyond the file's"},
        {"a", 12, 1, {(int64_t)1 << 59}, 4, "ends beyond the file's"},
        {"a", 2, 2, {16, 4}, 36, "rows of 16 do not divide into Q4_0 blocks of 32"},
        {"a", 14, 2, {128, 4}, 420, "rows of 128 do not divide into Q6_K blocks of 256"},
        {"", 0, 1, {1}, 4, "name of 0 bytes"},
        {"twice", 0, 1, {1}, 4, "twice is there twice"},
    };
    UNUSED(state);
    const char zeros[512] = {0};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct gguf_writer w = {0};
        struct err e = {0};
        for (int k = 0; k < 1 + (cases[i].name[0] == 't'); k++)
            gguf_put_tensor(&w, cases[i].name, cases[i].type, cases[i].n_dims, cases[i].dims,
                            (struct str){zeros, cases[i].n_bytes});
        struct buf file = gguf_take(&w);
        assert_false(parse(buf_str(&file), &e));
        if (!strstr(e.msg, cases[i].wanted)) fail_msg("wanted \"%s\", got: %s", cases[i].wanted, e.msg);
        buf_free(&file);
    }
    /* offsets: not aligned; within another tensor */
    for (unsigned k = 0; k < 2; k++) {
        struct buf file = small_file();
        struct err e = {0};
        char *b = memmem(file.ptr, file.len, "\1\0\0\0\0\0\0\0b", 9);
        assert_non_null(b);
        b[9 + 4 + 8 + 4] = k ? 0 : 16;
        assert_false(parse(buf_str(&file), &e));
        assert_non_null(strstr(e.msg, k ? "lie over each other" : "no multiple of 32"));
        buf_free(&file);
    }
    struct gguf_writer w = {0};
    struct err e = {0};
    gguf_put_int(&w, "k", 1);
    gguf_put_int(&w, "k", 2);
    struct buf file = gguf_take(&w);
    assert_false(parse(buf_str(&file), &e));
    assert_non_null(strstr(e.msg, "metadata k is there twice"));
    buf_free(&file);
}

static void vocabularies_that_cannot_be_are_refused(void **state) {
    static const struct {
        const char *tokens[4];
        int types[4];
        const char *merge, *wanted;
    } cases[] = {
        {{"a", "a"}, {1, 1}, NULL, "token 1 \"a\" is there twice"},
        {{"a", "a"}, {1, 5}, NULL, "no token for byte"}, /* the second is padding */
        {{"a", ""}, {1, 1}, NULL, "token 1 \"\" is no text"},
        {{"a", "\xff"}, {1, 1}, NULL, "is no text in UTF-8"},
        {{"a", "<0x0A>"}, {1, 6}, NULL, "stands for a byte"},
        {{"a", "b"}, {1, 7}, NULL, "token 1 has type 7"},
        {{"a", "b"}, {1, -1}, NULL, "token 1 has type -1"},
        {{"a", "b"}, {1, 3}, "\xff x", "merge 0 is no text"},
    };
    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct gguf_writer w = {0};
        struct gguf g;
        struct vocab_source v;
        struct err e = {0};
        gguf_put_text(&w, "tokenizer.ggml.model", "gpt2");
        gguf_put_text(&w, "tokenizer.ggml.pre", "gpt-2");
        struct buf *b = gguf_array_of(&w, "tokenizer.ggml.tokens", GGUF_STRING, 2);
        for (int k = 0; k < 2; k++) put_text(b, str_from(cases[i].tokens[k]));
        b = gguf_array_of(&w, "tokenizer.ggml.token_type", GGUF_I32, 2);
        for (int k = 0; k < 2; k++) put_bits(b, (uint32_t)cases[i].types[k], 4);
        b = gguf_array_of(&w, "tokenizer.ggml.merges", GGUF_STRING, cases[i].merge ? 1 : 0);
        if (cases[i].merge) put_text(b, str_from(cases[i].merge));
        struct buf file = gguf_take(&w);
        assert_true(gguf_parse((unsigned char *)file.ptr, file.len, "test", &g, &e));
        struct tokenizer *t = NULL;
        if (gguf_read_vocab(&g, &v, &e)) {
            t = vocab_tokenizer(&v, "test", &e);
            vocab_source_fini(&v);
        }
        assert_null(t);
        if (!strstr(e.msg, cases[i].wanted)) fail_msg("wanted \"%s\", got: %s", cases[i].wanted, e.msg);
        gguf_fini(&g);
        buf_free(&file);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_the_models_they_were_made_from),
        cmocka_unit_test(vocabularies_are_their_tokenizers),
        cmocka_unit_test(entries_may_have_any_type_of_integer),
        cmocka_unit_test(other_forms_are_the_same_model),
        cmocka_unit_test(parts_are_one_model),
        cmocka_unit_test(a_folder_holds_one_model),
        cmocka_unit_test(changed_metadata_are_read_or_refused),
        cmocka_unit_test(positions_are_scaled_as_the_file_says),
        cmocka_unit_test(damaged_files_cost_a_line),
        cmocka_unit_test(lies_are_found),
        cmocka_unit_test(tensors_that_cannot_be_are_refused),
        cmocka_unit_test(vocabularies_that_cannot_be_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
