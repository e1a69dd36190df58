/* Sums over replicas without messages: ranks of one node whose gradients stand in shared memory
 * (shared.h) read each other's and write each other's sums.
 *
 *     ready    a rank says that its roots of a piece are complete
 *     adding   once all are ready, each rank makes its own part of the sum from all ranks' roots,
 *              and writes it to all ranks' first root: it goes through its part in stretches that
 *              stay in the cache, so that memory is read once and written once
 *     done     a rank says that its part is; when all are, the sum is there
 *
 * The additions are the tree's (tree.h), in its order. Nobody but the rank whose part it is touches
 * a part between ready and done. */
#ifndef MB_COMM_REDUCE_WINDOW_H
#define MB_COMM_REDUCE_WINDOW_H

#include "comm/grid.h"
#include "comm/shared.h"
#include "comm/tree.h"
#include "device/device.h"

typedef struct mb_reduce_window mb_reduce_window_t;

/* Bytes of the signals, which stand in front of a rank's roots in its shared memory. */
size_t mb_reduce_window_front(void);
/* The most pieces that a window has signals for. */
int mb_reduce_window_pieces(void);
/* Over SHARED, which has been joined by all groups of the grid's stage, by their numbers, and
 * outlives the window. Root i of a group begins I ROOT_BYTES behind the front. Not collective.
 * *out is NULL, and that is no error, where there are more roots than it adds at once. */
mb_status_t mb_reduce_window_create(mb_comm_t *comm, mb_exec_t *exec, const mb_grid_t *grid,
                                    const mb_shared_t *shared, size_t root_bytes,
                                    mb_reduce_window_t **out);
void mb_reduce_window_destroy(mb_reduce_window_t *window);

typedef struct { /* of the floats [first, first + count) of all roots */
    mb_reduce_window_t *window;
    int number; /* its signals */
    int64_t first, count;
    uint64_t turn; /* times that it was begun */
    bool under_way, added;
} mb_window_piece_t;

/* The same contract as mb_reduce_start, _go_on and _finish (reduce.h). */
mb_status_t mb_window_piece_start(mb_window_piece_t *piece);
mb_status_t mb_window_piece_go_on(mb_window_piece_t *piece);
mb_status_t mb_window_piece_finish(mb_window_piece_t *piece);

#endif
