/* The directory at the archive's end is what counts: numpy writes local headers before it knows the
 * sizes. Numbers of 64 bits stand where those of 32 are all ones (zip64). */
#define _POSIX_C_SOURCE 200809L
#include "data/npz.h"

#include "data/extent.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    END_BYTES = 22,
    LOCATOR_BYTES = 20,
    END64_BYTES = 56,
    ENTRY_BYTES = 46,
    MOST_GROWTH = 1032 /* of deflate: 258 bytes from 2 bits */
};
#define LARGEST_COMMENT 65535
#define LARGEST_DIRECTORY (INT64_C(1) << 28)
#define ONES UINT32_C(0xFFFFFFFF)

typedef struct {
    int64_t entries, bytes, offset;
} directory_t;

static uint64_t number(const unsigned char *at, int bytes)
{
    uint64_t value = 0;
    for (int i = bytes; i-- > 0;)
        value = value << 8 | at[i];
    return value;
}

static bool has_signature(const unsigned char *at, unsigned char third, unsigned char fourth)
{
    return at[0] == 'P' && at[1] == 'K' && at[2] == third && at[3] == fourth;
}

bool mb_npz_looks_like(const unsigned char *head, size_t bytes)
{
    return bytes >= 4 && (has_signature(head, 3, 4) || has_signature(head, 5, 6));
}

static mb_status_t damaged(const mb_npz_t *z, int64_t offset, const char *what)
{
    return mb_error_set(MB_ERR_FORMAT,
                        "%s: the archive is truncated or damaged at byte %" PRId64
                        ": %s; write it again with numpy.savez",
                        z->path, offset, what);
}

/* The record at the end, in front of a comment of any length. */
static mb_status_t find_end(const mb_npz_t *z, const unsigned char *tail, int64_t bytes,
                            int64_t *offset)
{
    for (int64_t at = bytes - END_BYTES; at >= 0; at--) {
        if (!has_signature(tail + at, 5, 6) ||
            at + END_BYTES + (int64_t)number(tail + at + 20, 2) != bytes)
            continue;
        *offset = at;
        return MB_OK;
    }
    return damaged(z, z->size, "it has no directory at its end");
}

static mb_status_t read_end64(const mb_npz_t *z, int64_t end, directory_t *d)
{
    unsigned char locator[LOCATOR_BYTES], record[END64_BYTES];
    if (end < LOCATOR_BYTES)
        return damaged(z, end, "the locator of a large archive is missing");
    MB_TRY(mb_read_fully(z->file, z->path, end - LOCATOR_BYTES, sizeof(locator), locator));
    uint64_t at = number(locator + 8, 8);
    if (!has_signature(locator, 6, 7) || at > (uint64_t)z->size ||
        (int64_t)at > z->size - END64_BYTES)
        return damaged(z, end - LOCATOR_BYTES, "the locator of a large archive is missing");
    MB_TRY(mb_read_fully(z->file, z->path, (int64_t)at, sizeof(record), record));
    if (!has_signature(record, 6, 6))
        return damaged(z, (int64_t)at, "the end of a large archive's directory is missing");
    *d = (directory_t){(int64_t)number(record + 32, 8), (int64_t)number(record + 40, 8),
                       (int64_t)number(record + 48, 8)};
    return MB_OK;
}

static mb_status_t read_end(const mb_npz_t *z, const unsigned char *tail, int64_t bytes,
                            directory_t *d)
{
    int64_t at = 0;
    MB_TRY(find_end(z, tail, bytes, &at));
    const unsigned char *end = tail + at;
    *d = (directory_t){(int64_t)number(end + 10, 2), (int64_t)number(end + 12, 4),
                       (int64_t)number(end + 16, 4)};
    if (d->entries == 0xFFFF || d->bytes == ONES || d->offset == ONES)
        MB_TRY(read_end64(z, z->size - bytes + at, d));
    if (d->offset < 0 || d->bytes < 0 || d->bytes > LARGEST_DIRECTORY || d->offset > z->size ||
        d->bytes > z->size - d->offset || d->entries < 0 || d->entries > d->bytes / ENTRY_BYTES)
        return damaged(z, z->size - bytes + at, "its directory lies outside");
    return MB_OK;
}

static mb_status_t find_directory(const mb_npz_t *z, directory_t *d)
{
    int64_t bytes = z->size < END_BYTES + LARGEST_COMMENT ? z->size : END_BYTES + LARGEST_COMMENT;
    if (bytes < END_BYTES)
        return damaged(z, z->size, "it has no directory at its end");
    unsigned char *tail = malloc((size_t)bytes);
    if (tail == NULL)
        return mb_error_memory(z->path, (size_t)bytes);
    mb_status_t status = mb_read_fully(z->file, z->path, z->size - bytes, (size_t)bytes, tail);
    if (status == MB_OK)
        status = read_end(z, tail, bytes, d);
    free(tail);
    return status;
}

