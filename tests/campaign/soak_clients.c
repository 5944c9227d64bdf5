/* soak_clients.c - many clients at once before `brood serve`, for a while: soak_clients ADDRESS SECONDS
 * CLIENTS.
 *
 * Each client asks one request after the other: plain, streamed, with the tree, gone in the middle,
 * malformed. It is an error if a reply has not the status it should have, if a stream does not end, if the
 * same question ever gets another answer, or if the server's memory goes on growing. At the end: how many
 * replies, the latencies, the spread between clients, memory over time.
 */
#include <curl/curl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"

enum { KINDS = 6, PROBLEMS = 12, SAMPLES_MAX = 400, SHOWN_ERRORS = 10 };

struct kind {
    const char *name, *model, *more;
    int status;
    bool streams, leaves;
};

static const struct kind kinds[KINDS] = {
    {"greedy", "brood/greedy", "", 200, false, false},
    {"sample", "brood/sample:n=4", "", 200, false, false},
    {"tree", "brood/beam:n=4", ",\"stream\":true,\"brood\":{\"events\":\"tree\"}", 200, true, false},
    {"gone", "brood/sample:n=64", ",\"stream\":true,\"brood\":{\"events\":\"tree\"}", 200, true, true},
    {"unknown key", "brood/greedy", ",\"brood\":{\"no_such_key\":1}", 400, false, false},
    {"streamed", "brood/greedy", ",\"stream\":true", 200, true, false},
};

struct client {
    int number, n_asked, n_done;
    CURL *easy;
    const struct kind *kind;
    int problem;
    char *body;
    struct buf reply;
    struct curl_slist *headers;
    double began, seconds; /* of all that were answered */
};

struct soak {
    const char *address;
    uint64_t answers[KINDS][PROBLEMS]; /* hash of the first answer; 0: none yet */
    double *latencies;
    size_t n_latencies, cap;
    int n_errors, n_done[KINDS];
    double rss[SAMPLES_MAX];
    int n_rss;
};

static void complain(struct soak *s, const struct client *c, const char *what, const char *detail) {
    if (s->n_errors++ >= SHOWN_ERRORS) return;
    printf("ERROR client %d, %s: %s: %.300s\n", c->number, c->kind->name, what, detail);
}

static size_t take(char *bytes, size_t size, size_t n, void *ctx) {
    struct client *c = ctx;
    buf_add(&c->reply, bytes, size * n);
    if (c->kind->leaves && str_find(buf_str(&c->reply), STR("\"node\"")) >= 0) return 0;
    return size * n;
}

