/* check_chat DATA - compares chat formats with what jinja2 makes of the models' own templates
 * (DATA/tokenizer/templates), over conversations with and without system messages, of several turns, with
 * unusual characters: the text, and the ids with a real vocabulary.
 */
#include <dirent.h>

#include "model/chat.h"
#include "rank_file.h"

#define SCRIPT "tests/external/render_chat.py"

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

static const struct rank_tokenizer kinds[] = {
    {RANK_PATTERN_QWEN2, false, true, {"<|endoftext|>", "<|im_start|>", "<|im_end|>"}},
    {RANK_PATTERN_LLAMA3,
     true,
     false,
     {"<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"}},
};

static const char *role_name(char c) {
    return c == 's' ? "system" : c == 'u' ? "user" : "assistant";
}

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
    const json_t *list = json_object_get(item, "messages");
    size_t n = json_array_size(list);
    for (size_t i = 0; i < n; i++) {
        const json_t *m = json_array_get(list, i), *content = json_object_get(m, "content");
        char role = json_string_value(json_object_get(m, "role"))[0];
        messages[i].role = role == 's' ? CHAT_SYSTEM : role == 'u' ? CHAT_USER : CHAT_ASSISTANT;
        messages[i].content = (struct str){json_string_value(content), json_string_length(content)};
    }
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
static json_t *make_cases(const char *template_text) {
    json_t *cases = json_array();
    for (size_t r = 0; r < ARRAY_LEN(roles); r++) {
        for (size_t c = 0; c < 2 * ARRAY_LEN(contents); c++) {
            json_t *messages = json_array();
            for (size_t i = 0; roles[r][i]; i++)
                json_array_append_new(messages,
                                      json_pack("{s:s,s:s}", "role", role_name(roles[r][i]), "content",
                                                contents[(c / 2 + i) % ARRAY_LEN(contents)]));
            json_array_append_new(cases, json_pack("{s:s,s:o,s:b}", "template", template_text, "messages",
                                                   messages, "add_generation_prompt", (int)(c % 2)));
        }
    }
    return cases;
}

/* What jinja2 makes of each case; NULL if it cannot be asked. */
static json_t *ask_jinja(const json_t *cases) {
    char path[] = "/tmp/brood-check-XXXXXX";
    struct buf text = {0}, command = {0};
    struct err e;
    size_t i;
    json_t *item, *answers = json_array();
    int fd = mkstemp(path);
    ASSERT(fd >= 0);
    json_array_foreach((json_t *)cases, i, item) {
        char *line = json_line(item);
        buf_printf(&text, "%s\n", line);
        free(line);
    }
    ASSERT(write(fd, text.ptr, text.len) == (ssize_t)text.len);
    close(fd);
    buf_printf(&command, "python3 " SCRIPT " <%s", path);
    FILE *pipe = popen(buf_cstr(&command), "r");
    char *line = NULL;
    size_t cap = 0;
    for (ssize_t n; pipe && (n = getline(&line, &cap, pipe)) > 0;) {
        json_t *answer = json_parse((struct str){line, (size_t)n}, SCRIPT, &e);
        if (answer) json_array_append_new(answers, answer);
    }
    if (pipe) pclose(pipe);
    free(line);
    unlink(path);
    buf_free(&text);
    buf_free(&command);
    if (json_array_size(answers) == json_array_size(cases)) return answers;
    json_decref(answers);
    return NULL;
}

static int check_template(struct tokenizer *const *tokenizers, const char *name, const char *text,
                          int *n_cases) {
    const struct rank_tokenizer *kind = NULL;
    struct tokenizer *t = NULL;
    struct chat_format *f = NULL;
    struct err e;
    for (size_t i = 0; i < ARRAY_LEN(kinds) && !f; i++) {
        kind = &kinds[i];
        t = tokenizers[i];
        f = chat_open(text, t, name, &e);
    }
    if (!f) {
        printf("%s\n", e.msg);
        return 0;
    }
    int n_failed = 0;
    json_t *cases = make_cases(text), *answers = ask_jinja(cases), *item;
    size_t i;
    json_array_foreach(cases, i, item) n_failed +=
        !equals_rendered(t, kind, f, item, json_array_get(answers, i));
    printf("%s: %s, %zu conversations, %d differ\n", name, chat_name(f), json_array_size(cases), n_failed);
    *n_cases += (int)json_array_size(cases);
    json_decref(cases);
    json_decref(answers);
    chat_close(f);
    return n_failed;
}

static int check_folder(const char *dir, struct tokenizer *const *tokenizers, int *n_cases) {
    int n_failed = 0;
    DIR *d = opendir(dir);
    for (struct dirent *entry; d && (entry = readdir(d));) {
        struct buf text = {0};
        struct err e;
        if (!str_ends(str_from(entry->d_name), STR(".jinja"))) continue;
        char *path = file_join(dir, entry->d_name);
        if (file_read(path, 1 << 20, &text, &e))
            n_failed += check_template(tokenizers, entry->d_name, buf_cstr(&text), n_cases);
        buf_free(&text);
        free(path);
    }
    if (d) closedir(d);
    return n_failed;
}

int main(int argc, char **argv) {
    char *data = file_join(argc > 1 ? argv[1] : ".", "tokenizer"), *templates = file_join(data, "templates");
    char *files[] = {file_join(data, "qwen.tiktoken"), file_join(data, "llama3.tiktoken")};
    struct tokenizer *tokenizers[ARRAY_LEN(kinds)] = {NULL};
    struct err e;
    int n_cases = 0, n_failed = 0;
    if (!file_is_dir(templates)) {
        printf("SKIPPED check_chat: no %s\n", templates);
    } else if (!file_exists(SCRIPT) || system("python3 -c 'import jinja2' 2>/dev/null") != 0) {
        printf("SKIPPED check_chat: no python3 with jinja2 (Debian: python3-jinja2), or not started in the "
               "project's folder\n");
    } else {
        for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
            tokenizers[i] = rank_tokenizer_open(files[i], &kinds[i], &e);
            if (!tokenizers[i]) printf("FAILED %s\n", e.msg), n_failed++;
        }
        if (n_failed == 0) n_failed = check_folder(templates, tokenizers, &n_cases);
        printf("check_chat: %d of %d conversations equal jinja2's\n", n_cases - n_failed, n_cases);
    }
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        tokenizer_close(tokenizers[i]);
        free(files[i]);
    }
    free(templates);
    free(data);
    return n_failed > 0;
}
