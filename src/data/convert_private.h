/* The kinds that become data files, each in its own way. */
#ifndef MB_DATA_CONVERT_PRIVATE_H
#define MB_DATA_CONVERT_PRIVATE_H

#include "data/convert.h"
#include "data/deviation.h"
#include "data/output.h"

#define MB_CONVERT_BYTES ((size_t)1 << 20)

typedef struct {
    const char *const *inputs;
    int n_inputs;
    const char *output;
    const mb_data_options_t *options;
    mb_output_t file;
    char *buffer; /* of MB_CONVERT_BYTES */
    mb_data_summary_t *summary;
} mb_conversion_t;

mb_status_t mb_convert_idx(mb_conversion_t *conversion);
mb_status_t mb_convert_text(mb_conversion_t *conversion);
mb_status_t mb_convert_source(mb_conversion_t *conversion);

void mb_convert_show(const mb_conversion_t *conversion, const char *what, int64_t done,
                     int64_t total);
/* How many features a sample of this shape has, for --normalize. */
int64_t mb_convert_channels(const mb_shape_t *sample, mb_dtype_t stored);
/* Writes what was found; the places of `mean` and `variance` are in these datasets. */
mb_status_t mb_convert_write_deviation(mb_conversion_t *conversion, mb_deviation_t *deviation,
                                       const mb_output_dataset_t *mean,
                                       const mb_output_dataset_t *variance);

#endif
