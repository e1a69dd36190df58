/* Products with matrices as they are stored: which way suits. */
#include "stored.h"

namespace
{

constexpr int64_t FEW_ROWS = 16;
constexpr int THREADS = 256;

/* An empty sum: C is the bias, or zero. */
template <typename T>
__global__ void __launch_bounds__(THREADS)
    empty_kernel(int64_t m, int64_t n, const float *bias, T *c, int64_t ldc)
{
    for (int64_t i = mb_first(); i < m * n; i += mb_stride())
        mb_store(c, i / n * ldc + i % n, bias != nullptr ? bias[i % n] : 0.0f);
}

mb_status_t compute_empty(mb_exec_t *exec, const mb_stored_gemm_args_t *args)
{
    int64_t count = args->m * args->b.columns;
    if (exec->planning)
        return MB_OK;
    MB_CUDA_TYPED(MB_OP_STORED_GEMM, args->type,
                  MB_LAUNCH(empty_kernel<T>, mb_cuda_blocks(count, THREADS), THREADS, 0,
                            mb_cuda_stream(exec), args->m, args->b.columns, args->bias,
                            (T *)args->c, args->ldc));
    return mb_cuda_launched(MB_OP_STORED_GEMM);
}

/* Numbers that stand for themselves, of the type that is computed in. */
bool is_plain(const mb_stored_gemm_args_t &a)
{
    const mb_matrix_t &b = a.b;
    if (b.block_rows > 0 || b.has_row_scales || b.squared)
        return false;
    if (b.number == MB_NUMBER_F32)
        return a.type == MB_F32;
    bool same = (b.number == MB_NUMBER_BF16 && a.type == MB_BF16) ||
                (b.number == MB_NUMBER_F16 && a.type == MB_F16);
    return same && a.bias == nullptr; /* a product's bias would be of the type too */
}

mb_gemm_args_t plain_of(const mb_stored_gemm_args_t &a)
{
    mb_gemm_args_t plain = {};
    plain.type = a.type;
    plain.m = a.m;
    plain.n = a.b.columns;
    plain.k = a.b.rows;
    plain.lda = a.lda;
    plain.ldb = a.b.columns;
    plain.ldc = a.ldc;
    plain.a = a.a;
    plain.b = a.b.values;
    plain.bias = a.bias;
    plain.c = a.c;
    return plain;
}

/* ---- floats times bf16: rounded to bf16 themselves, sums in float */

bool rounds_to_bf16(const mb_stored_gemm_args_t &a)
{
    const mb_matrix_t &b = a.b;
    return a.type == MB_F32 && b.number == MB_NUMBER_BF16 && a.m >= MB_INTEGER_ROWS &&
           b.block_rows == 0 && !b.has_row_scales && !b.squared;
}

__global__ void __launch_bounds__(THREADS)
    round_kernel(int64_t m, int64_t k, const float *a, int64_t lda, __nv_bfloat16 *rounded)
{
    for (int64_t i = mb_first(); i < m * k; i += mb_stride())
        mb_store(rounded, i, a[i / k * lda + i % k]);
}

/* The product's own workspace lies behind the rounded numbers. */
mb_status_t run_bf16(mb_exec_t *exec, const mb_stored_gemm_args_t *args)
{
    int64_t m = args->m, k = args->b.rows;
    size_t bytes = (sizeof(__nv_bfloat16) * (size_t)(m * k) + 255) / 256 * 256;
    mb_gemm_args_t plain = plain_of(*args);
    plain.type = MB_BF16;
    plain.wide = true;
    plain.lda = k;
    mb_exec_t rest = *exec;
    rest.workspace_needed = 0;
    void *rounded;
    if (exec->planning) {
        MB_TRY(mb_cuda_gemm(&rest, &plain));
        return mb_cuda_workspace(exec, MB_OP_STORED_GEMM, bytes + rest.workspace_needed, &rounded);
    }
    MB_TRY(mb_cuda_workspace(exec, MB_OP_STORED_GEMM, bytes, &rounded));
    MB_LAUNCH(round_kernel, mb_cuda_blocks(m * k, THREADS), THREADS, 0, mb_cuda_stream(exec), m, k,
              (const float *)args->a, args->lda, (__nv_bfloat16 *)rounded);
    MB_TRY(mb_cuda_launched(MB_OP_STORED_GEMM));
    plain.a = rounded;
    rest.workspace = (char *)exec->workspace + bytes;
    rest.workspace_bytes = exec->workspace_bytes - bytes;
    return mb_cuda_gemm(&rest, &plain);
}

mb_status_t check(const mb_stored_gemm_args_t &a)
{
    constexpr mb_op_t OP = MB_OP_STORED_GEMM;
    constexpr int64_t MOST = (INT64_C(1) << 31) - 256; /* rows are int in kernels */
    const mb_matrix_t &b = a.b;
    if (a.m < 0 || b.rows < 0 || b.columns < 0)
        return mb_cuda_refuse(OP, "negative size");
    if (a.m > MOST || b.rows > MOST)
        return mb_cuda_refuse(OP, "2^31 rows");
    if (a.lda < b.rows)
        return mb_cuda_refuse(OP, "leading dimension of A below its row");
    if (a.ldc < b.columns)
        return mb_cuda_refuse(OP, "leading dimension of C below its row");
    if (b.block_rows > 0 && b.block_columns <= 0)
        return mb_cuda_refuse(OP, "blocks of no columns");
    if (b.has_zeros != (b.number == MB_NUMBER_U4) || (unsigned)b.number >= MB_NUMBER_COUNT)
        return mb_cuda_refuse(OP, "a matrix of numbers that are no weights");
    return MB_OK;
}

} // namespace

extern "C" mb_status_t mb_cuda_stored_gemm(mb_exec_t *exec, const mb_stored_gemm_args_t *args)
{
    MB_TRY(check(*args));
    if (args->m == 0 || args->b.columns == 0)
        return MB_OK;
    if (args->b.rows == 0)
        return compute_empty(exec, args);
    if (args->integer && args->m >= MB_INTEGER_ROWS && stored_is_integer(args->b))
        return mb_cuda_stored_integer(exec, args);
    if (is_plain(*args)) {
        mb_gemm_args_t plain = plain_of(*args);
        return mb_cuda_gemm(exec, &plain);
    }
    if (rounds_to_bf16(*args))
        return run_bf16(exec, args);
    if (args->m <= FEW_ROWS && !args->b.squared)
        return mb_cuda_stored_rows(exec, args);
    return mb_cuda_stored_tiles(exec, args);
}
