/* Bytes as a .keras archive, up to where HDF5 would be given the weights in it. */
#include "store/keras_archive.h"
#include "store/keras_config.h"

#include "fuzz/fuzz.h"

#include <math.h>
#include <unistd.h>

void mb_fuzz_archive(const uint8_t *data, size_t size);

static void read_texts(int file, size_t size, const char *path, mb_arena_t *arena)
{
    mb_keras_archive_t archive;
    char *model = NULL, *training = NULL;
    if (mb_keras_archive_open(file, (int64_t)size, path, true, arena, &archive) == MB_OK)
        (void)mb_keras_config_split(archive.config, path, (double)NAN, arena, &model, &training);
    if (archive.unpacked >= 0)
        close(archive.unpacked);
}

void mb_fuzz_archive(const uint8_t *data, size_t size)
{
    char path[MB_FUZZ_PATH];
    int file = mb_fuzz_file(data, size, path);
    mb_arena_t *arena = mb_arena_create();
    if (arena != NULL)
        read_texts(file, size, path, arena);
    mb_arena_destroy(arena);
    close(file);
}
