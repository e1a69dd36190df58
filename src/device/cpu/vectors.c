/* See vectors.h. */
#include "device/cpu/vectors.h"
#include "device/cpu/simd.h"

MB_MULTIVERSION
void mb_vector_add(float *y, const float *x, int64_t n)
{
#pragma omp simd
    for (int64_t j = 0; j < n; j++)
        y[j] += x[j];
}

MB_MULTIVERSION
void mb_vector_multiply(const float *a, const float *b, float *y, int64_t n)
{
#pragma omp simd
    for (int64_t j = 0; j < n; j++)
        y[j] = a[j] * b[j];
}

MB_MULTIVERSION
void mb_vector_add_product(float *y, const float *a, const float *b, int64_t n)
{
#pragma omp simd
    for (int64_t j = 0; j < n; j++)
        y[j] += a[j] * b[j];
}
