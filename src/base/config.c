/* Typed keys of a JSON object over jansson; see config.h. */
#include "base/config.h"

#include "base/str.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VALUE_TEXT 96

static struct {
    mb_config_watcher_t *watcher;
    void *user;
} watch;

void mb_config_watch(mb_config_watcher_t *watcher, void *user)
{
    watch.watcher = watcher;
    watch.user = user;
}

/* The value as JSON, shortened at a character's end, for messages. */
static const char *value_text(const json_t *value, char buffer[VALUE_TEXT])
{
    char *whole = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS);
    if (whole == NULL)
        return "an unprintable value";
    size_t length = strlen(whole);
    if (length < VALUE_TEXT) {
        memcpy(buffer, whole, length + 1);
    } else {
        length = VALUE_TEXT - 4;
        while ((whole[length] & 0xC0) == 0x80)
            length--;
        memcpy(buffer, whole, length);
        memcpy(buffer + length, "...", 4);
    }
    free(whole);
    return buffer;
}

mb_status_t mb_config_open(mb_config_t *config, const json_t *object, const char *where, ...)
{
    *config = (mb_config_t){.object = object};
    va_list args;
    va_start(args, where);
    vsnprintf(config->where, sizeof(config->where), where, args);
    va_end(args);
    if (json_is_object(object))
        return MB_OK;
    char text[VALUE_TEXT];
    return mb_error_set(MB_ERR_FORMAT, "%s: the configuration must be a JSON object, found %s",
                        config->where, object == NULL ? "nothing" : value_text(object, text));
}

/* Its place among those taken, or their number. */
static int place_of(const mb_config_t *config, const char *key)
{
    int place = 0;
    while (place < config->n_taken && strcmp(config->taken[place], key) != 0)
        place++;
    return place;
}

static void take_as(mb_config_t *config, const char *key, const char *accepted)
{
    int place = place_of(config, key);
    if (place < config->n_taken || place == MB_CONFIG_MAX_KEYS)
        return;
    config->taken[place] = key;
    config->accepted[place] = accepted;
    config->n_taken++;
}

const json_t *mb_config_take(mb_config_t *config, const char *key)
{
    take_as(config, key, NULL);
    return json_object_get(config->object, key);
}

bool mb_config_has(const mb_config_t *config, const char *key)
{
    const json_t *value = json_object_get(config->object, key);
    return value != NULL && !json_is_null(value);
}

static mb_status_t missing(const mb_config_t *config, const char *key, const char *wanted)
{
    return mb_error_set(MB_ERR_FORMAT, "%s: key '%s' is missing (%s is wanted)", config->where, key,
                        wanted);
}

static mb_status_t wrong_type(const mb_config_t *config, const char *key, const json_t *value,
                              const char *wanted)
{
    char text[VALUE_TEXT];
    return mb_error_set(MB_ERR_FORMAT, "%s: key '%s' must be %s, found %s", config->where, key,
                        wanted, value_text(value, text));
}

static mb_status_t take_required(mb_config_t *config, const char *key, const char *wanted,
                                 const json_t **value)
{
    *value = mb_config_take(config, key);
    return *value == NULL ? missing(config, key, wanted) : MB_OK;
}

static mb_status_t check_range(const mb_config_t *config, const char *key, int64_t value,
                               int64_t low, int64_t high)
{
    if (value >= low && value <= high)
        return MB_OK;
    if (high == INT64_MAX)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "%s: key '%s' is %" PRId64 ", it must be at least %" PRId64,
                            config->where, key, value, low);
    return mb_error_set(MB_ERR_ARGUMENT,
                        "%s: key '%s' is %" PRId64 ", it must lie from %" PRId64 " to %" PRId64,
                        config->where, key, value, low, high);
}

mb_status_t mb_config_int(mb_config_t *config, const char *key, int64_t low, int64_t high,
                          int64_t *out)
{
    const json_t *value;
    MB_TRY(take_required(config, key, "an integer", &value));
    if (!json_is_integer(value))
        return wrong_type(config, key, value, "an integer");
    MB_TRY(check_range(config, key, json_integer_value(value), low, high));
    *out = json_integer_value(value);
    return MB_OK;
}

mb_status_t mb_config_real(mb_config_t *config, const char *key, double *out)
{
    const json_t *value;
    MB_TRY(take_required(config, key, "a number", &value));
    if (!json_is_number(value))
        return wrong_type(config, key, value, "a number");
    *out = json_number_value(value);
    return MB_OK;
}

mb_status_t mb_config_string(mb_config_t *config, const char *key, const char **out)
{
    const json_t *value;
    MB_TRY(take_required(config, key, "a string", &value));
    if (!json_is_string(value))
        return wrong_type(config, key, value, "a string");
    *out = json_string_value(value);
    return MB_OK;
}

mb_status_t mb_config_bool(mb_config_t *config, const char *key, bool *out)
{
    const json_t *value;
    MB_TRY(take_required(config, key, "true or false", &value));
    if (!json_is_boolean(value))
        return wrong_type(config, key, value, "true or false");
    *out = json_is_true(value);
    return MB_OK;
}

/* True when the key is absent or null; it counts as taken either way. */
static bool take_absent(mb_config_t *config, const char *key)
{
    mb_config_take(config, key);
    return !mb_config_has(config, key);
}

