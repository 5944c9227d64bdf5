/* budget.c - grants in order, credits in order. */
#include "run/budget.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

static const char *const unit_names[BUDGET_UNITS] = {
    [BUDGET_SAMPLES] = "samples", [BUDGET_TOKENS] = "tokens", [BUDGET_FLOPS] = "flops", [BUDGET_USD] = "usd"};

const char *budget_unit_name(enum budget_unit u) {
    ASSERT((unsigned)u < BUDGET_UNITS);
    return unit_names[u];
}

bool budget_parse(struct budget *b, const char *text, struct err *e) {
    const struct {
        const char *name;
        double *value;
    } keys[] = {{"samples", &b->samples},
                {"tokens", &b->tokens},
                {"flops", &b->flops},
                {"usd", &b->usd},
                {"seconds", &b->seconds}};
    for (const char *p = text; *p;) {
        const size_t n = strcspn(p, "="), n_item = strcspn(p, ",");
        size_t i = 0;
        while (i < ARRAY_LEN(keys) && !str_equal((struct str){p, n}, str_from(keys[i].name))) i++;
        if (i == ARRAY_LEN(keys) || n >= n_item) {
            return err_set(
                e, ERR_INPUT,
                "budget \"%.*s\" is not understood: give samples=, tokens=, flops=, usd= or seconds=",
                (int)n_item, p);
        }
        char *end;
        *keys[i].value = strtod(p + n + 1, &end);
        if (end != p + n_item || end == p + n + 1 || !(*keys[i].value > 0) || !isfinite(*keys[i].value)) {
            return err_set(e, ERR_INPUT, "budget \"%.*s\": give a positive number, as in %s=1000",
                           (int)n_item, p, keys[i].name);
        }
        p += n_item + (p[n_item] == ',');
    }
    return true;
}

double budget_limit(const struct budget *b, enum budget_unit u) {
    switch (u) {
    case BUDGET_SAMPLES:
        return b->samples;
    case BUDGET_TOKENS:
        return b->tokens;
    case BUDGET_FLOPS:
        return b->flops;
    case BUDGET_USD:
        return b->usd * 1e12;
    case BUDGET_UNITS:
        break;
    }
    ASSERT(!"a unit of no known kind");
    return 0;
}

bool budget_limits_cost(const struct budget *b) {
    return b->tokens > 0 || b->flops > 0 || b->usd > 0;
}

void spending_add(struct spending *sum, const struct spending *s) {
    for (int u = 0; u < BUDGET_UNITS; u++) sum->of[u] += s->of[u];
}

struct spending spending_of(const struct prices *p, const struct cost *policy, const struct cost *reward) {
    return (struct spending){{[BUDGET_TOKENS] = policy->tokens_generated,
                              [BUDGET_FLOPS] = policy->flops + reward->flops,
                              [BUDGET_USD] = prices_of(p, policy, reward)}};
}

void ledger_init(struct ledger *l, const struct budget *b) {
    *l = (struct ledger){.budget = *b};
}

void ledger_fini(struct ledger *l) {
    free(l->entries);
    *l = (struct ledger){0};
}

void ledger_charge(struct ledger *l, const struct spending *s) {
    spending_add(&l->spent, s);
}

/* Tokens of a job for which there is as much as this of one unit. */
static double room(double left, double once, double a_token) {
    if (left < once) return 0;
    return a_token > 0 ? floor((left - once) / a_token) : INFINITY;
}

int ledger_grant(struct ledger *l, int n_tokens_wanted, const struct ledger_worst *worst, size_t *entry) {
    ASSERT(n_tokens_wanted > 0);
    double n = n_tokens_wanted;
    for (int u = 0; u < BUDGET_UNITS; u++) {
        const double limit = budget_limit(&l->budget, (enum budget_unit)u);
        if (limit <= 0) continue;
        const double fits =
            room(limit - l->spent.of[u] - l->reserved.of[u], worst->once.of[u], worst->a_token.of[u]);
        if (fits < n) l->ran_out = (enum budget_unit)u;
        n = fmin(n, fits);
    }
    if (n < n_tokens_wanted && l->n_settled < l->n_entries) return BUDGET_WAIT;
    /* What is left is worth granting if it would do for a job like those before: else it makes a stub. */
    const double usual = l->n_entries ? l->spent.of[BUDGET_TOKENS] / (double)l->n_entries : 1;
    if (n < n_tokens_wanted && n < fmax(1, usual)) return BUDGET_SPENT;
    MEM_GROW(l->entries, l->cap, l->n_entries + 1);
    *entry = l->n_entries++;
    struct ledger_entry *x = &l->entries[*entry];
    *x = (struct ledger_entry){.cost = worst->once};
    for (int u = 0; u < BUDGET_UNITS; u++) x->cost.of[u] += n * worst->a_token.of[u];
    spending_add(&l->reserved, &x->cost);
    return (int)n;
}

/* Moves what is settled in front from reserved to spent. */
static void advance(struct ledger *l) {
    for (; l->n_settled < l->n_entries && l->entries[l->n_settled].settled; l->n_settled++)
        spending_add(&l->spent, &l->entries[l->n_settled].cost);
    l->reserved = (struct spending){0};
    for (size_t i = l->n_settled; i < l->n_entries; i++) /* summed anew: no drift */
        spending_add(&l->reserved, &l->entries[i].cost);
}

/* Without a limit nobody waits for the sums. */
static bool has_limit(const struct ledger *l) {
    return budget_limits_cost(&l->budget) || l->budget.samples > 0;
}

void ledger_settle(struct ledger *l, size_t entry, const struct spending *cost) {
    ASSERT(entry < l->n_entries);
    struct ledger_entry *x = &l->entries[entry];
    if (x->settled) return;
    *x = (struct ledger_entry){.cost = *cost, .settled = true};
    if (has_limit(l)) advance(l);
}

void ledger_note(struct ledger *l, size_t entry, const struct spending *known) {
    ASSERT(entry < l->n_entries && !l->entries[entry].settled);
    struct ledger_entry *x = &l->entries[entry];
    x->known = *known;
    x->cost.of[BUDGET_TOKENS] = known->of[BUDGET_TOKENS];
    x->cost.of[BUDGET_SAMPLES] = known->of[BUDGET_SAMPLES];
    if (has_limit(l)) advance(l);
}

void ledger_settle_all(struct ledger *l) {
    for (size_t i = l->n_settled; i < l->n_entries; i++) {
        struct ledger_entry *x = &l->entries[i];
        if (!x->settled) *x = (struct ledger_entry){.cost = x->known, .settled = true};
    }
    advance(l);
}
