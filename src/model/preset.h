/* Models that `mbrun new` writes: configs as Keras itself would serialize them. */
#ifndef MB_MODEL_PRESET_H
#define MB_MODEL_PRESET_H

#include <jansson.h>
#include "base/error.h"

typedef struct {
    const char *name;  /* "mlp", "cnn", ... */
    const char *title; /* one line for --help */
    const char *keys;  /* "input=28x28x1 hidden=512,512 classes=10 activation=relu dropout=0" */
} mb_preset_t;

const mb_preset_t *mb_preset_list(int *count);

/* settings: key, value pairs ("hidden", "512,512"), n_settings of them; unknown keys are refused
 * with the nearest. *model_config and *training_config are new references. */
mb_status_t mb_preset_create(const char *name, const char *const (*settings)[2], int n_settings,
                             json_t **model_config, json_t **training_config);

#endif
