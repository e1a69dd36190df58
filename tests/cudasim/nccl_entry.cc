/* Moves a group's transfers, one a time; see nccl_entry.h. */
#include "cudasim/nccl_entry.h"

#include "cudasim/nccl_error.h"
#include "cudasim/random.h"

#include <algorithm>

namespace mb_cudasim
{

namespace
{

bool work_is_over(const nccl_work &work)
{
    return std::all_of(work.transfers.begin(), work.transfers.end(),
                       [](const transfer &t) { return t.over(); });
}

class group_entry final : public entry
{
  public:
    explicit group_entry(batch b) : comm_(b.comm), works_(std::move(b.works))
    {
        comm_->launched++;
    }
    ~group_entry() override
    {
        comm_->finished++;
    }
    bool ready() const override
    {
        if (given_up())
            return true;
        bool any = false;
        each([&](const nccl_work &w) {
            any = any || work_is_over(w);
            for (const transfer &t : w.transfers)
                any = any || t.can_move();
        });
        return any;
    }
    bool step() override
    {
        if (given_up())
            return true;
        ncclResult_t result = move_one();
        if (result != ncclSuccess)
            fail(result);
        return works_.empty() || given_up();
    }
    bool waits_outside() const override
    {
        bool any = false;
        each([&](const nccl_work &w) {
            for (const transfer &t : w.transfers)
                any = any || t.waits_outside();
        });
        return any;
    }
    std::string waits_for() const override
    {
        std::string all;
        each([&](const nccl_work &w) {
            for (const transfer &t : w.transfers)
                if (!t.over())
                    all += (all.empty() ? "" : "; ") + t.describe();
        });
        return all;
    }

  private:
    template <typename F> void each(F visit) const
    {
        for (const auto &work : works_)
            visit(*work);
    }
    bool given_up() const
    {
        return comm_over(comm_) || device_error(comm_->device) != cudaSuccess;
    }
    void fail(ncclResult_t code)
    {
        comm_fail(comm_, code);
        set_device_error(comm_->device, cudaErrorLaunchFailure);
    }
    ncclResult_t move_one()
    {
        std::vector<transfer *> movable;
        for (auto &work : works_)
            for (transfer &t : work->transfers)
                if (t.can_move())
                    movable.push_back(&t);
        if (!movable.empty())
            NCCL_TRY(movable[draw().below(movable.size())]->move());
        return finish_works();
    }
    ncclResult_t finish_works()
    {
        for (size_t i = 0; i < works_.size();) {
            if (!work_is_over(*works_[i])) {
                i++;
                continue;
            }
            NCCL_TRY(works_[i]->finish());
            works_.erase(works_.begin() + (ptrdiff_t)i);
        }
        return ncclSuccess;
    }
    ncclComm *comm_;
    std::vector<std::unique_ptr<nccl_work>> works_;
};

} // namespace

std::unique_ptr<entry> make_group_entry(batch b)
{
    return std::make_unique<group_entry>(std::move(b));
}

} // namespace mb_cudasim
