/* The steps of attention_step.h over vectors of LANES floats, for the file that defines these:
 *
 *     vector_t, LANES, INLINE, UNROLL     a vector, its length, how functions are made
 *     TILE_ROWS, TILE_VECTORS             sums that fit the registers
 *     v_load v_store v_set v_zero v_add v_sub v_mul v_max v_fma
 *     v_round                             to the nearest whole number
 *     v_scale(p, n, x)                    p 2^n, or 0 where x < LEAST_EXPONENT
 *
 * v_max gives its second argument where one is not a number. */

/* 2^x; what is below the normal numbers becomes 0. The polynomial is 2^r for |r| <= 1/2, fitted by
 * Lawson's iteration to the least largest relative error, 2e-9. */
INLINE vector_t v_exp2(vector_t x)
{
    vector_t n = v_round(x), r = v_sub(x, n);
    vector_t p = v_set(1.535336201e-04f);
    p = v_fma(p, r, v_set(1.339887445e-03f));
    p = v_fma(p, r, v_set(9.618437358e-03f));
    p = v_fma(p, r, v_set(5.550332471e-02f));
    p = v_fma(p, r, v_set(2.402264791e-01f));
    p = v_fma(p, r, v_set(6.931472029e-01f));
    return v_scale(v_fma(p, r, v_set(1.0f)), n, x);
}

INLINE void product_tile(const mb_attention_product_t *p, int rows, int vectors, const float *a,
                         const float *b, float *c)
{
    vector_t sum[TILE_ROWS][TILE_VECTORS];
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int v = 0; v < vectors; v++)
            sum[r][v] = p->accumulate ? v_load(c + r * p->ldc + v * LANES) : v_zero();
    }
    for (int64_t i = 0; i < p->k; i++) {
        vector_t value[TILE_VECTORS];
        UNROLL
        for (int v = 0; v < vectors; v++)
            value[v] = v_load(b + v * LANES);
        UNROLL
        for (int r = 0; r < rows; r++) {
            vector_t factor = v_set(a[r * p->a_row]);
            UNROLL
            for (int v = 0; v < vectors; v++)
                sum[r][v] = v_fma(factor, value[v], sum[r][v]);
        }
        a += p->a_k;
        b += p->ldb;
    }
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int v = 0; v < vectors; v++)
            v_store(c + r * p->ldc + v * LANES, sum[r][v]);
    }
}

#define TILE_CASE(n)                                                                               \
    case n:                                                                                        \
        product_tile(p, n, vectors, a, b, c);                                                      \
        break
INLINE void product_rows(const mb_attention_product_t *p, int64_t rows, int vectors, const float *a,
                         const float *b, float *c)
{
    switch (rows) {
        TILE_CASE(1);
        TILE_CASE(2);
        TILE_CASE(3);
#if TILE_ROWS > 4
        TILE_CASE(4);
        TILE_CASE(5);
#endif
    default:
        product_tile(p, TILE_ROWS, vectors, a, b, c);
    }
}
#undef TILE_CASE

/* Rows in tiles of about the same number. */
INLINE void product_columns(const mb_attention_product_t *p, int vectors, int64_t column)
{
    int64_t tiles = (p->rows + TILE_ROWS - 1) / TILE_ROWS, done = 0;
    for (int64_t tile = 0; tile < tiles; tile++) {
        int64_t rows = (p->rows - done + tiles - tile - 1) / (tiles - tile);
        product_rows(p, rows, vectors, p->a + done * p->a_row, p->b + column,
                     p->c + done * p->ldc + column);
        done += rows;
    }
}

TARGET static void product(const mb_attention_product_t *p)
{
    int64_t column = 0;
    for (; column + TILE_VECTORS * LANES <= p->columns; column += TILE_VECTORS * LANES)
        product_columns(p, TILE_VECTORS, column);
    switch ((p->columns - column) / LANES) {
#if TILE_VECTORS > 2
    case 3:
        product_columns(p, 3, column);
        break;
    case 2:
        product_columns(p, 2, column);
        break;
#endif
    case 1:
        product_columns(p, 1, column);
        break;
    default:
        break;
    }
}

/* Keys of which some query of the vector that begins at COLUMN may see one. */
INLINE int64_t keys_seen(const mb_attention_block_step_t *s, int64_t column)
{
    int64_t seen = column + LANES - s->diagonal;
    return seen < 0 ? 0 : seen < s->keys ? seen : s->keys;
}

INLINE vector_t largest_score(const float *scores, int64_t keys, vector_t largest)
{
    vector_t other = largest;
    int64_t r = 0;
    for (; r + 2 <= keys; r += 2) {
        largest = v_max(largest, v_load(scores + r * MB_ATTENTION_QUERIES));
        other = v_max(other, v_load(scores + (r + 1) * MB_ATTENTION_QUERIES));
    }
    if (r < keys)
        largest = v_max(largest, v_load(scores + r * MB_ATTENTION_QUERIES));
    return v_max(largest, other);
}

INLINE void no_probability(float *column, int64_t from, int64_t keys)
{
    for (int64_t r = from; r < keys; r++)
        v_store(column + r * MB_ATTENTION_QUERIES, v_zero());
}

TARGET static void softmax(const mb_attention_block_step_t *s)
{
    for (int64_t at = 0; at < s->groups * MB_ATTENTION_LANES; at += LANES) {
        int64_t seen = keys_seen(s, at);
        float *scores = s->scores + at;
        vector_t before = v_load(s->largest + at), sum = v_zero();
        vector_t largest = largest_score(scores, seen, before);
        vector_t shrink = v_exp2(v_sub(before, largest));
        for (int64_t r = 0; r < seen; r++) {
            float *score = scores + r * MB_ATTENTION_QUERIES;
            vector_t p = v_exp2(v_sub(v_load(score), largest));
            v_store(score, p);
            sum = v_add(sum, p);
        }
        no_probability(scores, seen, s->keys);
        v_store(s->largest + at, largest);
        v_store(s->shrink + at, shrink);
        v_store(s->sum + at, v_fma(v_load(s->sum + at), shrink, sum));
    }
}

TARGET static void gradient(const mb_attention_block_step_t *s)
{
    for (int64_t at = 0; at < s->groups * MB_ATTENTION_LANES; at += LANES) {
        int64_t seen = keys_seen(s, at);
        vector_t log_sum = v_load(s->log_sum + at), mean = v_load(s->mean + at);
        for (int64_t r = 0; r < seen; r++) {
            float *score = s->scores + at + r * MB_ATTENTION_QUERIES;
            float *grad = s->grads + at + r * MB_ATTENTION_QUERIES;
            vector_t p = v_exp2(v_sub(v_load(score), log_sum));
            v_store(score, p);
            v_store(grad, v_mul(p, v_sub(v_load(grad), mean)));
        }
        no_probability(s->scores + at, seen, s->keys);
        no_probability(s->grads + at, seen, s->keys);
    }
}

static const mb_attention_steps_t steps = {product, softmax, gradient};
