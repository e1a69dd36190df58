/* See deferred_device.h. A stream is a list of items and a worker that takes them in order; an
 * event counts how often it was recorded and how far the workers have come. */
#define _GNU_SOURCE
#include "support/deferred_device.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "support/deferred_memory.h"

#define MESSAGE 512

typedef struct {
    mb_device_t base;
    mb_device_options_t options;
    mb_device_t *cpu; /* answers questions; each stream has one of its own to run on */
    deferred_memory_t memory;
    pthread_mutex_t lock; /* of all streams and events */
    pthread_cond_t moved; /* something was put on a stream, or is done */
    uint64_t seed;
    long most_delay; /* microseconds */
} device_t;

typedef struct {
    mb_event_t base;
    device_t *device;
    uint64_t recorded, reached;
    int holders; /* the owner, and items that name it */
} event_t;

typedef enum { ITEM_OP, ITEM_COPY, ITEM_RECORD, ITEM_WAIT } item_kind_t;

typedef struct item {
    struct item *next;
    item_kind_t kind;
    mb_op_t op;
    mb_exec_t exec;
    size_t args_bytes;
    void *to;
    const void *from;
    size_t bytes;
    event_t *event;
    uint64_t ticket; /* the recording that is meant */
    max_align_t args[];
} item_t;

typedef struct {
    mb_stream_t base;
    device_t *device;
    mb_device_t *cpu;
    mb_stream_t *cpu_stream;
    pthread_t worker;
    item_t *first, **last;
    bool busy, ending;
    uint64_t random;
    mb_status_t status; /* first failure since the last synchronization */
    char message[MESSAGE];
} stream_t;

static long setting(const char *name, long otherwise)
{
    const char *text = getenv(name);
    return text != NULL && *text != '\0' ? strtol(text, NULL, 10) : otherwise;
}

/* Half of the items wait a little, some of them long enough for the host to be far ahead. */
static void delay(stream_t *stream)
{
    stream->random ^= stream->random << 13;
    stream->random ^= stream->random >> 7;
    stream->random ^= stream->random << 17;
    if (stream->device->most_delay <= 0 || (stream->random >> 40) % 2 == 0)
        return;
    long microseconds = (long)((stream->random >> 20) % (uint64_t)stream->device->most_delay);
    struct timespec pause = {0, microseconds * 1000};
    nanosleep(&pause, NULL);
}

static void release_event(event_t *event)
{
    if (--event->holders == 0)
        free(event);
}

static mb_status_t run_on_cpu(stream_t *stream, mb_exec_t *exec, mb_op_t op, const void *args,
                              size_t bytes)
{
    mb_exec_t inner = *exec;
    inner.device = stream->cpu;
    inner.stream = stream->cpu_stream;
    deferred_memory_open(&stream->device->memory);
    mb_status_t status = stream->cpu->class_->run(&inner, op, args, bytes);
    deferred_memory_close(&stream->device->memory);
    exec->workspace_needed = inner.workspace_needed;
    return status;
}

static void compute(stream_t *stream, item_t *item)
{
    mb_status_t status = MB_OK;
    if (item->kind == ITEM_OP) {
        status = run_on_cpu(stream, &item->exec, item->op, item->args, item->args_bytes);
    } else {
        deferred_memory_open(&stream->device->memory);
        memmove(item->to, item->from, item->bytes);
        deferred_memory_close(&stream->device->memory);
    }
    if (status == MB_OK)
        return;
    pthread_mutex_lock(&stream->device->lock);
    if (stream->status == MB_OK) {
        stream->status = status;
        snprintf(stream->message, sizeof stream->message, "%s", mb_error_get());
    }
    pthread_mutex_unlock(&stream->device->lock);
}

/* Recording and waiting; the device's lock is held. */
static void pass_event(stream_t *stream, item_t *item)
{
    event_t *event = item->event;
    if (item->kind == ITEM_RECORD && item->ticket > event->reached)
        event->reached = item->ticket;
    while (item->kind == ITEM_WAIT && event->reached < item->ticket)
        pthread_cond_wait(&stream->device->moved, &stream->device->lock);
    release_event(event);
}

static item_t *take_item(stream_t *stream)
{
    while (stream->first == NULL && !stream->ending)
        pthread_cond_wait(&stream->device->moved, &stream->device->lock);
    item_t *item = stream->first;
    if (item == NULL)
        return NULL;
    stream->first = item->next;
    if (stream->first == NULL)
        stream->last = &stream->first;
    stream->busy = true;
    return item;
}

