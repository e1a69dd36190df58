/* Builds an HDF5 data file from any other kind of data. */
#ifndef MB_DATA_CONVERT_H
#define MB_DATA_CONVERT_H

#include "base/error.h"
#include "base/types.h"

typedef struct {
    const char *label;     /* a table's column of targets, by name or place: dataset `y` */
    bool columns;          /* a table: one dataset a column */
    bool text;             /* inputs are text whatever they are called */
    bool normalize;        /* mean and variance of each feature */
    int64_t image_size[3]; /* height, width, channels of images; 0: the images' own */
    const char *like;      /* a data file whose words and integers hold here too */
    void (*progress)(void *user, const char *what, int64_t done, int64_t total); /* NULL: none */
    void *user;
} mb_data_options_t;

typedef struct {
    int64_t samples;  /* or tokens */
    mb_shape_t shape; /* of one sample of the first dataset */
    mb_dtype_t dtype;
    int n_datasets;
    bool has_labels;
    int64_t classes; /* of the labels, where they are words */
    bool is_tokens;
    bool normalized;
    int64_t bytes; /* of the file */
} mb_data_summary_t;

/* INPUTS are of one kind. IDX (files, "IMAGES,LABELS", a labels file behind its images, a folder
 * "DIR" or "DIR:test") and text are joined in the order given, all else in the order of its names
 * (data/source.h says what else there is). IDX gives `x`, with scale_factor 1/255 for bytes, and
 * `y` where there are labels; text (.txt, .text, .md) gives 1-D uint8 `tokens`, its bytes; others
 * give their fields, words as integers with /vocabulary beside them. With `normalize` there are
 * `mean` and `variance`, float64, one number a feature (for each of several inputs NAME_mean and
 * NAME_variance). OUTPUT appears complete or not at all; an existing one is replaced. OPTIONS may
 * be NULL. Not collective. */
mb_status_t mb_data_convert(const char *const *inputs, int n_inputs, const char *output,
                            const mb_data_options_t *options, mb_data_summary_t *summary);

#endif
