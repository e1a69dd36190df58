/* A factor of a product, copied into panels: of each tile's columns, all rows stand side by side.
 * It pays where kernels read the factor as it lies slowly: where it is stored transposed, or where
 * its rows are a multiple of so much apart that they share a few sets of the first cache. All tiles
 * beside each other then read what was copied once. */
#ifndef MB_DEVICE_CPU_GEMM_PACK_H
#define MB_DEVICE_CPU_GEMM_PACK_H

#include "device/cpu/cpu.h"

typedef struct {
    const float *from; /* k rows of COLUMNS; TRANSPOSED: stored as columns */
    int64_t columns, width, ld;
    bool transposed;
    float *to;
} mb_panels_t;

/* Between rows of a panel of WIDTH columns, in elements. */
int64_t mb_panel_ld(int64_t width);
size_t mb_panels_bytes(int64_t columns, int64_t width, int64_t rows);
/* Where panel INDEX begins, ROWS high each. */
float *mb_panel_at(const mb_panels_t *panels, int64_t index, int64_t rows);

/* Rows first ... first+rows-1 into the panels, in blocks of which any thread takes any. */
int64_t mb_panels_blocks(const mb_panels_t *panels, int64_t rows);
void mb_panels_copy(const mb_panels_t *panels, int64_t first, int64_t rows, int64_t block);

/* Whether copying pays for a factor whose rows (TRANSPOSED: columns) are that far apart. */
bool mb_panels_pay(int64_t ld, bool transposed);

#endif
