/* IDX files (http://yann.lecun.com/exdb/mnist): a magic number that gives type and rank, big-endian
 * dimensions, big-endian elements; raw or gzip. */
#ifndef MB_DATA_IDX_H
#define MB_DATA_IDX_H

#include "base/error.h"
#include "base/types.h"

typedef struct {
    mb_dtype_t dtype;
    mb_shape_t shape;     /* the first axis counts samples */
    int64_t header_bytes; /* of the raw form */
    int64_t data_bytes;
    bool gzip;
} mb_idx_header_t;

/* HEAD are the first four bytes of an IDX or gzip file. */
bool mb_idx_looks_like(const unsigned char head[4]);
/* PATH names an IDX data set that is no file of that name: "IMAGES,LABELS", "DIR:test". */
bool mb_idx_names_several(const char *path);
/* The folder holds IDX images by their usual names. */
bool mb_idx_in_folder(const char *path);

/* The files that PATH names. *labels is NULL where none is found; LABELS_WANTED makes that an
 * error. The caller frees both. */
mb_status_t mb_idx_find(const char *path, bool labels_wanted, char **images, char **labels);

/* Reads an IDX file from front to back, raw or gzip. */
typedef struct mb_idx_reader mb_idx_reader_t;
mb_status_t mb_idx_open(const char *path, mb_idx_header_t *header, mb_idx_reader_t **out);
/* The next BYTES bytes of data (big-endian). MB_ERR_FORMAT when gzip data are damaged or end. */
mb_status_t mb_idx_read(mb_idx_reader_t *reader, size_t bytes, void *to);
/* After the last byte: nothing may follow, and gzip's checksum must hold. */
mb_status_t mb_idx_finish(mb_idx_reader_t *reader);
void mb_idx_close(mb_idx_reader_t *reader);

#endif
