/* A communicator of one rank. What it does beside the streams of the program (coming together with
 * the others, launching the groups of calls that did not wait, going apart) are entries of a stream
 * of its own, which stands for NCCL's thread: a communicator is in progress while that has any. */
#ifndef MB_CUDASIM_NCCL_COMM_H
#define MB_CUDASIM_NCCL_COMM_H

#include "cudasim/nccl_segment.h"
#include "cudasim/queue.h"

#include <chrono>

/* One direction between this rank and a peer: how many messages calls have issued, and how many are
 * over. Messages are at work one after the other. */
struct ncclLine {
    mb_cudasim::mailbox *box = nullptr;
    uint64_t issued = 0, finished = 0;
};

enum class ncclPhase { alive, finalizing, finalized, aborted, destroyed };

/* The toolkit's opaque handle. Never deleted, so that a use after the end is found. */
struct ncclComm {
    int rank, ranks, device;
    bool blocking;
    ncclUniqueId id;
    ncclPhase phase = ncclPhase::alive;
    std::unique_ptr<mb_cudasim::segment> memory; /* NULL at both ends of its life */
    std::vector<ncclLine> lines;
    CUstream_st *worker;
    bool connects = true;              /* with its first group */
    size_t launched = 0, finished = 0; /* groups */
    ncclResult_t error = ncclSuccess;
};

namespace mb_cudasim
{

/* Is it a communicator, and not over? */
ncclResult_t comm_check(ncclComm_t comm, const char *call);
/* And is it done with what earlier calls have left in progress? */
ncclResult_t comm_check_ready(ncclComm_t comm, const char *call);
bool comm_over(const ncclComm *comm);
bool comm_in_progress(const ncclComm *comm);
/* What it tells from now on. */
void comm_fail(ncclComm *comm, ncclResult_t code);
/* Does PEER live in another process? */
bool comm_is_outside(const ncclComm *comm, int peer);
ncclLine *comm_line(ncclComm *comm, channel which, bool sends, int peer);

/* When what takes long in NCCL, coming together and connecting, is over that begins now. Seldom so
 * late that who does not ask for the end comes too early with the next call. */
using comm_clock = std::chrono::steady_clock;
comm_clock::time_point comm_slow_end();

ncclComm *comm_create(int ranks, const ncclUniqueId &id, int rank, bool blocking);
/* Coming together begins. */
void comm_start(ncclComm *comm);
/* Its streams go on without what it still had to do. */
void comm_end(ncclComm *comm, ncclPhase how);
/* Until the communicators are not in progress; gives the first error. */
ncclResult_t comms_wait(const std::vector<ncclComm *> &comms);

} // namespace mb_cudasim

#endif
