/* Weights by paths (store/variables.h) as the layers of a graph. */
#ifndef MB_ENGINE_MODEL_VARIABLES_H
#define MB_ENGINE_MODEL_VARIABLES_H

#include "model/graph.h"
#include "store/model_file.h"

/* Where PARAM's values lie in a file of variables; NULL: it has none. */
const mb_stored_variable_t *mb_variables_of_param(const mb_model_file_t *file, mb_arena_t *arena,
                                                  const mb_param_t *param);
/* Whether a model's weights ought to be behind it: not the optimizer's, nor the state of a
 * generator of random numbers. */
bool mb_variables_is_weight(const mb_stored_variable_t *variable);

/* Gives FILE the layers, and its optimizer the names, that an HDF5 file of the same model has. The
 * graph must be bound; TRAINING may be NULL. Does nothing to a file that has layers. MB_ERR_FORMAT
 * names a variable that is missing, or one that no weight is. */
mb_status_t mb_variables_arrange(mb_model_file_t *file, const mb_graph_t *graph,
                                 const json_t *training);

/* Opens a file as mb_model_file_open does and, where its weights go by paths and its model is
 * understood, arranges them. */
mb_status_t mb_model_file_open_arranged(const char *path, mb_model_file_t **out);

#endif
