/* The products of a block, a tile of rows at a time. Where a causal mask cuts the block, a tile
 * leaves out what none of its rows sees; probabilities of what only some see are zero. */
#include "device/cpu/attention.h"

#define ROWS 6 /* of a tile */

void mb_attention_scores(const mb_attention_block_t *s, const mb_attention_rows_t *a,
                         const float *b, float *c)
{
    for (int64_t j = 0; j < s->keys; j += ROWS) {
        int64_t hidden = mb_max_i64(0, j + s->diagonal) / MB_ATTENTION_LANES * MB_ATTENTION_LANES;
        mb_attention_product_t p = {.rows = mb_min_i64(ROWS, s->keys - j),
                                    .columns = s->groups * MB_ATTENTION_LANES - hidden,
                                    .k = a->columns,
                                    .a = a->at + j * a->ld,
                                    .a_row = a->ld,
                                    .a_k = 1,
                                    .b = b + hidden,
                                    .ldb = MB_ATTENTION_QUERIES,
                                    .c = c + j * MB_ATTENTION_QUERIES + hidden,
                                    .ldc = MB_ATTENTION_QUERIES};
        if (p.columns > 0)
            s->steps->product(&p);
    }
}

void mb_attention_over_keys(const mb_attention_block_t *s, const float *a,
                            const mb_attention_rows_t *b, float *c, bool accumulate)
{
    for (int64_t i = 0; i < s->queries; i += ROWS) {
        int64_t end = mb_min_i64(i + ROWS, s->queries);
        mb_attention_product_t p = {.rows = end - i,
                                    .columns = b->columns,
                                    .k = mb_max_i64(0, mb_min_i64(s->keys, end - s->diagonal)),
                                    .a = a + i,
                                    .a_row = 1,
                                    .a_k = MB_ATTENTION_QUERIES,
                                    .b = b->at,
                                    .ldb = b->ld,
                                    .c = c + i * b->columns,
                                    .ldc = b->columns,
                                    .accumulate = accumulate};
        s->steps->product(&p);
    }
}

void mb_attention_over_queries(const mb_attention_block_t *s, const float *a,
                               const mb_attention_rows_t *b, float *c)
{
    for (int64_t j = 0; j < s->keys; j += ROWS) {
        int64_t first = mb_min_i64(s->queries, mb_max_i64(0, j + s->diagonal));
        mb_attention_product_t p = {.rows = mb_min_i64(ROWS, s->keys - j),
                                    .columns = b->columns,
                                    .k = s->queries - first,
                                    .a = a + j * MB_ATTENTION_QUERIES + first,
                                    .a_row = MB_ATTENTION_QUERIES,
                                    .a_k = 1,
                                    .b = b->at + first * b->ld,
                                    .ldb = b->ld,
                                    .c = c + j * b->columns,
                                    .ldc = b->columns};
        s->steps->product(&p);
    }
}
