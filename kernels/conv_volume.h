/* Convolutions of volumes (conv_volume.cu), as the three operations call them. */
#ifndef MB_KERNELS_CONV_VOLUME_H
#define MB_KERNELS_CONV_VOLUME_H

#include "kernel.h"

mb_status_t mb_cuda_volume_forward(mb_exec_t *exec, const mb_conv_forward_args_t *args);
mb_status_t mb_cuda_volume_backward_input(mb_exec_t *exec,
                                          const mb_conv_backward_input_args_t *args);
mb_status_t mb_cuda_volume_backward_weights(mb_exec_t *exec,
                                            const mb_conv_backward_weights_args_t *args);

#endif
