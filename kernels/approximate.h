/* Elementary functions for results that are stored as T: for 16-bit elements the processor's
 * approximations, whose errors (a few 2^-22) their rounding hides, otherwise the accurate ones. */
#ifndef MB_KERNELS_APPROXIMATE_H
#define MB_KERNELS_APPROXIMATE_H

#include "kernel.h"

template <typename T> __device__ inline float mb_exp(float x)
{
    return sizeof(T) == 2 ? __expf(x) : expf(x);
}

template <typename T> __device__ inline float mb_quotient(float a, float b)
{
    return sizeof(T) == 2 ? __fdividef(a, b) : a / b;
}

#endif
