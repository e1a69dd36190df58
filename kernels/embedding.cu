/* Rows of a table by number, and their gradient.
 *
 * Forward: a thread takes a run of columns of a row. Backward adds without atomics, in the order of
 * i: a stable counting sort lists for each row of the table the i that name it, and a warp then
 * takes a tile of the columns of one row and adds down its list, with many loads under way. In the
 * sort a block owns SLICE rows of the table and reads all numbers twice, its warps one part of them
 * each: to count, and to put them in their places. No block waits for another one.
 *
 * Bound by memory where numbers spread: dy is read once, named rows of the table read and written
 * once (the sort reads 8 count vocabulary / SLICE bytes from the cache). A number that fills most
 * of the list is bound by the latency of one warp's loads. */
#include "columns.h"

namespace
{

/* ---- forward */

template <int W, typename T>
__global__ void __launch_bounds__(MB_COLUMNS_THREADS)
    forward_kernel(mb_columns c, const int32_t *ids, const float *table, T *y)
{
    mb_columns_place at = mb_columns_here<W>(c);
    if (at.column >= c.columns)
        return;
#pragma unroll 4
    for (int64_t row = at.row; row < at.end; row += at.step) {
        float v[W];
        mb_load_pack(table + ids[row] * c.columns + at.column, v);
        mb_store_pack(y + row * c.columns + at.column, v);
    }
}

template <typename T> mb_status_t forward(mb_exec_t *exec, const mb_embedding_forward_args_t &a)
{
    if (exec->planning || a.count == 0)
        return MB_OK;
    MB_CUDA_WIDE(T, a.width, mb_columns c = mb_columns_to_walk(a.count, a.width, W);
                 MB_LAUNCH((forward_kernel<W, T>), mb_columns_grid(c), MB_COLUMNS_THREADS, 0,
                           mb_cuda_stream(exec), c, a.ids, a.table, (T *)a.y));
    return mb_cuda_launched(MB_OP_EMBEDDING_FORWARD);
}

/* ---- backward: the list */

constexpr int SLICE = 256, SORT_THREADS = 1024, SORT_WARPS = SORT_THREADS / MB_WARP;

/* Row v's entries are list[begin[v]] ... list[begin[v + 1] - 1]. */
struct lists {
    int64_t count, vocabulary;
    const int32_t *ids;
    int32_t *begin, *list;
};

/* The part of the numbers that is this warp's, in the order of warps; whole groups of 32. */
struct part {
    int64_t begin, end;
};

__device__ inline part part_of(int64_t count)
{
    int64_t groups = mb_ceil_div(count, MB_WARP), each = mb_ceil_div(groups, SORT_WARPS);
    int64_t begin = threadIdx.x / MB_WARP * each * MB_WARP, end = begin + each * MB_WARP;
    return {begin < count ? begin : count, end < count ? end : count};
}

/* Calls BODY(row of the slice, lanes that have it) once for each different row among the lanes'
 * IDs; lanes without one have -1. */
template <typename F> __device__ inline void each_row(int id, F body)
{
    unsigned left = __ballot_sync(~0u, id >= 0);
    while (left != 0) {
        int row = __shfl_sync(~0u, id, __ffs((int)left) - 1);
        unsigned same = __ballot_sync(~0u, id == row);
        body(row, same);
        left &= ~same;
    }
}

/* The number at I as a row of the slice that begins at FIRST; else whether it lies in front. */
enum { IN_FRONT = -2, ELSEWHERE = -1 };

__device__ inline int row_at(const lists &l, int64_t i, int64_t end, int64_t first)
{
    int64_t row = i < end ? l.ids[i] - first : SLICE;
    return row < 0 ? IN_FRONT : row < SLICE ? (int)row : ELSEWHERE;
}

/* Calls BODY(index of the lane's number, its row as row_at gives it) down the warp's part, group by
 * group; the next groups are on their way meanwhile. */
template <typename F> __device__ inline void each_group(const lists &l, int64_t first, F body)
{
    constexpr int AHEAD = 4;
    part p = part_of(l.count);
    for (int64_t group = p.begin; group < p.end; group += AHEAD * MB_WARP) {
        int64_t i = group + threadIdx.x % MB_WARP;
        int row[AHEAD];
#pragma unroll
        for (int ahead = 0; ahead < AHEAD; ahead++)
            row[ahead] = row_at(l, i + ahead * MB_WARP, p.end, first);
        for (int ahead = 0; ahead < AHEAD; ahead++)
            body(i + ahead * MB_WARP, row[ahead]);
    }
}

/* Counts rows in COUNTS (this warp's); returns how many numbers this lane saw in front of the
 * slice. */
__device__ inline int count_part(const lists &l, int64_t first, int32_t *counts)
{
    int lane = threadIdx.x % MB_WARP, before = 0;
    each_group(l, first, [&](int64_t, int own) {
        before += own == IN_FRONT ? 1 : 0;
        each_row(own, [&](int row, unsigned same) {
            if (lane == 0)
                counts[row] += __popc(same);
        });
    });
    return before;
}

/* Turns counts into places: of a row behind the rows in front of it, of a warp within a row behind
 * the warps in front of it. One thread a row. */
__device__ inline void place_rows(const lists &l, int64_t first, int32_t before,
                                  int32_t (&at)[SORT_WARPS][SLICE])
{
    __shared__ int32_t sum[SLICE];
    int row = threadIdx.x;
    int32_t own = 0;
    for (int warp = 0; warp < SORT_WARPS && row < SLICE; warp++)
        own += at[warp][row];
    if (row < SLICE)
        sum[row] = own;
    __syncthreads();
    for (int step = 1; step < SLICE; step *= 2) {
        int32_t more = row < SLICE && row >= step ? sum[row - step] : 0;
        __syncthreads();
        if (row < SLICE)
            sum[row] += more;
        __syncthreads();
    }
    if (row >= SLICE)
        return;
    int32_t place = before + sum[row] - own;
    if (first + row < l.vocabulary)
        l.begin[first + row] = place;
    if (first + row == l.vocabulary - 1)
        l.begin[l.vocabulary] = place + own;
    for (int warp = 0; warp < SORT_WARPS; warp++) {
        int32_t counted = at[warp][row];
        at[warp][row] = place;
        place += counted;
    }
}

__device__ inline void list_part(const lists &l, int64_t first, int32_t *at)
{
    int lane = threadIdx.x % MB_WARP;
    each_group(l, first, [&](int64_t i, int own) {
        each_row(own, [&](int row, unsigned same) {
            int32_t place = at[row];
            if (same >> lane & 1)
                l.list[place + __popc(same & ((1u << lane) - 1))] = (int32_t)i;
            __syncwarp();
            if (lane == 0)
                at[row] = place + __popc(same);
            __syncwarp();
        });
    });
}

__global__ void __launch_bounds__(SORT_THREADS) list_kernel(lists l)
{
    __shared__ int32_t at[SORT_WARPS][SLICE];
    int warp = threadIdx.x / MB_WARP;
    int64_t first = (int64_t)blockIdx.x * SLICE;
    for (int i = threadIdx.x; i < SORT_WARPS * SLICE; i += SORT_THREADS)
        at[i / SLICE][i % SLICE] = 0;
    __syncthreads();
    int before = count_part(l, first, at[warp]);
    before = mb_reduce_block<SORT_THREADS>(before, mb_sum_of());
    place_rows(l, first, before, at);
    __syncthreads();
    list_part(l, first, at[warp]);
}

/* ---- backward: the sums */

constexpr int ADD_THREADS = 128, FETCH = 16;

/* Eight bytes of T, or one element: while they wait to be added, words take fewer registers than
 * elements would. */
template <int W, typename T> using entry = std::conditional_t<W == 1, T, uint2>;

/* Elements that change no sum: -0. */
template <int W, typename T> __device__ inline entry<W, T> nothing()
{
    constexpr uint32_t WORD = sizeof(T) == 2 ? 0x80008000u : 0x80000000u;
    if constexpr (W == 1)
        return (T)-0.0f;
    else
        return make_uint2(WORD, WORD);
}

/* Adds up to FETCH entries to SUM in order: all are loaded before the first is added. LANES_I has
 * an entry's i for each lane; those from FROM on are taken, NUMBER of them. */
template <int W, typename T>
__device__ inline void add_entries(const T *dy, int64_t width, int32_t lanes_i, int from,
                                   int number, float (&sum)[W])
{
    entry<W, T> v[FETCH];
#pragma unroll
    for (int e = 0; e < FETCH; e++) {
        int64_t i = __shfl_sync(~0u, lanes_i, from + e);
        v[e] = nothing<W, T>();
        if (e < number)
            v[e] = *reinterpret_cast<const entry<W, T> *>(dy + i * width);
    }
#pragma unroll
    for (int e = 0; e < FETCH; e++) {
        mb_pack<T, W> pack;
        memcpy(static_cast<void *>(&pack), &v[e], sizeof pack);
#pragma unroll
        for (int k = 0; k < W; k++)
            sum[k] += mb_load(pack.element, k);
    }
}

/* A warp a row and tile of columns; rows that none names are left alone, or set to zero. */
template <int W, typename T>
__global__ void __launch_bounds__(ADD_THREADS, 5)
    add_kernel(lists l, int64_t width, int64_t tiles, bool accumulate, const T *dy, float *dtable)
{
    int64_t task = ((int64_t)blockIdx.x * ADD_THREADS + threadIdx.x) / MB_WARP;
    int64_t row = task / tiles;
    int lane = threadIdx.x % MB_WARP;
    if (row >= l.vocabulary)
        return;
    int32_t begin = l.begin[row], end = l.begin[row + 1];
    int64_t column = ((task - row * tiles) * MB_WARP + lane) * W;
    bool has = column < width;
    float *to = dtable + row * width + column, sum[W] = {};
    const T *from = dy + (has ? column : 0);
    if (accumulate && begin == end)
        return;
    if (accumulate && has)
        mb_load_pack(to, sum);
#pragma unroll 1
    for (int32_t at = begin; at < end; at += MB_WARP) {
        int32_t i = at + lane < end ? l.list[at + lane] : 0;
        int number = end - at;
#pragma unroll 1
        for (int e = 0; e < MB_WARP && e < number; e += FETCH)
            add_entries(from, width, i, e, number - e, sum);
    }
    if (has)
        mb_store_pack(to, sum);
}

template <typename T, int W>
mb_status_t add(mb_exec_t *exec, const mb_embedding_backward_args_t &a, const lists &l)
{
    int64_t tiles = mb_ceil_div(a.width, MB_WARP * W);
    MB_LAUNCH((add_kernel<W, T>),
              (unsigned)mb_ceil_div(l.vocabulary * tiles, ADD_THREADS / MB_WARP), ADD_THREADS, 0,
              mb_cuda_stream(exec), l, a.width, tiles, a.accumulate, (const T *)a.dy, a.dtable);
    return mb_cuda_launched(MB_OP_EMBEDDING_BACKWARD);
}

template <typename T>
mb_status_t backward(mb_exec_t *exec, const mb_embedding_backward_args_t &a, const lists &l)
{
    /* Narrow lanes, so that the loads of FETCH entries fit the registers. */
    constexpr int W = 8 / sizeof(T);
    if (exec->planning || a.vocabulary == 0)
        return MB_OK;
    MB_LAUNCH(list_kernel, (unsigned)mb_ceil_div(a.vocabulary, SLICE), SORT_THREADS, 0,
              mb_cuda_stream(exec), l);
    MB_TRY(mb_cuda_launched(MB_OP_EMBEDDING_BACKWARD));
    return a.width % W == 0 ? add<T, W>(exec, a, l) : add<T, 1>(exec, a, l);
}

} // namespace

