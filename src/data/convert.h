/* Builds an HDF5 data file from IDX images and labels, or from text. */
#ifndef MB_DATA_CONVERT_H
#define MB_DATA_CONVERT_H

#include "base/error.h"
#include "base/types.h"

typedef struct {
    int64_t samples;  /* or tokens */
    mb_shape_t shape; /* of one sample */
    mb_dtype_t dtype;
    bool has_labels;
    bool is_tokens;
    int64_t bytes; /* of the file */
} mb_data_summary_t;

/* INPUTS are all IDX (files, "IMAGES,LABELS", a labels file behind its images, a folder "DIR" or
 * "DIR:test") or all text; their contents are joined in the order given. IDX gives `x`, with
 * scale_factor 1/255 for bytes, and `y` where there are labels; text gives 1-D uint8 `tokens`, its
 * bytes. OUTPUT appears complete or not at all; an existing one is replaced. Not collective. */
mb_status_t mb_data_convert(const char *const *inputs, int n_inputs, const char *output,
                            mb_data_summary_t *summary);

#endif
