/* From names to small numbers: a table of fixed capacity with open addressing, in an arena. */
#ifndef MB_MODEL_GRAPH_NAMES_H
#define MB_MODEL_GRAPH_NAMES_H

#include "base/arena.h"
#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    const char **keys;
    int *values;
    uint64_t mask;
} mb_names_t;

/* Room for COUNT names. */
mb_status_t mb_names_create(mb_arena_t *arena, size_t count, mb_names_t *out);
/* False, and nothing changed, when the name is there already. KEY is kept, not copied. */
bool mb_names_put(mb_names_t *names, const char *key, int value);
/* -1 when there is none. */
int mb_names_get(const mb_names_t *names, const char *key);

#endif
