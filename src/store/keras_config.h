/* What a .keras file says in one text, config.json, and an HDF5 file of Keras' in two:
 *
 *     config.json  {"module", "class_name", "config", "registered_name", "build_config",
 *                   "compile_config": {"optimizer", "loss", ...}}
 *     HDF5         model_config     {"class_name", "config"}
 *                  training_config  {"optimizer_config": {"class_name", "config"}, "loss", ...}
 *
 * Source: keras/src/saving/serialization_lib.py and keras/src/legacy/saving/saving_utils.py. */
#ifndef MB_STORE_KERAS_CONFIG_H
#define MB_STORE_KERAS_CONFIG_H

#include "base/arena.h"
#include "base/error.h"

/* RATE: the learning rate that the optimizer's variables hold, which is what Keras goes on with
 * whatever the configuration says; NAN: none. *TRAINING is NULL for a model that is not compiled.
 */
mb_status_t mb_keras_config_split(const char *config, const char *path, double rate,
                                  mb_arena_t *arena, char **model, char **training);
/* TRAINING may be NULL. *CONFIG is malloc'ed. */
mb_status_t mb_keras_config_join(const char *model, const char *training, const char *path,
                                 char **config);

#endif
