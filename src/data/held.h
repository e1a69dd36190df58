/* Samples of the caller's where they lie: of any strides, in the host's memory or a device's. */
#ifndef MB_DATA_HELD_H
#define MB_DATA_HELD_H

#include "base/error.h"
#include "base/types.h"
#include "device/device.h"

typedef struct {
    const char *name;
    mb_shape_t shape; /* of one sample */
    mb_dtype_t dtype;
    int64_t stride;               /* bytes from sample to sample */
    int64_t strides[MB_MAX_RANK]; /* bytes from element to element, of each of its dimensions */
    const char *data;
    bool on_device;
} mb_held_t;

/* Of one sample, packed. */
int64_t mb_held_bytes(const mb_held_t *held);
/* Whether the elements of a sample stand side by side in their order. */
bool mb_held_is_packed(const mb_held_t *held);
/* Of a sample in the host's memory. */
const char *mb_held_place(const mb_held_t *held, int64_t sample);
/* The way to samples in a device's memory. */
typedef struct {
    mb_device_t *device;
    mb_exec_t exec;
} mb_held_way_t;
/* By a device of class NAME. MB_ERR_UNSUPPORTED where there is none here. */
mb_status_t mb_held_way_open(const char *name, int local_rank, mb_held_way_t *out);
void mb_held_way_close(mb_held_way_t *way);
/* A sample's elements side by side into TO, wherever it lies; of one in a device's memory when the
 * way's stream is through. WAY: not looked at where it lies in the host's. */
mb_status_t mb_held_fetch(const mb_held_t *held, mb_held_way_t *way, int64_t sample, void *to);

#endif