mb_status_t mb_config_int_or(mb_config_t *config, const char *key, int64_t low, int64_t high,
                             int64_t otherwise, int64_t *out)
{
    if (!take_absent(config, key))
        return mb_config_int(config, key, low, high, out);
    *out = otherwise;
    return MB_OK;
}

mb_status_t mb_config_real_or(mb_config_t *config, const char *key, double otherwise, double *out)
{
    if (!take_absent(config, key))
        return mb_config_real(config, key, out);
    *out = otherwise;
    return MB_OK;
}

mb_status_t mb_config_string_or(mb_config_t *config, const char *key, const char *otherwise,
                                const char **out)
{
    if (!take_absent(config, key))
        return mb_config_string(config, key, out);
    *out = otherwise;
    return MB_OK;
}

mb_status_t mb_config_bool_or(mb_config_t *config, const char *key, bool otherwise, bool *out)
{
    if (!take_absent(config, key))
        return mb_config_bool(config, key, out);
    *out = otherwise;
    return MB_OK;
}

mb_status_t mb_config_ints(mb_config_t *config, const char *key, int count, int64_t low,
                           int64_t *out)
{
    char wanted[64];
    snprintf(wanted, sizeof(wanted), "an integer or a list of %d integer%s", count,
             count == 1 ? "" : "s");
    const json_t *value;
    MB_TRY(take_required(config, key, wanted, &value));
    bool single = json_is_integer(value);
    if (!single && (!json_is_array(value) || json_array_size(value) != (size_t)count))
        return wrong_type(config, key, value, wanted);
    for (int i = 0; i < count; i++) {
        const json_t *item = single ? value : json_array_get(value, (size_t)i);
        if (!json_is_integer(item))
            return wrong_type(config, key, value, wanted);
        MB_TRY(check_range(config, key, json_integer_value(item), low, INT64_MAX));
    }
    for (int i = 0; i < count; i++)
        out[i] = json_integer_value(single ? value : json_array_get(value, (size_t)i));
    return MB_OK;
}

void mb_config_ignore(mb_config_t *config, const char *key)
{
    take_as(config, key, "");
}

/* 1 and 1.0 are the same number: Keras 2 and 3 differ in which they write. */
static bool same_value(const json_t *a, const json_t *b)
{
    if (json_is_number(a) && json_is_number(b))
        return !(json_number_value(a) < json_number_value(b)) &&
               !(json_number_value(a) > json_number_value(b));
    return json_equal(a, b) != 0;
}

mb_status_t mb_config_only(mb_config_t *config, const char *key, const char *accepted)
{
    take_as(config, key, accepted);
    if (!mb_config_has(config, key))
        return MB_OK;
    json_t *literal = json_loads(accepted, JSON_DECODE_ANY, NULL);
    if (literal == NULL)
        return mb_error_set(MB_ERR_INTERNAL, "%s: the accepted value %s of key '%s' is not JSON",
                            config->where, accepted, key);
    const json_t *value = json_object_get(config->object, key);
    bool same = same_value(value, literal);
    json_decref(literal);
    if (same)
        return MB_OK;
    char text[VALUE_TEXT];
    return mb_error_set(MB_ERR_UNSUPPORTED, "%s: key '%s' is %s; this build obeys only %s",
                        config->where, key, value_text(value, text), accepted);
}

mb_status_t mb_config_finish(mb_config_t *config)
{
    if (watch.watcher != NULL)
        watch.watcher(watch.user, config);
    /* jansson's iterator wants a pointer to non-const, but changes nothing. */
    json_t *object = (json_t *)(uintptr_t)config->object;
    for (void *at = json_object_iter(object); at != NULL; at = json_object_iter_next(object, at)) {
        const char *key = json_object_iter_key(at);
        if (place_of(config, key) < config->n_taken)
            continue;
        const char *nearest = mb_str_nearest(key, config->taken, (size_t)config->n_taken);
        if (nearest == NULL || mb_config_has(config, nearest))
            return mb_error_set(MB_ERR_UNSUPPORTED, "%s: key '%s' is not known", config->where,
                                key);
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "%s: key '%s' is not known; the nearest one is '%s'", config->where,
                            key, nearest);
    }
    return MB_OK;
}

/* Keras 3 writes a plain function as {"class_name": "function", "config": NAME}. */
static bool is_function(const char *class_name, const json_t *config)
{
    return strcmp(class_name, "function") == 0 && json_is_string(config);
}

mb_status_t mb_config_object(const json_t *value, const char *where, const char **class_name,
                             const json_t **object_config)
{
    char text[VALUE_TEXT];
    if (json_is_string(value)) {
        *class_name = json_string_value(value);
        *object_config = NULL;
        return MB_OK;
    }
    const json_t *name = json_object_get(value, "class_name");
    const json_t *config = json_object_get(value, "config");
    if (!json_is_string(name))
        return mb_error_set(
            MB_ERR_FORMAT, "%s: a name or an object with class_name and config is wanted, found %s",
            where, value == NULL ? "nothing" : value_text(value, text));
    if (is_function(json_string_value(name), config)) {
        *class_name = json_string_value(config);
        *object_config = NULL;
        return MB_OK;
    }
    if (config != NULL && !json_is_null(config) && !json_is_object(config))
        return mb_error_set(MB_ERR_FORMAT, "%s: the config of %s must be a JSON object, found %s",
                            where, json_string_value(name), value_text(config, text));
    *class_name = json_string_value(name);
    *object_config = json_is_object(config) ? config : NULL;
    return MB_OK;
}
