/* Bytes as the text of a schedule, in the order of the sums and in any. */
#include "pipeline/schedule_private.h"

#include "fuzz/fuzz.h"

#include <unistd.h>

void mb_fuzz_schedule(const uint8_t *data, size_t size);

void mb_fuzz_schedule(const uint8_t *data, size_t size)
{
    char path[MB_FUZZ_PATH];
    int file = mb_fuzz_file(data, size, path);
    for (int any_order = 0; any_order < 2; any_order++) {
        mb_schedule_t schedule = {.stages = 0};
        const mb_schedule_choice_t choice = {
            .kind = MB_SCHEDULE_FILE, .path = path, .any_order = any_order};
        mb_arena_t *arena = mb_arena_create();
        if (arena != NULL)
            (void)mb_schedule_read(&choice, arena, &schedule);
        mb_arena_destroy(arena);
    }
    close(file);
}
