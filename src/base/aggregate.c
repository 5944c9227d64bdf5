/* aggregate.c - see aggregate.h. */
#include "base/aggregate.h"

#include <math.h>
#include <string.h>

const char *const aggregate_names[AGGREGATES + 1] = {"last", "min", "prod", "mean", NULL};

double aggregate_of(enum aggregate a, const float *rewards, int n_rewards) {
    ASSERT((unsigned)a < AGGREGATES);
    if (n_rewards <= 0) return NAN;
    double least = rewards[0], product = 1, sum = 0;
    for (int i = 0; i < n_rewards; i++) {
        least = MIN(least, (double)rewards[i]);
        product *= (double)rewards[i];
        sum += (double)rewards[i];
    }
    switch (a) {
    case AGGREGATE_LAST:
        return rewards[n_rewards - 1];
    case AGGREGATE_MIN:
        return least;
    case AGGREGATE_PROD:
        return product;
    case AGGREGATE_MEAN:
        return sum / n_rewards;
    case AGGREGATES:
        break;
    }
    return NAN;
}

bool aggregate_parse(const char *name, enum aggregate *out, struct err *e) {
    for (int a = 0; a < AGGREGATES; a++) {
        if (strcmp(name, aggregate_names[a]) == 0) {
            *out = (enum aggregate)a;
            return true;
        }
    }
    return err_set(e, ERR_INPUT, "'%s' is no aggregate: use last, min, prod or mean", name);
}
