/* Matrix products in float, column-major, fast enough for a test suite. Every element is summed
 * over k in order, one rounding an addition, whatever the blocking: so a plain loop gives the same
 * bits.
 *
 * Operands are converted and packed into strips that the innermost loop reads in order; blocks of k
 * continue the sums where the last one left them. (Goto, van de Geijn, "Anatomy of High-Performance
 * Matrix Multiplication", 2008.) */
#ifndef MB_CUDASIM_PRODUCT_H
#define MB_CUDASIM_PRODUCT_H

#include <library_types.h>

#include <stdint.h>

namespace mb_cudasim
{

/* op(X)[row, column], X column-major. */
struct operand {
    const void *data;
    cudaDataType type;
    int64_t ld;
    bool transposed;
    bool tf32; /* rounds numbers of float to TF32 */
};

/* sums[i + j rows] += of A[i, p] B[p, j] over p from K_BEGIN to K_END - 1, for i < ROWS and columns
 * FIRST_COLUMN + j, j < COLUMNS. */
void product_add(const operand &a, const operand &b, int64_t rows, int64_t first_column,
                 int64_t columns, int64_t k_begin, int64_t k_end, float *sums);

} // namespace mb_cudasim

#endif
