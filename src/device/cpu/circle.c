/* Circle loss: a row's loss from its distances to all rows, then its gradient from their slopes in
 * both rows' losses, which are the same function of one distance. A row is a tile; all in double,
 * in the order of the rows. Source: keras/src/losses/losses.py. */
#include <math.h>
#include <string.h>
#include "device/cpu/cpu.h"
#include "device/cpu/loss.h"
#include "device/cpu/simd.h"

enum { ALIKE = 0, OTHER = 1, NEITHER = 2 };

/* Log-sums over the rows of its own label and of others; share: of the row's loss in the whole
 * one's gradient. */
typedef struct {
    double sums[2];
    double loss, share;
} row_t;

typedef struct {
    const mb_circle_args_t *args;
    mb_workspace_t workspace;
    row_t *rows;
    float *distances; /* [valid, valid]: 1 - x_i x_j */
    float *x;         /* a copy, as dx may be x */
} circle_t;

/* What a pair of rows gives, and its slope by the product of the two. */
typedef struct {
    double value, slope;
} pair_t;

MB_MULTIVERSION
static float distance_of(const float *a, const float *b, int64_t columns)
{
    double product = 0.0;
#pragma omp simd reduction(+ : product)
    for (int64_t c = 0; c < columns; c++)
        product += (double)a[c] * (double)b[c];
    return (float)(1.0 - product);
}

MB_MULTIVERSION
static void add_row(double *restrict y, const float *restrict x, double factor, int64_t columns)
{
#pragma omp simd
    for (int64_t c = 0; c < columns; c++)
        y[c] += factor * (double)x[c];
}

static int kind_of(const mb_circle_args_t *a, int64_t i, int64_t j)
{
    if (a->labels[i] != a->labels[j])
        return OTHER;
    return i == j && a->removes_itself ? NEITHER : ALIKE;
}

static pair_t pair_of(const mb_circle_args_t *a, float distance, int kind)
{
    double d = mb_loss_at_least((double)distance, 0.0), margin = (double)a->margin;
    double factor = kind == ALIKE ? -(double)a->gamma : (double)a->gamma;
    double side = kind == ALIKE ? 1.0 : -1.0;
    double weight = kind == ALIKE ? margin + d : 1.0 + margin - d;
    double away = (kind == ALIKE ? margin : 1.0 - margin) - d;
    double bounded = mb_loss_at_least(weight, 0.0);
    double slope = factor * (side * mb_loss_positive(weight) * away - bounded);
    return (pair_t){factor * bounded * away, -slope * mb_loss_positive((double)distance)};
}

static double log_sum(const mb_circle_args_t *a, const float *distances, int64_t i, int kind)
{
    double largest = -INFINITY, sum = 0.0;
    for (int64_t j = 0; j < a->valid; j++) {
        if (kind_of(a, i, j) == kind)
            largest = fmax(largest, pair_of(a, distances[j], kind).value);
    }
    for (int64_t j = 0; j < a->valid; j++) {
        if (kind_of(a, i, j) == kind)
            sum += exp(pair_of(a, distances[j], kind).value - largest);
    }
    return sum == 0.0 ? -INFINITY : largest + log(sum);
}

