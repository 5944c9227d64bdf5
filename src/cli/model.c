/* model.c - brood model: what a model is. */
#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/share.h"
#include "cli/commands.h"
#include "base/format.h"
#include "engine/plan.h"
#include "model/quantise.h"
#include "hub/hub.h"
#include "policy/policy.h"
#include "reward/reward.h"

struct model_values {
    bool json;
    const char *weights, *kv;
};

struct numbers {
    double bytes, parameters, flops_per_token, flops_per_position, cache_bytes_per_token;
};

static const char profile_key[] = ",profile=";

/* A path, or where the bundled or pulled model lies, without a profile's name behind it. Owned. */
static char *path_of(const char *whole, struct err *e) {
    const char *end = strstr(whole, profile_key);
    char *spec = str_dup((struct str){whole, end ? (size_t)(end - whole) : strlen(whole)});
    char *path = NULL;
    if (strncmp(spec, HUB_PREFIX, strlen(HUB_PREFIX)) == 0) {
        path = hub_find(spec, e);
    } else if (strncmp(spec, "lab:", 4) == 0) {
        struct buf name = {0};
        buf_printf(&name, "models/%s", spec + 4);
        path = share_path(buf_cstr(&name), e);
        buf_free(&name);
    } else {
        path = mem_strdup(spec);
    }
    free(spec);
    return path;
}

static struct numbers count(const struct model *m) {
    const struct model_config *c = &m->config;
    struct numbers n = {.parameters = (double)model_parameters(m)};
    for (int i = 0; i < m->n_tensors; i++) n.bytes += (double)m->tensors[i].n_bytes;
    n.flops_per_token = model_flops_per_token(c, 0, c->n_head_outputs);
    n.flops_per_position = model_flops_per_token(c, 1, c->n_head_outputs) - n.flops_per_token;
    return n;
}

static const char *const readout_names[] = {
    [PRM_SOFTMAX_GOOD] = "softmax, good first", [PRM_SIGMOID] = "logistic"};
static const char *const rope_names[] = {
    [ROPE_DEFAULT] = "default", [ROPE_LONGROPE] = "longrope (short factors)",
    [ROPE_LINEAR] = "linear",   [ROPE_LLAMA3] = "llama3",
    [ROPE_YARN] = "yarn",       [ROPE_FACTORS] = "by a table of factors"};

/* ---- as text ---- */

/* A token's text, quoted as in C. */
/* A profile's text on one line. */
static void print_part(const char *name, const char *text) {
    if (!text[0]) return;
    printf("%13s%s ", "", name);
    for (; *text; text++) {
        if (*text == '\n')
            printf("\\n");
        else
            putchar(*text);
    }
    putchar('\n');
}

static void print_profile(const struct prm_profile *p) {
    print_part("reads  ", p->opening);
    print_part("first  ", p->first);
    print_part("next   ", p->next);
    print_part(p->aside ? "aside  " : "closing", p->closing);
}

static void print_token(const struct model *m, int token) {
    const struct str s = tokenizer_bytes(m->tokenizer, token);
    printf("%d \"", token);
    for (size_t i = 0; i < s.len; i++) {
        const unsigned char c = (unsigned char)s.ptr[i];
        if (c == '\n')
            printf("\\n");
        else if (c < 0x20 || c == '"' || c == '\\' || c == 0x7f)
            printf("\\x%02x", c);
        else
            putchar(c);
    }
    putchar('"');
}

static void print_sizes(const struct model *m, const struct numbers *n) {
    const struct model_config *c = &m->config;
    char a[FORMAT_MAX], b[FORMAT_MAX];
    printf("family       %s\n", c->family);
    printf("parameters   %s in %d tensors, %sB on disk\n", format_count(a, n->parameters), m->n_tensors,
           format_count(b, n->bytes));
    printf("shape        %d layers, width %d, %d heads of %d, %d key-value heads, feed-forward %d\n",
           c->n_layers, c->d_model, c->n_heads, c->head_width, c->n_kv_heads, c->d_ffn);
    printf("context      %d tokens, rotary positions %s, theta %g", c->n_context, rope_names[c->rope.kind],
           c->rope.theta);
    if (c->rope.factor != 1) printf(", scaled by %g", c->rope.factor);
    printf("%s\n", c->n_window ? "; it ends with the model's attention window" : "");
    printf("head         %s, %d outputs%s\n", c->head == MODEL_HEAD_LM ? "language model" : "classes",
           c->n_head_outputs,
           c->head == MODEL_HEAD_LM && c->tied_embeddings ? ", tied to the embeddings" : "");
    printf("work         %sFLOP a token, and %sFLOP for each position of context before it\n",
           format_count(a, n->flops_per_token), format_count(b, n->flops_per_position));
}

