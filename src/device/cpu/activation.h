/* Activation functions for operations that have elements at hand in the cache. */
#ifndef MB_DEVICE_CPU_ACTIVATION_H
#define MB_DEVICE_CPU_ACTIVATION_H

#include "device/cpu/cpu.h"

/* Elements that lie in ROWS runs of COLUMNS, LD apart. */
typedef struct {
    int64_t first, rows, columns, ld;
} mb_cpu_runs_t;

/* Those elements of the operation, float32, by the calling thread; not for LINEAR. An element's
 * bits do not depend on where it stands. */
void mb_cpu_activate(const mb_act_forward_args_t *args, mb_cpu_runs_t runs);

/* The same for elements side by side and any function: y = f(x), in place allowed. */
void mb_cpu_act_run(const mb_function_t *f, const float *x, float *y, int64_t count);
/* d *= f'(x). KEPT: f(x) where mb_act_from_value, else x. */
void mb_cpu_act_run_back(const mb_function_t *f, const float *kept, float *d, int64_t count);

#endif
