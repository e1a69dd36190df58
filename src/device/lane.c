/* See lane.h. */
#include "device/lane.h"

#include <string.h>

static const mb_device_class_t *class_of(const mb_lane_t *lane)
{
    return lane->exec->device->class_;
}

mb_status_t mb_lane_share(mb_exec_t *exec, mb_stream_t *stream, mb_lane_t *lane)
{
    *lane = (mb_lane_t){.exec = exec, .stream = stream};
    MB_TRY(class_of(lane)->event_create(exec->device, &lane->behind));
    return class_of(lane)->event_create(exec->device, &lane->ahead);
}

mb_status_t mb_lane_create(mb_exec_t *exec, mb_lane_t *lane)
{
    mb_stream_t *stream = NULL;
    MB_TRY(exec->device->class_->stream_create(exec->device, &stream));
    mb_status_t status = mb_lane_share(exec, stream, lane);
    lane->owned = true;
    return status;
}

bool mb_lane_drain(mb_lane_t *lane)
{
    if (lane->exec == NULL || lane->ahead == NULL)
        return true;
    return mb_lane_record(lane, lane->ahead) == MB_OK &&
           mb_exec_await(lane->exec, lane->ahead) == MB_OK &&
           class_of(lane)->stream_sync(lane->stream) == MB_OK;
}

void mb_lane_destroy(mb_lane_t *lane)
{
    if (lane->exec == NULL)
        return;
    if (lane->owned)
        class_of(lane)->stream_destroy(lane->stream);
    if (lane->behind != NULL)
        class_of(lane)->event_destroy(lane->behind);
    if (lane->ahead != NULL)
        class_of(lane)->event_destroy(lane->ahead);
    memset(lane, 0, sizeof *lane);
}

mb_status_t mb_lane_follow(mb_lane_t *lane)
{
    MB_TRY(class_of(lane)->event_record(lane->behind, lane->exec->stream));
    return class_of(lane)->stream_wait_event(lane->stream, lane->behind);
}

mb_status_t mb_lane_lead(mb_lane_t *lane)
{
    MB_TRY(class_of(lane)->event_record(lane->ahead, lane->stream));
    return class_of(lane)->stream_wait_event(lane->exec->stream, lane->ahead);
}

mb_status_t mb_lane_copy(mb_lane_t *lane, void *to, const void *from, size_t bytes,
                         mb_copy_kind_t kind)
{
    return bytes == 0 ? MB_OK : class_of(lane)->copy(lane->stream, to, from, bytes, kind);
}

mb_status_t mb_lane_record(mb_lane_t *lane, mb_event_t *event)
{
    return class_of(lane)->event_record(event, lane->stream);
}

mb_status_t mb_lane_wait(mb_lane_t *lane, mb_event_t *event)
{
    return class_of(lane)->stream_wait_event(lane->stream, event);
}
