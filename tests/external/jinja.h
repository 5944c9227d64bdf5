/* jinja.h - what jinja2, set as Hugging Face sets it, makes of templates and conversations
 * (tests/external/render_chat.py). */
#ifndef BROOD_JINJA_H
#define BROOD_JINJA_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "model/chat.h"

#define JINJA_SCRIPT "tests/external/render_chat.py"

static inline bool jinja_is_there(const char *check) {
    if (file_exists(JINJA_SCRIPT) && system("python3 -c 'import jinja2' 2>/dev/null") == 0) return true;
    printf("SKIPPED %s: no python3 with jinja2 (Debian: python3-jinja2), or not started in the project's "
           "folder\n",
           check);
    return false;
}

/* Each item's answer: {"text": T} or {"error": E}. Items are objects as the script takes them. Owned. */
static inline json_t *jinja_ask(const json_t *items) {
    char path[] = "/tmp/brood-check-XXXXXX";
    struct buf command = {0};
    struct err e;
    size_t i, cap = 0;
    json_t *item, *answers = json_array();
    int fd = mkstemp(path);
    FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
    ASSERT(f);
    json_array_foreach((json_t *)items, i, item) {
        char *line = json_line(item);
        fprintf(f, "%s\n", line);
        free(line);
    }
    ASSERT(fclose(f) == 0);
    buf_printf(&command, "python3 -W ignore " JINJA_SCRIPT " <%s", path);
    FILE *pipe = popen(buf_cstr(&command), "r");
    char *line = NULL;
    for (ssize_t n; pipe && (n = getline(&line, &cap, pipe)) > 0;) {
        json_t *answer = json_parse((struct str){line, (size_t)n}, JINJA_SCRIPT, &e);
        if (!answer) printf("FAILED %s\n", e.msg);
        if (answer) json_array_append_new(answers, answer);
    }
    if (pipe) pclose(pipe);
    free(line);
    unlink(path);
    buf_free(&command);
    ASSERT(json_array_size(answers) == json_array_size(items));
    return answers;
}

static inline const char *jinja_role(char c) {
    return c == 's' ? "system" : c == 'u' ? "user" : "assistant";
}

/* Roles as letters, contents from the list, beginning at `first` and round about. */
static inline json_t *jinja_messages(const char *roles, const char *const *contents, size_t n_contents,
                                     size_t first) {
    json_t *messages = json_array();
    for (size_t i = 0; roles[i]; i++)
        json_array_append_new(messages, json_pack("{s:s,s:s}", "role", jinja_role(roles[i]), "content",
                                                  contents[(first + i) % n_contents]));
    return messages;
}

/* The same as the library takes them; borrowed from the list. */
static inline size_t jinja_read_messages(const json_t *list, struct chat_message *messages, size_t n_max) {
    size_t n = json_array_size(list);
    ASSERT(n <= n_max);
    for (size_t i = 0; i < n; i++) {
        const json_t *m = json_array_get(list, i), *content = json_object_get(m, "content");
        char role = json_string_value(json_object_get(m, "role"))[0];
        messages[i].role = role == 's' ? CHAT_SYSTEM : role == 'u' ? CHAT_USER : CHAT_ASSISTANT;
        messages[i].content = (struct str){json_string_value(content), json_string_length(content)};
    }
    return n;
}

/* Calls `each` with the text of every .jinja file of a folder. */
static inline void jinja_each_file(const char *dir,
                                   void (*each)(void *ctx, const char *name, const char *text), void *ctx) {
    DIR *d = opendir(dir);
    for (struct dirent *entry; d && (entry = readdir(d));) {
        struct buf text = {0};
        struct err e;
        if (!str_ends(str_from(entry->d_name), STR(".jinja"))) continue;
        char *path = file_join(dir, entry->d_name);
        if (file_read(path, 1 << 20, &text, &e)) each(ctx, entry->d_name, buf_cstr(&text));
        buf_free(&text);
        free(path);
    }
    if (d) closedir(d);
}

#endif
