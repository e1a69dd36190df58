/* Small products of one row, as a prediction of one sample makes them: without oneDNN, whose calls
 * take longer than these products, and in the caller's thread. Columns are independent of each
 * other, and each is summed in the order of the inner dimension, a product and a sum at a time; so
 * the bits are the same on every instruction set. */
#ifndef MB_DEVICE_CPU_GEMM_ROW_H
#define MB_DEVICE_CPU_GEMM_ROW_H

#include <stdbool.h>

#include "device/ops.h"

/* Whether a product is one of those. */
bool mb_gemm_is_row(const mb_gemm_args_t *args);
/* Into Y [n], but for its activation. */
void mb_gemm_row(const mb_gemm_args_t *args, float *y);

#endif
