/* What the calls that communicate have in common. */
#ifndef MB_CUDASIM_NCCL_WORK_H
#define MB_CUDASIM_NCCL_WORK_H

#include "cudasim/nccl_group.h"

namespace mb_cudasim
{

struct nccl_arguments {
    const char *call;
    ncclComm_t comm;
    cudaStream_t stream;
    size_t count;
    ncclDataType_t type;
};

/* All but the memory. */
ncclResult_t nccl_check_arguments(const nccl_arguments &a);
/* P has COUNT elements on the communicator's device. */
ncclResult_t nccl_check_memory(const nccl_arguments &a, const void *p);

} // namespace mb_cudasim

#endif
