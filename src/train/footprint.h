/* Bytes of device memory that a rank takes in training: of what it has taken, and of what any rank
 * of a layout would take, which is made for that on a device that only counts (device/dry.h). What
 * is counted so is what a run takes, to the byte.
 *
 * Not in it: the process itself (MPI, HDF5, the device's library and its code), samples that are
 * read ahead, and the host's side of a checkpoint but for the copy that it is written from. */
#ifndef MB_TRAIN_FOOTPRINT_H
#define MB_TRAIN_FOOTPRINT_H

#include "train/evaluate.h"
#include "train/snapshot.h"
#include "train/update.h"

typedef struct {
    int64_t parameters, gradients, moments;
    int64_t copy;                   /* of the state, which checkpoints are written from */
    int64_t activations;            /* and all else: workspace, sums, states, tables, evaluation */
    int64_t host, host_activations; /* moments, and activations, that stand in host memory */
} mb_footprint_t;

static inline int64_t mb_footprint_bytes(const mb_footprint_t *f)
{
    return f->parameters + f->gradients + f->moments + f->copy + f->activations;
}

typedef struct {
    const mb_engine_t *engine;
    const mb_update_t *update;
    const mb_score_t *score;
    const mb_evaluator_t *evaluator; /* NULL: nothing is evaluated */
    const mb_snapshot_t *snapshot;   /* NULL: none is taken */
} mb_footprint_parts_t;

mb_footprint_t mb_footprint_of(const mb_footprint_parts_t *parts);

typedef struct {
    mb_engine_options_t engine; /* but for the hooks */
    const mb_model_t *model;    /* compiled */
    const mb_optimizer_t *optimizer;
    const mb_layout_t *evaluates; /* by this layout, in between; NULL: does not */
    bool offloads_moments;
    bool copies_state; /* a snapshot, for checkpoints beside the steps */
    bool moments_in_8_bits;
} mb_footprint_request_t;

/* Of the rank that GRID says. Not collective: nobody else is needed for it. Takes some time, of
 * which planning the operations of a shape that is new to the device is the most. Errors: those of
 * a run that begins so. */
mb_status_t mb_footprint_count(const mb_footprint_request_t *request, const mb_grid_t *grid,
                               mb_footprint_t *out);

#endif
