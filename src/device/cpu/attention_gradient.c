/* Attention backward, of a block: see attention_backward.h. The probabilities are computed again
 * from the saved log_sum (Dao et al.: "FlashAttention", 2022, appendix B.2).
 *
 *     ds = p (dout v^T - mean) scale, mean of each query being its sum of out dout
 *     dv += p^T dout    dk += ds^T q    dq += ds k */
#include <math.h>
#include <string.h>
#include "device/cpu/attention_backward.h"
#include "device/cpu/simd.h"

#define LOG2_E 1.44269504088896341

size_t mb_attention_cut_tile(const mb_attention_t *a, float *memory, mb_attention_tile_t *t)
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

void mb_attention_load_queries(const mb_attention_backward_t *w, int64_t sample, int64_t head,
                               mb_span_t rows, mb_attention_tile_t *t)
{
    const mb_attention_t *a = &w->shape;
    mb_attention_take_queries(a, sample, head, rows, &t->queries);
    const mb_attention_queries_t *q = &t->queries;
    mb_attention_rows_t of_q = mb_attention_of_queries(a, q, rows, w->q, a->d);
    mb_attention_rows_t out = mb_attention_of_queries(a, q, rows, w->out, a->dv);
    mb_attention_rows_t dout = mb_attention_of_queries(a, q, rows, w->dout, a->dv);
    const float *log_sum = w->log_sum + (sample * a->heads + head) * a->tq + rows.begin;
    mb_attention_transpose(&of_q, (float)((double)a->scale * LOG2_E), t->q_columns);
    mb_attention_transpose(&dout, a->scale, t->dout_columns);
    t->q = mb_attention_pad(&of_q, t->q_room);
    t->dout = mb_attention_pad(&dout, t->dout_room);
    for (int64_t r = 0; r < MB_ATTENTION_QUERIES; r++) {
        bool is = r < of_q.count;
        t->log_sum[r] = is ? log2_of(a, log_sum[r], q->blind[r]) : 0.0f;
        t->mean[r] = is ? dot(out.at + r * out.ld, dout.at + r * out.ld, a->dv) * a->scale : 0.0f;
    }
}

void mb_attention_load_keys(const mb_attention_backward_t *w, mb_span_t keys,
                            mb_attention_tile_t *t)
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
static void find_gradients(const mb_attention_backward_t *w, const mb_attention_block_t *block,
                           mb_span_t keys, mb_attention_tile_t *t)
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
static void sum_keys(const mb_attention_backward_t *w, const mb_attention_block_t *block,
                     mb_span_t keys, mb_attention_tile_t *t)
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

static mb_attention_block_t block_of(const mb_attention_backward_t *w,
                                     const mb_attention_queries_t *q, mb_span_t keys)
{
    return (mb_attention_block_t){.steps = w->steps,
                                  .keys = keys.end - keys.begin,
                                  .queries = q->rows.end - q->rows.begin,
                                  .groups = q->groups,
                                  .diagonal = mb_attention_diagonal(&w->shape, q, keys.begin)};
}

void mb_attention_sum_queries(const mb_attention_backward_t *w, mb_span_t keys, const float *grads,
                              mb_attention_tile_t *t)
{
    mb_attention_block_t block = block_of(w, &t->queries, keys);
    mb_attention_over_keys(&block, grads, &t->k_padded, t->dq, keys.begin > 0);
}

void mb_attention_backward_block(const mb_attention_backward_t *w, mb_span_t keys,
                                 mb_attention_tile_t *t)
{
    mb_attention_block_t block = block_of(w, &t->queries, keys);
    find_gradients(w, &block, keys, t);
    if (t->of_keys)
        sum_keys(w, &block, keys, t);
    if (t->of_queries)
        mb_attention_sum_queries(w, keys, t->grad, t);
}

void mb_attention_clear_keys(const mb_attention_backward_t *w, const mb_attention_tile_t *t,
                             int64_t end)
{
    const mb_attention_t *a = &w->shape;
    const mb_attention_queries_t *q = &t->queries;
    for (int64_t j = t->written; j < end; j++) {
        int64_t at = (q->sample * a->tk + j) * a->heads + q->head;
        memset(w->dk + at * a->d, 0, sizeof(float) * (size_t)a->d);
        memset(w->dv + at * a->dv, 0, sizeof(float) * (size_t)a->dv);
    }
}

void mb_attention_write_queries(const mb_attention_backward_t *w, const mb_attention_tile_t *t)
{
    const mb_attention_t *a = &w->shape;
    const mb_attention_queries_t *q = &t->queries;
    for (int64_t i = q->rows.begin; i < q->rows.end; i++)
        memcpy(w->dq + ((q->sample * a->tq + i) * a->heads + q->head) * a->d,
               t->dq + (i - q->rows.begin) * mb_attention_padded(a->d),
               sizeof(float) * (size_t)a->d);
}
