/* Attention backward: the probabilities are computed again from the saved log_sum, a block of
 * queries against a block of keys at a time (Dao et al.: "FlashAttention", 2022, appendix B.2).
 *
 *     ds = p (dout v^T - mean) scale, mean of each query being its sum of out dout
 *     dv += p^T dout    dk += ds^T q    dq += ds k
 *
 * A tile is one head of one sample. Where those are too few for the threads, there are two passes:
 * tiles of keys for dk and dv, then tiles of queries for dq, which compute the scores twice. Either
 * way each element is the same sum in the same order: of dq over keys, of dk and dv over the
 * queries of a block and then over blocks. */
#include <math.h>
#include <string.h>
#include "device/cpu/attention.h"
#include "device/cpu/simd.h"

#define LOG2_E 1.44269504088896341

typedef struct {
    mb_attention_t shape;
    const float *q, *k, *v, *out, *log_sum, *dout;
    float *dq, *dk, *dv;
    const mb_attention_steps_t *steps;
    mb_workspace_t workspace;
} backward_t;

/* A tile's memory, and the rows that its block is of, padded: values are no more than factors. q
 * and dout stand in memory as columns, too, multiplied by what scores and their gradients are. */
typedef struct {
    mb_attention_queries_t queries;
    mb_attention_rows_t q, dout, k, v, k_padded;
    float *q_columns, *dout_columns, *dq, *prob, *grad, *part, *factors, *mask;
    float *q_room, *dout_room, *k_room;
    float log_sum[MB_ATTENTION_QUERIES], mean[MB_ATTENTION_QUERIES];
    bool of_keys, of_queries; /* what is wanted of a block */
    int64_t written;          /* rows of dk and dv up to here have a sum */
} tile_t;

/* Cuts MEMORY into the parts of a tile; returns how many floats they take. */
static size_t cut_memory(const mb_attention_t *a, float *memory, tile_t *t)
{
    int64_t d = mb_attention_padded(a->d), dv = mb_attention_padded(a->dv);
    const mb_attention_part_t parts[] = {
        {&t->q_columns, MB_ATTENTION_QUERIES * a->d},
        {&t->dout_columns, MB_ATTENTION_QUERIES * a->dv},
        {&t->dq, MB_ATTENTION_QUERIES * d},
        {&t->q_room, mb_attention_pad_floats(MB_ATTENTION_QUERIES, a->d)},
        {&t->dout_room, mb_attention_pad_floats(MB_ATTENTION_QUERIES, a->dv)},
        {&t->k_room, mb_attention_pad_floats(MB_ATTENTION_KEYS, a->d)},
        {&t->prob, MB_ATTENTION_KEYS * MB_ATTENTION_QUERIES},
        {&t->grad, MB_ATTENTION_KEYS * MB_ATTENTION_QUERIES},
        {&t->part, MB_ATTENTION_KEYS * mb_max_i64(d, dv)},
        {&t->factors, a->dropout_rate > 0.0f ? MB_ATTENTION_FACTORS : 0},
        {&t->mask, a->masks > 0 ? MB_ATTENTION_MASK : 0},
    };
    return mb_attention_cut(parts, sizeof parts / sizeof *parts, memory);
}

static mb_status_t prepare(mb_exec_t *exec, backward_t *w)
{
    tile_t t;
    w->steps = mb_attention_steps();
    return mb_cpu_workspace(exec, MB_OP_ATTENTION_BACKWARD, 0,
                            sizeof(float) * cut_memory(&w->shape, NULL, &t), &w->workspace);
}

MB_MULTIVERSION
static float dot(const float *a, const float *b, int64_t count)
{
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < count; i++)
        sum += a[i] * b[i];
    return sum;
}

/* The logarithm to base 2; of a blind query's sum, whose probabilities are all alike. */
static float log2_of(const mb_attention_t *a, float log_sum, bool blind)
{
    if (!blind)
        return (float)((double)log_sum * LOG2_E);
    return a->blind == MB_BLIND_NOTHING ? INFINITY : log2f((float)a->tk);
}

static void load_queries(const backward_t *w, int64_t sample, int64_t head, int64_t block,
                         tile_t *t)
{
    const mb_attention_t *a = &w->shape;
    mb_attention_take_queries(a, sample, head, block, &t->queries);
    const mb_attention_queries_t *q = &t->queries;
    mb_attention_rows_t rows = mb_attention_of_queries(a, q, q->rows, w->q, a->d);
    mb_attention_rows_t out = mb_attention_of_queries(a, q, q->rows, w->out, a->dv);
    mb_attention_rows_t dout = mb_attention_of_queries(a, q, q->rows, w->dout, a->dv);
    const float *log_sum = w->log_sum + (sample * a->heads + head) * a->tq + q->rows.begin;
    mb_attention_transpose(&rows, (float)((double)a->scale * LOG2_E), t->q_columns);
    mb_attention_transpose(&dout, a->scale, t->dout_columns);
    t->q = mb_attention_pad(&rows, t->q_room);
    t->dout = mb_attention_pad(&dout, t->dout_room);
    for (int64_t r = 0; r < MB_ATTENTION_QUERIES; r++) {
        bool is = r < rows.count;
        t->log_sum[r] = is ? log2_of(a, log_sum[r], q->blind[r]) : 0.0f;
        t->mean[r] = is ? dot(out.at + r * out.ld, dout.at + r * out.ld, a->dv) * a->scale : 0.0f;
    }
}

