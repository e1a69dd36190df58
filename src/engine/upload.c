/* See upload.h. */
#include "engine/upload.h"

#include <stdlib.h>
#include <string.h>

enum { BUFFERS = 4, ALIGNMENT = 64 };

typedef struct {
    void *to;
    size_t at, bytes;
} item_t;

typedef struct {
    char *host, *device;
    mb_event_t *copied, *placed;
} buffer_t;

struct mb_upload {
    mb_lane_t lane;
    buffer_t buffers[BUFFERS];
    int next;
    size_t capacity, used;
    int n_items, most_items;
    item_t *items;
};

static mb_status_t take_buffer(mb_upload_t *upload, buffer_t *buffer)
{
    mb_device_t *device = upload->lane.exec->device;
    void *memory;
    MB_TRY(mb_device_host_alloc(device, upload->capacity, &memory));
    buffer->host = memory;
    MB_TRY(mb_device_alloc(device, upload->capacity, &memory));
    buffer->device = memory;
    MB_TRY(device->class_->event_create(device, &buffer->copied));
    return device->class_->event_create(device, &buffer->placed);
}

mb_status_t mb_upload_create(mb_exec_t *exec, size_t bytes, int most_items, mb_upload_t **out)
{
    mb_upload_t *upload = calloc(1, sizeof *upload);
    mb_status_t status;
    if (upload == NULL)
        return mb_error_memory("the way of samples to the device", sizeof *upload);
    upload->capacity = bytes + (size_t)most_items * ALIGNMENT;
    upload->most_items = most_items;
    upload->items = calloc((size_t)most_items + 1, sizeof *upload->items);
    status = upload->items == NULL ? mb_error_memory("the way of samples to the device", bytes)
                                   : mb_lane_create(exec, &upload->lane);
    for (int i = 0; i < BUFFERS && status == MB_OK; i++)
        status = take_buffer(upload, &upload->buffers[i]);
    if (status != MB_OK) {
        mb_upload_destroy(upload);
        return status;
    }
    *out = upload;
    return MB_OK;
}

static void free_buffer(mb_device_t *device, buffer_t *buffer)
{
    mb_device_host_free(device, buffer->host);
    mb_device_free(device, buffer->device);
    if (buffer->copied != NULL)
        device->class_->event_destroy(buffer->copied);
    if (buffer->placed != NULL)
        device->class_->event_destroy(buffer->placed);
}

void mb_upload_destroy(mb_upload_t *upload)
{
    if (upload == NULL)
        return;
    mb_exec_t *exec = upload->lane.exec;
    bool drained = mb_lane_drain(&upload->lane);
    mb_lane_destroy(&upload->lane);
    for (int i = 0; i < BUFFERS && exec != NULL && drained; i++)
        free_buffer(exec->device, &upload->buffers[i]);
    free(upload->items);
    free(upload);
}

mb_status_t mb_upload_begin(mb_upload_t *upload)
{
    upload->n_items = 0;
    upload->used = 0;
    return mb_exec_await(upload->lane.exec, upload->buffers[upload->next].copied);
}

mb_status_t mb_upload_add(mb_upload_t *upload, void *to, const void *from, size_t bytes)
{
    if (upload->n_items == upload->most_items || upload->used + bytes > upload->capacity)
        return mb_error_set(MB_ERR_INTERNAL, "more samples than were planned");
    memcpy(upload->buffers[upload->next].host + upload->used, from, bytes);
    upload->items[upload->n_items++] = (item_t){to, upload->used, bytes};
    upload->used += (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return MB_OK;
}

mb_status_t mb_upload_end(mb_upload_t *upload)
{
    buffer_t *buffer = &upload->buffers[upload->next];
    mb_lane_t *lane = &upload->lane;
    const mb_device_class_t *class_ = lane->exec->device->class_;
    size_t bytes = upload->used < upload->capacity ? upload->used : upload->capacity;
    MB_TRY(mb_lane_wait(lane, buffer->placed));
    MB_TRY(mb_lane_copy(lane, buffer->device, buffer->host, bytes, MB_COPY_TO_DEVICE));
    MB_TRY(mb_lane_record(lane, buffer->copied));
    MB_TRY(class_->stream_wait_event(lane->exec->stream, buffer->copied));
    for (int i = 0; i < upload->n_items; i++) {
        const item_t *item = &upload->items[i];
        MB_TRY(mb_exec_copy(lane->exec, item->to, buffer->device + item->at, item->bytes,
                            MB_COPY_ON_DEVICE));
    }
    upload->next = (upload->next + 1) % BUFFERS;
    return class_->event_record(buffer->placed, lane->exec->stream);
}
