/* The part of attention that forward and backward share: which queries see which keys. */
#include "device/cpu/attention.h"
#include <math.h>
#include "device/cpu/simd.h"

/* Of whole blocks for a thread, since a causal mask makes tiles of unequal length. */
#define LEAST_TILES 4

mb_status_t mb_attention_check(const mb_attention_t *a)
{
    MB_CPU_CHECK(a->op, a->samples >= 0 && a->heads >= 1 && a->tq >= 1 && a->tk >= 1,
                 "no heads, queries or keys");
    MB_CPU_CHECK(a->op, a->d >= 1 && a->dv >= 1, "heads without width");
    MB_CPU_CHECK(a->op, a->masks == 0 || a->masks == 1 || a->masks == a->heads,
                 "masks for some of the heads");
    MB_CPU_CHECK(a->op, a->dropout_rate >= 0.0f && a->dropout_rate < 1.0f,
                 "a dropout rate outside 0 to 1");
    MB_CPU_CHECK(a->op, a->dropout_rate == 0.0f || a->heads * a->tq * a->tk <= INT64_C(1) << 32,
                 "more than 2^32 probabilities a sample, which have no numbers of their own");
    return MB_OK;
}

const mb_attention_steps_t *mb_attention_steps(void)
{
    const mb_attention_steps_t *steps = mb_attention_steps_avx512();
    if (steps == NULL)
        steps = mb_attention_steps_avx2();
    return steps != NULL ? steps : mb_attention_steps_plain();
}

static const float *mask_row(const mb_attention_t *a, const mb_attention_queries_t *q, int64_t i)
{
    int64_t head = a->masks > 1 ? q->head : 0;
    return a->mask + ((q->sample * a->masks + head) * a->tq + i) * a->tk;
}

/* Keys before the end of those that query i sees by its place alone. */
static int64_t keys_of(const mb_attention_t *a, int64_t i)
{
    return a->causal ? mb_min_i64(i + 1, a->tk) : a->tk;
}

static bool is_blind(const float *mask, int64_t keys)
{
    for (int64_t j = 0; j < keys; j++) {
        if (mask[j] != 0.0f)
            return false;
    }
    return true;
}

int64_t mb_attention_tile_rows(const mb_attention_t *a, int64_t rows, int threads)
{
    int64_t whole = mb_attention_heads(a) * mb_ceil_div(rows, MB_ATTENTION_QUERIES);
    bool few = threads > 1 && whole < LEAST_TILES * threads;
    return few ? MB_ATTENTION_QUERIES / 2 : MB_ATTENTION_QUERIES;
}

void mb_attention_take_queries(const mb_attention_t *a, int64_t sample, int64_t head,
                               mb_span_t rows, mb_attention_queries_t *out)
{
    *out = (mb_attention_queries_t){.sample = sample, .head = head, .rows = rows};
    int64_t count = out->rows.end - out->rows.begin;
    out->groups = mb_ceil_div(count, MB_ATTENTION_LANES);
    out->keys = keys_of(a, out->rows.end - 1);
    for (int64_t r = 0; r < count && a->masks > 0; r++) {
        int64_t i = out->rows.begin + r;
        out->blind[r] = is_blind(mask_row(a, out, i), keys_of(a, i));
        out->has_blind = out->has_blind || out->blind[r];
    }
    if (out->has_blind && a->blind != MB_BLIND_NOTHING)
        out->keys = a->tk;
}

int64_t mb_attention_diagonal(const mb_attention_t *a, const mb_attention_queries_t *q,
                              int64_t first_key)
{
    if (!a->causal || q->has_blind)
        return -MB_ATTENTION_KEYS;
    return mb_max_i64(first_key - q->rows.begin, -MB_ATTENTION_KEYS);
}

MB_MULTIVERSION
static void choose(float *restrict scores, const float *restrict mask, int64_t keys,
                   int64_t queries)
{
    for (int64_t j = 0; j < keys; j++) {
        float *restrict score = scores + j * MB_ATTENTION_QUERIES;
        const float *restrict seen = mask + j * MB_ATTENTION_QUERIES;
#pragma omp simd
        for (int64_t r = 0; r < queries; r++)
            score[r] = seen[r] != 0.0f ? score[r] : -INFINITY;
    }
}