static void load_keys(const backward_t *w, mb_span_t keys, tile_t *t)
{
    const mb_attention_t *a = &w->shape;
    t->k = mb_attention_of_keys(a, &t->queries, keys, w->k, a->d);
    t->v = mb_attention_of_keys(a, &t->queries, keys, w->v, a->dv);
    t->k_padded = mb_attention_pad(&t->k, t->k_room);
}

/* Probabilities of a query that sees no key do not move with its scores, but where they are said
 * to. */
static void hold_blind(const mb_attention_t *a, const mb_attention_queries_t *q, int64_t keys,
                       float *grad)
{
    for (int64_t r = 0; r < q->rows.end - q->rows.begin; r++) {
        for (int64_t j = 0; j < keys && q->blind[r] && a->blind != MB_BLIND_LEVEL; j++)
            grad[j * MB_ATTENTION_QUERIES + r] = 0.0f;
    }
}

/* Probabilities (dropped where dropout is) and gradients of scores. */
static void find_gradients(const backward_t *w, const mb_attention_block_t *block, mb_span_t keys,
                           tile_t *t)
{
    const mb_attention_t *a = &w->shape;
    const mb_attention_queries_t *q = &t->queries;
    mb_attention_block_step_t step = {.scores = t->prob,
                                      .grads = t->grad,
                                      .keys = block->keys,
                                      .groups = block->groups,
                                      .diagonal = block->diagonal,
                                      .log_sum = t->log_sum,
                                      .mean = t->mean};
    bool drops = a->dropout_rate > 0.0f;
    mb_attention_scores(block, &t->k, t->q_columns, t->prob);
    mb_attention_scores(block, &t->v, t->dout_columns, t->grad);
    mb_attention_hide(a, q, keys, t->mask, t->prob);
    if (drops) {
        mb_attention_factors(a, q, keys, t->factors);
        mb_attention_drop(q, block->keys, t->factors, t->grad);
    }
    w->steps->gradient(&step);
    if (q->has_blind)
        hold_blind(a, q, block->keys, t->grad);
    if (drops)
        mb_attention_drop(q, block->keys, t->factors, t->prob);
}

/* The first ADDED rows of PART are added, the others written. */
MB_MULTIVERSION
static void add_rows(float *restrict to, int64_t ld, const float *restrict part, int64_t added,
                     int64_t rows, int64_t columns)
{
    int64_t padded = mb_attention_padded(columns);
    for (int64_t r = 0; r < rows; r++) {
        float *restrict sum = to + r * ld;
        const float *restrict more = part + r * padded;
        bool adds = r < added;
#pragma omp simd
        for (int64_t c = 0; c < columns; c++)
            sum[c] = adds ? sum[c] + more[c] : more[c];
    }
}

/* dk and dv of the block's keys. */
static void sum_keys(const backward_t *w, const mb_attention_block_t *block, mb_span_t keys,
                     tile_t *t)
{
    const mb_attention_t *a = &w->shape;
    const mb_attention_queries_t *q = &t->queries;
    int64_t ld = a->heads * a->d, ldv = a->heads * a->dv, row = q->sample * a->tk + keys.begin;
    int64_t added = mb_max_i64(0, t->written - keys.begin);
    mb_attention_over_queries(block, t->prob, &t->dout, t->part);
    add_rows(w->dv + row * ldv + q->head * a->dv, ldv, t->part, added, block->keys, a->dv);
    mb_attention_over_queries(block, t->grad, &t->q, t->part);
    add_rows(w->dk + row * ld + q->head * a->d, ld, t->part, added, block->keys, a->d);
    t->written = mb_max_i64(t->written, keys.end);
}

static void backward_block(const backward_t *w, mb_span_t keys, tile_t *t)
{
    const mb_attention_t *a = &w->shape;
    const mb_attention_queries_t *q = &t->queries;
    mb_attention_block_t block = {.steps = w->steps,
                                  .keys = keys.end - keys.begin,
                                  .queries = q->rows.end - q->rows.begin,
                                  .groups = q->groups,
                                  .diagonal = mb_attention_diagonal(a, q, keys.begin)};
    find_gradients(w, &block, keys, t);
    if (t->of_keys)
        sum_keys(w, &block, keys, t);
    if (t->of_queries)
        mb_attention_over_keys(&block, t->grad, &t->k_padded, t->dq, keys.begin > 0);
}

/* Keys that no query saw. */
static void clear_keys(const backward_t *w, const tile_t *t, int64_t end)
{
    const mb_attention_t *a = &w->shape;
    const mb_attention_queries_t *q = &t->queries;
    for (int64_t j = t->written; j < end; j++) {
        int64_t at = (q->sample * a->tk + j) * a->heads + q->head;
        memset(w->dk + at * a->d, 0, sizeof(float) * (size_t)a->d);
        memset(w->dv + at * a->dv, 0, sizeof(float) * (size_t)a->dv);
    }
}

