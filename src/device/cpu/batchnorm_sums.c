/* See batchnorm_sums.h. Channels are taken WIDE at a time down all rows of a block, their sums in
 * registers: in memory each row would wait for the sums of the one before. */
#include "device/cpu/batchnorm_sums.h"

#include <string.h>

#include "device/cpu/simd.h"

enum {
    LANES = 8,
    WIDE = 2 * LANES,
    CHANNELS = 64, /* channels whose sums stand on the stack */
    MOST_BLOCKS = 64
};

typedef float floats_t __attribute__((vector_size(LANES * sizeof(float))));
typedef double doubles_t __attribute__((vector_size(LANES * sizeof(double))));

static inline __attribute__((always_inline)) void
squares_of_wide(const float *x, int64_t rows, int64_t channels, double *sums, double *squares)
{
    doubles_t sum[2] = {{0}}, square[2] = {{0}};
    for (int64_t i = 0; i < rows; i++, x += channels) {
        for (int k = 0; k < 2; k++) {
            floats_t narrow;
            memcpy(&narrow, x + k * LANES, sizeof narrow);
            doubles_t value = __builtin_convertvector(narrow, doubles_t);
            sum[k] += value;
            square[k] += value * value;
        }
    }
    memcpy(sums, sum, sizeof sum);
    memcpy(squares, square, sizeof square);
}

/* Of fewer channels, or a few more. */
static inline __attribute__((always_inline)) void squares_of_rest(const float *x, int64_t rows,
                                                                  int64_t channels, int64_t n,
                                                                  double *sums, double *squares)
{
    double sum[WIDE] = {0}, square[WIDE] = {0};
    for (int64_t i = 0; i < rows; i++, x += channels) {
#pragma omp simd
        for (int64_t c = 0; c < n; c++) {
            double value = (double)x[c];
            sum[c] += value;
            square[c] += value * value;
        }
    }
    memcpy(sums, sum, sizeof(double) * (size_t)n);
    memcpy(squares, square, sizeof(double) * (size_t)n);
}

MB_MULTIVERSION
static void sum_squares(const float *x, int64_t rows, int64_t channels, double *out)
{
    int64_t c = 0;
    for (; c + WIDE <= channels; c += WIDE)
        squares_of_wide(x + c, rows, channels, out + c, out + channels + c);
    if (c < channels)
        squares_of_rest(x + c, rows, channels, channels - c, out + c, out + channels + c);
}

/* Of what the mask has. */
MB_MULTIVERSION
static void sum_counted(const mb_batchnorm_sums_t *s, int64_t begin, int64_t rows, double *out)
{
    double sum[CHANNELS], square[CHANNELS], ones[CHANNELS];
    for (int64_t first = 0; first < s->channels; first += CHANNELS) {
        int64_t n = mb_min_i64(CHANNELS, s->channels - first), step = s->masks > 1;
        memset(sum, 0, sizeof sum);
        memset(square, 0, sizeof square);
        memset(ones, 0, sizeof ones);
        for (int64_t i = begin; i < begin + rows; i++) {
            const float *restrict row = s->x + i * s->channels + first;
            const float *restrict mask = s->mask + mb_batchnorm_mask_at(s->masks, i, first * step);
#pragma omp simd
            for (int64_t c = 0; c < n; c++) {
                bool counts = mask[c * step] != 0.0f;
                double value = counts ? (double)row[c] : 0.0;
                sum[c] += value;
                square[c] += value * value;
                ones[c] += counts ? 1.0 : 0.0;
            }
        }
        memcpy(out + first, sum, sizeof(double) * (size_t)n);
        memcpy(out + s->channels + first, square, sizeof(double) * (size_t)n);
        memcpy(out + 2 * s->channels + first, ones, sizeof(double) * (size_t)n);
    }
}

