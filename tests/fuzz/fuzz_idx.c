/* Bytes as an IDX file, raw or gzip: header, then all data. */
#include "data/idx.h"

#include "fuzz/fuzz.h"

#include <unistd.h>

#define LARGEST 65536

void mb_fuzz_idx(const uint8_t *data, size_t size);

static void read_all(const char *path)
{
    static char bytes[LARGEST];
    mb_idx_header_t header;
    mb_idx_reader_t *reader = NULL;
    if (mb_idx_open(path, &header, &reader) != MB_OK)
        return;
    if (header.data_bytes <= LARGEST &&
        mb_idx_read(reader, (size_t)header.data_bytes, bytes) == MB_OK)
        (void)mb_idx_finish(reader);
    mb_idx_close(reader);
}

void mb_fuzz_idx(const uint8_t *data, size_t size)
{
    char path[MB_FUZZ_PATH];
    int file = mb_fuzz_file(data, size, path);
    read_all(path);
    close(file);
}
