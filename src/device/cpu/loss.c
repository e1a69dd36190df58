/* Losses and their gradients, a block of rows a tile. The arithmetic is that of Keras' torch
 * backend (keras/src/backend/torch/nn.py, keras/src/losses/losses.py); sums are in double. */
#include <math.h>
#include <string.h>
#include "device/cpu/cpu.h"
#include "device/cpu/simd.h"
#include "device/cpu/vmath.h"

static const float tiny = 1e-7f;                     /* Keras' epsilon */
static const float nearly_one = (float)(1.0 - 1e-7); /* rounded as Keras' clip rounds it */

/* One row: returns its loss, and its gradient times scale when dx is not NULL. */
typedef struct {
    const mb_loss_args_t *args;
    const float *x;
    const float *labels; /* float kinds */
    int32_t label;       /* sparse kinds */
    float *dx;
} row_t;

/* log(sum(exp(x))); the exponentials are left in e where it is not NULL. */
MB_MULTIVERSION
static double log_sum_exp(const float *x, float *e, int64_t columns, double *sum_out,
                          float *largest_out)
{
    float largest = x[0];
#pragma omp simd reduction(max : largest)
    for (int64_t j = 0; j < columns; j++)
        largest = x[j] > largest ? x[j] : largest;
    double sum = 0.0;
    if (e != NULL) {
#pragma omp simd reduction(+ : sum)
        for (int64_t j = 0; j < columns; j++) {
            float value = mb_v_exp(x[j] - largest);
            e[j] = value;
            sum += (double)value;
        }
    } else {
#pragma omp simd reduction(+ : sum)
        for (int64_t j = 0; j < columns; j++)
            sum += (double)mb_v_exp(x[j] - largest);
    }
    *sum_out = sum;
    *largest_out = largest;
    return (double)largest + log(sum);
}

MB_MULTIVERSION
static void scale_row(float *y, int64_t columns, float factor)
{
#pragma omp simd
    for (int64_t j = 0; j < columns; j++)
        y[j] *= factor;
}

static double sparse_softmax(const row_t *r)
{
    const mb_loss_args_t *a = r->args;
    double sum;
    float largest;
    /* x may be overwritten by dx in place, so the label's value is read first. */
    double own = (double)r->x[r->label];
    double log_sum = log_sum_exp(r->x, r->dx, a->columns, &sum, &largest);
    if (r->dx != NULL) {
        scale_row(r->dx, a->columns, (float)((double)a->scale / sum));
        r->dx[r->label] -= a->scale;
    }
    return log_sum - own;
}

/* Keras' label smoothing: towards the uniform distribution. */
static inline float smoothed(const mb_loss_args_t *a, float label, float uniform)
{
    return label * (1.0f - a->label_smoothing) + a->label_smoothing * uniform;
}

static double softmax(const row_t *r)
{
    const mb_loss_args_t *a = r->args;
    float uniform = 1.0f / (float)a->columns;
    double sum, loss = 0.0, mass = 0.0;
    float largest;
    double log_sum = log_sum_exp(r->x, NULL, a->columns, &sum, &largest);
    for (int64_t j = 0; j < a->columns; j++) {
        double t = (double)smoothed(a, r->labels[j], uniform);
        mass += t;
        loss -= t * ((double)r->x[j] - log_sum);
    }
    for (int64_t j = 0; j < a->columns && r->dx != NULL; j++) {
        double p = (double)mb_v_exp(r->x[j] - largest) / sum;
        double t = (double)smoothed(a, r->labels[j], uniform);
        r->dx[j] = (float)((double)a->scale * (p * mass - t));
    }
    return loss;
}

static float clipped(float q)
{
    return q < tiny ? tiny : q > nearly_one ? nearly_one : q;
}

