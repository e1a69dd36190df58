/* See file.h. */
#include "store/file.h"

#include <unistd.h>
#include "store/io.h"

/* The disk begins at once with as much; less waits for the sync, or a page would be written twice.
 */
#define LONG_BYTES ((size_t)1 << 18)

static mb_status_t open_file(mb_file_t *file)
{
    return mb_io_open_update(file->path, &file->fd);
}

static mb_status_t write_bytes(const mb_file_t *file, const void *data, size_t bytes,
                               int64_t offset)
{
    MB_TRY(mb_io_write(file->fd, data, bytes, offset, file->path));
    if (bytes >= LONG_BYTES)
        mb_io_begin_sync(file->fd, offset, bytes);
    return MB_OK;
}

static mb_status_t sync_file(const mb_file_t *file, mb_status_t status)
{
    return status != MB_OK ? status : mb_io_sync(file->fd, file->path);
}

static mb_status_t close_file(mb_file_t *file)
{
    return mb_io_close(&file->fd, file->path);
}

static void abandon_file(mb_file_t *file)
{
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
}

const mb_file_class_t mb_file_posix = {.size = sizeof mb_file_posix,
                                       .open = open_file,
                                       .write = write_bytes,
                                       .sync = sync_file,
                                       .close = close_file,
                                       .abandon = abandon_file};
