/* NCCL between ranks of one process: what matches what, what waits for what, and when data is
 * read. */
#include "cudasim/test_nccl.h"

#include <thread>

namespace
{

using floats = std::vector<float>;

__global__ void set_kernel(float *p, float value)
{
    p[threadIdx.x] = value;
}

/* ---- coming together */

void test_start()
{
    nccl_rank a, b;
    ncclUniqueId id = new_id();
    ncclResult_t found = ncclSuccess;
    check(a.start(id, 2, 0, 0) == ncclInProgress, "a call that does not wait is in progress");
    for (int i = 0; i < 100; i++)
        NCCL(ncclCommGetAsyncError(a.comm, &found));
    check(found == ncclInProgress, "a communicator is in progress until all ranks have come");
    check(a.send(a.floats(1, 1.0f), 1, 1) == ncclInvalidArgument && said("in progress"),
          "until then it takes no calls");
    NCCL(b.start(id, 2, 1, 0));
    int count = 0, rank = 0, device = 0;
    check(a.settle() == ncclSuccess && b.settle() == ncclSuccess, "then it is ready");
    NCCL(ncclCommCount(b.comm, &count));
    NCCL(ncclCommUserRank(b.comm, &rank));
    NCCL(ncclCommCuDevice(b.comm, &device));
    check(count == 2 && rank == 1 && device == 1, "and knows its place");
    NCCL(ncclCommDestroy(a.comm));
    NCCL(ncclCommDestroy(b.comm));
    reset_devices(2);
}

void test_finalize()
{
    nccl_rank a, b;
    ncclUniqueId id = new_id();
    NCCL(a.start(id, 2, 0, 0));
    NCCL(b.start(id, 2, 1, 0));
    NCCL(a.settle());
    NCCL(b.settle());
    ncclResult_t found = ncclSuccess;
    check(ncclCommFinalize(a.comm) == ncclInProgress, "finalizing does not wait either");
    for (int i = 0; i < 100; i++)
        NCCL(ncclCommGetAsyncError(a.comm, &found));
    check(found == ncclInProgress && ncclCommDestroy(a.comm) == ncclInvalidArgument,
          "a rank is finalized when all are");
    NCCL(ncclCommFinalize(b.comm));
    check(a.settle() == ncclSuccess && b.settle() == ncclSuccess &&
              ncclCommDestroy(a.comm) == ncclSuccess && ncclCommDestroy(b.comm) == ncclSuccess,
          "then it can be destroyed");
    reset_devices(2);
}

/* ---- matching */

void test_order()
{
    std::vector<nccl_rank> ranks = new_ranks(2);
    nccl_rank &a = ranks[0], &b = ranks[1];
    const size_t sizes[] = {100, 3, 20000};
    std::vector<float *> from, to;
    for (size_t n : sizes) {
        from.push_back(a.floats(n, (float)n));
        to.push_back(b.floats(n, 0.0f));
    }
    NCCL(ncclGroupStart());
    for (int i = 0; i < 3; i++)
        NCCL(a.send(from[(size_t)i], sizes[i], 1));
    NCCL(ncclGroupEnd());
    for (int i = 0; i < 3; i++)
        NCCL(b.receive(to[(size_t)i], sizes[i], 0));
    CUDA(finish(ranks));
    bool right = true;
    for (size_t i = 0; i < 3; i++)
        right = right && b.read(to[i], sizes[i]) == floats(sizes[i], (float)sizes[i]);
    check(right, "messages match in the order of the calls, grouped or not");
    end_ranks(&ranks);
}

/* Against a send of 8 of float32. */
void test_mismatch(size_t count, ncclDataType_t type, const char *text, const char *what)
{
    std::vector<nccl_rank> ranks = new_ranks(2);
    nccl_rank &a = ranks[0], &b = ranks[1];
    ncclResult_t found = ncclSuccess;
    NCCL(a.send(a.floats(8, 1.0f), 8, 1));
    NCCL(ncclRecv(b.floats(8, 0.0f), count, type, 0, b.comm, b.stream));
    bool failed = cudaStreamSynchronize(b.stream) == cudaErrorLaunchFailure;
    NCCL(ncclCommGetAsyncError(b.comm, &found));
    check(failed && found == ncclInvalidUsage && said(text) && said("is 8 of float32"), what);
    NCCL(ncclCommAbort(a.comm));
    NCCL(ncclCommAbort(b.comm));
    reset_devices(2);
}

/* ---- waiting */

void exchange(std::vector<nccl_rank> *ranks, bool grouped)
{
    for (int r = 0; r < 2; r++) {
        nccl_rank &self = (*ranks)[(size_t)r];
        float *from = self.floats(64, (float)r + 1.0f), *to = self.floats(64, 0.0f);
        if (grouped)
            NCCL(ncclGroupStart());
        NCCL(self.send(from, 64, 1 - r));
        NCCL(self.receive(to, 64, 1 - r));
        if (grouped)
            NCCL(ncclGroupEnd());
        CUDA(cudaMemcpyAsync(from, to, 256, cudaMemcpyDeviceToDevice, self.stream));
    }
    CUDA(finish(*ranks));
}

void exchange_ungrouped()
{
    std::vector<nccl_rank> ranks = new_ranks(2);
    exchange(&ranks, false);
}

void test_opposed()
{
    for (uint64_t seed = 1; seed <= 5; seed++) {
        mb_cudasim_seed(seed);
        std::vector<nccl_rank> ranks = new_ranks(2);
        exchange(&ranks, true);
        end_ranks(&ranks);
    }
    check(true, "opposed messages of a group pass each other");
    bool explained;
    int died = run_in_child(exchange_ungrouped,
                            "rank 1's send 1 to rank 0 (64 of float32) waits for that rank's "
                            "receive, which is not at work",
                            &explained);
    check(died != 0 && explained, "ungrouped ones wait for each other, which is said");
}

void finalize_alone()
{
    std::vector<nccl_rank> ranks = new_ranks(2);
    NCCL(ncclCommFinalize(ranks[0].comm));
}

void test_deadlock_of_finalize()
{
    bool explained;
    int died = run_in_child(finalize_alone, "waits for rank 1's", &explained);
    check(died != 0 && explained, "a rank that finalizes alone is told, too");
}

void test_rendezvous()
{
    std::vector<nccl_rank> ranks = new_ranks(2);
    nccl_rank &a = ranks[0], &b = ranks[1];
    bool early = false;
    float *from = a.floats(4, 1.0f), *to = b.floats(4, 0.0f);
    NCCL(a.send(from, 4, 1));
    for (int i = 0; i < 200; i++)
        early = early || cudaStreamQuery(a.stream) != cudaErrorNotReady;
    check(!early, "a send waits for its receive, however short it is");
    (void)cudaGetLastError();
    NCCL(b.receive(to, 4, 0));
    CUDA(finish(ranks));
    check(b.read(to, 4) == floats(4, 1.0f), "and then goes through");
    end_ranks(&ranks);
}

/* A send to itself, too, is only met by a receive at work. */
void test_self()
{
    std::vector<nccl_rank> ranks = new_ranks(1);
    nccl_rank &a = ranks[0];
    float *from = a.floats(4, 5.0f), *to = a.floats(4, 0.0f);
    NCCL(ncclGroupStart());
    NCCL(a.send(from, 4, 0));
    NCCL(a.receive(to, 4, 0));
    NCCL(ncclGroupEnd());
    CUDA(finish(ranks));
    check(a.read(to, 4) == floats(4, 5.0f), "a rank can send to itself");
    end_ranks(&ranks);
}

/* ---- when data is read */

bool sent_in_time(uint64_t seed, bool with_event)
{
    mb_cudasim_seed(seed);
    std::vector<nccl_rank> ranks = new_ranks(2);
    nccl_rank &a = ranks[0], &b = ranks[1];
    float *to = b.floats(32, 0.0f), *from = a.floats(32, 1.0f);
    cudaStream_t compute = new_stream();
    cudaEvent_t written;
    CUDA(cudaEventCreateWithFlags(&written, cudaEventDisableTiming));
    MB_LAUNCH(set_kernel, 1, 32, 0, compute, from, 3.0f);
    CUDA(cudaEventRecord(written, compute));
    if (with_event)
        CUDA(cudaStreamWaitEvent(a.stream, written, 0));
    NCCL(a.send(from, 32, 1));
    NCCL(b.receive(to, 32, 0));
    CUDA(finish(ranks));
    bool right = b.read(to, 32) == floats(32, 3.0f);
    CUDA(cudaStreamSynchronize(compute));
    CUDA(cudaEventDestroy(written));
    end_ranks(&ranks);
    return right;
}

void test_missing_event()
{
    int wrong_without = 0, wrong_with = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        wrong_without += !sent_in_time(seed, false);
        wrong_with += !sent_in_time(seed, true);
    }
    check(wrong_without > 0 && wrong_without < 20,
          "a send that waits for no event sends wrong numbers for some seeds");
    check(wrong_with == 0, "with the event it never does");
}

