/* NCCL's calls that fail because MB_CUDASIM_FAIL wants them to. */
#include "cudasim/test_nccl.h"

namespace
{

void test_calls()
{
    std::vector<nccl_rank> ranks = new_ranks(2);
    nccl_rank &a = ranks[0];
    float *p = a.floats(4, 0.0f);
    mb_cudasim_fail("ncclSend:2");
    NCCL(ncclGroupStart());
    NCCL(a.send(p, 4, 1));
    bool failed = a.send(p, 4, 1) == ncclSystemError;
    check(failed && ncclGroupEnd() == ncclSystemError && cudaStreamQuery(a.stream) == cudaSuccess,
          "a send that fails spoils its group");
    mb_cudasim_fail("ncclGroupEnd:1");
    NCCL(ncclGroupStart());
    NCCL(a.send(p, 4, 1));
    check(ncclGroupEnd() == ncclSystemError && cudaStreamQuery(a.stream) == cudaSuccess &&
              ncclGroupEnd() == ncclInvalidUsage,
          "a group whose end fails is over all the same");
    end_ranks(&ranks);
    mb_cudasim_fail("ncclCommInitRankConfig:1");
    check(a.start(new_id(), 1, 0, 0) == ncclSystemError, "a communicator may not come to be");
    reset_device();
}

void test_lost_peer()
{
    std::vector<nccl_rank> ranks = new_ranks(1);
    ncclResult_t first, second, third;
    mb_cudasim_fail("ncclAsync:2");
    NCCL(ncclCommGetAsyncError(ranks[0].comm, &first));
    NCCL(ncclCommGetAsyncError(ranks[0].comm, &second));
    NCCL(ncclCommGetAsyncError(ranks[0].comm, &third));
    check(first == ncclSuccess && second == ncclRemoteError && third == ncclRemoteError,
          "a peer is lost from a question on");
    NCCL(ncclCommAbort(ranks[0].comm));
    reset_device();
}

} // namespace

void test_nccl_failing()
{
    test_calls();
    test_lost_peer();
    mb_cudasim_fail(nullptr);
}
