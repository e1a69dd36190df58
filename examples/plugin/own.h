/* What this plugin brings; own.c registers it. */
#ifndef OWN_H
#define OWN_H

#include <mb/plugin.h>

extern const mb_plugin_host_t *mb; /* set when the plugin is registered */

extern const mb_plugin_layer_t swish2_layer;
extern const mb_plugin_layer_t soft_clip_layer;
extern const mb_plugin_loss_t pinball_loss;
extern const mb_plugin_source_t wave_source;

#endif
