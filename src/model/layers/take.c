/* Reading a layer's config and declaring its parameters: what several layers have in common. */
#include "model/layers/layers.h"

#include <string.h>

/* {"class_name": "__numpy__", "config": {"value": 0.3, "dtype": "float32"}} */
static const json_t *inside_numpy(const json_t *value)
{
    const json_t *name = json_object_get(value, "class_name");
    if (!json_is_string(name) || strcmp(json_string_value(name), "__numpy__") != 0)
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
