/* The loss class: one kind of loss as Keras serializes it, read into an mb_loss_t.
 *
 * A loss has a class ("MeanSquaredError") and a function with short names ("mean_squared_error",
 * "mse"); both mean the same with the same defaults. */
#ifndef MB_MODEL_LOSSES_CLASS_H
#define MB_MODEL_LOSSES_CLASS_H

#include "model/loss.h"

typedef struct {
    size_t size;
    const char *class_name;
    const char *names[4]; /* the function's name, then short ones; ends with NULL */
    /* Reads the keys of its own; those that all losses share are taken around it. */
    mb_status_t (*parse)(mb_config_t *config, mb_loss_t *loss);
    bool classifies; /* accuracy makes sense */
} mb_loss_class_t;

extern const mb_loss_class_t mb_loss_sparse_crossentropy;
extern const mb_loss_class_t mb_loss_categorical_crossentropy;
extern const mb_loss_class_t mb_loss_binary_crossentropy;
extern const mb_loss_class_t mb_loss_squared_error;
extern const mb_loss_class_t mb_loss_absolute_error;

/* The loss of one output from its serialized form; weight, accuracy and shapes are the caller's. */
mb_status_t mb_loss_parse(const json_t *value, const char *where, mb_loss_t *loss,
                          const mb_loss_class_t **out);

/* "dtype" of losses and metrics: float32 in any dialect, or refused. */
mb_status_t mb_loss_take_dtype(mb_config_t *config);

/* Whether training_config's value is one object or name, rather than a list or dict of them. */
bool mb_loss_is_single(const json_t *value);

#endif
