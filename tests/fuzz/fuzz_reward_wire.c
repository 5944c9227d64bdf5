/* What servers answer to requests for rewards: rewards in [0,1], or a refusal. */
#include "reward/ways.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct err e;
    int ids[5] = {1, 2, 3, 4, 5};
    const size_t ends[2] = {2, 4};
    json_t *answer = json_parse((struct str){(const char *)data, size}, "fuzz", &e);
    for (int way = WAY_POOLING; answer && way <= WAY_JUDGE; way++) {
        for (int server = WAY_VLLM; server <= WAY_IK; server++) {
            float rewards[2] = {0, 0};
            struct ways_answer out = {.rewards = rewards};
            const struct ways_ask asked = {
                .way = (enum way)way,
                .server = (enum way_server)server,
                .ids = {ids, 5, 5},
                .ends = ends,
                .n = way == WAY_POOLING || way == WAY_SCORE || way == WAY_RERANK ? 2 : 1,
                .n_steps = 2,
                .good = 1,
                .bad = 2};
            if (!ways_take(&asked, answer, &out, &e)) continue;
            for (int i = 0; i < asked.n; i++) ASSERT(rewards[i] >= 0 && rewards[i] <= 1);
            ASSERT(out.n_tokens >= 0 && out.n_written >= 0);
        }
    }
    json_decref(answer);
    return 0;
}