/* The kernel behind a receive that was not asked about. */
bool launched_in_order(uint64_t seed, bool asks)
{
    nccl_rank a, b;
    ncclUniqueId id = new_id();
    mb_cudasim_seed(seed);
    NCCL(a.start(id, 2, 0, 0));
    NCCL(b.start(id, 2, 1, 0));
    NCCL(a.settle());
    NCCL(b.settle());
    float *from = a.floats(32, 1.0f), *to = b.floats(32, 0.0f);
    NCCL(a.send(from, 32, 1));
    NCCL(b.receive(to, 32, 0));
    if (asks)
        NCCL(b.settle());
    MB_LAUNCH(set_kernel, 1, 32, 0, b.stream, to, 5.0f);
    NCCL(a.settle());
    NCCL(b.settle());
    CUDA(cudaStreamSynchronize(b.stream));
    bool right = b.read(to, 32) == floats(32, 5.0f);
    NCCL(ncclCommDestroy(a.comm));
    NCCL(ncclCommDestroy(b.comm));
    reset_devices(2);
    return right;
}

void test_launch_in_progress()
{
    int wrong_without = 0, wrong_with = 0;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        wrong_without += !launched_in_order(seed, false);
        wrong_with += !launched_in_order(seed, true);
    }
    check(wrong_without > 0, "work behind a call in progress may come in front of it");
    check(wrong_with == 0, "behind a call that is asked about it never does");
}

