/* Columns of a stored matrix as operand B of a product by tiles (tile.h): codes are loaded while a
 * product is computed, and decoded into the stage behind it, each value once for all rows of a
 * tile, rounded to T. */
#ifndef MB_KERNELS_STORED_TILE_H
#define MB_KERNELS_STORED_TILE_H

#include "stored.h"
#include "tile.h"

namespace
{

template <typename TILE> struct stored_loader_t {
    using T = typename TILE::T;
    static constexpr int W = mb_width<T>, PACKS = TILE::N / W, STEP = TILE::THREADS / PACKS;
    static constexpr int EACH = TILE::K / STEP;
    static_assert(TILE::B_BY_K && TILE::K % STEP == 0, "every thread decodes as much");
    const stored_t *s;
    int64_t column; /* this thread's first */
    int k, end;     /* of the stage; where the rows end */
    codes_t<W> codes[EACH];
    scales_t<W> scales[EACH];

    static __device__ int first_row()
    {
        return (int)threadIdx.x / PACKS;
    }
    static __device__ int first_column()
    {
        return (int)threadIdx.x % PACKS * W;
    }
    __device__ stored_loader_t(const stored_t *matrix, int64_t first, int rows_end)
        : s(matrix), column(first + first_column()), k(0), end(rows_end)
    {
    }
    __device__ bool is_real(int i) const
    {
        return k + first_row() + i * STEP < end && column < s->columns;
    }
    __device__ void start(mb_copies &, T *, int stage_k)
    {
        k = stage_k;
#pragma unroll
        for (int i = 0; i < EACH; i++) {
            if (!is_real(i))
                continue;
            load_codes(*s, k + first_row() + i * STEP, column, codes[i]);
            load_scales(*s, k + first_row() + i * STEP, column, scales[i]);
        }
    }
    __device__ void finish(T *stage)
    {
#pragma unroll
        for (int i = 0; i < EACH; i++) {
            int row = first_row() + i * STEP;
            float value[W] = {};
            if (is_real(i))
                decode_values(*s, k + row, codes[i], scales[i], value);
            mb_store_pack(stage + row * TILE::B_LD + first_column(), value);
        }
    }
};

} // namespace

#endif
