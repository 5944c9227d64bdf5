/* repository_read.h - names of tests, as lists have them and as reports print them (inside the room). */
#ifndef BROOD_REPOSITORY_READ_H
#define BROOD_REPOSITORY_READ_H

#include "verify/repository.h"

/* Both names of unittest, "name (module.Class)" and "module.Class.name", are one; pytest's are "path::name".
 */
char *repository_test_argument(const char *name); /* as a command takes it; owned */
/* Whether a report says by name that the test passed, and never that it did not. */
bool repository_test_passed(struct str report, const char *name);
bool repository_test_lies_in(const char *name, struct str path);

#endif
