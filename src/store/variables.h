/* Weights by paths, as Keras 3 writes them into .keras and .weights.h5 files: each object that owns
 * variables has a group `vars` of datasets 0, 1 ..., below the attributes that lead to it.
 *
 *     /layers/dense/vars/0                         the second Dense: dense_1
 *     /layers/functional/layers/dense/vars/1       of a model in the model
 *     /layers/multi_head_attention/query_dense/vars/0
 *     /optimizer/vars/0
 *
 * Names of layers are not in the paths; the attribute `name` of a group `vars` has one since Keras
 * 3.8. Which weight a path means only the model's graph can say. Source: keras/src/saving/
 * saving_lib.py, _save_state. */
#ifndef MB_STORE_VARIABLES_H
#define MB_STORE_VARIABLES_H

#include "store/h5.h"
#include "store/model_file.h"

/* Fills FILE's variables, ordered by group and number. *PRESENT: the file has this layout. Values
 * of metrics and of other objects of the training loop are passed over. */
mb_status_t mb_variables_read(const mb_h5_reader_t *reader, mb_model_file_t *file, bool *present);
/* NULL: none. */
const mb_stored_variable_t *mb_variables_find(const mb_model_file_t *file, const char *path);

#endif