static bool inside(float q)
{
    return q >= tiny && q <= nearly_one;
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
static double sparse_probability(const row_t *r)
{
    const mb_loss_args_t *a = r->args;
    float sum = (float)sum_of(r->x, a->columns);
    float q = r->x[r->label] / sum;
    if (r->dx != NULL) {
        double g = inside(q) ? -(double)a->scale / (double)q : 0.0;
        float shared = (float)(-g * (double)q / (double)sum);
        for (int64_t j = 0; j < a->columns; j++)
            r->dx[j] = shared;
        r->dx[r->label] = (float)(g * (1.0 - (double)q) / (double)sum);
    }
    return -log((double)clipped(q));
}

static double probability(const row_t *r)
{
    const mb_loss_args_t *a = r->args;
    float uniform = 1.0f / (float)a->columns;
    float sum = (float)sum_of(r->x, a->columns);
    double loss = 0.0, shared = 0.0;
    for (int64_t j = 0; j < a->columns; j++) {
        float q = r->x[j] / sum;
        double t = (double)smoothed(a, r->labels[j], uniform);
        loss -= t * log((double)clipped(q));
        shared += inside(q) ? -t : 0.0; /* g q, where g = -t / q */
    }
    for (int64_t j = 0; j < a->columns && r->dx != NULL; j++) {
        float q = r->x[j] / sum;
        double t = (double)smoothed(a, r->labels[j], uniform);
        double g = inside(q) ? -t / (double)q : 0.0;
        r->dx[j] = (float)((double)a->scale * (g - shared) / (double)sum);
    }
    return loss;
}

static double binary_logits(const row_t *r)
{
    const mb_loss_args_t *a = r->args;
    double loss = 0.0, scale = (double)a->scale / (double)a->columns;
    for (int64_t j = 0; j < a->columns; j++) {
        double t = (double)smoothed(a, r->labels[j], 0.5f), x = (double)r->x[j];
        loss += (x > 0.0 ? x : 0.0) - x * t + log1p(exp(-fabs(x)));
        if (r->dx != NULL)
            r->dx[j] = (float)(scale * (1.0 / (1.0 + exp(-x)) - t));
    }
    return loss / (double)a->columns;
}

static double binary_probability(const row_t *r)
{
    const mb_loss_args_t *a = r->args;
    double loss = 0.0, scale = (double)a->scale / (double)a->columns;
    for (int64_t j = 0; j < a->columns; j++) {
        double t = (double)smoothed(a, r->labels[j], 0.5f);
        double q = (double)clipped(r->x[j]);
        bool counts = inside(r->x[j]);
        loss -= t * log(q) + (1.0 - t) * log(1.0 - q);
        if (r->dx != NULL)
            r->dx[j] = counts ? (float)(scale * (q - t) / (q * (1.0 - q))) : 0.0f;
    }
    return loss / (double)a->columns;
}

static double squared(const row_t *r)
{
    const mb_loss_args_t *a = r->args;
    double loss = 0.0;
    float scale = 2.0f * a->scale / (float)a->columns;
    for (int64_t j = 0; j < a->columns; j++) {
        float d = r->x[j] - r->labels[j];
        loss += (double)d * (double)d;
        if (r->dx != NULL)
            r->dx[j] = scale * d;
    }
    return loss / (double)a->columns;
}

static double absolute(const row_t *r)
{
    const mb_loss_args_t *a = r->args;
    double loss = 0.0;
    float scale = a->scale / (float)a->columns;
    for (int64_t j = 0; j < a->columns; j++) {
        float d = r->x[j] - r->labels[j];
        loss += fabs((double)d);
        if (r->dx != NULL)
            r->dx[j] = d > 0.0f ? scale : d < 0.0f ? -scale : 0.0f;
    }
    return loss / (double)a->columns;
}

static double (*const kinds[MB_LOSS_COUNT])(const row_t *) = {
    [MB_LOSS_SPARSE_SOFTMAX] = sparse_softmax,
    [MB_LOSS_SPARSE_PROBABILITY] = sparse_probability,
    [MB_LOSS_SOFTMAX] = softmax,
    [MB_LOSS_PROBABILITY] = probability,
    [MB_LOSS_BINARY_LOGITS] = binary_logits,
    [MB_LOSS_BINARY_PROBABILITY] = binary_probability,
    [MB_LOSS_SQUARED] = squared,
    [MB_LOSS_ABSOLUTE] = absolute,
};

static bool is_sparse(mb_loss_kind_t kind)
{
    return kind == MB_LOSS_SPARSE_SOFTMAX || kind == MB_LOSS_SPARSE_PROBABILITY;
}

typedef struct {
    const mb_loss_args_t *args;
    int64_t block;
    double *partial;
} loss_t;

static double loss_of_row(const mb_loss_args_t *a, int64_t i)
{
    row_t row = {.args = a, .x = mb_in(a->x) + i * a->columns};
    row.dx = a->dx == NULL ? NULL : mb_out(a->dx) + i * a->columns;
    bool counts = i < a->valid;
    if (counts && is_sparse(a->kind)) {
        row.label = ((const int32_t *)a->labels)[i];
        counts = !(a->has_ignore && row.label == a->ignore_label);
    } else if (counts) {
        row.labels = (const float *)a->labels + i * a->columns;
    }
    if (counts)
        return kinds[a->kind](&row);
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
