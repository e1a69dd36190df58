/* From Keras' serialized metric (name, function or object, Keras 2 or 3) to its class and settings.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "model/losses/class.h"
#include "model/metrics/class.h"

mb_status_t mb_metric_refuse(const mb_config_t *config, const char *why)
{
    return mb_error_set(MB_ERR_UNSUPPORTED, "%s: %s; remove it, or recompile the model",
                        config->where, why);
}

mb_status_t mb_metric_needs_alike(const mb_config_t *config, const mb_metric_t *metric)
{
    if (metric->label_columns == metric->columns)
        return MB_OK;
    return mb_metric_refuse(config, "it wants a label for each column");
}

mb_status_t mb_metric_needs_vector(const mb_config_t *config, const mb_metric_t *metric)
{
    if (metric->axes == 1)
        return MB_OK;
    return mb_metric_refuse(config, "it wants an output of one axis");
}

mb_status_t mb_metric_take_axis(mb_config_t *config, const mb_metric_t *metric)
{
    int64_t axis;
    MB_TRY(mb_config_int_or(config, "axis", INT32_MIN, INT32_MAX, -1, &axis));
    if (axis == -1 || axis == metric->axes)
        return MB_OK;
    return mb_error_set(MB_ERR_UNSUPPORTED, "%s: key 'axis' is %lld, only the last axis is taken",
                        config->where, (long long)axis);
}

mb_status_t mb_metric_take_ignore(mb_config_t *config, bool *has, int32_t *label)
{
    int64_t value;
    *has = mb_config_has(config, "ignore_class");
    MB_TRY(mb_config_int_or(config, "ignore_class", INT32_MIN, INT32_MAX, 0, &value));
    *label = (int32_t)value;
    return MB_OK;
}

static mb_status_t take_reals(const mb_config_t *config, const char *key, const json_t *list,
                              double *out)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *value = json_array_get(list, i);
        if (!json_is_number(value))
            return mb_error_set(MB_ERR_FORMAT, "%s: key '%s' must hold numbers", config->where,
                                key);
        out[i] = json_number_value(value);
    }
    return MB_OK;
}

/* Keras writes an array as {"class_name": "__numpy__", "config": {"value": [...]}}. */
static const json_t *unwrapped(const json_t *value)
{
    const json_t *inner = json_object_get(json_object_get(value, "config"), "value");
    return inner != NULL ? inner : value;
}

mb_status_t mb_metric_take_reals(mb_config_t *config, const char *key, mb_arena_t *arena,
                                 int64_t *n, double **out)
{
    const json_t *value = unwrapped(mb_config_take(config, key));
    *out = NULL;
    if (value == NULL || json_is_null(value))
        return MB_OK;
    if (!json_is_array(value) && !json_is_number(value))
        return mb_error_set(MB_ERR_FORMAT, "%s: key '%s' must be a number or a list of numbers",
                            config->where, key);
    *n = json_is_array(value) ? (int64_t)json_array_size(value) : 1;
    *out = MB_ARENA_ARRAY(arena, double, *n);
    if (*out == NULL)
        return mb_error_memory("a metric's numbers", (size_t)*n * sizeof **out);
    if (json_is_array(value))
        return take_reals(config, key, value, *out);
    **out = json_number_value(value);
    return MB_OK;
}

static bool is_wrapper(const char *name)
{
    return strcmp(name, "MeanMetricWrapper") == 0;
}

/* Among Keras 3's functions that of this name is the loss, of the other sign. */
static bool is_negated(const json_t *value, const char *name)
{
    return json_is_object(value) && strcmp(name, "cosine_similarity") == 0 &&
           json_is_string(json_object_get(value, "config"));
}

mb_status_t mb_metric_names(const json_t *value, const char *where, const char **name,
                            const char **label)
{
    const json_t *config, *ignored;
    MB_TRY(mb_config_object(value, where, name, &config));
    const json_t *function = json_object_get(config, "fn");
    *label = json_string_value(json_object_get(config, "name"));
    if (is_wrapper(*name) && function != NULL)
        MB_TRY(mb_config_object(function, where, name, &ignored));
    if (is_negated(value, *name) || is_negated(function, *name))
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "%s: the function %s is a loss, the metric's negative; recompile with "
                            "the metric's name",
                            where, *name);
    if (*label == NULL &&
        (json_is_string(value) || json_is_string(json_object_get(value, "config"))))
        *label = *name; /* of a string or a function */
    return MB_OK;
}

static mb_status_t find_class(const char *name, const char *where, const mb_metric_class_t **out)
{
    *out = mb_metric_find(name);
    if (*out != NULL)
        return MB_OK;
    if (strcasecmp(name, "mean") == 0 || strcasecmp(name, "sum") == 0)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "%s: metric '%s' takes values by themselves, and fails on labels and "
                            "predictions in Keras' own fit too (its update_state has no place for "
                            "them): name what is to be averaged, as in mean_squared_error",
                            where, name);
    return mb_known_refuse(&mb_known_metrics, MB_ERR_UNSUPPORTED, where, name);
}

/* Later Keras 2 versions write the function beside its arguments. */
static mb_status_t take_function(mb_config_t *config, const mb_metric_class_t *class_)
{
    const json_t *value = mb_config_take(config, "fn"), *ignored;
    const char *name;
    if (!mb_config_has(config, "fn"))
        return MB_OK;
    MB_TRY(mb_config_object(value, config->where, &name, &ignored));
    if (mb_metric_find(name) == class_)
        return MB_OK;
    return mb_error_set(MB_ERR_UNSUPPORTED, "%s: key 'fn' is '%s', which is not what %s computes",
                        config->where, name, class_->class_name);
}

static mb_status_t take_all(mb_config_t *config, mb_arena_t *arena, mb_metric_t *metric)
{
    mb_config_ignore(config, "name"); /* mb_metric_names takes it */
    if (!metric->class_->any_type_counts)
        MB_TRY(mb_loss_take_dtype(config));
    MB_TRY(take_function(config, metric->class_));
    MB_TRY(metric->class_->parse(config, arena, metric));
    return mb_config_finish(config);
}

static void set_shape(const mb_loss_t *loss, mb_metric_t *metric)
{
    metric->axes = loss->label_shape.rank + (loss->sparse ? 1 : 0);
    metric->rows = loss->rows;
    metric->columns = loss->columns;
    metric->label_columns = loss->sparse ? 1 : loss->columns;
    metric->whole_labels = loss->sparse;
}

mb_status_t mb_metric_parse(const json_t *value, const char *as, const char *where,
                            const mb_loss_t *loss, mb_arena_t *arena, mb_metric_t *metric)
{
    const char *name, *label;
    MB_TRY(mb_metric_names(value, where, &name, &label));
    MB_TRY(find_class(as == NULL ? name : as, where, &metric->class_));
    set_shape(loss, metric);
    metric->name = mb_arena_strdup(arena, label != NULL ? label : metric->class_->name);
    json_t *empty = json_object();
    const json_t *object = json_object_get(value, "config");
    mb_config_t config;
    mb_status_t status =
        metric->name == NULL || empty == NULL
            ? mb_error_memory("a metric's name", 0)
            : mb_config_open(&config, json_is_object(object) ? object : empty,
                             "%s: metric '%s' beside loss %s", where, name, loss->name);
    if (status == MB_OK)
        status = take_all(&config, arena, metric);
    json_decref(empty);
    return status;
}