static void *work(void *argument)
{
    stream_t *stream = argument;
    device_t *device = stream->device;
    item_t *item;
    pthread_mutex_lock(&device->lock);
    while ((item = take_item(stream)) != NULL) {
        pthread_mutex_unlock(&device->lock);
        delay(stream);
        if (item->kind == ITEM_OP || item->kind == ITEM_COPY)
            compute(stream, item);
        pthread_mutex_lock(&device->lock);
        if (item->kind == ITEM_RECORD || item->kind == ITEM_WAIT)
            pass_event(stream, item);
        free(item);
        stream->busy = false;
        pthread_cond_broadcast(&device->moved);
    }
    pthread_mutex_unlock(&device->lock);
    return NULL;
}

static item_t *new_item(item_kind_t kind, size_t args_bytes)
{
    item_t *item = calloc(1, sizeof *item + args_bytes);
    if (item == NULL) {
        mb_error_memory("an item of the deferred device", sizeof *item + args_bytes);
        return NULL;
    }
    item->kind = kind;
    item->args_bytes = args_bytes;
    return item;
}

static void put_item(stream_t *stream, item_t *item)
{
    pthread_mutex_lock(&stream->device->lock);
    if (item->event != NULL) {
        item->event->holders++;
        if (item->kind == ITEM_RECORD)
            item->event->recorded++;
        item->ticket = item->event->recorded;
    }
    *stream->last = item;
    stream->last = &item->next;
    pthread_cond_broadcast(&stream->device->moved);
    pthread_mutex_unlock(&stream->device->lock);
}

static mb_status_t deferred_open(const mb_device_options_t *options, mb_device_t **out)
{
    mb_status_t status;
    device_t *device = calloc(1, sizeof *device);
    if (device == NULL)
        return mb_error_memory("the deferred device", sizeof *device);
    device->base.class_ = &mb_device_deferred;
    device->options = *options;
    /* Kernels run on workers, which may not call into the host's messages. */
    device->options.progress = NULL;
    device->seed = (uint64_t)setting("MB_DEFERRED_SEED", 1);
    device->most_delay = setting("MB_DEFERRED_DELAY", 100);
    MB_TRY_GOTO(deferred_memory_create(&device->memory), status, err_device);
    MB_TRY_GOTO(mb_device_cpu.open(&device->options, &device->cpu), status, err_memory);
    pthread_mutex_init(&device->lock, NULL);
    pthread_cond_init(&device->moved, NULL);
    *out = &device->base;
    return MB_OK;

err_memory:
    deferred_memory_destroy(&device->memory);
err_device:
    free(device);
    return status;
}

static void deferred_close(mb_device_t *base)
{
    device_t *device = (device_t *)base;
    device->cpu->class_->close(device->cpu);
    deferred_memory_destroy(&device->memory);
    pthread_mutex_destroy(&device->lock);
    pthread_cond_destroy(&device->moved);
    free(device);
}

static void deferred_describe(mb_device_t *base, char *text, size_t capacity)
{
    device_t *device = (device_t *)base;
    char cpu[256];
    device->cpu->class_->describe(device->cpu, cpu, sizeof cpu);
    snprintf(text, capacity, "deferred, seed %llu: %s", (unsigned long long)device->seed, cpu);
}

static void deferred_signature(mb_device_t *base, char *text, size_t capacity)
{
    device_t *device = (device_t *)base;
    device->cpu->class_->signature(device->cpu, text, capacity);
}

static void deferred_set_progress(mb_device_t *base, void (*progress)(void *), void *user)
{
    (void)base;
    (void)progress;
    (void)user;
}

static bool deferred_host_visible(mb_device_t *base)
{
    (void)base;
    return false;
}

static mb_status_t deferred_alloc(mb_device_t *base, size_t bytes, void **out)
{
    return deferred_memory_alloc(&((device_t *)base)->memory, bytes, out);
}

static void deferred_free(mb_device_t *base, void *memory)
{
    deferred_memory_free(&((device_t *)base)->memory, memory);
}

static mb_status_t start_worker(stream_t *stream)
{
    mb_device_t *cpu = NULL;
    MB_TRY(mb_device_cpu.open(&stream->device->options, &cpu));
    stream->cpu = cpu;
    MB_TRY(cpu->class_->stream_create(cpu, &stream->cpu_stream));
    if (pthread_create(&stream->worker, NULL, work, stream) != 0)
        return mb_error_set(MB_ERR_DEVICE, "the deferred device could not start a worker");
    return MB_OK;
}

static void free_stream(stream_t *stream)
{
    if (stream->cpu_stream != NULL)
        stream->cpu->class_->stream_destroy(stream->cpu_stream);
    if (stream->cpu != NULL)
        stream->cpu->class_->close(stream->cpu);
    free(stream);
}

