/* Attention backward (Dao: "FlashAttention-2", 2023, section 3.1.2): probabilities are computed
 * again from the saved log_sum, tile by tile,
 *
 *     P = exp(scale Q K^T - log_sum)      dV = P^T dout
 *     dS = P (dout V^T - mean)            dQ = scale dS K, dK = scale dS^T Q
 *
 * where mean is the sum of out dout over a row. One pass owns keys and streams queries past, for dK
 * and dV; another owns queries, for dQ: the sums have one order and nobody waits for anybody, for
 * two products more. In the first everything stands transposed (keys are rows of scores), so that
 * in both the fragments of dS and P are operands of the next product as they are. Bound by the
 * products; with dropout by its random numbers. */
#include "attention_tensor.h"
#include "attention_dropout.h"
#include "attention_plain.h"
#include "reduce.h"
#include "runs.h"

namespace
{

/* What a query brings along: log_sum in units of ln 2, and mean. Rows of a head are padded to whole
 * tiles with what gives probability 0. */
struct alignas(8) query_t {
    float log_sum, mean;
};

constexpr int PADDING = 64;

int64_t padded_queries(const attention_t &a)
{
    return mb_ceil_div(a.tq, PADDING) * PADDING;
}

/* ---- what queries bring along */

using TEAM = mb_team<8, 256>;

template <typename T>
__global__ void __launch_bounds__(TEAM::threads)
    query_kernel(attention_t a, int64_t padded, const T *out, const T *dout, const float *log_sum,
                 query_t *queries)
{
    int64_t row = (int64_t)blockIdx.x * TEAM::teams + TEAM::number();
    int64_t head = row % a.heads, query = row / a.heads % padded, sample = row / a.heads / padded;
    if (sample >= a.samples)
        return;
    float mean = 0.0f;
    if (query < a.tq) {
        int64_t first = ((sample * a.tq + query) * a.heads + head) * a.dv;
        mb_each_run_of_row<mb_width<T>>(first, a.dv, TEAM::lane(), TEAM::lanes,
                                        [&](int64_t j, auto run) {
                                            constexpr int N = decltype(run)::value;
                                            float y[N], g[N];
                                            mb_load_pack(out + first + j, y);
                                            mb_load_pack(dout + first + j, g);
                                            for (int i = 0; i < N; i++)
                                                mean += y[i] * g[i];
                                        });
    }
    mean = TEAM::sum(mean);
    if (TEAM::lane() != 0)
        return;
    int64_t to = sample * a.heads + head;
    float sum = query < a.tq ? log_sum[to * a.tq + query] * LOG2_E : INFINITY;
    queries[to * padded + query] = {sum, mean};
}

template <typename T>
mb_status_t find_queries(mb_exec_t *exec, const attention_t &a,
                         const mb_attention_backward_args_t *args, query_t *queries)
{
    int64_t padded = padded_queries(a), rows = a.samples * a.heads * padded;
    MB_LAUNCH(query_kernel<T>, (unsigned)mb_ceil_div(rows, TEAM::teams), TEAM::threads, 0,
              mb_cuda_stream(exec), a, padded, (const T *)args->out, (const T *)args->dout,
              args->log_sum, queries);
    return mb_cuda_launched(MB_OP_ATTENTION_BACKWARD);
}

/* ---- on tensor cores */

/* Of the rows that a pass owns and of those that stream past: the pair whose product gives scores
 * (queries and keys) and the pair whose product gives dP (dout and values). Gradients of what is
 * owned. */
template <typename T> struct pass_t {
    const T *own[2], *stream[2];
    const query_t *queries;
    T *gradient[2];
    int64_t ld[2], width[2];
};

constexpr int STREAM = 32; /* rows of a tile that streams past */
constexpr int TILES = STREAM / 8;

template <int M> constexpr int own_rows = TENSOR_WARPS * 16 * M;

/* Two stages of a tile: its rows twice, and what its queries bring along. */
template <typename T, int WIDTH> struct alignas(16) stage_t {
    T rows[2][STREAM * tile_ld<WIDTH>];
    query_t queries[STREAM];
};

template <typename T, int WIDTH> constexpr size_t pass_bytes(int rows)
{
    return 2 * tile_bytes<WIDTH>(rows) + 2 * sizeof(stage_t<T, WIDTH>);
}

/* A warp's scores: OWN_KEYS: keys are rows, queries columns. */
template <bool OWN_KEYS, int M> struct place_t {
    int own, stream; /* the first of each */

    __device__ int row(int m, int i) const
    {
        return own + 16 * m + i / 2 * 8 + threadIdx.x % MB_WARP / 4;
    }
    __device__ int column(int n, int i) const
    {
        return stream + 8 * n + threadIdx.x % 4 * 2 + i % 2;
    }
    /* Columns that a row sees: [first, end). */
    __device__ int first(const attention_t &a, int row) const
    {
        return OWN_KEYS && a.causal ? row : 0;
    }
    __device__ int end(const attention_t &a, int row) const
    {
        return OWN_KEYS ? (int)a.tq : (int)keys_seen(a, row + 1);
    }
    /* Nobody sees anybody, or not everybody everybody. */
    __device__ bool is_hidden(const attention_t &a) const
    {
        return a.causal && (OWN_KEYS ? stream + STREAM <= own : own + 16 * M <= stream);
    }
    __device__ bool is_masked(const attention_t &a) const
    {
        if (OWN_KEYS)
            return a.causal && own + 16 * M > stream + 1;
        return stream + STREAM > a.tk || (a.causal && stream + STREAM > own + 1);
    }
};

/* Scores that are not seen become -infinity. */
template <bool OWN_KEYS, int M>
__device__ inline void hide_unseen(const attention_t &a, const place_t<OWN_KEYS, M> &at,
                                   float (&score)[M][TILES][4])
{
#pragma unroll
    for (int m = 0; m < M; m++) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
            int row = at.row(m, i), first = at.first(a, row), end = at.end(a, row);
#pragma unroll
            for (int n = 0; n < TILES; n++)
                if (at.column(n, i) < first || at.column(n, i) >= end)
                    score[m][n][i] = -INFINITY;
        }
    }
}

