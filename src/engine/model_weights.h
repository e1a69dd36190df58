/* Weights of another file loaded into a model: a .weights.h5 or .keras of Keras 3, an HDF5 model,
 * or a weights-only HDF5 file of Keras 2.
 *
 * By order, layers that have weights are paired as they stand (Keras' load_weights): in a file of
 * paths by class and count, else one after the other, and there must be as many. By name, those
 * whose names agree are paired, and the others stay as they are. A pair that does not fit is an
 * error that names both sides, unless mismatches are to be skipped: then the weight stays, and in a
 * file of paths what follows in the same layer too, as in Keras. */
#ifndef MB_ENGINE_MODEL_WEIGHTS_H
#define MB_ENGINE_MODEL_WEIGHTS_H

#include "base/log.h"
#include "store/model_file.h"

struct mb_model;

typedef struct {
    const char *path; /* NULL: none */
    bool by_name;     /* else by order */
    bool skip_mismatch;
} mb_weights_request_t;

/* "name" or "order"; NULL is order. */
mb_status_t mb_weights_read_way(const char *text, bool *by_name);

/* MODEL is bound. Tells LOG (level INFO; may be NULL) what was taken, what stayed as the model's
 * own file has it, and what was left over, with shapes. REQUEST may be NULL. The optimizer's state
 * stays that of the model's file. */
mb_status_t mb_model_take_weights(struct mb_model *model, const mb_weights_request_t *request,
                                  const mb_log_t *log);
/* The digest of the weights that the model now has, as of a file of them. */
mb_status_t mb_model_weights_digest(const struct mb_model *model, uint64_t *digest);

#endif
