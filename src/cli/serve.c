/* serve.c - brood serve: the bundled or other models behind OpenAI's interface. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "search/search.h"
#include "serve/serve.h"

struct serve_values {
    const char *policy, *reward, *strategy, *system, *chat, *host, *key_file, *runs, *weights,
        *reward_weights, *kv;
    uint64_t n_threads, port, n_active, n_queue, n_connections, body_bytes, n_samples, n_tokens;
    double seconds, drain;
    const char *prices;
    struct option_list plans, verifiers;
    bool no_key;
};

#define FIELD(name) offsetof(struct serve_values, name)

static const struct option serve_options[] = {
    {"host", 0, OPTION_TEXT, FIELD(host), "ADDRESS",
     "where to listen (default 127.0.0.1: this machine alone)", 0, 0},
    {"port", 0, OPTION_COUNT, FIELD(port), "N", "its port, 0 for any free one (default 8080)", 0, 65535},
    {"policy", 0, OPTION_TEXT, FIELD(policy), "SPEC", "who writes the solutions (default lab:small)", 0, 0},
    {"reward", 0, OPTION_TEXT, FIELD(reward), "SPEC",
     "who scores their steps, or none (default lab:prm with the default policy, else none)", 0, 0},
    {"strategy", 0, OPTION_TEXT, FIELD(strategy), "STRATEGY",
     "how the search goes where a request does not say (default sample): see strategies", 0, 0},
    {"plan", 0, OPTION_LIST, FIELD(plans), "NAME=FILE",
     "a plan, as 'brood plan' writes it, that requests may name for the strategy adaptive; may come again", 0,
     0},
    {"verify", 0, OPTION_LIST, FIELD(verifiers), "NAME=SPEC",
     "a verifier that requests may name, as in --verify code=tests: see docs/verifiers.md; may come again", 0,
     0},
    {"prices", 0, OPTION_TEXT, FIELD(prices), "PRICES",
     "dollars a million tokens: policy_input=X,policy_output=X,reward_input=X, or a JSON file "
     "(docs/costs.md); replies then say what they cost, and requests may have a budget in dollars",
     0, 0},
    {"system", 0, OPTION_TEXT, FIELD(system), "TEXT", "system message of requests that have none", 0, 0},
    {"chat", 0, OPTION_TEXT, FIELD(chat), "NAME", "chat format, if not the policy's own", 0, 0},
    {"weights", 0, OPTION_TEXT, FIELD(weights), "TYPE",
     "quantise the policy's and the reward model's weights when they are loaded, once (a cache keeps them): "
     "q8_0, q5_1, q5_0, q4_1 or q4_0; bf16: round them and the inputs of products to BF16; file: as they are "
     "(default file)",
     0, 0},
    {"reward-weights", 0, OPTION_TEXT, FIELD(reward_weights), "TYPE", "the reward model's, if others", 0, 0},
    {"kv", 0, OPTION_TEXT, FIELD(kv), "TYPE",
     "how keys and values are kept: f16, f32 or auto (default auto: f16 where weights are quantised or bf16, "
     "else f32)",
     0, 0},
    {"threads", 0, OPTION_COUNT, FIELD(n_threads), "N", "cores to use (default all)", 1, 256},
    {"key-file", 0, OPTION_TEXT, FIELD(key_file), "F",
     "keys that clients send (Authorization: Bearer KEY), one a line; one more in $BROOD_SERVE_KEY "
     "(default: everybody on this machine may ask)",
     0, 0},
    {"no-key", 0, OPTION_FLAG, FIELD(no_key), NULL, "other machines may ask without a key, too", 0, 0},
    {"runs", 0, OPTION_TEXT, FIELD(runs), "DIR", "runs (*.brood) that the page shows (default none)", 0, 0},
    {"active", 0, OPTION_COUNT, FIELD(n_active), "N", "searches at once (default 32)", 1, 1024},
    {"queue", 0, OPTION_COUNT, FIELD(n_queue), "N",
     "requests that may wait beside; more are told to come back later, 429 (default 256)", 0, 100000},
    {"connections", 0, OPTION_COUNT, FIELD(n_connections), "N", "open at once (default 1024)", 1, 10000},
    {"max-body", 0, OPTION_COUNT, FIELD(body_bytes), "BYTES", "largest request (default 1048576)", 1024,
     1 << 28},
    {"max-samples", 0, OPTION_COUNT, FIELD(n_samples), "N",
     "largest n of a request's strategy (default 1024)", 1, 100000},
    {"max-tokens", 0, OPTION_COUNT, FIELD(n_tokens), "N",
     "longest solution that may be asked for (default 4096)", 1, 1 << 24},
    {"max-seconds", 0, OPTION_REAL, FIELD(seconds), "S", "longest search (default 600)", 0.001, 1e6},
    {"drain", 0, OPTION_REAL, FIELD(drain), "S",
     "after Ctrl-C, how long what is at work may go on before it is answered with what there is (default 30)",
     0, 1e6},
};

static void stop(void *serve) {
    serve_stop(serve);
}

static bool check(const struct serve_values *v, struct err *e) {
    struct search_spec spec;
    if (v->strategy && !search_spec_parse(&spec, v->strategy, e)) return err_wrap(e, "--strategy");
    if (v->runs && !file_is_dir(v->runs))
        return err_set(e, ERR_INPUT, "--runs %.200s: there is no such folder", v->runs);
    return true;
}

static struct serve_options options_of(const struct serve_values *v) {
    const char *policy = v->policy ? v->policy : "lab:small";
    const char *reward = v->reward ? v->reward : v->policy ? NULL : "lab:prm";
    if (reward && strcmp(reward, "none") == 0) reward = NULL;
    return (struct serve_options){.policy = policy,
                                  .reward = reward,
                                  .strategy = v->strategy,
                                  .system = v->system,
                                  .chat = v->chat,
                                  .weights = v->weights,
                                  .reward_weights = v->reward_weights ? v->reward_weights : v->weights,
                                  .kv = v->kv,
                                  .n_threads = (int)v->n_threads,
                                  .host = v->host,
                                  .port = (int)v->port,
                                  .key_file = v->key_file,
                                  .key = getenv("BROOD_SERVE_KEY"),
                                  .no_key = v->no_key,
                                  .runs = v->runs,
                                  .plans = v->plans.items,
                                  .n_plans = v->plans.n,
                                  .verifiers = v->verifiers.items,
                                  .n_verifiers = v->verifiers.n,
                                  .prices = v->prices,
                                  .n_active_max = (int)v->n_active,
                                  .n_queue_max = (int)v->n_queue,
                                  .n_connections_max = (int)v->n_connections,
                                  .body_bytes_max = (size_t)v->body_bytes,
                                  .n_samples_max = (int)v->n_samples,
                                  .n_tokens_max = (int)v->n_tokens,
                                  .seconds_max = v->seconds,
                                  .drain_seconds = v->drain,
                                  .retry_seconds = 10};
}

static int serve_command(const struct command_line *line, struct err *e) {
    const struct serve_values *v = line->values;
    if (!check(v, e)) return -1;
    const struct serve_options options = options_of(v);
    signal(SIGPIPE, SIG_IGN);
    struct serve *s = serve_open(&options, e);
    if (!s) return -1;
    printf("%s\n", serve_address(s));
    fflush(stdout);
    interrupt_catch(stop, s);
    serve_run(s);
    interrupt_release();
    serve_close(s);
    return 0;
}

static const char *const serve_examples[] = {
    "brood serve --strategy beam:n=16 --runs .",
    "http://127.0.0.1:8080/ for people, http://127.0.0.1:8080/v1 for OpenAI's clients",
    "brood serve --policy ./Qwen2.5-0.5B-Instruct --host 0.0.0.0 --key-file keys",
    "another model, for other machines, who need one of the keys",
    "brood serve --policy lab:code --reward none --verify code=tests --prices policy_output=0.6",
    "requests may have their solutions verified (brood.verify: code), and are told what they cost",
    NULL,
};

const struct command command_serve = {
    .name = "serve",
    .arguments = "",
    .summary = "answer the clients of OpenAI's interface, all in one batch, and a page at /",
    .about =
        "The address is printed when the models are ready. docs/serve.md has the requests, the replies and "
        "the events of a search. Every request may choose its strategy, by the model's name "
        "(brood/beam:n=16) or an object 'brood'.\n"
        "Ctrl-C takes no new requests and ends when those at work are done; a second one ends at once.",
    .examples = serve_examples,
    .options = serve_options,
    .n_options = (int)ARRAY_LEN(serve_options),
    .lists_strategies = true,
    .defaults = &(const struct serve_values){.host = "127.0.0.1",
                                             .port = 8080,
                                             .n_active = 32,
                                             .n_queue = 256,
                                             .n_connections = 1024,
                                             .body_bytes = 1 << 20,
                                             .n_samples = 1024,
                                             .n_tokens = 4096,
                                             .seconds = 600,
                                             .drain = 30},
    .values_bytes = sizeof(struct serve_values),
    .run = serve_command,
};
