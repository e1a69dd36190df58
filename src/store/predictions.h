/* Prediction files: one float32 dataset an output, named as the output is, the first axis counting
 * samples. Ranks write the samples they have, in any order; the file appears when it is committed.
 *
 *     mb_predictions_create(comm, path, ...)        collective
 *     mb_predictions_write(p, output, first, ...)   any rank, any samples
 *     mb_predictions_commit(p, status)              collective */
#ifndef MB_STORE_PREDICTIONS_H
#define MB_STORE_PREDICTIONS_H

#include "comm/comm.h"
#include "store/checkpoint.h"

typedef struct mb_predictions mb_predictions_t;

/* Collective over COMM (NULL: one process alone). outputs[i].shape is that of one sample. PATH and
 * OUTPUTS may go after the call. */
mb_status_t mb_predictions_create(mb_comm_t *comm, const char *path, int n_outputs,
                                  const mb_tensor_spec_t *outputs, int64_t samples,
                                  mb_predictions_t **out);
/* Samples first .. first + count - 1 of an output. Not collective. */
mb_status_t mb_predictions_write(mb_predictions_t *predictions, int output, int64_t first,
                                 int64_t count, const float *values);
/* Collective. STATUS is this rank's: the file appears only if all say MB_OK, and all get the same
 * answer. Frees. */
mb_status_t mb_predictions_commit(mb_predictions_t *predictions, mb_status_t status);
/* Not collective: gives up, for a rank that knows that others failed. Frees. */
void mb_predictions_discard(mb_predictions_t *predictions);

#endif