/* score, in units of ln 2, becomes P, and grad (dP) becomes dS without its scale. */
template <bool OWN_KEYS, bool DROP, int M>
__device__ inline void differentiate(const attention_t &a, const head_t &h,
                                     const place_t<OWN_KEYS, M> &at, const query_t *columns,
                                     const query_t (&rows)[M][2], float (&score)[M][TILES][4],
                                     float (&grad)[M][TILES][4])
{
#pragma unroll
    for (int n = 0; n < TILES; n++) {
        query_t of_column[2] = {};
        if (OWN_KEYS) {
            of_column[0] = columns[8 * n + threadIdx.x % 4 * 2];
            of_column[1] = columns[8 * n + threadIdx.x % 4 * 2 + 1];
        }
#pragma unroll
        for (int m = 0; m < M; m++) {
            float keep[4] = {1.0f, 1.0f, 1.0f, 1.0f};
            if (DROP && OWN_KEYS)
                keep_factors_by_key(a, h, at.stream + 8 * n, at.own + 16 * m, keep);
            else if (DROP)
                keep_factors_by_query(a, h, at.own + 16 * m, at.stream + 8 * n, keep);
#pragma unroll
            for (int i = 0; i < 4; i++) {
                query_t query = OWN_KEYS ? of_column[i % 2] : rows[m][i / 2];
                float p = mb_exp2(score[m][n][i] - query.log_sum);
                float dp = DROP ? grad[m][n][i] * keep[i] : grad[m][n][i];
                grad[m][n][i] = p * (dp - query.mean);
                score[m][n][i] = DROP ? p * keep[i] : p;
            }
        }
    }
}

template <typename T, int WIDTH>
__device__ inline void start_stage(mb_copies &copies, stage_t<T, WIDTH> *stage, const pass_t<T> &p,
                                   int first, int rows)
{
#pragma unroll
    for (int i = 0; i < 2; i++)
        start_tile<T, WIDTH, STREAM>(copies, stage->rows[i], p.stream[i] + first * p.ld[i], p.ld[i],
                                     rows - first, p.width[i]);
}

/* Padded, so there are always whole tiles of them. */
template <typename T, int WIDTH>
__device__ inline void start_queries(mb_copies &copies, stage_t<T, WIDTH> *stage,
                                     const query_t *queries)
{
    constexpr int PACK = 16 / sizeof(query_t);
    if (threadIdx.x < STREAM / PACK)
        copies.start(stage->queries + threadIdx.x * PACK, queries + threadIdx.x * PACK, true);
}

