/* verify_values.h - what brood verify was asked for, and its way with repositories. */
#ifndef BROOD_CLI_VERIFY_VALUES_H
#define BROOD_CLI_VERIFY_VALUES_H

#include "verify/verify.h"

struct verify_values {
    const char *python, *isolation, *out, *language, *repositories, *run, *container;
    double seconds;
    uint64_t memory_mib, n_workers, n_references;
    bool json;
};

MUST bool verify_parse_isolation(const char *name, enum verify_level *out, struct err *e);
/* Patches against a repository's tests: reads, runs, writes, prints. */
MUST bool verify_repository(const struct verify_values *values, const char *tasks, const char *samples,
                            struct err *e);

#endif