static void write_queries(const backward_t *w, const tile_t *t)
{
    const mb_attention_t *a = &w->shape;
    const mb_attention_queries_t *q = &t->queries;
    for (int64_t i = q->rows.begin; i < q->rows.end; i++)
        memcpy(w->dq + ((q->sample * a->tq + i) * a->heads + q->head) * a->d,
               t->dq + (i - q->rows.begin) * mb_attention_padded(a->d),
               sizeof(float) * (size_t)a->d);
}

/* A block of queries against all the keys it sees. */
static void backward_queries(const backward_t *w, int64_t sample, int64_t head, int64_t block,
                             tile_t *t)
{
    load_queries(w, sample, head, block, t);
    const mb_attention_queries_t *q = &t->queries;
    for (int64_t j = 0; j * MB_ATTENTION_KEYS < q->keys; j++) {
        mb_span_t keys = mb_span(j, MB_ATTENTION_KEYS, q->keys);
        load_keys(w, keys, t);
        backward_block(w, keys, t);
    }
    if (t->of_queries)
        write_queries(w, t);
}

static void head_tile(void *context, int64_t tile, int thread)
{
    const backward_t *w = context;
    const mb_attention_t *a = &w->shape;
    tile_t t = {.of_keys = true, .of_queries = true};
    cut_memory(a, mb_workspace_thread(&w->workspace, thread), &t);
    for (int64_t block = 0; block < mb_attention_query_blocks(a); block++)
        backward_queries(w, tile / a->heads, tile % a->heads, block, &t);
    clear_keys(w, &t, a->tk);
}

/* The first keys first: with a causal mask most queries see them. */
static void keys_tile(void *context, int64_t tile, int thread)
{
    const backward_t *w = context;
    const mb_attention_t *a = &w->shape;
    int64_t heads = a->samples * a->heads, sample = tile % heads / a->heads, head = tile % a->heads;
    mb_span_t keys = mb_span(tile / heads, MB_ATTENTION_KEYS, a->tk);
    tile_t t = {
        .of_keys = true, .written = keys.begin, .queries = {.sample = sample, .head = head}};
    cut_memory(a, mb_workspace_thread(&w->workspace, thread), &t);
    load_keys(w, keys, &t);
    for (int64_t block = 0; block < mb_attention_query_blocks(a); block++) {
        load_queries(w, sample, head, block, &t);
        mb_span_t seen = {keys.begin, mb_min_i64(keys.end, t.queries.keys)};
        if (seen.begin < seen.end)
            backward_block(w, seen, &t);
    }
    clear_keys(w, &t, keys.end);
}

/* The last queries first, which see the most keys. */
static void queries_tile(void *context, int64_t tile, int thread)
{
    const backward_t *w = context;
    const mb_attention_t *a = &w->shape;
    int64_t heads = a->samples * a->heads;
    tile_t t = {.of_queries = true};
    cut_memory(a, mb_workspace_thread(&w->workspace, thread), &t);
    backward_queries(w, tile % heads / a->heads, tile % a->heads,
                     mb_attention_query_blocks(a) - 1 - tile / heads, &t);
}

/* Whether two passes of tiles of a block, with four and three products, end before one of tiles of
 * a head, with five. */
static bool splits_heads(const mb_attention_t *a, int threads)
{
    int64_t heads = a->samples * a->heads;
    int64_t queries = mb_attention_query_blocks(a), keys = mb_attention_key_blocks(a);
    int64_t whole = mb_ceil_div(heads, threads) * 5 * queries * keys;
    int64_t split = mb_ceil_div(heads * keys, threads) * 4 * queries +
                    mb_ceil_div(heads * queries, threads) * 3 * keys;
    return split < whole;
}

mb_status_t mb_cpu_attention_backward(mb_exec_t *exec, const mb_attention_backward_args_t *args)
{
    backward_t w = {
        .shape = {MB_OP_ATTENTION_BACKWARD, args->samples, args->heads, args->tq, args->tk, args->d,
                  args->dv, args->scale, args->dropout_rate, args->causal, args->random, args->mask,
                  args->masks, args->blind, mb_cpu_keep_run()},
        .q = args->q,
        .k = args->k,
        .v = args->v,
        .out = args->out,
        .log_sum = args->log_sum,
        .dout = args->dout,
        .dq = args->dq,
        .dk = args->dk,
        .dv = args->dv_,
    };
    MB_TRY(mb_attention_check(&w.shape));
    MB_TRY(prepare(exec, &w));
    if (exec->planning)
        return MB_OK;
    const mb_attention_t *a = &w.shape;
    int64_t heads = args->samples * args->heads;
    if (!splits_heads(a, mb_cpu_of(exec)->threads)) {
        mb_cpu_tiles(exec, heads, head_tile, &w);
        return MB_OK;
    }
    mb_cpu_tiles(exec, heads * mb_attention_key_blocks(a), keys_tile, &w);
    mb_cpu_tiles(exec, heads * mb_attention_query_blocks(a), queries_tile, &w);
    return MB_OK;
}
