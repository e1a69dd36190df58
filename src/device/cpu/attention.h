/* What attention's forward and backward share. A block is MB_ATTENTION_QUERIES queries of one head
 * against MB_ATTENTION_KEYS keys; its scores stand in the thread's workspace, transposed
 * (attention_step.h), and nothing there grows with the number of queries or keys. */
#ifndef MB_DEVICE_CPU_ATTENTION_H
#define MB_DEVICE_CPU_ATTENTION_H

#include "device/cpu/attention_step.h"
#include "device/cpu/cpu.h"
#include "device/cpu/random.h"

typedef struct {
    mb_op_t op;
    int64_t samples, heads, tq, tk, d, dv;
    float scale, dropout_rate;
    bool causal;
    mb_random_key_t random;
    const float *mask; /* NULL while planning, and without one */
    int64_t masks;
    mb_blind_t blind;
    mb_keep_run_t keep;
} mb_attention_t;

/* Sizes that have no meaning are refused. */
mb_status_t mb_attention_check(const mb_attention_t *a);

/* The steps for this processor. */
const mb_attention_steps_t *mb_attention_steps(void);

static inline int64_t mb_attention_heads(const mb_attention_t *a)
{
    return a->samples * a->heads;
}

static inline int64_t mb_attention_query_blocks(const mb_attention_t *a)
{
    return mb_ceil_div(a->tq, MB_ATTENTION_QUERIES);
}

static inline int64_t mb_attention_key_blocks(const mb_attention_t *a)
{
    return mb_ceil_div(a->tk, MB_ATTENTION_KEYS);
}

/* A row of an operand of the steps: whole groups of lanes. */
static inline int64_t mb_attention_padded(int64_t columns)
{
    return mb_ceil_div(columns, MB_ATTENTION_LANES) * MB_ATTENTION_LANES;
}

/* Parts of a tile's memory, one behind the other: their places go where `part` says, unless MEMORY
 * is NULL. Returns how many floats they take. */
typedef struct {
    float **part;
    int64_t floats;
} mb_attention_part_t;
size_t mb_attention_cut(const mb_attention_part_t *parts, size_t n, float *memory);

/* Queries of a head that are at work. */
typedef struct {
    int64_t sample, head;
    mb_span_t rows;
    int64_t groups; /* of lanes */
    int64_t keys;   /* leading ones among which are all that some of them have probabilities for */
    bool has_blind, blind[MB_ATTENTION_QUERIES];
} mb_attention_queries_t;
void mb_attention_take_queries(const mb_attention_t *a, int64_t sample, int64_t head,
                               mb_span_t rows, mb_attention_queries_t *out);

/* How many rows, of all the ROWS of a head, a tile takes: a block's, or half of them where tiles
 * would be few for the threads. */
int64_t mb_attention_tile_rows(const mb_attention_t *a, int64_t rows, int threads);

/* How many queries of the block come before its first key, under a causal mask that holds for all
 * of them: key r is hidden from the first r + diagonal. -MB_ATTENTION_KEYS: from none. */
int64_t mb_attention_diagonal(const mb_attention_t *a, const mb_attention_queries_t *q,
                              int64_t first_key);

/* Scores that a query does not see become -infinity, where the steps do not do it themselves. ROOM,
 * of MB_ATTENTION_MASK floats, is for a block of the mask. */
void mb_attention_hide(const mb_attention_t *a, const mb_attention_queries_t *q, mb_span_t keys,
                       float *room, float *scores);
#define MB_ATTENTION_MASK (MB_ATTENTION_KEYS * MB_ATTENTION_QUERIES)

/* VALUES[keys, queries] times the factors of dropout; FACTORS has room for some rows more. */
void mb_attention_drop(const mb_attention_queries_t *q, int64_t keys, const float *factors,
                       float *values);
void mb_attention_factors(const mb_attention_t *a, const mb_attention_queries_t *q, mb_span_t keys,
                          float *factors);
#define MB_ATTENTION_FACTORS ((MB_ATTENTION_KEYS + MB_ATTENTION_LANES) * MB_ATTENTION_QUERIES)

/* Rows of a head, as they stand between those of other heads. */
typedef struct {
    const float *at;
    int64_t count, columns, ld;
} mb_attention_rows_t;

static inline mb_attention_rows_t mb_attention_rows(const float *all, int64_t row, int64_t count,
                                                    const mb_attention_t *a, int64_t head,
                                                    int64_t columns)
{
    int64_t ld = a->heads * columns;
    return (mb_attention_rows_t){all + row * ld + head * columns, count, columns, ld};
}

/* Of an array of queries or outputs, and of one of keys or values. */
static inline mb_attention_rows_t mb_attention_of_queries(const mb_attention_t *a,
                                                          const mb_attention_queries_t *q,
                                                          mb_span_t rows, const float *all,
                                                          int64_t columns)
{
    return mb_attention_rows(all, q->sample * a->tq + rows.begin, rows.end - rows.begin, a, q->head,
                             columns);
}

static inline mb_attention_rows_t mb_attention_of_keys(const mb_attention_t *a,
                                                       const mb_attention_queries_t *q,
                                                       mb_span_t rows, const float *all,
                                                       int64_t columns)
{
    return mb_attention_rows(all, q->sample * a->tk + rows.begin, rows.end - rows.begin, a, q->head,
                             columns);
}

/* Turned into columns of a block of queries and multiplied; lanes that no row has are zero. */
void mb_attention_transpose(const mb_attention_rows_t *rows, float factor, float *out);
/* Themselves where they are whole groups of lanes; else copied side by side, padded with zeros. */
mb_attention_rows_t mb_attention_pad(const mb_attention_rows_t *rows, float *room);
/* The room that takes. */
static inline int64_t mb_attention_pad_floats(int64_t rows, int64_t columns)
{
    int64_t padded = mb_attention_padded(columns);
    return padded == columns ? 0 : rows * padded;
}

typedef struct {
    const mb_attention_steps_t *steps;
    int64_t keys, queries, groups, diagonal;
} mb_attention_block_t;

/* Products without what the diagonal leaves out, B padded. Scores: C[keys, queries] = A B, A's rows
 * being keys. Over keys: C[queries, columns], A[keys, queries]. Over queries: C[keys, columns]. */
void mb_attention_scores(const mb_attention_block_t *block, const mb_attention_rows_t *a,
                         const float *b, float *c);
void mb_attention_over_keys(const mb_attention_block_t *block, const float *a,
                            const mb_attention_rows_t *b, float *c, bool accumulate);
void mb_attention_over_queries(const mb_attention_block_t *block, const float *a,
                               const mb_attention_rows_t *b, float *c);

#endif
