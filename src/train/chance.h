/* Ranks that are slow or lost in a simulation, as the command line names them. */
#ifndef MB_TRAIN_CHANCE_H
#define MB_TRAIN_CHANCE_H

#include "base/arena.h"
#include "pipeline/simulate.h"

/* "3:1.5,random:2" and "5@3,random@7" (steps count from 1); "random" is a rank that the seed
 * chooses. NULL: none. Lists are in the arena. MB_ERR_ARGUMENT. */
mb_status_t mb_chance_stragglers(const char *text, int ranks, uint64_t seed, mb_arena_t *arena,
                                 mb_simulation_t *out);
mb_status_t mb_chance_losses(const char *text, int ranks, uint64_t seed, mb_arena_t *arena,
                             mb_simulation_t *out);

#endif
