/* The reader goes through zlib, which passes raw files on unchanged. */
#define _POSIX_C_SOURCE 200809L
#include "data/idx.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define ZLIB_BUFFER (256u << 10)

struct mb_idx_reader {
    gzFile stream;
    char *path;
    int64_t at; /* bytes of the raw form that were read */
    bool gzip;
};

static bool dtype_of_code(unsigned char code, mb_dtype_t *dtype)
{
    static const struct {
        unsigned char code;
        mb_dtype_t dtype;
    } codes[] = {{0x08, MB_U8},  {0x09, MB_I8},  {0x0B, MB_I16},
                 {0x0C, MB_I32}, {0x0D, MB_F32}, {0x0E, MB_F64}};
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        if (codes[i].code != code)
            continue;
        *dtype = codes[i].dtype;
        return true;
    }
    return false;
}

static bool is_gzip(const unsigned char *head)
{
    return head[0] == 0x1F && head[1] == 0x8B;
}

bool mb_idx_looks_like(const unsigned char head[4])
{
    mb_dtype_t dtype;
    if (is_gzip(head))
        return true;
    return head[0] == 0 && head[1] == 0 && dtype_of_code(head[2], &dtype) && head[3] >= 1;
}

static mb_status_t damaged(const mb_idx_reader_t *reader, int got)
{
    int code = Z_OK;
    const char *text = gzerror(reader->stream, &code);
    if (code == Z_ERRNO)
        return mb_error_set(MB_ERR_IO, "%s: %s", reader->path, strerror(errno));
    if (reader->gzip && got < 0 && code != Z_BUF_ERROR)
        return mb_error_set(MB_ERR_FORMAT,
                            "%s: the gzip data are damaged behind byte %" PRId64
                            " of the uncompressed file (zlib: %s)",
                            reader->path, reader->at, text);
    return mb_error_set(
        MB_ERR_FORMAT, "%s: the file is truncated: it ends behind byte %" PRId64 "%s", reader->path,
        reader->at + (got > 0 ? got : 0), reader->gzip ? " of the uncompressed file" : "");
}

mb_status_t mb_idx_read(mb_idx_reader_t *reader, size_t bytes, void *to)
{
    char *next = to;
    while (bytes > 0) {
        unsigned wanted = bytes < (1u << 30) ? (unsigned)bytes : 1u << 30;
        int got = gzread(reader->stream, next, wanted);
        if (got < 0 || (unsigned)got < wanted)
            return damaged(reader, got);
        reader->at += got;
        next += got;
        bytes -= wanted;
    }
    return MB_OK;
}

mb_status_t mb_idx_finish(mb_idx_reader_t *reader)
{
    char extra;
    int got = gzread(reader->stream, &extra, 1);
    if (got < 0)
        return damaged(reader, got);
    int code = Z_OK;
    gzerror(reader->stream, &code);
    if (got == 0 && code == Z_BUF_ERROR)
        return damaged(reader, -1);
    if (got > 0)
        return mb_error_set(MB_ERR_FORMAT,
                            "%s: the file goes on behind byte %" PRId64
                            ", where its header says it ends",
                            reader->path, reader->at);
    return MB_OK;
}

void mb_idx_close(mb_idx_reader_t *reader)
{
    if (reader == NULL)
        return;
    if (reader->stream != NULL)
        gzclose(reader->stream);
    free(reader->path);
    free(reader);
}

/* Dimensions are 32 bits each, so their product is checked as it grows. */
static mb_status_t read_dimensions(mb_idx_reader_t *reader, mb_idx_header_t *header)
{
    unsigned char raw[4 * MB_MAX_RANK];
    MB_TRY(mb_idx_read(reader, 4 * (size_t)header->shape.rank, raw));
    header->data_bytes = (int64_t)mb_dtype_bytes(header->dtype);
    for (int i = 0; i < header->shape.rank; i++) {
        const unsigned char *b = raw + 4 * i;
        int64_t dim = (int64_t)b[0] << 24 | (int64_t)b[1] << 16 | (int64_t)b[2] << 8 | b[3];
        if (dim == 0)
            return mb_error_set(MB_ERR_FORMAT, "%s: dimension %d of the IDX header is 0",
                                reader->path, i);
        if (header->data_bytes > (INT64_C(1) << 50) / dim)
            return mb_error_set(MB_ERR_FORMAT, "%s: the IDX header asks for an absurd size",
                                reader->path);
        header->shape.dim[i] = dim;
        header->data_bytes *= dim;
    }
    return MB_OK;
}

