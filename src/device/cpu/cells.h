/* Sums in many cells: tiles of rows leave partial sums of all cells, which are added in tile order.
 * Few tiles, however many rows there are, since each has memory for all cells. */
#ifndef MB_DEVICE_CPU_CELLS_H
#define MB_DEVICE_CPU_CELLS_H

#include "device/cpu/cpu.h"

typedef struct mb_cells {
    const void *args; /* the operation's */
    void (*add)(const struct mb_cells *cells, int64_t row, double *sums);
    int64_t rows, valid, columns, count; /* count: of cells */
    int64_t block;
    double *partial; /* [tiles][count] */
} mb_cells_t;

/* Takes the workspace; while planning nothing more. out[count] += what ADD adds for each valid row.
 */
mb_status_t mb_cells_run(mb_exec_t *exec, mb_op_t op, mb_cells_t *cells, double *out);

#endif
