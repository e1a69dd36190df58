/* Launches: the checks that CUDA makes at the call, and a kernel as an operation of a stream. */
#include "cudasim/block.h"
#include "cudasim/call.h"
#include "cudasim/kernel.h"
#include "cudasim/limits.h"
#include "cudasim/queue.h"

#include <algorithm>
#include <map>

namespace mb_cudasim
{

namespace
{

class kernel_operation final : public operation
{
  public:
    kernel_operation(int where, const launch_shape &shape, std::unique_ptr<const kernel_call> call)
        : operation(where), shape_(shape), call_(std::move(call))
    {
    }
    cudaError_t run() const override
    {
        return grid_run(shape_, *call_);
    }

  private:
    launch_shape shape_;
    std::unique_ptr<const kernel_call> call_;
};

/* Dynamic shared memory that a kernel may have; set for each device. */
std::map<std::pair<int, const void *>, int> &shared_limits()
{
    static auto *all = new std::map<std::pair<int, const void *>, int>;
    return *all;
}

size_t shared_limit(const void *function)
{
    auto found = shared_limits().find({current_device(), function});
    return (size_t)(found == shared_limits().end() ? DEFAULT_SHARED_BYTES : found->second);
}

bool fits(dim3 size, const unsigned (&most)[3])
{
    return size.x >= 1 && size.y >= 1 && size.z >= 1 && size.x <= most[0] && size.y <= most[1] &&
           size.z <= most[2];
}

cudaError_t check_shape(const launch_shape &s)
{
    if (!fits(s.grid, MAX_GRID))
        return refuse(cudaErrorInvalidConfiguration, "kernel %s: a grid of (%u,%u,%u)", s.name,
                      s.grid.x, s.grid.y, s.grid.z);
    if (!fits(s.block, MAX_BLOCK) || s.block.x * s.block.y * s.block.z > MAX_BLOCK_THREADS)
        return refuse(cudaErrorInvalidConfiguration, "kernel %s: a block of (%u,%u,%u)", s.name,
                      s.block.x, s.block.y, s.block.z);
    if (s.shared_bytes > shared_limit(s.function))
        return refuse(cudaErrorInvalidValue,
                      "kernel %s: %zu bytes of dynamic shared memory, where %zu are allowed "
                      "(cudaFuncAttributeMaxDynamicSharedMemorySize)",
                      s.name, s.shared_bytes, shared_limit(s.function));
    return cudaSuccess;
}

cudaError_t check_stream(const launch_shape &s, cudaStream_t stream)
{
    CUDASIM_TRY(stream_check(stream, s.name));
    if (stream->device != current_device())
        return refuse(cudaErrorInvalidResourceHandle,
                      "kernel %s: its stream is device %d's, and device %d is current", s.name,
                      stream->device, current_device());
    return cudaSuccess;
}

} // namespace

void launch_kernel(const launch_shape &shape, cudaStream_t stream,
                   std::unique_ptr<const kernel_call> call)
{
    auto submit = [&] {
        CUDASIM_TRY(check_stream(shape, stream));
        CUDASIM_TRY(check_shape(shape));
        return stream_submit(
            stream, std::make_shared<kernel_operation>(stream->device, shape, std::move(call)));
    };
    host_call(submit, "cudaLaunchKernel");
}

} // namespace mb_cudasim

using namespace mb_cudasim;

cudaError_t cudaFuncSetAttribute(const void *function, cudaFuncAttribute attribute, int value)
{
    return host_call([&] {
        if (attribute == cudaFuncAttributePreferredSharedMemoryCarveout)
            return cudaSuccess;
        if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize)
            return refuse(cudaErrorInvalidValue, "cudaFuncSetAttribute: attribute %d",
                          (int)attribute);
        if (value < 0 || value > MAX_SHARED_BYTES)
            return refuse(cudaErrorInvalidValue,
                          "cudaFuncSetAttribute: %d bytes of shared memory, where %d are the most",
                          value, MAX_SHARED_BYTES);
        shared_limits()[{current_device(), function}] = value;
        return cudaSuccess;
    });
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, const void *function,
                                                          int threads, size_t shared)
{
    return host_call([&] {
        if (threads < 1 || threads > MAX_BLOCK_THREADS)
            return refuse(cudaErrorInvalidValue, "an occupancy of blocks of %d threads", threads);
        *blocks = shared > shared_limit(function)
                      ? 0
                      : std::min({SM_BLOCKS, SM_THREADS / ((threads + 31) / 32 * 32),
                                  SM_SHARED_BYTES / ((int)shared + RESERVED_SHARED_BYTES)});
        return cudaSuccess;
    });
}
