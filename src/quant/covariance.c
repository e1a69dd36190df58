/* Sums of rows, which is what the factor of a covariance, error feedback and the loss all come down
 * to: out += factors[0] * row 0 + factors[1] * row 1 ... in double. Eight rows are added in one
 * pass, so that OUT is read and written an eighth as often.
 *
 * The loss of a matrix of weights with errors E whose inputs have the covariance H = sum x^T x is
 * what the product's outputs lose: sum |x E|^2 = trace(E^T H E). */
#include "device/cpu/simd.h"
#include "quant/methods.h"

#include <stdlib.h>

enum { ROWS = 8, PANEL = 64 };

MB_MULTIVERSION
static void add_eight(double *restrict out, int64_t columns, const double *f, const double *rows,
                      int64_t stride)
{
    const double *a = rows, *b = a + stride, *c = b + stride, *d = c + stride;
    const double *e = d + stride, *g = e + stride, *h = g + stride, *k = h + stride;
#pragma omp simd
    for (int64_t i = 0; i < columns; i++)
        out[i] += ((f[0] * a[i] + f[1] * b[i]) + (f[2] * c[i] + f[3] * d[i])) +
                  ((f[4] * e[i] + f[5] * g[i]) + (f[6] * h[i] + f[7] * k[i]));
}

MB_MULTIVERSION
static void add_one(double *restrict out, int64_t columns, double factor, const double *row)
{
#pragma omp simd
    for (int64_t i = 0; i < columns; i++)
        out[i] += factor * row[i];
}

void mb_rows_add(double *out, int64_t columns, const double *factors, int64_t count,
                 const double *rows, int64_t stride)
{
    int64_t j = 0;
    for (; j + ROWS <= count; j += ROWS)
        add_eight(out, columns, factors + j, rows + j * stride, stride);
    for (; j < count; j++)
        add_one(out, columns, factors[j], rows + j * stride);
}

/* trace(E^T H E) of a panel of errors, by rows: E_i . (H_ii E_i + 2 sum over j < i of H_ij E_j). */
static double panel_loss(const float *covariance, int64_t rows, const double *errors,
                         double *factors)
{
    double loss = 0.0;
    for (int64_t i = 0; i < rows; i++) {
        const float *h = covariance + i * rows;
        for (int64_t j = 0; j < i; j++)
            factors[j] = 2.0 * (double)h[j];
        factors[i] = (double)h[i];
        double product[PANEL] = {0.0};
        mb_rows_add(product, PANEL, factors, i + 1, errors, PANEL);
        for (int64_t c = 0; c < PANEL; c++)
            loss += errors[i * PANEL + c] * product[c];
    }
    return loss;
}

/* Columns [first, first + PANEL) of decoded - values; 0 past the last. */
static void load_errors(const mb_matrix_t *m, const float *values, const float *decoded,
                        int64_t first, double *errors)
{
    int64_t count = m->columns - first < PANEL ? m->columns - first : PANEL;
    for (int64_t r = 0; r < m->rows; r++) {
        int64_t at = r * m->columns + first;
        for (int64_t c = 0; c < PANEL; c++)
            errors[r * PANEL + c] =
                c < count ? (double)decoded[at + c] - (double)values[at + c] : 0.0;
    }
}

mb_status_t mb_draft_loss(const mb_draft_t *draft, const float *values,
                          const mb_calibration_t *calibration, double *loss)
{
    const mb_matrix_t *m = draft->m;
    size_t decoded_bytes = (size_t)(m->rows * m->columns) * sizeof(float);
    size_t error_bytes = (size_t)m->rows * (PANEL + 1) * sizeof(double);
    float *decoded = malloc(decoded_bytes);
    double *errors = malloc(error_bytes);
    if (decoded == NULL || errors == NULL) {
        free(decoded);
        free(errors);
        return mb_error_memory("the errors of a matrix", decoded_bytes + error_bytes);
    }
    mb_matrix_decode(m, decoded);
    *loss = 0.0;
    for (int64_t first = 0; first < m->columns; first += PANEL) {
        load_errors(m, values, decoded, first, errors);
        *loss += panel_loss(calibration->covariance, m->rows, errors, errors + m->rows * PANEL);
    }
    free(decoded);
    free(errors);
    return MB_OK;
}
