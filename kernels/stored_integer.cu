/* Many rows times an I8 matrix in whole numbers (stored_integer.h): a block finds a row's range and
 * encodes the row; products then go by tiles, over runs of the matrix's rows where tiles are few;
 * what runs have summed is exact in any order. Bound by the products. */
#include "stored_integer.h"

namespace
{

struct integer_plan_t {
    bool small; /* tiles of 64 x 64 */
    int64_t ld; /* of encoded rows: whole stages, zeros behind */
    int run;
    int64_t runs;
    size_t encoded, codes, sums; /* bytes */
};

size_t round_256(int64_t bytes)
{
    return ((size_t)bytes + 255) / 256 * 256;
}

integer_plan_t plan_of(const mb_stored_gemm_args_t &a)
{
    constexpr int64_t BLOCKS = 264, LEAST = 512, STAGE = 64;
    integer_plan_t p = {};
    int64_t k = a.b.rows;
    p.small = choose_tile(a.m, a.b.columns, 1) == TILE_64_64;
    int64_t tiles = mb_ceil_div(a.m, p.small ? 64 : 128) * mb_ceil_div(a.b.columns, 64);
    int64_t runs = BLOCKS / tiles;
    runs = runs > k / LEAST ? k / LEAST : runs;
    p.ld = mb_ceil_div(k, STAGE) * STAGE;
    p.run = (int)(mb_ceil_div(mb_ceil_div(k, runs < 1 ? 1 : runs), STAGE) * STAGE);
    p.runs = mb_ceil_div(k, p.run);
    p.encoded = round_256(a.m * p.ld);
    p.codes = round_256(a.m * (int64_t)sizeof(row_code_t));
    p.sums = p.runs > 1 ? (size_t)(p.runs * a.m * a.b.columns) * sizeof(int32_t) : 0;
    return p;
}

template <typename T> __device__ inline float factored(const T *x, const float *factors, int64_t i)
{
    float value = mb_load(x, i);
    return factors != nullptr ? __fmul_rn(value, factors[i]) : value;
}

/* FACTORS (NULL: ones): what each number of a row is multiplied by first. */
template <typename T>
__global__ void __launch_bounds__(RANGE_THREADS)
    encode_kernel(int64_t k, const T *a, int64_t lda, const float *factors, int64_t ld,
                  uint8_t *encoded, row_code_t *codes)
{
    const T *x = a + blockIdx.x * lda;
    range_t range = empty_range();
    for (int64_t i = threadIdx.x; i < k; i += RANGE_THREADS)
        widen_by(range, factored(x, factors, i));
    row_code_t code = code_of(range_of_block(range));
    if (threadIdx.x == 0)
        codes[blockIdx.x] = code;
    bool counts = code.scale > 0.0f;
    float inverse = counts ? __fdiv_rn(1.0f, code.scale) : 0.0f;
    uint32_t *to = reinterpret_cast<uint32_t *>(encoded + blockIdx.x * ld);
    for (int64_t i = threadIdx.x; i < ld / 4; i += RANGE_THREADS) {
        uint32_t word = 0;
        for (int j = 0; j < 4; j++)
            if (counts && 4 * i + j < k)
                word |= encode(factored(x, factors, 4 * i + j), inverse, code.zero) << 8 * j;
        to[i] = word;
    }
}

/* What the results need beyond the sums. */
template <typename T> struct integer_out_t {
    const row_code_t *codes;
    const int32_t *column_sums;
    const float *bias;
    T *c;
    int64_t ldc;
};

template <typename TILE, typename T>
__global__ void __launch_bounds__(TILE::THREADS)
    integer_kernel(stored_t s, int m, int run, const uint8_t *encoded, int64_t ld,
                   integer_out_t<T> out, int32_t *partial)
{
    MB_SHARED_DYNAMIC(uint8_t, shared);
    int tiles_m = (m + TILE::M - 1) / TILE::M;
    int row = (int)blockIdx.x % tiles_m * TILE::M, begin = (int)blockIdx.y * run;
    int64_t column = (int64_t)((int)blockIdx.x / tiles_m) * TILE::N;
    int end = s.rows - begin < run ? (int)s.rows : begin + run;
    copier_of_a<TILE, 16, matrix_source_t<uint8_t, false>> left = {};
    left.source = {encoded, ld, row, m, (int)ld, 0};
    byte_loader_t<TILE> right(s, column, s.columns, end);
    tile_sum_t<TILE> sum;
    tile_multiply(sum, shared, left, right, begin, end);
    sum.each_pair([&](int r, int j, const int32_t *pair) {
        for (int i = 0; i < 2; i++) {
            int64_t at = column + j + i;
            if (row + r >= m || at >= s.columns)
                continue;
            if (partial != nullptr) {
                partial[((int64_t)blockIdx.y * m + row + r) * s.columns + at] = pair[i];
                continue;
            }
            column_scale_t scale = column_scale_of(s, out.column_sums, out.bias, at);
            mb_store(out.c, (row + r) * out.ldc + at, scaled(pair[i], out.codes[row + r], scale));
        }
    });
}

template <typename T>
__global__ void __launch_bounds__(FINISH_THREADS)
    finish_integer_kernel(stored_t s, int64_t m, int64_t runs, const int32_t *partial,
                          integer_out_t<T> out)
{
    int64_t count = m * s.columns;
    for (int64_t i = mb_first(); i < count; i += mb_stride()) {
        int64_t row = i / s.columns, column = i % s.columns;
        int32_t sum = 0;
        for (int64_t run = 0; run < runs; run++)
            sum += partial[run * count + i];
        column_scale_t scale = column_scale_of(s, out.column_sums, out.bias, column);
        mb_store(out.c, row * out.ldc + column, scaled(sum, out.codes[row], scale));
    }
}

template <typename T, int M>
mb_status_t multiply(mb_exec_t *exec, const mb_stored_gemm_args_t *args, const integer_plan_t &p,
                     const uint8_t *encoded, const integer_out_t<T> &out, int32_t *partial)
{
    using TILE = byte_tile_t<M, 64>;
    auto *kernel = integer_kernel<TILE, T>;
    MB_TRY(ask_for_shared(kernel, TILE::BYTES));
    dim3 grid((unsigned)(mb_ceil_div(args->m, M) * mb_ceil_div(args->b.columns, 64)),
              (unsigned)p.runs);
    stored_t s = stored_of(args->b);
    MB_LAUNCH(kernel, grid, TILE::THREADS, TILE::BYTES, mb_cuda_stream(exec), s, (int)args->m,
              p.run, encoded, p.ld, out, partial);
    if (partial != nullptr)
        MB_LAUNCH(finish_integer_kernel<T>, mb_cuda_blocks(args->m * s.columns, FINISH_THREADS),
                  FINISH_THREADS, 0, mb_cuda_stream(exec), s, args->m, p.runs,
                  (const int32_t *)partial, out);
    return mb_cuda_launched(MB_OP_STORED_GEMM);
}

template <typename T>
mb_status_t run(mb_exec_t *exec, const mb_stored_gemm_args_t *args, const integer_plan_t &p,
                char *workspace)
{
    uint8_t *encoded = (uint8_t *)workspace;
    row_code_t *codes = (row_code_t *)(workspace + p.encoded);
    int32_t *partial =
        p.runs > 1 ? (int32_t *)(workspace + p.encoded + p.codes) : (int32_t *)nullptr;
    MB_LAUNCH(encode_kernel<T>, (unsigned)args->m, RANGE_THREADS, 0, mb_cuda_stream(exec),
              args->b.rows, (const T *)args->a, args->lda,
              args->b.has_row_scales ? args->b.row_scales : (const float *)nullptr, p.ld, encoded,
              codes);
    integer_out_t<T> out = {codes, args->b.column_sums, args->bias, (T *)args->c, args->ldc};
    return p.small ? multiply<T, 64>(exec, args, p, encoded, out, partial)
                   : multiply<T, 128>(exec, args, p, encoded, out, partial);
}

} // namespace

mb_status_t mb_cuda_stored_integer(mb_exec_t *exec, const mb_stored_gemm_args_t *args)
{
    integer_plan_t p = plan_of(*args);
    void *workspace;
    MB_TRY(mb_cuda_workspace(exec, MB_OP_STORED_GEMM, p.encoded + p.codes + p.sums, &workspace));
    if (exec->planning)
        return MB_OK;
    MB_CUDA_TYPED(MB_OP_STORED_GEMM, args->type, return run<T>(exec, args, p, (char *)workspace));
}
