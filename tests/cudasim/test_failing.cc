/* Calls that fail because MB_CUDASIM_FAIL wants them to. */
#include "cudasim/test_cudasim.h"

#include <cublasLt.h>
#include <stdlib.h>

#include <string>

namespace
{

__global__ void set_kernel(float *p, float value)
{
    p[threadIdx.x] = value;
}

void test_launch()
{
    cudaStream_t stream = new_stream();
    float *p = new_floats(32, 1.0f);
    mb_cudasim_fail("cudaLaunchKernel:2");
    MB_LAUNCH(set_kernel, 1, 32, 0, stream, p, 2.0f);
    CUDA(cudaStreamSynchronize(stream));
    MB_LAUNCH(set_kernel, 1, 32, 0, stream, p, 3.0f);
    check(cudaGetLastError() == cudaErrorLaunchFailure &&
              cudaStreamSynchronize(stream) == cudaErrorLaunchFailure,
          "the launch that is to fail fails, and its device stays so");
    reset_device();
}

void test_others()
{
    void *p;
    cudaEvent_t event;
    mb_cudasim_fail("cudaMallocHost:1");
    check(cudaMallocHost(&p, 4) == cudaErrorMemoryAllocation, "an allocation finds no memory");
    CUDA(cudaMallocHost(&p, 4));
    mb_cudasim_fail("cudaEventCreateWithFlags:1");
    check(cudaEventCreateWithFlags(&event, 0) == cudaErrorLaunchFailure,
          "another call finds a launch that failed");
    reset_device();
    mb_cudasim_fail("cudaGetDeviceCount:1");
    int count;
    check(cudaGetDeviceCount(&count) == cudaErrorLaunchFailure, "so does a question");
    reset_device();
    cublasLtHandle_t handle;
    mb_cudasim_fail("cublasLtCreate:1");
    check(cublasLtCreate(&handle) == CUBLAS_STATUS_EXECUTION_FAILED, "cuBLASLt fails");
    CUDA(cudaFreeHost(p));
}

void test_rank()
{
    const char *mine = getenv("OMPI_COMM_WORLD_RANK");
    std::string before = mine ? mine : "";
    int count;
    setenv("OMPI_COMM_WORLD_RANK", "3", 1);
    mb_cudasim_fail("cudaGetDeviceCount:1:2");
    check(cudaGetDeviceCount(&count) == cudaSuccess, "another rank's call does not fail");
    mb_cudasim_fail("cudaGetDeviceCount:1:3");
    check(cudaGetDeviceCount(&count) != cudaSuccess, "this rank's does");
    if (mine)
        setenv("OMPI_COMM_WORLD_RANK", before.c_str(), 1);
    else
        unsetenv("OMPI_COMM_WORLD_RANK");
    reset_device();
}

void fail_unclearly()
{
    mb_cudasim_fail("cudaMalloc");
}

void fail_never()
{
    int count;
    mb_cudasim_fail("cudaGetDeviceCounts:1");
    (void)cudaGetDeviceCount(&count);
    exit(0);
}

void test_mistakes()
{
    bool explained;
    int died = run_in_child(fail_unclearly, "NAME:K", &explained);
    check(died != 0 && explained, "what is no failure is refused");
    died = run_in_child(fail_never, "cudaGetDeviceCounts was called 0 times", &explained);
    check(died == 0 && explained, "a failure that never came is told at the end");
}

} // namespace

void test_failing()
{
    test_launch();
    test_others();
    test_rank();
    test_mistakes();
    mb_cudasim_fail(nullptr);
}