static void ask(struct soak *s, CURLM *multi, struct client *c) {
    char url[256];
    struct buf body = {0};
    c->kind = &kinds[(c->number + c->n_asked) % KINDS];
    c->problem = (c->number * 7 + c->n_asked) % PROBLEMS;
    c->n_asked++;
    buf_printf(
        &body,
        "{\"model\":\"%s\",\"user\":\"client %d\",\"messages\":[{\"role\":\"user\",\"content\":\"Tom has %d "
        "jars. Tom sells %d of them. How many jars does Tom have now?\"}]%s}",
        c->kind->model, c->number, 20 + 3 * c->problem, 5 + c->problem, c->kind->more);
    free(c->body);
    c->body = buf_take(&body);
    buf_clear(&c->reply);
    snprintf(url, sizeof url, "%s/v1/chat/completions", s->address);
    curl_easy_setopt(c->easy, CURLOPT_URL, url);
    curl_easy_setopt(c->easy, CURLOPT_POSTFIELDS, c->body);
    curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, c->headers);
    curl_easy_setopt(c->easy, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(c->easy, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(c->easy, CURLOPT_PRIVATE, c);
    c->began = clock_seconds();
    curl_multi_add_handle(multi, c->easy);
}

/* All that the reply says to a reader, one text. */
static bool read_stream(struct str reply, struct buf *text) {
    bool ended = false;
    while (reply.len > 0) {
        const ptrdiff_t at = str_find(reply, STR("\n\n"));
        if (at < 0) return false;
        struct str event = {reply.ptr, (size_t)at};
        reply.ptr += at + 2;
        reply.len -= (size_t)at + 2;
        if (!str_starts(event, STR("data: "))) continue;
        event.ptr += 6;
        event.len -= 6;
        ended = str_equal(event, STR("[DONE]"));
        if (ended) continue;
        json_t *o = json_loadb(event.ptr, event.len, 0, NULL);
        if (!o || json_object_get(o, "error")) {
            json_decref(o);
            return false;
        }
        const json_t *delta = json_object_get(json_array_get(json_object_get(o, "choices"), 0), "delta");
        const char *content = json_string_value(json_object_get(delta, "content"));
        buf_add_str(text, str_from(content));
        json_decref(o);
    }
    return ended;
}

static bool read_whole(struct str reply, struct buf *text) {
    json_t *o = json_loadb(reply.ptr, reply.len, 0, NULL);
    const json_t *message = json_object_get(json_array_get(json_object_get(o, "choices"), 0), "message");
    const char *content = json_string_value(json_object_get(message, "content"));
    if (content) buf_add_str(text, str_from(content));
    json_decref(o);
    return content != NULL;
}

static void look_at_answer(struct soak *s, struct client *c) {
    struct buf text = {0};
    const struct str reply = {buf_cstr(&c->reply), c->reply.len};
    if (!(c->kind->streams ? read_stream(reply, &text) : read_whole(reply, &text))) {
        complain(s, c, "the reply is not whole", buf_cstr(&c->reply));
    } else {
        uint64_t *first = &s->answers[c->kind - kinds][c->problem];
        const uint64_t hash = rng_hash(1, buf_cstr(&text), text.len);
        if (*first == 0) *first = hash;
        if (*first != hash) complain(s, c, "another answer than before", buf_cstr(&text));
    }
    buf_free(&text);
}

static void look_at_reply(struct soak *s, struct client *c, CURLcode code) {
    long status = 0;
    const double seconds = clock_seconds() - c->began;
    curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
    if (c->kind->leaves && code == CURLE_WRITE_ERROR) {
        s->n_done[c->kind - kinds]++;
        return;
    }
    if (code != CURLE_OK)
        complain(s, c, "no reply", curl_easy_strerror(code));
    else if (status != c->kind->status)
        complain(s, c, "another status than should be", buf_cstr(&c->reply));
    else if (status == 200)
        look_at_answer(s, c);
    s->n_done[c->kind - kinds]++;
    c->n_done++;
    if (status != 200) return;
    c->seconds += seconds;
    MEM_GROW(s->latencies, s->cap, s->n_latencies + 1);
    s->latencies[s->n_latencies++] = seconds;
}

/* ---- memory, as the server says it ---- */

static size_t take_metrics(char *bytes, size_t size, size_t n, void *ctx) {
    buf_add(ctx, bytes, size * n);
    return size * n;
}

static void measure(struct soak *s) {
    struct buf text = {0};
    char url[256];
    CURL *easy = curl_easy_init();
    snprintf(url, sizeof url, "%s/metrics", s->address);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_metrics);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &text);
    const CURLcode code = curl_easy_perform(easy);
    const char *line = strstr(buf_cstr(&text), "\nbrood_resident_bytes ");
    if (code == CURLE_OK && line && s->n_rss < SAMPLES_MAX) s->rss[s->n_rss++] = strtod(line + 22, NULL);
    curl_easy_cleanup(easy);
    buf_free(&text);
}

/* ---- the end ---- */

static int compare(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double mean(const double *x, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++) sum += x[i];
    return n > 0 ? sum / n : 0;
}

