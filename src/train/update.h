/* The end of a step: shared layers' sums, the loss scale, regularizers, norms over all stages,
 * optimizer, constraints, moving statistics. Owns the moments. */
#ifndef MB_TRAIN_UPDATE_H
#define MB_TRAIN_UPDATE_H

#include "device/table.h"
#include "engine/engine.h"
#include "model/optimizer.h"
#include "train/loss_scale.h"
#include "train/pieces.h"
#include "train/score.h"

/* Asked when a step's sums are there and nothing of it is in force yet. *APPLIES comes in as true;
 * false: the step is left out. GRADIENTS: they should be finite, as no loss scale is looking for
 * what it may be. */
typedef struct {
    void *user; /* NULL: nobody asks */
    mb_status_t (*ask)(void *user, const mb_step_info_t *info, const double *sums, bool gradients,
                       bool *applies);
} mb_update_guard_t;

typedef struct mb_update {
    mb_engine_t *engine;
    const mb_optimizer_t *optimizer;
    mb_score_t *score;
    mb_loss_scale_t loss_scale;
    int64_t iterations;            /* steps the optimizer has done: what schedules see */
    float *(*slots)[MB_MAX_SLOTS]; /* [n_params] device memory of owned trainable parameters; host
                                      memory where it offloads */
    bool offloads;
    bool *updates;       /* [n_params] this rank updates it */
    bool *shared_out;    /* [n_params] one of the stage's groups does, for all of them */
    int *first_call;     /* [n_params] node on this stage whose entry takes the sum; -1 */
    int *place_in_layer; /* [n_params] */
    size_t moment_bytes, small_bytes; /* small: of device memory, norms and the like below */
    mb_pieces_t *pieces;              /* of what this stage updates; NULL: the rank is idle */
    double *norms;      /* [n_params] squares; this and the following in device memory */
    bool measured;      /* own ones are there, of the gradients as they are */
    double *others;     /* [stages][n_params] the other stages' */
    float *scale;       /* [n_params] what clipping multiplies gradients by */
    double *host_norms; /* [n_params] for the loss scale and the guard */
    double *host_sums;  /* [sum_count] for the guard */
    void *states;       /* what layers kept before the step; NULL: they keep nothing */
    mb_update_guard_t guard;
    mb_tensor_copy_t *copies; /* [n_params] where the next step puts tensors, too; NULL: nowhere */
    bool copied;              /* the last one has, and nobody has changed any since */
    mb_request_t **requests;  /* [2 stages] */
    void *incoming;           /* device memory: one tied gradient or statistic */
} mb_update_t;

/* Not collective. Moments are what they begin with, some a copy of the weights, which must have
 * been loaded. Works on an idle rank (does nothing there). OFFLOADS: they stand in host memory. */
mb_status_t mb_update_create(mb_engine_t *engine, const mb_optimizer_t *optimizer,
                             mb_score_t *score, bool offloads, mb_update_t **out);
void mb_update_destroy(mb_update_t *update);

/* The executor's hook (user: the mb_update_t). Collective over a group's stages. */
mb_status_t mb_update_step(void *update, const mb_step_info_t *info, float *gradients,
                           double *sums);
/* In front of a step, and after one that is left out: what layers keep from batch to batch. On the
 * stream; not collective. */
mb_status_t mb_update_keep_states(mb_update_t *update);
mb_status_t mb_update_take_states_back(mb_update_t *update);
/* Whether this rank keeps the moments of a trained parameter of its stage and updates it. */
bool mb_update_holds(const mb_update_t *update, int param);
/* Device memory that it has taken, moments and all; 0 on an idle rank. */
int64_t mb_update_bytes(const mb_update_t *update);
/* Where its gradient, summed, stands in block 0. */
float *mb_update_gradient(const mb_update_t *update, int param);
/* A moment from and to host memory, behind what steps have done; on the stream, so that VALUES are
 * there, or free, when that is synchronized. */
mb_status_t mb_update_read_slot(const mb_update_t *update, int param, int slot, float *values,
                                size_t bytes);
mb_status_t mb_update_write_slot(mb_update_t *update, int param, int slot, const float *values,
                                 size_t bytes);
/* Puts the loss scale into force, at the beginning and after it was read from a file. */
void mb_update_use_loss_scale(mb_update_t *update);
/* Learning rate of the next step. */
float mb_update_lr(const mb_update_t *update);

#endif
