/* Activations as they stand in a config ("relu", {"class_name": "ReLU", ...}) and how to run them.
 * Softmax and its logarithm work on rows, the others element by element; this hides the
 * difference. */
#ifndef MB_MODEL_ACTIVATION_H
#define MB_MODEL_ACTIVATION_H

#include "model/layers/axes.h"

typedef struct {
    bool softmax, logarithm; /* of it */
    mb_act_t act;
    float p0, p1, p2;
    bool needs_input, needs_output; /* what its derivative reads */
} mb_activation_t;

/* NULL or JSON null: linear. */
mb_status_t mb_activation_parse(const json_t *value, const char *where, mb_activation_t *out);
/* Takes KEY. What Keras 2 computes differently under the same name is obeyed by the config's
 * dialect: its hard_sigmoid has the slope 0.2, Keras 3's 1/6. */
mb_status_t mb_activation_take_key(mb_config_t *config, const char *key, mb_activation_t *out);
/* The same from the config of a layer that is an activation: ReLU, LeakyReLU, ELU, Softmax,
 * ThresholdedReLU. Takes the keys of that class; MB_ERR_UNSUPPORTED for another class. AXES gets
 * Softmax's, -1 otherwise. */
mb_status_t mb_activation_take(mb_config_t *config, const char *class_name, mb_activation_t *out,
                               mb_axes_t *axes);
bool mb_activation_is_linear(const mb_activation_t *activation);
/* y = act(x) over rows x columns; in place allowed except for softmax. */
mb_status_t mb_activation_forward(const mb_activation_t *activation, mb_exec_t *exec,
                                  mb_dtype_t type, int64_t rows, int64_t columns, const void *x,
                                  void *y);
/* dx from dy; x or y may be NULL where not needed; in place on dy allowed except for softmax. */
mb_status_t mb_activation_backward(const mb_activation_t *activation, mb_exec_t *exec,
                                   mb_dtype_t type, int64_t rows, int64_t columns, const void *x,
                                   const void *y, const void *dy, void *dx);

#endif
