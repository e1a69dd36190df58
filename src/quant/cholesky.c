/* The Cholesky factor A = L L^T of a positive definite matrix, by blocks of columns: the block on
 * the diagonal is factored, the rows below it are solved, and their products are taken from what
 * remains, tile by tile. */
#include "quant/methods.h"

#include <math.h>

enum { BLOCK = 64 };

static mb_status_t factor_block(double *a, int64_t n, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        for (int64_t j = 0; j <= i; j++) {
            double sum = a[i * n + j];
            for (int64_t k = 0; k < j; k++)
                sum -= a[i * n + k] * a[j * n + k];
            if (i == j && !(sum > 0.0 && isfinite(sum)))
                return mb_error_set(MB_ERR_NUMERIC, "the matrix is not positive definite");
            a[i * n + j] = i == j ? sqrt(sum) : sum / a[j * n + j];
        }
    }
    return MB_OK;
}

/* tile[k, j] = -a[j, k]: rows of the factor as columns. */
static void transpose(double *tile, const double *a, int64_t n, int64_t rows, int64_t columns)
{
    for (int64_t j = 0; j < rows; j++)
        for (int64_t k = 0; k < columns; k++)
            tile[k * BLOCK + j] = -a[j * n + k];
}

/* ROWS rows below the factored block DIAGONAL: each x solves x L^T = row. */
static void solve_rows(double *rows, const double *diagonal, int64_t n, int64_t count,
                       int64_t block)
{
    double tile[BLOCK * BLOCK];
    transpose(tile, diagonal, n, block, block);
    for (int64_t i = 0; i < count; i++) {
        double *x = rows + i * n;
        for (int64_t k = 0; k < block; k++) {
            x[k] /= diagonal[k * n + k];
            mb_rows_add(x + k + 1, block - k - 1, x + k, 1, tile + k * BLOCK + k + 1, BLOCK);
        }
    }
}

/* Takes the products of the solved rows, the BLOCK columns before REST, from the lower triangle of
 * REST [count, count]. */
static void update_rest(double *rest, int64_t n, int64_t count)
{
    double tile[BLOCK * BLOCK];
    for (int64_t first = 0; first < count; first += BLOCK) {
        int64_t width = count - first < BLOCK ? count - first : BLOCK;
        transpose(tile, rest + first * n - BLOCK, n, width, BLOCK);
        for (int64_t i = first; i < count; i++) {
            int64_t reach = i - first + 1 < width ? i - first + 1 : width;
            mb_rows_add(rest + i * n + first, reach, rest + i * n - BLOCK, BLOCK, tile, BLOCK);
        }
    }
}

mb_status_t mb_cholesky(double *a, int64_t n)
{
    for (int64_t first = 0; first < n; first += BLOCK) {
        int64_t block = n - first < BLOCK ? n - first : BLOCK, next = first + block;
        double *diagonal = a + first * n + first;
        MB_TRY(factor_block(diagonal, n, block));
        if (next == n)
            break;
        solve_rows(a + next * n + first, diagonal, n, n - next, block);
        update_rest(a + next * n + next, n, n - next);
    }
    return MB_OK;
}
