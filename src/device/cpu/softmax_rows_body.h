/* Rows of exponentials (softmax_rows.h) for the instruction set of the file that includes this. */
#include "device/cpu/softmax_rows.h"
#include "device/cpu/vmath.h"

#if defined(__clang__)
/* Clang makes no vectors of a maximum, as it may meet NaN; of many side by side it does. */
#define LANES 16
static float largest_of(const float *x, int64_t columns)
{
    float lane[LANES], largest = x[0];
    for (int k = 0; k < LANES; k++)
        lane[k] = largest;
    int64_t j = 0;
    for (; j + LANES <= columns; j += LANES) {
        for (int k = 0; k < LANES; k++)
            lane[k] = x[j + k] > lane[k] ? x[j + k] : lane[k];
    }
    for (; j < columns; j++)
        largest = x[j] > largest ? x[j] : largest;
    for (int k = 0; k < LANES; k++)
        largest = lane[k] > largest ? lane[k] : largest;
    return largest;
}
#else
static float largest_of(const float *x, int64_t columns)
{
    float largest = x[0];
#pragma omp simd reduction(max : largest)
    for (int64_t j = 0; j < columns; j++)
        largest = x[j] > largest ? x[j] : largest;
    return largest;
}
#endif

static double exponentials_of(const float *x, float largest, float *e, int64_t columns)
{
    double sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < columns; j++) {
        float value = mb_v_exp(x[j] - largest);
        e[j] = value;
        sum += (double)value;
    }
    return sum;
}

static double sum_of(const float *x, float largest, int64_t columns)
{
    double sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < columns; j++)
        sum += (double)mb_v_exp(x[j] - largest);
    return sum;
}

static void logarithm_backward_row(const float *y, const float *dy, float *dx, int64_t columns)
{
    double total = 0.0;
#pragma omp simd reduction(+ : total)
    for (int64_t j = 0; j < columns; j++)
        total += (double)dy[j];
    float sum = (float)total;
#pragma omp simd
    for (int64_t j = 0; j < columns; j++)
        dx[j] = dy[j] - mb_v_exp(y[j]) * sum;
}

static const mb_softmax_rows_t rows = {largest_of, exponentials_of, sum_of, logarithm_backward_row};
