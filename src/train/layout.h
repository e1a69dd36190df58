/* How a run is laid out: R and b, which fix what is computed, and the stages, which do not. */
#ifndef MB_TRAIN_LAYOUT_H
#define MB_TRAIN_LAYOUT_H

#include "engine/model.h"
#include "pipeline/planner.h"
#include "train/settings.h"

typedef struct {
    int stages, replicas, groups, idle;
    int64_t batch, micro_batch;
    int micros; /* per replica */
    mb_schedule_choice_t schedule;
    const int *cuts; /* [chunks - 1] where --memory cuts the model; NULL: by what layers take */
    bool by_memory;  /* so that stages fit, and not so that they take equally long */
    char why[192];   /* of what the planner chose; "": nothing was left to choose */
    /* of evaluation: */
    int64_t step; /* samples of a step, which need not be a batch; 0: batch */
    bool integer; /* activations may be quantized */
} mb_layout_t;

/* What ranks a layout is for. */
typedef struct {
    int ranks, local; /* of the node */
    double memory;    /* bytes that one has; 0: its share of this host's */
} mb_layout_ranks_t;

/* From the settings where they say it, else chosen for the ranks at hand:
 * one rank: R = 1 and b = G (Keras' arithmetic), b halved while the activations would take more
 * than half of the node's memory; several: the fastest that fits into memory, as the planner
 * (pipeline/planner.h) predicts it with the default hardware, so that R and b are the same on any
 * machine. Nothing is computed again unless the settings say so. Not collective: the same on all
 * ranks of one kind. */
mb_status_t mb_layout_choose(const mb_model_t *model, const mb_settings_t *settings,
                             const mb_layout_ranks_t *ranks, mb_layout_t *out);
/* The same for a pass over SAMPLES samples without learning. Where neither replicas nor
 * micro-batches are given, they follow from the batch and the samples alone, so that the numbers
 * are the same on any number of ranks. */
mb_status_t mb_layout_choose_pass(const mb_model_t *model, const mb_settings_t *settings,
                                  const mb_layout_ranks_t *ranks, int64_t samples,
                                  mb_layout_t *out);

/* ---- layout_plan.c: the planner, asked by settings */

/* Numbers a parameter that the optimizer of the settings, or the model's own, keeps on the device;
 * 0 where there is none. */
mb_status_t mb_layout_moments(const mb_model_t *model, const mb_settings_t *settings,
                              mb_arena_t *arena, int *moments);
typedef struct {
    mb_layout_ranks_t ranks; /* its memory is the limit */
    int64_t batch;
    int moments;
    bool copies;         /* a rank keeps a copy of what it writes into checkpoints */
    bool open_recompute; /* none, some layers or all */
    bool fits_cut;       /* stages are cut by memory where they do not fit otherwise */
} mb_layout_wish_t;
/* The layouts that the settings leave open, the fastest first; in the arena. See mb_planner_rank.
 */
mb_status_t mb_layout_rank(const mb_model_t *model, const mb_settings_t *settings,
                           const mb_layout_wish_t *wish, mb_arena_t *arena, mb_candidate_t **all,
                           int *n, double *least);
/* The setting `schedule` says what was chosen, where nobody had given it. */
mb_status_t mb_layout_name_schedule(const mb_layout_t *layout, mb_settings_t *settings);
void mb_layout_take(mb_layout_t *layout, const mb_candidate_t *candidate);
/* Whether somebody has given it: a file, or the user. */
bool mb_layout_given(const mb_settings_t *settings, mb_setting_id_t id);
/* Whether somebody says what is computed again; then the default schedule stays. */
bool mb_layout_says_recompute(const mb_settings_t *settings);

/* ---- */

/* What an engine that trains is made from, but for its machine, profile, hooks and QAT. */
mb_status_t mb_layout_engine(const mb_model_t *model, const mb_settings_t *settings,
                             const mb_layout_t *layout, mb_engine_options_t *out);
/* The settings that say what a rank computes on; the texts stay the settings'. */
mb_machine_options_t mb_layout_machine(const mb_settings_t *settings);
/* The setting `zero`, a stage of ZeRO. MB_ERR_ARGUMENT unless it is 0, 1 or 2. */
mb_status_t mb_layout_zero(const mb_settings_t *settings, int *stage);
/* Whether the layout that was chosen lets groups share out what the setting says. MB_ERR_ARGUMENT,
 * naming what stands against it. */
mb_status_t mb_layout_check_zero(const mb_model_t *model, const mb_settings_t *settings,
                                 const mb_layout_t *layout);
/* The setting `activations`. MB_ERR_ARGUMENT unless it is auto or float. */
mb_status_t mb_layout_activations(const mb_settings_t *settings, bool *integer);

#endif
