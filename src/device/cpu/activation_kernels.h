/* Activation functions compiled for several instruction sets, each in a file of its own. */
#ifndef MB_DEVICE_CPU_ACTIVATION_KERNELS_H
#define MB_DEVICE_CPU_ACTIVATION_KERNELS_H

#include "device/cpu/activation.h"

typedef struct {
    float p0, p1, p2;
} mb_activation_parameters_t;

typedef struct {
    void (*forward)(const float *x, float *y, const mb_cpu_runs_t *runs,
                    const mb_activation_parameters_t *p);
    void (*backward)(const float *value, const float *dy, float *dx, int64_t count,
                     const mb_activation_parameters_t *p);
} mb_activation_kernels_t;

/* One for each function; NULL: the processor, or the build, has no such instructions. Those that
 * have fused sums give the same bits. */
const mb_activation_kernels_t *mb_activation_kernels_avx512(void);
const mb_activation_kernels_t *mb_activation_kernels_avx2(void);
const mb_activation_kernels_t *mb_activation_kernels_plain(void);

#endif
