/* A channel: the devices' own link (device/link.h) between all ranks, and the one stream that its
 * messages go through. It lives as long as the device; the transports of all engines share it. */
#ifndef MB_COMM_CHANNEL_H
#define MB_COMM_CHANNEL_H

#include "comm/comm.h"
#include "device/link.h"

typedef struct {
    mb_comm_t *comm;
    mb_device_t *device;
    mb_link_t *link; /* NULL: given up */
    mb_stream_t *stream;
    bool borrowed; /* the stream is another channel's */
    char name[64]; /* "NCCL 2.28.3" */
} mb_channel_t;

/* Collective. MB_ERR_UNSUPPORTED on all ranks where one has no link. Drives the link's progress in
 * every wait, so that a failure shows there. */
mb_status_t mb_channel_open(mb_comm_t *comm, mb_device_t *device, mb_channel_t **out);
/* Collective over all ranks of CHANNEL: those of one COLOR (0 and up; -1: none) get a channel of
 * their own on the same stream, which CHANNEL must outlive. That of the others has no link. */
mb_status_t mb_channel_split(mb_channel_t *channel, int color, mb_channel_t **out);
/* Collective unless a failure was seen. */
void mb_channel_close(mb_channel_t *channel);
/* Waits until what was handed over is taken. A failure is told to all (mb_comm_fail): the link of
 * another rank may wait for this one's, and will not end by itself. */
mb_status_t mb_channel_settle(mb_channel_t *channel, const char *action);
/* Gives up what hangs on the stream, which other ranks may never answer. */
void mb_channel_give_up(mb_channel_t *channel);

#endif