/* As what a tensor is computed with. */
static enum dtype held_type(const struct tensor *t) {
    return t->rounds_inputs ? DTYPE_BF16 : t->dtype;
}

/* "Q4_K (97), F32 (33)", most first. */
static void print_types(const struct model *m) {
    int counts[DTYPE_COUNT] = {0};
    bool rounds_inputs = false;
    for (int i = 0; i < m->n_tensors; i++) {
        counts[held_type(&m->tensors[i])]++;
        rounds_inputs |= m->tensors[i].rounds_inputs;
    }
    printf("weights      ");
    for (int n_printed = 0;; n_printed++) {
        int most = 0;
        for (int t = 1; t < DTYPE_COUNT; t++)
            if (counts[t] > counts[most]) most = t;
        if (counts[most] == 0) break;
        printf("%s%s (%d)", n_printed ? ", " : "", dtype_name((enum dtype)most), counts[most]);
        counts[most] = 0;
    }
    printf("%s\n", rounds_inputs ? "; inputs of products are rounded to BF16, too" : "");
}

static void print_memory(const struct numbers *n, const struct engine_plan *p) {
    char a[FORMAT_MAX], b[FORMAT_MAX], c[FORMAT_MAX];
    printf("memory       %sB of weights as they are computed with, %sB to work in, ",
           format_count(a, (double)p->weights), format_count(b, (double)p->work));
    printf("%sB of cache (%sB a token in %s)\n", format_count(a, (double)p->cache),
           format_count(b, n->cache_bytes_per_token), dtype_name(p->kv));
    if (p->available == SIZE_MAX) return;
    printf("             %sB in all; %sB are free: %s\n", format_count(a, (double)engine_plan_bytes(p)),
           format_count(c, (double)p->available),
           engine_plan_bytes(p) <= p->available ? "it fits" : "it does not fit");
}

static void print_text(const struct model *m, const struct numbers *n, const struct engine_plan *p) {
    print_sizes(m, n);
    print_types(m);
    print_memory(n, p);
    printf("tokenizer    %s, %d tokens\n", tokenizer_kind(m->tokenizer), tokenizer_count(m->tokenizer));
    const char *date = chat_date(m->chat);
    printf("chat format  %s%s%s\n", chat_name(m->chat), date ? ", dated " : "", date ? date : "");
    printf("ends with    ");
    for (int i = 0; i < m->n_end_tokens; i++) {
        printf("%s", i ? ", " : "");
        print_token(m, m->end_tokens[i]);
    }
    printf("%s\n", m->n_end_tokens ? "" : "nothing: it never ends by itself");
    printf("sampling     temperature %g, top_p %g, min_p %g, top_k %d (its own recommendation)\n",
           (double)m->sampling.temperature, (double)m->sampling.top_p, (double)m->sampling.min_p,
           m->sampling.top_k);
    if (m->prm.kind == PRM_NONE) {
        printf("step reward  none: %s\n", m->prm.why[0] ? m->prm.why : "it is a policy");
        return;
    }
    printf("step reward  %s: %s of output%s ", m->prm.name, readout_names[m->prm.readout],
           m->prm.n_outputs > 1 ? "s" : "");
    for (int i = 0; i < m->prm.n_outputs; i++)
        printf("%s%d", i == 0 ? "" : i + 1 < m->prm.n_outputs ? ", " : " and ", m->prm.outputs[i]);
    printf("; best used with %s\n", m->prm.aggregate);
    print_profile(&m->prm);
}

/* ---- as JSON ---- */

static json_t *prm_json(const struct model *m) {
    if (m->prm.kind == PRM_NONE) return json_null();
    json_t *outputs = json_array();
    for (int i = 0; i < m->prm.n_outputs; i++)
        json_array_append_new(outputs, json_integer(m->prm.outputs[i]));
    return json_pack("{s:s,s:s,s:o,s:s,s:s,s:s,s:s,s:b,s:b,s:s}", "profile", m->prm.name, "readout",
                     readout_names[m->prm.readout], "outputs", outputs, "opening", m->prm.opening, "first",
                     m->prm.first, "next", m->prm.next, "closing", m->prm.closing, "aside", m->prm.aside,
                     "one_line", m->prm.one_line, "aggregate", m->prm.aggregate);
}

