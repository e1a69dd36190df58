/* Copies between views of arrays. A thread writes one element, neighbours in `to` by neighbouring
 * threads; where those are not neighbours in `from`, but elements along another axis are, a block
 * moves squares of the two axes through shared memory, so that both sides go in whole lines. Bound
 * by memory. */
#include "kernel.h"

namespace
{

constexpr int THREADS = 256, LAST = MB_VIEW_AXES - 1, SIDE = 32, LINES = THREADS / SIDE;

struct view_t {
    int64_t size[MB_VIEW_AXES], from[MB_VIEW_AXES], to[MB_VIEW_AXES];
};

/* I: an integer that holds COUNT. */
template <typename U, typename I>
__global__ void __launch_bounds__(THREADS) copy_kernel(view_t v, I count, const U *from, U *to)
{
    for (int64_t i = mb_first(); i < (int64_t)count; i += mb_stride()) {
        I rest = (I)i;
        int64_t at = 0, onto = 0;
#pragma unroll
        for (int axis = LAST; axis >= 0; axis--) {
            I size = (I)v.size[axis], next = rest / size;
            I index = rest - next * size;
            at += (int64_t)index * v.from[axis];
            onto += (int64_t)index * v.to[axis];
            rest = next;
        }
        to[onto] = from[at];
    }
}

/* Squares of axes PLANE (neighbours in `from`) and LAST (in `to`). */
template <typename U>
__global__ void __launch_bounds__(THREADS)
    transpose_kernel(view_t v, int plane, int64_t squares, int64_t high, int64_t wide,
                     const U *from, U *to)
{
    __shared__ U square[SIDE][SIDE + 1];
    int lane = (int)threadIdx.x % SIDE, line = (int)threadIdx.x / SIDE;
    for (int64_t s = blockIdx.x; s < squares; s += gridDim.x) {
        int64_t column = s % wide * SIDE, rest = s / wide;
        int64_t row = rest % high * SIDE, at = 0, onto = 0;
        rest /= high;
        for (int axis = LAST - 1; axis >= 0; axis--) {
            if (axis == plane)
                continue;
            at += rest % v.size[axis] * v.from[axis];
            onto += rest % v.size[axis] * v.to[axis];
            rest /= v.size[axis];
        }
        for (int j = line; j < SIDE; j += LINES)
            if (row + lane < v.size[plane] && column + j < v.size[LAST])
                square[j][lane] =
                    from[at + (row + lane) * v.from[plane] + (column + j) * v.from[LAST]];
        __syncthreads();
        for (int i = line; i < SIDE; i += LINES)
            if (row + i < v.size[plane] && column + lane < v.size[LAST])
                to[onto + (row + i) * v.to[plane] + (column + lane) * v.to[LAST]] = square[lane][i];
        __syncthreads();
    }
}

/* The axis to transpose with the last one, or -1: none, or rows too short for squares. */
int plane_of(const view_t &v)
{
    constexpr int64_t LEAST = 8;
    if (v.from[LAST] == 1 || v.to[LAST] != 1 || v.size[LAST] < LEAST)
        return -1;
    for (int i = 0; i < LAST; i++)
        if (v.from[i] == 1 && v.size[i] >= LEAST)
            return i;
    return -1;
}

template <typename U>
mb_status_t copy(mb_exec_t *exec, const view_t &v, int64_t count, const void *from, void *to)
{
    int plane = plane_of(v);
    if (plane >= 0) {
        int64_t high = mb_ceil_div(v.size[plane], SIDE), wide = mb_ceil_div(v.size[LAST], SIDE);
        int64_t squares = count / (v.size[plane] * v.size[LAST]) * high * wide;
        MB_LAUNCH((transpose_kernel<U>), mb_cuda_blocks(squares, 1), THREADS, 0,
                  mb_cuda_stream(exec), v, plane, squares, high, wide, (const U *)from, (U *)to);
    } else if (count < INT64_C(1) << 31)
        MB_LAUNCH((copy_kernel<U, uint32_t>), mb_cuda_blocks(count, THREADS), THREADS, 0,
                  mb_cuda_stream(exec), v, (uint32_t)count, (const U *)from, (U *)to);
    else
        MB_LAUNCH((copy_kernel<U, int64_t>), mb_cuda_blocks(count, THREADS), THREADS, 0,
                  mb_cuda_stream(exec), v, count, (const U *)from, (U *)to);
    return mb_cuda_launched(MB_OP_COPY_VIEW);
}

} // namespace

extern "C" mb_status_t mb_cuda_copy_view(mb_exec_t *exec, const mb_copy_view_args_t *args)
{
    view_t v;
    int64_t count = 1;
    for (int i = 0; i < MB_VIEW_AXES; i++) {
        if (args->size[i] < 0)
            return mb_cuda_refuse(MB_OP_COPY_VIEW, "negative size");
        v.size[i] = args->size[i];
        v.from[i] = args->from_stride[i];
        v.to[i] = args->to_stride[i];
        count *= args->size[i];
    }
    if (exec->planning || count == 0)
        return MB_OK;
    switch (mb_dtype_bytes(args->type)) {
    case 2:
        return copy<uint16_t>(exec, v, count, args->from, args->to);
    case 4:
        return copy<uint32_t>(exec, v, count, args->from, args->to);
    case 8:
        return copy<uint64_t>(exec, v, count, args->from, args->to);
    }
    return mb_cuda_refuse(MB_OP_COPY_VIEW, "elements of a type without kernels");
}
