/* The arena is a list of chunks, newest first; each is filled from its start, and chunk sizes
 * double so that a large model costs few of them. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALIGNMENT 16u
#define FIRST_CHUNK 4096u
#define LARGEST_CHUNK (1u << 20)

typedef struct chunk {
    _Alignas(ALIGNMENT) struct chunk *older;
    size_t capacity;
    size_t used;
} chunk_t;

struct mb_arena {
    chunk_t *newest;
    size_t next_capacity;
};

mb_arena_t *mb_arena_create(void)
{
    mb_arena_t *arena = calloc(1, sizeof(*arena));
    if (arena != NULL)
        arena->next_capacity = FIRST_CHUNK;
    return arena;
}

void mb_arena_destroy(mb_arena_t *arena)
{
    if (arena == NULL)
        return;
    chunk_t *chunk = arena->newest;
    while (chunk != NULL) {
        chunk_t *older = chunk->older;
        free(chunk);
        chunk = older;
    }
    free(arena);
}

/* calloc, because large chunks then come zeroed from the kernel without being touched. */
static int add_chunk(mb_arena_t *arena, size_t bytes)
{
    size_t capacity = bytes > arena->next_capacity ? bytes : arena->next_capacity;
    chunk_t *chunk = calloc(1, sizeof(chunk_t) + capacity);
    if (chunk == NULL)
        return 0;
    chunk->older = arena->newest;
    chunk->capacity = capacity;
    arena->newest = chunk;
    if (arena->next_capacity < LARGEST_CHUNK)
        arena->next_capacity *= 2;
    return 1;
}

void *mb_arena_alloc(mb_arena_t *arena, size_t bytes)
{
    if (bytes > SIZE_MAX / 2)
        return NULL;
    size_t rounded = bytes == 0 ? ALIGNMENT : (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    chunk_t *chunk = arena->newest;
    if (chunk == NULL || chunk->capacity - chunk->used < rounded) {
        if (!add_chunk(arena, rounded))
            return NULL;
        chunk = arena->newest;
    }
    char *start = (char *)(chunk + 1) + chunk->used;
    chunk->used += rounded;
    return start;
}

char *mb_arena_strdup(mb_arena_t *arena, const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = mb_arena_alloc(arena, bytes);
    if (copy != NULL)
        memcpy(copy, text, bytes);
    return copy;
}

char *mb_arena_format(mb_arena_t *arena, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    char *text = NULL;
    int length = vsnprintf(NULL, 0, format, args);
    if (length >= 0)
        text = mb_arena_alloc(arena, (size_t)length + 1);
    if (text != NULL)
        vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    va_end(args);
    return text;
}
