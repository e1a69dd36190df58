/* Where a rank stands: stages x groups.
 *
 *     rank = group * stages + stage; ranks from stages * groups on are idle
 *
 * A group is one pipeline; it works on a contiguous run of replicas. */
#ifndef MB_COMM_GRID_H
#define MB_COMM_GRID_H

#include <stdbool.h>

typedef struct {
    int ranks, stages, groups, replicas;
    int rank, stage, group; /* of this rank; stage and group -1 when idle */
} mb_grid_t;

/* groups = min(replicas, ranks / stages). */
void mb_grid_set(mb_grid_t *grid, int ranks, int rank, int stages, int replicas);
int mb_grid_rank(const mb_grid_t *grid, int stage, int group);
bool mb_grid_idle(const mb_grid_t *grid);
/* Group g works on replicas [first, first + count): floor(R g / groups) .. */
void mb_grid_replicas(const mb_grid_t *grid, int group, int *first, int *count);

#endif
