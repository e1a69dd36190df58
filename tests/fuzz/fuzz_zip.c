/* Bytes as a zip archive: its directory, and all members. */
#include "store/zip.h"

#include "fuzz/fuzz.h"

#include <unistd.h>

enum { MOST_BYTES = 1 << 20 };

void mb_fuzz_zip(const uint8_t *data, size_t size);

void mb_fuzz_zip(const uint8_t *data, size_t size)
{
    char path[MB_FUZZ_PATH];
    mb_zip_t zip;
    int file = mb_fuzz_file(data, size, path);
    mb_arena_t *arena = mb_arena_create();
    if (arena != NULL && mb_zip_open(file, (int64_t)size, path, arena, &zip) == MB_OK) {
        int64_t left = MOST_BYTES;
        for (int i = 0; i < zip.n_members && zip.members[i].bytes <= left; i++) {
            left -= zip.members[i].bytes;
            (void)mb_zip_unpack(&zip, &zip.members[i], NULL, NULL);
        }
    }
    mb_arena_destroy(arena);
    close(file);
}
