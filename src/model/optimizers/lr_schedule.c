/* Reading schedules and asking them for a rate. */
#include "model/optimizers/lr_schedule.h"

#include <float.h>
#include <stdio.h>
#include <string.h>

#include "model/known.h"

static const mb_lr_schedule_class_t *const classes[] = {
    &mb_lr_schedule_exponential, &mb_lr_schedule_inverse_time, &mb_lr_schedule_polynomial,
    &mb_lr_schedule_piecewise,   &mb_lr_schedule_cosine,       &mb_lr_schedule_cosine_restarts,
};

#define N_CLASSES (sizeof(classes) / sizeof(classes[0]))

static const char *schedule_name(size_t index)
{
    return index < N_CLASSES ? classes[index]->name : NULL;
}

const mb_known_t mb_known_schedules = {"schedule", "schedules", schedule_name};

mb_status_t mb_lr_schedule_take_rate(mb_config_t *config, const char *key, double *out)
{
    const json_t *value = mb_config_take(config, key);
    if (json_is_integer(value))
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "%s: key '%s' is an integer, and Keras would compute the schedule in "
                            "integers; write it with a decimal point",
                            config->where, key);
    MB_TRY(mb_config_real(config, key, out));
    if (*out >= 0.0 && *out <= (double)FLT_MAX)
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT, "%s: key '%s' is %g, a rate is not negative",
                        config->where, key, *out);
}

mb_status_t mb_lr_schedule_take_steps(mb_config_t *config, const char *key, double *out)
{
    MB_TRY(mb_config_real(config, key, out));
    if (*out > 0.0 && *out <= (double)FLT_MAX)
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT, "%s: key '%s' is %g, it must be above 0", config->where,
                        key, *out);
}

static const mb_lr_schedule_class_t *find_class(const char *name)
{
    for (size_t i = 0; i < N_CLASSES; i++) {
        if (strcmp(classes[i]->name, name) == 0)
            return classes[i];
    }
    return NULL;
}

static mb_status_t read_config(const json_t *object, const char *place, mb_arena_t *arena,
                               mb_lr_schedule_t *schedule)
{
    mb_config_t config;
    MB_TRY(mb_config_open(&config, object, "%s", place));
    mb_config_ignore(&config, "name");
    MB_TRY(schedule->class_->parse(&config, arena, schedule));
    return mb_config_finish(&config);
}

mb_status_t mb_lr_schedule_parse(const json_t *value, const char *where, mb_arena_t *arena,
                                 const mb_lr_schedule_t **out)
{
    char place[192];
    const char *name;
    const json_t *object;
    snprintf(place, sizeof(place), "%s: learning_rate", where);
    MB_TRY(mb_config_object(value, place, &name, &object));
    mb_lr_schedule_t *schedule = MB_ARENA_NEW(arena, mb_lr_schedule_t);
    if (schedule == NULL)
        return mb_error_memory("a schedule", sizeof(*schedule));
    schedule->class_ = find_class(name);
    if (schedule->class_ == NULL)
        return mb_known_refuse(&mb_known_schedules, MB_ERR_UNSUPPORTED, place, name);
    snprintf(place, sizeof(place), "%s: schedule %s", where, name);
    MB_TRY(read_config(object, place, arena, schedule));
    *out = schedule;
    return MB_OK;
}

float mb_lr_schedule_value(const mb_lr_schedule_t *schedule, int64_t iterations)
{
    return schedule->class_->value(schedule, (float)iterations, iterations);
}

double mb_lr_schedule_peak(const mb_lr_schedule_t *schedule)
{
    double peak = schedule->warms_up ? schedule->warmup_target : schedule->initial;
    for (int i = 0; i < schedule->n_values; i++)
        peak = schedule->values[i] > peak ? schedule->values[i] : peak;
    return peak;
}
