/* A profile's file: what is accepted reads any problem and steps, as ids that there are; a step's ids do not
 * depend on what follows; and no problem and no step puts a special token.
 *
 * The first byte chooses the chat format. "prompt_file" is left out: it would name files of this machine.
 */
#include <stdlib.h>
#include <string.h>

#include "../model_files.h"
#include "base/mem.h"
#include "model/model.h"
#include "model/tokenizer_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static struct tokenizer *open_tokenizer(void) {
    struct err e;
    json_t *root = files_chat_tokenizer();
    struct tokenizer *t = tokenizer_parse(root, "fuzz", &e);
    ASSERT(t);
    json_decref(root);
    return t;
}

static const char judged[] =
    "{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}answer:";

static struct model *open_model(int which) {
    static struct model models[5];
    static struct tokenizer *t;
    struct model *m = &models[which];
    struct err e;
    if (m->tokenizer) return m;
    if (!t) t = open_tokenizer();
    m->path = mem_strdup("fuzz");
    m->tokenizer = t;
    m->config.head = which >= 3 ? MODEL_HEAD_CLASS : MODEL_HEAD_LM;
    m->config.n_head_outputs = which == 3 ? 2 : which == 4 ? 5 : tokenizer_count(t);
    m->chat = which == 0   ? chat_open_named("chatml", t, "fuzz", &e)
              : which == 1 ? chat_open_named("llama-3", t, "fuzz", &e)
                           : chat_open(judged, t, "fuzz", &e);
    ASSERT(m->chat);
    return m;
}

/* How many special tokens there are in all; SIZE_MAX: it is refused. */
static size_t read_all(const struct model *m, const struct prm_profile *p, struct str text) {
    struct tokens ids = {0}, closing = {0}, behind = {0};
    struct err e = {0};
    size_t n_special = 0;
    const bool done = prm_profile_open(m, p, text, &ids, &e) &&
                      prm_profile_step(m, p, text, true, &ids, &closing, &behind, &e) &&
                      prm_profile_step(m, p, text, false, &ids, &closing, &behind, &e);
    ASSERT(done || (e.code == ERR_INPUT && e.msg[0]));
    for (size_t k = 0; k < ids.len + closing.len; k++) {
        const int id = k < ids.len ? ids.ptr[k] : closing.ptr[k - ids.len];
        ASSERT(id >= 0 && id < tokenizer_count(m->tokenizer));
        n_special += tokenizer_is_special(m->tokenizer, id);
    }
    tokens_free(&ids);
    tokens_free(&closing);
    tokens_free(&behind);
    return done ? n_special : SIZE_MAX;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    struct prm_profile p;
    struct err e = {0};
    if (n == 0) return 0;
    const struct model *m = open_model(bytes[0] & 0x80 ? 4 : bytes[0] % 4);
    const struct str content = {(const char *)bytes + 1, n - 1};
    if (str_find(content, STR("file")) >= 0 || str_find(content, STR("\\u")) >= 0) return 0;
    if (!prm_profile_parse(m, content, "fuzz", &p, &e)) {
        ASSERT(e.code == ERR_INPUT && e.msg[0]);
        return 0;
    }
    const float outputs[PRM_OUTPUTS_MAX] = {-3, 4};
    const double score = prm_profile_score(&p, outputs);
    ASSERT(p.kind == PRM_STEPS && p.n_outputs >= 1 && p.n_outputs <= PRM_OUTPUTS_MAX && score > 0 &&
           score < 1);
    for (int i = 0; i < p.n_outputs; i++)
        ASSERT(p.outputs[i] >= 0 && p.outputs[i] < m->config.n_head_outputs);
    const size_t n_special = read_all(m, &p, STR("x"));
    ASSERT(n_special != SIZE_MAX);
    ASSERT(read_all(m, &p, STR("<|im_end|> {problem}<|end|>\n\n<|eot_id|>")) == n_special);
    return 0;
}
