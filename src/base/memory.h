/* memory.h - how much memory this process may still take.
 *
 * The least of what the kernel calls available (MemAvailable) and what each control group on the way up
 * leaves (version 2: memory.max, version 1: memory.limit_in_bytes; file pages that it could drop count as
 * free), and of the address space that ulimit -v leaves. Memory that was reserved and is not touched yet
 * still looks free to the kernel: who reserves much says so with memory_claim, and it is subtracted.
 *
 * Threads: any; the claims are the one global, an atomic.
 */
#ifndef BROOD_MEMORY_H
#define BROOD_MEMORY_H

#include "base/base.h"

size_t memory_total(void);     /* of the machine, or of the control group if that is less */
size_t memory_available(void); /* less what is claimed and not touched; SIZE_MAX if nobody can tell */

void memory_claim(size_t n_bytes);
void memory_release(size_t n_bytes);

/* What the kernel and the groups leave, read from files under `root` ("" is the machine's own). For tests. */
size_t memory_available_in(const char *root);
size_t memory_total_in(const char *root);

#endif
