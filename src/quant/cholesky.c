/* The Cholesky factor of a covariance. */
#include "quant/methods.h"

#include <math.h>

mb_status_t mb_cholesky(double *a, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j <= i; j++) {
            double sum = a[i * n + j];
            for (int64_t k = 0; k < j; k++)
                sum -= a[i * n + k] * a[j * n + k];
            if (i == j && !(sum > 0))
                return mb_error_set(MB_ERR_NUMERIC, "the matrix is not positive definite");
            a[i * n + j] = i == j ? sqrt(sum) : sum / a[j * n + j];
        }
    }
    return MB_OK;
}