template <typename T, int WIDTH, int M, bool OWN_KEYS, bool DROP>
__global__ void __launch_bounds__(TENSOR_THREADS, 2)
    tensor_kernel(attention_t a, int64_t padded, pass_t<T> p)
{
    constexpr int ROWS = own_rows<M>, LD = tile_ld<WIDTH>;
    MB_SHARED_DYNAMIC(T, tile);
    T *tile2 = tile + ROWS * LD;
    auto *stage = reinterpret_cast<stage_t<T, WIDTH> *>(tile2 + ROWS * LD);

    int owned = (int)(OWN_KEYS ? a.tk : a.tq), streaming = (int)(OWN_KEYS ? a.tq : a.tk);
    int blocks = (owned + ROWS - 1) / ROWS, block = (int)(blockIdx.x % (unsigned)blocks);
    head_t h = head_of(a, blockIdx.x / (unsigned)blocks);
    /* With a causal mask the last queries and the first keys have most to do: they begin first. */
    int first = (OWN_KEYS ? block : blocks - 1 - block) * ROWS;
    int begin = OWN_KEYS && a.causal ? first / STREAM * STREAM : 0;
    int end = (int)(OWN_KEYS ? a.tq : keys_seen(a, first + ROWS));
#pragma unroll
    for (int i = 0; i < 2; i++) {
        p.own[i] += head_offset(a, h, owned, p.width[i]) + first * p.ld[i];
        p.stream[i] += head_offset(a, h, streaming, p.width[i]);
    }
    p.queries += (h.sample * a.heads + h.head) * padded;

    int warp_row = (int)threadIdx.x / MB_WARP * 16 * M;
    place_t<OWN_KEYS, M> at = {first + warp_row, 0};
    query_t rows[M][2] = {};
    if (!OWN_KEYS)
#pragma unroll
        for (int i = 0; i < 2 * M; i++)
            if (at.row(i / 2, i % 2 * 2) < a.tq)
                rows[i / 2][i % 2] = p.queries[at.row(i / 2, i % 2 * 2)];
    float sum[M][WIDTH / 8][4] = {}, sum2[M][WIDTH / 8][4] = {};

    mb_copies copies;
    start_tile<T, WIDTH, ROWS>(copies, tile, p.own[0], p.ld[0], owned - first, p.width[0]);
    start_tile<T, WIDTH, ROWS>(copies, tile2, p.own[1], p.ld[1], owned - first, p.width[1]);
    if (begin < end) {
        start_stage(copies, stage, p, begin, streaming);
        if (OWN_KEYS)
            start_queries(copies, stage, p.queries + begin);
    }
    copies.end_group();
    int now = 0;
    for (at.stream = begin; at.stream < end; at.stream += STREAM, now ^= 1) {
        copies.template wait<0>();
        __syncthreads();
        if (at.stream + STREAM < end) {
            start_stage(copies, stage + (now ^ 1), p, at.stream + STREAM, streaming);
            if (OWN_KEYS)
                start_queries(copies, stage + (now ^ 1), p.queries + at.stream + STREAM);
        }
        copies.end_group();
        if (at.is_hidden(a))
            continue;
        const stage_t<T, WIDTH> &s = stage[now];
        float score[M][TILES][4] = {}, grad[M][TILES][4] = {};
        multiply_rows<T, WIDTH>(score, tile + warp_row * LD, s.rows[0]);
        multiply_rows<T, WIDTH>(grad, tile2 + warp_row * LD, s.rows[1]);
        scale_all(score, a.scale * LOG2_E);
        if (at.is_masked(a))
            hide_unseen(a, at, score);
        differentiate<OWN_KEYS, DROP, M>(a, h, at, s.queries, rows, score, grad);
        if (OWN_KEYS)
            add_weighted<T, WIDTH>(sum2, score, s.rows[1]);
        add_weighted<T, WIDTH>(sum, grad, s.rows[0]);
    }
    copies.template wait<0>();
    store_rows<T, WIDTH>(sum, p.gradient[0] + head_offset(a, h, owned, a.d) + at.own * p.ld[0],
                         p.ld[0], owned - at.own, a.d, [&](int, int) { return a.scale; });
    if (OWN_KEYS)
        store_rows<T, WIDTH>(sum2,
                             p.gradient[1] + head_offset(a, h, owned, a.dv) + at.own * p.ld[1],
                             p.ld[1], owned - at.own, a.dv, [&](int, int) { return 1.0f; });
}

