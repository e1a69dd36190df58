/* Attention backward within a tile: a block of queries against a block of keys. How tiles are cut
 * is attention_backward.c's. */
#ifndef MB_DEVICE_CPU_ATTENTION_BACKWARD_H
#define MB_DEVICE_CPU_ATTENTION_BACKWARD_H

#include "device/cpu/attention.h"

typedef struct {
    mb_attention_t shape;
    const float *q, *k, *v, *out, *log_sum, *dout;
    float *dq, *dk, *dv;
    const mb_attention_steps_t *steps;
} mb_attention_backward_t;

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
} mb_attention_tile_t;

/* Cuts MEMORY (NULL: of none yet) into the parts of a tile; returns how many floats they take. */
size_t mb_attention_cut_tile(const mb_attention_t *a, float *memory, mb_attention_tile_t *t);

void mb_attention_load_queries(const mb_attention_backward_t *w, int64_t sample, int64_t head,
                               mb_span_t rows, mb_attention_tile_t *t);
void mb_attention_load_keys(const mb_attention_backward_t *w, mb_span_t keys,
                            mb_attention_tile_t *t);

/* What is wanted of the loaded queries and keys. */
void mb_attention_backward_block(const mb_attention_backward_t *w, mb_span_t keys,
                                 mb_attention_tile_t *t);

/* dq of the tile's queries over KEYS, from GRADS, the gradients of their scores. */
void mb_attention_sum_queries(const mb_attention_backward_t *w, mb_span_t keys, const float *grads,
                              mb_attention_tile_t *t);
void mb_attention_write_queries(const mb_attention_backward_t *w, const mb_attention_tile_t *t);

/* dk and dv of keys up to END that no query saw. */
void mb_attention_clear_keys(const mb_attention_backward_t *w, const mb_attention_tile_t *t,
                             int64_t end);

#endif
