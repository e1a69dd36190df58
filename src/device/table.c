/* See table.h. */
#include "device/table.h"

int64_t mb_table_number(mb_tensor_t *tensors, int64_t n)
{
    int64_t tiles = 0;
    for (int64_t i = 0; i < n; i++) {
        tensors[i].first_tile = tiles;
        tiles += (tensors[i].count + MB_TENSOR_TILE - 1) / MB_TENSOR_TILE;
    }
    return tiles;
}

mb_status_t mb_table_create(mb_exec_t *exec, mb_tensor_t *tensors, int64_t n, mb_table_t *out)
{
    size_t bytes = (size_t)n * sizeof *tensors;
    void *memory = NULL;
    mb_table_t table = {.n = n, .tiles = mb_table_number(tensors, n)};
    MB_TRY(mb_device_alloc(exec->device, mb_table_bytes(n), &memory));
    mb_status_t status = mb_exec_copy(exec, memory, tensors, bytes, MB_COPY_TO_DEVICE);
    if (status == MB_OK)
        status = mb_exec_sync(exec);
    if (status != MB_OK) {
        mb_device_free(exec->device, memory);
        return status;
    }
    table.tensors = memory;
    *out = table;
    return MB_OK;
}

void mb_table_destroy(mb_device_t *device, mb_table_t *table)
{
    mb_device_free(device, (void *)(uintptr_t)table->tensors);
    *table = (mb_table_t){NULL, 0, 0};
}
