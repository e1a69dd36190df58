/* Attention forward: out = softmax(scale q k^T) v, a block of queries of one head a tile, or half a
 * block, which no bit depends on. Keys come a block at a time: the largest score and the sum of
 * exponentials so far go along, and what was summed shrinks where a larger score comes (Milakov and
 * Gimelshein, "Online normalizer calculation for softmax", 2018; Dao, "FlashAttention-2", 2023,
 * algorithm 1). */
#include <float.h>
#include <math.h>
#include "device/cpu/attention.h"
#include "device/cpu/simd.h"

#define LOG2_E 1.44269504088896341
#define LN_2 0.69314718055994531
#define LEAST_HEADS 4 /* of a thread */

typedef struct {
    mb_attention_t shape;
    const float *q, *k, *v;
    float *out, *log_sum;
    const mb_attention_steps_t *steps;
    int64_t rows; /* of queries that a tile takes */
    bool by_heads;
    mb_workspace_t workspace;
} forward_t;

/* A tile's memory: transposed queries, scores, a block of values, sums of values. */
typedef struct {
    mb_attention_queries_t queries;
    float *q, *scores, *v, *out, *factors, *mask;
    float largest[MB_ATTENTION_QUERIES], sum[MB_ATTENTION_QUERIES], shrink[MB_ATTENTION_QUERIES];
} tile_t;

/* Cuts MEMORY into the parts of a tile; returns how many floats they take. */
static size_t cut_memory(const mb_attention_t *a, float *memory, tile_t *t)
{
    const mb_attention_part_t parts[] = {
        {&t->q, MB_ATTENTION_QUERIES * a->d},
        {&t->scores, MB_ATTENTION_QUERIES * MB_ATTENTION_KEYS},
        {&t->v, mb_attention_pad_floats(MB_ATTENTION_KEYS, a->dv)},
        {&t->out, MB_ATTENTION_QUERIES * mb_attention_padded(a->dv)},
        {&t->factors, a->dropout_rate > 0.0f ? MB_ATTENTION_FACTORS : 0},
        {&t->mask, a->masks > 0 ? MB_ATTENTION_MASK : 0},
    };
    return mb_attention_cut(parts, sizeof parts / sizeof *parts, memory);
}

static mb_status_t prepare(mb_exec_t *exec, forward_t *f)
{
    const mb_attention_t *a = &f->shape;
    tile_t t;
    f->steps = mb_attention_steps();
    f->rows = mb_attention_tile_rows(a, a->tq, mb_cpu_of(exec)->threads);
    f->by_heads = mb_attention_heads(a) >= LEAST_HEADS * mb_cpu_of(exec)->threads;
    return mb_cpu_workspace(exec, MB_OP_ATTENTION_FORWARD, 0,
                            sizeof(float) * cut_memory(a, NULL, &t), &f->workspace);
}

/* Head by head where threads have several each, so that most of what a thread reads is what it has
 * written. The longest tiles first, which a causal mask leaves to the last queries. */
static void begin_tile(const forward_t *f, int64_t tile, int thread, tile_t *t)
{
    const mb_attention_t *a = &f->shape;
    int64_t heads = mb_attention_heads(a), parts = mb_ceil_div(a->tq, f->rows);
    int64_t head = f->by_heads ? tile / parts : tile % heads;
    int64_t part = parts - 1 - (f->by_heads ? tile % parts : tile / heads);
    mb_attention_take_queries(a, head / a->heads, head % a->heads, mb_span(part, f->rows, a->tq),
                              &t->queries);
    cut_memory(a, mb_workspace_thread(&f->workspace, thread), t);
    for (int r = 0; r < MB_ATTENTION_QUERIES; r++) {
        t->largest[r] = -FLT_MAX;
        t->sum[r] = 0.0f;
    }
}

/* What queries have summed over the keys before. */
MB_MULTIVERSION
static void shrink_rows(float *restrict out, const float *shrink, int64_t rows, int64_t columns)
{
    for (int64_t r = 0; r < rows; r++) {
        float factor = shrink[r];
        if (factor == 1.0f)
            continue;
#pragma omp simd
        for (int64_t c = 0; c < columns; c++)
            out[r * columns + c] *= factor;
    }
}

static void sum_values(const forward_t *f, tile_t *t, const mb_attention_block_t *block,
                       const mb_attention_rows_t *values, bool first)
{
    int64_t dv = f->shape.dv;
    if (!first)
        shrink_rows(t->out, t->shrink, block->queries, mb_attention_padded(dv));
    mb_attention_rows_t padded = mb_attention_pad(values, t->v);
    mb_attention_over_keys(block, t->scores, &padded, t->out, !first);
}

