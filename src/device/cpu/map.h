/* The functions of a MAP over rows of elements that lie side by side. */
#ifndef MB_DEVICE_CPU_MAP_H
#define MB_DEVICE_CPU_MAP_H

#include "device/ops.h"

/* y[i] = f(a[i], b[i], c[i]); inputs that f does not take are not read. y may be an input. */
typedef void (*mb_cpu_map_fn_t)(const float *a, const float *b, const float *c, float *y,
                                int64_t count);
mb_cpu_map_fn_t mb_cpu_map_function(mb_map_t function);

#endif
