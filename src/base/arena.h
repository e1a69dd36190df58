/* A bump allocator for what lives as long as a model or a plan: parsed configurations, graphs,
 * action lists. Everything goes at once, so parsers need no unwinding. */
#ifndef MB_BASE_ARENA_H
#define MB_BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

typedef struct mb_arena mb_arena_t;

/* NULL when memory is exhausted. */
mb_arena_t *mb_arena_create(void);
void mb_arena_destroy(mb_arena_t *arena);

/* Zeroed, aligned to 16 bytes; NULL when memory is exhausted. bytes == 0 gives a valid pointer. */
void *mb_arena_alloc(mb_arena_t *arena, size_t bytes);
char *mb_arena_strdup(mb_arena_t *arena, const char *text);
char *mb_arena_format(mb_arena_t *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#define MB_ARENA_NEW(arena, type) ((type *)mb_arena_alloc((arena), sizeof(type)))
/* NULL, too, where a count that a file gives is beyond what a size holds. */
static inline void *mb_arena_array(mb_arena_t *arena, size_t bytes, size_t count)
{
    return count > SIZE_MAX / 2 / bytes ? NULL : mb_arena_alloc(arena, bytes * count);
}
#define MB_ARENA_ARRAY(arena, type, count)                                                         \
    ((type *)mb_arena_array((arena), sizeof(type), (size_t)(count)))

#endif
