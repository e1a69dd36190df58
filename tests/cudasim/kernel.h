/* CUDA C++ for the host's compiler: what a kernel file needs beyond the toolkit's own headers, so
 * that the same source that nvcc compiles becomes plain C++. A launch is a closure with copied
 * arguments on the simulated stream; the runtime calls it once a thread (launch.cc, block.cc), with
 * the indices below set to that thread's.
 *
 * Kernels have to be static or in an anonymous namespace: their __shared__ arrays are static
 * variables in one section, which templates with external linkage may not share with others.
 *
 * Differences that a kernel can see: blocks run one after the other, so a block must not wait for
 * another one; a thread runs on until it meets a barrier or a warp's collective, so spinning on a
 * neighbour's write hangs; static __shared__ memory does not count towards the limit of a launch.
 */
#ifndef MB_CUDASIM_KERNEL_H
#define MB_CUDASIM_KERNEL_H

#include <cuda_runtime.h>

#include <math.h>
#include <stdint.h>

#include <memory>
#include <tuple>
#include <utility>

/* The indices of the thread that runs now; written by the runtime at each switch. */
extern uint3 threadIdx;
extern uint3 blockIdx;
extern dim3 blockDim;
extern dim3 gridDim;
constexpr int warpSize = 32;

#undef __launch_bounds__
#define __launch_bounds__(...)

/* Filled with bytes 0xff, NaN in every format, before each block. The section's ends are those of
 * the program or library that the kernel is in. */
#undef __shared__
#define __shared__ static __attribute__((section("mb_cudasim_shared")))

#define MB_SHARED_DYNAMIC(TYPE, NAME)                                                              \
    TYPE *NAME = reinterpret_cast<TYPE *>(mb_cudasim::dynamic_shared)

#define MB_LAUNCH(kernel, grid, block, shared, stream, ...)                                        \
    mb_cudasim::launch(#kernel, kernel, (grid), (block), (shared), (stream), ##__VA_ARGS__)

extern "C" {
extern unsigned char __start_mb_cudasim_shared[] __attribute__((weak, visibility("hidden")));
extern unsigned char __stop_mb_cudasim_shared[] __attribute__((weak, visibility("hidden")));
}

namespace mb_cudasim
{

/* Of the block that runs now; exactly the launch's bytes, with a guard page behind. */
extern unsigned char *dynamic_shared;

/* A kernel with its arguments: thread() runs the current thread. */
class kernel_call
{
  public:
    virtual ~kernel_call() = default;
    virtual void thread() const = 0;
};

template <typename... P> class kernel_call_of final : public kernel_call
{
  public:
    template <typename... A>
    explicit kernel_call_of(void (*kernel)(P...), A &&...arguments)
        : kernel_(kernel), arguments_(std::forward<A>(arguments)...)
    {
    }
    void thread() const override
    {
        std::apply(kernel_, arguments_);
    }

  private:
    void (*kernel_)(P...);
    std::tuple<P...> arguments_;
};

struct launch_shape {
    const char *name;
    const void *function; /* the key of cudaFuncSetAttribute */
    dim3 grid, block;
    size_t shared_bytes;
    unsigned char *static_begin, *static_end; /* all static shared memory */
};

/* Checks the shape and puts the call on the stream; its error is the runtime's last error. */
void launch_kernel(const launch_shape &shape, cudaStream_t stream,
                   std::unique_ptr<const kernel_call> call);

template <typename... P, typename... A>
void launch(const char *name, void (*kernel)(P...), dim3 grid, dim3 block, size_t shared,
            cudaStream_t stream, A &&...arguments)
{
    static_assert(sizeof...(P) == sizeof...(A), "a launch gives every argument of its kernel");
    static_assert(sizeof(std::tuple<P...>) <= 4096, "arguments of a kernel end at 4096 bytes");
    launch_shape shape = {name,
                          reinterpret_cast<const void *>(kernel),
                          grid,
                          block,
                          shared,
                          __start_mb_cudasim_shared,
                          __stop_mb_cudasim_shared};
    launch_kernel(shape, stream,
                  std::make_unique<kernel_call_of<P...>>(kernel, std::forward<A>(arguments)...));
}

} // namespace mb_cudasim

#include "cudasim/collectives.h"
#include "cudasim/intrinsics.h"

#endif
