/* How the ranks of a communicator come together. */
#include "cudasim/nccl_error.h"
#include "cudasim/nccl_group.h"

namespace mb_cudasim
{

namespace
{

/* Two ranks on one device wait for each other's kernels; NCCL refuses them. */
ncclResult_t check_devices(const ncclComm &comm)
{
    for (int r = 0; r < comm.ranks; r++)
        if (r != comm.rank && comm.memory->line(r).device == comm.device)
            return nccl_refuse(ncclInvalidUsage,
                               "Duplicate GPU detected : rank %d and rank %d both on device %d",
                               comm.rank, r, comm.device);
    return ncclSuccess;
}

void open_lines(ncclComm *comm)
{
    comm->lines.resize((size_t)N_CHANNELS * 2 * (size_t)comm->ranks);
    for (channel c : {CHANNEL_PAIRS, CHANNEL_COLLECTIVES})
        for (int r = 0; r < comm->ranks; r++) {
            comm_line(comm, c, true, r)->box = comm->memory->box(c, comm->rank, r);
            comm_line(comm, c, false, r)->box = comm->memory->box(c, r, comm->rank);
        }
}

/* Attaches, and is ready again when all others have and its own time is over. */
class start_entry final : public entry
{
  public:
    explicit start_entry(ncclComm *comm) : comm_(comm)
    {
    }
    bool ready() const override
    {
        return !comm_->memory || (comm_->memory->complete() && comm_clock::now() >= ready_at_);
    }
    bool step() override
    {
        bool first = !comm_->memory;
        ncclResult_t result = first ? attach() : meet();
        if (result != ncclSuccess)
            comm_fail(comm_, result);
        return !first || result != ncclSuccess;
    }
    bool waits_outside() const override
    {
        return true;
    }

  private:
    ncclResult_t attach()
    {
        ready_at_ = comm_slow_end();
        comm_->memory = std::make_unique<segment>();
        return comm_->memory->attach(comm_->id, comm_->ranks, comm_->rank, comm_->device);
    }
    ncclResult_t meet()
    {
        segment_close(comm_->id);
        open_lines(comm_);
        return check_devices(*comm_);
    }
    ncclComm *comm_;
    comm_clock::time_point ready_at_;
};

ncclResult_t check_config(const ncclConfig_t *config)
{
    const ncclConfig_t fresh = NCCL_CONFIG_INITIALIZER;
    if (config->magic != fresh.magic || config->size != fresh.size)
        return nccl_refuse(ncclInvalidArgument,
                           "the ncclConfig_t was not made by NCCL_CONFIG_INITIALIZER");
    if (config->blocking != NCCL_CONFIG_UNDEF_INT && config->blocking != 0 && config->blocking != 1)
        return nccl_refuse(ncclInvalidArgument, "ncclConfig_t: blocking is %d", config->blocking);
    return ncclSuccess;
}

ncclResult_t check_ranks(int ranks, int rank)
{
    if (ranks < 1 || rank < 0 || rank >= ranks)
        return nccl_refuse(ncclInvalidArgument, "a communicator's rank %d of %d", rank, ranks);
    return ncclSuccess;
}

ncclResult_t create(ncclComm_t *out, int ranks, const ncclUniqueId &id, int rank, bool blocking)
{
    NCCL_TRY(check_ranks(ranks, rank));
    *out = comm_create(ranks, id, rank, blocking);
    group_add_start(*out);
    return ncclSuccess;
}

} // namespace

void comm_start(ncclComm *comm)
{
    stream_append(comm->worker, std::make_unique<start_entry>(comm));
}

} // namespace mb_cudasim

using namespace mb_cudasim;

ncclResult_t ncclGetUniqueId(ncclUniqueId *id)
{
    return nccl_call([=] { return segment_make(id); });
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t *comm, int ranks, ncclUniqueId id, int rank,
                                    ncclConfig_t *config)
{
    return nccl_call([&] {
        ncclResult_t result = config ? check_config(config) : ncclSuccess;
        group_begin();
        if (result == ncclSuccess)
            result = create(comm, ranks, id, rank, !config || config->blocking != 0);
        return group_end(result);
    });
}

ncclResult_t ncclCommInitRank(ncclComm_t *comm, int ranks, ncclUniqueId id, int rank)
{
    return nccl_call([&] {
        group_begin();
        return group_end(create(comm, ranks, id, rank, true));
    });
}
