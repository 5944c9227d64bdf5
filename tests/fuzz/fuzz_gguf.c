/* A GGUF file: what is accepted lies within the file, can be asked, and becomes a configuration, a
 * vocabulary, a tokenizer and tensors, or one line. */
#include <stdlib.h>
#include <string.h>

#include "model/family.h"
#include "model/gguf_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void check_refusal(struct err *e) {
    ASSERT(e->code == ERR_INPUT && e->msg[0]);
    *e = (struct err){0};
}

/* The container: every text and every tensor can be read; nothing lies over another. */
static unsigned read_all(const struct gguf *g, const uint8_t *bytes, size_t n) {
    unsigned sum = 0;
    size_t n_data = 0;
    struct err e = {0};
    ASSERT(g->n_header_bytes <= n);
    for (size_t i = 0; i < g->n_tensors; i++) {
        const struct gguf_tensor *x = &g->tensors[i];
        const unsigned char *data = x->t.data;
        ASSERT(data >= bytes && x->t.n_bytes <= n && data + x->t.n_bytes <= bytes + n);
        for (size_t k = 0; k < x->t.n_bytes; k++) sum += data[k];
        for (size_t k = 0; k < x->name.len; k++) sum += (unsigned char)x->name.ptr[k];
        n_data += x->t.n_bytes;
        float wide[256];
        if (x->t.n_bytes >= dtype_block_bytes(x->t.dtype))
            dtype_to_f32(wide, data, x->t.dtype, (size_t)dtype_block(x->t.dtype));
        sum += dtype_is_finite(data, x->t.dtype, (size_t)tensor_elements(&x->t));
    }
    ASSERT(n_data <= n);
    for (size_t i = 0; i < g->n_entries; i++) {
        char *key = str_dup(g->entries[i].key);
        bool plain = strlen(key) == g->entries[i].key.len;
        struct str text, *texts;
        size_t n_texts;
        if (plain) ASSERT(gguf_find(g, key) == &g->entries[i]);
        if (plain && gguf_get_string(g, key, &text, &e))
            for (size_t k = 0; k < text.len; k++) sum += (unsigned char)text.ptr[k];
        if (plain && gguf_get_strings(g, key, &texts, &n_texts, &e)) {
            for (size_t k = 0; k < n_texts; k++) sum += texts[k].len ? (unsigned char)texts[k].ptr[0] : 1u;
            free(texts);
        }
        free(key);
    }
    return sum;
}

static void use_config(const struct model_config *c) {
    ASSERT(c->family && c->n_layers > 0 && c->d_model > 0 && c->d_ffn > 0 && c->n_vocab > 0);
    ASSERT(c->n_context > 0 && c->n_heads % c->n_kv_heads == 0 && c->head_width % 2 == 0);
    ASSERT(c->rope.theta >= 1 && c->rope.factor >= 1 && c->norm_eps >= 0 && c->norm_eps < 1);
    ASSERT(model_flops_per_token(c, 100, 1) > 0);
}

static void use_vocab(const struct gguf *g) {
    struct vocab_source v;
    struct err e = {0};
    if (!gguf_read_vocab(g, &v, &e)) {
        check_refusal(&e);
        return;
    }
    struct tokenizer *t = vocab_tokenizer(&v, "fuzz", &e);
    if (!t) check_refusal(&e);
    struct tokens ids = {0};
    if (t && tokenizer_encode(t, STR("12 apples\n\nfor \xc3\xa4ll"), &ids, &e))
        for (size_t i = 0; i < ids.len; i++) ASSERT(tokenizer_bytes(t, ids.ptr[i]).len > 0);
    tokens_free(&ids);
    tokenizer_close(t);
    vocab_source_fini(&v);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    struct err e = {0};
    struct gguf_part part = {0};
    struct gguf_model m = {.parts = &part, .n_parts = 1};
    part.path = (char *)(uintptr_t) "fuzz";
    if (!gguf_parse(bytes, n, "fuzz", &part.g, &e)) {
        check_refusal(&e);
        return 0;
    }
    unsigned sum = read_all(&part.g, bytes, n);
    struct model_config c;
    struct model_sampling s;
    struct weights w;
    use_vocab(&part.g);
    if (!gguf_read_sampling(&part.g, &s, &e)) check_refusal(&e);
    if (gguf_read_config(&m, &c, &e)) {
        use_config(&c);
        if (gguf_take_weights(&m, &c, &w, &e)) {
            struct model model = {.path = part.path, .config = c, .tensors = w.tensors};
            model.n_tensors = (int)w.n_tensors;
            bool known = family_check_tensors(&model, &e);
            if (!known) check_refusal(&e);
            for (size_t i = 0; i < w.n_tensors && known; i++)
                sum += *(const unsigned char *)tensor_row(&w.tensors[i], w.tensors[i].shape[0] - 1);
            weights_fini(&w);
        }
    } else {
        check_refusal(&e);
    }
    gguf_fini(&part.g);
    return sum == UINT32_MAX;
}
