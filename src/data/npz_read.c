/* One member of an archive, front to back. */
#include "data/npz.h"

#include "data/extent.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define PACKED_BYTES 65536
enum { LOCAL_BYTES = 30 };

struct mb_npz_reader {
    const mb_npz_t *archive;
    const mb_npz_member_t *member;
    int64_t start; /* of its bytes in the file */
    int64_t taken; /* of them, packed */
    int64_t at;    /* bytes given */
    uint32_t crc;
    z_stream stream;
    bool inflating;
    unsigned char packed[PACKED_BYTES];
};

static mb_status_t damaged(const mb_npz_reader_t *r, const char *what)
{
    return mb_error_set(MB_ERR_FORMAT,
                        "%s: member '%s' is damaged behind its byte %" PRId64
                        ": %s; write the archive again with numpy.savez",
                        r->archive->path, r->member->name, r->at, what);
}

/* The local header's own lengths of name and extra field say where the bytes begin. */
static mb_status_t find_start(mb_npz_reader_t *r)
{
    unsigned char head[LOCAL_BYTES];
    const mb_npz_t *z = r->archive;
    int64_t header = r->member->header;
    if (header > z->size - LOCAL_BYTES)
        return damaged(r, "its header lies outside the file");
    MB_TRY(mb_read_fully(z->file, z->path, header, sizeof(head), head));
    if (head[0] != 'P' || head[1] != 'K' || head[2] != 3 || head[3] != 4)
        return damaged(r, "its header is missing");
    r->start = header + LOCAL_BYTES + (head[26] | head[27] << 8) + (head[28] | head[29] << 8);
    if (r->start > z->size || r->member->packed_bytes > z->size - r->start)
        return damaged(r, "its bytes end outside the file");
    return MB_OK;
}

static mb_status_t start(mb_npz_reader_t *r)
{
    MB_TRY(find_start(r));
    if (!r->member->deflated)
        return MB_OK;
    if (inflateInit2(&r->stream, -MAX_WBITS) != Z_OK)
        return mb_error_memory("a reader of deflated data", sizeof(*r));
    r->inflating = true;
    return MB_OK;
}

mb_status_t mb_npz_reader_open(const mb_npz_t *archive, int member, mb_npz_reader_t **out)
{
    mb_npz_reader_t *r = calloc(1, sizeof(*r));
    if (r == NULL)
        return mb_error_memory("a reader of an archive", sizeof(*r));
    r->archive = archive;
    r->member = &archive->members[member];
    mb_status_t status = start(r);
    if (status == MB_OK)
        *out = r;
    else
        mb_npz_reader_close(r);
    return status;
}

void mb_npz_reader_close(mb_npz_reader_t *reader)
{
    if (reader != NULL && reader->inflating)
        inflateEnd(&reader->stream);
    free(reader);
}

int64_t mb_npz_reader_start(const mb_npz_reader_t *reader)
{
    return reader->start;
}

static mb_status_t read_packed(mb_npz_reader_t *r)
{
    int64_t left = r->member->packed_bytes - r->taken;
    size_t n = left < PACKED_BYTES ? (size_t)left : PACKED_BYTES;
    MB_TRY(mb_read_fully(r->archive->file, r->archive->path, r->start + r->taken, n, r->packed));
    r->stream.next_in = r->packed;
    r->stream.avail_in = (uInt)n;
    r->taken += (int64_t)n;
    return MB_OK;
}

/* Up to BYTES bytes, *got of them; 0: the stream has ended. */
static mb_status_t inflate_some(mb_npz_reader_t *r, size_t bytes, void *to, size_t *got)
{
    r->stream.next_out = to;
    r->stream.avail_out = (uInt)bytes;
    while (r->stream.avail_out == bytes) {
        if (r->stream.avail_in == 0)
            MB_TRY(read_packed(r));
        int code = inflate(&r->stream, Z_NO_FLUSH);
        if (code == Z_STREAM_END)
            break;
        if (code == Z_BUF_ERROR && r->taken == r->member->packed_bytes)
            return damaged(r, "the deflated data end too early");
        if (code != Z_OK && code != Z_BUF_ERROR)
            return damaged(r, r->stream.msg == NULL ? "no deflated data" : r->stream.msg);
    }
    *got = bytes - r->stream.avail_out;
    return MB_OK;
}

static mb_status_t read_some(mb_npz_reader_t *r, size_t bytes, void *to, size_t *got)
{
    if (r->inflating)
        return inflate_some(r, bytes, to, got);
    int64_t left = r->member->bytes - r->at;
    *got = left < (int64_t)bytes ? (size_t)left : bytes;
    return mb_read_fully(r->archive->file, r->archive->path, r->start + r->at, *got, to);
}

mb_status_t mb_npz_reader_read(void *reader, size_t bytes, void *to)
{
    mb_npz_reader_t *r = reader;
    unsigned char *next = to;
    while (bytes > 0) {
        size_t most = bytes < (1u << 30) ? bytes : 1u << 30, got = 0;
        MB_TRY(read_some(r, most, next, &got));
        if (got == 0)
            return damaged(r, "it is shorter than the array that it holds");
        r->crc = (uint32_t)crc32(r->crc, next, (uInt)got);
        r->at += (int64_t)got;
        next += got;
        bytes -= got;
    }
    return MB_OK;
}

mb_status_t mb_npz_reader_finish(mb_npz_reader_t *reader)
{
    unsigned char extra;
    size_t got = 0;
    MB_TRY(read_some(reader, 1, &extra, &got));
    if (got > 0 || reader->at != reader->member->bytes)
        return damaged(reader, "its size is not the directory's");
    return reader->crc == reader->member->crc ? MB_OK : damaged(reader, "its checksum is wrong");
}
