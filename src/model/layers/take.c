/* Reading a layer's config and declaring its parameters: what several layers have in common. */
#include "model/layers/layers.h"

#include <string.h>

#include "base/number.h"

/* {"class_name": "__numpy__", "config": {"value": 0.3, "dtype": "float32"}}; or a tensor alike. */
static const json_t *inside_numpy(const json_t *value)
{
    const json_t *name = json_object_get(value, "class_name");
    const char *text = json_is_string(name) ? json_string_value(name) : "";
    if (strcmp(text, "__numpy__") != 0 && strcmp(text, "__tensor__") != 0)
        return value;
    return json_object_get(json_object_get(value, "config"), "value");
}

mb_status_t mb_config_scalar_or(mb_config_t *config, const char *key, double otherwise, double *out)
{
    const json_t *value = inside_numpy(mb_config_take(config, key));
    if (json_array_size(value) == 1)
        value = json_array_get(value, 0);
    if (!json_is_number(value))
        return mb_config_real_or(config, key, otherwise, out);
    *out = json_number_value(value);
    return MB_OK;
}

/* Whether VALUE nests as SHAPE from dimension D on says, which it fixes where it comes first. */
static bool read_numbers(const json_t *value, int d, mb_numbers_t *out)
{
    if (!json_is_array(value)) {
        bool boolean = json_is_boolean(value);
        out->values[out->n] = json_is_true(value) ? 1.0 : json_number_value(value);
        return (boolean || json_is_number(value)) && d == out->shape.rank && ++out->n > 0;
    }
    if (d >= out->shape.rank || (size_t)out->shape.dim[d] != json_array_size(value))
        return false;
    for (size_t i = 0; i < json_array_size(value); i++) {
        if (!read_numbers(json_array_get(value, i), d + 1, out))
            return false;
    }
    return true;
}

/* The shape by the first of all lists. */
static bool shape_numbers(const json_t *value, mb_shape_t *shape, int64_t *n)
{
    *shape = (mb_shape_t){0};
    *n = 1;
    for (; json_is_array(value); value = json_array_get(value, 0)) {
        if (shape->rank == MB_MAX_RANK || json_array_size(value) == 0)
            return false;
        shape->dim[shape->rank++] = (int64_t)json_array_size(value);
        if (*n > MB_LAYER_MAX_NUMBERS / (int64_t)json_array_size(value))
            return false;
        *n *= (int64_t)json_array_size(value);
    }
    return true;
}

mb_status_t mb_numbers_read(const json_t *value, mb_arena_t *arena, mb_numbers_t *out)
{
    int64_t n;
    value = inside_numpy(value);
    *out = (mb_numbers_t){0};
    if (value == NULL || !shape_numbers(value, &out->shape, &n))
        return MB_OK;
    out->values = MB_ARENA_ARRAY(arena, double, n);
    if (out->values == NULL)
        return mb_error_memory("a layer's numbers", (size_t)n * sizeof(double));
    if (!read_numbers(value, 0, out))
        *out = (mb_numbers_t){0};
    return MB_OK;
}

mb_status_t mb_layer_take_numbers(mb_config_t *config, const char *key, mb_arena_t *arena,
                                  mb_numbers_t *out)
{
    const json_t *value = mb_config_take(config, key);
    MB_TRY(mb_numbers_read(value, arena, out));
    if (out->values != NULL || value == NULL || json_is_null(value))
        return MB_OK;
    return mb_error_set(MB_ERR_FORMAT, "%s: key '%s' must be a number or lists of numbers alike",
                        config->where, key);
}

void mb_numbers_put(mb_dtype_t type, const double *values, int64_t n, void *out)
{
    for (int64_t i = 0; i < n; i++) {
        float value = (float)values[i];
        mb_number_encode(mb_number_of(type), 0, &value, 1,
                         (char *)out + (size_t)i * mb_dtype_bytes(type));
    }
}

mb_status_t mb_layer_take_axis(mb_config_t *config, int64_t *out)
{
    *out = -1;
    mb_config_take(config, "axis");
    if (!mb_config_has(config, "axis"))
        return MB_OK;
    return mb_config_ints(config, "axis", 1, -MB_MAX_RANK, out);
}

mb_status_t mb_layer_take_param(mb_config_t *config, const char *prefix, const char *otherwise,
                                const char *name, bool weight, mb_param_spec_t *spec)
{
    MB_TRY(mb_param_spec_take(config, prefix, otherwise, spec));
    spec->name = name;
    spec->weight = weight;
    return MB_OK;
}

mb_status_t mb_layer_add_param(mb_param_list_t *list, const mb_param_spec_t *spec,
                               const mb_shape_t *shape)
{
    mb_param_spec_t whole = *spec;
    int rank = shape->rank;
    int64_t field = 1;
    for (int i = 0; i < rank - 2; i++)
        field *= shape->dim[i];
    whole.shape = *shape;
    whole.fan_in = rank > 1 ? field * shape->dim[rank - 2] : shape->dim[0];
    whole.fan_out = field * shape->dim[rank - 1];
    return mb_param_add(list, &whole);
}
