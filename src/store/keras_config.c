/* See keras_config.h. */
#include "store/keras_config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/config.h"

static mb_status_t no_memory(void)
{
    return mb_error_memory("a model's configuration", 0);
}

static mb_status_t print(const json_t *value, mb_arena_t *arena, char **text)
{
    char *printed = json_dumps(value, JSON_REAL_PRECISION(17) | JSON_COMPACT);
    *text = printed == NULL ? NULL : mb_arena_strdup(arena, printed);
    free(printed);
    return *text == NULL ? no_memory() : MB_OK;
}

/* The configuration whose learning rate counts: a LossScaleOptimizer has one inside. */
static json_t *innermost(json_t *optimizer)
{
    json_t *config = json_object_get(optimizer, "config");
    json_t *inner = json_object_get(config, "inner_optimizer");
    return json_is_object(inner) ? json_object_get(inner, "config") : config;
}

/* compile("adam") leaves the name as it was given. A schedule is no number, and stays. */
static json_t *legacy_optimizer(const json_t *optimizer, double rate)
{
    json_t *legacy = json_object();
    const json_t *name = optimizer, *config = NULL;
    if (json_is_object(optimizer)) {
        name = json_object_get(optimizer, "class_name");
        config = json_object_get(optimizer, "config");
    }
    if (name != NULL)
        json_object_set_new(legacy, "class_name", json_deep_copy(name));
    json_object_set_new(legacy, "config", config == NULL ? json_object() : json_deep_copy(config));
    json_t *inner = innermost(legacy);
    if (!isnan(rate) && json_is_object(inner) &&
        !json_is_object(json_object_get(inner, "learning_rate")))
        json_object_set_new(inner, "learning_rate", json_real(rate));
    return legacy;
}

static mb_status_t split_training(const json_t *compile, double rate, mb_arena_t *arena,
                                  char **training)
{
    const json_t *optimizer = json_object_get(compile, "optimizer");
    json_t *config = json_deep_copy(compile);
    if (config == NULL)
        return no_memory();
    json_object_del(config, "optimizer");
    if (optimizer != NULL && !json_is_null(optimizer))
        json_object_set_new(config, "optimizer_config", legacy_optimizer(optimizer, rate));
    mb_status_t status = print(config, arena, training);
    json_decref(config);
    return status;
}

static mb_status_t split(const json_t *whole, const char *path, double rate, mb_arena_t *arena,
                         char **model, char **training)
{
    static const char *const kept[] = {"class_name", "config"};
    const json_t *compile = json_object_get(whole, "compile_config");
    *training = NULL;
    if (!json_is_string(json_object_get(whole, "class_name")) ||
        json_object_get(whole, "config") == NULL)
        return mb_error_set(MB_ERR_FORMAT,
                            "'%s': its config.json is no model's: it has no class_name or config; "
                            "save the model again",
                            path);
    json_t *config = json_object();
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
        json_object_set(config, kept[i], json_object_get(whole, kept[i]));
    mb_status_t status = print(config, arena, model);
    json_decref(config);
    if (status == MB_OK && json_object_size(compile) > 0)
        status = split_training(compile, rate, arena, training);
    return status;
}

mb_status_t mb_keras_config_split(const char *config, const char *path, double rate,
                                  mb_arena_t *arena, char **model, char **training)
{
    json_t *whole = NULL;
    MB_TRY(mb_json_parse(config, strlen(config), path, &whole));
    mb_status_t status = split(whole, path, rate, arena, model, training);
    json_decref(whole);
    return status;
}

/* Objects that Keras 3's HDF5 files write as {"class_name", "config"} need a module to be found in
 * config.json. */
static void name_module(json_t *object, const char *module)
{
    if (!json_is_object(object) || json_object_get(object, "class_name") == NULL ||
        json_object_get(object, "module") != NULL)
        return;
    json_object_set_new(object, "module", json_string(module));
    json_object_set_new(object, "registered_name", json_null());
}

