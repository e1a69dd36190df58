/* Bytes as the trace of a run. */
#include "cli/traced.h"

#include "fuzz/fuzz.h"

#include <unistd.h>

void mb_fuzz_trace(const uint8_t *data, size_t size);

void mb_fuzz_trace(const uint8_t *data, size_t size)
{
    char path[MB_FUZZ_PATH];
    mb_traced_t traced;
    int file = mb_fuzz_file(data, size, path);
    mb_arena_t *arena = mb_arena_create();
    if (arena != NULL)
        (void)mb_traced_read(path, arena, &traced);
    mb_arena_destroy(arena);
    close(file);
}
