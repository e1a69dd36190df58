/* What layers keep from batch to batch (mb_layer_class_t's states), in files: an array for each,
 * with a row for each of the batch, so that a run goes on with them on any layout. Each group has
 * the rows of its replicas. */
#ifndef MB_TRAIN_KEPT_STATES_H
#define MB_TRAIN_KEPT_STATES_H

#include "engine/engine.h"
#include "store/checkpoint.h"

/* Arrays of a graph's layers, in the order of the nodes. */
int mb_kept_count(const mb_graph_t *graph);
/* Their names and shapes, into as many specs. */
mb_status_t mb_kept_list(const mb_graph_t *graph, mb_arena_t *arena, mb_tensor_spec_t *out);
/* What this rank's rows take, one array behind the other, each on 64 bytes. */
size_t mb_kept_bytes(const mb_engine_t *engine);
/* Adds this rank's rows of them, tensors FIRST and on: values in ROOM, or, where it is NULL, to be
 * freed. PIECES has room for as many. */
mb_status_t mb_kept_collect(const mb_engine_t *engine, int first, char *room, mb_piece_t *pieces,
                            int *n_pieces);
/* This rank's rows from a file; where it has none they stay zero. */
mb_status_t mb_kept_read(const mb_model_file_t *file, const mb_engine_t *engine);

#endif
