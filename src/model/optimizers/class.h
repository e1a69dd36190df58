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
    void (*arguments)(const mb_optimizer_t *optimizer, int64_t iterations, mb_update_args_t *args);
};

extern const mb_optimizer_class_t mb_optimizer_sgd;
extern const mb_optimizer_class_t mb_optimizer_rmsprop;
extern const mb_optimizer_class_t mb_optimizer_adam;
extern const mb_optimizer_class_t mb_optimizer_adamw;

/* INDEX: which of s0, s1, s2 of mb_tensor_t. */
void mb_optimizer_add_slot(mb_optimizer_t *optimizer, const char *name, int index);

/* A number from LOW to HIGH, or OTHERWISE. */
mb_status_t mb_optimizer_take(mb_config_t *config, const char *key, double low, double high,
                              double otherwise, double *out);

/* From JSON ({"class_name", "config"}) to *OPTIMIZER, all but its own reference to the JSON. */
mb_status_t mb_optimizer_parse(const json_t *object, const char *where, mb_arena_t *arena,
                               mb_optimizer_t *optimizer);

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
