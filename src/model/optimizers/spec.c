/* The command line's optimizer: Keras' defaults as Keras 3 serializes them, with the keys given put
 * in their place. */
#include "model/optimizers/class.h"
#include "base/str.h"
#include "model/known.h"
#include "model/spec.h"

#include <stdbool.h>
#include <string.h>

#define MAX_KEYS 32

static const char shared_config[] =
    "{\"name\": null, \"learning_rate\": null, \"weight_decay\": null, \"clipnorm\": null, "
    "\"global_clipnorm\": null, \"clipvalue\": null, \"use_ema\": false, \"ema_momentum\": 0.99, "
    "\"ema_overwrite_frequency\": null, \"loss_scale_factor\": null, "
    "\"gradient_accumulation_steps\": null}";

static json_t *default_config(const mb_optimizer_class_t *class_)
{
    json_t *config = json_loads(shared_config, 0, NULL);
    json_t *own = json_loads(class_->own_config, 0, NULL);
    json_object_set_new(config, "name", json_string(class_->own_name));
    json_object_set_new(config, "learning_rate", json_real(class_->learning_rate));
    if (class_->weight_decay > 0.0)
        json_object_set_new(config, "weight_decay", json_real(class_->weight_decay));
    if (config == NULL || own == NULL || json_object_update(config, own) != 0) {
        json_decref(config);
        config = NULL;
    }
    json_decref(own);
    return config;
}

static mb_status_t unknown_key(json_t *config, const char *key)
{
    const char *keys[MAX_KEYS];
    size_t count = 0;
    for (void *at = json_object_iter(config); at != NULL && count < MAX_KEYS;
         at = json_object_iter_next(config, at))
        keys[count++] = json_object_iter_key(at);
    const char *nearest = mb_str_nearest(key, keys, count);
    return mb_error_set(MB_ERR_ARGUMENT, "--optimizer: key '%s' is not known%s%s", key,
                        nearest == NULL ? "" : "; the nearest one is ",
                        nearest == NULL ? "" : nearest);
}

static bool counts(const char *key)
{
    static const char *const counts[] = {"gradient_accumulation_steps", "ema_overwrite_frequency",
                                         "ns_steps", "warmup_steps"};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        if (strcmp(key, counts[i]) == 0)
            return true;
    }
    return false;
}

/* Keras wants its numbers written as floats, but for those that count steps; and a list of
 * patterns, which here is one. A new reference. */
static json_t *keras_value(const char *key, json_t *value)
{
    if (strcmp(key, "exclude_layers") == 0 && json_is_string(value))
        return json_pack("[O]", value);
    if (json_is_integer(value) && !counts(key))
        return json_real(json_number_value(value));
    return json_incref(value);
}

static mb_status_t put(json_t *config, const char *key, json_t *value)
{
    const char *full = strcmp(key, "lr") == 0 ? "learning_rate" : key;
    if (json_object_get(config, full) == NULL)
        return unknown_key(config, key);
    int failed = json_object_set_new(config, full, keras_value(full, value));
    return failed != 0 ? mb_error_memory("an optimizer's settings", 1) : MB_OK;
}

static mb_status_t put_all(json_t *config, json_t *given)
{
    for (void *at = json_object_iter(given); at != NULL; at = json_object_iter_next(given, at))
        MB_TRY(put(config, json_object_iter_key(at), json_object_iter_value(at)));
    return MB_OK;
}

static mb_status_t build(json_t *parsed, json_t **out)
{
    const char *name = json_string_value(json_object_get(parsed, "class_name"));
    const mb_optimizer_class_t *class_ = mb_optimizer_class_find(name);
    if (class_ == NULL)
        return mb_known_refuse(&mb_known_optimizers, MB_ERR_ARGUMENT, "--optimizer", name);
    json_t *config = default_config(class_);
    if (config == NULL)
        return mb_error_memory("an optimizer's settings", 1);
    mb_status_t status = put_all(config, json_object_get(parsed, "config"));
    if (status == MB_OK)
        *out = json_pack("{s:s, s:O}", "class_name", class_->name, "config", config);
    json_decref(config);
    return status;
}

mb_status_t mb_optimizer_from_spec(const char *spec, json_t **out)
{
    json_t *parsed;
    MB_TRY(mb_spec_parse(spec, "--optimizer", &parsed));
    mb_status_t status = build(parsed, out);
    json_decref(parsed);
    return status;
}
