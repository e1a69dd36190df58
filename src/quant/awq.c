/* Activation-aware scaling (Lin et al., "AWQ", MLSys 2024): the weights of row k, which input k is
 * multiplied by, are multiplied by s_k = rms(input k)^alpha before they are rounded and divided by
 * it afterwards, so that weights of large inputs are rounded more finely. Alpha is searched for, by
 * what the outputs lose; where there is a scale to each column, on some of the columns. */
#include "quant/methods.h"

#include <math.h>
#include <stdlib.h>

enum { TRIAL_COLUMNS = 128, ALPHAS = 20 };

/* An input that is hardly ever there does not make its weights vanish. */
static const double SMALLEST_RMS = 1.0 / 1024; /* of the largest */

typedef struct {
    const mb_calibration_t *calibration;
    double *log_rms; /* [rows]: of inputs, less their mean */
    float *scaled;   /* [rows, columns]: weights times s_k */
} awq_t;

/* Some columns of a matrix, and what they are encoded to. */
typedef struct {
    mb_matrix_t m;
    mb_draft_t draft;
    mb_view_t view;
    float *values;
    void *own[4];
} trial_t;

static void measure_inputs(const awq_t *a, int64_t rows)
{
    double largest = 0.0, mean = 0.0;
    for (int64_t r = 0; r < rows; r++)
        largest = fmax(largest, (double)a->calibration->covariance[r * rows + r]);
    double floor = largest > 0.0 ? largest * SMALLEST_RMS * SMALLEST_RMS : 1.0;
    for (int64_t r = 0; r < rows; r++) {
        double own = (double)a->calibration->covariance[r * rows + r];
        a->log_rms[r] = 0.5 * log(fmax(own, floor));
        mean += a->log_rms[r] / (double)rows;
    }
    for (int64_t r = 0; r < rows; r++)
        a->log_rms[r] -= mean;
}

/* Encodes the scaled rows as a matrix without row scales, and gives it those that undo it. */
static mb_status_t encode_scaled_rows(const awq_t *a, const mb_draft_t *draft, const float *values,
                                      double alpha)
{
    const mb_matrix_t *m = draft->m;
    for (int64_t r = 0; r < m->rows; r++) {
        draft->row_scales[r] = (float)exp(-alpha * a->log_rms[r]);
        for (int64_t c = 0; c < m->columns; c++)
            a->scaled[r * m->columns + c] = values[r * m->columns + c] / draft->row_scales[r];
    }
    mb_matrix_t plain = *m;
    plain.has_row_scales = false;
    plain.row_scales = NULL;
    mb_draft_t rows = *draft;
    rows.m = &plain;
    rows.row_scales = NULL;
    return mb_encode_scaled(&rows, a->scaled, true);
}

static mb_status_t measure(const awq_t *a, const mb_draft_t *draft, const float *values,
                           double alpha, double *loss)
{
    MB_TRY(encode_scaled_rows(a, draft, values, alpha));
    return mb_draft_loss(draft, values, a->calibration, loss);
}

/* Every n-th column, where columns have scales of their own; all of them otherwise. */
static mb_status_t trial_make(const mb_draft_t *draft, const float *values, trial_t *t)
{
    t->m = *draft->m;
    int64_t columns = draft->m->columns, rows = draft->m->rows;
    if (t->m.block_columns == 1 && columns > TRIAL_COLUMNS)
        t->m.columns = TRIAL_COLUMNS;
    size_t scales = (size_t)mb_matrix_scales(&t->m), count = (size_t)(rows * t->m.columns);
    t->own[0] = malloc(count);
    t->own[1] = malloc(scales * sizeof(float));
    t->own[2] = malloc(scales);
    t->own[3] = malloc((size_t)rows * sizeof(float));
    t->values = malloc(count * sizeof(float));
    for (int i = 0; i < 4; i++)
        if (t->own[i] == NULL || t->values == NULL)
            return mb_error_memory("trials of row scales", count * (sizeof(float) + 1));
    t->m.values = t->own[0];
    t->m.scales = t->own[1];
    t->m.zeros = t->m.has_zeros ? t->own[2] : NULL;
    t->m.row_scales = t->own[3];
    t->view = (mb_view_t){rows, t->m.columns, false};
    t->draft = (mb_draft_t){&t->m, t->own[0], t->own[1], t->own[2], t->own[3], &t->view};
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < t->m.columns; c++)
            t->values[r * t->m.columns + c] = values[r * columns + c * columns / t->m.columns];
    return MB_OK;
}

static void trial_free(trial_t *t)
{
    for (int i = 0; i < 4; i++)
        free(t->own[i]);
    free(t->values);
}

static mb_status_t choose_alpha(const awq_t *a, const mb_draft_t *draft, const float *values,
                                double *alpha)
{
    trial_t t = {.values = NULL};
    double smallest = INFINITY;
    *alpha = 0.0;
    mb_status_t status = trial_make(draft, values, &t);
    for (int i = 0; i <= ALPHAS && status == MB_OK; i++) {
        double loss = 0.0;
        status = measure(a, &t.draft, t.values, (double)i / ALPHAS, &loss);
        if (status == MB_OK && loss < smallest) {
            smallest = loss;
            *alpha = (double)i / ALPHAS;
        }
    }
    trial_free(&t);
    return status;
}

static mb_status_t encode(const awq_t *a, const mb_draft_t *draft, const float *values,
                          bool *better)
{
    double alpha = 0.0, plain = 0.0, loss = 0.0;
    measure_inputs(a, draft->m->rows);
    MB_TRY(choose_alpha(a, draft, values, &alpha));
    if (alpha > 0.0) {
        MB_TRY(measure(a, draft, values, 0.0, &plain));
        MB_TRY(measure(a, draft, values, alpha, &loss));
    }
    *better = loss < plain;
    return MB_OK;
}

mb_status_t mb_encode_awq(const mb_draft_t *draft, const float *values,
                          const mb_calibration_t *calibration, mb_method_t *used)
{
    const mb_matrix_t *m = draft->m;
    bool better = false;
    size_t bytes = (size_t)(m->rows * m->columns) * sizeof(float);
    awq_t a = {calibration, malloc((size_t)m->rows * sizeof(double)), malloc(bytes)};
    mb_status_t status = a.log_rms == NULL || a.scaled == NULL
                             ? mb_error_memory("scaled rows", bytes)
                             : encode(&a, draft, values, &better);
    *used = better ? MB_METHOD_AWQ : MB_METHOD_MSE;
    if (!better && status == MB_OK) {
        draft->m->has_row_scales = false;
        status = mb_encode_scaled(draft, values, true);
    }
    free(a.log_rms);
    free(a.scaled);
    return status;
}
