/* The file's space is claimed before it is mapped: a write into a mapping that finds the disk full
 * would be a signal, not an error. */
#define _POSIX_C_SOURCE 200809L
#include "data/spool.h"

#include "base/host_memory.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *temporary_folder(void)
{
    const char *folder = getenv("TMPDIR");
    return folder == NULL || folder[0] == '\0' ? "/tmp" : folder;
}

static mb_status_t refuse(int64_t size, const char *what, int error)
{
    char bytes[32];
    return mb_error_set(MB_ERR_IO,
                        "%s: its values take %s, which are kept in a file in %s, but: %s; set "
                        "TMPDIR to a folder with more space",
                        what, mb_str_bytes((double)size, bytes, sizeof(bytes)), temporary_folder(),
                        strerror(error));
}

static mb_status_t open_nameless(int64_t size, const char *what, int *file)
{
    char path[1024];
    snprintf(path, sizeof(path), "%s/mbrun-XXXXXX", temporary_folder());
    *file = mkstemp(path);
    if (*file < 0)
        return refuse(size, what, errno);
    unlink(path);
    int error = posix_fallocate(*file, 0, (off_t)size);
    if (error == 0)
        return MB_OK;
    close(*file);
    return refuse(size, what, error);
}

static mb_status_t map_file(int64_t size, const char *what, mb_spool_t *out)
{
    int file;
    MB_TRY(open_nameless(size, what, &file));
    void *bytes = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    int error = errno;
    close(file);
    if (bytes == MAP_FAILED)
        return refuse(size, what, error);
    *out = (mb_spool_t){bytes, size, size};
    return MB_OK;
}

mb_status_t mb_spool_create_within(int64_t size, int64_t limit, const char *what, mb_spool_t *out)
{
    int64_t bytes = size < 1 ? 1 : size;
    if (bytes > limit)
        return map_file(bytes, what, out);
    *out = (mb_spool_t){malloc((size_t)bytes), size, 0};
    return out->bytes == NULL ? mb_error_memory(what, (size_t)bytes) : MB_OK;
}

mb_status_t mb_spool_create(int64_t size, const char *what, mb_spool_t *out)
{
    return mb_spool_create_within(size, mb_host_memory() / 4, what, out);
}

void mb_spool_free(mb_spool_t *spool)
{
    if (spool->mapped > 0)
        munmap(spool->bytes, (size_t)spool->mapped);
    else
        free(spool->bytes);
    *spool = (mb_spool_t){NULL, 0, 0};
}
