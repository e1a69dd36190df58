/* From Keras' serialized optimizer (Keras 2 and 3) to its settings. Keras' keys that have no effect
 * here are named one by one; the others must be obeyed. */
#include "model/optimizers/class.h"
#include "model/optimizers/lr_schedule.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "model/known.h"

static const mb_optimizer_class_t *const classes[] = {
    &mb_optimizer_sgd,   &mb_optimizer_rmsprop,      &mb_optimizer_adam,     &mb_optimizer_adamw,
    &mb_optimizer_lamb,  &mb_optimizer_adagrad,      &mb_optimizer_adadelta, &mb_optimizer_adamax,
    &mb_optimizer_nadam, &mb_optimizer_adafactor,    &mb_optimizer_ftrl,     &mb_optimizer_lion,
    &mb_optimizer_muon,  &mb_optimizer_schedule_free};

const mb_optimizer_class_t *mb_optimizer_class_find(const char *name)
{
    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
        if (strcmp(classes[i]->name, name) == 0 || strcmp(classes[i]->spec_name, name) == 0)
            return classes[i];
    }
    return NULL;
}

static const char *optimizer_name(size_t index)
{
    return index < sizeof(classes) / sizeof(classes[0]) ? classes[index]->spec_name : NULL;
}

const mb_known_t mb_known_optimizers = {"optimizer", "optimizers", optimizer_name};

void mb_optimizer_add_filled_slot(mb_optimizer_t *optimizer, const char *name, int index,
                                  double value)
{
    optimizer->slot_names[optimizer->n_slots] = name;
    optimizer->slot_index[optimizer->n_slots] = index;
    optimizer->slot_initial[optimizer->n_slots] = value;
    optimizer->n_slots++;
}

void mb_optimizer_add_slot(mb_optimizer_t *optimizer, const char *name, int index)
{
    mb_optimizer_add_filled_slot(optimizer, name, index, 0.0);
}

void mb_optimizer_add_weight_slot(mb_optimizer_t *optimizer, const char *name, int index)
{
    optimizer->slot_copies[optimizer->n_slots] = true;
    mb_optimizer_add_slot(optimizer, name, index);
}

mb_status_t mb_optimizer_take(mb_config_t *config, const char *key, double low, double high,
                              double otherwise, double *out)
{
    double value;
    MB_TRY(mb_config_real_or(config, key, otherwise, &value));
    if (!(value >= low && value <= high))
        return mb_error_set(MB_ERR_ARGUMENT, "%s: key '%s' is %g, it must lie from %g to %g",
                            config->where, key, value, low, high);
    *out = value;
    return MB_OK;
}

/* Earliest Keras calls it lr. */
static mb_status_t take_rate(mb_config_t *config, mb_arena_t *arena, mb_optimizer_t *optimizer)
{
    const char *key = mb_config_has(config, "lr") && !mb_config_has(config, "learning_rate")
                          ? "lr"
                          : "learning_rate";
    const json_t *value = mb_config_take(config, key);
    if (json_is_object(value))
        return mb_lr_schedule_parse(value, config->where, arena, &optimizer->schedule);
    return mb_optimizer_take(config, key, 0.0, FLT_MAX, optimizer->class_->learning_rate,
                             &optimizer->learning_rate);
}

static mb_status_t take_clipping(mb_config_t *config, mb_optimizer_t *optimizer)
{
    static const char *const keys[] = {"clipnorm", "global_clipnorm", "clipvalue"};
    double *const values[] = {&optimizer->clipnorm, &optimizer->global_clipnorm,
                              &optimizer->clipvalue};
    int given = 0;
    for (int i = 0; i < 3; i++) {
        given += mb_config_has(config, keys[i]) ? 1 : 0;
        MB_TRY(mb_optimizer_take(config, keys[i], 0.0, FLT_MAX, 0.0, values[i]));
    }
    if (given > 1)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "%s: only one of clipnorm, global_clipnorm and clipvalue can be set, "
                            "as in Keras",
                            config->where);
    return MB_OK;
}

static mb_status_t take_average(mb_config_t *config, mb_optimizer_t *optimizer)
{
    MB_TRY(mb_config_bool_or(config, "use_ema", false, &optimizer->averages));
    if (!optimizer->averages) {
        mb_config_ignore(config, "ema_momentum");
        mb_config_ignore(config, "ema_overwrite_frequency");
        return MB_OK;
    }
    MB_TRY(mb_optimizer_take(config, "ema_momentum", 0.0, 1.0, 0.99, &optimizer->average_momentum));
    MB_TRY(mb_config_int_or(config, "ema_overwrite_frequency", 1, INT64_MAX, 0,
                            &optimizer->overwrite_every));
    mb_optimizer_add_slot(optimizer, "average", MB_SLOT_AVERAGE);
    return MB_OK;
}

