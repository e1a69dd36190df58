/* The weights of a run put into a session that predicts (infer/session.h), from memory to memory:
 * each goes from the rank that would write it into a checkpoint to all that predict with it. */
#ifndef MB_TRAIN_HANDOVER_H
#define MB_TRAIN_HANDOVER_H

#include "infer/session.h"
#include "train/trainer.h"

/* Between steps. Collective over the run's ranks, each with a session of its own or its part of
 * one. Once the run is through, and its optimizer averages, the averages. MB_ERR_SHAPE: the
 * session's model is another one; MB_ERR_UNSUPPORTED: it keeps encoded weights. */
mb_status_t mb_training_hand_over(mb_training_t *trainer, mb_session_t *session);

#endif
