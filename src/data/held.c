/* See held.h. */
#include "data/held.h"

#include <string.h>

int64_t mb_held_bytes(const mb_held_t *held)
{
    return mb_shape_elements(&held->shape) * (int64_t)mb_dtype_bytes(held->dtype);
}

bool mb_held_is_packed(const mb_held_t *held)
{
    int64_t wanted = (int64_t)mb_dtype_bytes(held->dtype);
    for (int i = held->shape.rank - 1; i >= 0; i--) {
        if (held->shape.dim[i] > 1 && held->strides[i] != wanted)
            return false;
        wanted *= held->shape.dim[i];
    }
    return true;
}

const char *mb_held_place(const mb_held_t *held, int64_t sample)
{
    return held->data + sample * held->stride;
}

/* COUNT elements of SIZE bytes, each size a copy of its own for the compiler. */
static void pack_row(const char *from, int64_t stride, int64_t count, size_t size, char *to)
{
    for (int64_t i = 0; i < count; i++, from += stride, to += size) {
        if (size == 4)
            memcpy(to, from, 4);
        else if (size == 8)
            memcpy(to, from, 8);
        else
            memcpy(to, from, size);
    }
}

/* Dimensions DIMENSION and those behind it; returns the end of what was written. */
static char *pack(const mb_held_t *held, int dimension, const char *from, char *to)
{
    size_t size = mb_dtype_bytes(held->dtype);
    int64_t count = dimension < held->shape.rank ? held->shape.dim[dimension] : 1;
    int64_t stride = dimension < held->shape.rank ? held->strides[dimension] : 0;
    if (dimension >= held->shape.rank - 1) {
        pack_row(from, stride, count, size, to);
        return to + (size_t)count * size;
    }
    for (int64_t i = 0; i < count; i++)
        to = pack(held, dimension + 1, from + i * stride, to);
    return to;
}

mb_status_t mb_held_way_open(const char *name, int local_rank, mb_held_way_t *out)
{
    int count = mb_device_count(name);
    if (count == 0)
        mb_error_prefix(MB_ERR_UNSUPPORTED, "no device '%s' can be used: ", name);
    if (count < 1)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "samples in a device's memory (MB_DEVICE), but %s%s; copy them to the "
                            "host and give them as MB_HOST",
                            count < 0 ? "this build has no plugin for the device "
                                        "(make cuda builds that for GPUs): "
                                      : "",
                            count < 0 ? name : mb_error_get());
    /* Any of them reaches the memory of all: a CUDA pointer says by itself whose it is. */
    const mb_device_options_t options = {
        .size = sizeof options, .threads = 1, .index = local_rank % count};
    MB_TRY(mb_device_open(name, &options, &out->device));
    mb_status_t status = mb_exec_create(out->device, &out->exec);
    if (status == MB_OK)
        status = mb_exec_allocate(&out->exec);
    if (status != MB_OK)
        mb_held_way_close(out);
    return status;
}

void mb_held_way_close(mb_held_way_t *way)
{
    if (way->device == NULL)
        return;
    mb_exec_destroy(&way->exec);
    mb_device_close(way->device);
    way->device = NULL;
}

mb_status_t mb_held_fetch(const mb_held_t *held, mb_held_way_t *way, int64_t sample, void *to)
{
    const char *from = mb_held_place(held, sample);
    size_t bytes = (size_t)mb_held_bytes(held);
    if (held->on_device)
        return mb_exec_copy(&way->exec, to, from, bytes, MB_COPY_TO_HOST);
    if (mb_held_is_packed(held))
        memcpy(to, from, bytes);
    else
        pack(held, 0, from, to);
    return MB_OK;
}
