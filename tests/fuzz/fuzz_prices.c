/* fuzz_prices.c - a table of prices, as keys or as a file. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "run/prices.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct prices p;
    struct err e;
    const struct str text = {(const char *)data, size};
    if (size > PRICES_FILE_BYTES_MAX) return 0;
    if (prices_parse_json(&p, text, "prices.json", &e))
        ASSERT(prices_are_given(&p) && prices_unit(p.policy_input) >= 0);
    if (prices_parse_json_for(&p, text, "prices.json", "a", "b", &e))
        ASSERT(prices_are_given(&p) || p.policy_input == 0);
    char *copy = str_dup(text);
    if (strchr(copy, '=') && prices_parse(&p, copy, &e)) ASSERT(prices_are_given(&p));
    free(copy);
    return 0;
}