static inline __attribute__((always_inline)) void gradients_of_wide(const mb_batchnorm_sums_t *s,
                                                                    int64_t begin, int64_t rows,
                                                                    int64_t first, double *sums,
                                                                    double *products)
{
    doubles_t sum[2] = {{0}}, product[2] = {{0}};
    floats_t mean[2], rstd[2];
    const float *x = s->x + begin * s->channels + first, *dy = s->dy + begin * s->channels + first;
    memcpy(mean, s->mean + first, sizeof mean);
    memcpy(rstd, s->rstd + first, sizeof rstd);
    for (int64_t i = 0; i < rows; i++, x += s->channels, dy += s->channels) {
        for (int k = 0; k < 2; k++) {
            floats_t value, gradient;
            memcpy(&value, x + k * LANES, sizeof value);
            memcpy(&gradient, dy + k * LANES, sizeof gradient);
            doubles_t normal = __builtin_convertvector((value - mean[k]) * rstd[k], doubles_t);
            doubles_t wide = __builtin_convertvector(gradient, doubles_t);
            sum[k] += wide;
            product[k] += wide * normal;
        }
    }
    memcpy(sums, sum, sizeof sum);
    memcpy(products, product, sizeof product);
}

static inline __attribute__((always_inline)) void gradients_of_rest(const mb_batchnorm_sums_t *s,
                                                                    int64_t begin, int64_t rows,
                                                                    int64_t first, double *sums,
                                                                    double *products)
{
    double sum[WIDE] = {0}, product[WIDE] = {0};
    int64_t n = s->channels - first;
    const float *mean = s->mean + first, *rstd = s->rstd + first;
    const float *x = s->x + begin * s->channels + first, *dy = s->dy + begin * s->channels + first;
    for (int64_t i = 0; i < rows; i++, x += s->channels, dy += s->channels) {
#pragma omp simd
        for (int64_t c = 0; c < n; c++) {
            float normal = (x[c] - mean[c]) * rstd[c];
            sum[c] += (double)dy[c];
            product[c] += (double)dy[c] * (double)normal;
        }
    }
    memcpy(sums, sum, sizeof(double) * (size_t)n);
    memcpy(products, product, sizeof(double) * (size_t)n);
}

MB_MULTIVERSION
static void sum_gradients(const mb_batchnorm_sums_t *s, int64_t begin, int64_t rows, double *out)
{
    int64_t c = 0;
    for (; c + WIDE <= s->channels; c += WIDE)
        gradients_of_wide(s, begin, rows, c, out + c, out + s->channels + c);
    if (c < s->channels)
        gradients_of_rest(s, begin, rows, c, out + c, out + s->channels + c);
}

static void sums_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const mb_batchnorm_sums_t *s = context;
    mb_span_t rows = mb_span(tile, s->block, s->valid);
    double *out = s->partial + tile * s->n * s->channels;
    if (s->n == 3)
        sum_counted(s, rows.begin, rows.end - rows.begin, out);
    else if (s->dy == NULL)
        sum_squares(s->x + rows.begin * s->channels, rows.end - rows.begin, s->channels, out);
    else
        sum_gradients(s, rows.begin, rows.end - rows.begin, out);
}

mb_status_t mb_batchnorm_sums_plan(mb_exec_t *exec, mb_op_t op, mb_batchnorm_sums_t *s)
{
    MB_CPU_CHECK(op, s->channels >= 1, "rows without channels");
    MB_CPU_CHECK(op, s->valid >= 0 && s->valid <= s->rows, "more valid rows than rows");
    s->block =
        mb_max_i64(mb_rows_block(s->channels, MB_CPU_BLOCK), mb_ceil_div(s->rows, MOST_BLOCKS));
    s->blocks = mb_ceil_div(s->rows, s->block);
    mb_workspace_t workspace;
    size_t doubles = (size_t)((s->blocks + 1) * s->n * s->channels);
    MB_TRY(mb_cpu_workspace(exec, op,
                            sizeof(double) * doubles + sizeof(float) * 2 * (size_t)s->channels, 0,
                            &workspace));
    if (exec->planning)
        return MB_OK;
    s->partial = (double *)(void *)workspace.shared;
    s->totals = s->partial + s->blocks * s->n * s->channels;
    s->coefficients = (float *)(s->totals + s->n * s->channels);
    return MB_OK;
}

void mb_batchnorm_sums_take(mb_exec_t *exec, const mb_batchnorm_sums_t *s)
{
    int64_t used = mb_ceil_div(s->valid, s->block), count = s->n * s->channels;
    mb_batchnorm_sums_t context = *s;
    mb_cpu_tiles(exec, used, sums_tile, &context);
    memset(s->totals, 0, sizeof(double) * (size_t)count);
    for (int64_t block = 0; block < used; block++)
        for (int64_t i = 0; i < count; i++)
            s->totals[i] += s->partial[block * count + i];
}
