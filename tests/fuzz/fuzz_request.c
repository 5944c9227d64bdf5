/* fuzz_request.c - the body of a request to the server. */
#include <string.h>

#include "serve/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    for (int is_chat = 0; is_chat < 2; is_chat++) {
        struct request r;
        struct refusal why = {0};
        if (request_parse(&r, is_chat == 1, (struct str){(const char *)data, size}, &why)) {
            ASSERT(r.text && r.text[0] && r.n >= 1 && r.n <= REQUEST_CHOICES_MAX && r.n_turns % 2 == 0);
            ASSERT(r.n_stops <= REQUEST_STOPS_MAX && (is_chat || r.n_turns == 0));
            for (size_t i = 0; i < r.n_stops; i++) ASSERT(r.stops[i][0]);
        } else {
            ASSERT(why.status == 400 && why.e.msg[0]);
        }
        request_fini(&r);
    }
    return 0;
}
