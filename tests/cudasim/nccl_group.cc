/* Collects the calls of a group, and launches them; see nccl_group.h. */
#include "cudasim/nccl_group.h"

#include "cudasim/nccl_entry.h"
#include "cudasim/nccl_error.h"

#include <algorithm>

namespace mb_cudasim
{

namespace
{

struct group {
    int depth = 0;
    ncclResult_t error = ncclSuccess;
    std::vector<batch> batches;
    std::vector<ncclComm *> starts;
};

thread_local group the_group;

/* What NCCL's thread does for a communicator whose calls do not wait. */
class launch_entry final : public entry
{
  public:
    launch_entry(ncclComm *comm, cudaStream_t stream, std::unique_ptr<entry> what)
        : comm_(comm), stream_(stream), what_(std::move(what))
    {
        if (comm->connects)
            ready_at_ = comm_slow_end();
        comm->connects = false;
    }
    bool ready() const override
    {
        return comm_clock::now() >= ready_at_;
    }
    bool waits_outside() const override
    {
        return true;
    }
    bool step() override
    {
        ncclResult_t result = check();
        if (result == ncclSuccess)
            stream_append(stream_, std::move(what_));
        else
            comm_fail(comm_, result);
        return true;
    }

  private:
    /* The program may have done things to its stream since the call. */
    ncclResult_t check() const
    {
        if (stream_check(stream_, "the launch of an NCCL group") != cudaSuccess)
            return ncclInvalidArgument;
        if (stream_->capturing)
            return nccl_refuse(ncclInvalidUsage,
                               "rank %d: a stream captures since before its group was launched",
                               comm_->rank);
        return ncclSuccess;
    }
    ncclComm *comm_;
    cudaStream_t stream_;
    std::unique_ptr<entry> what_;
    comm_clock::time_point ready_at_;
};

void issue(batch b)
{
    ncclComm *comm = b.comm;
    cudaStream_t stream = b.stream;
    for (auto &work : b.works)
        for (transfer &t : work->transfers)
            t.issue();
    auto what = make_group_entry(std::move(b));
    if (comm->blocking)
        stream_append(stream, std::move(what));
    else
        stream_append(comm->worker, std::make_unique<launch_entry>(comm, stream, std::move(what)));
}

ncclResult_t check_mixture(const group &g)
{
    int blocking = 0, other = 0;
    for (const batch &b : g.batches)
        ++(b.comm->blocking ? blocking : other);
    for (const ncclComm *c : g.starts)
        ++(c->blocking ? blocking : other);
    if (blocking && other)
        return nccl_refuse(ncclInvalidArgument,
                           "a group with communicators that block and others that do not");
    if (!g.batches.empty() && !g.starts.empty())
        return nccl_refuse(ncclInvalidUsage,
                           "a group that makes communicators and communicates as well");
    return ncclSuccess;
}

bool any_does_not_wait(const group &g)
{
    return std::any_of(g.batches.begin(), g.batches.end(),
                       [](const batch &b) { return !b.comm->blocking; }) ||
           std::any_of(g.starts.begin(), g.starts.end(), [](ncclComm *c) { return !c->blocking; });
}

ncclResult_t check(const group &g)
{
    NCCL_TRY(g.error);
    return check_mixture(g);
}

ncclResult_t run(group g)
{
    ncclResult_t result = check(g);
    if (result != ncclSuccess) {
        for (ncclComm *c : g.starts)
            comm_end(c, ncclPhase::destroyed);
        return result;
    }
    bool in_progress = any_does_not_wait(g);
    for (batch &b : g.batches)
        issue(std::move(b));
    for (ncclComm *c : g.starts)
        comm_start(c);
    return in_progress ? ncclInProgress : comms_wait(g.starts);
}

} // namespace

void group_begin()
{
    the_group.depth++;
}

ncclResult_t group_end(ncclResult_t begun)
{
    if (the_group.depth == 0)
        return nccl_refuse(ncclInvalidUsage, "ncclGroupEnd without an ncclGroupStart");
    group_spoil(begun);
    if (--the_group.depth > 0)
        return begun;
    group g;
    std::swap(g, the_group);
    return run(std::move(g));
}

void group_spoil(ncclResult_t code)
{
    if (the_group.depth > 0 && the_group.error == ncclSuccess)
        the_group.error = code;
}

ncclResult_t group_add(ncclComm *comm, cudaStream_t stream, std::unique_ptr<nccl_work> work)
{
    std::vector<batch> &all = the_group.batches;
    auto found = std::find_if(all.begin(), all.end(), [=](batch &b) { return b.comm == comm; });
    if (found == all.end())
        found = all.insert(found, batch{comm, stream, {}});
    if (found->stream != stream)
        return nccl_refuse(ncclInvalidUsage,
                           "a group uses one communicator on two streams, which is not simulated");
    found->works.push_back(std::move(work));
    return ncclSuccess;
}

void group_add_start(ncclComm *comm)
{
    the_group.starts.push_back(comm);
}

} // namespace mb_cudasim

using namespace mb_cudasim;

ncclResult_t ncclGroupStart(void)
{
    return nccl_call([] {
        group_begin();
        return ncclSuccess;
    });
}

ncclResult_t ncclGroupEnd(void)
{
    return nccl_locked([] { return group_end(nccl_injected("ncclGroupEnd")); });
}
