/* See channel.h. */
#include "comm/channel.h"

#include <stdlib.h>
#include <string.h>

static mb_status_t drive(void *user)
{
    mb_channel_t *channel = user;
    bool ready;
    return channel->link == NULL ? MB_OK : channel->link->class_->poll(channel->link, &ready);
}

static mb_status_t is_ready(void *user, bool *done)
{
    mb_channel_t *channel = user;
    return channel->link->class_->poll(channel->link, done);
}

mb_status_t mb_channel_settle(mb_channel_t *channel, const char *action)
{
    mb_comm_note_t note = {.action = action, .stage = -1, .micro = -1, .peer = -1, .tag = -1};
    return mb_comm_fail(channel->comm, mb_comm_wait(channel->comm, is_ready, channel, &note));
}

static mb_status_t name_group(mb_channel_t *channel, char id[MB_LINK_ID_BYTES])
{
    const mb_link_class_t *class_ = channel->device->class_->link;
    if (class_ == NULL)
        return mb_error_set(MB_ERR_UNSUPPORTED, "device %s moves no messages by itself",
                            channel->device->class_->name);
    MB_TRY(class_->describe(channel->name, sizeof channel->name));
    return mb_comm_rank(channel->comm) == 0 ? class_->identify(id) : MB_OK;
}

/* Ranks must come to the opening together: it waits for all of them. */
static mb_status_t join(mb_channel_t *channel)
{
    char id[MB_LINK_ID_BYTES] = "";
    mb_device_t *device = channel->device;
    mb_comm_t *comm = channel->comm;
    MB_TRY(mb_comm_agree(comm, name_group(channel, id)));
    MB_TRY(mb_comm_broadcast(comm, id, sizeof id, 0));
    mb_status_t status = device->class_->stream_create(device, &channel->stream);
    MB_TRY(mb_comm_agree(comm, status));
    status = device->class_->link->open(device, id, mb_comm_size(comm), mb_comm_rank(comm),
                                        &channel->link);
    MB_TRY(mb_comm_agree(comm, status));
    status = mb_channel_settle(channel, "joining the devices of all ranks");
    return mb_comm_agree(comm, status);
}

mb_status_t mb_channel_open(mb_comm_t *comm, mb_device_t *device, mb_channel_t **out)
{
    mb_channel_t *channel = calloc(1, sizeof *channel);
    mb_status_t status = channel == NULL ? mb_error_memory("a channel", sizeof *channel) : MB_OK;
    MB_TRY_GOTO(mb_comm_agree(comm, status), status, err_channel);
    channel->comm = comm;
    channel->device = device;
    MB_TRY_GOTO(join(channel), status, err_channel);
    MB_TRY_GOTO(mb_comm_add_progress(comm, drive, channel), status, err_channel);
    *out = channel;
    return MB_OK;

err_channel:
    mb_channel_give_up(channel);
    mb_channel_close(channel);
    return status;
}

typedef struct {
    int color;
    char id[MB_LINK_ID_BYTES];
} part_t;

/* The first rank of each color names the group. */
static mb_status_t gather_parts(mb_channel_t *channel, int color, part_t *all, int *first)
{
    part_t own = {.color = color};
    MB_TRY(mb_comm_allgather(channel->comm, &own, sizeof own, all));
    *first = 0;
    while (all[*first].color != color)
        ++*first;
    mb_status_t status = MB_OK;
    if (color >= 0 && *first == mb_comm_rank(channel->comm))
        status = channel->device->class_->link->identify(own.id);
    MB_TRY(mb_comm_agree(channel->comm, status));
    return mb_comm_allgather(channel->comm, &own, sizeof own, all);
}

static mb_status_t open_part(mb_channel_t *part, const part_t *all, int first)
{
    int ranks = 0, rank = 0;
    for (int r = 0; r < mb_comm_size(part->comm); r++) {
        if (r == mb_comm_rank(part->comm))
            rank = ranks;
        ranks += all[r].color == all[first].color;
    }
    return part->device->class_->link->open(part->device, all[first].id, ranks, rank, &part->link);
}

static mb_status_t join_part(mb_channel_t *part, const part_t *all, int first)
{
    bool takes_part = all[mb_comm_rank(part->comm)].color >= 0;
    mb_status_t status = takes_part ? open_part(part, all, first) : MB_OK;
    MB_TRY(mb_comm_agree(part->comm, status));
    status = takes_part ? mb_channel_settle(part, "joining the devices of a stage") : MB_OK;
    return mb_comm_agree(part->comm, status);
}

mb_status_t mb_channel_split(mb_channel_t *channel, int color, mb_channel_t **out)
{
    int first;
    mb_comm_t *comm = channel->comm;
    mb_channel_t *part = calloc(1, sizeof *part);
    part_t *all = calloc((size_t)mb_comm_size(comm), sizeof *all);
    mb_status_t status =
        part == NULL || all == NULL ? mb_error_memory("a channel", sizeof *part) : MB_OK;
    MB_TRY_GOTO(mb_comm_agree(comm, status), status, err_part);
    *part = *channel;
    part->link = NULL;
    part->borrowed = true;
    MB_TRY_GOTO(gather_parts(channel, color, all, &first), status, err_part);
    MB_TRY_GOTO(join_part(part, all, first), status, err_part);
    MB_TRY_GOTO(mb_comm_add_progress(comm, drive, part), status, err_part);
    free(all);
    *out = part;
    return MB_OK;

err_part:
    mb_channel_give_up(part);
    mb_channel_close(part);
    free(all);
    return status;
}

void mb_channel_give_up(mb_channel_t *channel)
{
    if (channel == NULL || channel->link == NULL)
        return;
    channel->link->class_->close(channel->link, true);
    channel->link = NULL;
}

void mb_channel_close(mb_channel_t *channel)
{
    if (channel == NULL)
        return;
    mb_comm_remove_progress(channel->comm, channel);
    if (channel->link != NULL)
        channel->link->class_->close(channel->link, mb_comm_failed(channel->comm, NULL, NULL));
    if (channel->stream != NULL && !channel->borrowed)
        channel->device->class_->stream_destroy(channel->stream);
    free(channel);
}
