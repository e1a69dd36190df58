/* A model that was never trained, into a file: configuration and initial values. */
#ifndef MB_TRAIN_FRESH_H
#define MB_TRAIN_FRESH_H

#include <jansson.h>
#include "base/error.h"

/* A complete model file at PATH, replaced as a whole. Values are a function of (seed, name). One
 * process alone; not collective. *parameters (may be NULL): how many numbers the weights have. */
mb_status_t mb_fresh_write(const json_t *model_config, const json_t *training_config, uint64_t seed,
                           const char *path, int64_t *parameters);

#endif
