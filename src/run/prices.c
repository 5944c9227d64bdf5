/* prices.c - see prices.h. */
#include "run/prices.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"

static const struct price_key {
    const char *name, *service, *side;
    size_t at;
} price_keys[] = {
    {"policy_input", "policy", "input", offsetof(struct prices, policy_input)},
    {"policy_output", "policy", "output", offsetof(struct prices, policy_output)},
    {"reward_input", "reward", "input", offsetof(struct prices, reward_input)},
};

static bool set_price(struct prices *p, const struct price_key *key, double value, const char *where,
                      struct err *e) {
    const double millionths = value * 1e6;
    if (!(value >= 0 && value <= 1e6) || fabs(millionths - round(millionths)) > 1e-3)
        return err_set(e, ERR_INPUT,
                       "%s: %s is not a price: give dollars a million tokens, from 0 to 1000000, with at "
                       "most six decimals",
                       where, key->name);
    *(double *)((char *)p + key->at) = value;
    return true;
}

static bool check_any(const struct prices *p, const char *where, struct err *e) {
    return prices_are_given(p) ||
           err_set(e, ERR_INPUT,
                   "%s: no price above 0: give policy_input=, policy_output= or reward_input=, in dollars a "
                   "million tokens",
                   where);
}

static bool parse_keys(struct prices *p, const char *text, struct err *e) {
    for (const char *at = text; *at;) {
        const size_t n_item = strcspn(at, ","), n_key = strcspn(at, "=");
        size_t i = 0;
        while (i < ARRAY_LEN(price_keys) && !str_equal((struct str){at, n_key}, str_from(price_keys[i].name)))
            i++;
        if (i == ARRAY_LEN(price_keys) || n_key >= n_item)
            return err_set(e, ERR_INPUT,
                           "prices \"%.*s\": give policy_input=, policy_output= or reward_input=, in dollars "
                           "a million tokens, or a JSON file",
                           (int)MIN(n_item, 60), at);
        char *end;
        const double value = strtod(at + n_key + 1, &end);
        if (end != at + n_item || end == at + n_key + 1)
            return err_set(e, ERR_INPUT, "prices \"%.*s\": not a number", (int)MIN(n_item, 60), at);
        if (!set_price(p, &price_keys[i], value, "prices", e)) return false;
        at += n_item + (at[n_item] == ',');
    }
    return check_any(p, "prices", e);
}

/* One side of one service, e.g. "policy" "input". */
static bool take_side(struct prices *p, const char *service, const char *side, const json_t *value,
                      const char *where, struct err *e) {
    for (size_t i = 0; i < ARRAY_LEN(price_keys); i++) {
        const struct price_key *key = &price_keys[i];
        if (strcmp(key->service, service) != 0 || strcmp(key->side, side) != 0) continue;
        return set_price(p, key, json_is_number(value) ? json_number_value(value) : -1, where, e);
    }
    return err_set(e, ERR_INPUT,
                   "%s: nothing is called \"%.40s\" \"%.40s\" in a table of prices: it has policy input, "
                   "policy output and reward input",
                   where, service, side);
}

bool prices_parse_json(struct prices *p, struct str json, const char *where, struct err *e) {
    const char *service, *side;
    json_t *table, *value;
    *p = (struct prices){0};
    json_t *o = json_parse(json, where, e);
    bool ok = o != NULL;
    if (o && !json_is_object(o))
        ok = err_set(e, ERR_INPUT, "%s: a table of prices is a JSON object, see docs/costs.md", where);
    json_object_foreach(o, service, table) {
        if (ok && !json_is_object(table))
            ok = err_set(e, ERR_INPUT, "%s: \"%.40s\" is no object of prices, see docs/costs.md", where,
                         service);
        json_object_foreach(table, side, value) ok = ok && take_side(p, service, side, value, where, e);
    }
    json_decref(o);
    return ok && check_any(p, where, e);
}

bool prices_parse(struct prices *p, const char *text, struct err *e) {
    *p = (struct prices){0};
    if (strchr(text, '=') && !file_exists(text)) return parse_keys(p, text, e);
    struct buf bytes = {0};
    const bool ok =
        file_read(text, PRICES_FILE_BYTES_MAX, &bytes, e) && prices_parse_json(p, buf_str(&bytes), text, e);
    buf_free(&bytes);
    return ok;
}

/* A row of a table by models: {"input": 0.1, "output": 0.4}. */
static bool take_model(struct prices *p, const char *service, const json_t *models, const char *name,
                       const char *where, struct err *e) {
    const char *side;
    json_t *value, *row = json_object_get(models, name);
    if (!json_is_object(row))
        return err_set(e, ERR_INPUT, "%s: no prices of %s: add \"%s\": {\"input\": ..., \"output\": ...}",
                       where, name, name);
    json_object_foreach(row, side, value) {
        if (strcmp(service, "reward") == 0 && strcmp(side, "output") == 0) continue; /* it writes nothing */
        if (!take_side(p, service, side, value, where, e)) return false;
    }
    return true;
}

bool prices_parse_json_for(struct prices *p, struct str json, const char *where, const char *policy,
                           const char *reward, struct err *e) {
    struct err ignored;
    json_t *o = json_parse(json, where, &ignored);
    const bool by_models =
        json_is_object(o) && !json_object_get(o, "policy") && !json_object_get(o, "reward");
    bool ok;
    *p = (struct prices){0};
    if (by_models)
        ok = take_model(p, "policy", o, policy, where, e) &&
             (!reward || take_model(p, "reward", o, reward, where, e));
    else
        ok = prices_parse_json(p, json, where, e);
    json_decref(o);
    return ok;
}

bool prices_parse_for(struct prices *p, const char *text, const char *policy, const char *reward,
                      struct err *e) {
    if (strchr(text, '=') && !file_exists(text)) return prices_parse(p, text, e);
    struct buf bytes = {0};
    const bool ok = file_read(text, PRICES_FILE_BYTES_MAX, &bytes, e) &&
                    prices_parse_json_for(p, buf_str(&bytes), text, policy, reward, e);
    buf_free(&bytes);
    return ok;
}

bool prices_are_given(const struct prices *p) {
    return p->policy_input > 0 || p->policy_output > 0 || p->reward_input > 0;
}

double prices_unit(double dollars_a_million) {
    return round(dollars_a_million * 1e6);
}

double prices_of(const struct prices *p, const struct cost *policy, const struct cost *reward) {
    return prices_unit(p->policy_input) * policy->tokens_read +
           prices_unit(p->policy_output) * policy->tokens_generated +
           prices_unit(p->reward_input) * reward->tokens_read;
}

double prices_dollars(double units) {
    return units * 1e-12;
}
