/* What the CUDA floor shares: the device, its streams, workspace and errors. Host code in C; the
 * kernels (kernels/) include it too. */
#ifndef MB_DEVICE_CUDA_CUDA_H
#define MB_DEVICE_CUDA_CUDA_H

#include <cuda_runtime_api.h>

#ifdef __cplusplus
extern "C" {
#endif

#include "device/device.h"

/* The stream that EXEC's operations go to. */
cudaStream_t mb_cuda_stream(const mb_exec_t *exec);

/* *out: BYTES of the stream's workspace, aligned to 256 bytes. While planning raises the need and
 * gives NULL; otherwise checks that planning saw it. One call an operation. */
mb_status_t mb_cuda_workspace(mb_exec_t *exec, mb_op_t op, size_t bytes, void **out);

/* Right behind a launch: its error, as a status that names the operation. */
mb_status_t mb_cuda_launched(mb_op_t op);

/* What a call of the runtime said while doing WHAT. */
mb_status_t mb_cuda_check(cudaError_t code, const char *what);

/* An argument that no caller of the floors above may give, or a shape that has no kernel. */
mb_status_t mb_cuda_refuse(mb_op_t op, const char *what);

#define MB_CUDA_DECLARE(NAME, name)                                                                \
    mb_status_t mb_cuda_##name(mb_exec_t *exec, const mb_##name##_args_t *args);
MB_OP_LIST(MB_CUDA_DECLARE)
#undef MB_CUDA_DECLARE

#ifdef __cplusplus
}
#endif

#endif
