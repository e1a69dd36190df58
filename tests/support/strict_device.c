/* See strict_device.h. A stream keeps a list of what it was planned for. */
#include "support/strict_device.h"

#include <stdlib.h>
#include <string.h>

#include "support/strict_shape.h"

enum { MARK_BYTES = 64, MARK = 0xA5, NOT_A_NUMBER = 0xFF };

typedef struct planned {
    struct planned *next;
    mb_op_t op;
    size_t workspace;
    max_align_t args[];
} planned_t;

typedef struct {
    mb_stream_t base;
    planned_t *planned;
} stream_t;

static mb_status_t strict_open(const mb_device_options_t *options, mb_device_t **out)
{
    MB_TRY(mb_device_cpu.open(options, out));
    (*out)->class_ = &mb_device_strict;
    return MB_OK;
}

static void strict_close(mb_device_t *device)
{
    mb_device_cpu.close(device);
}

static void strict_describe(mb_device_t *device, char *text, size_t capacity)
{
    mb_device_cpu.describe(device, text, capacity);
}

static mb_status_t strict_stream_create(mb_device_t *device, mb_stream_t **out)
{
    stream_t *stream = calloc(1, sizeof *stream);
    if (stream == NULL)
        return mb_error_memory("a stream", sizeof *stream);
    stream->base.device = device;
    *out = &stream->base;
    return MB_OK;
}

static void strict_stream_destroy(mb_stream_t *base)
{
    stream_t *stream = (stream_t *)base;
    while (stream->planned != NULL) {
        planned_t *next = stream->planned->next;
        free(stream->planned);
        stream->planned = next;
    }
    free(stream);
}

static planned_t *find(const stream_t *stream, mb_op_t op, const void *args)
{
    planned_t *planned = stream->planned;
    while (planned != NULL && !(planned->op == op && strict_shape_serves(op, planned->args, args)))
        planned = planned->next;
    return planned;
}

/* What this very call asks for, whatever others asked before. */
static mb_status_t ask(mb_exec_t *exec, mb_op_t op, const void *args, size_t bytes, size_t *needed)
{
    size_t before = exec->workspace_needed;
    exec->workspace_needed = 0;
    mb_status_t status = mb_device_cpu.run(exec, op, args, bytes);
    *needed = exec->workspace_needed;
    exec->workspace_needed = *needed > before ? *needed : before;
    return status;
}

static mb_status_t plan(mb_exec_t *exec, mb_op_t op, const void *args, size_t bytes)
{
    stream_t *stream = (stream_t *)exec->stream;
    size_t needed = 0;
    if (!strict_shape_is_known(op))
        return mb_error_set(MB_ERR_INTERNAL, "strict_shape.c does not know %s", mb_op_name(op));
    MB_TRY(ask(exec, op, args, bytes, &needed));
    planned_t *planned = find(stream, op, args);
    if (planned == NULL) {
        planned = calloc(1, sizeof *planned + bytes);
        if (planned == NULL)
            return mb_error_memory("a plan", bytes);
        planned->op = op;
        memcpy(planned->args, args, bytes);
        planned->next = stream->planned;
        stream->planned = planned;
    }
    planned->workspace = needed > planned->workspace ? needed : planned->workspace;
    return MB_OK;
}

static bool is_marked(const unsigned char *mark)
{
    for (int i = 0; i < MARK_BYTES; i++) {
        if (mark[i] != MARK)
            return false;
    }
    return true;
}

static mb_status_t run_within(mb_exec_t *exec, mb_op_t op, const void *args, size_t bytes,
                              size_t workspace)
{
    void *memory = NULL;
    mb_exec_t inner = *exec;
    MB_TRY(mb_device_cpu.alloc(exec->device, workspace + MARK_BYTES, &memory));
    memset(memory, NOT_A_NUMBER, workspace);
    memset((char *)memory + workspace, MARK, MARK_BYTES);
    inner.workspace = memory;
    inner.workspace_bytes = workspace;
    mb_status_t status = mb_device_cpu.run(&inner, op, args, bytes);
    if (status == MB_OK && !is_marked((unsigned char *)memory + workspace))
        status = mb_error_set(MB_ERR_INTERNAL, "%s wrote behind its workspace of %zu bytes",
                              mb_op_name(op), workspace);
    mb_device_cpu.free(exec->device, memory);
    return status;
}

