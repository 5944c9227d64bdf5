/* check_chat DATA - compares chat formats with what jinja2 makes of the models' own templates
 * (DATA/tokenizer/templates), over conversations with and without system messages, of several turns, with
 * unusual characters: the text, and the ids with a real vocabulary.
 */
#include "jinja.h"
#include "rank_file.h"

static const char *const roles[] = {"u", "su", "uau", "suauau", "uasu", "ua"};

static const char *const contents[] = {
    "What is 1+1?",
    "  padded on both sides \n\n",
    "\xe3\x80\x80\xc2\xa0wide\x1c \xe2\x80\xa8",
    "caf\xc3\xa9 \xf0\x9f\x98\xb6\xe2\x80\x8d\xf0\x9f\x8c\xab\xef\xb8\x8f $\\frac{1}{2}$",
    "'quoted' \"twice\" {{ braces }} {% if %}",
    "",
    "\n",
    "line\r\nline\ttab \\n not a newline",
};

enum { QWEN2, LLAMA3, KINDS };

static const struct rank_tokenizer kinds[KINDS] = {
    {RANK_PATTERN_QWEN2, false, true, {"<|endoftext|>", "<|im_start|>", "<|im_end|>"}, NULL, NULL, false},
    {RANK_PATTERN_LLAMA3,
     true,
     false,
     {"<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"},
     "<|begin_of_text|>",
     NULL,
     false},
};

/* The ids of a rendered text: special tokens by id, the rest encoded piece by piece. */
static void encode_rendered(const struct tokenizer *t, const struct rank_tokenizer *kind, struct str text,
                            struct tokens *out) {
    struct err e;
    while (text.len) {
        size_t first = text.len;
        const char *special = NULL;
        for (size_t i = 0; i < ARRAY_LEN(kind->specials) && kind->specials[i]; i++) {
            ptrdiff_t at = str_find(text, str_from(kind->specials[i]));
            if (at >= 0 && (size_t)at < first) first = (size_t)at, special = kind->specials[i];
        }
        ASSERT(tokenizer_encode(t, (struct str){text.ptr, first}, out, &e));
        if (special) tokens_add(out, tokenizer_special(t, special));
        first += special ? strlen(special) : 0;
        text = (struct str){text.ptr + first, text.len - first};
    }
}

static bool equals_rendered(const struct tokenizer *t, const struct rank_tokenizer *kind,
                            const struct chat_format *f, const json_t *item, const json_t *wanted) {
    struct chat_message messages[8];
    struct tokens got = {0}, ids = {0};
    struct buf text = {0};
    struct err e;
    size_t n = jinja_read_messages(json_object_get(item, "messages"), messages, ARRAY_LEN(messages));
    ASSERT(chat_render(f, t, messages, n, json_is_true(json_object_get(item, "add_generation_prompt")), false,
                       &got, &e));
    tokenizer_decode(t, got.ptr, got.len, false, &text);
    const struct str rendered = {json_string_value(wanted), json_string_length(wanted)};
    encode_rendered(t, kind, rendered, &ids);
    bool same_ids =
        ids.len == got.len && (got.len == 0 || memcmp(ids.ptr, got.ptr, got.len * sizeof *got.ptr) == 0);
    /* Normalising vocabularies change the text itself, so only the ids are compared there. */
    bool same = same_ids && (kind->nfc || str_equal(buf_str(&text), rendered));
    if (!same) printf("DIFFERENT\n  jinja2: %s\n  ours:   %s\n", json_string_value(wanted), buf_cstr(&text));
    tokens_free(&got);
    tokens_free(&ids);
    buf_free(&text);
    return same;
}

/* Every pattern of roles, filled with contents from each starting place. */
static json_t *make_cases(const char *template_text, const char *bos) {
    json_t *cases = json_array();
    for (size_t r = 0; r < ARRAY_LEN(roles); r++) {
        for (size_t c = 0; c < 2 * ARRAY_LEN(contents); c++) {
            json_t *item = json_pack("{s:s,s:o,s:b}", "template", template_text, "messages",
                                     jinja_messages(roles[r], contents, ARRAY_LEN(contents), c / 2),
                                     "add_generation_prompt", (int)(c % 2));
            if (bos) json_object_set_new(item, "bos_token", json_string(bos));
            json_array_append_new(cases, item);
        }
    }
    return cases;
}

struct checking {
    struct tokenizer *tokenizers[KINDS];
    int n_cases, n_failed;
};

static void check_template(void *ctx, const char *name, const char *text) {
    struct checking *c = ctx;
    const int kind = strstr(name, "Qwen") ? QWEN2 : LLAMA3;
    struct tokenizer *t = c->tokenizers[kind];
    struct err e;
    struct chat_format *f = chat_open(text, t, name, &e);
    int n_failed = 0;
    size_t i;
    if (!f) {
        printf("FAILED %s\n", e.msg);
        c->n_failed++;
        return;
    }
    json_t *cases = make_cases(text, kinds[kind].bos), *answers = jinja_ask(cases), *item;
    json_array_foreach(cases, i, item) {
        const json_t *wanted = json_object_get(json_array_get(answers, i), "text");
        n_failed += !equals_rendered(t, &kinds[kind], f, item, wanted);
    }
    printf("%s: %s, %zu conversations, %d differ\n", name, chat_name(f), json_array_size(cases), n_failed);
    c->n_cases += (int)json_array_size(cases);
    c->n_failed += n_failed;
    json_decref(cases);
    json_decref(answers);
    chat_close(f);
}

int main(int argc, char **argv) {
    char *data = file_join(argc > 1 ? argv[1] : ".", "tokenizer"), *templates = file_join(data, "templates");
    char *files[KINDS] = {file_join(data, "qwen.tiktoken"), file_join(data, "llama3.tiktoken")};
    struct checking c = {.n_cases = 0};
    struct err e;
    if (!file_is_dir(templates)) {
        printf("SKIPPED check_chat: no %s\n", templates);
    } else if (jinja_is_there("check_chat")) {
        for (size_t i = 0; i < KINDS; i++) {
            c.tokenizers[i] = rank_tokenizer_open(files[i], &kinds[i], &e);
            if (!c.tokenizers[i]) printf("FAILED %s\n", e.msg), c.n_failed++;
        }
        if (c.n_failed == 0) jinja_each_file(templates, check_template, &c);
        printf("check_chat: %d of %d conversations equal jinja2's\n", c.n_cases - c.n_failed, c.n_cases);
    }
    for (size_t i = 0; i < KINDS; i++) {
        tokenizer_close(c.tokenizers[i]);
        free(files[i]);
    }
    free(templates);
    free(data);
    return c.n_failed > 0;
}
