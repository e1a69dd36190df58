/* What the operations on stored matrices (device/matrix.h) share: decoding a block, and the pieces
 * of a product in whole numbers:
 *
 *     q = round(x / scale) + zero, 0 <= q <= 255       for each row of activations
 *     acc = sum over k of q * code                     exact
 *     c = row scale * column scale * (acc - zero * column sum) + bias
 *
 * None of it gives other bits on another instruction set. */
#ifndef MB_DEVICE_CPU_STORED_H
#define MB_DEVICE_CPU_STORED_H

#include "device/cpu/cpu.h"

/* The product of few rows with any stored matrix but a squared one (stored_rows.c). */
mb_status_t mb_cpu_stored_rows(mb_exec_t *exec, const mb_stored_gemm_args_t *args);

/* OUT[r][c] (leading dimension LD) = mb_matrix_value of the block's elements, bit for bit. */
void mb_stored_decode(const mb_matrix_t *matrix, mb_span_t rows, mb_span_t columns, float *out,
                      int64_t ld);

/* Whether a product with MATRIX may run in whole numbers: I8, one scale for each column or for
 * all, column sums, and so few rows that no sum leaves int32. */
bool mb_stored_is_integer(const mb_matrix_t *matrix);

/* How a row (a sample of a convolution) becomes 8-bit numbers. A row without a number that counts
 * has scale 0; one with a number that is not finite has scale NaN, and so has its result. */
typedef struct {
    float scale;
    int32_t zero;
} mb_row_code_t;

/* FACTORS (NULL: ones): what each x[i] is multiplied by first. */
mb_row_code_t mb_stored_row_code(const float *x, const float *factors, int64_t count);
void mb_stored_row_encode(const float *x, const float *factors, int64_t count, mb_row_code_t code,
                          uint8_t *out);

/* B in the kernel's order, where packed->depth says that it is known here. */
void mb_stored_pack(const mb_dnnl_packed_t *packed, const void *b, void *out);

/* A product whose B is packed into its thread's scratch first. Arguments: a, plain b, c, bias. */
size_t mb_stored_packed_bytes(const mb_dnnl_packed_t *packed);
void mb_stored_packed_run(const mb_dnnl_packed_t *packed, int thread, const void *const *arguments,
                          void *scratch);

/* c[m,n] = a[m,k] b[k,n], exact for any ISA that oneDNN may be held down to. Leading dimensions in
 * elements; the fastest kernels want lda == k and ldc == n. */
typedef struct {
    int64_t m, n, k, lda, ldb, ldc;
} mb_integer_shape_t;

typedef struct {
    mb_integer_shape_t shape;
    mb_dnnl_packed_t packed;         /* in whole numbers */
    mb_dnnl_kernel_t *kernel, *last; /* in floats: of a block of k, of the last one */
    int64_t block_k;                 /* 0: in whole numbers */
    size_t scratch_bytes;            /* for each thread */
} mb_integer_product_t;

/* Looks the kernels up, or makes them while planning. */
mb_status_t mb_stored_integer_prepare(mb_exec_t *exec, const mb_integer_shape_t *shape,
                                      mb_integer_product_t *out);
/* B is packed anew by each run, so m had better be large. */
void mb_stored_integer_run(const mb_integer_product_t *product, int thread, const uint8_t *a,
                           const int8_t *b, int32_t *c, void *scratch);

/* C of ROWS x COLUMNS from the sums of the matrix's columns FIRST and following. Row i was encoded
 * by codes[i * code_step] (code_step 0: all rows by one). bias may be NULL; bias[0] belongs to
 * column FIRST. */
typedef struct {
    const mb_matrix_t *matrix;
    int64_t first, rows, columns, ld_sums, ldc;
    const int32_t *sums;
    const mb_row_code_t *codes;
    int64_t code_step;
    const float *bias;
    float *c;
} mb_integer_scale_t;
void mb_stored_integer_scale(const mb_integer_scale_t *args);

#endif
