/* Bytes as the text of a schedule. */
#include "pipeline/schedule_private.h"

#include "fuzz/fuzz.h"

#include <unistd.h>

void mb_fuzz_schedule(const uint8_t *data, size_t size);

void mb_fuzz_schedule(const uint8_t *data, size_t size)
{
    char path[MB_FUZZ_PATH];
    mb_schedule_t schedule = {.stages = 0};
    int file = mb_fuzz_file(data, size, path);
    mb_arena_t *arena = mb_arena_create();
    if (arena != NULL)
        (void)mb_schedule_read(path, arena, &schedule);
    mb_arena_destroy(arena);
    close(file);
}