static mb_status_t strict_run(mb_exec_t *exec, mb_op_t op, const void *args, size_t bytes)
{
    if (exec->planning)
        return plan(exec, op, args, bytes);
    const planned_t *planned = find((stream_t *)exec->stream, op, args);
    if (planned == NULL)
        return mb_error_set(MB_ERR_INTERNAL, "%s runs in a shape that was not planned",
                            mb_op_name(op));
    if (planned->workspace > exec->workspace_bytes)
        return mb_error_set(MB_ERR_INTERNAL, "%s was planned with %zu bytes, the stream has %zu",
                            mb_op_name(op), planned->workspace, exec->workspace_bytes);
    return run_within(exec, op, args, bytes, planned->workspace);
}

/* What the CPU's own functions do for any device and stream. */
static void strict_signature(mb_device_t *device, char *text, size_t capacity)
{
    mb_device_cpu.signature(device, text, capacity);
}

static void strict_set_progress(mb_device_t *device, void (*progress)(void *), void *user)
{
    mb_device_cpu.set_progress(device, progress, user);
}

static bool strict_host_visible(mb_device_t *device)
{
    return mb_device_cpu.host_visible(device);
}

static mb_status_t strict_alloc(mb_device_t *device, size_t bytes, void **out)
{
    return mb_device_cpu.alloc(device, bytes, out);
}

static void strict_free(mb_device_t *device, void *memory)
{
    mb_device_cpu.free(device, memory);
}

static mb_status_t strict_stream_sync(mb_stream_t *stream)
{
    return mb_device_cpu.stream_sync(stream);
}

static mb_status_t strict_copy(mb_stream_t *stream, void *to, const void *from, size_t bytes,
                               mb_copy_kind_t kind)
{
    return mb_device_cpu.copy(stream, to, from, bytes, kind);
}

static mb_status_t strict_event_create(mb_device_t *device, mb_event_t **out)
{
    return mb_device_cpu.event_create(device, out);
}

static void strict_event_destroy(mb_event_t *event)
{
    mb_device_cpu.event_destroy(event);
}

static mb_status_t strict_event_record(mb_event_t *event, mb_stream_t *stream)
{
    return mb_device_cpu.event_record(event, stream);
}

static mb_status_t strict_event_query(mb_event_t *event, bool *done)
{
    return mb_device_cpu.event_query(event, done);
}

static mb_status_t strict_stream_wait_event(mb_stream_t *stream, mb_event_t *event)
{
    return mb_device_cpu.stream_wait_event(stream, event);
}

static bool strict_has_op(mb_device_t *device, mb_op_t op)
{
    return mb_device_cpu.has_op(device, op);
}

const mb_device_class_t mb_device_strict = {
    .size = sizeof(mb_device_class_t),
    .name = "strict",
    .open = strict_open,
    .close = strict_close,
    .describe = strict_describe,
    .signature = strict_signature,
    .set_progress = strict_set_progress,
    .host_visible = strict_host_visible,
    .alloc = strict_alloc,
    .free = strict_free,
    .stream_create = strict_stream_create,
    .stream_destroy = strict_stream_destroy,
    .stream_sync = strict_stream_sync,
    .copy = strict_copy,
    .event_create = strict_event_create,
    .event_destroy = strict_event_destroy,
    .event_record = strict_event_record,
    .event_query = strict_event_query,
    .stream_wait_event = strict_stream_wait_event,
    .has_op = strict_has_op,
    .run = strict_run,
};
