/* Rows of a stored matrix as numbers of T: those that IDS name, or all. A thread has 16 bytes of
 * the result at a time. Bound by memory. */
#ifndef MB_KERNELS_STORED_DECODE_H
#define MB_KERNELS_STORED_DECODE_H

#include "stored.h"

namespace
{

constexpr int DECODE_THREADS = 256;

template <typename T>
__global__ void __launch_bounds__(DECODE_THREADS)
    decode_kernel(stored_t s, int64_t count, const int32_t *ids, T *y)
{
    constexpr int W = mb_width<T>;
    int64_t packs = mb_ceil_div(s.columns, W);
    for (int64_t i = mb_first(); i < count * packs; i += mb_stride()) {
        int64_t place = i / packs, column = i % packs * W;
        int64_t row = ids != nullptr ? ids[place] : place;
        codes_t<W> codes;
        scales_t<W> scales;
        float value[W];
        load_codes(s, row, column, codes);
        load_scales(s, row, column, scales);
        decode_values(s, row, codes, scales, value);
        T *to = y + place * s.columns + column;
        if (s.columns % W == 0) {
            mb_store_pack(to, value);
            continue;
        }
#pragma unroll
        for (int k = 0; k < W; k++)
            if (column + k < s.columns)
                mb_store(to, k, value[k]);
    }
}

/* Y[COUNT, columns]. */
template <typename T>
mb_status_t decode_rows(mb_exec_t *exec, mb_op_t op, const mb_matrix_t &m, int64_t count,
                        const int32_t *ids, T *y)
{
    int64_t packs = mb_ceil_div(m.columns, mb_width<T>);
    MB_LAUNCH(decode_kernel<T>, mb_cuda_blocks(count * packs, DECODE_THREADS), DECODE_THREADS, 0,
              mb_cuda_stream(exec), stored_of(m), count, ids, y);
    return mb_cuda_launched(op);
}

} // namespace

#endif
