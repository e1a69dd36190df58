/* Optimizers: Keras 3's rules, state and schedules.
 *
 * One step over parameter i with gradient g, in Keras' order: regularizer gradients are part of g;
 * accumulation over steps; clipping (clipvalue; or clipnorm per parameter; or global_clipnorm over
 * all); weight decay w -= w * weight_decay * lr; the rule; the average of the weights; then, after
 * all, the constraint. lr is the schedule's value at `iterations`, the number of steps done before.
 * With accumulation over n steps the rule is applied in every n-th, and what it counts are those
 * (mb_optimizer_updates). */
#ifndef MB_MODEL_OPTIMIZER_H
#define MB_MODEL_OPTIMIZER_H

#include "model/graph.h"

#define MB_MAX_SLOTS 5
/* What a slot is to the step, beside s0, s1 and s2 of mb_tensor_t. */
enum { MB_SLOT_AVERAGE = 3, MB_SLOT_SUM = 4 };

typedef struct mb_lr_schedule mb_lr_schedule_t; /* NULL schedule: constant */
typedef struct mb_optimizer_class mb_optimizer_class_t;

typedef struct {
    double power, l1, l2, shrinkage, beta;
} mb_ftrl_t;

typedef struct {
    double beta2_decay, epsilon1, epsilon2, threshold;
} mb_adafactor_t;

typedef struct {
    double a, b, c; /* of the iteration x' = a x + (b A + c A A) x, A = x x^T */
    int64_t steps;
    bool adjusts; /* the step's length, to rms_rate sqrt(the longer side) */
    double rms_rate;
    double adam_decay, adam_lr_ratio;
    bool excludes_embeddings;
    const json_t *excludes; /* list of patterns of paths */
} mb_muon_t;

typedef struct {
    const mb_optimizer_class_t *class_;
    const char *name;       /* Keras' instance name: "adam" */
    const char *class_name; /* "Adam", "AdamW", "SGD", "RMSprop" */
    mb_rule_t rule;
    double learning_rate; /* when there is no schedule */
    const mb_lr_schedule_t *schedule;
    bool nesterov, centered, amsgrad;
    double momentum, rho, beta1, beta2, epsilon;
    double warmup_steps; /* 0: none */
    double initial_accumulator;
    mb_ftrl_t ftrl;
    mb_adafactor_t adafactor;
    mb_muon_t muon;
    double weight_decay;                         /* 0: none */
    double clipnorm, global_clipnorm, clipvalue; /* 0: none */
    int64_t accumulated_steps;                   /* a step of the rule; 1: every one is */
    bool averages;                               /* Keras' use_ema */
    double average_momentum;
    int64_t overwrite_every;  /* steps after which the average becomes the weight; 0: none */
    double loss_scale_factor; /* 0: none; not in force inside LossScaleOptimizer */
    bool scales_loss;         /* Keras' LossScaleOptimizer around it */
    bool fixed_scale;         /* Keras 2's dynamic=False */
    double initial_scale;
    int64_t growth_steps;
    int n_slots;
    const char *slot_names[MB_MAX_SLOTS]; /* Keras': "momentum", "velocity", "velocity_hat" */
    int slot_index[MB_MAX_SLOTS];         /* which of s0, s1, s2 of mb_tensor_t, or MB_SLOT_... */
    double slot_initial[MB_MAX_SLOTS];    /* value of all its elements before the first step */
    bool slot_copies[MB_MAX_SLOTS];       /* it begins as a copy of the weight instead */
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
/* Whether the step after `iterations` others applies the rule (or only accumulates), and how often
 * it was applied before. */
bool mb_optimizer_applies(const mb_optimizer_t *optimizer, int64_t iterations);
int64_t mb_optimizer_updates(const mb_optimizer_t *optimizer, int64_t iterations);

/* Whether a trainable parameter has the slot, and of which shape: the parameter's own but for
 * Adafactor's means. Rank 0: one element, which is never used, where Keras keeps one too. */
bool mb_optimizer_slot(const mb_optimizer_t *optimizer, const mb_param_t *param, int slot,
                       mb_shape_t *shape);
/* Which slot is the average of the weights; -1: there is none. */
int mb_optimizer_average_slot(const mb_optimizer_t *optimizer);
/* A number that Keras keeps once among the optimizer's variables, after all slots: its name, or
 * NULL, and its value after `updates`. */
const char *mb_optimizer_scalar(const mb_optimizer_t *optimizer, int64_t updates, double *value);

/* A parameter that is trained here. */
typedef struct {
    const mb_param_t *param;
    float *w;
    float *g; /* NULL: no output needs it; its average is kept all the same */
    float *slots[MB_MAX_SLOTS];
} mb_trained_t;

/* Steps of an optimizer over the trained parameters of one stage: tables of them, and memory for
 * what a rule needs to know of whole tensors. Not collective. */
typedef struct mb_stepper mb_stepper_t;

/* TRAINED: [n], not kept. N_PARAMS: of the whole graph, which vectors of norms and scales go by.
 * The optimizer and the stream must live as long. */
mb_status_t mb_stepper_create(const mb_optimizer_t *optimizer, mb_exec_t *exec,
                              const mb_trained_t *trained, int n, int n_params, mb_stepper_t **out);
void mb_stepper_destroy(mb_stepper_t *stepper);
/* What has gradients, in the order given. */
const mb_table_t *mb_stepper_table(const mb_stepper_t *stepper);
/* Device memory that it has taken. */
size_t mb_stepper_bytes(const mb_stepper_t *stepper);
/* The following put their work on the stream; gradients are undefined after a step.
 *
 * Gradients into their sums; APPLIES: the mean of the steps since the last time into the gradients.
 */
mb_status_t mb_stepper_accumulate(mb_stepper_t *stepper, bool applies);
/* Clipping, decay and rule. updates: mb_optimizer_updates before this step. scale: what clipping by
 * norm found, by parameter; NULL: 1. */
mb_status_t mb_stepper_step(mb_stepper_t *stepper, int64_t updates, float lr, const float *scale);
/* The next step copies each tensor as it leaves it. COPIES: by parameter, as in mb_update_args_t;
 * NULL: it does not. Only where mb_optimizer_copies. */
void mb_stepper_copy_to(mb_stepper_t *stepper, mb_tensor_copy_t *copies);
/* Whether a step is one pass over weights and moments, behind which nothing changes them. */
bool mb_optimizer_copies(const mb_optimizer_t *optimizer);
/* The average of the weights, which takes their place where it is time for that. */
mb_status_t mb_stepper_average(mb_stepper_t *stepper, int64_t updates);

#endif