/* ---- much data */

bool ring_is_right(uint64_t seed, size_t n)
{
    mb_cudasim_seed(seed);
    std::vector<nccl_rank> ranks = new_ranks(4);
    std::vector<float *> to;
    NCCL(ncclGroupStart());
    for (int r = 0; r < 4; r++) {
        nccl_rank &self = ranks[(size_t)r];
        to.push_back(self.floats(n, 0.0f));
        NCCL(self.send(self.floats(n, (float)r), n, (r + 1) % 4));
        NCCL(self.receive(to.back(), n, (r + 3) % 4));
    }
    NCCL(ncclGroupEnd());
    CUDA(finish(ranks));
    bool right = true;
    for (int r = 0; r < 4; r++)
        right = right && ranks[(size_t)r].read(to[(size_t)r], n) == floats(n, (float)((r + 3) % 4));
    end_ranks(&ranks);
    return right;
}

/* Numbers that tell their place, so that pieces in a wrong order show. */
bool places_are_right()
{
    const size_t n = 100003;
    std::vector<nccl_rank> ranks = new_ranks(2);
    floats places(n);
    for (size_t i = 0; i < n; i++)
        places[i] = (float)i;
    CUDA(cudaSetDevice(0));
    float *from = new_floats(places), *to = ranks[1].floats(n, 0.0f);
    NCCL(ranks[0].send(from, n, 1));
    NCCL(ranks[1].receive(to, n, 0));
    CUDA(finish(ranks));
    bool right = ranks[1].read(to, n) == places;
    end_ranks(&ranks);
    return right;
}

void test_pieces()
{
    bool right = true;
    for (uint64_t seed = 1; seed <= 5; seed++)
        right = right && ring_is_right(seed, 30001) && ring_is_right(seed, 0);
    check(right, "a ring of messages of many pieces, or of none, goes around");
    check(places_are_right(), "pieces arrive in their places");
}

/* ---- the end */

void test_abort()
{
    std::vector<nccl_rank> ranks = new_ranks(2);
    nccl_rank &a = ranks[0];
    float *p = a.floats(32, 0.0f);
    NCCL(a.receive(p, 32, 1));
    MB_LAUNCH(set_kernel, 1, 32, 0, a.stream, p, 2.0f);
    for (int i = 0; i < 100; i++)
        (void)cudaStreamQuery(a.stream);
    check(cudaStreamQuery(a.stream) == cudaErrorNotReady, "a receive without a send waits");
    (void)cudaGetLastError();
    NCCL(ncclCommAbort(a.comm));
    check(cudaStreamSynchronize(a.stream) == cudaSuccess && a.read(p, 1)[0] == 2.0f,
          "an abort lets its stream go on");
    check(a.send(p, 1, 1) == ncclInvalidArgument && said("was aborted"),
          "a communicator is not used after that");
    NCCL(ncclCommAbort(ranks[1].comm));
    reset_devices(2);
}

void be_rank(int number, ncclUniqueId id, bool *right)
{
    nccl_rank self;
    NCCL(self.start(id, 2, number, 1));
    float *from = self.floats(1000, (float)number + 1.0f), *to = self.floats(1000, 0.0f);
    for (int i = 0; i < 20; i++) {
        NCCL(number ? self.send(from, 1000, 0) : self.receive(to, 1000, 1));
        CUDA(cudaStreamSynchronize(self.stream));
    }
    *right = number || self.read(to, 1000) == floats(1000, 2.0f);
    NCCL(ncclCommFinalize(self.comm));
    NCCL(ncclCommDestroy(self.comm));
}

void test_threads_as_ranks()
{
    bool first, second;
    ncclUniqueId id = new_id();
    std::thread other(be_rank, 1, id, &second);
    be_rank(0, id, &first);
    other.join();
    check(first && second, "threads of the host are ranks that wait for each other");
    reset_devices(2);
}

} // namespace

void test_nccl()
{
    int version = 0;
    NCCL(ncclGetVersion(&version));
    check(version == NCCL_VERSION_CODE, "NCCL is the one of the header");
    test_start();
    test_finalize();
    test_order();
    test_mismatch(7, ncclFloat32, "is 7 of float32",
                  "messages of different sizes do not match, which is said");
    test_mismatch(8, ncclInt32, "is 8 of int32", "nor do those of different types");
    test_opposed();
    test_deadlock_of_finalize();
    test_rendezvous();
    test_self();
    test_missing_event();
    test_launch_in_progress();
    test_pieces();
    test_abort();
    test_threads_as_ranks();
}
