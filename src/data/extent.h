/* A field whose samples are stretches of bytes, `stride` apart, in an open file or in memory:
 * contiguous HDF5 datasets, IDX files, arrays of the caller's, windows of a stream of tokens. */
#ifndef MB_DATA_EXTENT_H
#define MB_DATA_EXTENT_H

#include "data/element.h"
#include "data/source.h"

typedef struct {
    int file;                    /* -1: memory */
    const unsigned char *memory; /* NULL: file */
    int64_t start, stride, bytes;
    mb_element_t element;
} mb_extent_t;

/* mb_source_class_t.read for one field. Safe in several threads at once; allocates nothing. */
mb_status_t mb_extent_read(const mb_source_t *source, int field, const mb_extent_t *extent,
                           const int64_t *indices, int64_t count, bool as_int, void *to);

/* pread until BYTES bytes are there; MB_ERR_IO naming PATH otherwise. */
mb_status_t mb_read_fully(int file, const char *path, int64_t offset, size_t bytes, void *to);

/* Continues DIGEST over up to LIMIT evenly spread bytes of BYTES bytes from the extent's start. */
mb_status_t mb_extent_digest(const mb_extent_t *extent, const char *path, int64_t bytes,
                             int64_t limit, uint64_t *digest);

#endif
