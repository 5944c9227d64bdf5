/* Chat templates and contents: recognising or interpreting any text ends well; in the formats that are known,
 * no content adds, takes or forges a special token.
 *
 * The input is the template up to the first NUL, then the contents of three messages up to a NUL each.
 */
#include "../model_files.h"
#include "model/chat.h"
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

static int count_special(const struct chat_format *f, const struct tokenizer *t, const struct chat_message *m,
                         size_t n, bool open_answer) {
    struct tokens ids = {0};
    struct err e;
    int n_special = 0;
    ASSERT(chat_render(f, t, m, n, open_answer, !open_answer, &ids, &e));
    for (size_t i = 0; i < ids.len; i++) n_special += tokenizer_is_special(t, ids.ptr[i]);
    tokens_free(&ids);
    return n_special;
}

static void check(const struct chat_format *f, const struct tokenizer *t,
                  const struct chat_message messages[3]) {
    static const struct chat_message same[3] = {
        {CHAT_SYSTEM, {"x", 1}}, {CHAT_USER, {"x", 1}}, {CHAT_ASSISTANT, {"x", 1}}};
    /* An answer alone cannot be continued where a template writes: it stands behind a message. */
    const bool is_interpreted = strcmp(chat_name(f), "qwen3-direct") == 0;
    for (size_t first = 0; first < 3; first++) {
        for (int open_answer = is_interpreted && first == 2; open_answer < 2; open_answer++)
            ASSERT(count_special(f, t, messages + first, 3 - first, open_answer) ==
                   count_special(f, t, same + first, 3 - first, open_answer));
    }
}

/* A template may do with a conversation what it likes; it must end, and give ids that there are. */
static void check_interpreted(const struct chat_format *f, const struct tokenizer *t,
                              const struct chat_message messages[3]) {
    for (size_t first = 0; first < 3; first++) {
        for (int open_answer = 0; open_answer < 2; open_answer++) {
            struct tokens ids = {0};
            struct err e = {0};
            bool done = chat_render(f, t, messages + first, 3 - first, open_answer, !open_answer, &ids, &e);
            ASSERT(done || (ids.len == 0 && e.code == ERR_INPUT && e.msg[0]));
            for (size_t i = 0; i < ids.len; i++) ASSERT(ids.ptr[i] >= 0 && ids.ptr[i] < tokenizer_count(t));
            tokens_free(&ids);
        }
    }
    struct tokens ids = {0};
    struct err e = {0};
    if (chat_has_turns(f) && !chat_render_next(f, t, messages[1].content, &ids, &e))
        ASSERT(e.code == ERR_INPUT && e.msg[0]);
    tokens_free(&ids);
}

static struct str take_part(struct str *rest) {
    const char *end = rest->len ? memchr(rest->ptr, 0, rest->len) : NULL;
    struct str part = {rest->ptr, end ? (size_t)(end - rest->ptr) : rest->len};
    size_t n_taken = part.len + (end != NULL);
    rest->ptr += n_taken;
    rest->len -= n_taken;
    return part;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    static const char *const names[] = {"lab", "plain", "chatml", "llama-3", "llama-3.1", "qwen3-direct"};
    static struct tokenizer *t;
    if (!t) t = open_tokenizer();
    struct str rest = {(const char *)bytes, n};
    char *template_text = str_dup(take_part(&rest));
    struct chat_message messages[3];
    struct err e = {0};
    for (size_t i = 0; i < 3; i++) messages[i] = (struct chat_message){(enum chat_role)i, take_part(&rest)};
    struct chat_format *f = chat_open(template_text, t, "fuzz", &e);
    if (f && strcmp(chat_name(f), "template") == 0)
        check_interpreted(f, t, messages);
    else if (f)
        check(f, t, messages);
    else
        ASSERT(e.code == ERR_INPUT && e.msg[0]);
    chat_close(f);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        f = chat_open_named(names[i], t, "fuzz", &e);
        ASSERT(f);
        check(f, t, messages);
        chat_close(f);
    }
    free(template_text);
    return 0;
}
