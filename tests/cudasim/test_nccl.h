/* Ranks for the tests of the simulated NCCL. */
#ifndef MB_CUDASIM_TEST_NCCL_H
#define MB_CUDASIM_TEST_NCCL_H

#include "cudasim/test_cudasim.h"

#include <nccl.h>

#define NCCL(call) require((call), #call)
/* Ends the program unless CODE is success or, for calls that do not wait, in progress. */
void require(ncclResult_t code, const char *call);

/* A rank on the device of its number, with a stream there. */
struct nccl_rank {
    ncclComm_t comm = nullptr;
    cudaStream_t stream = nullptr;
    int number = 0;

    /* Comes into being; the device stays the current one. */
    ncclResult_t start(const ncclUniqueId &id, int ranks, int number, int blocking);
    /* Asks until it is not in progress; gives what it finds then. */
    ncclResult_t settle();
    float *floats(size_t n, float value);
    std::vector<float> read(const float *p, size_t n);
    ncclResult_t send(const float *p, size_t n, int peer);
    ncclResult_t receive(float *p, size_t n, int peer);
};

/* Ranks of this process that have come together. */
std::vector<nccl_rank> new_ranks(int n);
/* They go apart; the devices' memory and streams are gone. */
void end_ranks(std::vector<nccl_rank> *ranks);
/* Until the streams of all are idle; gives the first error. */
cudaError_t finish(const std::vector<nccl_rank> &ranks);
void reset_devices(int n);

ncclUniqueId new_id();

#endif
