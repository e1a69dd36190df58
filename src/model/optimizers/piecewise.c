/* A constant rate on each stretch of steps: values[0] up to and including boundaries[0], and so on.
 * Source: keras/src/optimizers/schedules/learning_rate_schedule.py. */
#include "model/optimizers/lr_schedule.h"

static mb_status_t take_lists(mb_config_t *config, const json_t **boundaries, const json_t **values)
{
    *boundaries = mb_config_take(config, "boundaries");
    *values = mb_config_take(config, "values");
    size_t count = json_array_size(*boundaries);
    if (count >= 1 && json_array_size(*values) == count + 1)
        return MB_OK;
    return mb_error_set(MB_ERR_FORMAT,
                        "%s: boundaries and values must be lists, of one or more steps and of one "
                        "rate more; found %zu and %zu",
                        config->where, count, json_array_size(*values));
}

static mb_status_t read_boundaries(const mb_config_t *config, const json_t *list,
                                   mb_lr_schedule_t *schedule)
{
    for (int i = 0; i < schedule->n_values - 1; i++) {
        const json_t *item = json_array_get(list, (size_t)i);
        schedule->boundaries[i] = json_integer_value(item);
        if (!json_is_integer(item) ||
            (i > 0 && schedule->boundaries[i] <= schedule->boundaries[i - 1]))
            return mb_error_set(MB_ERR_ARGUMENT,
                                "%s: key 'boundaries' must hold integers that rise", config->where);
    }
    return MB_OK;
}

static mb_status_t read_values(const mb_config_t *config, const json_t *list,
                               mb_lr_schedule_t *schedule)
{
    for (int i = 0; i < schedule->n_values; i++) {
        const json_t *item = json_array_get(list, (size_t)i);
        schedule->values[i] = json_real_value(item);
        if (!json_is_real(item) || !(schedule->values[i] >= 0.0))
            return mb_error_set(MB_ERR_ARGUMENT,
                                "%s: key 'values' must hold rates, written with a decimal point "
                                "(Keras would compute in integers)",
                                config->where);
    }
    return MB_OK;
}

static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, mb_lr_schedule_t *schedule)
{
    const json_t *boundaries;
    const json_t *values;
    MB_TRY(take_lists(config, &boundaries, &values));
    schedule->n_values = (int)json_array_size(values);
    schedule->boundaries = MB_ARENA_ARRAY(arena, int64_t, schedule->n_values);
    schedule->values = MB_ARENA_ARRAY(arena, double, schedule->n_values);
    if (schedule->boundaries == NULL || schedule->values == NULL)
        return mb_error_memory("a schedule", sizeof(double) * (size_t)schedule->n_values);
    MB_TRY(read_boundaries(config, boundaries, schedule));
    return read_values(config, values, schedule);
}

static float value(const mb_lr_schedule_t *schedule, float step, int64_t iterations)
{
    (void)step;
    int stretch = 0;
    while (stretch < schedule->n_values - 1 && iterations > schedule->boundaries[stretch])
        stretch++;
    return (float)schedule->values[stretch];
}

const mb_lr_schedule_class_t mb_lr_schedule_piecewise = {
    .size = sizeof(mb_lr_schedule_class_t),
    .name = "PiecewiseConstantDecay",
    .parse = parse,
    .value = value,
};
