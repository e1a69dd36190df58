/* The table of names; see graph_names.h. Never more than half full. */
#include "model/graph_names.h"

#include "base/philox.h"

#include <string.h>

mb_status_t mb_names_create(mb_arena_t *arena, size_t count, mb_names_t *out)
{
    size_t capacity = 8;
    while (capacity < 2 * count)
        capacity *= 2;
    *out = (mb_names_t){.keys = MB_ARENA_ARRAY(arena, const char *, capacity),
                        .values = MB_ARENA_ARRAY(arena, int, capacity),
                        .mask = capacity - 1};
    if (out->keys == NULL || out->values == NULL)
        return mb_error_memory("a table of names", capacity * sizeof(const char *));
    return MB_OK;
}

/* The slot that holds KEY, or the free one where it belongs. */
static uint64_t slot_of(const mb_names_t *names, const char *key)
{
    uint64_t slot = mb_hash_name(key) & names->mask;
    while (names->keys[slot] != NULL && strcmp(names->keys[slot], key) != 0)
        slot = (slot + 1) & names->mask;
    return slot;
}

bool mb_names_put(mb_names_t *names, const char *key, int value)
{
    uint64_t slot = slot_of(names, key);
    if (names->keys[slot] != NULL)
        return false;
    names->keys[slot] = key;
    names->values[slot] = value;
    return true;
}

int mb_names_get(const mb_names_t *names, const char *key)
{
    if (names->keys == NULL)
        return -1;
    uint64_t slot = slot_of(names, key);
    return names->keys[slot] == NULL ? -1 : names->values[slot];
}
