/* safetensors_parse: what is accepted lies within the file, fills it without overlap, and can be read. */
#include "model/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    struct weights w = {0};
    struct err e = {0};
    if (safetensors_parse(bytes, n, "fuzz", &w, &e) && weights_finish(&w, "fuzz", &e)) {
        size_t n_data = 0;
        unsigned sum = 0;
        for (size_t i = 0; i < w.n_tensors; i++) {
            const struct tensor *t = &w.tensors[i];
            const unsigned char *data = t->data;
            ASSERT(data >= bytes && t->n_bytes <= n && data + t->n_bytes <= bytes + n);
            ASSERT(weights_find(w.tensors, w.n_tensors, t->name) == t);
            for (size_t k = 0; k < t->n_bytes; k++) sum += data[k];
            n_data += t->n_bytes;
        }
        ASSERT(n_data <= n && sum < UINT32_MAX);
    } else {
        ASSERT(e.code == ERR_INPUT && e.msg[0]);
    }
    weights_fini(&w);
    return 0;
}
