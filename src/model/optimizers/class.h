/* The optimizer class: one of Keras' optimizers, its settings and what its rule keeps a parameter.
 *
 * The settings that all share (learning rate, decay, clipping) are read in optimizer.c; a class
 * reads its own, names its slots in Keras' order, and fills in the arguments of the update. */
#ifndef MB_MODEL_OPTIMIZERS_CLASS_H
#define MB_MODEL_OPTIMIZERS_CLASS_H

#include "model/optimizer.h"

struct mb_optimizer_class {
    size_t size;
    const char *name;       /* Keras' class name: "AdamW" */
    const char *spec_name;  /* the command line's: "adamw" */
    const char *own_name;   /* what Keras calls an instance: "adam_w" */
    double learning_rate;   /* Keras' defaults */
    double weight_decay;    /* 0: null */
    const char *own_config; /* JSON of its own keys with Keras' defaults */
    mb_status_t (*parse)(mb_config_t *config, mb_optimizer_t *optimizer);
    /* updates: steps of the rule before this one. */
    void (*arguments)(const mb_optimizer_t *optimizer, int64_t updates, mb_update_args_t *args);

    /* NULL: every parameter has every slot, in its own shape. See mb_optimizer_slot. */
    bool (*slot)(const mb_optimizer_t *optimizer, const mb_param_t *param, int index,
                 mb_shape_t *shape);
    /* NULL: none. See mb_optimizer_scalar. */
    const char *scalar;
    double (*scalar_value)(const mb_optimizer_t *optimizer, int64_t updates);

    /* Of rules whose step depends on whole tensors; NULL: one pass over the table is the step.
     * args: of that pass. */
    mb_status_t (*step)(mb_stepper_t *stepper, mb_update_args_t *args, int64_t updates);
    /* Which parameters stand in the stepper's table of matrices, the others in that of others.
     * NULL: both are empty. */
    bool (*is_matrix)(const mb_optimizer_t *optimizer, const mb_param_t *param);
    /* The decay of a parameter; NULL: weight_decay. */
    double (*decay)(const mb_optimizer_t *optimizer, const mb_param_t *param);
    /* Floats of memory that a step needs for the parameter by itself; NULL: none. */
    int64_t (*scratch)(const mb_optimizer_t *optimizer, const mb_param_t *param);
};

extern const mb_optimizer_class_t mb_optimizer_sgd;
extern const mb_optimizer_class_t mb_optimizer_rmsprop;
extern const mb_optimizer_class_t mb_optimizer_adam;
extern const mb_optimizer_class_t mb_optimizer_adamw;
extern const mb_optimizer_class_t mb_optimizer_adagrad;
extern const mb_optimizer_class_t mb_optimizer_adadelta;
extern const mb_optimizer_class_t mb_optimizer_adamax;
extern const mb_optimizer_class_t mb_optimizer_nadam;
extern const mb_optimizer_class_t mb_optimizer_ftrl;
extern const mb_optimizer_class_t mb_optimizer_lion;
extern const mb_optimizer_class_t mb_optimizer_lamb;
extern const mb_optimizer_class_t mb_optimizer_adafactor;
extern const mb_optimizer_class_t mb_optimizer_muon;
extern const mb_optimizer_class_t mb_optimizer_schedule_free;

/* INDEX: which of s0, s1, s2 of mb_tensor_t, or MB_SLOT_... */
void mb_optimizer_add_slot(mb_optimizer_t *optimizer, const char *name, int index);
/* The same of one that begins with VALUE everywhere. */
void mb_optimizer_add_filled_slot(mb_optimizer_t *optimizer, const char *name, int index,
                                  double value);
/* The same of one that begins as a copy of the weight. */
void mb_optimizer_add_weight_slot(mb_optimizer_t *optimizer, const char *name, int index);

/* The two powers that the Adam family corrects its averages by, 1 - beta^step in float32 as Keras
 * takes them: 1 - 0.999f^1 is off by 1.3e-5, and so is Keras' first step. */
float mb_optimizer_correction(double beta, int64_t updates);

/* A number from LOW to HIGH, or OTHERWISE. */
mb_status_t mb_optimizer_take(mb_config_t *config, const char *key, double low, double high,
                              double otherwise, double *out);

/* Whether PATH holds a match of PATTERN, a regular expression of Python's that means the same in
 * POSIX' extended syntax; others are MB_ERR_UNSUPPORTED. MATCHES may be NULL. */
mb_status_t mb_optimizer_match(const char *pattern, const char *path, const char *where,
                               bool *matches);

/* From JSON ({"class_name", "config"}) to *OPTIMIZER, all but its own reference to the JSON. */
mb_status_t mb_optimizer_parse(const json_t *object, const char *where, mb_arena_t *arena,
                               mb_optimizer_t *optimizer);

struct mb_stepper {
    const mb_optimizer_t *optimizer;
    mb_exec_t *exec;
    int n; /* of what has gradients */
    mb_tensor_t *tensors;
    const mb_param_t **params;
    mb_table_t all;              /* what has gradients */
    mb_table_t weights;          /* the same with weights in place of gradients, for their norms */
    mb_table_t matrices, others; /* parts of all, as the class divides it */
    mb_table_t sums;             /* gradients and, as s0, their sums over steps */
    mb_table_t averages;         /* weights and, as s0, their averages; gradients or not */
    /* Device memory, [n_params] each where the class needs norms, and what `scratch` asks for. */
    double *direction_squares, *weight_squares;
    float *scale, *scratch;
    size_t bytes;             /* of all of it, tables and all */
    mb_tensor_copy_t *copies; /* of the next step, by parameter; NULL: none */
};

/* For a class's step: squared norms of directions (and weights) to what every tensor of the table
 * goes along its direction (stepper->scale). */
mb_status_t mb_stepper_trust(mb_stepper_t *stepper, const mb_table_t *table,
                             const mb_trust_args_t *trust);
/* w -= scale * g. */
mb_status_t mb_stepper_go(mb_stepper_t *stepper);

/* Whether NAME is one of the names of Keras' wrapper that scales the loss. */
bool mb_optimizer_is_wrapper(const char *name);
/* The wrapper's own settings into *OPTIMIZER; *INNER: the wrapped optimizer's JSON. */
mb_status_t mb_optimizer_parse_wrapper(mb_config_t *config, mb_optimizer_t *optimizer,
                                       const json_t **inner);
/* The "config" of the optimizer itself, inside a wrapper or not. */
json_t *mb_optimizer_own_config(const json_t *object);

/* Keras' defaults of the optimizer named in SPEC ("adam:beta_2=0.95") with SPEC's keys put in; a
 * new reference. */
mb_status_t mb_optimizer_from_spec(const char *spec, json_t **out);

const mb_optimizer_class_t *mb_optimizer_class_find(const char *name); /* either name; NULL */

#endif
