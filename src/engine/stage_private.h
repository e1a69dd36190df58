/* Shared by the files of the stage. */
#ifndef MB_ENGINE_STAGE_PRIVATE_H
#define MB_ENGINE_STAGE_PRIVATE_H

#include "engine/stage.h"

/* Takes the memory of the parameters that live here. */
mb_status_t mb_stage_take_parameters(mb_stage_t *stage, const mb_stage_options_t *options);
void mb_stage_free_parameters(mb_stage_t *stage);
char *mb_stage_at(char *base, int64_t offset);
/* The chunk in whose slot a backward edge's gradient stands here; -1: it does not. */
int mb_stage_edge_chunk(const mb_stage_t *stage, int edge);

/* stage_memory.c: of a node's output, for a micro-batch. */
size_t mb_stage_tensor_bytes(const mb_stage_t *stage, int node);
/* Gradients of the weights are computed apart from those of the inputs. */
bool mb_stage_splits(const mb_stage_t *stage);
/* stage_lifetimes.c: what a chunk has once, for the micro-batch that it is at work on. */
mb_status_t mb_stage_place_inside(mb_stage_t *stage, mb_stage_chunk_t *chunk);

/* stage_states.c: while memory is planned; a micro-batch's places; zeros in rows past the batch. */
void mb_stage_place_states(mb_stage_t *stage, int node);
void mb_stage_find_states(const mb_stage_t *stage, int node, int micro, void **out);
mb_status_t mb_stage_hide_states(const mb_stage_t *stage, const mb_micro_t *micro, int node);

/* stage_look.c: what a micro-batch's call has just written; nothing where nobody looks. */
mb_status_t mb_stage_look_output(const mb_stage_t *stage, const mb_micro_t *micro, int node);
mb_status_t mb_stage_look_loss(const mb_stage_t *stage, const mb_micro_t *micro, int place,
                               const void *gradient, const double *sum);
mb_status_t mb_stage_look_inputs(const mb_stage_t *stage, const mb_micro_t *micro, int node,
                                 void *const *gradients);
mb_status_t mb_stage_look_weights(const mb_stage_t *stage, const mb_micro_t *micro, int node,
                                  float *const *gradients);
static inline bool mb_stage_is_apart(const mb_stage_t *stage)
{
    return stage->look != NULL && stage->look->apart;
}

#endif
