/* mem.h - heap memory that never fails quietly: out of memory prints a line and ends the program, status 3.
 *
 * Sizes that come from foreign bytes must be bounded by the caller first. Multiplications here are checked.
 */
#ifndef BROOD_MEM_H
#define BROOD_MEM_H

#include "base/base.h"

void *mem_alloc(size_t n_bytes);                     /* uninitialised; n_bytes may be 0 */
void *mem_zalloc(size_t n_items, size_t item_bytes); /* zeroed */
void *mem_realloc(void *p, size_t n_items, size_t item_bytes);

/* Zeroed; free with free(). The alignment is a power of two >= 8. */
void *mem_alloc_aligned(size_t alignment, size_t n_bytes);

char *mem_strdup(const char *s);
void *mem_dup(const void *p, size_t n_bytes);

/* Grows array *p (items of item_bytes, capacity *cap) so that it holds at least n_items; doubles. */
#define MEM_GROW(p, cap, n_items) ((p) = mem_grow((p), &(cap), (n_items), sizeof *(p)))
void *mem_grow(void *p, size_t *cap, size_t n_items, size_t item_bytes);

#endif
