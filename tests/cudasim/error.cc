/* Keeps errors; see error.h. Names and texts of codes are here too: of those that can occur. */
#include "cudasim/error.h"

#include "cudasim/cudasim.h"
#include "cudasim/settings.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

namespace mb_cudasim
{

namespace
{

thread_local cudaError_t last_error = cudaSuccess;
cudaError_t device_errors[MAX_DEVICES];
char last_message[1024];

/* write(), because the handler of faults comes here too. */
void say_list(const char *format, va_list arguments)
{
    char line[sizeof last_message + 16] = "cudasim: ";
    size_t used = strlen(line);
    vsnprintf(line + used, sizeof last_message, format, arguments);
    memcpy(last_message, line + used, sizeof last_message);
    used = strlen(line);
    line[used] = '\n';
    if (write(STDERR_FILENO, line, used + 1) < 0)
        return;
}

struct code_text {
    cudaError_t code;
    const char *name, *text;
};

const code_text CODES[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration",
     "invalid configuration argument"},
    {cudaErrorInvalidPitchValue, "cudaErrorInvalidPitchValue", "invalid pitch argument"},
    {cudaErrorInvalidMemcpyDirection, "cudaErrorInvalidMemcpyDirection",
     "invalid copy direction for memcpy"},
    {cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver",
     "CUDA driver version is insufficient for CUDA runtime version"},
    {cudaErrorInvalidDeviceFunction, "cudaErrorInvalidDeviceFunction", "invalid device function"},
    {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
    {cudaErrorIllegalState, "cudaErrorIllegalState",
     "the operation cannot be performed in the present state"},
    {cudaErrorNotReady, "cudaErrorNotReady", "device not ready"},
    {cudaErrorIllegalAddress, "cudaErrorIllegalAddress",
     "an illegal memory access was encountered"},
    {cudaErrorLaunchFailure, "cudaErrorLaunchFailure", "unspecified launch failure"},
    {cudaErrorHostMemoryAlreadyRegistered, "cudaErrorHostMemoryAlreadyRegistered",
     "part or all of the requested memory range is already mapped"},
    {cudaErrorHostMemoryNotRegistered, "cudaErrorHostMemoryNotRegistered",
     "pointer does not correspond to a registered memory region"},
    {cudaErrorNotPermitted, "cudaErrorNotPermitted", "operation not permitted"},
    {cudaErrorNotSupported, "cudaErrorNotSupported", "operation not supported"},
    {cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported",
     "operation not permitted when stream is capturing"},
    {cudaErrorStreamCaptureInvalidated, "cudaErrorStreamCaptureInvalidated",
     "operation failed due to a previous error during capture"},
    {cudaErrorStreamCaptureUnmatched, "cudaErrorStreamCaptureUnmatched",
     "capture was not ended in the same stream as it began"},
    {cudaErrorStreamCaptureUnjoined, "cudaErrorStreamCaptureUnjoined",
     "capturing stream has unjoined work"},
    {cudaErrorStreamCaptureIsolation, "cudaErrorStreamCaptureIsolation",
     "dependency created on uncaptured work in another stream"},
    {cudaErrorCapturedEvent, "cudaErrorCapturedEvent",
     "operation not permitted on an event last recorded in a capturing stream"},
    {cudaErrorStreamCaptureWrongThread, "cudaErrorStreamCaptureWrongThread",
     "attempt to terminate a thread-local capture sequence from another thread"},
    {cudaErrorUnknown, "cudaErrorUnknown", "unknown error"},
};

const code_text *find(cudaError_t code)
{
    for (const code_text &c : CODES)
        if (c.code == code)
            return &c;
    return nullptr;
}

} // namespace

void say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say_list(format, arguments);
    va_end(arguments);
}

cudaError_t refuse(cudaError_t code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say_list(format, arguments);
    va_end(arguments);
    return code;
}

cudaError_t set_last_error(cudaError_t code)
{
    if (code != cudaSuccess)
        last_error = code;
    return code;
}

cudaError_t peek_last_error()
{
    return last_error;
}

void clear_last_error()
{
    last_error = cudaSuccess;
}

cudaError_t device_error(int device)
{
    return device_errors[device];
}

void set_device_error(int device, cudaError_t code)
{
    device_errors[device] = code;
}

} // namespace mb_cudasim

const char *mb_cudasim_last_message(void)
{
    return mb_cudasim::last_message;
}

const char *cudaGetErrorName(cudaError_t code)
{
    const mb_cudasim::code_text *known = mb_cudasim::find(code);
    return known ? known->name : "unrecognized error code";
}

const char *cudaGetErrorString(cudaError_t code)
{
    const mb_cudasim::code_text *known = mb_cudasim::find(code);
    return known ? known->text : "unrecognized error code";
}
