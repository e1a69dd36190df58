/* Memory spaces from both sides. */
#include "cudasim/test_cudasim.h"

#include <signal.h>

namespace
{

void read_device_memory()
{
    volatile float *p = new_floats(64, 1.0f);
    (void)p[3];
}

/* After work has run: the memory is closed again. */
void write_device_memory()
{
    float *p = new_floats(64, 1.0f);
    CUDA(cudaDeviceSynchronize());
    p[3] = 1.0f;
}

void free_twice_and_read()
{
    float *p = new_floats(64, 1.0f);
    CUDA(cudaFree(p));
    ((volatile float *)p)[0] = 1.0f;
}

void test_host_touches()
{
    bool explained;
    int died = run_in_child(read_device_memory, "host code touched device memory", &explained);
    check(died != 0 && explained, "host code that reads device memory dies with a reason");
    died = run_in_child(write_device_memory, "byte 12 of 256 bytes of device memory", &explained);
    check(died != 0 && explained, "so does host code that writes it");
    died = run_in_child(free_twice_and_read, "host code touched device memory", &explained);
    check(died != 0 && explained, "freed memory stays out of reach");
}

void test_kinds()
{
    float *p = new_floats(64, 1.0f);
    float host[64];
    check(cudaMemcpy(host, p, 256, cudaMemcpyHostToDevice) == cudaErrorInvalidValue,
          "a copy's kind must be right");
    check(cudaMemcpy(host, host + 32, 128, cudaMemcpyDeviceToHost) == cudaErrorInvalidValue,
          "host memory is not device memory");
    check(cudaMemcpy(host, p + 1, 256, cudaMemcpyDeviceToHost) == cudaErrorInvalidValue,
          "a copy must stay within its allocation");
    check(cudaMemcpy(host, p, 256, cudaMemcpyDefault) == cudaSuccess && host[63] == 1.0f,
          "the default kind finds out");
    cudaStream_t stream = new_stream();
    check(cudaMemsetAsync(host, 0, 16, stream) == cudaErrorInvalidValue,
          "a fill is of device memory");
    (void)cudaGetLastError();
}

void test_allocation()
{
    void *p;
    CUDA(cudaMalloc(&p, 1000));
    std::vector<float> found = read_floats((float *)p, 250);
    bool all_nan = true;
    for (float x : found)
        all_nan = all_nan && x != x;
    check(all_nan && (uintptr_t)p % 256 == 0, "new memory is aligned to 256 bytes and holds NaN");
    size_t before = mb_cudasim_allocated(0);
    CUDA(cudaFree(p));
    check(before - mb_cudasim_allocated(0) == 1024, "what is allocated is counted");
    check(cudaMalloc(&p, (size_t)1 << 40) == cudaErrorMemoryAllocation &&
              cudaGetLastError() == cudaErrorMemoryAllocation,
          "memory ends");
    check(cudaFree((void *)&before) == cudaErrorInvalidValue, "only its own memory is freed");
    (void)cudaGetLastError();
}

void test_attributes()
{
    cudaPointerAttributes a;
    void *pinned;
    float local, *p = new_floats(4, 0.0f);
    CUDA(cudaMallocHost(&pinned, 100));
    CUDA(cudaPointerGetAttributes(&a, p + 1));
    check(a.type == cudaMemoryTypeDevice && a.device == 0, "a device pointer is known");
    CUDA(cudaPointerGetAttributes(&a, pinned));
    check(a.type == cudaMemoryTypeHost, "so is a pinned one");
    CUDA(cudaPointerGetAttributes(&a, &local));
    check(a.type == cudaMemoryTypeUnregistered, "others are unregistered");
    CUDA(cudaFreeHost(pinned));
}

void test_pinned()
{
    void *pinned;
    unsigned flags = 0;
    CUDA(cudaHostAlloc(&pinned, 100, cudaHostAllocPortable));
    check(cudaHostGetFlags(&flags, pinned) == cudaSuccess && flags == cudaHostAllocPortable &&
              cudaHostGetFlags(&flags, &flags) == cudaErrorInvalidValue,
          "pinned memory knows its flags");
    cudaStream_t stream = new_stream();
    float local[25] = {}, *p = new_floats(25, 0.0f);
    uint64_t before = mb_cudasim_pageable_copies();
    CUDA(cudaMemcpyAsync(p, pinned, 100, cudaMemcpyHostToDevice, stream));
    CUDA(cudaMemcpyAsync(pinned, p, 100, cudaMemcpyDeviceToHost, stream));
    bool none = mb_cudasim_pageable_copies() == before;
    CUDA(cudaMemcpyAsync(p, local, 100, cudaMemcpyHostToDevice, stream));
    CUDA(cudaMemcpyAsync(local, p, 100, cudaMemcpyDeviceToHost, stream));
    check(none && mb_cudasim_pageable_copies() == before + 2,
          "copies with pageable memory are counted");
    mb_cudasim_refuse_pageable(1);
    check(cudaMemcpyAsync(p, local, 100, cudaMemcpyHostToDevice, stream) == cudaErrorInvalidValue &&
              said("from pageable host memory") &&
              cudaMemcpyAsync(p, pinned, 100, cudaMemcpyHostToDevice, stream) == cudaSuccess,
          "or refused");
    mb_cudasim_refuse_pageable(0);
    CUDA(cudaStreamSynchronize(stream));
    CUDA(cudaFreeHost(pinned));
    (void)cudaGetLastError();
}

#ifdef __SANITIZE_ADDRESS__ /* ends the program at the overrun itself */
void test_surroundings()
{
}
#else
__global__ void write_kernel(float *p, int at)
{
    p[at] = 1.0f;
}

void test_surroundings()
{
    cudaStream_t stream = new_stream();
    float *p = new_floats(3, 1.0f);
    MB_LAUNCH(write_kernel, 1, 1, 0, stream, p, 4);
    check(cudaFree(p) == cudaErrorIllegalAddress && said("behind"),
          "a small overrun shows when the memory is freed");
    reset_device();
}
#endif

__global__ void fill_kernel(float *p, float value)
{
    p[threadIdx.x] = value;
}

void test_stream_ordered()
{
    void *p, *q;
    float host = 0.0f;
    cudaStream_t stream = new_stream();
    CUDA(cudaMallocAsync(&p, 128, stream));
    MB_LAUNCH(fill_kernel, 1, 32, 0, stream, (float *)p, 4.0f);
    CUDA(cudaMemcpyAsync(&host, p, 4, cudaMemcpyDeviceToHost, stream));
    CUDA(cudaFreeAsync(p, stream));
    CUDA(cudaMallocAsync(&q, 128, stream));
    check(host == 4.0f && p != q && cudaStreamSynchronize(stream) == cudaSuccess,
          "memory is freed in its stream's order");
    CUDA(cudaMemsetAsync(q, 0, 128, stream));
    CUDA(cudaFree(q));
    cudaStream_t other = new_stream();
    CUDA(cudaMalloc(&p, 128));
    CUDA(cudaFreeAsync(p, other));
    CUDA(cudaStreamSynchronize(other));
    check(cudaMemsetAsync(p, 0, 128, stream) == cudaErrorInvalidValue,
          "freed memory is not memory any more");
    (void)cudaGetLastError();
}

} // namespace

void test_memory()
{
    test_host_touches();
    test_kinds();
    test_allocation();
    test_attributes();
    test_pinned();
    test_surroundings();
    test_stream_ordered();
}
