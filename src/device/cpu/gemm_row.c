/* See gemm_row.h. */
#include "device/cpu/gemm_row.h"

#include <string.h>

#include "device/cpu/cpu.h"
#include "device/cpu/simd.h"

#define MOST_NUMBERS 65536 /* of the matrix: what a second cache holds */

enum { LANES = 16, STRIP = 4 * LANES };

/* Compilers make of it what registers there are. */
typedef float lanes_t __attribute__((vector_size(LANES * sizeof(float)), aligned(4), may_alias));

bool mb_gemm_is_row(const mb_gemm_args_t *args)
{
    bool plain = args->type == MB_F32 && !args->transpose_a && !args->transpose_b;
    bool alone = !args->accumulate && args->dbias == NULL;
    return args->m == 1 && args->k > 0 && plain && alone && args->n * args->k <= MOST_NUMBERS;
}

/* Y, which has the bias, of STRIP columns. */
MB_MULTIVERSION
static void add_strip(const float *x, int64_t k, const float *b, int64_t ldb, float *y)
{
    lanes_t *sums = (lanes_t *)(void *)y;
    lanes_t s0 = sums[0], s1 = sums[1], s2 = sums[2], s3 = sums[3];
    for (int64_t i = 0; i < k; i++) {
        const lanes_t *row = (const lanes_t *)(const void *)(b + i * ldb);
        s0 += x[i] * row[0];
        s1 += x[i] * row[1];
        s2 += x[i] * row[2];
        s3 += x[i] * row[3];
    }
    sums[0] = s0;
    sums[1] = s1;
    sums[2] = s2;
    sums[3] = s3;
}

/* The same of fewer. */
MB_MULTIVERSION
static void add_rest(const float *x, int64_t k, const float *b, int64_t ldb, float *y, int64_t n)
{
    float sums[STRIP];
    memcpy(sums, y, (size_t)n * sizeof(float));
    for (int64_t i = 0; i < k; i++) {
#pragma omp simd
        for (int64_t j = 0; j < n; j++)
            sums[j] += x[i] * b[i * ldb + j];
    }
    memcpy(y, sums, (size_t)n * sizeof(float));
}

void mb_gemm_row(const mb_gemm_args_t *args, float *y)
{
    const float *x = args->a, *b = args->b;
    int64_t n = args->n, j = 0;
    if (args->bias != NULL)
        memcpy(y, args->bias, (size_t)n * sizeof(float));
    else
        memset(y, 0, (size_t)n * sizeof(float));
    for (; j + STRIP <= n; j += STRIP)
        add_strip(x, args->k, b + j, args->ldb, y + j);
    if (j < n)
        add_rest(x, args->k, b + j, args->ldb, y + j, n - j);
}
