/* Products with a matrix as it is stored. */
#include "device/cpu/cpu.h"

mb_status_t mb_cpu_stored_gemm(mb_exec_t *exec, const mb_stored_gemm_args_t *args)
{
    for (int64_t i = 0; i < args->m && !exec->planning; i++) {
        for (int64_t j = 0; j < args->b.columns; j++) {
            float sum = args->bias == NULL ? 0.0f : args->bias[j];
            for (int64_t k = 0; k < args->b.rows; k++)
                sum += args->a[i * args->lda + k] * mb_matrix_value(&args->b, k, j);
            args->c[i * args->ldc + j] = sum;
        }
    }
    return MB_OK;
}
