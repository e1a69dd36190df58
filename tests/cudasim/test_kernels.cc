/* Threads, shared memory, barriers, shuffles, and kernels that do them wrong. */
#include "cudasim/test_cudasim.h"

#include <cuda_fp16.h>

#include <algorithm>

namespace
{

cudaError_t finish(cudaStream_t stream)
{
    return cudaStreamSynchronize(stream);
}

/* ---- threads and shared memory */

__global__ void count_kernel(int *counts)
{
    unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    counts[block * (blockDim.x * blockDim.y * blockDim.z) + thread] += 1;
}

void test_every_thread()
{
    dim3 grid(3, 4, 5), block(6, 7, 2);
    size_t n = 60 * 84;
    cudaStream_t stream = new_stream();
    int *counts = (int *)new_floats(n, 0.0f);
    MB_LAUNCH(count_kernel, grid, block, 0, stream, counts);
    CUDA(finish(stream));
    std::vector<int> found(n);
    CUDA(cudaMemcpy(found.data(), counts, n * sizeof(int), cudaMemcpyDeviceToHost));
    check(std::all_of(found.begin(), found.end(), [](int c) { return c == 1; }),
          "each thread of each block runs once");
}

__global__ void order_kernel(int *next, float *order)
{
    order[atomicAdd(next, 1)] = (float)(blockIdx.x * blockDim.x + threadIdx.x);
}

std::vector<float> order_of(uint64_t seed)
{
    mb_cudasim_seed(seed);
    cudaStream_t stream = new_stream();
    float *order = new_floats(64 * 8, 0.0f);
    int *next = (int *)new_floats(1, 0.0f);
    MB_LAUNCH(order_kernel, 8, 64, 0, stream, next, order);
    CUDA(finish(stream));
    return read_floats(order, 64 * 8);
}

void test_order()
{
    check(order_of(7) == order_of(7), "a seed gives the same order of threads each time");
    check(order_of(7) != order_of(8), "another seed gives another one");
}

/* Reads what nobody wrote; writes it so that the next block would find it. */
__global__ void shared_kernel(int n, float *out)
{
    __shared__ float fixed[64];
    MB_SHARED_DYNAMIC(float, dynamic);
    bool clean =
        fixed[threadIdx.x] != fixed[threadIdx.x] && dynamic[threadIdx.x] != dynamic[threadIdx.x];
    __syncthreads();
    fixed[threadIdx.x] = dynamic[threadIdx.x] = 1.0f;
    out[blockIdx.x * blockDim.x + threadIdx.x] = clean && n == 3 ? 1.0f : 0.0f;
}

void test_shared()
{
    cudaStream_t stream = new_stream();
    float *out = new_floats(64 * 40, 0.0f);
    for (int i = 0; i < 3; i++)
        MB_LAUNCH(shared_kernel, 40, 64, 64 * sizeof(float), stream, 3, out);
    CUDA(finish(stream));
    check(read_floats(out, 64 * 40) == std::vector<float>(64 * 40, 1.0f),
          "shared memory is NaN at the beginning of every block");
}

/* ---- collectives */

template <typename T> __global__ void reverse_kernel(T *values)
{
    __shared__ T turned[256];
    turned[threadIdx.x] = values[threadIdx.x];
    __syncthreads();
    for (int i = 0; i < 3; i++) {
        T mine = turned[blockDim.x - 1 - threadIdx.x];
        __syncthreads();
        turned[threadIdx.x] = mine;
        __syncthreads();
    }
    values[threadIdx.x] = turned[threadIdx.x];
}

void test_barrier()
{
    cudaStream_t stream = new_stream();
    std::vector<float> values(200), back(200);
    for (size_t i = 0; i < 200; i++)
        values[i] = (float)i;
    std::reverse_copy(values.begin(), values.end(), back.begin());
    float *p = new_floats(values);
    MB_LAUNCH(reverse_kernel<float>, 1, 200, 0, stream, p);
    CUDA(finish(stream));
    check(read_floats(p, 200) == back, "threads meet at barriers");
}

__global__ void vote_kernel(float *good)
{
    int i = (int)threadIdx.x;
    bool ok = __syncthreads_count(i % 3 == 0) == 34;
    ok = ok && __syncthreads_or(i == 77) && !__syncthreads_or(i == 500);
    ok = ok && __syncthreads_and(i < 100) && !__syncthreads_and(i < 99);
    if (i >= 64) /* the last warp has 4 lanes when these have gone */
        ok = ok && __any_sync(0xffffffffu, i == 70 || i == 98) &&
             !__all_sync(~0u, i != 70 && i != 98);
    good[i] = ok ? 1.0f : 0.0f;
}

void test_votes()
{
    cudaStream_t stream = new_stream();
    float *good = new_floats(100, 0.0f);
    MB_LAUNCH(vote_kernel, 1, 100, 0, stream, good);
    CUDA(finish(stream));
    std::vector<float> found = read_floats(good, 100);
    std::vector<float> wanted(100, 1.0f);
    check(found == wanted, "barriers count, warps vote");
}

__global__ void shuffle_kernel(float *good)
{
    int lane = (int)threadIdx.x % 32, base = lane / 8 * 8;
    float mine = (float)lane;
    bool ok = __shfl_xor_sync(~0u, mine, 5) == (float)(lane ^ 5);
    ok = ok && __shfl_sync(~0u, mine, 3) == 3.0f;
    ok = ok && __shfl_sync(~0u, mine, 3, 8) == (float)(base + 3);
    ok = ok && __shfl_up_sync(~0u, mine, 2, 8) == (float)(lane - base < 2 ? lane : lane - 2);
    ok = ok && __shfl_down_sync(~0u, mine, 2, 8) == (float)(lane - base > 5 ? lane : lane + 2);
    ok = ok && __shfl_xor_sync(~0u, (double)lane, 16) == (double)(lane ^ 16);
    ok = ok && __half2float(__shfl_xor_sync(~0u, __float2half(mine), 1)) == (float)(lane ^ 1);
    unsigned odd = __ballot_sync(~0u, lane & 1);
    good[threadIdx.x] = ok && odd == 0xaaaaaaaau ? 1.0f : 0.0f;
}

/* The halves of a warp apart, then lanes that leave. */
__global__ void mask_kernel(float *good)
{
    int lane = (int)threadIdx.x;
    unsigned half = lane < 16 ? 0x0000ffffu : 0xffff0000u;
    float sum = 1.0f;
    for (int step = lane < 16 ? 8 : 4; step; step /= 2)
        sum += __shfl_xor_sync(half, sum, step);
    __syncwarp();
    float wanted = lane < 16 ? 16.0f : 8.0f;
    good[lane] = sum == wanted ? 1.0f : 0.0f;
    if (lane >= 20)
        return;
    unsigned left = __ballot_sync(0x000fffffu, 1);
    float gone = __shfl_sync(0x000fffffu, 1.0f, 25);
    good[lane] *= left == 0x000fffffu && gone != gone ? 1.0f : 0.0f;
    __syncthreads();
}

void test_shuffles()
{
    cudaStream_t stream = new_stream();
    float *good = new_floats(128, 0.0f);
    MB_LAUNCH(shuffle_kernel, 1, 128, 0, stream, good);
    CUDA(finish(stream));
    check(read_floats(good, 128) == std::vector<float>(128, 1.0f), "lanes of a warp shuffle");
    float *apart = new_floats(32, 0.0f);
    MB_LAUNCH(mask_kernel, 1, 32, 0, stream, apart);
    CUDA(finish(stream));
    check(read_floats(apart, 32) == std::vector<float>(32, 1.0f),
          "parts of a warp shuffle apart; lanes that are not there give NaN");
}

/* ---- failures */

__global__ void skip_barrier_kernel(float *out)
{
    if (threadIdx.x == 5)
        __syncwarp(0x000000e0u);
    else
        __syncthreads();
    out[threadIdx.x] = 1.0f;
}

__global__ void other_barrier_kernel(float *out)
{
    if (threadIdx.x < 32)
        __syncthreads();
    else
        __syncthreads();
    out[threadIdx.x] = 1.0f;
}

__global__ void half_shuffle_kernel(float *out)
{
    float x = 1.0f;
    if (threadIdx.x % 2)
        x = __shfl_xor_sync(~0u, x, 1);
    else
        __syncthreads();
    out[threadIdx.x] = x;
}

__global__ void trap_kernel()
{
    if (threadIdx.x == 3)
        __trap();
}

__global__ void overrun_kernel(float *out, int at)
{
    out[at] = 1.0f;
}

template <typename... P> cudaError_t outcome(void (*kernel)(P...), unsigned threads, P... arguments)
{
    cudaStream_t stream = new_stream();
    MB_LAUNCH(kernel, 2, threads, 0, stream, arguments...);
    return finish(stream);
}

void test_deadlocks()
{
    cudaError_t code = outcome(skip_barrier_kernel, 64u, new_floats(64, 0.0f));
    check(code == cudaErrorLaunchFailure && said("63 at test_kernels.cc") && said("missing lanes"),
          "a barrier that a thread never reaches is reported");
    check(cudaGetLastError() == code && cudaDeviceSynchronize() == code,
          "the device stays unusable after that");
    reset_device();
    check(cudaDeviceSynchronize() == cudaSuccess && cudaGetLastError() == cudaSuccess,
          "until it is reset");
    code = outcome(other_barrier_kernel, 64u, new_floats(64, 0.0f));
    check(code == cudaErrorLaunchFailure && said("other threads of the block wait"),
          "threads that meet different barriers are reported");
    reset_device();
    code = outcome(half_shuffle_kernel, 64u, new_floats(64, 0.0f));
    check(code == cudaErrorLaunchFailure && said("missing lanes 0x55555555"),
          "a shuffle whose lanes are missing is reported");
    reset_device();
    check(outcome(trap_kernel, 32u) == cudaErrorLaunchFailure && said("__trap"),
          "a trap ends the launch");
    reset_device();
}

#ifdef __SANITIZE_ADDRESS__
/* AddressSanitizer ends the program, and sees single bytes. */
void small_overrun()
{
    (void)outcome(overrun_kernel, 1u, new_floats(63, 0.0f), 63);
}

void test_overruns()
{
    bool explained;
    int died = run_in_child(small_overrun, "AddressSanitizer", &explained);
    check(died && explained, "AddressSanitizer knows where device memory ends");
}
#else
int deeper(volatile char *from, int depth)
{
    volatile char some[4096];
    some[0] = *from;
    return depth ? deeper(some, depth - 1) + some[0] : some[0];
}
__global__ void deep_kernel()
{
    volatile char start = 1;
    deeper(&start, 1000);
}

void test_overruns()
{
    cudaError_t code = outcome(overrun_kernel, 1u, new_floats(64, 0.0f), 64);
    check(code == cudaErrorIllegalAddress && said("0 bytes behind the end of 256 bytes"),
          "the guard page catches an overrun");
    reset_device();
    code = outcome(deep_kernel, 1u);
    check(code == cudaErrorIllegalAddress && said("stack overflowed"),
          "a thread that overflows its stack is reported");
    reset_device();
}
#endif

void test_faults()
{
    test_overruns();
    cudaError_t code = outcome(overrun_kernel, 1u, (float *)4096, 0);
    check(code == cudaErrorIllegalAddress && said("kernel"), "so is a wild pointer");
    reset_device();
    mb_cudasim_seed(3);
    test_every_thread();
}

void test_limits()
{
    cudaStream_t stream = new_stream();
    float *out = new_floats(64, 0.0f);
    MB_LAUNCH(trap_kernel, 1, 1025, 0, stream);
    check(cudaGetLastError() == cudaErrorInvalidConfiguration, "1025 threads are too many");
    MB_LAUNCH(trap_kernel, dim3(1, 65536), 1, 0, stream);
    check(cudaGetLastError() == cudaErrorInvalidConfiguration, "so are 65536 blocks in y");
    MB_LAUNCH(shared_kernel, 1, 64, 49153, stream, 3, out);
    check(cudaGetLastError() == cudaErrorInvalidValue, "shared memory ends at 48 KiB");
    CUDA(cudaFuncSetAttribute((const void *)shared_kernel,
                              cudaFuncAttributeMaxDynamicSharedMemorySize, 232448));
    MB_LAUNCH(shared_kernel, 1, 64, 232448, stream, 3, out);
    check(cudaGetLastError() == cudaSuccess && finish(stream) == cudaSuccess,
          "or at 227 KiB, if that is asked for");
    MB_LAUNCH(trap_kernel, 1, 1, 0, nullptr);
    check(cudaGetLastError() == cudaErrorInvalidResourceHandle && said("default stream"),
          "the default stream is refused");
}

} // namespace

void test_threads()
{
    test_every_thread();
    test_order();
    test_shared();
}

void test_collectives()
{
    for (uint64_t seed = 1; seed <= 4; seed++) {
        mb_cudasim_seed(seed);
        test_barrier();
        test_votes();
        test_shuffles();
    }
}

void test_failures()
{
    test_deadlocks();
    test_faults();
    test_limits();
}