static json_t *shape_json(const struct model_config *c) {
    return json_pack("{s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:s,s:i}", "layers", c->n_layers, "width", c->d_model,
                     "heads", c->n_heads, "head_width", c->head_width, "kv_heads", c->n_kv_heads,
                     "feed_forward", c->d_ffn, "vocabulary", c->n_vocab, "context", c->n_context, "head",
                     c->head == MODEL_HEAD_LM ? "lm" : "classes", "outputs", c->n_head_outputs);
}

static json_t *types_json(const struct model *m) {
    json_t *o = json_object();
    for (int t = 0; t < DTYPE_COUNT; t++) {
        int n = 0;
        for (int i = 0; i < m->n_tensors; i++) n += held_type(&m->tensors[i]) == (enum dtype)t;
        if (n) json_object_set_new(o, dtype_name((enum dtype)t), json_integer(n));
    }
    return o;
}

static json_t *memory_json(const struct engine_plan *p) {
    bool known = p->available != SIZE_MAX;
    return json_pack("{s:I,s:I,s:I,s:o,s:o}", "weights", (json_int_t)p->weights, "work", (json_int_t)p->work,
                     "cache", (json_int_t)p->cache, "available",
                     known ? json_integer((json_int_t)p->available) : json_null(), "fits",
                     known ? json_boolean(engine_plan_bytes(p) <= p->available) : json_null());
}

static void print_json(const struct model *m, const struct numbers *n, const struct engine_plan *p) {
    json_t *ends = json_array();
    for (int i = 0; i < m->n_end_tokens; i++) json_array_append_new(ends, json_integer(m->end_tokens[i]));
    json_t *o = json_object();
    json_object_set_new(o, "path", json_text(str_from(m->path)));
    json_object_set_new(o, "family", json_string(m->config.family));
    json_object_set_new(o, "parameters", json_real(n->parameters));
    json_object_set_new(o, "bytes", json_real(n->bytes));
    json_object_set_new(o, "shape", shape_json(&m->config));
    json_object_set_new(o, "flops_per_token", json_real(n->flops_per_token));
    json_object_set_new(o, "flops_per_position", json_real(n->flops_per_position));
    json_object_set_new(o, "cache_bytes_per_token", json_real(n->cache_bytes_per_token));
    json_object_set_new(o, "tensor_types", types_json(m));
    json_object_set_new(o, "memory", memory_json(p));
    json_object_set_new(o, "tokenizer",
                        json_pack("{s:s,s:i}", "kind", tokenizer_kind(m->tokenizer), "tokens",
                                  tokenizer_count(m->tokenizer)));
    json_object_set_new(o, "chat", json_string(chat_name(m->chat)));
    const char *date = chat_date(m->chat);
    json_object_set_new(o, "chat_date", date ? json_string(date) : json_null());
    json_object_set_new(o, "end_tokens", ends);
    json_object_set_new(o, "sampling",
                        json_pack("{s:f,s:f,s:f,s:i}", "temperature", (double)m->sampling.temperature,
                                  "top_p", (double)m->sampling.top_p, "min_p", (double)m->sampling.min_p,
                                  "top_k", m->sampling.top_k));
    json_object_set_new(o, "step_reward", prm_json(m));
    char *line = json_line(o);
    printf("%s\n", line);
    free(line);
    json_decref(o);
}

/* ---- behind a server ---- */

static int server_run(const char *spec, bool json, struct err *e) {
    struct policy *p = policy_open(spec, NULL, e);
    if (!p) return -1;
    const struct policy_info *info = policy_info(p);
    if (json) {
        json_t *o =
            json_pack("{s:o,s:s,s:s,s:i,s:b}", "path", json_text(str_from(info->name)), "kind", info->kind,
                      "talks", info->talks, "context", info->n_context, "steps", !info->whole_answers_only);
        char *line = json_line(o);
        printf("%s\n", line);
        free(line);
        json_decref(o);
    } else {
        printf("server       %s\n", info->name);
        printf("talks        %s\n", info->talks);
        if (info->n_context > 0) printf("context      %d tokens\n", info->n_context);
        printf("strategies   %s\n", info->whole_answers_only
                                        ? "of whole answers alone: sample, greedy; it gives no token ids to "
                                          "go on from"
                                        : "all");
    }
    policy_close(p);
    return 0;
}

