/* What the environment says, read once.
 *
 *   MB_CUDASIM_SEED        orders of streams, blocks and threads (default 1)
 *   MB_CUDASIM_ALGORITHMS  which algorithms products are offered first (default: the seed); their
 *                          sums differ, so what compares bits over seeds holds it still
 *   MB_CUDASIM_DEVICES     devices of this process, 0 to 8 (default 1)
 *   MB_CUDASIM_MEMORY      bytes of each device (default 16 GiB); what is allocated is really used
 *   MB_CUDASIM_PROTECT     0: host code may touch device memory; "pages": keep it away by mprotect
 *                          even where protection keys would be cheaper
 *   MB_CUDASIM_PAGEABLE    "refuse": cudaMemcpyAsync takes no pageable host memory, with which it
 *                          would not be asynchronous; "late": it uses such memory as pinned
 *                          memory, when the stream gets there
 *   MB_CUDASIM_FAIL        NAME:K[:RANK] makes the Kth call (from 1) of the function NAME fail, in
 *                          each process or in the one of that MPI rank
 *   MB_CUDASIM_CALLS       FILE: at its end each process writes FILE.RANK, the names of all
 *                          functions that MB_CUDASIM_FAIL may name with the number of their calls
 *
 * A failing allocation gives cudaErrorMemoryAllocation, any other call of the CUDA runtime
 * cudaErrorLaunchFailure, which the device keeps; cuBLASLt's give CUBLAS_STATUS_EXECUTION_FAILED,
 * NCCL's ncclSystemError. A kernel's launch is cudaLaunchKernel. ncclAsync:K lets the Kth
 * ncclCommGetAsyncError find ncclRemoteError, as do all behind it. */
#ifndef MB_CUDASIM_SETTINGS_H
#define MB_CUDASIM_SETTINGS_H

#include <stddef.h>
#include <stdint.h>

namespace mb_cudasim
{

constexpr int MAX_DEVICES = 8;

enum class protection { none, pages, keys };

struct settings {
    uint64_t seed, algorithms;
    int devices;
    size_t memory;
    protection protect; /* the best that is allowed; memory.cc finds out what there is */
    bool refuse_pageable, late_pageable;
};

const settings &get_settings();
/* In MPI's world, by what launchers leave in the environment; 0 without. */
int process_rank();

} // namespace mb_cudasim

#endif
