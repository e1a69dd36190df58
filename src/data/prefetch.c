/* A ring of `depth` batches between one worker thread and the caller.
 *
 *      taken - 1       taken ... filled - 1      filled ... taken - 2 + depth
 *     in the caller's        ready                     free for the worker
 *
 * Batch i lives in slot i % depth. The worker stops after the last batch or an error, which stays
 * in its slot until its turn. Where the source belongs to the opener's thread there is no worker,
 * and each take fills its own slot. */
#define _POSIX_C_SOURCE 200809L
#include "data/prefetch.h"

#include "base/log.h"
#include "base/pin.h"
#include "data/internal.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUFFER_ALIGNMENT 64
#define MESSAGE_BYTES 2048
#define EXPECTED 2 /* batches that a source is told of ahead of the one that is read */

typedef struct {
    void **buffers; /* one an item */
    int64_t count;
    mb_status_t status;
    char message[MESSAGE_BYTES];
} slot_t;

struct mb_prefetch {
    mb_source_t *source;
    mb_prefetch_item_t *items;
    int n_items;
    int64_t samples;
    mb_prefetch_next_t next;
    void *user;

    slot_t *slots;
    int64_t depth;
    int64_t *indices;

    pthread_t worker;
    bool threaded;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int64_t filled;   /* batches in the ring or already taken */
    int64_t expected; /* batches that the source was told of */
    int64_t taken;
    double waited;
    bool ended; /* the last batch is filled */
    bool stop;
};

static mb_status_t check_labels(const mb_prefetch_t *p, const mb_prefetch_item_t *item,
                                const int64_t *indices, int64_t count, const int32_t *values)
{
    if (!item->as_int || item->classes <= 0)
        return MB_OK;
    for (int64_t i = 0; i < count * item->elements; i++) {
        int64_t value = values[i];
        if ((value >= 0 && value < item->classes) || (item->has_ignore && value == item->ignore))
            continue;
        char what[192];
        snprintf(what, sizeof(what), "%s: found %" PRId64 ", but it must lie from 0 to %" PRId64,
                 item->what == NULL ? "labels" : item->what, value, item->classes - 1);
        return mb_source_fault(p->source, item->field, indices[i / item->elements], what);
    }
    return MB_OK;
}

/* Integers in front become rows of zeros with a one, from the back, so that none is overwritten
 * before its turn. */
static mb_status_t spread(const mb_prefetch_t *p, const mb_prefetch_item_t *item,
                          const int64_t *indices, int64_t count, char *buffer)
{
    for (int64_t i = count; i-- > 0;) {
        int32_t value;
        char what[192];
        float *row = (float *)(void *)buffer + i * item->elements;
        memcpy(&value, buffer + 4 * i, sizeof(value));
        if (value < 0 || value >= item->elements) {
            snprintf(what, sizeof(what), "class %d, but there are %" PRId64, value, item->elements);
            return mb_source_fault(p->source, item->field, indices[i], what);
        }
        memset(row, 0, (size_t)item->elements * sizeof(float));
        row[value] = 1.0f;
    }
    return MB_OK;
}

static mb_status_t read_samples(const mb_prefetch_t *p, const mb_prefetch_item_t *item,
                                const int64_t *indices, int64_t count, char *to)
{
    MB_TRY(p->source->class_->read(p->source, item->field, indices, count,
                                   item->as_int || item->one_hot, to));
    if (item->one_hot)
        return spread(p, item, indices, count, to);
    return check_labels(p, item, indices, count, (const int32_t *)(void *)to);
}

/* Positions without a sample (-1) are filled with zeros. */
static mb_status_t fill_item(const mb_prefetch_t *p, const mb_prefetch_item_t *item, char *buffer)
{
    int64_t sample_bytes = 4 * item->elements;
    for (int64_t i = 0; i < p->samples;) {
        bool some = p->indices[i] >= 0;
        char *to = buffer + i * sample_bytes;
        int64_t n = 1;
        while (i + n < p->samples && (p->indices[i + n] >= 0) == some)
            n++;
        if (some) {
            MB_TRY(read_samples(p, item, p->indices + i, n, to));
        } else {
            memset(to, 0, (size_t)(n * sample_bytes));
        }
        i += n;
    }
    return MB_OK;
}

static int64_t list_batch(mb_prefetch_t *p, int64_t batch)
{
    for (int64_t i = 0; i < p->samples; i++)
        p->indices[i] = -1;
    return p->next(p->user, batch, p->indices);
}

