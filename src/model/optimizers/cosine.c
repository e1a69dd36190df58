/* Cosine decay with an optional linear warm-up, and with warm restarts (Loshchilov, Hutter: SGDR,
 * arXiv 1608.03983). All in float32, operation by operation.
 * Source: keras/src/optimizers/schedules/learning_rate_schedule.py. */
#include "model/optimizers/lr_schedule.h"

#include <math.h>

static const float pi = 3.14159265358979323846f;

static mb_status_t parse_cosine(mb_config_t *config, mb_arena_t *arena, mb_lr_schedule_t *schedule)
{
    (void)arena;
    MB_TRY(mb_lr_schedule_take_rate(config, "initial_learning_rate", &schedule->initial));
    MB_TRY(mb_lr_schedule_take_steps(config, "decay_steps", &schedule->steps));
    MB_TRY(mb_config_real_or(config, "alpha", 0.0, &schedule->alpha));
    schedule->warms_up = mb_config_has(config, "warmup_target");
    MB_TRY(mb_config_real_or(config, "warmup_target", 0.0, &schedule->warmup_target));
    MB_TRY(mb_config_real_or(config, "warmup_steps", 0.0, &schedule->warmup_steps));
    if (schedule->warmup_steps >= 0.0 && schedule->warmup_target >= 0.0)
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT, "%s: warmup_steps and warmup_target must not be negative",
                        config->where);
}

static float decayed(const mb_lr_schedule_t *schedule, float step, float from)
{
    float cosine = 0.5f * (1.0f + cosf(pi * (step / (float)schedule->steps)));
    return from * ((float)(1.0 - schedule->alpha) * cosine + (float)schedule->alpha);
}

static float cosine(const mb_lr_schedule_t *schedule, float step, int64_t iterations)
{
    (void)iterations;
    float steps = (float)schedule->steps;
    float initial = (float)schedule->initial;
    if (!schedule->warms_up)
        return decayed(schedule, fminf(step, steps), initial);
    float warmup = (float)schedule->warmup_steps;
    float target = (float)schedule->warmup_target;
    step = fminf(step, steps + warmup);
    if (step < warmup)
        return (target - initial) * (step / warmup) + initial;
    return decayed(schedule, step - warmup, target);
}

static mb_status_t parse_restarts(mb_config_t *config, mb_arena_t *arena,
                                  mb_lr_schedule_t *schedule)
{
    (void)arena;
    MB_TRY(mb_lr_schedule_take_rate(config, "initial_learning_rate", &schedule->initial));
    MB_TRY(mb_lr_schedule_take_steps(config, "first_decay_steps", &schedule->steps));
    MB_TRY(mb_config_real_or(config, "t_mul", 2.0, &schedule->t_mul));
    MB_TRY(mb_config_real_or(config, "m_mul", 1.0, &schedule->m_mul));
    if (!(schedule->t_mul >= 1.0))
        return mb_error_set(MB_ERR_ARGUMENT, "%s: key 't_mul' is %g, it must be at least 1",
                            config->where, schedule->t_mul);
    return mb_config_real_or(config, "alpha", 0.0, &schedule->alpha);
}

/* Which run of the cosine *part falls into, and how far into it. */
static float split(float t_mul, float *part)
{
    if (!(t_mul > 1.0f)) {
        float restarts = floorf(*part);
        *part -= restarts;
        return restarts;
    }
    float restarts = floorf(logf(1.0f - *part * (1.0f - t_mul)) / logf(t_mul));
    float length = powf(t_mul, restarts);
    *part = (*part - (1.0f - length) / (1.0f - t_mul)) / length;
    return restarts;
}

static float cosine_restarts(const mb_lr_schedule_t *schedule, float step, int64_t iterations)
{
    (void)iterations;
    float part = step / (float)schedule->steps;
    float restarts = split((float)schedule->t_mul, &part);
    float peak = powf((float)schedule->m_mul, restarts);
    float alpha = (float)schedule->alpha;
    float wave = 0.5f * peak * (1.0f + cosf(pi * part));
    return (float)schedule->initial * ((1.0f - alpha) * wave + alpha);
}

const mb_lr_schedule_class_t mb_lr_schedule_cosine = {
    .size = sizeof(mb_lr_schedule_class_t),
    .name = "CosineDecay",
    .parse = parse_cosine,
    .value = cosine,
};

const mb_lr_schedule_class_t mb_lr_schedule_cosine_restarts = {
    .size = sizeof(mb_lr_schedule_class_t),
    .name = "CosineDecayRestarts",
    .parse = parse_restarts,
    .value = cosine_restarts,
};
