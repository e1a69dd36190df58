/* An optimizer's state among weights by paths. */
#ifndef MB_ENGINE_OPTIMIZER_VARIABLES_H
#define MB_ENGINE_OPTIMIZER_VARIABLES_H

#include "model/graph.h"
#include "model/optimizer.h"
#include "store/keras_optimizer.h"
#include "store/model_file.h"

/* Names of the variables in Keras' order; names.tensors[i] counts the moments as "slot by slot of
 * each trainable parameter" does. The graph is bound. */
mb_status_t mb_optimizer_name_variables(const mb_graph_t *graph, const mb_optimizer_t *optimizer,
                                        mb_arena_t *arena, mb_keras_optimizer_t *names);
/* Fills FILE's optimizer weights from its variables, or says in left_out why not. */
mb_status_t mb_variables_name_optimizer(mb_model_file_t *file, const mb_graph_t *graph,
                                        const json_t *training);

#endif
