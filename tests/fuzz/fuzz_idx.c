/* Bytes as an IDX file, raw or gzip: header, then all data. Build with clang
 * -fsanitize=fuzzer,address,undefined. */
#define _GNU_SOURCE
#include "data/idx.h"

#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define LARGEST 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    int file = memfd_create("fuzz", MFD_CLOEXEC);
    if (file < 0)
        return 0;
    if (size > 0 && write(file, data, size) == (ssize_t)size) {
        snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
        read_all(path);
    }
    close(file);
    return 0;
}
