/* Makes and ends ranks; see test_nccl.h. */
#include "cudasim/test_nccl.h"

#include <stdio.h>
#include <stdlib.h>

void require(ncclResult_t code, const char *call)
{
    if (code == ncclSuccess || code == ncclInProgress)
        return;
    printf("Bail out! %s: %s, %s\n", call, ncclGetErrorString(code), ncclGetLastError(nullptr));
    exit(1);
}

ncclResult_t nccl_rank::start(const ncclUniqueId &id, int ranks, int which, int blocking)
{
    number = which;
    CUDA(cudaSetDevice(number));
    stream = new_stream();
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = blocking;
    return ncclCommInitRankConfig(&comm, ranks, id, number, &config);
}

ncclResult_t nccl_rank::settle()
{
    ncclResult_t found = ncclInProgress;
    while (found == ncclInProgress)
        NCCL(ncclCommGetAsyncError(comm, &found));
    return found;
}

float *nccl_rank::floats(size_t n, float value)
{
    CUDA(cudaSetDevice(number));
    return new_floats(n, value);
}

std::vector<float> nccl_rank::read(const float *p, size_t n)
{
    CUDA(cudaSetDevice(number));
    return read_floats(p, n);
}

ncclResult_t nccl_rank::send(const float *p, size_t n, int peer)
{
    return ncclSend(p, n, ncclFloat32, peer, comm, stream);
}

ncclResult_t nccl_rank::receive(float *p, size_t n, int peer)
{
    return ncclRecv(p, n, ncclFloat32, peer, comm, stream);
}

ncclUniqueId new_id()
{
    ncclUniqueId id;
    NCCL(ncclGetUniqueId(&id));
    return id;
}

std::vector<nccl_rank> new_ranks(int n)
{
    std::vector<nccl_rank> ranks((size_t)n);
    ncclUniqueId id = new_id();
    NCCL(ncclGroupStart());
    for (int r = 0; r < n; r++)
        NCCL(ranks[(size_t)r].start(id, n, r, 1));
    NCCL(ncclGroupEnd());
    return ranks;
}

cudaError_t finish(const std::vector<nccl_rank> &ranks)
{
    for (const nccl_rank &r : ranks) {
        cudaError_t code = cudaStreamSynchronize(r.stream);
        if (code != cudaSuccess)
            return code;
    }
    return cudaSuccess;
}

void reset_devices(int n)
{
    for (int device = n - 1; device >= 0; device--) {
        CUDA(cudaSetDevice(device));
        CUDA(cudaDeviceReset());
    }
}

void end_ranks(std::vector<nccl_rank> *ranks)
{
    CUDA(finish(*ranks));
    for (nccl_rank &r : *ranks)
        NCCL(ncclCommDestroy(r.comm));
    reset_devices((int)ranks->size());
}
