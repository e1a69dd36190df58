/* Losses and their gradients, a block of rows a tile, with the cross-entropies of classes. The
 * arithmetic is that of Keras' torch backend (keras/src/backend/torch/nn.py,
 * keras/src/losses/losses.py); sums are in double. */
#include "device/cpu/loss.h"

#include <math.h>
#include <string.h>
#include "device/cpu/cpu.h"
#include "device/cpu/simd.h"
#include "device/cpu/softmax_rows.h"

/* log(sum(exp(x))); the exponentials are left in e where it is not NULL. */
static double log_sum_exp(const float *x, float *e, int64_t columns, double *sum_out,
                          float *largest_out)
{
    const mb_softmax_rows_t *row = mb_softmax_rows();
    float largest = row->largest(x, columns);
    *sum_out =
        e == NULL ? row->sum(x, largest, columns) : row->exponentials(x, largest, e, columns);
    *largest_out = largest;
    return (double)largest + log(*sum_out);
}

MB_MULTIVERSION
static void scale_row(float *y, int64_t columns, float factor)
{
#pragma omp simd
    for (int64_t j = 0; j < columns; j++)
        y[j] *= factor;
}

static double sparse_softmax(const mb_loss_row_t *r)
{
    const mb_loss_args_t *a = r->args;
    double sum;
    float largest;
    /* x may be overwritten by dx in place, so the label's value is read first. */
    double own = (double)r->x[r->label];
    double log_sum = log_sum_exp(r->x, r->dx, a->columns, &sum, &largest);
    if (r->dx != NULL) {
        scale_row(r->dx, a->columns, (float)((double)r->scale / sum));
        r->dx[r->label] -= r->scale;
    }
    return log_sum - own;
}

static double softmax(const mb_loss_row_t *r)
{
    const mb_loss_args_t *a = r->args;
    float uniform = 1.0f / (float)a->columns;
    double sum, loss = 0.0, mass = 0.0;
    float largest;
    double log_sum = log_sum_exp(r->x, NULL, a->columns, &sum, &largest);
    for (int64_t j = 0; j < a->columns; j++) {
        double t = (double)mb_loss_smoothed(a, r->labels[j], uniform);
        mass += t;
        loss -= t * ((double)r->x[j] - log_sum);
    }
    if (r->dx != NULL)
        mb_softmax_rows()->exponentials(r->x, largest, r->dx, a->columns);
    for (int64_t j = 0; j < a->columns && r->dx != NULL; j++) {
        double p = (double)r->dx[j] / sum;
        double t = (double)mb_loss_smoothed(a, r->labels[j], uniform);
        r->dx[j] = (float)((double)r->scale * (p * mass - t));
    }
    return loss;
}

static double sum_of(const float *x, int64_t columns)
{
    double sum = 0.0;
    for (int64_t j = 0; j < columns; j++)
        sum += (double)x[j];
    return sum;
}

/* q = x / sum(x), loss = -log(clip(q)): the gradient goes through the division, and is zero where
 * the clip holds. */
static double sparse_probability(const mb_loss_row_t *r)
{
    const mb_loss_args_t *a = r->args;
    float sum = (float)sum_of(r->x, a->columns);
    float q = r->x[r->label] / sum;
    if (r->dx != NULL) {
        double g = mb_loss_inside(q) ? -(double)r->scale / (double)q : 0.0;
        float shared = (float)(-g * (double)q / (double)sum);
        for (int64_t j = 0; j < a->columns; j++)
            r->dx[j] = shared;
        r->dx[r->label] = (float)(g * (1.0 - (double)q) / (double)sum);
    }
    return -log((double)mb_loss_clipped(q));
}

static double probability(const mb_loss_row_t *r)
{
    const mb_loss_args_t *a = r->args;
    float uniform = 1.0f / (float)a->columns;
    float sum = (float)sum_of(r->x, a->columns);
    double loss = 0.0, shared = 0.0;
    for (int64_t j = 0; j < a->columns; j++) {
        float q = r->x[j] / sum;
        double t = (double)mb_loss_smoothed(a, r->labels[j], uniform);
        loss -= t * log((double)mb_loss_clipped(q));
        shared += mb_loss_inside(q) ? -t : 0.0; /* g q, where g = -t / q */
    }
    for (int64_t j = 0; j < a->columns && r->dx != NULL; j++) {
        float q = r->x[j] / sum;
        double t = (double)mb_loss_smoothed(a, r->labels[j], uniform);
        double g = mb_loss_inside(q) ? -t / (double)q : 0.0;
        r->dx[j] = (float)((double)r->scale * (g - shared) / (double)sum);
    }
    return loss;
}

