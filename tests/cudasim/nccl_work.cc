/* ncclSend and ncclRecv, behind the checks of what they are given. */
#include "cudasim/nccl_work.h"

#include "cudasim/cudasim.h"
#include "cudasim/memory.h"
#include "cudasim/nccl_error.h"

namespace mb_cudasim
{

namespace
{

ncclResult_t check_stream(const nccl_arguments &a)
{
    if (stream_check(a.stream, a.call) != cudaSuccess)
        return nccl_refuse(ncclInvalidArgument, "%s: %s", a.call, mb_cudasim_last_message());
    if (a.stream->device != a.comm->device)
        return nccl_refuse(ncclInvalidArgument,
                           "%s: a stream of device %d, and rank %d's communicator is on device %d",
                           a.call, a.stream->device, a.comm->rank, a.comm->device);
    if (a.stream->capturing)
        return nccl_refuse(ncclInvalidUsage, "%s: its stream captures, which is not simulated",
                           a.call);
    return ncclSuccess;
}

} // namespace

ncclResult_t nccl_check_memory(const nccl_arguments &a, const void *p)
{
    size_t bytes = a.count * nccl_type_bytes(a.type);
    if (memory_is_device(p, bytes, a.comm->device))
        return ncclSuccess;
    char what[160];
    memory_describe(p, what, sizeof what);
    return nccl_refuse(ncclInvalidArgument, "%s of %zu bytes on device %d at %s", a.call, bytes,
                       a.comm->device, what);
}

ncclResult_t nccl_check_arguments(const nccl_arguments &a)
{
    NCCL_TRY(comm_check_ready(a.comm, a.call));
    if (device_error(a.comm->device) != cudaSuccess)
        return nccl_refuse(ncclUnhandledCudaError, "%s: device %d has failed", a.call,
                           a.comm->device);
    NCCL_TRY(check_stream(a));
    if (nccl_type_bytes(a.type) == 0)
        return nccl_refuse(ncclInvalidArgument, "%s: type %d", a.call, (int)a.type);
    return ncclSuccess;
}

namespace
{

ncclResult_t pass(const nccl_arguments &a, bool sends, int peer, void *data)
{
    NCCL_TRY(nccl_check_arguments(a));
    if (peer < 0 || peer >= a.comm->ranks)
        return nccl_refuse(ncclInvalidArgument, "%s: peer %d of %d ranks", a.call, peer,
                           a.comm->ranks);
    NCCL_TRY(nccl_check_memory(a, data));
    auto work = std::make_unique<nccl_work>();
    message_header header = {a.count, a.type, OPERATION_PAIR};
    work->transfers.emplace_back(a.comm, CHANNEL_PAIRS, sends, peer, header, data, true);
    return group_add(a.comm, a.stream, std::move(work));
}

} // namespace

} // namespace mb_cudasim

using namespace mb_cudasim;

ncclResult_t ncclSend(const void *data, size_t count, ncclDataType_t type, int peer,
                      ncclComm_t comm, cudaStream_t stream)
{
    return nccl_call([&] {
        group_begin();
        return group_end(
            pass({"ncclSend", comm, stream, count, type}, true, peer, const_cast<void *>(data)));
    });
}

ncclResult_t ncclRecv(void *data, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream)
{
    return nccl_call([&] {
        group_begin();
        return group_end(pass({"ncclRecv", comm, stream, count, type}, false, peer, data));
    });
}
