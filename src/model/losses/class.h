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
    const char *names[6]; /* the function's name, then others; ends with NULL */
    /* Reads the keys of its own; those that all losses share are taken around it. */
    mb_status_t (*parse)(mb_config_t *config, mb_loss_t *loss);
    bool classifies;                /* accuracy makes sense */
    bool binary;                    /* of each column by itself */
    const mb_plugin_loss_t *plugin; /* whose it is; then parse reads the plugin's keys */
} mb_loss_class_t;

/* Built-in classes, and those of plugins, by class name or one of the others; NULL if unknown. */
const mb_loss_class_t *mb_loss_class_find(const char *name);
/* Adds a class, which lives as long as the program. Of the process, not of a thread.
 * MB_ERR_ARGUMENT: a name is taken, or there is no more room. */
mb_status_t mb_loss_class_add(const mb_loss_class_t *class_);

/* mb_loss_run of a loss of a plugin's: a function of rows on the host (HOST, ops.h). */
mb_status_t mb_loss_run_plugin(const mb_loss_t *loss, mb_exec_t *exec, const mb_loss_args_t *args);

/* The same of Circle, over the rows of a whole batch. */
mb_status_t mb_loss_run_circle(const mb_loss_t *loss, mb_exec_t *exec, const mb_loss_args_t *args);

extern const mb_loss_class_t mb_loss_sparse_crossentropy;
extern const mb_loss_class_t mb_loss_categorical_crossentropy;
extern const mb_loss_class_t mb_loss_binary_crossentropy;
extern const mb_loss_class_t mb_loss_binary_focal_crossentropy;
extern const mb_loss_class_t mb_loss_categorical_focal_crossentropy;
extern const mb_loss_class_t mb_loss_generalized_crossentropy;
extern const mb_loss_class_t mb_loss_squared_error;
extern const mb_loss_class_t mb_loss_absolute_error;
extern const mb_loss_class_t mb_loss_percentage_error;
extern const mb_loss_class_t mb_loss_logarithmic_error;
extern const mb_loss_class_t mb_loss_huber;
extern const mb_loss_class_t mb_loss_log_cosh;
extern const mb_loss_class_t mb_loss_cosine_similarity;
extern const mb_loss_class_t mb_loss_poisson;
extern const mb_loss_class_t mb_loss_kl_divergence;
extern const mb_loss_class_t mb_loss_hinge;
extern const mb_loss_class_t mb_loss_squared_hinge;
extern const mb_loss_class_t mb_loss_categorical_hinge;
extern const mb_loss_class_t mb_loss_dice;
extern const mb_loss_class_t mb_loss_tversky;
extern const mb_loss_class_t mb_loss_circle;

/* A number that must be finite; absent or null gives OTHERWISE. */
mb_status_t mb_loss_take_real(mb_config_t *config, const char *key, double otherwise, float *out);

/* "axis": an integer, a list of them, or null where ALL says so. They are held against the output's
 * shape later (mb_loss_take_shapes). */
mb_status_t mb_loss_take_axes(mb_config_t *config, bool all, mb_loss_t *loss);

/* The shapes that follow from the output's, which WHERE names with the loss. */
mb_status_t mb_loss_take_shapes(const mb_call_t *call, const char *where, mb_loss_t *loss);

/* The loss of one output from its serialized form; weight, accuracy and shapes are the caller's. */
mb_status_t mb_loss_parse(const json_t *value, const char *where, mb_loss_t *loss,
                          const mb_loss_class_t **out);

/* "dtype" of losses and metrics: float32 in any dialect, or refused. */
mb_status_t mb_loss_take_dtype(mb_config_t *config);

/* Whether training_config's value is one object or name, rather than a list or dict of them. */
bool mb_loss_is_single(const json_t *value);

#endif
