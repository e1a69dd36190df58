/* A plugin's loss as a loss class: see model/losses/plugin.c for how it is computed. */
#include "plugin/inside.h"

#include <stdlib.h>

static mb_status_t parse(mb_config_t *config, mb_loss_t *loss)
{
    mb_plugin_config_t given = {config, loss->arena, NULL};
    void *settings = NULL;
    loss->sparse = loss->plugin->sparse != 0;
    loss->kind = loss->sparse ? MB_LOSS_SPARSE_PROBABILITY : MB_LOSS_SQUARED;
    if (loss->plugin->parse != NULL)
        MB_TRY(loss->plugin->parse(&given, &settings));
    loss->settings = settings;
    return MB_OK;
}

mb_status_t mb_plugin_loss_class_of(const mb_plugin_loss_t *loss, const mb_loss_class_t **out)
{
    mb_loss_class_t *class_ = calloc(1, sizeof *class_);
    if (class_ == NULL)
        return mb_error_memory("a loss's class", sizeof *class_);
    *class_ = (mb_loss_class_t){.size = sizeof *class_,
                                .class_name = loss->name,
                                .names = {loss->alias != NULL ? loss->alias : loss->name},
                                .parse = parse,
                                .plugin = loss};
    *out = class_;
    return MB_OK;
}
