/* Optimizers: Keras 3's rules, state and schedules.
 *
 * One step over parameter i with gradient g, in Keras' order: regularizer gradients are part of g;
 * clipping (clipvalue; or clipnorm per parameter; or global_clipnorm over all); weight decay
 * w -= w * weight_decay * lr; the rule; then, after all, the constraint. lr is the schedule's value
 * at `iterations`, the number of steps done before. */
#ifndef MB_MODEL_OPTIMIZER_H
#define MB_MODEL_OPTIMIZER_H

#include "model/graph.h"

#define MB_MAX_SLOTS 3

typedef struct mb_lr_schedule mb_lr_schedule_t; /* NULL schedule: constant */
typedef struct mb_optimizer_class mb_optimizer_class_t;

typedef struct {
    const mb_optimizer_class_t *class_;
    const char *name;       /* Keras' instance name: "adam" */
    const char *class_name; /* "Adam", "AdamW", "SGD", "RMSprop" */
    mb_rule_t rule;
    double learning_rate; /* when there is no schedule */
    const mb_lr_schedule_t *schedule;
    bool nesterov, centered, amsgrad;
    double momentum, rho, beta1, beta2, epsilon;
    double weight_decay;                         /* 0: none */
    double clipnorm, global_clipnorm, clipvalue; /* 0: none */
    bool scales_loss;                            /* Keras' LossScaleOptimizer around it */
    bool fixed_scale;                            /* Keras 2's dynamic=False */
    double initial_scale;
    int64_t growth_steps;
    int n_slots;
    const char *slot_names[MB_MAX_SLOTS]; /* Keras': "momentum", "velocity", "velocity_hat" */
    int slot_index[MB_MAX_SLOTS];         /* which of s0, s1, s2 of mb_tensor_t */
    json_t *config; /* {"class_name":..., "config":...} as Keras serializes, for writing: the file's
                       own with what was set since */
} mb_optimizer_t;

/* From training_config's optimizer_config (Keras 2 and 3 dialects); NULL: Keras' default RMSprop is
 * refused, `spec` is needed. spec: the command line's "adam", "adamw:weight_decay=0.01,beta_2=0.95"
 * (keys are Keras' constructor arguments, and lr), or NULL; it replaces the file's. Options that
 * override single keys: see mb_optimizer_set. mb_optimizer_destroy before the arena goes. */
mb_status_t mb_optimizer_create(const json_t *optimizer_config, const char *spec, const char *where,
                                mb_arena_t *arena, mb_optimizer_t **out);

/* key: "lr" (a constant: takes the place of a schedule), "clip" (global norm, takes the place of
 * any other clipping; 0: none), "weight_decay", "lr_schedule": constant
 *     cosine:steps=1000[,warmup=100][,alpha=0.1]     1000 steps in all, the warm-up's among them
 *     restarts:steps=..[,t_mul=2][,m_mul=1][,alpha=0]
 *     exponential:steps=..,rate=..[,staircase=true]
 *     inverse:steps=..,rate=..[,staircase=true]
 *     polynomial:steps=..[,end=0.0001][,power=1][,cycle=true]
 *     piecewise:at=1000/2000,values=0.01/0.001/0.0001
 * A schedule starts from (a warm-up leads to) the rate in force. On an error the optimizer stays as
 * it was. */
mb_status_t mb_optimizer_set(mb_optimizer_t *optimizer, const char *key, const char *value,
                             mb_arena_t *arena);
/* Puts Keras' LossScaleOptimizer with its defaults around one that has none, as Keras' compile does
 * under the policy mixed_float16. What is written for Keras stays as it is. */
void mb_optimizer_scale_loss(mb_optimizer_t *optimizer);
void mb_optimizer_destroy(mb_optimizer_t *optimizer); /* drops its JSON reference */

/* Learning rate at `iterations` steps done, in float32 arithmetic as Keras computes it. */
float mb_optimizer_lr(const mb_optimizer_t *optimizer, int64_t iterations);

/* True when norms of the gradients are needed before the step. */
bool mb_optimizer_needs_norms(const mb_optimizer_t *optimizer);
/* Puts on the stream: the factors for all gradients from all parameters' squared norms ([n] in
 * parameter order; those not trained 0), where norms are needed. squares, scale: device memory. */
mb_status_t mb_optimizer_clip(const mb_optimizer_t *optimizer, mb_exec_t *exec, int n,
                              const double *squares, float *scale);
/* An entry of the table for a parameter: w, g and slots (in the order of slot_names) are device
 * memory. */
mb_tensor_t mb_optimizer_tensor(const mb_optimizer_t *optimizer, const mb_param_t *param, float *w,
                                float *g, float *const *slots);
/* Puts clipping, decay and rule for all tensors of the table on the stream. iterations: steps done
 * before this one. scale: by parameter; NULL: 1. Regularizers go before, constraints follow. */
mb_status_t mb_optimizer_update(const mb_optimizer_t *optimizer, mb_exec_t *exec,
                                const mb_table_t *table, int64_t iterations, float lr,
                                const float *scale);

#endif
