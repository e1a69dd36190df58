/* What kind of data a file or a folder is. */
#ifndef MB_DATA_KIND_H
#define MB_DATA_KIND_H

#include "base/error.h"

typedef enum {
    MB_DATA_UNKNOWN,
    MB_DATA_HDF5,
    MB_DATA_IDX,
    MB_DATA_NPY,
    MB_DATA_NPZ,
    MB_DATA_TABLE,
    MB_DATA_IMAGES,
    MB_DATA_PLUGIN
} mb_data_kind_t;

/* By its contents, and tables and what a plugin reads by the ending. What is neither there nor a
 * pair is MB_ERR_IO. */
mb_status_t mb_data_kind(const char *path, mb_data_kind_t *kind);

#endif
