/* The sums over replicas of a stage, chunk by chunk (comm/reduce.h): each begins where the chunk's
 * gradients are done and moves while the others still compute. */
#ifndef MB_ENGINE_STAGE_REDUCE_H
#define MB_ENGINE_STAGE_REDUCE_H

#include "comm/reduce.h"
#include "engine/stage.h"

typedef struct mb_stage_reduce mb_stage_reduce_t;

/* Collective over the ranks of the stage. */
mb_status_t mb_stage_reduce_create(mb_comm_t *comm, mb_transport_t *transport,
                                   const mb_grid_t *grid, mb_stage_t *stage,
                                   mb_stage_reduce_t **out);
void mb_stage_reduce_destroy(mb_stage_reduce_t *reduction);
/* As mb_reduce_use_link. */
void mb_stage_reduce_use_link(mb_stage_reduce_t *reduction, mb_reduce_link_t *link);

/* Of the stage's chunk number INDEX. The roots of the gradients are the stage's blocks, those of
 * the sums SUMS. */
mb_status_t mb_stage_reduce_start(mb_stage_reduce_t *reduction, int index, double *const *sums);
mb_status_t mb_stage_reduce_go_on(mb_stage_reduce_t *reduction);
/* Waits for all that were started. */
mb_status_t mb_stage_reduce_finish(mb_stage_reduce_t *reduction);

/* Bytes this rank sends for a chunk, and for all of them: the plan's formula. */
int64_t mb_stage_reduce_chunk_bytes(const mb_stage_reduce_t *reduction, int index);
int64_t mb_stage_reduce_bytes(const mb_stage_reduce_t *reduction);
/* What the transport must be ready for. */
mb_status_t mb_stage_reduce_needs(const mb_grid_t *grid, const mb_stage_t *stage, int *requests,
                                  size_t *bytes);

#endif
