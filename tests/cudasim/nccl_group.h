/* Groups of calls. What the calls of a thread's group ask for is kept until the group ends; then
 * the work of each communicator becomes one entry of its stream (nccl_entry.h). */
#ifndef MB_CUDASIM_NCCL_GROUP_H
#define MB_CUDASIM_NCCL_GROUP_H

#include "cudasim/nccl_entry.h"

namespace mb_cudasim
{

/* A call begins and ends a group of its own, or is within one. BEGUN: how the call went, which the
 * group gives back if it went wrong. */
void group_begin();
ncclResult_t group_end(ncclResult_t begun);
/* Within a group. */
ncclResult_t group_add(ncclComm *comm, cudaStream_t stream, std::unique_ptr<nccl_work> work);
void group_add_start(ncclComm *comm);

} // namespace mb_cudasim

#endif
