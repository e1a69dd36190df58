/* Which datasets of an HDF5 file serve a model: by name, `x` and `y`, or windows of `tokens`. */
#ifndef MB_DATA_HDF5_SELECT_H
#define MB_DATA_HDF5_SELECT_H

#include "data/hdf5_dataset.h"
#include "data/source.h"

typedef enum {
    MB_HDF5_ROWS = 0, /* sample i is row i */
    MB_HDF5_STREAM,   /* sample i is `length` elements of a 1-D dataset from i * length + shift */
    MB_HDF5_WINDOW    /* sample i is `length` elements of row i from shift */
} mb_hdf5_form_t;

typedef struct {
    const char *dataset; /* the name in the file */
    const char *name;    /* the field's name */
    mb_hdf5_form_t form;
    int64_t length, shift;
    char text[MB_WEIGHTS_NAME]; /* of a name that is made */
} mb_hdf5_choice_t;

/* *choices has at most n_inputs + 2 n_outputs + 1 entries; the caller frees it. Names belong to
 * WANTS or to *choices, or are constant. */
mb_status_t mb_hdf5_select(hid_t file, const char *path, const mb_source_wants_t *wants,
                           mb_hdf5_choice_t **choices, int *n_choices);

#endif
