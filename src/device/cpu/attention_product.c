/* The products of a block. Where a causal mask cuts it, tiles of rows leave out what none of their
 * rows sees; probabilities of what some do not see are zero. */
#include "device/cpu/attention.h"

#define ROWS 6 /* of a tile at the diagonal */

static bool is_cut(const mb_attention_shape_t *s)
{
    return s->keys - 1 + s->diagonal > 0;
}

void mb_attention_scores(const mb_attention_shape_t *s, const float *a, int64_t lda, int64_t depth,
                         const float *b, float *c)
{
    int64_t rows = is_cut(s) ? ROWS : s->keys;
    for (int64_t j = 0; j < s->keys; j += rows) {
        int64_t hidden = mb_max_i64(0, j + s->diagonal) / MB_ATTENTION_LANES * MB_ATTENTION_LANES;
        mb_attention_product_t p = {.rows = mb_min_i64(rows, s->keys - j),
                                    .columns = s->groups * MB_ATTENTION_LANES - hidden,
                                    .k = depth,
                                    .a = a + j * lda,
                                    .a_row = lda,
                                    .a_k = 1,
                                    .b = b + hidden,
                                    .ldb = MB_ATTENTION_QUERIES,
                                    .c = c + j * MB_ATTENTION_QUERIES + hidden,
                                    .ldc = MB_ATTENTION_QUERIES};
        if (p.columns > 0)
            s->steps->product(&p);
    }
}

void mb_attention_over_keys(const mb_attention_shape_t *s, const float *a, const float *b,
                            int64_t ldb, int64_t columns, float *c, bool accumulate)
{
    int64_t rows = is_cut(s) ? ROWS : s->queries, padded = mb_attention_padded(columns);
    for (int64_t i = 0; i < s->queries; i += rows) {
        int64_t end = mb_min_i64(i + rows, s->queries);
        mb_attention_product_t p = {.rows = end - i,
                                    .columns = padded,
                                    .k = mb_max_i64(0, mb_min_i64(s->keys, end - s->diagonal)),
                                    .a = a + i,
                                    .a_row = 1,
                                    .a_k = MB_ATTENTION_QUERIES,
                                    .b = b,
                                    .ldb = ldb,
                                    .c = c + i * padded,
                                    .ldc = padded,
                                    .accumulate = accumulate};
        s->steps->product(&p);
    }
}

void mb_attention_over_queries(const mb_attention_shape_t *s, const float *a, const float *b,
                               int64_t columns, float *c)
{
    int64_t rows = is_cut(s) ? ROWS : s->keys, padded = mb_attention_padded(columns);
    for (int64_t j = 0; j < s->keys; j += rows) {
        int64_t first = mb_min_i64(s->queries, mb_max_i64(0, j + s->diagonal));
        mb_attention_product_t p = {.rows = mb_min_i64(rows, s->keys - j),
                                    .columns = padded,
                                    .k = s->queries - first,
                                    .a = a + j * MB_ATTENTION_QUERIES + first,
                                    .a_row = MB_ATTENTION_QUERIES,
                                    .a_k = 1,
                                    .b = b + first * padded,
                                    .ldb = padded,
                                    .c = c + j * padded,
                                    .ldc = padded};
        s->steps->product(&p);
    }
}
