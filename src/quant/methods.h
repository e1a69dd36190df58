/* The methods behind mb_encode, one file each. They fill codes and scales of OUT, whose memory
 * mb_encode has made for its layout; values are finite and fit. */
#ifndef MB_QUANT_METHODS_H
#define MB_QUANT_METHODS_H

#include "quant/encode.h"

/* A matrix that is being made. */
typedef struct {
    mb_matrix_t *m;    /* layout; pointers are those below */
    uint8_t *values;   /* codes as they are stored */
    void *scales;      /* F32 or BF16 */
    uint8_t *zeros;    /* unpacked */
    float *row_scales; /* all 1 at first; NULL: the layout has none */
    const mb_view_t *view;
} mb_draft_t;

/* Sets a scale (rounded to the scale's number, upwards in magnitude for BF16) and returns the value
 * that will be read. ROW and COLUMN count scales, not weights. */
float mb_draft_set_scale(const mb_draft_t *draft, int64_t row, int64_t column, float scale,
                         int zero);
/* The scale and zero that suit COUNT values at STRIDE by the largest magnitude (U4: range), or,
 * with `mse`, by the smallest squared error over a grid of clips. */
void mb_scale_choose(mb_number_t number, bool mse, const float *values, int64_t count,
                     int64_t stride, float *scale, int *zero);
/* Rounds one value to a code with the scale and zero of its place, stores it, returns what it
 * decodes to. */
float mb_draft_put(const mb_draft_t *draft, int64_t row, int64_t column, float value);

mb_status_t mb_encode_scaled(const mb_draft_t *draft, const float *values, bool mse);
mb_status_t mb_encode_floats(const mb_draft_t *draft, const float *values, bool mse);
/* I8, I4 and U4, no lookups, with calibration. USED becomes the method whose codes were taken: MSE
 * where it is no worse, or where the covariance is of no use. AWQ is for a layout with row scales,
 * and clears m->has_row_scales when they do not help; GPTQ is for one without. */
mb_status_t mb_encode_gptq(const mb_draft_t *draft, const float *values,
                           const mb_calibration_t *calibration, mb_method_t *used);
mb_status_t mb_encode_awq(const mb_draft_t *draft, const float *values,
                          const mb_calibration_t *calibration, mb_method_t *used);

/* trace(D^T H D): what the outputs lose by the draft's errors D = decoded - VALUES. */
mb_status_t mb_draft_loss(const mb_draft_t *draft, const float *values,
                          const mb_calibration_t *calibration, double *loss);

/* out[c] += sum of factors[j] * rows[j * stride + c] over j < COUNT, for c < COLUMNS. */
void mb_rows_add(double *out, int64_t columns, const double *factors, int64_t count,
                 const double *rows, int64_t stride);

/* In place: the lower Cholesky factor of the symmetric positive definite A [n, n] (double,
 * row-major; the lower triangle is read and written). MB_ERR_NUMERIC when it is not. */
mb_status_t mb_cholesky(double *a, int64_t n);

#endif
