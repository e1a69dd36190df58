/* A file that is being written, shared by the parts of state.h. */
#ifndef MB_TRAIN_STATE_PRIVATE_H
#define MB_TRAIN_STATE_PRIVATE_H

#include "base/arena.h"
#include "train/snapshot.h"
#include "train/state.h"

typedef struct { /* whose values a tensor of the file has; -1, -1: what a layer keeps */
    int param;
    int slot; /* of the optimizer; -1: the weight itself */
} mb_state_place_t;

typedef enum {                    /* where a piece's values stand */
               MB_VALUES_OWN = 0, /* memory of the writer's */
               MB_VALUES_LENT,    /* the device's, which the host sees */
               MB_VALUES_COPIED   /* the snapshot */
} mb_values_home_t;

typedef struct { /* that is still to be made */
    float *to;
    const float *from;
    size_t bytes;
} mb_state_copy_t;

typedef struct mb_state_writer {
    const mb_state_t *state;
    const char *path;
    const mb_snapshot_t
        *snapshot; /* what is written is copied there; NULL: training stands still */
    mb_arena_t *arena;
    mb_checkpoint_layout_t layout;
    mb_tensor_spec_t *tensors;
    mb_state_place_t *places; /* of the tensors */
    int n_pieces;
    mb_piece_t *pieces;
    mb_values_home_t *homes; /* [n_pieces] */
    int n_copies;
    mb_state_copy_t *copies; /* [n_pieces] at most */
    mb_encoded_t *encoded;   /* of the pieces; zero where a piece stays float32 */
    int *writers;            /* [mb_state_tensors] rank that writes the tensor */
} mb_state_writer_t;

/* state.c. Collective: what is written and by whom, encoded, and the layout of the file. */
mb_status_t mb_state_prepare(mb_state_writer_t *writer);
/* Frees all but the writer itself. */
void mb_state_clear(mb_state_writer_t *writer);

/* Tensors of the file. */
static inline int mb_state_tensors(const mb_state_writer_t *writer)
{
    const mb_checkpoint_layout_t *layout = &writer->layout;
    return layout->n_weights + layout->n_moments + layout->n_states;
}

/* state_encode.c. Collective: every rank encodes those of its pieces that are not stored as
 * float32; then all know what the file says of each tensor, and who writes it. */
mb_status_t mb_state_encode(mb_state_writer_t *writer);
/* Whether the tensor, which is this rank's, is stored as something else. */
bool mb_state_is_encoded(const mb_state_writer_t *writer, int tensor);
/* state_report.c. Collective: what storing the weights in a smaller format cost, for the file. */
mb_status_t mb_state_report(mb_state_writer_t *writer);

/* state_digest.c. Collective: rank 0 gets the digest of the weights. */
mb_status_t mb_state_hash(mb_state_writer_t *writer, uint64_t *hash);

/* Whether matrices are stored as something else than float32. */
static inline bool mb_state_is_small(const mb_state_t *state)
{
    const mb_format_t *format = state->format;
    return format != NULL && (format->number != MB_NUMBER_F32 || format->kept_bits > 0);
}

#endif
