/* err.h - operating errors: a code and one helpful line.
 *
 * A fallible function takes `struct err *e` last; e may not be NULL and lives on the caller's stack. It
 * returns false (or NULL) after err_set, which itself returns false so that `return err_set(e, ERR_INPUT,
 * "%s: not a model", path);` reads naturally. The message says what failed, on what (file, line), and what to
 * do; it has no newline.
 */
#ifndef BROOD_ERR_H
#define BROOD_ERR_H

#include "base/base.h"

enum err_code {
    ERR_NONE = 0,
    ERR_INPUT,     /* bad usage, file or text: the user can cure it            exit 2   */
    ERR_SERVICE,   /* a policy, reward model, verifier or disk failed for good exit 3   */
    ERR_CANCELLED, /* asked to stop                                            exit 130 */
};

struct err {
    enum err_code code;
    char msg[600];
};

/* Writes code and message; always returns false. What a terminal would not show as text (control characters,
 * ill-formed UTF-8) becomes '?'; a message that is too long is cut. Arguments may point into e->msg. */
bool err_set(struct err *e, enum err_code code, const char *format, ...) PRINTF_LIKE(3, 4);

/* Puts "prefix: " before the message of an error already set; always returns false. */
bool err_wrap(struct err *e, const char *format, ...) PRINTF_LIKE(2, 3);

/* The process exit status that belongs to a code (0, 2, 3, 130). */
int err_exit_status(enum err_code code);

#endif