/* The zip64 field holds, in this order, those of the numbers that are all ones in the entry. */
static bool widen(const unsigned char *extra, size_t bytes, uint64_t *const *numbers, int n)
{
    while (bytes >= 4) {
        size_t length = (size_t)number(extra + 2, 2), at = 0;
        if (length > bytes - 4)
            return false;
        for (int i = 0; number(extra, 2) == 1 && i < n; i++) {
            if (*numbers[i] != ONES)
                continue;
            if (at + 8 > length)
                return false;
            *numbers[i] = number(extra + 4 + at, 8);
            at += 8;
        }
        extra += 4 + length;
        bytes -= 4 + length;
    }
    return true;
}

static mb_status_t refuse_member(const mb_npz_t *z, const char *name, const char *what)
{
    return mb_error_set(MB_ERR_UNSUPPORTED,
                        "%s: member '%s' %s; write the archive with numpy.savez or "
                        "numpy.savez_compressed",
                        z->path, name, what);
}

static mb_status_t read_entry(mb_npz_t *z, const unsigned char *entry, size_t name_bytes,
                              size_t extra_bytes, int64_t offset)
{
    mb_npz_member_t *m = &z->members[z->n_members];
    uint64_t packed = number(entry + 20, 4), bytes = number(entry + 24, 4);
    uint64_t header = number(entry + 42, 4), method = number(entry + 10, 2);
    uint64_t *const wide[] = {&bytes, &packed, &header};
    m->name = strndup((const char *)entry + ENTRY_BYTES, name_bytes);
    if (m->name == NULL)
        return mb_error_memory("a member's name", name_bytes);
    z->n_members++;
    if (!widen(entry + ENTRY_BYTES + name_bytes, extra_bytes, wide, 3) ||
        packed > (uint64_t)z->size || header > (uint64_t)z->size || bytes > UINT64_C(1) << 50)
        return damaged(z, offset, "a member lies outside");
    if ((number(entry + 8, 2) & 1) != 0)
        return refuse_member(z, m->name, "is encrypted");
    if (method != 0 && method != 8)
        return refuse_member(z, m->name, "is compressed by another method than deflate");
    if (method == 0 && packed != bytes)
        return damaged(z, offset, "a stored member has two sizes");
    if (method == 8 && bytes / MOST_GROWTH > packed)
        return damaged(z, offset, "a member claims more bytes than deflate can make of its own");
    m->deflated = method == 8;
    m->crc = (uint32_t)number(entry + 16, 4);
    m->packed_bytes = (int64_t)packed;
    m->bytes = (int64_t)bytes;
    m->header = (int64_t)header;
    return MB_OK;
}

static mb_status_t read_entries(mb_npz_t *z, const unsigned char *bytes, const directory_t *d)
{
    int64_t at = 0;
    for (int64_t i = 0; i < d->entries; i++) {
        const unsigned char *entry = bytes + at;
        if (d->bytes - at < ENTRY_BYTES || !has_signature(entry, 1, 2))
            return damaged(z, d->offset + at, "an entry of the directory is missing");
        size_t name = (size_t)number(entry + 28, 2), extra = (size_t)number(entry + 30, 2);
        int64_t length =
            ENTRY_BYTES + (int64_t)name + (int64_t)extra + (int64_t)number(entry + 32, 2);
        if (length > d->bytes - at)
            return damaged(z, d->offset + at, "an entry of the directory is cut");
        MB_TRY(read_entry(z, entry, name, extra, d->offset + at));
        at += length;
    }
    return MB_OK;
}

static mb_status_t read_directory(mb_npz_t *z)
{
    directory_t d = {0, 0, 0};
    MB_TRY(find_directory(z, &d));
    unsigned char *bytes = malloc((size_t)d.bytes + 1);
    z->members = calloc((size_t)d.entries + 1, sizeof(mb_npz_member_t));
    mb_status_t status = bytes == NULL || z->members == NULL
                             ? mb_error_memory(z->path, (size_t)d.bytes)
                             : mb_read_fully(z->file, z->path, d.offset, (size_t)d.bytes, bytes);
    if (status == MB_OK)
        status = read_entries(z, bytes, &d);
    free(bytes);
    return status;
}

static mb_status_t open_file(mb_npz_t *z)
{
    struct stat info;
    z->file = open(z->path, O_RDONLY | O_CLOEXEC);
    if (z->file < 0 || fstat(z->file, &info) != 0)
        return mb_error_set(MB_ERR_IO, "%s: cannot be opened: %s", z->path, strerror(errno));
    z->size = info.st_size;
    return read_directory(z);
}

mb_status_t mb_npz_open(const char *path, mb_npz_t **out)
{
    mb_npz_t *z = calloc(1, sizeof(*z));
    if (z == NULL)
        return mb_error_memory("an archive", sizeof(*z));
    z->file = -1;
    z->path = strdup(path);
    mb_status_t status = z->path == NULL ? mb_error_memory(path, strlen(path)) : open_file(z);
    if (status == MB_OK)
        *out = z;
    else
        mb_npz_close(z);
    return status;
}

void mb_npz_close(mb_npz_t *archive)
{
    if (archive == NULL)
        return;
    for (int i = 0; i < archive->n_members; i++)
        free(archive->members[i].name);
    if (archive->file >= 0)
        close(archive->file);
    free(archive->members);
    free(archive->path);
    free(archive);
}