/* Tells the source what fill_item will read, run by run. */
static mb_status_t expect_item(mb_prefetch_t *p, const mb_prefetch_item_t *item)
{
    for (int64_t i = 0, n = 1; i < p->samples; i += n, n = 1) {
        if (p->indices[i] < 0)
            continue;
        while (i + n < p->samples && p->indices[i + n] >= 0)
            n++;
        MB_TRY(p->source->expect(p->source, item->field, p->indices + i, n));
    }
    return MB_OK;
}

static mb_status_t expect_batches(mb_prefetch_t *p, int64_t end)
{
    for (; p->source->expect != NULL && p->expected < end; p->expected++) {
        if (list_batch(p, p->expected) < 0)
            continue;
        for (int i = 0; i < p->n_items; i++) {
            if (p->items[i].field >= 0)
                MB_TRY(expect_item(p, &p->items[i]));
        }
    }
    return MB_OK;
}

static void fill_slot(mb_prefetch_t *p, int64_t batch, slot_t *slot)
{
    slot->status = expect_batches(p, batch + 1 + EXPECTED);
    slot->count = list_batch(p, batch);
    if (slot->count < 0)
        return;
    for (int i = 0; i < p->n_items && slot->status == MB_OK; i++) {
        if (p->items[i].field >= 0)
            slot->status = fill_item(p, &p->items[i], slot->buffers[i]);
    }
    if (slot->status != MB_OK)
        snprintf(slot->message, sizeof(slot->message), "%s", mb_error_get());
}

/* Fills batch `filled`; the lock is held, but not during the work. */
static void fill_next(mb_prefetch_t *p)
{
    slot_t *slot = &p->slots[p->filled % p->depth];
    int64_t batch = p->filled;
    pthread_mutex_unlock(&p->lock);
    fill_slot(p, batch, slot);
    pthread_mutex_lock(&p->lock);
    p->filled++;
    p->ended = slot->count < 0 || slot->status != MB_OK;
    pthread_cond_broadcast(&p->changed);
}

/* The slot of batch taken - 1 is in the caller's hands. */
static bool has_room(const mb_prefetch_t *p)
{
    int64_t oldest = p->taken > 0 ? p->taken - 1 : 0;
    return p->filled - oldest < p->depth;
}

