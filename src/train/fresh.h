/* A model that was never trained, into a file: configuration and values. */
#ifndef MB_TRAIN_FRESH_H
#define MB_TRAIN_FRESH_H

#include <jansson.h>

#include "model/graph.h"
#include "store/model_file.h"

/* A complete model file at PATH, replaced as a whole. Values are a function of (seed, name). One
 * process alone; not collective. *parameters (may be NULL): how many numbers the weights have. */
mb_status_t mb_fresh_write(const json_t *model_config, const json_t *training_config, uint64_t seed,
                           const char *path, int64_t *parameters);

/* A model as it is to be written. */
typedef struct {
    const mb_graph_t *graph;      /* bound */
    const char *model, *training; /* JSON; training NULL: it is not compiled */
    int n_settings;               /* recorded in the file */
    const mb_setting_t *settings;
    /* The values of a parameter, [elements]. */
    mb_status_t (*values)(void *user, const mb_param_t *param, float *values);
    void *user;
} mb_fresh_t;

/* The same with values of the caller's. PATH may name any of the forms of train/export.h. */
mb_status_t mb_fresh_write_values(const mb_fresh_t *fresh, const char *path);

#endif
