/* Rows of exponentials, for softmax and the losses, compiled for several instruction sets, each in
 * a file of its own. A row may be worked on in place. */
#ifndef MB_DEVICE_CPU_SOFTMAX_ROWS_H
#define MB_DEVICE_CPU_SOFTMAX_ROWS_H

#include <stdint.h>

typedef struct {
    float (*largest)(const float *x, int64_t columns);
    /* e[j] = exp(x[j] - largest), e not NULL; returns their sum. */
    double (*exponentials)(const float *x, float largest, float *e, int64_t columns);
    /* The sum alone. */
    double (*sum)(const float *x, float largest, int64_t columns);
    /* dx = dy - exp(y) sum(dy) */
    void (*logarithm_backward)(const float *y, const float *dy, float *dx, int64_t columns);
} mb_softmax_rows_t;

/* NULL: the processor, or the build, has no such instructions. */
const mb_softmax_rows_t *mb_softmax_rows_avx512(void);
const mb_softmax_rows_t *mb_softmax_rows_avx2(void);
const mb_softmax_rows_t *mb_softmax_rows_plain(void);
/* The best for this processor. */
const mb_softmax_rows_t *mb_softmax_rows(void);

#endif
