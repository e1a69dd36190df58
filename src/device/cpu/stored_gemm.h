/* The ways that a product of many rows with a stored matrix is computed, and how its result is cut
 * into tiles: by shape alone. */
#ifndef MB_DEVICE_CPU_STORED_GEMM_H
#define MB_DEVICE_CPU_STORED_GEMM_H

#include "device/cpu/stored.h"

typedef struct {
    int64_t rows, columns; /* of a tile, but the last */
    int64_t tiles_m, tiles_n;
    int64_t last_rows, last_columns;
} mb_stored_tiles_t;

/* Tiles of at most MOST_ROWS x MOST_COLUMNS, narrower while there are few of them. */
mb_stored_tiles_t mb_stored_choose_tiles(const mb_stored_gemm_args_t *args, int64_t most_rows,
                                         int64_t most_columns);

/* Column after column of tiles. */
typedef struct {
    mb_span_t rows, columns;
    bool last_m, last_n;
} mb_stored_tile_t;
mb_stored_tile_t mb_stored_tile(const mb_stored_tiles_t *tiles, int64_t tile);

/* In whole numbers; the matrix mb_stored_is_integer. */
mb_status_t mb_stored_gemm_integer(mb_exec_t *exec, const mb_stored_gemm_args_t *args);
/* A rounded to bf16, the processor multiplying bf16 itself. */
mb_status_t mb_stored_gemm_bf16(mb_exec_t *exec, const mb_stored_gemm_args_t *args);
/* Blocks of B as floats, each made once for all rows of a tile. */
mb_status_t mb_stored_gemm_decoded(mb_exec_t *exec, const mb_stored_gemm_args_t *args);

#endif