extern "C" mb_status_t mb_cuda_embedding_forward(mb_exec_t *exec,
                                                 const mb_embedding_forward_args_t *args)
{
    if (args->count < 0 || args->width < 1)
        return mb_cuda_refuse(MB_OP_EMBEDDING_FORWARD, "rows without width");
    if (!mb_cuda_aligned(args->table, args->y))
        return mb_cuda_refuse(MB_OP_EMBEDDING_FORWARD, "an address that is no multiple of 16");
    MB_CUDA_TYPED(MB_OP_EMBEDDING_FORWARD, args->type, return forward<T>(exec, *args));
}

extern "C" mb_status_t mb_cuda_embedding_backward(mb_exec_t *exec,
                                                  const mb_embedding_backward_args_t *args)
{
    constexpr mb_op_t OP = MB_OP_EMBEDDING_BACKWARD;
    const mb_embedding_backward_args_t &a = *args;
    void *memory = NULL;
    if (a.count < 0 || a.vocabulary < 0 || a.width < 1)
        return mb_cuda_refuse(OP, "rows without width");
    if (a.count > INT32_MAX)
        return mb_cuda_refuse(OP, "more than 2^31 numbers");
    if (!mb_cuda_aligned(a.dy, a.dtable))
        return mb_cuda_refuse(OP, "an address that is no multiple of 16");
    MB_TRY(mb_cuda_workspace(exec, OP, sizeof(int32_t) * (size_t)(a.vocabulary + 1 + a.count),
                             &memory));
    int32_t *begin = (int32_t *)memory;
    lists l = {a.count, a.vocabulary, a.ids, begin, begin + a.vocabulary + 1};
    MB_CUDA_TYPED(OP, a.type, return backward<T>(exec, a, l));
}
