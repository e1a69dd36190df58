/* NCCL's version, its results in words, and the last message. */
#include "cudasim/nccl_error.h"

#include <stdarg.h>
#include <stdio.h>

namespace mb_cudasim
{

namespace
{

char last_text[512];

/* By the number of the result. */
const char *const TEXTS[ncclNumResults] = {
    "no error",
    "unhandled cuda error",
    "unhandled system error",
    "internal error",
    "invalid argument",
    "invalid usage",
    "remote process exited or there was a network error",
    "NCCL operation in progress",
};

} // namespace

ncclResult_t nccl_refuse(ncclResult_t code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(last_text, sizeof last_text, format, arguments);
    va_end(arguments);
    say("%s", last_text);
    return code;
}

ncclResult_t nccl_injected(const char *function)
{
    if (!must_fail(function))
        return ncclSuccess;
    return nccl_refuse(ncclSystemError, "%s: unhandled system error", function);
}

} // namespace mb_cudasim

using namespace mb_cudasim;

ncclResult_t ncclGetVersion(int *version)
{
    *version = NCCL_VERSION_CODE;
    return ncclSuccess;
}

const char *ncclGetErrorString(ncclResult_t result)
{
    bool known = result >= ncclSuccess && result < ncclNumResults;
    return known ? TEXTS[result] : "unknown result code";
}

/* Of the process, as NCCL's is, whichever communicator is asked. */
const char *ncclGetLastError(ncclComm_t)
{
    return last_text;
}
