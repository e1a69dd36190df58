/* Ranks to stages and groups, replicas to groups; see grid.h. */
#include "comm/grid.h"

#include <stdint.h>

void mb_grid_set(mb_grid_t *grid, int ranks, int rank, int stages, int replicas)
{
    int whole = ranks / stages;
    int groups = whole < replicas ? whole : replicas;
    bool idle = rank >= stages * groups;
    *grid = (mb_grid_t){.ranks = ranks,
                        .stages = stages,
                        .groups = groups,
                        .replicas = replicas,
                        .rank = rank,
                        .stage = idle ? -1 : rank % stages,
                        .group = idle ? -1 : rank / stages};
}

int mb_grid_rank(const mb_grid_t *grid, int stage, int group)
{
    return group * grid->stages + stage;
}

bool mb_grid_idle(const mb_grid_t *grid)
{
    return grid->stage < 0;
}

void mb_grid_replicas(const mb_grid_t *grid, int group, int *first, int *count)
{
    int64_t replicas = grid->replicas;
    *first = (int)(replicas * group / grid->groups);
    *count = (int)(replicas * (group + 1) / grid->groups) - *first;
}
