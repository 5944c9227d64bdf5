/* peer.h - Hugging Face's tokenizers through bench/tokenizer_peer.js. */
#ifndef BROOD_PEER_H
#define BROOD_PEER_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"

#define PEER_SCRIPT "bench/tokenizer_peer.js"

static inline bool peer_is_there(const char *check) {
    if (file_exists(PEER_SCRIPT) && system("node -e \"require('tokenizers')\" >/dev/null 2>&1") == 0)
        return true;
    printf("SKIPPED %s: no node with the npm package tokenizers (NODE_PATH names its folder), or not started "
           "in the "
           "project's folder\n",
           check);
    return false;
}

/* Lines that the script writes for texts in a file, each a JSON value. Owned. */
static inline json_t *peer_run(const char *dir, const json_t *texts, const char *more) {
    char path[] = "/tmp/brood-check-XXXXXX";
    struct buf command = {0};
    struct err e;
    size_t i, cap = 0;
    json_t *item, *answers = json_array();
    int fd = mkstemp(path);
    FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
    ASSERT(f);
    json_array_foreach((json_t *)texts, i, item) {
        char *line = json_dumps(item, JSON_ENCODE_ANY);
        fprintf(f, "%s\n", line);
        free(line);
    }
    ASSERT(fclose(f) == 0);
    buf_printf(&command, "RAYON_NUM_THREADS=1 node " PEER_SCRIPT " %s %s <%s", dir, more, path);
    FILE *pipe = popen(buf_cstr(&command), "r");
    char *line = NULL;
    for (ssize_t n; pipe && (n = getline(&line, &cap, pipe)) > 0;) {
        struct buf wrapped = {0};
        buf_printf(&wrapped, "[%.*s]", (int)n - (line[n - 1] == '\n'), line);
        json_t *answer = json_parse(buf_str(&wrapped), PEER_SCRIPT, &e);
        if (answer) json_array_append(answers, json_array_get(answer, 0));
        json_decref(answer);
        buf_free(&wrapped);
    }
    if (pipe) pclose(pipe);
    free(line);
    unlink(path);
    buf_free(&command);
    return answers;
}

static inline json_t *peer_encode(const char *dir, const json_t *texts) {
    json_t *answers = peer_run(dir, texts, "");
    ASSERT(json_array_size(answers) == json_array_size(texts));
    return answers;
}

/* Megabytes a second; 0 if it could not be found out. */
static inline double peer_speed(const char *dir, const json_t *texts) {
    json_t *answers = peer_run(dir, texts, "speed");
    double speed = json_number_value(json_array_get(answers, 0));
    json_decref(answers);
    return speed;
}

#endif
