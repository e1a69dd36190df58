/* A checkpoint that is being written, shared by the parts of checkpoint.h. */
#ifndef MB_STORE_CHECKPOINT_PRIVATE_H
#define MB_STORE_CHECKPOINT_PRIVATE_H

#include <stdatomic.h>
#include "store/checkpoint.h"
#include "store/seal.h"
#include "store/staged.h"

/* A checksummed stretch of the stream. */
typedef struct {
    int64_t first, bytes;
    uint32_t crc;
    uint32_t unused; /* it travels as bytes: no hole in it is left unset */
} mb_stretch_t;

struct mb_checkpoint_file {
    mb_comm_t *comm;
    const char *path;
    const mb_checkpoint_layout_t *layout;
    const mb_piece_t *pieces;
    int n_pieces;
    int n_tensors;
    size_t n_units;   /* parts of tensors: MB_PART_COUNT of each */
    int64_t *numbers; /* offsets of the units, then the seal's */
    int64_t *starts;  /* of the units in the stream */
    int n_extents;
    mb_extent_t *extents;
    mb_stretch_t *stretches; /* this rank's */
    size_t n_stretches, capacity;
    mb_stretch_t *all; /* rank 0, when they are gathered: every rank's */
    size_t n_all;
    atomic_bool cancelled;
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

/* checkpoint_check.c: collective. Every rank's pieces together must be all tensors, each element
 * once. */
mb_status_t mb_checkpoint_check(const mb_checkpoint_file_t *file);

#endif
