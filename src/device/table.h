/* A table of trained tensors (ops.h) in device memory, and how a tile finds its tensor. */
#ifndef MB_DEVICE_TABLE_H
#define MB_DEVICE_TABLE_H

#include "device/device.h"

/* Numbers the tiles of N tensors and returns how many there are. */
int64_t mb_table_number(mb_tensor_t *tensors, int64_t n);

/* Numbers the tiles, copies the N tensors (host memory) to the stream's device and waits for that.
 * Freed by mb_table_destroy. Not collective. Errors: those of the device. */
mb_status_t mb_table_create(mb_exec_t *exec, mb_tensor_t *tensors, int64_t n, mb_table_t *out);
void mb_table_destroy(mb_device_t *device, mb_table_t *table);

/* Device memory of a table of N tensors. */
static inline size_t mb_table_bytes(int64_t n)
{
    return ((size_t)n + 1) * sizeof(mb_tensor_t);
}

/* The tensor that TILE is one of; memory that the caller may read. */
static inline const mb_tensor_t *mb_table_find(const mb_table_t *table, int64_t tile)
{
    int64_t low = 0, high = table->n - 1; /* an empty tensor has its successor's first tile */
    while (low < high) {
        int64_t middle = (low + high + 1) / 2;
        if (table->tensors[middle].first_tile <= tile)
            low = middle;
        else
            high = middle - 1;
    }
    return &table->tensors[low];
}

#endif
