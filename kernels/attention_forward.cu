/* Attention forward: out = softmax(scale q k^T) v without the scores ever in memory. A block owns
 * queries of one head; tiles of keys and values stream past, and what was summed so far is scaled
 * down whenever a row meets a larger score (Milakov and Gimelshein: "Online normalizer calculation
 * for softmax", 2018). Tiles that no query of the block sees are not read.
 *
 * On tensor cores a warp owns 16 or 32 queries; a tile of values is copied while scores are
 * computed, the next tile of keys while values are summed. Bound by the products, or by
 * exponentials for narrow heads; with dropout by its random numbers. */
#include "attention_tensor.h"
#include "attention_dropout.h"
#include "attention_plain.h"

namespace
{

/* ---- on tensor cores */

template <int M> constexpr int query_rows = TENSOR_WARPS * 16 * M;

/* Keys of a tile: as many as leave room for the sums in registers. */
template <int WIDTH> constexpr int key_rows = WIDTH > 64 ? 32 : 64;

/* A warp's rows 16 m + 8 half + lane / 4; scores are in units of ln 2. */
template <int M> struct softmax_t {
    float largest[M][2], sum[M][2]; /* sum: this thread's columns only */
};

/* Scores of keys that are not seen become -infinity. */
template <int M, int N>
__device__ inline void hide_unseen(const attention_t &a, float (&score)[M][N][4], int query,
                                   int key)
{
    int lane = threadIdx.x % MB_WARP;
#pragma unroll
    for (int m = 0; m < M; m++) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            int seen = (int)keys_seen(a, query + 16 * m + half * 8 + lane / 4 + 1);
#pragma unroll
            for (int n = 0; n < N; n++)
#pragma unroll
                for (int i = 0; i < 2; i++)
                    if (key + 8 * n + lane % 4 * 2 + i >= seen)
                        score[m][n][2 * half + i] = -INFINITY;
        }
    }
}

/* The largest score of a row so far; rows of a fragment lie in four lanes. */
template <int N>
__device__ inline float larger_of_row(const float (&score)[N][4], int half, float largest)
{
#pragma unroll
    for (int n = 0; n < N; n++)
        largest = fmaxf(largest, fmaxf(score[n][2 * half], score[n][2 * half + 1]));
    largest = fmaxf(largest, __shfl_xor_sync(ALL_LANES, largest, 1));
    return fmaxf(largest, __shfl_xor_sync(ALL_LANES, largest, 2));
}

/* Scores become exponentials against the largest so far, and what was summed against a smaller one
 * is scaled down. */
template <int M, int N, int COLUMNS>
__device__ inline void exponentiate(softmax_t<M> &soft, float (&score)[M][N][4],
                                    float (&sum)[M][COLUMNS][4])
{
#pragma unroll
    for (int m = 0; m < M; m++) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            float largest = larger_of_row(score[m], half, soft.largest[m][half]);
            float shrink = mb_exp2(soft.largest[m][half] - largest);
            soft.largest[m][half] = largest;
            soft.sum[m][half] *= shrink;
#pragma unroll
            for (int n = 0; n < N; n++) {
                float *pair = score[m][n] + 2 * half;
                pair[0] = mb_exp2(pair[0] - largest);
                pair[1] = mb_exp2(pair[1] - largest);
                soft.sum[m][half] += pair[0] + pair[1];
            }
            if (!__any_sync(ALL_LANES, shrink != 1.0f))
                continue;
#pragma unroll
            for (int n = 0; n < COLUMNS; n++) {
                sum[m][n][2 * half] *= shrink;
                sum[m][n][2 * half + 1] *= shrink;
            }
        }
    }
}

template <int M, int N>
__device__ inline void drop(const attention_t &a, const head_t &h, float (&prob)[M][N][4],
                            int64_t query, int64_t key)
{
#pragma unroll
    for (int m = 0; m < M; m++) {
#pragma unroll
        for (int n = 0; n < N; n++) {
            float factor[4];
            keep_factors_by_query(a, h, query + 16 * m, key + 8 * n, factor);
#pragma unroll
            for (int i = 0; i < 4; i++)
                prob[m][n][i] *= factor[i];
        }
    }
}

template <int M> __device__ inline void sum_over_lanes(softmax_t<M> &soft)
{
#pragma unroll
    for (int m = 0; m < M; m++) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            float &sum = soft.sum[m][half];
            sum += __shfl_xor_sync(ALL_LANES, sum, 1);
            sum += __shfl_xor_sync(ALL_LANES, sum, 2);
        }
    }
}

