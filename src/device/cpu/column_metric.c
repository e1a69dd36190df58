/* Sums for each column of what a score by class or by target needs (keras/src/metrics: R2Score,
 * FBetaScore). */
#include <math.h>
#include "device/cpu/cells.h"
#include "device/cpu/labels.h"

static void add_moments(const mb_column_metric_args_t *a, double x, double t, double weight,
                        double *sum)
{
    sum[0] += weight * t;
    sum[a->columns] += weight * t * t;
    sum[2 * a->columns] += weight * (t - x) * (t - x);
    sum[3 * a->columns] += weight;
}

static void add_prediction(const mb_column_metric_args_t *a, bool predicted, double t,
                           double weight, double *sum)
{
    double p = predicted ? 1.0 : 0.0;
    sum[0] += weight * p * t;
    sum[a->columns] += weight * p * (1.0 - t);
    sum[2 * a->columns] += weight * (1.0 - p) * t;
    sum[3 * a->columns] += weight * t;
}

static void add_row(const mb_cells_t *cells, int64_t row, double *sums)
{
    const mb_column_metric_args_t *a = cells->args;
    const float *x = mb_in(a->x) + row * a->columns;
    double weight = mb_weight_at(a->weights, row);
    float largest = x[mb_first_largest(x, a->columns)];
    for (int64_t j = 0; j < a->columns; j++) {
        double t = (double)mb_label_at(&a->labels, row, j);
        bool predicted = a->kind == MB_COLUMN_ABOVE ? x[j] > a->threshold
                                                    : x[j] >= largest && fabsf(x[j]) > 1e-9f;
        if (a->kind == MB_COLUMN_MOMENTS)
            add_moments(a, (double)x[j], t, weight, sums + j);
        else
            add_prediction(a, predicted, t, weight, sums + j);
    }
    sums[4 * a->columns] += 1.0;
}

mb_status_t mb_cpu_column_metric(mb_exec_t *exec, const mb_column_metric_args_t *args)
{
    MB_CPU_CHECK(MB_OP_COLUMN_METRIC,
                 args->valid >= 0 && args->valid <= args->rows && args->columns >= 1 &&
                     mb_labels_fit(&args->labels, args->columns),
                 "rows without columns or with other labels, or more valid rows than rows");
    mb_cells_t cells = {.args = args,
                        .add = add_row,
                        .rows = args->rows,
                        .valid = args->valid,
                        .columns = args->columns,
                        .count = 4 * args->columns + 1};
    return mb_cells_run(exec, MB_OP_COLUMN_METRIC, &cells, args->sums);
}
