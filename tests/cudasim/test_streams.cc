/* Order between streams, and time that passes only while the host waits. */
#include "cudasim/test_cudasim.h"

#include <thread>

namespace
{

__global__ void set_kernel(float *p, float value)
{
    p[threadIdx.x] = value;
}
__global__ void double_kernel(float *p)
{
    p[threadIdx.x] *= 2.0f;
}

/* One stream writes, the other doubles. */
bool doubled_in_time(uint64_t seed, bool with_event)
{
    mb_cudasim_seed(seed);
    cudaStream_t writer = new_stream(), reader = new_stream();
    cudaEvent_t written;
    CUDA(cudaEventCreateWithFlags(&written, cudaEventDisableTiming));
    float *p = new_floats(32, 1.0f);
    for (int i = 0; i < 3; i++)
        MB_LAUNCH(set_kernel, 1, 32, 0, writer, p, 3.0f);
    CUDA(cudaEventRecord(written, writer));
    if (with_event)
        CUDA(cudaStreamWaitEvent(reader, written, 0));
    MB_LAUNCH(double_kernel, 1, 32, 0, reader, p);
    CUDA(cudaDeviceSynchronize());
    bool right = read_floats(p, 32) == std::vector<float>(32, 6.0f);
    CUDA(cudaEventDestroy(written));
    CUDA(cudaFree(p));
    CUDA(cudaStreamDestroy(writer));
    CUDA(cudaStreamDestroy(reader));
    return right;
}

void test_missing_event()
{
    int wrong_without = 0, wrong_with = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        wrong_without += !doubled_in_time(seed, false);
        wrong_with += !doubled_in_time(seed, true);
    }
    check(wrong_without > 0 && wrong_without < 20,
          "without an event the number is wrong for some seeds");
    check(wrong_with == 0, "with the event it never is");
}

void test_laziness()
{
    cudaStream_t stream = new_stream();
    float *p = new_floats(32, 1.0f);
    void *pinned;
    CUDA(cudaMallocHost(&pinned, 128));
    float *host = (float *)pinned;
    host[0] = 5.0f;
    MB_LAUNCH(set_kernel, 1, 32, 0, stream, p, 3.0f);
    CUDA(cudaMemcpyAsync(host, p, 128, cudaMemcpyDeviceToHost, stream));
    check(host[0] == 5.0f, "a call does not run what it puts on a stream");
    CUDA(cudaStreamSynchronize(stream));
    check(host[0] == 3.0f, "a wait does");
    host[0] = 7.0f;
    CUDA(cudaMemcpyAsync(p, host, 128, cudaMemcpyHostToDevice, stream));
    host[0] = 8.0f;
    CUDA(cudaStreamSynchronize(stream));
    check(read_floats(p, 1)[0] == 8.0f, "pinned memory is read when the copy runs");
    CUDA(cudaFreeHost(pinned));
}

void test_pageable()
{
    cudaStream_t stream = new_stream();
    float *p = new_floats(1, 1.0f);
    float host = 2.0f;
    CUDA(cudaMemcpyAsync(p, &host, sizeof host, cudaMemcpyHostToDevice, stream));
    host = 3.0f;
    CUDA(cudaMemcpyAsync(&host, p, sizeof host, cudaMemcpyDeviceToHost, stream));
    check(host == 2.0f, "pageable memory is read and written before the call returns");
}

void test_late_pageable()
{
    cudaStream_t stream = new_stream();
    float *p = new_floats(1, 1.0f);
    float host = 2.0f, back = 0.0f;
    mb_cudasim_late_pageable(1);
    CUDA(cudaMemcpyAsync(p, &host, sizeof host, cudaMemcpyHostToDevice, stream));
    CUDA(cudaMemcpyAsync(&back, p, sizeof back, cudaMemcpyDeviceToHost, stream));
    host = 3.0f;
    bool untouched = back == 0.0f;
    CUDA(cudaStreamSynchronize(stream));
    check(untouched && back == 3.0f, "or, where that is wanted, when the stream gets there");
    mb_cudasim_late_pageable(0);
}

