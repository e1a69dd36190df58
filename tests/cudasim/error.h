/* What went wrong: the runtime's last error of each host thread, the error that a device keeps, and
 * a line of text for people. */
#ifndef MB_CUDASIM_ERROR_H
#define MB_CUDASIM_ERROR_H

#include <cuda_runtime_api.h>

namespace mb_cudasim
{

/* One line on standard error, kept for mb_cudasim_last_message. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* say(), and gives CODE. */
cudaError_t refuse(cudaError_t code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Remembers CODE for this thread's cudaGetLastError, unless it is success; gives it back. */
cudaError_t set_last_error(cudaError_t code);
cudaError_t peek_last_error();
void clear_last_error();

/* A failed kernel or copy leaves its device unusable until the process ends or cudaDeviceReset. */
cudaError_t device_error(int device);
void set_device_error(int device, cudaError_t code);

} // namespace mb_cudasim

#endif
