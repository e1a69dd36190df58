/* Schedules that fall with the step: exponential, 1/t, polynomial. All in float32, operation by
 * operation. Source: keras/src/optimizers/schedules/learning_rate_schedule.py. */
#include "model/optimizers/lr_schedule.h"

#include <math.h>

static mb_status_t parse_rated(mb_config_t *config, mb_arena_t *arena, mb_lr_schedule_t *schedule)
{
    (void)arena;
    MB_TRY(mb_lr_schedule_take_rate(config, "initial_learning_rate", &schedule->initial));
    MB_TRY(mb_lr_schedule_take_steps(config, "decay_steps", &schedule->steps));
    MB_TRY(mb_config_real(config, "decay_rate", &schedule->rate));
    return mb_config_bool_or(config, "staircase", false, &schedule->staircase);
}

static float fraction(const mb_lr_schedule_t *schedule, float step)
{
    float part = step / (float)schedule->steps;
    return schedule->staircase ? floorf(part) : part;
}

static float exponential(const mb_lr_schedule_t *schedule, float step, int64_t iterations)
{
    (void)iterations;
    return (float)schedule->initial * powf((float)schedule->rate, fraction(schedule, step));
}

static float inverse_time(const mb_lr_schedule_t *schedule, float step, int64_t iterations)
{
    (void)iterations;
    float denominator = 1.0f + (float)schedule->rate * fraction(schedule, step);
    return (float)schedule->initial / denominator;
}

static mb_status_t parse_polynomial(mb_config_t *config, mb_arena_t *arena,
                                    mb_lr_schedule_t *schedule)
{
    (void)arena;
    MB_TRY(mb_lr_schedule_take_rate(config, "initial_learning_rate", &schedule->initial));
    MB_TRY(mb_lr_schedule_take_steps(config, "decay_steps", &schedule->steps));
    MB_TRY(mb_config_real_or(config, "end_learning_rate", 0.0001, &schedule->end));
    MB_TRY(mb_config_real_or(config, "power", 1.0, &schedule->power));
    return mb_config_bool_or(config, "cycle", false, &schedule->cycle);
}

static float polynomial(const mb_lr_schedule_t *schedule, float step, int64_t iterations)
{
    float steps = (float)schedule->steps;
    float end = (float)schedule->end;
    if (schedule->cycle)
        steps *= iterations == 0 ? 1.0f : ceilf(step / steps);
    else
        step = fminf(step, steps);
    float left = 1.0f - step / steps;
    return ((float)schedule->initial - end) * powf(left, (float)schedule->power) + end;
}

const mb_lr_schedule_class_t mb_lr_schedule_exponential = {
    .size = sizeof(mb_lr_schedule_class_t),
    .name = "ExponentialDecay",
    .parse = parse_rated,
    .value = exponential,
};

const mb_lr_schedule_class_t mb_lr_schedule_inverse_time = {
    .size = sizeof(mb_lr_schedule_class_t),
    .name = "InverseTimeDecay",
    .parse = parse_rated,
    .value = inverse_time,
};

const mb_lr_schedule_class_t mb_lr_schedule_polynomial = {
    .size = sizeof(mb_lr_schedule_class_t),
    .name = "PolynomialDecay",
    .parse = parse_polynomial,
    .value = polynomial,
};