static void hide_masked(const mb_attention_t *a, const mb_attention_queries_t *q, mb_span_t keys,
                        float *room, float *scores)
{
    int64_t queries = q->rows.end - q->rows.begin, n = keys.end - keys.begin;
    mb_attention_rows_t rows = {mask_row(a, q, q->rows.begin) + keys.begin, queries, n, a->tk};
    mb_attention_transpose(&rows, 1.0f, room);
    choose(scores, room, n, queries);
}

/* Queries before their keys, from the first of the group of lanes on that the steps look at. */
static void hide_later(int64_t diagonal, int64_t keys, int64_t lanes, bool all, float *scores)
{
    for (int64_t j = mb_max_i64(0, 1 - diagonal); j < keys; j++) {
        int64_t hidden = mb_min_i64(j + diagonal, lanes);
        int64_t first = all ? 0 : hidden / MB_ATTENTION_LANES * MB_ATTENTION_LANES;
        for (int64_t r = first; r < hidden; r++)
            scores[j * MB_ATTENTION_QUERIES + r] = -INFINITY;
    }
}

/* Scores of a blind query are all alike. */
static void level_blind(const mb_attention_t *a, const mb_attention_queries_t *q, int64_t keys,
                        float *scores)
{
    float alike = a->blind == MB_BLIND_NOTHING ? -INFINITY : 0.0f;
    for (int64_t r = 0; r < q->rows.end - q->rows.begin; r++) {
        for (int64_t j = 0; j < keys && q->blind[r]; j++)
            scores[j * MB_ATTENTION_QUERIES + r] = alike;
    }
}

void mb_attention_hide(const mb_attention_t *a, const mb_attention_queries_t *q, mb_span_t keys,
                       float *room, float *scores)
{
    int64_t n = keys.end - keys.begin;
    if (a->masks > 0)
        hide_masked(a, q, keys, room, scores);
    if (a->causal)
        hide_later(keys.begin - q->rows.begin, n, q->groups * MB_ATTENTION_LANES, q->has_blind,
                   scores);
    if (q->has_blind)
        level_blind(a, q, n, scores);
}

/* A few queries at a time, so that their rows are in the nearest cache when they are transposed. */
void mb_attention_factors(const mb_attention_t *a, const mb_attention_queries_t *q, mb_span_t keys,
                          float *factors)
{
    float *room = factors + MB_ATTENTION_KEYS * MB_ATTENTION_QUERIES;
    int64_t count = keys.end - keys.begin, queries = q->rows.end - q->rows.begin;
    float scale = 1.0f / (1.0f - a->dropout_rate);
    for (int64_t first = 0; first < queries; first += MB_ATTENTION_LANES) {
        mb_attention_rows_t rows = {room, mb_min_i64(MB_ATTENTION_LANES, queries - first), count,
                                    MB_ATTENTION_KEYS};
        int64_t i = q->head * a->tq + q->rows.begin + first;
        for (int64_t r = 0; r < rows.count; r++)
            mb_cpu_keep_factors(a->keep, &a->random, (uint32_t)q->sample,
                                (i + r) * a->tk + keys.begin, count, a->dropout_rate, scale,
                                room + r * rows.ld);
        mb_attention_transpose(&rows, 1.0f, factors + first);
    }
}

MB_MULTIVERSION
void mb_attention_drop(const mb_attention_queries_t *q, int64_t keys, const float *restrict factors,
                       float *restrict values)
{
    for (int64_t j = 0; j < keys; j++) {
        const float *restrict factor = factors + j * MB_ATTENTION_QUERIES;
        float *restrict value = values + j * MB_ATTENTION_QUERIES;
#pragma omp simd
        for (int64_t r = 0; r < q->rows.end - q->rows.begin; r++)
            value[r] *= factor[r];
    }
}
