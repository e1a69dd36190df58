/* What every NCCL call does first and last, and its way to refuse. */
#ifndef MB_CUDASIM_NCCL_ERROR_H
#define MB_CUDASIM_NCCL_ERROR_H

#include "cudasim/call.h"

#include <nccl.h>

#define NCCL_TRY(call)                                                                             \
    do {                                                                                           \
        ncclResult_t nccl_code = (call);                                                           \
        if (nccl_code != ncclSuccess)                                                              \
            return nccl_code;                                                                      \
    } while (0)

namespace mb_cudasim
{

/* say(), kept for ncclGetLastError too, and gives CODE. */
ncclResult_t nccl_refuse(ncclResult_t code, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* ncclSystemError if MB_CUDASIM_FAIL wants this call of FUNCTION to fail. */
ncclResult_t nccl_injected(const char *function);
/* The group of calls that this thread is in, if it is in one, will give CODE and do nothing. */
void group_spoil(ncclResult_t code);

/* Of calls that fail in their own way. */
template <typename F> ncclResult_t nccl_locked(F body)
{
    call_prepare();
    if (in_host_function())
        return nccl_refuse(ncclInvalidUsage, "a host function on a stream makes an NCCL call");
    if (get_settings().devices == 0)
        return nccl_refuse(ncclUnhandledCudaError, "NCCL without a device (MB_CUDASIM_DEVICES)");
    std::lock_guard<std::mutex> hold(call_lock());
    return body();
}

template <typename F> ncclResult_t nccl_call(F body, const char *function = __builtin_FUNCTION())
{
    return nccl_locked([&] {
        ncclResult_t injected = nccl_injected(function);
        if (injected == ncclSuccess)
            return body();
        group_spoil(injected);
        return injected;
    });
}

} // namespace mb_cudasim

#endif
