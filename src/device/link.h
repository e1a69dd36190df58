/* A link: messages from device to device without the host, and sums over ranks. What NCCL offers,
 * behind functions that need none of its headers.
 *
 * Messages match by the order they are handed over, between each two ranks in each direction, and
 * those of one stream hold up each other: a send may wait for its receive. Those between
 * group_begin and group_end are handed over at once and pass each other; the group is over as a
 * whole, or ends, nothing of it sent, with the first of its calls that fails. No call waits for
 * another rank: after group_end, sum or open, poll says when the link takes the next call. */
#ifndef MB_DEVICE_LINK_H
#define MB_DEVICE_LINK_H

#include "device/device.h"

#define MB_LINK_ID_BYTES 128

typedef struct mb_link mb_link_t;

struct mb_link_class {
    size_t size;
    /* "NCCL 2.28.3". MB_ERR_UNSUPPORTED, with the reason, where the library is not there. */
    mb_status_t (*describe)(char *text, size_t capacity);
    /* A name for a new group of ranks: one of them asks, all pass it to open. */
    mb_status_t (*identify)(char id[MB_LINK_ID_BYTES]);
    /* Collective over the ranks of ID. Each has a device of its own. */
    mb_status_t (*open)(mb_device_t *device, const char id[MB_LINK_ID_BYTES], int ranks, int rank,
                        mb_link_t **out);
    /* *ready: what was handed over is taken. An error of this rank or, later than its cause, of
     * another. */
    mb_status_t (*poll)(mb_link_t *link, bool *ready);
    mb_status_t (*group_begin)(mb_link_t *link);
    mb_status_t (*group_end)(mb_link_t *link);
    mb_status_t (*send)(mb_link_t *link, const void *buffer, size_t bytes, int peer,
                        mb_stream_t *stream);
    mb_status_t (*receive)(mb_link_t *link, void *buffer, size_t bytes, int peer,
                           mb_stream_t *stream);
    /* In place: sums over all ranks, in an order of the library's choice. Float32, or double where
     * WIDE. */
    mb_status_t (*sum)(mb_link_t *link, void *buffer, int64_t count, bool wide,
                       mb_stream_t *stream);
    /* abort: what hangs on the streams is given up. */
    void (*close)(mb_link_t *link, bool abort);
};

struct mb_link {
    const mb_link_class_t *class_;
};

#endif
