/* Learning rate schedules: Keras' functions of the number of steps done. */
#ifndef MB_MODEL_OPTIMIZERS_LR_SCHEDULE_H
#define MB_MODEL_OPTIMIZERS_LR_SCHEDULE_H

#include "model/optimizer.h"

typedef struct mb_lr_schedule_class mb_lr_schedule_class_t;

struct mb_lr_schedule {
    const mb_lr_schedule_class_t *class_;
    double initial;      /* initial_learning_rate */
    double steps;        /* decay_steps, first_decay_steps */
    double rate;         /* decay_rate */
    double end, power;   /* polynomial */
    double alpha;        /* cosine: the least part of the initial rate */
    double t_mul, m_mul; /* restarts */
    bool staircase, cycle;
    bool warms_up;
    double warmup_target, warmup_steps;
    int n_values; /* piecewise: values[i] up to and including boundaries[i] */
    int64_t *boundaries;
    double *values;
};

/* How a schedule is computed: float32 throughout, operation by operation as Keras does it. */
struct mb_lr_schedule_class {
    size_t size;
    const char *name;
    mb_status_t (*parse)(mb_config_t *config, mb_arena_t *arena, mb_lr_schedule_t *schedule);
    float (*value)(const mb_lr_schedule_t *schedule, float step, int64_t iterations);
};

/* VALUE: Keras' serialized schedule. */
mb_status_t mb_lr_schedule_parse(const json_t *value, const char *where, mb_arena_t *arena,
                                 const mb_lr_schedule_t **out);
float mb_lr_schedule_value(const mb_lr_schedule_t *schedule, int64_t iterations);

/* The highest rate it gives: what another schedule in its place starts from. */
double mb_lr_schedule_peak(const mb_lr_schedule_t *schedule);

/* The command line's text (see mb_optimizer_set) from the rate PEAK to Keras' serialized schedule,
 * or to a plain number for "constant"; a new reference. */
mb_status_t mb_lr_schedule_from_text(const char *text, double peak, json_t **out);

extern const mb_lr_schedule_class_t mb_lr_schedule_exponential;
extern const mb_lr_schedule_class_t mb_lr_schedule_inverse_time;
extern const mb_lr_schedule_class_t mb_lr_schedule_polynomial;
extern const mb_lr_schedule_class_t mb_lr_schedule_piecewise;
extern const mb_lr_schedule_class_t mb_lr_schedule_cosine;
extern const mb_lr_schedule_class_t mb_lr_schedule_cosine_restarts;

/* Keys that several schedules have. Keras computes in the type of the initial rate: an integer
 * there would truncate, so it is refused. */
mb_status_t mb_lr_schedule_take_rate(mb_config_t *config, const char *key, double *out);
mb_status_t mb_lr_schedule_take_steps(mb_config_t *config, const char *key, double *out);

#endif
