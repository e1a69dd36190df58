/* What the recurrent cells' forward and backward share on the CPU. A tile is a block of samples
 * through all its steps, so that threads wait for nobody in between; the recurrent kernel U is
 * packed once an operation, and a thread's factors and products stand in its own workspace:
 *
 *     forward    a [block, units] U_part -> c [block, gates of the part, units]
 *     backward   a [block, gates of the part, units] U_part^T -> c [block, units] */
#ifndef MB_DEVICE_CPU_RECURRENT_H
#define MB_DEVICE_CPU_RECURRENT_H

#include "device/cpu/cpu.h"

#define MB_RNN_MOST_PARTS 4

typedef struct {
    mb_dnnl_packed_t product;
    int64_t first, gates;
    size_t packed; /* bytes into the shared workspace */
    int64_t a, c;  /* floats into a thread's */
} mb_rnn_part_t;

typedef struct {
    mb_op_t op;
    const mb_rnn_t *rnn;
    const float *u, *present;
    bool transposed;
    int64_t block; /* samples */
    int64_t floats;
    int n_parts;
    mb_rnn_part_t parts[MB_RNN_MOST_PARTS];
    mb_workspace_t workspace;
} mb_rnn_work_t;

/* A block of samples with its thread's arrays. */
typedef struct {
    const mb_rnn_work_t *work;
    int thread;
    mb_span_t samples;
    float *arrays;
} mb_rnn_tile_t;

/* Blocks and parts of WORK, whose first members, to `transposed`, are set; refuses sizes without a
 * meaning. */
mb_status_t mb_rnn_divide(mb_rnn_work_t *work);
/* COUNT more floats for each thread; before mb_rnn_prepare. */
int64_t mb_rnn_reserve(mb_rnn_work_t *work, int64_t count);
/* Finds the products and the workspace. */
mb_status_t mb_rnn_prepare(mb_exec_t *exec, mb_rnn_work_t *work);
/* Packs U and computes all tiles. CONTEXT begins with the work. */
mb_status_t mb_rnn_run(mb_exec_t *exec, mb_rnn_work_t *work, mb_tile_fn_t compute);

mb_rnn_tile_t mb_rnn_tile(const mb_rnn_work_t *work, int64_t tile, int thread);
void mb_rnn_multiply(const mb_rnn_tile_t *tile, int part);

static inline const mb_rnn_part_t *mb_rnn_part_of(const mb_rnn_work_t *work, int64_t gate)
{
    int64_t part = work->rnn->masked ? gate : work->n_parts == 1 ? 0 : gate / 2;
    return &work->parts[part];
}

/* A gate's values of one row of the block, in the array at OFFSET that has them all. */
static inline float *mb_rnn_gate_at(const mb_rnn_tile_t *tile, int64_t offset, int64_t gate,
                                    int64_t row)
{
    const mb_rnn_part_t *part = mb_rnn_part_of(tile->work, gate);
    return tile->arrays + offset +
           (row * part->gates + gate - part->first) * tile->work->rnn->units;
}

static inline float *mb_rnn_row_at(const mb_rnn_tile_t *tile, int64_t offset, int64_t row)
{
    return tile->arrays + offset + row * tile->work->rnn->units;
}

static inline bool mb_rnn_is_present(const mb_rnn_work_t *work, int64_t sample, int64_t position)
{
    const mb_rnn_t *rnn = work->rnn;
    return !rnn->skips || work->present[sample * rnn->steps + position] != 0.0f;
}

/* The row of an array of COUNT times units floats a position. */
static inline int64_t mb_rnn_at(const mb_rnn_t *rnn, int64_t count, int64_t sample,
                                int64_t position)
{
    return (sample * rnn->steps + position) * count * rnn->units;
}

#endif
