/* check_template DATA - the template interpreter against jinja2: the recorded cases of the project's own
 * tests, templates written at random, and whole chat templates from DATA/tokenizer/templates and from the
 * folder that $TEMPLATES names, over conversations with and without system messages, of several turns, with
 * unusual characters.
 */
#include <string.h>

#include "../template_cases.h"
#include "jinja.h"
#include "model/template.h"

static const char *const roles[] = {"u", "su", "uau", "suauau", "uasu", "ua", "sua", "us", "a", "uu"};

static const char *const contents[] = {
    "What is 1+1?",
    "  padded on both sides \n\n",
    "\xe3\x80\x80\xc2\xa0wide\x1c \xe2\x80\xa8",
    "caf\xc3\xa9 \xf0\x9f\x98\xb6\xe2\x80\x8d\xf0\x9f\x8c\xab\xef\xb8\x8f $\\frac{1}{2}$",
    "'quoted' \"twice\" {{ braces }} {% if %}",
    "",
    "\n",
    "line\r\nline\ttab \\n not a newline",
    "<think>hidden</think> shown",
    "/no_think [INST] <|im_end|> <tool_response>x</tool_response>",
};

struct counts {
    size_t same, refused, refused_here, refused_there, different;
};

static void compare(const char *name, const json_t *item, const json_t *answer, struct counts *c) {
    struct chat_message messages[8];
    const json_t *source = json_object_get(item, "template"), *theirs = json_object_get(answer, "text");
    const struct template_input in = {
        .messages = messages,
        .n_messages = jinja_read_messages(json_object_get(item, "messages"), messages, ARRAY_LEN(messages)),
        .open_answer = json_is_true(json_object_get(item, "add_generation_prompt")),
        .bos = STR("<s>"),
        .eos = STR("</s>")};
    struct template_output out = {0};
    struct err e = {0};
    struct template *t =
        template_new((struct str){json_string_value(source), json_string_length(source)}, &e);
    bool done = t && template_render(t, &in, &out, &e);
    bool same =
        done && theirs &&
        str_equal(buf_str(&out.text), (struct str){json_string_value(theirs), json_string_length(theirs)});
    *(same              ? &c->same
      : done && theirs  ? &c->different
      : !done && theirs ? &c->refused_here
      : done            ? &c->refused_there
                        : &c->refused) += 1;
    if (done && theirs && !same && c->different <= 3)
        printf("DIFFERENT %s: %s\n  jinja2: %s\n  ours:   %s\n", name, json_string_value(source),
               json_string_value(theirs), buf_cstr(&out.text));
    template_output_fini(&out);
    template_free(t);
}

static void print_counts(const char *name, const struct counts *c) {
    printf("%s: %zu same, %zu refused by both", name, c->same, c->refused);
    if (c->refused_here) printf(", %zu refused here alone", c->refused_here);
    if (c->refused_there) printf(", %zu refused by jinja2 alone", c->refused_there);
    printf(", %zu differ\n", c->different);
}

static void check_items(const char *name, const json_t *items, struct counts *all) {
    struct counts c = {0};
    json_t *answers = jinja_ask(items), *item;
    size_t i;
    json_array_foreach((json_t *)items, i, item) compare(name, item, json_array_get(answers, i), &c);
    print_counts(name, &c);
    all->same += c.same;
    all->refused += c.refused;
    all->refused_here += c.refused_here;
    all->refused_there += c.refused_there;
    all->different += c.different;
    json_decref(answers);
}

/* Takes messages. */
static json_t *make_item(const char *source, json_t *messages, bool open_answer) {
    return json_pack("{s:s,s:o,s:b,s:s,s:s}", "template", source, "messages", messages,
                     "add_generation_prompt", open_answer, "bos_token", "<s>", "eos_token", "</s>");
}

static void check_file(void *ctx, const char *name, const char *text) {
    json_t *items = json_array();
    for (size_t r = 0; r < ARRAY_LEN(roles); r++) {
        for (size_t c = 0; c < 2 * ARRAY_LEN(contents); c++)
            json_array_append_new(
                items,
                make_item(text, jinja_messages(roles[r], contents, ARRAY_LEN(contents), c / 2), c % 2));
    }
    check_items(name, items, ctx);
    json_decref(items);
}

/* What tests/test_template.c expects is still what jinja2 says. */
static size_t check_recorded(void) {
    json_t *items = json_array(), *answers;
    size_t n_wrong = 0;
    for (size_t i = 0; i < ARRAY_LEN(template_cases); i++) {
        json_t *messages = json_array();
        for (size_t k = 0; k < ARRAY_LEN(template_messages); k++) {
            const struct chat_message *m = &template_messages[k];
            json_array_append_new(messages,
                                  json_pack("{s:s,s:s%}", "role", m->role == CHAT_USER ? "user" : "assistant",
                                            "content", m->content.ptr, m->content.len));
        }
        json_array_append_new(items, make_item(template_cases[i].source, messages, true));
    }
    answers = jinja_ask(items);
    for (size_t i = 0; i < ARRAY_LEN(template_cases); i++) {
        const char *text = json_string_value(json_object_get(json_array_get(answers, i), "text"));
        if (text && strcmp(text, template_cases[i].wanted) == 0) continue;
        printf("DIFFERENT from what is recorded: %s\n", template_cases[i].source);
        n_wrong++;
    }
    printf("recorded cases: %zu, %zu are not jinja2's\n", ARRAY_LEN(template_cases), n_wrong);
    json_decref(items);
    json_decref(answers);
    return n_wrong;
}

/* Templates that a grammar writes at random. */
static void check_random(int seed, int n, struct counts *all) {
    static const char *const conversations[] = {"ua", "su", "uau"};
    json_t *items = json_array();
    struct buf command = {0};
    struct err e;
    char *line = NULL;
    size_t cap = 0, i = 0;
    buf_printf(&command, "python3 tests/external/make_templates.py %d %d", seed, n);
    FILE *pipe = popen(buf_cstr(&command), "r");
    for (ssize_t len; pipe && (len = getline(&line, &cap, pipe)) > 0; i++) {
        struct buf wrapped = {0};
        buf_printf(&wrapped, "[%.*s]", (int)len - 1, line);
        json_t *text = json_parse(buf_str(&wrapped), "make_templates.py", &e);
        ASSERT(text);
        json_t *messages = jinja_messages(conversations[i % 3], contents, ARRAY_LEN(contents), i);
        json_array_append_new(items, make_item(json_string_value(json_array_get(text, 0)), messages, i % 2));
        json_decref(text);
        buf_free(&wrapped);
    }
    if (pipe) pclose(pipe);
    check_items("templates at random", items, all);
    json_decref(items);
    buf_free(&command);
    free(line);
}

int main(int argc, char **argv) {
    struct counts all = {0};
    const char *more = getenv("TEMPLATES");
    if (!jinja_is_there("check_template")) return 0;
    size_t n_wrong = check_recorded();
    check_random(1, 20000, &all);
    char *dir = file_join(argc > 1 ? argv[1] : ".", "tokenizer/templates");
    if (!file_is_dir(dir)) printf("SKIPPED chat templates: no %s\n", dir);
    jinja_each_file(dir, check_file, &all);
    if (!more) printf("SKIPPED further chat templates: TEMPLATES=DIR names a folder of .jinja files\n");
    if (more) jinja_each_file(more, check_file, &all);
    free(dir);
    print_counts("check_template, all", &all);
    return all.different > 0 || n_wrong > 0;
}
