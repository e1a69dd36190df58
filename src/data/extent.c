/* Runs of consecutive samples that also lie side by side are read as one stretch. Bytes that need
 * converting pass through a small buffer on the stack, so that any threads may read at once. */
#define _POSIX_C_SOURCE 200809L
#include "data/extent.h"

#include "base/crc32c.h"
#include "data/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define PIECE_BYTES 65536
#define LARGEST_READ (INT64_C(1) << 30)

mb_status_t mb_read_fully(int file, const char *path, int64_t offset, size_t bytes, void *to)
{
    size_t done = 0;
    while (done < bytes) {
        size_t wanted = bytes - done < (size_t)LARGEST_READ ? bytes - done : (size_t)LARGEST_READ;
        ssize_t got = pread(file, (char *)to + done, wanted, (off_t)offset + (off_t)done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return mb_error_set(MB_ERR_IO, "%s: reading %zu bytes at %" PRId64 ": %s", path, bytes,
                                offset, strerror(errno));
        if (got == 0)
            return mb_error_set(MB_ERR_IO,
                                "%s: the file ends at byte %" PRId64 ", but bytes up to %" PRId64
                                " are wanted: it was cut since it was opened",
                                path, offset + (int64_t)done, offset + (int64_t)bytes);
        done += (size_t)got;
    }
    return MB_OK;
}

typedef struct {
    const mb_source_t *source;
    int field;
    const mb_extent_t *extent;
    bool as_int;
} reading_t;

/* ELEMENTS elements whose first belongs to sample SAMPLE and lies at OFFSET. */
static mb_status_t convert(const reading_t *r, const void *from, int64_t sample, int64_t first,
                           int64_t elements, char *to)
{
    mb_element_fault_t fault;
    int64_t bad = mb_element_convert(&r->extent->element, from, elements, r->as_int, to, &fault);
    if (bad < 0)
        return MB_OK;
    int64_t size = (int64_t)mb_dtype_bytes(r->extent->element.stored);
    int64_t per_sample = r->extent->bytes / size;
    return mb_source_fault(r->source, r->field, sample + (first + bad) / per_sample,
                           mb_element_fault_text(fault));
}

static mb_status_t read_run_of_file(const reading_t *r, int64_t sample, int64_t count, char *to)
{
    const mb_extent_t *e = r->extent;
    const char *path = mb_source_path(r->source, r->field);
    int64_t size = (int64_t)mb_dtype_bytes(e->element.stored);
    int64_t offset = e->start + sample * e->stride;
    int64_t elements = count * e->bytes / size;
    if (e->element.stored == MB_F32 && !r->as_int) {
        MB_TRY(mb_read_fully(e->file, path, offset, (size_t)(elements * size), to));
        return convert(r, to, sample, 0, elements, to);
    }
    _Alignas(8) char piece[PIECE_BYTES];
    int64_t most = PIECE_BYTES / size;
    for (int64_t at = 0; at < elements; at += most) {
        int64_t n = elements - at < most ? elements - at : most;
        MB_TRY(mb_read_fully(e->file, path, offset + at * size, (size_t)(n * size), piece));
        MB_TRY(convert(r, piece, sample, at, n, to + at * 4));
    }
    return MB_OK;
}

static mb_status_t read_run(const reading_t *r, int64_t sample, int64_t count, char *to)
{
    const mb_extent_t *e = r->extent;
    if (e->memory == NULL)
        return read_run_of_file(r, sample, count, to);
    int64_t elements = count * e->bytes / (int64_t)mb_dtype_bytes(e->element.stored);
    return convert(r, e->memory + e->start + sample * e->stride, sample, 0, elements, to);
}

mb_status_t mb_extent_read(const mb_source_t *source, int field, const mb_extent_t *extent,
                           const int64_t *indices, int64_t count, bool as_int, void *to)
{
    const reading_t r = {source, field, extent, as_int};
    int64_t sample_out = extent->bytes / (int64_t)mb_dtype_bytes(extent->element.stored) * 4;
    MB_TRY(mb_source_check_indices(source, indices, count));
    for (int64_t i = 0; i < count;) {
        int64_t run = 1;
        if (extent->stride == extent->bytes) {
            while (i + run < count && indices[i + run] == indices[i] + run)
                run++;
        }
        MB_TRY(read_run(&r, indices[i], run, (char *)to + i * sample_out));
        i += run;
    }
    return MB_OK;
}

mb_status_t mb_extent_digest(const mb_extent_t *extent, const char *path, int64_t bytes,
                             int64_t limit, uint64_t *digest)
{
    char piece[PIECE_BYTES];
    int64_t pieces = limit / PIECE_BYTES < 1 ? 1 : limit / PIECE_BYTES;
    int64_t step = bytes <= pieces * PIECE_BYTES ? PIECE_BYTES : bytes / pieces;
    for (int64_t at = 0; at < bytes; at += step) {
        size_t n = bytes - at < PIECE_BYTES ? (size_t)(bytes - at) : PIECE_BYTES;
        const void *from = piece;
        if (extent->memory != NULL)
            from = extent->memory + extent->start + at;
        else
            MB_TRY(mb_read_fully(extent->file, path, extent->start + at, n, piece));
        *digest = mb_digest_add(*digest, mb_crc32c(0, from, n));
    }
    return MB_OK;
}
