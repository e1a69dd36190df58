/* The functions that a plugin is given, and what it registers by them. */
#include <config.h>

#include "plugin/inside.h"

#include <string.h>

/* A struct of a plugin that is shorter than ours was compiled against another header of the same
 * ABI number, which there is none of. */
static mb_status_t check_struct(const char *what, const char *name, size_t size, size_t wanted,
                                int n)
{
    if (name == NULL || name[0] == '\0')
        return mb_error_set(MB_ERR_ARGUMENT, "a %s has no name", what);
    if (size != wanted)
        return mb_error_set(MB_ERR_ARGUMENT, "%s '%s': its size is %zu, wanted is sizeof: %zu",
                            what, name, size, wanted);
    if (n == MB_PLUGIN_MOST)
        return mb_error_set(MB_ERR_ARGUMENT, "%s '%s': one plugin has at most %d of them", what,
                            name, MB_PLUGIN_MOST);
    return MB_OK;
}

static mb_status_t taken(const char *what, const char *name)
{
    return mb_error_set(MB_ERR_ARGUMENT, "%s '%s': there is one of this name already", what, name);
}

static mb_status_t lacks(const char *what, const char *name, const char *member)
{
    return mb_error_set(MB_ERR_ARGUMENT, "%s '%s' has no %s", what, name, member);
}

static mb_status_t add_layer(mb_plugin_t *plugin, const mb_plugin_layer_t *layer)
{
    MB_TRY(check_struct("layer", layer->name, layer->size, sizeof *layer, plugin->n_layers));
    if (layer->forward == NULL || layer->backward_input == NULL)
        return lacks("layer", layer->name, layer->forward == NULL ? "forward" : "backward_input");
    bool used = mb_layer_class_find(layer->name) != NULL;
    for (int i = 0; i < plugin->n_layers; i++)
        used = used || strcmp(plugin->layers[i]->name, layer->name) == 0;
    if (used)
        return taken("layer", layer->name);
    plugin->layers[plugin->n_layers++] = layer;
    return MB_OK;
}

static mb_status_t add_loss(mb_plugin_t *plugin, const mb_plugin_loss_t *loss)
{
    MB_TRY(check_struct("loss", loss->name, loss->size, sizeof *loss, plugin->n_losses));
    if (loss->row == NULL)
        return lacks("loss", loss->name, "row");
    bool used = mb_loss_class_find(loss->name) != NULL ||
                (loss->alias != NULL && mb_loss_class_find(loss->alias) != NULL);
    for (int i = 0; i < plugin->n_losses; i++)
        used = used || strcmp(plugin->losses[i]->name, loss->name) == 0;
    if (used)
        return taken("loss", loss->name);
    plugin->losses[plugin->n_losses++] = loss;
    return MB_OK;
}

static mb_status_t add_source(mb_plugin_t *plugin, const mb_plugin_source_t *source)
{
    MB_TRY(check_struct("source", source->ending, source->size, sizeof *source, plugin->n_sources));
    if (source->open == NULL || source->read == NULL)
        return lacks("source", source->ending, source->open == NULL ? "open" : "read");
    plugin->sources[plugin->n_sources++] = source;
    return MB_OK;
}

const mb_plugin_host_t mb_plugin_host = {.size = sizeof(mb_plugin_host_t),
                                         .abi = MB_PLUGIN_ABI,
                                         .version = PACKAGE_VERSION,
                                         .add_layer = add_layer,
                                         .add_loss = add_loss,
                                         .add_source = add_source,
                                         .error = mb_error_set,
                                         .integer = mb_plugin_integer,
                                         .real = mb_plugin_real,
                                         .boolean = mb_plugin_boolean,
                                         .text = mb_plugin_text,
                                         .allocate = mb_plugin_allocate,
                                         .take_weight = mb_plugin_take_weight,
                                         .shape_weight = mb_plugin_shape_weight,
                                         .map = mb_plugin_map,
                                         .linear = mb_plugin_linear,
                                         .linear_input = mb_plugin_linear_input,
                                         .linear_weights = mb_plugin_linear_weights,
                                         .rows = mb_plugin_rows};
