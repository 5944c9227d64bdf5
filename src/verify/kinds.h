/* kinds.h - inside the room: what the kinds of verifier share, and how verifier.c opens each. */
#ifndef BROOD_VERIFY_KINDS_H
#define BROOD_VERIFY_KINDS_H

#include "base/json.h"
#include "verify/verifier.h"

/* ---- KIND[,key=value...][:REST] ---- */

enum settings_key {
    SETTING_SECONDS,   /* of one solution, by the clock */
    SETTING_CPU,       /* of one program, CPU time */
    SETTING_MEMORY,    /* MiB of a process */
    SETTING_WORKERS,   /* at once */
    SETTING_SANDBOX,   /* on, off */
    SETTING_ISOLATION, /* namespaces, filtered */
    SETTING_ACCEPT,    /* json, exit */
    SETTING_SUFFIX,    /* of the file with the solution */
    SETTING_ENTRY,     /* name of the function that tests call */
    SETTING_BATCH,     /* solutions in one message */
    SETTING_RUNS,      /* solutions before a worker is started anew */
    SETTING_READ,      /* a path that may be read; may come again */
    SETTING_SHOW,      /* given, none: which tests feedback may quote */
    SETTING_LANGUAGE,  /* of programs that print, as verify_language_parse takes it */
    SETTING_CLONES,    /* the folder where clones of repositories lie */
    SETTINGS,
};

enum { SETTINGS_READ_MAX = 8 };

struct settings {
    double seconds, cpu;
    int memory_mib, n_workers, batch, runs;
    bool sandbox;
    const char *isolation, *accept, *suffix, *entry, *language, *clones, *show; /* NULL: not said. Owned */
    const char *read[SETTINGS_READ_MAX];                                        /* [n_read] owned */
    int n_read;
    const char *rest; /* behind the colon; NULL: there is none. Owned */
};

void settings_copy(struct settings *to, const struct settings *from);
void settings_fini(struct settings *s);

typedef struct verifier *verifier_open_kind(const struct settings *s, const struct verifier_options *o,
                                            struct err *e);
verifier_open_kind verifier_open_tests, verifier_open_toy, verifier_open_command, verifier_open_worker,
    verifier_open_coq, verifier_open_smt, verifier_open_lean, verifier_open_patch;

/* ---- what a kind implements ---- */
struct verifier_ops {
    void (*close)(struct verifier *v);
    void (*submit)(struct verifier *v, const struct verifier_job *job);
    void (*cancel)(struct verifier *v, uint64_t id);
    int (*work)(struct verifier *v, double seconds_max, struct err *e);
    bool (*next)(struct verifier *v, struct verifier_result *out);
    int (*in_flight)(const struct verifier *v);
};

struct verifier { /* first member of every kind's own struct */
    const struct verifier_ops *ops;
    char *name; /* the spec, owned by verifier.c; info.name */
    struct verifier_info info;
};

void verifier_set_identity(struct verifier *v, uint64_t hash);

/* ---- answers that wait to be taken ---- */
struct verdict_answer {
    struct verifier_result result;
    char *feedback; /* owned */
};

struct verdict_queue {
    struct verdict_answer *items; /* [n], the first i_next are taken */
    size_t i_next, n, cap;
    char *taken; /* feedback of the last one */
};

/* Feedback is copied, made UTF-8 and cut at VERIFIER_FEEDBACK_MAX. */
void verdict_queue_add(struct verdict_queue *q, const struct verifier_result *r, struct str feedback);
bool verdict_queue_next(struct verdict_queue *q, struct verifier_result *out);
bool verdict_queue_cancel(struct verdict_queue *q, uint64_t id); /* whether it was there */
size_t verdict_queue_length(const struct verdict_queue *q);
void verdict_queue_free(struct verdict_queue *q);

#endif
