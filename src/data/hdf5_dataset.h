/* One dataset of an HDF5 data file: what it holds, and where its bytes lie. Every failure of HDF5
 * becomes one message; HDF5 itself prints nothing. Only the caller's thread may come here. */
#ifndef MB_DATA_HDF5_DATASET_H
#define MB_DATA_HDF5_DATASET_H

#include "base/error.h"
#include "data/element.h"

#include <hdf5.h>

typedef struct {
    hid_t id;
    hid_t type;       /* as stored: reading with it converts nothing */
    mb_shape_t shape; /* the first axis counts samples */
    mb_element_t element;
    int64_t offset; /* of its contiguous bytes in the file; -1: only HDF5 can read it */
} mb_hdf5_dataset_t;

/* Opens for reading; *out is closed with H5Fclose. */
mb_status_t mb_hdf5_data_open(const char *path, hid_t *out);
/* A dataset of that name stands in the root group. */
bool mb_hdf5_data_has(hid_t file, const char *name);
/* The names of the root's datasets, "'x', 'y'", for messages; the caller frees. */
char *mb_hdf5_data_names(hid_t file);

mb_status_t mb_hdf5_dataset_open(hid_t file, const char *path, const char *name,
                                 mb_hdf5_dataset_t *out);
/* The bytes of a box of elements, as stored. */
mb_status_t mb_hdf5_dataset_read(const mb_hdf5_dataset_t *dataset, const char *path,
                                 const char *name, const hsize_t *start, const hsize_t *count,
                                 void *to);
void mb_hdf5_dataset_close(mb_hdf5_dataset_t *dataset);

#endif
