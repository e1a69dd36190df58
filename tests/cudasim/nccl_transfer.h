/* One message as one of its two ranks sees it: a send or a receive. It announces itself when its
 * entry is at the head of the stream and the message before it is over; then its bytes move in
 * pieces through the mailbox, of sizes that are drawn. */
#ifndef MB_CUDASIM_NCCL_TRANSFER_H
#define MB_CUDASIM_NCCL_TRANSFER_H

#include "cudasim/nccl_comm.h"

#include <string>

namespace mb_cudasim
{

/* message_header's operation: a send and its receive, or an all-reduce by the reduction. */
constexpr int32_t OPERATION_PAIR = -1;

/* 0 for no type. */
size_t nccl_type_bytes(int32_t type);

class transfer
{
  public:
    /* ON_DEVICE: DATA is memory of the communicator's device, to be looked up whenever it is
     * touched. */
    transfer(ncclComm *comm, channel which, bool sends, int peer, message_header header, void *data,
             bool on_device);
    /* Takes the next number of its line: in the order of the calls. */
    void issue();
    bool can_move() const;
    ncclResult_t move();
    bool over() const
    {
        return over_;
    }
    bool waits_outside() const
    {
        return !over_ && comm_is_outside(comm_, peer_);
    }
    /* "rank 0's send 3 to rank 1 (8 of float32) waits for ...". */
    std::string describe() const;

  private:
    mailbox_side &mine() const
    {
        return sends_ ? line_->box->sender : line_->box->receiver;
    }
    mailbox_side &other() const
    {
        return sends_ ? line_->box->receiver : line_->box->sender;
    }
    bool met() const
    {
        return announced_ && mailbox_announced(other(), number_);
    }
    size_t possible() const;
    bool complete() const;
    ncclResult_t compare() const;
    ncclResult_t move_piece();

    ncclComm *comm_;
    ncclLine *line_;
    bool sends_, on_device_;
    int peer_;
    message_header header_;
    char *data_;
    size_t bytes_, moved_ = 0;
    uint64_t number_ = 0;
    bool announced_ = false, compared_ = false, over_ = false;
};

} // namespace mb_cudasim

#endif