template <typename T, int WIDTH, int M, bool OWN_KEYS, bool DROP>
mb_status_t launch_tensor(mb_exec_t *exec, const attention_t &a, const pass_t<T> &pass)
{
    auto kernel = tensor_kernel<T, WIDTH, M, OWN_KEYS, DROP>;
    size_t shared = pass_bytes<T, WIDTH>(own_rows<M>);
    MB_TRY(mb_cuda_check(cudaFuncSetAttribute((const void *)kernel,
                                              cudaFuncAttributeMaxDynamicSharedMemorySize,
                                              (int)shared),
                         "asking for shared memory"));
    int64_t blocks = a.samples * a.heads * mb_ceil_div(OWN_KEYS ? a.tk : a.tq, own_rows<M>);
    MB_LAUNCH(kernel, (unsigned)blocks, TENSOR_THREADS, shared, mb_cuda_stream(exec), a,
              padded_queries(a), pass);
    return mb_cuda_launched(MB_OP_ATTENTION_BACKWARD);
}

/* The pass that owns keys, or the one that owns queries. */
template <typename T>
pass_t<T> pass_of(const attention_t &a, const mb_attention_backward_args_t *args,
                  const query_t *queries, bool own_keys)
{
    const T *q = (const T *)args->q, *k = (const T *)args->k, *v = (const T *)args->v,
            *dout = (const T *)args->dout;
    pass_t<T> p = {};
    p.queries = queries;
    for (int i = 0; i < 2; i++) {
        const T *of_queries = i == 0 ? q : dout, *of_keys = i == 0 ? k : v;
        p.own[i] = own_keys ? of_keys : of_queries;
        p.stream[i] = own_keys ? of_queries : of_keys;
        p.width[i] = i == 0 ? a.d : a.dv;
        p.ld[i] = a.heads * p.width[i];
    }
    p.gradient[0] = (T *)(own_keys ? args->dk : args->dq);
    p.gradient[1] = own_keys ? (T *)args->dv_ : (T *)nullptr;
    return p;
}

template <typename T, int WIDTH, int M>
mb_status_t run_width(mb_exec_t *exec, const attention_t &a,
                      const mb_attention_backward_args_t *args, const query_t *queries)
{
    pass_t<T> keys = pass_of<T>(a, args, queries, true);
    pass_t<T> own = pass_of<T>(a, args, queries, false);
    if (a.rate > 0.0f) {
        MB_TRY((launch_tensor<T, WIDTH, 1, true, true>(exec, a, keys)));
        return launch_tensor<T, WIDTH, 1, false, true>(exec, a, own);
    }
    MB_TRY((launch_tensor<T, WIDTH, M, true, false>(exec, a, keys)));
    return launch_tensor<T, WIDTH, M, false, false>(exec, a, own);
}

template <typename T>
mb_status_t run_tensor(mb_exec_t *exec, const attention_t &a,
                       const mb_attention_backward_args_t *args, query_t *queries)
{
    MB_TRY(find_queries<T>(exec, a, args, queries));
    int64_t width = a.d > a.dv ? a.d : a.dv;
    if (width <= 32)
        return run_width<T, 32, 2>(exec, a, args, queries);
    if (width <= 64)
        return run_width<T, 64, 2>(exec, a, args, queries);
    return run_width<T, 128, 1>(exec, a, args, queries);
}

/* ---- in floats */

enum { OF_QUERIES, OF_KEYS, OF_VALUES };

/* A probability, and what its score's gradient takes of it. */
struct probability_t {
    float p, through;
};

/* LOG_SUM in units of ln 2; infinite: the query is blind. */
template <typename T, bool MASK>
__device__ inline probability_t probability_of(const attention_t &a, const T *mask, int query,
                                               int key, float score, float log_sum)
{
    if (MASK && isinf(log_sum)) {
        float p = a.blind == MB_BLIND_NOTHING ? 0.0f : 1.0f / (float)a.tk;
        return {p, a.blind == MB_BLIND_LEVEL ? p : 0.0f};
    }
    if (MASK && !sees_by(a, mask, query, key))
        return {0.0f, 0.0f};
    float p = mb_exp2(score * a.scale * LOG2_E - log_sum);
    return {p, p};
}

