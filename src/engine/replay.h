/* A stage's actions as recordings (CUDA graphs): the first time that a micro-batch comes to an
 * action in some place, what it puts on the stream is recorded, and from then on put there by one
 * call. Only where nothing but the place decides what is done: not in a stage that draws random
 * numbers, whose keys are arguments. */
#ifndef MB_ENGINE_REPLAY_H
#define MB_ENGINE_REPLAY_H

#include "engine/stage.h"

typedef struct mb_replays mb_replays_t;
typedef mb_status_t (*mb_stage_action_t)(mb_stage_t *stage, const mb_micro_t *micro);

mb_status_t mb_replays_create(mb_stage_t *stage, mb_replays_t **out);
void mb_replays_destroy(mb_replays_t *replays);
/* Forgets all: the stage does something else from now on. DRAWS: and never the same again. */
void mb_replays_forget(mb_replays_t *replays, bool draws);
/* Forgets all: what the stage does is the same, elsewhere. */
void mb_replays_restart(mb_replays_t *replays);
/* Runs ACTION for MICRO, by a recording where that is possible. */
mb_status_t mb_replays_run(mb_replays_t *replays, mb_stage_action_t action,
                           const mb_micro_t *micro);

#endif
