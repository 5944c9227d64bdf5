/* Recorded samples: any file is refused in one line, or every sample of it is given, whole and step by step
 * alike. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "policy/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static bool run_one(struct policy *p, struct policy_prefix *from, int index, enum policy_until until,
                    struct policy_result *r) {
    struct err e = {0};
    policy_submit(p, &(struct policy_job){.from = from, .index = index, .until = until, .n_tokens_max = 1});
    ASSERT(policy_work(p, 0, &e) == 1 && policy_next(p, r));
    ASSERT((r->finish == POLICY_FAILED) == (r->prefix == NULL) && (r->prefix != NULL) != (r->why != NULL));
    return r->prefix != NULL;
}

/* What a job without a lead had written. */
static struct policy_prefix *extend(struct policy *p, struct policy_prefix *from, int index, struct str text,
                                    const int *tokens, int n_tokens, struct err *e) {
    const struct policy_piece piece = {.index = index, .text = text, .tokens = tokens, .n_tokens = n_tokens};
    return policy_extend(p, from, &piece, e);
}

/* The steps of one sample add up to `whole`. */
static void check_steps(struct policy *p, struct policy_prefix *root, int index, struct str whole) {
    struct buf steps = {0};
    struct policy_prefix *at = root;
    enum policy_finish finish = POLICY_STEP;
    for (int depth = 0; finish == POLICY_STEP; depth++) {
        struct policy_result r;
        struct err e = {0};
        ASSERT(run_one(p, at, depth ? 0 : index, POLICY_UNTIL_STEP, &r));
        ASSERT(r.finish != POLICY_STEP || str_trim(r.text).len > 0);
        buf_add_str(&steps, r.text);
        struct policy_prefix *resumed = extend(p, at, depth ? 0 : index, r.text, NULL, 0, &e);
        ASSERT(resumed);
        finish = r.finish;
        policy_release(p, r.prefix);
        if (at != root) policy_release(p, at);
        at = resumed;
    }
    ASSERT(str_equal(buf_str(&steps), whole));
    policy_release(p, at);
    buf_free(&steps);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    static const char *const ids[] = {"a", "1", "2", "0"};
    char spec[64];
    struct err e = {0};
    int fd = memfd_create("samples", 0);
    ASSERT(fd >= 0 && write(fd, bytes, n) == (ssize_t)n);
    snprintf(spec, sizeof spec, "replay:/proc/self/fd/%d", fd);
    struct policy *p = policy_open(spec, NULL, &e);
    if (!p) ASSERT(e.code == ERR_INPUT && e.msg[0] && !strchr(e.msg, '\n'));
    for (size_t i = 0; p && i < ARRAY_LEN(ids); i++) {
        struct policy_prefix *root = policy_root(p, &(struct policy_prompt){.id = ids[i], .text = "q"}, &e);
        struct policy_result r;
        for (int index = 0; root && index < 20 && run_one(p, root, index, POLICY_UNTIL_END, &r); index++) {
            char *whole = str_dup(r.text);
            check_steps(p, root, index, (struct str){whole, r.text.len});
            policy_release(p, r.prefix);
            free(whole);
        }
        policy_release(p, root);
    }
    policy_close(p);
    close(fd);
    return 0;
}