/* Whether a query may have a probability for a key. */
template <bool MASK> __device__ inline bool concerns(const attention_t &a, int query, int key)
{
    return query < a.tq && (MASK ? key < a.tk : sees(a, query, key));
}

template <typename T, int OF, bool DROP, bool MASK>
__device__ inline void differentiate_plain(const attention_t &a, const head_t &h, const T *mask,
                                           const query_t *queries, int own, int stream,
                                           const float (&score)[4][4], const float (&grad)[4][4],
                                           float (&weight)[4][4])
{
    float keep[4][4];
#pragma unroll
    for (int i = 0; i < 4; i++) {
        keep[i][0] = keep[i][1] = keep[i][2] = keep[i][3] = 1.0f;
        if (DROP && OF == OF_QUERIES)
            keep_factors_of_four(a, h, own + i, stream, keep[i]);
        else if (DROP)
            keep_factors_of_four(a, h, stream + i, own, keep[i]);
    }
#pragma unroll
    for (int i = 0; i < 4; i++) {
#pragma unroll
        for (int j = 0; j < 4; j++) {
            int query = OF == OF_QUERIES ? own + i : stream + j;
            int key = OF == OF_QUERIES ? stream + j : own + i;
            float factor = OF == OF_QUERIES ? keep[i][j] : keep[j][i];
            probability_t of = {};
            query_t q = {};
            if (concerns<MASK>(a, query, key)) {
                q = queries[query];
                of = probability_of<T, MASK>(a, mask, query, key, score[i][j], q.log_sum);
            }
            weight[i][j] = OF == OF_VALUES ? of.p * factor
                                           : of.through * (grad[i][j] * factor - q.mean) * a.scale;
        }
    }
}

template <typename T, int COLUMNS, int OF, bool DROP, bool MASK>
__global__ void __launch_bounds__(PLAIN_THREADS, plain_blocks<DROP>)
    plain_kernel(attention_t a, int64_t padded, int chunks, pass_t<T> p, T *gradient)
{
    constexpr bool OWN_KEYS = OF != OF_QUERIES;
    __shared__ plain_shared_t shared;
    int owned = (int)(OWN_KEYS ? a.tk : a.tq), streaming = (int)(OWN_KEYS ? a.tq : a.tk);
    unsigned blocks = (unsigned)mb_ceil_div(owned, PLAIN_ROWS);
    unsigned block = blockIdx.x / (unsigned)chunks;
    int column = (int)(blockIdx.x % (unsigned)chunks) * COLUMNS;
    head_t h = head_of(a, block / blocks);
    int first = (int)(OWN_KEYS ? block % blocks : blocks - 1 - block % blocks) * PLAIN_ROWS;
    int begin = OWN_KEYS && a.causal && !MASK ? first : 0;
    int end = (int)(OWN_KEYS ? a.tq : keys_seen(a, first + PLAIN_ROWS));
    const T *mask = MASK ? mask_of<T>(a, h) : nullptr;
    rows_t<T> own[2], stream[2];
    for (int i = 0; i < 2; i++) {
        int width = (int)p.width[i];
        rows_t<T> all = {p.own[i] + head_offset(a, h, owned, width), p.ld[i], owned, width};
        own[i] = rows_from(all, first);
        stream[i] = {p.stream[i] + head_offset(a, h, streaming, width), p.ld[i], streaming, width};
    }
    const query_t *queries = p.queries + (h.sample * a.heads + h.head) * padded;

    float sum[4][COLUMNS / 16] = {}, score[4][4], grad[4][4] = {};
    for (int tile = begin; tile < end; tile += PLAIN_ROWS) {
        plain_scores(shared, own[0], rows_from(stream[0], tile), score);
        if (OF != OF_VALUES)
            plain_scores(shared, own[1], rows_from(stream[1], tile), grad);
        float weight[4][4];
        differentiate_plain<T, OF, DROP, MASK>(a, h, mask, queries, first + plain_row(),
                                               tile + plain_column(), score, grad, weight);
        share_weights(shared, weight);
        plain_add_weighted<T, COLUMNS>(shared, rows_from(stream[OF == OF_VALUES], tile), column,
                                       sum);
    }
    const float ones[4] = {1.0f, 1.0f, 1.0f, 1.0f};
    int width = (int)p.width[OF == OF_VALUES];
    int64_t ld = p.ld[OF == OF_VALUES];
    plain_store<T, COLUMNS>(sum, gradient + head_offset(a, h, owned, width) + first * ld, ld,
                            owned - first, column, width, ones);
}

