/* What every call of the runtime does first and last: one at a time in the process, refused while
 * the current device has failed, its error remembered. */
#ifndef MB_CUDASIM_CALL_H
#define MB_CUDASIM_CALL_H

#include "cudasim/error.h"
#include "cudasim/failing.h"
#include "cudasim/settings.h"

#include <mutex>

#define CUDASIM_TRY(call)                                                                          \
    do {                                                                                           \
        cudaError_t cudasim_code = (call);                                                         \
        if (cudasim_code != cudaSuccess)                                                           \
            return cudasim_code;                                                                   \
    } while (0)

namespace mb_cudasim
{

/* Held by the call that runs now, and by what it pumps. */
std::mutex &call_lock();
/* Within a host function on a stream, where CUDA's calls are forbidden. */
bool &in_host_function();
/* Of this thread. */
int current_device();
void set_current_device(int device);
/* Before each call. */
void call_prepare();
/* Threads of the host that have made a call and have not ended. */
int calling_threads();

/* FUNCTION is the caller's name, unless another one is given. */
template <typename F> cudaError_t host_call(F body, const char *function = __builtin_FUNCTION())
{
    call_prepare();
    if (in_host_function())
        return set_last_error(
            refuse(cudaErrorNotPermitted, "a host function on a stream makes a CUDA call"));
    if (get_settings().devices == 0)
        return set_last_error(cudaErrorNoDevice);
    std::lock_guard<std::mutex> hold(call_lock());
    cudaError_t failed = device_error(current_device());
    if (failed != cudaSuccess)
        return set_last_error(failed);
    if (must_fail(function))
        return set_last_error(injected_error(function));
    return set_last_error(body());
}

} // namespace mb_cudasim

#endif
