/* config.json, generation_config.json and tokenizer_config.json from the same bytes: what is accepted can be
 * computed with. */
#include "base/json.h"
#include "model/config.h"
#include "model/tokenizer_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void check_config(const struct model_config *c) {
    ASSERT(c->family && c->n_layers > 0 && c->d_model > 0 && c->d_ffn > 0 && c->n_vocab > 0 &&
           c->n_context > 0);
    ASSERT(c->n_heads > 0 && c->n_kv_heads > 0 && c->n_heads % c->n_kv_heads == 0 && c->head_width % 2 == 0);
    ASSERT(c->n_head_outputs > 0 && c->rope.theta >= 1 && c->rope.factor >= 1 && c->norm_eps >= 0);
    ASSERT(model_flops_per_token(c, 100, 1) > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    struct err e = {0};
    json_t *root = json_parse((struct str){(const char *)bytes, n}, "fuzz", &e);
    struct model_config c;
    struct config_ends ends;
    struct model_sampling s;
    struct tokenizer_config t;
    if (!root) return 0;
    if (config_parse(root, "fuzz", &c, &e))
        check_config(&c);
    else
        ASSERT(e.code == ERR_INPUT && e.msg[0]);
    if (config_parse_ends(root, "fuzz", 1000, &ends, &e)) {
        ASSERT(ends.n <= CONFIG_ENDS_MAX);
        for (int i = 0; i < ends.n; i++) ASSERT(ends.ids[i] >= 0 && ends.ids[i] < 1000);
    }
    if (config_parse_sampling(root, "fuzz", &s, &e))
        ASSERT(s.temperature >= 0 && s.top_p > 0 && s.top_k >= 0);
    if (tokenizer_config_parse(root, "fuzz", &t, &e)) tokenizer_config_fini(&t);
    json_decref(root);
    return 0;
}
