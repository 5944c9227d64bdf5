/* verify_values.h - what brood verify was asked for, and its way with repositories. */
#ifndef BROOD_CLI_VERIFY_VALUES_H
#define BROOD_CLI_VERIFY_VALUES_H

#include "verify/verify.h"

struct verify_values {
    const char *python, *isolation, *out, *language, *repositories, *run, *container, *keep;
    double seconds;
    uint64_t memory_mib, n_workers, n_references;
    bool json;
};

MUST bool verify_parse_isolation(const char *name, enum verify_level *out, struct err *e);
/* Writes --keep's file and says how much of the task is in it. */
MUST bool verify_keep(const struct verify_values *values, struct str kept, int n_kept, int n_all,
                      struct err *e);
/* Patches against a repository's tests: reads, runs, writes, prints. samples may be NULL with --keep. */
MUST bool verify_repository(const struct verify_values *values, const char *tasks, const char *samples,
                            struct err *e);

#endif
