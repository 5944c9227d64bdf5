/* fuzz_heuristic.c - rewards by rules over what a model wrote: one number from 0 to 1 a step, at once as in
 * two parts. The input's first line is the problem. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "reward/reward.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct reward *all;

static int score(struct reward_prefix *from, struct str text, struct reward_result *out) {
    struct err e;
    reward_submit(all, &(struct reward_job){.id = 1, .from = from, .text = text});
    ASSERT(reward_work(all, 0, &e) == 1 && reward_next(all, out));
    for (int i = 0; i < out->n_rewards; i++) ASSERT(out->rewards[i] >= 0 && out->rewards[i] <= 1);
    return out->n_rewards;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct err e;
    struct reward_result whole, part;
    if (!all) all = reward_open("heuristic:format+repetition+short+complex+arithmetic+grounded", NULL, &e);
    if (size > 4096) return 0;
    const char *bytes = (const char *)data, *line = memchr(bytes, '\n', size);
    const size_t n_problem = line ? (size_t)(line - bytes) : 0;
    char *problem = str_dup((struct str){bytes, n_problem});
    const struct str text = {bytes + n_problem, size - n_problem};
    struct reward_prefix *root = reward_root(all, problem, &e);
    const int n = score(root, text, &whole);
    const float last = n > 0 ? whole.rewards[n - 1] : 0;
    reward_release(all, whole.prefix);
    const ptrdiff_t cut = str_find(text, STR("\n\n"));
    if (cut >= 0) {
        const size_t n_first = (size_t)cut + 2;
        struct reward_prefix *at = reward_extend(all, root, (struct str){text.ptr, n_first}, &e);
        const int n_rest = score(at, (struct str){text.ptr + n_first, text.len - n_first}, &part);
        ASSERT(n_rest <= n && (n_rest == 0 || part.rewards[n_rest - 1] == last));
        reward_release(all, part.prefix);
        reward_release(all, at);
    }
    reward_release(all, root);
    free(problem);
    return 0;
}