static double (*const kinds[MB_LOSS_COUNT])(const mb_loss_row_t *) = {
    [MB_LOSS_SPARSE_SOFTMAX] = sparse_softmax,
    [MB_LOSS_SPARSE_PROBABILITY] = sparse_probability,
    [MB_LOSS_SOFTMAX] = softmax,
    [MB_LOSS_PROBABILITY] = probability,
    [MB_LOSS_BINARY_LOGITS] = mb_cpu_loss_binary_logits,
    [MB_LOSS_BINARY_PROBABILITY] = mb_cpu_loss_binary_probability,
    [MB_LOSS_SQUARED] = mb_cpu_loss_squared,
    [MB_LOSS_ABSOLUTE] = mb_cpu_loss_absolute,
    [MB_LOSS_PERCENTAGE] = mb_cpu_loss_percentage,
    [MB_LOSS_SQUARED_LOG] = mb_cpu_loss_squared_log,
    [MB_LOSS_HUBER] = mb_cpu_loss_huber,
    [MB_LOSS_LOG_COSH] = mb_cpu_loss_log_cosh,
    [MB_LOSS_POISSON] = mb_cpu_loss_poisson,
    [MB_LOSS_DIVERGENCE] = mb_cpu_loss_divergence,
    [MB_LOSS_HINGE] = mb_cpu_loss_hinge,
    [MB_LOSS_SQUARED_HINGE] = mb_cpu_loss_squared_hinge,
    [MB_LOSS_BINARY_FOCAL_LOGITS] = mb_cpu_loss_binary_focal_logits,
    [MB_LOSS_BINARY_FOCAL_PROBABILITY] = mb_cpu_loss_binary_focal_probability,
    [MB_LOSS_FOCAL_LOGITS] = mb_cpu_loss_focal_logits,
    [MB_LOSS_FOCAL_PROBABILITY] = mb_cpu_loss_focal_probability,
    [MB_LOSS_CATEGORICAL_HINGE] = mb_cpu_loss_categorical_hinge,
    [MB_LOSS_COSINE] = mb_cpu_loss_cosine,
    [MB_LOSS_OVERLAP] = mb_cpu_loss_overlap,
    [MB_LOSS_GENERALIZED] = mb_cpu_loss_generalized,
};

typedef struct {
    const mb_loss_args_t *args;
    int64_t block;
    double *partial;
} loss_t;

static double loss_of_row(const mb_loss_args_t *a, int64_t i)
{
    float weight = a->weights == NULL ? 1.0f : a->weights[i];
    mb_loss_row_t row = {.args = a, .x = mb_in(a->x) + i * a->columns, .scale = a->scale * weight};
    row.dx = a->dx == NULL ? NULL : mb_out(a->dx) + i * a->columns;
    bool counts = i < a->valid && weight != 0.0f;
    if (counts && mb_loss_is_sparse(a->kind)) {
        row.label = ((const int32_t *)a->labels)[i];
        counts = !(a->has_ignore && row.label == a->ignore_label);
    } else if (counts) {
        row.labels = (const float *)a->labels + i * a->columns;
    }
    if (counts)
        return (double)weight * kinds[a->kind](&row);
    if (row.dx != NULL)
        memset(row.dx, 0, sizeof(float) * (size_t)a->columns);
    return 0.0;
}

static void loss_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const loss_t *l = context;
    mb_span_t rows = mb_span(tile, l->block, l->args->rows);
    double sum = 0.0;
    for (int64_t i = rows.begin; i < rows.end; i++)
        sum += loss_of_row(l->args, i);
    l->partial[tile] = sum;
}

mb_status_t mb_cpu_loss(mb_exec_t *exec, const mb_loss_args_t *args)
{
    MB_CPU_CHECK(MB_OP_LOSS, (unsigned)args->kind < MB_LOSS_COUNT, "unknown loss");
    MB_CPU_CHECK(MB_OP_LOSS, args->valid >= 0 && args->valid <= args->rows && args->columns >= 1,
                 "rows without columns, or more valid rows than rows");
    loss_t loss = {.args = args, .block = mb_rows_block(args->columns, 2048)};
    int64_t tiles = mb_ceil_div(args->rows, loss.block);
    mb_workspace_t workspace;
    MB_TRY(mb_cpu_workspace(exec, MB_OP_LOSS, sizeof(double) * (size_t)tiles, 0, &workspace));
    if (exec->planning)
        return MB_OK;
    loss.partial = (double *)(void *)workspace.shared;
    mb_cpu_tiles(exec, tiles, loss_tile, &loss);
    double sum = 0.0;
    for (int64_t tile = 0; tile < tiles; tile++)
        sum += loss.partial[tile];
    *args->sum += sum;
    return MB_OK;
}