static void forward_block(const forward_t *f, tile_t *t, int64_t number)
{
    const mb_attention_t *a = &f->shape;
    const mb_attention_queries_t *q = &t->queries;
    mb_span_t keys = mb_span(number, MB_ATTENTION_KEYS, q->keys);
    mb_attention_rows_t rows = mb_attention_of_keys(a, q, keys, f->k, a->d);
    mb_attention_rows_t values = mb_attention_of_keys(a, q, keys, f->v, a->dv);
    mb_attention_block_t block = {.steps = f->steps,
                                  .keys = rows.count,
                                  .queries = q->rows.end - q->rows.begin,
                                  .groups = q->groups,
                                  .diagonal = mb_attention_diagonal(a, q, keys.begin)};
    mb_attention_block_step_t step = {.scores = t->scores,
                                      .keys = rows.count,
                                      .groups = q->groups,
                                      .diagonal = block.diagonal,
                                      .largest = t->largest,
                                      .sum = t->sum,
                                      .shrink = t->shrink};
    mb_attention_scores(&block, &rows, t->q, t->scores);
    mb_attention_hide(a, q, keys, t->mask, t->scores);
    f->steps->softmax(&step);
    if (a->dropout_rate > 0.0f) {
        mb_attention_factors(a, q, keys, t->factors);
        mb_attention_drop(q, rows.count, t->factors, t->scores);
    }
    sum_values(f, t, &block, &values, number == 0);
}

MB_MULTIVERSION
static void scale_row(float *restrict to, const float *restrict from, float factor, int64_t count)
{
#pragma omp simd
    for (int64_t c = 0; c < count; c++)
        to[c] = from[c] * factor;
}

static void end_tile(const forward_t *f, const tile_t *t)
{
    const mb_attention_t *a = &f->shape;
    const mb_attention_queries_t *q = &t->queries;
    float *log_sum = f->log_sum + (q->sample * a->heads + q->head) * a->tq;
    int64_t ld = a->heads * a->dv;
    float *out = f->out + (q->sample * a->tq + q->rows.begin) * ld + q->head * a->dv;
    for (int64_t i = q->rows.begin; i < q->rows.end; i++) {
        int64_t r = i - q->rows.begin;
        float inverse = t->sum[r] == 0.0f ? 0.0f : 1.0f / t->sum[r];
        scale_row(out + r * ld, t->out + r * mb_attention_padded(a->dv), inverse, a->dv);
        log_sum[i] = (float)((double)t->largest[r] * LN_2) + logf(t->sum[r]);
        if (q->blind[r])
            log_sum[i] = a->blind == MB_BLIND_NOTHING ? INFINITY : -INFINITY;
    }
}

static void forward_tile(void *context, int64_t tile, int thread)
{
    const forward_t *f = context;
    const mb_attention_t *a = &f->shape;
    tile_t t;
    begin_tile(f, tile, thread, &t);
    const mb_attention_queries_t *q = &t.queries;
    mb_attention_rows_t rows = mb_attention_of_queries(a, q, q->rows, f->q, a->d);
    mb_attention_transpose(&rows, (float)((double)a->scale * LOG2_E), t.q);
    for (int64_t block = 0; block * MB_ATTENTION_KEYS < q->keys; block++)
        forward_block(f, &t, block);
    end_tile(f, &t);
}

mb_status_t mb_cpu_attention_forward(mb_exec_t *exec, const mb_attention_forward_args_t *args)
{
    forward_t f = {
        .shape = {MB_OP_ATTENTION_FORWARD, args->samples, args->heads, args->tq, args->tk, args->d,
                  args->dv, args->scale, args->dropout_rate, args->causal, args->random, args->mask,
                  args->masks, args->blind, mb_cpu_keep_run()},
        .q = args->q,
        .k = args->k,
        .v = args->v,
        .out = args->out,
        .log_sum = args->log_sum,
    };
    MB_TRY(mb_attention_check(&f.shape));
    MB_TRY(prepare(exec, &f));
    if (exec->planning)
        return MB_OK;
    mb_cpu_tiles(exec, mb_attention_heads(&f.shape) * mb_ceil_div(args->tq, f.rows), forward_tile,
                 &f);
    return MB_OK;
}
