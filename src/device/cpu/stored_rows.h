/* The inner step of a product of few rows with a stored matrix: a few rows of codes, decoded as
 * they are read, times as many numbers of up to four rows of A. One set of steps for each
 * instruction set. */
#ifndef MB_DEVICE_CPU_STORED_ROWS_H
#define MB_DEVICE_CPU_STORED_ROWS_H

#include <stdint.h>
#include "base/number.h"

#define MB_STEP_COLUMNS 64 /* columns are taken in groups of so many */
#define MB_STEP_SAMPLES 4
#define MB_STEP_ROWS 32

/* sums[i * ld_sums + c] += sum over r of a[i * lda + r] * code(r, c), in the order of r. The codes
 * stand for themselves, but U4's for code - 8, and E3M4's for values of exponent bias 15. */
typedef struct {
    int samples, rows; /* at least 1 */
    int64_t groups;    /* of MB_STEP_COLUMNS columns */
    const uint8_t *codes;
    int64_t row_bytes, lda, ld_sums;
    const float *a;
    float *sums;
} mb_rows_step_t;

typedef void (*mb_rows_step_fn_t)(const mb_rows_step_t *step);

/* NULL: the processor, or the build, has no such instructions, or no step for NUMBER. */
mb_rows_step_fn_t mb_rows_step_avx512(mb_number_t number);
mb_rows_step_fn_t mb_rows_step_avx2(mb_number_t number);
mb_rows_step_fn_t mb_rows_step_plain(mb_number_t number);

#endif