static double softplus(double x)
{
    return x > 0.0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

static void measure_row(void *context, int64_t i, int thread)
{
    (void)thread;
    const circle_t *circle = context;
    const mb_circle_args_t *a = circle->args;
    const float *x = mb_in(a->x);
    float *distances = circle->distances + i * a->valid;
    row_t *row = &circle->rows[i];
    for (int64_t j = 0; j < a->valid; j++)
        distances[j] = distance_of(x + i * a->columns, x + j * a->columns, a->columns);
    row->sums[ALIKE] = log_sum(a, distances, i, ALIKE);
    row->sums[OTHER] = log_sum(a, distances, i, OTHER);
    row->loss = softplus(row->sums[ALIKE] + row->sums[OTHER]);
    row->share = 1.0 / (1.0 + exp(-row->sums[ALIKE] - row->sums[OTHER]));
    if (a->dx != NULL)
        memcpy(circle->x + i * a->columns, x + i * a->columns, sizeof(float) * (size_t)a->columns);
}

/* A NaN stays one: it is multiplied by zero. */
static void weigh_rows(const circle_t *circle)
{
    const mb_circle_args_t *a = circle->args;
    int64_t counted = 0;
    for (int64_t i = 0; i < a->valid; i++)
        counted += (float)circle->rows[i].loss > 0.0f;
    double factor = a->averages && counted > 0 ? (double)a->valid / (double)counted : 1.0;
    for (int64_t i = 0; i < a->valid; i++) {
        row_t *row = &circle->rows[i];
        double weight = (float)row->loss > 0.0f ? factor : 0.0;
        *a->sum += weight * row->loss;
        row->share *= weight * (double)a->scale;
    }
}

/* Of a row that does not count the log-sum may be -infinity. */
static double part_of(const row_t *row, int kind, double value)
{
    return row->share == 0.0 ? 0.0 : row->share * exp(value - row->sums[kind]);
}

static double slope_of(const circle_t *circle, int64_t i, int64_t j)
{
    const mb_circle_args_t *a = circle->args;
    int kind = kind_of(a, i, j);
    if (kind == NEITHER)
        return 0.0;
    pair_t pair = pair_of(a, circle->distances[i * a->valid + j], kind);
    return pair.slope * (part_of(&circle->rows[i], kind, pair.value) +
                         part_of(&circle->rows[j], kind, pair.value));
}

static void differentiate_row(void *context, int64_t i, int thread)
{
    const circle_t *circle = context;
    const mb_circle_args_t *a = circle->args;
    double *sum = mb_workspace_thread(&circle->workspace, thread);
    float *dx = mb_out(a->dx) + i * a->columns;
    memset(sum, 0, sizeof(double) * (size_t)a->columns);
    for (int64_t j = 0; j < a->valid && i < a->valid; j++)
        add_row(sum, circle->x + j * a->columns, slope_of(circle, i, j), a->columns);
    for (int64_t c = 0; c < a->columns; c++)
        dx[c] = (float)sum[c];
}

static mb_status_t take_memory(mb_exec_t *exec, circle_t *circle)
{
    const mb_circle_args_t *a = circle->args;
    size_t rows = (size_t)a->rows, columns = (size_t)a->columns;
    size_t of_rows = mb_round_64(rows * sizeof(row_t));
    size_t of_pairs = mb_round_64(rows * rows * sizeof(float));
    size_t of_x = a->dx == NULL ? 0 : rows * columns * sizeof(float);
    size_t of_thread = a->dx == NULL ? 0 : mb_round_64(columns * sizeof(double));
    MB_TRY(mb_cpu_workspace(exec, MB_OP_CIRCLE, of_rows + of_pairs + of_x, of_thread,
                            &circle->workspace));
    char *memory = circle->workspace.shared;
    if (exec->planning)
        return MB_OK;
    circle->rows = (row_t *)(void *)memory;
    circle->distances = (float *)(void *)(memory + of_rows);
    circle->x = (float *)(void *)(memory + of_rows + of_pairs);
    return MB_OK;
}

mb_status_t mb_cpu_circle(mb_exec_t *exec, const mb_circle_args_t *args)
{
    MB_CPU_CHECK(MB_OP_CIRCLE, args->valid >= 0 && args->valid <= args->rows && args->columns >= 1,
                 "rows without columns, or more valid rows than rows");
    circle_t circle = {.args = args};
    MB_TRY(take_memory(exec, &circle));
    if (exec->planning)
        return MB_OK;
    mb_cpu_tiles(exec, args->valid, measure_row, &circle);
    weigh_rows(&circle);
    if (args->dx != NULL)
        mb_cpu_tiles(exec, args->rows, differentiate_row, &circle);
    return MB_OK;
}
