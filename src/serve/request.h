/* request.h - what a client asks: the JSON body of /v1/chat/completions and /v1/completions, checked
 * (docs/serve.md has every field).
 *
 * Pure: bytes in, a struct or a refusal out. Ownership: everything in a request belongs to it. Threads: none.
 */
#ifndef BROOD_SERVE_REQUEST_H
#define BROOD_SERVE_REQUEST_H

#include "base/json.h"
#include "run/budget.h"

enum request_events { REQUEST_EVENTS_NONE, REQUEST_EVENTS_PROGRESS, REQUEST_EVENTS_TREE };

enum {
    REQUEST_MESSAGES_MAX = 1024,
    REQUEST_STOPS_MAX = 16,
    REQUEST_STOP_BYTES_MAX = 256,
    REQUEST_NAME_BYTES_MAX = 512, /* of model, strategy, user */
    REQUEST_CHOICES_MAX = 64,
};

/* Why a request is not done, as OpenAI's errors say it. */
struct refusal {
    int status;
    char param[64];   /* "": none */
    const char *code; /* static; NULL: none */
    struct err e;     /* the message */
};

struct request {
    bool is_chat, stream, include_usage, with_solutions;
    char *model, *strategy; /* as written; NULL: not given */
    char *user;             /* NULL: not given */
    char *system;           /* all system messages; NULL: none */
    char **turns;           /* [n_turns] before the text: user and assistant by turns */
    size_t n_turns, cap_turns;
    char *text; /* the last message, or the prompt */
    char *stops[REQUEST_STOPS_MAX];
    size_t n_stops;
    int n;                     /* choices */
    int n_tokens_max;          /* 0: not given */
    double temperature, top_p; /* NAN: not given */
    uint64_t seed;
    char *select, *aggregate, *confidence; /* NULL: not given */
    char *plan, *verify;                   /* names of what the server has; NULL: not given */
    char *line;     /* what the verifier is shown of the problem, as JSON; NULL: nothing */
    double samples; /* 0: not given */
    struct budget budget;
    double deadline; /* seconds from the arrival; 0: none */
    enum request_events events;
};

/* Free with request_fini in any case. */
MUST bool request_parse(struct request *r, bool is_chat, struct str body, struct refusal *why);
void request_fini(struct request *r);

/* Sets a refusal; always returns false. param NULL: none. */
bool refuse(struct refusal *why, int status, const char *param, const char *code, const char *format, ...)
    PRINTF_LIKE(5, 6);

#endif
