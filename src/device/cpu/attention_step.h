/* What attention computes on blocks that stay in cache: a product, and what stands between
 * products. One set of steps for each instruction set.
 *
 * Scores stand transposed, a row for each key and a column for each query, so that the sums over
 * keys of the softmax are sums of vectors. Rows of such a block are MB_ATTENTION_QUERIES wide. */
#ifndef MB_DEVICE_CPU_ATTENTION_STEP_H
#define MB_DEVICE_CPU_ATTENTION_STEP_H

#include <stdbool.h>
#include <stdint.h>

#define MB_ATTENTION_QUERIES 64 /* of a block */
#define MB_ATTENTION_KEYS 64
#define MB_ATTENTION_LANES 16 /* columns are taken in groups of so many */

/* C[rows,columns] = A B (+ C), each element one sum in the order of k, whatever the rows and
 * columns. A's element (r, i) is a[r * a_row + i * a_k]; columns are whole groups of lanes. */
typedef struct {
    int64_t rows, columns, k;
    const float *a;
    int64_t a_row, a_k;
    const float *b;
    int64_t ldb;
    float *c;
    int64_t ldc;
    bool accumulate;
} mb_attention_product_t;

/* Key r of a block is hidden from its first r + diagonal queries: by a block's lanes where all of
 * one are, which the steps set to probability 0 without looking; others hold -infinity.
 *
 * Softmax: scores (logarithms to base 2) become 2^(score - largest), with the largest score so far
 * of each query and the sum so far; what was summed before counts `shrink` times.
 *
 * Gradient: scores become probabilities p = 2^(score - log_sum), grads become p (grad - mean). */
typedef struct {
    float *scores, *grads;
    int64_t keys, groups; /* of lanes */
    int64_t diagonal;
    float *largest, *sum, *shrink;
    const float *log_sum, *mean;
} mb_attention_block_step_t;

typedef struct {
    void (*product)(const mb_attention_product_t *p);
    void (*softmax)(const mb_attention_block_step_t *s);
    void (*gradient)(const mb_attention_block_step_t *s);
} mb_attention_steps_t;

/* NULL: the processor, the build, or oneDNN's limit on instruction sets has no such instructions.
 */
const mb_attention_steps_t *mb_attention_steps_avx512(void);
const mb_attention_steps_t *mb_attention_steps_avx2(void);
const mb_attention_steps_t *mb_attention_steps_plain(void);

#endif
