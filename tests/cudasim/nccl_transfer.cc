/* The moves of a message; see nccl_transfer.h. */
#include "cudasim/nccl_transfer.h"

#include "cudasim/memory.h"
#include "cudasim/nccl_error.h"
#include "cudasim/random.h"

#include <stdio.h>

#include <algorithm>

namespace mb_cudasim
{

namespace
{

struct type_name {
    size_t bytes;
    const char *name;
};

/* By the number of the type. */
const type_name TYPES[ncclNumTypes] = {
    {1, "int8"},    {1, "uint8"},    {4, "int32"},      {4, "uint32"},
    {8, "int64"},   {8, "uint64"},   {2, "float16"},    {4, "float32"},
    {8, "float64"}, {2, "bfloat16"}, {1, "float8e4m3"}, {1, "float8e5m2"},
};

std::string contents(const message_header &h)
{
    std::string text = std::to_string(h.count) + " of " + TYPES[h.type].name;
    if (h.operation != OPERATION_PAIR)
        text += ", all-reduced by reduction " + std::to_string(h.operation);
    return text;
}

bool same(const message_header &a, const message_header &b)
{
    return a.count == b.count && a.type == b.type && a.operation == b.operation;
}

/* Mostly all that is possible, and sometimes a part of it. */
size_t draw_piece(size_t possible)
{
    return draw().below(4) ? possible : 1 + (size_t)draw().below(possible);
}

} // namespace

size_t nccl_type_bytes(int32_t type)
{
    return type >= 0 && type < ncclNumTypes ? TYPES[type].bytes : 0;
}

transfer::transfer(ncclComm *comm, channel which, bool sends, int peer, message_header header,
                   void *data, bool on_device)
    : comm_(comm), line_(comm_line(comm, which, sends, peer)), sends_(sends), on_device_(on_device),
      peer_(peer), header_(header), data_((char *)data),
      bytes_((size_t)header.count * nccl_type_bytes(header.type))
{
}

void transfer::issue()
{
    number_ = ++line_->issued;
}

size_t transfer::possible() const
{
    size_t most = sends_ ? mailbox_space(*line_->box) : mailbox_filled(*line_->box);
    return std::min(most, bytes_ - moved_);
}

/* A send is over when the receiver has everything. */
bool transfer::complete() const
{
    return moved_ == bytes_ && (!sends_ || mailbox_filled(*line_->box) == 0);
}

bool transfer::can_move() const
{
    if (over_ || line_->finished != number_ - 1)
        return false;
    return !announced_ || (met() && (!compared_ || possible() > 0 || complete()));
}

ncclResult_t transfer::move()
{
    if (!announced_) {
        mailbox_announce(&mine(), number_, header_);
        announced_ = true;
        return ncclSuccess;
    }
    if (!compared_)
        NCCL_TRY(compare());
    compared_ = true;
    if (possible() > 0)
        NCCL_TRY(move_piece());
    if (complete()) {
        over_ = true;
        line_->finished++;
    }
    return ncclSuccess;
}

ncclResult_t transfer::compare() const
{
    const message_header &theirs = mailbox_header(other(), number_);
    if (same(header_, theirs))
        return ncclSuccess;
    return nccl_refuse(ncclInvalidUsage, "rank %d's %s %llu is %s, and rank %d's %s is %s",
                       comm_->rank, sends_ ? "send" : "receive", (unsigned long long)number_,
                       contents(header_).c_str(), peer_, sends_ ? "receive" : "send",
                       contents(theirs).c_str());
}

ncclResult_t transfer::move_piece()
{
    if (on_device_ && !memory_is_device(data_, bytes_, comm_->device))
        return nccl_refuse(ncclUnhandledCudaError, "%s: its memory was freed before it ran",
                           describe().c_str());
    if (on_device_)
        memory_open(comm_->device);
    size_t piece = draw_piece(possible());
    if (sends_)
        mailbox_put(line_->box, data_ + moved_, piece);
    else
        mailbox_take(line_->box, data_ + moved_, piece);
    moved_ += piece;
    return ncclSuccess;
}

std::string transfer::describe() const
{
    char text[256];
    const char *there = sends_ ? "receive" : "send";
    snprintf(text, sizeof text, "rank %d's %s %llu %s rank %d (%s)", comm_->rank,
             sends_ ? "send" : "receive", (unsigned long long)number_, sends_ ? "to" : "from",
             peer_, contents(header_).c_str());
    std::string all = text;
    if (line_->finished != number_ - 1)
        return all + " waits for the message before it";
    if (!met())
        return all + " waits for that rank's " + there + ", which is not at work";
    return all + " waits for that rank's " + there + " to go on";
}

} // namespace mb_cudasim