void test_queries()
{
    cudaStream_t stream = new_stream();
    cudaEvent_t event;
    CUDA(cudaEventCreate(&event));
    check(cudaEventQuery(event) == cudaSuccess, "an event that was not recorded is done");
    float *p = new_floats(32, 1.0f);
    int waits = 0;
    for (int round = 0; round < 20; round++) {
        MB_LAUNCH(set_kernel, 1, 32, 0, stream, p, 3.0f);
        CUDA(cudaEventRecord(event, stream));
        while (cudaEventQuery(event) == cudaErrorNotReady)
            waits++;
    }
    check(waits > 0 && read_floats(p, 1)[0] == 3.0f, "queries go on until the event is done");
    check(cudaGetLastError() == cudaErrorNotReady && cudaGetLastError() == cudaSuccess,
          "not being ready is left as the last error, to be cleared");
    float elapsed = -1.0f;
    check(cudaEventElapsedTime(&elapsed, event, event) == cudaSuccess && elapsed == 0.0f,
          "events keep time");
}

void add_one(void *user)
{
    ++*(int *)user;
}

void test_host_function()
{
    int called = 0;
    cudaStream_t stream = new_stream();
    CUDA(cudaLaunchHostFunc(stream, add_one, &called));
    check(called == 0 && cudaStreamSynchronize(stream) == cudaSuccess && called == 1,
          "a host function runs in its stream's order");
}

/* An event that is recorded again counts for those who wait from then on only. */
void test_rerecord()
{
    cudaStream_t a = new_stream(), b = new_stream();
    cudaEvent_t event;
    CUDA(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
    CUDA(cudaEventRecord(event, a));
    CUDA(cudaStreamWaitEvent(b, event, 0));
    CUDA(cudaStreamWaitEvent(a, event, 0));
    CUDA(cudaEventRecord(event, b));
    CUDA(cudaStreamWaitEvent(a, event, 0));
    check(cudaStreamSynchronize(a) == cudaSuccess, "a wait is for the last record at its call");
}

void test_devices()
{
    float *first = new_floats(32, 1.0f);
    CUDA(cudaSetDevice(1));
    cudaStream_t second = new_stream();
    float *p = new_floats(32, 2.0f);
    check(cudaMemcpyAsync(p, first, 128, cudaMemcpyDeviceToDevice, second) ==
                  cudaErrorInvalidValue &&
              said("device 0"),
          "a copy may not touch another device's memory");
#ifndef __SANITIZE_ADDRESS__
    MB_LAUNCH(set_kernel, 1, 32, 0, second, first, 3.0f);
    check(cudaStreamSynchronize(second) == cudaErrorIllegalAddress && said("device 0"),
          "nor may a kernel");
    reset_device();
#endif
    CUDA(cudaSetDevice(0));
    check(read_floats(first, 1)[0] == 1.0f, "the other device goes on");
    cudaStream_t stream = new_stream();
    CUDA(cudaSetDevice(1));
    MB_LAUNCH(set_kernel, 1, 32, 0, stream, first, 3.0f);
    check(cudaGetLastError() == cudaErrorInvalidResourceHandle,
          "a launch goes to a stream of the current device");
    CUDA(cudaSetDevice(0));
}

void work_on(int device, bool *right)
{
    CUDA(cudaSetDevice(device));
    cudaStream_t stream = new_stream();
    *right = true;
    for (int i = 0; i < 50; i++) {
        float *p = new_floats(32, (float)i);
        MB_LAUNCH(double_kernel, 1, 32, 0, stream, p);
        CUDA(cudaStreamSynchronize(stream));
        *right = *right && read_floats(p, 32) == std::vector<float>(32, 2.0f * (float)i);
        CUDA(cudaFree(p));
    }
    CUDA(cudaStreamDestroy(stream));
}

void test_host_threads()
{
    bool first, second;
    std::thread other(work_on, 1, &second);
    work_on(0, &first);
    other.join();
    check(first && second, "threads of the host work with a device each");
}

} // namespace

void test_streams()
{
    test_missing_event();
    test_laziness();
    test_pageable();
    test_late_pageable();
    test_queries();
    test_host_function();
    test_rerecord();
    test_devices();
    test_host_threads();
}
