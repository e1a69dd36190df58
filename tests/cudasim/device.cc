/* Devices: how many, what they are, which one is current; and the last error. What a device says of
 * itself is like an H100, so that a program takes the paths that it takes there. */
#include "cudasim/call.h"
#include "cudasim/graph.h"
#include "cudasim/limits.h"
#include "cudasim/memory.h"
#include "cudasim/queue.h"
#include "cudasim/settings.h"

#include <cuda_runtime_api.h>

#include <stdio.h>
#include <string.h>

#include <atomic>

namespace mb_cudasim
{

namespace
{

thread_local int current;
std::atomic<int> callers;

struct caller {
    caller()
    {
        callers++;
    }
    ~caller()
    {
        callers--;
    }
};

cudaError_t check_device(int device, const char *call)
{
    if (device >= 0 && device < get_settings().devices)
        return cudaSuccess;
    return refuse(get_settings().devices ? cudaErrorInvalidDevice : cudaErrorNoDevice,
                  "%s: device %d of %d (MB_CUDASIM_DEVICES)", call, device, get_settings().devices);
}

/* Calls that only ask work even where there is no device. */
template <typename F> cudaError_t question(F body, const char *function = __builtin_FUNCTION())
{
    call_prepare();
    if (must_fail(function))
        return set_last_error(injected_error(function));
    return set_last_error(body());
}

int bus_of(int device)
{
    return 0x10 + device;
}

void fill_limits(cudaDeviceProp *p)
{
    p->sharedMemPerBlock = DEFAULT_SHARED_BYTES;
    p->sharedMemPerBlockOptin = MAX_SHARED_BYTES;
    p->sharedMemPerMultiprocessor = SM_SHARED_BYTES;
    p->reservedSharedMemPerBlock = RESERVED_SHARED_BYTES;
    p->regsPerBlock = p->regsPerMultiprocessor = 65536;
    p->warpSize = 32;
    p->maxThreadsPerBlock = MAX_BLOCK_THREADS;
    p->maxThreadsPerMultiProcessor = SM_THREADS;
    p->maxBlocksPerMultiProcessor = SM_BLOCKS;
    for (int i = 0; i < 3; i++) {
        p->maxThreadsDim[i] = (int)MAX_BLOCK[i];
        p->maxGridSize[i] = (int)MAX_GRID[i];
    }
}

void fill_properties(cudaDeviceProp *p, int device)
{
    memset(p, 0, sizeof *p);
    snprintf(p->name, sizeof p->name, "simulated device");
    p->uuid.bytes[0] = (char)(device + 1);
    p->totalGlobalMem = get_settings().memory;
    p->major = 9;
    p->minor = 0;
    p->multiProcessorCount = SMS;
    p->l2CacheSize = 50 << 20;
    p->memoryBusWidth = 5120;
    p->pciBusID = bus_of(device);
    p->unifiedAddressing = p->canMapHostMemory = p->concurrentKernels = 1;
    p->asyncEngineCount = 2;
    p->streamPrioritiesSupported = p->memoryPoolsSupported = 1;
    p->textureAlignment = 512;
    fill_limits(p);
}

struct attribute_value {
    cudaDeviceAttr attribute;
    int value;
};

const attribute_value ATTRIBUTES[] = {
    {cudaDevAttrMaxThreadsPerBlock, MAX_BLOCK_THREADS},
    {cudaDevAttrMaxBlockDimX, 1024},
    {cudaDevAttrMaxBlockDimY, 1024},
    {cudaDevAttrMaxBlockDimZ, 64},
    {cudaDevAttrMaxGridDimX, 2147483647},
    {cudaDevAttrMaxGridDimY, 65535},
    {cudaDevAttrMaxGridDimZ, 65535},
    {cudaDevAttrMaxSharedMemoryPerBlock, DEFAULT_SHARED_BYTES},
    {cudaDevAttrMaxSharedMemoryPerBlockOptin, MAX_SHARED_BYTES},
    {cudaDevAttrMaxSharedMemoryPerMultiprocessor, SM_SHARED_BYTES},
    {cudaDevAttrReservedSharedMemoryPerBlock, RESERVED_SHARED_BYTES},
    {cudaDevAttrWarpSize, 32},
    {cudaDevAttrMaxThreadsPerMultiProcessor, SM_THREADS},
    {cudaDevAttrMaxBlocksPerMultiprocessor, SM_BLOCKS},
    {cudaDevAttrMultiProcessorCount, SMS},
    {cudaDevAttrClockRate, 1755000},
    {cudaDevAttrMemoryClockRate, 2619000},
    {cudaDevAttrGlobalMemoryBusWidth, 5120},
    {cudaDevAttrL2CacheSize, 50 << 20},
    {cudaDevAttrComputeCapabilityMajor, 9},
    {cudaDevAttrComputeCapabilityMinor, 0},
    {cudaDevAttrComputeMode, cudaComputeModeDefault},
    {cudaDevAttrAsyncEngineCount, 2},
    {cudaDevAttrConcurrentKernels, 1},
    {cudaDevAttrUnifiedAddressing, 1},
    {cudaDevAttrCanMapHostMemory, 1},
    {cudaDevAttrManagedMemory, 0},
    {cudaDevAttrStreamPrioritiesSupported, 1},
    {cudaDevAttrMemoryPoolsSupported, 1},
    {cudaDevAttrEccEnabled, 1},
    {cudaDevAttrIntegrated, 0},
    {cudaDevAttrPciDomainId, 0},
    {cudaDevAttrPciDeviceId, 0},
};

cudaError_t find_attribute(int *value, cudaDeviceAttr attribute, int device)
{
    if (attribute == cudaDevAttrPciBusId) {
        *value = bus_of(device);
        return cudaSuccess;
    }
    for (const attribute_value &a : ATTRIBUTES)
        if (a.attribute == attribute) {
            *value = a.value;
            return cudaSuccess;
        }
    return refuse(cudaErrorInvalidValue, "cudaDeviceGetAttribute: attribute %d is not simulated",
                  (int)attribute);
}

} // namespace

std::mutex &call_lock()
{
    static std::mutex *lock = new std::mutex;
    return *lock;
}

bool &in_host_function()
{
    static thread_local bool within;
    return within;
}

int current_device()
{
    return current;
}

void set_current_device(int device)
{
    current = device;
}

void call_prepare()
{
    static bool once = (fault_install(), true);
    static thread_local caller self;
    (void)once;
    (void)&self;
}

int calling_threads()
{
    return callers;
}

} // namespace mb_cudasim

