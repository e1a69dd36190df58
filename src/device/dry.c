/* See dry.h. Addresses go up and never come again, so that what stands at one is found by halving.
 */
#include "device/dry.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST = 1 << 20, ALIGN = 64 };

typedef struct {
    uintptr_t at;
    size_t bytes; /* 0: given back */
} given_t;

typedef struct {
    mb_device_t base;
    mb_device_class_t class_; /* the inner device's, but for what is here */
    mb_device_t *inner;
    uintptr_t next;
    int64_t bytes;
    size_t n, room;
    given_t *given;
} dry_t;

static dry_t *dry_of(mb_device_t *device)
{
    return (dry_t *)device;
}

static void dry_close(mb_device_t *device)
{
    free(dry_of(device)->given);
    free(device);
}

static void dry_describe(mb_device_t *device, char *text, size_t capacity)
{
    mb_device_t *inner = dry_of(device)->inner;
    inner->class_->describe(inner, text, capacity);
}

static void dry_signature(mb_device_t *device, char *text, size_t capacity)
{
    mb_device_t *inner = dry_of(device)->inner;
    inner->class_->signature(inner, text, capacity);
}

static void dry_set_progress(mb_device_t *device, void (*progress)(void *), void *user)
{
    (void)device, (void)progress, (void)user;
}

static bool dry_host_visible(mb_device_t *device)
{
    mb_device_t *inner = dry_of(device)->inner;
    return inner->class_->host_visible(inner);
}

static mb_status_t make_room(dry_t *dry)
{
    size_t room = dry->room == 0 ? 256 : 2 * dry->room;
    if (dry->n < dry->room)
        return MB_OK;
    given_t *given = realloc(dry->given, room * sizeof *given);
    if (given == NULL)
        return mb_error_memory("a count of memory", room * sizeof *given);
    dry->given = given;
    dry->room = room;
    return MB_OK;
}

static mb_status_t give(dry_t *dry, size_t bytes, void **out)
{
    MB_TRY(make_room(dry));
    dry->given[dry->n++] = (given_t){dry->next, bytes};
    *out = (void *)dry->next;
    dry->next += (bytes + 2 * ALIGN - 1) / ALIGN * ALIGN;
    return MB_OK;
}

static given_t *find(dry_t *dry, const void *memory)
{
    size_t low = 0, high = dry->n;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (dry->given[middle].at <= (uintptr_t)memory)
            low = middle;
        else
            high = middle;
    }
    return &dry->given[low];
}

static mb_status_t dry_alloc(mb_device_t *device, size_t bytes, void **out)
{
    MB_TRY(give(dry_of(device), bytes, out));
    dry_of(device)->bytes += (int64_t)bytes;
    return MB_OK;
}

static void dry_free(mb_device_t *device, void *memory)
{
    given_t *given = find(dry_of(device), memory);
    dry_of(device)->bytes -= (int64_t)given->bytes;
    given->bytes = 0;
}

static mb_status_t dry_host_alloc(mb_device_t *device, size_t bytes, void **out)
{
    (void)bytes;
    return give(dry_of(device), 0, out);
}

static void dry_host_free(mb_device_t *device, void *memory)
{
    (void)device, (void)memory;
}

static mb_status_t dry_stream_create(mb_device_t *device, mb_stream_t **out)
{
    mb_device_t *inner = dry_of(device)->inner;
    return inner->class_->stream_create(inner, out);
}

static mb_status_t dry_event_create(mb_device_t *device, mb_event_t **out)
{
    mb_device_t *inner = dry_of(device)->inner;
    return inner->class_->event_create(inner, out);
}

static mb_status_t dry_copy(mb_stream_t *stream, void *to, const void *from, size_t bytes,
                            mb_copy_kind_t kind)
{
    (void)stream, (void)to, (void)from, (void)bytes, (void)kind;
    return MB_OK;
}

static bool dry_has_op(mb_device_t *device, mb_op_t op)
{
    mb_device_t *inner = dry_of(device)->inner;
    return inner->class_->has_op(inner, op);
}

static mb_status_t dry_run(mb_exec_t *exec, mb_op_t op, const void *args, size_t args_bytes)
{
    mb_device_t *device = exec->device;
    if (!exec->planning)
        return MB_OK;
    exec->device = dry_of(device)->inner;
    mb_status_t status = exec->device->class_->run(exec, op, args, args_bytes);
    exec->device = device;
    return status;
}

static mb_device_class_t class_of(const mb_device_t *inner)
{
    mb_device_class_t class_ = *inner->class_;
    class_.close = dry_close;
    class_.describe = dry_describe;
    class_.signature = dry_signature;
    class_.set_progress = dry_set_progress;
    class_.link = NULL;
    class_.host_visible = dry_host_visible;
    class_.alloc = dry_alloc;
    class_.free = dry_free;
    class_.host_alloc = dry_host_alloc;
    class_.host_free = dry_host_free;
    class_.stream_create = dry_stream_create;
    class_.copy = dry_copy;
    class_.event_create = dry_event_create;
    class_.record_begin = NULL;
    class_.has_op = dry_has_op;
    class_.run = dry_run;
    return class_;
}

mb_status_t mb_device_dry_open(mb_device_t *inner, mb_device_t **out)
{
    dry_t *dry = calloc(1, sizeof *dry);
    if (dry == NULL)
        return mb_error_memory("a device that counts", sizeof *dry);
    dry->class_ = class_of(inner);
    dry->base.class_ = &dry->class_;
    dry->inner = inner;
    dry->next = FIRST;
    *out = &dry->base;
    return MB_OK;
}

bool mb_device_is_dry(const mb_device_t *device)
{
    return device->class_->run == dry_run;
}

const mb_device_class_t *mb_device_dry_class(const mb_device_t *device)
{
    return mb_device_is_dry(device) ? ((const dry_t *)device)->inner->class_ : NULL;
}

int64_t mb_device_dry_bytes(const mb_device_t *device)
{
    return ((const dry_t *)device)->bytes;
}
