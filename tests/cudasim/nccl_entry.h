/* What a group is on a stream: one entry, in which all transfers are at work at once, and which is
 * over when all of them are:
 *
 *     stream of rank 1:  [kernel][receive from 0 | send to 0 | receive from 2][kernel]
 */
#ifndef MB_CUDASIM_NCCL_ENTRY_H
#define MB_CUDASIM_NCCL_ENTRY_H

#include "cudasim/nccl_transfer.h"

namespace mb_cudasim
{

/* What one call asks for. */
class nccl_work
{
  public:
    virtual ~nccl_work() = default;
    /* When all transfers are over. */
    virtual ncclResult_t finish()
    {
        return ncclSuccess;
    }
    std::vector<transfer> transfers;
};

/* The work of one communicator on one stream. */
struct batch {
    ncclComm *comm;
    cudaStream_t stream;
    std::vector<std::unique_ptr<nccl_work>> works;
};

std::unique_ptr<entry> make_group_entry(batch b);

} // namespace mb_cudasim

#endif
