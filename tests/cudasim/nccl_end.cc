/* How a communicator ends: together with the others (finalize), alone when its work is over
 * (destroy), or at once (abort). */
#include "cudasim/nccl_comm.h"
#include "cudasim/nccl_error.h"

namespace mb_cudasim
{

namespace
{

bool work_is_over(const ncclComm *comm)
{
    return comm_over(comm) || comm->finished == comm->launched;
}

/* Tells the others once this rank's work is over, and waits until all have told so. */
class finalize_entry final : public entry
{
  public:
    explicit finalize_entry(ncclComm *comm) : comm_(comm)
    {
    }
    bool ready() const override
    {
        return told_ ? late_rank() < 0 : work_is_over(comm_);
    }
    bool step() override
    {
        if (told_) {
            comm_->phase = ncclPhase::finalized;
            return true;
        }
        comm_->memory->line(comm_->rank).finalized.store(1);
        told_ = true;
        return false;
    }
    bool waits_outside() const override
    {
        return told_ && late_rank() >= 0 && comm_is_outside(comm_, late_rank());
    }
    std::string waits_for() const override
    {
        std::string self = "rank " + std::to_string(comm_->rank) + "'s ncclCommFinalize waits for ";
        return self + (told_ ? "rank " + std::to_string(late_rank()) + "'s" : "its own work");
    }

  private:
    int late_rank() const
    {
        for (int r = 0; r < comm_->ranks; r++)
            if (!comm_->memory->line(r).finalized.load())
                return r;
        return -1;
    }
    ncclComm *comm_;
    bool told_ = false;
};

ncclResult_t finalize(ncclComm_t comm)
{
    NCCL_TRY(comm_check_ready(comm, "ncclCommFinalize"));
    comm->phase = ncclPhase::finalizing;
    stream_append(comm->worker, std::make_unique<finalize_entry>(comm));
    return comm->blocking ? comms_wait({comm}) : ncclInProgress;
}

/* Waits for its own work, whether its calls wait or not. */
ncclResult_t destroy(ncclComm_t comm)
{
    NCCL_TRY(comm_check(comm, "ncclCommDestroy"));
    if (comm_in_progress(comm))
        return nccl_refuse(ncclInvalidArgument,
                           "ncclCommDestroy: rank %d's communicator is in progress with an earlier "
                           "call; ask ncclCommGetAsyncError until it is not",
                           comm->rank);
    if (comm->error != ncclSuccess && !work_is_over(comm))
        return nccl_refuse(ncclInvalidUsage,
                           "ncclCommDestroy: rank %d's communicator has failed with work to do; it "
                           "can be aborted only",
                           comm->rank);
    pump_until([=] { return work_is_over(comm); });
    if (!comm_over(comm))
        comm_end(comm, ncclPhase::destroyed);
    return ncclSuccess;
}

} // namespace

} // namespace mb_cudasim

using namespace mb_cudasim;

ncclResult_t ncclCommFinalize(ncclComm_t comm)
{
    return nccl_call([=] { return finalize(comm); });
}

ncclResult_t ncclCommDestroy(ncclComm_t comm)
{
    return nccl_call([=] { return destroy(comm); });
}

ncclResult_t ncclCommAbort(ncclComm_t comm)
{
    return nccl_call([=] {
        NCCL_TRY(comm_check(comm, "ncclCommAbort"));
        comm_end(comm, ncclPhase::aborted);
        return ncclSuccess;
    });
}
