/* budget.c - grants in order, credits in order. */
#include "run/budget.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

bool budget_parse(struct budget *b, const char *text, struct err *e) {
    const struct {
        const char *name;
        double *value;
    } keys[] = {
        {"samples", &b->samples}, {"tokens", &b->tokens}, {"flops", &b->flops}, {"seconds", &b->seconds}};
    for (const char *p = text; *p;) {
        const size_t n = strcspn(p, "="), n_item = strcspn(p, ",");
        size_t i = 0;
        while (i < ARRAY_LEN(keys) && !str_equal((struct str){p, n}, str_from(keys[i].name))) i++;
        if (i == ARRAY_LEN(keys) || n >= n_item) {
            return err_set(e, ERR_INPUT,
                           "budget \"%.*s\" is not understood: give samples=, tokens=, flops= or seconds=",
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

void ledger_init(struct ledger *l, const struct budget *b) {
    *l = (struct ledger){.budget = *b};
}

void ledger_fini(struct ledger *l) {
    free(l->entries);
    *l = (struct ledger){0};
}

void ledger_charge(struct ledger *l, double flops) {
    l->spent_flops += flops;
}

static double room(double budget, double spent, double reserved, double unit) {
    if (budget <= 0 || unit <= 0) return INFINITY;
    return floor((budget - spent - reserved) / unit);
}

int ledger_grant(struct ledger *l, int n_tokens_wanted, double flops_per_token, size_t *entry) {
    ASSERT(n_tokens_wanted > 0);
    const double n = fmin(room(l->budget.tokens, l->spent_tokens, l->reserved_tokens, 1),
                          room(l->budget.flops, l->spent_flops, l->reserved_flops, flops_per_token));
    if (n < n_tokens_wanted && l->n_settled < l->n_entries) return BUDGET_WAIT;
    /* What is left is worth granting if it would do for a job like those before: else it makes a stub. */
    const double usual = l->n_entries ? l->spent_tokens / (double)l->n_entries : 1;
    if (n < n_tokens_wanted && n < fmax(1, usual)) return BUDGET_SPENT;
    const int granted = n < n_tokens_wanted ? (int)n : n_tokens_wanted;
    MEM_GROW(l->entries, l->cap, l->n_entries + 1);
    *entry = l->n_entries++;
    l->entries[*entry] = (struct ledger_entry){.tokens = granted, .flops = granted * flops_per_token};
    l->reserved_tokens += granted;
    l->reserved_flops += granted * flops_per_token;
    return granted;
}

/* Moves what is settled in front from reserved to spent. */
static void advance(struct ledger *l) {
    while (l->n_settled < l->n_entries && l->entries[l->n_settled].settled) {
        l->spent_tokens += l->entries[l->n_settled].tokens;
        l->spent_flops += l->entries[l->n_settled].flops;
        l->n_settled++;
    }
    l->reserved_tokens = l->reserved_flops = 0;
    for (size_t i = l->n_settled; i < l->n_entries; i++) { /* summed anew: no drift */
        l->reserved_tokens += l->entries[i].tokens;
        l->reserved_flops += l->entries[i].flops;
    }
}

void ledger_settle(struct ledger *l, size_t entry, double tokens, double flops) {
    ASSERT(entry < l->n_entries);
    struct ledger_entry *x = &l->entries[entry];
    if (x->settled) return;
    *x = (struct ledger_entry){tokens, flops, 0, 0, true};
    if (l->budget.tokens > 0 || l->budget.flops > 0) advance(l);
}

void ledger_note(struct ledger *l, size_t entry, double tokens, double flops) {
    ASSERT(entry < l->n_entries && !l->entries[entry].settled);
    l->entries[entry].tokens = l->entries[entry].known_tokens = tokens;
    l->entries[entry].known_flops = flops;
    if (l->budget.tokens > 0 || l->budget.flops > 0) advance(l);
}

void ledger_settle_all(struct ledger *l) {
    for (size_t i = l->n_settled; i < l->n_entries; i++) {
        struct ledger_entry *x = &l->entries[i];
        if (!x->settled) *x = (struct ledger_entry){x->known_tokens, x->known_flops, 0, 0, true};
    }
    advance(l);
}