static int served_reward_run(const char *spec, bool json, struct err *e) {
    struct reward *r = reward_open(spec, NULL, e);
    if (!r) return -1;
    const struct reward_info *info = reward_info(r);
    if (json) {
        json_t *o =
            json_pack("{s:o,s:s,s:s,s:i,s:s}", "path", json_text(str_from(info->name)), "kind", info->kind,
                      "talks", info->talks, "context", info->n_context, "aggregate", info->aggregate);
        char *line = json_line(o);
        printf("%s\n", line);
        free(line);
        json_decref(o);
    } else {
        printf("server       %s\n", info->name);
        printf("step reward  %s; best used with %s\n", info->talks, info->aggregate);
        if (info->n_context > 0) printf("context      %d tokens\n", info->n_context);
    }
    reward_close(r);
    return 0;
}

/* ---- the command ---- */

static int model_run(const struct command_line *line, struct err *e) {
    const struct model_values *v = line->values;
    if (strncmp(line->args[0], "http://", 7) == 0 || strncmp(line->args[0], "https://", 8) == 0) {
        if (v->weights && !err_set(e, ERR_INPUT, "--weights: not of a model behind a server")) return -1;
        if (v->kv && !err_set(e, ERR_INPUT, "--kv: not of a model behind a server")) return -1;
        return strstr(line->args[0], ",profile=") ? served_reward_run(line->args[0], v->json, e)
                                                  : server_run(line->args[0], v->json, e);
    }
    char *path = path_of(line->args[0], e);
    struct model *m = path ? model_open(path, e) : NULL;
    const char *profile = strstr(line->args[0], profile_key);
    free(path);
    if (!m) return -1;
    struct engine_options o = {0};
    if (!quantise_named(m, v->weights, 0, e) || !engine_kv_parse(v->kv, &o.kv, e)) {
        model_close(m);
        return -1;
    }
    if (profile && !prm_profile_named(m, profile + strlen(profile_key), &m->prm, e)) {
        model_close(m);
        return -1;
    }
    struct numbers n = count(m);
    const struct engine_plan plan = engine_plan_make(m, &o);
    n.cache_bytes_per_token = (double)plan.page_bytes / KV_PAGE;
    if (v->json)
        print_json(m, &n, &plan);
    else
        print_text(m, &n, &plan);
    model_close(m);
    return 0;
}

static const struct option model_options[] = {
    {"json", 0, OPTION_FLAG, offsetof(struct model_values, json), NULL, "one JSON object (docs/json.md)", 0,
     0},
    {"weights", 0, OPTION_TEXT, offsetof(struct model_values, weights), "TYPE",
     "with its weights so: q8_0, q5_1, q5_0, q4_1 or q4_0 (kept in the cache), bf16 or file", 0, 0},
    {"kv", 0, OPTION_TEXT, offsetof(struct model_values, kv), "TYPE",
     "how keys and values are kept: f16, f32 or auto (default auto: f16 where weights are quantised or bf16, "
     "else f32)",
     0, 0},
};

static const char *const model_examples[] = {
    "brood model lab:small",
    "the bundled small policy",
    "brood model models/Llama-3.2-1B-Instruct",
    "a Hugging Face folder",
    "brood model Qwen2.5-Math-1.5B-Instruct-Q4_K_M.gguf",
    "a GGUF file",
    "brood model models/Qwen2.5-1.5B-Instruct,profile=generative-judge",
    "what it would read as a reward model by this profile",
    "brood model http://127.0.0.1:8000/v1",
    "what a server can be used for (docs/servers.md)",
    "brood model http://127.0.0.1:8000/v1#NAME,profile=judge",
    "how a server is asked for rewards",
    NULL,
};

const struct command command_model = {
    .name = "model",
    .arguments = "PATH",
    .summary = "what a model is: family, size, memory, tokenizer, chat format, end tokens, FLOP a token",
    .about = "PATH is a Hugging Face folder, a GGUF file (the first of a split set, or a folder with one), "
             "lab:NAME, hf:OWNER/NAME (brood pull), or the URL of an OpenAI-compatible server up to /v1 (a "
             "reward model: with #NAME and ,profile=NAME behind it). A model that this build cannot run is "
             "refused by name.",
    .examples = model_examples,
    .options = model_options,
    .n_options = (int)ARRAY_LEN(model_options),
    .n_args_min = 1,
    .n_args_max = 1,
    .defaults = &(const struct model_values){0},
    .values_bytes = sizeof(struct model_values),
    .run = model_run,
};
