/* The memory that the ranks of a communicator share, whether they are in one process or in many of
 * one machine: a line for each rank, and a mailbox for each channel and ordered pair of ranks.
 *
 *     [nonce, ranks, how many came][rank 0][rank 1] ... | [mailbox 0->0][mailbox 0->1] ...
 *
 * It has no name. The process that makes the unique id makes the memory (memfd_create), and the id
 * says where the others find it: at /proc/PID/fd/N. So nothing is left behind, whoever dies when.
 * The pages of mailboxes that nobody uses are never there. */
#ifndef MB_CUDASIM_NCCL_SEGMENT_H
#define MB_CUDASIM_NCCL_SEGMENT_H

#include "cudasim/nccl_mailbox.h"

#include <nccl.h>
#include <sys/types.h>

namespace mb_cudasim
{

/* Sends and receives match among themselves, and so do collectives. */
enum channel { CHANNEL_PAIRS, CHANNEL_COLLECTIVES, N_CHANNELS };

struct rank_line {
    std::atomic<int32_t> claimed; /* somebody is this rank */
    std::atomic<int32_t> finalized;
    int32_t pid;
    int32_t device;
};

struct segment_header;

class segment
{
  public:
    ~segment();
    ncclResult_t attach(const ncclUniqueId &id, int ranks, int rank, int device);
    /* Every rank has attached: only now the lines of the others are to be read. */
    bool complete() const;
    rank_line &line(int rank) const;
    mailbox *box(channel which, int from, int to) const;

  private:
    ncclResult_t map(int descriptor, uint64_t nonce);
    ncclResult_t claim(int device);
    segment_header *header_ = nullptr;
    int ranks_ = 0, rank_ = 0;
};

ncclResult_t segment_make(ncclUniqueId *id);
/* Nobody else will attach: if this process made the memory, its descriptor is closed. */
void segment_close(const ncclUniqueId &id);

} // namespace mb_cudasim

#endif
