/* Arrays of the caller's through a session of one rank, copied only where that cannot be helped:
 * float32 inputs are read, and float32 outputs written, where they lie. Through a micro-batch's own
 * places go other types, what is too short for a whole micro-batch, and what is not in memory that
 * the device computes in. A run allocates nothing. */
#ifndef MB_INFER_HANDED_H
#define MB_INFER_HANDED_H

#include "infer/session.h"

typedef struct mb_handed mb_handed_t;

/* SOURCE, of arrays, fits the session, and stays the caller's: its fields are what the arrays of
 * mb_handed_run are. Not collective. */
mb_status_t mb_handed_create(mb_session_t *session, mb_source_t *source, mb_handed_t **out);
void mb_handed_destroy(mb_handed_t *handed);

typedef struct { /* memory for an output of the model */
    int output;
    float *values;
    bool apart; /* in memory of the session's device; the output is float32 */
} mb_handed_output_t;

typedef struct {
    int64_t samples;
    const void *const *inputs; /* [fields of the source] */
    const bool *inputs_apart;  /* [fields] in memory of the session's device, float32 */
    int n_outputs;
    const mb_handed_output_t *outputs;
} mb_handed_arrays_t;

/* Not collective. MB_ERR_DATA as the source's read; the session can be used on afterwards. *COPIED:
 * bytes of arrays and outputs that were copied. */
mb_status_t mb_handed_run(mb_handed_t *handed, const mb_handed_arrays_t *arrays, int64_t *copied);
/* Before the session runs otherwise: its tensors stand in their own places again. */
void mb_handed_release(mb_handed_t *handed);

#endif
