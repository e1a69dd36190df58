/* What a plugin reads of a config: each key it takes is obeyed, all others are refused. */
#include "plugin/inside.h"

#include "model/layers/layers.h"

mb_status_t mb_plugin_integer(mb_plugin_config_t *c, const char *key, int64_t otherwise,
                              int64_t *out)
{
    return mb_config_int_or(c->config, key, INT64_MIN, INT64_MAX, otherwise, out);
}

mb_status_t mb_plugin_real(mb_plugin_config_t *c, const char *key, double otherwise, double *out)
{
    return mb_config_real_or(c->config, key, otherwise, out);
}

mb_status_t mb_plugin_boolean(mb_plugin_config_t *c, const char *key, int otherwise, int *out)
{
    bool value;
    MB_TRY(mb_config_bool_or(c->config, key, otherwise != 0, &value));
    *out = value;
    return MB_OK;
}

/* The JSON does not outlive the model's reading. */
mb_status_t mb_plugin_text(mb_plugin_config_t *c, const char *key, const char *otherwise,
                           const char **out)
{
    const char *value;
    MB_TRY(mb_config_string_or(c->config, key, otherwise, &value));
    *out = value == NULL ? NULL : mb_arena_strdup(c->arena, value);
    return value == NULL || *out != NULL ? MB_OK : mb_error_memory("a text of a config", 0);
}

void *mb_plugin_allocate(mb_plugin_config_t *c, size_t bytes)
{
    return mb_arena_alloc(c->arena, bytes);
}

mb_status_t mb_plugin_take_weight(mb_plugin_config_t *c, const char *name, const char *initializer,
                                  int product)
{
    if (c->kept == NULL || c->kept->n_weights == MB_PLUGIN_WEIGHTS)
        return mb_error_set(MB_ERR_ARGUMENT, "%s: weight '%s': %s", c->config->where, name,
                            c->kept == NULL ? "a loss has none" : "there are too many weights");
    mb_param_spec_t *spec = &c->kept->specs[c->kept->n_weights++];
    const char *kept = mb_arena_strdup(c->arena, name);
    if (kept == NULL)
        return mb_error_memory("the name of a weight", 0);
    MB_TRY(mb_layer_take_param(c->config, kept, initializer, kept, true, spec));
    spec->operand = product != 0;
    return MB_OK;
}
