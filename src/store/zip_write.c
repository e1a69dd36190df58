/* See zip_write.h. Members are checksummed while they are copied, and their headers, which come
 * first, written behind them. */
#include "store/zip_write.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include "store/io.h"

enum { LOCAL_BYTES = 30, DIRECTORY_BYTES = 46, END_BYTES = 22, VERSION = 20 };
enum { FIRST_DAY = 0x21 }; /* 1 January 1980: the earliest date there is */
#define PIECE_BYTES ((size_t)1 << 18)
#define MOST_BYTES ((int64_t)0xfffffffe)

typedef struct {
    int64_t offset, bytes;
    uLong crc;
} written_t;

typedef struct {
    const char *path;
    int fd;
    int64_t at;
    written_t *members;
    void *piece;
} writer_t;

typedef struct {
    unsigned char bytes[DIRECTORY_BYTES];
    size_t length;
} header_t;

static void put(header_t *header, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        header->bytes[header->length++] = (unsigned char)(value >> (8 * i));
}

/* What a member's own header and the directory's have in common. */
static void put_common(header_t *header, const char *name, const written_t *member)
{
    put(header, VERSION, 2);
    put(header, 0, 2); /* flags */
    put(header, 0, 2); /* stored */
    put(header, 0, 2); /* midnight */
    put(header, FIRST_DAY, 2);
    put(header, member->crc, 4);
    put(header, (uint64_t)member->bytes, 4);
    put(header, (uint64_t)member->bytes, 4);
    put(header, strlen(name), 2);
    put(header, 0, 2); /* extra field */
}

static mb_status_t append(writer_t *w, const void *data, size_t bytes)
{
    if (w->at > MOST_BYTES - (int64_t)bytes)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "'%s' would be a .keras archive of more than 4 GiB, which is not "
                            "written; write the model as .h5, or its weights as .weights.h5",
                            w->path);
    MB_TRY(mb_io_write(w->fd, data, bytes, w->at, w->path));
    w->at += (int64_t)bytes;
    return MB_OK;
}

static mb_status_t append_content(writer_t *w, written_t *member, const void *data, size_t bytes)
{
    member->crc = crc32(member->crc, data, (uInt)bytes);
    member->bytes += (int64_t)bytes;
    return append(w, data, bytes);
}

static mb_status_t append_file(writer_t *w, written_t *member, const char *path)
{
    int fd = -1;
    int64_t bytes = 0;
    mb_status_t status = mb_io_open_read(path, &fd, &bytes);
    for (int64_t at = 0; at < bytes && status == MB_OK;) {
        size_t now = bytes - at < (int64_t)PIECE_BYTES ? (size_t)(bytes - at) : PIECE_BYTES;
        status = mb_io_read(fd, w->piece, now, at, path);
        if (status == MB_OK)
            status = append_content(w, member, w->piece, now);
        at += (int64_t)now;
    }
    if (fd >= 0)
        close(fd);
    return status;
}

static mb_status_t write_local(writer_t *w, const char *name, const written_t *member)
{
    header_t header = {.length = 0};
    put(&header, 0x04034b50, 4);
    put_common(&header, name, member);
    return mb_io_write(w->fd, header.bytes, header.length, member->offset, w->path);
}

static mb_status_t write_member(writer_t *w, const mb_zip_source_t *source, written_t *member)
{
    static const char nothing[LOCAL_BYTES];
    *member = (written_t){.offset = w->at, .crc = crc32(0, NULL, 0)};
    MB_TRY(append(w, nothing, sizeof nothing));
    MB_TRY(append(w, source->name, strlen(source->name)));
    MB_TRY(source->path != NULL ? append_file(w, member, source->path)
                                : append_content(w, member, source->data, source->bytes));
    return write_local(w, source->name, member);
}

static mb_status_t write_entry(writer_t *w, const char *name, const written_t *member)
{
    header_t header = {.length = 0};
    put(&header, 0x02014b50, 4);
    put(&header, VERSION, 2);
    put_common(&header, name, member);
    put(&header, 0, 4); /* comment, disk */
    put(&header, 0, 6); /* attributes */
    put(&header, (uint64_t)member->offset, 4);
    MB_TRY(append(w, header.bytes, header.length));
    return append(w, name, strlen(name));
}

static mb_status_t write_end(writer_t *w, int64_t directory, int count)
{
    header_t header = {.length = 0};
    put(&header, 0x06054b50, 4);
    put(&header, 0, 4); /* disks */
    put(&header, (uint64_t)count, 2);
    put(&header, (uint64_t)count, 2);
    put(&header, (uint64_t)(w->at - directory), 4);
    put(&header, (uint64_t)directory, 4);
    put(&header, 0, 2); /* comment */
    return append(w, header.bytes, header.length);
}

static mb_status_t write_all(writer_t *w, const mb_zip_source_t *members, int count)
{
    for (int i = 0; i < count; i++)
        MB_TRY(write_member(w, &members[i], &w->members[i]));
    int64_t directory = w->at;
    for (int i = 0; i < count; i++)
        MB_TRY(write_entry(w, members[i].name, &w->members[i]));
    MB_TRY(write_end(w, directory, count));
    MB_TRY(mb_io_sync(w->fd, w->path));
    return mb_io_close(&w->fd, w->path);
}

static mb_status_t write_as(int original, const char *path, const char *temporary,
                            const mb_zip_source_t *members, int count)
{
    writer_t w = {.path = path,
                  .fd = -1,
                  .members = calloc((size_t)count + 1, sizeof(written_t)),
                  .piece = malloc(PIECE_BYTES)};
    mb_status_t status =
        w.piece == NULL || w.members == NULL ? mb_error_memory("an archive", PIECE_BYTES) : MB_OK;
    if (status == MB_OK)
        status = original < 0 ? mb_io_open_new(temporary, &w.fd)
                              : mb_io_open_beside(original, temporary, &w.fd);
    if (status == MB_OK)
        status = write_all(&w, members, count);
    if (w.fd >= 0)
        close(w.fd);
    free(w.piece);
    free(w.members);
    if (status == MB_OK && rename(temporary, path) != 0)
        status = mb_io_error("replace", path);
    if (status != MB_OK)
        unlink(temporary);
    return status;
}

mb_status_t mb_zip_write_beside(int original, const char *path, const mb_zip_source_t *members,
                                int count)
{
    char *temporary = mb_io_temporary_name(path);
    if (temporary == NULL)
        return mb_error_memory("a path", strlen(path));
    mb_status_t status = write_as(original, path, temporary, members, count);
    free(temporary);
    return status == MB_OK ? mb_io_sync_parent(path) : status;
}

mb_status_t mb_zip_write(const char *path, const mb_zip_source_t *members, int count)
{
    return mb_zip_write_beside(-1, path, members, count);
}