template <typename T, int COLUMNS, int OF, bool DROP, bool MASK>
mb_status_t launch_plain(mb_exec_t *exec, const attention_t &a, const pass_t<T> &pass, T *gradient)
{
    int64_t chunks = mb_ceil_div(OF == OF_VALUES ? a.dv : a.d, COLUMNS);
    int64_t blocks =
        a.samples * a.heads * mb_ceil_div(OF == OF_QUERIES ? a.tq : a.tk, PLAIN_ROWS) * chunks;
    MB_LAUNCH((plain_kernel<T, COLUMNS, OF, DROP, MASK>), (unsigned)blocks, PLAIN_THREADS, 0,
              mb_cuda_stream(exec), a, padded_queries(a), (int)chunks, pass, gradient);
    return mb_cuda_launched(MB_OP_ATTENTION_BACKWARD);
}

template <typename T, int COLUMNS, int OF, bool DROP>
mb_status_t run_masked(mb_exec_t *exec, const attention_t &a, const pass_t<T> &pass, T *to)
{
    return a.masks > 0 ? launch_plain<T, COLUMNS, OF, DROP, true>(exec, a, pass, to)
                       : launch_plain<T, COLUMNS, OF, DROP, false>(exec, a, pass, to);
}

template <typename T, int COLUMNS, int OF>
mb_status_t run_chunks(mb_exec_t *exec, const attention_t &a, const pass_t<T> &pass, T *to)
{
    return a.rate > 0.0f ? run_masked<T, COLUMNS, OF, true>(exec, a, pass, to)
                         : run_masked<T, COLUMNS, OF, false>(exec, a, pass, to);
}

template <typename T, int OF>
mb_status_t run_plain_for(mb_exec_t *exec, const attention_t &a, const pass_t<T> &pass, void *to)
{
    return (OF == OF_VALUES ? a.dv : a.d) <= 64
               ? run_chunks<T, 64, OF>(exec, a, pass, (T *)to)
               : run_chunks<T, plain_wide<T>, OF>(exec, a, pass, (T *)to);
}

template <typename T>
mb_status_t run_plain(mb_exec_t *exec, const attention_t &a,
                      const mb_attention_backward_args_t *args, query_t *queries)
{
    MB_TRY(find_queries<T>(exec, a, args, queries));
    pass_t<T> keys = pass_of<T>(a, args, queries, true);
    pass_t<T> own = pass_of<T>(a, args, queries, false);
    MB_TRY((run_plain_for<T, OF_KEYS>(exec, a, keys, args->dk)));
    MB_TRY((run_plain_for<T, OF_VALUES>(exec, a, keys, args->dv_)));
    return run_plain_for<T, OF_QUERIES>(exec, a, own, args->dq);
}

mb_status_t run(mb_exec_t *exec, const attention_t &a, const mb_attention_backward_args_t *args,
                query_t *queries)
{
    if (args->type == MB_BF16 && tensor_suits(a))
        return run_tensor<__nv_bfloat16>(exec, a, args, queries);
    if (args->type == MB_F16 && tensor_suits(a))
        return run_tensor<__half>(exec, a, args, queries);
    MB_CUDA_TYPED(MB_OP_ATTENTION_BACKWARD, args->type,
                  return run_plain<T>(exec, a, args, queries));
}

} // namespace

extern "C" mb_status_t mb_cuda_attention_backward(mb_exec_t *exec,
                                                  const mb_attention_backward_args_t *args)
{
    attention_t a = attention_of(args);
    MB_TRY(attention_check(MB_OP_ATTENTION_BACKWARD, a));
    size_t bytes = sizeof(query_t) * (size_t)(a.samples * a.heads * padded_queries(a));
    void *queries;
    MB_TRY(mb_cuda_workspace(exec, MB_OP_ATTENTION_BACKWARD, bytes, &queries));
    if (exec->planning || a.samples == 0)
        return MB_OK;
    return run(exec, a, args, (query_t *)queries);
}
