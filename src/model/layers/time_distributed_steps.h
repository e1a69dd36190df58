/* TimeDistributed around a layer that mixes samples: Keras 3 gives it the samples of one step after
 * the other, each time as a batch of its own (keras/src/layers/rnn/time_distributed.py). Runs on
 * copies with the steps in front, of the input, its mask and the output:
 *
 *     [samples, steps, ...]  to  [steps, samples, ...]
 */
#ifndef MB_MODEL_LAYERS_TIME_DISTRIBUTED_STEPS_H
#define MB_MODEL_LAYERS_TIME_DISTRIBUTED_STEPS_H

#include "model/layers/view.h"

/* INSIDE: the call of one step; the run's call is that of all. */
void mb_steps_memory(const mb_call_t *call, const mb_call_t *inside, int64_t samples,
                     mb_memory_t *out);
mb_status_t mb_steps_forward(const mb_run_t *run, const mb_call_t *inside);
mb_status_t mb_steps_backward_input(const mb_run_t *run, const mb_call_t *inside);
mb_status_t mb_steps_backward_weights(const mb_run_t *run, const mb_call_t *inside);
mb_status_t mb_steps_update_statistics(const mb_run_t *run, const mb_call_t *inside, double count);

#endif
