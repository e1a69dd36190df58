/* The sums over replicas of a stage, bucket by bucket of each chunk (comm/reduce.h): each begins
 * where the bucket's gradients are done and moves while others are still computed.
 *
 * Where groups share the optimizer's work out (ZeRO, stage 1: Rajbhandari et al. 2020, section 5.1)
 * each has a part of every chunk, of whole tensors: it updates them, and gathering gives the new
 * values to all. */
#ifndef MB_ENGINE_STAGE_REDUCE_H
#define MB_ENGINE_STAGE_REDUCE_H

#include "comm/reduce.h"
#include "engine/stage.h"

typedef struct mb_stage_reduce mb_stage_reduce_t;

/* Collective over the ranks of the stage. SHARES_OUT: groups have parts of their own. WINDOW: over
 * the stage's gradient blocks, which outlives it; NULL: there is none, and unless it would be
 * WINDOWED in a run that is only counted, messages, as where groups have parts. */
mb_status_t mb_stage_reduce_create(mb_comm_t *comm, mb_transport_t *transport,
                                   const mb_grid_t *grid, mb_stage_t *stage, bool shares_out,
                                   mb_reduce_window_t *window, bool windowed,
                                   mb_stage_reduce_t **out);
void mb_stage_reduce_destroy(mb_stage_reduce_t *reduction);
/* As mb_reduce_use_link. */
void mb_stage_reduce_use_link(mb_stage_reduce_t *reduction, mb_reduce_link_t *link);

/* Of the stage's chunk number INDEX this bucket (plan.h), from 1; 0: all. The chunk's doubles go
 * with the last one. The roots of the gradients are the stage's blocks, those of the sums SUMS. */
mb_status_t mb_stage_reduce_start(mb_stage_reduce_t *reduction, int index, int bucket,
                                  double *const *sums);
mb_status_t mb_stage_reduce_go_on(mb_stage_reduce_t *reduction);
/* Waits for all that were started. */
mb_status_t mb_stage_reduce_finish(mb_stage_reduce_t *reduction);
/* In front of a backward that writes the bucket's gradients: where rooms are taken in turn
 * (stage_rooms.h), waits until what had its room before is summed. */
mb_status_t mb_stage_reduce_make_room(mb_stage_reduce_t *reduction, int index, int bucket);

bool mb_stage_reduce_shares_out(const mb_stage_reduce_t *reduction);
/* Whether an entry is of this group's parts. */
bool mb_stage_reduce_is_own(const mb_stage_reduce_t *reduction, int64_t entry);
/* Between steps, of one of so many buckets: what stands in this group's part of its gradients,
 * where a backward writes them (mb_stage_entry), comes to all groups. Collective; waits. */
int mb_stage_reduce_count(const mb_stage_reduce_t *reduction);
mb_bucket_t mb_stage_reduce_nodes(const mb_stage_reduce_t *reduction, int number);
mb_status_t mb_stage_reduce_gather(mb_stage_reduce_t *reduction, int number);
/* [graph's n_params] numbers that are zero on all groups but one become that one's. Collective;
 * waits. Nothing where groups have no parts. */
mb_status_t mb_stage_reduce_merge(mb_stage_reduce_t *reduction, double *numbers);

/* Bytes this rank sends for a bucket, or all (0), of a chunk, and for all chunks, in a step: the
 * plan's formula, without numbers that are merged. */
int64_t mb_stage_reduce_bucket_bytes(const mb_stage_reduce_t *reduction, int index, int bucket);
int64_t mb_stage_reduce_bytes(const mb_stage_reduce_t *reduction);
/* Bytes of device memory that sums of other groups are received into. */
int64_t mb_stage_reduce_memory(const mb_stage_reduce_t *reduction);
/* What the transport must be ready for. */
mb_status_t mb_stage_reduce_needs(const mb_grid_t *grid, const mb_stage_t *stage, bool shares_out,
                                  int *requests, size_t *bytes);

#endif
