/* Sums over the rows of a matrix in two steps: blocks of rows, each taken by one thread and in any
 * order, leave partial sums in double; then these are added in their order. */
#ifndef MB_DEVICE_CPU_COLUMN_SUM_H
#define MB_DEVICE_CPU_COLUMN_SUM_H

#include "device/cpu/cpu.h"

typedef struct {
    mb_dtype_t type; /* float32 or bfloat16 */
    const void *a;
    int64_t rows, columns;
    int64_t block, blocks; /* rows of a block; how many */
    double *partial;       /* [blocks, columns] */
} mb_column_blocks_t;

/* Cuts by shape alone. */
mb_column_blocks_t mb_column_blocks(mb_dtype_t type, int64_t rows, int64_t columns, const void *a);
/* Of the partial sums. */
size_t mb_column_blocks_bytes(const mb_column_blocks_t *blocks);
void mb_column_blocks_sum(const mb_column_blocks_t *blocks, int64_t block);
/* sum[j] (+)= the partial sums of column j. */
void mb_column_blocks_finish(const mb_column_blocks_t *blocks, bool accumulate, float *sum);

/* sum[j] (+)= the PARTIALS of column j in their order, LD apart. */
void mb_column_partials_add(const double *partial, int64_t partials, int64_t ld, int64_t columns,
                            bool accumulate, float *sum);

#endif
