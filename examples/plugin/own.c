#include "own.h"

const mb_plugin_host_t *mb;

MB_PLUGIN_REGISTER(host, plugin)
{
    mb_status_t status;
    mb = host;
    if ((status = mb->add_layer(plugin, &swish2_layer)) != MB_OK)
        return status;
    if ((status = mb->add_layer(plugin, &soft_clip_layer)) != MB_OK)
        return status;
    if ((status = mb->add_loss(plugin, &pinball_loss)) != MB_OK)
        return status;
    return mb->add_source(plugin, &wave_source);
}