static mb_status_t take_accumulation(mb_config_t *config, mb_optimizer_t *optimizer)
{
    MB_TRY(mb_config_int_or(config, "gradient_accumulation_steps", 2, INT64_MAX, 1,
                            &optimizer->accumulated_steps));
    if (optimizer->accumulated_steps > 1)
        mb_optimizer_add_slot(optimizer, "gradient_accumulator", MB_SLOT_SUM);
    return MB_OK;
}

/* jit_compile and is_legacy_optimizer are other programs' ways of computing the same. */
static mb_status_t take_others(mb_config_t *config, mb_optimizer_t *optimizer)
{
    mb_config_ignore(config, "jit_compile");
    mb_config_ignore(config, "is_legacy_optimizer");
    MB_TRY(take_average(config, optimizer));
    MB_TRY(take_accumulation(config, optimizer));
    if (mb_config_has(config, "loss_scale_factor"))
        MB_TRY(mb_optimizer_take(config, "loss_scale_factor", (double)FLT_MIN, (double)FLT_MAX, 1.0,
                                 &optimizer->loss_scale_factor));
    mb_config_ignore(config, "loss_scale_factor"); /* null, which has not taken it */
    return mb_config_only(config, "decay", "0.0");
}

/* Only where the key is absent the default holds; null is none, which AdamW does not take. */
static mb_status_t take_decay(mb_config_t *config, mb_optimizer_t *optimizer)
{
    bool none = json_is_null(json_object_get(config->object, "weight_decay"));
    double otherwise = none ? 0.0 : optimizer->class_->weight_decay;
    if (none && optimizer->class_ == &mb_optimizer_adamw)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "%s: key 'weight_decay' is null, and AdamW needs a number there, as "
                            "in Keras",
                            config->where);
    return mb_optimizer_take(config, "weight_decay", 0.0, FLT_MAX, otherwise,
                             &optimizer->weight_decay);
}

static mb_status_t take_name(mb_config_t *config, mb_arena_t *arena, mb_optimizer_t *optimizer)
{
    const char *name;
    MB_TRY(mb_config_string_or(config, "name", optimizer->class_->own_name, &name));
    optimizer->name = mb_arena_strdup(arena, name);
    return optimizer->name == NULL ? mb_error_memory("an optimizer's name", strlen(name)) : MB_OK;
}

static mb_status_t take_all(mb_config_t *config, mb_arena_t *arena, mb_optimizer_t *optimizer)
{
    MB_TRY(take_name(config, arena, optimizer));
    MB_TRY(take_rate(config, arena, optimizer));
    MB_TRY(take_decay(config, optimizer));
    MB_TRY(take_clipping(config, optimizer));
    MB_TRY(take_others(config, optimizer));
    MB_TRY(optimizer->class_->parse(config, optimizer));
    return mb_config_finish(config);
}

/* TensorFlow 2.11 and 2.12 write "Custom>Adam" for their own optimizers. */
static const char *without_package(const char *name)
{
    static const char package[] = "Custom>";
    bool has = strncmp(name, package, sizeof(package) - 1) == 0;
    return has ? name + sizeof(package) - 1 : name;
}

static mb_status_t parse_own(const char *name, const json_t *object, const char *where,
                             mb_arena_t *arena, mb_optimizer_t *optimizer)
{
    mb_config_t config;
    optimizer->class_ = mb_optimizer_class_find(without_package(name));
    if (optimizer->class_ == NULL) {
        char hint[MB_KNOWN_HINT];
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "%s: optimizer '%s' is not known%s; name another with --optimizer",
                            where, name, mb_known_hint(&mb_known_optimizers, name, hint));
    }
    optimizer->class_name = optimizer->class_->name;
    MB_TRY(mb_config_open(&config, object, "%s: optimizer %s", where, name));
    return take_all(&config, arena, optimizer);
}

mb_status_t mb_optimizer_parse(const json_t *object, const char *where, mb_arena_t *arena,
                               mb_optimizer_t *optimizer)
{
    const char *name;
    const json_t *inner, *wrapped;
    mb_config_t config;
    *optimizer = (mb_optimizer_t){.scales_loss = false};
    MB_TRY(mb_config_object(object, where, &name, &inner));
    if (mb_optimizer_is_wrapper(without_package(name))) {
        MB_TRY(mb_config_open(&config, inner, "%s: optimizer %s", where, name));
        MB_TRY(mb_optimizer_parse_wrapper(&config, optimizer, &wrapped));
        MB_TRY(mb_config_object(wrapped, where, &name, &inner));
    }
    return parse_own(name, inner, where, arena, optimizer);
}
