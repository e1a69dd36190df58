/* Announces messages and moves their bytes; see nccl_mailbox.h. */
#include "cudasim/nccl_mailbox.h"

#include <string.h>

#include <algorithm>

namespace mb_cudasim
{

void mailbox_announce(mailbox_side *side, uint64_t number, const message_header &header)
{
    side->headers[number % 2] = header;
    side->number.store(number, std::memory_order_release);
}

bool mailbox_announced(const mailbox_side &side, uint64_t number)
{
    return side.number.load(std::memory_order_acquire) >= number;
}

const message_header &mailbox_header(const mailbox_side &side, uint64_t number)
{
    return side.headers[number % 2];
}

size_t mailbox_filled(const mailbox &box)
{
    uint64_t taken = box.receiver.moved.load(std::memory_order_acquire);
    return (size_t)(box.sender.moved.load(std::memory_order_acquire) - taken);
}

size_t mailbox_space(const mailbox &box)
{
    return WINDOW_BYTES - mailbox_filled(box);
}

void mailbox_put(mailbox *box, const char *from, size_t bytes)
{
    uint64_t moved = box->sender.moved.load(std::memory_order_relaxed);
    size_t at = (size_t)(moved % WINDOW_BYTES), first = std::min(bytes, WINDOW_BYTES - at);
    memcpy(box->window + at, from, first);
    memcpy(box->window, from + first, bytes - first);
    box->sender.moved.store(moved + bytes, std::memory_order_release);
}

void mailbox_take(mailbox *box, char *to, size_t bytes)
{
    uint64_t moved = box->receiver.moved.load(std::memory_order_relaxed);
    size_t at = (size_t)(moved % WINDOW_BYTES), first = std::min(bytes, WINDOW_BYTES - at);
    memcpy(to, box->window + at, first);
    memcpy(to + first, box->window, bytes - first);
    box->receiver.moved.store(moved + bytes, std::memory_order_release);
}

} // namespace mb_cudasim
