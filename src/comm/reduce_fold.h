/* The plan of a reduction for a number of groups that is no power of two and whose odd part is
 * large: a power of two of them at a time, from the last groups to the first, as the tree nests. */
#ifndef MB_COMM_REDUCE_FOLD_H
#define MB_COMM_REDUCE_FOLD_H

#include "comm/reduce_plan.h"

/* Where every group has one root, any part may be finished anywhere, and exchanging directly would
 * take more messages. */
bool mb_reduce_folds(const mb_grid_t *grid, const mb_reduce_shape_t *shape);
/* Rounds of the grid's group, into OUT. In the arena. */
mb_status_t mb_reduce_fold(const mb_grid_t *grid, const mb_reduce_shape_t *shape, mb_arena_t *arena,
                           mb_reduce_plan_t *out);

/* Where part PART of PARTS begins: any run of parts has its share of the data but for one unit of
 * 64 bytes, however little there is. */
int64_t mb_reduce_even_bound(int64_t count, bool wide, int parts, int part);

#endif
