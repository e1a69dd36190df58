/* The content of an archive's members, by zlib, with their checksums. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include "store/io.h"
#include "store/zip.h"

#define PIECE_BYTES ((size_t)1 << 18)

typedef struct {
    const mb_zip_t *zip;
    const mb_zip_member_t *member;
    mb_zip_sink_t sink;
    void *user;
    unsigned char *packed, *plain; /* PIECE_BYTES each */
    int64_t taken;                 /* of the packed bytes */
    int64_t given;
    uLong crc;
} unpacker_t;

static mb_status_t damaged(const unpacker_t *u, const char *what)
{
    return mb_error_set(MB_ERR_FORMAT, "'%s' is damaged: its member '%s' %s; copy or save it again",
                        u->zip->path, u->member->name, what);
}

static mb_status_t give(unpacker_t *u, const unsigned char *data, size_t bytes)
{
    if ((int64_t)bytes > u->member->bytes - u->given)
        return damaged(u, "is longer than its directory says");
    u->crc = crc32(u->crc, data, (uInt)bytes);
    u->given += (int64_t)bytes;
    return u->sink == NULL || bytes == 0 ? MB_OK : u->sink(u->user, data, bytes);
}

static mb_status_t take(unpacker_t *u, size_t *bytes)
{
    int64_t left = u->member->packed_bytes - u->taken;
    *bytes = left < (int64_t)PIECE_BYTES ? (size_t)left : PIECE_BYTES;
    MB_TRY(mb_io_read(u->zip->fd, u->packed, *bytes, u->member->offset + u->taken, u->zip->path));
    u->taken += (int64_t)*bytes;
    return MB_OK;
}

static mb_status_t copy(unpacker_t *u)
{
    size_t bytes;
    while (u->taken < u->member->packed_bytes) {
        MB_TRY(take(u, &bytes));
        MB_TRY(give(u, u->packed, bytes));
    }
    return MB_OK;
}

/* What the bytes just taken make. */
static mb_status_t inflate_piece(unpacker_t *u, z_stream *stream, bool *ended)
{
    do {
        stream->next_out = u->plain;
        stream->avail_out = (uInt)PIECE_BYTES;
        int code = inflate(stream, Z_NO_FLUSH);
        if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
            return code == Z_MEM_ERROR ? mb_error_memory("a member of an archive", PIECE_BYTES)
                                       : damaged(u, "cannot be inflated");
        *ended = code == Z_STREAM_END;
        MB_TRY(give(u, u->plain, PIECE_BYTES - stream->avail_out));
    } while (stream->avail_out == 0 && !*ended);
    return MB_OK;
}

static mb_status_t inflate_all(unpacker_t *u)
{
    z_stream stream = {.next_in = NULL};
    bool ended = false;
    size_t bytes = 0;
    if (inflateInit2(&stream, -MAX_WBITS) != Z_OK)
        return mb_error_memory("a member of an archive", PIECE_BYTES);
    mb_status_t status = MB_OK;
    while (status == MB_OK && !ended && u->taken < u->member->packed_bytes) {
        status = take(u, &bytes);
        stream.next_in = u->packed;
        stream.avail_in = (uInt)bytes;
        if (status == MB_OK)
            status = inflate_piece(u, &stream, &ended);
    }
    inflateEnd(&stream);
    if (status == MB_OK && !ended)
        status = damaged(u, "ends in the middle");
    return status;
}

static mb_status_t unpack(unpacker_t *u)
{
    MB_TRY(u->member->deflated ? inflate_all(u) : copy(u));
    if (u->given != u->member->bytes)
        return damaged(u, "is shorter than its directory says");
    if ((uint32_t)u->crc != u->member->crc)
        return damaged(u, "does not have the checksum that the archive gives it");
    return MB_OK;
}

mb_status_t mb_zip_unpack(const mb_zip_t *zip, const mb_zip_member_t *member, mb_zip_sink_t sink,
                          void *user)
{
    unpacker_t u = {.zip = zip,
                    .member = member,
                    .sink = sink,
                    .user = user,
                    .packed = malloc(PIECE_BYTES),
                    .plain = malloc(PIECE_BYTES),
                    .crc = crc32(0, NULL, 0)};
    mb_status_t status = u.packed == NULL || u.plain == NULL
                             ? mb_error_memory("a member of an archive", 2 * PIECE_BYTES)
                             : unpack(&u);
    free(u.packed);
    free(u.plain);
    return status;
}

typedef struct {
    char *text;
    size_t at;
} text_t;

/* mb_zip_unpack gives no more than the member's bytes. */
static mb_status_t append(void *user, const void *data, size_t bytes)
{
    text_t *text = user;
    memcpy(text->text + text->at, data, bytes);
    text->at += bytes;
    return MB_OK;
}

mb_status_t mb_zip_read_text(const mb_zip_t *zip, const mb_zip_member_t *member, int64_t limit,
                             mb_arena_t *arena, char **text)
{
    if (member->bytes > limit)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "'%s': its member '%s' has %" PRId64
                            " bytes; a text of at most %" PRId64 " is read",
                            zip->path, member->name, member->bytes, limit);
    text_t out = {.text = mb_arena_alloc(arena, (size_t)member->bytes + 1)};
    if (out.text == NULL)
        return mb_error_memory(member->name, (size_t)member->bytes);
    MB_TRY(mb_zip_unpack(zip, member, append, &out));
    out.text[out.at] = '\0';
    *text = out.text;
    return MB_OK;
}
