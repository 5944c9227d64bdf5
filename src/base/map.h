/* map.h - a hash table from byte strings to 32-bit values.
 *
 * Open addressing; keys are copied; nothing is ever removed singly. Several threads may read while none
 * writes.
 */
#ifndef BROOD_MAP_H
#define BROOD_MAP_H

#include "base/str.h"

struct map;
struct map *map_new(size_t n_expected);
void map_free(struct map *m);

/* False, with the map unchanged, if the key is there already. */
bool map_put(struct map *m, struct str key, uint32_t value);
bool map_get(const struct map *m, struct str key, uint32_t *value);
size_t map_count(const struct map *m);

#endif
