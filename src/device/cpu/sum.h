/* The sum of a tile, for what adds tiles up. */
#ifndef MB_DEVICE_CPU_SUM_H
#define MB_DEVICE_CPU_SUM_H

#include "device/cpu/cpu.h"

/* Of squares, or of magnitudes, in double. */
double mb_cpu_sum_of(const float *x, int64_t count, bool absolute);

#endif
