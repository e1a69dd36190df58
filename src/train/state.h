/* The state of a run in files: parameters, moments and counters, written by the ranks that have
 * them and read back on any layout. */
#ifndef MB_TRAIN_STATE_H
#define MB_TRAIN_STATE_H

#include "engine/model.h"
#include "store/checkpoint.h"
#include "store/run_dir.h"
#include "train/snapshot.h"
#include "train/update.h"

typedef struct {
    mb_engine_t *engine;
    const mb_model_t *model;
    const mb_optimizer_t *optimizer;
    const mb_update_t *update;
    const char *training_config; /* text as it is to be written; NULL: none */
    const mb_setting_t *settings;
    int n_settings;
    mb_run_state_t state;
    bool with_state;           /* moments and counters */
    bool without_moments;      /* counters alone */
    const mb_format_t *format; /* what matrices are stored as; NULL: float32 */
    mb_method_t method;        /* how they are encoded */
    bool moments_in_8_bits;    /* quant/moments.h */
    bool keras_optimizer;      /* moments where Keras reads them */
    bool averaged;             /* weights are their averages, where the optimizer keeps them */
    mb_stencil_t *stencil;     /* of files of this kind; NULL: none is kept */
    mb_io_options_t *io;       /* how its files are written; NULL: each rank by itself */
    mb_run_dir_t
        *lease; /* still ours when the file gets its name? NULL: no lease guards the place */
} mb_state_t;

/* The layout's layers as the graph's file layout has them, in the arena. */
mb_status_t mb_state_list_layers(const mb_graph_t *graph, mb_arena_t *arena,
                                 mb_checkpoint_layout_t *layout);

/* Collective: a complete file at PATH. */
mb_status_t mb_state_write(const mb_state_t *state, const char *path);

/* Rank 0: lays out what such files have, before the first one is due. Not collective; what fails is
 * left to that one. */
void mb_state_foresee(const mb_state_t *state);

/* Collective: what that file would hold, float32 all of it, without a file. VISIT is called on
 * every rank with its own pieces, which stand until it returns. */
typedef mb_status_t (*mb_state_visit_t)(void *user, const mb_checkpoint_layout_t *layout,
                                        const mb_piece_t *pieces, int n_pieces);
mb_status_t mb_state_visit(const mb_state_t *state, mb_state_visit_t visit, void *user);
/* The same beside the steps, in the parts of mb_checkpoint_begin (store/checkpoint.h). Put copies
 * the rank's own state into SNAPSHOT first; until that is done the state must stay as it is. What
 * is given at the beginning is copied, but the texts of MODEL and OPTIMIZER. */
typedef struct mb_state_saving mb_state_saving_t;
mb_status_t mb_state_begin(const mb_state_t *state, const char *path, const mb_snapshot_t *snapshot,
                           mb_state_saving_t **out);
mb_status_t mb_state_put(mb_state_saving_t *saving);
bool mb_state_is_copied(const mb_state_saving_t *saving);
void mb_state_cancel(mb_state_saving_t *saving);
/* As in store/checkpoint.h. */
void mb_state_pace(mb_state_saving_t *saving, double seconds);
void mb_state_hurry(mb_state_saving_t *saving);
double mb_state_rested(const mb_state_saving_t *saving);
mb_status_t mb_state_gather(mb_state_saving_t *saving);
mb_status_t mb_state_commit(mb_state_saving_t *saving);
void mb_state_end(mb_state_saving_t *saving); /* NULL: nothing */
/* Seconds that the copy took; 0 before. */
double mb_state_copy_seconds(const mb_state_saving_t *saving);
/* Weights and moments of the whole model, as float32. */
int64_t mb_state_bytes(const mb_state_t *state);

/* Collective: of the float32 weights of that file, without one (store/digest.h). Rank 0's. */
mb_status_t mb_state_digest(const mb_state_t *state, uint64_t *digest);

/* Moments and the optimizer's iterations: from /mbrun/optimizer (8 bits: /quantized/optimizer), or
 * from Keras' optimizer_weights matched by kind and order. Absent ones stay as they are. Not
 * collective. */
mb_status_t mb_state_read_moments(const mb_model_file_t *file, mb_update_t *update);
/* Where FILE has the moment SLOT of the trainable parameter with this path, the ORDINAL-th from 0;
 * NULL: nowhere. */
const mb_stored_tensor_t *mb_moment_find(const mb_model_file_t *file, const char *slot,
                                         const char *path, int ordinal);
/* The optimizer's steps so far; left as it is where the file does not say. */
mb_status_t mb_moments_iterations(const mb_model_file_t *file, int64_t *iterations);

#endif
