/* A stream with its workspace: planned first, then allocated once. */
#include "device/device.h"
#include <string.h>

mb_status_t mb_exec_create(mb_device_t *device, mb_exec_t *exec)
{
    memset(exec, 0, sizeof *exec);
    exec->device = device;
    exec->planning = true;
    MB_TRY(device->class_->stream_create(device, &exec->stream));
    return device->class_->event_create(device, &exec->idle);
}

mb_status_t mb_exec_allocate(mb_exec_t *exec)
{
    if (exec->workspace_needed > exec->workspace_bytes) {
        MB_TRY(mb_exec_sync(exec));
        mb_device_free(exec->device, exec->workspace);
        exec->workspace = NULL;
        exec->workspace_bytes = 0;
        MB_TRY(mb_device_alloc(exec->device, exec->workspace_needed, &exec->workspace));
        exec->workspace_bytes = exec->workspace_needed;
    }
    exec->planning = false;
    return MB_OK;
}

void mb_exec_destroy(mb_exec_t *exec)
{
    if (exec->device == NULL)
        return;
    if (exec->stream != NULL) {
        exec->device->class_->stream_sync(exec->stream);
        exec->device->class_->stream_destroy(exec->stream);
    }
    if (exec->idle != NULL)
        exec->device->class_->event_destroy(exec->idle);
    mb_device_free(exec->device, exec->workspace);
    memset(exec, 0, sizeof *exec);
}

mb_status_t mb_exec_await(mb_exec_t *exec, mb_event_t *event)
{
    if (exec->await != NULL)
        return exec->await(exec->await_user, event);
    bool done = false;
    while (!done)
        MB_TRY(exec->device->class_->event_query(event, &done));
    return MB_OK;
}

/* Where the stream can hang on another rank the host comes to what would hang with it only when
 * there is nothing left to wait for. */
static mb_status_t await_all(mb_exec_t *exec)
{
    if (exec->await == NULL)
        return MB_OK;
    MB_TRY(exec->device->class_->event_record(exec->idle, exec->stream));
    return mb_exec_await(exec, exec->idle);
}

mb_status_t mb_exec_sync(mb_exec_t *exec)
{
    MB_TRY(await_all(exec));
    return exec->device->class_->stream_sync(exec->stream);
}

/* From and into memory that is not pinned the driver copies while the host waits, deaf to all else.
 */
mb_status_t mb_exec_copy(mb_exec_t *exec, void *to, const void *from, size_t bytes,
                         mb_copy_kind_t kind)
{
    if (exec->planning || bytes == 0)
        return MB_OK;
    if (kind != MB_COPY_ON_DEVICE)
        MB_TRY(await_all(exec));
    return exec->device->class_->copy(exec->stream, to, from, bytes, kind);
}

mb_status_t mb_exec_run_alone(mb_exec_t *exec, mb_op_t op, const void *args, size_t args_bytes)
{
    const mb_device_class_t *device_class = exec->device->class_;
    exec->planning = true;
    mb_status_t status = device_class->run(exec, op, args, args_bytes);
    exec->planning = false;
    MB_TRY(status);
    MB_TRY(mb_exec_allocate(exec));
    return device_class->run(exec, op, args, args_bytes);
}