template <int M>
__device__ inline void store_log_sum(const softmax_t<M> &soft, float *log_sum, int64_t rows)
{
    int lane = threadIdx.x % MB_WARP;
    if (lane % 4 != 0)
        return;
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            int row = 16 * m + 8 * half + lane / 4;
            if (row < rows)
                log_sum[row] = soft.largest[m][half] * LN_2 + logf(soft.sum[m][half]);
        }
}

template <typename T, int WIDTH, int M, bool DROP>
__global__ void __launch_bounds__(TENSOR_THREADS, 2)
    tensor_kernel(attention_t a, const T *q, const T *k, const T *v, T *out, float *log_sum)
{
    constexpr int ROWS = query_rows<M>, KEYS = key_rows<WIDTH>, LD = tile_ld<WIDTH>;
    MB_SHARED_DYNAMIC(T, q_tile);
    T *k_tile = q_tile + ROWS * LD, *v_tile = k_tile + KEYS * LD;

    /* With a causal mask the last queries see the most keys: they begin first. */
    int tq = (int)a.tq, tk = (int)a.tk;
    unsigned blocks = (unsigned)mb_ceil_div(tq, ROWS);
    head_t h = head_of(a, blockIdx.x / blocks);
    int first = (int)(blocks - 1 - blockIdx.x % blocks) * ROWS;
    int seen = (int)keys_seen(a, first + ROWS);
    int64_t ld = a.heads * a.d, ldv = a.heads * a.dv;
    q += head_offset(a, h, a.tq, a.d) + first * ld;
    k += head_offset(a, h, a.tk, a.d);
    v += head_offset(a, h, a.tk, a.dv);

    int warp_row = (int)threadIdx.x / MB_WARP * 16 * M;
    int query = first + warp_row;
    const T *own = q_tile + warp_row * LD;
    float sum[M][WIDTH / 8][4] = {};
    softmax_t<M> soft;
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int half = 0; half < 2; half++)
            soft.largest[m][half] = -INFINITY, soft.sum[m][half] = 0.0f;

    mb_copies copies;
    start_tile<T, WIDTH, ROWS>(copies, q_tile, q, ld, tq - first, a.d);
    start_tile<T, WIDTH, KEYS>(copies, k_tile, k, ld, tk, a.d);
    copies.end_group();
    for (int key = 0; key < seen; key += KEYS) {
        bool hidden = a.causal && key >= query + 16 * M; /* from the whole warp */
        copies.template wait<0>();
        __syncthreads();
        start_tile<T, WIDTH, KEYS>(copies, v_tile, v + key * ldv, ldv, tk - key, a.dv);
        copies.end_group();
        float score[M][KEYS / 8][4] = {};
        if (!hidden)
            multiply_rows<T, WIDTH>(score, own, k_tile);
        copies.template wait<0>();
        __syncthreads();
        if (key + KEYS < seen)
            start_tile<T, WIDTH, KEYS>(copies, k_tile, k + (key + KEYS) * ld, ld, tk - key - KEYS,
                                       a.d);
        copies.end_group();
        if (hidden)
            continue;
        scale_all(score, a.scale * LOG2_E);
        if (key + KEYS > tk || (a.causal && key + KEYS > query + 1))
            hide_unseen(a, score, query, key);
        exponentiate(soft, score, sum);
        if (DROP)
            drop(a, h, score, query, key);
        add_weighted<T, WIDTH>(sum, score, v_tile);
    }
    sum_over_lanes(soft);
    store_log_sum(soft, log_sum + (h.sample * a.heads + h.head) * a.tq + query, tq - query);
    store_rows<T, WIDTH>(sum, out + head_offset(a, h, a.tq, a.dv) + query * ldv, ldv, tq - query,
                         a.dv, [&](int m, int half) { return 1.0f / soft.sum[m][half]; });
}

template <typename T, int WIDTH, int M, bool DROP>
mb_status_t launch_tensor(mb_exec_t *exec, const attention_t &a,
                          const mb_attention_forward_args_t *args)
{
    constexpr int ROWS = query_rows<M>;
    auto kernel = tensor_kernel<T, WIDTH, M, DROP>;
    size_t shared = tile_bytes<WIDTH>(ROWS + 2 * key_rows<WIDTH>);
    MB_TRY(mb_cuda_check(cudaFuncSetAttribute((const void *)kernel,
                                              cudaFuncAttributeMaxDynamicSharedMemorySize,
                                              (int)shared),
                         "asking for shared memory"));
    int64_t blocks = a.samples * a.heads * mb_ceil_div(a.tq, ROWS);
    MB_LAUNCH(kernel, (unsigned)blocks, TENSOR_THREADS, shared, mb_cuda_stream(exec), a,
              (const T *)args->q, (const T *)args->k, (const T *)args->v, (T *)args->out,
              args->log_sum);
    return mb_cuda_launched(MB_OP_ATTENTION_FORWARD);
}

