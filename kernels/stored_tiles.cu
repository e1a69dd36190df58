/* Many rows times a matrix as it is stored: tiles (tile.h) whose B is decoded on its way into
 * shared memory. Where tiles are few, runs of the matrix's rows have blocks of their own, and a
 * second kernel adds their sums in order. Bound by the products; by decoding where rows are not
 * that many. */
#include "stored_tile.h"

namespace
{

struct tiles_plan_t {
    tile_size_t size;
    int run;
    int64_t runs;
};

tiles_plan_t plan_of(const mb_stored_gemm_args_t &a)
{
    constexpr int64_t BLOCKS = 264, LEAST = 256;
    tiles_plan_t p = {};
    int64_t k = a.b.rows;
    p.size = choose_tile(a.m, a.b.columns, 1) == TILE_64_64 ? TILE_64_64 : TILE_128_64;
    int64_t tile_m = p.size == TILE_64_64 ? 64 : 128;
    int64_t runs = BLOCKS / (mb_ceil_div(a.m, tile_m) * mb_ceil_div(a.b.columns, 64));
    runs = runs > k / LEAST ? k / LEAST : runs;
    p.run = (int)(mb_ceil_div(mb_ceil_div(k, runs < 1 ? 1 : runs), 32) * 32);
    p.runs = mb_ceil_div(k, p.run);
    return p;
}

template <typename TILE, int VEC, typename T = typename TILE::T>
__global__ void __launch_bounds__(TILE::THREADS, TILE::THREADS == 128 ? 2 : 1)
    tiles_kernel(stored_t s, int m, int run, const T *a, int64_t lda, const float *bias, T *c,
                 int64_t ldc, float *partial)
{
    MB_SHARED_DYNAMIC(T, shared);
    int tiles_m = (m + TILE::M - 1) / TILE::M;
    int row = (int)blockIdx.x % tiles_m * TILE::M, begin = (int)blockIdx.y * run;
    int64_t column = (int64_t)((int)blockIdx.x / tiles_m) * TILE::N;
    int end = s.rows - begin < run ? (int)s.rows : begin + run;
    copier_of_a<TILE, VEC, matrix_source_t<T, false>> left = {};
    left.source = {a, lda, row, m, end, 0};
    stored_loader_t<TILE> right(&s, column, end);
    tile_sum_t<TILE> sum;
    tile_multiply(sum, shared, left, right, begin, end);
    sum.each_pair([&](int r, int j, const float *pair) {
        int64_t at = column + j, rest = s.columns - at;
        int there = rest < 2 ? (int)rest : 2;
        if (row + r >= m || there <= 0)
            return;
        if (partial != nullptr) {
            float *to = partial + ((int64_t)blockIdx.y * m + row + r) * s.columns + at;
            store_pair(to, pair[0], pair[1], there);
            return;
        }
        float add[2] = {bias != nullptr ? bias[at] : 0.0f,
                        bias != nullptr && there > 1 ? bias[at + 1] : 0.0f};
        store_pair(c + (row + r) * ldc + at, pair[0] + add[0], pair[1] + add[1], there);
    });
}

template <typename T, int M, int VEC>
mb_status_t launch(mb_exec_t *exec, const mb_stored_gemm_args_t *args, const tiles_plan_t &p,
                   float *partial)
{
    using TILE = tile_t<T, M, 64, false, true>;
    auto *kernel = tiles_kernel<TILE, VEC>;
    MB_TRY(ask_for_shared(kernel, TILE::BYTES));
    dim3 grid((unsigned)(mb_ceil_div(args->m, M) * mb_ceil_div(args->b.columns, 64)),
              (unsigned)p.runs);
    MB_LAUNCH(kernel, grid, TILE::THREADS, TILE::BYTES, mb_cuda_stream(exec), stored_of(args->b),
              (int)args->m, p.run, (const T *)args->a, args->lda, args->bias, (T *)args->c,
              args->ldc, p.runs > 1 ? partial : nullptr);
    MB_TRY(mb_cuda_launched(MB_OP_STORED_GEMM));
    return p.runs > 1 ? finish_runs<T>(exec, args, p.runs, partial) : MB_OK;
}

template <typename T>
mb_status_t run(mb_exec_t *exec, const mb_stored_gemm_args_t *args, const tiles_plan_t &p,
                float *partial)
{
    constexpr int W = mb_width<T>;
    bool whole_packs = args->lda % W == 0 && args->b.rows % W == 0 && (uintptr_t)args->a % 16 == 0;
    if (p.size == TILE_64_64)
        return whole_packs ? launch<T, 64, W>(exec, args, p, partial)
                           : launch<T, 64, 1>(exec, args, p, partial);
    return whole_packs ? launch<T, 128, W>(exec, args, p, partial)
                       : launch<T, 128, 1>(exec, args, p, partial);
}

} // namespace

mb_status_t mb_cuda_stored_tiles(mb_exec_t *exec, const mb_stored_gemm_args_t *args)
{
    tiles_plan_t p = plan_of(*args);
    size_t bytes = p.runs > 1 ? sizeof(float) * (size_t)(p.runs * args->m * args->b.columns) : 0;
    void *partial;
    MB_TRY(mb_cuda_workspace(exec, MB_OP_STORED_GEMM, bytes, &partial));
    if (exec->planning)
        return MB_OK;
    MB_CUDA_TYPED(MB_OP_STORED_GEMM, args->type, return run<T>(exec, args, p, (float *)partial));
}
