/* Which cards there are, and what this was built with. A machine without a driver has none; that is
 * an answer and no error. Nothing here makes a context, so nobody's memory is taken. */
#include "device/cuda/internal.h"

#include <stdio.h>

static mb_status_t describe_card(int index, mb_card_t *card)
{
    struct cudaDeviceProp properties;
    MB_TRY(mb_cuda_check(cudaGetDeviceProperties(&properties, index), "reading a device"));
    MB_TRY(mb_cuda_check(cudaDeviceGetPCIBusId(card->bus, sizeof card->bus, index),
                         "reading a device's address"));
    snprintf(card->name, sizeof card->name, "%.127s", properties.name);
    card->major = properties.major;
    card->minor = properties.minor;
    card->memory_bytes = properties.totalGlobalMem;
    return MB_OK;
}

static mb_status_t find_links(int index, int count, mb_card_t *card)
{
    for (int other = 0; other < count; other++) {
        int reached = 0;
        if (other == index)
            continue;
        MB_TRY(mb_cuda_check(cudaDeviceCanAccessPeer(&reached, index, other),
                             "asking which devices reach each other"));
        card->reaches |= reached ? 1u << other : 0;
    }
    return MB_OK;
}

mb_status_t mb_cuda_inventory(mb_inventory_t *out)
{
    int count = 0;
    cudaDriverGetVersion(&out->driver);
    cudaRuntimeGetVersion(&out->runtime);
    snprintf(out->built, sizeof out->built, "CUDA %d.%d for compute capabilities %s",
             CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10, MB_CUDA_ARCHS);
    cudaError_t code = cudaGetDeviceCount(&count);
    if (code != cudaSuccess || count == 0) {
        snprintf(out->absent, sizeof out->absent, "%s (%s)", cudaGetErrorString(code),
                 cudaGetErrorName(code));
        return MB_OK;
    }
    out->count = count < MB_MOST_CARDS ? count : MB_MOST_CARDS;
    for (int i = 0; i < out->count; i++) {
        MB_TRY(describe_card(i, &out->cards[i]));
        MB_TRY(find_links(i, out->count, &out->cards[i]));
    }
    return MB_OK;
}
