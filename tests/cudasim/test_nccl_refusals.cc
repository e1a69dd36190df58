/* What the simulated NCCL refuses. */
#include "cudasim/test_nccl.h"

namespace
{

void test_buffers()
{
    std::vector<nccl_rank> ranks = new_ranks(2);
    nccl_rank &a = ranks[0];
    float host[4] = {};
    float *p = a.floats(4, 0.0f), *far = ranks[1].floats(4, 0.0f);
    check(a.send(host, 4, 1) == ncclInvalidArgument && said("not allocated on any device"),
          "host memory is not sent");
    check(a.receive(far, 4, 1) == ncclInvalidArgument && said("(device 1)"),
          "nor is another device's memory received into");
    check(a.send(p, 5, 1) == ncclInvalidArgument, "nor is a buffer overrun");
    check(ncclSend(p, 4, ncclFloat32, 1, a.comm, ranks[1].stream) == ncclInvalidArgument &&
              said("a stream of device 1"),
          "the stream is one of the communicator's device");
    check(a.send(p, 4, 2) == ncclInvalidArgument && said("peer 2 of 2 ranks"),
          "the peer is one of the ranks");
    check(ncclAllReduce(p, p + 1, 2, ncclFloat32, ncclSum, a.comm, a.stream) ==
                  ncclInvalidArgument &&
              said("overlap"),
          "an all-reduce is in place or not");
    check(ncclAllReduce(p, p, 2, ncclFloat32, ncclAvg, a.comm, a.stream) == ncclInvalidArgument,
          "an average is not simulated");
    CUDA(cudaStreamBeginCapture(a.stream, cudaStreamCaptureModeRelaxed));
    check(a.send(p, 4, 1) == ncclInvalidUsage && said("captures"), "nothing is captured");
    cudaGraph_t graph;
    CUDA(cudaStreamEndCapture(a.stream, &graph));
    CUDA(cudaGraphDestroy(graph));
    end_ranks(&ranks);
}

/* A capture that begins before the group of a call in progress is launched. */
void test_capture_in_progress()
{
    nccl_rank a;
    cudaGraph_t graph;
    NCCL(a.start(new_id(), 1, 0, 0));
    NCCL(a.settle());
    float *p = a.floats(4, 0.0f);
    NCCL(ncclAllReduce(p, p, 4, ncclFloat32, ncclSum, a.comm, a.stream));
    CUDA(cudaStreamBeginCapture(a.stream, cudaStreamCaptureModeRelaxed));
    check(a.settle() == ncclInvalidUsage && said("captures"), "not even by a call in progress");
    CUDA(cudaStreamEndCapture(a.stream, &graph));
    CUDA(cudaGraphDestroy(graph));
    NCCL(ncclCommAbort(a.comm));
    reset_devices(1);
}

void test_groups()
{
    std::vector<nccl_rank> ranks = new_ranks(2);
    nccl_rank &a = ranks[0];
    float *p = a.floats(4, 0.0f);
    check(ncclGroupEnd() == ncclInvalidUsage, "a group ends that has begun");
    NCCL(ncclGroupStart());
    NCCL(a.send(p, 4, 1));
    bool refused = a.send(p, 4, 7) == ncclInvalidArgument;
    check(refused && ncclGroupEnd() == ncclInvalidArgument &&
              cudaStreamQuery(a.stream) == cudaSuccess,
          "a call that fails spoils its group");
    cudaStream_t other = new_stream();
    CUDA(cudaSetDevice(0));
    other = new_stream();
    NCCL(ncclGroupStart());
    NCCL(a.send(p, 4, 1));
    refused = ncclSend(p, 4, ncclFloat32, 1, a.comm, other) == ncclInvalidUsage;
    check(ncclGroupEnd() == ncclInvalidUsage && refused, "a group is on one stream");
    end_ranks(&ranks);
}

void abandon(nccl_rank *a, nccl_rank *b)
{
    NCCL(ncclCommAbort(a->comm));
    NCCL(ncclCommAbort(b->comm));
    reset_devices(2);
}

/* The first to come waits, the other one cannot join it. */
bool one_is_refused(const nccl_rank &a, const nccl_rank &b)
{
    ncclResult_t first = ncclSuccess, second = ncclSuccess;
    for (int i = 0; i < 100; i++) {
        NCCL(ncclCommGetAsyncError(a.comm, &first));
        NCCL(ncclCommGetAsyncError(b.comm, &second));
    }
    return (first == ncclInvalidArgument && second == ncclInProgress) ||
           (first == ncclInProgress && second == ncclInvalidArgument);
}

void test_ranks()
{
    nccl_rank a, b;
    ncclUniqueId id = new_id();
    check(a.start(id, 2, 2, 1) == ncclInvalidArgument, "a rank is one of those that there are");
    NCCL(a.start(id, 2, 0, 0));
    NCCL(b.start(id, 3, 1, 0));
    check(one_is_refused(a, b) && said("there are 2") && said("there are 3"),
          "all say the same number of ranks");
    abandon(&a, &b);
    id = new_id();
    NCCL(a.start(id, 2, 0, 0));
    NCCL(b.start(id, 2, 0, 0));
    check(one_is_refused(a, b) && said("taken"), "a rank is taken once");
    abandon(&a, &b);
    memset(id.internal, 1, sizeof id.internal);
    NCCL(a.start(id, 1, 0, 0));
    check(a.settle() == ncclInvalidArgument && said("unique id"), "an id was made by a call");
    NCCL(ncclCommAbort(a.comm));
    reset_devices(1);
}

/* Devices of one index are one device, also in different processes. */
void test_shared_device()
{
    ncclComm_t comms[2];
    ncclUniqueId id = new_id();
    CUDA(cudaSetDevice(0));
    NCCL(ncclGroupStart());
    for (int r = 0; r < 2; r++)
        NCCL(ncclCommInitRank(&comms[r], 2, id, r));
    check(ncclGroupEnd() == ncclInvalidUsage && said("Duplicate GPU"),
          "two ranks do not share a device");
    for (ncclComm_t comm : comms)
        NCCL(ncclCommAbort(comm));
}

void test_config()
{
    ncclComm_t comm;
    ncclConfig_t config;
    memset(&config, 0, sizeof config);
    check(ncclCommInitRankConfig(&comm, 1, new_id(), 0, &config) == ncclInvalidArgument &&
              said("NCCL_CONFIG_INITIALIZER"),
          "a configuration has to be initialized");
}

} // namespace

void test_nccl_refusals()
{
    test_buffers();
    test_capture_in_progress();
    test_groups();
    test_ranks();
    test_shared_device();
    test_config();
}