template <typename T, int WIDTH>
mb_status_t run_width(mb_exec_t *exec, const attention_t &a,
                      const mb_attention_forward_args_t *args)
{
    return a.rate > 0.0f ? launch_tensor<T, WIDTH, 1, true>(exec, a, args)
                         : launch_tensor<T, WIDTH, 2, false>(exec, a, args);
}

template <typename T>
mb_status_t run_tensor(mb_exec_t *exec, const attention_t &a,
                       const mb_attention_forward_args_t *args)
{
    int64_t width = a.d > a.dv ? a.d : a.dv;
    if (width <= 32)
        return run_width<T, 32>(exec, a, args);
    return width <= 64 ? run_width<T, 64>(exec, a, args) : run_width<T, 128>(exec, a, args);
}

/* ---- in floats */

/* Rows of a thread's scores lie in sixteen lanes. */
__device__ inline float largest_over_lanes(float value)
{
    for (int lanes = 8; lanes > 0; lanes /= 2)
        value = fmaxf(value, __shfl_xor_sync(ALL_LANES, value, lanes));
    return value;
}

__device__ inline float sum_over_lanes(float value)
{
    for (int lanes = 8; lanes > 0; lanes /= 2)
        value += __shfl_xor_sync(ALL_LANES, value, lanes);
    return value;
}

/* One row's part of `exponentiate`: returns what sums so far shrink by. */
__device__ inline float exponentiate_row(float (&score)[4], float &largest, float &sum)
{
    float before = largest;
    float four = fmaxf(fmaxf(score[0], score[1]), fmaxf(score[2], score[3]));
    largest = fmaxf(largest, largest_over_lanes(four));
    float shrink = expf(before - largest);
    sum *= shrink;
#pragma unroll
    for (int j = 0; j < 4; j++) {
        score[j] = expf(score[j] - largest);
        sum += score[j];
    }
    return shrink;
}

/* Keys that are not there are never looked at; those that are not seen may be all a row has. */
template <typename T, bool MASK>
__device__ inline float visible(const attention_t &a, const T *mask, int query, int key,
                                float score)
{
    if (!MASK)
        return sees(a, query, key) ? score * a.scale : -INFINITY;
    if (key >= a.tk)
        return -INFINITY;
    return sees_by(a, mask, query, key) ? score * a.scale : UNSEEN;
}

