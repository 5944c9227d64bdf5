/* map.c - linear probing in a power-of-two table that is at most two thirds full; keys lie one after another
 * in one buffer. */
#include "base/map.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"

struct slot {
    uint64_t hash;
    size_t at_1; /* offset of the key in keys, plus 1; 0 = free */
    uint32_t len;
    uint32_t value;
};

struct map {
    struct slot *slots; /* [n_slots] */
    size_t n_slots, n_used;
    struct buf keys;
};

static size_t slots_for(size_t n_keys) {
    ASSERT(n_keys <= SIZE_MAX / 8 / sizeof(struct slot));
    size_t n = 16;
    while (n / 3 * 2 < n_keys) n *= 2;
    return n;
}

struct map *map_new(size_t n_expected) {
    struct map *m = mem_zalloc(1, sizeof *m);
    m->n_slots = slots_for(n_expected);
    m->slots = mem_zalloc(m->n_slots, sizeof *m->slots);
    return m;
}

void map_free(struct map *m) {
    if (!m) return;
    free(m->slots);
    buf_free(&m->keys);
    free(m);
}

/* The slot that holds key, or the free slot where it belongs. */
static struct slot *find(const struct map *m, struct str key, uint64_t hash) {
    for (size_t i = hash & (m->n_slots - 1);; i = (i + 1) & (m->n_slots - 1)) {
        struct slot *s = &m->slots[i];
        if (!s->at_1) return s;
        if (s->hash == hash && str_equal((struct str){m->keys.ptr + s->at_1 - 1, s->len}, key)) return s;
    }
}

static void grow(struct map *m) {
    size_t n_old = m->n_slots;
    struct slot *old = m->slots;
    m->n_slots = slots_for(n_old);
    m->slots = mem_zalloc(m->n_slots, sizeof *m->slots);
    for (size_t i = 0; i < n_old; i++) {
        if (!old[i].at_1) continue;
        size_t to = old[i].hash & (m->n_slots - 1);
        while (m->slots[to].at_1) to = (to + 1) & (m->n_slots - 1);
        m->slots[to] = old[i];
    }
    free(old);
}

bool map_put(struct map *m, struct str key, uint32_t value) {
    ASSERT(key.len <= UINT32_MAX);
    uint64_t hash = rng_hash(0, key.ptr, key.len);
    struct slot *s = find(m, key, hash);
    if (s->at_1) return false;
    if (m->n_used + 1 > m->n_slots / 3 * 2) {
        grow(m);
        s = find(m, key, hash);
    }
    *s = (struct slot){.hash = hash, .at_1 = m->keys.len + 1, .len = (uint32_t)key.len, .value = value};
    buf_add_str(&m->keys, key);
    m->n_used++;
    return true;
}

bool map_get(const struct map *m, struct str key, uint32_t *value) {
    const struct slot *s = find(m, key, rng_hash(0, key.ptr, key.len));
    if (!s->at_1) return false;
    *value = s->value;
    return true;
}

size_t map_count(const struct map *m) {
    return m->n_used;
}
