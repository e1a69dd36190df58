/* What communicators there are, in which state, and what they tell about themselves. */
#include "cudasim/nccl_comm.h"

#include "cudasim/nccl_error.h"
#include "cudasim/random.h"

#include <unistd.h>

#include <unordered_set>

namespace mb_cudasim
{

namespace
{

std::unordered_set<const ncclComm *> &comms()
{
    static auto *all = new std::unordered_set<const ncclComm *>;
    return *all;
}

} // namespace

comm_clock::time_point comm_slow_end()
{
    return comm_clock::now() + std::chrono::milliseconds(draw().below(4) ? 0 : draw().below(300));
}

ncclComm *comm_create(int ranks, const ncclUniqueId &id, int rank, bool blocking)
{
    auto comm = new ncclComm;
    comm->rank = rank;
    comm->ranks = ranks;
    comm->device = current_device();
    comm->blocking = blocking;
    comm->id = id;
    comm->worker = stream_create(NO_DEVICE, cudaStreamNonBlocking, 0);
    comms().insert(comm);
    return comm;
}

void comm_end(ncclComm *comm, ncclPhase how)
{
    comm->phase = how;
    comm->worker->entries.clear();
    stream_destroy(comm->worker);
    comm->worker = nullptr;
    comm->memory.reset();
    if (how == ncclPhase::aborted)
        segment_close(comm->id);
}

bool comm_over(const ncclComm *comm)
{
    return comm->phase == ncclPhase::aborted || comm->phase == ncclPhase::destroyed;
}

bool comm_in_progress(const ncclComm *comm)
{
    return !comm_over(comm) && !stream_idle(comm->worker);
}

void comm_fail(ncclComm *comm, ncclResult_t code)
{
    if (comm->error == ncclSuccess)
        comm->error = code;
}

bool comm_is_outside(const ncclComm *comm, int peer)
{
    return comm->memory->line(peer).pid != getpid();
}

ncclLine *comm_line(ncclComm *comm, channel which, bool sends, int peer)
{
    size_t ranks = (size_t)comm->ranks;
    return &comm->lines[((size_t)which * 2 + sends) * ranks + (size_t)peer];
}

ncclResult_t comm_check(ncclComm_t comm, const char *call)
{
    if (!comms().count(comm))
        return nccl_refuse(ncclInvalidArgument, "%s: %p is no communicator", call, (void *)comm);
    if (!comm_over(comm))
        return ncclSuccess;
    return nccl_refuse(ncclInvalidArgument, "%s: rank %d's communicator was %s", call, comm->rank,
                       comm->phase == ncclPhase::aborted ? "aborted" : "destroyed");
}

ncclResult_t comm_check_ready(ncclComm_t comm, const char *call)
{
    NCCL_TRY(comm_check(comm, call));
    if (comm->error != ncclSuccess)
        return nccl_refuse(comm->error, "%s: rank %d's communicator has failed", call, comm->rank);
    if (comm_in_progress(comm))
        return nccl_refuse(ncclInvalidArgument,
                           "%s: rank %d's communicator is in progress with an earlier call; ask "
                           "ncclCommGetAsyncError until it is not",
                           call, comm->rank);
    if (comm->phase != ncclPhase::alive)
        return nccl_refuse(ncclInvalidUsage, "%s: rank %d's communicator was finalized", call,
                           comm->rank);
    return ncclSuccess;
}

ncclResult_t comms_wait(const std::vector<ncclComm *> &comms)
{
    for (ncclComm *comm : comms)
        pump_until([=] { return !comm_in_progress(comm); });
    for (ncclComm *comm : comms)
        NCCL_TRY(comm->error);
    return ncclSuccess;
}

} // namespace mb_cudasim

using namespace mb_cudasim;

namespace
{

ncclResult_t tell(ncclComm_t comm, const char *call, int ncclComm::*what, int *out)
{
    auto body = [&] {
        NCCL_TRY(comm_check_ready(comm, call));
        *out = comm->*what;
        return ncclSuccess;
    };
    return nccl_call(body, call);
}

} // namespace

ncclResult_t ncclCommCount(const ncclComm_t comm, int *count)
{
    return tell(comm, "ncclCommCount", &ncclComm::ranks, count);
}

ncclResult_t ncclCommUserRank(const ncclComm_t comm, int *rank)
{
    return tell(comm, "ncclCommUserRank", &ncclComm::rank, rank);
}

ncclResult_t ncclCommCuDevice(const ncclComm_t comm, int *device)
{
    return tell(comm, "ncclCommCuDevice", &ncclComm::device, device);
}

/* Time passes, too: a program may wait for its peers by other means than CUDA's calls. */
ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t *error)
{
    return nccl_call([&] {
        NCCL_TRY(comm_check(comm, "ncclCommGetAsyncError"));
        pump_some();
        if (must_fail("ncclAsync"))
            comm_fail(comm, ncclRemoteError);
        *error = comm->error != ncclSuccess ? comm->error
                 : comm_in_progress(comm)   ? ncclInProgress
                                            : ncclSuccess;
        return ncclSuccess;
    });
}