/* Keras 2 wraps a metric's function; its name says the same. */
static json_t *plain_metric(json_t *metric)
{
    const char *class_name = json_string_value(json_object_get(metric, "class_name"));
    const json_t *config = json_object_get(metric, "config");
    const json_t *name = json_object_get(config, "name"), *fn = json_object_get(config, "fn");
    if (class_name != NULL && strcmp(class_name, "MeanMetricWrapper") == 0 && json_is_string(fn)) {
        bool accuracy = json_is_string(name) && (strcmp(json_string_value(name), "accuracy") == 0 ||
                                                 strcmp(json_string_value(name), "acc") == 0);
        return json_deep_copy(accuracy ? name : fn);
    }
    name_module(metric, "keras.metrics");
    return json_incref(metric);
}

/* Lists and dicts of metrics nest; every leaf is one. */
static json_t *plain_metrics(json_t *metrics)
{
    size_t i;
    const char *key;
    void *next;
    json_t *value, *out;
    if (json_is_array(metrics)) {
        out = json_array();
        json_array_foreach(metrics, i, value) json_array_append_new(out, plain_metrics(value));
        return out;
    }
    if (!json_is_object(metrics) || json_object_get(metrics, "class_name") != NULL)
        return json_is_object(metrics) ? plain_metric(metrics) : json_incref(metrics);
    out = json_object();
    json_object_foreach_safe(metrics, next, key, value)
        json_object_set_new(out, key, plain_metrics(value));
    return out;
}

static void name_losses(json_t *losses)
{
    size_t i;
    const char *key;
    json_t *value;
    name_module(losses, "keras.losses");
    if (json_is_array(losses))
        json_array_foreach(losses, i, value) name_losses(value);
    else if (json_is_object(losses) && json_object_get(losses, "class_name") == NULL)
        json_object_foreach(losses, key, value) name_losses(value);
}

static json_t *modern_optimizer(const json_t *legacy)
{
    json_t *optimizer = json_deep_copy(legacy);
    json_t *config = json_object_get(optimizer, "config");
    name_module(optimizer, "keras.optimizers");
    name_module(json_object_get(config, "inner_optimizer"), "keras.optimizers");
    name_module(json_object_get(config, "learning_rate"), "keras.optimizers.schedules");
    return optimizer;
}

static json_t *join_training(json_t *training)
{
    static const char *const metrics[] = {"metrics", "weighted_metrics"};
    json_t *compile = json_object();
    const json_t *optimizer = json_object_get(training, "optimizer_config");
    json_t *losses = json_object_get(training, "loss");
    name_losses(losses);
    json_object_set_new(compile, "optimizer",
                        optimizer == NULL ? json_null() : modern_optimizer(optimizer));
    json_object_set(compile, "loss", losses == NULL ? json_null() : losses);
    const json_t *weights = json_object_get(training, "loss_weights");
    if (weights != NULL)
        json_object_set_new(compile, "loss_weights", json_deep_copy(weights));
    for (size_t i = 0; i < sizeof metrics / sizeof metrics[0]; i++) {
        json_t *value = json_object_get(training, metrics[i]);
        if (value != NULL)
            json_object_set_new(compile, metrics[i], plain_metrics(value));
    }
    return compile;
}

/* Keras 2's Model is what Keras 3 calls Functional. */
static json_t *join_model(json_t *model)
{
    const char *class_name = json_string_value(json_object_get(model, "class_name"));
    bool sequential = class_name != NULL && strcmp(class_name, "Sequential") == 0;
    const char *name = sequential ? "Sequential" : "Functional";
    return json_pack("{s:s, s:s, s:O, s:s}", "module",
                     sequential ? "keras" : "keras.src.models.functional", "class_name", name,
                     "config", json_object_get(model, "config"), "registered_name", name);
}

mb_status_t mb_keras_config_join(const char *model, const char *training, const char *path,
                                 char **config)
{
    json_t *given = NULL, *compiled = NULL, *whole = NULL;
    mb_status_t status = mb_json_parse(model, strlen(model), path, &given);
    if (status == MB_OK && training != NULL)
        status = mb_json_parse(training, strlen(training), path, &compiled);
    if (status == MB_OK)
        whole = join_model(given);
    if (whole != NULL && compiled != NULL)
        json_object_set_new(whole, "compile_config", join_training(compiled));
    *config = whole == NULL ? NULL : json_dumps(whole, JSON_REAL_PRECISION(17) | JSON_COMPACT);
    if (status == MB_OK && *config == NULL)
        status = no_memory();
    json_decref(whole);
    json_decref(compiled);
    json_decref(given);
    return status;
}
