/* What quantization cost, as the file itself says it: /mbrun/report.
 *
 * Datasets, one entry a tensor in file order: tensor, format, method (text: a row of characters
 * each, as netCDF has texts); elements, bytes_before, bytes_after (int64); bits_per_weight,
 * sqnr_db, max_abs_err, max_rel_err, rmse (float64). The rest are attributes of the group. NaN: not
 * measured.
 */
#ifndef MB_STORE_REPORT_H
#define MB_STORE_REPORT_H

#include "base/arena.h"
#include "base/error.h"
#include <stdint.h>

typedef struct {
    const char *tensor, *format, *method;
    int64_t elements, bytes_before, bytes_after;
    double bits_per_weight, sqnr_db, max_abs_err, max_rel_err, rmse;
} mb_report_line_t;

typedef struct {
    const char *format, *method; /* as asked for: "int8", "mixed: max-drop 1%" */
    const char *parent_digest;   /* of the float32 weights: 16 hexadecimal digits */
    int n_lines;
    mb_report_line_t *lines;
    int64_t bytes_before, bytes_after; /* all tensors */
    double bits_per_weight;
    /* on data; all NaN or 0 without */
    const char *data;
    int64_t samples;
    double loss_before, loss_after, accuracy_before, accuracy_after;
    double agreement;       /* rows of outputs whose largest class is the same, a fraction */
    double mean_kl, max_kl; /* of the outputs' distributions, nats: sum p log(p / q) */
    int64_t compared;       /* rows of outputs behind agreement and KL */
} mb_report_t;

#endif