static mb_status_t deferred_stream_create(mb_device_t *base, mb_stream_t **out)
{
    stream_t *stream = calloc(1, sizeof *stream);
    if (stream == NULL)
        return mb_error_memory("a stream", sizeof *stream);
    stream->base.device = base;
    stream->device = (device_t *)base;
    stream->last = &stream->first;
    stream->random = stream->device->seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    mb_status_t status = start_worker(stream);
    if (status != MB_OK) {
        free_stream(stream);
        return status;
    }
    *out = &stream->base;
    return MB_OK;
}

static void deferred_stream_destroy(mb_stream_t *base)
{
    stream_t *stream = (stream_t *)base;
    pthread_mutex_lock(&stream->device->lock);
    stream->ending = true;
    pthread_cond_broadcast(&stream->device->moved);
    pthread_mutex_unlock(&stream->device->lock);
    pthread_join(stream->worker, NULL);
    free_stream(stream);
}

static mb_status_t deferred_stream_sync(mb_stream_t *base)
{
    stream_t *stream = (stream_t *)base;
    pthread_mutex_lock(&stream->device->lock);
    while (stream->first != NULL || stream->busy)
        pthread_cond_wait(&stream->device->moved, &stream->device->lock);
    mb_status_t status = stream->status;
    if (status != MB_OK)
        mb_error_set(status, "%s", stream->message);
    stream->status = MB_OK;
    pthread_mutex_unlock(&stream->device->lock);
    return status;
}

static mb_status_t deferred_copy(mb_stream_t *base, void *to, const void *from, size_t bytes,
                                 mb_copy_kind_t kind)
{
    (void)kind;
    item_t *item = new_item(ITEM_COPY, 0);
    if (item == NULL)
        return MB_ERR_MEMORY;
    item->to = to;
    item->from = from;
    item->bytes = bytes;
    put_item((stream_t *)base, item);
    return MB_OK;
}

static mb_status_t deferred_event_create(mb_device_t *base, mb_event_t **out)
{
    event_t *event = calloc(1, sizeof *event);
    if (event == NULL)
        return mb_error_memory("an event", sizeof *event);
    event->base.device = base;
    event->device = (device_t *)base;
    event->holders = 1;
    *out = &event->base;
    return MB_OK;
}

static void deferred_event_destroy(mb_event_t *base)
{
    event_t *event = (event_t *)base;
    device_t *device = event->device;
    pthread_mutex_lock(&device->lock);
    release_event(event);
    pthread_mutex_unlock(&device->lock);
}

static mb_status_t put_event(mb_stream_t *base, mb_event_t *event, item_kind_t kind)
{
    item_t *item = new_item(kind, 0);
    if (item == NULL)
        return MB_ERR_MEMORY;
    item->event = (event_t *)event;
    put_item((stream_t *)base, item);
    return MB_OK;
}

static mb_status_t deferred_event_record(mb_event_t *event, mb_stream_t *stream)
{
    return put_event(stream, event, ITEM_RECORD);
}

static mb_status_t deferred_event_query(mb_event_t *base, bool *done)
{
    event_t *event = (event_t *)base;
    pthread_mutex_lock(&event->device->lock);
    *done = event->reached >= event->recorded;
    pthread_mutex_unlock(&event->device->lock);
    return MB_OK;
}

static mb_status_t deferred_stream_wait_event(mb_stream_t *stream, mb_event_t *event)
{
    return put_event(stream, event, ITEM_WAIT);
}

static bool deferred_has_op(mb_device_t *base, mb_op_t op)
{
    mb_device_t *cpu = ((device_t *)base)->cpu;
    return cpu->class_->has_op(cpu, op);
}

static mb_status_t deferred_run(mb_exec_t *exec, mb_op_t op, const void *args, size_t bytes)
{
    stream_t *stream = (stream_t *)exec->stream;
    if (exec->planning)
        return run_on_cpu(stream, exec, op, args, bytes);
    item_t *item = new_item(ITEM_OP, bytes);
    if (item == NULL)
        return MB_ERR_MEMORY;
    item->op = op;
    item->exec = *exec;
    memcpy(item->args, args, bytes);
    put_item(stream, item);
    return MB_OK;
}

const mb_device_class_t mb_device_deferred = {
    .size = sizeof(mb_device_class_t),
    .name = "deferred",
    .open = deferred_open,
    .close = deferred_close,
    .describe = deferred_describe,
    .signature = deferred_signature,
    .set_progress = deferred_set_progress,
    .host_visible = deferred_host_visible,
    .alloc = deferred_alloc,
    .free = deferred_free,
    .stream_create = deferred_stream_create,
    .stream_destroy = deferred_stream_destroy,
    .stream_sync = deferred_stream_sync,
    .copy = deferred_copy,
    .event_create = deferred_event_create,
    .event_destroy = deferred_event_destroy,
    .event_record = deferred_event_record,
    .event_query = deferred_event_query,
    .stream_wait_event = deferred_stream_wait_event,
    .has_op = deferred_has_op,
    .run = deferred_run,
};
