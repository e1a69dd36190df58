/* Keras' initializers, regularizers and constraints as they stand in a layer's config: serialized
 * objects {"class_name", "config"} of Keras 2 and 3, or short strings ("glorot_uniform", "l2",
 * "non_neg"). NULL or JSON null: the default given, none, none. Unknown ones and unknown keys are
 * refused by name. */
#ifndef MB_MODEL_INITIALIZER_H
#define MB_MODEL_INITIALIZER_H

#include "model/layer.h"

mb_status_t mb_initializer_parse(const json_t *value, const char *otherwise, const char *where,
                                 mb_initializer_t *out);
mb_status_t mb_regularizer_parse(const json_t *value, const char *where, mb_regularizer_t *out);
mb_status_t mb_constraint_parse(const json_t *value, const char *where, mb_constraint_t *out);

/* Takes "<prefix>_initializer", "<prefix>_regularizer", "<prefix>_constraint" of a layer's config
 * into SPEC (name, shape, fans and weight are the caller's). Regularizer and constraint keys may be
 * absent. */
mb_status_t mb_param_spec_take(mb_config_t *config, const char *prefix, const char *otherwise,
                               mb_param_spec_t *spec);

#endif
