/* Where the gradients of a stage stand whose sums groups share out (ZeRO, stage 2: Rajbhandari et
 * al. 2020, section 5.2): the part of the sums that this group updates with, and rooms that buckets
 * take in turn.
 *
 *     entries   all gradients, in the order of the graph; nowhere are they all at once
 *     block     [ part of chunk 0 | of chunk 1 | ... ][ room 0 ][ room 1 ][ room 2 ]
 *
 * A bucket is in its room from its backward until its sum is through; then this group's part of it
 * moves to the front (stage_reduce.h). One room is written while the sums of two are under way. */
#ifndef MB_ENGINE_STAGE_ROOMS_H
#define MB_ENGINE_STAGE_ROOMS_H

#include "engine/stage.h"

/* Plans the block: of PARTS (stage_parts.h) this stage keeps number PART; below 2: all. Where parts
 * and rooms would take no less than all gradients, these stay where they are. */
mb_status_t mb_stage_place_rooms(mb_stage_t *stage, int parts, int part);
/* The room that a bucket, from 1, of the stage's chunk number INDEX takes. */
int mb_stage_room(const mb_stage_t *stage, int index, int bucket);
/* Where the bucket's gradients begin in a block. */
int64_t mb_stage_bucket_at(const mb_stage_t *stage, int index, int bucket);
/* Where the sum of an entry of this group's part stands in block 0 in the end. */
int64_t mb_stage_summed_at(const mb_stage_t *stage, int64_t entry);

#endif
