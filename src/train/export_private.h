/* Between the files of export.h. */
#ifndef MB_TRAIN_EXPORT_PRIVATE_H
#define MB_TRAIN_EXPORT_PRIVATE_H

#include "model/optimizer.h"
#include "train/export.h"

typedef struct {
    mb_arena_t *arena;
    const char *to;
    mb_model_t *model;         /* bound */
    mb_optimizer_t *optimizer; /* NULL: not compiled, or not known here */
    bool has_moments;          /* the file has them, all */
    int64_t iterations;
} mb_export_t;

/* The moments of slot S of a trainable parameter, the ordinal-th; NULL: the file has none. */
const mb_stored_tensor_t *mb_export_moment(const mb_export_t *job, int slot,
                                           const mb_param_t *param, int ordinal);
/* export_hdf5.c */
mb_status_t mb_export_hdf5(mb_export_t *job);
/* export_keras.c: ARCHIVE: a .keras file, else its weights alone. */
mb_status_t mb_export_keras(mb_export_t *job, bool archive);

#endif
