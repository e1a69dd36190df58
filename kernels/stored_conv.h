/* The two ways of a convolution with stored weights. */
#ifndef MB_KERNELS_STORED_CONV_H
#define MB_KERNELS_STORED_CONV_H

#include "kernel.h"

/* In whole numbers; arguments have been checked. */
mb_status_t mb_cuda_stored_conv_integer(mb_exec_t *exec, const mb_stored_conv_args_t *args);

#endif
