/* A checkpoint that is being written, shared by the parts of checkpoint.h. */
#ifndef MB_STORE_CHECKPOINT_PRIVATE_H
#define MB_STORE_CHECKPOINT_PRIVATE_H

#include <stdatomic.h>
#include "store/checkpoint.h"
#include "store/seal.h"
#include "store/staged.h"

/* How the work of a put is spread over time. */
typedef struct {
    double seconds; /* at most; 0: it does not rest */
    int64_t bytes, done;
    double begun, rested;
    atomic_bool hurried;
} mb_pace_t;

struct mb_checkpoint_file {
    mb_comm_t *comm;
    const char *path;
    const mb_checkpoint_layout_t *layout;
    const mb_piece_t *pieces;
    int n_pieces;
    int n_tensors;
    size_t n_units; /* parts of tensors: MB_PART_COUNT of each */
    int64_t data_bytes;
    int64_t *numbers; /* offsets of the units, then the seal's */
    int64_t *starts;  /* of the units in the stream */
    int n_extents;
    mb_extent_t *extents;
    mb_comm_bytes_t
        sums; /* of this rank's bytes, then on rank 0 of all ranks': checkpoint_sums.c */
    atomic_bool cancelled;
    mb_pace_t pace;
    mb_staged_t staged;
};

static inline int64_t mb_checkpoint_elements(const mb_checkpoint_file_t *file, int tensor)
{
    return mb_shape_elements(&file->layout->tensors[tensor].shape);
}

static inline mb_status_t mb_checkpoint_no_memory(void)
{
    return mb_error_set(MB_ERR_MEMORY, "out of memory while writing a checkpoint");
}

/* checkpoint_sums.c: bytes [first, first + bytes) of the stream, within one block, have this CRC.
 */
mb_status_t mb_checkpoint_add_sum(mb_checkpoint_file_t *file, int64_t first, int64_t bytes,
                                  uint32_t crc);
/* Collective: rank 0 gets the sums of all ranks. */
mb_status_t mb_checkpoint_fold_sums(mb_checkpoint_file_t *file);
/* Rank 0, then: the CRCs of the blocks. */
mb_status_t mb_checkpoint_block_crcs(const mb_checkpoint_file_t *file, mb_seal_t *seal);
/* checkpoint_pace.c. BYTES more are written. */
void mb_pace_begin(mb_checkpoint_file_t *file);
void mb_pace_rest(mb_checkpoint_file_t *file, size_t bytes);

/* checkpoint_check.c: collective. Every rank's pieces together must be all tensors, each element
 * once. */
mb_status_t mb_checkpoint_check(const mb_checkpoint_file_t *file);

#endif