using namespace mb_cudasim;

cudaError_t cudaGetDeviceCount(int *count)
{
    return question([&] {
        if (get_settings().devices == 0) /* the count is left alone, as CUDA does */
            return cudaErrorNoDevice;
        *count = get_settings().devices;
        return cudaSuccess;
    });
}

cudaError_t cudaSetDevice(int device)
{
    return question([&] {
        CUDASIM_TRY(check_device(device, "cudaSetDevice"));
        set_current_device(device);
        return cudaSuccess;
    });
}

cudaError_t cudaGetDevice(int *device)
{
    return question([&] {
        CUDASIM_TRY(check_device(current_device(), "cudaGetDevice"));
        *device = current_device();
        return cudaSuccess;
    });
}

/* cuda_runtime_api.h may map the name to another one. */
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int device)
{
    return question([&] {
        CUDASIM_TRY(check_device(device, "cudaGetDeviceProperties"));
        fill_properties(properties, device);
        return cudaSuccess;
    });
}

cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device)
{
    return question([&] {
        CUDASIM_TRY(check_device(device, "cudaDeviceGetAttribute"));
        return find_attribute(value, attribute, device);
    });
}

cudaError_t cudaDeviceGetPCIBusId(char *text, int capacity, int device)
{
    return question([&] {
        CUDASIM_TRY(check_device(device, "cudaDeviceGetPCIBusId"));
        if (capacity < 13)
            return refuse(cudaErrorInvalidValue, "cudaDeviceGetPCIBusId wants 13 bytes or more");
        snprintf(text, (size_t)capacity, "0000:%02x:00.0", bus_of(device));
        return cudaSuccess;
    });
}

cudaError_t cudaDeviceGetByPCIBusId(int *device, const char *text)
{
    return question([&] {
        unsigned domain, bus;
        bool read = sscanf(text, "%x:%x:", &domain, &bus) == 2;
        int found = read ? (int)bus - bus_of(0) : -1;
        CUDASIM_TRY(check_device(found, "cudaDeviceGetByPCIBusId"));
        *device = found;
        return cudaSuccess;
    });
}

cudaError_t cudaDeviceCanAccessPeer(int *can, int device, int peer)
{
    return question([&] {
        CUDASIM_TRY(check_device(device, "cudaDeviceCanAccessPeer"));
        CUDASIM_TRY(check_device(peer, "cudaDeviceCanAccessPeer"));
        *can = 0;
        return cudaSuccess;
    });
}

/* As cudaDeviceCanAccessPeer has it: devices reach each other through the host only. */
cudaError_t cudaDeviceGetP2PAttribute(int *value, cudaDeviceP2PAttr attribute, int device, int peer)
{
    return question([&] {
        CUDASIM_TRY(check_device(device, "cudaDeviceGetP2PAttribute"));
        CUDASIM_TRY(check_device(peer, "cudaDeviceGetP2PAttribute"));
        if (attribute < cudaDevP2PAttrPerformanceRank || device == peer)
            return refuse(cudaErrorInvalidValue,
                          "cudaDeviceGetP2PAttribute: attribute %d between devices %d and %d",
                          (int)attribute, device, peer);
        *value = 0;
        return cudaSuccess;
    });
}

cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest)
{
    return question([&] {
        *least = 0;
        *greatest = -5;
        return cudaSuccess;
    });
}

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = get_settings().devices ? CUDART_VERSION : 0;
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *free, size_t *total)
{
    return host_call([&] {
        CUDASIM_TRY(check_device(current_device(), "cudaMemGetInfo"));
        *total = get_settings().memory;
        *free = *total - device_bytes(current_device());
        return cudaSuccess;
    });
}

cudaError_t cudaDeviceSynchronize(void)
{
    return host_call([&] {
        CUDASIM_TRY(capture_forbids_anywhere("cudaDeviceSynchronize"));
        int device = current_device();
        pump_until([=] { return device_idle(device); });
        return device_error(device);
    });
}

/* Streams and memory of the device are gone, and so is its error. */
cudaError_t cudaDeviceReset(void)
{
    call_prepare();
    std::lock_guard<std::mutex> hold(call_lock());
    int device = current_device();
    streams_forget(device);
    device_free_all(device);
    set_device_error(device, cudaSuccess);
    clear_last_error();
    return cudaSuccess;
}

cudaError_t cudaPeekAtLastError(void)
{
    cudaError_t failed = device_error(current_device());
    return failed != cudaSuccess ? failed : peek_last_error();
}

cudaError_t cudaGetLastError(void)
{
    cudaError_t error = cudaPeekAtLastError();
    clear_last_error();
    return error;
}
