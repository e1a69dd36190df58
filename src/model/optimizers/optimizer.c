/* Making an optimizer, changing single settings of it, and taking a step with it. The JSON is the
 * one truth: a change edits a copy of it and reads that again. */
#include "model/optimizers/class.h"
#include "model/optimizers/lr_schedule.h"
#include "base/str.h"
#include "model/spec.h"

#include <stdio.h>
#include <string.h>

mb_status_t mb_optimizer_create(const json_t *optimizer_config, const char *spec, const char *where,
                                mb_arena_t *arena, mb_optimizer_t **out)
{
    json_t *object = NULL;
    mb_optimizer_t *optimizer = MB_ARENA_NEW(arena, mb_optimizer_t);
    if (optimizer == NULL)
        return mb_error_memory("an optimizer", sizeof(*optimizer));
    if (spec != NULL)
        MB_TRY(mb_optimizer_from_spec(spec, &object));
    else if (optimizer_config == NULL || json_is_null(optimizer_config))
        return mb_error_set(MB_ERR_ARGUMENT,
                            "%s: the model is not compiled with an optimizer; name one with "
                            "--optimizer, as in --optimizer adam:lr=0.001",
                            where);
    else
        object = json_deep_copy(optimizer_config);
    mb_status_t status =
        mb_optimizer_parse(object, spec == NULL ? where : "--optimizer", arena, optimizer);
    if (status != MB_OK) {
        json_decref(object);
        return status;
    }
    optimizer->config = object;
    *out = optimizer;
    return MB_OK;
}

void mb_optimizer_destroy(mb_optimizer_t *optimizer)
{
    if (optimizer == NULL)
        return;
    json_decref(optimizer->config);
    optimizer->config = NULL;
}

float mb_optimizer_lr(const mb_optimizer_t *optimizer, int64_t iterations)
{
    if (optimizer->schedule != NULL)
        return mb_lr_schedule_value(optimizer->schedule, iterations);
    return (float)optimizer->learning_rate;
}

static void set_rate(json_t *config, json_t *value)
{
    json_object_del(config, "lr");
    json_object_set_new(config, "learning_rate", value);
}

static mb_status_t set_number(const char *key, const char *value, json_t *config)
{
    json_t *number = mb_spec_value(value);
    bool fits = json_is_number(number);
    double real = json_number_value(number);
    json_decref(number);
    if (!fits)
        return mb_error_set(MB_ERR_ARGUMENT, "--%s: '%s' is not a number", key, value);
    if (strcmp(key, "lr") == 0) {
        set_rate(config, json_real(real));
    } else if (strcmp(key, "clip") == 0) {
        json_object_set_new(config, "clipnorm", json_null());
        json_object_set_new(config, "clipvalue", json_null());
        json_object_set_new(config, "global_clipnorm", real > 0.0 ? json_real(real) : json_null());
    } else {
        json_object_set_new(config, "weight_decay", json_real(real));
    }
    return real < 0.0 ? mb_error_set(MB_ERR_ARGUMENT, "--%s: %s is negative", key, value) : MB_OK;
}

static mb_status_t set_schedule(const mb_optimizer_t *optimizer, const char *value, json_t *config)
{
    double peak = optimizer->schedule != NULL ? mb_lr_schedule_peak(optimizer->schedule)
                                              : optimizer->learning_rate;
    json_t *schedule;
    MB_TRY(mb_lr_schedule_from_text(value, peak, &schedule));
    set_rate(config, schedule);
    return MB_OK;
}

static mb_status_t edit(const mb_optimizer_t *optimizer, const char *key, const char *value,
                        json_t *config)
{
    static const char *const keys[] = {"lr", "clip", "weight_decay", "lr_schedule"};
    if (strcmp(key, "lr_schedule") == 0)
        return set_schedule(optimizer, value, config);
    for (int i = 0; i < 3; i++) {
        if (strcmp(key, keys[i]) == 0)
            return set_number(key, value, config);
    }
    const char *nearest = mb_str_nearest(key, keys, 4);
    return mb_error_set(MB_ERR_ARGUMENT, "the optimizer has no setting '%s'%s%s", key,
                        nearest == NULL ? "" : "; the nearest one is ",
                        nearest == NULL ? "" : nearest);
}

mb_status_t mb_optimizer_set(mb_optimizer_t *optimizer, const char *key, const char *value,
                             mb_arena_t *arena)
{
    mb_optimizer_t changed;
    char where[32];
    json_t *object = json_deep_copy(optimizer->config);
    mb_status_t status = edit(optimizer, key, value, mb_optimizer_own_config(object));
    snprintf(where, sizeof(where), "--%s", strcmp(key, "lr_schedule") == 0 ? "lr-schedule" : key);
    if (status == MB_OK)
        status = mb_optimizer_parse(object, where, arena, &changed);
    if (status != MB_OK) {
        json_decref(object);
        return status;
    }
    json_decref(optimizer->config);
    *optimizer = changed;
    optimizer->config = object;
    return MB_OK;
}

bool mb_optimizer_applies(const mb_optimizer_t *optimizer, int64_t iterations)
{
    return (iterations + 1) % optimizer->accumulated_steps == 0;
}

int64_t mb_optimizer_updates(const mb_optimizer_t *optimizer, int64_t iterations)
{
    return iterations / optimizer->accumulated_steps;
}

bool mb_optimizer_slot(const mb_optimizer_t *optimizer, const mb_param_t *param, int slot,
                       mb_shape_t *shape)
{
    int index = optimizer->slot_index[slot];
    *shape = param->shape;
    if (optimizer->class_->slot == NULL || index >= MB_SLOT_AVERAGE)
        return true;
    return optimizer->class_->slot(optimizer, param, index, shape);
}

int mb_optimizer_average_slot(const mb_optimizer_t *optimizer)
{
    for (int s = 0; s < optimizer->n_slots; s++) {
        if (optimizer->slot_index[s] == MB_SLOT_AVERAGE)
            return s;
    }
    return -1;
}

const char *mb_optimizer_scalar(const mb_optimizer_t *optimizer, int64_t updates, double *value)
{
    const mb_optimizer_class_t *class_ = optimizer->class_;
    if (class_->scalar != NULL)
        *value = class_->scalar_value(optimizer, updates);
    return class_->scalar;
}
