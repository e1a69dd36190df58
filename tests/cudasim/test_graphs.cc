/* Capture and graphs. */
#include "cudasim/test_cudasim.h"

namespace
{

__global__ void add_kernel(float *p, float value)
{
    p[threadIdx.x] += value;
}
__global__ void scale_kernel(float *p, float value)
{
    p[threadIdx.x] *= value;
}

struct fork_and_join {
    cudaStream_t first = new_stream(), second = new_stream();
    cudaEvent_t forked, joined;
    float *a = new_floats(32, 1.0f), *b = new_floats(32, 1.0f);

    fork_and_join()
    {
        CUDA(cudaEventCreateWithFlags(&forked, cudaEventDisableTiming));
        CUDA(cudaEventCreateWithFlags(&joined, cudaEventDisableTiming));
    }
    /* a = (a + 1) * 2 and, beside the factor, b = a + 1 as it was then. */
    cudaError_t capture(bool join, cudaGraph_t *out)
    {
        CUDA(cudaStreamBeginCapture(first, cudaStreamCaptureModeGlobal));
        MB_LAUNCH(add_kernel, 1, 32, 0, first, a, 1.0f);
        CUDA(cudaMemcpyAsync(b, a, 128, cudaMemcpyDeviceToDevice, first));
        CUDA(cudaEventRecord(forked, first));
        CUDA(cudaStreamWaitEvent(second, forked, 0));
        MB_LAUNCH(add_kernel, 1, 32, 0, second, b, 10.0f);
        CUDA(cudaEventRecord(joined, second));
        MB_LAUNCH(scale_kernel, 1, 32, 0, first, a, 2.0f);
        if (join)
            CUDA(cudaStreamWaitEvent(first, joined, 0));
        return cudaStreamEndCapture(first, out);
    }
};

void test_launches()
{
    for (uint64_t seed = 1; seed <= 5; seed++) {
        mb_cudasim_seed(seed);
        fork_and_join work;
        cudaGraph_t graph;
        cudaGraphExec_t run;
        CUDA(work.capture(true, &graph));
        bool untouched = read_floats(work.a, 1)[0] == 1.0f;
        CUDA(cudaGraphInstantiate(&run, graph, 0));
        CUDA(cudaGraphDestroy(graph));
        for (int i = 0; i < 3; i++)
            CUDA(cudaGraphLaunch(run, i % 2 ? work.first : work.second));
        CUDA(cudaGraphExecDestroy(run));
        CUDA(cudaDeviceSynchronize());
        check(untouched && read_floats(work.a, 1)[0] == 22.0f && read_floats(work.b, 1)[0] == 21.0f,
              "a graph runs its work when launched, each time");
    }
}

void test_unjoined()
{
    fork_and_join work;
    cudaGraph_t graph;
    check(work.capture(false, &graph) == cudaErrorStreamCaptureUnjoined && !graph,
          "a capture must be joined");
    (void)cudaGetLastError();
}

void test_forbidden()
{
    cudaStream_t stream = new_stream();
    cudaGraph_t graph;
    float host = 1.0f, *p = new_floats(1, 1.0f);
    void *more;
    CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    check(cudaStreamSynchronize(stream) == cudaErrorStreamCaptureUnsupported,
          "a capturing stream is not waited for");
    check(cudaStreamEndCapture(stream, &graph) == cudaErrorStreamCaptureInvalidated,
          "which spoils the capture");
    CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    check(cudaMemcpyAsync(p, &host, 4, cudaMemcpyHostToDevice, stream) ==
                  cudaErrorStreamCaptureUnsupported &&
              cudaMalloc(&more, 4) == cudaErrorStreamCaptureUnsupported,
          "neither pageable memory nor allocations are captured");
    (void)cudaStreamEndCapture(stream, &graph);
    (void)cudaGetLastError();
}

} // namespace

void test_graphs()
{
    test_launches();
    test_unjoined();
    test_forbidden();
}
