/* base.h - the few macros that every file uses.
 *
 * ASSERT states an invariant: it stays on in release builds, prints where and what, and aborts. It is for
 * bugs, never for input.
 */
#ifndef BROOD_BASE_H
#define BROOD_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST                           __attribute__((warn_unused_result))
#define PRINTF_LIKE(i_format, i_first) __attribute__((format(printf, i_format, i_first)))
#define ARRAY_LEN(a)                   (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)                      ((a) < (b) ? (a) : (b))
#define MAX(a, b)                      ((a) > (b) ? (a) : (b))
#define UNUSED(x)                      ((void)(x))

#define ASSERT(cond) ((cond) ? (void)0 : base_assert_failed(#cond, __FILE__, __LINE__))

_Noreturn void base_assert_failed(const char *expression, const char *file, int line);

#endif
