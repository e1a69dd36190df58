/* How a run is laid out: R and b, which fix what is computed, and the stages, which do not. */
#ifndef MB_TRAIN_LAYOUT_H
#define MB_TRAIN_LAYOUT_H

#include "engine/model.h"
#include "train/settings.h"

typedef struct {
    int stages, replicas, groups, idle;
    int64_t batch, micro_batch;
    int micros; /* per replica */
    mb_schedule_choice_t schedule;
    /* of evaluation: */
    int64_t step; /* samples of a step, which need not be a batch; 0: batch */
    bool integer; /* activations may be quantized */
} mb_layout_t;

/* From the settings where they say it, else chosen for the ranks at hand:
 * one rank: R = 1 and b = G (Keras' arithmetic), b halved while the activations would take more
 * than half of the node's memory; several: as many stages as balance well (costliest at most 1.5
 * times the mean), the rest as replicas, two micro-batches per stage. Not collective: the same on
 * all ranks of one kind. */
mb_status_t mb_layout_choose(const mb_model_t *model, const mb_settings_t *settings, int ranks,
                             int local_ranks, mb_layout_t *out);
/* The same for a pass over SAMPLES samples without learning. Where neither replicas nor
 * micro-batches are given, they follow from the batch and the samples alone, so that the numbers
 * are the same on any number of ranks. */
mb_status_t mb_layout_choose_pass(const mb_model_t *model, const mb_settings_t *settings, int ranks,
                                  int local_ranks, int64_t samples, mb_layout_t *out);
/* The settings that say what a rank computes on; the texts stay the settings'. */
mb_machine_options_t mb_layout_machine(const mb_settings_t *settings);
/* The setting `zero`. MB_ERR_ARGUMENT unless it is 0 or 1. */
mb_status_t mb_layout_shares_out(const mb_settings_t *settings, bool *shares_out);
/* The setting `activations`. MB_ERR_ARGUMENT unless it is auto or float. */
mb_status_t mb_layout_activations(const mb_settings_t *settings, bool *integer);

#endif
