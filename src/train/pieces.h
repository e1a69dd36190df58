/* The optimizer's passes over what a stage trains, a piece of it after the other.
 *
 * Where moments stand in device memory there is one piece. Where they stand in host memory
 * (`--offload moments`; ZeRO-Offload, Ren et al. 2021, has the update on the host instead), each
 * piece's are brought into one of two rooms of device memory and back, beside the pass over the
 * piece before:
 *
 *     exec   ....... pass 0 . pass 1 .......         rooms: 0, 1, 0 ...
 *     lane   in 0 in 1   out 0 in 2  out 1 in 3
 *
 * A piece is whole tensors, about a sixteenth of all, and at least the largest one. Each tensor's
 * step is its own, so that pieces change no bit. */
#ifndef MB_TRAIN_PIECES_H
#define MB_TRAIN_PIECES_H

#include "device/table.h"
#include "model/optimizer.h"

typedef struct mb_pieces mb_pieces_t;

/* Of moments in host memory, the part that the rooms have beside them, where no tensor is larger.
 */
#define MB_PIECES_SHARE 0.125

/* TRAINED: [n], not kept; its slots are host memory where OFFLOADS. The optimizer and the stream
 * must live as long. Not collective. */
mb_status_t mb_pieces_create(const mb_optimizer_t *optimizer, mb_exec_t *exec,
                             const mb_trained_t *trained, int n, int n_params, bool offloads,
                             mb_pieces_t **out);
/* False: copies may still be under way, and moments in host memory must be left to them. */
bool mb_pieces_destroy(mb_pieces_t *pieces);

int mb_pieces_count(const mb_pieces_t *pieces);
/* What has gradients of one of them. */
const mb_table_t *mb_pieces_table(const mb_pieces_t *pieces, int piece);
/* Device memory of the rooms. */
size_t mb_pieces_room_bytes(const mb_pieces_t *pieces);
/* The same with their tables of tensors. NULL: 0. */
size_t mb_pieces_bytes(const mb_pieces_t *pieces);

/* RUN of each piece's stepper, its moments being there. */
typedef mb_status_t (*mb_pieces_run_t)(void *user, mb_stepper_t *stepper);
mb_status_t mb_pieces_pass(mb_pieces_t *pieces, mb_pieces_run_t run, void *user);
/* Waits until moments in host memory are those behind the last pass. */
mb_status_t mb_pieces_settle(mb_pieces_t *pieces);

#endif