template <typename T, int COLUMNS, bool DROP, bool MASK>
__global__ void __launch_bounds__(PLAIN_THREADS, plain_blocks<DROP>)
    plain_kernel(attention_t a, int chunks, const T *q, const T *k, const T *v, T *out,
                 float *log_sum)
{
    __shared__ plain_shared_t shared;
    int tq = (int)a.tq, tk = (int)a.tk, d = (int)a.d, dv = (int)a.dv;
    unsigned blocks = (unsigned)mb_ceil_div(tq, PLAIN_ROWS), block = blockIdx.x / (unsigned)chunks;
    int column = (int)(blockIdx.x % (unsigned)chunks) * COLUMNS;
    head_t h = head_of(a, block / blocks);
    int first = (int)(blocks - 1 - block % blocks) * PLAIN_ROWS;
    int seen = (int)keys_seen(a, first + PLAIN_ROWS);
    int64_t ld = a.heads * a.d, ldv = a.heads * a.dv;
    rows_t<T> queries = {q + head_offset(a, h, a.tq, a.d) + first * ld, ld, tq - first, d};
    rows_t<T> keys = {k + head_offset(a, h, a.tk, a.d), ld, tk, d};
    rows_t<T> values = {v + head_offset(a, h, a.tk, a.dv), ldv, tk, dv};
    const T *mask = MASK ? mask_of<T>(a, h) : nullptr;

    float sum[4][COLUMNS / 16] = {}, score[4][4], largest[4], total[4], factor[4];
#pragma unroll
    for (int i = 0; i < 4; i++)
        largest[i] = -INFINITY, total[i] = 0.0f;
    int query = first + plain_row();
    for (int tile = 0; tile < seen; tile += PLAIN_ROWS) {
        int key = tile + plain_column();
        plain_scores(shared, queries, rows_from(keys, tile), score);
#pragma unroll
        for (int i = 0; i < 4; i++) {
#pragma unroll
            for (int j = 0; j < 4; j++)
                score[i][j] = visible<T, MASK>(a, mask, query + i, key + j, score[i][j]);
            float shrink = exponentiate_row(score[i], largest[i], total[i]);
#pragma unroll
            for (int j = 0; j < COLUMNS / 16; j++)
                sum[i][j] *= shrink;
            if (DROP) {
                keep_factors_of_four(a, h, query + i, key, factor);
#pragma unroll
                for (int j = 0; j < 4; j++)
                    score[i][j] *= factor[j];
            }
        }
        share_weights(shared, score);
        plain_add_weighted<T, COLUMNS>(shared, rows_from(values, tile), column, sum);
    }
#pragma unroll
    for (int i = 0; i < 4; i++) {
        float all = sum_over_lanes(total[i]), logarithm = largest[i] + logf(all);
        factor[i] = 1.0f / all;
        if (MASK && largest[i] == UNSEEN) {
            bool nothing = a.blind == MB_BLIND_NOTHING;
            factor[i] = nothing ? 0.0f : factor[i];
            logarithm = nothing ? INFINITY : -INFINITY;
        }
        if (column == 0 && threadIdx.x % 16 == 0 && query + i < tq)
            log_sum[(h.sample * a.heads + h.head) * a.tq + query + i] = logarithm;
    }
    plain_store<T, COLUMNS>(sum, out + head_offset(a, h, a.tq, a.dv) + first * ldv, ldv, tq - first,
                            column, dv, factor);
}

template <typename T, int COLUMNS, bool DROP, bool MASK>
mb_status_t launch_plain(mb_exec_t *exec, const attention_t &a,
                         const mb_attention_forward_args_t *args)
{
    int64_t chunks = mb_ceil_div(a.dv, COLUMNS);
    int64_t blocks = a.samples * a.heads * mb_ceil_div(a.tq, PLAIN_ROWS) * chunks;
    MB_LAUNCH((plain_kernel<T, COLUMNS, DROP, MASK>), (unsigned)blocks, PLAIN_THREADS, 0,
              mb_cuda_stream(exec), a, (int)chunks, (const T *)args->q, (const T *)args->k,
              (const T *)args->v, (T *)args->out, args->log_sum);
    return mb_cuda_launched(MB_OP_ATTENTION_FORWARD);
}

template <typename T, int COLUMNS, bool DROP>
mb_status_t run_masked(mb_exec_t *exec, const attention_t &a,
                       const mb_attention_forward_args_t *args)
{
    return a.masks > 0 ? launch_plain<T, COLUMNS, DROP, true>(exec, a, args)
                       : launch_plain<T, COLUMNS, DROP, false>(exec, a, args);
}

template <typename T, int COLUMNS>
mb_status_t run_chunks(mb_exec_t *exec, const attention_t &a,
                       const mb_attention_forward_args_t *args)
{
    return a.rate > 0.0f ? run_masked<T, COLUMNS, true>(exec, a, args)
                         : run_masked<T, COLUMNS, false>(exec, a, args);
}

template <typename T>
mb_status_t run_plain(mb_exec_t *exec, const attention_t &a,
                      const mb_attention_forward_args_t *args)
{
    return a.dv <= 64 ? run_chunks<T, 64>(exec, a, args)
                      : run_chunks<T, plain_wide<T>>(exec, a, args);
}

mb_status_t run(mb_exec_t *exec, const attention_t &a, const mb_attention_forward_args_t *args)
{
    if (args->type == MB_BF16 && tensor_suits(a))
        return run_tensor<__nv_bfloat16>(exec, a, args);
    if (args->type == MB_F16 && tensor_suits(a))
        return run_tensor<__half>(exec, a, args);
    MB_CUDA_TYPED(MB_OP_ATTENTION_FORWARD, args->type, return run_plain<T>(exec, a, args));
}

} // namespace

extern "C" mb_status_t mb_cuda_attention_forward(mb_exec_t *exec,
                                                 const mb_attention_forward_args_t *args)
{
    attention_t a = attention_of(args);
    MB_TRY(attention_check(MB_OP_ATTENTION_FORWARD, a));
    if (exec->planning || a.samples == 0)
        return MB_OK;
    return run(exec, a, args);
}