static mb_status_t read_header(mb_idx_reader_t *reader, mb_idx_header_t *header)
{
    unsigned char magic[4];
    MB_TRY(mb_idx_read(reader, sizeof(magic), magic));
    *header = (mb_idx_header_t){.gzip = reader->gzip};
    if (magic[0] != 0 || magic[1] != 0 || !dtype_of_code(magic[2], &header->dtype))
        return mb_error_set(MB_ERR_FORMAT,
                            "%s: not an IDX file: it begins with %02x %02x %02x %02x", reader->path,
                            magic[0], magic[1], magic[2], magic[3]);
    if (magic[3] < 1 || magic[3] > MB_MAX_RANK)
        return mb_error_set(MB_ERR_FORMAT, "%s: an IDX file of %d dimensions; 1 to %d can be read",
                            reader->path, magic[3], MB_MAX_RANK);
    header->shape.rank = magic[3];
    header->header_bytes = 4 + 4 * (int64_t)magic[3];
    return read_dimensions(reader, header);
}

/* Deflate makes at most 1032 bytes of one (258 of 2 bits), so that a header that asks for more is
 * refused before there is room for it. */
static mb_status_t check_gzip(const char *path, int64_t size, int64_t wanted)
{
    if (wanted / 1032 <= size)
        return MB_OK;
    return mb_error_set(MB_ERR_FORMAT,
                        "%s: the IDX header describes a file of %" PRId64
                        " bytes, more than gzip can make of %" PRId64 ": it is truncated",
                        path, wanted, size);
}

static mb_status_t check_size(const char *path, int64_t size, const mb_idx_header_t *header)
{
    int64_t wanted = header->header_bytes + header->data_bytes;
    if (header->gzip)
        return check_gzip(path, size, wanted);
    if (size == wanted)
        return MB_OK;
    return mb_error_set(MB_ERR_FORMAT,
                        "%s: the IDX header describes a file of %" PRId64
                        " bytes, but it has %" PRId64 "%s",
                        path, wanted, size, size < wanted ? ": it is truncated" : "");
}

static mb_status_t start(mb_idx_reader_t *reader, int file, mb_idx_header_t *header)
{
    struct stat info;
    unsigned char head[2] = {0};
    if (fstat(file, &info) != 0 || pread(file, head, 2, 0) < 0) {
        close(file);
        return mb_error_set(MB_ERR_IO, "%s: %s", reader->path, strerror(errno));
    }
    reader->gzip = is_gzip(head);
    reader->stream = gzdopen(file, "rb");
    if (reader->stream == NULL) {
        close(file);
        return mb_error_memory("a gzip reader", ZLIB_BUFFER);
    }
    gzbuffer(reader->stream, ZLIB_BUFFER);
    MB_TRY(read_header(reader, header));
    return check_size(reader->path, info.st_size, header);
}

mb_status_t mb_idx_open(const char *path, mb_idx_header_t *header, mb_idx_reader_t **out)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return mb_error_set(MB_ERR_IO, "%s: the IDX file cannot be opened: %s", path,
                            strerror(errno));
    mb_idx_reader_t *reader = calloc(1, sizeof(*reader));
    if (reader != NULL)
        reader->path = strdup(path);
    if (reader == NULL || reader->path == NULL) {
        close(file);
        free(reader);
        return mb_error_memory("an IDX reader", sizeof(*reader));
    }
    mb_status_t status = start(reader, file, header);
    if (status == MB_OK)
        *out = reader;
    else
        mb_idx_close(reader);
    return status;
}
