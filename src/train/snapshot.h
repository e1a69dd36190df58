/* Room for a copy of what one rank writes into a checkpoint of the state, taken once, so that a
 * step goes on while the copy is written. */
#ifndef MB_TRAIN_SNAPSHOT_H
#define MB_TRAIN_SNAPSHOT_H

#include "train/update.h"

typedef struct {
    mb_device_t *device;
    bool in_device; /* its memory, which the host sees; else the host's */
    char *memory;
    size_t bytes, used;
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

/* The next of the room; NULL: there is not as much. */
float *mb_snapshot_take(mb_snapshot_t *snapshot, size_t bytes);
/* All of it is free again. */
void mb_snapshot_clear(mb_snapshot_t *snapshot);

#endif
