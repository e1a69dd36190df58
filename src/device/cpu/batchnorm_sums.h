/* Sums over rows for each channel, for batch normalization: blocks of rows, each taken by one
 * thread and in any order, leave partial sums in double; then these are added in their order. */
#ifndef MB_DEVICE_CPU_BATCHNORM_SUMS_H
#define MB_DEVICE_CPU_BATCHNORM_SUMS_H

#include "device/cpu/cpu.h"

/* Over the valid rows: of x and x^2 and, under a mask, of ones; or of dy and dy xhat. */
typedef struct {
    int64_t rows, valid, channels;
    int64_t n; /* sums: 2 or 3 */
    const float *x, *dy, *mean, *rstd;
    const float *mask;
    int64_t masks; /* as in ops.h */

    int64_t block, blocks; /* the rest is found by planning */
    double *partial;       /* [blocks][n][channels] */
    double *totals;        /* [n][channels] */
    float *coefficients;   /* [2][channels], the caller's */
} mb_batchnorm_sums_t;

mb_status_t mb_batchnorm_sums_plan(mb_exec_t *exec, mb_op_t op, mb_batchnorm_sums_t *sums);
/* Into totals. */
void mb_batchnorm_sums_take(mb_exec_t *exec, const mb_batchnorm_sums_t *sums);

#endif
