/* Convolution with weights as they are stored, for the matrices that integers do not do. */
#ifndef MB_DEVICE_CPU_STORED_CONV_H
#define MB_DEVICE_CPU_STORED_CONV_H

#include "device/cpu/stored.h"

/* The rows of the matrix that one column sums: of a kernel, what one output channel sees. */
static inline int64_t mb_window_depth(const mb_window_t *window)
{
    return window->kernel[0] * window->kernel[1] * (window->channels_in / window->groups);
}

mb_status_t mb_cpu_stored_conv_float(mb_exec_t *exec, const mb_stored_conv_args_t *args);

#endif
