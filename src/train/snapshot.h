/* Room for a copy of what one rank writes into a checkpoint of the state, taken once, so that a
 * step goes on while the copy is written. Each tensor has its place in it, so that the optimizer's
 * pass itself can put there what it has just changed (mb_update_t.copies). */
#ifndef MB_TRAIN_SNAPSHOT_H
#define MB_TRAIN_SNAPSHOT_H

#include "train/update.h"

typedef struct { /* NULL: not written from here */
    float *weight;
    float *slots[MB_MAX_SLOTS];
} mb_snapshot_place_t;

typedef struct {
    mb_device_t *device;
    bool in_device; /* its memory, which the host sees; else the host's */
    char *memory;
    size_t bytes;
    int n_params;
    mb_snapshot_place_t *places; /* [n_params] */
    mb_tensor_copy_t *copies;    /* [n_params] what an update leaves there; empty: it changes it in
                                    several passes, or not at all */
    char *states;                /* what layers keep (kept_states.h); NULL: nothing */
} mb_snapshot_t;

/* Whether this rank writes the parameter and its moments: those of a stage are the same on all
 * groups, which take turns; of what they share out one alone has the moments. */
bool mb_snapshot_writes(const mb_engine_t *engine, const mb_update_t *update, int param);
/* IN_8_BITS: of the moments none that is encoded. */
mb_status_t mb_snapshot_create(const mb_engine_t *engine, const mb_update_t *update,
                               bool moments_in_8_bits, mb_snapshot_t **out);
void mb_snapshot_destroy(mb_snapshot_t *snapshot);

/* Memory that it takes of the device; 0 for NULL, and where it is the host's. */
int64_t mb_snapshot_device_bytes(const mb_snapshot_t *snapshot);

/* The place of the weight, where SLOT is negative, or of that moment; NULL: there is none. */
float *mb_snapshot_place(const mb_snapshot_t *snapshot, int param, int slot);
/* Of an update that puts tensors here. */
void mb_snapshot_expect(mb_snapshot_t *snapshot);
/* Whether such an update puts the weight, or the moment, here. */
bool mb_snapshot_has(const mb_snapshot_t *snapshot, int param, int slot);

#endif
