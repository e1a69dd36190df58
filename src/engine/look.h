/* Sees what a stage's calls have written, one by one, as soon as they have: for digests (train/
 * check.h), and for the search of a number that is not finite (train/culprit.h). */
#ifndef MB_ENGINE_LOOK_H
#define MB_ENGINE_LOOK_H

#include "base/error.h"
#include "base/types.h"

struct mb_micro;

typedef enum {
    MB_LOOK_OUTPUT,   /* of a call */
    MB_LOOK_LOSS,     /* its gradient by a model output; SUM is what it has come to so far */
    MB_LOOK_GRADIENT, /* of a call's input */
    MB_LOOK_WEIGHTS, /* of one of its weights, with those of micro-batches before it in a replica */
    MB_LOOK_PARTS
} mb_look_part_t;

typedef struct {
    mb_look_part_t part;
    int node;   /* whose call; of a loss the one of the output */
    int number; /* of the input, or of the weight in its layer */
    mb_dtype_t type;
    int64_t rows, elements; /* samples, 1 for weights, and of each so many elements */
    const void *values;     /* device memory; NULL: only a loss's sum is there */
    const double *sum;      /* device memory; NULL: there is none */
} mb_seen_t;

typedef struct mb_look {
    void *user;
    /* Calls that could run as one operation run apart, so that all outputs are seen; it is to be
     * planned so (mb_executor_plan_again). */
    bool apart;
    mb_status_t (*see)(void *user, const struct mb_micro *micro, const mb_seen_t *seen);
} mb_look_t;

#endif
