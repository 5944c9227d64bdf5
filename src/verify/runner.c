/* runner.c - the text of tell.py and runner.py, one behind the other, as they lie in the program. */
#include "verify/worker.h"

__asm__(".section .rodata\n"
        "brood_runner_begin: .incbin \"src/verify/tell.py\"\n"
        ".incbin \"src/verify/runner.py\"\n"
        "brood_runner_end: .byte 0\n"
        ".previous\n");
extern const char runner_begin[] __asm__("brood_runner_begin"), runner_end[] __asm__("brood_runner_end");

struct str worker_script(void) {
    return (struct str){runner_begin, (size_t)(runner_end - runner_begin)};
}