static void print_latencies(struct soak *s, const struct client *clients, int n_clients) {
    const size_t n = s->n_latencies;
    double *means = mem_zalloc((size_t)n_clients, sizeof *means);
    int n_least = INT32_MAX, n_most = 0;
    if (n == 0) return;
    qsort(s->latencies, n, sizeof *s->latencies, compare);
    for (int i = 0; i < n_clients; i++) {
        n_least = MIN(n_least, clients[i].n_done);
        n_most = MAX(n_most, clients[i].n_done);
        means[i] = clients[i].n_done > 0 ? clients[i].seconds / clients[i].n_done : 0;
    }
    qsort(means, (size_t)n_clients, sizeof *means, compare);
    printf("latency: median %.2f s, 95 %% %.2f s, 99 %% %.2f s, most %.2f s\n", s->latencies[n / 2],
           s->latencies[n * 95 / 100], s->latencies[n * 99 / 100], s->latencies[n - 1]);
    printf("clients: %d to %d replies each; mean latency of a client %.2f to %.2f s\n", n_least, n_most,
           means[0], means[n_clients - 1]);
    free(means);
}

/* The mean of the last quarter against that of the second: what grows for good shows, what warms up does not.
 */
static void judge_memory(struct soak *s) {
    const int quarter = s->n_rss / 4;
    if (quarter < 2) return;
    const double early = mean(s->rss + quarter, quarter), late = mean(s->rss + s->n_rss - quarter, quarter);
    printf("memory: first %.1f MB, second quarter %.1f MB, last quarter %.1f MB\n", s->rss[0] / 1e6,
           early / 1e6, late / 1e6);
    if (late > early * 1.1 + 4e6) {
        s->n_errors++;
        printf("ERROR memory goes on growing\n");
    }
}

static void run(struct soak *s, CURLM *multi, double seconds, int n_clients) {
    struct client *clients = mem_zalloc((size_t)n_clients, sizeof *clients);
    const double began = clock_seconds();
    int n_flying = 0;
    for (int i = 0; i < n_clients; i++) {
        clients[i].number = i;
        clients[i].easy = curl_easy_init();
        clients[i].headers = curl_slist_append(NULL, "Content-Type: application/json");
        ask(s, multi, &clients[i]);
        n_flying++;
    }
    while (n_flying > 0) {
        int running, n_left;
        const CURLMsg *m;
        const double now = clock_seconds() - began;
        curl_multi_perform(multi, &running);
        while ((m = curl_multi_info_read(multi, &n_left))) {
            struct client *c = NULL;
            if (m->msg != CURLMSG_DONE) continue;
            const CURLcode code = m->data.result;
            curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&c);
            curl_multi_remove_handle(multi, c->easy);
            look_at_reply(s, c, code);
            n_flying--;
            if (now >= seconds || s->n_errors > 1000) continue;
            ask(s, multi, c);
            n_flying++;
        }
        if (s->n_rss < SAMPLES_MAX && now >= seconds * s->n_rss / 60 && now < seconds) measure(s);
        curl_multi_poll(multi, NULL, 0, 200, NULL);
    }
    print_latencies(s, clients, n_clients);
    for (int i = 0; i < n_clients; i++) {
        curl_easy_cleanup(clients[i].easy);
        curl_slist_free_all(clients[i].headers);
        buf_free(&clients[i].reply);
        free(clients[i].body);
    }
    free(clients);
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: soak_clients ADDRESS SECONDS CLIENTS\n");
        return 2;
    }
    struct soak s = {.address = argv[1]};
    curl_global_init(CURL_GLOBAL_DEFAULT);
    CURLM *multi = curl_multi_init();
    run(&s, multi, strtod(argv[2], NULL), (int)strtol(argv[3], NULL, 10));
    judge_memory(&s);
    curl_multi_cleanup(multi);
    curl_global_cleanup();
    printf("replies:");
    for (int i = 0; i < KINDS; i++) printf("%s %d %s", i ? "," : "", s.n_done[i], kinds[i].name);
    printf("\n%d errors\n", s.n_errors);
    free(s.latencies);
    return s.n_errors > 0;
}