static void *work(void *argument)
{
    mb_prefetch_t *p = argument;
    pthread_mutex_lock(&p->lock);
    while (!p->stop && !p->ended) {
        if (has_room(p))
            fill_next(p);
        else
            pthread_cond_wait(&p->changed, &p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* Signals are for the host's threads. Without a thread to spare, takes do the work. */
static void start_worker(mb_prefetch_t *p)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    p->threaded = mb_pin_start_free(&p->worker, work, p) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void fill_positions(const mb_prefetch_item_t *item, int64_t samples, void *buffer)
{
    for (int64_t i = 0; i < samples * item->elements; i++) {
        int32_t position = (int32_t)(i % item->elements);
        if (item->as_int)
            ((int32_t *)buffer)[i] = position;
        else
            ((float *)buffer)[i] = (float)position;
    }
}

mb_status_t mb_prefetch_read(mb_source_t *source, const mb_prefetch_item_t *item, int64_t *indices,
                             int64_t samples, void *to)
{
    const mb_prefetch_t p = {.source = source, .indices = indices, .samples = samples};
    if (item->field >= 0)
        return fill_item(&p, item, to);
    fill_positions(item, samples, to);
    return MB_OK;
}

static size_t buffer_bytes(const mb_prefetch_t *p, int item)
{
    size_t bytes = (size_t)(4 * p->items[item].elements * p->samples);
    return (bytes / BUFFER_ALIGNMENT + 1) * BUFFER_ALIGNMENT;
}

static bool allocate_slot(mb_prefetch_t *p, slot_t *slot)
{
    slot->buffers = calloc((size_t)p->n_items + 1, sizeof(void *));
    if (slot->buffers == NULL)
        return false;
    for (int i = 0; i < p->n_items; i++) {
        size_t bytes = buffer_bytes(p, i);
        slot->buffers[i] = aligned_alloc(BUFFER_ALIGNMENT, bytes);
        if (slot->buffers[i] == NULL)
            return false;
        memset(slot->buffers[i], 0, bytes);
        if (p->items[i].field < 0)
            fill_positions(&p->items[i], p->samples, slot->buffers[i]);
    }
    return true;
}

static bool allocate(mb_prefetch_t *p, const mb_prefetch_item_t *items)
{
    p->items = calloc((size_t)p->n_items + 1, sizeof(*items));
    p->slots = calloc((size_t)p->depth, sizeof(slot_t));
    p->indices = calloc((size_t)p->samples + 1, sizeof(int64_t));
    if (p->items == NULL || p->slots == NULL || p->indices == NULL)
        return false;
    memcpy(p->items, items, (size_t)p->n_items * sizeof(*items));
    for (int64_t i = 0; i < p->depth; i++) {
        if (!allocate_slot(p, &p->slots[i]))
            return false;
    }
    return true;
}

static mb_status_t check_items(const mb_source_t *source, const mb_prefetch_item_t *items, int n)
{
    for (int i = 0; i < n; i++) {
        int field = items[i].field;
        if (field < 0)
            continue;
        int64_t elements =
            field < source->n_fields ? mb_shape_elements(&source->fields[field].shape) : -1;
        if (elements < 0 || elements != (items[i].one_hot ? 1 : items[i].elements))
            return mb_error_set(MB_ERR_INTERNAL,
                                "%s: prefetch item %d does not agree with its field %d",
                                source->path, i, field);
    }
    return MB_OK;
}

mb_status_t mb_prefetch_create(mb_source_t *source, const mb_prefetch_item_t *items, int n_items,
                               int64_t samples, int depth, mb_prefetch_next_t next, void *user,
                               mb_prefetch_t **out)
{
    MB_TRY(check_items(source, items, n_items));
    mb_prefetch_t *p = calloc(1, sizeof(*p));
    if (p == NULL)
        return mb_error_memory("the prefetch", sizeof(*p));
    p->source = source;
    p->n_items = n_items;
    p->samples = samples;
    p->depth = depth < 1 || !source->class_->thread_ok ? 1 : depth;
    p->next = next;
    p->user = user;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->changed, NULL);
    if (!allocate(p, items)) {
        mb_prefetch_destroy(p);
        return mb_error_memory("the buffers of batches read ahead", (size_t)samples);
    }
    if (p->depth > 1)
        start_worker(p);
    *out = p;
    return MB_OK;
}

/* Until batch taken - 1 is filled; the lock is held. */
static void await_batch(mb_prefetch_t *p)
{
    double start = mb_time_seconds();
    if (!p->threaded && p->filled < p->taken)
        fill_next(p);
    pthread_cond_broadcast(&p->changed);
    while (p->filled < p->taken)
        pthread_cond_wait(&p->changed, &p->lock);
    p->waited += mb_time_seconds() - start;
}

mb_status_t mb_prefetch_take(mb_prefetch_t *prefetch, const void *const **buffers, int64_t *count)
{
    mb_prefetch_t *p = prefetch;
    pthread_mutex_lock(&p->lock);
    bool past_end = p->ended && p->taken == p->filled;
    slot_t *slot = &p->slots[(past_end ? p->taken - 1 : p->taken) % p->depth];
    if (!past_end)
        p->taken++;
    await_batch(p);
    pthread_mutex_unlock(&p->lock);
    if (slot->status != MB_OK)
        return mb_error_set(slot->status, "%s", slot->message);
    *buffers = (const void *const *)slot->buffers;
    *count = slot->count;
    return MB_OK;
}

double mb_prefetch_waited(const mb_prefetch_t *prefetch)
{
    return prefetch->waited;
}

int64_t mb_prefetch_bytes(const mb_prefetch_t *prefetch)
{
    int64_t bytes = 0;
    for (int i = 0; i < prefetch->n_items; i++)
        bytes += (int64_t)buffer_bytes(prefetch, i);
    return bytes * prefetch->depth;
}

void mb_prefetch_destroy(mb_prefetch_t *prefetch)
{
    mb_prefetch_t *p = prefetch;
    if (p == NULL)
        return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    if (p->threaded)
        pthread_join(p->worker, NULL);
    for (int64_t i = 0; p->slots != NULL && i < p->depth; i++) {
        for (int j = 0; p->slots[i].buffers != NULL && j < p->n_items; j++)
            free(p->slots[i].buffers[j]);
        free(p->slots[i].buffers);
    }
    free(p->slots);
    free(p->items);
    free(p->indices);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
    free(p);
}
