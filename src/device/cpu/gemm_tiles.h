/* How a product of matrices is cut into tiles, by its shape and the factors' type alone. */
#ifndef MB_DEVICE_CPU_GEMM_TILES_H
#define MB_DEVICE_CPU_GEMM_TILES_H

#include "device/cpu/cpu.h"

typedef struct {
    int64_t m, n; /* rows and columns of a tile; the last of either may have less */
    int64_t tiles_m, tiles_n;
} mb_gemm_tiles_t;

mb_gemm_tiles_t mb_gemm_tiles(mb_dtype_t type, int64_t m, int64_t n, int64_t k);

#endif
