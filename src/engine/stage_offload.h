/* What is kept of micro-batches in flight stands in host memory, and in two rooms of the device's
 * for each chunk: the one that a micro-batch's forward writes or its backward reads, and the one
 * that is on its way. The bytes come back as they went.
 *
 *     exec   F2 ........ B0 ........ F3 ......... B1           rooms: 0, 1, 0 ...
 *     lane      out 2    in 1           out 3     in 2
 *
 * A chunk with two or fewer micro-batches in flight keeps all on the device. */
#ifndef MB_ENGINE_STAGE_OFFLOAD_H
#define MB_ENGINE_STAGE_OFFLOAD_H

#include "engine/stage.h"

/* Takes rooms and host memory of the chunks that are offloaded. Not collective. */
mb_status_t mb_stage_offload_create(mb_stage_t *stage);
/* Behind the last action. */
void mb_stage_offload_destroy(mb_stage_t *stage);

/* In front of an action on a micro-batch, and behind it: FORWARD writes what is kept, others read
 * it. Nothing where the chunk is not offloaded, or while planning. */
mb_status_t mb_stage_offload_begin(mb_stage_t *stage, const mb_micro_t *micro, bool forward);
mb_status_t mb_stage_offload_end(mb_stage_t *stage, const mb_micro_t *micro, bool forward);

#endif
