/* Sums and products of short runs of floats, by the calling thread. */
#ifndef MB_DEVICE_CPU_VECTORS_H
#define MB_DEVICE_CPU_VECTORS_H

#include <stdint.h>

/* y += x */
void mb_vector_add(float *y, const float *x, int64_t n);
/* y = a b, in place allowed */
void mb_vector_multiply(const float *a, const float *b, float *y, int64_t n);
/* y += a b */
void mb_vector_add_product(float *y, const float *a, const float *b, int64_t n);

#endif
