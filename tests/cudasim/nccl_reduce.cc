/* ncclAllReduce: every rank sends all it has to every other one, and adds up what they sent and its
 * own in the order of the ranks, so that all get the same bits. NCCL adds in other orders. */
#include "cudasim/memory.h"
#include "cudasim/nccl_error.h"
#include "cudasim/nccl_work.h"

#include <string.h>

#include <algorithm>

namespace mb_cudasim
{

namespace
{

struct buffers {
    const void *from;
    void *to;
};

template <typename T> T combine(T a, T b, ncclRedOp_t how)
{
    switch (how) {
    case ncclProd:
        return a * b;
    case ncclMax:
        return std::max(a, b);
    case ncclMin:
        return std::min(a, b);
    default:
        return a + b;
    }
}

template <typename T>
void reduce(const std::vector<const char *> &parts, size_t count, ncclRedOp_t how, void *out)
{
    std::vector<T> total(count);
    memcpy(total.data(), parts[0], count * sizeof(T));
    for (size_t r = 1; r < parts.size(); r++)
        for (size_t i = 0; i < count; i++)
            total[i] = combine(total[i], reinterpret_cast<const T *>(parts[r])[i], how);
    memcpy(out, total.data(), count * sizeof(T));
}

using reduction = void (*)(const std::vector<const char *> &, size_t, ncclRedOp_t, void *);

/* NULL: not simulated. */
reduction find_reduction(ncclDataType_t type, ncclRedOp_t how)
{
    if (how != ncclSum && how != ncclProd && how != ncclMax && how != ncclMin)
        return nullptr;
    switch (type) {
    case ncclFloat32:
        return reduce<float>;
    case ncclFloat64:
        return reduce<double>;
    case ncclInt32:
        return reduce<int32_t>;
    case ncclInt64:
        return reduce<int64_t>;
    default:
        return nullptr;
    }
}

class all_reduce final : public nccl_work
{
  public:
    all_reduce(const nccl_arguments &a, const buffers &at, ncclRedOp_t how)
        : a_(a), at_(at), how_(how), parts_((size_t)a.comm->ranks)
    {
        for (int peer = 0; peer < a.comm->ranks; peer++)
            if (peer != a.comm->rank)
                exchange(peer);
    }
    ncclResult_t finish() override
    {
        if (!memory_is_device(at_.from, bytes(), a_.comm->device) ||
            !memory_is_device(at_.to, bytes(), a_.comm->device))
            return nccl_refuse(ncclUnhandledCudaError,
                               "ncclAllReduce: its memory was freed before it ran");
        memory_open(a_.comm->device);
        std::vector<const char *> all;
        for (const std::vector<char> &part : parts_)
            all.push_back(part.data());
        all[(size_t)a_.comm->rank] = (const char *)at_.from;
        find_reduction(a_.type, how_)(all, a_.count, how_, at_.to);
        return ncclSuccess;
    }

  private:
    size_t bytes() const
    {
        return a_.count * nccl_type_bytes(a_.type);
    }
    void exchange(int peer)
    {
        message_header header = {a_.count, a_.type, how_};
        std::vector<char> &part = parts_[(size_t)peer];
        part.resize(bytes());
        transfers.emplace_back(a_.comm, CHANNEL_COLLECTIVES, true, peer, header,
                               const_cast<void *>(at_.from), true);
        transfers.emplace_back(a_.comm, CHANNEL_COLLECTIVES, false, peer, header, part.data(),
                               false);
    }
    nccl_arguments a_;
    buffers at_;
    ncclRedOp_t how_;
    std::vector<std::vector<char>> parts_; /* by rank; its own stays empty */
};

bool overlap(const buffers &at, size_t bytes)
{
    auto from = (uintptr_t)at.from, to = (uintptr_t)at.to;
    return from != to && from < to + bytes && to < from + bytes;
}

ncclResult_t check_all_reduce(const nccl_arguments &a, const buffers &at, ncclRedOp_t how)
{
    NCCL_TRY(nccl_check_arguments(a));
    if (!find_reduction(a.type, how))
        return nccl_refuse(ncclInvalidArgument,
                           "ncclAllReduce: reduction %d of type %d is not simulated", (int)how,
                           (int)a.type);
    NCCL_TRY(nccl_check_memory(a, at.from));
    NCCL_TRY(nccl_check_memory(a, at.to));
    if (overlap(at, a.count * nccl_type_bytes(a.type)))
        return nccl_refuse(ncclInvalidArgument,
                           "ncclAllReduce: its buffers overlap without being one");
    return ncclSuccess;
}

ncclResult_t add_all_reduce(const nccl_arguments &a, const buffers &at, ncclRedOp_t how)
{
    NCCL_TRY(check_all_reduce(a, at, how));
    return group_add(a.comm, a.stream, std::make_unique<all_reduce>(a, at, how));
}

} // namespace

} // namespace mb_cudasim

using namespace mb_cudasim;

ncclResult_t ncclAllReduce(const void *from, void *to, size_t count, ncclDataType_t type,
                           ncclRedOp_t how, ncclComm_t comm, cudaStream_t stream)
{
    return nccl_call([&] {
        group_begin();
        return group_end(
            add_all_reduce({"ncclAllReduce", comm, stream, count, type}, {from, to}, how));
    });
}
