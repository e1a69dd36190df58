/* What two ranks share to pass the messages of one direction, without a lock:
 *
 *     sender   [number of the message at work | its headers | bytes put in ]
 *     receiver [number of the message at work | its headers | bytes taken out]
 *     window   [ .. bytes on their way, around and around .. ]
 *
 * Each side writes its own line only. A side announces a message by its header and then its number;
 * bytes move once both have announced it, so a send is a rendezvous, and messages match in order. A
 * message is over when its last byte was taken out. The receiver may then announce the next one
 * before the sender has looked again (a message of no bytes): hence two headers, by even and odd
 * numbers. Zero bytes are a mailbox at rest. */
#ifndef MB_CUDASIM_NCCL_MAILBOX_H
#define MB_CUDASIM_NCCL_MAILBOX_H

#include <stddef.h>
#include <stdint.h>

#include <atomic>

namespace mb_cudasim
{

constexpr size_t WINDOW_BYTES = 32 << 10;

struct message_header {
    uint64_t count;
    int32_t type;      /* an ncclDataType_t */
    int32_t operation; /* which call it is part of: see nccl_transfer.h */
};

struct mailbox_side {
    std::atomic<uint64_t> number; /* from 1 */
    std::atomic<uint64_t> moved;  /* bytes of all messages */
    message_header headers[2];
};

struct mailbox {
    alignas(64) mailbox_side sender;
    alignas(64) mailbox_side receiver;
    alignas(64) char window[WINDOW_BYTES];
};

static_assert(std::atomic<uint64_t>::is_always_lock_free, "two processes share these");

void mailbox_announce(mailbox_side *side, uint64_t number, const message_header &header);
/* Has SIDE announced the message? Only then: its header. */
bool mailbox_announced(const mailbox_side &side, uint64_t number);
const message_header &mailbox_header(const mailbox_side &side, uint64_t number);

/* Bytes that can be put in, bytes that can be taken out. */
size_t mailbox_space(const mailbox &box);
size_t mailbox_filled(const mailbox &box);
/* No more than that. */
void mailbox_put(mailbox *box, const char *from, size_t bytes);
void mailbox_take(mailbox *box, char *to, size_t bytes);

} // namespace mb_cudasim

#endif
